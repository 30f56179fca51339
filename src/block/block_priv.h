/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the block room share: formats above, engines below. Loop thread, unless said otherwise. */
#ifndef PANAL_BLOCK_PRIV_H
#define PANAL_BLOCK_PRIV_H

#include "base/list.h"
#include "block/block.h"

#include <pthread.h>

struct blk_format {
	const char *name;
	/* fd is open and locked, b->info.read_only and b->path are set. Fills the rest of b->info and b->format_data.
	 */
	int (*open)(struct blk *b, const struct blk_open *o, struct err *e);
	void (*close)(struct blk *b);
	/* Checked already: alignment, range, write permission. Ends in blk_finish, at once or later. */
	void (*submit)(struct blk *b, struct blk_req *req);
	/* NULL, or: calls blk_finish for what threads of the format's own have ended; they signal event_fd. wait:
	 * for at least one, when that is all that is left to wait for. */
	void (*reap)(struct blk *b, bool wait);
	/* Nothing is under way; the image can be written. Sets b->info.size. */
	int (*resize)(struct blk *b, uint64_t size, struct err *e);
};
extern const struct blk_format blk_format_raw, blk_format_qcow2;

/* One operation on a file descriptor. */
enum file_op { FILE_READ, FILE_WRITE, FILE_SYNC, FILE_FALLOCATE };
struct file_io {
	enum file_op op;
	int fd;
	uint64_t offset, len;
	const struct iovec *iov;
	unsigned iov_count;
	int flags; /* READ, WRITE: RWF_*; FALLOCATE: its mode */
	int64_t result; /* bytes or a negative errno */
	void (*done)(struct file_io *io); /* loop thread */
	struct blk *blk;
	struct list node; /* the engine's */
};

struct blk_engine {
	const char *name;
	/* event_fd is to be signalled when something completed: reap is called then. */
	int (*open)(void **engine, int event_fd, struct err *e);
	void (*close)(void *engine); /* nothing is under way */
	void (*submit)(void *engine, struct file_io *io);
	void (*flush)(void *engine); /* end of a batch: what was submitted really starts; may be NULL */
	/* Calls done for all that completed; wait: for at least one, when any is under way. */
	void (*reap)(void *engine, bool wait);
};
extern const struct blk_engine blk_engine_uring;
extern const struct blk_engine blk_engine_threads;

struct blk {
	/* constant after blk_open */
	const struct blk_format *format;
	void *format_data;
	const struct blk_engine *engine;
	void *engine_data;
	struct loop *loop;
	struct loop_fd *watch;
	char *path;
	int fd, event_fd;
	struct blk_info info;
	bool direct, ignore_flush, is_device;

	/* loop thread */
	bool in_event; /* the finished list is looked at before the loop sleeps */
	struct blk_stats stats;
	void (*resized)(void *opaque);
	void *resized_opaque;
	unsigned plugged;
	unsigned under_way;        /* requests submitted and not done */
	struct list finished; /* result is known, done is not yet called */
	struct list drains;
	struct list parked; /* failed, and wait; not under way */
	struct blk_watch watch_errors;
	uint64_t threshold;
};

/* Ends a request; its done function is called from the loop, not from here. */
void blk_finish(struct blk *b, struct blk_req *req, int result);
/* Starts io on the blk's engine. */
void blk_file_io(struct blk *b, struct file_io *io);

/* Any thread: event_fd is signalled. */
void blk_signal(int event_fd);
/* Those of `thread` from *started on are started, each as fn(opaque). False: there is none. To be called with the
 * first request, not with the image: threads that are there before the process gives up its rights keep them. */
enum { BLK_THREADS = 4 };
bool blk_threads(pthread_t thread[BLK_THREADS], unsigned *started, void *(*fn)(void *), void *opaque);

#endif
