/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon as a whole: what the faces (libvirt's protocol is the first) act on. One thread, the loop's. */
#ifndef PANAL_DAEMON_DAEMON_H
#define PANAL_DAEMON_DAEMON_H

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/domain/usernet.h"
#include "daemon/rpc/tls.h"

#include <limits.h>

struct loop;
struct polkit;
struct server;
struct domains;
struct networks;
struct storage;
struct secrets;
struct tls;

/* Consoles that clients are connected to. */
struct console_list {
	struct list open;
};

/* Who may come, and from where. */
struct access_config {
	bool polkit;           /* it is asked about who connects to the unix sockets, which are open to all */
	bool tls_sasl;         /* who comes by TLS says by SASL who it is, too */
	const char *tls, *tcp; /* "address:port" to listen on; NULL: not */
	const char *pki;
	const char *name[TLS_PATTERNS_MAX]; /* patterns of the names in clients' certificates */
	unsigned name_count;
};

struct daemon {
	struct log_limit refusals;
	struct access_config access;
	struct polkit *polkit; /* NULL: it is not asked */
	struct tls *tls;
	struct loop *loop;
	struct server *server;
	struct domains *domains;
	struct networks *networks;
	struct storage *storage;
	struct secrets *secrets;
	struct console_list consoles;
	struct usernets usernets;
	bool session;          /* a user's own instance, not the system's */
	char config_dir[PATH_MAX / 4]; /* definitions */
	char run_dir[PATH_MAX / 4];    /* what is about running machines; goes with the host's next start */
	char log_dir[PATH_MAX / 4];
	char socket_dir[PATH_MAX / 4];
	char images_dir[PATH_MAX / 4]; /* of the storage pool "default" */
	char cgroup_dir[PATH_MAX / 4]; /* below it are the machines' cgroups; "auto": it is looked for; "none" */
	char program_dir[PATH_MAX / 4]; /* where panal-vmm lies */
};

#endif
