/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk as bytes that can be read, and its partitions. All of it is a guest's: every number is checked. */
#ifndef PANAL_BOOTDISK_DISK_H
#define PANAL_BOOTDISK_DISK_H

#include "base/err.h"

struct disk_reader {
	uint64_t size; /* bytes */
	/* 0 or a negative errno. [at, at + len) lies inside the disk. */
	int (*read)(void *opaque, uint64_t at, void *buf, size_t len);
	void *opaque;
};

/* -EIO also for what lies beyond the disk's end. */
int disk_read(const struct disk_reader *d, uint64_t at, void *buf, size_t len) ATTR_MUST_USE;

enum { DISK_PARTITIONS_MAX = 128 };

struct disk_partition {
	unsigned number; /* as Linux and GRUB count them; 0: the whole disk, which has no table */
	bool gpt;
	uint64_t at, size; /* bytes, inside the disk */
};

struct disk_table {
	struct disk_partition part[DISK_PARTITIONS_MAX];
	unsigned count;
};

/*
 * GPT, MBR with logical partitions, or neither: then one that is the whole disk. Entries that reach beyond the disk are
 * left out. Sources: UEFI 2.10, chapter 5. Errors: those of reading.
 */
int disk_scan(const struct disk_reader *d, struct disk_table *out, struct err *e) ATTR_MUST_USE;

#endif
