/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processor models: what is in them, what fits, what CPUID's rows become. */
#include "cpu/fit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct cpu_set of_model(const char *name)
{
	const struct cpu_model *m = cpu_model_find(name);
	struct cpu_set s;

	assert_non_null(m);
	cpu_model_set(m, &s);
	return s;
}

static void names_have_their_other_spellings(void **state)
{
	struct cpu_set s = { 0 };

	assert_true(cpu_set_change(&s, "sse4_2", true));
	assert_true(cpu_set_has(&s, "sse4.2"));
	assert_true(cpu_set_change(&s, "sse3", true));
	assert_true(cpu_set_has(&s, "pni"));
	assert_true(cpu_set_change(&s, "sse4-2", false));
	assert_false(cpu_set_has(&s, "sse4.2"));
	assert_false(cpu_set_change(&s, "warp", true));
}

/* Every model's names are known and every base is there: cpu_set_add asserts it. A level has all of the one before. */
static void models_are_whole(void **state)
{
	static const char *const levels[] = { "x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4" };
	struct cpu_set missing;
	const struct cpu_model *m;

	for (unsigned n = 0; (m = cpu_model_at(n)) != NULL; n++) {
		struct cpu_set s = of_model(m->name), least = of_model("x86-64-v1");

		assert_true(cpu_set_missing(&missing, &s, &least));
		assert_true(!m->brand || strlen(m->brand) < 48);
	}
	for (unsigned n = 1; n < COUNT_OF(levels); n++) {
		struct cpu_set low = of_model(levels[n - 1]), high = of_model(levels[n]);

		assert_true(cpu_set_missing(&missing, &high, &low));
		assert_false(cpu_set_missing(&missing, &low, &high));
	}
}

/* A machine that is to move among the Opterons takes the oldest: each has what the one before has. */
static void generations_grow(void **state)
{
	static const char *const rows[][6] = {
		{ "Conroe", "Penryn", "Nehalem", "Westmere", "SandyBridge", "IvyBridge" },
		{ "IvyBridge", "Haswell-noTSX", "Broadwell-noTSX", "Skylake-Client-noTSX-IBRS",
		  "Skylake-Server-noTSX-IBRS", "Icelake-Server-noTSX" },
		{ "Opteron_G1", "Opteron_G2", "Opteron_G3", "Opteron_G4", "Opteron_G5" },
		{ "Opteron_G3", "EPYC", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa" },
	};
	struct cpu_set missing;

	for (size_t r = 0; r < COUNT_OF(rows); r++)
		for (unsigned n = 1; n < 6 && rows[r][n]; n++) {
			struct cpu_set old = of_model(rows[r][n - 1]), young = of_model(rows[r][n]);

			assert_true(cpu_set_missing(&missing, &young, &old));
		}
}

static void the_best_model_is_found(void **state)
{
	struct cpu_set s = of_model("Haswell-noTSX");

	assert_string_equal(cpu_model_best(&s, NULL)->name, "x86-64-v3");
	assert_string_equal(cpu_model_best(&s, "GenuineIntel")->name, "Haswell-noTSX");
	cpu_set_change(&s, "sse4.2", false);
	assert_string_equal(cpu_model_best(&s, NULL)->name, "x86-64-v1");
}

static void specs_are_read(void **state)
{
	static const char *const wrong[] = { "", "Nix", "host,avx", "host,+warp", "host,vendor=x", "host,enforce=no" };
	struct cpu_spec s;
	struct err e;

	assert_int_equal(cpu_spec_parse(&s, "Westmere,-aes,+avx,vendor=amd,enforce=off", &e), 0);
	assert_string_equal(s.model->name, "Westmere");
	assert_true(cpu_set_has(&s.less, "aes") && cpu_set_has(&s.more, "avx") && s.lenient);
	assert_string_equal(s.vendor, "AuthenticAMD");
	for (size_t n = 0; n < COUNT_OF(wrong); n++)
		assert_int_equal(cpu_spec_parse(&s, wrong[n], &e), -EINVAL);
}

/* A host of level 3 with AVX's area in XSAVE, and a bit that has no name. */
static unsigned host_rows(struct x86_cpuid *rows)
{
	const struct x86_cpuid made[] = {
		{ 0, 0, false, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 },
		{ 1, 0, false, 0x306c3, 0, 0, 0 },
		{ 7, 0, true, 0, 0, 0, 0 },
		{ 0xd, 0, true, 7, 832, 832, 0 },
		{ 0xd, 2, true, 256, 576, 0, 0 },
		{ 0x80000000, 0, false, 0x80000008, 0, 0, 0 },
		{ 0x80000001, 0, false, 0, 0, 0, 0 },
		{ 0x80000002, 0, false, 0x61616161, 0, 0, 0 },
	};
	struct cpu_set s = of_model("x86-64-v3");

	memcpy(rows, made, sizeof(made));
	for (unsigned leaf = 0; leaf < CPU_LEAVES; leaf++)
		for (unsigned n = 0; n < COUNT_OF(made); n++)
			if (rows[n].leaf == cpu_leaves[leaf].leaf && rows[n].subleaf == cpu_leaves[leaf].subleaf)
				*cpu_row_reg(&rows[n], cpu_leaves[leaf].reg) |= s.word[leaf];
	rows[1].edx |= 1u << 20; /* no feature */
	return COUNT_OF(made);
}

static void rows_become_the_model(void **state)
{
	struct x86_cpuid rows[16];
	unsigned count = host_rows(rows);
	struct cpu_spec s;
	struct cpu_set got, wanted = of_model("Penryn"), more, less;
	struct err e;

	assert_int_equal(cpu_spec_parse(&s, "Penryn", &e), 0);
	assert_int_equal(cpu_fit(rows, count, &s, &e), 0);
	cpu_set_of_rows(&got, rows, count);
	assert_true(cpu_set_missing(&less, &got, &wanted));
	cpu_set_missing(&more, &wanted, &got);
	assert_true(cpu_set_change(&more, "xsave", false)); /* the machine's */
	assert_true(cpu_set_missing(&less, &(struct cpu_set){ 0 }, &more));
	assert_int_equal(rows[1].eax, 0x1067a);
	assert_false(rows[1].edx & 1u << 20);
	assert_int_equal(rows[3].eax, 3);
	assert_int_equal(rows[3].ecx, 576);
	assert_memory_equal(&rows[7].eax, "Intel Core 2 Duo", 16);
}

static void what_is_missing_is_named(void **state)
{
	struct x86_cpuid rows[16], before[16];
	unsigned count = host_rows(rows);
	struct cpu_spec s;
	struct cpu_set got;
	struct err e;

	memcpy(before, rows, sizeof(rows));
	assert_int_equal(cpu_spec_parse(&s, "x86-64-v4", &e), 0);
	assert_int_equal(cpu_fit(rows, count, &s, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "avx512f"));
	assert_memory_equal(rows, before, count * sizeof(rows[0]));
	s.lenient = true;
	assert_int_equal(cpu_fit(rows, count, &s, &e), 0);
	cpu_set_of_rows(&got, rows, count);
	assert_true(cpu_set_has(&got, "avx2") && !cpu_set_has(&got, "avx512f"));
	assert_int_equal(cpu_spec_parse(&s, "Opteron_G5,enforce=off", &e), 0);
	assert_int_equal(cpu_fit(rows, count, &s, &e), 0);
	assert_int_equal(rows[1].eax, 0x600f20); /* family 21, model 2 */
}

static void the_host_loses_what_is_taken_away(void **state)
{
	struct x86_cpuid rows[16];
	unsigned count = host_rows(rows);
	struct cpu_spec s;
	struct cpu_set got;
	struct err e;

	assert_int_equal(cpu_spec_parse(&s, "host,-avx2,vendor=amd", &e), 0);
	assert_int_equal(cpu_fit(rows, count, &s, &e), 0);
	cpu_set_of_rows(&got, rows, count);
	assert_true(cpu_set_has(&got, "avx") && !cpu_set_has(&got, "avx2"));
	assert_true(rows[1].edx & 1u << 20);
	assert_int_equal(rows[0].ebx, 0x68747541);
	assert_int_equal(rows[3].eax, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_their_other_spellings), cmocka_unit_test(models_are_whole),
		cmocka_unit_test(the_best_model_is_found),          cmocka_unit_test(specs_are_read),
		cmocka_unit_test(rows_become_the_model),            cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(the_host_loses_what_is_taken_away), cmocka_unit_test(generations_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
