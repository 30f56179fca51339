/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/cpuid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct x86_cpuid intel[] = {
	{0, 0, false, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69},
	{1, 0, false, 0x000806f8, 0x00100800, 0x76fa3203, 0x178bfbff},
	{4, 0, true, 0x7c004121, 0x01c0003f, 63, 0}, {4, 1, true, 0x7c004122, 0x01c0003f, 63, 0},
	{4, 2, true, 0x7c004143, 0x03c0003f, 2047, 0}, {4, 3, true, 0x7c0fc163, 0x0280003f, 114687, 4},
	{7, 0, true, 1, 0x208c07a9, 0, 0x00008000},
	{0x80000000, 0, false, 0x80000008, 0, 0, 0}, {0x80000001, 0, false, 0, 0, 0x21, 0x2c100800},
	{0x80000008, 0, false, 0x3028, 0, 0x7777, 0},
};

static const struct x86_cpuid amd[] = {
	{0, 0, false, 0x10, 0x68747541, 0x444d4163, 0x69746e65},
	{1, 0, false, 0x00a20f10, 0x00100800, 0x76f83203, 0x178bfbff},
	{0x80000000, 0, false, 0x80000023, 0, 0, 0}, {0x80000001, 0, false, 0, 0, 0x75c237ff, 0x2fd3fbff},
	{0x80000008, 0, false, 0x3030, 0, 0x400f, 0},
	{0x8000001d, 0, true, 0x4121, 0x01c0003f, 63, 0},
};

static struct x86_cpuid table[X86_CPUID_MAX];
static int rows;

static const struct x86_cpuid *row(uint32_t leaf, uint32_t sub)
{
	for (int n = 0; n < rows; n++)
		if (table[n].leaf == leaf && table[n].subleaf == sub)
			return &table[n];
	fail_msg("no CPUID row %x.%x", leaf, sub);
	return NULL;
}

static void build(const struct x86_cpuid *r, unsigned count, struct x86_topology t, unsigned index)
{
	struct cpuid_config cfg = {
		.topology = t, .cpus = t.sockets * t.cores * t.threads, .tsc_khz = 2599998, .x2apic = true,
		.tsc_deadline = true, .invariant_tsc = true, .pvclock = true,
	};
	rows = cpuid_build(table, X86_CPUID_MAX, r, count, &cfg, index, NULL);
	assert_true(rows > 0);
	for (int n = 1; n < rows; n++)
		assert_true(table[n - 1].leaf < table[n].leaf ||
			    (table[n - 1].leaf == table[n].leaf && table[n - 1].subleaf < table[n].subleaf));
}

#define INTEL intel, sizeof(intel) / sizeof(intel[0])
#define AMD amd, sizeof(amd) / sizeof(amd[0])

static void apic_ids(void **state)
{
	struct x86_topology t = {2, 3, 2}; /* three cores take two bits */
	const uint32_t want[12] = {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13};
	for (unsigned n = 0; n < 12; n++)
		assert_int_equal(apic_id_for(&t, n), want[n]);
	t = (struct x86_topology){4, 1, 1};
	assert_int_equal(apic_id_for(&t, 3), 3);
}

static void intel_topology(void **state)
{
	build(INTEL, (struct x86_topology){2, 4, 2}, 11); /* socket 1, core 1, thread 1: id 11 */
	assert_int_equal(row(1, 0)->ebx >> 24, 11);
	assert_int_equal((row(1, 0)->ebx >> 16) & 0xff, 8);
	assert_true(row(1, 0)->edx & 1u << 28);
	assert_true(row(1, 0)->ecx & 1u << 31);
	assert_true(row(1, 0)->ecx & 1u << 21);
	assert_int_equal(row(0xb, 0)->eax, 1);
	assert_int_equal(row(0xb, 0)->ebx, 2);
	assert_int_equal(row(0xb, 0)->ecx, 0x100);
	assert_int_equal(row(0xb, 1)->eax, 3);
	assert_int_equal(row(0xb, 1)->ebx, 8);
	assert_int_equal(row(0xb, 1)->ecx, 0x201);
	assert_int_equal(row(0x1f, 1)->edx, 11);
	assert_int_equal((row(4, 0)->eax >> 14) & 0xfff, 1); /* L1 shared by two threads */
	assert_int_equal((row(4, 3)->eax >> 14) & 0xfff, 7); /* L3 by the socket */
	assert_int_equal(row(4, 3)->eax >> 26, 3);
	assert_int_equal(row(4, 3)->ecx, 114687); /* the host's size */
	assert_int_equal(row(4, 4)->eax, 0);
	assert_int_equal(row(7, 0)->edx & 0x8000, 0); /* not hybrid */
	assert_int_equal(row(0x80000008, 0)->ecx, 0);
	assert_int_equal(row(0, 0)->ebx, 0x756e6547);
}

static void one_processor(void **state)
{
	build(INTEL, (struct x86_topology){1, 1, 1}, 0);
	assert_int_equal(row(1, 0)->ebx >> 16, 1);
	assert_false(row(1, 0)->edx & 1u << 28);
	assert_int_equal(row(0xb, 0)->ebx, 1);
	assert_int_equal((row(4, 3)->eax >> 14), 0);
}

static void amd_topology(void **state)
{
	build(AMD, (struct x86_topology){1, 3, 2}, 5);
	assert_int_equal(row(0x80000008, 0)->ecx, 5 | 3 << 12);
	assert_int_equal(row(0x8000001e, 0)->eax, 5);
	assert_int_equal(row(0x8000001e, 0)->ebx, 2 | 1 << 8);
	assert_int_equal((row(0x8000001d, 0)->eax >> 14) & 0xfff, 1);
	assert_int_equal((row(0x8000001d, 3)->eax >> 14) & 0xfff, 5); /* made up: the host named none */
	assert_int_equal((row(0x8000001d, 3)->eax >> 5) & 7, 3);
	assert_true(row(0x80000001, 0)->ecx & 1u << 22);
	assert_true(row(0x80000006, 0)->edx >> 18);
	assert_int_equal(row(0xb, 1)->ebx, 6);
}

static void frequencies(void **state)
{
	build(INTEL, (struct x86_topology){1, 1, 1}, 0);
	const struct x86_cpuid *r = row(0x15, 0);
	assert_int_equal(r->ecx, 1000000000);
	assert_true((uint64_t)(r->ecx / 1000) * r->ebx <= UINT32_MAX);
	double khz = (double)r->ecx / 1000 * r->ebx / r->eax;
	assert_true(khz > 2599998 * 0.99999 && khz < 2599998 * 1.00001);
	assert_int_equal(row(0x16, 0)->eax, 2600);
	assert_int_equal(row(0x40000010, 0)->eax, 2599998);
	assert_int_equal(row(0x40000010, 0)->ebx, 1000000);
	assert_int_equal(row(0x80000007, 0)->edx, 0x100);
}

static void hypervisor_leaves(void **state)
{
	build(INTEL, (struct x86_topology){1, 1, 1}, 0);
	assert_memory_equal(&row(0x40000000, 0)->ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(row(0x40000001, 0)->eax, 1 | 2 | 8 | 1 << 24);
	struct x86_cpuid r[] = {intel[0], intel[1], {0x40000001, 0, false, 0x01007efb, 0, 0, 0}};
	build(r, 3, (struct x86_topology){1, 1, 1}, 0);
	assert_int_equal(row(0x40000001, 0)->eax, 1 | 2 | 8 | 1 << 24); /* no kernel APICs: only the clocks */
}

static void refusals(void **state)
{
	struct err e = {0};
	struct cpuid_config cfg = {.topology = {1, 2, 1}, .cpus = 3};
	assert_int_equal(cpuid_build(table, X86_CPUID_MAX, intel, 1, &cfg, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "3 processors"));
	cfg = (struct cpuid_config){.topology = {1, 1, 1}, .cpus = 1};
	assert_int_equal(cpuid_build(table, 10, INTEL, &cfg, 0, NULL), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apic_ids), cmocka_unit_test(intel_topology), cmocka_unit_test(one_processor),
		cmocka_unit_test(amd_topology), cmocka_unit_test(frequencies), cmocka_unit_test(hypervisor_leaves),
		cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
