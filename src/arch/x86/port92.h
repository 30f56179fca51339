/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System control port A (0x92) of a PC: fast reset and the A20 bit, which is kept and has no effect (A20 is open). */
#ifndef PANAL_ARCH_X86_PORT92_H
#define PANAL_ARCH_X86_PORT92_H

#include "base/err.h"

struct vm;

int port92_create(struct vm *vm, struct err *e) ATTR_MUST_USE;

#endif
