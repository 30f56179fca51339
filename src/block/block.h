/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images and block devices of the host, as the devices see them: asynchronous requests on one loop.
 *
 * The format is always named by the user, never guessed from content. An image that is open for writing is locked
 * (fcntl OFD locks); a second machine gets a clear error.
 */
#ifndef PANAL_BLOCK_BLOCK_H
#define PANAL_BLOCK_BLOCK_H

#include "base/err.h"
#include <sys/uio.h>

struct blk;
struct loop;

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

enum { BLK_SECTOR = 512, BLK_IOV_MAX = 1024, BLK_REQ_PRIV = 192 };

/* Owned by the submitter until done is called. */
struct blk_req {
	enum blk_op op;
	bool fua;     /* BLK_WRITE, BLK_WRITE_ZEROES: durable when done */
	bool may_unmap; /* BLK_WRITE_ZEROES: the range may become a hole */
	uint64_t offset, len; /* bytes, multiples of BLK_SECTOR; len 0 for flush */
	struct iovec *iov;    /* READ, WRITE: sums to len; memory stays until done */
	unsigned iov_count;
	int result; /* 0 or a negative errno */
	void (*done)(struct blk_req *req); /* on the blk's loop thread */
	void *opaque;
	/* the block room's own; need not be initialised */
	uint64_t begun_ns;
	union {
		void *align;
		uint8_t bytes[BLK_REQ_PRIV];
	} priv;
};

struct blk_info {
	uint64_t size; /* bytes */
	uint32_t block_size_physical;
	uint32_t discard_granularity;
	bool read_only, can_discard, can_zero;
	char serial[21];
};

struct blk_open {
	const char *path; /* with file: only what it is called */
	const int *file;  /* NULL, or a descriptor of it that is open already; borrowed */
	const char *format; /* "raw", "qcow2"; NULL = "raw" */
	const char *snapshot; /* qcow2: NULL, or the internal snapshot to read (then read_only) */
	bool read_only;
	bool direct;        /* O_DIRECT: cache=none */
	bool ignore_flush;  /* cache=unsafe */
	const char *engine; /* "io_uring", "threads"; NULL: io_uring where the host allows it */
	struct loop *loop;
};

/* What was done since the image was opened, or blk_stats_carry. Requests that failed count as errors only. */
struct blk_stats {
	struct blk_count {
		uint64_t requests, bytes, ns, errors;
	} read, write, flush, discard; /* write: with zeroes written */
};

int blk_open(struct blk **out, const struct blk_open *o, struct err *e) ATTR_MUST_USE;
/* No request may be under way or wait. NULL is allowed. Before the loop ends. */
void blk_close(struct blk *b);
const struct blk_info *blk_info(const struct blk *b);
/* The loop that was given to blk_open. */
struct loop *blk_loop(const struct blk *b);

/*
 * Gives the image another size, in bytes, a multiple of BLK_SECTOR; what lies behind a smaller one is lost. A block
 * device has the size that the host gave it: then it is only looked at again. Waits for what is under way; then the
 * device is told. Loop thread. Errors: -EROFS, -EINVAL, -ENOTSUP, the host's; the size is then the old one.
 */
int blk_resize(struct blk *b, uint64_t size, struct err *e) ATTR_MUST_USE;
/* The device that wants to know of another size; fn is called on the loop's thread. NULL: it no longer does. */
void blk_on_resize(struct blk *b, void (*fn)(void *opaque), void *opaque);

/* Loop thread. */
const struct blk_stats *blk_stats(const struct blk *b);
/* Numbers go on from those of the image that this one takes the place of. Loop thread. */
void blk_stats_carry(struct blk *b, const struct blk_stats *from);

/* What becomes of a request that failed. STOP: it waits for blk_retry or blk_fail; ENOSPC: that, if the host's disk is
 * full, else REPORT; IGNORE: it counts as done, and what was to be read is zeros. */
enum blk_policy { BLK_REPORT, BLK_STOP, BLK_ENOSPC, BLK_IGNORE };
struct blk_watch {
	enum blk_policy read, write; /* write: and all else */
	/* A request failed, and what was done: REPORT, STOP or IGNORE. Loop thread; not to submit or close anything. */
	void (*failed)(void *opaque, enum blk_op op, int error, enum blk_policy did);
	/* The image's file was written beyond the threshold (or has grown beyond it), which is 0 again. Likewise. */
	void (*exceeded)(void *opaque, uint64_t threshold, uint64_t by);
	void *opaque;
};
void blk_watch(struct blk *b, const struct blk_watch *w);
/* Offset in the file; 0: none. Loop thread. */
void blk_set_threshold(struct blk *b, uint64_t offset);
/* Requests that wait are tried once more; or they fail, and their done functions are called before the return. Loop
 * thread, from no done function. */
void blk_retry(struct blk *b);
void blk_fail(struct blk *b);

/* Never fails here; the result comes with done, never before blk_submit returned. Loop thread. */
void blk_submit(struct blk *b, struct blk_req *req);
/* What is submitted between the two starts as one batch, at the latest with blk_unplug. They nest. Loop thread. */
void blk_plug(struct blk *b);
void blk_unplug(struct blk *b);

/* Calls fn on the loop, once, when nothing is under way any more. Loop thread. -ENOMEM is the only failure. */
int blk_drain(struct blk *b, void (*fn)(void *opaque), void *opaque) ATTR_MUST_USE;
/* Returns when nothing is under way (what waits because it failed waits on); done functions are called meanwhile, on
 * the loop's thread. From the loop's thread, or, for the loop of a loop_thread, from any other that holds no lock that
 * done functions take. */
void blk_wait(struct blk *b);

#endif
