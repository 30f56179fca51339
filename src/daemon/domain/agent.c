/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking the program in the guest that speaks QEMU's guest agent protocol: a JSON object a line, over the channel
 * org.qemu.guest_agent.0. The guest is hostile: what it says is bounded in size and in time, and nothing but the answer
 * to our own question is looked at.
 */
#include "daemon/domain/agent.h"
#include "daemon/domain/domain_priv.h"

#include "base/buf.h"
#include "base/fd.h"
#include "core/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { SYNC_S = 5, COMMAND_S = 60, SHUTDOWN_MS = 500, CHUNK = 16 << 10 };

struct agent {
	struct domain *domain;
	const char *command;
	char *text; /* of the command */
	int64_t sync;
	bool synced, may_vanish;
	int fd;
	struct loop_fd *watch;
	struct buf in, out;
	struct timer timer;
	domain_agent_fn done;
	void *opaque;
};

const struct domdef_chr *domain_agent_channel(const struct domain *d)
{
	for (unsigned n = 0; n < d->def->channels.n; n++) {
		const struct domdef_chr *c = d->def->channels.v[n];

		if (domdef_channel_possible(c) && !strcmp(c->target_name, "org.qemu.guest_agent.0"))
			return c;
	}
	return NULL;
}

/* ---- the end ---- */

static void finish(struct agent *a, const json_t *result, const struct fault *f)
{
	struct agent gone = *a;
	struct domain *d = a->domain;

	timer_cancel(&a->timer);
	d->agent = NULL;
	free(a);
	loop_fd_remove(gone.watch);
	fd_close(&gone.fd);
	buf_free(&gone.in);
	buf_free(&gone.out);
	free(gone.text);
	gone.done(gone.opaque, result, f);
	if (d->job == JOB_MODIFY)
		domain_job_end(d);
}

static void silent(struct agent *a, const char *why)
{
	struct fault f;

	fault_set(&f, FAULT_AGENT, FROM_HYPERVISOR, "%s", why);
	finish(a, NULL, &f);
}

void domain_agent_stop(struct domain *d)
{
	if (!d->agent)
		return;
	if (d->agent->may_vanish && d->agent->synced)
		finish(d->agent, NULL, NULL);
	else
		silent(d->agent, "the machine ended");
}

void domain_agent_slept(struct domain *d)
{
	if (d->agent && d->agent->may_vanish && d->agent->synced)
		finish(d->agent, NULL, NULL);
}

static void gone(struct agent *a)
{
	if (a->may_vanish && a->synced)
		finish(a, NULL, NULL); /* who is to shut down need not answer */
	else
		silent(a, "its channel was closed");
}

static void late(void *opaque)
{
	struct agent *a = opaque;

	if (a->may_vanish && a->synced)
		finish(a, NULL, NULL);
	else
		silent(a, "no answer in time");
}

static void wait_ms(struct agent *a, int64_t ms)
{
	struct timerq *q = loop_timers(a->domain->all->daemon->loop);

	timer_arm(&a->timer, clock_now(timerq_clock(q)) + ms * 1000000);
}

/* ---- what it says ---- */

json_t *agent_take(struct buf *in, bool *more)
{
	uint8_t *end = in->len ? memchr(in->data, '\n', in->len) : NULL, *start = in->data;
	json_t *msg;

	*more = end != NULL;
	if (!end)
		return NULL;
	while (start < end && *start == 0xff) /* where a reader begins anew */
		start++;
	msg = json_loadb((const char *)start, (size_t)(end - start), JSON_REJECT_DUPLICATES, NULL);
	buf_consume(in, (size_t)(end - in->data) + 1);
	if (msg && !json_is_object(msg)) {
		json_decref(msg);
		msg = NULL;
	}
	return msg;
}

static bool flush(struct agent *a);

/* True: it was the end. */
static bool answer(struct agent *a, const json_t *msg)
{
	const json_t *result = json_object_get(msg, "return"), *error = json_object_get(msg, "error");
	const char *why = json_string_value(json_object_get(error, "desc"));
	struct fault f;

	if (!a->synced) { /* what an earlier question was answered comes before */
		if (!json_is_integer(result) || json_integer_value(result) != a->sync)
			return false;
		a->synced = true;
		int sec = a->domain->agent_timeout;
		wait_ms(a, a->may_vanish ? SHUTDOWN_MS : (sec > 0 ? sec : COMMAND_S) * 1000);
		if (buf_append(&a->out, a->text, strlen(a->text)) == 0 && buf_append(&a->out, "\n", 1) == 0 && flush(a))
			return false;
		silent(a, "the question cannot be sent");
		return true;
	}
	if (!result && !error)
		return false;
	if (!result)
		fault_set(&f, FAULT_INTERNAL, FROM_HYPERVISOR, "unable to execute QEMU agent command '%s': %.400s",
			  a->command, why ? why : "the agent refuses");
	finish(a, result, result ? NULL : &f);
	return true;
}

/* False: the request has ended. */
static bool take(struct agent *a)
{
	bool more = true;

	while (more) {
		json_t *msg = agent_take(&a->in, &more);
		bool ended = msg && answer(a, msg);

		json_decref(msg);
		if (ended)
			return false;
	}
	return true;
}

static void receive(struct agent *a)
{
	uint8_t chunk[CHUNK];
	ssize_t got = recv(a->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		gone(a);
	else if (buf_append(&a->in, chunk, (size_t)got) < 0)
		silent(a, "it says more than there is room for");
	else
		(void)take(a);
}

/* ---- what it is told ---- */

static bool flush(struct agent *a)
{
	if (!buf_send(&a->out, a->fd))
		return false;
	loop_fd_events(a->watch, LOOP_READ | (a->out.len ? LOOP_WRITE : 0u));
	return true;
}

static void on_io(void *opaque, int fd, unsigned events)
{
	struct agent *a = opaque;

	if ((events & LOOP_WRITE) && !flush(a))
		gone(a);
	else if (events & (LOOP_READ | LOOP_HANGUP))
		receive(a);
}

static int connect_channel(struct agent *a, const char *path, struct fault *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct loop *loop = a->domain->all->daemon->loop;

	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (strlen(path) < sizeof(sa.sun_path))
		strcpy(sa.sun_path, path);
	if (a->fd < 0 || connect(a->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    loop_fd_add(loop, a->fd, LOOP_READ, on_io, a, &a->watch, NULL) < 0)
		return fault_set(f, FAULT_AGENT, FROM_HYPERVISOR, "cannot connect to %s",
				 path);
	return 0;
}

static int say_hello(struct agent *a, struct fault *f)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (uint32_t)(uintptr_t)a;
	a->sync = number;
	if (buf_printf(&a->out, "\xff{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%u}}\n", number) < 0 ||
	    !flush(a))
		return fault_set(f, FAULT_AGENT, FROM_HYPERVISOR, "it cannot be asked");
	return 0;
}

/* ---- the way in ---- */

static int check(const struct domain *d, struct fault *f)
{
	if (!d->machine || d->state == DOMAIN_SHUTDOWN)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	if (!domain_agent_channel(d))
		return fault_set(f, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR, "QEMU guest agent is not configured");
	if (!domain_agent_channel(d)->target_state || strcmp(domain_agent_channel(d)->target_state, "connected"))
		return fault_set(f, FAULT_AGENT, FROM_HYPERVISOR,
				 "QEMU guest agent is not connected");
	if (d->state != DOMAIN_RUNNING)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running: it is paused");
	return 0;
}

int domain_agent(struct domain *d, const char *command, json_t *arguments, bool may_vanish, domain_agent_fn done,
		 void *opaque, struct fault *f)
{
	json_t *msg = arguments ? json_pack("{s:s, s:o}", "execute", command, "arguments", arguments) :
				  json_pack("{s:s}", "execute", command);
	struct agent *a = NULL;

	if (check(d, f) < 0 || domain_busy(d, f) < 0)
		goto refused;
	a = calloc(1, sizeof(*a));
	if (!a || !msg) {
		fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the question");
		goto refused;
	}
	*a = (struct agent){ .domain = d, .command = command, .text = json_dumps(msg, JSON_COMPACT), .fd = -1,
			     .may_vanish = may_vanish, .done = done, .opaque = opaque };
	buf_init(&a->in, DOMAIN_AGENT_ANSWER_MAX);
	buf_init(&a->out, DOMAIN_AGENT_ANSWER_MAX);
	timer_init(&a->timer, loop_timers(d->all->daemon->loop), late, a);
	if (!a->text || connect_channel(a, domain_agent_channel(d)->path, f) < 0 || say_hello(a, f) < 0)
		goto refused;
	json_decref(msg);
	d->agent = a;
	domain_job_begin(d, JOB_MODIFY);
	wait_ms(a, SYNC_S * 1000);
	return 0;
refused:
	json_decref(msg);
	if (a) {
		loop_fd_remove(a->watch);
		fd_close(&a->fd);
		buf_free(&a->in);
		buf_free(&a->out);
		free(a->text);
		free(a);
	}
	return -1;
}

/* ---- whether it is there ---- */

void domain_channel_moved(struct domain *d, const char *name, bool open)
{
	for (unsigned n = 0; name && n < d->def->channels.n; n++) {
		struct domdef_chr *c = d->def->channels.v[n];
		const char *state = open ? "connected" : "disconnected";

		if (!c->target_name || strcmp(c->target_name, name) ||
		    (c->target_state && !strcmp(c->target_state, state)))
			continue;
		bool first = !c->target_state;
		free(c->target_state);
		c->target_state = strdup(state);
		domain_note(d);
		if (!strcmp(name, "org.qemu.guest_agent.0") && (open || !first))
			d->all->watcher.agent(d->all->watcher.opaque, d, open);
	}
}

static void channels_known(void *opaque, const json_t *result, const struct err *e)
{
	struct domain *d = opaque;

	for (size_t n = 0; d->machine && n < json_array_size(result); n++) {
		const json_t *c = json_array_get(result, n);

		domain_channel_moved(d, json_string_value(json_object_get(c, "id")),
				     json_is_true(json_object_get(c, "open")));
	}
}

void domain_ask_channels(struct domain *d)
{
	if (d->def->channels.n && machine_execute(d->machine, "query-channels", NULL, channels_known, d, NULL) < 0)
		return; /* an agent that is there counts as absent until it says something */
}
