/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw images: the bytes of a file or of a block device are the bytes of the disk. */
#include "block/block_priv.h"

#include "base/bytes.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { ZEROES = 65536, ZERO_SEGS = 64, MEMORY_ALIGN = 4096 };

/* Lives in the request. */
struct raw_io {
	struct file_io io;
	struct blk_req *req;
	uint64_t done;         /* bytes so far */
	struct iovec *own_iov; /* freed at the end; NULL: the submitter's is used */
	void *bounce;          /* aligned copy for O_DIRECT */
	struct iovec bounce_iov;
};

struct raw {
	uint64_t file_size; /* bytes at open; the last sector may be only partly there */
	bool no_zero_range, no_punch;
};

static const uint8_t zeroes[ZEROES] __attribute__((aligned(MEMORY_ALIGN)));

static void io_start(struct raw_io *r, enum file_op op, void (*done)(struct file_io *io))
{
	r->io.op = op;
	r->io.done = done;
	blk_file_io(r->io.blk, &r->io);
}

static void io_end(struct raw_io *r, int result)
{
	struct blk_req *req = r->req;
	struct blk *b = r->io.blk;
	if (r->bounce && !result && req->op == BLK_READ) {
		const uint8_t *from = r->bounce;
		for (unsigned i = 0; i < req->iov_count; from += req->iov[i++].iov_len)
			memcpy(req->iov[i].iov_base, from, req->iov[i].iov_len);
	}
	free(r->bounce);
	free(r->own_iov);
	blk_finish(b, req, result);
}

static void sync_done(struct file_io *io)
{
	io_end(container_of(io, struct raw_io, io), io->result < 0 ? (int)io->result : 0);
}

static void finish_durably(struct raw_io *r)
{
	if (r->req->fua && !r->io.blk->ignore_flush)
		io_start(r, FILE_SYNC, sync_done);
	else
		io_end(r, 0);
}

/* --- reading and writing --- */

/* Zeros for what the file does not hold of its last sector. More than that missing: the file was cut. */
static bool tail_zero(struct raw_io *r)
{
	const struct raw *raw = r->io.blk->format_data;
	uint64_t at = r->req->offset + r->done;
	if (at < raw->file_size)
		return false;
	uint64_t skip = r->done;
	for (unsigned i = 0; i < r->io.iov_count; i++) {
		const struct iovec *v = &r->io.iov[i];
		if (skip < v->iov_len)
			memset((uint8_t *)v->iov_base + skip, 0, v->iov_len - skip);
		skip -= skip < v->iov_len ? skip : v->iov_len;
	}
	return true;
}

/* After a short transfer: the segments that are left, in memory of our own. */
static int rest_of_iov(struct raw_io *r, uint64_t advance)
{
	unsigned count = r->io.iov_count;
	struct iovec *rest = malloc(count * sizeof(*rest));
	if (!rest)
		return -ENOMEM;
	memcpy(rest, r->io.iov, count * sizeof(*rest));
	unsigned first = 0;
	while (first < count && advance >= rest[first].iov_len)
		advance -= rest[first++].iov_len;
	assert(first < count);
	rest[first].iov_base = (uint8_t *)rest[first].iov_base + advance;
	rest[first].iov_len -= advance;
	memmove(rest, rest + first, (count - first) * sizeof(*rest));
	free(r->own_iov);
	r->io.iov = r->own_iov = rest;
	r->io.iov_count = count - first;
	return 0;
}

static void transfer_done(struct file_io *io)
{
	struct raw_io *r = container_of(io, struct raw_io, io);
	if (io->result < 0) {
		if (io->result == -EINTR || io->result == -EAGAIN)
			blk_file_io(io->blk, io);
		else
			io_end(r, (int)io->result);
		return;
	}
	r->done += io->result;
	if (r->done >= r->req->len) {
		io_end(r, 0);
	} else if (io->result == 0) {
		/* Nothing more comes. tail_zero counts from the start of the request. */
		io->iov = r->bounce ? &r->bounce_iov : r->req->iov;
		io->iov_count = r->bounce ? 1 : r->req->iov_count;
		io_end(r, r->req->op == BLK_READ && tail_zero(r) ? 0 : -EIO);
	} else {
		int rc = rest_of_iov(r, io->result);
		io->offset += io->result;
		io->len -= io->result;
		if (rc)
			io_end(r, rc);
		else
			blk_file_io(io->blk, io);
	}
}

static bool needs_bounce(const struct blk *b, const struct blk_req *req)
{
	for (unsigned i = 0; b->direct && i < req->iov_count; i++)
		if (((uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len) % BLK_SECTOR)
			return true;
	return false;
}

static int bounce(struct raw_io *r)
{
	struct blk_req *req = r->req;
	r->bounce = aligned_alloc(MEMORY_ALIGN, round_up(req->len, MEMORY_ALIGN));
	if (!r->bounce)
		return -ENOMEM;
	uint8_t *to = r->bounce;
	for (unsigned i = 0; req->op == BLK_WRITE && i < req->iov_count; to += req->iov[i++].iov_len)
		memcpy(to, req->iov[i].iov_base, req->iov[i].iov_len);
	r->bounce_iov = (struct iovec){r->bounce, req->len};
	r->io.iov = &r->bounce_iov;
	r->io.iov_count = 1;
	return 0;
}

static void transfer(struct raw_io *r)
{
	struct blk *b = r->io.blk;
	r->io.iov = r->req->iov;
	r->io.iov_count = r->req->iov_count;
	if (needs_bounce(b, r->req) && bounce(r) < 0) {
		io_end(r, -ENOMEM);
		return;
	}
	bool write = r->req->op == BLK_WRITE;
	r->io.flags = write && r->req->fua && !b->ignore_flush ? RWF_DSYNC : 0;
	io_start(r, write ? FILE_WRITE : FILE_READ, transfer_done);
}

/* --- zeros and holes --- */

static void zeroes_written(struct file_io *io);

static void write_zeroes(struct raw_io *r)
{
	uint64_t left = r->req->len - r->done;
	unsigned n = 0;
	for (; n < ZERO_SEGS && left; n++) {
		uint64_t part = left < ZEROES ? left : ZEROES;
		r->own_iov[n] = (struct iovec){(void *)(uintptr_t)zeroes, part};
		left -= part;
	}
	r->io.iov = r->own_iov;
	r->io.iov_count = n;
	r->io.flags = 0;
	r->io.offset = r->req->offset + r->done;
	r->io.len = r->req->len - r->done - left;
	io_start(r, FILE_WRITE, zeroes_written);
}

static void zeroes_written(struct file_io *io)
{
	struct raw_io *r = container_of(io, struct raw_io, io);
	if (io->result == 0 || (io->result < 0 && io->result != -EINTR && io->result != -EAGAIN)) {
		io_end(r, io->result ? (int)io->result : -EIO);
		return;
	}
	r->done += io->result > 0 ? io->result : 0;
	if (r->done < r->req->len)
		write_zeroes(r);
	else
		finish_durably(r);
}

static void write_zeroes_start(struct raw_io *r)
{
	r->own_iov = malloc(ZERO_SEGS * sizeof(*r->own_iov));
	if (r->own_iov)
		write_zeroes(r);
	else
		io_end(r, -ENOMEM);
}

static void allocate_done(struct file_io *io)
{
	struct raw_io *r = container_of(io, struct raw_io, io);
	struct raw *raw = io->blk->format_data;
	bool unsupported = io->result == -EOPNOTSUPP || io->result == -ENOSYS || io->result == -EINVAL;
	if (io->result == 0) {
		finish_durably(r);
	} else if (!unsupported) {
		io_end(r, (int)io->result);
	} else if (r->req->op == BLK_DISCARD) {
		/* A discard is a wish. */
		raw->no_punch = true;
		io_end(r, 0);
	} else if (io->flags & FALLOC_FL_PUNCH_HOLE) {
		raw->no_punch = true;
		write_zeroes_start(r);
	} else {
		raw->no_zero_range = true;
		write_zeroes_start(r);
	}
}

static void allocate(struct raw_io *r)
{
	const struct raw *raw = r->io.blk->format_data;
	bool punch = r->req->op == BLK_DISCARD || r->req->may_unmap;
	if (punch ? raw->no_punch : raw->no_zero_range) {
		if (r->req->op == BLK_DISCARD)
			io_end(r, 0);
		else
			write_zeroes_start(r);
		return;
	}
	r->io.flags = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	io_start(r, FILE_FALLOCATE, allocate_done);
}

static void raw_submit(struct blk *b, struct blk_req *req)
{
	static_assert(sizeof(struct raw_io) <= BLK_REQ_PRIV, "room in a request");
	struct raw_io *r = (void *)req->priv.bytes;
	*r = (struct raw_io){.req = req, .io = {.fd = b->fd, .offset = req->offset, .len = req->len, .blk = b}};
	switch (req->op) {
	case BLK_READ:
	case BLK_WRITE: transfer(r); break;
	case BLK_FLUSH: io_start(r, FILE_SYNC, sync_done); break;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES: allocate(r); break;
	}
}

/* --- opening --- */

/* Whether the device of this number takes discards; partitions have the queue one level up. */
static bool device_discards(dev_t dev)
{
	static const char *const places[] = {"queue", "../queue"};
	unsigned long long max = 0;
	for (unsigned i = 0; i < COUNT_OF(places); i++) {
		char path[96];
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/discard_max_bytes", major(dev), minor(dev),
			 places[i]);
		FILE *f = fopen(path, "re");
		if (!f)
			continue;
		bool got = fscanf(f, "%llu", &max) == 1;
		fclose(f);
		if (got)
			break;
	}
	return max > 0;
}

static int device_info(struct blk *b, const struct stat *st, uint64_t *size, struct err *e)
{
	int logical = 0;
	unsigned physical = 0;
	if (ioctl(b->fd, BLKGETSIZE64, size) < 0 || ioctl(b->fd, BLKSSZGET, &logical) < 0)
		return err_errno(e, errno, "block device %s does not tell its size", b->path);
	if (b->direct && logical > BLK_SECTOR)
		return err_set(
			e, -EINVAL,
			"block device %s has sectors of %d bytes: it cannot be used with cache=none, use another "
			"cache mode",
			b->path, logical);
	if (ioctl(b->fd, BLKPBSZGET, &physical) == 0)
		b->info.block_size_physical = physical;
	b->info.can_discard = device_discards(st->st_rdev);
	return 0;
}

static int raw_open(struct blk *b, const struct blk_open *o, struct err *e)
{
	struct stat st;
	struct raw *raw = calloc(1, sizeof(*raw));
	if (!raw)
		return err_set(e, -ENOMEM, "image %s: no memory", b->path);
	b->info.block_size_physical = BLK_SECTOR;
	int rc = fstat(b->fd, &st) < 0 ? err_errno(e, errno, "image %s cannot be examined", b->path) : 0;
	if (!rc && b->is_device) {
		rc = device_info(b, &st, &raw->file_size, e);
	} else if (!rc) {
		raw->file_size = st.st_size;
		b->info.can_discard = true;
		if (is_power_of_2(st.st_blksize) && st.st_blksize >= BLK_SECTOR && st.st_blksize <= 4096)
			b->info.block_size_physical = st.st_blksize;
	}
	if (rc) {
		free(raw);
		return rc;
	}
	b->info.size = round_up(raw->file_size, BLK_SECTOR);
	b->info.discard_granularity = b->info.block_size_physical;
	b->info.can_discard &= !b->info.read_only;
	b->info.can_zero = !b->info.read_only;
	b->format_data = raw;
	return 0;
}

static void raw_close(struct blk *b)
{
	free(b->format_data);
}

static int raw_resize(struct blk *b, uint64_t size, struct err *e)
{
	struct raw *raw = b->format_data;
	if (b->is_device) {
		off_t end = lseek(b->fd, 0, SEEK_END);
		if (end < 0 || (uint64_t)end < size)
			return err_set(e, -EINVAL, "block device %s has %lld bytes; resize it first", b->path,
				       (long long)end);
		size = round_down((uint64_t)end, BLK_SECTOR);
	} else if (ftruncate(b->fd, (off_t)size) < 0) {
		return err_errno(e, errno, "image %s cannot be resized", b->path);
	}
	raw->file_size = b->info.size = size;
	return 0;
}

const struct blk_format blk_format_raw = {.name = "raw", .open = raw_open, .close = raw_close, .submit = raw_submit,
					.resize = raw_resize};
