/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A port for test guests: the value written ends the machine (exit status (value << 1) | 1). */
#ifndef PANAL_DEVICES_LEGACY_DEBUG_EXIT_H
#define PANAL_DEVICES_LEGACY_DEBUG_EXIT_H

#include "base/err.h"

struct vm;

struct debug_exit_config {
	uint16_t port; /* 0: 0xf4 */
};

int debug_exit_create(struct vm *vm, struct debug_exit_config cfg, struct err *e) ATTR_MUST_USE;

#endif
