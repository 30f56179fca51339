/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the thunk files share. */
#ifndef PANAL_ACCEL_SOFT_THUNK_PRIV_H
#define PANAL_ACCEL_SOFT_THUNK_PRIV_H

#include "accel/soft/codemem.h"
#include "accel/soft/cpu.h"
#include "accel/soft/mem.h"
#include "accel/soft/system.h"
#include "accel/soft/thunk.h"
#include "accel/soft/thunk_emit.h"


enum { STAGE_SIZE = 128 /* more than the largest operand, 108 bytes */ };

/* A vCPU's part. */
struct thunk_vcpu {
	_Alignas(64) uint8_t stage[STAGE_SIZE]; /* a memory operand that is not plain RAM */
	_Alignas(64) uint8_t image[512];        /* FXSAVE area between the host's FPU and c->s.fpu */
	bool x87_live;                          /* the guest's x87 registers are in this thread's FPU */

	/* thunk_signal.c: the thunk under way that may raise an unmasked SIMD exception */
	const uint8_t *running;
	uint32_t fault_mxcsr;

	struct codemem scratch; /* one thunk, for instructions that found the cache full */
};

ALWAYS_INLINE struct thunk_vcpu *thunk_of(const struct soft_cpu *c)
{
	return c->thunk_state;
}

ALWAYS_INLINE struct thunk_cache *thunk_cache_of(const struct soft_vm *sv)
{
	return sv->thunk_shared;
}

/* struct insn's sub for thunks */
enum {
	SUB_ALIGN = 1 << 0, /* the operand must be aligned to its size */
	SUB_LOOSE = 1 << 1, /* its alignment is never checked, not even where all others' is */
};

/* ---- the checks before an instruction ---- */

enum kind { KIND_GPR, KIND_SSE, KIND_AVX, KIND_MMX, KIND_MMX_SSE, KINDS };

enum { AVX_STATE = 6 /* XCR0: SSE and AVX */, ZMM_STATE = 0xe0 };

/* The quick way past fpu_check_*, which tell what is wrong when something is. */
ALWAYS_INLINE void thunk_check(struct soft_cpu *c, enum kind kind)
{
	const struct x86_state *s = &c->s;

	if (kind == KIND_SSE || kind == KIND_MMX_SSE)
		if (unlikely((s->cr0 & (X86_CR0_EM | X86_CR0_TS)) || !(s->cr4 & X86_CR4_OSFXSR)))
			fpu_check_sse(c);
	if (kind == KIND_AVX)
		if (unlikely((s->cr0 & X86_CR0_TS) || !(s->cr4 & X86_CR4_OSXSAVE) ||
			     (s->xcr0 & AVX_STATE) != AVX_STATE || !(c->mode & MODE_PROTECTED)))
			fpu_check_avx(c);
	if (kind == KIND_MMX || kind == KIND_MMX_SSE)
		if (unlikely((s->cr0 & (X86_CR0_EM | X86_CR0_TS)) || (s->fpu.fsw & 0x80)))
			fpu_check_mmx(c);
}

/* ---- the memory operand ---- */

/* The host address of [lin, lin + size) when the TLB has it as plain RAM, else NULL. */
ALWAYS_INLINE void *thunk_ram(struct soft_cpu *c, uint64_t lin, unsigned size, bool write)
{
	return mem_hit(write ? c->tlb.wr : c->tlb.rd, lin, size);
}

/* Slow ways for what thunk_ram does not find. Reads go into the stage, whose address is returned. */
void *thunk_stage_load(struct soft_cpu *c, uint64_t lin, unsigned size, unsigned sub);
void thunk_stage_store(struct soft_cpu *c, uint64_t lin, unsigned size, unsigned sub);

/* ---- thunk_signal.c ---- */
/* Installs the SIGFPE and SIGILL handlers of the process, once. */
int thunk_signal_install(struct err *e) ATTR_MUST_USE;
/* Runs a thunk that may be cut short; raises #XM or #UD then. mxcsr: it works with the guest's MXCSR. */
void thunk_run_guarded(struct soft_cpu *c, thunk_code *code, void *mem, bool mxcsr);

/* ---- thunk_x87.c ---- */
/* Loads the guest's x87 registers into the host's FPU. */
void thunk_x87_load(struct soft_cpu *c);
ALWAYS_INLINE void thunk_x87_use(struct soft_cpu *c)
{
	if (unlikely(!thunk_of(c)->x87_live))
		thunk_x87_load(c);
}
/* Binds an x87 instruction. *needs_code: fn wants a thunk in i->aux. */
bool thunk_x87_bind(struct insn *i, const struct insn_source *src, bool *needs_code);
/* MMX instructions leave TOP 0 and all registers valid: the same done to c->s.fpu, for those that run in C. */
void thunk_mmx_enter(struct soft_cpu *c);

/* ---- thunk_evex.c ---- */
/* Binds an EVEX or opmask instruction. *needs_code: fn wants the thunk in *text in i->aux. */
bool thunk_evex_bind(struct insn *i, const struct insn_source *src, struct thunk_text *text, bool *needs_code);

/* ---- thunk_mask.c ---- */
/* Masked moves and gathers, which touch only some elements in memory. False: not one of them. *ok: it may be. */
bool thunk_mask_bind(struct insn *i, const struct insn_source *src, bool *ok);

/* ---- thunk_move.c ---- */
/* The commonest moves, in C because they need no thunk. False: not one of them. */
bool thunk_move_bind(struct insn *i, const struct insn_source *src);

/* ---- for the translator (xlate_vec.c) ---- */
/* Is it an instruction of thunks that this host may execute, and not AVX-512? */
bool thunk_is_plain(const struct insn_source *src);
bool thunk_is_x87(const ZydisDecodedInstruction *zi);
/* Does it obey MXCSR? */
bool thunk_uses_mxcsr(const ZydisDecodedInstruction *zi);
/* thunk_emit.c: the opcode to execute, and whether 66 is the operand size */
unsigned thunk_plain_opcode(const ZydisDecodedInstruction *zi, bool *escape);
/* VEX.W selects between general registers of 32 and 64 bits in 64-bit code only. gpr: one is an operand. */
bool thunk_w_is_operand_size(const ZydisDecodedInstruction *zi, bool gpr);
bool thunk_operand_size_16(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op);

/* ---- helpers of binding ---- */
/* SDM 2A, VCVTPH2PS and VCVTPS2PH: "do not report #AC". */
bool thunk_is_loose(const ZydisDecodedInstruction *zi);
/* #GP(0) when a memory operand of size bytes is not aligned to them. */
bool thunk_must_align(const ZydisDecodedInstruction *zi, unsigned size);
/* The instruction's memory operand (explicit, or implicit as MASKMOVQ's), or NULL. */
const ZydisDecodedOperand *thunk_mem_operand(const struct insn_source *src);

#endif
