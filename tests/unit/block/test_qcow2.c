/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 against a model of plain sectors: seeded streams of writes, zeros, discards, resizes and reopenings, and the
 * same with power cuts. test_qcow2 [STREAMS CUTS [SEED]]: more of them; with qemu-img, it looks at some images too.
 */
#include "base/bytes.h"
#include "block/block.h"
#include "block/qcow2.h"
#include "core/loop.h"
#include "fake_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECTORS_MAX = 8192, VERSIONS = 48, SECTOR = 512 };

struct sector {
	uint32_t now;               /* its number, in every word; 0: zeros */
	uint32_t since[VERSIONS];   /* what it may be after a cut: at the last flush and written since */
	unsigned versions;          /* over VERSIONS: anything */
};

struct model {
	struct sector s[SECTORS_MAX];
	uint64_t sectors, resized_to; /* the second: a resize was cut */
	uint32_t stamp;
	uint64_t random, seed;
	struct fake_file file;
	struct qcow2 *q;
	struct qcow2_create create;
};

struct plan {
	unsigned streams, cuts;
	uint64_t seed;
	bool qemu;
};

static uint64_t next(void *opaque)
{
	struct model *m = opaque;
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random * UINT64_C(0x2545f4914f6cdd1d) >> 8;
}

static void may_be(struct sector *s, uint32_t v)
{
	if (s->versions < VERSIONS)
		s->since[s->versions] = v;
	s->versions++;
}

static void put(struct model *m, uint64_t at, uint64_t n, uint32_t v, bool done)
{
	for (uint64_t i = at; i < at + n; i++) {
		may_be(&m->s[i], v);
		if (done)
			m->s[i].now = v;
	}
}

static void flushed(struct model *m)
{
	for (uint64_t i = 0; i < SECTORS_MAX; i++) {
		m->s[i].versions = 0;
		may_be(&m->s[i], m->s[i].now);
	}
}

static int reopen(struct model *m)
{
	struct q_file f = fake_open(&m->file);
	struct qcow2_open o = {.path = "fake"};
	return qcow2_open(&m->q, &f, &o, NULL);
}

/* Versions written by one request have one stamp: the model knows them by it. */
static int do_write(struct model *m, uint64_t at, uint64_t n)
{
	uint32_t *data = malloc(n * SECTOR), v = ++m->stamp;
	for (uint64_t i = 0; i < n * SECTOR / 4; i++)
		data[i] = v;
	uint64_t first = n * SECTOR / 2 & ~UINT64_C(511);
	struct iovec iov[2] = {{data, first}, {(uint8_t *)data + first, n * SECTOR - first}};
	int rc = qcow2_writev(m->q, at * SECTOR, n * SECTOR, iov, 2);
	put(m, at, n, v, rc == 0);
	free(data);
	return rc;
}

static int do_resize(struct model *m)
{
	uint64_t to = 64 + next(m) % (SECTORS_MAX - 64), from = m->sectors;
	for (uint64_t i = to; i < from; i++)
		may_be(&m->s[i], 0);
	m->resized_to = to;
	int rc = qcow2_resize(m->q, to * SECTOR, true, NULL);
	if (rc)
		return rc;
	for (uint64_t i = to; i < from; i++)
		m->s[i].now = 0;
	m->sectors = m->resized_to = to;
	flushed(m);
	return 0;
}

static int step(struct model *m, bool resizes)
{
	uint64_t at = next(m) % m->sectors, most = m->sectors - at, unit = qcow2_cluster(m->q) / SECTOR;
	uint64_t n = 1 + next(m) % (next(m) % 4 ? 16 : 400);
	n = n < most ? n : most;
	switch (next(m) % 24) {
	case 0: case 1: case 2: {
		int rc = qcow2_zero(m->q, at * SECTOR, n * SECTOR);
		put(m, at, n, 0, rc == 0);
		return rc;
	}
	case 3: case 4: {
		at = round_down(at, unit);
		n = round_up(n, unit);
		n = n < m->sectors - at ? n : m->sectors - at;
		int rc = qcow2_discard(m->q, at * SECTOR, n * SECTOR);
		if (n % unit == 0 || at + n == m->sectors)
			put(m, at, n, 0, rc == 0);
		return rc;
	}
	case 5: case 6: {
		int rc = qcow2_flush(m->q);
		if (!rc)
			flushed(m);
		return rc;
	}
	case 7: return resizes && next(m) % 4 == 0 ? do_resize(m) : 0;
	case 8: {
		if (next(m) % 4)
			return 0;
		int rc = qcow2_close(m->q);
		m->q = NULL;
		if (rc)
			return rc;
		flushed(m);
		return reopen(m);
	}
	default: return do_write(m, at, n);
	}
}

static void compare_all(struct model *m, bool after_cut)
{
	uint32_t data[SECTOR / 4];
	for (uint64_t i = 0; i < m->sectors; i++) {
		struct iovec v = {data, SECTOR};
		assert_int_equal(qcow2_readv(m->q, i * SECTOR, SECTOR, &v, 1), 0);
		for (unsigned w = 1; w < SECTOR / 4; w++)
			assert_int_equal(data[w], data[0]);
		bool good = data[0] == m->s[i].now && !after_cut;
		for (unsigned n = 0; after_cut && n < m->s[i].versions && n < VERSIONS; n++)
			good |= m->s[i].since[n] == data[0];
		good |= after_cut && m->s[i].versions > VERSIONS;
		if (!good)
			print_error("seed %llu, clusters of 2^%u: sector %llu holds %u, the model %u\n",
				    (unsigned long long)m->seed, m->create.cluster_bits, (unsigned long long)i, data[0],
				    m->s[i].now);
		assert_true(good);
		m->s[i].now = data[0];
	}
	for (uint64_t i = m->sectors; i < SECTORS_MAX; i++)
		m->s[i].now = 0;
}

static void check_clean(struct model *m, bool leaks_too)
{
	struct qcow2_check c;
	struct err e = {0};
	assert_int_equal(qcow2_check(m->q, false, &c, &e), 0);
	if (c.corruptions)
		print_error("seed %llu: %s\n", (unsigned long long)m->seed, c.first);
	assert_int_equal(c.corruptions, 0);
	if (leaks_too)
		assert_int_equal(c.leaks, 0);
}

static void model_up(struct model *m, uint64_t seed)
{
	static const unsigned bits[] = {9, 9, 10, 12, 12, 16};
	memset(m->s, 0, sizeof(m->s));
	m->seed = seed;
	m->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (unsigned i = 0; i < 8; i++)
		next(m);
	m->stamp = 0;
	m->sectors = m->resized_to = 64 + next(m) % (SECTORS_MAX - 64);
	m->create = (struct qcow2_create){
		.size = m->sectors * SECTOR, .cluster_bits = bits[next(m) % COUNT_OF(bits)],
		.version = next(m) % 4 ? 3 : 2};
	fake_init(&m->file);
	struct q_file f = fake_open(&m->file);
	assert_int_equal(qcow2_create(&f, &m->create, NULL), 0);
	flushed(m);
	assert_int_equal(reopen(m), 0);
}

static void ask_qemu(struct model *m)
{
	char path[] = "/tmp/panal-qcow2-XXXXXX", command[200];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, m->file.now, m->file.size), m->file.size);
	close(fd);
	snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 %s >/dev/null 2>&1", path);
	int rc = system(command);
	unlink(path);
	assert_true(WEXITSTATUS(rc) == 0 || WEXITSTATUS(rc) == 3); /* 3: leaks, no errors */
}

static void test_streams(void **state)
{
	const struct plan *plan = *state;
	struct model *m = malloc(sizeof(*m));
	for (unsigned n = 0; n < plan->streams; n++) {
		model_up(m, plan->seed + n);
		for (unsigned i = 0; i < 400; i++)
			assert_int_equal(step(m, true), 0);
		compare_all(m, false);
		check_clean(m, false);
		assert_int_equal(qcow2_close(m->q), 0);
		if (plan->qemu && n % 10 == 0)
			ask_qemu(m);
		assert_int_equal(reopen(m), 0);
		compare_all(m, false);
		check_clean(m, true);
		assert_int_equal(qcow2_close(m->q), 0);
		fake_free(&m->file);
	}
	free(m);
}

static void after_cut(struct model *m, const struct plan *plan, unsigned n)
{
	struct qcow2_check c;
	if (m->q)
		(void)!qcow2_close(m->q);
	fake_cut(&m->file, next(m) % 3 * 50, next, m);
	if (plan->qemu && n % 20 == 0)
		ask_qemu(m);
	assert_int_equal(reopen(m), 0);
	assert_true(qcow2_size(m->q) == m->sectors * SECTOR || qcow2_size(m->q) == m->resized_to * SECTOR);
	m->sectors = m->resized_to = qcow2_size(m->q) / SECTOR;
	check_clean(m, false);
	compare_all(m, true);
	assert_int_equal(qcow2_check(m->q, true, &c, NULL), 0);
	assert_int_equal(c.leaks, c.leaks_fixed);
	check_clean(m, true);
	assert_int_equal(qcow2_flush(m->q), 0);
	flushed(m);
	compare_all(m, false);
}

/* Several cuts in the life of each image: what a cut left is what the next one starts from. */
static void test_power_cuts(void **state)
{
	const struct plan *plan = *state;
	struct model *m = malloc(sizeof(*m));
	for (unsigned n = 0; n < plan->cuts; n++) {
		if (n % 10 == 0)
			model_up(m, plan->seed + 1000003 + n);
		m->file.left = next(m) % 400;
		for (unsigned i = 0; i < 300 && !m->file.dead; i++) {
			int rc = step(m, true);
			if (!m->file.dead)
				assert_int_equal(rc, 0);
			if (!m->q)
				break;
		}
		after_cut(m, plan, n);
		if (n % 10 == 9 || n + 1 == plan->cuts) {
			assert_int_equal(qcow2_close(m->q), 0);
			fake_free(&m->file);
		}
	}
	free(m);
}

/* --- compressed clusters --- */

static void compressed(enum qcow2_compression how)
{
	struct fake_file file;
	fake_init(&file);
	struct q_file f = fake_open(&file);
	struct qcow2_create c = {.size = 40 << 16, .compression = how};
	struct qcow2_open o = {.path = "fake"};
	struct qcow2 *q;
	uint8_t *data = malloc(1 << 16), *back = malloc(1 << 16);
	assert_int_equal(qcow2_create(&f, &c, NULL), 0);
	assert_int_equal(qcow2_open(&q, &f, &o, NULL), 0);
	for (unsigned n = 0; n < 40; n++) {
		for (unsigned i = 0; i < 1 << 16; i++)
			data[i] = n % 5 == 4 ? (i * 2654435761u + n * i * i) >> 13 : i / 64 * n;
		assert_int_equal(qcow2_write_compressed(q, (uint64_t)n << 16, data), 0);
	}
	memset(data, 0x77, 1 << 16);
	struct iovec v = {data, 4096};
	assert_int_equal(qcow2_writev(q, (6 << 16) + 8192, 4096, &v, 1), 0);
	assert_int_equal(qcow2_close(q), 0);
	f = fake_open(&file);
	assert_int_equal(qcow2_open(&q, &f, &o, NULL), 0);
	for (unsigned n = 0; n < 40; n++) {
		for (unsigned i = 0; i < 1 << 16; i++)
			data[i] = n % 5 == 4 ? (i * 2654435761u + n * i * i) >> 13 : i / 64 * n;
		if (n == 6)
			memset(data + 8192, 0x77, 4096);
		v = (struct iovec){back, 1 << 16};
		assert_int_equal(qcow2_readv(q, (uint64_t)n << 16, 1 << 16, &v, 1), 0);
		assert_memory_equal(back, data, 1 << 16);
	}
	struct qcow2_check check;
	assert_int_equal(qcow2_check(q, false, &check, NULL), 0);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.leaks, 0);
	assert_true(check.compressed > 20);
	assert_int_equal(qcow2_close(q), 0);
	fake_free(&file);
	free(data);
	free(back);
}

static void test_compressed(void **state)
{
	compressed(QCOW2_ZLIB);
	compressed(QCOW2_ZSTD);
}

/* --- through block.h: several requests at once, over a backing file --- */

enum { BLK_SIZE = 8 << 20, BLK_PIECE = 12288, BLK_REQS = 64 };

struct flight {
	struct blk_req req;
	struct iovec iov;
	bool busy;
};

static void flight_done(struct blk_req *req)
{
	struct flight *f = req->opaque;
	assert_int_equal(req->result, 0);
	f->busy = false;
}

static void raw_base(const char *path, uint8_t *model)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (unsigned i = 0; i < BLK_SIZE / 2; i++)
		model[i] = i / 700;
	assert_int_equal(write(fd, model, BLK_SIZE / 2), BLK_SIZE / 2);
	close(fd);
}

static void make_overlay(const char *path)
{
	struct qcow2_create c = {.size = BLK_SIZE, .backing = "base", .backing_format = "raw", .cluster_bits = 12};
	struct q_file f;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(q_file_posix(&f, fd, true, false), 0);
	assert_int_equal(qcow2_create(&f, &c, NULL), 0);
	q_file_close(&f);
}

static void fly(struct blk *b, struct flight *f, struct model *m, uint8_t *model, unsigned n)
{
	static const enum blk_op ops[] = {BLK_WRITE, BLK_WRITE, BLK_WRITE, BLK_WRITE_ZEROES, BLK_FLUSH, BLK_READ};
	/* Requests under way at once have places of their own: what the end of overlapping ones is, nobody promises. */
	uint64_t area = BLK_SIZE / BLK_REQS, at = n * area + next(m) % ((area - BLK_PIECE) / SECTOR) * SECTOR;
	f->req = (struct blk_req){.op = ops[next(m) % COUNT_OF(ops)], .offset = at, .len = BLK_PIECE, .iov = &f->iov,
				  .iov_count = 1, .done = flight_done, .opaque = f};
	if (f->req.op == BLK_WRITE) {
		memset(f->iov.iov_base, next(m), BLK_PIECE);
		memcpy(model + at, f->iov.iov_base, BLK_PIECE);
	} else if (f->req.op == BLK_WRITE_ZEROES) {
		memset(model + at, 0, BLK_PIECE);
	}
	f->busy = true;
	blk_submit(b, &f->req);
}

static void read_back(struct blk *b, const uint8_t *model)
{
	struct flight f;
	uint8_t data[4096];
	for (uint64_t at = 0; at < BLK_SIZE; at += sizeof(data)) {
		f.iov = (struct iovec){data, sizeof(data)};
		f.req = (struct blk_req){.op = BLK_READ, .offset = at, .len = sizeof(data), .iov = &f.iov,
					 .iov_count = 1, .done = flight_done, .opaque = &f};
		blk_submit(b, &f.req);
		blk_wait(b);
		assert_memory_equal(data, model + at, sizeof(data));
	}
}

static void flights(const char *engine, const char *dir, struct loop *loop, uint8_t *model)
{
	char path[128];
	struct blk *b;
	struct err e = {0};
	struct model m = {.random = 99};
	static struct flight flight[BLK_REQS];
	snprintf(path, sizeof(path), "%s/over", dir);
	struct blk_open o = {.path = path, .format = "qcow2", .engine = engine, .loop = loop};
	assert_int_equal(blk_open(&b, &o, &e), 0);
	assert_int_equal(blk_info(b)->size, BLK_SIZE);
	for (unsigned n = 0; n < BLK_REQS; n++)
		flight[n].iov = (struct iovec){malloc(BLK_PIECE), BLK_PIECE};
	for (unsigned round = 0; round < 30; round++) {
		blk_plug(b);
		for (unsigned n = 0; n < BLK_REQS; n++)
			if (!flight[n].busy)
				fly(b, &flight[n], &m, model, n);
		blk_unplug(b);
		loop_once(loop, 100);
		if (round % 8 == 7)
			blk_wait(b);
	}
	blk_wait(b);
	read_back(b, model);
	for (unsigned n = 0; n < BLK_REQS; n++)
		free(flight[n].iov.iov_base);
	blk_close(b);
}

static void test_requests(void **state)
{
	static const char *const engines[] = {"threads", NULL};
	for (unsigned n = 0; n < COUNT_OF(engines); n++) {
		char dir[] = "/tmp/panal-qcow2-XXXXXX", base[64], over[64];
		struct loop *loop;
		uint8_t *model = calloc(1, BLK_SIZE);
		assert_non_null(mkdtemp(dir));
		snprintf(base, sizeof(base), "%s/base", dir);
		snprintf(over, sizeof(over), "%s/over", dir);
		raw_base(base, model);
		make_overlay(over);
		assert_int_equal(loop_create(&loop, NULL, NULL), 0);
		flights(engines[n], dir, loop, model);
		loop_destroy(loop);
		unlink(base);
		unlink(over);
		rmdir(dir);
		free(model);
	}
}

int main(int argc, char **argv)
{
	struct plan plan = {.streams = argc > 2 ? atoi(argv[1]) : 12, .cuts = argc > 2 ? atoi(argv[2]) : 60,
			    .seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1};
	plan.qemu = argc > 2 && system("qemu-img --version >/dev/null 2>&1") == 0;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_streams, &plan),
		cmocka_unit_test_prestate(test_power_cuts, &plan),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
