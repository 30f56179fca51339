/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buf.h"

#include <errno.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
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

/* What a socket does not take stays; a peer that is gone is told. */
static void test_send(void **state)
{
	static uint8_t many[1 << 20], got[1 << 16];
	struct buf b;
	size_t seen = 0;
	int s[2];

	for (size_t n = 0; n < sizeof(many); n++)
		many[n] = (uint8_t)(n * 7 >> 3);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	buf_init(&b, sizeof(many));
	assert_int_equal(buf_append(&b, many, sizeof(many)), 0);
	assert_true(buf_send(&b, s[0]));
	assert_in_range(b.len, 1, sizeof(many) - 1);
	while (seen < sizeof(many)) {
		ssize_t n = read(s[1], got, sizeof(got));

		assert_true(n > 0);
		assert_memory_equal(got, many + seen, (size_t)n);
		seen += (size_t)n;
		assert_true(buf_send(&b, s[0]));
	}
	assert_int_equal(b.len, 0);
	close(s[1]);
	assert_true(buf_send(&b, s[0])); /* nothing to say */
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_false(buf_send(&b, s[0]));
	close(s[0]);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow_to_max), cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
