/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BT BTS BTR BTC, BSF BSR, SETcc, CMOVcc. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"

enum bit_op { BT, BTS, BTR, BTC };

#define BIT(name, type) \
	do { \
		type x_ = (type)a; \
		asm(ASM_FLAGS_IN name " %2, %0" ASM_FLAGS_OUT : "+r"(x_), "+&a"(ax) : "r"((type)n) : "cc"); \
		x = x_; \
	} while (0)
#define BIT_WIDTH(name) \
	switch (i->width) { \
	case 2: BIT(name "w", uint16_t); break; \
	case 4: BIT(name "l", uint32_t); break; \
	default: BIT(name "q", uint64_t); break; \
	}

static uint64_t bit(struct soft_cpu *c, const struct insn *i, uint64_t a, uint64_t n)
{
	uint64_t x;
	uint32_t ax = flags_to_ax(c);
	n &= i->width * 8u - 1;
	switch (i->sub) {
	case BT: BIT_WIDTH("bt") break;
	case BTS: BIT_WIDTH("bts") break;
	case BTR: BIT_WIDTH("btr") break;
	default: BIT_WIDTH("btc") break;
	}
	flags_from_ax(c, ax);
	return x;
}

static void bit_r(struct soft_cpu *c, const struct insn *i)
{
	uint64_t n = i->reg == REG_NONE ? i->imm : reg_get(c, i->reg, i->width);
	uint64_t x = bit(c, i, reg_get(c, i->rm, i->width), n);
	if (i->sub != BT)
		reg_set(c, i->rm, i->width, x);
}

uint64_t bit_address(struct soft_cpu *c, const struct insn *i, uint64_t *n, bool write)
{
	unsigned w = i->width, up = 64 - w * 8;
	if (i->reg == REG_NONE) {
		*n = i->imm;
		return mem_addr(c, i, w, write);
	}
	*n = reg_get(c, i->reg, w);
	int64_t elements = ((int64_t)(*n << up) >> up) >> (width_index(w) + 3);
	uint64_t ea = insn_ea(c, i) + (uint64_t)(elements * (int64_t)w);
	ea &= width_mask(i->asize);
	return seg_linear(c, i->seg, ea, w, write);
}

static void bit_m(struct soft_cpu *c, const struct insn *i)
{
	uint64_t n, lin = bit_address(c, i, &n, i->sub != BT);
	if (i->sub == BT) {
		bit(c, i, mem_load(c, lin, i->width), n);
		return;
	}
	void *p = mem_rmw(c, lin, i->width);
	if (likely(p)) {
		raw_store(p, i->width, bit(c, i, raw_load(p, i->width), n));
		return;
	}
	uint64_t a = ld(c, lin, i->width);
	st(c, lin, i->width, bit(c, i, a, n));
}

static bool bind_bit(struct insn *i, const struct insn_source *src, unsigned op)
{
	static const uint8_t locked[] = { [BTS] = ATOMIC_BTS, [BTR] = ATOMIC_BTR, [BTC] = ATOMIC_BTC };
	if (i->flags & INSN_LOCK)
		return op != BT && atomic_bind(i, src, locked[op]);
	enum form f = form_of(i, src);
	if (f == FORM_RI || f == FORM_MI)
		i->reg = REG_NONE;
	i->sub = (uint8_t)op;
	i->fn = f == FORM_RR || f == FORM_RI ? bit_r : bit_m;
	return true;
}

/* ---- scans ---- */
static void scan(struct soft_cpu *c, const struct insn *i)
{
	uint64_t a = i->rm != REG_NONE ? reg_get(c, i->rm, i->width) :
	                                 mem_load(c, mem_addr(c, i, i->width, false), i->width);
	uint64_t x = c->s.gpr[i->reg]; /* a source of zero leaves it, to the extent that the host says */
	uint32_t ax = flags_to_ax(c);
#define SCAN(name, k) asm(ASM_FLAGS_IN name " %" k "2, %" k "0" ASM_FLAGS_OUT : "+r"(x), "+&a"(ax) : "r"(a) : "cc")
	switch (i->width << 1 | i->sub) {
	case 4: SCAN("bsfw", "w"); break;
	case 5: SCAN("bsrw", "w"); break;
	case 8: SCAN("bsfl", "k"); break;
	case 9: SCAN("bsrl", "k"); break;
	case 16: SCAN("bsfq", "q"); break;
	default: SCAN("bsrq", "q"); break;
	}
#undef SCAN
	c->s.gpr[i->reg] = x;
	flags_from_ax(c, ax);
}

static bool bind_scan(struct insn *i, const struct insn_source *src, unsigned reverse)
{
	i->width = (uint8_t)(src->op[0].size / 8);
	i->sub = (uint8_t)reverse;
	i->fn = scan;
	return true;
}

/* ---- conditions ---- */
#define CONDITIONS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#define DEFINE_SET(cc) \
	static void setcc_##cc(struct soft_cpu *c, const struct insn *i) \
	{ \
		reg_set(c, i->rm, 1, cond_true(c->s.rflags, cc)); \
	}
CONDITIONS(DEFINE_SET)

static void setcc_mem(struct soft_cpu *c, const struct insn *i)
{
	mem_store(c, mem_addr(c, i, 1, true), 1, cond_true(c->s.rflags, i->sub));
}

static bool bind_set(struct insn *i, const struct insn_source *src, unsigned cc)
{
#define ROW(cc) setcc_##cc,
	static const insn_fn table[] = { CONDITIONS(ROW) };
	i->sub = (uint8_t)cc;
	i->fn = form_unary_is_mem(i, src) ? setcc_mem : table[cc];
	return true;
}

#define DEFINE_CMOV(cc) \
	static void cmov_##cc(struct soft_cpu *c, const struct insn *i) \
	{ \
		uint64_t *d = &c->s.gpr[i->rm], a = c->s.gpr[i->reg]; \
		bool t = cond_true(c->s.rflags, cc); \
		if (i->width == 8) \
			*d = t ? a : *d; \
		else \
			*d = (uint32_t)(t ? a : *d); \
	}
CONDITIONS(DEFINE_CMOV)

static void cmov_any(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t a = i->flags & INSN_MEM ? mem_load(c, mem_addr(c, i, w, false), w) : reg_get(c, i->reg, w);
	reg_set(c, i->rm, w, cond_true(c->s.rflags, i->sub) ? a : reg_get(c, i->rm, w));
}

static bool bind_cmov(struct insn *i, const struct insn_source *src, unsigned cc)
{
#define ROW_CMOV(cc) cmov_##cc,
	static const insn_fn table[] = { CONDITIONS(ROW_CMOV) };
	enum form f = form_of(i, src);
	i->sub = (uint8_t)cc;
	i->fn = f == FORM_RR && i->width >= 4 ? table[cc] : cmov_any;
	return true;
}

const struct insn_row insn_bit[] = {
	{ ZYDIS_MNEMONIC_BT, BT, bind_bit },       { ZYDIS_MNEMONIC_BTS, BTS, bind_bit },
	{ ZYDIS_MNEMONIC_BTR, BTR, bind_bit },     { ZYDIS_MNEMONIC_BTC, BTC, bind_bit },
	{ ZYDIS_MNEMONIC_BSF, 0, bind_scan },      { ZYDIS_MNEMONIC_BSR, 1, bind_scan },
	{ ZYDIS_MNEMONIC_SETO, 0, bind_set },      { ZYDIS_MNEMONIC_SETNO, 1, bind_set },
	{ ZYDIS_MNEMONIC_SETB, 2, bind_set },      { ZYDIS_MNEMONIC_SETNB, 3, bind_set },
	{ ZYDIS_MNEMONIC_SETZ, 4, bind_set },      { ZYDIS_MNEMONIC_SETNZ, 5, bind_set },
	{ ZYDIS_MNEMONIC_SETBE, 6, bind_set },     { ZYDIS_MNEMONIC_SETNBE, 7, bind_set },
	{ ZYDIS_MNEMONIC_SETS, 8, bind_set },      { ZYDIS_MNEMONIC_SETNS, 9, bind_set },
	{ ZYDIS_MNEMONIC_SETP, 10, bind_set },     { ZYDIS_MNEMONIC_SETNP, 11, bind_set },
	{ ZYDIS_MNEMONIC_SETL, 12, bind_set },     { ZYDIS_MNEMONIC_SETNL, 13, bind_set },
	{ ZYDIS_MNEMONIC_SETLE, 14, bind_set },    { ZYDIS_MNEMONIC_SETNLE, 15, bind_set },
	{ ZYDIS_MNEMONIC_CMOVO, 0, bind_cmov },    { ZYDIS_MNEMONIC_CMOVNO, 1, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVB, 2, bind_cmov },    { ZYDIS_MNEMONIC_CMOVNB, 3, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVZ, 4, bind_cmov },    { ZYDIS_MNEMONIC_CMOVNZ, 5, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVBE, 6, bind_cmov },   { ZYDIS_MNEMONIC_CMOVNBE, 7, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVS, 8, bind_cmov },    { ZYDIS_MNEMONIC_CMOVNS, 9, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVP, 10, bind_cmov },   { ZYDIS_MNEMONIC_CMOVNP, 11, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVL, 12, bind_cmov },   { ZYDIS_MNEMONIC_CMOVNL, 13, bind_cmov },
	{ ZYDIS_MNEMONIC_CMOVLE, 14, bind_cmov },  { ZYDIS_MNEMONIC_CMOVNLE, 15, bind_cmov },
	{ 0 },
};
