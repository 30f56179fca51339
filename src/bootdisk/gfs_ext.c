/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ext2, ext3, ext4 by libext2fs, over an I/O manager of our own that can only read. */
#include "base/bytes.h"
#include "bootdisk/gfs_priv.h"

#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUPER_AT = 1024, MAGIC_AT = 56, READ_MAX = 1 << 20 };

struct ext {
	struct gfs base;
	ext2_filsys fs;
};

/* ---- the I/O manager ---- */

static errcode_t io_close(io_channel io)
{
	free(io->name);
	free(io);
	return 0;
}

static errcode_t io_set_block_size(io_channel io, int size)
{
	io->block_size = size;
	return 0;
}

/* A negative count is bytes. */
static errcode_t io_read64(io_channel io, unsigned long long block, int count, void *data)
{
	const struct gfs *g = io->private_data;
	size_t len = count < 0 ? (size_t) - (int64_t)count : (size_t)count * (size_t)io->block_size;
	uint64_t at;

	if (__builtin_mul_overflow(block, (uint64_t)io->block_size, &at))
		return EXT2_ET_SHORT_READ;
	return gfs_read(g, at, data, len) < 0 ? EXT2_ET_SHORT_READ : 0;
}

static errcode_t io_read(io_channel io, unsigned long block, int count, void *data)
{
	return io_read64(io, block, count, data);
}

static errcode_t io_flush(io_channel io)
{
	return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *out);

static struct struct_io_manager const manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "panal",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_block_size,
	.read_blk = io_read,
	.read_blk64 = io_read64,
	.flush = io_flush,
};

/* The library hands on a name and nothing else, so the name is the address of our file system, in digits. */
static errcode_t io_open(const char *name, int flags, io_channel *out)
{
	io_channel io = calloc(1, sizeof(*io));

	if (!io)
		return EXT2_ET_NO_MEMORY;
	io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	io->manager = (io_manager)(uintptr_t)&manager;
	io->block_size = SUPER_AT;
	io->refcount = 1;
	io->private_data = (void *)(uintptr_t)strtoull(name, NULL, 16);
	io->name = strdup(name);
	if (!io->name) {
		free(io);
		return EXT2_ET_NO_MEMORY;
	}
	*out = io;
	return 0;
}

/* ---- gfs ---- */

static int find(struct ext *x, const char *path, ext2_ino_t *ino, struct ext2_inode *inode)
{
	errcode_t err = ext2fs_namei_follow(x->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, ino);

	if (err)
		return err == EXT2_ET_FILE_NOT_FOUND || err == EXT2_ET_NO_DIRECTORY ? -ENOENT : -EIO;
	return ext2fs_read_inode(x->fs, *ino, inode) ? -EIO : 0;
}

static int ext_stat(struct gfs *g, const char *path, uint64_t *size, bool *dir)
{
	struct ext *x = container_of(g, struct ext, base);
	struct ext2_inode inode;
	ext2_ino_t ino;
	int ret = find(x, path, &ino, &inode);

	if (ret < 0)
		return ret;
	if (!LINUX_S_ISREG(inode.i_mode) && !LINUX_S_ISDIR(inode.i_mode))
		return -ENOENT;
	*size = EXT2_I_SIZE(&inode);
	*dir = LINUX_S_ISDIR(inode.i_mode);
	return 0;
}

static int ext_load(struct gfs *g, const char *path, uint8_t *buf, size_t len)
{
	struct ext *x = container_of(g, struct ext, base);
	struct ext2_inode inode;
	ext2_file_t file;
	ext2_ino_t ino;
	int ret = find(x, path, &ino, &inode);

	if (ret < 0)
		return ret;
	if (ext2fs_file_open(x->fs, ino, 0, &file))
		return -EIO;
	for (size_t at = 0; ret == 0 && at < len;) {
		unsigned got = 0, want = len - at < READ_MAX ? (unsigned)(len - at) : READ_MAX;

		if (ext2fs_file_read(file, buf + at, want, &got) || !got)
			ret = -EIO;
		at += got;
	}
	ext2fs_file_close(file);
	return ret;
}

struct listing {
	void (*fn)(void *opaque, const char *name);
	void *opaque;
};

static int list_entry_of(ext2_ino_t dir, int kind, struct ext2_dir_entry *entry, int offset, int size, char *buf,
			 void *opaque)
{
	const struct listing *l = opaque;
	char name[GFS_NAME_MAX];
	int len = ext2fs_dirent_name_len(entry);

	if (kind != DIRENT_OTHER_FILE || len <= 0 || len >= GFS_NAME_MAX)
		return 0;
	memcpy(name, entry->name, (size_t)len);
	name[len] = 0;
	l->fn(l->opaque, name);
	return 0;
}

static int ext_list(struct gfs *g, const char *path, void (*fn)(void *opaque, const char *name), void *opaque)
{
	struct ext *x = container_of(g, struct ext, base);
	struct listing l = {.fn = fn, .opaque = opaque};
	struct ext2_inode inode;
	ext2_ino_t ino;
	int ret = find(x, path, &ino, &inode);

	if (ret == 0 && !LINUX_S_ISDIR(inode.i_mode))
		ret = -ENOENT;
	if (ret == 0 && ext2fs_dir_iterate2(x->fs, ino, 0, NULL, list_entry_of, &l))
		ret = -EIO;
	return ret;
}

static void ext_close(struct gfs *g)
{
	struct ext *x = container_of(g, struct ext, base);

	if (x->fs)
		ext2fs_free(x->fs);
	free(x);
}

static const struct gfs_ops ops = {.close = ext_close, .stat = ext_stat, .load = ext_load, .list = ext_list};

static void take_names(struct ext *x)
{
	const struct ext2_super_block *s = x->fs->super;
	const uint8_t *u = s->s_uuid;

	snprintf(x->base.uuid, sizeof(x->base.uuid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
		 u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
	snprintf(x->base.label, sizeof(x->base.label), "%.16s", (const char *)s->s_volume_name);
	x->base.unclean = ext2fs_has_feature_journal_needs_recovery(x->fs->super);
}

int gfs_ext_open(struct gfs **out, const struct gfs *base, struct err *e)
{
	char name[20];
	uint8_t magic[2];
	struct ext *x;
	errcode_t err;

	if (gfs_read(base, SUPER_AT + MAGIC_AT, magic, 2) < 0 || load_le16(magic) != EXT2_SUPER_MAGIC)
		return -EINVAL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, -ENOMEM, "out of memory");
	x->base = *base;
	x->base.ops = &ops;
	snprintf(name, sizeof(name), "%" PRIxPTR, (uintptr_t)&x->base);
	err = ext2fs_open2(name, NULL, EXT2_FLAG_64BITS, 0, 0, (io_manager)(uintptr_t)&manager, &x->fs);
	if (err) {
		free(x);
		return err_set(e, -EIO, "an ext4 file system that libext2fs does not open (error %ld)", (long)err);
	}
	take_names(x);
	*out = &x->base;
	return 0;
}
