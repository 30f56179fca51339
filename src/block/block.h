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

enum { BLK_SECTOR = 512, BLK_IOV_MAX = 1024 };

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
	void *engine[4]; /* the engine's own */
};

struct blk_info {
	uint64_t size; /* bytes */
	uint32_t block_size_physical;
	uint32_t discard_granularity;
	bool read_only, can_discard, can_zero;
	char serial[21];
};

struct blk_open {
	const char *path;
	const char *format; /* "raw"; NULL = "raw" */
	bool read_only;
	bool direct;        /* O_DIRECT: cache=none */
	bool ignore_flush;  /* cache=unsafe */
	const char *engine; /* "io_uring", "threads"; NULL: io_uring where the host allows it */
	struct loop *loop;
};

int blk_open(struct blk **out, const struct blk_open *o, struct err *e) ATTR_MUST_USE;
/* No request may be under way. NULL is allowed. */
void blk_close(struct blk *b);
const struct blk_info *blk_info(const struct blk *b);

/* Never fails here; the result comes with done, never before blk_submit returned. Loop thread. */
void blk_submit(struct blk *b, struct blk_req *req);
/* Calls fn on the loop when all requests submitted so far are done. */
void blk_drain(struct blk *b, void (*fn)(void *opaque), void *opaque);

#endif
