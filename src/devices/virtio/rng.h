/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio entropy device: the host's getrandom, at most RNG_PER_BUFFER bytes a buffer (virtio 1.2, 5.4). */
#ifndef PANAL_DEVICES_VIRTIO_RNG_H
#define PANAL_DEVICES_VIRTIO_RNG_H

#include "devices/virtio/virtio.h"

struct virtio_rng_config {
	struct virtio_place place;
};

/* Owned by the machine. */
int virtio_rng_create(struct vm *vm, const struct virtio_rng_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
