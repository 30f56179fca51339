/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/input.h"

#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_MS = 1000000 };

/* An event for later, or with key NULL a pause before the next one. */
struct waiting {
	const struct key *key;
	bool down;
	unsigned pause_ms;
};

struct input {
	struct input_sink sink[INPUT_SINKS_MAX];
	unsigned sinks;
	struct timer timer;
	struct waiting queue[INPUT_QUEUE_MAX];
	unsigned first, count;
};

/* ---- who gets it ---- */

static struct input_sink *taker(struct input *in, enum input_kind kind)
{
	for (unsigned n = in->sinks; n-- > 0;) {
		struct input_sink *s = &in->sink[n];

		if (s->kinds >> kind & 1 && (!s->ready || s->ready(s->opaque)))
			return s;
	}
	return NULL;
}

bool input_takes(struct input *in, enum input_kind kind)
{
	return taker(in, kind) != NULL;
}

void input_send(struct input *in, const struct input_event *ev, unsigned count)
{
	bool got[INPUT_SINKS_MAX] = { false };

	for (unsigned n = 0; n < count; n++) {
		struct input_sink *s = taker(in, ev[n].kind);

		if (!s)
			continue;
		s->event(s->opaque, &ev[n]);
		got[s - in->sink] = true;
	}
	for (unsigned n = 0; n < in->sinks; n++)
		if (got[n] && in->sink[n].sync)
			in->sink[n].sync(in->sink[n].opaque);
}

/* ---- keys in the course of time ---- */

static void run_queue(void *opaque)
{
	struct input *in = opaque;

	while (in->count) {
		struct waiting w = in->queue[in->first];
		struct input_event ev = { .kind = INPUT_KEY, .key = w.key, .down = w.down };

		in->first = (in->first + 1) % INPUT_QUEUE_MAX;
		in->count--;
		if (!w.key) {
			int64_t now = clock_now(timerq_clock(in->timer.queue));

			timer_arm(&in->timer, now + (int64_t)w.pause_ms * NS_PER_MS);
			return;
		}
		input_send(in, &ev, 1);
	}
}

static void put(struct input *in, const struct key *key, bool down, unsigned pause_ms)
{
	in->queue[(in->first + in->count++) % INPUT_QUEUE_MAX] = (struct waiting){ key, down, pause_ms };
}

int input_send_keys(struct input *in, const struct key *const *keys, unsigned count, unsigned hold_ms, struct err *e)
{
	if (in->count + 2 * count + 2 > INPUT_QUEUE_MAX)
		return err_set(e, -ENOBUFS, "%u key events wait already; send no more until they are through",
			       in->count);
	for (unsigned n = 0; n < count; n++)
		put(in, keys[n], true, 0);
	put(in, NULL, false, hold_ms);
	for (unsigned n = count; n-- > 0;)
		put(in, keys[n], false, 0);
	put(in, NULL, false, hold_ms); /* the next press is a press of its own */
	if (!timer_armed(&in->timer))
		run_queue(in);
	return 0;
}

/* ---- life ---- */

int input_attach(struct input *in, const struct input_sink *sink, struct err *e)
{
	if (in->sinks == INPUT_SINKS_MAX)
		return err_set(e, -ENOSPC, "more than %d keyboards and mice", INPUT_SINKS_MAX);
	in->sink[in->sinks++] = *sink;
	return 0;
}

void input_detach(struct input *in, void *opaque)
{
	for (unsigned n = in->sinks; n-- > 0;) {
		if (in->sink[n].opaque != opaque)
			continue;
		memmove(&in->sink[n], &in->sink[n + 1], (in->sinks - n - 1) * sizeof(in->sink[0]));
		in->sinks--;
	}
}

int input_create(struct input **out, struct loop *loop, struct err *e)
{
	struct input *in = calloc(1, sizeof(*in));

	if (!in)
		return err_set(e, -ENOMEM, "out of memory");
	timer_init(&in->timer, loop_timers(loop), run_queue, in);
	*out = in;
	return 0;
}

void input_destroy(struct input *in)
{
	if (!in)
		return;
	timer_cancel(&in->timer);
	free(in);
}

/* ---- names ---- */

int input_button_by_name(const char *name)
{
	static const char *const names[BUTTON_COUNT] = { "left",       "middle", "right", "wheel-up",   "wheel-down",
							 "side",       "extra",  "wheel-left", "wheel-right",
							 "touch" };

	for (int n = 0; n < BUTTON_COUNT; n++)
		if (!strcmp(names[n], name))
			return n;
	return -1;
}

int input_axis_by_name(const char *name)
{
	return !strcmp(name, "x") ? AXIS_X : !strcmp(name, "y") ? AXIS_Y : -1;
}
