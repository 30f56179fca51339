/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collection. */
#include "daemon/network/network_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "core/loop.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char autostarted[] = "networks-autostarted";

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the directory %s", path);
	return 0;
}

int networks_create(struct networks **out, struct daemon *daemon, const struct network_watcher *watcher, struct err *e)
{
	struct networks *ns = calloc(1, sizeof(*ns));
	int ret;

	if (!ns)
		return err_set(e, -ENOMEM, "out of memory");
	ns->daemon = daemon;
	ns->watcher = *watcher;
	list_init(&ns->list);
	snprintf(ns->config_dir, sizeof(ns->config_dir), "%s/networks", daemon->config_dir);
	snprintf(ns->run_dir, sizeof(ns->run_dir), "%s/networks", daemon->run_dir);
	ret = make_dir(ns->config_dir, e);
	if (ret == 0)
		ret = make_dir(ns->run_dir, e);
	if (ret < 0) {
		free(ns);
		return ret;
	}
	*out = ns;
	return 0;
}

void networks_destroy(struct networks *ns)
{
	if (!ns)
		return;
	while (!list_empty(&ns->list))
		network_free(list_entry(ns->list.next, struct network, node));
	free(ns);
}

/* The run directory is empty after the host's start: what was written into it says that this was done. */
static void autostart(struct networks *ns)
{
	const char *dir = ns->daemon->run_dir;
	struct fault f;

	if (store_has(dir, autostarted) || store_write(dir, autostarted, "", 0, false, NULL) < 0)
		return;
	list_each(it, &ns->list) {
		struct network *n = list_entry(it, struct network, node);

		if (n->autostart && !n->active && network_start(n, &f) < 0)
			log_line(LOG_ERROR, "autostart of network %s: %s", network_name(n), f.text);
	}
}

void networks_load(struct networks *ns)
{
	network_definitions_load(ns);
	netnotes_load(ns);
	network_make_default(ns);
	autostart(ns);
}

struct network *network_by_uuid(struct networks *ns, const uint8_t uuid[16])
{
	list_each(it, &ns->list) {
		struct network *n = list_entry(it, struct network, node);

		if (!memcmp(network_uuid(n), uuid, 16))
			return n;
	}
	return NULL;
}

struct network *network_by_name(struct networks *ns, const char *name)
{
	list_each(it, &ns->list) {
		struct network *n = list_entry(it, struct network, node);

		if (!strcmp(network_name(n), name))
			return n;
	}
	return NULL;
}

void networks_each(struct networks *ns, void (*f)(void *opaque, struct network *n), void *opaque)
{
	list_each(it, &ns->list)
		f(opaque, list_entry(it, struct network, node));
}

static void on_restart(void *opaque)
{
	struct network *n = opaque;
	struct err e = { 0 };

	if (n->active && netdns_start(n, &e) < 0)
		log_line(LOG_ERROR, "network %s is without DHCP and names: %s", network_name(n), e.text);
}

struct network *network_new(struct networks *ns, struct netdef *def)
{
	struct network *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->all = ns;
	n->def = def;
	n->pidfd = -1;
	timer_init(&n->restart, loop_timers(ns->daemon->loop), on_restart, n);
	list_add_tail(&ns->list, &n->node);
	return n;
}

void network_free(struct network *n)
{
	list_remove(&n->node);
	timer_cancel(&n->restart);
	loop_fd_remove(n->watch);
	fd_close(&n->pidfd);
	netdef_free(n->def);
	netdef_free(n->next);
	free(n);
}

void network_tell(const struct network *n, int event)
{
	n->all->watcher.lifecycle(n->all->watcher.opaque, n, event);
}
