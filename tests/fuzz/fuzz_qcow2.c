/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a qcow2 image: opened, read, written, checked, repaired. The file is memory of a bounded size. */
#include "base/bytes.h"
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20, PIECE = 4096 };

struct memory {
	uint8_t *data;
	uint64_t size;
};

static int memory_readv(void *f, const struct iovec *iov, unsigned count, uint64_t at)
{
	const struct memory *m = f;
	for (unsigned i = 0; i < count; at += iov[i++].iov_len) {
		uint64_t there = at < m->size ? m->size - at : 0;
		there = there < iov[i].iov_len ? there : iov[i].iov_len;
		if (there)
			memcpy(iov[i].iov_base, m->data + at, there);
		memset((uint8_t *)iov[i].iov_base + there, 0, iov[i].iov_len - there);
	}
	return 0;
}

static int memory_writev(void *f, const struct iovec *iov, unsigned count, uint64_t at)
{
	struct memory *m = f;
	for (unsigned i = 0; i < count; at += iov[i++].iov_len) {
		if (!range_inside(at, iov[i].iov_len, FILE_MAX))
			return -ENOSPC;
		memcpy(m->data + at, iov[i].iov_base, iov[i].iov_len);
		m->size = at + iov[i].iov_len > m->size ? at + iov[i].iov_len : m->size;
	}
	return 0;
}

static int memory_sync(void *f)
{
	return 0;
}

static int memory_punch(void *f, uint64_t at, uint64_t len)
{
	return 0;
}

static int64_t memory_size(void *f)
{
	return ((const struct memory *)f)->size;
}

static const struct q_file_ops ops = {
	.readv = memory_readv, .writev = memory_writev, .sync = memory_sync, .punch = memory_punch, .size = memory_size,
};

static int use(struct qcow2 *q)
{
	static const uint8_t places[] = {0, 1, 7, 63};
	uint8_t piece[PIECE];
	int bad = 0;
	for (unsigned n = 0; n < COUNT_OF(places); n++) {
		uint64_t at = round_down(qcow2_size(q) / 64 * places[n], 512);
		struct iovec v = {piece, sizeof(piece)};
		if (!range_inside(at, PIECE, qcow2_size(q)))
			continue;
		bad += qcow2_readv(q, at, PIECE, &v, 1) < 0;
		bad += qcow2_writev(q, at, PIECE, &v, 1) < 0;
		bad += qcow2_discard(q, at, PIECE) < 0;
		bad += qcow2_zero(q, at, 512) < 0;
	}
	return bad;
}

static void run(struct memory *m, bool read_only, bool for_check)
{
	struct q_file f = {.ops = &ops, .opaque = m};
	struct qcow2_open o = {.path = "fuzz", .read_only = read_only, .no_backing = true, .for_check = for_check};
	struct qcow2_check check;
	struct qcow2 *q;
	if (qcow2_open(&q, &f, &o, NULL))
		return;
	(void)use(q);
	(void)!qcow2_check(q, !read_only, &check, NULL);
	(void)!qcow2_close(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = {.data = calloc(1, FILE_MAX), .size = size < FILE_MAX ? size : FILE_MAX};
	struct qcow2_create c = {.size = 1 << 20, .cluster_bits = 9 + (size ? data[0] % 6 : 0)};
	struct q_file f = {.ops = &ops, .opaque = &m};
	if (!m.data)
		return 0;
	if (size > 4 && data[1] & 1) {
		/* A true image with some bytes changed gets deeper than noise does. */
		m.size = 0;
		(void)!qcow2_create(&f, &c, NULL);
		for (size_t i = 2; i + 3 < size; i += 3)
			m.data[load_le16(data + i) % 8192] = data[i + 2];
	} else if (size) {
		memcpy(m.data, data, m.size);
	}
	run(&m, true, false);
	run(&m, false, data && size > 1 && data[1] & 2);
	free(m.data);
	return 0;
}
