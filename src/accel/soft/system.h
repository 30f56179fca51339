/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system half of the soft CPU: segments, events, control registers, MSRs. Sources: SDM 3A chapters 2, 3, 5, 6, 7.
 */
#ifndef PANAL_ACCEL_SOFT_SYSTEM_H
#define PANAL_ACCEL_SOFT_SYSTEM_H

#include "accel/soft/cpu.h"
#include "base/err.h"

/* ---- events (event.c) ---- */
enum event_kind { EVENT_FAULT /* exception */, EVENT_INTERRUPT /* external */, EVENT_NMI, EVENT_SOFT_INT /* INT n */,
                  EVENT_INT3_INTO /* INT3, INTO */, EVENT_INT1 };
/*
 * Delivers through the IVT, the 32-bit or the 64-bit IDT: stack switch, IST, task gates, error codes, conforming and
 * nested cases. s.rip is exact on entry (for EVENT_SOFT_INT and INT3/INTO it is the address after the instruction).
 * A fault during delivery becomes #DF or a triple fault by SDM table 6-5 (s.ev.triple_fault = true). Called from the
 * run loop with the fault buffer armed; ends with s.rip at the handler and cpu_update_mode done.
 */
void event_deliver(struct soft_cpu *c, enum event_kind kind, unsigned vector, bool has_code, uint32_t code);
/* The run loop's part for a caught fault (c->fault): sets RF, DR6 as needed, then event_deliver. */
void event_fault(struct soft_cpu *c);
/*
 * Debug traps after an instruction: single-step, data and I/O breakpoints, task switches; raises #DB when due. The run
 * loop calls it when MODE_TF or MODE_BREAK was in force before the instruction, and whenever c->dr6_pending is not 0.
 * s.rip is exact; with ev.movss_shadow set the traps wait for the next instruction.
 */
void event_after_insn(struct soft_cpu *c, bool tf_before);
/* Its first half: true when a #DB is due; DR6 and DR7 say so already. */
bool event_trap_due(struct soft_cpu *c, bool tf_before);
/* Before an instruction at s.rip under MODE_BREAK: an enabled instruction breakpoint raises #DB (cpu_fault) unless
 * RFLAGS.RF is set, which it clears. */
void event_before_insn(struct soft_cpu *c);
/* Under MODE_BREAK: the MMU's slow path tells every explicit data access; a hit is kept in c->dr6_pending. */
void event_data_access(struct soft_cpu *c, uint64_t lin, unsigned len, bool write);
/* debug.c: under MODE_DEBUG, watchpoints of the debugger; a hit is kept in v->debug_stop. */
void debug_data_access(struct soft_cpu *c, uint64_t lin, unsigned len, bool write);
/* IN, OUT and relatives: I/O breakpoints (CR4.DE). */
void event_io_access(struct soft_cpu *c, uint16_t port, unsigned len);
/* Before MOV to or from a debug register: #DB when DR7.GD is set. */
void event_general_detect(struct soft_cpu *c);
/*
 * What handlers leave for the run loop: STI sets ev.sti_shadow and MOV/POP SS ev.movss_shadow, both end the block; the
 * loop runs one more instruction with interrupts held off, then clears them. HLT sets s.mp = X86_MP_HALTED and ends
 * the block. A triple fault sets ev.triple_fault. IRET clears ev.nmi_blocked, delivery of an NMI sets it. Handlers
 * that deliver or switch tasks set next_rip from s.rip themselves.
 */

/* ---- shared mnemonics ---- */
/* MOV, PUSH and POP are one mnemonic for general, segment, control and debug registers; CALL, JMP and RET for near and
 * far (branch_type FAR): the move, stack and branch families hand over (insn_bind) when it is one of these. */
bool segment_bind_mov(struct insn *i, const struct insn_source *src, unsigned arg);  /* MOV to or from ES..GS */
bool segment_bind_push(struct insn *i, const struct insn_source *src, unsigned arg); /* PUSH ES..GS */
bool segment_bind_pop(struct insn *i, const struct insn_source *src, unsigned arg);  /* POP ES..GS */
bool control_bind_mov(struct insn *i, const struct insn_source *src, unsigned arg);  /* MOV to or from CRn, DRn */
bool far_bind_jmp(struct insn *i, const struct insn_source *src, unsigned arg);
bool far_bind_call(struct insn *i, const struct insn_source *src, unsigned arg);
bool far_bind_ret(struct insn *i, const struct insn_source *src, unsigned arg); /* RETF, RETF imm16 */

/* ---- segments (segment.c) ---- */
/* MOV/POP/Lxx of a selector, with all checks. seg is not CS. */
void segment_load(struct soft_cpu *c, unsigned seg, uint16_t sel);
/* The far pointer that is i's memory operand: the offset; *sel. */
uint64_t segment_read_pointer(struct soft_cpu *c, const struct insn *i, uint16_t *sel);
void segment_load_real(struct soft_cpu *c, unsigned seg, uint16_t sel); /* real and V86 mode rules */
/* The CPL is DPL of SS's attributes, also for a null SS in 64-bit mode (0 in real mode, 3 in V86 mode); CS.sel's RPL
 * agrees with it in protected mode. */

/* ---- control registers, MSRs (control.c, msr.c) ---- */
/* With all side effects (flushes, mode); #GP(0) for what may not be. */
void control_set_cr0(struct soft_cpu *c, uint64_t v);
void control_set_cr3(struct soft_cpu *c, uint64_t v);
void control_set_cr4(struct soft_cpu *c, uint64_t v);
int msr_get(struct soft_cpu *c, uint32_t msr, uint64_t *v); /* 0, or -1: #GP(0) */
int msr_set(struct soft_cpu *c, uint32_t msr, uint64_t v);
uint64_t tsc_now(struct soft_cpu *c);
void tsc_enter(struct soft_cpu *c); /* takes over the machine clock's offset */
void tsc_set_offset(struct soft_cpu *c, uint64_t offset);
/* Loads RFLAGS bits in `mask` from v and updates what depends on them (mode, AC, TF). */
void flags_load(struct soft_cpu *c, uint64_t v, uint64_t mask);

/* ---- fpu state (fpstate.c, thunk.c) ---- */
/* #NM / #UD / #MF checks that come before an x87, MMX, SSE or AVX instruction. */
void fpu_check_x87(struct soft_cpu *c, bool waits);
void fpu_check_mmx(struct soft_cpu *c);
void fpu_check_sse(struct soft_cpu *c);
void fpu_check_avx(struct soft_cpu *c);
/* Makes c->s.fpu current and the host's copy stale (thunk.c): before s.fpu is read or changed. */
void thunk_fpu_sync(struct soft_cpu *c);

/* Which XSAVE components are not in their initial state (XINUSE). */
uint64_t fpstate_in_use(struct soft_cpu *c);
/* Bytes of the XSAVE area for the components in mask, standard or compacted. */
uint32_t fpstate_size(struct soft_cpu *c, uint64_t mask, bool compacted);
/* One component as the soft CPU offers it (bytes 0: not at all): the host's own place of it. */
struct xsave_place fpstate_host_place(unsigned component);

/* ---- CPUID (features.c, soft_cpuid.c) ---- */
/* What the CPUID instruction gives now: the vCPU's row with the bits that follow the state (OSXSAVE, APIC id ...). */
bool features_vendor_amd(const struct soft_cpu *c);
void features_cpuid(struct soft_cpu *c, uint32_t leaf, uint32_t subleaf, struct x86_cpuid *out);
/* accel_ops.cpuid: what the soft CPU offers on this host. The board derives vcpu->cpuid from it. */
int soft_cpuid_rows(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e);

#endif
