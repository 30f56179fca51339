/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A keyboard controller without keyboard: it resets the machine, and answers a driver's probe quickly. */
#ifndef PANAL_ARCH_X86_I8042_H
#define PANAL_ARCH_X86_I8042_H

#include "base/err.h"
#include "core/irq.h"

struct vm;

struct i8042_config {
	struct irq irq; /* ISA interrupt 1; may be unconnected */
};

/* Ports 0x60 and 0x64. */
int i8042_create(struct vm *vm, struct i8042_config cfg, struct err *e) ATTR_MUST_USE;

#endif
