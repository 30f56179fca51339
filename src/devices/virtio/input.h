/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard, mouse and tablet over virtio (virtio 1.2, 5.8): events in the encoding of Linux's evdev. */
#ifndef PANAL_DEVICES_VIRTIO_INPUT_H
#define PANAL_DEVICES_VIRTIO_INPUT_H

#include "devices/virtio/virtio.h"

struct input;

enum virtio_input_kind { VIRTIO_INPUT_KEYBOARD, VIRTIO_INPUT_MOUSE, VIRTIO_INPUT_TABLET, VIRTIO_INPUT_KINDS };

struct virtio_input_config {
	struct virtio_place place; /* loop NULL: the main loop, which must be the input's */
	enum virtio_input_kind kind;
	struct input *input; /* where its events come from, once the guest's driver is there */
};

/* Owned by the machine. */
int virtio_input_create(struct vm *vm, const struct virtio_input_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
