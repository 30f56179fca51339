/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the handlers of pools, volumes and secrets share. */
#ifndef PANAL_DAEMON_REMOTE_STORAGE_CALLS_H
#define PANAL_DAEMON_REMOTE_STORAGE_CALLS_H

#include "daemon/remote/remote.h"
#include "daemon/storage/secret.h"
#include "daemon/storage/storage.h"

void remote_put_pool(struct xdr_out *o, const struct pool *p);
void remote_put_volume(struct xdr_out *o, const struct volume *v);
void remote_put_secret(struct xdr_out *o, const struct secret *s);
/* The pool that the argument refers to, found by its UUID. NULL: call->fault is set. */
struct pool *remote_pool(struct call *c, unsigned n);
struct pool *remote_active_pool(struct call *c, unsigned n);
/* The volume, by the names of its pool and its own. */
struct volume *remote_volume(struct call *c, unsigned n);
/* Answers with a text, and frees it. NULL: no memory. */
int remote_put_text(struct call *c, char *text);

#endif
