/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keyboard controller of a PC (IBM PS/2 Technical Reference) with a keyboard and a mouse, or with nothing plugged
 * in: then it resets the machine and answers a driver's probe quickly. It translates scan code set 2 to set 1 where the
 * guest asks for it. The gate of address line 20 is a bit that is kept: the line is always open.
 */
#ifndef PANAL_ARCH_X86_I8042_H
#define PANAL_ARCH_X86_I8042_H

#include "base/err.h"
#include "core/irq.h"

struct input;
struct vm;

struct i8042_config {
	struct irq irq;       /* ISA interrupt 1; may be unconnected */
	struct irq irq_mouse; /* ISA interrupt 12 */
	struct irq wake;      /* pulsed by each key that is pressed; may be unconnected */
	struct input *input;  /* where keys and movement come from; NULL: neither keyboard nor mouse */
};

/* Ports 0x60 and 0x64. */
int i8042_create(struct vm *vm, struct i8042_config cfg, struct err *e) ATTR_MUST_USE;

#endif
