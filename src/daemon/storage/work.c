/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/storage/work.h"

#include "core/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* All but stopping belongs to the loop's thread. */
struct works {
	struct loop *loop;
	struct list queue;
	unsigned running;
	atomic_bool stopping;
};

static void ended(void *opaque);

int works_create(struct works **out, struct loop *loop, struct err *e)
{
	struct works *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return err_set(e, -ENOMEM, "out of memory");
	ws->loop = loop;
	list_init(&ws->queue);
	*out = ws;
	return 0;
}

const atomic_bool *works_stopping(const struct works *ws)
{
	return &ws->stopping;
}

/* The result must come to the loop: with no memory for the message this waits until there is. */
static void *work_thread(void *opaque)
{
	struct work *w = opaque;

	w->run(w);
	while (loop_post(w->all->loop, ended, w) < 0)
		usleep(10000);
	return NULL;
}

static int launch(struct works *ws, struct work *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	w->all = ws;
	if (pthread_attr_init(&attr))
		return -1;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&thread, &attr, work_thread, w);
	pthread_attr_destroy(&attr);
	if (ret)
		return -1;
	ws->running++;
	return 0;
}

/* What waited is run here when no thread can be made for it: late is better than never. */
static void ended(void *opaque)
{
	struct work *w = opaque;
	struct works *ws = w->all;

	ws->running--;
	if (!list_empty(&ws->queue)) {
		struct work *next = list_entry(ws->queue.next, struct work, node);

		list_remove(&next->node);
		if (launch(ws, next) < 0) {
			next->run(next);
			next->done(next);
		}
	}
	w->done(w);
}

int works_start(struct works *ws, struct work *w)
{
	list_init(&w->node);
	w->all = ws;
	if (atomic_load(&ws->stopping))
		return -1;
	if (ws->running < WORK_THREADS_MAX)
		return launch(ws, w);
	list_add_tail(&ws->queue, &w->node);
	return 0;
}

void works_stop(struct works *ws)
{
	atomic_store(&ws->stopping, true);
	while (ws->running || !list_empty(&ws->queue))
		loop_once(ws->loop, 100);
}

void works_destroy(struct works *ws)
{
	if (!ws)
		return;
	works_stop(ws);
	free(ws);
}
