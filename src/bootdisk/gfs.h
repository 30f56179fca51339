/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's file system, read only: ext2 to ext4 (libext2fs) and FAT. What was not closed is read as it lies on the
 * disk: no journal is replayed. One thread; a file system lives no longer than its disk_reader.
 */
#ifndef PANAL_BOOTDISK_GFS_H
#define PANAL_BOOTDISK_GFS_H

#include "bootdisk/disk.h"

struct gfs;

enum { GFS_NAME_MAX = 256, GFS_PATH_MAX = 1024 };

/* -ENOTSUP: a file system, or what else it is, that is not read here; the message has its name. */
int gfs_open(struct gfs **out, const struct disk_reader *d, uint64_t at, uint64_t size, struct err *e) ATTR_MUST_USE;
void gfs_close(struct gfs *g); /* NULL is allowed */

/* As blkid shows them; "" for none. */
const char *gfs_uuid(const struct gfs *g);
const char *gfs_label(const struct gfs *g);
/* It was not unmounted: what its journal holds is not seen. */
bool gfs_unclean(const struct gfs *g);

/* Paths are absolute; symbolic links are followed. */
bool gfs_is_file(struct gfs *g, const char *path);
bool gfs_is_dir(struct gfs *g, const char *path);
/* The whole file, at most max bytes, malloc'ed, with a zero byte behind it. Errors: -ENOENT, -EFBIG, -EIO, -ENOMEM. */
int gfs_load(struct gfs *g, const char *path, size_t max, uint8_t **out, size_t *len) ATTR_MUST_USE;
/* The names in a directory, in its own order, without "." and "..". Errors: -ENOENT, -EIO. */
int gfs_list(struct gfs *g, const char *path, void (*fn)(void *opaque, const char *name), void *opaque) ATTR_MUST_USE;

#endif
