/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/disk_image.h"

#include "base/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, COPY_BYTES = 2 << 20 };

int disk_image_format_parse(const char *name, enum disk_format *format, struct err *e)
{
	if (!name)
		return err_set(e, -EINVAL, "the format must be named, it is never guessed: raw or qcow2");
	if (strcmp(name, "raw") && strcmp(name, "qcow2"))
		return err_set(e, -EINVAL, "there is no format %s; choose raw or qcow2", name);
	*format = strcmp(name, "raw") ? IMAGE_QCOW2 : IMAGE_RAW;
	return 0;
}

static int lock(int fd, bool write, const char *path, struct err *e)
{
	struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	struct stat st;
	if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return err_set(e, -EINVAL, "image %s is neither a file nor a block device", path);
	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return err_set(e, -EBUSY, "image %s is in use by a machine or another command; stop that one", path);
}

int disk_image_open(struct disk_image *i, const struct disk_image_open *o, struct err *e)
{
	struct qcow2_open qo = {
		.path = o->path, .snapshot = o->snapshot, .read_only = !o->write, .for_check = o->for_check};
	struct q_file file;
	*i = (struct disk_image){.format = o->format, .fd = -1};
	int fd = open(o->path, (o->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "image %s cannot be opened", o->path);
	int rc = lock(fd, o->write, o->path, e);
	if (!rc && q_file_posix(&file, fd, true, false))
		rc = err_set(e, -ENOMEM, "image %s: no memory", o->path);
	if (rc) {
		close(fd);
		return rc;
	}
	i->fd = fd;
	if (o->format == IMAGE_QCOW2) {
		rc = qcow2_open(&i->q, &file, &qo, e);
		i->size = rc ? 0 : qcow2_size(i->q);
		return rc;
	}
	int64_t size = file.ops->size(file.opaque);
	i->file = file;
	i->size = round_up(size < 0 ? 0 : size, SECTOR);
	if (size < 0) {
		(void)!disk_image_close(i);
		return err_errno(e, -(int)size, "image %s cannot be examined", o->path);
	}
	return 0;
}

int disk_image_close(struct disk_image *i)
{
	int rc = i->q ? qcow2_close(i->q) : 0;
	q_file_close(&i->file);
	*i = (struct disk_image){.fd = -1};
	return rc;
}

/* --- creating --- */

static int fill_new(int fd, enum disk_format format, const struct qcow2_create *c, struct err *e)
{
	struct q_file f;
	if (q_file_posix(&f, fd, false, false))
		return err_set(e, -ENOMEM, "no memory");
	int rc;
	if (format == IMAGE_QCOW2) {
		rc = qcow2_create(&f, c, e);
	} else if (c->backing) {
		rc = err_set(e, -EINVAL, "a raw image has no backing file; use qcow2");
	} else {
		rc = c->size % SECTOR ? -EINVAL : f.ops->truncate(f.opaque, c->size);
		rc = rc ? err_errno(e, -rc, "a raw image of %llu bytes", (unsigned long long)c->size) : 0;
	}
	q_file_close(&f);
	return rc;
}

int disk_image_create(const char *path, enum disk_format format, const struct qcow2_create *c, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return err_set(e, -EEXIST, "%s exists already; remove it, or name another file", path);
	if (fd < 0)
		return err_errno(e, errno, "image %s cannot be created", path);
	int rc = fill_new(fd, format, c, e);
	close(fd);
	if (!rc)
		return 0;
	unlink(path);
	return err_wrap(e, "image %s", path);
}

int disk_image_resize(struct disk_image *i, uint64_t size, bool shrink, struct err *e)
{
	if (i->q)
		return qcow2_resize(i->q, size, shrink, e);
	if (size % SECTOR)
		return err_set(e, -EINVAL, "the size must be a multiple of 512 bytes");
	if (size < i->size && !shrink)
		return err_set(e, -EINVAL, "the image would become shorter and lose what is behind the new end; say so "
			       "(--shrink)");
	int rc = i->file.ops->truncate(i->file.opaque, size);
	return rc ? err_errno(e, -rc, "the image cannot be resized") : 0;
}

/* --- converting --- */

/* How far from offset nothing but zeros is known to be, without reading; 0: it has to be read. *len: how far to go. */
static bool known_zero(struct disk_image *from, uint64_t offset, uint64_t *len)
{
	uint64_t left = from->size - offset;
	*len = left;
	if (from->q) {
		/* A backing file may hold zeros too; reading tells. */
		return qcow2_extent(from->q, offset, len) == 0;
	}
	off_t data = lseek(from->fd, offset, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO;
	if ((uint64_t)data > offset && round_down(data, SECTOR) > offset) {
		*len = round_down(data, SECTOR) - offset;
		return true;
	}
	return false;
}

static int read_piece(struct disk_image *from, void *to, uint64_t len, uint64_t offset)
{
	struct iovec v = {to, len};
	return from->q ? qcow2_readv(from->q, offset, len, &v, 1) : q_file_read(&from->file, to, len, offset);
}

static bool all_zero(const uint8_t *p, uint64_t len)
{
	return !len || (p[0] == 0 && !memcmp(p, p + 1, len - 1));
}

static int write_unit(struct disk_image *to, uint8_t *data, uint64_t len, uint64_t offset, bool compress)
{
	struct iovec v = {data, len};
	if (all_zero(data, len))
		return 0;
	if (!to->q)
		return q_file_write(&to->file, data, len, offset);
	return compress ? qcow2_write_compressed(to->q, offset, data) : qcow2_writev(to->q, offset, len, &v, 1);
}

/* Pieces start at multiples of the unit, so that what is written compressed is whole clusters. */
static int copy_all(const struct disk_image_convert *c, struct disk_image *to, uint8_t *piece)
{
	uint64_t unit = to->q ? qcow2_cluster(to->q) : 65536, size = c->from->size, at = 0;
	while (at < size) {
		uint64_t len;
		if (known_zero(c->from, at, &len) && (len >= unit || at + len == size)) {
			at += at + len == size ? len : round_down(len, unit);
			continue;
		}
		len = size - at < COPY_BYTES ? size - at : COPY_BYTES;
		int rc = read_piece(c->from, piece, len, at);
		memset(piece + len, 0, round_up(len, unit) - len);
		for (uint64_t n = 0; n < len && !rc; n += unit)
			rc = write_unit(to, piece + n, len - n < unit ? len - n : unit, at + n, c->compress);
		if (!rc && c->stop && atomic_load(c->stop))
			rc = -ECANCELED;
		if (rc)
			return rc;
		at += len;
		if (c->progress)
			c->progress(c->opaque, at, size);
	}
	if (c->progress)
		c->progress(c->opaque, size, size);
	return to->q ? qcow2_flush(to->q) : to->file.ops->sync(to->file.opaque);
}

static int copy_into(const struct disk_image_convert *c, struct err *e)
{
	struct disk_image_open o = {.path = c->path, .format = c->format, .write = true};
	struct disk_image to;
	int rc = disk_image_open(&to, &o, e);
	if (rc)
		return rc;
	uint8_t *piece = malloc(COPY_BYTES);
	rc = piece ? copy_all(c, &to, piece) : -ENOMEM;
	free(piece);
	int closed = disk_image_close(&to);
	rc = rc ? rc : closed;
	return rc ? err_errno(e, -rc, "%s cannot be filled", c->path) : 0;
}

int disk_image_convert(const struct disk_image_convert *c, struct err *e)
{
	struct qcow2_create create = c->create;
	create.size = c->from->size;
	if (c->compress && c->format != IMAGE_QCOW2)
		return err_set(e, -EINVAL, "a raw image cannot be compressed; use qcow2");
	int rc = disk_image_create(c->path, c->format, &create, e);
	if (rc)
		return rc;
	rc = copy_into(c, e);
	if (rc)
		unlink(c->path);
	return rc;
}
