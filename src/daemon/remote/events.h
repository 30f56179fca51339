/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events of domains, sent to the clients that registered for them. */
#ifndef PANAL_DAEMON_REMOTE_EVENTS_H
#define PANAL_DAEMON_REMOTE_EVENTS_H

#include "daemon/domain/domain.h"

struct daemon;

/* daemon->server is there before the first event. */
struct domain_watcher remote_watcher(struct daemon *daemon);

#endif
