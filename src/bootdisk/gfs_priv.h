/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of gfs: what each kind of file system gives. */
#ifndef PANAL_BOOTDISK_GFS_PRIV_H
#define PANAL_BOOTDISK_GFS_PRIV_H

#include "bootdisk/gfs.h"

struct gfs_ops {
	void (*close)(struct gfs *g);
	/* size and directory of what is there; -ENOENT. */
	int (*stat)(struct gfs *g, const char *path, uint64_t *size, bool *dir);
	/* The first len bytes of a file whose size stat gave. */
	int (*load)(struct gfs *g, const char *path, uint8_t *buf, size_t len);
	int (*list)(struct gfs *g, const char *path, void (*fn)(void *opaque, const char *name), void *opaque);
};

struct gfs {
	const struct gfs_ops *ops;
	const struct disk_reader *disk;
	uint64_t at, size; /* bytes of the disk */
	char uuid[40], label[64];
	bool unclean;
};

int gfs_read(const struct gfs *g, uint64_t at, void *buf, size_t len) ATTR_MUST_USE;

/* -EINVAL: it is no such file system. *out is malloc'ed; the caller fills disk, at and size into base first. */
int gfs_ext_open(struct gfs **out, const struct gfs *base, struct err *e) ATTR_MUST_USE;
int gfs_fat_open(struct gfs **out, const struct gfs *base, struct err *e) ATTR_MUST_USE;

#endif
