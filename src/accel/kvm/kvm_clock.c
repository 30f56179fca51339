/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time that KVM keeps: each vCPU's TSC offset and kvmclock. Both stand while the machine clock stands.
 *
 * A vCPU's TSC is the machine's TSC (core/clock.h) plus a difference of its own, which starts at 0 and changes when
 * the guest writes the TSC or a state is set. The kernel's offset is read when the clock stops, so that what
 * the guest wrote is kept, and written for all vCPUs from one base when it starts, so that they agree exactly.
 *
 * Some kernels (those that virtualize without the processor's help) take an offset and ignore it: the guest then has
 * the host's TSC, which does not stand. The difference is read back after writing, so that the rest stays right.
 */
#include "accel/kvm/kvm.h"

#include "core/clock.h"
#include <sys/ioctl.h>
#include <x86intrin.h>

enum { MSR_TSC = 0x10 };

/* The local APIC's deadline timer and the paravirtual clock of ours reckon with it too. */
static void delta_set(struct kvm_cpu *k, uint64_t delta)
{
	k->tsc_delta = delta;
	atomic_store(&k->v->tsc_offset, delta);
}

static bool offset_read(struct kvm_cpu *k, uint64_t *offset)
{
	if (k->m->tsc_attr) {
		struct kvm_device_attr attr = {
			.group = KVM_VCPU_TSC_CTRL,
			.attr = KVM_VCPU_TSC_OFFSET,
			.addr = (uintptr_t)offset,
		};
		return ioctl(k->fd, KVM_GET_DEVICE_ATTR, &attr) == 0;
	}
	struct kvm_msr_entry tsc = { .index = MSR_TSC };
	if (kvm_msrs_read(k, &tsc, 1) != 1)
		return false;
	*offset = tsc.data - __rdtsc();
	return true;
}

static void offset_put(struct kvm_cpu *k, uint64_t offset)
{
	if (k->m->tsc_attr) {
		struct kvm_device_attr attr = {
			.group = KVM_VCPU_TSC_CTRL,
			.attr = KVM_VCPU_TSC_OFFSET,
			.addr = (uintptr_t)&offset,
		};
		if (ioctl(k->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
			return;
	}
	/* an older kernel: it takes writes that are close to each other as meant to be equal */
	struct kvm_msr_entry tsc = { .index = MSR_TSC, .data = __rdtsc() + offset };
	(void)kvm_msrs_write(k, &tsc, 1);
}

static void offset_write(struct kvm_cpu *k, uint64_t offset)
{
	uint64_t now = offset;
	offset_put(k, offset);
	if (!offset_read(k, &now))
		return;
	/* through the MSR the two readings are some cycles apart */
	uint64_t slack = k->m->tsc_attr ? 0 : 10000000;
	if (now - offset + slack > 2 * slack) {
		k->m->tsc_fixed = true;
		delta_set(k, now - k->m->tsc_offset);
	}
}

uint64_t kvm_clock_offset(struct kvm_cpu *k, uint64_t offset)
{
	uint64_t now = offset;
	offset_put(k, offset);
	return offset_read(k, &now) ? now : offset;
}

static void clock_stop(struct kvm_machine *m)
{
	struct kvm_clock_data c = { 0 };
	if (m->offer.adjust_clock && ioctl(m->fd, KVM_GET_CLOCK, &c) == 0)
		m->kvmclock_ns = c.clock;
	m->tsc_frozen = __rdtsc() + m->tsc_offset;
	for (unsigned n = 0; n < m->vm->vcpu_count; n++) {
		struct kvm_cpu *k = kvm_cpu_of(m->vm->vcpu[n]);
		uint64_t offset;
		if (offset_read(k, &offset))
			delta_set(k, offset - m->tsc_offset);
		/* Tells the guest's lockup watchdog; fails harmlessly where the guest uses no kvmclock. */
		if (m->offer.kvmclock_ctrl)
			(void)ioctl(k->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	m->clock_running = false;
}

static void clock_start(struct kvm_machine *m)
{
	m->tsc_offset = machine_clock_tsc_offset(m->vm->mclock);
	for (unsigned n = 0; n < m->vm->vcpu_count; n++) {
		struct kvm_cpu *k = kvm_cpu_of(m->vm->vcpu[n]);
		offset_write(k, m->tsc_offset + k->tsc_delta);
	}
	struct kvm_clock_data c = { .clock = m->kvmclock_ns };
	if (m->offer.adjust_clock)
		(void)ioctl(m->fd, KVM_SET_CLOCK, &c);
	m->clock_running = true;
}

void kvm_clock_changed(struct vm *vm, bool running)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	if (running && !m->clock_running)
		clock_start(m);
	else if (!running && m->clock_running)
		clock_stop(m);
}

uint64_t kvm_clock_tsc_get(struct kvm_cpu *k)
{
	struct kvm_machine *m = k->m;
	uint64_t offset;
	if (!m->clock_running)
		return m->tsc_frozen + k->tsc_delta;
	return offset_read(k, &offset) ? __rdtsc() + offset : 0;
}

void kvm_clock_tsc_set(struct kvm_cpu *k, uint64_t tsc)
{
	struct kvm_machine *m = k->m;
	if (!m->clock_running) {
		delta_set(k, tsc - m->tsc_frozen);
		return;
	}
	uint64_t offset = tsc - __rdtsc();
	delta_set(k, offset - m->tsc_offset);
	offset_write(k, offset); /* may correct tsc_delta */
}
