/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing the disk of a qcow2 image; opening, closing, backing files. */
#include "block/qcow2_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Clusters that one write takes at once: bounds the buffers and how long others wait. */
enum { RUN_BYTES_MAX = 4 << 20, IOV_MOST = 1024 };

/* --- ranges of the disk that are worked on --- */

void q_range_add(struct qcow2 *q, struct q_range *r, uint64_t offset, uint64_t len)
{
	r->first = offset >> q->cluster_bits;
	r->last = (offset + len - 1) >> q->cluster_bits;
	list_add_tail(&q->ranges, &r->node);
}

bool q_range_busy(const struct qcow2 *q, uint64_t offset, uint64_t len, bool exclusive)
{
	uint64_t first = offset >> q->cluster_bits, last = (offset + len - 1) >> q->cluster_bits;
	for (const struct list *n = q->ranges.next; n != &q->ranges; n = n->next) {
		const struct q_range *r = list_entry(n, struct q_range, node);
		if ((exclusive || r->exclusive) && r->first <= last && first <= r->last)
			return true;
	}
	return false;
}

void q_range_end(struct qcow2 *q, struct q_range *r)
{
	pthread_mutex_lock(&q->lock);
	list_remove(&r->node);
	pthread_cond_broadcast(&q->ranges_changed);
	pthread_mutex_unlock(&q->lock);
}

/* --- reading --- */

static int backing_read(struct q_backing *b, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count)
{
	struct iovec part[IOV_MOST];
	uint64_t there = offset < b->size ? b->size - offset : 0;
	there = there < len ? there : len;
	if (there < len) {
		unsigned n = iov_part(part, iov, count, there, len - there);
		iov_zero(part, n);
	}
	if (!there)
		return 0;
	unsigned n = iov_part(part, iov, count, 0, there);
	return b->image ? qcow2_readv(b->image, offset, there, part, n)
			: b->raw.ops->readv(b->raw.opaque, part, n, offset);
}

static bool has_backing(const struct qcow2 *q)
{
	return q->backing.image || q->backing.raw.ops;
}

static void scatter(const struct iovec *iov, unsigned count, const uint8_t *from)
{
	for (unsigned i = 0; i < count; from += iov[i++].iov_len)
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
}

static int read_packed(struct qcow2 *q, const struct q_extent *x, uint64_t offset, const struct iovec *iov,
		       unsigned count)
{
	uint8_t *packed = malloc(x->packed), *plain = malloc(q->cluster);
	int rc = packed && plain ? q_file_read(&q->file, packed, x->packed, x->host) : -ENOMEM;
	if (!rc)
		rc = q_unpack(q->compression, packed, x->packed, plain, q->cluster);
	if (!rc)
		scatter(iov, count, plain + (offset & (q->cluster - 1)));
	free(packed);
	free(plain);
	return rc;
}

/* The range is held by the caller. iov is x->len long. */
static int read_extent(struct qcow2 *q, const struct q_extent *x, uint64_t offset, const struct iovec *iov,
		       unsigned count)
{
	switch (x->kind) {
	case Q_DATA: return q->file.ops->readv(q->file.opaque, iov, count, x->host);
	case Q_COMPRESSED: return read_packed(q, x, offset, iov, count);
	case Q_UNALLOCATED:
		if (has_backing(q))
			return backing_read(&q->backing, offset, x->len, iov, count);
		break;
	case Q_ZERO: break;
	}
	iov_zero(iov, count);
	return 0;
}

static int read_held(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count)
{
	struct iovec part[IOV_MOST];
	uint64_t done = 0;
	while (done < len) {
		struct q_extent x;
		pthread_mutex_lock(&q->lock);
		int rc = q_map(q, offset + done, len - done, &x);
		pthread_mutex_unlock(&q->lock);
		if (!rc)
			rc = read_extent(q, &x, offset + done, part, iov_part(part, iov, count, done, x.len));
		if (rc)
			return rc;
		done += x.len;
	}
	return 0;
}

int qcow2_readv(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count)
{
	struct q_range r = {.exclusive = false};
	if (count > IOV_MOST || !range_inside(offset, len, q->size))
		return -EINVAL;
	if (!len)
		return 0;
	pthread_mutex_lock(&q->lock);
	while (q_range_busy(q, offset, len, false))
		pthread_cond_wait(&q->ranges_changed, &q->lock);
	q_range_add(q, &r, offset, len);
	pthread_mutex_unlock(&q->lock);
	int rc = read_held(q, offset, len, iov, count);
	q_range_end(q, &r);
	return rc;
}

/* --- writing --- */

/* Does every cluster of the range have a place that only this disk uses? A failure to tell shows itself later. */
static bool all_in_place(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	struct q_extent x;
	for (; len; offset += x.len, len -= x.len)
		if (q_map(q, offset, len, &x) || x.kind != Q_DATA || !x.in_place)
			return false;
	return true;
}

/* Locked. Whoever only writes in place goes beside others that do; who changes the mapping is alone. */
static void range_for_write(struct qcow2 *q, struct q_range *r, uint64_t offset, uint64_t len)
{
	for (;;) {
		r->exclusive = !all_in_place(q, offset, len);
		if (!q_range_busy(q, offset, len, r->exclusive))
			break;
		pthread_cond_wait(&q->ranges_changed, &q->lock);
	}
	q_range_add(q, r, offset, len);
}

struct fresh {
	uint64_t first, clusters, host; /* cluster of the disk, how many, where they will be */
	uint64_t head, tail;            /* bytes before and behind what is written, inside the clusters */
};

/* Data with the rest of its first and last cluster around it, into the new place. */
static int fill_fresh(struct qcow2 *q, const struct fresh *f, const struct iovec *iov, unsigned count)
{
	struct iovec *all = malloc((count + 2) * sizeof(*all));
	uint8_t *around = malloc(f->head + f->tail + 1);
	uint64_t start = f->first << q->cluster_bits, end = start + (f->clusters << q->cluster_bits);
	struct iovec head = {around, f->head}, tail = {around ? around + f->head : NULL, f->tail};
	int rc = all && around ? 0 : -ENOMEM;
	if (!rc && f->head)
		rc = read_held(q, start, f->head, &head, 1);
	if (!rc && f->tail)
		rc = read_held(q, end - f->tail, f->tail, &tail, 1);
	if (!rc) {
		unsigned n = 0;
		if (f->head)
			all[n++] = head;
		memcpy(all + n, iov, count * sizeof(*iov));
		n += count;
		if (f->tail)
			all[n++] = tail;
		/* Two more elements than the file takes at once: only then in two writes. */
		if (n > IOV_MOST) {
			rc = q->file.ops->writev(q->file.opaque, all, n - 2, f->host);
			uint64_t last = all[n - 2].iov_len + all[n - 1].iov_len;
			if (!rc)
				rc = q->file.ops->writev(q->file.opaque, all + n - 2, 2,
							 f->host + (f->clusters << q->cluster_bits) - last);
		} else {
			rc = q->file.ops->writev(q->file.opaque, all, n, f->host);
		}
	}
	free(all);
	free(around);
	return rc;
}

/* Locked. Clusters from offset on, as many as want a new place and find one side by side. */
static int take_fresh(struct qcow2 *q, uint64_t offset, uint64_t len, struct fresh *f)
{
	uint64_t mask = q->cluster - 1, most = (offset & mask) + len, wanted = 0;
	most = (most < RUN_BYTES_MAX ? most : RUN_BYTES_MAX) + mask;
	most >>= q->cluster_bits;
	f->first = offset >> q->cluster_bits;
	for (; wanted < (most ? most : 1); wanted++) {
		struct q_extent x;
		int rc = q_map(q, (f->first + wanted) << q->cluster_bits, q->cluster, &x);
		if (rc)
			return rc;
		if (x.kind == Q_DATA && x.in_place)
			break;
	}
	int rc = q_alloc(q, wanted, false, &f->host, &f->clusters);
	if (rc)
		return rc;
	uint64_t end = offset + len, there = (f->first + f->clusters) << q->cluster_bits;
	f->head = offset & mask;
	f->tail = there > end ? there - end : 0;
	return 0;
}

static int link_fresh(struct qcow2 *q, const struct fresh *f)
{
	for (uint64_t n = 0; n < f->clusters; n++) {
		uint64_t place = f->host + (n << q->cluster_bits);
		int rc = q_entry_set(q, f->first + n, place | ENTRY_COPIED);
		if (rc) {
			q_free_now(q, place, f->clusters - n);
			return rc;
		}
	}
	return 0;
}

/* One step of a write at offset: *done bytes of it. */
static int write_step(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count,
		      uint64_t skip, uint64_t *done)
{
	struct iovec part[IOV_MOST];
	struct q_extent x;
	struct fresh f = {0};
	pthread_mutex_lock(&q->lock);
	int rc = q_map(q, offset, len, &x);
	bool in_place = !rc && x.kind == Q_DATA && x.in_place;
	if (!rc && !in_place)
		rc = take_fresh(q, offset, len, &f);
	pthread_mutex_unlock(&q->lock);
	if (rc)
		return rc;
	*done = in_place ? x.len : (f.clusters << q->cluster_bits) - f.head - f.tail;
	unsigned n = iov_part(part, iov, count, skip, *done);
	if (in_place)
		return q->file.ops->writev(q->file.opaque, part, n, x.host);
	rc = fill_fresh(q, &f, part, n);
	pthread_mutex_lock(&q->lock);
	if (rc)
		q_free_now(q, f.host, f.clusters);
	else
		rc = link_fresh(q, &f);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int qcow2_writev(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count)
{
	struct q_range r;
	int rc = 0;
	if (q->read_only || count > IOV_MOST || !range_inside(offset, len, q->size))
		return q->read_only ? -EROFS : -EINVAL;
	if (!len)
		return 0;
	pthread_mutex_lock(&q->lock);
	range_for_write(q, &r, offset, len);
	pthread_mutex_unlock(&q->lock);
	for (uint64_t at = 0, done = 0; at < len && !rc; at += done)
		rc = write_step(q, offset + at, len - at, iov, count, at, &done);
	q_range_end(q, &r);
	return rc;
}

/* --- zeros --- */

static int write_zeros(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	uint64_t unit = len < q->cluster ? len : q->cluster;
	uint8_t *zeros = calloc(1, unit ? unit : 1);
	int rc = zeros ? 0 : -ENOMEM;
	while (len && !rc) {
		struct iovec v = {zeros, unit < len ? unit : len};
		rc = qcow2_writev(q, offset, v.iov_len, &v, 1);
		offset += v.iov_len;
		len -= v.iov_len;
	}
	free(zeros);
	return rc;
}

/* Parts of at most two clusters: nothing to do where zeros are already. */
static int zero_part(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	while (len) {
		struct q_extent x;
		pthread_mutex_lock(&q->lock);
		int rc = q_map(q, offset, len, &x);
		pthread_mutex_unlock(&q->lock);
		if (!rc && x.kind != Q_ZERO && (x.kind != Q_UNALLOCATED || has_backing(q)))
			rc = write_zeros(q, offset, x.len);
		if (rc)
			return rc;
		offset += x.len;
		len -= x.len;
	}
	return 0;
}

/* The entries of whole clusters; nothing is written into what they held. */
static int zero_entries(struct qcow2 *q, uint64_t first, uint64_t clusters)
{
	struct q_range r = {.exclusive = true};
	uint64_t offset = first << q->cluster_bits, len = clusters << q->cluster_bits;
	uint64_t entry = has_backing(q) || q->backing_name ? ENTRY_ZERO : 0;
	int rc = 0;
	pthread_mutex_lock(&q->lock);
	while (q_range_busy(q, offset, len, true))
		pthread_cond_wait(&q->ranges_changed, &q->lock);
	q_range_add(q, &r, offset, len);
	for (uint64_t n = 0; n < clusters && !rc; n++) {
		uint64_t old;
		if (!entry && !q->l1[(first + n) / q->l2_entries])
			continue;
		rc = q_entry_get(q, first + n, &old);
		if (!rc && old != entry)
			rc = q_entry_set(q, first + n, entry);
	}
	list_remove(&r.node);
	pthread_cond_broadcast(&q->ranges_changed);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

static bool zero_flag_works(const struct qcow2 *q)
{
	return q->version >= 3 || !q->backing_name;
}

int qcow2_zero(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	if (q->read_only || !range_inside(offset, len, q->size))
		return q->read_only ? -EROFS : -EINVAL;
	/* Version 2 has no entry for zeros: over a backing file they have to be written. */
	if (!zero_flag_works(q))
		return write_zeros(q, offset, len);
	uint64_t end = offset + len, first = round_up(offset, q->cluster), last = round_down(end, q->cluster);
	if (end == q->size)
		last = round_up(end, q->cluster); /* what is behind the end of the disk is nobody's */
	if (first >= last)
		return zero_part(q, offset, len);
	int rc = zero_part(q, offset, first - offset);
	if (!rc)
		rc = zero_entries(q, first >> q->cluster_bits, (last - first) >> q->cluster_bits);
	return rc || last >= end ? rc : zero_part(q, last, end - last);
}

int qcow2_discard(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	if (q->read_only || !range_inside(offset, len, q->size))
		return q->read_only ? -EROFS : -EINVAL;
	uint64_t end = offset + len, first = round_up(offset, q->cluster);
	uint64_t last = end == q->size ? round_up(end, q->cluster) : round_down(end, q->cluster);
	if (first >= last || !zero_flag_works(q))
		return 0;
	return zero_entries(q, first >> q->cluster_bits, (last - first) >> q->cluster_bits);
}

/* Locked. What was counted and freed before may hold old bytes: what is behind the file's end alone is zeros. */
static int take_zeros(struct qcow2 *q, struct fresh *f)
{
	int64_t size = q->file.ops->size(q->file.opaque);
	uint64_t left = ((q->size + q->cluster - 1) >> q->cluster_bits) - f->first;
	uint64_t most = RUN_BYTES_MAX >> q->cluster_bits;
	int rc = size < 0 ? (int)size : q_alloc(q, left < most ? left : most, false, &f->host, &f->clusters);
	if (rc || f->host >= (uint64_t)size)
		return rc;
	uint64_t len = f->clusters << q->cluster_bits;
	uint8_t *zeros = calloc(1, len);
	rc = zeros ? q_file_write(&q->file, zeros, len, f->host) : -ENOMEM;
	free(zeros);
	return rc;
}

int qcow2_preallocate(struct qcow2 *q)
{
	struct fresh f = {0};
	uint64_t end = 0;
	int rc = q->read_only ? -EROFS : has_backing(q) ? -EINVAL : 0;
	pthread_mutex_lock(&q->lock);
	while (!rc && f.first << q->cluster_bits < q->size) {
		struct q_extent x;
		rc = q_map(q, f.first << q->cluster_bits, q->cluster, &x);
		f.clusters = 1;
		if (rc || x.kind != Q_UNALLOCATED)
			goto next;
		rc = take_zeros(q, &f);
		if (!rc)
			rc = link_fresh(q, &f);
		if (f.host + (f.clusters << q->cluster_bits) > end)
			end = f.host + (f.clusters << q->cluster_bits);
next:
		f.first += f.clusters;
	}
	int64_t size = q->file.ops->size(q->file.opaque);
	if (!rc && size >= 0 && (uint64_t)size < end)
		rc = q->file.ops->truncate(q->file.opaque, end);
	pthread_mutex_unlock(&q->lock);
	return rc ? rc : qcow2_flush(q);
}

int qcow2_flush(struct qcow2 *q)
{
	pthread_mutex_lock(&q->lock);
	int rc = q_flush_locked(q);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int qcow2_extent(struct qcow2 *q, uint64_t offset, uint64_t *len)
{
	struct q_extent x;
	pthread_mutex_lock(&q->lock);
	int rc = q_map(q, offset, q->size - offset < *len ? q->size - offset : *len, &x);
	pthread_mutex_unlock(&q->lock);
	if (rc)
		return 1; /* reading it tells the error */
	*len = x.len;
	if (x.kind == Q_UNALLOCATED)
		return has_backing(q) ? -1 : 0;
	return x.kind == Q_ZERO ? 0 : 1;
}

/* --- compressed writing --- */

/* Locked. Behind the last one where that still fits, over the end of its cluster if the next one is free. */
static int place_packed(struct qcow2 *q, uint32_t bytes, uint64_t *at)
{
	uint64_t mask = q->cluster - 1, left = q->packed_at ? q->cluster - (q->packed_at & mask) : 0, fresh;
	bool share = q->refcount_max > q->cluster / H_SECTOR && left;
	if (share && bytes <= left) {
		*at = q->packed_at;
		int rc = q_refcount_add(q, *at >> q->cluster_bits, 1);
		q->packed_at = (*at + bytes) & mask ? *at + bytes : 0;
		return rc;
	}
	int rc = q_alloc(q, 1, true, &fresh, NULL);
	if (rc)
		return rc;
	*at = fresh;
	if (share && fresh == (q->packed_at | mask) + 1) {
		*at = q->packed_at;
		rc = q_refcount_add(q, *at >> q->cluster_bits, 1);
	}
	q->packed_at = (*at + bytes) & mask ? *at + bytes : 0;
	return rc;
}

static int write_packed(struct qcow2 *q, uint64_t cluster, const uint8_t *packed, uint32_t bytes)
{
	unsigned shift = 62 - (q->cluster_bits - 8);
	uint64_t at, old;
	pthread_mutex_lock(&q->lock);
	int rc = q_entry_get(q, cluster, &old);
	if (!rc && old)
		rc = -EEXIST;
	if (!rc)
		rc = place_packed(q, bytes, &at);
	if (!rc)
		rc = q_file_write(&q->file, packed, bytes, at);
	if (!rc) {
		uint64_t sectors = (at + bytes - 1) / H_SECTOR - at / H_SECTOR;
		rc = q_entry_set(q, cluster, ENTRY_COMPRESSED | sectors << shift | at);
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int qcow2_write_compressed(struct qcow2 *q, uint64_t offset, const void *data)
{
	uint8_t *packed = malloc(q->cluster);
	if (!packed)
		return -ENOMEM;
	int64_t bytes = q_pack(q->compression, data, q->cluster, packed);
	int rc = bytes < 0 ? bytes : write_packed(q, offset >> q->cluster_bits, packed, bytes);
	free(packed);
	if (rc != -E2BIG)
		return rc;
	struct iovec v = {(void *)(uintptr_t)data, q->cluster};
	if (v.iov_len > q->size - offset)
		v.iov_len = q->size - offset;
	return qcow2_writev(q, offset, v.iov_len, &v, 1);
}

/* --- opening --- */

static char *backing_path(const struct qcow2 *q, struct err *e)
{
	const char *name = q->backing_name, *slash = strrchr(q->path, '/');
	char *path = NULL;
	if (!strncmp(name, "file:", 5))
		name += 5;
	else if (strchr(name, ':') && (!strchr(name, '/') || strchr(name, ':') < strchr(name, '/'))) {
		err_set(e, -ENOTSUP, "image %s has the backing file %.200s; Panal reads local files only", q->path,
			name);
		return NULL;
	}
	int rc = name[0] == '/' || !slash ? asprintf(&path, "%s", name)
					  : asprintf(&path, "%.*s/%s", (int)(slash - q->path), q->path, name);
	if (rc >= 0)
		return path;
	err_set(e, -ENOMEM, "image %s: no memory", q->path);
	return NULL;
}

static int backing_descriptor(const struct qcow2 *q, const char *path, struct err *e)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "backing file %.300s of image %s cannot be opened", path, q->path);
	int rc = 0;
	if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		rc = err_set(e, -EINVAL, "backing file %.300s is neither a file nor a block device", path);
	else if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		rc = err_set(e, -EBUSY, "backing file %.300s is being written by another machine; stop that one", path);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

static int backing_image(struct qcow2 *q, const char *path, struct q_file *file, struct err *e)
{
	struct qcow2_open o = {.path = path, .read_only = true, .depth = q->depth + 1};
	if (o.depth >= QCOW2_CHAIN_MAX) {
		q_file_close(file);
		return err_set(e, -ELOOP, "image %s: its chain of backing files is over %d long, or a circle", path,
			       QCOW2_CHAIN_MAX);
	}
	int rc = qcow2_open(&q->backing.image, file, &o, e);
	if (!rc)
		q->backing.size = qcow2_size(q->backing.image);
	return rc;
}

static int backing_open_format(struct qcow2 *q, const char *path, struct err *e)
{
	bool raw = !strcmp(q->backing_format, "raw"), qcow2 = !strcmp(q->backing_format, "qcow2");
	struct q_file file;
	if (!raw && !qcow2)
		return err_set(e, -ENOTSUP, "image %s has a backing file in format %.40s; Panal reads raw and qcow2",
			       q->path, q->backing_format);
	int fd = backing_descriptor(q, path, e);
	if (fd < 0)
		return fd;
	int rc = q_file_posix(&file, fd, true, false);
	if (rc) {
		close(fd);
		return err_set(e, rc, "image %s: no memory", q->path);
	}
	if (qcow2)
		return backing_image(q, path, &file, e);
	q->backing.raw = file;
	int64_t size = file.ops->size(file.opaque);
	q->backing.size = size < 0 ? 0 : size;
	return size < 0 ? err_errno(e, -(int)size, "backing file %.300s cannot be examined", path) : 0;
}

static int backing_open(struct qcow2 *q, struct err *e)
{
	if (!q->backing_format)
		return err_set(e, -EINVAL,
			       "image %s does not name its backing file's format, and Panal does not guess it; name "
			       "it: qemu-img rebase -u -F FORMAT -b %.200s %s", q->path, q->backing_name, q->path);
	char *path = backing_path(q, e);
	if (!path)
		return e ? e->code : -EINVAL;
	int rc = backing_open_format(q, path, e);
	free(path);
	return rc;
}

static int use_snapshot(struct qcow2 *q, const char *which, struct err *e)
{
	for (unsigned n = 0; n < q->snapshots; n++) {
		const struct q_snapshot *s = &q->snapshot[n];
		if (strcmp(s->info.id, which) && strcmp(s->info.name, which))
			continue;
		uint64_t span = (uint64_t)q->l2_entries << q->cluster_bits, bytes = UINT64_C(8) * s->l1_size;
		if (s->info.disk_size > INT64_MAX - span || s->info.disk_size % H_SECTOR ||
		    (s->info.disk_size + span - 1) / span > s->l1_size || s->l1_offset % q->cluster)
			return err_set(e, -EINVAL, "snapshot %s of image %s is damaged", which, q->path);
		uint64_t *l1 = calloc(s->l1_size ? s->l1_size : 1, sizeof(*l1));
		if (!l1)
			return err_set(e, -ENOMEM, "image %s: no memory", q->path);
		free(q->l1);
		q->l1 = l1;
		q->l1_size = s->l1_size;
		q->l1_offset = s->l1_offset;
		q->size = s->info.disk_size;
		q->in_snapshot = true;
		int rc = q_file_read(&q->file, l1, bytes, s->l1_offset);
		for (uint32_t i = 0; i < s->l1_size; i++)
			l1[i] = __builtin_bswap64(l1[i]);
		return rc ? err_errno(e, -rc, "image %s cannot be read", q->path) : 0;
	}
	return err_set(e, -ENOENT, "image %s has no snapshot %s; panal image snapshot list shows them", q->path, which);
}

/* Counts that were not kept up to date are made true before anything is allocated by them. */
static int make_writable(struct qcow2 *q, struct err *e)
{
	struct qcow2_check check;
	if (q->incompatible & INCOMPATIBLE_DIRTY) {
		int rc = qcow2_check(q, true, &check, e);
		if (rc)
			return rc;
		if (check.corruptions > check.corruptions_fixed)
			return err_set(e, -EIO, "image %s was not closed and is damaged: %s", q->path, check.first);
	}
	/* Whoever kept something beside the disk, such as bitmaps, learns from the cleared bits that it is old now. */
	if (q->version < 3 || !q->autoclear)
		return 0;
	q->autoclear = 0;
	q->bitmaps = false;
	int rc = q_header_write(q);
	return rc ? err_errno(e, -rc, "image %s cannot be written", q->path) : 0;
}

static int open_into(struct qcow2 *q, const struct qcow2_open *o, struct err *e)
{
	int rc = q_header_read(q, o, e);
	if (!rc && o->snapshot)
		rc = use_snapshot(q, o->snapshot, e);
	if (!rc && q_cache_init(q))
		rc = err_set(e, -ENOMEM, "image %s: no memory", q->path);
	if (!rc && q->backing_name && !o->no_backing && !o->for_check)
		rc = backing_open(q, e);
	if (!rc && !q->read_only && !o->for_check)
		rc = make_writable(q, e);
	return rc;
}

int qcow2_open(struct qcow2 **out, struct q_file *file, const struct qcow2_open *o, struct err *e)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	if (!q) {
		q_file_close(file);
		return err_set(e, -ENOMEM, "image %s: no memory", o->path);
	}
	q->file = *file;
	file->ops = NULL;
	q->read_only = true; /* until it is open: nothing is written on the way out */
	q->depth = o->depth;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->ranges_changed, NULL);
	list_init(&q->ranges);
	q->path = strdup(o->path);
	int rc = q->path ? 0 : err_set(e, -ENOMEM, "image %s: no memory", o->path);
	if (!rc) {
		q->read_only = o->read_only || o->snapshot;
		rc = open_into(q, o, e);
	}
	if (!rc) {
		*out = q;
		return 0;
	}
	q->read_only = true;
	(void)!qcow2_close(q);
	return rc;
}

int qcow2_close(struct qcow2 *q)
{
	if (!q)
		return 0;
	assert(list_empty(&q->ranges));
	/* The second time for the clusters that the first one freed. */
	int rc = q->read_only ? 0 : qcow2_flush(q);
	if (!rc && !q->read_only)
		rc = qcow2_flush(q);
	if (q->backing.image)
		(void)!qcow2_close(q->backing.image);
	q_file_close(&q->backing.raw);
	q_file_close(&q->file);
	for (unsigned kind = 0; kind < 2; kind++)
		q_cache_free(&q->cache[kind]);
	pthread_cond_destroy(&q->ranges_changed);
	pthread_mutex_destroy(&q->lock);
	free(q->frees);
	free(q->snapshot);
	free(q->l1);
	free(q->reftable);
	free(q->backing_name);
	free(q->backing_format);
	free(q->path);
	free(q);
	return rc;
}

uint64_t qcow2_size(const struct qcow2 *q)
{
	return q->size;
}

uint32_t qcow2_cluster(const struct qcow2 *q)
{
	return q->cluster;
}

void qcow2_info(const struct qcow2 *q, struct qcow2_info *info)
{
	int64_t size = q->file.ops->size(q->file.opaque);
	*info = (struct qcow2_info){
		.version = q->version, .refcount_bits = 1u << q->refcount_order, .cluster = q->cluster, .size = q->size,
		.file_size = size < 0 ? 0 : size, .compression = q->compression, .bitmaps = q->bitmaps,
		.dirty = q->incompatible & INCOMPATIBLE_DIRTY, .corrupt = q->incompatible & INCOMPATIBLE_CORRUPT,
		.lazy_refcounts = q->compatible & COMPATIBLE_LAZY_REFCOUNTS, .backing = q->backing_name,
		.backing_format = q->backing_format, .snapshots = q->snapshots,
	};
}

const struct qcow2_snapshot_info *qcow2_snapshot(const struct qcow2 *q, unsigned n)
{
	return &q->snapshot[n].info;
}
