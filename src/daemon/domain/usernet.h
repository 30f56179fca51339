/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User networks of cards that come while a machine runs: it can start no program, so their helpers are started here. */
#ifndef PANAL_DAEMON_DOMAIN_USERNET_H
#define PANAL_DAEMON_DOMAIN_USERNET_H

#include "base/list.h"
#include "daemon/xml/domdef.h"

struct loop;

/* Helpers that were started here; only who started them can take note of their end. */
struct usernets {
	struct list list;
};
void usernets_init(struct usernets *u);
/* Helpers go on. */
void usernets_free(struct usernets *u);
/* dir: where panal-net-user lies. The machine's end of its socket, at whose close the helper ends; or a negative errno.
 * Waits for its first word. */
int usernet_start(struct usernets *u, struct loop *loop, const char *dir, const struct domdef_interface *i,
		  struct err *e) ATTR_MUST_USE;

#endif
