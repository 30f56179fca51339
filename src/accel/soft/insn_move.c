/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MOV and its kin: MOVZX MOVSX MOVBE MOVNTI, LEA, XCHG, BSWAP, CBW and CWD families, XLAT. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"
#include "accel/soft/system.h"

static void mov_any(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	if (i->sub == FORM_RM)
		reg_set(c, i->rm, w, ld(c, mem_addr(c, i, w, false), w));
	else
		st(c, mem_addr(c, i, w, true), w, i->sub == FORM_MI ? i->imm : reg_get(c, i->reg, w));
}

/* Memory forms leave for mov_any when the TLB has no answer. */
ALWAYS_INLINE void mov_form(struct soft_cpu *c, const struct insn *i, enum form f, unsigned w)
{
	void *p;
	switch (f) {
	case FORM_RR: reg_set(c, i->rm, w, reg_get(c, i->reg, w)); break;
	case FORM_RI: reg_set(c, i->rm, w, i->imm); break;
	case FORM_RM:
		if (unlikely(!(p = mem_hit(c->tlb.rd, mem_fast(c, i), w))))
			return mov_any(c, i);
		reg_set(c, i->rm, w, raw_load(p, w));
		break;
	default:
		if (unlikely(!(p = mem_hit(c->tlb.wr, mem_fast(c, i), w))))
			return mov_any(c, i);
		raw_store(p, w, f == FORM_MI ? i->imm : reg_get(c, i->reg, w));
	}
}

#define DEFINE(form, w) \
	static void mov_##form##_##w(struct soft_cpu *c, const struct insn *i) { mov_form(c, i, form, w); }
#define DEFINE_FORM(form) DEFINE(form, 1) DEFINE(form, 2) DEFINE(form, 4) DEFINE(form, 8)
DEFINE_FORM(FORM_RR) DEFINE_FORM(FORM_RI) DEFINE_FORM(FORM_RM) DEFINE_FORM(FORM_MR) DEFINE_FORM(FORM_MI)
#define WIDTHS(form) { mov_##form##_1, mov_##form##_2, mov_##form##_4, mov_##form##_8 }

/* Base and displacement in 64-bit code: what most memory operands are. */
ALWAYS_INLINE uint64_t base_disp(const struct soft_cpu *c, const struct insn *i)
{
	return c->s.gpr[i->base] + (uint64_t)(int64_t)i->disp;
}
ALWAYS_INLINE void load_base(struct soft_cpu *c, const struct insn *i, unsigned w)
{
	const void *p = mem_hit(c->tlb.rd, base_disp(c, i), w);
	if (unlikely(!p))
		return mov_any(c, i);
	c->s.gpr[i->rm] = raw_load(p, w);
}
ALWAYS_INLINE void store_base(struct soft_cpu *c, const struct insn *i, unsigned w)
{
	void *p = mem_hit(c->tlb.wr, base_disp(c, i), w);
	if (unlikely(!p))
		return mov_any(c, i);
	raw_store(p, w, c->s.gpr[i->reg]);
}
static void mov_load8_base(struct soft_cpu *c, const struct insn *i) { load_base(c, i, 8); }
static void mov_load4_base(struct soft_cpu *c, const struct insn *i) { load_base(c, i, 4); }
static void mov_store8_base(struct soft_cpu *c, const struct insn *i) { store_base(c, i, 8); }
static void mov_store4_base(struct soft_cpu *c, const struct insn *i) { store_base(c, i, 4); }

static bool is_base_disp(const struct insn *i, const struct insn_source *src)
{
	return i->fast && i->base != REG_NONE && i->index == REG_NONE && i->seg != X86_FS && i->seg != X86_GS &&
	       (src->mode & MODE_CODE_MASK) == MODE_CODE64;
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
	i->sub = (uint8_t)f;
	i->fn = i->flags & INSN_MEM && !i->fast ? mov_any : table[f][width_index(i->width)];
	if (is_base_disp(i, src) && i->width >= 4) {
		if (f == FORM_RM)
			i->fn = i->width == 8 ? mov_load8_base : mov_load4_base;
		else if (f == FORM_MR)
			i->fn = i->width == 8 ? mov_store8_base : mov_store4_base;
	}
	return true;
}

/* ---- extensions: sub is the source's width ---- */
ALWAYS_INLINE uint64_t extended(uint64_t v, unsigned from, bool sign)
{
	if (!sign)
		return v;
	return from == 1 ? (uint64_t)(int8_t)v : from == 2 ? (uint64_t)(int16_t)v : (uint64_t)(int32_t)v;
}

static void extend_any(struct soft_cpu *c, const struct insn *i)
{
	unsigned from = i->sub & 15;
	uint64_t v = ld(c, mem_addr(c, i, from, false), from);
	reg_set(c, i->rm, i->width, extended(v, from, i->sub & 16));
}

ALWAYS_INLINE void extend(struct soft_cpu *c, const struct insn *i, unsigned from, bool sign, bool mem)
{
	uint64_t v;
	if (mem) {
		const void *p = mem_hit(c->tlb.rd, mem_fast(c, i), from);
		if (unlikely(!p))
			return extend_any(c, i);
		v = raw_load(p, from);
	} else {
		v = reg_get(c, i->reg, from);
	}
	reg_set(c, i->rm, i->width, extended(v, from, sign));
}
#define DEFINE_EXTEND(name, from, sign) \
	static void name##_r(struct soft_cpu *c, const struct insn *i) { extend(c, i, from, sign, false); } \
	static void name##_m(struct soft_cpu *c, const struct insn *i) { extend(c, i, from, sign, true); }
DEFINE_EXTEND(movzx_1, 1, false)
DEFINE_EXTEND(movzx_2, 2, false)
DEFINE_EXTEND(movsx_1, 1, true)
DEFINE_EXTEND(movsx_2, 2, true)
DEFINE_EXTEND(movsx_4, 4, true)

static bool bind_extend(struct insn *i, const struct insn_source *src, unsigned sign)
{
	/* MOVSXD to 16 or 32 bits is a plain move */
	static const insn_fn table[2][2][3] = {
		{ { movzx_1_r, movzx_2_r, movsx_4_r }, { movzx_1_m, movzx_2_m, movsx_4_m } },
		{ { movsx_1_r, movsx_2_r, movsx_4_r }, { movsx_1_m, movsx_2_m, movsx_4_m } },
	};
	bool mem = form_of(i, src) == FORM_RM;
	unsigned from = src->op[1].size / 8;
	if (from > i->width) /* MOVSXD r16, m32 reads 16 bits */
		from = i->width;
	i->sub = (uint8_t)(from | (sign ? 16 : 0));
	i->fn = mem && !i->fast ? extend_any : table[sign][mem][width_index(from)];
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
	if (i->width == 8 && i->asize == 8 && i->base != REG_NONE && !(i->flags & INSN_RIP_REL))
		i->fn = i->index == REG_NONE ? lea_base : lea_index;
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
