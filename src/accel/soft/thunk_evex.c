/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AVX-512: runs EVEX and opmask instructions as host thunks. A memory operand under a mask is brought in, or taken
 * out, element by element, because masked-out elements must not fault (SDM 2A 2.7.5); gathers and scatters run in C.
 */
#include "accel/soft/thunk_priv.h"
#include "base/bytes.h"

#include <string.h>
#include <xmmintrin.h>

/* struct insn's sub for these, beside SUB_ALIGN */
enum {
	SUB_FULL = 1 << 2,   /* all of the operand is accessed, whatever the mask */
	SUB_PACKED = 1 << 3, /* compress, expand: as many elements as the mask has bits, one after the other */
	SUB_MXCSR = 1 << 4,
};

/* i->imm: what of memory the mask covers */
struct cover {
	uint8_t size;  /* bytes that one bit stands for */
	uint8_t count; /* such pieces in memory */
	uint8_t total; /* bits of the mask; more than count when memory is broadcast */
};
_Static_assert(sizeof(struct cover) <= 8, "struct cover goes into insn.imm");

static struct cover cover_of(const struct insn *i)
{
	struct cover v;

	memcpy(&v, &i->imm, sizeof(v));
	return v;
}

static uint64_t low_bits(unsigned n)
{
	return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* One bit for each piece of memory that is accessed. i->reg2: the opmask register, 0 for none. */
static uint64_t active(const struct soft_cpu *c, const struct insn *i, const struct cover *v)
{
	uint64_t k = low_bits(v->total), r = 0;

	if (i->reg2)
		k &= c->s.fpu.k[i->reg2];
	if (i->sub & SUB_PACKED)
		return low_bits((unsigned)__builtin_popcountll(k));
	for (unsigned n = 0; n < v->total; n += v->count)
		r |= k >> n;
	return r & low_bits(v->count);
}

/* ---- checks and running ---- */

enum { EVEX_STATE = 0xe6 /* XCR0: SSE, AVX, opmask, ZMM_Hi256, Hi16_ZMM */ };
enum { MXCSR_MASKS = 0x1f80, MXCSR_CONTROL = 0xffc0 };

static void check_evex(struct soft_cpu *c)
{
	if ((c->s.xcr0 & EVEX_STATE) != EVEX_STATE)
		cpu_ud(c);
	thunk_check(c, KIND_AVX);
}

static void execute(struct soft_cpu *c, const struct insn *i, void *mem)
{
	bool mxcsr = i->sub & SUB_MXCSR;

	thunk_run_guarded(c, (thunk_code *)i->aux, mem, mxcsr);
	if (mxcsr && unlikely((c->s.fpu.mxcsr & MXCSR_CONTROL) != MXCSR_MASKS))
		_mm_setcsr(MXCSR_MASKS);
}

static void fn_evex(struct soft_cpu *c, const struct insn *i)
{
	check_evex(c);
	execute(c, i, NULL);
}

/* ---- memory under a mask ---- */

static uint64_t piece_linear(struct soft_cpu *c, const struct insn *i, uint64_t ea, unsigned size, bool write)
{
	uint64_t cut = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? 0xffffffff : 0xffff;

	return seg_linear(c, i->seg, ea & cut, size, write);
}

static void probe_piece(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	probe_write(c, lin, 1); /* single bytes are always aligned */
	if ((lin & 4095) + size > 4096)
		probe_write(c, (lin + size - 1) & ~UINT64_C(4095), 1);
}

static void load_piece(struct soft_cpu *c, const struct insn *i, uint64_t ea, unsigned size, uint8_t *to)
{
	uint64_t lin = piece_linear(c, i, ea, size, false);
	const void *p = thunk_ram(c, lin, size, false);

	if (likely(p))
		memcpy(to, p, size);
	else
		ld_buf(c, lin, to, size);
}

/* Segment faults of any piece come before page faults of the first. */
static void check_pieces(struct soft_cpu *c, const struct insn *i, const struct cover *v, uint64_t on, bool write)
{
	uint64_t ea = insn_ea(c, i);

	for (unsigned n = 0; n < v->count; n++)
		if (on >> n & 1)
			mmu_check_range(c, piece_linear(c, i, ea + n * v->size, v->size, write), v->size);
}

static void load_pieces(struct soft_cpu *c, const struct insn *i, const struct cover *v, uint64_t on)
{
	uint8_t *stage = thunk_of(c)->stage;
	uint64_t ea = insn_ea(c, i);

	check_pieces(c, i, v, on, false);
	for (unsigned n = 0; n < v->count; n++)
		if (on >> n & 1)
			load_piece(c, i, ea + n * v->size, v->size, stage + n * v->size);
}

static void probe_pieces(struct soft_cpu *c, const struct insn *i, const struct cover *v, uint64_t on)
{
	uint64_t ea = insn_ea(c, i);

	check_pieces(c, i, v, on, true);
	for (unsigned n = 0; n < v->count; n++)
		if (on >> n & 1)
			probe_piece(c, piece_linear(c, i, ea + n * v->size, v->size, true), v->size);
}

static void store_pieces(struct soft_cpu *c, const struct insn *i, const struct cover *v, uint64_t on)
{
	const uint8_t *stage = thunk_of(c)->stage;
	uint64_t ea = insn_ea(c, i);

	for (unsigned n = 0; n < v->count; n++)
		if (on >> n & 1)
			st_buf(c, piece_linear(c, i, ea + n * v->size, v->size, true), stage + n * v->size, v->size);
}

static void check_aligned(struct soft_cpu *c, const struct insn *i, uint64_t on, bool write)
{
	if (i->sub & SUB_ALIGN && on && (piece_linear(c, i, insn_ea(c, i), 1, write) & (i->width - 1u)))
		cpu_gp0(c);
}

static void fn_evex_load(struct soft_cpu *c, const struct insn *i)
{
	struct cover v = cover_of(i);
	uint64_t on, lin;
	void *mem;

	check_evex(c);
	on = active(c, i, &v);
	check_aligned(c, i, on, false);
	if (on != low_bits(v.count) && !(i->sub & SUB_FULL)) {
		load_pieces(c, i, &v, on);
		execute(c, i, thunk_of(c)->stage);
		return;
	}
	lin = mem_addr(c, i, i->width, false);
	mem = thunk_ram(c, lin, i->width, false);
	execute(c, i, mem ? mem : thunk_stage_load(c, lin, i->width, i->sub));
}

/* Everything is stored at once: into RAM by the thunk itself. */
static void store_whole(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin = mem_addr(c, i, i->width, true);
	void *mem = thunk_ram(c, lin, i->width, true);

	if (!mem && !(i->sub & SUB_MXCSR))
		probe_write(c, lin, i->width);
	execute(c, i, mem ? mem : thunk_of(c)->stage);
	if (!mem)
		thunk_stage_store(c, lin, i->width, i->sub);
}

static void fn_evex_store(struct soft_cpu *c, const struct insn *i)
{
	struct cover v = cover_of(i);
	bool early = !(i->sub & SUB_MXCSR); /* VCVTPS2PH computes before it looks at memory */
	uint64_t on;

	check_evex(c);
	on = active(c, i, &v);
	check_aligned(c, i, on, true);
	if (on == low_bits(v.count)) {
		store_whole(c, i);
		return;
	}
	if (i->sub & SUB_FULL)
		probe_write(c, mem_addr(c, i, i->width, true), i->width);
	if (early)
		probe_pieces(c, i, &v, on);
	execute(c, i, thunk_of(c)->stage);
	if (!early)
		probe_pieces(c, i, &v, on);
	store_pieces(c, i, &v, on);
}

/* ---- gathers, scatters ---- */

/* i->aux */
struct vsib {
	uint8_t size, index; /* bytes of an element of data, of the index */
};

static const struct vsib vsibs[2][2] = { { { 4, 4 }, { 4, 8 } }, { { 8, 4 }, { 8, 8 } } };

static uint64_t vsib_ea(struct soft_cpu *c, const struct insn *i, const struct vsib *g, uint64_t base, unsigned n)
{
	const uint8_t *at = c->s.fpu.zmm[i->rm] + n * g->index;
	int64_t index = g->index == 4 ? (int32_t)load_le32(at) : (int64_t)load_le64(at);

	return base + (uint64_t)index * i->sub;
}

/* i->width: elements. Each one that was fetched is committed with its mask bit, so that a fault restarts at its own. */
static void fn_evex_gather(struct soft_cpu *c, const struct insn *i)
{
	const struct vsib *g = i->aux;
	uint64_t base, *k = &c->s.fpu.k[i->reg2];
	uint8_t *dst = c->s.fpu.zmm[i->reg];
	unsigned bytes = i->width * g->size;

	check_evex(c);
	base = insn_ea(c, i);
	for (unsigned n = 0; n < i->width; n++) {
		if (!(*k >> n & 1))
			continue;
		load_piece(c, i, vsib_ea(c, i, g, base, n), g->size, dst + n * g->size);
		*k &= ~(UINT64_C(1) << n);
	}
	*k = 0;
	memset(dst + bytes, 0, 64 - bytes);
}

static void fn_evex_scatter(struct soft_cpu *c, const struct insn *i)
{
	const struct vsib *g = i->aux;
	uint64_t base, *k = &c->s.fpu.k[i->reg2];

	check_evex(c);
	base = insn_ea(c, i);
	for (unsigned n = 0; n < i->width; n++) {
		uint64_t lin;

		if (!(*k >> n & 1))
			continue;
		lin = piece_linear(c, i, vsib_ea(c, i, g, base, n), g->size, true);
		probe_piece(c, lin, g->size);
		st_buf(c, lin, c->s.fpu.zmm[i->reg] + n * g->size, g->size);
		*k &= ~(UINT64_C(1) << n);
	}
	*k = 0;
}

/* wide: 8-byte elements; wide_index: of the index. */
static bool bind_vsib(struct insn *i, const struct insn_source *src, bool scatter, bool wide, bool wide_index)
{
	const ZydisDecodedOperand *mem = thunk_mem_operand(src);
	const struct vsib *g = &vsibs[wide][wide_index];
	unsigned bytes = src->zi->avx.vector_length / 8, per = g->size > g->index ? g->size : g->index;

	for (unsigned n = 0; n < src->zi->operand_count; n++) {
		const ZydisDecodedOperand *o = &src->op[n];

		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			i->reg = ZydisRegisterGetId(o->reg.value);
	}
	i->fn = scatter ? fn_evex_scatter : fn_evex_gather;
	i->aux = g;
	i->rm = ZydisRegisterGetId(mem->mem.index);
	i->reg2 = ZydisRegisterGetId(src->zi->avx.mask.reg);
	i->width = bytes / per;
	i->sub = mem->mem.scale ? mem->mem.scale : 1;
	i->index = REG_NONE;
	i->fast = false;
	/* Without a mask, or with the destination as its own index: #UD. */
	return i->reg2 && (scatter || i->reg != i->rm);
}

static bool bind_vsib_kind(struct insn *i, const struct insn_source *src, bool *ok)
{
	switch (src->zi->mnemonic) {
	case ZYDIS_MNEMONIC_VPGATHERDD:
	case ZYDIS_MNEMONIC_VGATHERDPS: *ok = bind_vsib(i, src, false, false, false); return true;
	case ZYDIS_MNEMONIC_VPGATHERDQ:
	case ZYDIS_MNEMONIC_VGATHERDPD: *ok = bind_vsib(i, src, false, true, false); return true;
	case ZYDIS_MNEMONIC_VPGATHERQD:
	case ZYDIS_MNEMONIC_VGATHERQPS: *ok = bind_vsib(i, src, false, false, true); return true;
	case ZYDIS_MNEMONIC_VPGATHERQQ:
	case ZYDIS_MNEMONIC_VGATHERQPD: *ok = bind_vsib(i, src, false, true, true); return true;
	case ZYDIS_MNEMONIC_VPSCATTERDD:
	case ZYDIS_MNEMONIC_VSCATTERDPS: *ok = bind_vsib(i, src, true, false, false); return true;
	case ZYDIS_MNEMONIC_VPSCATTERDQ:
	case ZYDIS_MNEMONIC_VSCATTERDPD: *ok = bind_vsib(i, src, true, true, false); return true;
	case ZYDIS_MNEMONIC_VPSCATTERQD:
	case ZYDIS_MNEMONIC_VSCATTERQPS: *ok = bind_vsib(i, src, true, false, true); return true;
	case ZYDIS_MNEMONIC_VPSCATTERQQ:
	case ZYDIS_MNEMONIC_VSCATTERQPD: *ok = bind_vsib(i, src, true, true, true); return true;
	default: return false;
	}
}

/* ---- binding ---- */

static bool uses_mxcsr(const ZydisDecodedInstruction *zi)
{
	switch (zi->meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_E2:
	case ZYDIS_EXCEPTION_CLASS_E2NF:
	case ZYDIS_EXCEPTION_CLASS_E3:
	case ZYDIS_EXCEPTION_CLASS_E3NF:
	case ZYDIS_EXCEPTION_CLASS_E11:
	case ZYDIS_EXCEPTION_CLASS_E11NF: return true;
	default: break;
	}
	switch (zi->mnemonic) { /* these obey DAZ */
	case ZYDIS_MNEMONIC_VFPCLASSPS: case ZYDIS_MNEMONIC_VFPCLASSPD:
	case ZYDIS_MNEMONIC_VFPCLASSSS: case ZYDIS_MNEMONIC_VFPCLASSSD:
	case ZYDIS_MNEMONIC_VRCP14PS: case ZYDIS_MNEMONIC_VRCP14PD:
	case ZYDIS_MNEMONIC_VRCP14SS: case ZYDIS_MNEMONIC_VRCP14SD:
	case ZYDIS_MNEMONIC_VRSQRT14PS: case ZYDIS_MNEMONIC_VRSQRT14PD:
	case ZYDIS_MNEMONIC_VRSQRT14SS: case ZYDIS_MNEMONIC_VRSQRT14SD: return true;
	default: break;
	}
	switch (zi->meta.isa_set) {
	case ZYDIS_ISA_SET_AVX512_FP16_128:
	case ZYDIS_ISA_SET_AVX512_FP16_256:
	case ZYDIS_ISA_SET_AVX512_FP16_512:
	case ZYDIS_ISA_SET_AVX512_FP16_SCALAR: return true;
	default: return false;
	}
}

/* The exception classes without fault suppression, SDM 2A 2.8. */
static bool accesses_all(const ZydisDecodedInstruction *zi)
{
	switch (zi->meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_E1NF:
	case ZYDIS_EXCEPTION_CLASS_E2NF:
	case ZYDIS_EXCEPTION_CLASS_E3NF:
	case ZYDIS_EXCEPTION_CLASS_E4NF:
	case ZYDIS_EXCEPTION_CLASS_E5NF:
	case ZYDIS_EXCEPTION_CLASS_E6NF:
	case ZYDIS_EXCEPTION_CLASS_E9NF:
	case ZYDIS_EXCEPTION_CLASS_E10NF:
	case ZYDIS_EXCEPTION_CLASS_E11NF: return true;
	default: break;
	}
	/* Sources of these do not lie where their results do. */
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_VCVTNE2PS2BF16:
	case ZYDIS_MNEMONIC_VDBPSADBW:
	case ZYDIS_MNEMONIC_VGF2P8AFFINEQB:
	case ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB: return true;
	default: return false;
	}
}

static bool must_align(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA32:
	case ZYDIS_MNEMONIC_VMOVDQA64:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA: return true;
	default: return false;
	}
}

static bool packs(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_VCOMPRESSPS: case ZYDIS_MNEMONIC_VCOMPRESSPD:
	case ZYDIS_MNEMONIC_VPCOMPRESSB: case ZYDIS_MNEMONIC_VPCOMPRESSW:
	case ZYDIS_MNEMONIC_VPCOMPRESSD: case ZYDIS_MNEMONIC_VPCOMPRESSQ:
	case ZYDIS_MNEMONIC_VEXPANDPS: case ZYDIS_MNEMONIC_VEXPANDPD:
	case ZYDIS_MNEMONIC_VPEXPANDB: case ZYDIS_MNEMONIC_VPEXPANDW:
	case ZYDIS_MNEMONIC_VPEXPANDD: case ZYDIS_MNEMONIC_VPEXPANDQ: return true;
	default: return false;
	}
}

/* Complex numbers: two halves share a bit of the mask. */
static bool is_complex(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_VFMULCPH: case ZYDIS_MNEMONIC_VFMULCSH:
	case ZYDIS_MNEMONIC_VFCMULCPH: case ZYDIS_MNEMONIC_VFCMULCSH:
	case ZYDIS_MNEMONIC_VFMADDCPH: case ZYDIS_MNEMONIC_VFMADDCSH:
	case ZYDIS_MNEMONIC_VFCMADDCPH: case ZYDIS_MNEMONIC_VFCMADDCSH: return true;
	default: return false;
	}
}

/* Elements that a broadcast ends in. */
static unsigned broadcast_to(ZydisBroadcastMode m)
{
	switch (m) {
	case ZYDIS_BROADCAST_MODE_1_TO_2: return 2;
	case ZYDIS_BROADCAST_MODE_1_TO_4:
	case ZYDIS_BROADCAST_MODE_2_TO_4: return 4;
	case ZYDIS_BROADCAST_MODE_1_TO_8:
	case ZYDIS_BROADCAST_MODE_2_TO_8:
	case ZYDIS_BROADCAST_MODE_4_TO_8: return 8;
	case ZYDIS_BROADCAST_MODE_1_TO_16:
	case ZYDIS_BROADCAST_MODE_2_TO_16:
	case ZYDIS_BROADCAST_MODE_4_TO_16:
	case ZYDIS_BROADCAST_MODE_8_TO_16: return 16;
	case ZYDIS_BROADCAST_MODE_1_TO_32: return 32;
	case ZYDIS_BROADCAST_MODE_1_TO_64: return 64;
	default: return 0;
	}
}

static struct cover cover_for(const struct insn_source *src, const ZydisDecodedOperand *mem)
{
	const ZydisDecodedOperand *first = &src->op[0];
	struct cover v = { .size = mem->element_size / 8 };
	unsigned bytes = mem->size / 8;

	/* Dot products and their like: the bit stands for an element of the destination. */
	if (first != mem && first->size == mem->size && first->element_size > mem->element_size &&
	    ZydisRegisterGetClass(first->reg.value) != ZYDIS_REGCLASS_MASK)
		v.size = first->element_size / 8;
	if (is_complex(src->zi->mnemonic))
		v.size = 4;
	if (!v.size || bytes % v.size || bytes / v.size > 64)
		v.size = bytes;
	v.count = bytes / v.size;
	v.total = broadcast_to(src->zi->avx.broadcast.mode);
	if (v.total < v.count)
		v.total = v.count;
	return v;
}

static void bind_memory(struct insn *i, const struct insn_source *src, const ZydisDecodedOperand *mem)
{
	const ZydisDecodedInstruction *zi = src->zi;
	bool store = mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	struct cover v = cover_for(src, mem);

	i->fn = store ? fn_evex_store : fn_evex_load;
	i->width = mem->size / 8;
	if (must_align(zi->mnemonic))
		i->sub |= SUB_ALIGN;
	if (thunk_is_loose(zi))
		i->sub |= SUB_LOOSE;
	if (packs(zi->mnemonic))
		i->sub |= SUB_PACKED;
	else if (accesses_all(zi))
		i->sub |= SUB_FULL;
	i->imm = 0;
	memcpy(&i->imm, &v, sizeof(v));
}

bool thunk_evex_bind(struct insn *i, const struct insn_source *src, struct thunk_text *text, bool *needs_code)
{
	const ZydisDecodedInstruction *zi = src->zi;
	const ZydisDecodedOperand *mem = thunk_mem_operand(src);
	bool evex = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX, ok, mxcsr = evex && uses_mxcsr(zi);

	*needs_code = false;
	if (mem && evex && bind_vsib_kind(i, src, &ok))
		return ok;
	*needs_code = true;
	i->fn = fn_evex;
	i->sub = mxcsr ? SUB_MXCSR : 0;
	i->reg2 = evex && zi->avx.mask.mode != ZYDIS_MASK_MODE_DISABLED ? ZydisRegisterGetId(zi->avx.mask.reg) : 0;
	if (mem)
		bind_memory(i, src, mem);
	return thunk_emit_evex(text, src, mxcsr);
}
