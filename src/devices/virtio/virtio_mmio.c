/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio over MMIO, version 2 (virtio 1.2, 4.2). */
#include "base/bytes.h"
#include "core/region.h"
#include "core/vm.h"
#include "devices/virtio/virtio.h"
#include <errno.h>
#include <stdlib.h>

enum { REGION_SIZE = 0x200, MAGIC = 0x74726976, VERSION = 2, VENDOR = 0x4c4e4150 };

enum mmio_register {
	MAGIC_VALUE = 0x00,
	VERSION_REG = 0x04,
	DEVICE_ID = 0x08,
	VENDOR_ID = 0x0c,
	DEVICE_FEATURES = 0x10,
	DEVICE_FEATURES_SEL = 0x14,
	DRIVER_FEATURES = 0x20,
	DRIVER_FEATURES_SEL = 0x24,
	QUEUE_SEL = 0x30,
	QUEUE_NUM_MAX = 0x34,
	QUEUE_NUM = 0x38,
	QUEUE_READY = 0x44,
	QUEUE_NOTIFY = 0x50,
	INTERRUPT_STATUS = 0x60,
	INTERRUPT_ACK = 0x64,
	STATUS = 0x70,
	QUEUE_DESC = 0x80,
	QUEUE_DRIVER = 0x90,
	QUEUE_DEVICE = 0xa0,
	SHM_LEN_LOW = 0xb0,
	SHM_BASE_HIGH = 0xbc,
	CONFIG_GENERATION = 0xfc,
	CONFIG = 0x100,
};

struct virtio_mmio {
	struct virtio_transport t; /* first */
	struct irq irq;
	struct region_handle *region;
};

static uint64_t mmio_read(void *opaque, uint64_t off, unsigned width)
{
	struct virtio_mmio *m = opaque;
	struct virtio_dev *v = m->t.dev;
	struct virtio_queue *vq = virtio_selected(&m->t);
	if (off >= CONFIG)
		return virtio_config_get(v, off - CONFIG, width);
	if (width != 4 || off % 4)
		return 0;
	/* No shared memory regions: length and address are all ones (4.2.2.1). */
	if (off >= SHM_LEN_LOW && off <= SHM_BASE_HIGH)
		return UINT32_MAX;
	switch (off) {
	case MAGIC_VALUE: return MAGIC;
	case VERSION_REG: return VERSION;
	case DEVICE_ID: return v->ops->id;
	case VENDOR_ID: return VENDOR;
	case DEVICE_FEATURES: return virtio_half(virtio_offered(v), m->t.device_select);
	case QUEUE_NUM_MAX: return vq ? vq->q.size_max : 0;
	case QUEUE_READY: return vq && vq->q.s.enabled;
	case INTERRUPT_STATUS: return v->isr;
	case STATUS: return v->status;
	case CONFIG_GENERATION: return v->generation;
	default: return 0;
	}
}

static void queue_write(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	struct virtio_queue *vq = virtio_selected(&m->t);
	if (!vq)
		return;
	struct virtq_setup *s = &vq->q.s;
	if (off == QUEUE_READY) {
		if (value == 1)
			virtio_queue_enable(m->t.dev, vq->index);
		return;
	}
	if (s->enabled)
		return;
	switch (off) {
	case QUEUE_NUM: s->size = value <= UINT16_MAX ? value : 0; break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: virtio_half_set(&s->desc, off & 4, value); break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4: virtio_half_set(&s->avail, off & 4, value); break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: virtio_half_set(&s->used, off & 4, value); break;
	default: break;
	}
}

static void acknowledge(struct virtio_mmio *m, uint32_t bits)
{
	m->t.dev->isr &= ~bits;
	if (!m->t.dev->isr)
		irq_set(&m->irq, false);
}

static void mmio_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct virtio_mmio *m = opaque;
	struct virtio_dev *v = m->t.dev;
	if (off >= CONFIG) {
		virtio_config_put(v, off - CONFIG, width, value);
		return;
	}
	if (width != 4 || off % 4)
		return;
	switch (off) {
	case DEVICE_FEATURES_SEL: m->t.device_select = value; break;
	case DRIVER_FEATURES_SEL: m->t.driver_select = value; break;
	case DRIVER_FEATURES: virtio_set_features(v, m->t.driver_select, value); break;
	case QUEUE_SEL: m->t.queue_select = value; break;
	case QUEUE_NOTIFY: virtio_notified(v, value); break;
	case INTERRUPT_ACK: acknowledge(m, value); break;
	case STATUS: virtio_set_status(v, value); break;
	default: queue_write(m, off, value); break;
	}
}

static const struct region_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .width_min = 1, .width_max = 4};

/* --- what the core asks for --- */

static struct virtio_mmio *mmio_of(struct virtio_transport *t)
{
	return container_of(t, struct virtio_mmio, t);
}

static void transport_interrupt(struct virtio_transport *t, uint8_t isr, uint16_t vector)
{
	irq_set(&mmio_of(t)->irq, true);
}

static void transport_isr_read(struct virtio_transport *t)
{
	irq_set(&mmio_of(t)->irq, false);
}

static int transport_load(struct virtio_transport *t, const struct virtio_saved *s, struct err *e)
{
	struct virtio_mmio *m = mmio_of(t);
	irq_set(&m->irq, m->t.dev->isr);
	return 0;
}

static void transport_destroy(struct virtio_transport *t)
{
	struct virtio_mmio *m = mmio_of(t);
	virtio_doorbells_detach(t);
	region_detach(m->region);
	free(m);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = transport_interrupt,
	.isr_read = transport_isr_read,
	.load = transport_load,
	.destroy = transport_destroy,
};

/* One doorbell a queue: the value written is the queue's number. Without one the write reaches mmio_write. */
static void bells_attach(struct virtio_mmio *m, uint64_t addr)
{
	for (unsigned n = 0; n < m->t.dev->queue_count; n++)
		m->t.bell[n] = virtio_doorbell(
			m->t.dev, n,
			&(struct region_doorbell){.addr = addr + QUEUE_NOTIFY, .width = 4, .match = true, .value = n});
}

int virtio_mmio_create(struct virtio_dev *v, const struct virtio_place *place, struct err *e)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for %s", v->name);
	m->t.ops = &transport_ops;
	m->t.dev = v;
	m->irq = place->mmio_irq;
	struct region r = {.space = REGION_MEMORY, .addr = place->mmio_addr, .size = REGION_SIZE, .name = v->name,
			   .ops = &mmio_ops, .opaque = m, .lock = &v->lock};
	int rc = region_attach(v->vm->regions, &r, &m->region, e);
	if (rc) {
		free(m);
		return rc;
	}
	bells_attach(m, place->mmio_addr);
	v->transport = &m->t;
	return 0;
}
