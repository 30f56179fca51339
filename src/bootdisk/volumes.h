/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All file systems of one disk, by the names that GRUB has for them: hd0 (the whole disk), hd0,gpt2, hd0,msdos1, hd0,2.
 */
#ifndef PANAL_BOOTDISK_VOLUMES_H
#define PANAL_BOOTDISK_VOLUMES_H

#include "bootdisk/gfs.h"

struct volume {
	struct disk_partition part;
	struct gfs *fs; /* NULL: not readable, why says it */
	char name[24], why[96];
};

struct volumes {
	struct volume volume[DISK_PARTITIONS_MAX];
	unsigned count;
};

int volumes_open(struct volumes *v, const struct disk_reader *d, struct err *e) ATTR_MUST_USE;
void volumes_close(struct volumes *v);

/* A volume with a file system, by its name, with or without parentheses; NULL: there is none. */
struct volume *volumes_named(struct volumes *v, const char *name);
/* The first whose UUID (case does not count) or label is that, or that has that file. */
struct volume *volumes_with_uuid(struct volumes *v, const char *uuid);
struct volume *volumes_with_label(struct volumes *v, const char *label);
struct volume *volumes_with_file(struct volumes *v, const char *path);

/* "(hd0,gpt2)/boot/x" or "/boot/x", then on the volume named root. *inside points into text. NULL: no such volume. */
struct volume *volumes_resolve(struct volumes *v, const char *root, const char *text, const char **inside);

#endif
