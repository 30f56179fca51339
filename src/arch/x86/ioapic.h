/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC (Intel 82093AA, with the EOI register of version 0x20): 24 pins, each with a redirection entry. */
#ifndef PANAL_ARCH_X86_IOAPIC_H
#define PANAL_ARCH_X86_IOAPIC_H

#include "base/err.h"
#include "core/irq.h"

struct ioapic;
struct vm;

enum { IOAPIC_PINS = 24 };
#define IOAPIC_DEFAULT_BASE UINT64_C(0xfec00000)

struct ioapic_config {
	uint64_t base; /* 0: IOAPIC_DEFAULT_BASE */
	uint8_t id;
	struct msi_sink msi; /* where interrupts go: apic_bus_msi */
};

int ioapic_create(struct vm *vm, struct ioapic_config cfg, struct ioapic **out, struct err *e) ATTR_MUST_USE;
/* Input n. The level is "asserted": polarity in the entry is for the guest's book-keeping. Any thread. */
struct irq ioapic_pin(struct ioapic *io, unsigned n);
/* A local APIC ended a level-triggered vector: for apic_bus_on_eoi, opaque is the ioapic. Any thread. */
void ioapic_eoi(void *opaque, uint8_t vector);

#endif
