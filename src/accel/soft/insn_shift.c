/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates: the host's instruction with the guest's flags loaded before, so that a count of zero, the
 * carry of RCL and RCR, and undefined flags come out as the processor makes them.
 */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"

/* The last two: by an immediate above 1 on processors where that leaves OF alone. */
enum shift_op { ROL, ROR, RCL, RCR, SHL, SHR, SAR, ROL_KEEP, ROR_KEEP, SHIFT_OPS };
enum count_from { COUNT_CL, COUNT_IMM };

#define SHIFT(name, type) \
	do { \
		type x_ = (type)a; \
		asm(ASM_FLAGS_IN name " %%cl, %0" ASM_FLAGS_OUT : "+r"(x_), "+&a"(ax) : "c"(n) : "cc"); \
		x = x_; \
	} while (0)

ALWAYS_INLINE uint64_t shift(struct soft_cpu *c, enum shift_op op, unsigned w, uint64_t a, uint8_t n)
{
	uint64_t x = 0;
	uint32_t ax = flags_to_ax(c);
	switch (op) {
	case ROL:
	case ROL_KEEP: BY_WIDTH(SHIFT, "rol") break;
	case ROR_KEEP:
	case ROR: BY_WIDTH(SHIFT, "ror") break;
	case RCL: BY_WIDTH(SHIFT, "rcl") break;
	case RCR: BY_WIDTH(SHIFT, "rcr") break;
	case SHL: BY_WIDTH(SHIFT, "shl") break;
	case SHR: BY_WIDTH(SHIFT, "shr") break;
	default: BY_WIDTH(SHIFT, "sar") break;
	}
	if (op == ROL_KEEP || op == ROR_KEEP)
		ax = (ax & ~1u) | ((uint32_t)c->s.rflags >> 11 & 1);
	flags_from_ax(c, ax);
	return x;
}

ALWAYS_INLINE void shift_form(struct soft_cpu *c, const struct insn *i, enum shift_op op, bool mem, enum count_from from,
                              unsigned w)
{
	uint8_t n = from == COUNT_CL ? (uint8_t)c->s.gpr[X86_RCX] : (uint8_t)i->imm;
	if (!mem) {
		reg_set(c, i->rm, w, shift(c, op, w, reg_get(c, i->rm, w), n));
		return;
	}
	uint64_t lin = mem_addr(c, i, w, true);
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		raw_store(p, w, shift(c, op, w, raw_load(p, w), n));
		return;
	}
	uint64_t a = ld(c, lin, w);
	st(c, lin, w, shift(c, op, w, a, n));
}

#define DEFINE(op, w) \
	static void op##_rc_##w(struct soft_cpu *c, const struct insn *i) { shift_form(c, i, op, false, COUNT_CL, w); } \
	static void op##_ri_##w(struct soft_cpu *c, const struct insn *i) { shift_form(c, i, op, false, COUNT_IMM, w); } \
	static void op##_mc_##w(struct soft_cpu *c, const struct insn *i) { shift_form(c, i, op, true, COUNT_CL, w); } \
	static void op##_mi_##w(struct soft_cpu *c, const struct insn *i) { shift_form(c, i, op, true, COUNT_IMM, w); }
#define DEFINE_OP(op) DEFINE(op, 1) DEFINE(op, 2) DEFINE(op, 4) DEFINE(op, 8)
DEFINE_OP(ROL) DEFINE_OP(ROR) DEFINE_OP(RCL) DEFINE_OP(RCR) DEFINE_OP(SHL) DEFINE_OP(SHR) DEFINE_OP(SAR)
DEFINE_OP(ROL_KEEP) DEFINE_OP(ROR_KEEP)
#define WIDTHS(op, f) { op##_##f##_1, op##_##f##_2, op##_##f##_4, op##_##f##_8 }
#define FORMS(op) { { WIDTHS(op, rc), WIDTHS(op, ri) }, { WIDTHS(op, mc), WIDTHS(op, mi) } }

/* OF is undefined after a rotate by more than 1; some processors keep it for a register and an immediate count. */
static bool host_keeps_of(void)
{
	uint32_t x = 0, ax = 1;
	asm(ASM_FLAGS_IN "roll $2, %0" ASM_FLAGS_OUT : "+r"(x), "+&a"(ax) : : "cc");
	return ax & 1;
}

static bool bind_shift(struct insn *i, const struct insn_source *src, unsigned op)
{
	static const insn_fn table[SHIFT_OPS][2][2][4] = {
		[ROL] = FORMS(ROL), [ROR] = FORMS(ROR), [RCL] = FORMS(RCL), [RCR] = FORMS(RCR),
		[SHL] = FORMS(SHL), [SHR] = FORMS(SHR), [SAR] = FORMS(SAR),
		[ROL_KEEP] = FORMS(ROL_KEEP), [ROR_KEEP] = FORMS(ROR_KEEP),
	};
	bool mem = form_unary_is_mem(i, src);
	enum count_from from = src->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? COUNT_IMM : COUNT_CL;
	if (from == COUNT_IMM)
		i->imm = src->op[1].imm.value.u;
	if (from == COUNT_IMM && !mem && (op == ROL || op == ROR) && (i->imm & (i->width == 8 ? 63 : 31)) > 1 && host_keeps_of())
		op = op == ROL ? ROL_KEEP : ROR_KEEP;
	i->fn = table[op][mem][from][width_index(i->width)];
	return true;
}

/* ---- SHLD, SHRD ---- */
#define DOUBLE(name, type) \
	do { \
		type x_ = (type)a; \
		asm(ASM_FLAGS_IN name " %%cl, %3, %0" ASM_FLAGS_OUT : "+r"(x_), "+&a"(ax) : "c"(n), "r"((type)b) : "cc"); \
		x = x_; \
	} while (0)
#define DOUBLE_WIDTH(name) \
	switch (w) { \
	case 2: DOUBLE(name "w", uint16_t); break; \
	case 4: DOUBLE(name "l", uint32_t); break; \
	default: DOUBLE(name "q", uint64_t); break; \
	}

static uint64_t shift_double(struct soft_cpu *c, const struct insn *i, uint64_t a)
{
	unsigned w = i->width;
	uint64_t b = reg_get(c, i->reg, w), x;
	uint8_t n = i->sub & 2 ? (uint8_t)c->s.gpr[X86_RCX] : (uint8_t)i->imm;
	uint32_t ax = flags_to_ax(c);
	if (i->sub & 1) {
		DOUBLE_WIDTH("shrd")
	} else {
		DOUBLE_WIDTH("shld")
	}
	flags_from_ax(c, ax);
	return x;
}

static void double_r(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, i->rm, i->width, shift_double(c, i, reg_get(c, i->rm, i->width)));
}

static void double_m(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin = mem_addr(c, i, i->width, true);
	void *p = mem_rmw(c, lin, i->width);
	if (likely(p)) {
		raw_store(p, i->width, shift_double(c, i, raw_load(p, i->width)));
		return;
	}
	uint64_t a = ld(c, lin, i->width);
	st(c, lin, i->width, shift_double(c, i, a));
}

static bool bind_double(struct insn *i, const struct insn_source *src, unsigned right)
{
	bool mem = form_unary_is_mem(i, src);
	i->reg = decode_reg_number(src->op[1].reg.value);
	bool cl = src->op[2].type != ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (!cl)
		i->imm = src->op[2].imm.value.u;
	i->sub = (uint8_t)(right | (cl ? 2 : 0));
	i->fn = mem ? double_m : double_r;
	return true;
}

const struct insn_row insn_shift[] = {
	{ ZYDIS_MNEMONIC_ROL, ROL, bind_shift }, { ZYDIS_MNEMONIC_ROR, ROR, bind_shift },
	{ ZYDIS_MNEMONIC_RCL, RCL, bind_shift }, { ZYDIS_MNEMONIC_RCR, RCR, bind_shift },
	{ ZYDIS_MNEMONIC_SHL, SHL, bind_shift }, { ZYDIS_MNEMONIC_SHR, SHR, bind_shift },
	{ ZYDIS_MNEMONIC_SAR, SAR, bind_shift },
	{ ZYDIS_MNEMONIC_SHLD, 0, bind_double }, { ZYDIS_MNEMONIC_SHRD, 1, bind_double },
	{ 0 },
};
