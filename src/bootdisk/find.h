/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk would boot by itself: kernel, initial ramdisks and command line of the default entry of the boot
 * configuration that lies on it (GRUB's, or the Boot Loader Specification's), as its own loader would choose them.
 *
 * Everything read here is a guest's. It runs in a process without rights (find_main.c); the machine asks it by
 * client.h.
 */
#ifndef PANAL_BOOTDISK_FIND_H
#define PANAL_BOOTDISK_FIND_H

#include "bootdisk/disk.h"
#include "bootdisk/menu.h"

enum { FIND_FILE_MAX = 1 << 30 };

struct find_file {
	uint8_t *data; /* malloc'ed */
	size_t size;
	char path[MENU_PATH_MAX];
};

struct find_result {
	char title[MENU_TEXT_MAX], cmdline[MENU_CMDLINE_MAX];
	char warning[MENU_TEXT_MAX]; /* "" for none */
	struct find_file kernel, initrd[MENU_INITRD_MAX];
	unsigned initrd_count;
};

/* Errors: -ENOENT (no configuration; the message lists what is on the disk), -ENOTSUP, -EINVAL, -EIO, -ENOMEM. On
 * failure there is nothing to free. */
int find_boot(struct find_result *out, const struct disk_reader *d, struct err *e) ATTR_MUST_USE;
void find_free(struct find_result *r);

#endif
