/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PC's parallel port with a printer that is always ready (IEEE 1284-1994, compatibility mode): what the guest
 * strobes out goes
 * to a file or socket. Nothing comes in but the printer's status.
 */
#ifndef PANAL_DEVICES_LEGACY_PARALLEL_H
#define PANAL_DEVICES_LEGACY_PARALLEL_H

#include "base/err.h"
#include "core/irq.h"

struct chardev;
struct vm;

enum { PARALLEL_PORT = 0x378, PARALLEL_PORTS = 3, PARALLEL_IRQ = 7 };

struct parallel_config {
	uint16_t port; /* 0: PARALLEL_PORT */
	struct irq irq;
	struct chardev *out; /* borrowed, outlives the port */
};

int parallel_create(struct vm *vm, struct parallel_config cfg, struct err *e) ATTR_MUST_USE;

#endif
