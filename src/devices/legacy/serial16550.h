/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A serial port (National Semiconductor's PC16550D data sheet). Bytes leave at once: no line speed is kept;
 * the speed that the guest sets only decides when the receiver's time-out interrupt comes. The line waits while the
 * guest does not listen (RTS is down, the receiver's interrupt is off, and it does not poll), so that nothing is lost
 * when its driver clears the FIFO at its start.
 */
#ifndef PANAL_DEVICES_LEGACY_SERIAL16550_H
#define PANAL_DEVICES_LEGACY_SERIAL16550_H

#include "base/err.h"
#include "core/irq.h"

struct chardev;
struct serial16550;
struct timerq;
struct vm;

/* The other end of the line. Both functions are called with the port's lock held and must not call the port. */
struct serial_line {
	/* Takes up to len bytes and returns how many; with fewer than len, serial16550_writable is called later. */
	size_t (*write)(void *opaque, const uint8_t *buf, size_t len);
	/* The guest made room: what serial16550_receive refused may be offered again. */
	void (*room)(void *opaque);
	void *opaque;
};

struct serial16550_config {
	uint16_t port; /* 0: 0x3f8 */
	struct irq irq;
	struct timerq *timers;
	struct chardev *chardev; /* what the line goes to; borrowed, outlives the port. NULL: `line` */
	struct serial_line line; /* write NULL: nothing is connected, bytes vanish */
};

int serial16550_create(struct vm *vm, struct serial16550_config cfg, struct serial16550 **out,
                       struct err *e) ATTR_MUST_USE;
/* Bytes for the guest; returns how many fitted. Any thread. */
size_t serial16550_receive(struct serial16550 *s, const uint8_t *buf, size_t len);
/* How many bytes receive would take now. Any thread. */
size_t serial16550_room(struct serial16550 *s);
/* A break condition arrives. Any thread. */
void serial16550_break(struct serial16550 *s);
/* The line takes bytes again. Any thread. */
void serial16550_writable(struct serial16550 *s);

#endif
