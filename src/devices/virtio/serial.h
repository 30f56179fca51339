/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio console with named ports (virtio 1.2, 5.3, VIRTIO_CONSOLE_F_MULTIPORT): channels between programs of the guest
 * and of the host. Port 0, which would be a console, is not there.
 */
#ifndef PANAL_DEVICES_VIRTIO_SERIAL_H
#define PANAL_DEVICES_VIRTIO_SERIAL_H

#include "devices/virtio/virtio.h"

struct chardev;

enum { VIRTIO_SERIAL_PORTS = 8, VIRTIO_SERIAL_NAME = 64 };

struct virtio_serial_config {
	struct virtio_place place; /* loop NULL: the main loop, which must be the chardevs' */
	struct {
		const char *name;        /* shorter than VIRTIO_SERIAL_NAME */
		struct chardev *chardev; /* the machine owns it when create succeeded */
	} port[VIRTIO_SERIAL_PORTS];
	unsigned count;
	/* A program of the guest opened port n, or closed it. Main loop. May be NULL. */
	void (*moved)(void *opaque, unsigned n, bool open);
	void *opaque;
};

/* Owned by the machine. */
int virtio_serial_create(struct vm *vm, const struct virtio_serial_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
