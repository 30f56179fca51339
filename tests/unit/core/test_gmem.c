/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/gmem.h"

#include <errno.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct seen {
	uint64_t gpa, len;
	int count;
};

static struct gmem *make(void)
{
	struct gmem *gm;

	assert_int_equal(gmem_create(&gm, NULL), 0);
	assert_int_equal(gmem_add_ram(gm, 0, 0x10000, "low", false, NULL), 0);
	assert_int_equal(gmem_add_ram(gm, 0x10000, 0x10000, "mid", false, NULL), 0);
	assert_int_equal(gmem_add_ram(gm, 0x100000000, 0x10000, "high", true, NULL), 0);
	return gm;
}

static void test_bounds(void **state)
{
	struct gmem *gm = make();
	uint8_t b[16];

	assert_true(gmem_total(gm) == 0x30000);
	assert_non_null(gmem_at(gm, 0xfff0, 16));
	assert_null(gmem_at(gm, 0xfff1, 16));
	assert_null(gmem_at(gm, 0x20000, 1));
	assert_null(gmem_at(gm, 0, UINT64_MAX));
	assert_int_equal(gmem_read(gm, 0x1fff8, b, 16), -EFAULT);
	assert_int_equal(gmem_write(gm, UINT64_MAX - 4, b, 16), -EFAULT);
	assert_int_equal(gmem_fill(gm, 0x1fff8, 1, UINT64_MAX), -EFAULT);
	memset(b, 0xab, sizeof(b));
	assert_int_equal(gmem_write(gm, 0x1fff8, b, 16), -EFAULT);
	assert_int_equal(*(uint8_t *)gmem_at(gm, 0x1fff8, 1), 0); /* nothing of it was written */
	assert_int_equal(gmem_add_ram(gm, 0x1f000, 0x2000, "x", false, NULL), -EEXIST);
	assert_int_equal(gmem_add_ram(gm, 0x20001, 0x1000, "x", false, NULL), -EINVAL);
	assert_int_equal(gmem_add_ram(gm, UINT64_MAX - 0xfff, 0x2000, "x", false, NULL), -EINVAL);
	gmem_destroy(gm);
}

static void test_across_blocks(void **state)
{
	struct gmem *gm = make();
	char b[9] = {0};

	assert_int_equal(gmem_write(gm, 0xfffc, "abcdefgh", 8), 0);
	assert_int_equal(gmem_read(gm, 0xfffc, b, 8), 0);
	assert_string_equal(b, "abcdefgh");
	assert_memory_equal(gmem_at(gm, 0x10000, 4), "efgh", 4);
	gmem_destroy(gm);
}

static void code_written(void *opaque, uint64_t gpa, uint64_t len)
{
	struct seen *s = opaque;

	s->gpa = gpa;
	s->len = len;
	s->count++;
}

static void test_watch(void **state)
{
	struct gmem *gm = make();
	struct seen s = {0};
	const struct gmem_watch watch = {code_written, &s};
	const struct gmem_block *b = gmem_find(gm, 0x3000);

	gmem_set_watch(gm, &watch);
	atomic_fetch_or(&b->page_flags[3], GMEM_FLAG_CODE);
	assert_int_equal(gmem_write(gm, 0x2ff0, "x", 1), 0);
	assert_int_equal(s.count, 0);
	assert_int_equal(gmem_fill(gm, 0x2ff0, 1, 0x20), 0);
	assert_int_equal(s.count, 1);
	assert_true(s.gpa == 0x3000 && s.len == 0x10);
	gmem_written(gm, 0x3ffe, 2);
	assert_true(s.gpa == 0x3ffe && s.len == 2);
	gmem_written(gm, 0x3ffe, UINT64_MAX);
	assert_int_equal(s.count, 2);
	gmem_destroy(gm);
}

static void dirty(void *opaque, uint64_t gpa)
{
	struct seen *s = opaque;

	s->gpa = gpa;
	s->count++;
}

static void test_dirty(void **state)
{
	struct gmem *gm = make();
	struct seen s = {0};

	gmem_dirty_start(gm);
	assert_int_equal(gmem_dirty_take(gm, dirty, &s), 0);
	assert_int_equal(gmem_write(gm, 0x100005000, "x", 1), 0);
	assert_int_equal(gmem_dirty_take(gm, dirty, &s), 1);
	assert_true(s.gpa == 0x100005000);
	assert_int_equal(gmem_dirty_take(gm, dirty, &s), 0);
	assert_int_equal(gmem_discard(gm, 0x100005000, 0x1000), 0);
	assert_int_equal(*(uint8_t *)gmem_at(gm, 0x100005000, 1), 0);
	assert_int_equal(gmem_dirty_take(gm, dirty, &s), 1);
	gmem_dirty_stop(gm);
	assert_int_equal(gmem_dirty_take(gm, dirty, &s), 0);
	assert_int_equal(gmem_discard(gm, 0x5001, 0x1000), -EFAULT);
	gmem_destroy(gm);
}

static void test_rom(void **state)
{
	struct gmem *gm = make();
	char b[5] = {0};

	assert_int_equal(gmem_add_rom(gm, 0xffff0000, 0x10000, "rom", NULL), 0);
	assert_true(gmem_total(gm) == 0x30000); /* it is no RAM */
	assert_int_equal(gmem_load_rom(gm, 0xfffffff8, "boot", 4), 0);
	assert_int_equal(gmem_load_rom(gm, 0xfffffff8, "boot boot", 9), -EFAULT);
	assert_int_equal(gmem_load_rom(gm, 0, "boot", 4), -EFAULT);
	assert_int_equal(gmem_read(gm, 0xfffffff8, b, 4), 0);
	assert_string_equal(b, "boot");
	assert_int_equal(gmem_write(gm, 0xfffffff8, "x", 1), -EFAULT);
	assert_int_equal(gmem_fill(gm, 0xfffffff8, 0, 1), -EFAULT);
	assert_null(gmem_at(gm, 0xfffffff8, 1));
	assert_int_equal(gmem_read(gm, 0xfffffffe, b, 4), 0); /* goes on in the RAM behind it */
	gmem_destroy(gm);
}

static void note_place(void *opaque, unsigned block)
{
	*(unsigned *)opaque += 100 + block;
}

static void test_cards(void **state)
{
	struct gmem *gm;
	uint8_t *a, *b;
	unsigned placed = 0;
	assert_int_equal(gmem_create(&gm, NULL), 0);
	assert_int_equal(gmem_add_ram(gm, 0, 1 << 20, "ram", false, NULL), 0);
	assert_int_equal(gmem_add_card(gm, 1 << 16, "a", &a, NULL), 0);
	assert_int_equal(gmem_add_card(gm, 1 << 16, "b", &b, NULL), 0);
	gmem_watch_cards(gm, &(struct gmem_card_watch){note_place, &placed});
	assert_true(gmem_total(gm) == 1 << 20);
	assert_true(gmem_card_address(gm, 0xd0000000) == 0xd0000000);
	gmem_card_place(gm, b, 0xd0000000);
	assert_int_equal(placed, 102);
	assert_ptr_equal(gmem_at(gm, gmem_card_address(gm, 0xd0001234), 4), b + 0x1234);
	assert_ptr_equal(gmem_at(gm, gmem_card_address(gm, 0xd000ffff), 1), b + 0xffff);
	assert_true(gmem_card_address(gm, 0xd0010000) == 0xd0010000);
	assert_true(gmem_card_address(gm, 0xcfffffff) == 0xcfffffff);
	assert_null(gmem_at(gm, 0xd0001234, 4));
	gmem_card_place(gm, b, GMEM_NOWHERE);
	assert_true(gmem_card_address(gm, 0xd0001234) == 0xd0001234);
	gmem_destroy(gm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cards),
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_across_blocks), cmocka_unit_test(test_watch),
		cmocka_unit_test(test_dirty), cmocka_unit_test(test_rom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
