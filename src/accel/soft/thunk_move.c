/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commonest vector instructions done in C on c->s.fpu: whole-register and low-element moves, and the exclusive-or
 * that clears a register. They are a third of the vector instructions that programs execute, and a thunk's loads
 * and stores would be the work itself.
 */
#include "accel/soft/thunk_priv.h"

#include <emmintrin.h>
#include <string.h>

/* i->reg: destination, i->rm: source, by vector or general register number. */

ALWAYS_INLINE __m128i *xmm(struct soft_cpu *c, unsigned n)
{
	return (__m128i *)c->s.fpu.zmm[n];
}

/* A VEX destination of `len` bytes: what lies above is zeroed. */
ALWAYS_INLINE void clear_above(struct soft_cpu *c, unsigned n, unsigned len, bool vex)
{
	if (!vex)
		return;
	if (len == 16)
		xmm(c, n)[1] = _mm_setzero_si128();
	if (unlikely(c->s.xcr0 & ZMM_STATE))
		xmm(c, n)[2] = xmm(c, n)[3] = _mm_setzero_si128();
}

ALWAYS_INLINE uint64_t place(struct soft_cpu *c, const struct insn *i, unsigned size, bool write)
{
	uint64_t lin = mem_addr(c, i, size, write);

	if (size >= 16 && i->sub & SUB_ALIGN && unlikely(lin & (size - 1)))
		cpu_gp0(c);
	return lin;
}

/* ---- whole registers ---- */

ALWAYS_INLINE void move_load(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	const __m128i *p;
	uint64_t lin;

	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	lin = place(c, i, size, false);
	p = thunk_ram(c, lin, size, false);
	if (unlikely(!p))
		p = thunk_stage_load(c, lin, size, 0);
	xmm(c, i->reg)[0] = _mm_loadu_si128(p);
	if (size == 32)
		xmm(c, i->reg)[1] = _mm_loadu_si128(p + 1);
	clear_above(c, i->reg, size, vex);
}

ALWAYS_INLINE void move_store(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	uint64_t lin;
	__m128i *p;

	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	lin = place(c, i, size, true);
	p = thunk_ram(c, lin, size, true);
	if (unlikely(!p)) {
		st_buf(c, lin, xmm(c, i->rm), size);
		return;
	}
	_mm_storeu_si128(p, xmm(c, i->rm)[0]);
	if (size == 32)
		_mm_storeu_si128(p + 1, xmm(c, i->rm)[1]);
}

ALWAYS_INLINE void move_reg(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	xmm(c, i->reg)[0] = xmm(c, i->rm)[0];
	if (size == 32)
		xmm(c, i->reg)[1] = xmm(c, i->rm)[1];
	clear_above(c, i->reg, size, vex);
}

ALWAYS_INLINE void clear_reg(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	xmm(c, i->reg)[0] = _mm_setzero_si128();
	if (size == 32)
		xmm(c, i->reg)[1] = _mm_setzero_si128();
	clear_above(c, i->reg, size, vex);
}

/* ---- the low 4 or 8 bytes ---- */

ALWAYS_INLINE void low_load(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	*xmm(c, i->reg) = _mm_cvtsi64_si128((long long)mem_load(c, place(c, i, size, false), size));
	clear_above(c, i->reg, 16, vex);
}

ALWAYS_INLINE void low_store(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	uint64_t v;

	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	memcpy(&v, xmm(c, i->rm), sizeof(v));
	mem_store(c, place(c, i, size, true), size, v);
}

ALWAYS_INLINE void low_from_gpr(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	uint64_t v = c->s.gpr[i->rm];

	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	*xmm(c, i->reg) = _mm_cvtsi64_si128((long long)(size == 4 ? (uint32_t)v : v));
	clear_above(c, i->reg, 16, vex);
}

ALWAYS_INLINE void low_to_gpr(struct soft_cpu *c, const struct insn *i, unsigned size, bool vex)
{
	uint64_t v;

	thunk_check(c, vex ? KIND_AVX : KIND_SSE);
	memcpy(&v, xmm(c, i->rm), sizeof(v));
	c->s.gpr[i->reg] = size == 4 ? (uint32_t)v : v;
}

#define MOVER(name, body, size, vex)                                                                                  \
	static void name(struct soft_cpu *c, const struct insn *i)                                                    \
	{                                                                                                             \
		body(c, i, size, vex);                                                                                \
	}
#define WHOLE(what)                                                                                                   \
	MOVER(fn_##what##16, what, 16, false)                                                                         \
	MOVER(fn_v##what##16, what, 16, true)                                                                         \
	MOVER(fn_v##what##32, what, 32, true)
#define LOW(what)                                                                                                     \
	MOVER(fn_##what##4, what, 4, false)                                                                           \
	MOVER(fn_##what##8, what, 8, false)                                                                           \
	MOVER(fn_v##what##4, what, 4, true)                                                                           \
	MOVER(fn_v##what##8, what, 8, true)
WHOLE(move_load)
WHOLE(move_store)
WHOLE(move_reg)
WHOLE(clear_reg)
LOW(low_load)
LOW(low_store)
LOW(low_from_gpr)
LOW(low_to_gpr)

/* ---- binding ---- */

enum form { WHOLE_LOAD, WHOLE_STORE, WHOLE_REG, CLEAR, LOW_LOAD, LOW_STORE, FROM_GPR, TO_GPR, FORMS };

/* By form, then: the small legacy one, the large legacy one, the small VEX one, the large VEX one. */
static const insn_fn mover[FORMS][4] = {
	[WHOLE_LOAD] = { fn_move_load16, NULL, fn_vmove_load16, fn_vmove_load32 },
	[WHOLE_STORE] = { fn_move_store16, NULL, fn_vmove_store16, fn_vmove_store32 },
	[WHOLE_REG] = { fn_move_reg16, NULL, fn_vmove_reg16, fn_vmove_reg32 },
	[CLEAR] = { fn_clear_reg16, NULL, fn_vclear_reg16, fn_vclear_reg32 },
	[LOW_LOAD] = { fn_low_load4, fn_low_load8, fn_vlow_load4, fn_vlow_load8 },
	[LOW_STORE] = { fn_low_store4, fn_low_store8, fn_vlow_store4, fn_vlow_store8 },
	[FROM_GPR] = { fn_low_from_gpr4, fn_low_from_gpr8, fn_vlow_from_gpr4, fn_vlow_from_gpr8 },
	[TO_GPR] = { fn_low_to_gpr4, fn_low_to_gpr8, fn_vlow_to_gpr4, fn_vlow_to_gpr8 },
};

/* What an operand is, in bytes; 0 when it is of another kind. */
static unsigned memory(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_MEMORY ? o->size / 8 : 0;
}

static unsigned vector(const ZydisDecodedOperand *o)
{
	ZydisRegisterClass k;

	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	k = ZydisRegisterGetClass(o->reg.value);
	return k == ZYDIS_REGCLASS_XMM ? 16 : k == ZYDIS_REGCLASS_YMM ? 32 : 0;
}

static unsigned general(const ZydisDecodedOperand *o)
{
	ZydisRegisterClass k;

	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	k = ZydisRegisterGetClass(o->reg.value);
	return k == ZYDIS_REGCLASS_GPR32 ? 4 : k == ZYDIS_REGCLASS_GPR64 ? 8 : 0;
}

static enum form whole_form(const ZydisDecodedOperand *op, unsigned *size)
{
	bool load = memory(&op[1]), store = memory(&op[0]);

	*size = vector(&op[store ? 1 : 0]);
	return load ? WHOLE_LOAD : store ? WHOLE_STORE : WHOLE_REG;
}

static enum form low_form(const ZydisDecodedOperand *op, unsigned *size)
{
	if (vector(&op[0]) && (*size = memory(&op[1])))
		return LOW_LOAD;
	if (vector(&op[1]) && (*size = memory(&op[0])))
		return LOW_STORE;
	if (vector(&op[0]) && (*size = general(&op[1])))
		return FROM_GPR;
	if (vector(&op[1]) && (*size = general(&op[0])))
		return TO_GPR;
	return FORMS;
}

/* Register forms read both operands alike: equal sources make zero. */
static enum form clear_form(const struct insn_source *src, unsigned *size)
{
	const ZydisDecodedOperand *op = src->op;
	unsigned a = src->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? 1 : 0;

	*size = vector(&op[0]);
	return *size && vector(&op[a + 1]) && op[a].reg.value == op[a + 1].reg.value ? CLEAR : FORMS;
}

static enum form form_of(const struct insn_source *src, unsigned *size)
{
	switch (src->zi->mnemonic) {
	case ZYDIS_MNEMONIC_MOVAPS: case ZYDIS_MNEMONIC_MOVAPD: case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVUPS: case ZYDIS_MNEMONIC_MOVUPD: case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVNTPS: case ZYDIS_MNEMONIC_MOVNTPD: case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_LDDQU: case ZYDIS_MNEMONIC_VLDDQU:
	case ZYDIS_MNEMONIC_VMOVAPS: case ZYDIS_MNEMONIC_VMOVAPD: case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVUPS: case ZYDIS_MNEMONIC_VMOVUPD: case ZYDIS_MNEMONIC_VMOVDQU:
	case ZYDIS_MNEMONIC_VMOVNTPS: case ZYDIS_MNEMONIC_VMOVNTPD: case ZYDIS_MNEMONIC_VMOVNTDQ:
		return whole_form(src->op, size);
	case ZYDIS_MNEMONIC_MOVD: case ZYDIS_MNEMONIC_MOVQ: case ZYDIS_MNEMONIC_MOVSS: case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_VMOVD: case ZYDIS_MNEMONIC_VMOVQ: case ZYDIS_MNEMONIC_VMOVSS: case ZYDIS_MNEMONIC_VMOVSD:
		return low_form(src->op, size);
	case ZYDIS_MNEMONIC_PXOR: case ZYDIS_MNEMONIC_XORPS: case ZYDIS_MNEMONIC_XORPD:
	case ZYDIS_MNEMONIC_VPXOR: case ZYDIS_MNEMONIC_VXORPS: case ZYDIS_MNEMONIC_VXORPD:
		return clear_form(src, size);
	default: return FORMS;
	}
}

static unsigned number(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER ? (unsigned)ZydisRegisterGetId(o->reg.value) : REG_NONE;
}

bool thunk_move_bind(struct insn *i, const struct insn_source *src)
{
	bool vex = src->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	enum form form;
	unsigned size;

	if (src->zi->operand_count_visible < 2)
		return false;
	form = form_of(src, &size);
	if (form == FORMS || !size || !mover[form][2 * vex + (size == 8 || size == 32)])
		return false;
	i->fn = mover[form][2 * vex + (size == 8 || size == 32)];
	i->width = size;
	i->reg = number(&src->op[0]);
	i->rm = number(&src->op[1]);
	if (form <= WHOLE_STORE && thunk_must_align(src->zi, size))
		i->sub |= SUB_ALIGN;
	return true;
}
