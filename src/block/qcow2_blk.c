/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 behind the requests of block.h. What is already in its place, the common case, goes straight to the image's
 * engine; what needs tables read or changed, old data copied or a sync goes to a few threads that may block.
 */
#include "block/block_priv.h"
#include "block/qcow2_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Lives in the request. */
struct job {
	struct file_io io;
	struct q_range range;
	struct list node;
	struct blk_req *req;
};

struct q_blk {
	struct qcow2 *q;
	struct blk *blk;
	unsigned straight; /* loop thread: under way on the engine */
	unsigned workers;
	pthread_t thread[BLK_THREADS];

	pthread_mutex_t lock;
	pthread_cond_t work_came, work_ended;
	struct list waiting, ended; /* struct job */
	bool stop;
};

/* --- threads --- */

static int perform(struct q_blk *d, struct blk_req *req)
{
	int rc = -EINVAL;
	switch (req->op) {
	case BLK_READ: return qcow2_readv(d->q, req->offset, req->len, req->iov, req->iov_count);
	case BLK_FLUSH: return qcow2_flush(d->q);
	case BLK_DISCARD: return qcow2_discard(d->q, req->offset, req->len);
	case BLK_WRITE: rc = qcow2_writev(d->q, req->offset, req->len, req->iov, req->iov_count); break;
	case BLK_WRITE_ZEROES: rc = qcow2_zero(d->q, req->offset, req->len); break;
	}
	return !rc && req->fua && !d->blk->ignore_flush ? qcow2_flush(d->q) : rc;
}

/* With the lock held. */
static void ended(struct q_blk *d, struct job *j)
{
	list_add_tail(&d->ended, &j->node);
	pthread_cond_signal(&d->work_ended);
	blk_signal(d->blk->event_fd);
}

static void *worker(void *arg)
{
	struct q_blk *d = arg;
	pthread_setname_np(pthread_self(), "panal-qcow2"); /* from outside: a file is opened, which is forbidden then */
	pthread_mutex_lock(&d->lock);
	for (;;) {
		while (list_empty(&d->waiting) && !d->stop)
			pthread_cond_wait(&d->work_came, &d->lock);
		if (list_empty(&d->waiting))
			break;
		struct job *j = list_entry(d->waiting.next, struct job, node);
		list_remove(&j->node);
		pthread_mutex_unlock(&d->lock);
		j->req->result = perform(d, j->req);
		pthread_mutex_lock(&d->lock);
		ended(d, j);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static void to_threads(struct q_blk *d, struct job *j)
{
	pthread_mutex_lock(&d->lock);
	if (blk_threads(d->thread, &d->workers, worker, d)) {
		list_add_tail(&d->waiting, &j->node);
		pthread_cond_signal(&d->work_came);
	} else {
		j->req->result = -EAGAIN;
		ended(d, j);
	}
	pthread_mutex_unlock(&d->lock);
}

/* --- straight to the engine --- */

static void straight_done(struct file_io *io)
{
	struct job *j = container_of(io, struct job, io);
	struct q_blk *d = io->blk->format_data;
	d->straight--;
	q_range_end(d->q, &j->range);
	if (io->result == (int64_t)j->req->len)
		blk_finish(io->blk, j->req, 0);
	else if (io->result < 0 && io->result != -EINTR && io->result != -EAGAIN)
		blk_finish(io->blk, j->req, io->result);
	else
		to_threads(d, j); /* short: at the end of the file, or by chance */
}

static bool aligned(const struct blk *b, const struct blk_req *req)
{
	for (unsigned i = 0; b->direct && i < req->iov_count; i++)
		if (((uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len) % BLK_SECTOR)
			return false;
	return true;
}

/* Locked. True when all of it is in one place, whose table is in memory, and nobody is changing that. */
static bool in_one_place(struct qcow2 *q, const struct blk_req *req, struct q_extent *x)
{
	uint64_t first = req->offset >> q->cluster_bits, last = (req->offset + req->len - 1) >> q->cluster_bits;
	for (uint64_t n = first / q->l2_entries; n <= last / q->l2_entries; n++)
		if (n >= q->cache[Q_L2].slots || !q_cache_find(&q->cache[Q_L2], n))
			return false;
	if (q_range_busy(q, req->offset, req->len, false) || q_map(q, req->offset, req->len, x))
		return false;
	return x->kind == Q_DATA && x->len == req->len && (req->op == BLK_READ || x->in_place);
}

static bool go_straight(struct q_blk *d, struct job *j)
{
	struct blk_req *req = j->req;
	struct qcow2 *q = d->q;
	struct q_extent x;
	if ((req->op != BLK_READ && req->op != BLK_WRITE) || req->fua || !aligned(d->blk, req))
		return false;
	/* Who holds it may be waiting for the disk: the loop does not. */
	if (pthread_mutex_trylock(&q->lock))
		return false;
	bool can = in_one_place(q, req, &x);
	if (can) {
		j->range.exclusive = false;
		q_range_add(q, &j->range, req->offset, req->len);
	}
	pthread_mutex_unlock(&q->lock);
	if (!can)
		return false;
	j->io = (struct file_io){.op = req->op == BLK_READ ? FILE_READ : FILE_WRITE, .fd = d->blk->fd, .offset = x.host,
				 .len = req->len, .iov = req->iov, .iov_count = req->iov_count, .blk = d->blk,
				 .done = straight_done};
	d->straight++;
	blk_file_io(d->blk, &j->io);
	return true;
}

static void q_submit(struct blk *b, struct blk_req *req)
{
	static_assert(sizeof(struct job) <= BLK_REQ_PRIV, "room in a request");
	struct job *j = (void *)req->priv.bytes;
	j->req = req;
	if (!go_straight(b->format_data, j))
		to_threads(b->format_data, j);
}

/* With wait: for one job, when none has ended and the engine is idle, so that no job waits for what only we reap. */
static void q_reap(struct blk *b, bool wait)
{
	struct q_blk *d = b->format_data;
	pthread_mutex_lock(&d->lock);
	while (wait && !d->straight && list_empty(&d->ended) && list_empty(&b->finished))
		pthread_cond_wait(&d->work_ended, &d->lock);
	while (!list_empty(&d->ended)) {
		struct job *j = list_entry(d->ended.next, struct job, node);
		list_remove(&j->node);
		blk_finish(b, j->req, j->req->result);
	}
	pthread_mutex_unlock(&d->lock);
}

/* --- opening --- */

static void q_blk_close(struct blk *b)
{
	struct q_blk *d = b->format_data;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->work_came);
	pthread_mutex_unlock(&d->lock);
	while (d->workers)
		pthread_join(d->thread[--d->workers], NULL);
	(void)!qcow2_close(d->q);
	pthread_cond_destroy(&d->work_came);
	pthread_cond_destroy(&d->work_ended);
	pthread_mutex_destroy(&d->lock);
	free(d);
	b->format_data = NULL;
}

static int open_image(struct q_blk *d, const struct blk_open *o, struct err *e)
{
	struct qcow2_open qo = {.path = o->path, .read_only = o->read_only, .snapshot = o->snapshot};
	struct q_file file;
	if (o->snapshot && !o->read_only)
		return err_set(e, -EINVAL, "image %s: a snapshot can only be read; add readonly", o->path);
	if (d->blk->is_device)
		return err_set(e, -ENOTSUP, "image %s: qcow2 on a block device is not supported; use a file", o->path);
	int rc = q_file_posix(&file, d->blk->fd, false, o->direct);
	if (rc)
		return err_set(e, rc, "image %s: no memory", o->path);
	return qcow2_open(&d->q, &file, &qo, e);
}

static void fill_info(struct blk *b, const struct qcow2 *q)
{
	b->info.size = qcow2_size(q);
	b->info.block_size_physical = 4096;
	b->info.discard_granularity = qcow2_cluster(q);
	b->info.can_discard = b->info.can_zero = !b->info.read_only;
}

static int q_blk_open(struct blk *b, const struct blk_open *o, struct err *e)
{
	struct q_blk *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "image %s: no memory", o->path);
	d->blk = b;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work_came, NULL);
	pthread_cond_init(&d->work_ended, NULL);
	list_init(&d->waiting);
	list_init(&d->ended);
	b->format_data = d;
	int rc = open_image(d, o, e);
	if (rc) {
		q_blk_close(b);
		return rc;
	}
	fill_info(b, d->q);
	return 0;
}

/* The threads stand still: they work only on what was submitted. */
static int q_resize(struct blk *b, uint64_t size, struct err *e)
{
	struct q_blk *d = b->format_data;
	int rc = qcow2_resize(d->q, size, true, e);
	b->info.size = qcow2_size(d->q);
	return rc;
}

const struct blk_format blk_format_qcow2 = {
	.name = "qcow2", .open = q_blk_open, .close = q_blk_close, .submit = q_submit, .reap = q_reap,
	.resize = q_resize,
};
