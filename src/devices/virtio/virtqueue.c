/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/virtqueue.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Layout (virtio 1.2, 2.7.5 to 2.7.8). */
enum { DESC_SIZE = 16, USED_ELEM_SIZE = 8, RING_HEAD = 4, IDX_AT = 2 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };
enum { DESC_ALIGN = 16, AVAIL_ALIGN = 2, USED_ALIGN = 4 };

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* The rings are shared with vCPUs. All these fields are naturally aligned: virtq_enable checked it. */
static uint16_t ring_load(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void ring_store(struct virtq *q, uint8_t *at, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)at, v, __ATOMIC_RELEASE);
	gmem_written(q->mem, q->s.used + (uint64_t)(at - q->used), 2);
}

static int broke(struct virtq *q, const char *why)
{
	q->broken = true;
	q->why = why;
	return -EINVAL;
}

void virtq_init(struct virtq *q, struct gmem *mem, uint16_t size_max)
{
	assert(is_power_of_2(size_max) && size_max <= VIRTQ_SIZE_MAX);
	*q = (struct virtq){.mem = mem, .size_max = size_max};
	virtq_reset(q);
}

void virtq_reset(struct virtq *q)
{
	struct gmem *mem = q->mem;
	uint16_t size_max = q->size_max;
	*q = (struct virtq){.mem = mem, .size_max = size_max, .s.size = size_max};
}

int virtq_enable(struct virtq *q, bool event_idx, bool indirect)
{
	const struct virtq_setup *s = &q->s;
	if (!is_power_of_2(s->size) || s->size > q->size_max)
		return broke(q, "its size is not a power of two within the maximum");
	if (s->desc % DESC_ALIGN || s->avail % AVAIL_ALIGN || s->used % USED_ALIGN)
		return broke(q, "its rings are not aligned");
	/* The event fields at the end of both rings count always: a driver lays them out so (2.7.2). */
	uint8_t *desc = gmem_at(q->mem, s->desc, (uint64_t)s->size * DESC_SIZE);
	uint8_t *avail = gmem_at(q->mem, s->avail, RING_HEAD + s->size * 2 + 2);
	uint8_t *used = gmem_at(q->mem, s->used, RING_HEAD + s->size * USED_ELEM_SIZE + 2);
	if (!desc || !avail || !used)
		return broke(q, "its rings are not in RAM");
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->event_idx = event_idx;
	q->indirect = indirect;
	q->s.enabled = true;
	q->signalled_valid = false;
	return 0;
}

int virtq_elem_init(struct virtq_elem *el, unsigned seg_max)
{
	*el = (struct virtq_elem){.seg_max = seg_max};
	el->iov = calloc(seg_max, sizeof(*el->iov));
	el->gpa = calloc(seg_max, sizeof(*el->gpa));
	if (el->iov && el->gpa)
		return 0;
	virtq_elem_free(el);
	return -ENOMEM;
}

void virtq_elem_free(struct virtq_elem *el)
{
	free(el->iov);
	free(el->gpa);
	*el = (struct virtq_elem){0};
}

/* --- taking --- */

static struct desc desc_load(const uint8_t *at)
{
	uint8_t copy[DESC_SIZE];
	memcpy(copy, at, sizeof(copy));
	return (struct desc){load_le64(copy), load_le32(copy + 8), load_le16(copy + 12), load_le16(copy + 14)};
}

/* Adds one descriptor's bytes, cut where a RAM block ends and another follows. */
static int add_segment(struct virtq *q, struct virtq_elem *el, const struct desc *d)
{
	bool write = d->flags & DESC_WRITE;
	uint64_t at = d->addr, left = d->len;
	if (!write && el->segs != el->readable)
		return broke(q, "a readable buffer follows a writable one");
	if (left == 0 || left > UINT64_MAX - at)
		return broke(q, "a buffer is empty or wraps around the address space");
	while (left) {
		const struct gmem_block *b = gmem_find(q->mem, at);
		if (!b)
			return broke(q, "a buffer is not in RAM");
		uint64_t part = b->gpa + b->size - at;
		if (part > left)
			part = left;
		if (el->segs == el->seg_max)
			return broke(q, "a chain has more segments than the device allows");
		el->iov[el->segs] = (struct iovec){b->host + (at - b->gpa), part};
		el->gpa[el->segs++] = at;
		at += part;
		left -= part;
	}
	if (write) {
		el->writable_len += d->len;
	} else {
		el->readable_len += d->len;
		el->readable = el->segs;
	}
	return 0;
}

/* Walks a table from descriptor i; *budget bounds the walk, so that a loop ends. */
static int walk(struct virtq *q, struct virtq_elem *el, const uint8_t *table, unsigned count, unsigned i, bool nested,
                unsigned *budget)
{
	for (;;) {
		if (i >= count)
			return broke(q, "a descriptor number is out of range");
		if ((*budget)-- == 0)
			return broke(q, "a chain is longer than the queue");
		struct desc d = desc_load(table + i * DESC_SIZE);
		if (d.flags & DESC_INDIRECT) {
			if (nested || !q->indirect || (d.flags & DESC_NEXT))
				return broke(q, "an indirect descriptor where none is allowed");
			if (d.len == 0 || d.len % DESC_SIZE || d.len / DESC_SIZE > UINT16_MAX)
				return broke(q, "an indirect table has a bad length");
			const uint8_t *inner = gmem_at(q->mem, d.addr, d.len);
			if (!inner)
				return broke(q, "an indirect table is not in RAM");
			return walk(q, el, inner, d.len / DESC_SIZE, 0, true, budget);
		}
		int rc = add_segment(q, el, &d);
		if (rc || !(d.flags & DESC_NEXT))
			return rc;
		i = d.next;
	}
}

int virtq_pop(struct virtq *q, struct virtq_elem *el)
{
	if (q->broken)
		return -EINVAL;
	if (!q->desc)
		return 0;
	uint16_t waiting = ring_load(q->avail + IDX_AT) - q->s.last_avail;
	if (waiting == 0)
		return 0;
	if (waiting > q->s.size)
		return broke(q, "more buffers are offered than the queue holds");
	uint16_t slot = q->s.last_avail & (q->s.size - 1);
	el->head = ring_load(q->avail + RING_HEAD + slot * 2);
	el->segs = el->readable = 0;
	el->readable_len = el->writable_len = 0;
	unsigned budget = q->s.size + 1u;
	int rc = walk(q, el, q->desc, q->s.size, el->head, false, &budget);
	if (rc)
		return rc;
	q->s.last_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	q->s.last_avail--;
}

uint16_t virtq_waiting(const struct virtq *q)
{
	return q->broken || !q->desc ? 0 : ring_load(q->avail + IDX_AT) - q->s.last_avail;
}

bool virtq_empty(const struct virtq *q)
{
	return virtq_waiting(q) == 0;
}

/* --- giving back --- */

static void mark_written(struct virtq *q, const struct virtq_elem *el, uint64_t written)
{
	for (unsigned i = el->readable; i < el->segs && written; i++) {
		uint64_t part = el->iov[i].iov_len < written ? el->iov[i].iov_len : written;
		gmem_written(q->mem, el->gpa[i], part);
		written -= part;
	}
}

void virtq_fill(struct virtq *q, const struct virtq_elem *el, uint32_t written, unsigned n)
{
	if (!q->desc)
		return;
	mark_written(q, el, written);
	uint32_t off = RING_HEAD + ((q->s.used_idx + n) & (q->s.size - 1)) * USED_ELEM_SIZE;
	store_le32(q->used + off, el->head);
	store_le32(q->used + off + 4, written);
	gmem_written(q->mem, q->s.used + off, USED_ELEM_SIZE);
}

void virtq_publish(struct virtq *q, unsigned count)
{
	if (!q->desc || !count)
		return;
	uint16_t old = q->s.used_idx;
	q->s.used_idx += count;
	ring_store(q, q->used + IDX_AT, q->s.used_idx);
	/* When the index passed the one that was signalled last by a whole round, the comparison in
	 * virtq_wants_notify would be meaningless. */
	if ((uint16_t)(q->s.used_idx - q->signalled) < (uint16_t)(q->s.used_idx - old))
		q->signalled_valid = false;
}

void virtq_push(struct virtq *q, const struct virtq_elem *el, uint32_t written)
{
	virtq_fill(q, el, written, 0);
	virtq_publish(q, 1);
}

bool virtq_wants_notify(struct virtq *q)
{
	if (!q->desc)
		return false;
	/* The used index must be visible before the driver's wish is read, or both sides could sleep (2.7.10). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(ring_load(q->avail) & AVAIL_NO_INTERRUPT);
	uint16_t event = ring_load(q->avail + RING_HEAD + q->s.size * 2);
	uint16_t old = q->signalled, new = q->s.used_idx;
	bool valid = q->signalled_valid;
	q->signalled = new;
	q->signalled_valid = true;
	return !valid || (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void virtq_notifications(struct virtq *q, bool on)
{
	if (!q->desc || q->broken)
		return;
	/* With EVENT_IDX it is leaving the field behind that silences the driver. */
	if (q->event_idx) {
		if (on)
			ring_store(q, q->used + RING_HEAD + q->s.size * USED_ELEM_SIZE, q->s.last_avail);
	} else {
		ring_store(q, q->used, on ? 0 : USED_NO_NOTIFY);
	}
	/* The wish must be visible before the caller looks for buffers once more (2.7.10). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* --- bytes --- */

static size_t copy(const struct virtq_elem *el, unsigned i, unsigned end, size_t skip, void *buf, size_t len, bool in)
{
	size_t done = 0;
	for (; i < end && done < len; i++) {
		size_t have = el->iov[i].iov_len;
		if (skip >= have) {
			skip -= have;
			continue;
		}
		size_t part = have - skip < len - done ? have - skip : len - done;
		uint8_t *guest = (uint8_t *)el->iov[i].iov_base + skip;
		if (in)
			memcpy(guest, (uint8_t *)buf + done, part);
		else
			memcpy((uint8_t *)buf + done, guest, part);
		done += part;
		skip = 0;
	}
	return done;
}

size_t virtq_copy_out(const struct virtq_elem *el, size_t skip, void *buf, size_t len)
{
	return copy(el, 0, el->readable, skip, buf, len, false);
}

size_t virtq_copy_in(const struct virtq_elem *el, size_t skip, const void *buf, size_t len)
{
	return copy(el, el->readable, el->segs, skip, (void *)(uintptr_t)buf, len, true);
}
