/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT: the host's own instruction on the guest's values, its flags
 * taken over, specialised by operation, operand form and width.
 */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"

enum alu_op { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, ALU_OPS };
enum alu1_op { INC, DEC, NEG, NOT, ALU1_OPS };

/* One host instruction on a typed pair; x is the result, ax the flags. */
#define BINARY(name, type) \
	do { \
		type x_ = (type)a; \
		asm(name " %2, %0\n\tlahf\n\tseto %%al" : "+r"(x_), "=&a"(ax) : "r"((type)b) : "cc"); \
		x = x_; \
	} while (0)
#define BINARY_CARRY(name, type) \
	do { \
		type x_ = (type)a; \
		ax = (uint32_t)c->s.rflags; \
		asm("bt $0, %1\n\t" name " %2, %0\n\tlahf\n\tseto %%al" : "+r"(x_), "+&a"(ax) : "r"((type)b) : "cc"); \
		x = x_; \
	} while (0)

ALWAYS_INLINE uint64_t alu(struct soft_cpu *c, enum alu_op op, unsigned w, uint64_t a, uint64_t b)
{
	uint64_t x = 0;
	uint32_t ax = 0;
	switch (op) {
	case ADD: BY_WIDTH(BINARY, "add") break;
	case OR: BY_WIDTH(BINARY, "or") break;
	case ADC: BY_WIDTH(BINARY_CARRY, "adc") break;
	case SBB: BY_WIDTH(BINARY_CARRY, "sbb") break;
	case AND: BY_WIDTH(BINARY, "and") break;
	case SUB: BY_WIDTH(BINARY, "sub") break;
	case XOR: BY_WIDTH(BINARY, "xor") break;
	case CMP: BY_WIDTH(BINARY, "cmp") break;
	default: BY_WIDTH(BINARY, "test") break;
	}
	flags_from_ax(c, ax);
	return x;
}

ALWAYS_INLINE bool alu_writes(enum alu_op op)
{
	return op != CMP && op != TEST;
}

/* The whole way, for what the fast forms leave. */
ALWAYS_INLINE void alu_slow(struct soft_cpu *c, const struct insn *i, enum alu_op op, enum form f)
{
	unsigned w = i->width;
	uint64_t lin = insn_linear(c, i, w, f != FORM_RM && alu_writes(op)), a, x;
	if (f == FORM_RM) {
		uint64_t b = ld(c, lin, w);
		x = alu(c, op, w, reg_get(c, i->rm, w), b);
		if (alu_writes(op))
			reg_set(c, i->rm, w, x);
		return;
	}
	uint64_t b = f == FORM_MI ? i->imm : reg_get(c, i->reg, w);
	void *p = alu_writes(op) ? rmw_ptr(c, lin, w) : NULL;
	a = p ? raw_load(p, w) : ld(c, lin, w);
	x = alu(c, op, w, a, b);
	if (p)
		raw_store(p, w, x);
	else if (alu_writes(op))
		st(c, lin, w, x);
}

ALWAYS_INLINE void alu_fast(struct soft_cpu *c, const struct insn *i, enum alu_op op, enum form f, unsigned w, insn_fn slow)
{
	uint64_t b = f == FORM_RI || f == FORM_MI ? i->imm : f == FORM_RM ? 0 : reg_get(c, i->reg, w);
	void *p = NULL;
	if (f != FORM_RR && f != FORM_RI) {
		p = mem_hit(f == FORM_RM || !alu_writes(op) ? c->tlb.rd : c->tlb.wr, mem_fast(c, i), w);
		if (unlikely(!p))
			return slow(c, i);
	}
	if (f == FORM_RM)
		b = raw_load(p, w);
	uint64_t x = alu(c, op, w, f == FORM_MR || f == FORM_MI ? raw_load(p, w) : reg_get(c, i->rm, w), b);
	if (!alu_writes(op))
		return;
	if (f == FORM_MR || f == FORM_MI)
		raw_store(p, w, x);
	else
		reg_set(c, i->rm, w, x);
}

#define DEFINE(op, form, w) \
	static void op##_##form##_##w(struct soft_cpu *c, const struct insn *i) { alu_fast(c, i, op, form, w, op##_##form##_slow); }
#define DEFINE_SLOW(op, form) \
	static __attribute__((noinline)) void op##_##form##_slow(struct soft_cpu *c, const struct insn *i) { alu_slow(c, i, op, form); }
#define DEFINE_WIDTHS(op, form) DEFINE_SLOW(op, form) DEFINE(op, form, 1) DEFINE(op, form, 2) DEFINE(op, form, 4) DEFINE(op, form, 8)
#define DEFINE_OP(op) \
	DEFINE_WIDTHS(op, FORM_RR) DEFINE_WIDTHS(op, FORM_RI) DEFINE_WIDTHS(op, FORM_RM) DEFINE_WIDTHS(op, FORM_MR) \
	DEFINE_WIDTHS(op, FORM_MI)
DEFINE_OP(ADD) DEFINE_OP(OR) DEFINE_OP(ADC) DEFINE_OP(SBB) DEFINE_OP(AND) DEFINE_OP(SUB) DEFINE_OP(XOR) DEFINE_OP(CMP)
DEFINE_OP(TEST)

#define WIDTHS(op, form) { op##_##form##_1, op##_##form##_2, op##_##form##_4, op##_##form##_8, op##_##form##_slow }
#define FORMS(op) { WIDTHS(op, FORM_RR), WIDTHS(op, FORM_RI), WIDTHS(op, FORM_RM), WIDTHS(op, FORM_MR), WIDTHS(op, FORM_MI) }

/* XOR r, r and the like with one register: the result is known, the old value does not matter. */
static void zero_reg(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = 0;
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ARITH) | X86_FLAG_ZF | X86_FLAG_PF;
}

static bool bind_alu(struct insn *i, const struct insn_source *src, unsigned op)
{
	static const insn_fn table[ALU_OPS][FORM_COUNT][5] = {
		[ADD] = FORMS(ADD), [OR] = FORMS(OR),   [ADC] = FORMS(ADC), [SBB] = FORMS(SBB),   [AND] = FORMS(AND),
		[SUB] = FORMS(SUB), [XOR] = FORMS(XOR), [CMP] = FORMS(CMP), [TEST] = FORMS(TEST),
	};
	static const uint8_t locked[] = { ATOMIC_ADD, ATOMIC_OR, ATOMIC_ADC, ATOMIC_SBB, ATOMIC_AND, ATOMIC_SUB, ATOMIC_XOR };
	if (i->flags & INSN_LOCK)
		return op < CMP && atomic_bind(i, src, locked[op]);
	enum form f = form_of(i, src);
	if (f == FORM_BAD)
		return false;
	i->fn = table[op][f][i->flags & INSN_MEM && !i->fast ? 4 : width_index(i->width)];
	if ((op == XOR || op == SUB) && f == FORM_RR && i->rm == i->reg && i->width >= 4)
		i->fn = zero_reg;
	return true;
}

/* ---- one operand ---- */
#define UNARY(name, type) \
	do { \
		type x_ = (type)a; \
		asm(ASM_FLAGS_IN name " %0" ASM_FLAGS_OUT : "+r"(x_), "+&a"(ax) : : "cc"); \
		x = x_; \
	} while (0)

ALWAYS_INLINE uint64_t alu1(struct soft_cpu *c, enum alu1_op op, unsigned w, uint64_t a)
{
	uint64_t x = 0;
	uint32_t ax = flags_to_ax(c);
	switch (op) {
	case INC: BY_WIDTH(UNARY, "inc") break;
	case DEC: BY_WIDTH(UNARY, "dec") break;
	case NEG: BY_WIDTH(UNARY, "neg") break;
	default: return ~a;
	}
	flags_from_ax(c, ax);
	return x;
}

ALWAYS_INLINE void alu1_form(struct soft_cpu *c, const struct insn *i, enum alu1_op op, bool mem, unsigned w)
{
	if (!mem) {
		reg_set(c, i->rm, w, alu1(c, op, w, reg_get(c, i->rm, w)));
		return;
	}
	uint64_t lin = mem_addr(c, i, w, true);
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		raw_store(p, w, alu1(c, op, w, raw_load(p, w)));
		return;
	}
	uint64_t a = ld(c, lin, w);
	st(c, lin, w, alu1(c, op, w, a));
}

#define DEFINE1(op, w) \
	static void op##_r_##w(struct soft_cpu *c, const struct insn *i) { alu1_form(c, i, op, false, w); } \
	static void op##_m_##w(struct soft_cpu *c, const struct insn *i) { alu1_form(c, i, op, true, w); }
#define DEFINE1_OP(op) DEFINE1(op, 1) DEFINE1(op, 2) DEFINE1(op, 4) DEFINE1(op, 8)
DEFINE1_OP(INC) DEFINE1_OP(DEC) DEFINE1_OP(NEG) DEFINE1_OP(NOT)
#define WIDTHS1(op) { { op##_r_1, op##_r_2, op##_r_4, op##_r_8 }, { op##_m_1, op##_m_2, op##_m_4, op##_m_8 } }

static bool bind_alu1(struct insn *i, const struct insn_source *src, unsigned op)
{
	static const insn_fn table[ALU1_OPS][2][4] = {
		[INC] = WIDTHS1(INC), [DEC] = WIDTHS1(DEC), [NEG] = WIDTHS1(NEG), [NOT] = WIDTHS1(NOT),
	};
	static const uint8_t locked[] = { ATOMIC_INC, ATOMIC_DEC, ATOMIC_NEG, ATOMIC_NOT };
	if (i->flags & INSN_LOCK)
		return atomic_bind(i, src, locked[op]);
	bool mem = form_unary_is_mem(i, src);
	i->fn = table[op][mem][width_index(i->width)];
	return true;
}

const struct insn_row insn_alu[] = {
	{ ZYDIS_MNEMONIC_ADD, ADD, bind_alu },   { ZYDIS_MNEMONIC_OR, OR, bind_alu },   { ZYDIS_MNEMONIC_ADC, ADC, bind_alu },
	{ ZYDIS_MNEMONIC_SBB, SBB, bind_alu },   { ZYDIS_MNEMONIC_AND, AND, bind_alu }, { ZYDIS_MNEMONIC_SUB, SUB, bind_alu },
	{ ZYDIS_MNEMONIC_XOR, XOR, bind_alu },   { ZYDIS_MNEMONIC_CMP, CMP, bind_alu }, { ZYDIS_MNEMONIC_TEST, TEST, bind_alu },
	{ ZYDIS_MNEMONIC_INC, INC, bind_alu1 },  { ZYDIS_MNEMONIC_DEC, DEC, bind_alu1 },
	{ ZYDIS_MNEMONIC_NEG, NEG, bind_alu1 },  { ZYDIS_MNEMONIC_NOT, NOT, bind_alu1 },
	{ 0 },
};
