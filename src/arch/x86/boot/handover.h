/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Linux kernel that the machine's firmware loads: the pieces that it finds in fw_cfg, and an option ROM by which a
 * BIOS boots them. UEFI takes the pieces by itself, as a program of setup code and kernel joined.
 */
#ifndef PANAL_ARCH_X86_BOOT_HANDOVER_H
#define PANAL_ARCH_X86_BOOT_HANDOVER_H

#include "arch/x86/boot/boot.h"

struct handover_piece {
	const uint8_t *bytes; /* the boot's or the handover's, as long as both live */
	size_t len;
	uint32_t addr; /* where it belongs, guest-physical */
};

enum { HANDOVER_SETUP, HANDOVER_KERNEL, HANDOVER_INITRD, HANDOVER_CMDLINE, HANDOVER_PIECES };
enum { HANDOVER_ROM_SIZE = 512 };

struct handover {
	struct handover_piece piece[HANDOVER_PIECES];
	uint8_t rom[HANDOVER_ROM_SIZE];
	void *own[2]; /* copies */
};

/* low_top: end of the RAM below 4 GiB, the last of which the firmware keeps. `key` are fw_cfg's, of the pieces in
 * their order. Errors: -EINVAL (no bzImage), -E2BIG (no room; the message says how much memory would do), -ENOMEM. On
 * success handover_free ends it. */
int handover_make(struct handover *h, const struct boot *b, uint64_t low_top, const uint16_t key[HANDOVER_PIECES],
		  struct err *e) ATTR_MUST_USE;
void handover_free(struct handover *h);

#endif
