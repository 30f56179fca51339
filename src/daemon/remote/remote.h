/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's protocol as a face of the daemon: the handlers, a table for each kind of object. call->opaque is the
 * struct daemon. */
#ifndef PANAL_DAEMON_REMOTE_REMOTE_H
#define PANAL_DAEMON_REMOTE_REMOTE_H

#include "daemon/daemon.h"
#include "daemon/rpc/server.h"

/* What clients are told: they take it for QEMU, and choose by these numbers what they may use. */
enum {
	REMOTE_HYPERVISOR_VERSION = 10000000, /* major * 1000000 + minor * 1000 + micro */
	REMOTE_LIBRARY_VERSION = 10000000,
	REMOTE_VCPUS_MAX = 64,
};

extern const struct handler remote_connect[];
extern const unsigned remote_connect_count;
extern const struct handler remote_node[];
extern const unsigned remote_node_count;

/* Gives the server all of them. */
void remote_register(struct server *s);

#endif
