/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/gfs_priv.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

/* What people have on disks and is not read here, by its magic. */
static const struct known {
	const char *name, *magic;
	uint32_t at, len;
} unread[] = {
	{"XFS", "XFSB", 0, 4},
	{"btrfs", "_BHRfS_M", 0x10040, 8},
	{"LUKS encryption", "LUKS\xba\xbe", 0, 6},
	{"an LVM physical volume", "LABELONE", 512, 8},
	{"NTFS", "NTFS    ", 3, 8},
	{"exFAT", "EXFAT   ", 3, 8},
	{"swap", "SWAPSPACE2", 4086, 10},
	{"ISO 9660", "CD001", 0x8001, 5},
	{"squashfs", "hsqs", 0, 4},
	{"F2FS", "\x10\x20\xf5\xf2", 1024, 4},
	{"RAID (md 1.2)", "\xfc\x4e\x2b\xa9", 4096, 4},
};

int gfs_read(const struct gfs *g, uint64_t at, void *buf, size_t len)
{
	return range_inside(at, len, g->size) ? disk_read(g->disk, g->at + at, buf, len) : -EIO;
}

static const char *name_unread(const struct gfs *g)
{
	char got[16];

	for (size_t n = 0; n < COUNT_OF(unread); n++)
		if (gfs_read(g, unread[n].at, got, unread[n].len) == 0 && !memcmp(got, unread[n].magic, unread[n].len))
			return unread[n].name;
	return "nothing known";
}

int gfs_open(struct gfs **out, const struct disk_reader *d, uint64_t at, uint64_t size, struct err *e)
{
	const struct gfs base = {.disk = d, .at = at, .size = size};
	int ret = gfs_ext_open(out, &base, e);

	if (ret == -EINVAL)
		ret = gfs_fat_open(out, &base, e);
	return ret == -EINVAL ? err_set(e, -ENOTSUP, "%s", name_unread(&base)) : ret;
}

void gfs_close(struct gfs *g)
{
	if (g)
		g->ops->close(g);
}

const char *gfs_uuid(const struct gfs *g)
{
	return g->uuid;
}

const char *gfs_label(const struct gfs *g)
{
	return g->label;
}

bool gfs_unclean(const struct gfs *g)
{
	return g->unclean;
}

bool gfs_is_file(struct gfs *g, const char *path)
{
	uint64_t size;
	bool dir;

	return g->ops->stat(g, path, &size, &dir) == 0 && !dir;
}

bool gfs_is_dir(struct gfs *g, const char *path)
{
	uint64_t size;
	bool dir;

	return g->ops->stat(g, path, &size, &dir) == 0 && dir;
}

int gfs_load(struct gfs *g, const char *path, size_t max, uint8_t **out, size_t *len)
{
	uint64_t size;
	uint8_t *buf;
	bool dir;
	int ret = g->ops->stat(g, path, &size, &dir);

	if (ret < 0)
		return ret;
	if (dir)
		return -EISDIR;
	if (size > max)
		return -EFBIG;
	buf = malloc((size_t)size + 1);
	if (!buf)
		return -ENOMEM;
	ret = g->ops->load(g, path, buf, (size_t)size);
	if (ret < 0) {
		free(buf);
		return ret;
	}
	buf[size] = 0;
	*out = buf;
	*len = (size_t)size;
	return 0;
}

int gfs_list(struct gfs *g, const char *path, void (*fn)(void *opaque, const char *name), void *opaque)
{
	return g->ops->list(g, path, fn, opaque);
}
