/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues, the device's side (virtio 1.2, 2.7).
 *
 * Addresses and size are checked and frozen by virtq_enable; the rings are reached through pointers taken then. Every
 * value of the guest is read once, checked, then used. A queue that breaks the rules is `broken` and gives nothing
 * more until its reset; the caller puts the device into "needs reset".
 *
 * One thread at a time: the device's lock is held around every call.
 */
#ifndef PANAL_DEVICES_VIRTIO_VIRTQUEUE_H
#define PANAL_DEVICES_VIRTIO_VIRTQUEUE_H

#include "base/err.h"
#include <sys/uio.h>

struct gmem;

enum { VIRTQ_SIZE_MAX = 1024 };

/* One buffer of the guest. Owned by the device between virtq_pop and virtq_push. */
struct virtq_elem {
	uint16_t head;
	unsigned segs;     /* entries of iov and gpa: readable ones first */
	unsigned readable; /* the first so many are for the device to read, the rest to write */
	uint64_t readable_len, writable_len;
	struct iovec *iov; /* host pointers; the guest changes what is behind them at any time */
	uint64_t *gpa;
	unsigned seg_max;
};

/* What a driver may set before the queue is enabled, and where the device stands in it. Plain data: it is saved. */
struct virtq_setup {
	uint16_t size;
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical */
	uint16_t last_avail, used_idx;
};

struct virtq {
	/* constant after virtq_init */
	struct gmem *mem;
	uint16_t size_max;

	/* lock of the device */
	struct virtq_setup s;
	bool event_idx, indirect; /* negotiated */
	bool broken;
	const char *why; /* text for the log when broken */
	uint16_t signalled; /* used_idx when the driver was last notified */
	bool signalled_valid;
	uint8_t *desc, *avail, *used; /* NULL: not enabled */
};

/* size_max: power of two, at most VIRTQ_SIZE_MAX. */
void virtq_init(struct virtq *q, struct gmem *mem, uint16_t size_max);
/* To the state after power-on; size is size_max. */
void virtq_reset(struct virtq *q);
/* Checks size and addresses against guest memory and starts the queue at s.last_avail, s.used_idx. -EINVAL with the
 * reason in q->why; the queue is broken then. */
int virtq_enable(struct virtq *q, bool event_idx, bool indirect) ATTR_MUST_USE;

/* Room for chains of up to seg_max segments. */
int virtq_elem_init(struct virtq_elem *el, unsigned seg_max) ATTR_MUST_USE;
void virtq_elem_free(struct virtq_elem *el);

/* Takes the next chain: 1, 0 when the ring is empty, -EINVAL when the queue just broke or is. */
int virtq_pop(struct virtq *q, struct virtq_elem *el) ATTR_MUST_USE;
/* Puts the chain that was taken last back, to be taken again. */
void virtq_unpop(struct virtq *q);
/* Gives a chain back; written is what the device stored from the start of the writable part. Marks that much of the
 * guest's memory as written. */
void virtq_push(struct virtq *q, const struct virtq_elem *el, uint32_t written);
/* As virtq_push, but the driver does not see it until virtq_publish: n-th of several buffers given back at once. */
void virtq_fill(struct virtq *q, const struct virtq_elem *el, uint32_t written, unsigned n);
void virtq_publish(struct virtq *q, unsigned count);

/* Must the driver be told of what was pushed since the last time? */
bool virtq_wants_notify(struct virtq *q);
/* Asks the driver for notifications, or says that none are needed (a hint). */
void virtq_notifications(struct virtq *q, bool on);
bool virtq_empty(const struct virtq *q);
/* How many chains wait; 0 when broken or not enabled. A guest's number: it may be absurd. */
uint16_t virtq_waiting(const struct virtq *q);

/* Bytes at offset skip of the readable part into buf; returns how many there were. */
size_t virtq_copy_out(const struct virtq_elem *el, size_t skip, void *buf, size_t len);
/* Bytes into the writable part at offset skip; returns how many fitted. */
size_t virtq_copy_in(const struct virtq_elem *el, size_t skip, const void *buf, size_t len);

#endif
