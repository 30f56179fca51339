/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of translated code when it is much too small: flushes are cheap, and a guest gets on. */
#include "accel/soft/soft.h"
#include "accel/soft/xlate.h"
#include "base/bytes.h"
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { RING = 0x40000, BLOCKS = 4096, APART = 64, TURNS = 100, FLUSHES = 1000, TABLES = 100, TABLE = 4 << 20 };

static struct soft_cpu *cpu_of(struct rig *r)
{
	return &((struct soft_vcpu *)r->vcpu[0].accel_data)->c;
}

/* inc rax; jmp to the next, over and over; dec ecx; jnz to the first; hlt */
static void put_ring(struct rig *r)
{
	static const uint8_t end[] = { 0xff, 0xc9, 0x0f, 0x85, 0, 0, 0, 0, 0xf4 };
	uint8_t *at = gmem_at(r->vm.mem, RING, BLOCKS * APART + sizeof(end));
	for (unsigned n = 0; n < BLOCKS; n++) {
		memcpy(at + n * APART, "\x48\xff\xc0\xe9", 4);
		store_le32(at + n * APART + 4, APART - 8);
	}
	memcpy(at + BLOCKS * APART, end, sizeof(end));
	store_le32(at + BLOCKS * APART + 4, -(uint32_t)(BLOCKS * APART + 8));
}

static void run_ring(struct rig *r, const char *options)
{
	rig_init_options(r, RIG_64, options);
	put_ring(r);
	r->s.rip = RING;
	r->s.gpr[X86_RAX] = 0;
	r->s.gpr[X86_RCX] = TURNS;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RAX], BLOCKS * TURNS);
}

/* A ring of code that does not fit. Translating all of it at each turn would be BLOCKS * TURNS decoded blocks. */
static void test_too_small(void **state)
{
	static struct rig r;
	run_ring(&r, "hot=1,cache=64K");
	const struct xlate_stats *s = xlate_stats(cpu_of(&r)->xlate);
	assert_true(s->flushes > 10);
	assert_true(s->blocks < BLOCKS * TURNS / 20);
	rig_free(&r);
}

/* One that fits is translated at once, whatever was before. */
static void test_fits(void **state)
{
	static struct rig r;
	run_ring(&r, "hot=1");
	const struct xlate_stats *s = xlate_stats(cpu_of(&r)->xlate);
	assert_int_equal(s->flushes, 0);
	assert_true(s->blocks >= BLOCKS / 8 && s->blocks <= BLOCKS + 1);
	assert_true(cpu_of(&r)->interpreted < BLOCKS);
	rig_free(&r);
}

/* inc eax; then, at PAIR_MIDDLE, mov rcx, [rbx]; mov rdx, [rbx + 8]; mov rsi, rcx; mov rdi, rdx; hlt */
enum { PAIR_MIDDLE = RIG_CODE + 2, PAIR_TRIES = 4 };

static void run_pair(struct rig *r, uint64_t rip, uint64_t at)
{
	r->s.mp = X86_MP_RUNNABLE;
	r->s.rip = rip;
	r->s.gpr[X86_RAX] = r->s.gpr[X86_RCX] = r->s.gpr[X86_RDX] = 0;
	r->s.gpr[X86_RBX] = at;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RAX], rip == RIG_CODE);
	assert_int_equal(r->s.gpr[X86_RCX], rig_get(r, at, 8));
	assert_int_equal(r->s.gpr[X86_RDX], rig_get(r, at + 8, 8));
}

/*
 * Before a flush, the second place in the store is the translation of what begins in the middle; after it, code for the
 * middle of the first block where accesses run over a page's end. That is entered from there only, though the decoded
 * block is the same.
 */
static void test_stale_note(void **state)
{
	static struct rig r;
	rig_init_options(&r, RIG_64, "hot=1");
	rig_put(&r, RIG_CODE, "\xff\xc0\x48\x8b\x0b\x48\x8b\x53\x08\x48\x89\xce\x48\x89\xd7\xf4", 16);
	rig_put(&r, RIG_DATA + 4096 - 8, "0123456789abcdef", 16);
	const struct xlate_stats *s = xlate_stats(cpu_of(&r)->xlate);
	run_pair(&r, RIG_CODE, RIG_DATA);
	run_pair(&r, PAIR_MIDDLE, RIG_DATA);
	assert_int_equal(s->blocks, 2);
	xlate_flush(cpu_of(&r)->xlate);
	for (unsigned n = 0; n < PAIR_TRIES; n++)
		run_pair(&r, RIG_CODE, RIG_DATA + 4096 - 8);
	assert_int_equal(s->blocks, 4);
	run_pair(&r, PAIR_MIDDLE, RIG_DATA);
	assert_int_equal(s->blocks, 5);
	rig_free(&r);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A flush costs what was translated, not what the store's tables could hold. */
static void test_flush_cost(void **state)
{
	static struct rig r;
	uint8_t *table = malloc(TABLE);
	assert_non_null(table);
	rig_init_options(&r, RIG_64, "hot=1");
	rig_put(&r, RIG_CODE, "\xf4", 1);
	assert_int_equal(rig_run(&r), VCPU_EXIT_HALTED);
	double begin = seconds();
	for (unsigned n = 0; n < FLUSHES; n++)
		xlate_flush(cpu_of(&r)->xlate);
	double flushes = seconds() - begin;
	for (unsigned n = 0; n < TABLES; n++)
		memset(table, (int)n, TABLE);
	assert_true(flushes < seconds() - begin - flushes);
	assert_int_equal(table[TABLE / 2], TABLES - 1);
	rig_free(&r);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_stale_note),
		cmocka_unit_test(test_flush_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
