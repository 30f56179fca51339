/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The architectural state of one x86-64 processor, as data. Both accelerators speak in it: a state taken from
 * one can be set on the other. Layout follows the Intel SDM (volume 3, chapters 2, 3, 4, 13) and the AMD APM
 * (volume 2). It never goes to a file or a stream as a raw struct; saved state names each field.
 */
#ifndef PANAL_ARCH_X86_REGS_H
#define PANAL_ARCH_X86_REGS_H

#include <stdbool.h>
#include <stdint.h>

/* General registers in encoding order. */
enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI,
       X86_R8, X86_R9, X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15, X86_GPR_COUNT };

/* Segment registers in encoding order, then the two system segments. */
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_SEG_COUNT };

/* Segment attributes: the descriptor's bits 40-55, i.e. the layout of VMX access rights. */
enum {
	X86_AR_TYPE = 0xf,
	X86_AR_ACCESSED = 1 << 0,
	X86_AR_WRITABLE = 1 << 1, /* data; for code: readable */
	X86_AR_DOWN = 1 << 2,     /* data: expand down; for code: conforming */
	X86_AR_CODE = 1 << 3,
	X86_AR_S = 1 << 4, /* code or data; clear: system */
	X86_AR_DPL_SHIFT = 5,
	X86_AR_DPL = 3 << 5,
	X86_AR_P = 1 << 7,
	X86_AR_AVL = 1 << 12,
	X86_AR_L = 1 << 13,
	X86_AR_DB = 1 << 14,
	X86_AR_G = 1 << 15,
	X86_AR_UNUSABLE = 1 << 16, /* a null selector was loaded */
};

struct x86_seg {
	uint64_t base;
	uint32_t limit; /* in bytes, already scaled by G: the last valid offset */
	uint32_t attr;  /* X86_AR_* */
	uint16_t sel;
};

struct x86_table {
	uint64_t base;
	uint16_t limit;
};

enum {
	X86_FLAG_CF = 1 << 0, X86_FLAG_ONE = 1 << 1, X86_FLAG_PF = 1 << 2, X86_FLAG_AF = 1 << 4,
	X86_FLAG_ZF = 1 << 6, X86_FLAG_SF = 1 << 7, X86_FLAG_TF = 1 << 8, X86_FLAG_IF = 1 << 9,
	X86_FLAG_DF = 1 << 10, X86_FLAG_OF = 1 << 11, X86_FLAG_IOPL = 3 << 12, X86_FLAG_NT = 1 << 14,
	X86_FLAG_RF = 1 << 16, X86_FLAG_VM = 1 << 17, X86_FLAG_AC = 1 << 18, X86_FLAG_VIF = 1 << 19,
	X86_FLAG_VIP = 1 << 20, X86_FLAG_ID = 1 << 21,
	X86_FLAG_ARITH = X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF,
};

#define X86_CR0_PE (1u << 0)
#define X86_CR0_MP (1u << 1)
#define X86_CR0_EM (1u << 2)
#define X86_CR0_TS (1u << 3)
#define X86_CR0_ET (1u << 4)
#define X86_CR0_NE (1u << 5)
#define X86_CR0_WP (1u << 16)
#define X86_CR0_AM (1u << 18)
#define X86_CR0_NW (1u << 29)
#define X86_CR0_CD (1u << 30)
#define X86_CR0_PG (1u << 31)

#define X86_CR4_VME (1u << 0)
#define X86_CR4_PVI (1u << 1)
#define X86_CR4_TSD (1u << 2)
#define X86_CR4_DE (1u << 3)
#define X86_CR4_PSE (1u << 4)
#define X86_CR4_PAE (1u << 5)
#define X86_CR4_MCE (1u << 6)
#define X86_CR4_PGE (1u << 7)
#define X86_CR4_PCE (1u << 8)
#define X86_CR4_OSFXSR (1u << 9)
#define X86_CR4_OSXMMEXCPT (1u << 10)
#define X86_CR4_UMIP (1u << 11)
#define X86_CR4_LA57 (1u << 12)
#define X86_CR4_FSGSBASE (1u << 16)
#define X86_CR4_PCIDE (1u << 17)
#define X86_CR4_OSXSAVE (1u << 18)
#define X86_CR4_SMEP (1u << 20)
#define X86_CR4_SMAP (1u << 21)
#define X86_CR4_PKE (1u << 22)

#define X86_EFER_SCE (1u << 0)
#define X86_EFER_LME (1u << 8)
#define X86_EFER_LMA (1u << 10)
#define X86_EFER_NXE (1u << 11)

/* Exceptions, by vector. */
enum { X86_DE = 0, X86_DB = 1, X86_NMI = 2, X86_BP = 3, X86_OF = 4, X86_BR = 5, X86_UD = 6, X86_NM = 7,
       X86_DF = 8, X86_TS = 10, X86_NP = 11, X86_SS_FAULT = 12, X86_GP = 13, X86_PF = 14, X86_MF = 16,
       X86_AC = 17, X86_MC = 18, X86_XM = 19, X86_CP = 21 };

/* Page-fault error code. */
enum { X86_PF_P = 1, X86_PF_W = 2, X86_PF_U = 4, X86_PF_RSVD = 8, X86_PF_I = 16 };

/* The x87, SSE, AVX and AVX-512 registers. st[] is by stack position (ST0 first), as FXSAVE stores it. */
struct x86_fpu {
	_Alignas(64) uint8_t zmm[32][64]; /* XMM = low 16 bytes, YMM = low 32 */
	uint64_t k[8];                    /* opmask */
	uint8_t st[8][16];                /* 80-bit values in the low 10 bytes */
	uint64_t fip, fdp;                /* last instruction and operand; fcs/fds beside, for 32-bit forms */
	uint16_t fcs, fds, fop;
	uint16_t fcw, fsw;
	uint8_t ftw; /* abridged: bit n set = physical register n is not empty */
	uint32_t mxcsr;
	uint32_t pkru;
};

/* What is on its way into the processor and not visible in registers. */
struct x86_events {
	bool nmi_pending, nmi_blocked;
	bool smi_pending, smm;
	bool sti_shadow, movss_shadow; /* interrupts (and for movss, debug traps) held off for one instruction */
	bool exception_pending;        /* an exception that was raised and not yet delivered */
	uint8_t exception_vector;
	bool exception_has_code;
	uint32_t exception_code;
	bool interrupt_pending; /* an acknowledged external interrupt not yet delivered */
	uint8_t interrupt_vector;
	bool triple_fault;
};

/* How far the processor is from running. */
enum x86_mp { X86_MP_RUNNABLE, X86_MP_HALTED, X86_MP_WAIT_SIPI };

enum { X86_MTRR_VAR = 8, X86_MTRR_FIXED = 11 };

struct x86_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip, rflags;
	struct x86_seg seg[X86_SEG_COUNT];
	struct x86_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8; /* cr8 mirrors the local APIC's TPR */
	uint64_t dr[8];                   /* dr[4], dr[5] unused */
	uint64_t xcr0;

	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t apic_base, pat, misc_enable, mtrr_def, mtrr_fixed[X86_MTRR_FIXED];
	uint64_t mtrr_base[X86_MTRR_VAR], mtrr_mask[X86_MTRR_VAR];
	uint64_t tsc;        /* value at the moment the state was taken */
	uint64_t tsc_adjust, tsc_deadline;
	uint64_t xss, spec_ctrl, debugctl, mcg_status, mcg_ctl;

	struct x86_fpu fpu;
	struct x86_events ev;
	enum x86_mp mp;
};

/* One row of the CPUID table that a vCPU answers from. */
struct x86_cpuid {
	uint32_t leaf, subleaf;
	bool subleaf_matters;
	uint32_t eax, ebx, ecx, edx;
};
enum { X86_CPUID_MAX = 128 };

/* The state after power-on and RESET (is_bsp: the processor that starts; others wait for SIPI), SDM 3A table
 * 10-1. signature is what EDX holds: CPUID.1:EAX. */
void x86_state_reset(struct x86_state *s, bool is_bsp, uint32_t signature);
/* What INIT changes: everything but the FPU, MSRs named in SDM 3A 10.1, and CR0.CD/NW. */
void x86_state_init(struct x86_state *s, bool is_bsp, uint32_t signature);

#endif
