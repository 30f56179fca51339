/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/opt.h"

#include <errno.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct opt_desc table[] = {
	{"path", OPT_STRING, .positional = true}, {"size", OPT_SIZE}, {"n", OPT_NUMBER},
	{"readonly", OPT_BOOL}, {"forward", OPT_STRING, .repeat = true}, {NULL},
};

static void test_values(void **state)
{
	struct opts o;

	assert_int_equal(opts_parse(&o, table, "/a/b,,c.img,size=3G,n=0x10,readonly,forward=x,forward=y", NULL), 0);
	assert_string_equal(opts_string(&o, "path", ""), "/a/b,c.img");
	assert_int_equal(opts_number(&o, "size", 0), UINT64_C(3) << 30);
	assert_int_equal(opts_number(&o, "n", 0), 16);
	assert_true(opts_bool(&o, "readonly", false));
	assert_int_equal(o.count, 6);
	opts_free(&o);
	assert_int_equal(opts_parse(&o, table, "readonly=off", NULL), 0);
	assert_false(opts_bool(&o, "readonly", true));
	assert_string_equal(opts_string(&o, "path", "none"), "none");
	opts_free(&o);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"a,unknown=1", "a,b",         "a,size",           "a,size=1.5G", "a,size=-1",           "a,n=x",
		"a,n=1,n=2",   "a,,,,b=c,x,", "a,readonly=maybe", "bogus=1",     "a,size=99999999999G", "=",
		"a,=",
	};

	for (unsigned n = 0; n < COUNT_OF(bad); n++) {
		struct opts o;
		struct err e = {0};

		if (opts_parse(&o, table, bad[n], &e) >= 0)
			fail_msg("%s was taken", bad[n]);
		assert_int_equal(o.count, 0);
		assert_true(strlen(e.text) > 0);
	}
}

static void test_many(void **state)
{
	char text[4096] = "a";
	struct opts o;

	for (int n = 0; n < OPT_MAX + 4; n++)
		strcat(text, ",forward=z");
	assert_int_equal(opts_parse(&o, table, text, NULL), -E2BIG);
}

static void test_size(void **state)
{
	uint64_t v;

	assert_int_equal(parse_size("512M", &v, NULL), 0);
	assert_int_equal(v, 512u << 20);
	assert_int_equal(parse_size("1t", &v, NULL), 0);
	assert_int_equal(v, UINT64_C(1) << 40);
	assert_int_equal(parse_size("8388608T", &v, NULL), -ERANGE);
	assert_int_equal(parse_size("99999999999999999999", &v, NULL), -ERANGE);
	assert_int_equal(parse_size("", &v, NULL), -EINVAL);
	assert_int_equal(parse_size("1MB", &v, NULL), -EINVAL);
	assert_int_equal(parse_number("0x", &v, NULL), -EINVAL);
	assert_int_equal(parse_number("+1", &v, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_refused), cmocka_unit_test(test_many),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
