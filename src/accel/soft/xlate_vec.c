/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that the interpreter runs as host thunks, in translated code: they execute as themselves, on the
 * host's registers. The guest's vector registers 0 to 15 and its MXCSR are in the host's while c->x_vec_live; blocks
 * that need them ask once, and what calls C or leaves saves them first (the stubs below). So C never finds them live.
 */
#include "accel/soft/thunk_cache.h"
#include "accel/soft/thunk_priv.h"
#include "accel/soft/xlate_priv.h"

#include <emmintrin.h>
#include <stddef.h>

enum { MXCSR_MASKS = 0x1f80, UPPER_ZERO = 4 };

#define AT(field) offsetof(struct soft_cpu, field)
#define PUT(t, ...) X_PUT(t, __VA_ARGS__)

/* ---- live registers: what the stubs ask and do ---- */
static bool upper_zero(const struct soft_cpu *c)
{
	__m128i any = _mm_setzero_si128();
	for (unsigned n = 0; n < 16; n++) {
		const __m128i *r = (const __m128i *)c->s.fpu.zmm[n];
		any = _mm_or_si128(_mm_or_si128(any, r[1]), _mm_or_si128(r[2], r[3]));
	}
	return _mm_movemask_epi8(_mm_cmpeq_epi8(any, _mm_setzero_si128())) == 0xffff;
}

/* 0: the interpreter's checks are needed. Otherwise an enum xvec_level, and UPPER_ZERO. */
static unsigned may_load(const struct soft_cpu *c)
{
	const struct x86_state *s = &c->s;
	if ((s->cr0 & (X86_CR0_EM | X86_CR0_TS)) || !(s->cr4 & X86_CR4_OSFXSR) ||
	    (s->fpu.mxcsr & (0xffff0000 | MXCSR_MASKS)) != MXCSR_MASKS)
		return 0;
	bool avx = (s->cr4 & X86_CR4_OSXSAVE) && (s->xcr0 & AVX_STATE) == AVX_STATE;
	return (avx ? XVEC_AVX : XVEC_SSE) | (upper_zero(c) ? UPPER_ZERO : 0);
}

enum { WIDTH_XMM, WIDTH_YMM, WIDTH_ZMM };

static unsigned host_width(const struct soft_cpu *c)
{
	const struct thunk_host *h = thunk_cache_host(thunk_cache_of(c->sv));
	return thunk_host_has(h, HOST_AVX512) ? WIDTH_ZMM : thunk_host_has(h, HOST_AVX) ? WIDTH_YMM : WIDTH_XMM;
}

/* MOVAPS between all registers and the state; op 0x28 loads, 0x29 stores. */
static void move_all(struct xtext *t, unsigned width, unsigned op)
{
	for (unsigned n = 0; n < 16; n++) {
		uint32_t base = x_cpu(t);
		if (width == WIDTH_ZMM)
			PUT(t, 0x62, n < 8 ? 0xf1 : 0x71, 0x7c, 0x48);
		else if (width == WIDTH_YMM)
			PUT(t, 0xc5, n < 8 ? 0xfc : 0x7c);
		else if (n < 8)
			PUT(t, 0x0f);
		else
			PUT(t, 0x44, 0x0f);
		PUT(t, op, 4 | (n & 7) << 3, 0x25);
		x_u32(t, base + (uint32_t)(AT(s.fpu.zmm) + 64 * n));
	}
}

static void move_mxcsr(struct xtext *t, bool load, size_t at)
{
	uint32_t base = x_cpu(t);
	PUT(t, 0x0f, 0xae, 4 | (load ? 2 : 3) << 3, 0x25);
	x_u32(t, base + (uint32_t)at);
}

void xvec_save_stub(struct soft_cpu *c, struct xtext *t)
{
	unsigned width = host_width(c);
	move_all(t, width, 0x29);
	move_mxcsr(t, false, AT(s.fpu.mxcsr));
	move_mxcsr(t, true, AT(x_host_mxcsr));
	if (width != WIDTH_XMM)
		PUT(t, 0xc5, 0xf8, 0x77); /* vzeroupper */
	x_gs(t, false, 0xc6, 0, AT(x_vec_live));
	x_byte(t, 0);
	x_byte(t, 0xc3);
}

void xvec_load_stub(struct soft_cpu *c, struct xtext *t)
{
	unsigned width = host_width(c);
	x_gs(t, false, 0x0fb6, HOST_RAX, AT(x_vec_live));
	PUT(t, 0x85, 0xc0); /* test eax, eax */
	uint8_t *live = x_jcc(t, 5);
	PUT(t, 0x48, 0x83, 0xec, 8); /* sub rsp, 8 */
	x_imm(t, HOST_RDI, (uint64_t)(uintptr_t)c);
	x_imm(t, HOST_RAX, (uint64_t)(uintptr_t)may_load);
	PUT(t, 0xff, 0xd0, 0x48, 0x83, 0xc4, 8, 0x85, 0xc0); /* call rax; add rsp, 8; test eax, eax */
	uint8_t *refused = x_jcc(t, 4);
	PUT(t, 0xa8, UPPER_ZERO); /* test al, imm */
	uint8_t *narrow = x_jcc(t, 5);
	move_all(t, width, 0x28);
	uint8_t *loaded = x_jmp_forward(t);
	x_here(t, narrow);
	if (width != WIDTH_XMM)
		PUT(t, 0xc5, 0xf8, 0x77);
	move_all(t, WIDTH_XMM, 0x28);
	x_here(t, loaded);
	move_mxcsr(t, true, AT(s.fpu.mxcsr));
	PUT(t, 0x83, 0xe0, 3); /* and eax, 3 */
	x_gs(t, false, 0x88, HOST_RAX, AT(x_vec_live));
	x_here(t, live);
	x_here(t, refused);
	x_byte(t, 0xc3);
}

/* ---- what is carried ---- */
static bool left_to_handlers(const ZydisDecodedInstruction *zi, bool code64)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_LDMXCSR: case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_CLFLUSH: case ZYDIS_MNEMONIC_CLFLUSHOPT: case ZYDIS_MNEMONIC_CLWB:
	case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVPS: case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VMASKMOVPD: case ZYDIS_MNEMONIC_VPMASKMOVQ:
	case ZYDIS_MNEMONIC_VPGATHERDD: case ZYDIS_MNEMONIC_VGATHERDPS:
	case ZYDIS_MNEMONIC_VPGATHERDQ: case ZYDIS_MNEMONIC_VGATHERDPD:
	case ZYDIS_MNEMONIC_VPGATHERQD: case ZYDIS_MNEMONIC_VGATHERQPS:
	case ZYDIS_MNEMONIC_VPGATHERQQ: case ZYDIS_MNEMONIC_VGATHERQPD:
	case ZYDIS_MNEMONIC_RDRAND: case ZYDIS_MNEMONIC_RDSEED: return true;
	case ZYDIS_MNEMONIC_VZEROUPPER: case ZYDIS_MNEMONIC_VZEROALL: return !code64; /* else eight registers' alone */
	default: return false;
	}
}

static bool is_prefetch(const ZydisDecodedInstruction *zi)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_PREFETCH: case ZYDIS_MNEMONIC_PREFETCHW: case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_PREFETCHNTA: case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1: case ZYDIS_MNEMONIC_PREFETCHT2: return true;
	default: return false;
	}
}

/* What an instruction does to the six flags; Zydis does not name those that some of them clear. */
static enum xflags flags_of(const ZydisDecodedInstruction *zi)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_COMISS: case ZYDIS_MNEMONIC_COMISD: case ZYDIS_MNEMONIC_UCOMISS: case ZYDIS_MNEMONIC_UCOMISD:
	case ZYDIS_MNEMONIC_VCOMISS: case ZYDIS_MNEMONIC_VCOMISD:
	case ZYDIS_MNEMONIC_VUCOMISS: case ZYDIS_MNEMONIC_VUCOMISD:
	case ZYDIS_MNEMONIC_PTEST: case ZYDIS_MNEMONIC_VPTEST: case ZYDIS_MNEMONIC_VTESTPS: case ZYDIS_MNEMONIC_VTESTPD:
	case ZYDIS_MNEMONIC_PCMPESTRI: case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI: case ZYDIS_MNEMONIC_PCMPISTRM:
	case ZYDIS_MNEMONIC_VPCMPESTRI: case ZYDIS_MNEMONIC_VPCMPESTRM:
	case ZYDIS_MNEMONIC_VPCMPISTRI: case ZYDIS_MNEMONIC_VPCMPISTRM:
	case ZYDIS_MNEMONIC_POPCNT: return XF_WRITE;
	default: break;
	}
	const ZydisAccessedFlags *f = zi->cpu_flags;
	if (!f || !((f->tested | f->modified | f->set_0 | f->set_1 | f->undefined) & X86_FLAG_ARITH))
		return XF_NONE;
	if (!((f->modified | f->set_0 | f->set_1 | f->undefined) & X86_FLAG_ARITH))
		return XF_READ;
	return f->tested & X86_FLAG_ARITH ? XF_BOTH : XF_MIX;
}

static bool scan_gpr(struct xinsn *in, const ZydisDecodedOperand *o)
{
	unsigned r = decode_reg_number(o->reg.value);
	if (r >= REG_AH)
		return false;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ || o->size < 32)
		in->reads |= 1u << r;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		in->writes |= 1u << r;
	return true;
}

static bool scan_register(struct xinsn *in, const ZydisDecodedOperand *o)
{
	unsigned bit = 1u << (ZydisRegisterGetId(o->reg.value) & 15);
	bool vex = in->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	switch (ZydisRegisterGetClass(o->reg.value)) {
	case ZYDIS_REGCLASS_GPR8: case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: return scan_gpr(in, o);
	case ZYDIS_REGCLASS_XMM: case ZYDIS_REGCLASS_YMM:
		if (!vex || o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
			in->vec_reads |= bit;
		if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			in->vec_writes |= bit;
		in->level = vex ? XVEC_AVX : in->level ? in->level : XVEC_SSE;
		return ZydisRegisterGetId(o->reg.value) < 16;
	case ZYDIS_REGCLASS_MMX: in->x87 = true; return true;
	case ZYDIS_REGCLASS_FLAGS: return true;
	default: return o->reg.value == ZYDIS_REGISTER_MXCSR;
	}
}

static bool scan_memory(struct xinsn *in, const ZydisDecodedOperand *o)
{
	const struct insn *i = in->i;
	if (o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM ||
	    !xlate_scan_address(in) || !o->size || o->size > 256)
		return false;
	in->mem = o;
	in->reads |= (i->base != REG_NONE ? 1u << i->base : 0) | (i->index != REG_NONE ? 1u << i->index : 0);
	in->stores = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	in->loads = !in->stores;
	unsigned size = o->size / 8;
	in->align = thunk_must_align(&in->zi, size) ? (uint8_t)size : 0;
	return true;
}

/* A plain move from memory keeps nothing of a legacy destination that is all written. */
static void whole_writes(struct xinsn *in)
{
	switch (in->zi.mnemonic) {
	case ZYDIS_MNEMONIC_MOVAPS: case ZYDIS_MNEMONIC_MOVAPD: case ZYDIS_MNEMONIC_MOVUPS: case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQA: case ZYDIS_MNEMONIC_MOVDQU: case ZYDIS_MNEMONIC_LDDQU: case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVD: case ZYDIS_MNEMONIC_PSHUFD:
		if (in->mem)
			in->vec_reads &= ~in->vec_writes;
		break;
	case ZYDIS_MNEMONIC_MOVSS: case ZYDIS_MNEMONIC_MOVSD:
		if (in->loads)
			in->vec_reads &= ~in->vec_writes;
		break;
	case ZYDIS_MNEMONIC_VZEROUPPER: case ZYDIS_MNEMONIC_VZEROALL:
		in->vec_reads = in->vec_writes = 0xffff;
		in->level = XVEC_AVX;
		break;
	case ZYDIS_MNEMONIC_EMMS: in->x87 = true; break;
	case ZYDIS_MNEMONIC_STMXCSR: in->level = XVEC_SSE; break;
	case ZYDIS_MNEMONIC_VSTMXCSR: in->level = XVEC_AVX; break;
	default: break;
	}
}

bool xvec_scan(struct soft_cpu *c, struct xinsn *in)
{
	const struct insn_source src = { .zi = &in->zi, .op = in->op, .bytes = in->bytes, .mode = c->mode, .sv = c->sv };
	if (!thunk_is_plain(&src))
		return false;
	in->reads = in->writes = 0;
	in->mem = NULL;
	in->loads = in->stores = false;
	in->flags = XF_NONE;
	in->kind = XK_NOP;
	if (is_prefetch(&in->zi))
		return true;
	in->kind = XK_VEC;
	if (left_to_handlers(&in->zi, in->word == 8))
		return false;
	if (thunk_is_x87(&in->zi)) {
		in->flags = flags_of(&in->zi);
		return xvec_x87_scan(in);
	}
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && !scan_register(in, o))
			return false;
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && !scan_memory(in, o))
			return false;
	}
	/* CVTSD2SI and its kin have no vector register when the source is in memory. */
	if (!in->level && in->zi.meta.isa_ext != ZYDIS_ISA_EXT_BASE && thunk_uses_mxcsr(&in->zi))
		in->level = in->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? XVEC_AVX : XVEC_SSE;
	whole_writes(in);
	in->flags = flags_of(&in->zi);
	return true;
}

/* ---- code ---- */
struct form {
	unsigned reg, rm, vvvv;
	unsigned base, index; /* high bits of the address's registers, 0 without one: REX.B (or of rm) and REX.X */
	const struct xaddr *a;
	bool rex8, gpr;
};

static bool is_gpr(ZydisRegister r)
{
	ZydisRegisterClass k = ZydisRegisterGetClass(r);
	return k == ZYDIS_REGCLASS_GPR8 || k == ZYDIS_REGCLASS_GPR16 || k == ZYDIS_REGCLASS_GPR32 ||
	       k == ZYDIS_REGCLASS_GPR64;
}

static struct form form_of(const struct xinsn *in, const uint8_t *host, const struct xaddr *a)
{
	struct form f = { .reg = in->zi.raw.modrm.reg, .rm = in->zi.raw.modrm.rm };
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		bool gpr = is_gpr(o->reg.value);
		unsigned r = gpr ? host[decode_reg_number(o->reg.value)] : ZydisRegisterGetId(o->reg.value) & 15u;
		f.rex8 |= gpr && o->size == 8 && r >= 4;
		f.gpr |= gpr;
		switch (o->encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG: f.reg = r; break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM: f.rm = r; break;
		case ZYDIS_OPERAND_ENCODING_NDSNDD: f.vvvv = r; break;
		default: break;
		}
	}
	f.a = in->mem ? a : NULL;
	f.base = (f.a ? a->base : f.rm) >> 3;
	f.index = f.a && a->index != HOST_NONE ? a->index >> 3 : 0;
	return f;
}

/* ModRM and what follows it */
static void put_operands(struct xtext *t, const struct xinsn *in, const struct form *f)
{
	const ZydisDecodedInstruction *zi = &in->zi;
	if (!(zi->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return;
	if (f->a)
		x_operand(t, f->reg, f->a);
	else
		x_byte(t, 0xc0 | (f->reg & 7) << 3 | (f->rm & 7));
	unsigned at = zi->raw.modrm.offset + 1u + (zi->attributes & ZYDIS_ATTRIB_HAS_SIB ? 1 : 0) + zi->raw.disp.size / 8u;
	/* Outside 64-bit code bit 7 of a register number in an immediate is ignored. */
	unsigned mask = 0xff;
	for (unsigned n = 0; n < zi->operand_count && in->word != 8; n++)
		if (in->op[n].encoding == ZYDIS_OPERAND_ENCODING_IS4)
			mask = 0x7f;
	for (; at < zi->length; at++)
		x_byte(t, in->bytes[at] & mask);
}

static void put_legacy(struct xtext *t, const struct xinsn *in, const struct form *f)
{
	const ZydisDecodedInstruction *zi = &in->zi;
	bool escape = true, size16 = thunk_operand_size_16(zi, in->op);
	unsigned opcode = thunk_plain_opcode(zi, &escape);
	if (size16)
		x_byte(t, 0x66);
	for (unsigned n = 0; n < zi->raw.prefix_count; n++)
		if (zi->raw.prefixes[n].type == ZYDIS_PREFIX_TYPE_MANDATORY && !(size16 && zi->raw.prefixes[n].value == 0x66))
			x_byte(t, zi->raw.prefixes[n].value);
	unsigned rex = (zi->attributes & ZYDIS_ATTRIB_HAS_REX && zi->raw.rex.W ? 8u : 0) | (f->reg & 8) >> 1 | f->index << 1 |
		       f->base;
	if (rex || f->rex8)
		x_byte(t, 0x40 | rex);
	if (zi->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT && escape)
		x_byte(t, 0x0f);
	if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F38)
		x_byte(t, 0x38);
	if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
		x_byte(t, 0x3a);
	x_byte(t, opcode);
	put_operands(t, in, f);
}

static void put_vex(struct xtext *t, const struct xinsn *in, const struct form *f)
{
	const uint8_t *v = in->bytes + in->zi.raw.vex.offset;
	bool three = v[0] == 0xc4, escape = true;
	unsigned map = three ? v[1] & 0x1fu : 1, w = three ? v[2] & 0x80u : 0, lpp = v[three ? 2 : 1] & 7u;
	if (in->word != 8 && thunk_w_is_operand_size(&in->zi, f->gpr))
		w = 0;
	PUT(t, 0xc4, (f->reg & 8 ? 0 : 0x80) | (f->index ? 0 : 0x40) | (f->base ? 0 : 0x20) | map, w | (~f->vvvv & 15) << 3 | lpp,
	    thunk_plain_opcode(&in->zi, &escape));
	put_operands(t, in, f);
}

void xvec_encode(struct xtext *t, const struct xinsn *in, const uint8_t *host, const struct xaddr *a)
{
	if (thunk_is_x87(&in->zi)) {
		xvec_x87_encode(t, in, a);
		return;
	}
	struct form f = form_of(in, host, a);
	if (in->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		put_vex(t, in, &f);
	else
		put_legacy(t, in, &f);
}
