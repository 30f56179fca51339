/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vdriver.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(what)                                                                                     \
	do {                                                                                            \
		if (!(what)) {                                                                          \
			fprintf(stderr, "%s:%d: vdriver: %s does not hold\n", __FILE__, __LINE__, #what); \
			abort();                                                                        \
		}                                                                                       \
	} while (0)

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	struct vd *d = opaque;
	d->messages++;
	d->last_data = data;
}

static int bind_message(void *opaque, int event_fd, uint64_t addr, uint32_t data, bool add)
{
	struct vd *d = opaque;
	struct vd_bound want = add ? (struct vd_bound){0} : (struct vd_bound){event_fd, addr, data};
	d->binds += add;
	if (add && d->bind_refused)
		return -ENOSPC;
	for (unsigned i = 0; i < VD_QUEUES; i++) {
		struct vd_bound *b = &d->bound[i];
		if (b->fd != want.fd || b->addr != want.addr || b->data != want.data)
			continue;
		*b = add ? (struct vd_bound){event_fd, addr, data} : (struct vd_bound){0};
		return 0;
	}
	CHECK(add); /* what is undone was bound */
	return -ENOSPC;
}

int vd_signals(const struct vd *d, uint32_t data)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < VD_QUEUES; i++)
		if (d->bound[i].fd && d->bound[i].data == data)
			return read(d->bound[i].fd, &count, sizeof(count)) == sizeof(count) ? (int)count : 0;
	return -1;
}

static void up(struct vd *d, bool mmio, bool bound)
{
	memset(d, 0, sizeof(*d));
	rig_up(&d->rig, 0);
	d->mmio = mmio;
	d->heap = 0x10000;
	CHECK(gmem_add_ram(d->rig.vm->mem, 0, VD_RAM, "ram", false, NULL) == 0);
	struct pci_host_config cfg = {.ecam_addr = VD_ECAM, .ecam_buses = 1};
	cfg.msi = (struct msi_sink){.send = message, .bind = bound ? bind_message : NULL, .opaque = d};
	for (unsigned i = 0; i < 4; i++)
		cfg.intx[i] = rig_wire(&d->line[i]);
	CHECK(pci_host_create(d->rig.vm, &cfg, &d->bus, NULL) == 0);
}

void vd_up(struct vd *d, bool mmio)
{
	up(d, mmio, false);
}

void vd_up_bound(struct vd *d)
{
	up(d, false, true);
}

struct virtio_place vd_place(struct vd *d)
{
	if (d->mmio)
		return (struct virtio_place){.mmio_addr = VD_MMIO, .mmio_irq = rig_wire(&d->mmio_line)};
	return (struct virtio_place){.bus = d->bus, .slot = VD_SLOT};
}

uint32_t vd_config_space(struct vd *d, unsigned off, unsigned width)
{
	return rig_load(&d->rig, VD_ECAM + (VD_SLOT << 15) + off, width);
}

void vd_config_space_write(struct vd *d, unsigned off, unsigned width, uint32_t value)
{
	rig_store(&d->rig, VD_ECAM + (VD_SLOT << 15) + off, width, value);
}

static uint64_t bar_addr(struct vd *d, unsigned n)
{
	uint64_t v = vd_config_space(d, 0x10 + 4 * n, 4);
	if ((v & 6) == 4)
		v |= (uint64_t)vd_config_space(d, 0x14 + 4 * n, 4) << 32;
	return v & ~UINT64_C(15);
}

static void find_structures(struct vd *d)
{
	for (unsigned cap = vd_config_space(d, 0x34, 1); cap; cap = vd_config_space(d, cap + 1, 1)) {
		uint8_t id = vd_config_space(d, cap, 1), type = vd_config_space(d, cap + 3, 1);
		if (id == 0x11)
			d->msix = bar_addr(d, vd_config_space(d, cap + 4, 4) & 7);
		if (id != 9 || type > 4)
			continue;
		uint64_t at = bar_addr(d, vd_config_space(d, cap + 4, 1)) + vd_config_space(d, cap + 8, 4);
		uint64_t *const where[] = {NULL, &d->common, &d->notify, &d->isr, &d->device};
		*where[type] = at;
	}
}

void vd_find(struct vd *d)
{
	/* Power-on resets the devices: their BARs are placed after it. */
	CHECK(vm_start(d->rig.vm, true, NULL) == 0);
	if (d->mmio) {
		d->device = VD_MMIO + 0x100;
	} else {
		struct pci_windows w = {.mem32_addr = 0xc0000000,
					.mem32_size = 0x1000000,
					.mem64_addr = UINT64_C(1) << 32,
					.mem64_size = 1 << 24,
					.line_gsi = {16, 17, 18, 19}};
		struct err e = {0};
		if (pci_host_assign(d->bus, &w, &e))
			fprintf(stderr, "%s\n", e.text);
		CHECK(!e.code);
		find_structures(d);
		CHECK(d->common && d->isr && d->notify && d->msix);
	}
	vm_resume(d->rig.vm);
}

void vd_down(struct vd *d)
{
	rig_down(&d->rig);
}

uint64_t vd_alloc(struct vd *d, uint64_t len)
{
	uint64_t at = d->heap;
	d->heap = round_up(at + len, 4096);
	CHECK(d->heap <= VD_RAM);
	return at;
}

void vd_put(struct vd *d, uint64_t gpa, const void *bytes, uint64_t len)
{
	CHECK(gmem_write(d->rig.vm->mem, gpa, bytes, len) == 0);
}

void vd_get(struct vd *d, uint64_t gpa, void *bytes, uint64_t len)
{
	CHECK(gmem_read(d->rig.vm->mem, gpa, bytes, len) == 0);
}

/* --- registers --- */

static void mmio_out(struct vd *d, unsigned reg, uint32_t value)
{
	rig_store(&d->rig, VD_MMIO + reg, 4, value);
}

static uint32_t mmio_in(struct vd *d, unsigned reg)
{
	return rig_load(&d->rig, VD_MMIO + reg, 4);
}

uint64_t vd_features(struct vd *d)
{
	uint64_t f = 0;
	for (unsigned half = 0; half < 2; half++) {
		if (d->mmio) {
			mmio_out(d, 0x14, half);
			f |= (uint64_t)mmio_in(d, 0x10) << 32 * half;
		} else {
			rig_store(&d->rig, d->common, 4, half);
			f |= rig_load(&d->rig, d->common + 4, 4) << 32 * half;
		}
	}
	return f;
}

static void set_features(struct vd *d, uint64_t f)
{
	for (unsigned half = 0; half < 2; half++) {
		if (d->mmio) {
			mmio_out(d, 0x24, half);
			mmio_out(d, 0x20, f >> 32 * half);
		} else {
			rig_store(&d->rig, d->common + 8, 4, half);
			rig_store(&d->rig, d->common + 12, 4, (uint32_t)(f >> 32 * half));
		}
	}
}

void vd_set_status(struct vd *d, uint8_t status)
{
	if (d->mmio)
		mmio_out(d, 0x70, status);
	else
		rig_store(&d->rig, d->common + 0x14, 1, status);
}

uint8_t vd_status(struct vd *d)
{
	return d->mmio ? mmio_in(d, 0x70) : rig_load(&d->rig, d->common + 0x14, 1);
}

uint8_t vd_isr(struct vd *d)
{
	if (!d->mmio)
		return rig_load(&d->rig, d->isr, 1);
	uint8_t isr = mmio_in(d, 0x60);
	mmio_out(d, 0x64, isr);
	return isr;
}

void vd_queue_setup(struct vd *d, unsigned n, uint64_t desc, uint64_t avail, uint64_t used, uint16_t size)
{
	struct rig *r = &d->rig;
	d->q[n] = (struct vd_queue){.desc = desc, .avail = avail, .used = used, .size = size};
	const uint64_t addr[3] = {desc, avail, used};
	if (d->mmio)
		mmio_out(d, 0x30, n);
	else
		rig_store(r, d->common + 0x16, 2, n);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned half = 0; half < 2; half++)
			rig_store(r, d->mmio ? VD_MMIO + 0x80 + 16 * i + 4 * half : d->common + 0x20 + 8 * i + 4 * half,
				  4, (uint32_t)(addr[i] >> 32 * half));
	if (d->mmio) {
		mmio_out(d, 0x38, size);
		mmio_out(d, 0x44, 1);
	} else {
		rig_store(r, d->common + 0x18, 2, size);
		rig_store(r, d->common + 0x1a, 2, n + 1);
		rig_store(r, d->common + 0x1c, 2, 1);
	}
}

void vd_start(struct vd *d, uint64_t want, unsigned queues)
{
	vd_set_status(d, 0);
	for (unsigned i = 0; vd_status(d) && i < 2000; i++)
		loop_once(d->rig.loop, 1);
	CHECK(vd_status(d) == 0);
	vd_set_status(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	set_features(d, want | VIRTIO_F_VERSION_1);
	vd_set_status(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	CHECK(vd_status(d) & VIRTIO_FEATURES_OK);
	for (unsigned n = 0; n < queues; n++) {
		uint64_t page = vd_alloc(d, 4096);
		gmem_fill(d->rig.vm->mem, page, 0, 4096) == 0 ? (void)0 : abort();
		vd_queue_setup(d, n, page, page + 1024, page + 2048, VD_QSIZE);
	}
	vd_set_status(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

void vd_enable_msix(struct vd *d)
{
	for (unsigned cap = vd_config_space(d, 0x34, 1); cap; cap = vd_config_space(d, cap + 1, 1)) {
		if (vd_config_space(d, cap, 1) != 0x11)
			continue;
		unsigned count = (vd_config_space(d, cap + 2, 2) & 0x7ff) + 1;
		for (unsigned v = 0; v < count; v++) {
			rig_store(&d->rig, d->msix + 16 * v, 4, 0xfee00000);
			rig_store(&d->rig, d->msix + 16 * v + 4, 4, 0);
			rig_store(&d->rig, d->msix + 16 * v + 8, 4, 0x40 + v);
			rig_store(&d->rig, d->msix + 16 * v + 12, 4, 0);
		}
		vd_config_space_write(d, cap + 2, 2, 0x8000);
	}
}

/* --- rings --- */

void vd_desc(struct vd *d, unsigned n, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t b[16];
	store_le64(b, addr);
	store_le32(b + 8, len);
	store_le16(b + 12, flags);
	store_le16(b + 14, next);
	vd_put(d, d->q[n].desc + 16 * i, b, 16);
}

void vd_notify(struct vd *d, unsigned n)
{
	if (d->mmio)
		mmio_out(d, 0x50, n);
	else
		rig_store(&d->rig, d->notify + 4 * n, 2, n);
}

/* A driver's barriers (virtio 1.2, 2.7.13 and 2.7.14): what is published with an index is seen by whoever saw it. */
static uint16_t *index_at(struct vd *d, uint64_t gpa)
{
	uint16_t *at = gmem_at(d->rig.vm->mem, gpa, 2);

	CHECK(at);
	return at;
}

void vd_offer(struct vd *d, unsigned n, uint16_t head, const struct vd_buf *bufs, unsigned count)
{
	struct vd_queue *q = &d->q[n];
	for (unsigned i = 0; i < count; i++)
		vd_desc(d, n, head + i, bufs[i].gpa, bufs[i].len, (bufs[i].write ? 2 : 0) | (i + 1 < count ? 1 : 0),
			head + i + 1);
	vd_put(d, q->avail + 4 + 2 * (q->avail_idx % q->size), &head, 2);
	q->avail_idx++;
	__atomic_store_n(index_at(d, q->avail + 2), q->avail_idx, __ATOMIC_RELEASE);
	vd_notify(d, n);
}

static bool used_one(struct vd *d, struct vd_queue *q, int *head, uint32_t *len)
{
	uint8_t e[8];
	if (__atomic_load_n(index_at(d, q->used + 2), __ATOMIC_ACQUIRE) == q->used_seen)
		return false;
	vd_get(d, q->used + 4 + 8 * (q->used_seen++ % q->size), e, 8);
	*head = load_le32(e);
	if (len)
		*len = load_le32(e + 4);
	return true;
}

void vd_run(struct vd *d)
{
	for (unsigned i = 0; i < 5; i++)
		loop_once(d->rig.loop, 0);
}

int vd_take_now(struct vd *d, unsigned n, uint32_t *len)
{
	int head = -1;
	vd_run(d);
	return used_one(d, &d->q[n], &head, len) ? head : -1;
}

int vd_take(struct vd *d, unsigned n, uint32_t *len)
{
	int head = -1;
	for (unsigned i = 0; i < 2000; i++) {
		if (used_one(d, &d->q[n], &head, len))
			return head;
		loop_once(d->rig.loop, 1);
	}
	return -1;
}
