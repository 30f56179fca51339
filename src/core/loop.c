/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/loop.h"

#include "base/list.h"
#include "core/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 64 };

struct loop_fd {
	struct loop *loop;
	int fd;
	unsigned events;
	bool in_epoll;
	bool removed; /* freed at the end of the round */
	loop_fd_fn fn;
	void *opaque;
	struct list node;
};

struct post {
	struct list node;
	void (*fn)(void *opaque);
	void *opaque;
};

struct loop {
	int epoll, event;
	struct clock host_clock;
	struct timerq *timers;
	struct list watches, dead;
	_Atomic bool stop;
	bool has_thread; /* constant once loop_thread_start returned */
	pthread_t thread;
	pthread_mutex_t lock;
	struct list posts; /* lock must be held */
};

static int64_t host_now(void *opaque)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void wake(void *opaque)
{
	struct loop *l = opaque;
	const uint64_t one = 1;

	if (write(l->event, &one, sizeof(one)) < 0)
		return; /* the counter is full: the loop is awake */
}

static int open_descriptors(struct loop *l, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN };

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll < 0 || l->event < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event, &ev) < 0)
		return err_errno(e, errno, "cannot make an event loop");
	return 0;
}

int loop_create(struct loop **out, const struct clock *clock, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	l->epoll = l->event = -1;
	l->host_clock = (struct clock){ .now_ns = host_now };
	list_init(&l->watches);
	list_init(&l->dead);
	list_init(&l->posts);
	pthread_mutex_init(&l->lock, NULL);
	ret = open_descriptors(l, e);
	if (ret == 0)
		ret = timerq_create(&l->timers, clock ? clock : &l->host_clock, wake, l, e);
	if (ret < 0) {
		loop_destroy(l);
		return ret;
	}
	*out = l;
	return 0;
}

static void bury(struct loop *l)
{
	list_each_safe(it, &l->dead)
	{
		list_remove(it);
		free(list_entry(it, struct loop_fd, node));
	}
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	list_each_safe(it, &l->watches)
		loop_fd_remove(list_entry(it, struct loop_fd, node));
	bury(l);
	list_each_safe(it2, &l->posts)
		free(list_entry(it2, struct post, node));
	timerq_destroy(l->timers);
	pthread_mutex_destroy(&l->lock);
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->event >= 0)
		close(l->event);
	free(l);
}

static unsigned to_epoll(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

/* A descriptor that nothing is awaited of leaves epoll, or a hang-up would be reported without end. */
static int sync_epoll(struct loop_fd *w)
{
	struct epoll_event ev = { .events = to_epoll(w->events), .data.ptr = w };
	int op = w->in_epoll ? (w->events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL) : EPOLL_CTL_ADD;

	if (!w->in_epoll && !w->events)
		return 0;
	if (epoll_ctl(w->loop->epoll, op, w->fd, &ev) < 0)
		return -errno;
	w->in_epoll = w->events;
	return 0;
}

int loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *opaque, struct loop_fd **out, struct err *e)
{
	struct loop_fd *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	*w = (struct loop_fd){ .loop = l, .fd = fd, .events = events, .fn = fn, .opaque = opaque };
	ret = sync_epoll(w);
	if (ret < 0) {
		free(w);
		return err_errno(e, -ret, "cannot watch descriptor %d", fd);
	}
	list_add_tail(&l->watches, &w->node);
	*out = w;
	return 0;
}

void loop_fd_events(struct loop_fd *w, unsigned events)
{
	if (w->events == events)
		return;
	w->events = events;
	sync_epoll(w);
}

void loop_fd_remove(struct loop_fd *w)
{
	if (!w || w->removed)
		return;
	loop_fd_events(w, 0);
	w->removed = true;
	list_remove(&w->node);
	list_add_tail(&w->loop->dead, &w->node);
}

int loop_fd_number(const struct loop_fd *w)
{
	return w->fd;
}

struct timerq *loop_timers(struct loop *l)
{
	return l->timers;
}

int loop_post(struct loop *l, void (*fn)(void *opaque), void *opaque)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct post){ .fn = fn, .opaque = opaque };
	pthread_mutex_lock(&l->lock);
	list_add_tail(&l->posts, &p->node);
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return 0;
}

struct call {
	void (*fn)(void *opaque);
	void *opaque;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static void run_call(void *opaque)
{
	struct call *c = opaque;

	c->fn(c->opaque);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->ended);
	pthread_mutex_unlock(&c->lock);
}

int loop_call(struct loop *l, void (*fn)(void *opaque), void *opaque)
{
	struct call c = { .fn = fn, .opaque = opaque };
	int ret;

	if (!l->has_thread || pthread_equal(pthread_self(), l->thread)) {
		fn(opaque);
		return 0;
	}
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.ended, NULL);
	ret = loop_post(l, run_call, &c);
	pthread_mutex_lock(&c.lock);
	while (ret == 0 && !c.done)
		pthread_cond_wait(&c.ended, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.ended);
	pthread_mutex_destroy(&c.lock);
	return ret;
}

static void run_posts(struct loop *l)
{
	for (;;) {
		struct post *p = NULL;

		pthread_mutex_lock(&l->lock);
		if (!list_empty(&l->posts)) {
			p = list_entry(l->posts.next, struct post, node);
			list_remove(&p->node);
		}
		pthread_mutex_unlock(&l->lock);
		if (!p)
			return;
		p->fn(p->opaque);
		free(p);
	}
}

/* The wait as a timespec: until the first timer, at most timeout_ms; NULL: for ever. A timer whose deadline a
 * stopped clock does not reach is looked at again after a while. */
static struct timespec *wait_time(struct loop *l, int timeout_ms, struct timespec *ts)
{
	int64_t next = timerq_next(l->timers), wait = timeout_ms < 0 ? INT64_MAX : timeout_ms * INT64_C(1000000);

	if (next != INT64_MAX) {
		int64_t left = next - clock_now(timerq_clock(l->timers));

		if (left < wait)
			wait = left > 0 ? left : 0;
	}
	if (wait == INT64_MAX)
		return NULL;
	ts->tv_sec = wait / 1000000000;
	ts->tv_nsec = wait % 1000000000;
	return ts;
}

static void dispatch(struct loop *l, struct epoll_event *ev, int count)
{
	for (int n = 0; n < count; n++) {
		struct loop_fd *w = ev[n].data.ptr;
		unsigned events;
		uint64_t drained;

		if (!w) {
			if (read(l->event, &drained, sizeof(drained)) < 0)
				continue;
			continue;
		}
		if (w->removed)
			continue;
		events = (ev[n].events & EPOLLIN ? LOOP_READ : 0u) | (ev[n].events & EPOLLOUT ? LOOP_WRITE : 0u) |
		         (ev[n].events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u);
		w->fn(w->opaque, w->fd, events);
	}
}

void loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[EVENTS_AT_ONCE];
	struct timespec ts;
	int count = epoll_pwait2(l->epoll, ev, EVENTS_AT_ONCE, wait_time(l, timeout_ms, &ts), NULL);

	dispatch(l, ev, count);
	timerq_run(l->timers);
	run_posts(l);
	bury(l);
}

void loop_run(struct loop *l)
{
	while (!atomic_load(&l->stop))
		loop_once(l, -1);
	atomic_store(&l->stop, false);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}

struct loop_thread {
	struct loop *loop;
	pthread_t thread;
	char name[16];
};

static void *thread_main(void *arg)
{
	struct loop_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name); /* from outside it would open a file, which the sandbox forbids */
	loop_run(t->loop);
	return NULL;
}

int loop_thread_start(struct loop_thread **out, const char *name, struct err *e)
{
	struct loop_thread *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(t->name, sizeof(t->name), "%s", name);
	ret = loop_create(&t->loop, NULL, e);
	if (ret == 0) {
		ret = -pthread_create(&t->thread, NULL, thread_main, t);
		if (ret < 0)
			err_errno(e, -ret, "cannot start thread %s", name);
	}
	if (ret < 0) {
		loop_destroy(t->loop);
		free(t);
		return ret;
	}
	t->loop->thread = t->thread;
	t->loop->has_thread = true;
	*out = t;
	return 0;
}

struct loop *loop_thread_loop(struct loop_thread *t)
{
	return t->loop;
}

void loop_thread_stop(struct loop_thread *t)
{
	if (!t)
		return;
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	loop_destroy(t->loop);
	free(t);
}
