/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/ahead.h"

#include "accel/soft/pages.h"
#include "base/bytes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
enum { MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23 };
#endif
#ifndef MADV_COLLAPSE
enum { MADV_COLLAPSE = 25 };
#endif

enum { WISHES = 32 };

struct ahead {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work_came, work_ended;
	enum { THREAD_NONE, THREAD_RUNS, THREAD_REFUSED } state;
	bool stop;
	uint64_t begun, ended; /* wishes */
	unsigned first, count; /* of wish, a ring */
	struct wish {
		void *at;
		size_t size;
		enum ahead_how how;
	} wish[WISHES];
};

/* In this order; one that is refused leaves the pages to come when they are touched. */
static const int advice[][3] = {
	[AHEAD_WRITE] = { MADV_POPULATE_WRITE },
	[AHEAD_READ] = { MADV_POPULATE_READ },
	[AHEAD_HUGE] = { MADV_HUGEPAGE, MADV_POPULATE_WRITE, MADV_COLLAPSE },
};

static void take(const struct wish *w)
{
	const int *a = advice[w->how];
	for (unsigned n = 0; n < COUNT_OF(advice[0]) && a[n]; n++)
		madvise(w->at, w->size, a[n]);
}

static void *work(void *opaque)
{
	struct ahead *a = opaque;
	pthread_setname_np(pthread_self(), "panal-ahead"); /* from outside it would open a file, which the sandbox forbids */
	pthread_mutex_lock(&a->lock);
	for (;;) {
		while (!a->count && !a->stop)
			pthread_cond_wait(&a->work_came, &a->lock);
		if (a->stop)
			break;
		struct wish w = a->wish[a->first];
		a->first = (a->first + 1) % WISHES;
		a->count--;
		a->begun++;
		pthread_mutex_unlock(&a->lock);
		take(&w);
		pthread_mutex_lock(&a->lock);
		a->ended++;
		pthread_cond_broadcast(&a->work_ended);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* With the lock held. */
static bool started(struct ahead *a)
{
	sigset_t all, old;
	if (a->state != THREAD_NONE)
		return a->state == THREAD_RUNS;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	a->state = pthread_create(&a->thread, NULL, work, a) ? THREAD_REFUSED : THREAD_RUNS;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return a->state == THREAD_RUNS;
}

int ahead_create(struct ahead **out, struct err *e)
{
	struct ahead *a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, "no memory for what is to be taken ahead");
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work_came, NULL);
	pthread_cond_init(&a->work_ended, NULL);
	*out = a;
	return 0;
}

void ahead_destroy(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->work_came);
	pthread_mutex_unlock(&a->lock);
	if (a->state == THREAD_RUNS)
		pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->work_came);
	pthread_cond_destroy(&a->work_ended);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void ahead_take(struct ahead *a, const void *at, size_t size, enum ahead_how how)
{
	if (!a || !size)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->count < WISHES && started(a)) {
		a->wish[(a->first + a->count++) % WISHES] = (struct wish){ (void *)(uintptr_t)at, size, how };
		pthread_cond_signal(&a->work_came);
	}
	pthread_mutex_unlock(&a->lock);
}

void ahead_settle(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->count = 0;
	const uint64_t last = a->begun;
	while (a->ended < last)
		pthread_cond_wait(&a->work_ended, &a->lock);
	pthread_mutex_unlock(&a->lock);
}

void *ahead_table_create(struct ahead_table *t, size_t size)
{
	*t = (struct ahead_table){ pages_map(size, PAGES_HUGE), size, size < PAGES_HUGE ? size : PAGES_HUGE };
	return t->at;
}

void ahead_table_destroy(struct ahead_table *t)
{
	if (t->at)
		munmap(t->at, t->size);
}

void ahead_grow(struct ahead *a, struct ahead_table *t)
{
	size_t left = t->size - t->taken, step = left < PAGES_HUGE ? left : PAGES_HUGE;
	ahead_take(a, t->at + t->taken, step, AHEAD_WRITE);
	t->taken += step;
}

/* ---- guest memory ---- */
int ahead_area_create(struct ahead_area *m, void *at, size_t size, struct err *e)
{
	_Atomic uint8_t *stretch = calloc((size >> AHEAD_STRETCH_SHIFT) + 1, 1);
	if (!stretch)
		return err_set(e, -ENOMEM, "no memory for what is known of the guest's");
	*m = (struct ahead_area){ at, size, stretch };
	return 0;
}

void ahead_area_destroy(struct ahead_area *m)
{
	free((void *)m->stretch);
	m->stretch = NULL;
}

void ahead_begin(struct ahead *a, struct ahead_area *m, uint64_t off)
{
	size_t n = off >> AHEAD_STRETCH_SHIFT, next = (n + 1) << AHEAD_STRETCH_SHIFT;
	bool follows = n && atomic_load(&m->stretch[n - 1]) & AHEAD_BEGUN;
	atomic_fetch_or(&m->stretch[n], AHEAD_BEGUN);
	if (!follows || next >= m->size || atomic_fetch_or(&m->stretch[n + 1], AHEAD_ASKED))
		return;
	ahead_take(a, m->at + next, m->size - next < AHEAD_STRETCH ? m->size - next : AHEAD_STRETCH, AHEAD_WRITE);
}
