/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TLB's tables alone: what is found, and that flushes leave nothing behind. */
#include "accel/soft/mem.h"
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#define HOST ((uint8_t *)0x500000000000)

static struct soft_cpu *make(void)
{
	struct soft_vcpu *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	tlb_init(&p->c.tlb);
	p->c.s.cr4 = X86_CR4_PGE | X86_CR4_PAE;
	mmu_flush_all(&p->c);
	return &p->c;
}

static void fill(struct soft_cpu *c, uint64_t lin, bool global, uint64_t size)
{
	const struct walk w = { .global = global, .page_size = size };
	for (unsigned who = 0; who < TLB_WHOS; who++)
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			tlb_fill(c, lin, kind, who, &w, HOST + (lin & 0xffffff000));
}

static unsigned found(struct soft_cpu *c, uint64_t lin)
{
	unsigned n = 0;
	for (unsigned who = 0; who < TLB_WHOS; who++)
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			n += mem_hit(c->tlb.entry[who][kind], lin, 1) != NULL;
	return n;
}

static void test_empty(void **state)
{
	struct soft_cpu *c = make();
	static const uint64_t at[] = {
		0, 0xff8, 0xffc, 0xfff, 0x1000, 0x1ffc, 0x2000, (TLB_SIZE - 1) * UINT64_C(4096) + 0xffc,
		TLB_SIZE * UINT64_C(4096), UINT64_MAX - 3, UINT64_MAX - 4096, UINT64_C(1) << 63,
	};
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned n = 0; n < COUNT_OF(at); n++) {
			assert_null(mem_hit(c->tlb.none, at[n], 8));
			assert_null(mem_hit(c->tlb.entry[TLB_USER][TLB_READ], at[n], 8));
		}
		for (unsigned n = 0; n < COUNT_OF(at); n++)
			fill(c, at[n] & ~UINT64_C(4095), false, 4096);
		mmu_flush_nonglobal(c);
	}
	munmap(c, sizeof(struct soft_vcpu));
}

/* Few entries are emptied one by one, many by chunks; both leave global ones alone where they can. */
static void test_flush(void **state)
{
	struct soft_cpu *c = make();
	for (unsigned many = 0; many < 2; many++) {
		unsigned count = many ? 5000 : 50;
		fill(c, 0xffffffff81000000, true, 1 << 21);
		for (unsigned n = 0; n < count; n++)
			fill(c, n * UINT64_C(0x13000), false, 4096);
		mmu_flush_nonglobal(c);
		for (unsigned n = 0; n < count; n++)
			assert_int_equal(found(c, n * UINT64_C(0x13000)), 0);
		if (!many)
			assert_int_equal(found(c, 0xffffffff81000000), TLB_WHOS * TLB_KINDS);
		mmu_flush_all(c);
		assert_int_equal(found(c, 0xffffffff81000000), 0);
	}
	munmap(c, sizeof(struct soft_vcpu));
}

static void test_page(void **state)
{
	struct soft_cpu *c = make();
	for (unsigned n = 0; n < 2048; n++)
		fill(c, 0x40000000 + n * UINT64_C(4096), true, n < 512 ? 1 << 21 : 4096);
	mmu_flush_page(c, 0x40003000); /* all of the large page */
	assert_int_equal(found(c, 0x40000000) + found(c, 0x401ff000), 0);
	assert_int_equal(found(c, 0x40200000), TLB_WHOS * TLB_KINDS);
	mmu_flush_page(c, 0x40200000);
	assert_int_equal(found(c, 0x40200000), 0);
	mmu_drop_writers_of(c, HOST + 0x40201000, TLB_SIZE);
	assert_int_equal(found(c, 0x40201000), TLB_WHOS * (TLB_KINDS - 1));
	mmu_drop_writers_of(c, HOST + 0x40203000, tlb_slot(0x40204000)); /* of another page */
	assert_int_equal(found(c, 0x40203000) + found(c, 0x40204000), 2 * TLB_WHOS * TLB_KINDS);
	mmu_drop_writers_of(c, HOST + 0x40202000, tlb_slot(0x40202000));
	assert_int_equal(found(c, 0x40202000), TLB_WHOS * (TLB_KINDS - 1));
	fill(c, 0x40202000, true, 4096);
	assert_int_equal(found(c, 0x40202000), TLB_WHOS * TLB_KINDS);
	mmu_drop_writers(c);
	for (unsigned n = 514; n < 2048; n++)
		assert_int_equal(found(c, 0x40000000 + n * UINT64_C(4096)), TLB_WHOS * (TLB_KINDS - 1));
	munmap(c, sizeof(struct soft_vcpu));
}

/* What was derived from the mapping of a kernel's code holds over a MOV CR3 while its pages are global. */
static void test_generations(void **state)
{
	struct soft_cpu *c = make();
	const uint64_t kernel = 0xffffffff81000000, user = 0x400000;
	fill(c, kernel, true, 4096);
	fill(c, user, false, 4096);
	uint32_t lower = c->tlb.map_gen[0], upper = c->tlb.map_gen[1], walks = c->tlb.walk_gen;
	mmu_flush_nonglobal(c);
	assert_true(c->tlb.map_gen[0] != lower && c->tlb.map_gen[1] == upper && c->tlb.walk_gen != walks);
	fill(c, kernel + 4096, false, 4096);
	mmu_flush_nonglobal(c);
	assert_int_not_equal(c->tlb.map_gen[1], upper);
	upper = c->tlb.map_gen[1];
	mmu_flush_page(c, user);
	assert_int_equal(c->tlb.map_gen[1], upper);
	lower = c->tlb.map_gen[0];
	mmu_flush_page(c, kernel);
	assert_true(c->tlb.map_gen[1] != upper && c->tlb.map_gen[0] == lower);
	upper = c->tlb.map_gen[1];
	mmu_flush_all(c);
	assert_int_not_equal(c->tlb.map_gen[1], upper);
	munmap(c, sizeof(struct soft_vcpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_generations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
