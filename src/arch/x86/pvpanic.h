/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pvpanic port: a guest's kernel says that it panicked. ACPI names it QEMU0001. */
#ifndef PANAL_ARCH_X86_PVPANIC_H
#define PANAL_ARCH_X86_PVPANIC_H

#include "base/err.h"

struct vm;

struct pvpanic_config {
	uint16_t port; /* 0: 0x505 */
};

int pvpanic_create(struct vm *vm, struct pvpanic_config cfg, struct err *e) ATTR_MUST_USE;

#endif
