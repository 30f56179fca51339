/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raw images through both engines: data, zeros, holes, flushes, and what goes wrong. */
#include "block/block.h"
#include "block/disk_image.h"
#include "core/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char dir[64], path[96];
	struct loop *loop;
	struct blk *blk;
	const char *engine;
	unsigned done;
};

static void make_file(struct world *w, uint64_t size)
{
	int fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void world_up(struct world *w, const char *engine, uint64_t size)
{
	*w = (struct world){.dir = "/tmp/panal-block-XXXXXX", .engine = engine};
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/disk", w->dir);
	assert_int_equal(loop_create(&w->loop, NULL, NULL), 0);
	make_file(w, size);
}

static int open_blk(struct world *w, struct blk **out, bool read_only, bool direct, struct err *e)
{
	struct blk_open o = {
		.path = w->path, .read_only = read_only, .direct = direct, .engine = w->engine, .loop = w->loop};
	return blk_open(out, &o, e);
}

static void world_down(struct world *w)
{
	blk_close(w->blk);
	loop_destroy(w->loop);
	unlink(w->path);
	rmdir(w->dir);
}

static void on_done(struct blk_req *req)
{
	((struct world *)req->opaque)->done++;
}

static int run(struct world *w, enum blk_op op, uint64_t offset, uint64_t len, void *buf, bool fua, bool unmap)
{
	/* In two segments of odd sizes. */
	struct iovec iov[2] = {{buf, len / 2 + 3}, {buf ? (uint8_t *)buf + len / 2 + 3 : NULL, len - len / 2 - 3}};
	struct blk_req r = {.op = op,
			    .offset = offset,
			    .len = len,
			    .iov = buf ? iov : NULL,
			    .iov_count = buf ? 2 : 0,
			    .fua = fua,
			    .may_unmap = unmap,
			    .done = on_done,
			    .opaque = w};
	unsigned before = w->done;
	blk_submit(w->blk, &r);
	assert_int_equal(w->done, before);
	for (unsigned i = 0; w->done == before && i < 5000; i++)
		loop_once(w->loop, 1);
	assert_int_equal(w->done, before + 1);
	return r.result;
}

static bool is_all(const uint8_t *b, size_t len, uint8_t v)
{
	for (size_t i = 0; i < len; i++)
		if (b[i] != v)
			return false;
	return true;
}

static void works(const char *engine, bool direct)
{
	struct world w;
	struct err e = {0};
	world_up(&w, engine, 1 << 20);
	if (open_blk(&w, &w.blk, false, direct, &e)) {
		fprintf(stderr, "left out: %s\n", e.text);
		world_down(&w);
		return;
	}
	const struct blk_info *i = blk_info(w.blk);
	assert_int_equal(i->size, 1 << 20);
	assert_true(i->can_discard && i->can_zero && !i->read_only);
	uint8_t *a = malloc(65536), *b = malloc(65536);
	memset(a, 0x5a, 65536);
	assert_int_equal(run(&w, BLK_WRITE, 4096, 65536, a, false, false), 0);
	assert_int_equal(run(&w, BLK_WRITE, 4096 + 65536, 512, a, true, false), 0);
	assert_int_equal(run(&w, BLK_FLUSH, 0, 0, NULL, false, false), 0);
	assert_int_equal(run(&w, BLK_READ, 4096, 65536, b, false, false), 0);
	assert_memory_equal(a, b, 65536);
	assert_int_equal(run(&w, BLK_WRITE_ZEROES, 8192, 4096, NULL, true, false), 0);
	assert_int_equal(run(&w, BLK_WRITE_ZEROES, 12288 + 512, 1024, NULL, false, true), 0);
	assert_int_equal(run(&w, BLK_DISCARD, 16384, 8192, NULL, false, false), 0);
	assert_int_equal(run(&w, BLK_READ, 4096, 65536, b, false, false), 0);
	assert_true(is_all(b, 4096, 0x5a) && is_all(b + 4096, 4096, 0) && is_all(b + 8192, 512, 0x5a));
	assert_true(is_all(b + 8704, 1024, 0) && is_all(b + 9728, 2560, 0x5a) && is_all(b + 12288, 8192, 0));
	assert_true(is_all(b + 20480, 65536 - 20480, 0x5a));
	/* Outside, odd sizes. */
	assert_int_equal(run(&w, BLK_READ, (1 << 20) - 512, 1024, b, false, false), -EINVAL);
	assert_int_equal(run(&w, BLK_READ, 1, 512, b, false, false), -EINVAL);
	assert_int_equal(run(&w, BLK_READ, UINT64_MAX - 511, 1024, b, false, false), -EINVAL);
	free(a);
	free(b);
	world_down(&w);
}

static void test_uring(void **state) { works("io_uring", false); }
static void test_threads(void **state) { works("threads", false); }
static void test_uring_direct(void **state) { works("io_uring", true); }
static void test_threads_direct(void **state) { works("threads", true); }

static unsigned threads(void)
{
	unsigned count = 0;
	DIR *d = opendir("/proc/self/task");
	while (d && readdir(d))
		count++;
	closedir(d);
	return count;
}

/* Threads that are there before the process gives up its rights would keep them. */
static void test_threads_late(void **state)
{
	static const char *const format[] = {"raw", "qcow2"};
	for (unsigned n = 0; n < 2; n++) {
		struct world w;
		uint8_t buf[512] = {0};
		world_up(&w, "threads", 0);
		if (n) {
			struct qcow2_create c = {.size = 1 << 20};
			unlink(w.path);
			assert_int_equal(disk_image_create(w.path, IMAGE_QCOW2, &c, NULL), 0);
		} else {
			make_file(&w, 1 << 20);
		}
		struct blk_open o = {.path = w.path, .format = format[n], .engine = w.engine, .loop = w.loop};
		unsigned before = threads();
		assert_int_equal(blk_open(&w.blk, &o, NULL), 0);
		assert_int_equal(threads(), before);
		assert_int_equal(run(&w, BLK_WRITE, 0, 512, buf, true, false), 0);
		assert_true(threads() > before);
		world_down(&w);
	}
}

static void test_unaligned_end(void **state)
{
	struct world w;
	world_up(&w, NULL, 1000);
	assert_int_equal(open_blk(&w, &w.blk, false, false, NULL), 0);
	assert_int_equal(blk_info(w.blk)->size, 1024);
	uint8_t b[1024];
	memset(b, 7, sizeof(b));
	assert_int_equal(run(&w, BLK_READ, 0, 1024, b, false, false), 0);
	assert_true(is_all(b, 1024, 0));
	memset(b, 9, sizeof(b));
	assert_int_equal(run(&w, BLK_WRITE, 512, 512, b, false, false), 0);
	memset(b, 7, sizeof(b));
	assert_int_equal(run(&w, BLK_READ, 512, 512, b, false, false), 0);
	assert_true(is_all(b, 512, 9));
	world_down(&w);
}

static void test_truncated(void **state)
{
	struct world w;
	world_up(&w, NULL, 8192);
	assert_int_equal(open_blk(&w, &w.blk, false, false, NULL), 0);
	assert_int_equal(truncate(w.path, 4096 + 100), 0);
	uint8_t b[8192];
	assert_int_equal(run(&w, BLK_READ, 0, 4096, b, false, false), 0);
	assert_int_equal(run(&w, BLK_READ, 0, 8192, b, false, false), -EIO);
	assert_int_equal(run(&w, BLK_READ, 6144, 512, b, false, false), -EIO);
	world_down(&w);
}

static void test_locks(void **state)
{
	struct world w;
	struct blk *other = NULL;
	struct err e = {0};
	world_up(&w, NULL, 4096);
	assert_int_equal(open_blk(&w, &w.blk, false, false, NULL), 0);
	assert_int_equal(open_blk(&w, &other, false, false, &e), -EBUSY);
	assert_non_null(strstr(e.text, "in use"));
	assert_int_equal(open_blk(&w, &other, true, false, &e), -EBUSY);
	blk_close(w.blk);
	assert_int_equal(open_blk(&w, &w.blk, true, false, NULL), 0);
	assert_int_equal(open_blk(&w, &other, true, false, NULL), 0);
	uint8_t b[512];
	assert_int_equal(run(&w, BLK_WRITE, 0, 512, b, false, false), -EROFS);
	assert_int_equal(run(&w, BLK_FLUSH, 0, 0, NULL, false, false), 0);
	blk_close(other);
	world_down(&w);
}

static void refused(struct world *w, const char *path, const char *format, const char *engine, int rc, const char *text)
{
	struct blk_open o = {.path = path, .format = format, .engine = engine, .loop = w->loop};
	struct blk *b = NULL;
	struct err e = {0};
	assert_int_equal(blk_open(&b, &o, &e), rc);
	assert_null(b);
	assert_non_null(strstr(e.text, path));
	if (!strstr(e.text, text))
		fail_msg("\"%s\" lacks \"%s\"", e.text, text);
}

static void test_refused(void **state)
{
	struct world w;
	world_up(&w, NULL, 4096);
	refused(&w, "/nonexistent/disk", NULL, NULL, -ENOENT, "does not exist");
	refused(&w, w.dir, NULL, NULL, -EISDIR, "is a directory");
	refused(&w, "/dev/null", NULL, NULL, -EINVAL, "neither a file nor a block device");
	refused(&w, w.path, "vmdk", NULL, -EINVAL, "no format vmdk");
	if (geteuid()) {
		assert_int_equal(chmod(w.path, 0400), 0);
		refused(&w, w.path, NULL, NULL, -EACCES, "read-only");
	}
	struct blk_open o = {.path = w.path, .engine = "tape", .loop = w.loop};
	struct err e = {0};
	struct blk *b;
	assert_int_equal(blk_open(&b, &o, &e), -EINVAL);
	assert_non_null(strstr(e.text, "tape"));
	world_down(&w);
}

enum { MANY = 700 };

static void test_many(void **state)
{
	struct world w;
	static const char *const engines[] = {"io_uring", "threads"};
	for (unsigned k = 0; k < 2; k++) {
		world_up(&w, engines[k], MANY * 512);
		if (open_blk(&w, &w.blk, false, false, NULL) == 0) {
			struct blk_req *r = calloc(MANY, sizeof(*r));
			struct iovec *v = calloc(MANY, sizeof(*v));
			uint8_t *bytes = malloc(MANY * 512);
			blk_plug(w.blk);
			for (unsigned i = 0; i < MANY; i++) {
				memset(bytes + i * 512, i, 512);
				v[i] = (struct iovec){bytes + i * 512, 512};
				r[i] = (struct blk_req){.op = BLK_WRITE,
							.offset = i * 512,
							.len = 512,
							.iov = &v[i],
							.iov_count = 1,
							.done = on_done,
							.opaque = &w};
				blk_submit(w.blk, &r[i]);
			}
			blk_unplug(w.blk);
			blk_wait(w.blk);
			assert_int_equal(w.done, MANY);
			uint8_t one[512];
			assert_int_equal(run(&w, BLK_READ, 600 * 512, 512, one, false, false), 0);
			assert_true(is_all(one, 512, (uint8_t)600));
			free(r);
			free(v);
			free(bytes);
		}
		world_down(&w);
	}
}

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

/* The loop of another thread: opened, drained, waited for and closed from here. */
static void submit_there(void *opaque)
{
	struct blk_req *r = opaque;
	struct world *w = r->opaque;
	blk_submit(w->blk, r);
}

static void test_other_thread(void **state)
{
	struct world w;
	struct loop_thread *t;
	unsigned drained = 0;
	uint8_t b[512];
	world_up(&w, NULL, 4096);
	struct loop *mine = w.loop;
	assert_int_equal(loop_thread_start(&t, "io-test", NULL), 0);
	w.loop = loop_thread_loop(t);
	assert_int_equal(open_blk(&w, &w.blk, false, false, NULL), 0);
	struct iovec v = {b, 512};
	struct blk_req r = {.op = BLK_READ, .len = 512, .iov = &v, .iov_count = 1, .done = on_done, .opaque = &w};
	assert_int_equal(loop_call(w.loop, submit_there, &r), 0);
	blk_wait(w.blk);
	assert_int_equal(w.done, 1);
	blk_close(w.blk);
	w.blk = NULL;
	loop_thread_stop(t);
	w.loop = mine;
	assert_int_equal(open_blk(&w, &w.blk, false, false, NULL), 0);
	assert_int_equal(blk_drain(w.blk, count, &drained), 0);
	for (unsigned i = 0; !drained && i < 100; i++)
		loop_once(w.loop, 1);
	assert_int_equal(drained, 1);
	world_down(&w);
}

struct failures {
	unsigned count, exceeded;
	int error;
	enum blk_policy did;
	uint64_t by;
};

static void on_failure(void *opaque, enum blk_op op, int error, enum blk_policy did)
{
	struct failures *f = opaque;
	f->count++;
	f->error = error;
	f->did = did;
}

static void on_exceeded(void *opaque, uint64_t threshold, uint64_t by)
{
	struct failures *f = opaque;
	f->exceeded++;
	f->by = by;
}

static void turn(struct world *w, bool (*enough)(void *opaque), void *opaque)
{
	for (unsigned i = 0; !enough(opaque) && i < 2000; i++)
		loop_once(w->loop, 1);
	assert_true(enough(opaque));
}

static bool has_failed(void *opaque) { return ((struct failures *)opaque)->count; }
static bool is_done(void *opaque) { return ((struct world *)opaque)->done; }

/* A file that was cut cannot be read, until it has its size again. */
static void test_policies(void **state)
{
	static uint8_t data[4096];
	struct iovec iov = {data, sizeof(data)};
	struct failures f = {0};
	struct blk_watch watch = {.failed = on_failure, .exceeded = on_exceeded, .opaque = &f};
	struct world w;
	struct err e;
	world_up(&w, "threads", 1 << 20);
	assert_int_equal(open_blk(&w, &w.blk, false, false, &e), 0);
	struct blk_req r = {.op = BLK_READ, .offset = 65536, .len = sizeof(data), .iov = &iov, .iov_count = 1,
			    .done = on_done, .opaque = &w};
	blk_watch(w.blk, &watch);
	assert_int_equal(truncate(w.path, 4096), 0);
	assert_true(run(&w, BLK_READ, 65536, 4096, data, false, false) < 0);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.did, BLK_REPORT);

	watch.read = BLK_IGNORE;
	blk_watch(w.blk, &watch);
	memset(data, 7, sizeof(data));
	assert_int_equal(run(&w, BLK_READ, 65536, 4096, data, false, false), 0);
	assert_true(is_all(data, sizeof(data), 0));
	assert_int_equal(f.did, BLK_IGNORE);

	watch.read = BLK_STOP;
	blk_watch(w.blk, &watch);
	f.count = w.done = 0;
	blk_submit(w.blk, &r);
	turn(&w, has_failed, &f);
	assert_int_equal(f.did, BLK_STOP);
	blk_wait(w.blk); /* what waits is not under way */
	assert_int_equal(w.done, 0);
	f.count = 0;
	blk_retry(w.blk);
	turn(&w, has_failed, &f); /* again */
	assert_int_equal(w.done, 0);
	assert_int_equal(truncate(w.path, 1 << 20), 0);
	blk_retry(w.blk);
	turn(&w, is_done, &w);
	assert_int_equal(r.result, 0);

	assert_int_equal(truncate(w.path, 4096), 0);
	f.count = w.done = 0;
	blk_submit(w.blk, &r);
	turn(&w, has_failed, &f);
	blk_fail(w.blk);
	assert_int_equal(w.done, 1);
	assert_true(r.result < 0);
	watch.read = BLK_ENOSPC; /* it is another failure */
	blk_watch(w.blk, &watch);
	assert_true(run(&w, BLK_READ, 65536, 4096, data, false, false) < 0);
	assert_true(run(&w, BLK_READ, 1 << 20, 4096, data, false, false) == -EINVAL);

	blk_set_threshold(w.blk, 65536);
	assert_int_equal(run(&w, BLK_WRITE, 65536 - 4096, 4096, data, false, false), 0);
	assert_int_equal(f.exceeded, 0);
	assert_int_equal(run(&w, BLK_WRITE, 65536, 4096, data, false, false), 0);
	assert_int_equal(run(&w, BLK_WRITE, 65536, 4096, data, false, false), 0);
	assert_int_equal(f.exceeded, 1);
	assert_int_equal(f.by, 4096);
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uring),         cmocka_unit_test(test_threads),
		cmocka_unit_test(test_uring_direct),  cmocka_unit_test(test_threads_direct),
		cmocka_unit_test(test_unaligned_end), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_locks),         cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),          cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_policies),      cmocka_unit_test(test_threads_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
