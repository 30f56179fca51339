/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/ioapic.h"
#include "arch/x86/lapic.h"
#include "arch/x86/pic.h"
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { TSC_KHZ = 2000000, BASE_MSR = 0x1b, DEADLINE_MSR = 0x6e0 };
enum { ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180,
       IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360,
       LVT_ERROR = 0x370, T_INIT = 0x380, T_COUNT = 0x390, T_DIV = 0x3e0 };

struct fix {
	struct rig r;
	struct apic_bus *bus;
	struct lapic *l[RIG_CPUS];
	const struct vcpu_chip *chip[RIG_CPUS];
	struct ioapic *io;
	struct msi_sink msi;
};

static uint64_t tsc(void *opaque, const struct vcpu *v)
{
	struct rig *r = opaque;
	return (uint64_t)r->vc.ns * (TSC_KHZ / 1000) / 1000;
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, RIG_CPUS);
	struct apic_bus_config cfg = {
		.timers = f.r.timers, .tsc_khz = TSC_KHZ, .tsc_now = tsc, .tsc_opaque = &f.r, .x2apic = true,
	};
	assert_int_equal(apic_bus_create(f.r.vm, cfg, &f.bus, NULL), 0);
	for (unsigned n = 0; n < RIG_CPUS; n++) {
		struct lapic_config lc = {.bus = f.bus, .vcpu = f.r.v[n], .virtual_wire = n == 0};
		assert_int_equal(lapic_create(f.r.vm, lc, &f.l[n], NULL), 0);
		f.chip[n] = f.r.v[n]->chip;
		lapic_mmio_write(f.l[n], SVR, 0x1ff);
	}
	f.msi = apic_bus_msi(f.bus);
	assert_int_equal(ioapic_create(f.r.vm, (struct ioapic_config){.msi = f.msi}, &f.io, NULL), 0);
	apic_bus_on_eoi(f.bus, ioapic_eoi, f.io);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static bool pending(struct fix *f, unsigned n) { return f->chip[n]->intr_pending(f->chip[n]->opaque); }
static int ack(struct fix *f, unsigned n) { return f->chip[n]->intr_ack(f->chip[n]->opaque); }
static void eoi(struct fix *f, unsigned n) { lapic_mmio_write(f->l[n], EOI, 0); }
static int wrmsr(struct fix *f, unsigned n, uint32_t msr, uint64_t v)
{
	return f->chip[n]->msr_write(f->chip[n]->opaque, msr, v);
}
static int rdmsr(struct fix *f, unsigned n, uint32_t msr, uint64_t *v)
{
	return f->chip[n]->msr_read(f->chip[n]->opaque, msr, v);
}
static unsigned attention(struct fix *f, unsigned n) { return atomic_exchange(&f->r.v[n]->attention, 0); }

/* Whose APIC has the vector, as bits; it is acknowledged and ended there. */
static unsigned takers(struct fix *f, int vector)
{
	unsigned who = 0;
	for (unsigned n = 0; n < RIG_CPUS; n++) {
		if (!pending(f, n))
			continue;
		assert_int_equal(ack(f, n), vector);
		eoi(f, n);
		who |= 1u << n;
	}
	return who;
}

static void registers_after_reset(void **state)
{
	struct fix *f = *state;
	uint64_t v;
	rig_reset(&f->r, "lapic1");
	assert_int_equal(lapic_mmio_read(f->l[1], ID), 1u << 24);
	assert_int_equal(lapic_mmio_read(f->l[1], 0x30), 0x01050014);
	assert_int_equal(lapic_mmio_read(f->l[1], SVR), 0xff);
	assert_int_equal(lapic_mmio_read(f->l[1], DFR), 0xffffffff);
	assert_int_equal(lapic_mmio_read(f->l[1], LVT_TIMER), 0x10000);
	rdmsr(f, 0, BASE_MSR, &v);
	assert_int_equal(v, 0xfee00900);
	rdmsr(f, 1, BASE_MSR, &v);
	assert_int_equal(v, 0xfee00800);
}

static void self_ipi_priority_and_eoi(void **state)
{
	struct fix *f = *state;
	attention(f, 0);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x41);
	assert_int_equal(attention(f, 0), VCPU_ATT_INTR);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x41);
	assert_int_equal(attention(f, 0), 0); /* nothing changed */
	assert_int_equal(lapic_mmio_read(f->l[0], IRR + 0x20), 1 << 1);
	assert_true(pending(f, 0));
	assert_int_equal(ack(f, 0), 0x41);
	assert_int_equal(lapic_mmio_read(f->l[0], ISR + 0x20), 1 << 1);
	assert_int_equal(lapic_mmio_read(f->l[0], PPR), 0x40);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x4f); /* same class waits */
	assert_false(pending(f, 0));
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x51); /* a higher class nests */
	assert_true(pending(f, 0));
	assert_int_equal(ack(f, 0), 0x51);
	eoi(f, 0);
	assert_int_equal(lapic_mmio_read(f->l[0], PPR), 0x40);
	assert_false(pending(f, 0));
	attention(f, 0);
	eoi(f, 0);
	assert_int_equal(attention(f, 0), VCPU_ATT_INTR);
	assert_int_equal(ack(f, 0), 0x4f);
	eoi(f, 0);
	assert_int_equal(ack(f, 0), -1);
}

static void task_priority_holds_back(void **state)
{
	struct fix *f = *state;
	f->chip[0]->cr8_set(f->chip[0]->opaque, 6);
	assert_int_equal(lapic_mmio_read(f->l[0], TPR), 0x60);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x61);
	assert_false(pending(f, 0));
	attention(f, 0);
	lapic_mmio_write(f->l[0], TPR, 0x5f);
	assert_int_equal(f->chip[0]->cr8_get(f->chip[0]->opaque), 5);
	assert_int_equal(attention(f, 0), VCPU_ATT_INTR);
	assert_int_equal(lapic_mmio_read(f->l[0], PPR), 0x5f);
	assert_int_equal(ack(f, 0), 0x61);
}

static void ipi(struct fix *f, uint32_t low, uint8_t dest)
{
	lapic_mmio_write(f->l[0], ICR2, (uint32_t)dest << 24);
	lapic_mmio_write(f->l[0], ICR, low);
}

static void destinations(void **state)
{
	struct fix *f = *state;
	ipi(f, 0x50, 2);
	assert_int_equal(takers(f, 0x50), 4);
	ipi(f, 0x50, 0xff);
	assert_int_equal(takers(f, 0x50), 0xf);
	ipi(f, 0xc0050, 0);
	assert_int_equal(takers(f, 0x50), 0xe);
	ipi(f, 0x80050, 0);
	assert_int_equal(takers(f, 0x50), 0xf);
	for (unsigned n = 0; n < RIG_CPUS; n++)
		lapic_mmio_write(f->l[n], LDR, 1u << (24 + n)); /* flat */
	ipi(f, 0x850, 0x0a);
	assert_int_equal(takers(f, 0x50), 0xa);
	for (unsigned n = 0; n < RIG_CPUS; n++) { /* clusters of two */
		lapic_mmio_write(f->l[n], DFR, 0x0fffffff);
		lapic_mmio_write(f->l[n], LDR, ((n / 2) << 4 | 1u << (n & 1)) << 24);
	}
	ipi(f, 0x850, 0x13);
	assert_int_equal(takers(f, 0x50), 0xc);
	ipi(f, 0x850, 0x02);
	assert_int_equal(takers(f, 0x50), 0x2);
	ipi(f, 0x850, 0xff);
	assert_int_equal(takers(f, 0x50), 0xf);
}

static void lowest_priority_picks_the_idlest(void **state)
{
	struct fix *f = *state;
	for (unsigned n = 0; n < RIG_CPUS; n++) {
		lapic_mmio_write(f->l[n], LDR, 1u << (24 + n));
		lapic_mmio_write(f->l[n], TPR, n == 2 ? 0x10 : 0x20);
	}
	for (unsigned n = 0; n < 4; n++) {
		ipi(f, 0x950, 0xff);
		assert_int_equal(takers(f, 0x50), 4);
	}
	lapic_mmio_write(f->l[2], TPR, 0x20); /* equals take turns */
	unsigned seen = 0;
	for (unsigned n = 0; n < 8; n++) {
		ipi(f, 0x950, 0xff);
		seen |= takers(f, 0x50);
	}
	assert_int_equal(seen, 0xf);
}

static void startup_sequence(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[1], TPR, 0x70);
	attention(f, 1);
	ipi(f, 0x4500, 1);
	assert_int_equal(attention(f, 1), VCPU_ATT_INIT);
	assert_false(pending(f, 1));
	assert_int_equal(lapic_mmio_read(f->l[1], TPR), 0); /* INIT resets the registers */
	assert_int_equal(lapic_mmio_read(f->l[1], SVR), 0xff);
	ipi(f, 0x8500, 1); /* level de-assert does nothing */
	assert_int_equal(attention(f, 1), 0);
	ipi(f, 0x4608, 1);
	assert_int_equal(attention(f, 1), VCPU_ATT_SIPI);
	assert_int_equal(f->r.v[1]->sipi_vector, 8);
	ipi(f, 0x400, 2);
	assert_int_equal(attention(f, 2), VCPU_ATT_NMI);
}

static void errors(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[0], LVT_ERROR, 0xfe);
	ipi(f, 0x05, 1);
	assert_int_equal(lapic_mmio_read(f->l[0], ESR), 0);
	lapic_mmio_write(f->l[0], ESR, 0);
	assert_int_equal(lapic_mmio_read(f->l[0], ESR), 0x20); /* send illegal vector */
	assert_int_equal(ack(f, 0), 0xfe);
	eoi(f, 0);
	msi_send(&f->msi, 0xfee01000, 0x0e);
	lapic_mmio_write(f->l[1], ESR, 0);
	assert_int_equal(lapic_mmio_read(f->l[1], ESR), 0x40); /* receive illegal vector */
	lapic_mmio_read(f->l[0], 0x3d0);
	lapic_mmio_write(f->l[0], ESR, 0);
	assert_int_equal(lapic_mmio_read(f->l[0], ESR), 0x80);
	lapic_mmio_write(f->l[0], ESR, 0);
	assert_int_equal(lapic_mmio_read(f->l[0], ESR), 0);
}

static void software_disable(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x40);
	lapic_mmio_write(f->l[0], SVR, 0xff);
	assert_int_equal(lapic_mmio_read(f->l[0], LVT_TIMER), 0x10040);
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x40);
	assert_int_equal(lapic_mmio_read(f->l[0], LVT_TIMER), 0x10040);
	ipi(f, 0x50, 0);
	assert_false(pending(f, 0));
}

static void timer_one_shot(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x40);
	lapic_mmio_write(f->l[0], T_DIV, 0x3); /* by 16 */
	lapic_mmio_write(f->l[0], T_INIT, 1000); /* at 1 GHz: 16 us */
	rig_advance(&f->r, 8000);
	assert_int_equal(lapic_mmio_read(f->l[0], T_COUNT), 500);
	assert_false(pending(f, 0));
	rig_advance(&f->r, 8000);
	assert_int_equal(lapic_mmio_read(f->l[0], T_COUNT), 0);
	assert_int_equal(takers(f, 0x40), 1);
	rig_advance(&f->r, 1000000);
	assert_false(pending(f, 0));
	lapic_mmio_write(f->l[0], T_DIV, 0xb); /* by 1 */
	lapic_mmio_write(f->l[0], T_INIT, 100000);
	rig_advance(&f->r, 50000);
	lapic_mmio_write(f->l[0], T_INIT, 0); /* stops it */
	rig_advance(&f->r, 1000000);
	assert_false(pending(f, 0));
}

static void timer_periodic(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[1], LVT_TIMER, 0x20040);
	lapic_mmio_write(f->l[1], T_DIV, 0xb);
	lapic_mmio_write(f->l[1], T_INIT, 1000000); /* 1 ms */
	for (unsigned n = 0; n < 10; n++) {
		rig_advance(&f->r, 1000000);
		assert_int_equal(takers(f, 0x40), 2);
	}
	rig_advance(&f->r, 250000);
	assert_int_equal(lapic_mmio_read(f->l[1], T_COUNT), 750000);
	lapic_mmio_write(f->l[1], LVT_TIMER, 0x30040); /* masked: counts on in silence */
	rig_advance(&f->r, 5000000);
	assert_false(pending(f, 1));
	assert_int_equal(lapic_mmio_read(f->l[1], T_COUNT), 750000);
	lapic_mmio_write(f->l[1], LVT_TIMER, 0x20040);
	rig_advance(&f->r, 750000);
	assert_int_equal(takers(f, 0x40), 2);
	lapic_mmio_write(f->l[1], T_INIT, 1); /* a hostile rate is slowed down, not served */
	rig_advance(&f->r, 10000000);
	assert_int_equal(takers(f, 0x40), 2);
}

static void timer_tsc_deadline(void **state)
{
	struct fix *f = *state;
	uint64_t v;
	assert_int_equal(wrmsr(f, 0, DEADLINE_MSR, 5000), 0); /* not in that mode: ignored */
	rdmsr(f, 0, DEADLINE_MSR, &v);
	assert_int_equal(v, 0);
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x40040);
	wrmsr(f, 0, DEADLINE_MSR, tsc(&f->r, NULL) + 2000000); /* 1 ms at 2 GHz */
	rig_advance(&f->r, 999000);
	assert_false(pending(f, 0));
	rig_advance(&f->r, 1100);
	assert_int_equal(takers(f, 0x40), 1);
	rdmsr(f, 0, DEADLINE_MSR, &v);
	assert_int_equal(v, 0);
	wrmsr(f, 0, DEADLINE_MSR, 1); /* in the past: at once */
	rig_advance(&f->r, 0);
	assert_int_equal(takers(f, 0x40), 1);
	wrmsr(f, 0, DEADLINE_MSR, tsc(&f->r, NULL) + 2000000);
	wrmsr(f, 0, DEADLINE_MSR, 0);
	rig_advance(&f->r, 5000000);
	assert_false(pending(f, 0));
	wrmsr(f, 0, DEADLINE_MSR, tsc(&f->r, NULL) + 2000000);
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x40); /* leaving the mode disarms */
	rig_advance(&f->r, 5000000);
	assert_false(pending(f, 0));
}

static void x2apic_mode(void **state)
{
	struct fix *f = *state;
	uint64_t v;
	assert_int_equal(rdmsr(f, 0, 0x802, &v), -ENOENT);
	assert_int_equal(wrmsr(f, 0, BASE_MSR, 0xfee00500), -EINVAL); /* EXTD without EN */
	for (unsigned n = 0; n < RIG_CPUS; n++)
		assert_int_equal(wrmsr(f, n, BASE_MSR, 0xfee00c00), 0);
	assert_int_equal(wrmsr(f, 3, BASE_MSR, 0xfee00800), -EINVAL); /* not straight back */
	rdmsr(f, 3, 0x802, &v);
	assert_int_equal(v, 3);
	rdmsr(f, 3, 0x80d, &v);
	assert_int_equal(v, 8);
	assert_int_equal(wrmsr(f, 3, 0x80d, 8), -ENOENT); /* read only */
	assert_int_equal(wrmsr(f, 0, 0x80b, 1), -EINVAL);
	assert_int_equal(rdmsr(f, 0, 0x80b, &v), -ENOENT);
	assert_int_equal(wrmsr(f, 0, 0x830, UINT64_C(3) << 32 | 0x60), 0);
	assert_true(pending(f, 3));
	assert_int_equal(ack(f, 3), 0x60);
	assert_int_equal(wrmsr(f, 3, 0x80b, 0), 0);
	assert_int_equal(wrmsr(f, 0, 0x830, UINT64_C(0x0000000a) << 32 | 0x860), 0); /* logical, cluster 0 */
	assert_false(pending(f, 0));
	assert_true(pending(f, 1));
	assert_true(pending(f, 3));
	assert_int_equal(wrmsr(f, 0, 0x830, UINT64_C(0xffffffff) << 32 | 0x61), 0);
	assert_true(pending(f, 2));
	assert_int_equal(wrmsr(f, 0, 0x83f, 0x70), 0); /* self IPI */
	assert_int_equal(ack(f, 0), 0x70);
	assert_int_equal(wrmsr(f, 0, 0x808, 0x100), -EINVAL);
	assert_int_equal(rdmsr(f, 0, 0x123, &v), -ENOENT);
	assert_int_equal(wrmsr(f, 0, BASE_MSR, 0xfee00000), 0); /* off */
	assert_int_equal(wrmsr(f, 0, BASE_MSR, 0xfee00900), 0); /* and on as xAPIC */
	assert_int_equal(lapic_mmio_read(f->l[0], SVR), 0xff);
}

static void msi_messages(void **state)
{
	struct fix *f = *state;
	msi_send(&f->msi, 0xfee02000, 0x4055);
	assert_int_equal(takers(f, 0x55), 4);
	for (unsigned n = 0; n < RIG_CPUS; n++)
		lapic_mmio_write(f->l[n], LDR, 1u << (24 + n));
	msi_send(&f->msi, 0xfee0300c, 0x0155); /* logical, lowest priority: one of two */
	unsigned who = takers(f, 0x55);
	assert_true(who == 1 || who == 2);
	msi_send(&f->msi, 0x1000, 0x55); /* not an APIC */
	msi_send(&f->msi, UINT64_C(0x1fee00000), 0x55);
	assert_int_equal(takers(f, 0x55), 0);
}

static void extint_through_lint0(void **state)
{
	struct fix *f = *state;
	struct pic *pic;
	assert_int_equal(pic_create(f->r.vm, (struct pic_config){.intr = apic_bus_lint0(f->bus)}, &pic, NULL), 0);
	apic_bus_on_extint(f->bus, pic_ack, pic);
	rig_out(&f->r, 0x20, 1, 0x11), rig_out(&f->r, 0x21, 1, 0x30), rig_out(&f->r, 0x21, 1, 4), rig_out(&f->r, 0x21,
		1, 1);
	lapic_mmio_write(f->l[0], LVT_LINT0, 0x700);
	attention(f, 0);
	struct irq q = pic_pin(pic, 1);
	irq_set(&q, true);
	assert_int_equal(attention(f, 0), VCPU_ATT_INTR);
	lapic_mmio_write(f->l[0], TPR, 0xff); /* ExtINT does not ask the TPR */
	assert_true(pending(f, 0));
	assert_false(pending(f, 1));
	assert_int_equal(ack(f, 0), 0x31);
	assert_false(pending(f, 0));
	rig_out(&f->r, 0x20, 1, 0x20);
	lapic_mmio_write(f->l[0], LVT_LINT0, 0x10700);
	irq_set(&q, false), irq_set(&q, true);
	assert_false(pending(f, 0));
	wrmsr(f, 1, BASE_MSR, 0xfee00000); /* a switched-off APIC is a wire */
	assert_true(pending(f, 1));
	assert_int_equal(ack(f, 1), 0x31);
}

static void nmi_through_lint1(void **state)
{
	struct fix *f = *state;
	struct irq button = apic_bus_lint1(f->bus);
	lapic_mmio_write(f->l[0], LVT_LINT1, 0x400);
	attention(f, 0), attention(f, 1);
	irq_pulse(&button);
	assert_int_equal(attention(f, 0), VCPU_ATT_NMI);
	assert_int_equal(attention(f, 1), 0);
}

static void io_write(struct fix *f, unsigned reg, uint32_t v)
{
	rig_store(&f->r, 0xfec00000, 4, reg);
	rig_store(&f->r, 0xfec00010, 4, v);
}

static uint32_t io_read(struct fix *f, unsigned reg)
{
	rig_store(&f->r, 0xfec00000, 4, reg);
	return rig_load(&f->r, 0xfec00010, 4);
}

static void ioapic_edge(void **state)
{
	struct fix *f = *state;
	struct irq pin = ioapic_pin(f->io, 4);
	assert_int_equal(io_read(f, 1), 0x00170020);
	irq_set(&pin, true);
	irq_set(&pin, false); /* masked after reset: lost */
	io_write(f, 0x19, 2u << 24);
	io_write(f, 0x18, 0x44);
	assert_int_equal(takers(f, 0x44), 0);
	irq_set(&pin, true);
	assert_int_equal(takers(f, 0x44), 4);
	irq_set(&pin, true);
	assert_int_equal(takers(f, 0x44), 0);
	irq_set(&pin, false), irq_set(&pin, true);
	assert_int_equal(takers(f, 0x44), 4);
}

static void ioapic_level(void **state)
{
	struct fix *f = *state;
	struct irq pin = ioapic_pin(f->io, 17);
	io_write(f, 0x33, 1u << 24);
	io_write(f, 0x32, 0x8000 | 0x2000 | 0x66);
	irq_set(&pin, true);
	assert_int_equal(io_read(f, 0x32) & 0x4000, 0x4000);
	assert_int_equal(ack(f, 1), 0x66);
	assert_int_equal(lapic_mmio_read(f->l[1], TMR + 0x30), 1 << 6);
	eoi(f, 1); /* still asserted: comes again */
	assert_true(pending(f, 1));
	assert_int_equal(ack(f, 1), 0x66);
	irq_set(&pin, false);
	eoi(f, 1);
	assert_false(pending(f, 1));
	assert_int_equal(io_read(f, 0x32) & 0x4000, 0);
	lapic_mmio_write(f->l[1], SVR, 0x11ff); /* no EOI broadcast: the IOAPIC is told by its register */
	irq_set(&pin, true);
	assert_int_equal(ack(f, 1), 0x66);
	eoi(f, 1);
	assert_false(pending(f, 1));
	rig_store(&f->r, 0xfec00040, 4, 0x66);
	assert_true(pending(f, 1));
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	lapic_mmio_write(f->l[0], LVT_TIMER, 0x20040);
	lapic_mmio_write(f->l[0], T_DIV, 0xb);
	lapic_mmio_write(f->l[0], T_INIT, 1000000);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x81);
	ack(f, 0);
	lapic_mmio_write(f->l[0], ICR, 0x40000 | 0x71);
	lapic_mmio_write(f->l[0], TPR, 0x20);
	rig_advance(&f->r, 250000);
	rig_state_round_trip(&f->r, "lapic0");
	assert_false(pending(f, 0));
	assert_int_equal(lapic_mmio_read(f->l[0], T_COUNT), 750000);
	eoi(f, 0);
	assert_int_equal(ack(f, 0), 0x71);
	eoi(f, 0);
	rig_advance(&f->r, 750000);
	assert_int_equal(takers(f, 0x40), 1);
	io_write(f, 0x18, 0x44);
	rig_state_round_trip(&f->r, "ioapic0");
	assert_int_equal(io_read(f, 0x18), 0x44);
}

/* Without a vCPU thread nobody's window answers. */
static void window_needs_a_vcpu(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_load(&f->r, 0xfee00030, 4), 0xffffffff);
	assert_int_equal(wrmsr(f, 1, BASE_MSR, 0xd0000800), 0); /* moved */
	assert_true(region_present(f->r.vm->regions, REGION_MEMORY, 0xd0000030));
	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(wrmsr(f, 1, BASE_MSR, 0xc0000800 + n * 0x1000), 0); /* a bounded number of windows */
}

static void use_window(struct vcpu *v, void *arg)
{
	struct fix *f = arg;
	assert_ptr_equal(vcpu_current(), v);
	assert_int_equal(rig_load(&f->r, 0xfee00020, 4), v->index << 24); /* each sees its own */
	assert_int_equal(rig_load(&f->r, 0xfee00021, 1), 0);
	rig_store(&f->r, 0xfee00080, 4, 0x10 * v->index);
	rig_store(&f->r, 0xfee00080, 2, 0xff); /* too narrow: dropped */
	assert_int_equal(rig_load(&f->r, 0xfee000a0, 4), 0x10 * v->index);
}

static void window_shows_each_vcpu_its_own(void **state)
{
	struct fix *f = *state;
	assert_int_equal(vm_start(f->r.vm, true, NULL), 0);
	for (unsigned n = 0; n < RIG_CPUS; n++)
		vcpu_run_on(f->r.v[n], use_window, f);
}

/* Two senders, each waiting for its interrupt to be served before it sends the next, against a vCPU that takes
 * them: a lost one would stop the test for good. */
enum { ROUNDS = 5000, SENDERS = 2 };

struct sender {
	struct fix *f;
	uint8_t vector;
	_Atomic unsigned served;
};

static void *send_rounds(void *arg)
{
	struct sender *s = arg;
	for (unsigned n = 0; n < ROUNDS; n++) {
		msi_send(&s->f->msi, 0xfee00000, s->vector);
		while (atomic_load(&s->served) == n)
			sched_yield();
	}
	return NULL;
}

static void no_interrupt_is_lost(void **state)
{
	struct fix *f = *state;
	struct sender s[SENDERS] = {{f, 0x41, 0}, {f, 0x42, 0}}; /* in one word of the IRR */
	pthread_t t[SENDERS];
	for (unsigned n = 0; n < SENDERS; n++)
		assert_int_equal(pthread_create(&t[n], NULL, send_rounds, &s[n]), 0);
	for (unsigned left = SENDERS * ROUNDS; left;) {
		if (!pending(f, 0)) {
			sched_yield();
			continue;
		}
		int vector = ack(f, 0);
		assert_in_range(vector, 0x41, 0x42);
		eoi(f, 0);
		atomic_fetch_add(&s[vector - 0x41].served, 1);
		left--;
	}
	for (unsigned n = 0; n < SENDERS; n++)
		pthread_join(t[n], NULL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(registers_after_reset), T(self_ipi_priority_and_eoi), T(task_priority_holds_back), T(destinations),
		T(lowest_priority_picks_the_idlest), T(startup_sequence), T(errors), T(software_disable),
		T(timer_one_shot),
		T(timer_periodic), T(timer_tsc_deadline), T(x2apic_mode), T(msi_messages), T(extint_through_lint0),
		T(nmi_through_lint1), T(ioapic_edge), T(ioapic_level), T(saved_state), T(window_needs_a_vcpu),
		T(window_shows_each_vcpu_its_own), T(no_interrupt_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
