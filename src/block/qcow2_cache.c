/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * L2 tables and refcount blocks in memory, and the order in which they reach the disk.
 *
 * A power cut may drop any write since the last sync. So: what is counted as used and what the guest wrote goes first;
 * sync; then what points to it; sync; only then are clusters that nothing points to any more counted as free.
 */
#include "block/qcow2_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int cache_make(struct q_cache *c, unsigned count, uint64_t slots, size_t bytes)
{
	c->table = calloc(count, sizeof(*c->table));
	c->slot = calloc(slots ? slots : 1, sizeof(*c->slot));
	if (!c->table || !c->slot)
		return -ENOMEM;
	c->slots = slots;
	c->count = count;
	for (unsigned i = 0; i < count; i++) {
		/* Pages are the kernel's until a table is loaded: an idle image costs nothing. */
		c->table[i].data = aligned_alloc(bytes < 4096 ? bytes : 4096, bytes);
		if (!c->table[i].data)
			return -ENOMEM;
	}
	return 0;
}

static unsigned clamp_tables(uint64_t wanted, uint32_t cluster)
{
	uint64_t most = CACHE_BYTES / cluster;
	most = most > CACHE_TABLES_MAX ? CACHE_TABLES_MAX : most;
	wanted = wanted < most ? wanted : most;
	return wanted < CACHE_TABLES_MIN ? CACHE_TABLES_MIN : wanted;
}

/* Sized to the image: all of its tables, up to a bound. */
int q_cache_init(struct qcow2 *q)
{
	int rc = cache_make(&q->cache[Q_L2], clamp_tables(q->l1_size, q->cluster), q->l1_size, q->cluster);
	if (rc)
		return rc;
	uint64_t disk = (q->size >> q->cluster_bits) / q->block_entries + 2;
	return cache_make(&q->cache[Q_REFCOUNT], clamp_tables(disk, q->cluster), q->reftable_entries, q->cluster);
}

void q_cache_free(struct q_cache *c)
{
	for (unsigned i = 0; i < c->count && c->table; i++)
		free(c->table[i].data);
	free(c->table);
	free(c->slot);
	*c = (struct q_cache){0};
}

int q_cache_grow(struct q_cache *c, uint64_t slots)
{
	uint32_t *grown = slots > c->slots ? realloc(c->slot, slots * sizeof(*grown)) : c->slot;
	if (!grown)
		return -ENOMEM;
	if (slots > c->slots) {
		memset(grown + c->slots, 0, (slots - c->slots) * sizeof(*grown));
		c->slots = slots;
	}
	c->slot = grown;
	return 0;
}

struct q_table *q_cache_find(struct q_cache *c, uint64_t index)
{
	assert(index < c->slots);
	if (!c->slot[index])
		return NULL;
	struct q_table *t = &c->table[c->slot[index] - 1];
	t->used = ++c->clock;
	return t;
}

void q_cache_drop(struct q_cache *c, uint64_t index)
{
	struct q_table *t = q_cache_find(c, index);
	if (!t)
		return;
	t->offset = t->used = 0;
	t->dirty_from = t->dirty_to = 0;
	t->fresh = false;
	c->slot[index] = 0;
}

void q_table_dirty(struct q_table *t, uint32_t from, uint32_t to)
{
	bool clean = t->dirty_from == t->dirty_to;
	t->dirty_from = clean || from < t->dirty_from ? from : t->dirty_from;
	t->dirty_to = clean || to > t->dirty_to ? to : t->dirty_to;
}

int q_table_write(struct qcow2 *q, struct q_table *t)
{
	if (t->dirty_from == t->dirty_to)
		return 0;
	uint32_t from = round_down(t->dirty_from, H_SECTOR), to = round_up(t->dirty_to, H_SECTOR);
	int rc = q_file_write(&q->file, t->data + from, to - from, t->offset + from);
	if (!rc)
		t->dirty_from = t->dirty_to = 0;
	return rc;
}

/* An empty slot, or the one that was not used for longest, cleaned. */
static int slot_for(struct qcow2 *q, int kind, struct q_table **out)
{
	struct q_cache *c = &q->cache[kind];
	struct q_table *old = &c->table[0];
	for (unsigned i = 1; i < c->count && old->offset; i++)
		if (!c->table[i].offset || c->table[i].used < old->used)
			old = &c->table[i];
	if (old->offset && (old->dirty_from != old->dirty_to || old->fresh)) {
		/* Counts may reach the disk at any time; L2 tables only in order. */
		int rc = kind == Q_REFCOUNT ? q_table_write(q, old) : q_flush_locked(q);
		if (rc)
			return rc;
	}
	if (old->offset)
		q_cache_drop(c, old->index);
	*out = old;
	return 0;
}

int q_cache_new(struct qcow2 *q, int kind, uint64_t index, uint64_t offset, struct q_table **out)
{
	struct q_cache *c = &q->cache[kind];
	assert(index < c->slots);
	q_cache_drop(c, index);
	int rc = slot_for(q, kind, out);
	if (rc)
		return rc;
	struct q_table *t = *out;
	t->index = index;
	t->offset = offset;
	t->used = ++c->clock;
	t->dirty_from = t->dirty_to = 0;
	t->fresh = false;
	c->slot[index] = t - c->table + 1;
	return 0;
}

int q_cache_get(struct qcow2 *q, int kind, uint64_t index, uint64_t offset, struct q_table **out)
{
	*out = q_cache_find(&q->cache[kind], index);
	if (*out)
		return 0;
	if (!offset || offset % q->cluster)
		return -EIO;
	int rc = q_cache_new(q, kind, index, offset, out);
	if (rc)
		return rc;
	rc = q_file_read(&q->file, (*out)->data, q->cluster, offset);
	if (rc)
		q_cache_drop(&q->cache[kind], index);
	return rc;
}

static int write_tables(struct qcow2 *q, int kind, bool fresh_only)
{
	struct q_cache *c = &q->cache[kind];
	for (unsigned i = 0; i < c->count; i++) {
		struct q_table *t = &c->table[i];
		if (!t->offset || (fresh_only && !t->fresh))
			continue;
		int rc = q_table_write(q, t);
		if (rc)
			return rc;
	}
	return 0;
}

static int write_l1(struct qcow2 *q)
{
	enum { PER_SECTOR = H_SECTOR / 8 };
	uint8_t sector[H_SECTOR];
	uint32_t n = round_down(q->l1_dirty_from, PER_SECTOR);
	for (; n < q->l1_dirty_to; n += PER_SECTOR) {
		memset(sector, 0, sizeof(sector));
		for (uint32_t i = 0; i < PER_SECTOR && n + i < q->l1_size; i++)
			store_be64(sector + 8 * i, q->l1[n + i]);
		int rc = q_file_write(&q->file, sector, sizeof(sector), q->l1_offset + UINT64_C(8) * n);
		if (rc)
			return rc;
	}
	q->l1_dirty_from = q->l1_dirty_to = 0;
	return 0;
}

static int sync_file(const struct qcow2 *q)
{
	return q->file.ops->sync(q->file.opaque);
}

int q_flush_locked(struct qcow2 *q)
{
	if (q->read_only)
		return 0;
	int rc = write_tables(q, Q_REFCOUNT, false);
	/* Nothing on the disk points to a fresh L2 table before L1 is written. */
	if (!rc)
		rc = write_tables(q, Q_L2, true);
	if (!rc)
		rc = sync_file(q);
	if (rc || (!q->l2_dirty && q->l1_dirty_from == q->l1_dirty_to))
		return rc;
	rc = write_tables(q, Q_L2, false);
	if (!rc)
		rc = write_l1(q);
	if (!rc)
		rc = sync_file(q);
	if (rc)
		return rc;
	q->l2_dirty = false;
	for (unsigned i = 0; i < q->cache[Q_L2].count; i++)
		q->cache[Q_L2].table[i].fresh = false;
	q_frees_apply(q);
	return 0;
}
