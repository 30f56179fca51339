/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One transfer of a storage command: pieces of memory (the guest's, or a controller's buffer) and a request of the
 * block room. Controllers fill the pieces, command sets (ata.h, scsi.h) move data through them. Loop thread of the
 * image, but for what says otherwise.
 */
#ifndef PANAL_DEVICES_STORAGE_XFER_H
#define PANAL_DEVICES_STORAGE_XFER_H

#include "block/block.h"

struct gmem;

enum { XFER_IOV_MAX = 1024 };

struct xfer {
	struct iovec iov[XFER_IOV_MAX];
	unsigned count;
	uint64_t room;  /* bytes in all pieces */
	uint64_t moved; /* bytes that the command moved */
	int result;     /* of the block request, for done */
	struct gmem *mem;
	void (*done)(struct xfer *x); /* the block request ended */
	void *opaque;
	/* xfer.c's own */
	struct iovec part[XFER_IOV_MAX];
	struct blk_req req;
};

/* No pieces. */
void xfer_reset(struct xfer *x, struct gmem *mem);
/* Adds [gpa, gpa + len) of guest memory. False: that is not RAM, or there are too many pieces. */
bool xfer_add_guest(struct xfer *x, uint64_t gpa, uint64_t len);
/* Adds a buffer of the controller. */
bool xfer_add_host(struct xfer *x, void *buf, uint64_t len);

/* Copies from the front of the pieces, or to it; what does not fit is cut. Adds to moved. */
void xfer_put(struct xfer *x, const void *buf, uint64_t len);
uint64_t xfer_get(struct xfer *x, void *buf, uint64_t len);

/* Starts the request on the first len bytes of the pieces (READ, WRITE), or without data; done is called later. len is
 * at most room and a multiple of BLK_SECTOR. */
void xfer_start(struct xfer *x, struct blk *blk, enum blk_op op, uint64_t offset, uint64_t len, bool fua);
/* Guest memory that was written through the pieces becomes visible to the accelerator: after the last access. */
void xfer_written(struct xfer *x);

#endif
