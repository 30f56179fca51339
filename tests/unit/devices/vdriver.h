/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of virtio devices as a guest would have it: finds the function through ECAM, talks to its registers, keeps
 * rings in guest memory. One machine, one device, PCI or MMIO. The fuzz targets use it too. */
#ifndef PANAL_TESTS_DEVICES_VDRIVER_H
#define PANAL_TESTS_DEVICES_VDRIVER_H

#include "../x86/rig.h"
#include "devices/pci/pci_host.h"
#include "devices/virtio/virtio.h"

enum { VD_RAM = 16 << 20, VD_SLOT = 3, VD_QUEUES = 8, VD_QSIZE = 16, VD_MMIO = 0xd0000000, VD_ECAM = 0xe0000000 };

struct vd_queue {
	uint64_t desc, avail, used; /* guest-physical */
	uint16_t size, avail_idx, used_seen;
};

struct vd {
	struct rig rig;
	struct pci_bus *bus;
	bool mmio;
	struct wire line[4], mmio_line;
	unsigned messages;
	uint32_t last_data; /* of the last message */
	/* with vd_up_bound: the eventfds that raise messages, as a kernel's interrupt controller has them */
	struct vd_bound {
		int fd; /* 0: free */
		uint64_t addr;
		uint32_t data;
	} bound[VD_QUEUES];
	unsigned binds;    /* tries */
	bool bind_refused; /* the next are refused */
	uint64_t common, isr, device, notify; /* addresses of the structures */
	uint64_t msix;                        /* address of the table */
	uint64_t heap;                        /* next free guest memory */
	struct vd_queue q[VD_QUEUES];
};

/* One buffer of a chain. */
struct vd_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void vd_up(struct vd *d, bool mmio);
/* With a message sink that binds messages to eventfds. */
void vd_up_bound(struct vd *d);
/* Signals that came on the eventfd of the message with this data, taken; -1: no such message is bound. */
int vd_signals(const struct vd *d, uint32_t data);
struct virtio_place vd_place(struct vd *d);
/* After the device was made: places BARs, finds structures, lets the machine run. */
void vd_find(struct vd *d);
void vd_down(struct vd *d);

uint32_t vd_config_space(struct vd *d, unsigned off, unsigned width);
void vd_config_space_write(struct vd *d, unsigned off, unsigned width, uint32_t value);

uint64_t vd_alloc(struct vd *d, uint64_t len);
uint64_t vd_features(struct vd *d);
void vd_set_status(struct vd *d, uint8_t status);
uint8_t vd_status(struct vd *d);
/* Reset, negotiate `want` (VERSION_1 is added), set up queues 0 to count - 1 with VD_QSIZE entries, DRIVER_OK. */
void vd_start(struct vd *d, uint64_t want, unsigned queues);
void vd_queue_setup(struct vd *d, unsigned n, uint64_t desc, uint64_t avail, uint64_t used, uint16_t size);
void vd_enable_msix(struct vd *d);

/* Offers a chain from descriptor `head` on; returns nothing, notifies. */
void vd_offer(struct vd *d, unsigned n, uint16_t head, const struct vd_buf *bufs, unsigned count);
void vd_desc(struct vd *d, unsigned n, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
void vd_notify(struct vd *d, unsigned n);
/* Runs the loop until queue n gave a buffer back (at most 2 s): its head, or -1. *len: bytes written. */
int vd_take(struct vd *d, unsigned n, uint32_t *len);
/* As vd_take, but looks only for a moment. */
int vd_take_now(struct vd *d, unsigned n, uint32_t *len);
void vd_run(struct vd *d);
uint8_t vd_isr(struct vd *d);

void vd_put(struct vd *d, uint64_t gpa, const void *bytes, uint64_t len);
void vd_get(struct vd *d, uint64_t gpa, void *bytes, uint64_t len);

#endif
