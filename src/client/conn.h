/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to panald, for our own programs: libvirt's remote protocol over a unix socket, one call at a time,
 * blocking. One thread. Arguments and answers are written and read by the signatures of daemon/rpc/proc.h.
 */
#ifndef PANAL_CLIENT_CONN_H
#define PANAL_CLIENT_CONN_H

#include "daemon/rpc/proc.h"
#include "daemon/rpc/xdr.h"

#include <sys/types.h>

struct conn;

/*
 * uri: qemu:///system, qemu:///session, or either with qemu+unix and ?socket=PATH; NULL: what PANAL_URI or
 * LIBVIRT_DEFAULT_URI say, else the system's instance for root and the user's own for others. A user's own instance is
 * started when none runs. -ENOTCONN, -EACCES and the like, with what to do.
 */
int conn_open(struct conn **out, const char *uri, struct err *e) ATTR_MUST_USE;
void conn_close(struct conn *c); /* NULL: nothing */

struct reply {
	struct values v; /* by the procedure's answer */
	uint8_t *data;   /* v points into it */
};

/*
 * Makes a call. args NULL: it has none. The reply is to be freed with reply_free, also after a failure; NULL: it is
 * not looked at. A negative errno: -EREMOTEIO when the daemon refused, with its text, and conn_fault says its number;
 * else the connection is broken.
 */
int conn_call(struct conn *c, const char *proc, const struct xdr_out *args, struct reply *r, struct err *e)
	ATTR_MUST_USE;
void reply_free(struct reply *r);
/* libvirt's number of the last refusal (enum fault_code); 0: the last call was not refused. */
int conn_fault(const struct conn *c);

/* ---- the stream that the last call opened; one at a time ---- */

/* Readable when conn_stream_read has something to do. */
int conn_fd(const struct conn *c);
/* Sends all of it; len 0 ends the stream from our side. */
int conn_stream_write(struct conn *c, const void *data, size_t len, struct err *e) ATTR_MUST_USE;
/* The next piece, into a buffer of the connection that holds until the next call: its length, 0 at the end. */
ssize_t conn_stream_read(struct conn *c, const uint8_t **data, struct err *e) ATTR_MUST_USE;

#endif
