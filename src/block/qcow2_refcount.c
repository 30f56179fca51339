/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often each cluster of the file is used, and which are free. */
#include "block/qcow2_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* --- numbers of 1 to 64 bits in a block --- */

static uint64_t number_get(const struct qcow2 *q, const uint8_t *block, uint32_t n)
{
	switch (q->refcount_order) {
	case 3: return block[n];
	case 4: return load_be16(block + 2 * n);
	case 5: return load_be32(block + 4 * n);
	case 6: return load_be64(block + 8 * n);
	default: break;
	}
	/* Below a byte the lowest bits come first. */
	unsigned bits = 1u << q->refcount_order, per = 8 / bits;
	return block[n / per] >> (n % per * bits) & ((1u << bits) - 1);
}

static void number_put(const struct qcow2 *q, uint8_t *block, uint32_t n, uint64_t v)
{
	switch (q->refcount_order) {
	case 3: block[n] = v; return;
	case 4: store_be16(block + 2 * n, v); return;
	case 5: store_be32(block + 4 * n, v); return;
	case 6: store_be64(block + 8 * n, v); return;
	default: break;
	}
	unsigned bits = 1u << q->refcount_order, per = 8 / bits, shift = n % per * bits;
	block[n / per] = (block[n / per] & ~(((1u << bits) - 1) << shift)) | v << shift;
}

static void block_put(const struct qcow2 *q, struct q_table *t, uint32_t n, uint64_t v)
{
	uint32_t at = ((uint64_t)n << q->refcount_order) / 8;
	number_put(q, t->data, n, v);
	q_table_dirty(t, at, at + ((1u << q->refcount_order) + 7) / 8);
}

static bool block_exists(const struct qcow2 *q, uint64_t block)
{
	return block < q->reftable_entries && q->reftable[block];
}

int q_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	uint64_t block = cluster / q->block_entries;
	struct q_table *t;
	*count = 0;
	if (!block_exists(q, block))
		return 0;
	int rc = q_cache_get(q, Q_REFCOUNT, block, q->reftable[block], &t);
	if (!rc)
		*count = number_get(q, t->data, cluster % q->block_entries);
	return rc;
}

int q_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	uint64_t block = cluster / q->block_entries;
	struct q_table *t;
	if (!block_exists(q, block) || count > q->refcount_max)
		return block_exists(q, block) ? -ERANGE : -EIO;
	int rc = q_cache_get(q, Q_REFCOUNT, block, q->reftable[block], &t);
	if (!rc)
		block_put(q, t, cluster % q->block_entries, count);
	if (!rc && !count && cluster < q->free_hint)
		q->free_hint = cluster;
	return rc;
}

int q_refcount_add(struct qcow2 *q, uint64_t cluster, int64_t add)
{
	uint64_t count;
	int rc = q_refcount_get(q, cluster, &count);
	if (rc)
		return rc;
	if (add < 0 && count < (uint64_t)-add)
		return -EIO; /* the image is damaged: more uses than were counted */
	return q_refcount_set(q, cluster, count + add);
}

/* --- new blocks --- */

static int write_zero_block(struct qcow2 *q, uint64_t block, uint64_t offset, uint64_t used)
{
	struct q_table *t;
	int rc = q_cache_new(q, Q_REFCOUNT, block, offset, &t);
	if (rc)
		return rc;
	memset(t->data, 0, q->cluster);
	for (uint64_t n = 0; n < used; n++)
		number_put(q, t->data, n, 1);
	q_table_dirty(t, 0, q->cluster);
	rc = q_table_write(q, t);
	if (rc)
		q_cache_drop(&q->cache[Q_REFCOUNT], block);
	return rc;
}

static int write_reftable_entry(struct qcow2 *q, uint64_t block)
{
	enum { PER_SECTOR = H_SECTOR / 8 };
	uint8_t sector[H_SECTOR] = {0};
	uint64_t first = round_down(block, PER_SECTOR);
	for (unsigned i = 0; i < PER_SECTOR && first + i < q->reftable_entries; i++)
		store_be64(sector + 8 * i, q->reftable[first + i]);
	return q_file_write(&q->file, sector, sizeof(sector), q->reftable_offset + 8 * first);
}

/*
 * A block is the first cluster of what it counts: that is free while there is no block, and so the block counts
 * itself: it and its use reach the disk together. It must be there before the table points to it.
 */
static int block_create(struct qcow2 *q, uint64_t block)
{
	uint64_t offset = block * q->block_entries << q->cluster_bits;
	int rc = write_zero_block(q, block, offset, 1);
	if (!rc)
		rc = q->file.ops->sync(q->file.opaque);
	if (rc)
		return rc;
	q->reftable[block] = offset;
	rc = write_reftable_entry(q, block);
	if (rc) {
		q->reftable[block] = 0;
		q_cache_drop(&q->cache[Q_REFCOUNT], block);
	}
	return rc;
}

/* Blocks for `blocks` regions from `first` on, all at the start of the first; used: clusters in use from there. */
static int write_blocks(struct qcow2 *q, uint64_t first, uint64_t blocks, uint64_t used)
{
	uint64_t start = first * q->block_entries;
	for (uint64_t n = 0; n < blocks; n++) {
		uint64_t here = used < q->block_entries ? used : q->block_entries;
		int rc = write_zero_block(q, first + n, (start + n) << q->cluster_bits, here);
		if (rc)
			return rc;
		used -= here;
	}
	return 0;
}

static int write_table(const struct qcow2 *q, const uint64_t *table, uint64_t entries, uint64_t bytes,
		       uint64_t offset)
{
	uint8_t *raw = calloc(1, bytes);
	if (!raw)
		return -ENOMEM;
	for (uint64_t n = 0; n < entries; n++)
		store_be64(raw + 8 * n, table[n]);
	int rc = q_file_write(&q->file, raw, bytes, offset);
	free(raw);
	return rc;
}

static int reftable_switch(struct qcow2 *q, uint64_t *table, uint64_t entries, uint64_t clusters, uint64_t offset)
{
	uint64_t old_offset = q->reftable_offset, old_clusters = q->reftable_clusters;
	uint64_t *old = q->reftable;
	uint32_t old_entries = q->reftable_entries;
	int rc = write_table(q, table, entries, clusters << q->cluster_bits, offset);
	if (!rc)
		rc = q->file.ops->sync(q->file.opaque);
	if (rc)
		return rc;
	q->reftable = table;
	q->reftable_entries = entries;
	q->reftable_offset = offset;
	q->reftable_clusters = clusters;
	rc = q_header_write(q);
	if (rc) {
		/* Which of the two the disk has is not known; both are true, the old one is what others may know. */
		q->reftable = old;
		q->reftable_entries = old_entries;
		q->reftable_offset = old_offset;
		q->reftable_clusters = old_clusters;
		return rc;
	}
	free(old);
	q_free_now(q, old_offset, old_clusters);
	return 0;
}

/* Twice as long, in the first place that the old one can't count, with the blocks that count the new one. */
static int reftable_grow(struct qcow2 *q, uint64_t wanted)
{
	uint64_t first = q->reftable_entries, blocks = 1, clusters = (uint64_t)q->reftable_clusters * 2;
	while ((clusters << q->cluster_bits) / 8 <= wanted)
		clusters *= 2;
	if (clusters << q->cluster_bits > REFTABLE_BYTES_MAX)
		return -EFBIG;
	while (blocks * q->block_entries < blocks + clusters)
		blocks++;
	uint64_t entries = (clusters << q->cluster_bits) / 8, start = first * q->block_entries;
	uint64_t *table = calloc(entries, sizeof(*table));
	if (!table || first + blocks > entries) {
		free(table);
		return table ? -EFBIG : -ENOMEM;
	}
	memcpy(table, q->reftable, first * sizeof(*table));
	for (uint64_t n = 0; n < blocks; n++)
		table[first + n] = (start + n) << q->cluster_bits;
	int rc = q_cache_grow(&q->cache[Q_REFCOUNT], entries);
	if (!rc)
		rc = write_blocks(q, first, blocks, blocks + clusters);
	if (!rc)
		rc = reftable_switch(q, table, entries, clusters, (start + blocks) << q->cluster_bits);
	if (rc) {
		for (uint64_t n = 0; n < blocks; n++)
			if (first + n < q->cache[Q_REFCOUNT].slots)
				q_cache_drop(&q->cache[Q_REFCOUNT], first + n);
		free(table);
	}
	return rc;
}

static int block_need(struct qcow2 *q, uint64_t block)
{
	if (block >= q->reftable_entries) {
		int rc = reftable_grow(q, block);
		if (rc)
			return rc;
	}
	return q->reftable[block] ? 0 : block_create(q, block);
}

/* --- allocation --- */

/* Free neighbours from `cluster` on, at most `most`, within its block. */
static int run_at(struct qcow2 *q, uint64_t cluster, uint64_t most, uint64_t *run)
{
	*run = 0;
	uint64_t end = round_down(cluster, q->block_entries) + q->block_entries;
	while (*run < most && cluster + *run < end) {
		uint64_t count;
		int rc = q_refcount_get(q, cluster + *run, &count);
		if (rc || count)
			return rc;
		++*run;
	}
	return 0;
}

/* The first run of free clusters at or after *at: its place and length. Creates the blocks that count them. */
static int next_run(struct qcow2 *q, uint64_t *at, uint64_t most, uint64_t *run)
{
	for (;;) {
		uint64_t count;
		int rc = block_need(q, *at / q->block_entries);
		if (!rc)
			rc = q_refcount_get(q, *at, &count);
		if (rc)
			return rc;
		if (!count)
			return run_at(q, *at, most, run);
		++*at;
	}
}

/* A run over the ends of blocks: what creates the next block breaks it, so such a block lies in what another counts. */
static int exact_run(struct qcow2 *q, uint64_t clusters, uint64_t *start)
{
	uint64_t at = q->free_hint, run;
	if (clusters < q->block_entries) {
		for (;; at += run) {
			int rc = next_run(q, &at, clusters, &run);
			*start = at;
			if (rc || run == clusters)
				return rc;
		}
	}
	/* Longer than a block counts: behind all blocks, as many new ones as it needs in front. */
	uint64_t first = q->reftable_entries, blocks = 1;
	while (first && !q->reftable[first - 1])
		first--;
	while (blocks * q->block_entries < blocks + clusters)
		blocks++;
	if (blocks > q->block_entries)
		return -EFBIG;
	if (first + blocks > q->reftable_entries) {
		int rc = reftable_grow(q, first + blocks + 1);
		return rc ? rc : exact_run(q, clusters, start);
	}
	int rc = write_blocks(q, first, blocks, blocks);
	for (uint64_t n = 0; !rc && n < blocks; n++) {
		/* The first counts all of them: it is linked before the others. */
		rc = n < 2 ? q->file.ops->sync(q->file.opaque) : 0;
		q->reftable[first + n] = (first * q->block_entries + n) << q->cluster_bits;
		if (!rc)
			rc = write_reftable_entry(q, first + n);
	}
	*start = first * q->block_entries + blocks;
	return rc;
}

int q_alloc(struct qcow2 *q, uint64_t clusters, bool exact, uint64_t *offset, uint64_t *got)
{
	uint64_t at = q->free_hint, run = clusters;
	int rc = exact ? exact_run(q, clusters, &at) : next_run(q, &at, clusters, &run);
	if (rc)
		return rc;
	if (at + run > ENTRY_OFFSET >> q->cluster_bits)
		return -EFBIG;
	for (uint64_t n = 0; n < run && !rc; n++) {
		rc = q_refcount_set(q, at + n, 1);
		if (rc)
			q_free_now(q, at << q->cluster_bits, n);
	}
	if (rc)
		return rc;
	if (!exact || clusters == 1)
		q->free_hint = at + run;
	*offset = at << q->cluster_bits;
	if (got)
		*got = run;
	return 0;
}

/* --- freeing --- */

/* A failure to read or write a count leaks the cluster, which a check finds; nothing worse. */
void q_free_now(struct qcow2 *q, uint64_t offset, uint64_t clusters)
{
	uint64_t first = offset >> q->cluster_bits, hole = 0;
	for (uint64_t n = 0; n <= clusters; n++) {
		uint64_t count = 1;
		if (n < clusters && q_refcount_add(q, first + n, -1) == 0 && q_refcount_get(q, first + n, &count) < 0)
			count = 1;
		if (count == 0) {
			hole++;
			continue;
		}
		if (hole)
			(void)!q->file.ops->punch(q->file.opaque, (first + n - hole) << q->cluster_bits,
						  hole << q->cluster_bits);
		hole = 0;
	}
}

int q_free_later(struct qcow2 *q, uint64_t offset, uint64_t clusters)
{
	if (q->free_count) {
		struct q_free *last = &q->frees[q->free_count - 1];
		if (last->offset + (last->clusters << q->cluster_bits) == offset) {
			last->clusters += clusters;
			return 0;
		}
	}
	if (q->free_count == q->free_room) {
		size_t room = q->free_room ? 2 * q->free_room : 64;
		struct q_free *grown = realloc(q->frees, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		q->frees = grown;
		q->free_room = room;
	}
	q->frees[q->free_count++] = (struct q_free){offset, clusters};
	return 0;
}

void q_frees_apply(struct qcow2 *q)
{
	for (size_t n = 0; n < q->free_count; n++)
		q_free_now(q, q->frees[n].offset, q->frees[n].clusters);
	q->free_count = 0;
}
