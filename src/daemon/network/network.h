/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks that machines are plugged into, defined or running or both: a bridge with an address, dnsmasq behind it,
 * rules of the packet filter; or a bridge of the host's that is there already.
 *
 * A persistent network has a definition on disk; a transient one lives as long as it runs. What runs is described by
 * `def`; a definition that was changed meanwhile waits in `next`. All on the loop's thread. Starting and stopping
 * wait for nft and dnsmasq, some tens of milliseconds, at most CHILD_SECONDS each.
 *
 * Functions return 0, or -1 with the fault set.
 */
#ifndef PANAL_DAEMON_NETWORK_NETWORK_H
#define PANAL_DAEMON_NETWORK_NETWORK_H

#include "base/list.h"
#include "core/clock.h"
#include "daemon/network/lease.h"
#include "daemon/network/link.h"
#include "daemon/rpc/fault.h"
#include "daemon/xml/domdef.h"
#include "daemon/xml/netdef.h"

#include <limits.h>
#include <sys/types.h>

struct daemon;
struct networks;
struct loop_fd;

enum network_event { NETWORK_DEFINED, NETWORK_UNDEFINED, NETWORK_STARTED, NETWORK_STOPPED };

struct network {
	struct list node;
	struct networks *all;
	struct netdef *def, *next;
	bool active, persistent, autostart;
	pid_t dnsmasq;
	int pidfd; /* of dnsmasq; -1: none */
	struct loop_fd *watch;
	struct timer restart; /* dnsmasq died */
};

/* What the faces are told. */
struct network_watcher {
	void (*lifecycle)(void *opaque, const struct network *n, int event);
	void *opaque;
};

static inline const char *network_name(const struct network *n) { return n->def->name; }
static inline const uint8_t *network_uuid(const struct network *n) { return n->def->uuid.b; }
/* The definition of the next start. */
static inline struct netdef *network_config(const struct network *n) { return n->next ? n->next : n->def; }

/* ---- all of them ---- */

int networks_create(struct networks **out, struct daemon *daemon, const struct network_watcher *watcher, struct err *e)
	ATTR_MUST_USE;
/* Lets go of what runs. */
void networks_destroy(struct networks *ns);
/*
 * Reads the definitions, makes "default" at the very first start of a system's daemon, takes over what runs, takes
 * back what was begun or was being ended, and, once for each start of the host, starts those with autostart.
 */
void networks_load(struct networks *ns);

struct network *network_by_uuid(struct networks *ns, const uint8_t uuid[16]);
struct network *network_by_name(struct networks *ns, const char *name);
/* In no particular order; f may not add or remove networks. */
void networks_each(struct networks *ns, void (*f)(void *opaque, struct network *n), void *opaque);

/* ---- definitions ---- */

int network_define(struct networks *ns, const char *xml, bool validate, struct network **out, struct fault *f);
/* A transient network, started. */
int network_create(struct networks *ns, const char *xml, bool validate, struct network **out, struct fault *f);
/* The network is gone afterwards, unless it runs: then it becomes transient. */
int network_undefine(struct network *n, struct fault *f);
int network_set_autostart(struct network *n, bool on, struct fault *f);
/* flags: 1 what runs, 2 the definition, 0 what rules now. The numbers are those of netdef_update. */
int network_update(struct network *n, unsigned command, unsigned section, int parent, const char *xml, unsigned flags,
		   struct fault *f);
/* Title, description or an element of the metadata: what is to change is the caller's, on a copy that it is given. */
typedef int (*network_change_fn)(void *opaque, struct netdef *d, struct fault *f);
int network_change(struct network *n, unsigned flags, network_change_fn change,
		   void *opaque, struct fault *f);

/* ---- running ---- */

int network_start(struct network *n, struct fault *f);
/* A transient network is gone afterwards. */
int network_stop(struct network *n, struct fault *f);
/* Calls f for each address that is lent. */
int network_leases(const struct network *n, void (*f)(void *opaque, const struct lease *l), void *opaque,
		   struct fault *fault);

/* ---- plugging ---- */

/*
 * A tap for an interface of type network or bridge, on its bridge and switched on. Starts a network that does not run.
 * i's live parts (tap, bridge, port) are filled in. The descriptor, which keeps the tap alive, or a negative errno.
 */
int network_plug(struct networks *ns, struct domdef_interface *i, struct err *e) ATTR_MUST_USE;
/* Puts a tap that a running machine has back on the network's bridge, after the network was started again. */
void network_replug(const struct network *n, const char *tap);

#endif
