/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's paravirtual clock, for accelerators whose kernel does not provide it (Linux
 * Documentation/virt/kvm/x86/msr.rst and pvclock). All vCPUs share one (TSC, time) pair, so the stable flag holds.
 *
 * Threads: the MSR functions on the vCPU's thread; refreshing while the vCPUs are paused.
 */
#ifndef PANAL_ARCH_X86_PVCLOCK_H
#define PANAL_ARCH_X86_PVCLOCK_H

#include "base/err.h"

struct clock;
struct gmem;
struct pvclock;
struct vcpu;
struct vm;

struct pvclock_config {
	struct gmem *mem;
	const struct clock *clock; /* the machine clock */
	uint32_t tsc_khz;          /* 0 means host_tsc_khz() */
	/* The TSC of the machine now; NULL: machine_clock_tsc. A vCPU's own difference (tsc_offset) is added. */
	uint64_t (*tsc_now)(void *opaque);
	void *tsc_opaque;
	/* Nanoseconds since 1970 (UTC) now; NULL: the host's CLOCK_REALTIME. */
	int64_t (*utc_ns)(void *opaque);
	void *utc_opaque;
};

int pvclock_create(struct vm *vm, struct pvclock_config cfg, struct pvclock **out, struct err *e) ATTR_MUST_USE;

/* 0, -ENOENT (no such MSR), -EINVAL (that value may not be written). */
int pvclock_msr_read(struct pvclock *pc, const struct vcpu *v, uint32_t msr, uint64_t *value);
int pvclock_msr_write(struct pvclock *pc, const struct vcpu *v, uint32_t msr, uint64_t value);

/* Takes a new (TSC, time) pair and writes it to every vCPU that has the clock on: after the machine clock started
 * again. Done by run_state too. stopped: tell the guest that it stood still (its watchdogs forgive it). */
void pvclock_refresh(struct pvclock *pc, bool stopped);

#endif
