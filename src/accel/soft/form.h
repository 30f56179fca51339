/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operand forms of the two-operand integer instructions, and how a bind function brings a decoded instruction into
 * one: afterwards rm is the destination register and reg the source, whatever the encoding said.
 */
#ifndef PANAL_ACCEL_SOFT_FORM_H
#define PANAL_ACCEL_SOFT_FORM_H

#include "accel/soft/soft.h"

enum form {
	FORM_RR, /* rm <- reg */
	FORM_RI, /* rm <- imm */
	FORM_RM, /* rm <- memory */
	FORM_MR, /* memory <- reg */
	FORM_MI, /* memory <- imm */
	FORM_COUNT,
	FORM_BAD = FORM_COUNT,
};

/* 1, 2, 4, 8 -> 0..3 */
static inline unsigned width_index(unsigned width)
{
	return (unsigned)__builtin_ctz(width);
}

static inline bool op_is_reg(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER;
}

/* One operand that is a register (into rm) or memory. */
static inline bool form_unary_is_mem(struct insn *i, const struct insn_source *src)
{
	i->width = (uint8_t)(src->op[0].size / 8);
	if (!op_is_reg(&src->op[0]))
		return true;
	i->rm = decode_reg_number(src->op[0].reg.value);
	return false;
}

/* From the first two operands; the width is the destination's. */
static inline enum form form_of(struct insn *i, const struct insn_source *src)
{
	const ZydisDecodedOperand *d = &src->op[0], *s = &src->op[1];
	i->width = (uint8_t)(d->size / 8);
	if (s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		i->imm = s->imm.value.u;
	if (op_is_reg(d)) {
		i->rm = decode_reg_number(d->reg.value);
		if (s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return FORM_RI;
		if (!op_is_reg(s))
			return FORM_RM;
		i->reg = decode_reg_number(s->reg.value);
		return FORM_RR;
	}
	if (s->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return FORM_MI;
	if (!op_is_reg(s))
		return FORM_BAD;
	i->reg = decode_reg_number(s->reg.value);
	return FORM_MR;
}

/* insn_atomic.c: the locked form of an ALU or bit operation. */
enum atomic_op {
	ATOMIC_ADD, ATOMIC_OR, ATOMIC_ADC, ATOMIC_SBB, ATOMIC_AND, ATOMIC_SUB, ATOMIC_XOR, ATOMIC_INC, ATOMIC_DEC,
	ATOMIC_NEG, ATOMIC_NOT, ATOMIC_BTS, ATOMIC_BTR, ATOMIC_BTC,
};
bool atomic_bind(struct insn *i, const struct insn_source *src, unsigned op);
/* insn_atomic.c: XCHG with memory. */
bool atomic_bind_xchg(struct insn *i, const struct insn_source *src);
/* insn_bit.c: where BTx with a memory operand goes: the element that holds the bit; *n is the bit's number. */
uint64_t bit_address(struct soft_cpu *c, const struct insn *i, uint64_t *n, bool write);

/* body(mnemonic with its suffix, type) for an operand of w bytes; w is the caller's variable. */
#define BY_WIDTH(body, name) \
	switch (w) { \
	case 1: body(name "b", uint8_t); break; \
	case 2: body(name "w", uint16_t); break; \
	case 4: body(name "l", uint32_t); break; \
	default: body(name "q", uint64_t); break; \
	}

#endif
