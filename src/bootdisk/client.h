/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's side of panal-boot-find: starts the helper, gives it the disk's bytes as the machine itself sees them
 * (so what the guest wrote is there, in any image format), and takes what it found as a boot_source.
 */
#ifndef PANAL_BOOTDISK_CLIENT_H
#define PANAL_BOOTDISK_CLIENT_H

#include "arch/x86/boot/boot.h"

struct blk;
struct boot_disk;

struct boot_disk_config {
	struct blk *disk;       /* borrowed; open as long as the boot_disk is asked */
	const char *helper_dir; /* where panal-boot-find lies */
	const char *append;     /* goes behind the command line of the disk; NULL: nothing */
	bool sandbox;
};

/* Starts the helper; it ends with boot_disk_close. */
int boot_disk_open(struct boot_disk **out, const struct boot_disk_config *cfg, struct err *e) ATTR_MUST_USE;
void boot_disk_close(struct boot_disk *b); /* NULL is allowed */

/*
 * Reads the disk and fills kernel, initrds and command line of *out, whose refresh is this function again. Blocks, at
 * most a minute at a time without a word from the helper. The loop's thread, with nothing running that writes to the
 * disk. Errors: -ENOENT, -EINVAL, ... from find.h; -EPROTO, -ETIMEDOUT (the helper ended or misbehaves).
 */
int boot_disk_find(struct boot_disk *b, struct boot_source *out, struct err *e) ATTR_MUST_USE;

#endif
