/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "devices/legacy/i6300esb.h"
#include "devices/pci/pci_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { SLOT = 5, CONFIG = 0x60, LOCK = 0x68, BAR = 0xf0000000, RELOAD = BAR + 0xc };
#define SECOND INT64_C(1000000000)

static struct rig r;

static void config(unsigned off, unsigned width, uint32_t value)
{
	rig_out(&r, 0xcf8, 4, 0x80000000 | SLOT << 11 | (off & 0xfc));
	rig_out(&r, (uint16_t)(0xcfc + off % 4), width, value);
}

static int up(void **state)
{
	struct pci_bus *bus;
	struct pci_host_config hc = { 0 };

	rig_up(&r, 0);
	assert_int_equal(pci_host_create(r.vm, &hc, &bus, NULL), 0);
	struct i6300esb_config wc = { .bus = bus, .slot = SLOT, .timers = r.timers };
	assert_int_equal(i6300esb_create(r.vm, &wc, NULL), 0);
	config(0x10, 4, BAR);
	config(0x04, 2, 2);
	return 0;
}

static int down(void **state)
{
	rig_down(&r);
	return 0;
}

static void unlock(void)
{
	rig_store(&r, RELOAD, 2, 0x80);
	rig_store(&r, RELOAD, 2, 0x86);
}

/* Both stages take this many ticks of about 983 us. */
static void preload(uint32_t ticks)
{
	unlock();
	rig_store(&r, BAR, 4, ticks);
	unlock();
	rig_store(&r, BAR + 4, 4, ticks);
	unlock();
	rig_store(&r, RELOAD, 2, 0x100);
}

static void it_runs_out_after_two_stages(void **state)
{
	preload(1000);
	config(LOCK, 1, 2);
	rig_advance(&r, SECOND * 19 / 10);
	assert_false(rig_requested(&r, VM_REQUEST_WATCHDOG));
	assert_int_equal(rig_load(&r, BAR + 8, 2), 1);
	rig_advance(&r, SECOND * 2 / 10);
	assert_true(rig_requested(&r, VM_REQUEST_WATCHDOG));
	assert_int_equal(rig_load(&r, RELOAD, 2), 0x200);
	rig_reset(&r, "i6300esb0");
	config(0x10, 4, BAR);
	config(0x04, 2, 2);
	assert_int_equal(rig_load(&r, RELOAD, 2), 0x200); /* the next run can tell */
	unlock();
	rig_store(&r, RELOAD, 2, 0x200);
	assert_int_equal(rig_load(&r, RELOAD, 2), 0);
}

static void who_winds_it_up_is_left_alone(void **state)
{
	preload(1000);
	config(LOCK, 1, 2);
	for (unsigned n = 0; n < 20; n++) {
		rig_advance(&r, SECOND);
		unlock();
		rig_store(&r, RELOAD, 2, 0x100);
	}
	assert_false(rig_requested(&r, VM_REQUEST_WATCHDOG));
	config(LOCK, 1, 0);
	rig_advance(&r, 10 * SECOND);
	assert_false(rig_requested(&r, VM_REQUEST_WATCHDOG));
}

static void registers_open_to_the_key_only(void **state)
{
	rig_store(&r, BAR, 4, 5);
	assert_int_equal(rig_load(&r, BAR, 4), 0xfffff);
	rig_store(&r, RELOAD, 2, 0x86);
	rig_store(&r, BAR, 4, 5);
	assert_int_equal(rig_load(&r, BAR, 4), 0xfffff);
	unlock();
	rig_store(&r, BAR, 4, 0xff000005);
	assert_int_equal(rig_load(&r, BAR, 4), 5);
	rig_store(&r, BAR, 4, 6);
	assert_int_equal(rig_load(&r, BAR, 4), 5);
}

static void locked_it_cannot_be_stopped(void **state)
{
	preload(1000);
	config(LOCK, 1, 3);
	config(LOCK, 1, 0);
	rig_advance(&r, 3 * SECOND);
	assert_true(rig_requested(&r, VM_REQUEST_WATCHDOG));
}

static void without_output_nothing_happens(void **state)
{
	config(CONFIG, 2, 0x24); /* the fast clock, too */
	preload(1000);
	config(LOCK, 1, 2);
	rig_advance(&r, SECOND);
	assert_false(rig_requested(&r, VM_REQUEST_WATCHDOG));
}

static void states_survive(void **state)
{
	preload(1000);
	config(LOCK, 1, 3);
	rig_advance(&r, SECOND * 3 / 2);
	rig_state_round_trip(&r, "i6300esb0");
	rig_advance(&r, SECOND * 4 / 10);
	assert_false(rig_requested(&r, VM_REQUEST_WATCHDOG));
	rig_advance(&r, SECOND * 2 / 10);
	assert_true(rig_requested(&r, VM_REQUEST_WATCHDOG));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_runs_out_after_two_stages), TEST(who_winds_it_up_is_left_alone),
		TEST(registers_open_to_the_key_only), TEST(locked_it_cannot_be_stopped),
		TEST(without_output_nothing_happens), TEST(states_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
