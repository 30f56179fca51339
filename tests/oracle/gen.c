/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes cases: random bytes that decode to an instruction a case may run, and a state in which it has a good chance
 * to do something (its memory operand mostly lands in the data window, its divisor mostly fits).
 */
#include "oracle.h"
#include "filter.h"
#include "rng.h"
#include <stdlib.h>
#include <string.h>

enum { TRIES = 20000, INSN_BYTES = 15, BUFFER = 24 };

struct gen {
	struct rng r;
	struct ora_case *c;
	uint64_t target; /* where the explicit memory operand of the instruction under way was aimed */
	uint32_t pinned; /* general registers whose value an instruction of the case depends on */
};

struct decoded {
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(const struct ora_case *c, const uint8_t *bytes, unsigned len, struct decoded *d)
{
	ZydisDecoder z;
	if (c->code16)
		ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	else if (c->mode32)
		ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderEnableMode(&z, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(&z, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&z, bytes, len, &d->zi, d->op)))
		return false;
	/* Zydis 4.0 takes R13 for the base when there is none and REX.B is set. */
	if (d->zi.attributes & ZYDIS_ATTRIB_HAS_SIB && d->zi.raw.modrm.mod == 0 && d->zi.raw.sib.base == 5)
		for (unsigned n = 0; n < d->zi.operand_count; n++)
			if (d->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && d->op[n].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
				d->op[n].mem.base = ZYDIS_REGISTER_NONE;
				d->op[n].mem.disp.value = d->zi.raw.disp.value;
			}
	return true;
}

/* ---- bytes ---- */

static unsigned put_prefixes(struct rng *r, bool mode32, unsigned group, uint8_t *to)
{
	static const uint8_t all[] = { 0x66, 0x66, 0x67, 0xf2, 0xf3, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26 };
	unsigned n = 0;
	if (rng_percent(r, 35))
		for (unsigned k = 1 + rng_below(r, 2); k--;)
			to[n++] = all[rng_below(r, sizeof(all))];
	else if (rng_percent(r, 1)) /* up to, and over, what an instruction may have */
		for (unsigned k = 3 + rng_below(r, 7); k--;)
			to[n++] = all[rng_below(r, sizeof(all))];
	if (rng_percent(r, group == ORA_LOCK ? 100 : 4))
		to[n++] = 0xf0;
	if (!mode32 && rng_percent(r, 45))
		to[n++] = 0x40 | rng_below(r, 16);
	return n;
}

static unsigned put_vex(struct rng *r, bool mode32, uint8_t *to)
{
	uint8_t v = rng_percent(r, 30) ? 15 : rng_below(r, 16), pp = rng_below(r, 4), l = rng_below(r, 2);
	uint8_t r_not = mode32 ? 1 : rng_below(r, 2), x_not = mode32 ? 1 : rng_below(r, 2),
		b_not = mode32 ? 1 : rng_below(r, 2);
	if (mode32)
		v |= 8; /* vvvv bit 3 clear is LES/LDS space only for C5; keep to registers that exist */
	if (rng_percent(r, 35)) {
		to[0] = 0xc5;
		to[1] = r_not << 7 | v << 3 | l << 2 | pp;
		to[2] = rng_next(r);
		return 3;
	}
	to[0] = 0xc4;
	to[1] = r_not << 7 | x_not << 6 | b_not << 5 | (1 + rng_below(r, 3));
	to[2] = rng_percent(r, 50) << 7 | v << 3 | l << 2 | pp;
	to[3] = rng_next(r);
	return 4;
}

static unsigned put_mandatory(struct rng *r, uint8_t *to, unsigned n)
{
	static const uint8_t m[] = { 0x66, 0xf2, 0xf3, 0x66 };
	/* Goes before REX, which is the last byte when there is one. */
	if (!rng_percent(r, 50))
		return n;
	if (n && (to[n - 1] & 0xf0) == 0x40) {
		to[n] = to[n - 1];
		to[n - 1] = m[rng_below(r, 4)];
	} else {
		to[n] = m[rng_below(r, 4)];
	}
	return n + 1;
}

/* How often each group is asked for, and the opcode maps where it is looked for: 0 one-byte, 1 0F, 2 0F38, 3 0F3A,
 * 4 VEX, 5 D8-DF. */
static const struct { uint8_t weight, maps[6]; } group_plan[ORA_GROUP_COUNT] = {
	[ORA_INT] = { 24, { 0, 0, 0, 1, 1, 2 } },
	[ORA_LOCK] = { 7, { 0, 0, 0, 1, 1, 1 } },
	[ORA_BRANCH] = { 8, { 0, 0, 0, 0, 1, 1 } },
	[ORA_STACK] = { 6, { 0, 0, 0, 0, 0, 1 } },
	[ORA_STRING] = { 8, { 0, 0, 0, 0, 0, 0 } },
	[ORA_SYS] = { 4, { 0, 0, 1, 1, 1, 1 } },
	[ORA_SEG] = { 4, { 0, 0, 0, 1, 1, 1 } },
	[ORA_BMI] = { 6, { 1, 2, 2, 4, 4, 4 } },
	[ORA_MMX] = { 6, { 1, 1, 1, 1, 1, 2 } },
	[ORA_SSE] = { 14, { 1, 1, 1, 2, 2, 3 } },
	[ORA_AVX] = { 16, { 4, 4, 4, 4, 4, 4 } },
	[ORA_CRYPTO] = { 3, { 2, 2, 3, 4, 4, 4 } },
	[ORA_X87] = { 12, { 5, 5, 5, 5, 5, 5 } },
	[ORA_FPSTATE] = { 4, { 1, 1, 1, 1, 1, 4 } },
	[ORA_INVALID] = { 2, { 0, 1, 2, 3, 4, 5 } },
};

static unsigned pick_group(struct rng *r, uint32_t groups)
{
	unsigned total = 0, n;
	for (n = 0; n < ORA_GROUP_COUNT; n++)
		total += groups >> n & 1 ? group_plan[n].weight : 0;
	unsigned at = rng_below(r, total);
	for (n = 0; n < ORA_GROUP_COUNT; n++) {
		unsigned weight = groups >> n & 1 ? group_plan[n].weight : 0;
		if (at < weight)
			break;
		at -= weight;
	}
	return n;
}

/* Fills all 15 bytes, of which the decoder takes as many as it likes. */
static void random_bytes(struct rng *r, bool mode32, unsigned group, uint8_t *to)
{
	unsigned map = group_plan[group].maps[rng_below(r, 6)], n;
	if (map == 4) {
		n = 0;
		if (rng_percent(r, 10))
			to[n++] = (uint8_t[]){ 0x67, 0x64, 0x65, 0x3e, 0x2e }[rng_below(r, 5)];
		n += put_vex(r, mode32, to + n);
	} else {
		n = put_prefixes(r, mode32, group, to);
		if (map >= 1 && map <= 3)
			n = put_mandatory(r, to, n);
		if (map >= 1 && map <= 3)
			to[n++] = 0x0f;
		if (map == 2)
			to[n++] = 0x38;
		if (map == 3)
			to[n++] = 0x3a;
		to[n++] = map == 5 ? 0xd8 + rng_below(r, 8) : group == ORA_FPSTATE ? rng_percent(r, 20) ? 0xc7 : 0xae : rng_next(r);
	}
	to[n] = rng_next(r);
	if (rng_percent(r, 30))
		to[n] |= 0xc0;
	for (n++; n < INSN_BYTES; n++)
		to[n] = rng_percent(r, 20) ? 0x7f + rng_below(r, 3) : rng_next(r);
}

/* ---- registers ---- */

static int gpr_number(ZydisRegister reg)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return wide >= ZYDIS_REGISTER_RAX && wide <= ZYDIS_REGISTER_R15 ? (int)(wide - ZYDIS_REGISTER_RAX) : -1;
}

static uint64_t gpr_mask(const struct gen *g)
{
	return g->c->mode32 ? UINT32_MAX : UINT64_MAX;
}

/* False when another instruction of the case already counts on the register. */
static bool set_gpr(struct gen *g, unsigned reg, uint64_t value)
{
	if (g->pinned & 1u << reg)
		return false;
	g->pinned |= 1u << reg;
	g->c->in.gpr[reg] = value & gpr_mask(g);
	return true;
}

/* An address for an operand of some bytes. */
static uint64_t pick_address(struct gen *g, unsigned size)
{
	struct rng *r = &g->r;
	unsigned n = rng_below(r, 100);
	if (size > ORA_PAGE)
		size = 64;
	if (g->c->smc && rng_percent(r, 30))
		return ORA_SMC_AT + g->c->code_off + rng_below(r, 32);
	if (n < 55)
		return ORA_DATA_AT + 64 * (uint64_t)rng_below(r, ORA_DATA_SIZE / 64);
	if (n < 72)
		return ORA_DATA_AT + rng_below(r, ORA_DATA_SIZE - 64);
	if (n < 82)
		return ORA_DATA_AT + ORA_PAGE - rng_below(r, size + 1);
	if (n < 87)
		return ORA_RO_AT - rng_below(r, size + 1);
	if (n < 90)
		return ORA_RO_AT + 16 * (uint64_t)rng_below(r, ORA_PAGE / 16);
	if (n < 93)
		return ORA_RO_AT + ORA_PAGE - rng_below(r, size + 1);
	if (n < 95)
		return ORA_DATA_AT - rng_below(r, size + 1);
	if (n < 97)
		return ORA_CODE_AT + rng_below(r, ORA_CODE_SIZE);
	if (n < 98)
		return UINT64_C(0x7fffffffffff) - rng_below(r, size);
	return value_int(r);
}

static void plant(struct gen *g, uint64_t at, unsigned width, uint64_t value)
{
	struct ora_case *c = g->c;
	if (at < ORA_DATA_AT || at + width > ORA_RO_AT || c->plant_count == ORA_PLANT_MAX)
		return;
	c->plant[c->plant_count++] = (struct ora_plant){ .off = (uint16_t)(at - ORA_DATA_AT), .width = width, .value = value };
}

/* Somewhere in the code window but not inside the case's own bytes. */
static uint64_t pick_target(struct gen *g)
{
	uint64_t base = ora_window(g->c);
	unsigned off = rng_below(&g->r, ORA_CODE_SIZE);
	if (off + 2 * ORA_CODE_MAX > g->c->code_off && off < g->c->code_off + ORA_CODE_MAX)
		off = (off + 4 * ORA_CODE_MAX) % ORA_CODE_SIZE;
	return rng_percent(&g->r, 92) ? base + off - ora_seg_base(g->c->in.sel[X86_CS]) : value_int(&g->r);
}

/* ---- memory operands ---- */

static void patch(uint8_t *insn, unsigned off, unsigned bits, uint64_t value)
{
	memcpy(insn + off, &value, bits / 8);
}

static uint64_t inverse(uint64_t odd)
{
	uint64_t x = odd;
	for (unsigned n = 0; n < 6; n++)
		x *= 2 - odd * x;
	return x;
}

/* Chooses the segment base when the operand goes through FS or GS; returns the effective address that is wanted. */
static uint64_t want_offset(struct gen *g, const struct decoded *d, const ZydisDecodedOperandMem *m, uint64_t target)
{
	uint64_t *base = m->segment == ZYDIS_REGISTER_FS ? &g->c->in.fs_base
	                 : m->segment == ZYDIS_REGISTER_GS ? &g->c->in.gs_base : NULL;
	/* Which one by number: ES to GS are in encoding order in both lists. */
	unsigned seg = m->segment >= ZYDIS_REGISTER_ES && m->segment <= ZYDIS_REGISTER_GS
			       ? m->segment - ZYDIS_REGISTER_ES
			       : X86_DS;
	if (!base || ora_ldt_of(g->c->in.sel[seg]))
		return target - ora_seg_base(g->c->in.sel[seg]);
	bool narrow = d->zi.address_width < 64 || g->c->mode32;
	if (rng_percent(&g->r, 60) || d->zi.address_width == 16)
		*base = narrow ? target - rng_below(&g->r, 0x8000) : target - (uint64_t)((int64_t)rng_next(&g->r) >> 40);
	if (*base >> 47 && *base >> 47 != 0x1ffff)
		*base = 0;
	return target - *base;
}

/* Makes base + index * scale + disp the offset wanted, if registers and displacement allow. */
static void aim(struct gen *g, const struct decoded *d, const ZydisDecodedOperandMem *m, uint64_t want, uint8_t *insn,
                uint64_t insn_at)
{
	struct ora_case *c = g->c;
	unsigned disp_at = d->zi.raw.disp.offset, disp_bits = d->zi.raw.disp.size;
	int base = m->base == ZYDIS_REGISTER_NONE ? -1 : gpr_number(m->base);
	int index = m->index == ZYDIS_REGISTER_NONE ? -1 : gpr_number(m->index);
	uint64_t disp = (uint64_t)m->disp.value, amask = d->zi.address_width == 64 ? UINT64_MAX : UINT32_MAX;
	if (d->zi.address_width == 16)
		amask = 0xffff;
	if (m->base == ZYDIS_REGISTER_RIP || m->base == ZYDIS_REGISTER_EIP) {
		patch(insn, disp_at, 32, want - (insn_at + d->zi.length));
	} else if (base < 0 && index < 0) {
		if (disp_bits)
			patch(insn, disp_at, disp_bits, want);
	} else if (base < 0) {
		set_gpr(g, index, rng_percent(&g->r, 80) ? rng_below(&g->r, 64) : value_int(&g->r));
		if (disp_bits == 32)
			patch(insn, disp_at, 32, want - c->in.gpr[index] * m->scale);
	} else if (index == base) {
		uint64_t factor = 1 + m->scale;
		if (factor & 1)
			set_gpr(g, base, (want - disp) * inverse(factor) & amask);
		else
			set_gpr(g, base, (want - disp) / 2 & amask);
	} else {
		uint64_t part = 0;
		if (index >= 0) {
			set_gpr(g, index, rng_percent(&g->r, 50) ? rng_below(&g->r, 64) : value_int(&g->r));
			part = c->in.gpr[index] * m->scale;
		}
		uint64_t value = want - disp - part;
		/* Bits above the address size are ignored by the address. */
		if (amask != UINT64_MAX && rng_percent(&g->r, 80))
			value &= amask;
		if (amask != UINT64_MAX && rng_percent(&g->r, 50))
			value |= rng_next(&g->r) & ~amask;
		set_gpr(g, base, value);
	}
}

/* Gather: the elements of the index register stay near. */
static void tame_vector_index(struct gen *g, const struct decoded *d, const ZydisDecodedOperandMem *m)
{
	unsigned n = m->index >= ZYDIS_REGISTER_YMM0 ? m->index - ZYDIS_REGISTER_YMM0 : m->index - ZYDIS_REGISTER_XMM0;
	bool wide = d->zi.mnemonic == ZYDIS_MNEMONIC_VGATHERQPD || d->zi.mnemonic == ZYDIS_MNEMONIC_VGATHERQPS ||
	            d->zi.mnemonic == ZYDIS_MNEMONIC_VPGATHERQD || d->zi.mnemonic == ZYDIS_MNEMONIC_VPGATHERQQ;
	uint8_t v[32];
	for (unsigned k = 0; k < 32; k += wide ? 8 : 4) {
		int64_t e = (int64_t)rng_below(&g->r, 96) - 16;
		if (rng_percent(&g->r, 3))
			e = (int64_t)value_int(&g->r);
		memcpy(v + k, &e, wide ? 8 : 4);
	}
	memcpy(g->c->in.fpu.fx + 160 + 16 * (n & 15), v, 16);
	memcpy(g->c->in.fpu.ymmh[n & 15], v + 16, 16);
}

static void aim_memory(struct gen *g, const struct decoded *d, uint8_t *insn, uint64_t insn_at)
{
	for (unsigned n = 0; n < d->zi.operand_count; n++) {
		const ZydisDecodedOperand *op = &d->op[n];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		uint64_t target = pick_address(g, op->size / 8);
		if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			g->target = target;
		uint64_t want = want_offset(g, d, &op->mem, target);
		if (op->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
			ZydisDecodedOperandMem m = op->mem;
			tame_vector_index(g, d, &m);
			m.index = ZYDIS_REGISTER_NONE;
			aim(g, d, &m, want, insn, insn_at);
		} else if (op->mem.base == ZYDIS_REGISTER_RBX && d->zi.mnemonic == ZYDIS_MNEMONIC_XLAT) {
			set_gpr(g, X86_RBX, want - rng_below(&g->r, 256));
		} else {
			aim(g, d, &op->mem, want, insn, insn_at);
		}
		if (d->zi.meta.category == ZYDIS_CATEGORY_UNCOND_BR || d->zi.meta.category == ZYDIS_CATEGORY_CALL ||
		    d->zi.meta.category == ZYDIS_CATEGORY_RET)
			plant(g, target, d->zi.operand_width / 8, pick_target(g));
	}
}

/* ---- what some instructions need to do more than fault ---- */

static void help_divide(struct gen *g, const struct decoded *d)
{
	if (rng_percent(&g->r, 25))
		return;
	bool negative = d->zi.mnemonic == ZYDIS_MNEMONIC_IDIV && rng_percent(&g->r, 40);
	set_gpr(g, X86_RDX, negative ? UINT64_MAX : rng_below(&g->r, 2));
	if (d->zi.operand_width == 8)
		set_gpr(g, X86_RAX, negative ? (uint64_t)-(int64_t)rng_below(&g->r, 4000) : rng_below(&g->r, 4000));
}

static void help_string(struct gen *g, const struct decoded *d)
{
	static const uint8_t small[] = { 0, 1, 2, 3, 4, 7, 8, 16, 31, 64, 200, 255 };
	bool rep = d->zi.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	uint64_t high = d->zi.address_width < 64 && rng_percent(&g->r, 30) ? rng_next(&g->r) << 32 : 0;
	set_gpr(g, X86_RSI, (pick_address(g, 64) - ora_seg_base(g->c->in.sel[X86_DS])) | high);
	if (rng_percent(&g->r, 25)) /* overlapping */
		set_gpr(g, X86_RDI, g->c->in.gpr[X86_RSI] + rng_below(&g->r, 40) - 20);
	set_gpr(g, X86_RDI, (pick_address(g, 64) - ora_seg_base(g->c->in.sel[X86_ES])) | high);
	if (rep)
		set_gpr(g, X86_RCX, rng_percent(&g->r, 88) ? small[rng_below(&g->r, sizeof(small))] : value_int(&g->r));
}

static void help_branch(struct gen *g, const struct decoded *d, uint8_t *insn, uint64_t insn_at)
{
	const ZydisDecodedOperand *op = &d->op[0];
	const struct ZydisDecodedInstructionRawImm_ *imm = &d->zi.raw.imm[0];
	if (imm->is_relative && imm->size) {
		uint64_t next = insn_at + d->zi.length, disp = pick_target(g) - next;
		if (imm->size == 8)
			disp = rng_percent(&g->r, 50) ? rng_below(&g->r, 128) : UINT64_C(0) - 32 - rng_below(&g->r, 96);
		patch(insn, imm->offset, imm->size, disp);
	} else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_number(op->reg.value) >= 0) {
		set_gpr(g, gpr_number(op->reg.value), pick_target(g));
	}
	if (rng_percent(&g->r, 70))
		set_gpr(g, X86_RCX, rng_below(&g->r, 3));
}

/* Its linear address. */
static uint64_t stack_top(const struct gen *g)
{
	return g->c->in.gpr[X86_RSP] + ora_seg_base(g->c->in.sel[X86_SS]);
}

static void help_stack(struct gen *g, const struct decoded *d)
{
	uint64_t sp = pick_address(g, 8);
	if (rng_percent(&g->r, 50))
		sp &= ~UINT64_C(7);
	set_gpr(g, X86_RSP, sp - ora_seg_base(g->c->in.sel[X86_SS]));
	if (d->zi.mnemonic == ZYDIS_MNEMONIC_LEAVE || d->zi.mnemonic == ZYDIS_MNEMONIC_ENTER)
		set_gpr(g, X86_RBP, pick_address(g, 8) - ora_seg_base(g->c->in.sel[X86_SS]));
	if (d->zi.meta.category == ZYDIS_CATEGORY_RET)
		plant(g, stack_top(g), d->zi.operand_width / 8, pick_target(g));
	if (d->zi.mnemonic == ZYDIS_MNEMONIC_POPF || d->zi.mnemonic == ZYDIS_MNEMONIC_POPFD ||
	    d->zi.mnemonic == ZYDIS_MNEMONIC_POPFQ)
		plant(g, stack_top(g), d->zi.operand_width / 8,
		      value_int(&g->r) & (rng_percent(&g->r, 80) ? ~(uint64_t)X86_FLAG_TF : UINT64_MAX));
}

static bool uses_stack(const struct decoded *d)
{
	for (unsigned n = 0; n < d->zi.operand_count; n++)
		if (d->op[n].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && d->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    gpr_number(d->op[n].reg.value) == X86_RSP)
			return true;
	return false;
}

/* A control word or an image that a load instruction accepts more often than random bytes. */
static void help_load(struct gen *g, const struct decoded *d)
{
	struct rng *r = &g->r;
	switch (d->zi.mnemonic) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR: plant(g, g->target, 4, rng_next(r) & (rng_percent(r, 90) ? 0xffff : 0x1ffff)); break;
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		plant(g, g->target + 24, 4, rng_next(r) & 0xffff);
		plant(g, g->target + 512, 8, rng_percent(r, 95) ? rng_below(r, 8) : value_int(r) | 1ull << 62); /* no host has that */
		for (unsigned n = 1; n < 8; n++)
			plant(g, g->target + 512 + 8 * n, 8, rng_percent(r, 99) ? 0 : value_int(r));
		if (rng_percent(r, 25)) /* compacted */
			plant(g, g->target + 520, 8, UINT64_C(1) << 63 | 7);
		break;
	case ZYDIS_MNEMONIC_FXRSTOR64: plant(g, g->target + 24, 4, rng_next(r) & 0xffff); break;
	default: break;
	}
}

static uint16_t pick_selector(struct gen *g)
{
	static const uint16_t useful[] = {0,    3,    0x10, 0x18, 0x1b, 0x23, 0x23, 0x23, 0x2b, 0x2b, 0x2b, 0x28,
					  0x29, 0x33, 0x33, 0x33, 0x30, 0x32, 0x3b, 0x63, 0x6b, 0x83, 0x2f};
	uint16_t random = (uint16_t)rng_next(&g->r);
	/* Not the system descriptors at 0x40 to 0x5f and the per-CPU one at 0x78: their contents are the kernel's. */
	if (!(random & 4) && random < 0x80 && random >= 0x40)
		random |= 4;
	if (rng_percent(&g->r, 30))
		return ORA_LDT_SEL(rng_below(&g->r, ORA_LDT_COUNT));
	return rng_percent(&g->r, 90) ? useful[rng_below(&g->r, COUNT_OF(useful))] : random;
}

static void help_segment(struct gen *g, const struct decoded *d, uint8_t *insn)
{
	unsigned width = d->zi.operand_width / 8;
	uint64_t sp = stack_top(g);
	bool from_stack = uses_stack(d) && d->zi.meta.category != ZYDIS_CATEGORY_CALL;
	for (unsigned n = 0; n < d->zi.operand_count_visible; n++)
		if (d->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_number(d->op[n].reg.value) >= 0)
			set_gpr(g, gpr_number(d->op[n].reg.value), pick_selector(g) | (rng_next(&g->r) & ~UINT64_C(0xffff)));
	if (d->op[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
		patch(insn, d->zi.raw.imm[0].offset, d->zi.raw.imm[0].size, pick_target(g));
		patch(insn, d->zi.raw.imm[1].offset, 16, pick_selector(g));
	} else if (from_stack) {
		bool pop = d->zi.meta.category == ZYDIS_CATEGORY_POP;
		if (!pop)
			plant(g, sp, width, pick_target(g));
		plant(g, sp + (pop ? 0 : width), 2, pick_selector(g));
		plant(g, sp + 2 * width, width, (rng_next(&g->r) & 0xced5) | 2);
		plant(g, sp + 3 * width, width, pick_address(g, 8));
		plant(g, sp + 4 * width, 2, pick_selector(g));
	} else if (d->zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || d->zi.meta.category == ZYDIS_CATEGORY_SEGOP) {
		plant(g, g->target, width, pick_target(g));
		plant(g, g->target + width, 2, pick_selector(g));
	} else {
		plant(g, g->target, 2, pick_selector(g));
	}
}

static void help(struct gen *g, const struct decoded *d, uint8_t *insn, uint64_t insn_at)
{
	switch (d->zi.meta.category) {
	case ZYDIS_CATEGORY_STRINGOP:
	case ZYDIS_CATEGORY_IOSTRINGOP: help_string(g, d); break;
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_CALL: help_branch(g, d, insn, insn_at); break;
	default: break;
	}
	if (d->zi.mnemonic == ZYDIS_MNEMONIC_DIV || d->zi.mnemonic == ZYDIS_MNEMONIC_IDIV)
		help_divide(g, d);
	if (d->zi.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || d->zi.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	    d->zi.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU)
		set_gpr(g, X86_RDI, pick_address(g, 16));
	if (d->zi.meta.category == ZYDIS_CATEGORY_XSAVE || d->zi.meta.category == ZYDIS_CATEGORY_XSAVEOPT) {
		/* Components that both sides have: what else XCR0 holds differs. */
		set_gpr(g, X86_RAX, rng_percent(&g->r, 60) ? 7 : rng_below(&g->r, 8));
		set_gpr(g, X86_RDX, 0);
	}
	if (uses_stack(d))
		help_stack(g, d);
	aim_memory(g, d, insn, insn_at);
	help_load(g, d);
	if (filter_group(&d->zi, d->op) == ORA_SEG)
		help_segment(g, d, insn);
}

/* ---- the whole case ---- */

static void random_x87(struct rng *r, struct ora_state *s)
{
	uint16_t fcw = 0x037f, fsw = 0;
	uint8_t *fx = s->fpu.fx;
	if (rng_percent(r, 50))
		fcw = 0x40 | (rng_next(r) & 0x0f00) | 0x3f;
	if (rng_percent(r, 12))
		fcw = (fcw & ~0x3f) | (rng_next(r) & 0x3f);
	fsw = (uint16_t)(rng_below(r, 8) << 11 | (rng_next(r) & 0x4700));
	if (rng_percent(r, 30))
		fsw |= rng_next(r) & 0x7f;
	/* ES and B sum up what is pending; rarely let something be pending. */
	if (rng_percent(r, 90))
		fsw &= ~(~fcw & 0x3f);
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	fx[4] = rng_percent(r, 60) ? 0xff : (uint8_t)rng_next(r);
	if (rng_percent(r, 20))
		fx[4] = 0;
	memcpy(fx, &fcw, 2);
	memcpy(fx + 2, &fsw, 2);
	for (unsigned n = 0; n < 8; n++)
		value_x87(r, fx + 32 + 16 * n);
}

static void random_state(struct gen *g)
{
	struct ora_state *s = &g->c->in;
	struct rng *r = &g->r;
	uint32_t mxcsr = 0x1f80;
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		s->gpr[n] = value_int(r) & gpr_mask(g);
	s->gpr[X86_RSP] = ORA_DATA_AT + ORA_PAGE + 8 * rng_below(r, 64);
	if (g->c->mode32)
		memset(s->gpr + 8, 0, 8 * sizeof(s->gpr[0]));
	s->rflags = (rng_next(r) & X86_FLAG_ARITH) | X86_FLAG_ONE | X86_FLAG_IF;
	if (rng_percent(r, 20))
		s->rflags |= X86_FLAG_DF;
	if (rng_percent(r, 4))
		s->rflags |= X86_FLAG_AC;
	if (rng_percent(r, 2))
		s->rflags |= X86_FLAG_TF;
	if (rng_percent(r, 50))
		mxcsr |= rng_next(r) & 0xe07f;
	if (rng_percent(r, 10))
		mxcsr = rng_next(r) & 0xffff;
	random_x87(r, s);
	memcpy(s->fpu.fx + 24, &mxcsr, 4);
	for (unsigned n = 0; n < 16; n++) {
		value_vector(r, s->fpu.fx + 160 + 16 * n, 16);
		value_vector(r, s->fpu.ymmh[n], 16);
	}
}

/* Adds the instruction in bytes; false when it may not run or is not of the groups wanted. */
static bool add_insn(struct gen *g, const uint8_t *bytes, unsigned len, uint32_t groups)
{
	struct ora_case *c = g->c;
	struct decoded d;
	unsigned group = ORA_INVALID, mnemonic = 0;
	unsigned n = 0;
	if (decode(c, bytes, len, &d)) {
		if (!filter_allows(&d.zi, d.op, c->mode32))
			return false;
		group = filter_group(&d.zi, d.op);
		mnemonic = d.zi.mnemonic;
		n = d.zi.length;
	} else if (groups & 1u << ORA_INVALID && filter_allows_invalid(bytes)) {
		n = len < INSN_BYTES ? len : INSN_BYTES;
	}
	/* The mask of components must be ours: nothing may be before it in the case. */
	if (group == ORA_FPSTATE && c->insn_count &&
	    (d.zi.meta.category == ZYDIS_CATEGORY_XSAVE || d.zi.meta.category == ZYDIS_CATEGORY_XSAVEOPT))
		return false;
	if (!n || !(groups & 1u << group) || c->code_len + n > ORA_CODE_MAX - INSN_BYTES)
		return false;
	if (!c->insn_count) {
		c->group = group;
		c->mnemonic = mnemonic;
	}
	uint8_t *at = c->code + c->code_len;
	memcpy(at, bytes, n);
	if (group != ORA_INVALID)
		help(g, &d, at, c->in.rip + c->code_len);
	c->groups |= 1u << group;
	c->insn_mnemonic[c->insn_count] = mnemonic;
	c->insn_off[c->insn_count++] = (uint8_t)c->code_len;
	c->code_len += n;
	return true;
}

/* What may be loaded into a data segment register without a fault. */
static uint16_t data_selector(struct gen *g, bool stack)
{
	static const uint8_t data[] = {ORA_LDT_DATA16, ORA_LDT_DATA16, ORA_LDT_DATA32,    ORA_LDT_DOWN16,
				       ORA_LDT_DOWN32, ORA_LDT_ODD,    ORA_LDT_READ_ONLY, ORA_LDT_CODE16};
	if (rng_percent(&g->r, 15))
		return 0x2b;
	if (!stack && rng_percent(&g->r, 3))
		return 0;
	return ORA_LDT_SEL(data[rng_below(&g->r, COUNT_OF(data) - (stack ? 2 : 0))]);
}

static void random_segments(struct gen *g)
{
	struct ora_state *in = &g->c->in;
	for (unsigned n = 0; n < 6; n++)
		in->sel[n] = data_selector(g, n == X86_SS);
	in->sel[X86_CS] = ORA_LDT_SEL(g->c->code16             ? ORA_LDT_CODE16
				      : rng_percent(&g->r, 80) ? ORA_LDT_CODE32
							       : ORA_LDT_EXEC_ONLY);
	in->fs_base = ora_seg_base(in->sel[X86_FS]);
	in->gs_base = ora_seg_base(in->sel[X86_GS]);
	in->gpr[X86_RSP] -= ora_seg_base(in->sel[X86_SS]);
}

static void start_case(struct gen *g, uint64_t seed, const struct ora_wish *w)
{
	struct ora_case *c = g->c;
	memset(c, 0, sizeof(*c));
	g->r.s = seed;
	g->pinned = 0;
	c->seed = seed;
	c->data_seed = rng_next(&g->r);
	c->mode32 = rng_percent(&g->r, w->mode32_percent);
	c->smc = rng_percent(&g->r, w->smc_percent);
	c->code_off = rng_percent(&g->r, 85) ? 16 * (1 + rng_below(&g->r, 200)) : ORA_PAGE - rng_below(&g->r, 18);
	if (rng_percent(&g->r, 4))
		c->code_off = ORA_CODE_SIZE - 1 - rng_below(&g->r, 18);
	bool segmented = rng_percent(&g->r, w->segmented_percent);
	if (segmented) {
		c->mode32 = true;
		c->smc = false;
		c->code16 = rng_percent(&g->r, 60);
	}
	random_state(g);
	for (unsigned n = 0; n < 6; n++)
		c->in.sel[n] = n == X86_CS ? c->mode32 ? 0x23 : 0x33 : 0x2b;
	if (segmented)
		random_segments(g);
	c->in.rip = ora_window(c) + c->code_off - ora_seg_base(c->in.sel[X86_CS]);
}

void ora_generate(struct ora_case *c, uint64_t seed, const struct ora_wish *w)
{
	struct gen g = { .c = c };
	uint8_t bytes[BUFFER];
	start_case(&g, seed, w);
	if (c->smc && rng_percent(&g.r, 70)) {
		ora_smc_code(c, &g.r);
		return;
	}
	unsigned want = rng_percent(&g.r, w->sequence_percent) ? 2 + rng_below(&g.r, 5) : 1;
	while (want--) {
		unsigned group = pick_group(&g.r, w->groups), tries = TRIES;
		do
			random_bytes(&g.r, c->mode32, group, bytes);
		while (!add_insn(&g, bytes, INSN_BYTES, 1u << group) && --tries);
	}
}

void ora_generate_for(struct ora_case *c, uint64_t seed, const struct ora_wish *w, const uint8_t *code, unsigned len)
{
	struct gen g = { .c = c };
	struct decoded d;
	start_case(&g, seed, w);
	c->in.rip += 256 - c->code_off;
	c->code_off = 256;
	while (len && decode(c, code, len, &d) && add_insn(&g, code, d.zi.length, UINT32_MAX)) {
		code += d.zi.length;
		len -= d.zi.length;
	}
	if (len && c->code_len + len <= ORA_CODE_MAX) {
		memcpy(c->code + c->code_len, code, len);
		c->insn_off[c->insn_count++] = (uint8_t)c->code_len;
		c->code_len += len;
	}
}

bool ora_has(const struct ora_case *c, unsigned mnemonic)
{
	for (unsigned n = 0; n < c->insn_count; n++)
		if (c->insn_mnemonic[n] == mnemonic)
			return true;
	return false;
}

void ora_print_code(const struct ora_case *c, FILE *f)
{
	for (unsigned n = 0; n < c->insn_count; n++) {
		unsigned from = c->insn_off[n], to = n + 1 < c->insn_count ? c->insn_off[n + 1] : c->code_len;
		struct decoded d;
		char text[128] = "(not decodable)";
		ZydisFormatter fmt;
		ZydisFormatterInit(&fmt, ZYDIS_FORMATTER_STYLE_INTEL);
		if (decode(c, c->code + from, to - from, &d))
			ZydisFormatterFormatInstruction(&fmt, &d.zi, d.op, d.zi.operand_count_visible, text, sizeof(text),
			                                c->in.rip + from, NULL);
		fprintf(f, "  %llx: ", (unsigned long long)c->in.rip + from);
		for (unsigned k = from; k < to; k++)
			fprintf(f, "%02x", c->code[k]);
		fprintf(f, "  %s\n", text);
	}
}
