/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Choosing an accelerator by name and by measurement. */
#include "accel/bench.h"
#include "accel/kvm/kvm_user.h"
#include "accel/select.h"
#include "core/accel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_names(void **unused)
{
	const struct accel_ops *a = NULL;
	char why[ACCEL_WHY_MAX];
	const char *options = "?";
	struct err e = { 0 };
	assert_int_equal(accel_select("soft", &a, &options, why, &e), 0);
	assert_ptr_equal(a, &accel_soft);
	assert_null(options);
	assert_int_equal(accel_select("soft,translate=off", &a, &options, why, &e), 0);
	assert_string_equal(options, "translate=off");
	static const char *const bad[] = { "", "sof", "softer", "tcg", "auto,irqchip=off", "," };
	for (unsigned n = 0; n < COUNT_OF(bad); n++) {
		memset(&e, 0, sizeof(e));
		assert_int_equal(accel_select(bad[n], &a, &options, why, &e), -EINVAL);
		assert_true(strlen(e.text) > 0);
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_auto(void **unused)
{
	const struct accel_ops *a = NULL;
	char why[ACCEL_WHY_MAX];
	const char *options;
	struct err e = { 0 };
	int64_t begin = now_ms();
	assert_int_equal(accel_select("auto", &a, &options, why, &e), 0);
	assert_non_null(a);
	assert_true(now_ms() - begin < 10000); /* some 20 ms where nothing else runs */
	assert_int_equal(accel_select(NULL, &a, &options, why, &e), 0);
	/* Where KVM would run user code alone, it is not taken. */
	const struct accel_ops *by_kvm;
	if (accel_kvm.usable(&e) == 0 && kvm_choose(NULL, &by_kvm, &e) == 0 && by_kvm != &accel_kvm) {
		assert_ptr_equal(a, &accel_soft);
		assert_non_null(strstr(why, "do not reach its kernel"));
	}
}

static void test_bench(void **unused)
{
	struct accel_speed s;
	struct err e = { 0 };
	accel_bench_native(&s);
	assert_true(s.per_second > 10000000);
	print_message("native %.1f million instructions per second\n", (double)s.per_second / 1e6);
	if (accel_bench(&accel_soft, NULL, &s, &e) < 0)
		fail_msg("soft: %s", e.text);
	print_message("soft %.1f\n", (double)s.per_second / 1e6);
	if (accel_kvm.usable(&e) < 0)
		return;
	if (accel_bench(&accel_kvm, NULL, &s, &e) < 0)
		fail_msg("kvm: %s", e.text);
	print_message("kvm %.1f\n", (double)s.per_second / 1e6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_bench),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
