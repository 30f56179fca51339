/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block engine on io_uring. One ring an image; completions signal the image's eventfd. */
#include "block/block_priv.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

enum { ENTRIES = 128, CQES_AT_ONCE = 32 };

struct uring {
	struct io_uring ring;
	struct list backlog; /* struct file_io for which the submission queue had no room */
	unsigned under_way;  /* given to the kernel, not reaped */
	unsigned unsent;     /* prepared, not yet given to the kernel */
};

static int uring_open(void **engine, int event_fd, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, -ENOMEM, "no memory for io_uring");
	list_init(&u->backlog);
	int rc = io_uring_queue_init(ENTRIES, &u->ring, 0);
	if (rc < 0) {
		free(u);
		return err_errno(e, -rc, "io_uring is not available on this host (choose the engine threads)");
	}
	rc = io_uring_register_eventfd(&u->ring, event_fd);
	if (rc < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return err_errno(e, -rc, "io_uring does not take an eventfd on this host (choose the engine threads)");
	}
	*engine = u;
	return 0;
}

static void uring_close(void *engine)
{
	struct uring *u = engine;
	io_uring_queue_exit(&u->ring);
	free(u);
}

static void prepare(struct io_uring_sqe *sqe, struct file_io *io)
{
	switch (io->op) {
	case FILE_READ: io_uring_prep_readv2(sqe, io->fd, io->iov, io->iov_count, io->offset, io->flags); break;
	case FILE_WRITE: io_uring_prep_writev2(sqe, io->fd, io->iov, io->iov_count, io->offset, io->flags); break;
	case FILE_SYNC: io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC); break;
	case FILE_FALLOCATE: io_uring_prep_fallocate(sqe, io->fd, io->flags, io->offset, io->len); break;
	}
	io_uring_sqe_set_data(sqe, io);
}

/* -EAGAIN and -EBUSY: the kernel wants completions reaped first; what is left goes with the next flush. */
static void uring_flush(void *engine)
{
	struct uring *u = engine;
	if (!u->unsent)
		return;
	int sent = io_uring_submit(&u->ring);
	if (sent > 0) {
		u->unsent -= sent;
		u->under_way += sent;
	}
}

static bool try_submit(struct uring *u, struct file_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	if (!sqe) {
		uring_flush(u);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (!sqe)
		return false;
	prepare(sqe, io);
	u->unsent++;
	return true;
}

static void uring_submit(void *engine, struct file_io *io)
{
	struct uring *u = engine;
	if (!list_empty(&u->backlog) || !try_submit(u, io))
		list_add_tail(&u->backlog, &io->node);
}

static void backlog_run(struct uring *u)
{
	while (!list_empty(&u->backlog)) {
		struct file_io *io = list_entry(u->backlog.next, struct file_io, node);
		list_remove(&io->node);
		if (!try_submit(u, io)) {
			list_add_head(&u->backlog, &io->node);
			return;
		}
	}
}

static void uring_reap(void *engine, bool wait)
{
	struct uring *u = engine;
	struct io_uring_cqe *cqe[CQES_AT_ONCE];
	uring_flush(u);
	if (wait && u->under_way && io_uring_wait_cqe(&u->ring, &cqe[0]) < 0)
		return; /* interrupted: the caller comes again */
	for (;;) {
		unsigned n = io_uring_peek_batch_cqe(&u->ring, cqe, CQES_AT_ONCE);
		if (!n)
			break;
		struct file_io *io[CQES_AT_ONCE];
		for (unsigned i = 0; i < n; i++) {
			io[i] = io_uring_cqe_get_data(cqe[i]);
			io[i]->result = cqe[i]->res;
		}
		io_uring_cq_advance(&u->ring, n);
		u->under_way -= n;
		for (unsigned i = 0; i < n; i++)
			io[i]->done(io[i]);
	}
	backlog_run(u);
	uring_flush(u);
}

const struct blk_engine blk_engine_uring = {
	.name = "io_uring", .open = uring_open, .close = uring_close, .submit = uring_submit, .flush = uring_flush,
	.reap = uring_reap,
};
