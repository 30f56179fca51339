/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buf.h"

#include <errno.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_grow_to_max(void **state)
{
	struct buf b;

	for (size_t max = 1; max < 300; max += 37) {
		buf_init(&b, max);
		for (size_t n = 0; n < max; n++)
			assert_int_equal(buf_append_byte(&b, (uint8_t)n), 0);
		assert_int_equal(buf_append_byte(&b, 0), -ENOSPC);
		assert_int_equal(b.len, max);
		assert_int_equal(b.data[max - 1], (uint8_t)(max - 1));
		buf_free(&b);
	}
}

static void test_all_or_nothing(void **state)
{
	struct buf b;

	buf_init(&b, 10);
	assert_int_equal(buf_printf(&b, "%s", "12345678"), 0);
	assert_int_equal(buf_append(&b, "abc", 3), -ENOSPC);
	assert_int_equal(b.len, 8);
	buf_consume(&b, 6);
	assert_memory_equal(b.data, "78", 2);
	assert_int_equal(buf_room(&b), 8);
	assert_null(buf_reserve(&b, 9));
	memcpy(buf_reserve(&b, 8), "zzzzzzzz", 8);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow_to_max), cmocka_unit_test(test_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
