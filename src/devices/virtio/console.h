/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio console with one port, on a chardev (virtio 1.2, 5.3). Emergency writes work before the driver is up. */
#ifndef PANAL_DEVICES_VIRTIO_CONSOLE_H
#define PANAL_DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio/virtio.h"

struct chardev;
struct virtio_console;

struct virtio_console_config {
	struct virtio_place place; /* loop NULL: the main loop, which must be the chardev's */
	struct chardev *chardev;   /* the machine owns it when create succeeded; its client is set here */
	uint16_t cols, rows;       /* 0: size unknown to the guest */
};

/* Owned by the machine. out may be NULL. */
int virtio_console_create(struct vm *vm, const struct virtio_console_config *cfg, struct virtio_console **out,
                          struct err *e) ATTR_MUST_USE;
/* The terminal outside was resized. Only where create was given a size. Any thread. */
void virtio_console_resize(struct virtio_console *c, uint16_t cols, uint16_t rows);

#endif
