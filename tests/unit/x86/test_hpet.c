/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/gsi.h"
#include "arch/x86/hpet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T0 = 0x100, T1 = 0x120, T2 = 0x140, COMPARE = 8, MESSAGE = 0x10 };
enum { LEVEL = 2, ON = 4, PERIODIC = 8, SET = 0x40, NARROW = 0x100, FSB = 0x4000, PIN_20 = 20 << 9 };

struct fix {
	struct rig r;
	struct gsi gsi;
	struct wire pin[GSI_COUNT];
	unsigned messages, legacy_calls;
	uint64_t addr;
	uint32_t data;
	bool legacy;
};

static struct fix f;

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	f.messages++;
	f.addr = addr;
	f.data = data;
}

static void legacy(void *opaque, bool on)
{
	f.legacy = on;
	f.legacy_calls++;
}

static int up(void **state)
{
	f = (struct fix){ 0 };
	rig_up(&f.r, 0);
	for (unsigned n = 0; n < GSI_COUNT; n++)
		f.gsi.ioapic[n] = rig_wire(&f.pin[n]);
	struct hpet_config hc = { .timers = f.r.timers, .gsi = &f.gsi, .msi = { .send = message }, .legacy = legacy };
	assert_int_equal(hpet_create(f.r.vm, hc, NULL), 0);
	return 0;
}

static int down(void **state)
{
	rig_down(&f.r);
	return 0;
}

static void put(unsigned off, uint64_t v) { rig_store(&f.r, HPET_BASE + off, 8, v); }
static uint64_t get(unsigned off) { return rig_load(&f.r, HPET_BASE + off, 8); }

static void the_counter_runs_when_it_is_switched_on(void **state)
{
	assert_int_equal(get(0), UINT64_C(0x009896808086a201));
	rig_advance(&f.r, 1000);
	assert_int_equal(get(COUNTER), 0);
	put(COUNTER, UINT64_C(0xfffffffe));
	put(CONFIG, 1);
	rig_advance(&f.r, 50);
	assert_int_equal(get(COUNTER), UINT64_C(0x100000003));
	assert_int_equal(rig_load(&f.r, HPET_BASE + COUNTER + 4, 4), 1);
	put(COUNTER, 0); /* not while it runs */
	assert_int_equal(get(COUNTER), UINT64_C(0x100000003));
	put(CONFIG, 0);
	rig_advance(&f.r, 1000);
	assert_int_equal(get(COUNTER), UINT64_C(0x100000003));
}

static void one_shot_pulses_once(void **state)
{
	put(T2, ON | PIN_20);
	put(T2 + COMPARE, 10000);
	put(CONFIG, 1);
	rig_advance(&f.r, 99990);
	assert_int_equal(f.pin[20].rises, 0);
	rig_advance(&f.r, 10);
	assert_int_equal(f.pin[20].rises, 1);
	assert_false(f.pin[20].level);
	rig_advance(&f.r, 1000000000);
	assert_int_equal(f.pin[20].rises, 1);
	put(T2 + COMPARE, 5); /* in the past: not before the counter comes round */
	rig_advance(&f.r, 1000000000);
	assert_int_equal(f.pin[20].rises, 1);
	put(T2, ON | PIN_20 | NARROW);
	put(T2 + COMPARE, 5);
	rig_advance(&f.r, INT64_C(43000000000));
	assert_int_equal(f.pin[20].rises, 2);
}

static void periodic_as_linux_sets_it(void **state)
{
	put(CONFIG, 1);
	rig_store(&f.r, HPET_BASE + T0, 4, ON | PERIODIC | SET | NARROW);
	rig_store(&f.r, HPET_BASE + T0 + COMPARE, 4, 400000);
	rig_store(&f.r, HPET_BASE + T0 + COMPARE, 4, 100000);
	put(CONFIG, 3);
	assert_true(f.legacy);
	rig_advance(&f.r, 4000000);
	assert_int_equal(f.pin[2].rises, 1);
	rig_advance(&f.r, 10000000);
	assert_int_equal(f.pin[2].rises, 11);
	rig_advance(&f.r, INT64_C(60000000000)); /* past the end of 32 bits */
	assert_int_equal(f.pin[2].rises, 60011);
	put(CONFIG, 1);
	assert_false(f.legacy);
}

static void a_level_stays_until_it_is_answered(void **state)
{
	put(CONFIG, 1);
	put(T1, ON | LEVEL | PIN_20);
	put(T1 + COMPARE, 100);
	rig_advance(&f.r, 1000);
	assert_true(f.pin[20].level);
	assert_int_equal(get(STATUS), 2);
	put(STATUS, 1);
	assert_true(f.pin[20].level);
	put(STATUS, 2);
	assert_false(f.pin[20].level);
}

static void messages_go_where_they_are_told(void **state)
{
	put(CONFIG, 1);
	put(T2 + MESSAGE, UINT64_C(0xfee0100000000041));
	put(T2, ON | FSB);
	put(T2 + COMPARE, 100);
	rig_advance(&f.r, 1000);
	assert_int_equal(f.messages, 1);
	assert_int_equal(f.addr, 0xfee01000);
	assert_int_equal(f.data, 0x41);
}

static void a_tiny_period_does_not_drown_the_host(void **state)
{
	put(CONFIG, 1);
	put(T2, ON | PERIODIC | SET | PIN_20);
	put(T2 + COMPARE, 1);
	rig_advance(&f.r, 1000000);
	assert_in_range(f.pin[20].rises, 1, 51);
}

static void states_survive(void **state)
{
	put(CONFIG, 3);
	put(T0, ON | PERIODIC | SET);
	put(T0 + COMPARE, 100000);
	put(T1, ON | LEVEL | PIN_20);
	rig_advance(&f.r, 1500000);
	uint64_t count = get(COUNTER);
	rig_state_round_trip(&f.r, "hpet0");
	assert_int_equal(get(COUNTER), count);
	unsigned before = f.pin[2].rises;
	rig_advance(&f.r, 1000000);
	assert_int_equal(f.pin[2].rises, before + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_counter_runs_when_it_is_switched_on), TEST(one_shot_pulses_once),
		TEST(periodic_as_linux_sets_it),
		TEST(a_level_stays_until_it_is_answered), TEST(messages_go_where_they_are_told),
		TEST(a_tiny_period_does_not_drown_the_host), TEST(states_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
