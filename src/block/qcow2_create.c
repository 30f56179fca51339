/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New qcow2 images, and the size of existing ones. */
#include "block/qcow2_priv.h"

#include <errno.h>
#include <stdlib.h>

/* --- creating --- */

struct layout {
	uint64_t l1_entries, l1_clusters, blocks, reftable_clusters, clusters;
	unsigned bits;
};

static uint64_t div_up(uint64_t v, uint64_t by)
{
	return (v + by - 1) / by;
}

/* Header, table of counts, blocks of counts, L1, in this order. */
static int lay_out(struct layout *l, const struct qcow2_create *c, struct err *e)
{
	l->bits = c->cluster_bits ? c->cluster_bits : QCOW2_CLUSTER_BITS;
	if (l->bits < QCOW2_CLUSTER_BITS_MIN || l->bits > QCOW2_CLUSTER_BITS_MAX)
		return err_set(e, -EINVAL, "a cluster has 512 bytes to 2 MiB");
	uint64_t cluster = UINT64_C(1) << l->bits, span = cluster * (cluster / 8);
	if (c->size % H_SECTOR || c->size > INT64_MAX - span)
		return err_set(e, -EINVAL, "the size must be a multiple of 512 bytes");
	l->l1_entries = div_up(c->size, span);
	if (l->l1_entries * 8 > L1_BYTES_MAX)
		return err_set(e, -EFBIG, "the size is too large for clusters of %llu bytes; choose larger ones",
			       (unsigned long long)cluster);
	l->l1_clusters = div_up(l->l1_entries * 8, cluster);
	l->l1_clusters += !l->l1_clusters;
	l->blocks = l->reftable_clusters = 1;
	for (;;) {
		l->clusters = 1 + l->reftable_clusters + l->blocks + l->l1_clusters;
		uint64_t blocks = div_up(l->clusters, cluster / 2), tables = div_up(blocks * 8, cluster);
		if (blocks <= l->blocks && tables <= l->reftable_clusters)
			return 0;
		l->blocks = blocks > l->blocks ? blocks : l->blocks;
		l->reftable_clusters = tables > l->reftable_clusters ? tables : l->reftable_clusters;
	}
}

static uint32_t put_extension(uint8_t *h, uint32_t at, uint32_t type, const void *data, uint32_t len)
{
	store_be32(h + at, type);
	store_be32(h + at + 4, len);
	memcpy(h + at + 8, data, len);
	return at + 8 + round_up(len, 8);
}

static int put_backing(uint8_t *h, uint32_t at, uint64_t cluster, const struct qcow2_create *c, struct err *e)
{
	size_t format = c->backing ? strlen(c->backing_format) : 0, name = c->backing ? strlen(c->backing) : 0;
	if (!c->backing)
		return 0;
	if (name > BACKING_NAME_MAX || at + 8 + round_up(format, 8) + 8 + name > cluster)
		return err_set(e, -ENAMETOOLONG, "the backing file's name is too long for the header");
	at = put_extension(h, at, EXT_BACKING_FORMAT, c->backing_format, format);
	at += 8; /* the end of the extensions: zeros */
	memcpy(h + at, c->backing, name);
	store_be64(h + H_BACKING_OFFSET, at);
	store_be32(h + H_BACKING_SIZE, name);
	return 0;
}

static int make_header(uint8_t *h, const struct layout *l, const struct qcow2_create *c, struct err *e)
{
	unsigned version = c->version ? c->version : 3;
	bool zstd = c->compression == QCOW2_ZSTD;
	if (version != 2 && version != 3)
		return err_set(e, -EINVAL, "qcow2 has the versions 2 and 3");
	if (version == 2 && (zstd || c->lazy_refcounts))
		return err_set(e, -EINVAL, "version 2 has neither zstd nor lazy reference counts; use version 3");
	store_be32(h + H_MAGIC, QCOW2_MAGIC);
	store_be32(h + H_VERSION, version);
	store_be32(h + H_CLUSTER_BITS, l->bits);
	store_be64(h + H_SIZE, c->size);
	store_be32(h + H_L1_SIZE, l->l1_entries);
	store_be64(h + H_L1_OFFSET, (1 + l->reftable_clusters + l->blocks) << l->bits);
	store_be64(h + H_REFTABLE_OFFSET, UINT64_C(1) << l->bits);
	store_be32(h + H_REFTABLE_CLUSTERS, l->reftable_clusters);
	if (version == 2)
		return put_backing(h, H_LENGTH_V2, UINT64_C(1) << l->bits, c, e);
	store_be64(h + H_INCOMPATIBLE, zstd ? INCOMPATIBLE_COMPRESSION : 0);
	store_be64(h + H_COMPATIBLE, c->lazy_refcounts ? COMPATIBLE_LAZY_REFCOUNTS : 0);
	store_be32(h + H_REFCOUNT_ORDER, 4);
	store_be32(h + H_LENGTH, H_LENGTH_OURS);
	h[H_COMPRESSION] = c->compression;
	return put_backing(h, H_LENGTH_OURS, UINT64_C(1) << l->bits, c, e);
}

static int write_tables(const struct q_file *file, const struct layout *l, struct err *e)
{
	uint64_t cluster = UINT64_C(1) << l->bits, bytes = (l->clusters - 1) * cluster;
	uint8_t *tables = calloc(1, bytes);
	if (!tables)
		return err_set(e, -ENOMEM, "no memory for the image's tables");
	uint8_t *counts = tables + l->reftable_clusters * cluster;
	for (uint64_t n = 0; n < l->blocks; n++)
		store_be64(tables + 8 * n, (1 + l->reftable_clusters + n) * cluster);
	for (uint64_t n = 0; n < l->clusters; n++)
		store_be16(counts + 2 * n, 1);
	int rc = q_file_write(file, tables, bytes, cluster);
	if (!rc)
		rc = file->ops->sync(file->opaque);
	free(tables);
	return rc ? err_errno(e, -rc, "the image cannot be written") : 0;
}

int qcow2_create(const struct q_file *file, const struct qcow2_create *c, struct err *e)
{
	struct layout l = {0};
	if (!c->backing != !c->backing_format)
		return err_set(e, -EINVAL, "a backing file and its format are named together");
	int rc = lay_out(&l, c, e);
	if (rc)
		return rc;
	uint8_t *h = calloc(1, UINT64_C(1) << l.bits);
	if (!h)
		return err_set(e, -ENOMEM, "no memory for the image's header");
	rc = make_header(h, &l, c, e);
	if (!rc)
		rc = write_tables(file, &l, e);
	if (!rc) {
		rc = q_file_write(file, h, UINT64_C(1) << l.bits, 0);
		if (!rc)
			rc = file->ops->sync(file->opaque);
		if (rc)
			rc = err_errno(e, -rc, "the image cannot be written");
	}
	free(h);
	return rc;
}

/* --- resizing --- */

/* A longer L1, elsewhere; the header names it only when it is on the disk. Locked. */
static int l1_grow(struct qcow2 *q, uint64_t entries, uint64_t size)
{
	uint64_t clusters = div_up(entries * 8, q->cluster), at;
	uint64_t old_clusters = div_up(UINT64_C(8) * q->l1_size, q->cluster);
	uint64_t bytes = clusters << q->cluster_bits;
	uint64_t *grown = calloc(1, bytes);
	uint8_t *raw = calloc(1, bytes);
	int rc = grown && raw ? q_cache_grow(&q->cache[Q_L2], entries) : -ENOMEM;
	if (!rc)
		rc = q_alloc(q, clusters, true, &at, NULL);
	for (uint64_t n = 0; !rc && n < q->l1_size; n++) {
		grown[n] = q->l1[n];
		store_be64(raw + 8 * n, q->l1[n]);
	}
	if (!rc)
		rc = q_file_write(&q->file, raw, bytes, at);
	if (!rc)
		rc = q_flush_locked(q); /* the counts of the new one, its content */
	free(raw);
	if (rc) {
		free(grown);
		return rc;
	}
	uint64_t old_offset = q->l1_offset;
	free(q->l1);
	q->l1 = grown;
	q->l1_offset = at;
	q->l1_size = entries;
	q->size = size;
	rc = q_header_write(q);
	if (!rc && old_offset)
		q_free_now(q, old_offset, old_clusters ? old_clusters : 1);
	return rc;
}

static int grow(struct qcow2 *q, uint64_t size)
{
	uint64_t entries = div_up(size, (uint64_t)q->l2_entries << q->cluster_bits), old = q->size;
	pthread_mutex_lock(&q->lock);
	/* L1 is written as it is in memory: nothing in it may point to what is not there yet. */
	int rc = q_flush_locked(q);
	if (!rc && entries > q->l1_size) {
		rc = l1_grow(q, entries, size);
	} else if (!rc) {
		q->size = size;
		rc = q_header_write(q);
	}
	pthread_mutex_unlock(&q->lock);
	/* Where the backing file is longer than the disk was, it must not show through. */
	if (!rc && q->backing.size > old) {
		uint64_t end = q->backing.size < size ? round_up(q->backing.size, H_SECTOR) : size;
		rc = qcow2_zero(q, old, end - old);
		if (!rc)
			rc = qcow2_flush(q);
	}
	return rc;
}

/* L2 tables that are wholly behind the end. Locked. */
static int drop_l2(struct qcow2 *q, uint64_t entries)
{
	for (uint64_t n = entries; n < q->l1_size; n++) {
		uint64_t offset = q->l1[n] & ENTRY_OFFSET;
		if (!offset)
			continue;
		int rc = q_free_later(q, offset, 1);
		if (rc)
			return rc;
		q_cache_drop(&q->cache[Q_L2], n);
		q->l1[n] = 0;
		q->l1_dirty_from = n < q->l1_dirty_from || q->l1_dirty_from == q->l1_dirty_to ? n : q->l1_dirty_from;
		q->l1_dirty_to = n + 1 > q->l1_dirty_to ? n + 1 : q->l1_dirty_to;
	}
	return 0;
}

/* What is cut off reads as zeros from here on: a later growth finds nothing of it. */
static int cut(struct qcow2 *q, uint64_t size)
{
	uint64_t whole = round_up(q->size, q->cluster), old = q->size;
	pthread_mutex_lock(&q->lock);
	q->size = whole;
	pthread_mutex_unlock(&q->lock);
	int rc = qcow2_zero(q, size, whole - size);
	pthread_mutex_lock(&q->lock);
	q->size = old;
	if (!rc)
		rc = q_flush_locked(q);
	if (!rc)
		rc = drop_l2(q, div_up(size, (uint64_t)q->l2_entries << q->cluster_bits));
	if (!rc)
		rc = q_flush_locked(q);
	if (!rc) {
		q->size = size;
		rc = q_header_write(q);
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int qcow2_resize(struct qcow2 *q, uint64_t size, bool shrink, struct err *e)
{
	uint64_t span = (uint64_t)q->l2_entries << q->cluster_bits;
	if (q->read_only)
		return err_set(e, -EROFS, "image %s is open read-only", q->path);
	if (size % H_SECTOR || size > INT64_MAX - span || div_up(size, span) * 8 > L1_BYTES_MAX)
		return err_set(e, -EINVAL, "image %s: the size must be a multiple of 512 bytes and within the format's "
			       "bounds", q->path);
	if (size < q->size && !shrink)
		return err_set(e, -EINVAL, "image %s would become shorter and lose what is behind the new end; say so "
			       "(--shrink)", q->path);
	if (size < q->size && q->snapshots)
		return err_set(e, -ENOTSUP, "image %s has snapshots and cannot be shrunk", q->path);
	int rc = size == q->size ? 0 : size > q->size ? grow(q, size) : cut(q, size);
	return rc ? err_errno(e, -rc, "image %s cannot be resized", q->path) : 0;
}
