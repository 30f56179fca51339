/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system half of the soft CPU: segments, events, control registers, MSRs. Sources: SDM 3A chapters 2, 3, 5, 6, 7.
 */
#ifndef PANAL_ACCEL_SOFT_SYSTEM_H
#define PANAL_ACCEL_SOFT_SYSTEM_H

#include "accel/soft/cpu.h"

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
/* Single-step and data breakpoints after an instruction; raises #DB when due. */
void event_after_insn(struct soft_cpu *c, bool tf_before);

/* ---- segments (segment.c) ---- */
/* MOV/POP/Lxx of a selector, with all checks. seg is not CS. */
void segment_load(struct soft_cpu *c, unsigned seg, uint16_t sel);
void segment_load_real(struct soft_cpu *c, unsigned seg, uint16_t sel); /* real and V86 mode rules */

/* ---- control registers, MSRs (control.c, msr.c) ---- */
/* With all side effects (flushes, mode); #GP(0) for what may not be. */
void control_set_cr0(struct soft_cpu *c, uint64_t v);
void control_set_cr3(struct soft_cpu *c, uint64_t v);
void control_set_cr4(struct soft_cpu *c, uint64_t v);
int msr_get(struct soft_cpu *c, uint32_t msr, uint64_t *v); /* 0, or -1: #GP(0) */
int msr_set(struct soft_cpu *c, uint32_t msr, uint64_t v);
uint64_t tsc_now(struct soft_cpu *c);
/* Loads RFLAGS bits in `mask` from v and updates what depends on them (mode, AC, TF). */
void flags_load(struct soft_cpu *c, uint64_t v, uint64_t mask);

/* ---- fpu state (fpstate.c, thunk.c) ---- */
/* #NM / #UD / #MF checks that come before an x87, MMX, SSE or AVX instruction. */
void fpu_check_x87(struct soft_cpu *c, bool waits);
void fpu_check_mmx(struct soft_cpu *c);
void fpu_check_sse(struct soft_cpu *c);
void fpu_check_avx(struct soft_cpu *c);

#endif
