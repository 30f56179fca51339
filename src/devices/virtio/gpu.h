/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A graphics card over virtio (virtio 1.2, 5.7): two dimensions, one screen, a cursor, EDID. It has no VGA: firmware
 * that wants one shows nothing (OVMF has a driver).
 */
#ifndef PANAL_DEVICES_VIRTIO_GPU_H
#define PANAL_DEVICES_VIRTIO_GPU_H

#include "devices/virtio/virtio.h"

struct display;
struct virtio_gpu;

enum { VIRTIO_GPU_WIDTH = 1280, VIRTIO_GPU_HEIGHT = 800, VIRTIO_GPU_SIDE_MAX = 4095 /* EDID has twelve bits */ };

struct virtio_gpu_config {
	struct virtio_place place; /* loop NULL: the main loop, which must be the display's */
	struct display *display;   /* NULL: nobody looks */
	uint16_t width, height;    /* what the screen prefers; 0: the numbers above */
};

/* Owned by the machine; out may be NULL. */
int virtio_gpu_create(struct vm *vm, const struct virtio_gpu_config *cfg, struct virtio_gpu **out,
		      struct err *e) ATTR_MUST_USE;
/* The screen has another size from now on: the driver is told, and may follow. -EINVAL: not a size. Main loop. */
int virtio_gpu_resize(struct virtio_gpu *g, uint16_t width, uint16_t height, struct err *e) ATTR_MUST_USE;

#endif
