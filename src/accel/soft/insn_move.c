/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MOV and its kin: MOVZX MOVSX MOVBE MOVNTI, LEA, XCHG, BSWAP, CBW and CWD families, XLAT. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"
#include "accel/soft/system.h"

ALWAYS_INLINE void mov_form(struct soft_cpu *c, const struct insn *i, enum form f, unsigned w)
{
	switch (f) {
	case FORM_RR: reg_set(c, i->rm, w, reg_get(c, i->reg, w)); break;
	case FORM_RI: reg_set(c, i->rm, w, i->imm); break;
	case FORM_RM: reg_set(c, i->rm, w, mem_load(c, mem_addr(c, i, w, false), w)); break;
	case FORM_MR: mem_store(c, mem_addr(c, i, w, true), w, reg_get(c, i->reg, w)); break;
	default: mem_store(c, mem_addr(c, i, w, true), w, i->imm); break;
	}
}

#define DEFINE(form, w) \
	static void mov_##form##_##w(struct soft_cpu *c, const struct insn *i) { mov_form(c, i, form, w); }
#define DEFINE_FORM(form) DEFINE(form, 1) DEFINE(form, 2) DEFINE(form, 4) DEFINE(form, 8)
DEFINE_FORM(FORM_RR) DEFINE_FORM(FORM_RI) DEFINE_FORM(FORM_RM) DEFINE_FORM(FORM_MR) DEFINE_FORM(FORM_MI)
#define WIDTHS(form) { mov_##form##_1, mov_##form##_2, mov_##form##_4, mov_##form##_8 }

/* The two memory forms that most of all memory operands have in 64-bit code. */
static void mov_load8_base(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = mem_load(c, c->s.gpr[i->base] + (int64_t)i->disp, 8);
}
static void mov_load4_base(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = mem_load(c, c->s.gpr[i->base] + (int64_t)i->disp, 4);
}
static void mov_store8_base(struct soft_cpu *c, const struct insn *i)
{
	mem_store(c, c->s.gpr[i->base] + (int64_t)i->disp, 8, c->s.gpr[i->reg]);
}
static void mov_store4_base(struct soft_cpu *c, const struct insn *i)
{
	mem_store(c, c->s.gpr[i->base] + (int64_t)i->disp, 4, c->s.gpr[i->reg]);
}

/* ---- moffs: the address is the immediate ---- */
static void mov_load_abs(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, X86_RAX, i->width, mem_load(c, seg_linear(c, i->seg, i->imm, i->width, false), i->width));
}
static void mov_store_abs(struct soft_cpu *c, const struct insn *i)
{
	mem_store(c, seg_linear(c, i->seg, i->imm, i->width, true), i->width, c->s.gpr[X86_RAX]);
}

static ZydisRegisterClass operand_class(const ZydisDecodedOperand *op)
{
	return op_is_reg(op) ? ZydisRegisterGetClass(op->reg.value) : ZYDIS_REGCLASS_INVALID;
}

static bool bind_mov(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn table[FORM_COUNT][4] = {
		[FORM_RR] = WIDTHS(FORM_RR), [FORM_RI] = WIDTHS(FORM_RI), [FORM_RM] = WIDTHS(FORM_RM),
		[FORM_MR] = WIDTHS(FORM_MR), [FORM_MI] = WIDTHS(FORM_MI),
	};
	for (unsigned n = 0; n < 2; n++) {
		ZydisRegisterClass cls = operand_class(&src->op[n]);
		if (cls == ZYDIS_REGCLASS_SEGMENT)
			return segment_bind_mov(i, src, arg);
		if (cls == ZYDIS_REGCLASS_CONTROL || cls == ZYDIS_REGCLASS_DEBUG)
			return control_bind_mov(i, src, arg);
		if (cls == ZYDIS_REGCLASS_TEST)
			return false;
	}
	bool abs_load = src->op[1].encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64;
	if (abs_load || src->op[0].encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
		i->width = (uint8_t)(src->op[0].size / 8);
		i->fn = abs_load ? mov_load_abs : mov_store_abs;
		return true;
	}
	enum form f = form_of(i, src);
	if (f == FORM_BAD)
		return false;
	i->fn = table[f][width_index(i->width)];
	if (i->addr == ADDR_B64 && i->width >= 4) {
		if (f == FORM_RM)
			i->fn = i->width == 8 ? mov_load8_base : mov_load4_base;
		else if (f == FORM_MR)
			i->fn = i->width == 8 ? mov_store8_base : mov_store4_base;
	}
	return true;
}

/* ---- extensions: sub is the source's width ---- */
ALWAYS_INLINE uint64_t extend_source(struct soft_cpu *c, const struct insn *i, unsigned from)
{
	return i->flags & INSN_MEM ? mem_load(c, mem_addr(c, i, from, false), from) : reg_get(c, i->reg, from);
}

ALWAYS_INLINE void extend(struct soft_cpu *c, const struct insn *i, unsigned from, bool sign)
{
	uint64_t v = extend_source(c, i, from);
	if (sign)
		v = from == 1 ? (uint64_t)(int8_t)v : from == 2 ? (uint64_t)(int16_t)v : (uint64_t)(int32_t)v;
	reg_set(c, i->rm, i->width, v);
}
static void movzx_1(struct soft_cpu *c, const struct insn *i) { extend(c, i, 1, false); }
static void movzx_2(struct soft_cpu *c, const struct insn *i) { extend(c, i, 2, false); }
static void movsx_1(struct soft_cpu *c, const struct insn *i) { extend(c, i, 1, true); }
static void movsx_2(struct soft_cpu *c, const struct insn *i) { extend(c, i, 2, true); }
static void movsx_4(struct soft_cpu *c, const struct insn *i) { extend(c, i, 4, true); }

static bool bind_extend(struct insn *i, const struct insn_source *src, unsigned sign)
{
	form_of(i, src);
	switch (src->op[1].size) {
	case 8: i->fn = sign ? movsx_1 : movzx_1; break;
	case 16: i->fn = sign ? movsx_2 : movzx_2; break;
	default: i->fn = movsx_4; break; /* MOVSXD; to 16 or 32 bits it is a plain move */
	}
	return true;
}

/* ---- MOVBE, BSWAP ---- */
static uint64_t swapped(uint64_t v, unsigned w)
{
	return __builtin_bswap64(v) >> (64 - w * 8);
}
static void movbe_load(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, i->rm, i->width, swapped(mem_load(c, mem_addr(c, i, i->width, false), i->width), i->width));
}
static void movbe_store(struct soft_cpu *c, const struct insn *i)
{
	mem_store(c, mem_addr(c, i, i->width, true), i->width, swapped(reg_get(c, i->reg, i->width), i->width));
}
static bool bind_movbe(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->fn = form_of(i, src) == FORM_RM ? movbe_load : movbe_store;
	return true;
}

static void bswap(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = c->s.gpr[i->rm];
	if (i->width == 2) { /* undefined; processors clear the low half */
		reg_set(c, i->rm, 2, 0);
		return;
	}
	c->s.gpr[i->rm] = i->width == 8 ? __builtin_bswap64(v) : __builtin_bswap32((uint32_t)v);
}
static bool bind_bswap(struct insn *i, const struct insn_source *src, unsigned arg)
{
	form_unary_is_mem(i, src);
	i->fn = bswap;
	return true;
}

/* ---- LEA ---- */
static void lea_base(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = c->s.gpr[i->base] + (int64_t)i->disp;
}
static void lea_index(struct soft_cpu *c, const struct insn *i)
{
	c->s.gpr[i->rm] = c->s.gpr[i->base] + c->s.gpr[i->index] * i->scale + (int64_t)i->disp;
}
static void lea(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, i->rm, i->width, insn_ea(c, i));
}
static bool bind_lea(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (form_of(i, src) != FORM_RM)
		return false;
	i->fn = lea;
	if (i->width == 8 && i->addr == ADDR_B64)
		i->fn = lea_base;
	else if (i->width == 8 && i->addr == ADDR_BI64)
		i->fn = lea_index;
	return true;
}

/* ---- XCHG of registers ---- */
static void xchg(struct soft_cpu *c, const struct insn *i)
{
	uint64_t a = reg_get(c, i->rm, i->width), b = reg_get(c, i->reg, i->width);
	reg_set(c, i->rm, i->width, b);
	reg_set(c, i->reg, i->width, a);
}
static bool bind_xchg(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (!op_is_reg(&src->op[0]) || !op_is_reg(&src->op[1]))
		return atomic_bind_xchg(i, src);
	form_of(i, src);
	i->fn = xchg;
	return true;
}

/* ---- sign extension within the accumulator ---- */
static void cbw(struct soft_cpu *c, const struct insn *i)
{
	uint64_t a = c->s.gpr[X86_RAX];
	uint64_t v = i->sub == 2 ? (uint64_t)(int8_t)a : i->sub == 4 ? (uint64_t)(int16_t)a : (uint64_t)(int32_t)a;
	reg_set(c, X86_RAX, i->sub, v);
}
static void cwd(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->sub;
	reg_set(c, X86_RDX, w, c->s.gpr[X86_RAX] >> (w * 8 - 1) & 1 ? UINT64_MAX : 0);
}
static bool bind_cbw(struct insn *i, const struct insn_source *src, unsigned width)
{
	i->sub = (uint8_t)width;
	i->fn = cbw;
	return true;
}
static bool bind_cwd(struct insn *i, const struct insn_source *src, unsigned width)
{
	i->sub = (uint8_t)width;
	i->fn = cwd;
	return true;
}

/* ---- XLAT ---- */
static void xlat(struct soft_cpu *c, const struct insn *i)
{
	uint64_t ea = (c->s.gpr[X86_RBX] + (uint8_t)c->s.gpr[X86_RAX]) & width_mask(i->asize);
	reg_set(c, X86_RAX, 1, mem_load(c, seg_linear(c, i->seg, ea, 1, false), 1));
}
static bool bind_xlat(struct insn *i, const struct insn_source *src, unsigned arg)
{
	for (unsigned n = 0; n < src->zi->operand_count; n++)
		if (src->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			i->seg = decode_reg_number(src->op[n].mem.segment);
	i->fn = xlat;
	return true;
}

const struct insn_row insn_move[] = {
	{ ZYDIS_MNEMONIC_MOV, 0, bind_mov },       { ZYDIS_MNEMONIC_MOVNTI, 0, bind_mov },
	{ ZYDIS_MNEMONIC_MOVZX, 0, bind_extend },  { ZYDIS_MNEMONIC_MOVSX, 1, bind_extend },
	{ ZYDIS_MNEMONIC_MOVSXD, 1, bind_extend }, { ZYDIS_MNEMONIC_MOVBE, 0, bind_movbe },
	{ ZYDIS_MNEMONIC_BSWAP, 0, bind_bswap },   { ZYDIS_MNEMONIC_LEA, 0, bind_lea },
	{ ZYDIS_MNEMONIC_XCHG, 0, bind_xchg },     { ZYDIS_MNEMONIC_XLAT, 0, bind_xlat },
	{ ZYDIS_MNEMONIC_CBW, 2, bind_cbw },       { ZYDIS_MNEMONIC_CWDE, 4, bind_cbw },
	{ ZYDIS_MNEMONIC_CDQE, 8, bind_cbw },      { ZYDIS_MNEMONIC_CWD, 2, bind_cwd },
	{ ZYDIS_MNEMONIC_CDQ, 4, bind_cwd },       { ZYDIS_MNEMONIC_CQO, 8, bind_cwd },
	{ 0 },
};
