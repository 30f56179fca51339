/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a qcow2 image, its extensions and its list of snapshots: everything here comes from outside. */
#include "block/qcow2_priv.h"

#include "base/checked.h"
#include <errno.h>
#include <stdlib.h>

static int bad(const struct qcow2 *q, struct err *e, const char *what)
{
	return err_set(e, -EINVAL, "image %s is damaged: %s; restore it from a copy", q->path, what);
}

static int refuse(const struct qcow2 *q, struct err *e, const char *what)
{
	return err_set(e, -ENOTSUP, "image %s %s, which Panal does not support; convert it with qemu-img convert",
		       q->path, what);
}

static int check_features(const struct qcow2 *q, const struct qcow2_open *o, struct err *e)
{
	uint64_t unknown = q->incompatible & ~(uint64_t)INCOMPATIBLE_KNOWN;
	if (load_be32(q->header + H_CRYPT) == 1)
		return refuse(q, e, "is encrypted with qcow2's old AES");
	if (load_be32(q->header + H_CRYPT))
		return refuse(q, e, "is encrypted (LUKS)");
	if (unknown & INCOMPATIBLE_DATA_FILE)
		return refuse(q, e, "keeps its data in another file (data_file)");
	if (unknown & INCOMPATIBLE_EXTENDED_L2)
		return refuse(q, e, "has extended L2 entries (extended_l2)");
	if (unknown)
		return err_set(e, -ENOTSUP, "image %s needs features that Panal does not know (bits 0x%llx)", q->path,
			       (unsigned long long)unknown);
	if (q->incompatible & INCOMPATIBLE_CORRUPT && !o->for_check && !o->read_only)
		return err_set(e, -EIO, "image %s is marked as damaged; repair it with panal image check --repair, or "
			       "open it read-only", q->path);
	return 0;
}

static bool table_fits(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
	uint64_t end;
	return offset && offset % q->cluster == 0 && checked_add(offset, bytes, &end) && end <= INT64_MAX;
}

static int check_fields(struct qcow2 *q, struct err *e)
{
	const uint8_t *h = q->header;
	uint64_t l1_bytes = UINT64_C(8) * q->l1_size, span = (uint64_t)q->l2_entries << q->cluster_bits;
	uint64_t reftable = (uint64_t)load_be32(h + H_REFTABLE_CLUSTERS) << q->cluster_bits;
	if (q->size % H_SECTOR || q->size > INT64_MAX - span)
		return bad(q, e, "its size is impossible");
	if (l1_bytes > L1_BYTES_MAX || (q->size + span - 1) / span > q->l1_size)
		return bad(q, e, "its L1 table has an impossible length");
	if (q->l1_size && !table_fits(q, q->l1_offset, l1_bytes))
		return bad(q, e, "its L1 table is at an impossible place");
	if (reftable == 0 || reftable > REFTABLE_BYTES_MAX || !table_fits(q, q->reftable_offset, reftable))
		return bad(q, e, "its table of reference counts is impossible");
	if (q->snapshots > SNAPSHOTS_MAX || (q->snapshots && !table_fits(q, q->snapshots_offset, 1)))
		return bad(q, e, "its list of snapshots is impossible");
	return 0;
}

static int parse_v3(struct qcow2 *q, struct err *e)
{
	const uint8_t *h = q->header;
	uint32_t length = load_be32(h + H_LENGTH);
	if (length < H_LENGTH_V3 || length > q->cluster || length % 8)
		return bad(q, e, "its header has an impossible length");
	q->incompatible = load_be64(h + H_INCOMPATIBLE);
	q->compatible = load_be64(h + H_COMPATIBLE);
	q->autoclear = load_be64(h + H_AUTOCLEAR);
	q->refcount_order = load_be32(h + H_REFCOUNT_ORDER);
	if (q->refcount_order > 6)
		return bad(q, e, "its reference counts have an impossible width");
	if (length > H_COMPRESSION && q->incompatible & INCOMPATIBLE_COMPRESSION) {
		if (h[H_COMPRESSION] > QCOW2_ZSTD)
			return refuse(q, e, "is compressed in a way");
		q->compression = h[H_COMPRESSION];
	}
	return 0;
}

static int parse(struct qcow2 *q, struct err *e)
{
	const uint8_t *h = q->header;
	uint32_t bits = load_be32(h + H_CLUSTER_BITS);
	q->version = load_be32(h + H_VERSION);
	if (load_be32(h + H_MAGIC) != QCOW2_MAGIC)
		return err_set(e, -EINVAL, "image %s is not a qcow2 image; name its true format", q->path);
	if (q->version != 2 && q->version != 3)
		return err_set(e, -ENOTSUP, "image %s is qcow2 version %u; Panal knows 2 and 3", q->path, q->version);
	if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
		return bad(q, e, "its clusters have an impossible size");
	q->cluster_bits = bits;
	q->cluster = 1u << bits;
	q->l2_entries = q->cluster / 8;
	q->size = load_be64(h + H_SIZE);
	q->l1_size = load_be32(h + H_L1_SIZE);
	q->l1_offset = load_be64(h + H_L1_OFFSET);
	q->reftable_offset = load_be64(h + H_REFTABLE_OFFSET);
	q->reftable_clusters = load_be32(h + H_REFTABLE_CLUSTERS);
	q->snapshots = load_be32(h + H_SNAPSHOTS);
	q->snapshots_offset = load_be64(h + H_SNAPSHOTS_OFFSET);
	q->refcount_order = 4;
	int rc = q->version >= 3 ? parse_v3(q, e) : 0;
	if (rc)
		return rc;
	q->block_entries = ((uint64_t)q->cluster * 8) >> q->refcount_order;
	q->refcount_max = q->refcount_order == 6 ? INT64_MAX : (UINT64_C(1) << (1u << q->refcount_order)) - 1;
	return 0;
}

/* --- extensions, the backing file's name --- */

static char *text_of(const uint8_t *from, size_t len)
{
	char *text = malloc(len + 1);
	if (!text)
		return NULL;
	memcpy(text, from, len);
	text[len] = 0;
	return text;
}

static int extension(struct qcow2 *q, uint32_t type, const uint8_t *data, uint32_t len, struct err *e)
{
	if (type == EXT_BACKING_FORMAT && !q->backing_format) {
		q->backing_format = text_of(data, len);
		if (!q->backing_format)
			return err_set(e, -ENOMEM, "image %s: no memory", q->path);
	}
	if (type == EXT_BITMAPS && len >= 24 && q->autoclear & AUTOCLEAR_BITMAPS)
		q->bitmaps = load_be32(data) != 0;
	return 0;
}

static int read_extensions(struct qcow2 *q, const uint8_t *first, uint32_t at, uint32_t end, struct err *e)
{
	while (end - at >= 8) {
		uint32_t type = load_be32(first + at), len = load_be32(first + at + 4);
		at += 8;
		if (type == EXT_END)
			return 0;
		if (len > end - at)
			return bad(q, e, "an extension of its header is too long");
		int rc = extension(q, type, first + at, len, e);
		if (rc)
			return rc;
		at += len;
		at = round_up(at, 8) < end ? round_up(at, 8) : end;
	}
	return 0;
}

static int read_names(struct qcow2 *q, struct err *e)
{
	uint64_t at = load_be64(q->header + H_BACKING_OFFSET);
	uint32_t len = load_be32(q->header + H_BACKING_SIZE), end = at ? at : q->cluster;
	if (at > q->cluster || len > BACKING_NAME_MAX || (at && !range_inside(at, len, q->cluster)))
		return bad(q, e, "the name of its backing file is at an impossible place");
	uint8_t *first = malloc(q->cluster);
	if (!first)
		return err_set(e, -ENOMEM, "image %s: no memory", q->path);
	int rc = q_file_read(&q->file, first, q->cluster, 0);
	if (rc)
		rc = err_errno(e, -rc, "image %s cannot be read", q->path);
	uint32_t start = q->version >= 3 ? load_be32(q->header + H_LENGTH) : H_LENGTH_V2;
	if (!rc && end > start)
		rc = read_extensions(q, first, start, end, e);
	if (!rc && at && len) {
		q->backing_name = text_of(first + at, len);
		rc = q->backing_name ? 0 : err_set(e, -ENOMEM, "image %s: no memory", q->path);
	}
	free(first);
	return rc;
}

/* --- tables --- */

static int read_table(struct qcow2 *q, uint64_t offset, uint32_t entries, uint64_t **out, struct err *e)
{
	uint64_t *table = calloc(entries ? entries : 1, sizeof(*table));
	if (!table)
		return err_set(e, -ENOMEM, "image %s: no memory", q->path);
	*out = table;
	int rc = entries ? q_file_read(&q->file, table, UINT64_C(8) * entries, offset) : 0;
	for (uint32_t n = 0; n < entries; n++)
		table[n] = __builtin_bswap64(table[n]);
	return rc ? err_errno(e, -rc, "image %s cannot be read", q->path) : 0;
}

static int read_tables(struct qcow2 *q, struct err *e)
{
	q->reftable_entries = ((uint64_t)q->reftable_clusters << q->cluster_bits) / 8;
	int rc = read_table(q, q->l1_offset, q->l1_size, &q->l1, e);
	if (!rc)
		rc = read_table(q, q->reftable_offset, q->reftable_entries, &q->reftable, e);
	for (uint32_t n = 0; !rc && n < q->reftable_entries; n++)
		if (q->reftable[n] % q->cluster)
			rc = bad(q, e, "its table of reference counts points between clusters");
	return rc;
}

enum { SNAPSHOT_HEAD = 40 };

static void snapshot_fill(struct q_snapshot *s, const uint8_t *h, const uint8_t *rest, uint32_t extra, uint64_t size)
{
	uint16_t id_len = load_be16(h + 12), name_len = load_be16(h + 14);
	const uint8_t *id = rest + extra, *name = id + id_len;
	s->l1_offset = load_be64(h);
	s->l1_size = load_be32(h + 8);
	s->info.date = load_be32(h + 16);
	s->info.vm_state_size = extra >= 8 ? load_be64(rest) : load_be32(h + 32);
	s->info.disk_size = extra >= 16 ? load_be64(rest + 8) : size;
	memcpy(s->info.id, id, id_len < sizeof(s->info.id) ? id_len : sizeof(s->info.id) - 1);
	memcpy(s->info.name, name, name_len < sizeof(s->info.name) ? name_len : sizeof(s->info.name) - 1);
}

static int read_snapshot(struct qcow2 *q, unsigned n, uint64_t *at, struct err *e)
{
	uint8_t h[SNAPSHOT_HEAD], *rest;
	int rc = q_file_read(&q->file, h, sizeof(h), *at);
	if (rc)
		return err_errno(e, -rc, "image %s cannot be read", q->path);
	uint32_t extra = load_be32(h + 36), names = (uint32_t)load_be16(h + 12) + load_be16(h + 14);
	if (extra > 1024 || load_be32(h + 8) > L1_BYTES_MAX / 8)
		return bad(q, e, "a snapshot of it is impossible");
	rest = calloc(1, extra + names + 1);
	if (!rest)
		return err_set(e, -ENOMEM, "image %s: no memory", q->path);
	rc = q_file_read(&q->file, rest, extra + names, *at + SNAPSHOT_HEAD);
	if (!rc)
		snapshot_fill(&q->snapshot[n], h, rest, extra, q->size);
	free(rest);
	*at += round_up(SNAPSHOT_HEAD + extra + names, 8);
	return rc ? err_errno(e, -rc, "image %s cannot be read", q->path) : 0;
}

static int read_snapshots(struct qcow2 *q, struct err *e)
{
	uint64_t at = q->snapshots_offset;
	q->snapshot = calloc(q->snapshots ? q->snapshots : 1, sizeof(*q->snapshot));
	if (!q->snapshot)
		return err_set(e, -ENOMEM, "image %s: no memory", q->path);
	for (unsigned n = 0; n < q->snapshots; n++) {
		int rc = read_snapshot(q, n, &at, e);
		if (!rc && at - q->snapshots_offset > SNAPSHOT_TABLE_MAX)
			rc = bad(q, e, "its list of snapshots is too long");
		if (rc)
			return rc;
	}
	q->snapshots_bytes = at - q->snapshots_offset;
	return 0;
}

int q_header_read(struct qcow2 *q, const struct qcow2_open *o, struct err *e)
{
	int rc = q_file_read(&q->file, q->header, sizeof(q->header), 0);
	if (rc)
		return err_errno(e, -rc, "image %s cannot be read", q->path);
	rc = parse(q, e);
	if (!rc)
		rc = check_features(q, o, e);
	if (!rc)
		rc = check_fields(q, e);
	if (!rc)
		rc = read_names(q, e);
	if (!rc)
		rc = read_tables(q, e);
	return rc ? rc : read_snapshots(q, e);
}

int q_header_write(struct qcow2 *q)
{
	uint8_t *h = q->header;
	store_be64(h + H_SIZE, q->size);
	store_be32(h + H_L1_SIZE, q->l1_size);
	store_be64(h + H_L1_OFFSET, q->l1_offset);
	store_be64(h + H_REFTABLE_OFFSET, q->reftable_offset);
	store_be32(h + H_REFTABLE_CLUSTERS, q->reftable_clusters);
	if (q->version >= 3) {
		store_be64(h + H_INCOMPATIBLE, q->incompatible);
		store_be64(h + H_COMPATIBLE, q->compatible);
		store_be64(h + H_AUTOCLEAR, q->autoclear);
	}
	/* One sector: it is there as a whole or not at all. */
	int rc = q_file_write(&q->file, h, H_SECTOR, 0);
	return rc ? rc : q->file.ops->sync(q->file.opaque);
}
