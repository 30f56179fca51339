/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI fixed hardware: PM1 event and control blocks, PM timer, GPE0 block, reset register (ACPI 6.4, chapter 4.8).
 * The machine is always in ACPI mode (no SMI_CMD). The FADT that the board builds names these addresses.
 */
#ifndef PANAL_ARCH_X86_PM_H
#define PANAL_ARCH_X86_PM_H

#include "base/err.h"
#include "core/irq.h"

struct pm;
struct timerq;
struct vm;

/* Offsets from the base port, lengths in bytes. */
enum {
	PM_EVENT = 0x00, PM_EVENT_LEN = 4, PM_CONTROL = 0x04, PM_CONTROL_LEN = 2, PM_TIMER = 0x08, PM_TIMER_LEN = 4,
	PM_RESET = 0x0c, PM_GPE0 = 0x20, PM_GPE0_LEN = 4, PM_LEN = 0x24,
};
enum { PM_TIMER_HZ = 3579545, PM_RESET_VALUE = 6, PM_DEFAULT_BASE = 0x600,
       PM_NOWHERE = 0xffff };

struct pm_config {
	struct timerq *timers; /* on the machine clock */
	struct irq sci;        /* active while an enabled event is up */
	uint8_t s5_type;       /* SLP_TYP that switches off: what \_S5 says, and firmware has built in */
	uint8_t s3_type;       /* that sleeps to RAM, as \_S3 says; 0: the board cannot */
	uint8_t s4_type;       /* that switches off after the guest kept its memory on disk, as \_S4 says; 0: none */
	uint16_t base;         /* 0: PM_DEFAULT_BASE; PM_NOWHERE: where pm_move says */
	/* A second reset register, 0xcf9 as on PCs; 0: none. Where a PCI host owns 0xcf8-0xcff it passes writes of
	 * 0xcf9 to pm_reset_write instead. */
	uint16_t reset_port;
};

int pm_create(struct vm *vm, struct pm_config cfg, struct pm **out, struct err *e) ATTR_MUST_USE;
/* The registers answer at another base port from now on; 0: nowhere. Any thread, one at a time. */
void pm_move(struct pm *pm, uint16_t base);
/* Someone presses the power button. Any thread. */
void pm_power_button(struct pm *pm);
/* Raises general-purpose event n (0-15). Any thread. */
void pm_gpe_raise(struct pm *pm, unsigned n);
/* The clock's alarm interrupt: its rise is an event, and wakes the guest where that has it enabled. Any thread. */
struct irq pm_alarm(struct pm *pm);
/* A key or the like: its rise wakes a sleeping guest, and is nothing to one that is awake. Any thread. */
struct irq pm_waker(struct pm *pm);
/* After the reset that ends a sleep: the guest reads that it was woken, and by what. Main loop. */
void pm_woken(struct pm *pm);
/* A write to the reset control register. Any thread. */
void pm_reset_write(struct pm *pm, uint8_t value);

#endif
