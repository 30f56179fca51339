/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that access only those elements of memory that a mask enables: MASKMOVQ, MASKMOVDQU, VMASKMOVPS/PD,
 * VPMASKMOVD/Q and the gathers. Sources: SDM 2B MASKMOV*, 2C VMASKMOV, VPMASKMOV, VGATHER*, VPGATHER*.
 */
#include "accel/soft/thunk_priv.h"
#include "base/bytes.h"

#include <string.h>

ALWAYS_INLINE uint8_t *vec(struct soft_cpu *c, unsigned n)
{
	return c->s.fpu.zmm[n];
}

/* A VEX instruction's destination: all bits above its length are zeroed. */
static void vec_set(struct soft_cpu *c, unsigned n, const uint8_t *v, unsigned len)
{
	memset(vec(c, n), 0, 64);
	memcpy(vec(c, n), v, len);
}

/* ---- MASKMOVQ, MASKMOVDQU: i->width bytes, to DS:rDI; the mask is bit 7 of each byte ---- */

static uint64_t wrap(const struct soft_cpu *c, uint64_t lin)
{
	return cpu_code64(c) ? lin : (uint32_t)lin;
}

static void store_masked_bytes(struct soft_cpu *c, const struct insn *i, const uint8_t *v, const uint8_t *mask)
{
	uint64_t ea = insn_ea(c, i), lin[2];

	/* The halves are two operands, the upper comes first; addresses wrap. All of it must be writable, whatever the mask
	 * (SDM 2B, MASKMOVQ: implementation-dependent). */
	if (cpu_code64(c) && i->width == 16)
		mmu_check_range(c, seg_linear(c, i->seg, ea, 16, true), 16);
	for (unsigned n = i->width / 8; n-- > 0;) {
		lin[n] = seg_linear(c, i->seg, (ea + 8 * n) & width_mask(i->asize), 8, true);
		mmu_check_align(c, lin[n], 8);
		probe_write(c, lin[n], 8);
	}
	for (unsigned n = 0; n < i->width; n++)
		if (mask[n] & 0x80)
			st8(c, wrap(c, lin[n / 8] + n % 8), v[n]);
}

static void fn_maskmovdqu(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_sse(c);
	store_masked_bytes(c, i, vec(c, i->reg), vec(c, i->rm));
}

static void fn_vmaskmovdqu(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_avx(c);
	store_masked_bytes(c, i, vec(c, i->reg), vec(c, i->rm));
}

static void fn_maskmovq(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_mmx(c);
	thunk_fpu_sync(c);
	thunk_mmx_enter(c); /* also when the store faults, as processors do */
	store_masked_bytes(c, i, c->s.fpu.st[i->reg], c->s.fpu.st[i->rm]);
}

/* ---- VMASKMOV, VPMASKMOV: i->width bytes in elements of i->scale2 (i->sub) bytes ---- */

static bool element_on(const uint8_t *mask, unsigned n, unsigned size)
{
	return mask[n * size + size - 1] & 0x80;
}

/* One element. Neither VMASKMOV nor the gathers check alignment (SDM 2C), so it is not read as a number would be. */
ALWAYS_INLINE void load_element(struct soft_cpu *c, const struct insn *i, uint64_t ea, unsigned size, uint8_t *to)
{
	uint64_t lin = seg_linear(c, i->seg, ea, size, false);
	const void *p = thunk_ram(c, lin, size, false);

	if (likely(p))
		memcpy(to, p, size);
	else
		ld_buf(c, lin, to, size);
}

static void probe_element(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	probe_write(c, lin, 1); /* single bytes are always aligned */
	if ((lin & 4095) + size > 4096)
		probe_write(c, (lin + size - 1) & ~UINT64_C(4095), 1);
}

/* Segment faults of any element come before page faults of the first. */
static void check_elements(struct soft_cpu *c, const struct insn *i, const uint8_t *mask, uint64_t ea, bool write)
{
	unsigned size = i->sub;

	for (unsigned n = 0; n < i->width / size; n++)
		if (element_on(mask, n, size))
			mmu_check_range(c, seg_linear(c, i->seg, wrap(c, ea + n * size), size, write), size);
}

static void fn_vmaskmov_load(struct soft_cpu *c, const struct insn *i)
{
	unsigned size = i->sub;
	const uint8_t *mask;
	uint8_t v[32] = { 0 };
	uint64_t ea;

	fpu_check_avx(c);
	mask = vec(c, i->reg2);
	ea = insn_ea(c, i);
	check_elements(c, i, mask, ea, false);
	for (unsigned n = 0; n < i->width / size; n++)
		if (element_on(mask, n, size))
			load_element(c, i, wrap(c, ea + n * size), size, v + n * size);
	vec_set(c, i->reg, v, i->width);
}

static void fn_vmaskmov_store(struct soft_cpu *c, const struct insn *i)
{
	unsigned size = i->sub, count = i->width / i->sub;
	const uint8_t *mask, *v;
	uint64_t ea, lin[8] = { 0 };

	fpu_check_avx(c);
	mask = vec(c, i->reg2);
	v = vec(c, i->reg);
	ea = insn_ea(c, i);
	check_elements(c, i, mask, ea, true);
	for (unsigned n = 0; n < count; n++)
		if (element_on(mask, n, size)) {
			lin[n] = seg_linear(c, i->seg, wrap(c, ea + n * size), size, true);
			probe_element(c, lin[n], size);
		}
	for (unsigned n = 0; n < count; n++)
		if (element_on(mask, n, size))
			st_buf(c, lin[n], v + n * size, size);
}

/* ---- gathers ---- */

/* i->aux: what the operand fields have no room for */
struct gather {
	uint8_t size;    /* of an element of data */
	uint8_t index;   /* of an element of the index */
	uint8_t count;   /* elements */
	uint8_t bytes;   /* the destination's length */
};

static const struct gather gathers[] = {
	{ 4, 4, 4, 16 }, { 4, 4, 8, 32 }, /* VPGATHERDD, VGATHERDPS: 128, 256 bits */
	{ 8, 4, 2, 16 }, { 8, 4, 4, 32 }, /* VPGATHERDQ, VGATHERDPD */
	{ 4, 8, 2, 8 },  { 4, 8, 4, 16 }, /* VPGATHERQD, VGATHERQPS */
	{ 8, 8, 2, 16 }, { 8, 8, 4, 32 }, /* VPGATHERQQ, VGATHERQPD */
};

/* The first thing that happens: each element of the mask becomes all ones or all zeroes. */
static void spread_mask(uint8_t *mask, const struct gather *g, unsigned len)
{
	for (unsigned n = 0; n < len / g->size; n++)
		memset(mask + n * g->size, element_on(mask, n, g->size) ? 0xff : 0, g->size);
	memset(mask + len, 0, 64 - len);
}

/* i->reg: destination; i->rm: index register; i->reg2: mask. The scale is i->sub, since i's own index is unused. */
static void fn_gather(struct soft_cpu *c, const struct insn *i)
{
	const struct gather *g = i->aux;
	unsigned length = g->count * (g->size > g->index ? g->size : g->index); /* of the vectors */
	uint8_t *dst, *mask;
	uint64_t base, cut = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? 0xffffffff : 0xffff;

	fpu_check_avx(c);
	dst = vec(c, i->reg);
	mask = vec(c, i->reg2);
	base = insn_ea(c, i);
	spread_mask(mask, g, length);
	/* Each element that was fetched is committed with its mask bit, so that a fault restarts at its own element. */
	for (unsigned n = 0; n < g->count; n++) {
		const uint8_t *at = vec(c, i->rm) + n * g->index;
		int64_t index = g->index == 4 ? (int32_t)load_le32(at) : (int64_t)load_le64(at);
		uint64_t ea = (base + (uint64_t)index * i->sub) & cut;

		if (!element_on(mask, n, g->size))
			continue;
		load_element(c, i, ea, g->size, dst + n * g->size);
		memset(mask + n * g->size, 0, g->size);
		memset(dst + length, 0, 64 - length);
	}
	memset(mask, 0, 64);
	memset(dst + g->bytes, 0, 64 - g->bytes);
}

static bool bind_gather(struct insn *i, const struct insn_source *src, const ZydisDecodedOperand *mem, unsigned first)
{
	const ZydisDecodedOperand *op = src->op;

	i->fn = fn_gather;
	i->aux = &gathers[first + (src->zi->avx.vector_length == 256)];
	i->reg = ZydisRegisterGetId(op[0].reg.value);
	i->rm = ZydisRegisterGetId(mem->mem.index);
	i->reg2 = ZydisRegisterGetId(op[2].reg.value);
	i->sub = mem->mem.scale ? mem->mem.scale : 1;
	i->index = REG_NONE;
	/* Two of the three the same: #UD. */
	return i->reg != i->rm && i->reg != i->reg2 && i->rm != i->reg2;
}

/* ---- binding ---- */

static bool bind_vmaskmov(struct insn *i, const struct insn_source *src, const ZydisDecodedOperand *mem, unsigned size)
{
	const ZydisDecodedOperand *op = src->op;
	bool store = mem == &op[0];

	i->fn = store ? fn_vmaskmov_store : fn_vmaskmov_load;
	i->sub = size;
	i->width = src->zi->avx.vector_length == 256 ? 32 : 16;
	i->reg = ZydisRegisterGetId(op[store ? 2 : 0].reg.value);
	i->reg2 = ZydisRegisterGetId(op[1].reg.value);
	return true;
}

/* The operand is DS:rDI, which the instruction does not name. */
static bool bind_maskmov(struct insn *i, const struct insn_source *src, const ZydisDecodedOperand *mem, insn_fn fn)
{
	const ZydisDecodedOperand *reg[2] = { NULL, NULL };
	unsigned count = 0;

	for (unsigned n = 0; n < src->zi->operand_count && count < 2; n++)
		if (src->op[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    src->op[n].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			reg[count++] = &src->op[n];
	if (count < 2)
		return false;
	i->fn = fn;
	i->width = fn == fn_maskmovq ? 8 : 16;
	i->base = X86_RDI;
	i->seg = mem->mem.segment == ZYDIS_REGISTER_ES   ? X86_ES :
		 mem->mem.segment == ZYDIS_REGISTER_CS ? X86_CS :
		 mem->mem.segment == ZYDIS_REGISTER_SS ? X86_SS :
		 mem->mem.segment == ZYDIS_REGISTER_FS ? X86_FS :
		 mem->mem.segment == ZYDIS_REGISTER_GS ? X86_GS :
							 X86_DS;
	i->fast = false;
	i->index = REG_NONE;
	i->disp = 0;
	i->flags |= INSN_MEM;
	switch (mem->mem.segment) {
	case ZYDIS_REGISTER_ES: i->seg = X86_ES; break;
	case ZYDIS_REGISTER_CS: i->seg = X86_CS; break;
	case ZYDIS_REGISTER_SS: i->seg = X86_SS; break;
	case ZYDIS_REGISTER_FS: i->seg = X86_FS; break;
	case ZYDIS_REGISTER_GS: i->seg = X86_GS; break;
	default: i->seg = X86_DS; break;
	}
	i->reg = ZydisRegisterGetId(reg[0]->reg.value);
	i->rm = ZydisRegisterGetId(reg[1]->reg.value);
	return true;
}

bool thunk_mask_bind(struct insn *i, const struct insn_source *src, bool *ok)
{
	const ZydisDecodedOperand *mem = thunk_mem_operand(src);

	if (!mem)
		return false;
	switch (src->zi->mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVQ: *ok = bind_maskmov(i, src, mem, fn_maskmovq); return true;
	case ZYDIS_MNEMONIC_MASKMOVDQU: *ok = bind_maskmov(i, src, mem, fn_maskmovdqu); return true;
	case ZYDIS_MNEMONIC_VMASKMOVDQU: *ok = bind_maskmov(i, src, mem, fn_vmaskmovdqu); return true;
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VPMASKMOVD: *ok = bind_vmaskmov(i, src, mem, 4); return true;
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ: *ok = bind_vmaskmov(i, src, mem, 8); return true;
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VGATHERDPS: *ok = bind_gather(i, src, mem, 0); return true;
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPD: *ok = bind_gather(i, src, mem, 2); return true;
	case ZYDIS_MNEMONIC_VPGATHERQD:
	case ZYDIS_MNEMONIC_VGATHERQPS: *ok = bind_gather(i, src, mem, 4); return true;
	case ZYDIS_MNEMONIC_VPGATHERQQ:
	case ZYDIS_MNEMONIC_VGATHERQPD: *ok = bind_gather(i, src, mem, 6); return true;
	default: return false;
	}
}
