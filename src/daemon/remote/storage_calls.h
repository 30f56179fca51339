/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the handlers of pools, volumes and secrets share. */
#ifndef PANAL_DAEMON_REMOTE_STORAGE_CALLS_H
#define PANAL_DAEMON_REMOTE_STORAGE_CALLS_H

#include "daemon/remote/remote.h"
#include "daemon/storage/secret.h"
#include "daemon/storage/storage.h"

void remote_put_pool(struct xdr_out *o, const struct pool *p);
void remote_put_secret(struct xdr_out *o, const struct secret *s);
/* What rows of handlers name to find what the first argument refers to (struct handler): an active pool by its UUID, a
 * volume by its pool's name and its own. */
int remote_find_active_pool(struct call *c);
int remote_find_volume(struct call *c);

#endif
