/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands to a running machine that need files: it can open none itself, so each is handed over first, and named
 * /dev/fdset/N in the command. What the guest has locked is asked for a few times: it was told that it is wanted.
 */
#include "daemon/domain/domain_priv.h"

#include "base/fd.h"
#include "core/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 12, PAUSE_MS = 500 };

struct hand {
	struct domain *domain;
	const char *command;
	json_t *arguments;
	int fd[DOMAIN_HAND_FDS];
	unsigned count, given, tries;
	struct timer timer;
	domain_done_fn done;
	void *opaque;
};

static void finish(struct hand *h, const struct err *e)
{
	struct hand gone = *h;
	struct domain *d = h->domain;
	struct fault f;

	timer_cancel(&h->timer);
	d->hand = NULL;
	free(h);
	for (unsigned n = 0; n < gone.count; n++)
		fd_close(&gone.fd[n]);
	for (unsigned n = 0; n < gone.given && d->machine; n++)
		if (machine_execute(d->machine, "remove-fd", json_pack("{s:i}", "fdset-id", DOMAIN_HAND_SET + (int)n),
				    NULL, NULL, NULL) < 0)
			break; /* it goes with the connection */
	json_decref(gone.arguments);
	if (e)
		fault_from_err(&f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, e);
	gone.done(gone.opaque, e ? &f : NULL);
	if (d->job == JOB_MODIFY)
		domain_job_end(d);
}

void domain_hand_stop(struct domain *d)
{
	struct err e = { 0 };

	if (!d->hand || !timer_armed(&d->hand->timer))
		return; /* its command is answered with an error */
	err_set(&e, -ECONNRESET, "the machine ended");
	finish(d->hand, &e);
}

static void next_step(struct hand *h);

static void again(void *opaque)
{
	next_step(opaque);
}

static void answered(void *opaque, const json_t *result, const struct err *e)
{
	struct hand *h = opaque;
	struct timerq *q = loop_timers(h->domain->all->daemon->loop);

	if (!result && e->code == -EBUSY && h->domain->machine && ++h->tries < TRIES)
		timer_arm(&h->timer, clock_now(timerq_clock(q)) + (int64_t)PAUSE_MS * 1000000);
	else
		finish(h, result ? NULL : e);
}

static void given(void *opaque, const json_t *result, const struct err *e)
{
	struct hand *h = opaque;

	if (!result) {
		finish(h, e);
		return;
	}
	h->given++;
	next_step(h);
}

static void next_step(struct hand *h)
{
	struct machine *m = h->domain->machine;
	struct err e = { 0 };
	int ret;

	if (h->given < h->count)
		ret = machine_execute_fd(m, "add-fd", json_pack("{s:i}", "fdset-id", DOMAIN_HAND_SET + (int)h->given),
					 h->fd[h->given], given, h, &e);
	else
		ret = machine_execute(m, h->command, json_incref(h->arguments), answered, h, &e);
	if (ret < 0)
		finish(h, &e);
}

int domain_command_fds(struct domain *d, const char *command, json_t *arguments, int *fds, unsigned count,
		       domain_done_fn done, void *opaque, struct fault *f)
{
	struct hand *h = NULL;
	int ret = 0;

	if (!d->machine || d->state == DOMAIN_SHUTDOWN)
		ret = fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	else
		ret = domain_busy(d, f);
	if (ret == 0) {
		h = calloc(1, sizeof(*h));
		ret = h ? intent_begin(d, arguments, f) :
			  fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the command");
	}
	if (ret < 0) {
		free(h);
		json_decref(arguments);
		for (unsigned n = 0; n < count; n++)
			fd_close(&fds[n]);
		return -1;
	}
	*h = (struct hand){ .domain = d, .command = command, .arguments = arguments, .count = count, .done = done,
			    .opaque = opaque };
	memcpy(h->fd, fds, count * sizeof(*fds));
	timer_init(&h->timer, loop_timers(d->all->daemon->loop), again, h);
	d->hand = h;
	domain_job_begin(d, JOB_MODIFY);
	next_step(h);
	return 0;
}
