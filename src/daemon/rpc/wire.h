/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies between a client's socket and its packets: nothing, TLS, or SASL's security layer. On the loop's thread. */
#ifndef PANAL_DAEMON_RPC_WIRE_H
#define PANAL_DAEMON_RPC_WIRE_H

#include "base/err.h"

#include <sys/types.h>

struct wire;

struct wire_ops {
	/* 0: bytes may go; -EAGAIN: more of the greeting is to come, *wants_write says in which direction; else the
	 * peer is refused. NULL: there is no greeting. */
	int (*greet)(struct wire *w, bool *wants_write);
	/* Bytes received, 0 at the end, -EAGAIN, or another negative errno: the connection is of no use any more. */
	ssize_t (*recv)(struct wire *w, void *data, size_t len);
	/* Bytes taken, or a negative errno. After -EAGAIN it is called with the same bytes again. */
	ssize_t (*send)(struct wire *w, const void *data, size_t len);
	/* Bytes were received that no poll tells of. */
	bool (*pending)(const struct wire *w);
	void (*free)(struct wire *w);
};

struct wire {
	const struct wire_ops *ops;
};

#endif
