/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The port to which SeaBIOS and OVMF write their log, a byte at a time; it reads as 0xe9 where somebody listens. */
#ifndef PANAL_DEVICES_LEGACY_DEBUG_PORT_H
#define PANAL_DEVICES_LEGACY_DEBUG_PORT_H

#include "base/err.h"

struct chardev;
struct vm;

struct debug_port_config {
	uint16_t port;
	struct chardev *out; /* borrowed; NULL: the port is absent */
};

int debug_port_create(struct vm *vm, struct debug_port_config cfg, struct err *e) ATTR_MUST_USE;

#endif
