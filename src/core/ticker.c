/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/ticker.h"

#include "base/fd.h"
#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct ticker {
	struct timerq *queue;
	struct loop_fd *watch;
	int fd;
	pthread_mutex_t lock; /* held, and the setting of fd: the last setter has seen every deadline */
	bool held;
};

/*
 * Sets the timerfd to the earliest deadline. Any thread. The deadline is read under the lock: of two threads that
 * arm at once, the one that sets the timerfd last sees both deadlines.
 */
static void follow(void *opaque)
{
	struct ticker *t = opaque;
	struct itimerspec when = {0};

	pthread_mutex_lock(&t->lock);
	int64_t next = t->held ? INT64_MAX : timerq_next(t->queue);
	if (next != INT64_MAX) {
		int64_t wait;

		if (__builtin_sub_overflow(next, clock_now(timerq_clock(t->queue)), &wait))
			wait = next < 0 ? 1 : INT64_MAX;
		if (wait < 1)
			wait = 1; /* 0 would disarm */
		when.it_value.tv_sec = wait / 1000000000;
		when.it_value.tv_nsec = wait % 1000000000;
	}
	timerfd_settime(t->fd, 0, &when, NULL);
	pthread_mutex_unlock(&t->lock);
}

void ticker_run(struct ticker *t)
{
	if (!t->held)
		timerq_run(t->queue);
}

static void expired(void *opaque, int fd, unsigned events)
{
	uint64_t times;

	if (read(fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
		return;
	ticker_run(opaque);
	follow(opaque);
}

int ticker_create(struct ticker **out, struct loop *l, const struct clock *clock, struct err *e)
{
	struct ticker *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	ret = t->fd < 0 ? err_errno(e, errno, "cannot create a timerfd")
			: timerq_create(&t->queue, clock, follow, t, e);
	if (!ret)
		ret = loop_fd_add(l, t->fd, LOOP_READ, expired, t, &t->watch, e);
	if (ret < 0) {
		ticker_destroy(t);
		return ret;
	}
	*out = t;
	return 0;
}

void ticker_destroy(struct ticker *t)
{
	if (!t)
		return;
	loop_fd_remove(t->watch);
	timerq_destroy(t->queue);
	fd_close(&t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct timerq *ticker_timers(struct ticker *t)
{
	return t->queue;
}

void ticker_hold(struct ticker *t, bool hold)
{
	pthread_mutex_lock(&t->lock);
	t->held = hold;
	pthread_mutex_unlock(&t->lock);
	follow(t);
}
