/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an accelerator is. Two exist: accel_kvm and accel_soft. Boards and devices never see which one runs; the
 * differences that a board must know are in struct accel_caps.
 */
#ifndef PANAL_CORE_ACCEL_H
#define PANAL_CORE_ACCEL_H

#include "arch/x86/regs.h"
#include "base/err.h"
#include "core/vcpu.h"

struct vm;

struct accel_caps {
	bool kernel_irqchip; /* local APICs, IOAPIC and PIC are in the kernel: the board makes none of its own */
	bool kernel_pit;
	bool kernel_clock;   /* kvmclock MSRs are handled by the kernel */
	bool irqfd;
	bool debug_int3; /* VCPU_POINT_BREAK needs an INT3 in guest memory: the debugger puts it there, and away */
};

struct accel_ops {
	const char *name; /* "kvm", "soft" */

	/* Can it be used on this host at all? 0, or a negative errno with the reason and the remedy. Quick. */
	int (*usable)(struct err *e);

	/* options: text of --accel after the name ("translate=off"), may be NULL. Fills *caps. Called from vm_create,
	 * memory is added to vm->mem later, before vm_prepare. */
	int (*vm_create)(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e);
	/* Memory is complete, vCPUs exist; nothing runs yet. */
	int (*vm_prepare)(struct vm *vm, struct err *e);
	void (*vm_destroy)(struct vm *vm);

	/* The CPUID rows that this accelerator can offer on this host, unmasked: features that it carries, host vendor
	 * and model. Returns the count. The board derives vcpu->cpuid from them. */
	int (*cpuid)(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e);

	/* On the main loop thread at creation; vcpu_run and the state calls come from the vCPU's thread, or with the
	 * vCPU parked. */
	int (*vcpu_create)(struct vcpu *v, struct err *e);
	void (*vcpu_destroy)(struct vcpu *v);
	enum vcpu_exit (*vcpu_run)(struct vcpu *v);
	/* Makes vcpu_run look at v->attention. Any thread, also while the vCPU has none; the bits are set before. */
	void (*vcpu_kick)(struct vcpu *v);
	int (*get_state)(struct vcpu *v, struct x86_state *s, struct err *e);
	int (*set_state)(struct vcpu *v, const struct x86_state *s, struct err *e);

	/* What a debugger wants the vCPU to stop for (vcpu_exit DEBUG). Called on the vCPU's
	 * thread, or with it parked, before v->debug changes; when
	 * it fails nothing has changed. May be NULL: no debugging. */
	int (*set_debug)(struct vcpu *v, const struct vcpu_debug *d, struct err *e);

	/* Only with caps.kernel_irqchip. gsi 0-23: IOAPIC pins; below 16 also the PICs' inputs. 0 and 2 are one line,
	 * the ISA timer's, which arrives at pin 2: the board's ACPI tables carry that override. */
	void (*irq_line)(struct vm *vm, int gsi, bool level);
	void (*msi)(struct vm *vm, uint64_t addr, uint32_t data);
	/* Only with caps.irqfd: an eventfd that raises this message. Negative errno when it cannot. */
	int (*irqfd_msi)(struct vm *vm, int event_fd, uint64_t addr, uint32_t data, bool add);

	/* The machine clock starts or stops with the vCPUs parked: TSC offsets and kernel clocks follow. May be NULL.
	 */
	void (*clock_changed)(struct vm *vm, bool running);
	/* Merges what vCPUs wrote into gmem's page flags. May be NULL. */
	void (*dirty_sync)(struct vm *vm, bool enable);
	/* Named counters for query-stats, beyond vcpu_stats. Calls emit for each. May be NULL. */
	void (*stats)(struct vm *vm, void (*emit)(void *opaque, const char *name, uint64_t value), void *opaque);
};

extern const struct accel_ops accel_kvm;
extern const struct accel_ops accel_soft;

const struct accel_caps *vm_accel_caps(const struct vm *vm);

#endif
