/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the network room. */
#ifndef PANAL_DAEMON_NETWORK_NETWORK_PRIV_H
#define PANAL_DAEMON_NETWORK_NETWORK_PRIV_H

#include "daemon/daemon.h"
#include "daemon/network/netip.h"
#include "daemon/network/network.h"

struct networks {
	struct daemon *daemon;
	struct network_watcher watcher;
	struct list list;
	char config_dir[PATH_MAX / 2]; /* the definitions */
	char run_dir[PATH_MAX / 2];    /* a directory for each network that runs */
};

/* networks.c */
/* A network with that definition, which it takes over, in the list. NULL: no memory; the definition is not taken. */
struct network *network_new(struct networks *ns, struct netdef *def);
/* Out of the list, and its memory; what runs goes on. */
void network_free(struct network *n);
void network_tell(const struct network *n, int event);

/* netconf.c */
void network_definitions_load(struct networks *ns);
void network_make_default(struct networks *ns);

/*
 * netnote.c: what is noted of a running network, in a directory of its own below the run directory: the document, and
 * how far it is. The note is there before the first thing is made and goes after the last was removed, so that a
 * daemon that was killed at any moment leaves nothing that the next does not find.
 */
enum netnote_phase { NETNOTE_STARTING, NETNOTE_RUNNING, NETNOTE_STOPPING };
int netnote_write(const struct network *n, enum netnote_phase phase, struct err *e) ATTR_MUST_USE;
void netnote_remove(const struct network *n);
void netnote_dir(const struct networks *ns, const uint8_t uuid[16], char out[PATH_MAX]);
/* Takes over what runs, clears away what was begun or was being ended. */
void netnotes_load(struct networks *ns);

/* netrun.c */
/* Brings rules, addresses and dnsmasq of a network into order whose bridge is there. */
int network_adopt(struct network *n, struct err *e) ATTR_MUST_USE;
/* Removes all that a start may have made; what could not be removed is in the log. */
void network_clear(struct network *n);

/* netdns.c */
/* Starts dnsmasq, in place of one that runs with another configuration. */
int netdns_start(struct network *n, struct err *e) ATTR_MUST_USE;
/* The one that runs, if it does. */
bool netdns_find(struct network *n);
void netdns_stop(struct network *n);

#endif
