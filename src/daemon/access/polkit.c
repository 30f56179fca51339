/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/access/polkit.h"

#include "base/list.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

static const uint64_t ANSWER_USEC = UINT64_C(25000000), PASSWORD_USEC = UINT64_C(300000000);

struct polkit {
	struct loop *loop;
	sd_bus *bus; /* NULL: the connection broke; the next question makes another */
	struct loop_fd *io;
	struct timer timer;
	struct list open;
	struct log_limit troubles;
};

struct question {
	struct list node;
	struct polkit *polkit;
	sd_bus_slot *slot;
	polkit_done_fn done;
	void *opaque;
};

/* ---- the bus in the loop ---- */

static void answered(struct question *q, enum polkit_answer answer)
{
	polkit_done_fn done = q->done;
	void *opaque = q->opaque;

	list_remove(&q->node);
	sd_bus_slot_unref(q->slot);
	free(q);
	done(opaque, answer);
}

static void disconnect(struct polkit *p)
{
	sd_bus *bus = p->bus;

	timer_cancel(&p->timer);
	loop_fd_remove(p->io);
	p->io = NULL;
	p->bus = NULL;
	while (!list_empty(&p->open))
		answered(list_entry(p->open.next, struct question, node), POLKIT_TROUBLE);
	sd_bus_close_unref(bus);
}

static void watch(struct polkit *p)
{
	uint64_t until = UINT64_MAX;
	int events = sd_bus_get_events(p->bus);

	if (events < 0 || sd_bus_get_timeout(p->bus, &until) < 0) {
		disconnect(p);
		return;
	}
	loop_fd_events(p->io, (events & POLLIN ? LOOP_READ : 0u) | (events & POLLOUT ? LOOP_WRITE : 0u));
	timer_cancel(&p->timer);
	if (until != UINT64_MAX) { /* on CLOCK_MONOTONIC, as the loop's timers */
		int64_t now = clock_now(timerq_clock(loop_timers(p->loop)));
		struct timespec ts;
		uint64_t bus_now;

		clock_gettime(CLOCK_MONOTONIC, &ts);
		bus_now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
		timer_arm(&p->timer, now + (until > bus_now ? (int64_t)(until - bus_now) * 1000 : 0));
	}
}

static void process(struct polkit *p)
{
	int ret = 1;

	while (p->bus && ret > 0) /* who gets an answer may ask on, and find the connection broken */
		ret = sd_bus_process(p->bus, NULL);
	if (p->bus && ret < 0)
		disconnect(p);
	else if (p->bus)
		watch(p);
}

static void on_io(void *opaque, int fd, unsigned events)
{
	process(opaque);
}

static void on_timer(void *opaque)
{
	process(opaque);
}

static int connect_bus(struct polkit *p, struct err *e)
{
	int ret = sd_bus_open_system(&p->bus);

	if (ret < 0)
		return err_errno(e, -ret, "cannot reach the system's bus");
	ret = loop_fd_add(p->loop, sd_bus_get_fd(p->bus), LOOP_READ, on_io, p, &p->io, e);
	if (ret < 0)
		p->bus = sd_bus_close_unref(p->bus);
	return ret;
}

int polkit_create(struct polkit **out, struct loop *loop, struct err *e)
{
	struct polkit *p = calloc(1, sizeof(*p));
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *name = NULL;
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->loop = loop;
	list_init(&p->open);
	timer_init(&p->timer, loop_timers(loop), on_timer, p);
	ret = connect_bus(p, e);
	if (ret == 0) {
		ret = sd_bus_get_property_string(p->bus, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
						 "BackendName", &error, &name); /* which starts it */
		if (ret < 0)
			err_set(e, ret, "polkit is not there: %s", error.message ? error.message : strerror(-ret));
		sd_bus_error_free(&error);
		free(name);
	}
	if (ret < 0) {
		polkit_destroy(p);
		return ret;
	}
	watch(p);
	*out = p;
	return 0;
}

void polkit_destroy(struct polkit *p)
{
	if (!p)
		return;
	disconnect(p);
	free(p);
}

/* ---- questions ---- */

/* With the pid it names the process for good: field 22 of proc(5)'s stat, in ticks since the host's start. */
static uint64_t start_time(pid_t pid)
{
	char path[32], text[1024], *at;
	uint64_t ticks = 0;
	size_t got;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	got = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[got] = 0;
	at = strrchr(text, ')');
	for (unsigned n = 2; at && n < 22; n++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	return ticks;
}

static int on_reply(sd_bus_message *m, void *opaque, sd_bus_error *unused)
{
	struct question *q = opaque;
	const sd_bus_error *error = sd_bus_message_get_error(m);
	int allowed = 0, challenge = 0;
	int ret = error ? -sd_bus_error_get_errno(error) : sd_bus_message_enter_container(m, 'r', "bba{ss}");

	if (error)
		log_limited(&q->polkit->troubles, LOG_WARNING, "polkit: %s", error->message);
	if (ret >= 0)
		ret = sd_bus_message_read(m, "bb", &allowed, &challenge);
	answered(q, ret < 0 ? POLKIT_TROUBLE : allowed ? POLKIT_YES : challenge ? POLKIT_NO_AGENT : POLKIT_NO);
	return 0;
}

/* CheckAuthorization((sa{sv}) subject, s action, a{ss} details, u flags, s cancellation) */
static int write_question(sd_bus_message *m, const struct polkit_question *q)
{
	int ret = sd_bus_message_append(m, "(sa{sv})s", "unix-process", 3, "pid", "u", (uint32_t)q->pid, "start-time",
					"t", start_time(q->pid), "uid", "i", (int32_t)q->uid, q->action);

	if (ret >= 0)
		ret = sd_bus_message_open_container(m, 'a', "{ss}");
	for (unsigned n = 0; ret >= 0 && n < q->detail_count; n++)
		ret = sd_bus_message_append(m, "{ss}", q->detail[n].key, q->detail[n].value);
	if (ret >= 0)
		ret = sd_bus_message_close_container(m);
	if (ret >= 0)
		ret = sd_bus_message_append(m, "us", q->interact ? 1u : 0u, "");
	return ret;
}

static int send_question(struct polkit *p, const struct polkit_question *wanted, struct question *q)
{
	sd_bus_message *m = NULL;
	int ret = sd_bus_message_new_method_call(p->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
						 "CheckAuthorization");

	if (ret >= 0 && wanted->interact)
		ret = sd_bus_message_set_allow_interactive_authorization(m, 1);
	if (ret >= 0)
		ret = write_question(m, wanted);
	if (ret >= 0)
		ret = sd_bus_call_async(p->bus, &q->slot, m, on_reply, q,
					wanted->interact ? PASSWORD_USEC : ANSWER_USEC);
	sd_bus_message_unref(m);
	return ret;
}

void polkit_ask(struct polkit *p, const struct polkit_question *wanted, polkit_done_fn done, void *opaque)
{
	struct question *q = calloc(1, sizeof(*q));
	struct err e = { 0 };

	if (!q || (!p->bus && connect_bus(p, &e) < 0) || send_question(p, wanted, q) < 0) {
		log_limited(&p->troubles, LOG_WARNING, "polkit cannot be asked%s%s", e.text[0] ? ": " : "", e.text);
		free(q);
		done(opaque, POLKIT_TROUBLE);
		return;
	}
	q->polkit = p;
	q->done = done;
	q->opaque = opaque;
	list_add_tail(&p->open, &q->node);
	watch(p);
}
