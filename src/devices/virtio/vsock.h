/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio sockets, stream type (virtio 1.2, 5.10), with unix sockets on the host's side. A guest that connects to port P
 * of the host (CID 2) reaches who listens on "PATH_P"; who connects to PATH and writes "CONNECT P\n" reaches who
 * listens on port P in the guest, and reads "OK n\n" first.
 */
#ifndef PANAL_DEVICES_VIRTIO_VSOCK_H
#define PANAL_DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio/virtio.h"

enum { VSOCK_CID_HOST = 2, VSOCK_CID_MIN = 3 };

struct virtio_vsock_config {
	struct virtio_place place; /* loop NULL: the main loop */
	const char *path;          /* listened on while the device exists; what a dead machine left there is replaced */
	uint32_t cid;              /* of the guest, at least VSOCK_CID_MIN; 0: that */
};

/* Owned by the machine. Connections are not part of saved state: after a load the guest is told that they are gone. */
int virtio_vsock_create(struct vm *vm, const struct virtio_vsock_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
