/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of translated blocks for the developer's tools: perf (a map file, docs/debugging.md) and a GDB on this process
 * (its JIT interface). One per machine, used by all vCPU threads. A block is called guest_RIP.
 */
#ifndef PANAL_ACCEL_SOFT_XLATE_SIGHT_H
#define PANAL_ACCEL_SOFT_XLATE_SIGHT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xlate_sight;

/* *out is NULL when neither is wanted. perf: makes /tmp/perf-PID.map; with a sandbox that must be before it is entered. */
int xlate_sight_create(struct xlate_sight **out, bool perf, bool gdb, struct err *e) ATTR_MUST_USE;
void xlate_sight_destroy(struct xlate_sight *s); /* NULL: nothing */
/* Host code [code, code + size) is the translation of the guest's code at rip. owner: whose store it is in. */
void xlate_sight_add(struct xlate_sight *s, const void *owner, const uint8_t *code, size_t size, uint64_t rip);
/* All of that owner's are gone. perf's map has no way to say so: later lines count there. */
void xlate_sight_drop(struct xlate_sight *s, const void *owner);

#endif
