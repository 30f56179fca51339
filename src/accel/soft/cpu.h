/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft CPU: one struct per vCPU, and how instruction handlers speak to it.
 *
 * An instruction handler runs on the vCPU's thread, between two points at which the architectural state is whole. It
 * does all that can fault first and changes state afterwards; a fault leaves through cpu_fault* (a long jump to the
 * run loop), which finds RIP at the faulting instruction.
 *
 * RIP: s.rip is exact outside handlers only. Inside, use insn_rip / insn_next_rip; a handler that transfers control
 * calls cpu_jump and its instruction ends the block.
 */
#ifndef PANAL_ACCEL_SOFT_CPU_H
#define PANAL_ACCEL_SOFT_CPU_H

#include "accel/soft/insn.h"
#include "accel/soft/tlb.h"
#include "arch/x86/regs.h"
#include "base/compiler.h"
#include <setjmp.h>
#include <stdatomic.h>

struct vcpu;
struct vm;
struct soft_vm;
struct block;
struct gmem;
struct xlate;
struct xhash;
struct xblock;

/* What a decoded block depends on besides its bytes. Two modes that differ in any of these never share code. */
enum {
	MODE_CODE16 = 0, MODE_CODE32 = 1, MODE_CODE64 = 2, MODE_CODE_MASK = 3, /* default operand size of CS */
	MODE_SS32 = 1 << 2,      /* stack address size 32 (SS.B); 64-bit code implies a 64-bit stack */
	MODE_PROTECTED = 1 << 3, /* CR0.PE and not virtual-8086 */
	MODE_V86 = 1 << 4,
	MODE_USER = 1 << 5,      /* CPL 3 */
	MODE_LONG = 1 << 6,      /* EFER.LMA */
	MODE_TF = 1 << 7,        /* single step: blocks of one instruction */
	MODE_BREAK = 1 << 8,     /* DR7 has an enabled breakpoint: slow checks */
	MODE_FLAT = 1 << 9,      /* outside 64-bit code: CS, SS, DS, ES are base 0, limit 4 GiB, usable, DS/ES/SS writable */
	MODE_SEEN = 1 << 10,     /* user code whose accesses are checked for alignment */
	MODE_DEBUG = 1 << 12,    /* a debugger waits for something: debug.c */
};

enum { XPLACES = 16 };          /* soft_cpu.x_place */
enum { XPARTS = 6 };            /* decoded blocks that a translated one may be made of */
enum { XSAVE_COMPONENTS = 19 }; /* to AMX's, the last that XCR0 has bits for */

struct soft_cpu {
	struct x86_state s; /* live */

	/* derived from s by cpu_update_mode after any change of CR0, CR4, EFER, RFLAGS.VM/TF, CS, SS, DS, ES, DR7 */
	uint32_t mode; /* MODE_* */
	uint8_t cpl;
	uint8_t code_width;  /* 2, 4, 8 */
	uint8_t stack_width; /* 2, 4, 8 */
	uint64_t rip_mask;   /* 0xffffffff or all ones */

	/* the instruction under way */
	const struct insn *cur;
	uint64_t block_rip; /* RIP of the first byte of the block under way */
	uint64_t zero;      /* stays 0: the base or index of an address that has none */
	uint64_t next_rip;  /* where the block goes on, set by cpu_jump or by the loop */
	bool end_block;     /* a handler asks that the block ends after this instruction (mode or mapping changed) */
	bool in_guest;

	struct tlb tlb;

	/* where faults land: run loop's __builtin_setjmp buffer */
	void *fault_jmp[5];
	struct soft_fault {
		uint8_t vector;
		bool has_code;
		uint32_t code;
	} fault;

	struct vcpu *v; /* attention bits, chip, cpuid */
	struct vm *vm;
	struct soft_vm *sv; /* code cache, shared by the vCPUs of a machine */
	struct gmem *mem;
	void *thunk_state; /* thunk.c's per-vCPU data */

	uint64_t dr6_pending; /* debug traps due after the instruction under way (DR6 bits): event_after_insn */
	uint64_t shadow_rip;  /* the instruction that s.ev.sti_shadow covers: run_shadow */
	bool step_skip;       /* the instruction under way takes no single-step trap (INT n, SYSCALL) */

	/* the translator's part (xlate.c); NULL: everything is interpreted */
	struct xlate *xlate;
	struct xhash *x_hash; /* RIP -> translated code */
	struct xblock *x_cur; /* the one that was left last */
	/* FS and GS outside of 64-bit code: not 4 GiB that can be read and written. cpu_update_mode */
	uint8_t x_seg_odd[X86_GS + 1];
	uint8_t x_of;         /* OF while translated code runs; the other arithmetic flags are in s.rflags then too */
	uint8_t x_vec_live;    /* enum xvec_level; only while translated code runs */
	uint8_t x_x87;         /* x87 instructions may run; only while translated code runs, until C is called */
	uint32_t x_host_mxcsr; /* what C runs with */
	uint64_t x_linear;     /* an address or value that an instruction keeps for a moment */
	uint64_t x_host_gs;    /* base of GS outside of the run loop */
	uint64_t x_host_sp;    /* the host's stack when translated code was entered */
	uint64_t x_return_base; /* where the stack of the guest's calls begins there */
	/* The page of the stack that blocks check their stack accesses against: its linear address and what makes it the
	 * host's. Its write translation was in the TLB when C was called last, or looked up since. */
	struct xblock *x_far;      /* its instruction x_far_insn had better not use tlb.near; NULL: none */
	unsigned x_far_insn;
	uint64_t x_place[XPLACES]; /* addresses of the host's, within a block */
	uint64_t x_stack_page, x_stack_addend, x_stack_bad; /* bad: all ones when there is none, else 0 */
	uint32_t debug_mode;  /* MODE_DEBUG and, with watchpoints, MODE_BREAK: what the debugger adds to mode */

	uint64_t instructions; /* retired */
	/* Of these those that translated code retired in the second, third, ... stretch of its blocks, since it was entered:
	 * counters apart, so that additions do not wait for each other. */
	uint64_t x_count[XPARTS];
	uint64_t interpreted;  /* of these, by the interpreter's loop */
	/* TSC: guest = host_tsc + tsc_machine + tsc_offset. The first offset is the machine clock's, the same for all
	 * vCPUs and taken over at each entry (the clock stands while they are out); the second holds what the guest
	 * wrote to its TSC and IA32_TSC_ADJUST, and is shown in vcpu->tsc_offset. */
	uint64_t tsc_machine, tsc_offset;
	uint64_t phys_mask; /* physical address bits offered in CPUID */
	/* CPUID-derived gates, set by cpu_update_features from v->cpuid: what decoding and system handlers may offer */
	uint64_t cr4_allowed, xcr0_allowed, efer_allowed;

	/* fpstate.c: where XSAVE puts its components; asked for once, since CPUID may cost a trap */
	struct xsave_place {
		uint32_t at, size; /* size 0: none */
		bool align64;      /* in the compacted format */
	} xsave_place[XSAVE_COMPONENTS];
	bool xsave_known;
};

/* ---- faults: never return ---- */
ATTR_NORETURN ATTR_COLD void cpu_fault(struct soft_cpu *c, unsigned vector);                     /* no error code */
ATTR_NORETURN ATTR_COLD void cpu_fault_code(struct soft_cpu *c, unsigned vector, uint32_t code); /* with one */
ATTR_NORETURN ATTR_COLD void cpu_page_fault(struct soft_cpu *c, uint64_t linear, uint32_t code); /* sets CR2 */
#define cpu_gp0(c) cpu_fault_code((c), X86_GP, 0)
#define cpu_ud(c) cpu_fault((c), X86_UD)

/* ---- RIP ---- */
static inline uint64_t insn_rip(const struct soft_cpu *c, const struct insn *i)
{
	return (c->block_rip + i->off) & c->rip_mask;
}
static inline uint64_t insn_next_rip(const struct soft_cpu *c, const struct insn *i)
{
	return (c->block_rip + i->off + i->len) & c->rip_mask;
}
/* A near transfer: checks canonical form or CS limit (#GP(0)), sets next_rip, ends the block. */
void cpu_jump(struct soft_cpu *c, uint64_t rip);

/* ---- mode ---- */
void cpu_update_mode(struct soft_cpu *c);
void cpu_update_features(struct soft_cpu *c);
static inline bool cpu_code64(const struct soft_cpu *c) { return (c->mode & MODE_CODE_MASK) == MODE_CODE64; }
/* 32-bit code and stack in flat segments: what the translator knows besides 64-bit code. */
static inline bool mode_flat32(uint32_t mode)
{
	enum { NEEDED = MODE_CODE32 | MODE_SS32 | MODE_PROTECTED | MODE_FLAT };
	return (mode & (NEEDED | MODE_CODE_MASK)) == NEEDED;
}
static inline bool cpu_protected(const struct soft_cpu *c) { return c->mode & MODE_PROTECTED; }
static inline unsigned cpu_iopl(const struct soft_cpu *c) { return (c->s.rflags >> 12) & 3; }

/* ---- registers ---- */
/* reg numbers as in struct insn: 0-15, and REG_AH.. for the high bytes when width is 1 */
static inline uint64_t reg_get(const struct soft_cpu *c, unsigned reg, unsigned width)
{
	if (unlikely(reg >= REG_AH))
		return (c->s.gpr[reg - REG_AH] >> 8) & 0xff;
	switch (width) {
	case 1: return (uint8_t)c->s.gpr[reg];
	case 2: return (uint16_t)c->s.gpr[reg];
	case 4: return (uint32_t)c->s.gpr[reg];
	default: return c->s.gpr[reg];
	}
}
/* A 4-byte write zero-extends, 1 and 2 keep the rest, as the architecture does. */
static inline void reg_set(struct soft_cpu *c, unsigned reg, unsigned width, uint64_t v)
{
	uint64_t *g;
	if (unlikely(reg >= REG_AH)) {
		g = &c->s.gpr[reg - REG_AH];
		*g = (*g & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
		return;
	}
	g = &c->s.gpr[reg];
	switch (width) {
	case 1: *g = (*g & ~UINT64_C(0xff)) | (uint8_t)v; break;
	case 2: *g = (*g & ~UINT64_C(0xffff)) | (uint16_t)v; break;
	case 4: *g = (uint32_t)v; break;
	default: *g = v;
	}
}

#endif
