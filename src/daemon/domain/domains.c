/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collection, the domain's state, its jobs and who waits for them. */
#include "daemon/domain/domain_priv.h"

#include "core/loop.h"
#include "daemon/domain/cgroup.h"
#include "daemon/store/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the directory %s", path);
	return 0;
}

int domains_create(struct domains **out, struct daemon *daemon, const struct domain_watcher *watcher, struct err *e)
{
	struct domains *ds = calloc(1, sizeof(*ds));
	int ret;

	if (!ds)
		return err_set(e, -ENOMEM, "out of memory");
	ds->daemon = daemon;
	ds->watcher = *watcher;
	list_init(&ds->list);
	snprintf(ds->config_dir, sizeof(ds->config_dir), "%s/domains", daemon->config_dir);
	snprintf(ds->machines_dir, sizeof(ds->machines_dir), "%s/machines", daemon->run_dir);
	ret = make_dir(ds->config_dir, e);
	if (ret == 0)
		ret = make_dir(ds->machines_dir, e);
	if (ret < 0) {
		free(ds);
		return ret;
	}
	*out = ds;
	return 0;
}

void domains_destroy(struct domains *ds)
{
	if (!ds)
		return;
	while (!list_empty(&ds->list))
		domain_free(list_entry(ds->list.next, struct domain, node));
	journal_close(ds->journal);
	free(ds);
}

int domains_load(struct domains *ds, struct err *e)
{
	definitions_load(ds);
	domain_nvrams_settle(ds);
	cgroups_open(ds);
	notes_load(ds);
	cgroups_clear(ds);
	definitions_autostart(ds);
	return 0;
}

/* ---- finding ---- */

struct domain *domain_by_uuid(struct domains *ds, const uint8_t uuid[16])
{
	list_each(it, &ds->list) {
		struct domain *d = list_entry(it, struct domain, node);

		if (!memcmp(domain_uuid(d), uuid, 16))
			return d;
	}
	return NULL;
}

struct domain *domain_by_name(struct domains *ds, const char *name)
{
	list_each(it, &ds->list) {
		struct domain *d = list_entry(it, struct domain, node);

		if (!strcmp(domain_name(d), name))
			return d;
	}
	return NULL;
}

struct domain *domain_by_id(struct domains *ds, int id)
{
	list_each(it, &ds->list) {
		struct domain *d = list_entry(it, struct domain, node);

		if (d->id == id && id >= 0)
			return d;
	}
	return NULL;
}

void domains_each(struct domains *ds, void (*f)(void *opaque, struct domain *d), void *opaque)
{
	list_each(it, &ds->list)
		f(opaque, list_entry(it, struct domain, node));
}

/* ---- waiting for a job's end ---- */

struct waiter {
	struct list node;
	void (*f)(void *opaque, bool timeout);
	void *opaque;
	int64_t until_ns;
};

static int64_t now_ns(const struct domain *d)
{
	return clock_now(timerq_clock(loop_timers(d->all->daemon->loop)));
}

static void wake(struct waiter *w, bool timeout)
{
	struct waiter copy = *w;

	list_remove(&w->node);
	free(w);
	copy.f(copy.opaque, timeout);
}

/* The oldest waiter's time is over. Nobody's call takes the domain away, for a job is under way. */
static void on_wait_timer(void *opaque)
{
	struct domain *d = opaque;

	while (!list_empty(&d->waiters)) {
		struct waiter *w = list_entry(d->waiters.next, struct waiter, node);

		if (w->until_ns > now_ns(d)) {
			timer_arm(&d->wait_timer, w->until_ns);
			return;
		}
		wake(w, true);
	}
}

int domain_wait(struct domain *d, void (*f)(void *opaque, bool timeout), void *opaque)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w)
		return -1;
	*w = (struct waiter){ .f = f, .opaque = opaque,
		.until_ns = now_ns(d) + DOMAIN_WAIT_SECONDS * INT64_C(1000000000) };
	list_add_tail(&d->waiters, &w->node);
	if (!timer_armed(&d->wait_timer))
		timer_arm(&d->wait_timer, w->until_ns);
	return 0;
}

/* All who wait now are called in turn; those who find the next job begun wait anew. */
static void wake_all(struct list *waiters)
{
	struct list now;

	list_init(&now);
	while (!list_empty(waiters)) {
		struct list *it = waiters->next;

		list_remove(it);
		list_add_tail(&now, it);
	}
	while (!list_empty(&now))
		wake(list_entry(now.next, struct waiter, node), false);
}

void domain_job_begin(struct domain *d, enum domain_job job)
{
	d->job = job;
}

void domain_job_end(struct domain *d)
{
	d->job = JOB_NONE;
	timer_cancel(&d->wait_timer);
	wake_all(&d->waiters);
}

int domain_busy(struct domain *d, struct fault *f)
{
	if (d->job == JOB_NONE)
		return 0;
	return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "another job is active for the domain '%s'",
			 domain_name(d));
}

/* ---- one domain ---- */

struct domain *domain_new(struct domains *ds, struct domdef *def)
{
	struct domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->all = ds;
	d->def = def;
	d->id = -1;
	d->state = DOMAIN_SHUTOFF;
	d->reason = SHUTOFF_UNKNOWN;
	list_init(&d->ends);
	list_init(&d->waiters);
	timer_init(&d->wait_timer, loop_timers(ds->daemon->loop), on_wait_timer, d);
	list_add_tail(&ds->list, &d->node);
	return d;
}

void domain_free(struct domain *d)
{
	struct list waiters;

	list_init(&waiters);
	timer_cancel(&d->wait_timer);
	while (!list_empty(&d->waiters)) {
		struct list *it = d->waiters.next;

		list_remove(it);
		list_add_tail(&waiters, it);
	}
	list_remove(&d->node);
	intent_forget(d); /* what is noted stays, and is asked for by the next daemon */
	machine_free(d->machine);
	d->machine = NULL;
	domain_hand_stop(d);
	domain_agent_stop(d);
	domdef_free(d->def);
	domdef_free(d->next);
	free(d->sample);
	json_decref(d->disk_errors);
	free(d);
	wake_all(&waiters);
}

void domain_set_state(struct domain *d, int state, int reason)
{
	d->state = state;
	d->reason = reason;
}

void domain_lifecycle(struct domain *d, int event, int detail)
{
	d->all->watcher.lifecycle(d->all->watcher.opaque, d, event, detail);
}
