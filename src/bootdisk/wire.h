/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between a machine and panal-boot-find: messages with this head, then len bytes. The machine says START and then only
 * answers reads, until FAILED or DONE. Neither side believes the other's numbers.
 */
#ifndef PANAL_BOOTDISK_WIRE_H
#define PANAL_BOOTDISK_WIRE_H

#include "base/compiler.h"

enum wire_kind {
	/* from the machine */
	WIRE_START = 1, /* value: bytes of the disk */
	WIRE_DATA,      /* value: 0, or an errno and no bytes */
	/* from the helper */
	WIRE_READ, /* value: where; len: 0, count: how much */
	WIRE_TITLE,
	WIRE_CMDLINE,
	WIRE_WARNING,
	WIRE_KERNEL, /* the file; count: how many of its first bytes are its name */
	WIRE_INITRD,
	WIRE_FAILED, /* text; value: an errno */
	WIRE_DONE,
};

struct wire_head {
	uint32_t kind, count;
	uint64_t len, value;
};

enum { WIRE_READ_MAX = 1 << 20, WIRE_TEXT_MAX = 4096, WIRE_FD = 3 };

#endif
