/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft CPU without its run loop: executes a few instructions on a state that somebody else owns. KVM uses it for
 * instructions its own emulator lacks; the tests that compare against the silicon use it too.
 */
#ifndef PANAL_ACCEL_SOFT_STEP_H
#define PANAL_ACCEL_SOFT_STEP_H

#include "arch/x86/regs.h"
#include "base/err.h"

struct vcpu;
struct soft_step;

/* v: whose memory, regions, chip and CPUID are used; it may belong to any accelerator. */
int soft_step_create(struct soft_step **out, struct vcpu *v, struct err *e) ATTR_MUST_USE;
void soft_step_destroy(struct soft_step *p);
/* For tests: one whose blocks are translated at first sight. Takes over the watch of v's guest memory; soft_step_run
 * then goes on to an event or exception, whatever its count; what the TLB holds stays from one to the next. */
int soft_step_create_translating(struct soft_step **out, struct vcpu *v, struct err *e) ATTR_MUST_USE;

struct soft_cpu;
/* For tests: its processor. */
struct soft_cpu *soft_step_cpu(struct soft_step *p);

struct soft_step_result {
	unsigned executed; /* instructions retired */
	bool raised;       /* an exception came up; with deliver == false it is described here and s is as before the
	                      instruction (CR2 is set for a page fault); after it for a #DB trap. INT n, INT3 and INTO
	                      are no exceptions: they go through the IDT always */
	uint8_t vector;
	bool has_code;
	uint32_t code;
	bool halted, shutdown;
};

/* Runs at most `count` instructions from *s. deliver: exceptions go through the guest's IDT (and count as executed);
 * otherwise stop at the first. Interrupts are not taken. TLB contents do not survive between calls. */
void soft_step_run(struct soft_step *p, struct x86_state *s, unsigned count, bool deliver, struct soft_step_result *r);

/* One instruction, with delivery; where it is a vector instruction in kernel mode, up to `count` of the code that it
 * stands in: as long as the next vector instruction is at most `near` instructions away and none of them does more
 * than compute on registers and memory. */
void soft_step_run_vector(struct soft_step *p, struct x86_state *s, unsigned count, unsigned near,
			  struct soft_step_result *r);

#endif
