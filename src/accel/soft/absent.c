/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Weak stand-ins for parts of the soft CPU that are built beside this one, so that the library links without them.
 * A function leaves this file when its own file is in the build.
 */
#include "accel/soft/soft.h"
#include "accel/soft/system.h"

#define WEAK __attribute__((weak))

WEAK bool thunk_bind(struct insn *i, const struct insn_source *src, unsigned arg) { return false; }
WEAK void thunk_fpu_sync(struct soft_cpu *c) { }
