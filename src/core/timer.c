/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timer queues: a binary heap of pointers, ordered by deadline. */
#include "core/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { TIMER_MAX = 4096 };

struct timerq {
	const struct clock *clock;
	void (*wake)(void *opaque);
	void *opaque;
	pthread_mutex_t lock;
	/* lock must be held for these */
	struct timer *heap[TIMER_MAX];
	unsigned count;
};

int timerq_create(struct timerq **out, const struct clock *clock, void (*wake)(void *opaque), void *opaque, struct err *e)
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

static void place(struct timerq *q, unsigned at, struct timer *t)
{
	q->heap[at] = t;
	t->slot = at + 1;
}

static void sift_up(struct timerq *q, unsigned at, struct timer *t)
{
	while (at && q->heap[(at - 1) / 2]->deadline_ns > t->deadline_ns) {
		place(q, at, q->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(q, at, t);
}

static void sift_down(struct timerq *q, unsigned at, struct timer *t)
{
	for (;;) {
		unsigned child = at * 2 + 1;

		if (child >= q->count)
			break;
		if (child + 1 < q->count && q->heap[child + 1]->deadline_ns < q->heap[child]->deadline_ns)
			child++;
		if (q->heap[child]->deadline_ns >= t->deadline_ns)
			break;
		place(q, at, q->heap[child]);
		at = child;
	}
	place(q, at, t);
}

static void take_out(struct timerq *q, struct timer *t)
{
	unsigned at = t->slot - 1;
	struct timer *last = q->heap[--q->count];

	t->slot = 0;
	if (last == t)
		return;
	if (at && q->heap[(at - 1) / 2]->deadline_ns > last->deadline_ns)
		sift_up(q, at, last);
	else
		sift_down(q, at, last);
}

int64_t timerq_next(struct timerq *q)
{
	int64_t next;

	pthread_mutex_lock(&q->lock);
	next = q->count ? q->heap[0]->deadline_ns : INT64_MAX;
	pthread_mutex_unlock(&q->lock);
	return next;
}

/* A callback that arms a timer in the past is served in the next run, so that a run ends. */
void timerq_run(struct timerq *q)
{
	int64_t now = clock_now(q->clock);
	unsigned limit;

	pthread_mutex_lock(&q->lock);
	limit = q->count;
	while (limit-- && q->count && q->heap[0]->deadline_ns <= now) {
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
	*t = (struct timer){ .queue = q, .fn = fn, .opaque = opaque };
}

void timer_arm(struct timer *t, int64_t deadline_ns)
{
	struct timerq *q = t->queue;
	bool earlier;

	pthread_mutex_lock(&q->lock);
	if (t->slot)
		take_out(q, t);
	t->deadline_ns = deadline_ns;
	earlier = !q->count || deadline_ns < q->heap[0]->deadline_ns;
	if (q->count < TIMER_MAX)
		sift_up(q, q->count++, t);
	pthread_mutex_unlock(&q->lock);
	if (earlier && q->wake)
		q->wake(q->opaque);
}

void timer_cancel(struct timer *t)
{
	if (!t->queue)
		return;
	pthread_mutex_lock(&t->queue->lock);
	if (t->slot)
		take_out(t->queue, t);
	pthread_mutex_unlock(&t->queue->lock);
}

bool timer_armed(struct timer *t)
{
	bool armed;

	pthread_mutex_lock(&t->queue->lock);
	armed = t->slot;
	pthread_mutex_unlock(&t->queue->lock);
	return armed;
}
