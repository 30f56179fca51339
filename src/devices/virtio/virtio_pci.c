/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio over PCI, modern devices only (virtio 1.2, 4.1). BAR 0 holds the four structures, BAR 2 MSI-X. */
#include "base/bytes.h"
#include "core/region.h"
#include "core/vm.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci.h"
#include "devices/virtio/virtio.h"
#include <errno.h>
#include <stdlib.h>

enum { VENDOR = 0x1af4, DEVICE_BASE = 0x1040, REVISION = 1, INTA = 1 };
enum { BAR_STRUCTURES = 0, BAR_MSIX = 2 };
enum { AT_COMMON = 0, AT_ISR = 0x1000, AT_DEVICE = 0x2000, AT_NOTIFY = 0x3000, BAR_SIZE = 0x4000, PART_SIZE = 0x1000 };
enum { NOTIFY_STEP = 4 };

/* struct virtio_pci_cap (4.1.4) */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { CAP_LEN = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_SIZE = 16, CAP_EXTRA = 16 };

/* struct virtio_pci_common_cfg (4.1.4.3) */
enum common {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
	COMMON_SIZE = 0x38,
};

struct virtio_pci {
	struct virtio_transport t; /* first */
	struct pci_dev pci;
	struct msix msix;
	unsigned access_cap; /* the PCI configuration access capability */
};

/* --- common configuration --- */

static uint64_t queue_read(struct virtio_pci *p, unsigned off)
{
	struct virtio_queue *vq = virtio_selected(&p->t);
	if (!vq)
		return 0; /* size 0: this queue does not exist */
	const struct virtq_setup *s = &vq->q.s;
	switch (off) {
	case QUEUE_SIZE: return s->size;
	case QUEUE_VECTOR: return vq->vector;
	case QUEUE_ENABLE: return s->enabled;
	case QUEUE_NOTIFY_OFF: return vq->index;
	case QUEUE_DESC: return (uint32_t)s->desc;
	case QUEUE_DESC + 4: return s->desc >> 32;
	case QUEUE_DRIVER: return (uint32_t)s->avail;
	case QUEUE_DRIVER + 4: return s->avail >> 32;
	case QUEUE_DEVICE: return (uint32_t)s->used;
	case QUEUE_DEVICE + 4: return s->used >> 32;
	default: return 0;
	}
}

static uint64_t common_read(struct virtio_pci *p, unsigned off)
{
	struct virtio_dev *v = p->t.dev;
	switch (off) {
	case DEVICE_FEATURE_SELECT: return p->t.device_select;
	case DEVICE_FEATURE: return virtio_half(virtio_offered(v), p->t.device_select);
	case DRIVER_FEATURE_SELECT: return p->t.driver_select;
	case DRIVER_FEATURE: return virtio_half(v->driver_features, p->t.driver_select);
	case CONFIG_VECTOR: return v->config_vector;
	case NUM_QUEUES: return v->queue_count;
	case DEVICE_STATUS: return v->status;
	case CONFIG_GENERATION: return v->generation;
	case QUEUE_SELECT: return p->t.queue_select;
	default: return queue_read(p, off);
	}
}

/* A vector that the table does not have reads back as "no vector" (4.1.5.1.2). */
static uint16_t good_vector(const struct virtio_pci *p, uint64_t vector)
{
	return vector < p->msix.count ? vector : VIRTIO_NO_VECTOR;
}

static void queue_write(struct virtio_pci *p, unsigned off, uint64_t value)
{
	struct virtio_queue *vq = virtio_selected(&p->t);
	if (!vq)
		return;
	if (off == QUEUE_VECTOR) {
		vq->vector = good_vector(p, value);
		return;
	}
	if (off == QUEUE_ENABLE) {
		if (value == 1)
			virtio_queue_enable(p->t.dev, vq->index);
		return;
	}
	struct virtq_setup *s = &vq->q.s;
	if (s->enabled)
		return;
	switch (off) {
	case QUEUE_SIZE: s->size = value; break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: virtio_half_set(&s->desc, off & 4, value); break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4: virtio_half_set(&s->avail, off & 4, value); break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: virtio_half_set(&s->used, off & 4, value); break;
	default: break;
	}
}

static void common_write(struct virtio_pci *p, unsigned off, uint64_t value)
{
	struct virtio_dev *v = p->t.dev;
	switch (off) {
	case DEVICE_FEATURE_SELECT: p->t.device_select = value; break;
	case DRIVER_FEATURE_SELECT: p->t.driver_select = value; break;
	case DRIVER_FEATURE: virtio_set_features(v, p->t.driver_select, value); break;
	case CONFIG_VECTOR: v->config_vector = good_vector(p, value); break;
	case DEVICE_STATUS: virtio_set_status(v, value); break;
	case QUEUE_SELECT: p->t.queue_select = (uint16_t)value; break;
	default: queue_write(p, off, value); break;
	}
}

/* --- BAR 0; the device's lock is held --- */

static uint64_t bar_read(void *opaque, uint64_t off, unsigned width)
{
	struct virtio_pci *p = opaque;
	switch (off & ~(uint64_t)(PART_SIZE - 1)) {
	case AT_COMMON: return common_read(p, off) & width_mask(width);
	case AT_ISR: return off == AT_ISR ? virtio_isr_take(p->t.dev) : 0;
	case AT_DEVICE: return virtio_config_get(p->t.dev, off - AT_DEVICE, width);
	default: return 0;
	}
}

static void bar_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct virtio_pci *p = opaque;
	switch (off & ~(uint64_t)(PART_SIZE - 1)) {
	case AT_COMMON: common_write(p, off, value); break;
	case AT_DEVICE: virtio_config_put(p->t.dev, off - AT_DEVICE, width, value); break;
	case AT_NOTIFY: virtio_notified(p->t.dev, (off - AT_NOTIFY) / NOTIFY_STEP); break;
	default: break;
	}
}

static const struct region_ops bar_ops = {.read = bar_read, .write = bar_write, .width_min = 1, .width_max = 4};

/* The doorbells follow the BAR. Where one cannot be had, the write reaches bar_write and does the same. */
static void bar_moved(void *opaque, uint64_t addr, bool mapped)
{
	struct virtio_pci *p = opaque;
	virtio_doorbells_detach(&p->t);
	for (unsigned n = 0; mapped && n < p->t.dev->queue_count; n++)
		p->t.bell[n] = virtio_doorbell(p->t.dev, n,
					       &(struct region_doorbell){.addr = addr + AT_NOTIFY + n * NOTIFY_STEP});
}

/* --- PCI configuration access capability (4.1.4.9): the BAR through configuration space --- */

static bool access_target(struct virtio_pci *p, unsigned off, unsigned width, uint32_t *at, uint32_t *len)
{
	const uint8_t *cap = &p->pci.config[p->access_cap];
	if (!range_overlap(off, width, p->access_cap + CAP_EXTRA, 4))
		return false;
	*at = load_le32(cap + CAP_OFFSET);
	*len = load_le32(cap + CAP_LENGTH);
	bool good = *len == 1 || *len == 2 || *len == 4;
	return good && cap[CAP_BAR] == BAR_STRUCTURES && *at % *len == 0 && range_inside(*at, *len, BAR_SIZE);
}

static void access_read(struct pci_dev *d, unsigned off, unsigned width)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at, len;
	if (!access_target(p, off, width, &at, &len))
		return;
	pthread_mutex_lock(&p->t.dev->lock);
	store_le32(&d->config[p->access_cap + CAP_EXTRA], bar_read(p, at, len));
	pthread_mutex_unlock(&p->t.dev->lock);
}

static void access_written(struct pci_dev *d, unsigned off, unsigned width)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at, len;
	if (!access_target(p, off, width, &at, &len))
		return;
	pthread_mutex_lock(&p->t.dev->lock);
	bar_write(p, at, len, load_le32(&d->config[p->access_cap + CAP_EXTRA]) & width_mask(len));
	pthread_mutex_unlock(&p->t.dev->lock);
}

/* --- what the core asks for --- */

static struct virtio_pci *pci_of(struct virtio_transport *t)
{
	return container_of(t, struct virtio_pci, t);
}

static void transport_interrupt(struct virtio_transport *t, uint8_t isr, uint16_t vector)
{
	struct virtio_pci *p = pci_of(t);
	if (msix_enabled(&p->msix))
		msix_notify(&p->msix, vector);
	else
		pci_intx(&p->pci, true);
}

static void transport_isr_read(struct virtio_transport *t)
{
	pci_intx(&pci_of(t)->pci, false);
}

static void transport_reset(struct virtio_transport *t)
{
	struct virtio_pci *p = pci_of(t);
	pci_dev_reset(&p->pci);
}

static void transport_save(struct virtio_transport *t, struct virtio_saved *s)
{
	struct virtio_pci *p = pci_of(t);
	memcpy(s->pci_config, p->pci.config, sizeof(s->pci_config));
	memcpy(s->msix_table, p->msix.table, sizeof(s->msix_table));
	s->msix_pending = p->msix.pending;
}

static int transport_load(struct virtio_transport *t, const struct virtio_saved *s, struct err *e)
{
	struct virtio_pci *p = pci_of(t);
	int rc = pci_dev_load(&p->pci, s->pci_config, e);
	if (rc)
		return rc;
	memcpy(p->msix.table, s->msix_table, sizeof(s->msix_table));
	p->msix.pending = s->msix_pending;
	rc = msix_loaded(&p->msix, e);
	if (!rc)
		pci_intx(&p->pci, p->t.dev->isr && !p->msix.enabled);
	return rc;
}

static void transport_destroy(struct virtio_transport *t)
{
	struct virtio_pci *p = pci_of(t);
	pci_dev_detach(&p->pci);
	msix_destroy(&p->msix);
	free(p);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = transport_interrupt,
	.isr_read = transport_isr_read,
	.reset = transport_reset,
	.save = transport_save,
	.load = transport_load,
	.destroy = transport_destroy,
};

/* --- creation --- */

static unsigned cap_add(struct virtio_pci *p, uint8_t type, uint32_t offset, uint32_t length, unsigned extra)
{
	unsigned at = pci_cap_add(&p->pci, PCI_CAP_VENDOR, CAP_SIZE + extra);
	uint8_t cap[CAP_SIZE] = {[CAP_LEN] = CAP_SIZE + extra, [CAP_TYPE] = type, [CAP_BAR] = BAR_STRUCTURES};
	store_le32(cap + CAP_OFFSET, offset);
	store_le32(cap + CAP_LENGTH, length);
	pci_config_init(&p->pci, at + CAP_LEN, cap + CAP_LEN, CAP_SIZE - CAP_LEN);
	return at;
}

static void caps_init(struct virtio_pci *p)
{
	cap_add(p, CAP_COMMON, AT_COMMON, COMMON_SIZE, 0);
	cap_add(p, CAP_ISR, AT_ISR, 4, 0);
	if (p->t.dev->config_size)
		cap_add(p, CAP_DEVICE, AT_DEVICE, round_up(p->t.dev->config_size, 4), 0);
	unsigned at = cap_add(p, CAP_NOTIFY, AT_NOTIFY, p->t.dev->queue_count * NOTIFY_STEP, 4);
	uint8_t step[4];
	store_le32(step, NOTIFY_STEP);
	pci_config_init(&p->pci, at + CAP_EXTRA, step, 4);
	p->access_cap = cap_add(p, CAP_PCI, 0, 0, 4);
	p->pci.write_mask[p->access_cap + CAP_BAR] = 0xff;
	memset(&p->pci.write_mask[p->access_cap + CAP_OFFSET], 0xff, 12);
}

int virtio_pci_create(struct virtio_dev *v, const struct virtio_place *place, struct err *e)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for %s", v->name);
	p->t.ops = &transport_ops;
	p->t.dev = v;
	struct pci_ident id = {.vendor = VENDOR, .device = DEVICE_BASE + v->ops->id, .subsystem_vendor = VENDOR,
			       .subsystem = DEVICE_BASE + v->ops->id, .class_code = v->ops->pci_class,
			       .revision = REVISION, .int_pin = INTA};
	int rc = pci_dev_attach(&p->pci, place->bus, place->slot, place->function, v->name, &id, e);
	if (!rc && place->rom) {
		rc = pci_rom_set(&p->pci, place->rom, place->rom_size, e);
		if (rc)
			pci_dev_detach(&p->pci);
	}
	if (rc) {
		free(p);
		return rc;
	}
	pci_bar_set(&p->pci, BAR_STRUCTURES,
		    &(struct pci_bar){.size = BAR_SIZE,
				      .is_64 = true,
				      .ops = &bar_ops,
				      .opaque = p,
				      .lock = &v->lock,
				      .moved = bar_moved});
	msix_init(&p->msix, &p->pci, BAR_MSIX, v->queue_count + 1);
	caps_init(p);
	p->pci.config_read = access_read;
	p->pci.config_written = access_written;
	v->transport = &p->t;
	return 0;
}
