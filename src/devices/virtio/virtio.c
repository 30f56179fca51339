/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/virtio.h"

#include "base/bytes.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vm.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

/* Bits of the feature word that belong to the ring, not to a device type (virtio 1.2, 6). */
#define RING_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

/* --- queues --- */

bool virtio_active(const struct virtio_dev *v)
{
	return !v->stopped && !v->resetting &&
	       (v->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}

static void run_queue(struct virtio_dev *v, unsigned n)
{
	struct virtq *q = &v->queue[n].q;
	/* Others wait for this thread: one queue's worth, then it rings for itself again (virtio_rearm). */
	v->budget = q->s.size;
	if (virtio_active(v) && q->s.enabled)
		v->ops->queue(v, n);
}

/* The doorbell rang. */
static void on_doorbell(void *opaque, int fd, unsigned events)
{
	struct virtio_queue *vq = opaque;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0)
		return; /* somebody else emptied it */
	pthread_mutex_lock(&vq->dev->lock);
	run_queue(vq->dev, vq->index);
	pthread_mutex_unlock(&vq->dev->lock);
}

void virtio_kick(struct virtio_dev *v, unsigned n)
{
	const uint64_t one = 1;
	if (write(v->queue[n].event_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will run */
}

struct region_doorbell_handle *virtio_doorbell(struct virtio_dev *v, unsigned n, const struct region_doorbell *at)
{
	struct region_doorbell bell = *at;
	struct region_doorbell_handle *h;

	bell.space = REGION_MEMORY;
	bell.event_fd = v->queue[n].event_fd;
	return !v->direct && region_doorbell_attach(v->vm->regions, &bell, &h, NULL) == 0 ? h : NULL;
}

void virtio_doorbells_detach(struct virtio_transport *t)
{
	for (unsigned n = 0; n < VIRTIO_QUEUE_MAX; n++) {
		if (t->bell[n])
			region_doorbell_detach(t->bell[n]);
		t->bell[n] = NULL;
	}
}

void virtio_notified(struct virtio_dev *v, unsigned n)
{
	if (n >= v->queue_count)
		return;
	if (v->direct)
		run_queue(v, n);
	else
		virtio_kick(v, n);
}

bool virtio_pop(struct virtio_dev *v, unsigned n, struct virtq_elem *el)
{
	int rc = virtio_active(v) && v->budget ? virtq_pop(&v->queue[n].q, el) : 0;
	if (rc < 0)
		virtio_broken(v, v->queue[n].q.why);
	if (rc > 0)
		v->budget--;
	return rc > 0;
}

void virtio_rearm(struct virtio_dev *v, unsigned n)
{
	struct virtq *q = &v->queue[n].q;
	virtq_notifications(q, true);
	if (!virtq_empty(q))
		virtio_kick(v, n);
}

static void interrupt(struct virtio_dev *v, uint8_t isr, uint16_t vector)
{
	v->isr |= isr;
	v->transport->ops->interrupt(v->transport, isr, vector);
}

void virtio_notify(struct virtio_dev *v, unsigned n)
{
	if (virtq_wants_notify(&v->queue[n].q))
		interrupt(v, ISR_QUEUE, v->queue[n].vector);
}

void virtio_queue_enable(struct virtio_dev *v, unsigned n)
{
	struct virtq *q = &v->queue[n].q;
	/* Frozen once enabled, and nothing is enabled before the features are agreed upon. */
	if (q->s.enabled || q->broken || v->resetting || !(v->status & VIRTIO_FEATURES_OK))
		return;
	if (virtq_enable(q, virtio_has(v, VIRTIO_F_EVENT_IDX), virtio_has(v, VIRTIO_F_INDIRECT_DESC)) < 0)
		virtio_broken(v, q->why);
}

/* --- configuration --- */

void virtio_config_changed(struct virtio_dev *v)
{
	v->generation++;
	if (v->status & VIRTIO_DRIVER_OK)
		interrupt(v, ISR_CONFIG, v->config_vector);
}

uint64_t virtio_config_get(struct virtio_dev *v, unsigned off, unsigned width)
{
	uint8_t bytes[8] = {0};
	if (v->ops->config_read)
		v->ops->config_read(v);
	for (unsigned i = 0; i < width; i++)
		if (off + i < v->config_size)
			bytes[i] = v->config[off + i];
	return load_le64(bytes);
}

void virtio_config_put(struct virtio_dev *v, unsigned off, unsigned width, uint64_t value)
{
	if (!v->ops->config_written || !range_inside(off, width, v->config_size))
		return;
	uint8_t bytes[8];
	store_le64(bytes, value);
	memcpy(&v->config[off], bytes, width);
	v->ops->config_written(v, off, width);
}

uint8_t virtio_isr_take(struct virtio_dev *v)
{
	uint8_t isr = v->isr;
	v->isr = 0;
	v->transport->ops->isr_read(v->transport);
	return isr;
}

/* --- status (virtio 1.2, 2.1 and 3.1) --- */

uint64_t virtio_offered(const struct virtio_dev *v)
{
	return v->device_features | RING_FEATURES;
}

void virtio_set_features(struct virtio_dev *v, uint32_t half, uint32_t value)
{
	if (half > 1 || (v->status & VIRTIO_FEATURES_OK))
		return;
	uint64_t mask = half ? UINT64_C(0xffffffff) << 32 : 0xffffffff;
	v->driver_features = (v->driver_features & ~mask) | (uint64_t)value << (half * 32);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
	log_limited(&v->limit, LOG_WARNING,
		    "%s: the guest's driver broke a rule: %s; the device stands still until it is reset", v->name,
		    why ? why : "unknown");
	if (v->status & VIRTIO_NEEDS_RESET)
		return;
	v->status |= VIRTIO_NEEDS_RESET;
	virtio_config_changed(v);
}

static void forget(struct virtio_dev *v)
{
	v->driver_features = 0;
	v->isr = 0;
	v->transport->ops->isr_read(v->transport);
	v->config_vector = VIRTIO_NO_VECTOR;
	v->status = 0;
	v->resetting = false;
}

void virtio_reset_done(struct virtio_dev *v)
{
	if (v->resetting)
		forget(v);
}

static void reset(struct virtio_dev *v)
{
	if (v->resetting)
		return;
	for (unsigned n = 0; n < v->queue_count; n++) {
		virtq_reset(&v->queue[n].q);
		v->queue[n].vector = VIRTIO_NO_VECTOR;
	}
	v->resetting = true;
	if (!v->ops->reset || v->ops->reset(v))
		forget(v);
}

static bool features_good(const struct virtio_dev *v)
{
	return !(v->driver_features & ~virtio_offered(v)) && virtio_has(v, VIRTIO_F_VERSION_1);
}

void virtio_set_status(struct virtio_dev *v, uint8_t status)
{
	if (status == 0) {
		reset(v);
		return;
	}
	if (v->resetting)
		return;
	uint8_t fresh = status & ~v->status;
	if ((fresh & VIRTIO_FEATURES_OK) && !features_good(v)) {
		status &= ~VIRTIO_FEATURES_OK;
		fresh &= ~VIRTIO_FEATURES_OK;
	}
	/* Bits only rise; a driver may not go live before the features are agreed upon. */
	if (!((v->status | status) & VIRTIO_FEATURES_OK)) {
		status &= ~VIRTIO_DRIVER_OK;
		fresh &= ~VIRTIO_DRIVER_OK;
	}
	v->status |= status & ~VIRTIO_NEEDS_RESET;
	if ((fresh & VIRTIO_FEATURES_OK) && v->ops->features)
		v->ops->features(v);
	if (!(fresh & VIRTIO_DRIVER_OK))
		return;
	if (v->ops->driver_ok)
		v->ops->driver_ok(v);
	/* Buffers may have been offered, and notified, before the device was live. */
	for (unsigned n = 0; n < v->queue_count; n++)
		if (v->queue[n].q.s.enabled)
			virtio_kick(v, n);
}

/* --- life --- */

static void unwatch(void *opaque)
{
	struct virtio_dev *v = opaque;
	for (unsigned n = 0; n < v->queue_count; n++) {
		loop_fd_remove(v->queue[n].watch);
		v->queue[n].watch = NULL;
	}
}

struct watch_call {
	struct virtio_dev *v;
	struct err *e;
	int rc;
};

static void watch(void *opaque)
{
	struct watch_call *c = opaque;
	for (unsigned n = 0; n < c->v->queue_count && !c->rc; n++) {
		struct virtio_queue *vq = &c->v->queue[n];
		c->rc = loop_fd_add(c->v->loop, vq->event_fd, LOOP_READ, on_doorbell, vq, &vq->watch, c->e);
	}
}

static int queues_init(struct virtio_dev *v, const uint16_t *sizes, struct err *e)
{
	for (unsigned n = 0; n < v->queue_count; n++) {
		struct virtio_queue *vq = &v->queue[n];
		virtq_init(&vq->q, v->vm->mem, sizes[n]);
		vq->dev = v;
		vq->index = n;
		vq->vector = VIRTIO_NO_VECTOR;
		vq->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (vq->event_fd < 0)
			return err_errno(e, errno, "%s: cannot make an eventfd", v->name);
	}
	struct watch_call c = {.v = v, .e = e};
	int rc = loop_call(v->loop, watch, &c);
	return rc ? err_set(e, rc, "%s: no memory to call its I/O loop", v->name) : c.rc;
}

int virtio_init(struct virtio_dev *v, struct vm *vm, const struct virtio_device_ops *ops,
		const struct virtio_place *place, const uint16_t *sizes, unsigned queue_count, struct err *e)
{
	assert(queue_count <= VIRTIO_QUEUE_MAX && v->config_size <= VIRTIO_CONFIG_MAX);
	pthread_mutex_init(&v->lock, NULL);
	v->ops = ops;
	v->vm = vm;
	v->loop = place->loop ? place->loop : vm->loop;
	v->direct = place->direct;
	v->queue_count = queue_count;
	v->config_vector = VIRTIO_NO_VECTOR;
	v->stopped = true;
	snprintf(v->name, sizeof(v->name), "%s", place->id ? place->id : ops->name);
	for (unsigned n = 0; n < queue_count; n++)
		v->queue[n].event_fd = -1;
	int rc = queues_init(v, sizes, e);
	if (!rc)
		rc = place->bus ? virtio_pci_create(v, place, e) : virtio_mmio_create(v, place, e);
	if (rc)
		virtio_destroy(v);
	return rc;
}

void virtio_destroy(struct virtio_dev *v)
{
	if (v->transport)
		v->transport->ops->destroy(v->transport);
	v->transport = NULL;
	/* Without memory for the call the watches stay until their loop ends; their descriptors then stay open too. */
	bool quiet = v->loop && !loop_call(v->loop, unwatch, v);
	for (unsigned n = 0; n < v->queue_count; n++) {
		if (quiet && v->queue[n].event_fd >= 0)
			close(v->queue[n].event_fd);
		v->queue[n].event_fd = -1;
	}
	pthread_mutex_destroy(&v->lock);
}

void virtio_dev_reset(void *impl)
{
	struct virtio_dev *v = impl;
	pthread_mutex_lock(&v->lock);
	reset(v);
	pthread_mutex_unlock(&v->lock);
	v->transport->device_select = v->transport->driver_select = v->transport->queue_select = 0;
	if (v->transport->ops->reset)
		v->transport->ops->reset(v->transport);
}

void virtio_dev_run_state(void *impl, bool running)
{
	struct virtio_dev *v = impl;
	pthread_mutex_lock(&v->lock);
	v->stopped = !running;
	if (running && v->ops->start)
		v->ops->start(v);
	for (unsigned n = 0; running && n < v->queue_count; n++)
		if (v->queue[n].q.s.enabled)
			virtio_kick(v, n);
	pthread_mutex_unlock(&v->lock);
	if (!running && v->ops->stop)
		v->ops->stop(v);
}

/* --- saved state --- */

void virtio_before_save(void *obj)
{
	struct virtio_dev *v = obj;
	struct virtio_saved *s = &v->saved;
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < v->queue_count; n++) {
		const struct virtq_setup *q = &v->queue[n].q.s;
		s->queue_size[n] = q->size;
		s->last_avail[n] = q->last_avail;
		s->used_idx[n] = q->used_idx;
		s->vector[n] = v->queue[n].vector;
		s->enabled[n] = q->enabled;
		s->desc[n] = q->desc;
		s->avail[n] = q->avail;
		s->used[n] = q->used;
	}
	s->select[0] = v->transport->device_select;
	s->select[1] = v->transport->driver_select;
	s->select[2] = v->transport->queue_select;
	if (v->transport->ops->save)
		v->transport->ops->save(v->transport, s);
}

static int load_queue(struct virtio_dev *v, unsigned n, struct err *e)
{
	const struct virtio_saved *s = &v->saved;
	struct virtq *q = &v->queue[n].q;
	virtq_reset(q);
	q->s = (struct virtq_setup){.size = s->queue_size[n],
				    .desc = s->desc[n],
				    .avail = s->avail[n],
				    .used = s->used[n],
				    .last_avail = s->last_avail[n],
				    .used_idx = s->used_idx[n]};
	v->queue[n].vector = s->vector[n];
	if (s->enabled[n] > 1)
		return err_set(e, -EINVAL, "%s: saved state of queue %u is neither on nor off", v->name, n);
	if (!s->enabled[n])
		return 0;
	int rc = virtq_enable(q, virtio_has(v, VIRTIO_F_EVENT_IDX), virtio_has(v, VIRTIO_F_INDIRECT_DESC));
	/* A queue that the guest had broken was saved as it is; it stays broken. */
	if (rc && !(v->status & VIRTIO_NEEDS_RESET))
		return err_set(e, rc, "%s: saved state of queue %u does not fit this machine: %s", v->name, n, q->why);
	return 0;
}

int virtio_after_load(void *obj, uint16_t version, struct err *e)
{
	struct virtio_dev *v = obj;
	if (v->driver_features & ~virtio_offered(v) & (v->status & VIRTIO_FEATURES_OK ? UINT64_MAX : 0))
		return err_set(e, -EINVAL, "%s: saved state uses features that this device does not offer", v->name);
	v->resetting = false;
	for (unsigned n = 0; n < v->queue_count; n++) {
		int rc = load_queue(v, n, e);
		if (rc)
			return rc;
	}
	v->transport->device_select = v->saved.select[0];
	v->transport->driver_select = v->saved.select[1];
	v->transport->queue_select = v->saved.select[2];
	return v->transport->ops->load(v->transport, &v->saved, e);
}
