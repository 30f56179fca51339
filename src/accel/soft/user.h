/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User code by another engine: the soft CPU is the machine's processor, and hands 64-bit code at CPL 3 to somebody who
 * runs it faster (KVM, where that cannot run kernel code). What the engine cannot run, or must not, the soft CPU
 * executes: an exception, a system call, RDPMC. So the engine needs to know nothing of events.
 */
#ifndef PANAL_ACCEL_SOFT_USER_H
#define PANAL_ACCEL_SOFT_USER_H

#include "arch/x86/regs.h"

struct vcpu;

enum soft_user_result {
	SOFT_USER_STEP,      /* *s is before an instruction that the soft CPU executes; then ask again */
	SOFT_USER_TRAP,      /* *s is after an instruction that takes a single-step trap */
	SOFT_USER_ATTENTION, /* between two instructions, because v->attention is set */
	SOFT_USER_ERROR,     /* vm->fault is set */
};

struct soft_user {
	/*
	 * Runs user code from *s; what user code cannot change in it stays. user_gen: when it differs from the last
	 * call's, translations of user addresses may be stale. tsc_offset: what is added to the host's TSC. On the
	 * vCPU's thread.
	 */
	enum soft_user_result (*run)(void *opaque, struct x86_state *s, uint32_t user_gen, uint64_t tsc_offset);
	void *opaque;
	uint16_t cs, ss; /* code with other selectors is not handed out */
	/* The TSC that the engine's code sees cannot be chosen: the host's plus tsc_offset. Then it is the machine's. */
	bool tsc_fixed;
	uint64_t tsc_offset;
};

/* v: one of accel_soft's; before it runs. u: borrowed for the vCPU's life, or NULL. */
void soft_user_set(struct vcpu *v, const struct soft_user *u);

#endif
