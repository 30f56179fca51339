/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs, their bus, the IOAPIC and the PIC, wired as in a PC: messages and EOIs go round in it. */
#include "drive.h"

#include "arch/x86/gsi.h"
#include "arch/x86/ioapic.h"
#include "arch/x86/lapic.h"
#include "arch/x86/pic.h"

enum { CPUS = 3 };

struct target {
	struct rig r;
	struct apic_bus *bus;
	struct lapic *l[CPUS];
	struct msi_sink msi;
	struct gsi gsi;
};

static uint64_t tsc(void *opaque, const struct vcpu *v)
{
	struct target *t = opaque;
	return (uint64_t)t->r.vc.ns * 2;
}

static uint32_t msr_of(uint32_t a)
{
	if (a % 70 < 64)
		return 0x800 + a % 70;
	return a % 70 < 68 ? 0x1b : 0x6e0;
}

static void processor(struct target *t, unsigned n, uint32_t a, uint64_t b)
{
	const struct vcpu_chip *c = t->r.v[n]->chip;
	uint64_t v = 0;
	switch (a & 7) {
	case 0: lapic_mmio_write(t->l[n], (a >> 8) & 0xff0, b); break;
	case 1: lapic_mmio_read(t->l[n], (a >> 8) & 0xfff); break;
	case 2: c->msr_read(c->opaque, msr_of(a >> 8), &v); break;
	case 3:
		v = msr_of(a >> 8);
		c->msr_write(c->opaque, v, v == 0x1b && (a & 0x80) ? 0xfee00000 | (b & 0xd00) : b);
		break;
	case 4:
		if (c->intr_pending(c->opaque))
			c->intr_ack(c->opaque);
		break;
	case 5: c->intr_ack(c->opaque); break;
	case 6: c->cr8_set(c->opaque, b); break;
	case 7: lapic_mmio_write(t->l[n], 0xb0, 0); break;
	}
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct target *t = opaque;
	if ((a & 0x38) == 0x38)
		msi_send(&t->msi, 0xfee00000 | (b & 0xfffff), b >> 32);
	else
		processor(t, (a >> 3 & 7) % CPUS, a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t = {0};
	struct ioapic *io;
	struct pic *pic;
	rig_up(&t.r, CPUS);
	struct apic_bus_config cfg = {
		.timers = t.r.timers, .tsc_khz = 2000000, .tsc_now = tsc, .tsc_opaque = &t, .x2apic = true,
	};
	if (apic_bus_create(t.r.vm, cfg, &t.bus, NULL))
		__builtin_trap();
	for (unsigned n = 0; n < CPUS; n++) {
		struct lapic_config lc = {.bus = t.bus, .vcpu = t.r.v[n], .virtual_wire = !n};
		if (lapic_create(t.r.vm, lc, &t.l[n], NULL))
			__builtin_trap();
	}
	t.msi = apic_bus_msi(t.bus);
	if (ioapic_create(t.r.vm, (struct ioapic_config){.msi = t.msi}, &io, NULL) ||
	    pic_create(t.r.vm, (struct pic_config){.intr = apic_bus_lint0(t.bus)}, &pic, NULL))
		__builtin_trap();
	apic_bus_on_eoi(t.bus, ioapic_eoi, io);
	apic_bus_on_extint(t.bus, pic_ack, pic);
	struct fuzz_plan plan = {
		.range = {{REGION_MEMORY, 0xfec00000, 0x50}, {REGION_PORT, 0x20, 2}, {REGION_PORT, 0xa0, 2},
			  {REGION_PORT, 0x4d0, 2}, {REGION_MEMORY, 0xfee00000, 0x1000}},
		.ranges = 5, .other = other, .opaque = &t, .irqs = GSI_COUNT,
	};
	for (unsigned n = 0; n < GSI_COUNT; n++) {
		if (n < GSI_ISA)
			t.gsi.pic[n] = pic_pin(pic, n);
		t.gsi.ioapic[n] = ioapic_pin(io, n);
	}
	for (unsigned n = 0; n < GSI_COUNT; n++)
		plan.irq[n] = n ? gsi_wire(&t.gsi, n) : gsi_isa(&t.gsi, 0);
	fuzz_drive(&t.r, &plan, data, size);
	rig_down(&t.r);
	return 0;
}
