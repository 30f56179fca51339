/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FAT12, FAT16, FAT32 with long names (Microsoft, FAT: General Overview of On-Disk Format, 1.03). Names are compared
 * without case, as the file system does; those beyond ASCII are not found. */
#include "base/bytes.h"
#include "bootdisk/gfs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	ENTRY = 32,
	LONG_CHARS = 13,
	LONG_MAX_PARTS = 20,
	DEPTH_MAX = 16,
	CLUSTER_MAX = 1 << 18,
	DIR_ENTRIES_MAX = 65536
};
enum { ATTR_VOLUME = 0x08, ATTR_DIR = 0x10, ATTR_LONG = 0x0f };
enum { FAT12_CLUSTERS = 4085, FAT16_CLUSTERS = 65525 };

struct fat {
	struct gfs base;
	unsigned bits;               /* 12, 16, 32 */
	uint32_t cluster;            /* bytes */
	uint32_t clusters;           /* data clusters; they are numbered from 2 on */
	uint64_t fat_at;             /* all offsets are in bytes of the file system */
	uint64_t root_at, root_size; /* FAT12, FAT16 */
	uint32_t root_cluster;       /* FAT32 */
	uint64_t data_at;
};

struct entry {
	char name[GFS_NAME_MAX];
	uint8_t attr;
	uint32_t cluster, size;
};

/* A directory or a file as a stream of bytes: a chain of clusters, or the fixed root of FAT12 and FAT16. */
struct stream {
	const struct fat *f;
	uint32_t cluster; /* 0: the fixed root */
	uint64_t at;      /* in the fixed root */
	uint32_t left;    /* how many clusters the chain may still have: it may bite its tail */
};

static uint32_t next_cluster(const struct fat *f, uint32_t c)
{
	uint64_t at = f->fat_at + (f->bits == 12 ? c + c / 2 : (uint64_t)c * (f->bits / 8));
	uint8_t raw[4] = {0};
	uint32_t v;

	if (gfs_read(&f->base, at, raw, f->bits == 32 ? 4 : 2) < 0)
		return 0;
	v = load_le32(raw);
	if (f->bits == 12)
		v = c & 1 ? v >> 4 & 0xfff : v & 0xfff;
	else if (f->bits == 32)
		v &= 0x0fffffff;
	return v >= 2 && v - 2 < f->clusters ? v : 0; /* the end's mark is beyond all clusters */
}

/* One cluster's worth of the stream into buf; its length, 0 at the end, or a negative errno. */
static int64_t stream_next(struct stream *s, uint8_t *buf)
{
	const struct fat *f = s->f;
	uint64_t len = f->cluster;
	int ret;

	if (!s->cluster) {
		len = f->root_size - s->at < len ? f->root_size - s->at : len;
		ret = len ? gfs_read(&f->base, f->root_at + s->at, buf, len) : 0;
		s->at += len;
		return ret < 0 ? ret : (int64_t)len;
	}
	if (s->cluster < 2 || !s->left--)
		return 0;
	ret = gfs_read(&f->base, f->data_at + (uint64_t)(s->cluster - 2) * f->cluster, buf, len);
	s->cluster = next_cluster(f, s->cluster);
	if (!s->cluster)
		s->cluster = 1; /* the end */
	return ret < 0 ? ret : (int64_t)len;
}

static struct stream stream_of(const struct fat *f, uint32_t cluster)
{
	bool valid = cluster >= 2 && cluster - 2 < f->clusters;

	return (struct stream){.f = f, .cluster = valid ? cluster : 1, .left = f->clusters};
}

static struct stream stream_root(const struct fat *f)
{
	return f->bits == 32 ? stream_of(f, f->root_cluster) : (struct stream){.f = f};
}

/* ---- names ---- */

static void short_name(char *out, const uint8_t *raw)
{
	bool low_base = raw[12] & 8, low_ext = raw[12] & 16;
	unsigned len = 0;

	for (unsigned n = 0; n < 8 && raw[n] != ' '; n++)
		out[len++] = (char)(low_base && raw[n] >= 'A' && raw[n] <= 'Z' ? raw[n] | 0x20 : raw[n]);
	if (raw[8] != ' ')
		out[len++] = '.';
	for (unsigned n = 8; n < 11 && raw[n] != ' '; n++)
		out[len++] = (char)(low_ext && raw[n] >= 'A' && raw[n] <= 'Z' ? raw[n] | 0x20 : raw[n]);
	out[len] = 0;
}

/* Thirteen characters of a long name, whose pieces come from its end to its beginning. */
static void long_part(char *name, const uint8_t *raw)
{
	static const uint8_t place[LONG_CHARS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
	unsigned order = raw[0] & 0x3f;

	if (order < 1 || order > LONG_MAX_PARTS)
		return;
	if (raw[0] & 0x40)
		memset(name, 0, GFS_NAME_MAX);
	for (unsigned n = 0; n < LONG_CHARS; n++) {
		uint16_t c = load_le16(raw + place[n]);
		size_t at = (order - 1) * LONG_CHARS + n;

		if (at < GFS_NAME_MAX - 1)
			name[at] = c == 0xffff ? 0 : (char)(c < 128 ? c : '?');
	}
}

typedef bool (*entry_fn)(void *opaque, const struct entry *e);

/* Calls fn for each entry until it says true: 1 then, 0 at the end, or a negative errno. */
static int each_in(const struct fat *f, const uint8_t *buf, size_t len, char *long_name, entry_fn fn, void *opaque)
{
	for (size_t at = 0; at + ENTRY <= len; at += ENTRY) {
		const uint8_t *raw = buf + at;
		struct entry e = {.attr = raw[11], .size = load_le32(raw + 28)};

		if (!raw[0])
			return -ENODATA;
		if (raw[0] == 0xe5) {
			long_name[0] = 0;
		} else if ((raw[11] & ATTR_LONG) == ATTR_LONG) {
			long_part(long_name, raw);
		} else if (raw[11] & ATTR_VOLUME || raw[0] == '.') {
			long_name[0] = 0;
		} else {
			e.cluster = load_le16(raw + 26) | (f->bits == 32 ? (uint32_t)load_le16(raw + 20) << 16 : 0);
			if (long_name[0])
				memcpy(e.name, long_name, GFS_NAME_MAX);
			else
				short_name(e.name, raw);
			long_name[0] = 0;
			if (fn(opaque, &e))
				return 1;
		}
	}
	return 0;
}

static int each_entry(struct stream s, entry_fn fn, void *opaque)
{
	char long_name[GFS_NAME_MAX] = "";
	uint8_t *buf = malloc(s.f->cluster);
	int64_t len = buf ? 1 : -ENOMEM;
	int ret = 0;

	for (unsigned count = 0; len > 0 && ret == 0 && count < DIR_ENTRIES_MAX; count += s.f->cluster / ENTRY) {
		len = stream_next(&s, buf);
		if (len > 0)
			ret = each_in(s.f, buf, (size_t)len, long_name, fn, opaque);
	}
	free(buf);
	return len < 0 ? (int)len : ret == -ENODATA ? 0 : ret;
}

struct search {
	const char *name;
	size_t len;
	struct entry found;
};

static bool is_it(void *opaque, const struct entry *e)
{
	struct search *s = opaque;

	if (strlen(e->name) != s->len || strncasecmp(e->name, s->name, s->len))
		return false;
	s->found = *e;
	return true;
}

static int find(const struct fat *f, const char *path, struct entry *out)
{
	struct stream dir = stream_root(f);

	*out = (struct entry){.attr = ATTR_DIR};
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		struct search s = {.name = path + strspn(path, "/")};
		int ret;

		s.len = strcspn(s.name, "/");
		if (!s.len)
			return 0;
		if (!(out->attr & ATTR_DIR))
			return -ENOENT;
		ret = each_entry(dir, is_it, &s);
		if (ret <= 0)
			return ret < 0 ? ret : -ENOENT;
		*out = s.found;
		dir = stream_of(f, out->cluster);
		path = s.name + s.len;
	}
	return -ENOENT;
}

/* ---- gfs ---- */

static int fat_stat(struct gfs *g, const char *path, uint64_t *size, bool *dir)
{
	struct entry e;
	int ret = find(container_of(g, struct fat, base), path, &e);

	if (ret < 0)
		return ret;
	*size = e.size;
	*dir = e.attr & ATTR_DIR;
	return 0;
}

static int fat_load(struct gfs *g, const char *path, uint8_t *buf, size_t len)
{
	const struct fat *f = container_of(g, struct fat, base);
	struct entry e;
	struct stream s;
	uint8_t *part = malloc(f->cluster);
	int ret = part ? find(f, path, &e) : -ENOMEM;
	size_t at = 0;

	if (ret == 0)
		s = stream_of(f, e.cluster);
	while (ret == 0 && at < len) {
		int64_t got = stream_next(&s, part);
		size_t use = len - at < f->cluster ? len - at : f->cluster;

		if (got <= 0)
			ret = -EIO;
		else
			memcpy(buf + at, part, use);
		at += use;
	}
	free(part);
	return ret;
}

struct listing {
	void (*fn)(void *opaque, const char *name);
	void *opaque;
};

static bool tell(void *opaque, const struct entry *e)
{
	const struct listing *l = opaque;

	l->fn(l->opaque, e->name);
	return false;
}

static int fat_list(struct gfs *g, const char *path, void (*fn)(void *opaque, const char *name), void *opaque)
{
	const struct fat *f = container_of(g, struct fat, base);
	struct listing l = {.fn = fn, .opaque = opaque};
	struct entry e;
	int ret = find(f, path, &e);

	if (ret == 0 && !(e.attr & ATTR_DIR))
		ret = -ENOENT;
	if (ret < 0)
		return ret;
	return each_entry(e.cluster ? stream_of(f, e.cluster) : stream_root(f), tell, &l);
}

static void fat_close(struct gfs *g)
{
	free(container_of(g, struct fat, base));
}

static const struct gfs_ops ops = {.close = fat_close, .stat = fat_stat, .load = fat_load, .list = fat_list};

/* What the boot sector says, checked; false: no FAT. */
static bool read_layout(struct fat *f, const uint8_t *b)
{
	uint32_t sector = load_le16(b + 11), per_cluster = b[13], reserved = load_le16(b + 14), fats = b[16];
	uint32_t root_entries = load_le16(b + 17), total = load_le16(b + 19), fat_size = load_le16(b + 22);
	uint64_t meta;

	if (load_le16(b + 510) != 0xaa55 || sector < 512 || sector > 4096 || !is_power_of_2(sector) ||
	    !is_power_of_2(per_cluster) || sector * per_cluster > CLUSTER_MAX || !reserved || fats < 1 || fats > 2)
		return false;
	total = total ? total : load_le32(b + 32);
	fat_size = fat_size ? fat_size : load_le32(b + 36);
	f->cluster = sector * per_cluster;
	f->fat_at = (uint64_t)reserved * sector;
	f->root_at = f->fat_at + (uint64_t)fats * fat_size * sector;
	f->root_size = round_up((uint64_t)root_entries * ENTRY, sector);
	f->data_at = f->root_at + f->root_size;
	meta = f->data_at / sector;
	if (total <= meta)
		return false;
	f->clusters = (uint32_t)((total - meta) / per_cluster);
	f->bits = f->clusters < FAT12_CLUSTERS ? 12 : f->clusters < FAT16_CLUSTERS ? 16 : 32;
	f->root_cluster = f->bits == 32 ? load_le32(b + 44) : 0;
	return true;
}

int gfs_fat_open(struct gfs **out, const struct gfs *base, struct err *e)
{
	uint8_t b[512];
	struct fat layout = {.base = *base}, *f;
	const uint8_t *tail;

	if (gfs_read(base, 0, b, sizeof(b)) < 0 || !read_layout(&layout, b))
		return -EINVAL;
	f = malloc(sizeof(*f));
	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	*f = layout;
	f->base.ops = &ops;
	tail = b + (f->bits == 32 ? 64 : 36);
	if (tail[2] == 0x29) {
		snprintf(f->base.uuid, sizeof(f->base.uuid), "%04X-%04X", load_le16(tail + 5), load_le16(tail + 3));
		snprintf(f->base.label, sizeof(f->base.label), "%.11s", (const char *)tail + 7);
		for (size_t n = strlen(f->base.label); n && f->base.label[n - 1] == ' '; n--)
			f->base.label[n - 1] = 0;
	}
	*out = &f->base;
	return 0;
}
