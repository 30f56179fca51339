/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/loop.h"

#include "base/fd.h"
#include "base/list.h"
#include "core/clock.h"
#include "core/ticker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_BATCH = 32 };

struct loop_fd {
	struct loop *loop;
	struct list node; /* loop->watches, or loop->dead once removed */
	int fd;
	bool watched; /* known to epoll */
	loop_fd_fn fn; /* NULL once removed */
	void *opaque;
};

struct post {
	struct list node;
	void (*fn)(void *opaque);
	void *opaque;
};

struct loop {
	struct clock host_clock;
	struct ticker *ticker;
	int epoll_fd, event_fd;
	struct loop_fd *event_watch;
	struct list watches, dead;
	unsigned depth; /* of loop_once within callbacks */
	_Atomic bool stop;
	bool has_thread; /* constant once loop_thread_start returned */
	pthread_t thread;
	pthread_mutex_t post_lock; /* posts; a leaf */
	struct list posts;
};

static int64_t host_now(void *opaque)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- posts ---- */

int loop_post(struct loop *l, void (*fn)(void *opaque), void *opaque)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->opaque = opaque;
	pthread_mutex_lock(&l->post_lock);
	list_add_tail(&l->posts, &p->node);
	pthread_mutex_unlock(&l->post_lock);
	fd_event_signal(l->event_fd);
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
	struct call c = {.fn = fn, .opaque = opaque};
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

static struct post *take_post(struct loop *l)
{
	struct post *p = NULL;

	pthread_mutex_lock(&l->post_lock);
	if (!list_empty(&l->posts)) {
		p = list_entry(l->posts.next, struct post, node);
		list_remove(&p->node);
	}
	pthread_mutex_unlock(&l->post_lock);
	return p;
}

/* Those that are there now; a post from a post waits for the next round, so that other events have their turn. */
static void run_posts(void *opaque, int fd, unsigned events)
{
	struct loop *l = opaque;
	struct list *last;
	struct post *p;
	bool end = false;

	fd_event_clear(fd); /* first: whoever posts from here on signals again */
	pthread_mutex_lock(&l->post_lock);
	last = l->posts.prev;
	pthread_mutex_unlock(&l->post_lock);
	if (last == &l->posts)
		return;
	while (!end && (p = take_post(l))) {
		end = &p->node == last;
		if (p->fn)
			p->fn(p->opaque);
		free(p);
	}
}

/* They stay in the list, which run_posts may be in the middle of. */
void loop_unpost(struct loop *l, const void *opaque)
{
	pthread_mutex_lock(&l->post_lock);
	list_each(it, &l->posts) {
		struct post *p = list_entry(it, struct post, node);

		if (p->opaque == opaque)
			p->fn = NULL;
	}
	pthread_mutex_unlock(&l->post_lock);
}

/* ---- watches ---- */

static uint32_t to_epoll(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

static unsigned from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? LOOP_READ : 0u) | (events & EPOLLOUT ? LOOP_WRITE : 0u) |
	       (events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u);
}

/* A descriptor of which nothing is awaited leaves epoll, or its hang-up would be reported without end. */
static int watch(struct loop_fd *w, unsigned events)
{
	struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};
	int op = !w->watched ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (!w->watched && !events)
		return 0;
	if (epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev) < 0)
		return -errno;
	w->watched = events;
	return 0;
}

int loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *opaque, struct loop_fd **out,
		struct err *e)
{
	struct loop_fd *w = malloc(sizeof(*w));
	int ret;

	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	*w = (struct loop_fd){.loop = l, .fd = fd, .fn = fn, .opaque = opaque};
	ret = watch(w, events);
	if (ret < 0) {
		free(w);
		return err_errno(e, -ret, "cannot watch a descriptor");
	}
	list_add_tail(&l->watches, &w->node);
	*out = w;
	return 0;
}

void loop_fd_events(struct loop_fd *w, unsigned events)
{
	watch(w, events);
}

/* The memory stays until the round ends: its event may be further down in the batch. */
void loop_fd_remove(struct loop_fd *w)
{
	if (!w || !w->fn)
		return;
	watch(w, 0);
	w->fn = NULL;
	list_remove(&w->node);
	list_add_tail(&w->loop->dead, &w->node);
}

static void free_watches(struct list *head)
{
	list_each_safe(it, head) {
		list_remove(it);
		free(list_entry(it, struct loop_fd, node));
	}
}

/* ---- life ---- */

static int setup(struct loop *l, const struct clock *clock, struct err *e)
{
	int ret;

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return err_errno(e, errno, "cannot create an epoll descriptor");
	l->event_fd = fd_event(e);
	if (l->event_fd < 0)
		return l->event_fd;
	ret = loop_fd_add(l, l->event_fd, LOOP_READ, run_posts, l, &l->event_watch, e);
	return ret < 0 ? ret : ticker_create(&l->ticker, l, clock ? clock : &l->host_clock, e);
}

int loop_create(struct loop **out, const struct clock *clock, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	l->host_clock = (struct clock){.now_ns = host_now};
	l->epoll_fd = l->event_fd = -1;
	list_init(&l->watches);
	list_init(&l->dead);
	list_init(&l->posts);
	pthread_mutex_init(&l->post_lock, NULL);
	ret = setup(l, clock, e);
	if (ret < 0) {
		loop_destroy(l);
		return ret;
	}
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	struct post *p;

	if (!l)
		return;
	ticker_destroy(l->ticker);
	while ((p = take_post(l)))
		free(p);
	free_watches(&l->watches);
	free_watches(&l->dead);
	fd_close(&l->event_fd);
	fd_close(&l->epoll_fd);
	pthread_mutex_destroy(&l->post_lock);
	free(l);
}

struct timerq *loop_timers(struct loop *l)
{
	return ticker_timers(l->ticker);
}

void loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[EVENT_BATCH];
	int count = epoll_wait(l->epoll_fd, ev, EVENT_BATCH, timeout_ms);

	l->depth++;
	for (int n = 0; n < count; n++) {
		struct loop_fd *w = ev[n].data.ptr;
		unsigned events = from_epoll(ev[n].events);

		if (w->fn && events)
			w->fn(w->opaque, w->fd, events);
	}
	/* A virtual clock may have been moved without the timerfd's knowing. */
	ticker_run(l->ticker);
	if (!--l->depth)
		free_watches(&l->dead);
}

void loop_run(struct loop *l)
{
	while (!atomic_exchange(&l->stop, false))
		loop_once(l, -1);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	fd_event_signal(l->event_fd);
}

/* ---- a loop with a thread ---- */

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

/* Signals are the main thread's: the new thread inherits a full mask. */
static int start_thread(struct loop_thread *t)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int loop_thread_start(struct loop_thread **out, const char *name, struct err *e)
{
	struct loop_thread *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(t->name, sizeof(t->name), "%s", name);
	ret = loop_create(&t->loop, NULL, e);
	if (!ret && (ret = start_thread(t))) {
		ret = err_errno(e, ret, "cannot start the thread %s", name);
		loop_destroy(t->loop);
	}
	if (ret < 0) {
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
