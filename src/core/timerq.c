/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The timer queue of clock.h: a binary heap of pointers, smallest deadline first. */
#include "core/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Timers are the parts of devices, so their number is bounded by the machine, never by the guest. */
enum { TIMERQ_MAX = 4096 };

struct timerq {
	const struct clock *clock;
	void (*wake)(void *opaque);
	void *opaque;
	pthread_mutex_t lock; /* heap, and slot and deadline of every timer of this queue; a leaf */
	unsigned count;
	struct timer *heap[TIMERQ_MAX];
};

int timerq_create(struct timerq **out, const struct clock *clock, void (*wake)(void *opaque), void *opaque,
		  struct err *e)
{
	struct timerq *q = calloc(1, sizeof(*q));

	if (!q)
		return err_set(e, -ENOMEM, "out of memory");
	q->clock = clock;
	q->wake = wake;
	q->opaque = opaque;
	pthread_mutex_init(&q->lock, NULL);
	*out = q;
	return 0;
}

void timerq_destroy(struct timerq *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q);
}

const struct clock *timerq_clock(const struct timerq *q)
{
	return q->clock;
}

/* ---- heap, under the lock ---- */

static void put(struct timerq *q, unsigned at, struct timer *t)
{
	q->heap[at] = t;
	t->slot = at + 1;
}

static void sift_up(struct timerq *q, unsigned at, struct timer *t)
{
	while (at) {
		unsigned parent = (at - 1) / 2;

		if (q->heap[parent]->deadline_ns <= t->deadline_ns)
			break;
		put(q, at, q->heap[parent]);
		at = parent;
	}
	put(q, at, t);
}

static void sift_down(struct timerq *q, unsigned at, struct timer *t)
{
	for (;;) {
		unsigned child = 2 * at + 1;

		if (child >= q->count)
			break;
		if (child + 1 < q->count && q->heap[child + 1]->deadline_ns < q->heap[child]->deadline_ns)
			child++;
		if (t->deadline_ns <= q->heap[child]->deadline_ns)
			break;
		put(q, at, q->heap[child]);
		at = child;
	}
	put(q, at, t);
}

static void take_out(struct timerq *q, struct timer *t)
{
	unsigned at = t->slot - 1;
	struct timer *last;

	if (!t->slot)
		return;
	t->slot = 0;
	last = q->heap[--q->count];
	if (last == t)
		return;
	if (at && last->deadline_ns < q->heap[(at - 1) / 2]->deadline_ns)
		sift_up(q, at, last);
	else
		sift_down(q, at, last);
}

static int64_t earliest(const struct timerq *q)
{
	return q->count ? q->heap[0]->deadline_ns : INT64_MAX;
}

/* ---- queue ---- */

int64_t timerq_next(struct timerq *q)
{
	pthread_mutex_lock(&q->lock);
	int64_t next = earliest(q);
	pthread_mutex_unlock(&q->lock);
	return next;
}

/* As many as were armed at the start: one that re-arms itself in the past waits for the next run. */
void timerq_run(struct timerq *q)
{
	int64_t now = clock_now(q->clock);

	pthread_mutex_lock(&q->lock);
	for (unsigned left = q->count; left && earliest(q) <= now; left--) {
		struct timer *t = q->heap[0];
		void (*fn)(void *opaque) = t->fn;
		void *opaque = t->opaque;

		take_out(q, t);
		pthread_mutex_unlock(&q->lock);
		fn(opaque);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
}

void timer_init(struct timer *t, struct timerq *q, void (*fn)(void *opaque), void *opaque)
{
	*t = (struct timer){.queue = q, .fn = fn, .opaque = opaque};
}

void timer_arm(struct timer *t, int64_t deadline_ns)
{
	struct timerq *q = t->queue;

	pthread_mutex_lock(&q->lock);
	int64_t before = earliest(q);
	take_out(q, t);
	assert(q->count < TIMERQ_MAX);
	t->deadline_ns = deadline_ns;
	sift_up(q, q->count++, t);
	bool sooner = earliest(q) < before;
	pthread_mutex_unlock(&q->lock);
	if (sooner && q->wake)
		q->wake(q->opaque);
}

void timer_cancel(struct timer *t)
{
	if (!t->queue)
		return; /* never initialised */
	pthread_mutex_lock(&t->queue->lock);
	take_out(t->queue, t);
	pthread_mutex_unlock(&t->queue->lock);
}

bool timer_armed(struct timer *t)
{
	pthread_mutex_lock(&t->queue->lock);
	bool armed = t->slot != 0;
	pthread_mutex_unlock(&t->queue->lock);
	return armed;
}
