/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio block device on the block room (virtio 1.2, 5.2). Queues are worked on by the loop of the image. */
#ifndef PANAL_DEVICES_VIRTIO_BLK_H
#define PANAL_DEVICES_VIRTIO_BLK_H

#include "devices/virtio/virtio.h"

struct blk;

enum { VIRTIO_BLK_QUEUES_MAX = 16, VIRTIO_BLK_SERIAL = 20 };

struct virtio_blk_config {
	struct virtio_place place; /* loop and direct are not used: the image's loop serves the queues */
	struct blk *blk;           /* the machine owns it when create succeeded */
	unsigned queues;           /* 0: 1 */
	const char *serial;        /* at most 20 characters; NULL: the image's own */
};

/* Owned by the machine. */
int virtio_blk_create(struct vm *vm, const struct virtio_blk_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
