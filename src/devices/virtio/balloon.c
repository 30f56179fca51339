/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/balloon.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { QUEUES = 4, QUEUE_SIZE = 128, SEG_MAX = 128, CLASS_OTHER = 0xff0000 };
enum { F_STATS = 1 << 1, F_DEFLATE_ON_OOM = 1 << 2, F_REPORTING = 1 << 5 };
enum { C_TARGET = 0, C_ACTUAL = 4, C_SIZE = 16 };
enum { PAGE_SHIFT = 12, PAGES_AT_ONCE = 1024, STAT_SIZE = 10, STATS_MAX = 32 };

struct virtio_balloon {
	struct virtio_dev v; /* first */
	/* v.lock */
	struct virtq_elem elem, stats_elem;
	bool stats_held; /* stats_elem is the buffer that the driver left for the next query */
	uint32_t target; /* pages */
	uint64_t reported;
	uint64_t stat[BALLOON_TAGS], told_s;
};

/* --- pages --- */

/* Neighbours are given back in one go; a page that is no RAM is the guest's own mistake and has no effect. */
static void discard_pages(struct virtio_balloon *b, const uint32_t *pfn, unsigned count)
{
	for (unsigned i = 0, run; i < count; i += run) {
		run = 1;
		while (i + run < count && pfn[i + run] == pfn[i] + run)
			run++;
		if (gmem_discard(b->v.vm->mem, (uint64_t)pfn[i] << PAGE_SHIFT, (uint64_t)run << PAGE_SHIFT) < 0)
			continue;
	}
}

static void inflate(struct virtio_balloon *b, const struct virtq_elem *el)
{
	uint32_t pfn[PAGES_AT_ONCE];
	for (uint64_t at = 0; at + 4 <= el->readable_len;) {
		size_t len = virtq_copy_out(el, at, pfn, sizeof(pfn)) & ~(size_t)3;
		discard_pages(b, pfn, len / 4);
		at += len;
	}
}

/* Free page reporting: the segments themselves are the free pages (5.5.6.7). */
static void report(struct virtio_balloon *b, const struct virtq_elem *el)
{
	for (unsigned i = el->readable; i < el->segs; i++) {
		uint64_t len = el->iov[i].iov_len;
		if (el->gpa[i] % GMEM_PAGE || len % GMEM_PAGE)
			continue;
		if (gmem_discard(b->v.vm->mem, el->gpa[i], len) == 0)
			b->reported += len;
	}
}

static void page_queue(struct virtio_balloon *b, unsigned n,
		       void (*fn)(struct virtio_balloon *, const struct virtq_elem *))
{
	while (virtio_pop(&b->v, n, &b->elem)) {
		if (fn)
			fn(b, &b->elem);
		virtq_push(&b->v.queue[n].q, &b->elem, 0);
	}
	virtio_rearm(&b->v, n);
	virtio_notify(&b->v, n);
}

/* --- statistics --- */

static void stats_forget(struct virtio_balloon *b)
{
	for (unsigned i = 0; i < BALLOON_TAGS; i++)
		b->stat[i] = UINT64_MAX;
	b->told_s = 0;
}

static void stats_take(struct virtio_balloon *b)
{
	uint8_t text[STATS_MAX * STAT_SIZE];
	size_t len = virtq_copy_out(&b->stats_elem, 0, text, sizeof(text));
	for (size_t at = 0; at + STAT_SIZE <= len; at += STAT_SIZE) {
		uint16_t tag = load_le16(text + at);
		if (tag < BALLOON_TAGS)
			b->stat[tag] = load_le64(text + at + 2);
	}
	b->told_s = len >= STAT_SIZE ? (uint64_t)time(NULL) : b->told_s;
}

/* The buffer stays here until someone asks; giving it back is the question (5.5.6.3). */
static void stats_queue(struct virtio_balloon *b, unsigned n)
{
	if (!b->stats_held && virtio_pop(&b->v, n, &b->stats_elem)) {
		b->stats_held = true;
		stats_take(b);
	}
	virtq_notifications(&b->v.queue[n].q, true);
}

static unsigned stats_index(void)
{
	return 2;
}

static unsigned reporting_index(const struct virtio_balloon *b)
{
	return virtio_has(&b->v, F_STATS) ? 3 : 2;
}

/* Queues that were not agreed upon leave no gap in the numbers (5.5.2). */
static void balloon_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_balloon *b = container_of(v, struct virtio_balloon, v);
	if (n == 0)
		page_queue(b, n, inflate);
	else if (n == 1)
		page_queue(b, n, NULL);
	else if (virtio_has(v, F_STATS) && n == stats_index())
		stats_queue(b, n);
	else if (virtio_has(v, F_REPORTING) && n == reporting_index(b))
		page_queue(b, n, report);
}

/* --- control --- */

void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes)
{
	uint64_t total = gmem_total(b->v.vm->mem);
	pthread_mutex_lock(&b->v.lock);
	b->target = (bytes < total ? bytes : total) >> PAGE_SHIFT;
	store_le32(b->v.config + C_TARGET, b->target);
	virtio_config_changed(&b->v);
	pthread_mutex_unlock(&b->v.lock);
}

void virtio_balloon_query(struct virtio_balloon *b, struct virtio_balloon_info *info)
{
	struct virtio_dev *v = &b->v;
	pthread_mutex_lock(&v->lock);
	info->target = (uint64_t)b->target << PAGE_SHIFT;
	info->actual = (uint64_t)load_le32(v->config + C_ACTUAL) << PAGE_SHIFT;
	info->reported = b->reported;
	memcpy(info->stat, b->stat, sizeof(info->stat));
	info->told_s = b->told_s;
	if (b->stats_held && virtio_active(v)) {
		b->stats_held = false;
		virtq_push(&v->queue[stats_index()].q, &b->stats_elem, 0);
		virtio_notify(v, stats_index());
	}
	pthread_mutex_unlock(&v->lock);
}

/* --- life --- */

/* The driver writes how much it gave; the target is ours. */
static void balloon_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	struct virtio_balloon *b = container_of(v, struct virtio_balloon, v);
	uint32_t actual = load_le32(v->config + C_ACTUAL);
	memset(v->config, 0, C_SIZE);
	store_le32(v->config + C_TARGET, b->target);
	store_le32(v->config + C_ACTUAL, actual);
	if (range_overlap(off, len, C_ACTUAL, 4))
		vm_request(v->vm, VM_REQUEST_BALLOON);
}

static bool balloon_reset(struct virtio_dev *v)
{
	struct virtio_balloon *b = container_of(v, struct virtio_balloon, v);
	b->stats_held = false;
	store_le32(v->config + C_ACTUAL, 0);
	stats_forget(b);
	return true;
}

/* So that the ring is as it would be had the buffer not been seen; it is taken again afterwards. */
static void balloon_stop(struct virtio_dev *v)
{
	struct virtio_balloon *b = container_of(v, struct virtio_balloon, v);
	pthread_mutex_lock(&v->lock);
	if (b->stats_held)
		virtq_unpop(&v->queue[stats_index()].q);
	b->stats_held = false;
	pthread_mutex_unlock(&v->lock);
}

static const struct virtio_device_ops balloon_ops = {
	.id = VIRTIO_ID_BALLOON, .name = "virtio-balloon", .pci_class = CLASS_OTHER, .queue = balloon_queue,
	.reset = balloon_reset, .config_written = balloon_config_written, .stop = balloon_stop,
};

static void balloon_free(struct virtio_balloon *b)
{
	virtq_elem_free(&b->elem);
	virtq_elem_free(&b->stats_elem);
	free(b);
}

static void balloon_destroy(void *impl)
{
	struct virtio_balloon *b = impl;
	virtio_destroy(&b->v);
	balloon_free(b);
}

static int balloon_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_balloon *b = obj;
	if (b->target > gmem_total(b->v.vm->mem) >> PAGE_SHIFT)
		return err_set(e, -EINVAL, "%s: the saved target is more than this machine's memory", b->v.name);
	b->stats_held = false;
	balloon_config_written(&b->v, 0, C_SIZE);
	return virtio_after_load(obj, version, e);
}

static const struct state_field balloon_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_balloon),
	STATE_FIELD(struct virtio_balloon, target, STATE_U32),
	STATE_FIELD(struct virtio_balloon, reported, STATE_U64),
	STATE_ARRAY(struct virtio_balloon, stat, STATE_U64, BALLOON_TAGS),
	STATE_END,
};

static const struct state_desc balloon_state = {
	.name = "virtio-balloon", .version = 1, .fields = balloon_fields, .before_save = virtio_before_save,
	.after_load = balloon_loaded,
};

static const struct dev_type balloon_type = {
	.name = "virtio-balloon",
	.destroy = balloon_destroy,
	.reset = virtio_dev_reset,
	.run_state = virtio_dev_run_state,
	.state = &balloon_state,
	.state_size = sizeof(struct virtio_balloon),
};

int virtio_balloon_create(struct vm *vm, const struct virtio_balloon_config *cfg, struct virtio_balloon **out,
                          struct err *e)
{
	const uint16_t sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE};
	struct virtio_balloon *b = calloc(1, sizeof(*b));
	if (!b || virtq_elem_init(&b->elem, SEG_MAX) < 0 || virtq_elem_init(&b->stats_elem, SEG_MAX) < 0) {
		if (b)
			balloon_free(b);
		return err_set(e, -ENOMEM, "no memory for virtio-balloon");
	}
	stats_forget(b);
	b->v.config_size = C_SIZE;
	b->v.device_features = F_STATS | F_DEFLATE_ON_OOM | (cfg->no_reporting ? 0 : F_REPORTING);
	int rc = virtio_init(&b->v, vm, &balloon_ops, &cfg->place, sizes, cfg->no_reporting ? QUEUES - 1 : QUEUES, e);
	if (!rc) {
		rc = dev_attach(vm, &balloon_type, cfg->place.id, b, e);
		if (rc)
			virtio_destroy(&b->v);
	}
	if (rc) {
		balloon_free(b);
		return rc;
	}
	if (out)
		*out = b;
	return 0;
}
