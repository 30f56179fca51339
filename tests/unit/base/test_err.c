/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/err.h"
#include "base/log.h"
#include "base/checked.h"

#include <errno.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_set_and_wrap(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -EINVAL, "bad %d", 7), -EINVAL);
	assert_string_equal(e.text, "bad 7");
	assert_int_equal(err_wrap(&e, "disk %s", "a"), -EINVAL);
	assert_string_equal(e.text, "disk a: bad 7");
	assert_int_equal(err_errno(&e, ENOENT, "cannot open x"), -ENOENT);
	assert_string_equal(e.text, "cannot open x: No such file or directory");
}

static void test_null(void **state)
{
	assert_int_equal(err_set(NULL, -ENOMEM, "x"), -ENOMEM);
	assert_int_equal(err_errno(NULL, EPERM, "x"), -EPERM);
	assert_true(err_wrap(NULL, "x") < 0);
}

static void test_bounded(void **state)
{
	struct err e;
	char long_text[2 * ERR_TEXT_MAX];

	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	err_errno(&e, EIO, "%s", long_text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_wrap(&e, "%s", long_text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};

	for (int n = 0; n < 20; n++)
		log_limited(&limit, LOG_INFO, "line %d of 20, five are shown", n);
	assert_int_equal(atomic_load(&limit.dropped), 20 - LOG_LIMIT_PER_WINDOW);
}

static void test_checked(void **state)
{
	uint64_t v;

	assert_true(checked_add(1, 2, &v) && v == 3);
	assert_false(checked_add(UINT64_MAX, 1, &v));
	assert_false(checked_sub(1, 2, &v));
	assert_false(checked_mul(UINT64_MAX / 2, 3, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_wrap), cmocka_unit_test(test_null), cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_limit), cmocka_unit_test(test_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
