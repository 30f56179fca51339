/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages taken before they are touched: which, and that nothing else changes. The kernel says which are there. */
#include "accel/soft/pages.h"
#include "accel/soft/soft.h"
#include "base/bytes.h"
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <cmocka.h>

#ifndef MADV_POPULATE_WRITE
enum { MADV_POPULATE_WRITE = 23 };
#endif
enum { MIB = 1 << 20, PAGE = 4096, SOON_MS = 60000, MILLISECOND = 1000000 };

static unsigned resident(const uint8_t *at, size_t size)
{
	static unsigned char page[64 * MIB / PAGE];
	unsigned there = 0;
	assert_int_equal(mincore((void *)(uintptr_t)at, size, page), 0);
	for (size_t n = 0; n < size / PAGE; n++)
		there += page[n] & 1;
	return there;
}

/* All of it, before the test's patience ends? */
static bool comes(const uint8_t *at, size_t size)
{
	for (unsigned n = 0; n < SOON_MS; n++) {
		if (resident(at, size) == size / PAGE)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = MILLISECOND }, NULL);
	}
	return false;
}

static void need_populate(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r = madvise(p, PAGE, MADV_POPULATE_WRITE);
	munmap(p, PAGE);
	if (r < 0) {
		print_message("SKIPPED: this kernel cannot populate memory on request (Linux 5.14 can)\n");
		skip();
	}
}

static struct ahead *start(void)
{
	struct ahead *a;
	struct err e = { 0 };
	need_populate();
	assert_int_equal(ahead_create(&a, &e), 0);
	return a;
}

static void test_take(void **state)
{
	struct ahead *a = start();
	uint8_t *p = pages_map(8 * MIB, 8 * MIB);
	memset(p + 2 * MIB, 0x5a, 100);
	ahead_take(a, p + 2 * MIB, MIB, AHEAD_WRITE);
	assert_true(comes(p + 2 * MIB, MIB));
	assert_int_equal(resident(p, 2 * MIB), 0);
	assert_int_equal(resident(p + 3 * MIB, 5 * MIB), 0);
	assert_int_equal(p[2 * MIB + 99], 0x5a);
	assert_int_equal(p[2 * MIB + 100], 0);
	ahead_take(NULL, p, MIB, AHEAD_WRITE);
	ahead_destroy(a);
	munmap(p, 8 * MIB);
}

/* A table that is used here and there becomes whole, and keeps what it holds while it is used. */
static void test_take_huge(void **state)
{
	struct ahead *a = start();
	uint8_t *p = pages_map(4 * MIB, 4 * MIB);
	for (unsigned n = 0; n < 2 * MIB; n += 7 * PAGE)
		p[n] = (uint8_t)(n >> 12) | 1;
	ahead_take(a, p, 4 * MIB, AHEAD_HUGE);
	for (unsigned n = 0; n < 100000; n++)
		p[3 * MIB]++;
	assert_true(comes(p, 4 * MIB));
	ahead_settle(a);
	assert_int_equal(p[3 * MIB], 100000 & 0xff);
	for (unsigned n = 0; n < 2 * MIB; n += 7 * PAGE)
		assert_int_equal(p[n], (uint8_t)(n >> 12) | 1);
	assert_int_equal(p[PAGE], 0);
	ahead_destroy(a);
	munmap(p, 4 * MIB);
}

/* A second mapping of the same memory, which may only be read, sees what the first one has. */
static void test_take_both(void **state)
{
	struct ahead *a = start();
	uint8_t *rw = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t *rx = mremap(rw, 0, MIB, MREMAP_MAYMOVE);
	mprotect(rx, MIB, PROT_READ);
	rw[5 * PAGE] = 7;
	ahead_take(a, rw, MIB, AHEAD_WRITE);
	ahead_take(a, rx, MIB, AHEAD_READ);
	assert_true(comes(rw, MIB));
	assert_int_equal(rx[5 * PAGE], 7);
	ahead_destroy(a);
	munmap(rw, MIB);
	munmap(rx, MIB);
}

/* What was settled is touched no more: the place may be somebody else's. */
static void test_settle(void **state)
{
	struct ahead *a = start();
	uint8_t *p = pages_map(64 * MIB, 64 * MIB);
	for (unsigned n = 0; n < 64; n++)
		ahead_take(a, p + n * MIB, MIB, AHEAD_WRITE);
	ahead_settle(a);
	unsigned there = resident(p, 64 * MIB);
	nanosleep(&(struct timespec){ .tv_nsec = 30 * MILLISECOND }, NULL);
	assert_int_equal(resident(p, 64 * MIB), there);
	ahead_take(a, p, MIB, AHEAD_WRITE);
	assert_true(comes(p, MIB));
	ahead_destroy(a);
	munmap(p, 64 * MIB);
}

/* A table's first huge page comes as it is used; from then on there is room behind that, at most a huge page. */
static void test_table(void **state)
{
	struct ahead *a = start();
	uint8_t *p = pages_map(8 * MIB, 8 * MIB);
	struct ahead_table t;
	assert_non_null(ahead_table_create(&t, 7 * MIB));
	ahead_table_destroy(&t);
	t.at = p; /* where what is behind its end can be seen */
	ahead_reach(a, &t, MIB - PAGE);
	assert_int_equal(t.taken, 2 * MIB);
	ahead_reach(a, &t, MIB + PAGE);
	assert_int_equal(t.taken, 4 * MIB);
	assert_true(comes(p + 2 * MIB, 2 * MIB));
	ahead_reach(a, &t, 3 * MIB);
	assert_int_equal(t.taken, 4 * MIB);
	ahead_reach(a, &t, 3 * MIB + PAGE);
	ahead_reach(a, &t, 6 * MIB);
	ahead_reach(a, &t, 7 * MIB);
	assert_true(comes(p + 4 * MIB, 3 * MIB));
	assert_int_equal(resident(p, 2 * MIB), 0);
	assert_int_equal(resident(p + 7 * MIB, MIB), 0);
	ahead_destroy(a);
	munmap(p, 8 * MIB);
}

/* The stretch behind two that follow each other, once; nothing for a jump. */
static void test_area(void **state)
{
	enum { SIZE = 11 * MIB };
	struct ahead *a = start();
	struct ahead_area m;
	struct err e = { 0 };
	uint8_t *p = pages_map(SIZE, SIZE);
	assert_int_equal(ahead_area_create(&m, p, SIZE, &e), 0);
	assert_false(ahead_begun(&m, 5 * MIB));
	ahead_begin(a, &m, 4 * MIB);
	assert_true(ahead_begun(&m, 5 * MIB));
	assert_false(ahead_begun(&m, 6 * MIB));
	ahead_begin(a, &m, 0);
	ahead_begin(a, &m, 6 * MIB);
	assert_true(comes(p + 8 * MIB, 2 * MIB));
	assert_int_equal(resident(p, 8 * MIB), 0);
	assert_false(ahead_begun(&m, 8 * MIB));
	ahead_begin(a, &m, 9 * MIB); /* what is behind is not a whole stretch */
	assert_true(comes(p + 10 * MIB, MIB));
	ahead_begin(a, &m, 10 * MIB);
	ahead_area_destroy(&m);
	assert_true(ahead_begun(&m, 0));
	ahead_destroy(a);
	munmap(p, SIZE);
}

/* mov dword [rax], ecx for RCX times; hlt: the guest's third stretch is there when it has come to the second. */
static void guest_stores(const char *options, bool gave_back)
{
	static const uint8_t code[] = { 0x89, 0x08, 0xff, 0xc9, 0x75, 0xfa, 0xf4 };
	struct rig r;
	need_populate();
	rig_init_options(&r, RIG_64, options);
	for (unsigned n = 1; n < 3; n++)
		store_le64(gmem_at(r.vm.mem, RIG_PD + 8 * n, 8), n * 2 * MIB | 0x83);
	rig_put(&r, RIG_CODE, code, sizeof(code));
	r.s.gpr[X86_RCX] = 1;
	r.s.gpr[X86_RAX] = RIG_DATA;
	assert_int_equal(rig_run(&r), VCPU_EXIT_HALTED);
	if (gave_back)
		assert_int_equal(gmem_discard(r.vm.mem, 6 * MIB, PAGE), 0);
	uint8_t *third = gmem_at(r.vm.mem, 4 * MIB, 2 * MIB);
	assert_int_equal(resident(third, 2 * MIB), 0);
	rig_state(&r, RIG_64);
	r.s.gpr[X86_RCX] = 100;
	r.s.gpr[X86_RAX] = 2 * MIB + 16;
	assert_int_equal(rig_run(&r), VCPU_EXIT_HALTED);
	if (!gave_back) {
		assert_true(comes(third, 2 * MIB));
	} else {
		nanosleep(&(struct timespec){ .tv_nsec = 30 * MILLISECOND }, NULL);
		assert_int_equal(resident(third, 2 * MIB), 0);
	}
	assert_int_equal(rig_get(&r, 2 * MIB + 16, 4), 1);
	rig_free(&r);
}

static void test_guest_interpreted(void **state)
{
	guest_stores("translate=off", false);
}

static void test_guest_translated(void **state)
{
	guest_stores("hot=1", false);
}

/* A balloon, or free page reporting: what the guest gave back does not come again by itself. */
static void test_guest_gives(void **state)
{
	guest_stores("hot=1", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take), cmocka_unit_test(test_take_huge), cmocka_unit_test(test_take_both),
		cmocka_unit_test(test_settle), cmocka_unit_test(test_table), cmocka_unit_test(test_area),
		cmocka_unit_test(test_guest_interpreted), cmocka_unit_test(test_guest_translated),
		cmocka_unit_test(test_guest_gives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
