/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory as a debugger sees it: linear addresses through a vCPU's page tables, without faults or A/D bits. */
#ifndef PANAL_DEBUG_GDB_MEMORY_H
#define PANAL_DEBUG_GDB_MEMORY_H

#include "arch/x86/regs.h"
#include "core/gmem.h"

/* Linear to guest-physical; false when not mapped. SDM 3A chapter 4. */
bool gdb_translate(const struct gmem *mem, const struct x86_state *s, uint64_t lin, uint64_t *gpa);
/* How many bytes from lin on could be copied; RAM only. s NULL: the address is guest-physical. */
size_t gdb_memory_read(struct gmem *mem, const struct x86_state *s, uint64_t lin, void *buf, size_t len);
size_t gdb_memory_write(struct gmem *mem, const struct x86_state *s, uint64_t lin, const void *buf, size_t len);

#endif
