/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/xfer.h"

#include "core/gmem.h"
#include <string.h>

void xfer_reset(struct xfer *x, struct gmem *mem)
{
	x->mem = mem;
	x->count = 0;
	x->room = x->moved = 0;
	x->result = 0;
}

bool xfer_add_host(struct xfer *x, void *buf, uint64_t len)
{
	if (x->count == XFER_IOV_MAX)
		return false;
	x->iov[x->count++] = (struct iovec){buf, len};
	x->room += len;
	return true;
}

bool xfer_add_guest(struct xfer *x, uint64_t gpa, uint64_t len)
{
	/* A piece may run over neighbouring blocks of RAM. */
	while (len) {
		const struct gmem_block *b = gmem_find(x->mem, gpa);
		uint64_t room = b ? b->size - (gpa - b->gpa) : 0, n = room < len ? room : len;
		void *p = b ? gmem_at(x->mem, gpa, n) : NULL;
		if (!p || !xfer_add_host(x, p, n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

void xfer_put(struct xfer *x, const void *buf, uint64_t len)
{
	const uint8_t *from = buf;
	for (unsigned n = 0; n < x->count && len; n++) {
		uint64_t take = x->iov[n].iov_len < len ? x->iov[n].iov_len : len;
		memcpy(x->iov[n].iov_base, from, take);
		from += take;
		len -= take;
		x->moved += take;
	}
}

uint64_t xfer_get(struct xfer *x, void *buf, uint64_t len)
{
	uint8_t *to = buf;
	for (unsigned n = 0; n < x->count && len; n++) {
		uint64_t take = x->iov[n].iov_len < len ? x->iov[n].iov_len : len;
		memcpy(to, x->iov[n].iov_base, take);
		to += take;
		len -= take;
		x->moved += take;
	}
	return (uint64_t)(to - (uint8_t *)buf);
}

static void request_done(struct blk_req *req)
{
	struct xfer *x = req->opaque;
	x->result = req->result;
	if (req->op == BLK_READ || req->op == BLK_WRITE)
		x->moved += req->result == 0 ? req->len : 0;
	if (req->op == BLK_READ)
		xfer_written(x);
	x->done(x);
}

void xfer_start(struct xfer *x, struct blk *blk, enum blk_op op, uint64_t offset, uint64_t len, bool fua)
{
	unsigned n = 0;
	uint64_t left = op == BLK_READ || op == BLK_WRITE ? len : 0;
	while (left) {
		x->part[n] = x->iov[n];
		if (x->part[n].iov_len > left)
			x->part[n].iov_len = left;
		left -= x->part[n++].iov_len;
	}
	x->req = (struct blk_req){.op = op, .fua = fua, .may_unmap = true, .offset = offset, .len = len, .iov = x->part,
				  .iov_count = n, .done = request_done, .opaque = x};
	blk_submit(blk, &x->req);
}

void xfer_written(struct xfer *x)
{
	for (unsigned n = 0; n < x->count; n++)
		for (unsigned i = 0; i < gmem_block_count(x->mem); i++) {
			const struct gmem_block *b = gmem_block(x->mem, i);
			uint64_t off = (uint64_t)((uint8_t *)x->iov[n].iov_base - b->host);
			if (off < b->size)
				gmem_written(x->mem, b->gpa + off, x->iov[n].iov_len);
		}
}
