/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/blk.h"

#include "base/bytes.h"
#include "block/block.h"
#include "core/dev.h"
#include "core/vm.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_SIZE = 256, SEG_MAX = QUEUE_SIZE - 2, ELEM_SEGS = QUEUE_SIZE + 8, CLASS_SCSI = 0x010000 };
enum { HEADER = 16, RANGE = 16, RANGE_UNMAP = 1 };
/* 32 MiB a request: bounds what a host that must write zeros does for one request. */
enum { RANGE_SECTORS_MAX = 65536, RANGES_MAX = 1 };

enum feature {
	F_SEG_MAX = 1 << 2,
	F_RO = 1 << 5,
	F_BLK_SIZE = 1 << 6,
	F_FLUSH = 1 << 9,
	F_TOPOLOGY = 1 << 10,
	F_CONFIG_WCE = 1 << 11,
	F_MQ = 1 << 12,
	F_DISCARD = 1 << 13,
	F_WRITE_ZEROES = 1 << 14,
};

enum type { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum status { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

/* struct virtio_blk_config (5.2.4) */
enum config {
	C_CAPACITY = 0,
	C_SEG_MAX = 12,
	C_BLK_SIZE = 20,
	C_PHYSICAL_EXP = 24,
	C_MIN_IO = 26,
	C_WRITEBACK = 32,
	C_NUM_QUEUES = 34,
	C_DISCARD_SECTORS = 36,
	C_DISCARD_SEG = 40,
	C_DISCARD_ALIGN = 44,
	C_ZEROES_SECTORS = 48,
	C_ZEROES_SEG = 52,
	C_ZEROES_UNMAP = 56,
	C_SIZE = 60,
};

struct virtio_blk;

struct request {
	struct request *next; /* free list */
	struct virtio_blk *dev;
	unsigned queue;
	struct virtq_elem el;
	struct iovec *data; /* el's segments without header and status */
	struct blk_req req;
};

struct virtio_blk {
	struct virtio_dev v; /* first */
	struct blk *blk;
	char serial[VIRTIO_BLK_SERIAL];
	/* v.lock */
	struct request *free;
	unsigned made, made_max; /* requests that exist, and may */
	unsigned under_way;
};

/* --- requests --- */

static struct request *request_new(struct virtio_blk *b)
{
	struct request *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->dev = b;
	r->data = calloc(ELEM_SEGS, sizeof(*r->data));
	if (r->data && virtq_elem_init(&r->el, ELEM_SEGS) == 0) {
		b->made++;
		return r;
	}
	free(r->data);
	free(r);
	return NULL;
}

static struct request *request_get(struct virtio_blk *b)
{
	struct request *r = b->free;
	if (!r)
		return b->made < b->made_max ? request_new(b) : NULL;
	b->free = r->next;
	return r;
}

static void request_put(struct request *r)
{
	r->next = r->dev->free;
	r->dev->free = r;
}

static void complete(struct request *r, uint8_t status)
{
	struct virtio_blk *b = r->dev;
	virtq_copy_in(&r->el, r->el.writable_len - 1, &status, 1);
	virtq_push(&b->v.queue[r->queue].q, &r->el, r->el.writable_len);
	virtio_notify(&b->v, r->queue);
	request_put(r);
}

static void request_done(struct blk_req *req)
{
	struct request *r = req->opaque;
	struct virtio_blk *b = r->dev;
	pthread_mutex_lock(&b->v.lock);
	b->under_way--;
	if (b->v.resetting)
		request_put(r);
	else
		complete(r, req->result == 0 ? S_OK : S_IOERR);
	if (b->v.resetting && !b->under_way)
		virtio_reset_done(&b->v);
	pthread_mutex_unlock(&b->v.lock);
}

static void start(struct request *r, enum blk_op op, uint64_t offset, uint64_t len)
{
	struct virtio_blk *b = r->dev;
	r->req.op = op;
	r->req.offset = offset;
	r->req.len = len;
	/* Without a way to flush, what is done must be durable (5.2.6.2). */
	r->req.fua = !virtio_has(&b->v, F_FLUSH) || !b->v.config[C_WRITEBACK];
	r->req.done = request_done;
	r->req.opaque = r;
	b->under_way++;
	blk_submit(b->blk, &r->req);
}

/* Segments [first, last) without skip bytes at the start and drop bytes at the end; returns the bytes. */
static uint64_t data_of(struct request *r, unsigned first, unsigned last, uint64_t skip, uint64_t drop)
{
	uint64_t total = 0, left = 0;
	unsigned n = 0;
	for (unsigned i = first; i < last; i++)
		left += r->el.iov[i].iov_len;
	left -= skip + drop;
	for (unsigned i = first; i < last && left; i++) {
		struct iovec v = r->el.iov[i];
		uint64_t cut = skip < v.iov_len ? skip : v.iov_len;
		skip -= cut;
		v.iov_base = (uint8_t *)v.iov_base + cut;
		v.iov_len -= cut;
		if (v.iov_len > left)
			v.iov_len = left;
		left -= v.iov_len;
		total += v.iov_len;
		if (v.iov_len)
			r->data[n++] = v;
	}
	r->req.iov = r->data;
	r->req.iov_count = n;
	return total;
}

/* Whether the disk has these sectors; the guest chose all of the numbers. */
static bool sectors_good(const struct virtio_blk *b, uint64_t sector, uint64_t len)
{
	uint64_t size = blk_info(b->blk)->size;
	return len % BLK_SECTOR == 0 && sector <= size / BLK_SECTOR && range_inside(sector * BLK_SECTOR, len, size);
}

static void transfer(struct request *r, bool in, uint64_t sector)
{
	struct virtio_blk *b = r->dev;
	uint64_t len = in ? data_of(r, r->el.readable, r->el.segs, 0, 1) : data_of(r, 0, r->el.readable, HEADER, 0);
	if (!sectors_good(b, sector, len) || (!in && blk_info(b->blk)->read_only))
		complete(r, S_IOERR);
	else
		start(r, in ? BLK_READ : BLK_WRITE, sector * BLK_SECTOR, len);
}

/* Discard and write-zeroes: one range follows the header (5.2.6). */
static void range_request(struct request *r, bool zeroes)
{
	struct virtio_blk *b = r->dev;
	uint8_t range[RANGE];
	if (!virtio_has(&b->v, zeroes ? F_WRITE_ZEROES : F_DISCARD) || r->el.readable_len != HEADER + RANGE ||
	    virtq_copy_out(&r->el, HEADER, range, RANGE) != RANGE) {
		complete(r, S_UNSUPP);
		return;
	}
	uint64_t sector = load_le64(range), len = (uint64_t)load_le32(range + 8) * BLK_SECTOR;
	uint32_t flags = load_le32(range + 12);
	if (flags & ~(zeroes ? (uint32_t)RANGE_UNMAP : 0)) {
		complete(r, S_UNSUPP);
	} else if (!sectors_good(b, sector, len) || len / BLK_SECTOR > RANGE_SECTORS_MAX ||
		   blk_info(b->blk)->read_only) {
		complete(r, S_IOERR);
	} else {
		r->req.may_unmap = flags & RANGE_UNMAP;
		r->req.iov_count = 0;
		start(r, zeroes ? BLK_WRITE_ZEROES : BLK_DISCARD, sector * BLK_SECTOR, len);
	}
}

static void get_id(struct request *r)
{
	uint64_t room = r->el.writable_len - 1;
	if (room < VIRTIO_BLK_SERIAL) {
		complete(r, S_IOERR);
		return;
	}
	virtq_copy_in(&r->el, 0, r->dev->serial, VIRTIO_BLK_SERIAL);
	complete(r, S_OK);
}

static void begin(struct request *r)
{
	uint8_t header[HEADER];
	if (r->el.writable_len == 0 || virtq_copy_out(&r->el, 0, header, HEADER) != HEADER) {
		virtio_broken(&r->dev->v, "a request without header or status byte");
		request_put(r);
		return;
	}
	switch (load_le32(header)) {
	case T_IN: transfer(r, true, load_le64(header + 8)); break;
	case T_OUT: transfer(r, false, load_le64(header + 8)); break;
	case T_FLUSH: start(r, BLK_FLUSH, 0, 0); break;
	case T_GET_ID: get_id(r); break;
	case T_DISCARD: range_request(r, false); break;
	case T_WRITE_ZEROES: range_request(r, true); break;
	default: complete(r, S_UNSUPP); break;
	}
}

static void blk_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_blk *b = container_of(v, struct virtio_blk, v);
	blk_plug(b->blk);
	virtq_notifications(&v->queue[n].q, false);
	for (;;) {
		/* Without memory for one more, a request that ends brings the next look at the queue. */
		struct request *r = request_get(b);
		if (!r)
			break;
		r->queue = n;
		if (!virtio_pop(v, n, &r->el)) {
			request_put(r);
			break;
		}
		begin(r);
	}
	virtio_rearm(v, n);
	blk_unplug(b->blk);
}

static bool blk_reset(struct virtio_dev *v)
{
	struct virtio_blk *b = container_of(v, struct virtio_blk, v);
	v->config[C_WRITEBACK] = 1;
	return b->under_way == 0;
}

/* --- configuration --- */

static void fill_config(struct virtio_blk *b)
{
	const struct blk_info *info = blk_info(b->blk);
	uint8_t *c = b->v.config;
	memset(c, 0, C_SIZE);
	store_le64(c + C_CAPACITY, info->size / BLK_SECTOR);
	store_le32(c + C_SEG_MAX, SEG_MAX);
	store_le32(c + C_BLK_SIZE, BLK_SECTOR);
	while (info->block_size_physical >> (9 + c[C_PHYSICAL_EXP] + 1))
		c[C_PHYSICAL_EXP]++;
	store_le16(c + C_MIN_IO, 1u << c[C_PHYSICAL_EXP]);
	c[C_WRITEBACK] = 1;
	store_le16(c + C_NUM_QUEUES, b->v.queue_count);
	store_le32(c + C_DISCARD_SECTORS, RANGE_SECTORS_MAX);
	store_le32(c + C_DISCARD_SEG, RANGES_MAX);
	uint32_t granularity = info->discard_granularity / BLK_SECTOR;
	store_le32(c + C_DISCARD_ALIGN, granularity ? granularity : 1);
	store_le32(c + C_ZEROES_SECTORS, RANGE_SECTORS_MAX);
	store_le32(c + C_ZEROES_SEG, RANGES_MAX);
	c[C_ZEROES_UNMAP] = info->can_discard;
}

static uint64_t features_of(const struct blk_info *info, unsigned queues)
{
	uint64_t f = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;
	return f | (queues > 1 ? F_MQ : 0) | (info->read_only ? F_RO : 0) | (info->can_discard ? F_DISCARD : 0) |
	       (info->can_zero ? F_WRITE_ZEROES : 0);
}

/* The image has another size: the driver is told that config changed (5.2.5.1). */
static void resized(void *opaque)
{
	struct virtio_blk *b = opaque;
	pthread_mutex_lock(&b->v.lock);
	store_le64(b->v.config + C_CAPACITY, blk_info(b->blk)->size / BLK_SECTOR);
	virtio_config_changed(&b->v);
	pthread_mutex_unlock(&b->v.lock);
}

/* Only the cache mode may be written, and only where it was offered and taken (5.2.5). */
static void blk_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	struct virtio_blk *b = container_of(v, struct virtio_blk, v);
	bool writeback = !virtio_has(v, F_CONFIG_WCE) || v->config[C_WRITEBACK];
	fill_config(b);
	v->config[C_WRITEBACK] = writeback;
}

static void blk_stop(struct virtio_dev *v)
{
	blk_wait(container_of(v, struct virtio_blk, v)->blk);
}

static const struct virtio_device_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK, .name = "virtio-blk", .pci_class = CLASS_SCSI, .queue = blk_queue, .reset = blk_reset,
	.config_written = blk_config_written, .stop = blk_stop,
};

/* --- life --- */

static void virtio_blk_destroy(void *impl)
{
	struct virtio_blk *b = impl;
	virtio_dev_run_state(b, false);
	virtio_destroy(&b->v);
	while (b->free) {
		struct request *r = b->free;
		b->free = r->next;
		virtq_elem_free(&r->el);
		free(r->data);
		free(r);
	}
	blk_close(b->blk);
	free(b);
}

static int virtio_blk_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_blk *b = obj;
	bool writeback = b->v.config[C_WRITEBACK];
	if (load_le64(b->v.config + C_CAPACITY) != blk_info(b->blk)->size / BLK_SECTOR)
		return err_set(e, -EINVAL, "%s: the image has another size than when the state was saved", b->v.name);
	fill_config(b);
	b->v.config[C_WRITEBACK] = writeback;
	return virtio_after_load(obj, version, e);
}

static const struct state_field blk_fields[] = {VIRTIO_STATE_FIELDS(struct virtio_blk), STATE_END};

static const struct state_desc blk_state = {
	.name = "virtio-blk", .version = 1, .fields = blk_fields, .before_save = virtio_before_save,
	.after_load = virtio_blk_loaded,
};

static const struct dev_type virtio_blk_type = {
	.name = "virtio-blk",
	.destroy = virtio_blk_destroy,
	.reset = virtio_dev_reset,
	.run_state = virtio_dev_run_state,
	.state = &blk_state,
	.state_size = sizeof(struct virtio_blk),
};

static int check_config(const struct virtio_blk_config *cfg, struct err *e)
{
	if (cfg->queues > VIRTIO_BLK_QUEUES_MAX)
		return err_set(e, -EINVAL, "virtio-blk: %u queues; at most %d are possible", cfg->queues,
			       VIRTIO_BLK_QUEUES_MAX);
	if (cfg->serial && strlen(cfg->serial) > VIRTIO_BLK_SERIAL)
		return err_set(e, -EINVAL, "virtio-blk: the serial \"%s\" is longer than %d characters", cfg->serial,
		               VIRTIO_BLK_SERIAL);
	return 0;
}

int virtio_blk_create(struct vm *vm, const struct virtio_blk_config *cfg, struct err *e)
{
	uint16_t sizes[VIRTIO_BLK_QUEUES_MAX];
	unsigned queues = cfg->queues ? cfg->queues : 1;
	struct virtio_place place = cfg->place;
	int rc = check_config(cfg, e);
	if (rc)
		return rc;
	struct virtio_blk *b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, -ENOMEM, "no memory for virtio-blk");
	b->blk = cfg->blk;
	const char *serial = cfg->serial ? cfg->serial : blk_info(b->blk)->serial;
	memcpy(b->serial, serial, strnlen(serial, VIRTIO_BLK_SERIAL));
	for (unsigned n = 0; n < queues; n++)
		sizes[n] = QUEUE_SIZE;
	b->made_max = queues * QUEUE_SIZE + 1;
	b->v.queue_count = queues;
	b->v.config_size = C_SIZE;
	b->v.device_features = features_of(blk_info(b->blk), queues);
	fill_config(b);
	place.loop = blk_loop(b->blk);
	place.direct = false;
	rc = virtio_init(&b->v, vm, &blk_ops, &place, sizes, queues, e);
	if (!rc) {
		rc = dev_attach(vm, &virtio_blk_type, cfg->place.id, b, e);
		if (rc)
			virtio_destroy(&b->v);
	}
	if (rc)
		free(b);
	else
		blk_on_resize(b->blk, resized, b);
	return rc;
}
