/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block engine on a few threads that make plain system calls: for hosts that refuse io_uring. */
#include "block/block_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct pool {
	int event_fd;
	unsigned workers;
	pthread_t thread[BLK_THREADS];

	pthread_mutex_t lock;
	pthread_cond_t work_came, work_ended;
	struct list waiting, ended; /* struct file_io */
	unsigned under_way;         /* submitted and not reaped */
	bool stop;
};

static int64_t perform(const struct file_io *io)
{
	int64_t rc = 0;
	switch (io->op) {
	case FILE_READ: rc = preadv2(io->fd, io->iov, io->iov_count, io->offset, io->flags); break;
	case FILE_WRITE: rc = pwritev2(io->fd, io->iov, io->iov_count, io->offset, io->flags); break;
	case FILE_SYNC: rc = fdatasync(io->fd); break;
	case FILE_FALLOCATE: rc = fallocate(io->fd, io->flags, io->offset, io->len); break;
	}
	return rc < 0 ? -errno : rc;
}

/* With the lock held. */
static void ended(struct pool *p, struct file_io *io)
{
	list_add_tail(&p->ended, &io->node);
	pthread_cond_signal(&p->work_ended);
	blk_signal(p->event_fd);
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	pthread_setname_np(pthread_self(), "panal-block"); /* from outside: a file is opened, which is forbidden then */
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (list_empty(&p->waiting) && !p->stop)
			pthread_cond_wait(&p->work_came, &p->lock);
		if (list_empty(&p->waiting))
			break;
		struct file_io *io = list_entry(p->waiting.next, struct file_io, node);
		list_remove(&io->node);
		pthread_mutex_unlock(&p->lock);
		io->result = perform(io);
		pthread_mutex_lock(&p->lock);
		ended(p, io);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void pool_close(void *engine)
{
	struct pool *p = engine;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work_came);
	pthread_mutex_unlock(&p->lock);
	while (p->workers)
		pthread_join(p->thread[--p->workers], NULL);
	pthread_cond_destroy(&p->work_came);
	pthread_cond_destroy(&p->work_ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int pool_open(void **engine, int event_fd, struct err *e)
{
	struct pool *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for block threads");
	p->event_fd = event_fd;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work_came, NULL);
	pthread_cond_init(&p->work_ended, NULL);
	list_init(&p->waiting);
	list_init(&p->ended);
	*engine = p;
	return 0;
}

static void pool_submit(void *engine, struct file_io *io)
{
	struct pool *p = engine;
	pthread_mutex_lock(&p->lock);
	p->under_way++;
	if (blk_threads(p->thread, &p->workers, worker, p)) {
		list_add_tail(&p->waiting, &io->node);
		pthread_cond_signal(&p->work_came);
	} else {
		io->result = -EAGAIN;
		ended(p, io);
	}
	pthread_mutex_unlock(&p->lock);
}

static void pool_reap(void *engine, bool wait)
{
	struct pool *p = engine;
	pthread_mutex_lock(&p->lock);
	while (wait && p->under_way && list_empty(&p->ended))
		pthread_cond_wait(&p->work_ended, &p->lock);
	while (!list_empty(&p->ended)) {
		struct file_io *io = list_entry(p->ended.next, struct file_io, node);
		list_remove(&io->node);
		p->under_way--;
		pthread_mutex_unlock(&p->lock);
		io->done(io);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

const struct blk_engine blk_engine_threads = {
	.name = "threads", .open = pool_open, .close = pool_close, .submit = pool_submit, .reap = pool_reap,
};
