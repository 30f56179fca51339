/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts every use of every cluster of the file, compares with what the image has counted, and mends the difference. */
#include "block/qcow2_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLUSTERS_MAX = 1 << 28 };

struct walk {
	struct qcow2 *q;
	struct qcow2_check *out;
	uint32_t *uses;
	uint64_t clusters;
	uint8_t *l2;      /* a table for walking */
	bool unmendable;  /* something is wrong that counts can't mend */
};

static void ATTR_PRINTF(2, 3) corrupt(struct walk *w, const char *fmt, ...)
{
	va_list ap;
	if (w->out->corruptions++)
		return;
	va_start(ap, fmt);
	vsnprintf(w->out->first, sizeof(w->out->first), fmt, ap);
	va_end(ap);
}

static void use(struct walk *w, uint64_t offset, uint64_t bytes, const char *what)
{
	const struct qcow2 *q = w->q;
	uint64_t first = offset >> q->cluster_bits, last = (offset + bytes - 1) >> q->cluster_bits;
	if (!bytes)
		return;
	if (offset > INT64_MAX || bytes > INT64_MAX || last >= w->clusters) {
		corrupt(w, "%s at 0x%llx lies behind the end of the file", what, (unsigned long long)offset);
		w->unmendable = true;
		return;
	}
	for (uint64_t n = first; n <= last; n++)
		w->uses[n] += w->uses[n] < UINT32_MAX;
}

static void use_whole(struct walk *w, uint64_t offset, uint64_t bytes, const char *what)
{
	if (offset % w->q->cluster == 0) {
		use(w, offset, bytes, what);
		return;
	}
	corrupt(w, "%s at 0x%llx is not at the start of a cluster", what, (unsigned long long)offset);
	w->unmendable = true;
}

static void walk_entry(struct walk *w, uint64_t entry, bool live)
{
	struct qcow2 *q = w->q;
	if (entry & ENTRY_COMPRESSED) {
		uint64_t host;
		uint32_t bytes;
		q_packed(q, entry, &host, &bytes);
		use(w, host, bytes, "a compressed cluster");
		w->out->allocated += live;
		w->out->compressed += live;
	} else if (entry & ENTRY_OFFSET) {
		use_whole(w, entry & ENTRY_OFFSET, q->cluster, "a cluster of data");
		w->out->allocated += live;
	}
}

static int walk_l1(struct walk *w, const uint64_t *l1, uint32_t entries, bool live)
{
	struct qcow2 *q = w->q;
	for (uint32_t n = 0; n < entries; n++) {
		uint64_t offset = l1[n] & ENTRY_OFFSET;
		if (!offset)
			continue;
		use_whole(w, offset, q->cluster, "an L2 table");
		if (offset % q->cluster || offset >> q->cluster_bits >= w->clusters)
			continue;
		int rc = q_file_read(&q->file, w->l2, q->cluster, offset);
		if (rc)
			return rc;
		for (uint32_t i = 0; i < q->l2_entries; i++)
			walk_entry(w, load_be64(w->l2 + 8 * i), live);
	}
	return 0;
}

static int walk_snapshot(struct walk *w, const struct q_snapshot *s)
{
	uint64_t *l1 = calloc(s->l1_size ? s->l1_size : 1, sizeof(*l1)), bytes = UINT64_C(8) * s->l1_size;
	if (!l1)
		return -ENOMEM;
	use_whole(w, s->l1_offset, bytes, "the L1 table of a snapshot");
	int rc = bytes ? q_file_read(&w->q->file, l1, bytes, s->l1_offset) : 0;
	for (uint32_t n = 0; n < s->l1_size; n++)
		l1[n] = __builtin_bswap64(l1[n]);
	if (!rc)
		rc = walk_l1(w, l1, s->l1_size, false);
	free(l1);
	return rc;
}

static int walk_all(struct walk *w)
{
	struct qcow2 *q = w->q;
	use(w, 0, q->cluster, "the header");
	use_whole(w, q->l1_offset, UINT64_C(8) * q->l1_size, "the L1 table");
	use_whole(w, q->reftable_offset, (uint64_t)q->reftable_clusters << q->cluster_bits, "the table of counts");
	for (uint32_t n = 0; n < q->reftable_entries; n++)
		if (q->reftable[n])
			use_whole(w, q->reftable[n], q->cluster, "a block of counts");
	if (q->snapshots)
		use_whole(w, q->snapshots_offset, q->snapshots_bytes, "the list of snapshots");
	int rc = walk_l1(w, q->l1, q->l1_size, true);
	for (unsigned n = 0; n < q->snapshots && !rc; n++)
		rc = walk_snapshot(w, &q->snapshot[n]);
	return rc;
}

/* --- comparing --- */

/* The lowest number of the way that is needed: in the first pass what is too low is raised, in the second lowered. */
static int compare(struct walk *w, bool mend, bool lower)
{
	struct qcow2 *q = w->q;
	uint64_t end = (uint64_t)q->reftable_entries * q->block_entries;
	for (uint64_t n = 0; n < w->clusters || n < end; n++) {
		uint64_t count, wanted = n < w->clusters ? w->uses[n] : 0;
		if (n % q->block_entries == 0 && n >= w->clusters && !q->reftable[n / q->block_entries]) {
			n += q->block_entries - 1;
			continue;
		}
		int rc = q_refcount_get(q, n, &count);
		if (rc)
			return rc;
		if (count == wanted || (count > wanted) != lower)
			continue;
		if (!mend && lower)
			w->out->leaks++;
		else if (!mend)
			corrupt(w, "cluster %llu is used %llu times and counted %llu times", (unsigned long long)n,
				(unsigned long long)wanted, (unsigned long long)count);
		else if (q_refcount_set(q, n, wanted) == 0)
			*(lower ? &w->out->leaks_fixed : &w->out->corruptions_fixed) += 1;
	}
	return 0;
}

/* "Only this disk uses it" must be said where it is true, and only there. Returns the entry as it should be. */
static int copied_flag(struct walk *w, uint64_t entry, bool mend, uint64_t *mended)
{
	uint64_t cluster = (entry & ENTRY_OFFSET) >> w->q->cluster_bits;
	*mended = entry;
	if (entry & ENTRY_COMPRESSED || !cluster || cluster >= w->clusters)
		return 0;
	bool alone = w->uses[cluster] == 1;
	if (alone == !!(entry & ENTRY_COPIED))
		return 0;
	if (mend)
		w->out->corruptions_fixed++;
	else
		corrupt(w, "the entry of cluster %llu is wrong about who uses it", (unsigned long long)cluster);
	*mended = entry ^ ENTRY_COPIED;
	return 1;
}

static int copied_l2(struct walk *w, uint32_t index, bool mend)
{
	struct qcow2 *q = w->q;
	uint64_t offset = q->l1[index] & ENTRY_OFFSET, mended;
	/* A shared table's entries are the snapshot's too. */
	if (!offset || offset % q->cluster || offset >> q->cluster_bits >= w->clusters ||
	    w->uses[offset >> q->cluster_bits] != 1)
		return 0;
	int rc = q_file_read(&q->file, w->l2, q->cluster, offset), changed = 0;
	for (uint32_t i = 0; i < q->l2_entries && !rc; i++) {
		changed |= copied_flag(w, load_be64(w->l2 + 8 * i), mend, &mended);
		store_be64(w->l2 + 8 * i, mended);
	}
	if (rc || !changed || !mend)
		return rc;
	q_cache_drop(&q->cache[Q_L2], index);
	return q_file_write(&q->file, w->l2, q->cluster, offset);
}

static int copied_all(struct walk *w, bool mend)
{
	struct qcow2 *q = w->q;
	for (uint32_t n = 0; n < q->l1_size; n++) {
		uint64_t mended;
		if (copied_flag(w, q->l1[n], mend, &mended) && mend) {
			bool clean = q->l1_dirty_from == q->l1_dirty_to;
			q->l1[n] = mended;
			q->l1_dirty_from = clean ? n : q->l1_dirty_from;
			q->l1_dirty_to = n + 1;
		}
		int rc = copied_l2(w, n, mend);
		if (rc)
			return rc;
	}
	return 0;
}

/* Counts rise before anything relies on them, and fall last. */
static int mend(struct walk *w)
{
	struct qcow2 *q = w->q;
	int rc = compare(w, true, false);
	if (!rc)
		rc = q_flush_locked(q);
	if (!rc)
		rc = copied_all(w, true);
	if (!rc)
		rc = q_flush_locked(q);
	if (!rc && !w->unmendable && !w->out->incomplete)
		rc = compare(w, true, true);
	if (!rc)
		rc = q_flush_locked(q);
	if (rc || w->out->corruptions > w->out->corruptions_fixed)
		return rc;
	uint64_t marks = q->incompatible & (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT);
	q->incompatible &= ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT);
	return marks ? q_header_write(q) : 0;
}

static int check_locked(struct walk *w, bool repair)
{
	w->l2 = malloc(w->q->cluster);
	int rc = w->l2 && w->uses ? walk_all(w) : -ENOMEM;
	if (!rc)
		rc = compare(w, false, false);
	if (!rc)
		rc = compare(w, false, true);
	if (!rc)
		rc = copied_all(w, false);
	if (!rc && repair)
		rc = mend(w);
	return rc;
}

int qcow2_check(struct qcow2 *q, bool repair, struct qcow2_check *out, struct err *e)
{
	/* First: tables that are in memory only make the file longer. */
	int rc = qcow2_flush(q);
	int64_t size = q->file.ops->size(q->file.opaque);
	uint64_t clusters = (q->size + q->cluster - 1) >> q->cluster_bits;
	*out = (struct qcow2_check){.clusters = clusters, .incomplete = q->bitmaps};
	struct walk w = {.q = q, .out = out};
	if (size < 0)
		return err_errno(e, -(int)size, "image %s cannot be examined", q->path);
	if (repair && q->read_only)
		return err_set(e, -EROFS, "image %s is open read-only and cannot be repaired", q->path);
	w.clusters = ((uint64_t)size + q->cluster - 1) >> q->cluster_bits;
	if (w.clusters > CLUSTERS_MAX)
		return err_set(e, -EFBIG, "image %s is too large to be checked", q->path);
	w.uses = calloc(w.clusters ? w.clusters : 1, sizeof(*w.uses));
	pthread_mutex_lock(&q->lock);
	if (!rc)
		rc = check_locked(&w, repair);
	pthread_mutex_unlock(&q->lock);
	if (out->incomplete)
		out->leaks = 0;
	free(w.l2);
	free(w.uses);
	return rc ? err_errno(e, -rc, "image %s cannot be checked", q->path) : 0;
}
