/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers as GDB numbers, names and stores them, and the description that tells it so. */
#ifndef PANAL_DEBUG_GDB_TARGET_H
#define PANAL_DEBUG_GDB_TARGET_H

#include "arch/x86/regs.h"
#include "base/buf.h"

enum { GDB_REGISTER_MAX = 16 }; /* bytes of the largest */

unsigned gdb_register_count(void);
/* Bytes of register n. */
unsigned gdb_register_size(unsigned n);
const char *gdb_register_name(unsigned n);
void gdb_register_get(const struct x86_state *s, unsigned n, uint8_t *bytes);
/* Selectors are not written: base and limit would not follow. False: this one cannot be changed to that. */
bool gdb_register_set(struct x86_state *s, unsigned n, const uint8_t *bytes);
/* target.xml. 0 or a negative errno. */
int gdb_target_xml(struct buf *out) ATTR_MUST_USE;

#endif
