/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HPET (IA-PC HPET Specification 1.0a): a 64-bit counter of 100 MHz and three timers, periodic or one-shot, with a wire
 * each to the IOAPIC, messages, and the legacy routes that take the places of PIT and RTC interrupt.
 */
#ifndef PANAL_ARCH_X86_HPET_H
#define PANAL_ARCH_X86_HPET_H

#include "base/err.h"
#include "core/irq.h"

struct gsi;
struct timerq;
struct vm;

enum { HPET_SIZE = 0x400, HPET_TIMERS = 3, HPET_PERIOD_NS = 10 };
#define HPET_BASE UINT64_C(0xfed00000)

struct hpet_config {
	struct timerq *timers; /* on the machine's clock */
	const struct gsi *gsi;
	struct msi_sink msi;
	/* Legacy routes are on (or off): PIT and RTC stop driving (or drive again) interrupts 0 and 8. May be NULL. */
	void (*legacy)(void *opaque, bool on);
	void *opaque;
};

/* The low half of the capability register, which the ACPI table repeats. */
uint32_t hpet_id(bool legacy);

int hpet_create(struct vm *vm, struct hpet_config cfg, struct err *e) ATTR_MUST_USE;

#endif
