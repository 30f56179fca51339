/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes made larger or smaller, and wiped. */
#include "daemon/storage/storage_priv.h"

#include "base/bytes.h"
#include "block/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512 };

struct changing {
	struct work work;
	struct volume *volume;
	char *dir, *path, *name;
	enum disk_format format;
	uint64_t size, cluster;
	bool shrink, allocate, version2;
	const atomic_bool *stop;
	struct found *found;
	struct err err;
	int ret;
	volume_done_fn done;
	void *opaque;
};

static void changing_free(struct changing *c)
{
	free(c->dir);
	free(c->path);
	free(c->name);
	free(c);
}

static void look(struct changing *c)
{
	struct err e = {0};

	c->found = scan_file(c->dir, c->name, c->ret == 0 ? &c->err : &e);
	if (!c->found && c->ret == 0)
		c->ret = c->err.code;
}

/* ---- on the thread: another size ---- */

static void run_resize(struct work *w)
{
	struct changing *c = container_of(w, struct changing, work);
	const struct disk_image_open o = {.path = c->path, .format = c->format, .write = true};
	struct disk_image i;
	int closed;

	c->ret = disk_image_open(&i, &o, &c->err);
	if (c->ret == 0) {
		c->ret = disk_image_resize(&i, c->size, c->shrink, &c->err);
		if (c->ret == 0 && c->allocate) {
			c->ret = -posix_fallocate(i.fd, 0, (off_t)c->size);
			if (c->ret < 0)
				err_errno(&c->err, -c->ret, "cannot allocate the volume's %llu bytes",
					  (unsigned long long)c->size);
		}
		if (fdatasync(i.fd) < 0 && c->ret == 0)
			c->ret = err_errno(&c->err, errno, "cannot write %s to disk", c->path);
		closed = disk_image_close(&i);
		if (closed < 0 && c->ret == 0)
			c->ret = err_errno(&c->err, -closed, "cannot write %s", c->path);
	}
	look(c);
}

/* ---- on the thread: wiping ---- */

static int wipe_raw(struct changing *c)
{
	const struct disk_image_open o = {.path = c->path, .format = IMAGE_RAW, .write = true};
	struct disk_image i;
	int ret = disk_image_open(&i, &o, &c->err);

	if (ret < 0)
		return ret;
	ret = overwrite_file(c->path, c->stop, &c->err);
	return disk_image_close(&i) < 0 && ret == 0 ? err_set(&c->err, -EIO, "cannot write %s", c->path) : ret;
}

static int keep_owner(const char *from, const char *to, struct err *e)
{
	struct stat st;

	if (stat(from, &st) < 0 || chown(to, st.st_uid, st.st_gid) < 0 || chmod(to, st.st_mode & 07777) < 0)
		return err_errno(e, errno, "cannot keep the owner of %s", from);
	return 0;
}

/* An empty image takes the old one's place first: there is no moment without an image. */
static int exchange_and_wipe(struct changing *c)
{
	struct qcow2_create create = {.size = round_up(c->size, SECTOR),
				      .version = c->version2 ? 2 : 3,
				      .cluster_bits = c->cluster ? (unsigned)__builtin_ctzll(c->cluster) : 0};
	struct aside a;
	int ret = aside_make(&a, c->dir, &c->err);

	if (ret < 0)
		return ret;
	ret = disk_image_create(a.file, IMAGE_QCOW2, &create, &c->err);
	if (ret == 0)
		ret = keep_owner(c->path, a.file, &c->err);
	if (ret == 0)
		ret = aside_exchange(&a, c->path, &c->err);
	if (ret == 0)
		ret = overwrite_file(a.file, c->stop, &c->err);
	if (ret == -ECANCELED)
		close(a.fd); /* the pool's next start goes on */
	else
		aside_remove(&a);
	return ret;
}

/* The lock keeps machines away, as long as it is the same file. */
static int wipe_qcow2(struct changing *c)
{
	const struct disk_image_open o = {.path = c->path, .format = IMAGE_RAW, .write = true};
	struct disk_image lock;
	int ret = disk_image_open(&lock, &o, &c->err);

	if (ret < 0)
		return ret;
	ret = exchange_and_wipe(c);
	return disk_image_close(&lock) < 0 && ret == 0 ? err_set(&c->err, -EIO, "cannot write %s", c->path) : ret;
}

static void run_wipe(struct work *w)
{
	struct changing *c = container_of(w, struct changing, work);

	c->ret = c->format == IMAGE_QCOW2 ? wipe_qcow2(c) : wipe_raw(c);
	look(c);
}

/* ---- on the loop's thread ---- */

static void changed(struct work *w)
{
	struct changing *c = container_of(w, struct changing, work);
	struct volume *v = c->volume;
	struct fault f;

	v->users--;
	v->pool->works--;
	if (c->found)
		volume_take(v, c->found);
	if (c->ret < 0)
		fault_from_err(&f,
			       c->ret == -EBUSY    ? FAULT_OPERATION_INVALID
			       : c->ret == -EINVAL ? FAULT_INVALID_ARG
						   : FAULT_SYSTEM,
			       FROM_STORAGE, &c->err);
	c->done(c->opaque, v, c->ret < 0 ? &f : NULL);
	changing_free(c);
}

static int start(struct volume *v, const struct changing *what, struct fault *f)
{
	struct changing *c = calloc(1, sizeof(*c));

	if (c) {
		*c = *what;
		c->volume = v;
		c->stop = works_stopping(v->pool->all->works);
		c->work.done = changed;
		c->format = strcmp(v->def->format, "qcow2") ? IMAGE_RAW : IMAGE_QCOW2;
		c->cluster = v->def->cluster_size.v;
		c->version2 = v->def->compat && !strcmp(v->def->compat, "0.10");
		c->dir = strdup(v->pool->def->path);
		c->path = strdup(v->def->path);
		c->name = strdup(v->def->name);
	}
	if (!c || !c->dir || !c->path || !c->name || works_start(v->pool->all->works, &c->work) < 0) {
		if (c)
			changing_free(c);
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the volume");
	}
	v->users++;
	v->pool->works++;
	return 0;
}

static int check(const struct volume *v, struct fault *f)
{
	if (v->users)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_STORAGE, "volume '%s' is still in use.",
				 v->def->name);
	if (v->def->type == VOLDEF_DIR)
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE, "'%s' is a directory", v->def->name);
	return 0;
}

int volume_resize(struct volume *v, uint64_t size, unsigned flags, volume_done_fn done, void *opaque, struct fault *f)
{
	uint64_t now = v->def->capacity.v;
	struct changing c = {.work = {.run = run_resize},
			     .shrink = flags & VOLUME_SHRINK,
			     .allocate = flags & VOLUME_ALLOCATE,
			     .done = done,
			     .opaque = opaque};
	bool is_raw = !strcmp(v->def->format, "raw") || !strcmp(v->def->format, "iso");

	if (check(v, f) < 0)
		return -1;
	if (!is_raw && strcmp(v->def->format, "qcow2"))
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE, "a volume in %s cannot be resized",
				 v->def->format);
	if (c.allocate && !is_raw)
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE,
				 "preallocate is only supported for raw volumes");
	if (size > INT64_MAX / 2)
		return fault_set(f, FAULT_INVALID_ARG, FROM_STORAGE, "the capacity is beyond what a file can have");
	if (flags & VOLUME_DELTA)
		size = !c.shrink ? now + size : size < now ? now - size : 0;
	if (size < now && !c.shrink)
		return fault_set(
			f, FAULT_INVALID_ARG, FROM_STORAGE,
			"Can't shrink capacity below current capacity unless shrink flag explicitly specified");
	c.size = round_up(size, SECTOR);
	return start(v, &c, f);
}

int volume_wipe(struct volume *v, volume_done_fn done, void *opaque, struct fault *f)
{
	struct changing c = {.work = {.run = run_wipe}, .size = v->def->capacity.v, .done = done, .opaque = opaque};

	if (check(v, f) < 0)
		return -1;
	return start(v, &c, f);
}
