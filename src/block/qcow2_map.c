/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the clusters of the disk are in the file: L1, L2. */
#include "block/qcow2_priv.h"

#include <assert.h>
#include <errno.h>

void q_packed(const struct qcow2 *q, uint64_t entry, uint64_t *host, uint32_t *bytes)
{
	/* The number of further sectors is above the offset; how wide each is depends on the cluster's size. */
	unsigned shift = 62 - (q->cluster_bits - 8);
	*host = entry & ((UINT64_C(1) << shift) - 1);
	uint64_t sectors = ((entry & (ENTRY_COMPRESSED - 1)) >> shift) + 1;
	*bytes = sectors * H_SECTOR - *host % H_SECTOR;
}

static int l2_offset(const struct qcow2 *q, uint64_t cluster, uint64_t *index, uint64_t *offset)
{
	*index = cluster / q->l2_entries;
	if (*index >= q->l1_size)
		return -EIO;
	*offset = q->l1[*index] & ENTRY_OFFSET;
	return *offset % q->cluster ? -EIO : 0;
}

int q_entry_get(struct qcow2 *q, uint64_t cluster, uint64_t *entry)
{
	uint64_t index, offset;
	struct q_table *t;
	*entry = 0;
	int rc = l2_offset(q, cluster, &index, &offset);
	if (rc || !offset)
		return rc;
	rc = q_cache_get(q, Q_L2, index, offset, &t);
	if (!rc)
		*entry = load_be64(t->data + 8 * (cluster % q->l2_entries));
	return rc;
}

static enum q_kind kind_of(const struct qcow2 *q, uint64_t entry)
{
	if (entry & ENTRY_COMPRESSED)
		return Q_COMPRESSED;
	if (q->version >= 3 && entry & ENTRY_ZERO)
		return Q_ZERO;
	return entry & ENTRY_OFFSET ? Q_DATA : Q_UNALLOCATED;
}

static int extent_of(const struct qcow2 *q, uint64_t entry, uint64_t in_cluster, struct q_extent *x)
{
	*x = (struct q_extent){.kind = kind_of(q, entry), .len = q->cluster - in_cluster};
	if (x->kind == Q_COMPRESSED)
		q_packed(q, entry, &x->host, &x->packed);
	if (x->kind != Q_DATA)
		return 0;
	x->host = (entry & ENTRY_OFFSET) + in_cluster;
	x->in_place = entry & ENTRY_COPIED && !q->in_snapshot;
	return (entry & ENTRY_OFFSET) % q->cluster ? -EIO : 0;
}

static bool goes_on(const struct q_extent *x, const struct q_extent *next)
{
	if (x->kind != next->kind || x->kind == Q_COMPRESSED)
		return false;
	return x->kind != Q_DATA || (next->host == x->host + x->len && next->in_place == x->in_place);
}

int q_map(struct qcow2 *q, uint64_t offset, uint64_t len, struct q_extent *x)
{
	uint64_t cluster = offset >> q->cluster_bits, entry;
	int rc = q_entry_get(q, cluster, &entry);
	if (!rc)
		rc = extent_of(q, entry, offset & (q->cluster - 1), x);
	if (rc)
		return rc;
	while (x->len < len) {
		struct q_extent next;
		cluster++;
		if (q_entry_get(q, cluster, &entry) || extent_of(q, entry, 0, &next) || !goes_on(x, &next))
			break;
		x->len += next.len;
	}
	x->len = x->len < len ? x->len : len;
	return 0;
}

/* --- changing --- */

static void l1_put(struct qcow2 *q, uint32_t index, uint64_t entry)
{
	bool clean = q->l1_dirty_from == q->l1_dirty_to;
	q->l1[index] = entry;
	q->l1_dirty_from = clean || index < q->l1_dirty_from ? index : q->l1_dirty_from;
	q->l1_dirty_to = clean || index + 1 > q->l1_dirty_to ? index + 1 : q->l1_dirty_to;
}

/* A new table, empty or with what the old one held: nothing on the disk points to it until L1 is written. */
static int l2_new(struct qcow2 *q, uint32_t index, const struct q_table *old, struct q_table **out)
{
	uint64_t at;
	int rc = q_alloc(q, 1, true, &at, NULL);
	if (rc)
		return rc;
	if (old) {
		/* The table moves within its slot; its snapshots keep the old place. */
		struct q_table *t = q_cache_find(&q->cache[Q_L2], index);
		rc = q_free_later(q, t->offset, 1);
		if (rc) {
			q_free_now(q, at, 1);
			return rc;
		}
		t->offset = at;
		*out = t;
	} else {
		rc = q_cache_new(q, Q_L2, index, at, out);
		if (rc) {
			q_free_now(q, at, 1);
			return rc;
		}
		memset((*out)->data, 0, q->cluster);
	}
	(*out)->fresh = true;
	q_table_dirty(*out, 0, q->cluster);
	l1_put(q, index, at | ENTRY_COPIED);
	return 0;
}

static int l2_writable(struct qcow2 *q, uint64_t cluster, struct q_table **out)
{
	uint64_t index, offset;
	int rc = l2_offset(q, cluster, &index, &offset);
	if (rc)
		return rc;
	if (!offset)
		return l2_new(q, index, NULL, out);
	rc = q_cache_get(q, Q_L2, index, offset, out);
	if (rc || q->l1[index] & ENTRY_COPIED)
		return rc;
	return l2_new(q, index, *out, out);
}

static int free_entry(struct qcow2 *q, uint64_t entry)
{
	if (entry & ENTRY_COMPRESSED) {
		uint64_t host;
		uint32_t bytes;
		q_packed(q, entry, &host, &bytes);
		uint64_t first = host >> q->cluster_bits, last = (host + bytes - 1) >> q->cluster_bits;
		return q_free_later(q, first << q->cluster_bits, last - first + 1);
	}
	uint64_t offset = entry & ENTRY_OFFSET;
	return offset && offset % q->cluster == 0 ? q_free_later(q, offset, 1) : 0;
}

int q_entry_set(struct qcow2 *q, uint64_t cluster, uint64_t entry)
{
	struct q_table *t;
	int rc = l2_writable(q, cluster, &t);
	if (rc)
		return rc;
	uint32_t at = 8 * (cluster % q->l2_entries);
	uint64_t old = load_be64(t->data + at);
	if (old == entry)
		return 0;
	rc = free_entry(q, old);
	if (rc)
		return rc;
	store_be64(t->data + at, entry);
	q_table_dirty(t, at, at + 8);
	q->l2_dirty = true;
	return 0;
}
