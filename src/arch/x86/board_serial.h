/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joins a 16550 to a chardev. Boards use it. */
#ifndef PANAL_ARCH_X86_BOARD_SERIAL_H
#define PANAL_ARCH_X86_BOARD_SERIAL_H

#include "base/err.h"
#include "core/irq.h"

struct chardev;
struct vm;

struct board_serial {
	struct serial16550 *port;
	struct chardev *line;
};

/* bs outlives the port and the chardev's client. line NULL: the port has no line. */
int board_serial_create(struct board_serial *bs, struct vm *vm, uint16_t port, struct irq irq, struct chardev *line,
                        struct err *e) ATTR_MUST_USE;

#endif
