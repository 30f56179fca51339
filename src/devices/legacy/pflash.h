/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NOR flash with Intel's command set (CFI 1.4, command set 1), as UEFI firmware keeps its variables in: read array,
 * program a byte, erase a block, status, identification, CFI query. It answers every access itself; nothing is
 * executed from it.
 */
#ifndef PANAL_DEVICES_LEGACY_PFLASH_H
#define PANAL_DEVICES_LEGACY_PFLASH_H

#include "base/err.h"

struct vm;

enum { PFLASH_BLOCK = 4096, PFLASH_MAX = 16 << 20 };

struct pflash_config {
	uint64_t addr;
	uint32_t size; /* a multiple of PFLASH_BLOCK */
	/* The contents: a file of that size, with what the guest writes. Closed by the device, on failure too. */
	int fd;
};

int pflash_create(struct vm *vm, const struct pflash_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
