/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the handlers share. */
#ifndef PANAL_DAEMON_REMOTE_REMOTE_PRIV_H
#define PANAL_DAEMON_REMOTE_REMOTE_PRIV_H

#include "daemon/domain/domain.h"
#include "daemon/network/network.h"
#include "daemon/remote/remote.h"

/* The flags that say which of a running machine's two definitions is meant; CURRENT (0) is the one that rules now. */
enum { AFFECT_LIVE = 1, AFFECT_CONFIG = 2 };

/* The domain that the argument refers to, found by its UUID. NULL: call->fault is set. */
struct domain *remote_domain(struct call *c, unsigned n);
/* The same, when no job is under way on it. *out is NULL otherwise, and the result is the handler's: it runs again when
 * the job has ended. */
int remote_domain_idle(struct call *c, unsigned n, struct domain **out);
/* What rows of handlers name to find the domain of the first argument (struct handler): any; one that is active; one
 * with no job under way, for whose end is waited. */
int remote_find_domain(struct call *c);
int remote_find_running(struct call *c);
int remote_find_idle(struct call *c);
/* CALL_FAILED, with the fault that the domain is not running. */
int remote_not_running(struct call *c);
/* Writes the reference. */
void remote_put_domain(struct xdr_out *o, const struct domain *d);
/* Checks a flags word of AFFECT_LIVE and AFFECT_CONFIG against the domain; *flags is then never CURRENT. -1: fault. */
int remote_affect(struct call *c, const struct domain *d, unsigned *flags);
/* Ends the call with what an operation ended with. For domain_done_fn. */
void remote_done(void *opaque, const struct fault *f);

/*
 * Runs `then` as the handler when the machines that were added have told what their devices did, or have not in time.
 * Meanwhile a domain may have gone: `then` finds it anew.
 * gather_run's result is the handler's; it frees the gathering.
 */
struct gathering;
struct gathering *gather_new(struct call *c, int (*then)(struct call *c)); /* NULL: call->fault is set */
void gather_add(struct gathering *g, struct domain *d);
int gather_run(struct gathering *g);
/* The same for one machine that runs. */
int gather_one(struct call *c, struct domain *d, int (*then)(struct call *c));

/* The file or device of a disk; NULL: it has none. */
const char *remote_disk_path(const struct daemon *daemon, const struct domdef_disk *k);
/* Its allocation, capacity and physical size in bytes. 0, or a negative errno. */
int remote_disk_measure(const char *path, const struct domdef_disk *k, uint64_t sizes[3]);

/* Asks the domain's guest agent; the call ends with what put makes of the answer (NULL: nothing). A handler's
 * result. */
int remote_agent(struct call *c, struct domain *d, const char *command, json_t *arguments, bool may_vanish,
		 int (*put)(struct call *c, const json_t *result));

/*
 * Devices of a running machine (hotplug.c). Both send a command, and done is called as domain_command does.
 * attach: dev is of live, the definition that the machine is to have; its live parts are filled in. detach: dev is of
 * the machine's definition, where it stays until the guest has let it go.
 */
int remote_plug(struct call *c, struct domain *d, const struct domdef *live, const struct domdef_kind *k,
		struct domdev *dev, domain_done_fn done, void *opaque);
int remote_unplug(struct call *c, struct domain *d, const struct domdef_kind *k, const struct domdev *dev,
		  domain_done_fn done, void *opaque);

/* The same for the network of the first argument. */
int remote_find_network(struct call *c);
void remote_put_network(struct xdr_out *o, const struct network *n);
/* Whether an interface of a running machine is plugged into the network. */
bool remote_plugged(const struct domdef_interface *i, const struct network *n);

/* Whether the domain is of those that list flags ask for. */
enum { LIST_FLAGS = 0xffff };
bool remote_listed(const struct domain *d, unsigned flags);

#endif
