/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New volumes: empty ones, and copies of others. Made aside on a thread, shown when whole. */
#include "daemon/storage/storage_priv.h"

#include "base/bytes.h"
#include "block/disk_image.h"
#include "daemon/storage/probe.h"
#include "daemon/xml/domdef.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SECTOR = 512, DEFAULT_MODE = 0600, VOLUME_NAME_MAX = 255 };

struct making {
	struct work work;
	struct pool *pool;
	struct volume *from; /* NULL: an empty one */
	struct voldef *def;  /* what is wanted */
	char *dir, *path, *source;
	enum disk_format format, source_format;
	struct qcow2_create create;
	uint64_t capacity, allocation;
	struct want want;
	bool prealloc, reflink, no_capacity;
	bool overlay; /* a copy of an image over the same backing store: of the file as it is */
	const atomic_bool *stop;
	struct found *found;
	struct err err;
	int ret;
	volume_done_fn done;
	void *opaque;
};

static void making_free(struct making *m)
{
	voldef_free(m->def);
	free(m->dir);
	free(m->path);
	free(m->source);
	free(m);
}

/* ---- on the thread ---- */

/* How large the disk behind the backing file is, for a volume that does not say how large it is to be. */
static int take_size(struct making *m, struct err *e)
{
	struct disk_image_open o = {.path = m->create.backing};
	struct disk_image i;
	int ret = disk_image_format_parse(m->create.backing_format, &o.format, e);

	if (ret == 0)
		ret = disk_image_open(&i, &o, e);
	if (ret < 0)
		return ret;
	m->capacity = i.size;
	return disk_image_close(&i);
}

/* A format that is not named is raw; whoever means it so has no image of another there. */
static int check_backing(const struct making *m, struct err *e)
{
	int fd = open(m->create.backing, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct probe p;

	if (fd < 0)
		return err_errno(e, errno, "inaccessible backing store volume %s", m->create.backing);
	if (!m->def->backing_format)
		ret = probe_fd(&p, fd);
	close(fd);
	if (ret < 0)
		return err_errno(e, -ret, "cannot read %s", m->create.backing);
	if (!m->def->backing_format && strcmp(p.format, "raw"))
		return err_set(e, -EINVAL,
			       "the backing store %s looks like %s; name its format (raw or qcow2), it is not guessed",
			       m->create.backing, p.format);
	return 0;
}

static int allocate(const char *path, uint64_t len, struct err *e)
{
	int fd, ret;

	if (!len)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	ret = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)len);
	if (fd >= 0)
		close(fd);
	return ret ? err_errno(e, ret, "cannot allocate %llu bytes in file '%s'", (unsigned long long)len, path) : 0;
}

static int preallocate(const char *path, struct err *e)
{
	const struct disk_image_open o = {.path = path, .format = IMAGE_QCOW2, .write = true};
	struct disk_image i;
	int ret = disk_image_open(&i, &o, e), closed;

	if (ret < 0)
		return ret;
	ret = qcow2_preallocate(i.q);
	closed = disk_image_close(&i);
	ret = ret ? ret : closed;
	return ret < 0 ? err_errno(e, -ret, "cannot preallocate %s", path) : 0;
}

static int make_empty(struct making *m, const char *file, struct err *e)
{
	int ret = 0;

	if (m->create.backing)
		ret = check_backing(m, e);
	if (ret == 0 && m->no_capacity)
		ret = take_size(m, e);
	m->create.size = round_up(m->capacity, SECTOR);
	if (ret == 0)
		ret = disk_image_create(file, m->format, &m->create, e);
	if (ret == 0 && m->prealloc)
		ret = preallocate(file, e);
	return ret;
}

static int reflink(const struct making *m, const char *file, struct err *e)
{
	int from = open(m->source, O_RDONLY | O_CLOEXEC), to = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
	    ret = 0;

	if (from < 0 || to < 0 || ioctl(to, FICLONE, from) < 0)
		ret = err_errno(e, errno == EINVAL || errno == ENOTTY ? EOPNOTSUPP : errno,
				"this file system does not share the blocks of %s with a copy", m->source);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return ret;
}

static int grow(const struct making *m, const char *file, struct err *e)
{
	const struct disk_image_open o = {.path = file, .format = m->format, .write = true};
	uint64_t size = round_up(m->capacity, SECTOR);
	struct disk_image i;
	int ret = disk_image_open(&i, &o, e), closed;

	if (ret < 0)
		return ret;
	if (size > i.size)
		ret = disk_image_resize(&i, size, false, e);
	closed = disk_image_close(&i);
	return ret ? ret : closed;
}

static int convert(struct making *m, const char *file, struct err *e)
{
	const struct disk_image_open o = {.path = m->source, .format = m->overlay ? IMAGE_RAW : m->source_format};
	struct disk_image from;
	struct disk_image_convert c = {
		.from = &from, .path = file, .format = m->format, .create = m->create, .stop = m->stop};
	int ret = disk_image_open(&from, &o, e);

	if (ret < 0)
		return ret;
	if (m->overlay) {
		c.format = IMAGE_RAW;
		c.create = (struct qcow2_create){0};
	}
	ret = disk_image_convert(&c, e);
	return disk_image_close(&from) < 0 && ret == 0 ? err_set(e, -EIO, "cannot read %s", m->source) : ret;
}

static int make_copy(struct making *m, const char *file, struct err *e)
{
	int ret = m->reflink ? reflink(m, file, e) : convert(m, file, e);

	return ret < 0 ? ret : grow(m, file, e);
}

static int set_owner(const struct making *m, const char *file, struct err *e)
{
	if ((m->want.owner >= 0 || m->want.group >= 0) && chown(file, (uid_t)m->want.owner, (gid_t)m->want.group) < 0)
		return err_errno(e, errno, "cannot give the volume away");
	if (chmod(file, m->want.mode < 0 ? DEFAULT_MODE : (mode_t)m->want.mode) < 0)
		return err_errno(e, errno, "cannot set the volume's mode");
	return 0;
}

static void run_making(struct work *w)
{
	struct making *m = container_of(w, struct making, work);
	struct err *e = &m->err;
	struct aside a;

	m->ret = aside_make(&a, m->dir, e);
	if (m->ret < 0)
		return;
	m->ret = m->from ? make_copy(m, a.file, e) : make_empty(m, a.file, e);
	if (m->ret == 0 && m->format == IMAGE_RAW && !m->reflink)
		m->ret = allocate(a.file, m->allocation, e);
	if (m->ret == 0)
		m->ret = set_owner(m, a.file, e);
	if (m->ret == 0)
		m->ret = aside_publish(&a, m->path, e);
	if (m->ret == 0) {
		m->found = scan_file(m->dir, m->def->name, e);
		m->ret = m->found ? 0 : e->code;
	}
	aside_remove(&a);
}

/* ---- on the loop's thread ---- */

static void fault_of(const struct making *m, struct fault *f)
{
	if (m->ret == -EEXIST)
		fault_set(f, FAULT_VOLUME_EXISTS, FROM_STORAGE, "'%s'", m->def->name);
	else
		fault_from_err(f,
			       m->ret == -EINVAL       ? FAULT_INVALID_ARG
			       : m->ret == -EBUSY      ? FAULT_OPERATION_INVALID
			       : m->ret == -EOPNOTSUPP ? FAULT_OPERATION_UNSUPPORTED
						       : FAULT_SYSTEM,
			       FROM_STORAGE, &m->err);
}

/* A refresh may have seen the file already. */
static struct volume *show(struct making *m)
{
	struct volume *v = volume_by_name(m->pool, m->def->name);

	m->pool->changes++;
	if (!v)
		return volume_add(m->pool, m->found);
	volume_take(v, m->found);
	return v;
}

static void made(struct work *w)
{
	struct making *m = container_of(w, struct making, work);
	struct volume *v = NULL;
	struct fault f;

	m->pool->works--;
	if (m->from) {
		m->from->users--;
		m->from->pool->works--;
	}
	if (m->ret == 0) {
		v = show(m);
		if (!v)
			m->ret = err_set(&m->err, -ENOMEM, "out of memory");
	}
	if (m->ret < 0)
		fault_of(m, &f);
	m->done(m->opaque, v, m->ret < 0 ? &f : NULL);
	making_free(m);
}

static int parse(struct making *m, const char *xml, bool validate, struct fault *f)
{
	struct err e = {0};
	int ret = voldef_parse(&m->def, xml, strlen(xml), validate, &e);

	if (ret == 0)
		ret = permissions_read(&m->def->permissions, &m->want, &e);
	if (ret < 0)
		return fault_set(f, domdef_fault(ret), FROM_STORAGE, "%s", e.text);
	if (strlen(m->def->name) > VOLUME_NAME_MAX || aside_is_name(m->def->name) ||
	    !strcmp(m->def->name, "lost+found"))
		return fault_set(f, FAULT_XML, FROM_STORAGE, "a volume cannot be called '%.300s'", m->def->name);
	for (const char *p = m->def->name; *p; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			return fault_set(f, FAULT_XML, FROM_STORAGE, "the volume's name has a control character in it");
	if (m->def->type > VOLDEF_FILE || m->def->encryption.n || m->def->nocow)
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "volumes are files without encryption and with the file system's own copy-on-write");
	return 0;
}

/* What a document says about a qcow2 image. */
static int take_options(struct making *m, struct fault *f)
{
	const struct voldef *d = m->def;

	if (d->compat && strcmp(d->compat, "0.10") && strcmp(d->compat, "1.1"))
		return fault_set(f, FAULT_XML, FROM_STORAGE,
				 "forbidden characters or unknown version in 'compat': '%.20s'", d->compat);
	m->create.version = d->compat && !strcmp(d->compat, "0.10") ? 2 : 3;
	for (unsigned n = 0; n < d->features.n; n++)
		if (strstr(d->features.v[n]->text, "extended_l2"))
			return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
					 "extended L2 entries are not possible");
		else if (strstr(d->features.v[n]->text, "lazy_refcounts"))
			m->create.lazy_refcounts = m->create.version == 3;
	if (d->cluster_size.set &&
	    (!is_power_of_2(d->cluster_size.v) || d->cluster_size.v < 1u << QCOW2_CLUSTER_BITS_MIN ||
	     d->cluster_size.v > 1u << QCOW2_CLUSTER_BITS_MAX))
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "a cluster has 512 bytes to 2 MiB, and a power of two");
	m->create.cluster_bits = d->cluster_size.set ? (unsigned)__builtin_ctzll(d->cluster_size.v) : 0;
	return 0;
}

/* A name in the header may be meant from the image's own directory. */
static int take_overlay(struct making *m, struct fault *f)
{
	const struct voldef *from = m->from->def;

	m->overlay = from->backing_path && !strcmp(from->backing_path, m->def->backing_path) &&
		     m->from->pool == m->pool && m->format == IMAGE_QCOW2;
	if (m->overlay)
		return 0;
	return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
			 "a copy holds all itself, or has its original's backing store and lies in the same pool");
}

static int take_backing(struct making *m, struct fault *f)
{
	const struct voldef *d = m->def;
	enum disk_format format;

	if (!d->backing_path || !*d->backing_path)
		return 0;
	if (m->from)
		return take_overlay(m, f);
	if (d->backing_path[0] != '/')
		return fault_set(f, FAULT_INVALID_ARG, FROM_STORAGE, "the backing store's path must begin with '/'");
	if (d->backing_format && disk_image_format_parse(d->backing_format, &format, NULL) < 0)
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "unknown storage vol backing store type %.40s", d->backing_format);
	m->create.backing = d->backing_path;
	m->create.backing_format = d->backing_format ? d->backing_format : "raw";
	return 0;
}

static int take_format(struct making *m, unsigned flags, struct fault *f)
{
	const char *format = m->def->format ? m->def->format : "raw";

	if (strcmp(format, "raw") && strcmp(format, "iso") && strcmp(format, "qcow2"))
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "volumes can be made in raw and qcow2, not in %.40s", format);
	m->format = strcmp(format, "qcow2") ? IMAGE_RAW : IMAGE_QCOW2;
	m->prealloc = flags & VOLUME_PREALLOC_METADATA;
	if (m->format == IMAGE_RAW && m->prealloc)
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "metadata preallocation only available with qcow2");
	if (m->format == IMAGE_RAW && m->def->backing_path)
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "a raw volume has no backing store; use qcow2");
	if (m->format == IMAGE_QCOW2 && take_options(m, f) < 0)
		return -1;
	if (take_backing(m, f) < 0)
		return -1;
	if (m->prealloc && m->create.backing)
		return fault_set(f, FAULT_CONFIG_UNSUPPORTED, FROM_STORAGE,
				 "metadata preallocation conflicts with backing store");
	m->no_capacity = !m->def->capacity.set;
	m->capacity = m->def->capacity.v;
	m->allocation = m->def->allocation.v < m->capacity ? m->def->allocation.v : m->capacity;
	if (m->capacity > INT64_MAX / 2)
		return fault_set(f, FAULT_INVALID_ARG, FROM_STORAGE, "the capacity is beyond what a file can have");
	return 0;
}

/* A header that a guest wrote must not make a copy show files of the host: what is below an image must be a volume. */
static int check_chain(const struct volume *v, struct fault *f)
{
	for (unsigned n = 0; v->def->backing_path; n++) {
		const struct volume *below = volume_by_path(v->pool->all, v->def->backing_path);

		if (!below || n == QCOW2_CHAIN_MAX)
			return fault_set(
				f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE,
				"the backing store %.200s of '%s' is in no active pool; copies are made of what is",
				v->def->backing_path, v->def->name);
		v = below;
	}
	return 0;
}

static int take_source(struct making *m, struct volume *from, unsigned flags, struct fault *f)
{
	m->reflink = flags & VOLUME_REFLINK;
	m->prealloc = false; /* a copy has a place for what it holds */
	m->source_format = strcmp(from->def->format, "qcow2") ? IMAGE_RAW : IMAGE_QCOW2;
	if (from->def->type == VOLDEF_DIR)
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_STORAGE, "'%s' is a directory", from->def->name);
	if (m->reflink && (m->format != IMAGE_RAW || m->source_format != IMAGE_RAW))
		return fault_set(f, FAULT_ARGUMENT_UNSUPPORTED, FROM_STORAGE,
				 "only raw volumes are copied by reference");
	if (m->source_format == IMAGE_QCOW2 && !m->overlay && check_chain(from, f) < 0)
		return -1;
	if (m->capacity < from->def->capacity.v)
		m->capacity = from->def->capacity.v;
	m->source = strdup(from->def->path);
	return m->source ? 0 : fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the volume");
}

static int prepare(struct making *m, const char *xml, unsigned flags, struct fault *f)
{
	const char *dir = m->pool->def->path;

	if (parse(m, xml, flags & VOLUME_VALIDATE, f) < 0)
		return -1;
	if (volume_by_name(m->pool, m->def->name))
		return fault_set(f, FAULT_VOLUME_EXISTS, FROM_STORAGE, "'%s'", m->def->name);
	if (take_format(m, flags, f) < 0 || (m->from && take_source(m, m->from, flags, f) < 0))
		return -1;
	m->dir = strdup(dir);
	if (!m->dir || xstr_printf(&m->path, "%s/%s", strcmp(dir, "/") ? dir : "", m->def->name) < 0)
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the volume");
	return 0;
}

static int make(struct pool *p, const char *xml, struct volume *from, unsigned flags, volume_done_fn done, void *opaque,
		struct fault *f)
{
	struct making *m = calloc(1, sizeof(*m));

	if (!m)
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no memory for the volume");
	*m = (struct making){
		.pool = p, .from = from, .stop = works_stopping(p->all->works), .done = done, .opaque = opaque};
	m->work = (struct work){.run = run_making, .done = made};
	if (prepare(m, xml, flags, f) < 0) {
		making_free(m);
		return -1;
	}
	if (works_start(p->all->works, &m->work) < 0) {
		making_free(m);
		return fault_set(f, FAULT_NO_MEMORY, FROM_STORAGE, "no thread for the volume");
	}
	p->works++;
	if (from) {
		from->users++;
		from->pool->works++;
	}
	return 0;
}

int volume_create(struct pool *p, const char *xml, unsigned flags, volume_done_fn done, void *opaque, struct fault *f)
{
	return make(p, xml, NULL, flags, done, opaque, f);
}

int volume_clone(struct pool *p, const char *xml, struct volume *from, unsigned flags, volume_done_fn done,
		 void *opaque, struct fault *f)
{
	return make(p, xml, from, flags, done, opaque, f);
}
