/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 images, versions 2 and 3, as blocking calls. Any thread, several at once, but for open, close, resize, check.
 *
 * A write is safe against a power cut once qcow2_flush returned; a cut before leaves old or new sectors and at most
 * clusters that are counted and not used (leaks). What the format offers and this does not carry is refused when the
 * image is opened: encryption, an external data file, extended L2 entries.
 */
#ifndef PANAL_BLOCK_QCOW2_H
#define PANAL_BLOCK_QCOW2_H

#include "block/qcow2_file.h"

struct qcow2;

enum qcow2_compression { QCOW2_ZLIB, QCOW2_ZSTD };
enum { QCOW2_CLUSTER_BITS_MIN = 9, QCOW2_CLUSTER_BITS_MAX = 21, QCOW2_CLUSTER_BITS = 16, QCOW2_CHAIN_MAX = 64 };

struct qcow2_open {
	const char *path; /* for messages, and to find a backing file with a relative name */
	const char *snapshot; /* NULL: the live disk; else name or id of an internal snapshot (then read_only) */
	bool read_only;
	bool no_backing;  /* do not open the backing file: what it holds reads as zeros */
	bool for_check;   /* open a dirty or damaged image as it is, so that it can be checked */
	unsigned depth;   /* how many images stand above this one in its chain */
};

/* *file goes to the image, also on failure. Errors: -EINVAL (not such an image), -ENOTSUP, -EIO. */
int qcow2_open(struct qcow2 **out, struct q_file *file, const struct qcow2_open *o, struct err *e) ATTR_MUST_USE;
/* Flushes what is left; the result of that. NULL is allowed. */
int qcow2_close(struct qcow2 *q);

uint64_t qcow2_size(const struct qcow2 *q);    /* bytes of the disk, a multiple of 512 */
uint32_t qcow2_cluster(const struct qcow2 *q); /* bytes */

/* offset and len: multiples of 512, inside the disk. 0 or a negative errno. */
int qcow2_readv(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count) ATTR_MUST_USE;
int qcow2_writev(struct qcow2 *q, uint64_t offset, uint64_t len, const struct iovec *iov, unsigned count) ATTR_MUST_USE;
/* The range reads as zeros afterwards. */
int qcow2_zero(struct qcow2 *q, uint64_t offset, uint64_t len) ATTR_MUST_USE;
/* As zero, for the whole clusters inside the range; others keep what they hold. */
int qcow2_discard(struct qcow2 *q, uint64_t offset, uint64_t len) ATTR_MUST_USE;
/* Gives every cluster that the image does not hold a place in the file, where it is zeros; so no write has to find one.
 * For an image that was just made and has no backing file. */
int qcow2_preallocate(struct qcow2 *q) ATTR_MUST_USE;
int qcow2_flush(struct qcow2 *q) ATTR_MUST_USE;
/* One cluster (the last may be short: zeros behind it) that was never written. */
int qcow2_write_compressed(struct qcow2 *q, uint64_t offset, const void *data) ATTR_MUST_USE;
/* From offset, *len bytes at most: does the image itself hold it (1), is it zeros (0), or does the backing file hold it
 * (-1)? *len becomes how far that is so. */
int qcow2_extent(struct qcow2 *q, uint64_t offset, uint64_t *len);

/* Grows, or with shrink cuts off. */
int qcow2_resize(struct qcow2 *q, uint64_t size, bool shrink, struct err *e) ATTR_MUST_USE;

struct qcow2_create {
	uint64_t size;
	unsigned cluster_bits; /* 0: QCOW2_CLUSTER_BITS */
	unsigned version;      /* 2 or 3; 0: 3 */
	enum qcow2_compression compression;
	bool lazy_refcounts;
	const char *backing, *backing_format; /* both or neither */
};
/* An empty image into an empty file, durable when it returns. The file stays the caller's. */
int qcow2_create(const struct q_file *file, const struct qcow2_create *c, struct err *e) ATTR_MUST_USE;

struct qcow2_snapshot_info {
	char id[64], name[256];
	uint64_t disk_size, vm_state_size;
	uint32_t date; /* seconds since 1970 */
};

struct qcow2_info {
	unsigned version, refcount_bits;
	uint32_t cluster;
	uint64_t size, file_size;
	enum qcow2_compression compression;
	bool dirty, corrupt, lazy_refcounts, bitmaps;
	const char *backing, *backing_format; /* NULL: none; live as long as the image */
	unsigned snapshots;
};
void qcow2_info(const struct qcow2 *q, struct qcow2_info *info);
/* Number n of those that info counts. */
const struct qcow2_snapshot_info *qcow2_snapshot(const struct qcow2 *q, unsigned n);

struct qcow2_check {
	uint64_t clusters, allocated, compressed, leaks, corruptions;
	uint64_t leaks_fixed, corruptions_fixed;
	bool incomplete; /* bitmaps are not followed: leaks are unknown */
	char first[160]; /* the first corruption in words; "" for none */
};
/* The image must be open and nothing under way. repair: it must be writable. Errors are those of the file. */
int qcow2_check(struct qcow2 *q, bool repair, struct qcow2_check *out, struct err *e) ATTR_MUST_USE;

#endif
