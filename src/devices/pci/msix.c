/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/msix.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "core/irq.h"
#include "core/region.h"
#include "devices/pci/pci.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* Layout of the BAR, and of the capability and of an entry (PCI 3.0, figures 6-11 and 6-12). */
enum { PENDING_AT = 0x800 };
enum { CAP_LEN = 12, CAP_CONTROL = 2, CAP_TABLE = 4, CAP_PENDING = 8 };
enum { CONTROL_MASKED = 0x4000, CONTROL_ENABLED = 0x8000 };
enum { ENTRY_ADDR = 0, ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_MASKED = 1 };

static uint8_t *entry_of(struct msix *m, unsigned vector)
{
	return &m->table[vector * MSIX_ENTRY];
}

static void unbind(struct msix *m, struct msix_wire *w)
{
	const struct msi_sink *sink = &m->sink;
	if (w->bound)
		sink->bind(sink->opaque, w->fd, w->addr, w->data, false);
	w->bound = w->known = false;
}

static void bind(struct msix *m, struct msix_wire *w, uint64_t addr, uint32_t data)
{
	const struct msi_sink *sink = &m->sink;
	struct err e;
	unbind(m, w);
	if (w->fd < 0)
		w->fd = fd_event(&e); /* without one the message is sent, as where binding fails */
	w->known = true;
	w->addr = addr;
	w->data = data;
	w->bound = w->fd >= 0 && sink->bind(sink->opaque, w->fd, addr, data, true) == 0;
}

/* By the vector's eventfd, which is bound at the first message and when the guest has changed it. lock is held. */
static void send(struct msix *m, unsigned vector, uint64_t addr, uint32_t data)
{
	const struct msi_sink *sink = &m->sink;
	struct msix_wire *w = &m->wire[vector];
	if (sink->bind && (!w->known || w->addr != addr || w->data != data))
		bind(m, w, addr, data);
	if (w->bound)
		fd_event_signal(w->fd);
	else
		msi_send(sink, addr, data);
}

/* lock is held */
static void deliver(struct msix *m, unsigned vector)
{
	uint8_t *entry = entry_of(m, vector);
	if (m->masked || (load_le32(entry + ENTRY_CONTROL) & ENTRY_MASKED)) {
		m->pending |= UINT64_C(1) << vector;
		return;
	}
	m->pending &= ~(UINT64_C(1) << vector);
	send(m, vector, load_le64(entry + ENTRY_ADDR), load_le32(entry + ENTRY_DATA));
}

/* lock is held */
static void deliver_pending(struct msix *m)
{
	for (uint64_t left = m->enabled ? m->pending : 0; left; left &= left - 1)
		deliver(m, __builtin_ctzll(left));
}

void msix_notify(struct msix *m, unsigned vector)
{
	pthread_mutex_lock(&m->lock);
	if (m->enabled && vector < m->count)
		deliver(m, vector);
	pthread_mutex_unlock(&m->lock);
}

bool msix_enabled(struct msix *m)
{
	return __atomic_load_n(&m->enabled, __ATOMIC_ACQUIRE);
}

/* --- the BAR; the region holds the lock around these --- */

static uint64_t bar_read(void *opaque, uint64_t off, unsigned width)
{
	struct msix *m = opaque;
	uint8_t bytes[8] = {0};
	if (range_inside(off, width, m->count * MSIX_ENTRY))
		memcpy(bytes, &m->table[off], width);
	else if (off >= PENDING_AT && range_inside(off - PENDING_AT, width, 8))
		memcpy(bytes, (uint8_t *)&m->pending + (off - PENDING_AT), width);
	return load_le64(bytes);
}

static void bar_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct msix *m = opaque;
	if (!range_inside(off, width, m->count * MSIX_ENTRY))
		return;
	uint8_t bytes[8];
	store_le64(bytes, value);
	memcpy(&m->table[off], bytes, width);
	unsigned vector = off / MSIX_ENTRY;
	uint8_t *control = entry_of(m, vector) + ENTRY_CONTROL;
	store_le32(control, load_le32(control) & ENTRY_MASKED);
	if (m->enabled && (m->pending >> vector & 1))
		deliver(m, vector);
}

static const struct region_ops bar_ops = {.read = bar_read, .write = bar_write, .width_min = 4, .width_max = 8};

/* --- the capability --- */

bool msix_owns(const struct msix *m, unsigned off)
{
	return off == m->cap + CAP_CONTROL || off == m->cap + CAP_CONTROL + 1;
}

static void control_changed(struct msix *m)
{
	uint16_t control = load_le16(&m->dev->config[m->cap + CAP_CONTROL]);
	pthread_mutex_lock(&m->lock);
	m->masked = control & CONTROL_MASKED;
	__atomic_store_n(&m->enabled, (control & CONTROL_ENABLED) != 0, __ATOMIC_RELEASE);
	deliver_pending(m);
	pthread_mutex_unlock(&m->lock);
}

void msix_config_written(struct msix *m, unsigned off, unsigned width)
{
	if (range_overlap(off, width, m->cap + CAP_CONTROL, 2))
		control_changed(m);
}

void msix_init(struct msix *m, struct pci_dev *dev, unsigned bar, unsigned count)
{
	assert(count >= 1 && count <= MSIX_MAX && bar < PCI_BARS);
	pthread_mutex_init(&m->lock, NULL);
	m->dev = dev;
	m->sink = *pci_msi_sink(dev);
	m->count = count;
	for (unsigned v = 0; v < MSIX_MAX; v++)
		m->wire[v] = (struct msix_wire){.fd = -1};
	m->cap = pci_cap_add(dev, PCI_CAP_MSIX, CAP_LEN);
	uint8_t cap[CAP_LEN - 2];
	store_le16(cap + CAP_CONTROL - 2, count - 1);
	store_le32(cap + CAP_TABLE - 2, bar);
	store_le32(cap + CAP_PENDING - 2, PENDING_AT | bar);
	pci_config_init(dev, m->cap + 2, cap, sizeof(cap));
	store_le16(&dev->write_mask[m->cap + CAP_CONTROL], CONTROL_MASKED | CONTROL_ENABLED);
	pci_bar_set(dev, bar, &(struct pci_bar){.size = MSIX_BAR_SIZE, .ops = &bar_ops, .opaque = m, .lock = &m->lock});
	dev->msix = m;
	msix_reset(m);
}

void msix_destroy(struct msix *m)
{
	if (m->dev) {
		for (unsigned v = 0; v < m->count; v++) {
			unbind(m, &m->wire[v]);
			fd_close(&m->wire[v].fd);
		}
		pthread_mutex_destroy(&m->lock);
	}
	m->dev = NULL;
}

void msix_reset(struct msix *m)
{
	pthread_mutex_lock(&m->lock);
	memset(m->table, 0, sizeof(m->table));
	for (unsigned v = 0; v < m->count; v++)
		store_le32(entry_of(m, v) + ENTRY_CONTROL, ENTRY_MASKED);
	for (unsigned v = 0; v < m->count; v++)
		unbind(m, &m->wire[v]);
	m->pending = 0;
	pthread_mutex_unlock(&m->lock);
	control_changed(m);
}

int msix_loaded(struct msix *m, struct err *e)
{
	if (m->count < 64 && m->pending >> m->count)
		return err_set(e, -EINVAL, "%s: saved MSI-X state has pending vectors that do not exist", m->dev->name);
	for (unsigned v = 0; v < m->count; v++)
		if (load_le32(entry_of(m, v) + ENTRY_CONTROL) & ~(uint32_t)ENTRY_MASKED)
			return err_set(e, -EINVAL, "%s: saved MSI-X table entry %u has unknown control bits",
				       m->dev->name, v);
	control_changed(m);
	return 0;
}
