/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio network card on a backend of the net room (virtio 1.2, 5.1). One pair of queues and a control queue. */
#ifndef PANAL_DEVICES_VIRTIO_NET_H
#define PANAL_DEVICES_VIRTIO_NET_H

#include "devices/virtio/virtio.h"

struct net;

struct virtio_net_config {
	struct virtio_place place; /* loop and direct are not used: the backend's loop serves the queues */
	struct net *net;           /* NULL: no cable. The machine owns it when create succeeded */
	uint8_t mac[6];
	uint16_t mtu; /* 0: the guest's default */
};

/* Owned by the machine. -EINVAL: a multicast or all-zero MAC, an MTU below 68. */
int virtio_net_create(struct vm *vm, const struct virtio_net_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
