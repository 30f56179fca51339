/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Binds the instructions that run as host thunks, by instruction set, and runs those of general, MMX and vector
 * registers (x87: thunk_x87.c; masked memory: thunk_mask.c; AVX-512: thunk_evex.c).
 */
#include "accel/soft/thunk.h"
#include "accel/soft/thunk_cache.h"
#include "accel/soft/thunk_priv.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

/* ---- a vCPU's part ---- */

int thunk_vcpu_create(struct soft_cpu *c, struct err *e)
{
	int r = thunk_signal_install(e);

	if (r)
		return r;
	c->thunk_state = aligned_alloc(_Alignof(struct thunk_vcpu), sizeof(struct thunk_vcpu));
	if (!c->thunk_state)
		return err_set(e, -ENOMEM, "no memory for a vCPU's thunk state");
	memset(c->thunk_state, 0, sizeof(struct thunk_vcpu));
	/* Made now, because a sandbox may forbid it later. */
	r = codemem_create(&thunk_of(c)->scratch, THUNK_MAX, e);
	if (r)
		thunk_vcpu_destroy(c);
	return r;
}

void thunk_vcpu_destroy(struct soft_cpu *c)
{
	if (!c->thunk_state)
		return;
	thunk_fpu_sync(c);
	codemem_destroy(&thunk_of(c)->scratch);
	free(c->thunk_state);
	c->thunk_state = NULL;
}

/* ---- running ---- */

static bool is_one_access(unsigned size, unsigned sub)
{
	return size <= 8 && is_power_of_2(size) && !(sub & SUB_LOOSE);
}

void *thunk_stage_load(struct soft_cpu *c, uint64_t lin, unsigned size, unsigned sub)
{
	uint8_t *stage = thunk_of(c)->stage;

	/* What may be one device register is read by one access. */
	if (is_one_access(size, sub)) {
		uint64_t v = ld(c, lin, size);

		memcpy(stage, &v, sizeof(v));
	} else {
		ld_buf(c, lin, stage, size);
	}
	return stage;
}

void thunk_stage_store(struct soft_cpu *c, uint64_t lin, unsigned size, unsigned sub)
{
	const uint8_t *stage = thunk_of(c)->stage;

	if (is_one_access(size, sub)) {
		uint64_t v;

		memcpy(&v, stage, sizeof(v));
		st(c, lin, size, v);
	} else {
		st_buf(c, lin, stage, size);
	}
}

enum access { ACCESS_NONE, ACCESS_LOAD, ACCESS_STORE, ACCESSES };

enum { MXCSR_MASKS = 0x1f80, MXCSR_CONTROL = 0xffc0 };

ALWAYS_INLINE void execute(struct soft_cpu *c, thunk_code *code, void *mem, bool mxcsr)
{
	if (!mxcsr) {
		code(c, mem);
		return;
	}
	if (unlikely((c->s.fpu.mxcsr & (0xffff0000 | MXCSR_MASKS)) != MXCSR_MASKS))
		thunk_run_guarded(c, code, mem, true);
	else
		code(c, mem);
	/* The host's own code does not read the sticky flags, but it rounds. */
	if (unlikely((c->s.fpu.mxcsr & MXCSR_CONTROL) != MXCSR_MASKS))
		_mm_setcsr(MXCSR_MASKS);
}

ALWAYS_INLINE void run(struct soft_cpu *c, const struct insn *i, enum kind kind, enum access access, bool mxcsr)
{
	thunk_code *code = (thunk_code *)i->aux;
	void *mem = NULL;
	uint64_t lin = 0;

	thunk_check(c, kind);
	if (access != ACCESS_NONE) {
		lin = mem_addr(c, i, i->width, access == ACCESS_STORE);
		if (i->sub & SUB_ALIGN && unlikely(lin & (i->width - 1u)))
			cpu_gp0(c);
		mem = thunk_ram(c, lin, i->width, access == ACCESS_STORE);
	}
	if (access == ACCESS_LOAD && unlikely(!mem))
		mem = thunk_stage_load(c, lin, i->width, i->sub);
	/* VCVTPS2PH computes, with its exceptions and sticky flags, before it looks at memory. */
	if (access == ACCESS_STORE && !mxcsr && unlikely(!mem)) {
		if (kind == KIND_MMX) { /* processors are in MMX state by the time the store faults */
			uint8_t tags;

			thunk_fpu_sync(c);
			tags = c->s.fpu.ftw;
			thunk_mmx_enter(c);
			c->s.fpu.ftw = tags; /* but for the tags */
		}
		probe_write(c, lin, i->width);
	}
	if (kind == KIND_MMX || kind == KIND_MMX_SSE)
		thunk_x87_use(c);
	execute(c, code, access == ACCESS_STORE && !mem ? thunk_of(c)->stage : mem, mxcsr);
	if (access == ACCESS_STORE && unlikely(!mem))
		thunk_stage_store(c, lin, i->width, i->sub);
}

#define RUNNER(name, kind, access, mxcsr)                                                                             \
	static void name(struct soft_cpu *c, const struct insn *i)                                                    \
	{                                                                                                             \
		run(c, i, kind, access, mxcsr);                                                                       \
	}
RUNNER(fn_gpr, KIND_GPR, ACCESS_NONE, false)
RUNNER(fn_gpr_load, KIND_GPR, ACCESS_LOAD, false)
RUNNER(fn_gpr_store, KIND_GPR, ACCESS_STORE, false)
RUNNER(fn_sse, KIND_SSE, ACCESS_NONE, false)
RUNNER(fn_sse_load, KIND_SSE, ACCESS_LOAD, false)
RUNNER(fn_sse_store, KIND_SSE, ACCESS_STORE, false)
RUNNER(fn_sse_fp, KIND_SSE, ACCESS_NONE, true)
RUNNER(fn_sse_fp_load, KIND_SSE, ACCESS_LOAD, true)
RUNNER(fn_avx, KIND_AVX, ACCESS_NONE, false)
RUNNER(fn_avx_load, KIND_AVX, ACCESS_LOAD, false)
RUNNER(fn_avx_store, KIND_AVX, ACCESS_STORE, false)
RUNNER(fn_avx_fp, KIND_AVX, ACCESS_NONE, true)
RUNNER(fn_avx_fp_load, KIND_AVX, ACCESS_LOAD, true)
RUNNER(fn_avx_fp_store, KIND_AVX, ACCESS_STORE, true)
RUNNER(fn_mmx, KIND_MMX, ACCESS_NONE, false)
RUNNER(fn_mmx_load, KIND_MMX, ACCESS_LOAD, false)
RUNNER(fn_mmx_store, KIND_MMX, ACCESS_STORE, false)
RUNNER(fn_mmx_sse, KIND_MMX_SSE, ACCESS_NONE, false)
RUNNER(fn_mmx_sse_fp, KIND_MMX_SSE, ACCESS_NONE, true)
RUNNER(fn_mmx_sse_fp_load, KIND_MMX_SSE, ACCESS_LOAD, true)

/* NULL: no such instruction exists. */
static const insn_fn runner[KINDS][2][ACCESSES] = {
	[KIND_GPR] = { { fn_gpr, fn_gpr_load, fn_gpr_store } },
	[KIND_SSE] = { { fn_sse, fn_sse_load, fn_sse_store }, { fn_sse_fp, fn_sse_fp_load } },
	[KIND_AVX] = { { fn_avx, fn_avx_load, fn_avx_store }, { fn_avx_fp, fn_avx_fp_load, fn_avx_fp_store } },
	[KIND_MMX] = { { fn_mmx, fn_mmx_load, fn_mmx_store } },
	[KIND_MMX_SSE] = { { fn_mmx_sse }, { fn_mmx_sse_fp, fn_mmx_sse_fp_load } },
};

/* ---- instructions done in C ---- */

static void ldmxcsr(struct soft_cpu *c, const struct insn *i)
{
	uint32_t v = ld32(c, insn_linear(c, i, 4, false));

	if (v & 0xffff0000)
		cpu_gp0(c);
	c->s.fpu.mxcsr = v;
}

static void fn_ldmxcsr(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_sse(c);
	ldmxcsr(c, i);
}

static void fn_stmxcsr(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_sse(c);
	st32(c, insn_linear(c, i, 4, true), c->s.fpu.mxcsr);
}

static void fn_vldmxcsr(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_avx(c);
	ldmxcsr(c, i);
}

static void fn_vstmxcsr(struct soft_cpu *c, const struct insn *i)
{
	fpu_check_avx(c);
	st32(c, insn_linear(c, i, 4, true), c->s.fpu.mxcsr);
}

static void fn_vzeroupper(struct soft_cpu *c, const struct insn *i)
{
	unsigned count = cpu_code64(c) ? 16 : 8;

	thunk_check(c, KIND_AVX);
	for (unsigned n = 0; n < count; n++)
		memset(c->s.fpu.zmm[n] + 16, 0, 16);
	/* Bits 511:256 are in use only in a state that comes from a processor with AVX-512. */
	for (unsigned n = 0; unlikely(c->s.xcr0 & ZMM_STATE) && n < count; n++)
		memset(c->s.fpu.zmm[n] + 32, 0, 32);
}

static void fn_vzeroall(struct soft_cpu *c, const struct insn *i)
{
	thunk_check(c, KIND_AVX);
	memset(c->s.fpu.zmm, 0, 64 * (cpu_code64(c) ? 16 : 8));
}

static void fn_nop(struct soft_cpu *c, const struct insn *i)
{
}

/* CLFLUSH and its kin: checked as a read of one byte (SDM 2A); our caches are the host's, nothing to flush. */
static void fn_flush_line(struct soft_cpu *c, const struct insn *i)
{
	probe_read(c, insn_linear(c, i, 1, false), 1);
}

static insn_fn c_function(const struct insn_source *src)
{
	switch (src->zi->mnemonic) {
	case ZYDIS_MNEMONIC_LDMXCSR: return fn_ldmxcsr;
	case ZYDIS_MNEMONIC_STMXCSR: return fn_stmxcsr;
	case ZYDIS_MNEMONIC_VLDMXCSR: return fn_vldmxcsr;
	case ZYDIS_MNEMONIC_VSTMXCSR: return fn_vstmxcsr;
	case ZYDIS_MNEMONIC_VZEROUPPER: return fn_vzeroupper;
	case ZYDIS_MNEMONIC_VZEROALL: return fn_vzeroall;
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB: return fn_flush_line;
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2: return fn_nop;
	default: return NULL;
	}
}

/* ---- what is allowed ---- */

/* Instruction sets by Zydis, and what the host must have for them. The bits that the soft CPU offers in CPUID are a
 * part of these. LZCNT and TZCNT are not asked for: without them the encodings are BSR and BSF on host and guest. */
static const struct {
	uint16_t isa_set;
	uint8_t feature;
	bool vex; /* allowed in the VEX encoding only */
} allowed[] = {
	{ ZYDIS_ISA_SET_X87, HOST_ALWAYS, false },       { ZYDIS_ISA_SET_FCMOV, HOST_ALWAYS, false },
	{ ZYDIS_ISA_SET_PENTIUMMMX, HOST_ALWAYS, false }, { ZYDIS_ISA_SET_SSE, HOST_ALWAYS, false },
	{ ZYDIS_ISA_SET_SSE2, HOST_ALWAYS, false },      { ZYDIS_ISA_SET_SSE2MMX, HOST_ALWAYS, false },
	{ ZYDIS_ISA_SET_SSEMXCSR, HOST_ALWAYS, false },  { ZYDIS_ISA_SET_SSE3, HOST_SSE3, false },
	{ ZYDIS_ISA_SET_SSE3X87, HOST_SSE3, false },     { ZYDIS_ISA_SET_SSSE3, HOST_SSSE3, false },
	{ ZYDIS_ISA_SET_SSSE3MMX, HOST_SSSE3, false },   { ZYDIS_ISA_SET_SSE4, HOST_SSE41, false },
	{ ZYDIS_ISA_SET_SSE42, HOST_SSE42, false },      { ZYDIS_ISA_SET_POPCNT, HOST_POPCNT, false },
	{ ZYDIS_ISA_SET_AES, HOST_AES, false },          { ZYDIS_ISA_SET_PCLMULQDQ, HOST_PCLMUL, false },
	{ ZYDIS_ISA_SET_SHA, HOST_SHA, false },          { ZYDIS_ISA_SET_MOVBE, HOST_MOVBE, false },
	{ ZYDIS_ISA_SET_RDRAND, HOST_RDRAND, false },    { ZYDIS_ISA_SET_RDSEED, HOST_RDSEED, false },
	{ ZYDIS_ISA_SET_LZCNT, HOST_ALWAYS, false },     { ZYDIS_ISA_SET_ADOX_ADCX, HOST_ADX, false },
	{ ZYDIS_ISA_SET_BMI1, HOST_BMI1, false },        { ZYDIS_ISA_SET_BMI2, HOST_BMI2, true },
	{ ZYDIS_ISA_SET_AVX, HOST_AVX, true },           { ZYDIS_ISA_SET_AVX2, HOST_AVX2, true },
	{ ZYDIS_ISA_SET_AVX2GATHER, HOST_AVX2, true },   { ZYDIS_ISA_SET_FMA, HOST_FMA, true },
	{ ZYDIS_ISA_SET_F16C, HOST_F16C, true },         { ZYDIS_ISA_SET_AVXAES, HOST_AES, true },
	{ ZYDIS_ISA_SET_VAES, HOST_VAES, true },         { ZYDIS_ISA_SET_VPCLMULQDQ, HOST_VPCLMUL, true },
	{ ZYDIS_ISA_SET_GFNI, HOST_GFNI, false },        { ZYDIS_ISA_SET_AVX_GFNI, HOST_GFNI, true },
	{ ZYDIS_ISA_SET_SSE_PREFETCH, HOST_ALWAYS, false }, { ZYDIS_ISA_SET_PREFETCH_NOP, HOST_ALWAYS, false },
	{ ZYDIS_ISA_SET_PREFETCHWT1, HOST_ALWAYS, false }, { ZYDIS_ISA_SET_CLFSH, HOST_ALWAYS, false },
	{ ZYDIS_ISA_SET_CLFLUSHOPT, HOST_ALWAYS, false }, { ZYDIS_ISA_SET_CLWB, HOST_ALWAYS, false },
};

/* The same for EVEX instructions and those of opmask registers, which are VEX-encoded; HOST_AVX512 is always asked for. */
static const struct {
	uint16_t isa_set;
	uint8_t feature;
} allowed_512[] = {
	{ ZYDIS_ISA_SET_AVX512F_128, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512F_128N, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512F_256, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512F_512, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512F_KOP, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512F_SCALAR, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512BW_128, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512BW_128N, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512BW_256, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512BW_512, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512BW_KOP, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512DQ_128, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512DQ_128N, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512DQ_256, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512DQ_512, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512DQ_KOP, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512DQ_SCALAR, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512CD_128, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512CD_256, HOST_AVX512 }, { ZYDIS_ISA_SET_AVX512CD_512, HOST_AVX512 },
	{ ZYDIS_ISA_SET_AVX512_IFMA_128, HOST_IFMA }, { ZYDIS_ISA_SET_AVX512_IFMA_256, HOST_IFMA },
	{ ZYDIS_ISA_SET_AVX512_IFMA_512, HOST_IFMA }, { ZYDIS_ISA_SET_AVX512_VBMI_128, HOST_VBMI },
	{ ZYDIS_ISA_SET_AVX512_VBMI_256, HOST_VBMI }, { ZYDIS_ISA_SET_AVX512_VBMI_512, HOST_VBMI },
	{ ZYDIS_ISA_SET_AVX512_VBMI2_128, HOST_VBMI2 }, { ZYDIS_ISA_SET_AVX512_VBMI2_256, HOST_VBMI2 },
	{ ZYDIS_ISA_SET_AVX512_VBMI2_512, HOST_VBMI2 }, { ZYDIS_ISA_SET_AVX512_VNNI_128, HOST_VNNI },
	{ ZYDIS_ISA_SET_AVX512_VNNI_256, HOST_VNNI }, { ZYDIS_ISA_SET_AVX512_VNNI_512, HOST_VNNI },
	{ ZYDIS_ISA_SET_AVX512_BITALG_128, HOST_BITALG }, { ZYDIS_ISA_SET_AVX512_BITALG_256, HOST_BITALG },
	{ ZYDIS_ISA_SET_AVX512_BITALG_512, HOST_BITALG }, { ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128, HOST_VPOPCNTDQ },
	{ ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_256, HOST_VPOPCNTDQ }, { ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512, HOST_VPOPCNTDQ },
	{ ZYDIS_ISA_SET_AVX512_BF16_128, HOST_BF16 }, { ZYDIS_ISA_SET_AVX512_BF16_256, HOST_BF16 },
	{ ZYDIS_ISA_SET_AVX512_BF16_512, HOST_BF16 }, { ZYDIS_ISA_SET_AVX512_FP16_128, HOST_FP16 },
	{ ZYDIS_ISA_SET_AVX512_FP16_128N, HOST_FP16 }, { ZYDIS_ISA_SET_AVX512_FP16_256, HOST_FP16 },
	{ ZYDIS_ISA_SET_AVX512_FP16_512, HOST_FP16 }, { ZYDIS_ISA_SET_AVX512_FP16_SCALAR, HOST_FP16 },
	{ ZYDIS_ISA_SET_AVX512_GFNI_128, HOST_GFNI }, { ZYDIS_ISA_SET_AVX512_GFNI_256, HOST_GFNI },
	{ ZYDIS_ISA_SET_AVX512_GFNI_512, HOST_GFNI }, { ZYDIS_ISA_SET_AVX512_VAES_128, HOST_VAES },
	{ ZYDIS_ISA_SET_AVX512_VAES_256, HOST_VAES }, { ZYDIS_ISA_SET_AVX512_VAES_512, HOST_VAES },
	{ ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128, HOST_VPCLMUL }, { ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_256, HOST_VPCLMUL },
	{ ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512, HOST_VPCLMUL },
};

static bool is_allowed_512(const struct insn_source *src, const struct thunk_host *host)
{
	if (!(src->mode & MODE_PROTECTED) || !thunk_host_has(host, HOST_AVX512))
		return false;
	for (unsigned n = 0; n < COUNT_OF(allowed_512); n++)
		if (allowed_512[n].isa_set == src->zi->meta.isa_set)
			return thunk_host_has(host, allowed_512[n].feature);
	return false;
}

/* EVEX, or a VEX instruction on opmask registers. */
static bool is_512(const ZydisDecodedInstruction *zi)
{
	return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	       (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && (zi->meta.exception_class == ZYDIS_EXCEPTION_CLASS_K20 ||
								   zi->meta.exception_class == ZYDIS_EXCEPTION_CLASS_K21));
}

static bool is_allowed(const struct insn_source *src, const struct thunk_host *host)
{
	const ZydisDecodedInstruction *zi = src->zi;
	bool vex = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;

	if (zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && !vex)
		return false;
	/* No VEX in real and virtual-8086 mode (SDM 2A 2.3.5). */
	if (vex && !(src->mode & MODE_PROTECTED))
		return false;
	if (zi->meta.isa_ext == ZYDIS_ISA_EXT_X87) /* FCOMI and its kin count as PPRO */
		return true;
	for (unsigned n = 0; n < COUNT_OF(allowed); n++)
		if (allowed[n].isa_set == zi->meta.isa_set)
			return thunk_host_has(host, allowed[n].feature) && (vex || !allowed[n].vex);
	return false;
}

bool thunk_is_plain(const struct insn_source *src)
{
	const ZydisDecodedInstruction *zi = src->zi;

	return !is_512(zi) && is_allowed(src, thunk_cache_host(thunk_cache_of(src->sv)));
}

bool thunk_is_x87(const ZydisDecodedInstruction *zi)
{
	return zi->meta.isa_ext == ZYDIS_ISA_EXT_X87 || zi->meta.isa_set == ZYDIS_ISA_SET_SSE3X87 ||
	       zi->mnemonic == ZYDIS_MNEMONIC_FISTTP;
}

/* ---- binding ---- */

const ZydisDecodedOperand *thunk_mem_operand(const struct insn_source *src)
{
	for (unsigned n = 0; n < src->zi->operand_count; n++)
		if (src->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &src->op[n];
	return NULL;
}

/* The exception classes of SDM 2A 2.4 whose members obey MXCSR, and the five with MMX operands. */
bool thunk_uses_mxcsr(const ZydisDecodedInstruction *zi)
{
	switch (zi->meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_SSE2:
	case ZYDIS_EXCEPTION_CLASS_SSE3:
	case ZYDIS_EXCEPTION_CLASS_AVX2:
	case ZYDIS_EXCEPTION_CLASS_AVX3:
	case ZYDIS_EXCEPTION_CLASS_AVX11: return true;
	default: break;
	}
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_CVTPI2PS:
	case ZYDIS_MNEMONIC_CVTPS2PI:
	case ZYDIS_MNEMONIC_CVTTPS2PI:
	case ZYDIS_MNEMONIC_CVTPD2PI:
	case ZYDIS_MNEMONIC_CVTTPD2PI: return true;
	default: return false;
	}
}

static enum kind kind_of(const struct insn_source *src)
{
	bool mmx = false, vector = false;

	for (unsigned n = 0; n < src->zi->operand_count; n++) {
		const ZydisDecodedOperand *o = &src->op[n];
		ZydisRegisterClass k =
			o->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(o->reg.value) : ZYDIS_REGCLASS_INVALID;

		mmx |= k == ZYDIS_REGCLASS_MMX;
		vector |= k == ZYDIS_REGCLASS_XMM || k == ZYDIS_REGCLASS_YMM;
	}
	/* CVTPI2PS with a source in memory has nothing to do with MMX state. */
	if (src->zi->mnemonic == ZYDIS_MNEMONIC_EMMS)
		mmx = true;
	if (mmx)
		return vector || thunk_uses_mxcsr(src->zi) ? KIND_MMX_SSE : KIND_MMX;
	if (!vector && !thunk_uses_mxcsr(src->zi))
		return KIND_GPR; /* CVTSD2SI and its kin have no vector register when the source is in memory */
	return src->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? KIND_AVX : KIND_SSE;
}

bool thunk_is_loose(const ZydisDecodedInstruction *zi)
{
	return zi->mnemonic == ZYDIS_MNEMONIC_VCVTPH2PS || zi->mnemonic == ZYDIS_MNEMONIC_VCVTPS2PH;
}

bool thunk_must_align(const ZydisDecodedInstruction *zi, unsigned size)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA: return true;
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM: return false;
	default: return zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && size == 16;
	}
}

static bool bind_plain(struct insn *i, const struct insn_source *src, struct thunk_spec *spec)
{
	const ZydisDecodedOperand *mem = thunk_mem_operand(src);
	enum access access = ACCESS_NONE;

	spec->mxcsr = thunk_uses_mxcsr(src->zi);
	if (mem) {
		access = mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? ACCESS_STORE : ACCESS_LOAD;
		i->width = mem->size / 8;
		if (thunk_must_align(src->zi, i->width))
			i->sub |= SUB_ALIGN;
		if (thunk_is_loose(src->zi))
			i->sub |= SUB_LOOSE;
	}
	i->fn = runner[kind_of(src)][spec->mxcsr][access];
	return i->fn;
}

/* Fills i but for i->aux. False: #UD. *needs_code: i->aux is to be the thunk in *text. */
static bool bind(struct insn *i, const struct insn_source *src, const struct thunk_host *host, struct thunk_text *text,
		 bool *needs_code)
{
	struct thunk_spec spec = { .clear_upper = thunk_host_has(host, HOST_AVX512F) };
	bool ok;

	*needs_code = false;
	if (is_512(src->zi))
		return is_allowed_512(src, host) && thunk_evex_bind(i, src, text, needs_code);
	if (!is_allowed(src, host))
		return false;
	i->sub = 0;
	i->fn = c_function(src);
	if (i->fn)
		return true;
	if (thunk_mask_bind(i, src, &ok))
		return ok;
	if (thunk_move_bind(i, src))
		return true;
	*needs_code = true;
	if (thunk_is_x87(src->zi))
		ok = thunk_x87_bind(i, src, needs_code);
	else
		ok = bind_plain(i, src, &spec);
	return ok && (!*needs_code || thunk_emit(text, src, &spec));
}

/* ---- when the cache is full ---- */

enum { INSN_BYTES = 15 };
_Static_assert(offsetof(struct insn, aux) == offsetof(struct insn, imm) + 8, "imm and aux hold 16 bytes together");

static bool decode(const struct soft_cpu *c, const uint8_t *bytes, unsigned len, ZydisDecodedInstruction *zi,
		   ZydisDecodedOperand *op)
{
	ZydisDecoder d;

	switch (c->mode & MODE_CODE_MASK) {
	case MODE_CODE64: ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64); break;
	case MODE_CODE32: ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32); break;
	default:
		ZydisDecoderInit(&d, cpu_protected(c) ? ZYDIS_MACHINE_MODE_LONG_COMPAT_16 : ZYDIS_MACHINE_MODE_REAL_16,
				 ZYDIS_STACK_WIDTH_16);
	}
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, bytes, len, zi, op));
}

/* imm and aux hold the instruction's bytes: it is bound anew, into the vCPU's own piece of code memory. */
static void fn_uncached(struct soft_cpu *c, const struct insn *i)
{
	const struct codemem *m = &thunk_of(c)->scratch;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction zi;
	struct thunk_text text;
	uint8_t bytes[16];
	struct insn t = *i;
	struct insn_source src = { .zi = &zi, .op = op, .bytes = bytes, .mode = c->mode, .sv = c->sv };
	unsigned a, b, x, d;
	bool needs_code;

	memcpy(bytes, &i->imm, sizeof(bytes));
	if (!decode(c, bytes, i->len, &zi, op) ||
	    !bind(&t, &src, thunk_cache_host(thunk_cache_of(c->sv)), &text, &needs_code))
		cpu_ud(c);
	memcpy(m->rw, text.byte, text.len);
	/* Code that was changed through another mapping: serialize (SDM 3A 9.1.3). */
	__cpuid(0, a, b, x, d);
	t.aux = m->rx;
	t.fn(c, &t);
}

bool thunk_bind(struct insn *i, const struct insn_source *src, unsigned arg)
{
	struct thunk_cache *tc = thunk_cache_of(src->sv);
	struct insn before = *i;
	struct thunk_text text;
	bool needs_code;

	if (!bind(i, src, thunk_cache_host(tc), &text, &needs_code))
		return false;
	if (!needs_code)
		return true;
	i->aux = thunk_cache_get(tc, text.byte, text.len);
	if (i->aux)
		return true;
	*i = before;
	i->fn = fn_uncached;
	memset(&i->imm, 0, 16);
	memcpy(&i->imm, src->bytes, src->zi->length);
	return true;
}
