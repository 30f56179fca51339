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
	struct virtio_dev *dev;
	struct irq irq;
	struct region_handle *region;
	struct region_doorbell_handle *bell[VIRTIO_QUEUE_MAX];
	/* the device's lock */
	uint32_t device_select, driver_select, queue_select;
};

static struct virtio_queue *selected(struct virtio_mmio *m)
{
	return m->queue_select < m->dev->queue_count ? &m->dev->queue[m->queue_select] : NULL;
}

static uint64_t mmio_read(void *opaque, uint64_t off, unsigned width)
{
	struct virtio_mmio *m = opaque;
	struct virtio_dev *v = m->dev;
	struct virtio_queue *vq = selected(m);
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
	case DEVICE_FEATURES: return m->device_select < 2 ? (uint32_t)(virtio_offered(v) >> 32 * m->device_select) : 0;
	case QUEUE_NUM_MAX: return vq ? vq->q.size_max : 0;
	case QUEUE_READY: return vq && vq->q.s.enabled;
	case INTERRUPT_STATUS: return v->isr;
	case STATUS: return v->status;
	case CONFIG_GENERATION: return v->generation;
	default: return 0;
	}
}

static void half_set(uint64_t *field, bool high, uint32_t value)
{
	*field = high ? (*field & 0xffffffff) | (uint64_t)value << 32 : (*field & ~UINT64_C(0xffffffff)) | value;
}

static void queue_write(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	struct virtio_queue *vq = selected(m);
	if (!vq)
		return;
	struct virtq_setup *s = &vq->q.s;
	if (off == QUEUE_READY) {
		if (value == 1)
			virtio_queue_enable(m->dev, vq->index);
		return;
	}
	if (s->enabled)
		return;
	switch (off) {
	case QUEUE_NUM: s->size = value <= UINT16_MAX ? value : 0; break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: half_set(&s->desc, off & 4, value); break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4: half_set(&s->avail, off & 4, value); break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: half_set(&s->used, off & 4, value); break;
	default: break;
	}
}

static void acknowledge(struct virtio_mmio *m, uint32_t bits)
{
	m->dev->isr &= ~bits;
	if (!m->dev->isr)
		irq_set(&m->irq, false);
}

static void mmio_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct virtio_mmio *m = opaque;
	struct virtio_dev *v = m->dev;
	if (off >= CONFIG) {
		virtio_config_put(v, off - CONFIG, width, value);
		return;
	}
	if (width != 4 || off % 4)
		return;
	switch (off) {
	case DEVICE_FEATURES_SEL: m->device_select = value; break;
	case DRIVER_FEATURES_SEL: m->driver_select = value; break;
	case DRIVER_FEATURES: virtio_set_features(v, m->driver_select, value); break;
	case QUEUE_SEL: m->queue_select = value; break;
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

static void transport_reset(struct virtio_transport *t)
{
	struct virtio_mmio *m = mmio_of(t);
	m->device_select = m->driver_select = m->queue_select = 0;
}

static void transport_save(struct virtio_transport *t, struct virtio_saved *s)
{
	struct virtio_mmio *m = mmio_of(t);
	s->select[0] = m->device_select;
	s->select[1] = m->driver_select;
	s->select[2] = m->queue_select;
}

static int transport_load(struct virtio_transport *t, const struct virtio_saved *s, struct err *e)
{
	struct virtio_mmio *m = mmio_of(t);
	m->device_select = s->select[0];
	m->driver_select = s->select[1];
	m->queue_select = s->select[2];
	irq_set(&m->irq, m->dev->isr);
	return 0;
}

static void transport_destroy(struct virtio_transport *t)
{
	struct virtio_mmio *m = mmio_of(t);
	for (unsigned n = 0; n < VIRTIO_QUEUE_MAX; n++)
		if (m->bell[n])
			region_doorbell_detach(m->bell[n]);
	region_detach(m->region);
	free(m);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = transport_interrupt,
	.isr_read = transport_isr_read,
	.reset = transport_reset,
	.save = transport_save,
	.load = transport_load,
	.destroy = transport_destroy,
};

/* One doorbell a queue: the value written is the queue's number. Without one the write reaches mmio_write. */
static void bells_attach(struct virtio_mmio *m, uint64_t addr)
{
	for (unsigned n = 0; n < m->dev->queue_count; n++)
		m->bell[n] = virtio_doorbell(
			m->dev, n,
			&(struct region_doorbell){.addr = addr + QUEUE_NOTIFY, .width = 4, .match = true, .value = n});
}

int virtio_mmio_create(struct virtio_dev *v, const struct virtio_place *place, struct err *e)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for %s", v->name);
	m->t.ops = &transport_ops;
	m->dev = v;
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
