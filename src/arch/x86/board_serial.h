/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PC's serial ports, each joined to a chardev. Boards use it. */
#ifndef PANAL_ARCH_X86_BOARD_SERIAL_H
#define PANAL_ARCH_X86_BOARD_SERIAL_H

#include "base/err.h"
#include "core/irq.h"

struct chardev;
struct gsi;
struct vm;

enum { BOARD_SERIALS = 4 };

struct board_serial {
	struct serial16550 *port;
	struct chardev *line;
};

/* Two ports share an interrupt line, as on PCs: it is up while one of them wants it. */
struct board_serial_irq {
	struct irq out;
	_Atomic unsigned up; /* bit per port */
};

struct board_serials {
	struct board_serial item[BOARD_SERIALS];
	struct board_serial_irq irq[2];
};

struct board_serial_place {
	uint16_t port;
	uint8_t irq;
};
extern const struct board_serial_place board_serial_place[BOARD_SERIALS];

/* COM1 to COM`count`, at least the first. bs outlives the ports and the chardevs' clients. A line that is NULL:
 * nothing is
 * connected. */
int board_serials_create(struct board_serials *bs, struct vm *vm, struct gsi *gsi, struct chardev *const *line,
                         unsigned count, struct err *e) ATTR_MUST_USE;

#endif
