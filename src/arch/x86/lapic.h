/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs (SDM volume 3A, chapter "Advanced Programmable Interrupt Controller") and the bus between them.
 *
 * One struct lapic per vCPU holds its registers; one struct apic_bus per machine routes what goes between them:
 * IPIs, MSIs, the IOAPIC's messages and EOIs. Both are devices of the machine (owned by it once created).
 *
 * Threads: registers are touched by their own vCPU's thread (MMIO, MSR, acknowledge) or while it is paused. IRR,
 * TMR, pending errors and the hints are atomic: any thread delivers into them without a lock. The timer's fields
 * are guarded by a mutex of the lapic, which is a leaf except for timerq and vcpu_attend.
 */
#ifndef PANAL_ARCH_X86_LAPIC_H
#define PANAL_ARCH_X86_LAPIC_H

#include "base/err.h"
#include "core/irq.h"

struct apic_bus;
struct lapic;
struct pvclock;
struct timerq;
struct vcpu;
struct vm;

#define LAPIC_DEFAULT_BASE UINT64_C(0xfee00000)
enum { LAPIC_WINDOW = 0x1000 };

/* The delivery modes of ICR, LVT, IOAPIC and MSI. */
enum apic_mode {
	APIC_FIXED = 0, APIC_LOWEST = 1, APIC_SMI = 2, APIC_NMI = 4, APIC_INIT = 5, APIC_SIPI = 6, APIC_EXTINT = 7,
};

struct apic_bus_config {
	struct timerq *timers; /* on the machine clock */
	uint32_t timer_hz;     /* what the APIC timers count before division; 0 means 1 GHz, as KVM has it */
	uint32_t tsc_khz;      /* 0 means host_tsc_khz() */
	/* The TSC that the vCPU reads now, for TSC-deadline timers. NULL: host TSC + machine_clock_tsc_offset. */
	uint64_t (*tsc_now)(void *opaque, const struct vcpu *v);
	void *tsc_opaque;
	bool x2apic; /* x2APIC mode may be switched on */
};

/* Creates the bus and the MMIO window at LAPIC_DEFAULT_BASE. Lapics are added to it before a vCPU runs. */
int apic_bus_create(struct vm *vm, struct apic_bus_config cfg, struct apic_bus **out, struct err *e) ATTR_MUST_USE;

/* Messages of devices and of the IOAPIC (an IOAPIC entry in the form of an MSI). Any thread. */
struct msi_sink apic_bus_msi(struct apic_bus *bus);

/* The PIC's INTR output: LINT0 of every local APIC. Any thread. */
struct irq apic_bus_lint0(struct apic_bus *bus);
/* The NMI button: LINT1 of every local APIC. */
struct irq apic_bus_lint1(struct apic_bus *bus);

/* Who hears the EOI of a level-triggered vector (the IOAPIC), and who acknowledges ExtINT (the PIC: returns the
 * vector). Set while the machine is built. Called on vCPU threads without a lock of the bus held. */
void apic_bus_on_eoi(struct apic_bus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque);
void apic_bus_on_extint(struct apic_bus *bus, int (*ack)(void *opaque), void *opaque);

struct lapic_config {
	struct apic_bus *bus;
	struct vcpu *vcpu;       /* its chip is set to this lapic; index 0 is the boot processor */
	bool virtual_wire;       /* LINT0 comes out of reset as ExtINT, unmasked, as firmware leaves it on the BSP */
	struct pvclock *pvclock; /* KVM clock MSRs, or NULL */
};
int lapic_create(struct vm *vm, struct lapic_config cfg, struct lapic **out, struct err *e) ATTR_MUST_USE;

/* The registers, at their xAPIC offsets, as the MMIO window reaches them. On the vCPU's thread or while paused. */
uint32_t lapic_mmio_read(struct lapic *l, unsigned off);
void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t value);

#endif
