/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual processor: one thread that lets the accelerator run guest code until something happens.
 *
 * Attention: any thread may set bits in v->attention and kick. The accelerator looks at the bits at every return to
 * its run loop; the soft CPU looks at them between blocks (one load).
 */
#ifndef PANAL_CORE_VCPU_H
#define PANAL_CORE_VCPU_H

#include "arch/x86/regs.h"
#include "base/err.h"
#include <pthread.h>
#include <stdatomic.h>

struct vm;
struct vcpu;

enum vcpu_attention {
	VCPU_ATT_STOP = 1 << 0, /* leave guest code: pause, end, or work to run on this thread */
	VCPU_ATT_INTR = 1 << 1, /* the INTR line may have changed: ask chip->intr_pending */
	VCPU_ATT_NMI = 1 << 2,
	VCPU_ATT_SMI = 1 << 3,
	VCPU_ATT_INIT = 1 << 4,
	VCPU_ATT_SIPI = 1 << 5, /* vector in v->sipi_vector */
};

/* What accel_ops.vcpu_run returned for. */
enum vcpu_exit {
	VCPU_EXIT_ATTENTION, /* VCPU_ATT_STOP is set */
	VCPU_EXIT_HALTED,    /* HLT with nothing pending; the core waits for attention. Not under a kernel irqchip */
	VCPU_EXIT_SHUTDOWN,  /* triple fault */
	VCPU_EXIT_ERROR,     /* cannot go on; vm->fault is set */
	VCPU_EXIT_DEBUG,     /* something that v->debug asks for happened; v->debug_stop is set */
};

/* What a debugger wants to be told of. Points are at linear addresses. */
enum vcpu_point {
	VCPU_POINT_BREAK, /* before an instruction. With accel_caps.debug_int3 the debugger puts an INT3 there itself */
	VCPU_POINT_EXEC,  /* before an instruction, guest memory left alone */
	VCPU_POINT_WRITE, /* these three: after an instruction that touched one of the bytes */
	VCPU_POINT_READ,
	VCPU_POINT_ACCESS,
};
enum { VCPU_DEBUG_POINTS = 64 };
struct vcpu_debug {
	bool single_step; /* one instruction, interrupts held off */
	unsigned count;
	struct vcpu_debug_point {
		uint64_t addr;
		uint32_t len; /* bytes; 1 for BREAK and EXEC */
		enum vcpu_point kind;
	} point[VCPU_DEBUG_POINTS];
};
enum vcpu_debug_why { VCPU_DEBUG_NONE, VCPU_DEBUG_STEPPED, VCPU_DEBUG_POINT };
struct vcpu_debug_stop {
	enum vcpu_debug_why why;
	enum vcpu_point kind; /* of the point */
	uint64_t addr;
};

/*
 * What the board plugs into a vCPU: its local APIC and the MSRs of the platform. Called on the vCPU's thread by the
 * accelerator. Not used for the APIC when the accelerator has a kernel irqchip.
 */
struct vcpu_chip {
	/* Is an interrupt above the task priority asserted? */
	bool (*intr_pending)(void *opaque);
	/* Acknowledges it: the vector, or -1 when it went away. */
	int (*intr_ack)(void *opaque);
	/* CR8: bits 7:4 of the TPR. */
	uint8_t (*cr8_get)(void *opaque);
	void (*cr8_set)(void *opaque, uint8_t cr8);
	/* MSRs that the CPU itself does not keep: APIC base, x2APIC, TSC deadline, KVM clock. 0, or -ENOENT for an MSR
	 * that does not exist and -EINVAL for a value that may not be written (both give #GP). */
	int (*msr_read)(void *opaque, uint32_t msr, uint64_t *value);
	int (*msr_write)(void *opaque, uint32_t msr, uint64_t value);
	void *opaque;
};

struct vcpu {
	/* constant after vm_add_vcpu */
	struct vm *vm;
	unsigned index;
	uint32_t apic_id;
	void *accel_data; /* the accelerator's */

	/* set by the board before vm_start */
	const struct vcpu_chip *chip;
	const struct x86_cpuid *cpuid; /* sorted by leaf, subleaf; borrowed for the machine's life */
	unsigned cpuid_count;

	/* any thread */
	_Atomic unsigned attention; /* enum vcpu_attention bits */
	_Atomic uint8_t sipi_vector;
	/* The guest's TSC is ahead of the machine clock's by this (what the guest wrote); set by the vCPU thread of an
	 * accelerator without a kernel irqchip, else 0. */
	_Atomic uint64_t tsc_offset;

	/* counters for query-stats; written by the vCPU thread only */
	struct vcpu_stats {
		_Atomic uint64_t exits, halts, mmio, port_io, interrupts, instructions, assisted;
	} stats;

	/* The debugger's, none of it visible to the guest. debug: what the accelerator was last told;
	 * debug_stop: written by
	 * the accelerator before VCPU_EXIT_DEBUG, cleared by the debugger while the vCPU is parked; held: it
	 * stays parked
	 * when the machine goes on (main loop thread, machine paused). */
	struct vcpu_debug debug;
	struct vcpu_debug_stop debug_stop;
	bool held;

	/* core's own */
	pthread_t thread;
	_Atomic bool thread_started;
	_Atomic int tid;
	pthread_mutex_t lock; /* guards the wait below */
	pthread_cond_t wake;
	bool parked; /* outside guest code because VCPU_ATT_STOP was set */
	bool want_park, want_exit; /* why VCPU_ATT_STOP is set, beside work */
	struct vcpu_work *work;
};

/* The vCPU whose thread this is, or NULL on any other thread: for parts of which each vCPU has its own behind one
 * address (the local APIC's window). */
struct vcpu *vcpu_current(void);

/* Sets attention bits and makes the vCPU look at them soon, also out of a halt. Any thread. */
void vcpu_attend(struct vcpu *v, unsigned bits);
void vcpu_send_init(struct vcpu *v);
void vcpu_send_sipi(struct vcpu *v, uint8_t vector);
void vcpu_send_nmi(struct vcpu *v);

/* Runs fn on the vCPU's thread, outside guest code, and waits for it. When the thread does not exist yet it runs
 * here. Not from a vCPU thread other than its own. */
void vcpu_run_on(struct vcpu *v, void (*fn)(struct vcpu *v, void *arg), void *arg);

/* State in and out; the vCPU is paused, not started, or the caller is its thread. */
int vcpu_get_state(struct vcpu *v, struct x86_state *s, struct err *e) ATTR_MUST_USE;
int vcpu_set_state(struct vcpu *v, const struct x86_state *s, struct err *e) ATTR_MUST_USE;

/* Has the accelerator stop for these from the next entry on; copied. The vCPU is paused or not started. Errors:
 * -ENOTSUP (the accelerator cannot stop for such a point), -ENOSPC (more points than it has room for). */
int vcpu_set_debug(struct vcpu *v, const struct vcpu_debug *d, struct err *e) ATTR_MUST_USE;

/* The CPUID row for leaf and subleaf, or NULL. */
const struct x86_cpuid *vcpu_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf);

#endif
