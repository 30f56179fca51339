/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events of domains, networks, pools and secrets, sent to the clients that registered for them. */
#ifndef PANAL_DAEMON_REMOTE_EVENTS_H
#define PANAL_DAEMON_REMOTE_EVENTS_H

#include "daemon/domain/domain.h"
#include "daemon/network/network.h"
#include "daemon/storage/secret.h"
#include "daemon/storage/storage.h"

struct daemon;

/* daemon->server is there before the first event. */
struct domain_watcher remote_watcher(struct daemon *daemon);
struct xdr_out;

/* So many values by which a running machine is tuned were changed: put writes them as typed parameters. */
void remote_tuned(const struct daemon *daemon, const struct domain *d, unsigned count,
		  void (*put)(struct xdr_out *o, const void *opaque), const void *opaque);
/* type: 0 description, 1 title, 2 the element of that namespace. */
void remote_metadata_changed(const struct daemon *daemon, const struct domain *d, int type, const char *uri);
struct network_watcher remote_network_watcher(struct daemon *daemon);
struct storage_watcher remote_storage_watcher(struct daemon *daemon);
struct secret_watcher remote_secret_watcher(struct daemon *daemon);

#endif
