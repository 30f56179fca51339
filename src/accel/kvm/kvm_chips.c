/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel keeps for a machine beside the vCPU states (interrupt controllers, PIT, paravirtual clock), as one
 * device in the machine's attach list, so that reset, save and load reach it as they reach every other device.
 *
 * The power-on state is what the kernel gives right after creation; a reset sets it again. KVM's paravirtual
 * MSRs are cleared by a reset: the kernel would go on writing time and steal records into the new guest's memory.
 */
#include "accel/kvm/kvm.h"

#include "core/clock.h"
#include "core/dev.h"
#include "core/state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { CHIP_COUNT = 3 }; /* PIC master, PIC slave, IOAPIC */

static const uint32_t pv_msr[] = {
	0x4b564d00, 0x4b564d01, /* wall clock, system time */
	0x4b564d02,             /* asynchronous page faults */
	0x4b564d03,             /* steal time */
	0x4b564d04,             /* paravirtual EOI */
	0x4b564d05,             /* poll control, 1 after reset */
	0x4b564d06,             /* asynchronous page fault vector */
};
enum { PV_MSR_COUNT = COUNT_OF(pv_msr), PV_POLL_CONTROL = 5 };

struct chips {
	struct kvm_machine *m;
	struct chips_state {
		uint64_t kvmclock_ns;
		uint8_t irqchip[CHIP_COUNT][sizeof(struct kvm_irqchip)];
		uint8_t pit[sizeof(struct kvm_pit_state2)];
		uint8_t lapic[VCPU_MAX][sizeof(struct kvm_lapic_state)];
		uint64_t pv[VCPU_MAX * PV_MSR_COUNT];
	} state, power_on;
};

/* ---- between the kernel and struct chips_state ---- */

static void pv_get(struct kvm_cpu *k, uint64_t *value)
{
	for (unsigned n = 0; n < PV_MSR_COUNT; n++) {
		struct kvm_msr_entry entry = { .index = pv_msr[n] };
		value[n] = kvm_msrs_read(k, &entry, 1) == 1 ? entry.data : n == PV_POLL_CONTROL;
	}
}

/* A kernel without one of these MSRs refuses it: nothing is lost then. */
static void pv_set(struct kvm_cpu *k, const uint64_t *value)
{
	for (unsigned n = 0; n < PV_MSR_COUNT; n++) {
		struct kvm_msr_entry entry = { .index = pv_msr[n], .data = value[n] };
		(void)kvm_msrs_write(k, &entry, 1);
	}
}

static bool irqchips_copy(struct kvm_machine *m, struct chips_state *s, bool set)
{
	bool ok = true;
	for (uint32_t n = 0; n < CHIP_COUNT; n++) {
		struct kvm_irqchip chip = { .chip_id = n };
		if (set)
			memcpy(&chip, s->irqchip[n], sizeof(chip));
		chip.chip_id = n;
		ok &= ioctl(m->fd, set ? KVM_SET_IRQCHIP : KVM_GET_IRQCHIP, &chip) == 0;
		if (!set)
			memcpy(s->irqchip[n], &chip, sizeof(chip));
	}
	if (m->pit)
		ok &= ioctl(m->fd, set ? KVM_SET_PIT2 : KVM_GET_PIT2, s->pit) == 0;
	return ok;
}

static bool chips_copy(struct kvm_machine *m, struct chips_state *s, bool set)
{
	bool ok = !m->irqchip || irqchips_copy(m, s, set);
	for (unsigned n = 0; n < m->vm->vcpu_count; n++) {
		struct kvm_cpu *k = kvm_cpu_of(m->vm->vcpu[n]);
		if (m->irqchip)
			ok &= ioctl(k->fd, set ? KVM_SET_LAPIC : KVM_GET_LAPIC, s->lapic[n]) == 0;
		if (set)
			pv_set(k, &s->pv[n * PV_MSR_COUNT]);
		else
			pv_get(k, &s->pv[n * PV_MSR_COUNT]);
	}
	return ok;
}

/* ---- the device ---- */

/* The APIC base first: KVM reads the local APIC's registers by its mode, and power-on is xAPIC mode. */
static void apic_base_reset(struct kvm_machine *m)
{
	for (unsigned n = 0; n < m->vm->vcpu_count; n++) {
		struct kvm_sregs s;
		struct kvm_cpu *k = kvm_cpu_of(m->vm->vcpu[n]);
		if (ioctl(k->fd, KVM_GET_SREGS, &s) < 0)
			continue;
		/* leaving x2APIC mode goes through the disabled state (SDM 3A 10.12.5) */
		s.apic_base = UINT64_C(0xfee00000) | (n == 0 ? 0x100 : 0);
		(void)ioctl(k->fd, KVM_SET_SREGS, &s);
		s.apic_base |= 0x800;
		(void)ioctl(k->fd, KVM_SET_SREGS, &s);
	}
}

static void chips_reset(void *impl)
{
	struct chips *c = impl;
	if (c->m->irqchip)
		apic_base_reset(c->m);
	if (!chips_copy(c->m, &c->power_on, true))
		log_limited(&c->m->log_limit, LOG_WARNING,
			    "KVM refused part of the reset of its interrupt controllers");
}

static void chips_destroy(void *impl)
{
	free(impl);
}

static void chips_before_save(void *obj)
{
	struct chips *c = obj;
	(void)chips_copy(c->m, &c->state, false);
	c->state.kvmclock_ns = c->m->kvmclock_ns;
}

static int chips_after_load(void *obj, uint16_t version, struct err *e)
{
	struct chips *c = obj;
	if (!chips_copy(c->m, &c->state, true))
		return err_set(e, -EINVAL,
			       "KVM refuses the saved state of its interrupt controllers (saved by another kernel?)");
	c->m->kvmclock_ns = c->state.kvmclock_ns;
	return 0;
}

static const struct state_field chips_fields[] = {
	STATE_FIELD(struct chips, state.kvmclock_ns, STATE_U64),
	STATE_ARRAY(struct chips, state.irqchip, STATE_BYTES, sizeof(((struct chips_state *)0)->irqchip)),
	STATE_ARRAY(struct chips, state.pit, STATE_BYTES, sizeof(((struct chips_state *)0)->pit)),
	STATE_ARRAY(struct chips, state.lapic, STATE_BYTES, sizeof(((struct chips_state *)0)->lapic)),
	STATE_ARRAY(struct chips, state.pv, STATE_U64, VCPU_MAX * PV_MSR_COUNT),
	STATE_END,
};

static const struct state_desc chips_desc = {
	.name = "kvm-chips",
	.version = 1,
	.fields = chips_fields,
	.before_save = chips_before_save,
	.after_load = chips_after_load,
};

static const struct dev_type chips_type = {
	.name = "kvm-chips",
	.destroy = chips_destroy,
	.reset = chips_reset,
	.state = &chips_desc,
	.state_size = sizeof(struct chips),
};

int kvm_chips_attach(struct kvm_machine *m, struct err *e)
{
	struct chips *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "no memory for the state of KVM's interrupt controllers");
	c->m = m;
	(void)chips_copy(m, &c->power_on, false);
	m->kvmclock_ns = (uint64_t)clock_now(m->vm->clock);
	int r = dev_attach(m->vm, &chips_type, "kvm-chips", c, e);
	if (r < 0)
		free(c);
	return r;
}
