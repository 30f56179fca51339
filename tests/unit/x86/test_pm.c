/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/i8042.h"
#include "arch/x86/pm.h"
#include "arch/x86/pvpanic.h"
#include "devices/legacy/debug_exit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct pm *pm;
	struct wire sci, kbd;
};

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, 0);
	struct pm_config cfg = {.timers = f.r.timers, .sci = rig_wire(&f.sci), .reset_port = 0xcf9,
				.s5_type = 5, .s4_type = 2, .s3_type = 1};
	assert_int_equal(pm_create(f.r.vm, cfg, &f.pm, NULL), 0);
	assert_int_equal(i8042_create(f.r.vm, (struct i8042_config){.irq = rig_wire(&f.kbd)}, NULL), 0);
	assert_int_equal(pvpanic_create(f.r.vm, (struct pvpanic_config){0}, NULL), 0);
	assert_int_equal(debug_exit_create(f.r.vm, (struct debug_exit_config){0}, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static void power_button_raises_the_sci(void **state)
{
	struct fix *f = *state;
	pm_power_button(f->pm);
	assert_false(f->sci.level); /* not enabled yet */
	rig_out(&f->r, 0x602, 2, 0x0100);
	assert_true(f->sci.level);
	assert_int_equal(rig_in(&f->r, 0x600, 2), 0x0100);
	rig_out(&f->r, 0x600, 2, 0x0100);
	assert_false(f->sci.level);
	pm_power_button(f->pm);
	assert_true(f->sci.level);
	rig_out(&f->r, 0x601, 1, 0x01); /* byte access too */
	assert_false(f->sci.level);
	assert_int_equal(rig_in(&f->r, 0x600, 4), 0x01000000);
}

static void sleep_s5_powers_off(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x604, 2), 1); /* ACPI mode */
	rig_out(&f->r, 0x604, 2, 3 << 10 | 1 << 13);
	assert_false(rig_requested(&f->r, VM_REQUEST_POWEROFF));
	rig_out(&f->r, 0x604, 2, 5 << 10);
	assert_false(rig_requested(&f->r, VM_REQUEST_POWEROFF));
	rig_out(&f->r, 0x604, 2, 5 << 10 | 1 << 13);
	assert_true(rig_requested(&f->r, VM_REQUEST_POWEROFF));
}

static void sleep_s4_switches_off_and_says_so(void **state)
{
	struct fix *f = *state;
	struct irq key = pm_waker(f->pm);

	rig_out(&f->r, 0x604, 2, 2 << 10);
	assert_false(rig_requested(&f->r, VM_REQUEST_HIBERNATE)); /* no SLP_EN */
	rig_out(&f->r, 0x605, 1, 2 << 2 | 1 << 5);		  /* byte access too */
	assert_true(rig_requested(&f->r, VM_REQUEST_HIBERNATE));
	assert_false(rig_requested(&f->r, VM_REQUEST_POWEROFF));
	assert_false(rig_requested(&f->r, VM_REQUEST_SLEEP));
	assert_int_equal(rig_in(&f->r, 0x604, 2), 2 << 10 | 1); /* SLP_EN reads as 0 */
	rig_state_round_trip(&f->r, "pm0");
	irq_pulse(&key); /* who is switched off is not woken */
	assert_false(rig_requested(&f->r, VM_REQUEST_WAKE));
}

/* A board that offers neither: their SLP_TYP is nothing, not even one of 0. */
static void sleep_that_is_not_offered(void **state)
{
	struct rig r;
	struct wire sci = {0};
	struct pm *pm;
	struct pm_config cfg = {.s5_type = 5};

	rig_up(&r, 0);
	cfg.timers = r.timers;
	cfg.sci = rig_wire(&sci);
	assert_int_equal(pm_create(r.vm, cfg, &pm, NULL), 0);
	for (unsigned type = 0; type < 8; type++)
		if (type != 5)
			rig_out(&r, 0x604, 2, type << 10 | 1 << 13);
	assert_int_equal(atomic_load(&r.vm->requests), 0);
	rig_down(&r);
}

static void sleep_s3_and_what_wakes(void **state)
{
	struct fix *f = *state;
	struct irq alarm = pm_alarm(f->pm), key = pm_waker(f->pm);

	irq_pulse(&key); /* awake: nothing */
	assert_false(rig_requested(&f->r, VM_REQUEST_WAKE));
	rig_out(&f->r, 0x602, 2, 0x0400); /* RTC_EN, no PWRBTN_EN */
	rig_out(&f->r, 0x604, 2, 1 << 10 | 1 << 13);
	assert_true(rig_requested(&f->r, VM_REQUEST_SLEEP));
	atomic_store(&f->r.vm->requests, 0);
	pm_power_button(f->pm); /* not enabled */
	assert_false(rig_requested(&f->r, VM_REQUEST_WAKE));
	rig_state_round_trip(&f->r, "pm0");
	irq_set(&alarm, true);
	assert_true(rig_requested(&f->r, VM_REQUEST_WAKE));
	rig_reset(&f->r, "pm0");
	assert_int_equal(rig_in(&f->r, 0x600, 2), 0);
	pm_woken(f->pm);
	assert_int_equal(rig_in(&f->r, 0x600, 2), 0x8400); /* WAK_STS, RTC_STS */
	rig_out(&f->r, 0x600, 2, 0x8400);
	irq_set(&alarm, true); /* still up: no new event */
	assert_int_equal(rig_in(&f->r, 0x600, 2), 0);
	atomic_store(&f->r.vm->requests, 0);
	irq_pulse(&key);
	assert_false(rig_requested(&f->r, VM_REQUEST_WAKE));
}

static void an_event_before_the_sleep_ends_it(void **state)
{
	struct fix *f = *state;
	struct irq key = pm_waker(f->pm);

	rig_out(&f->r, 0x602, 2, 0x0100);
	pm_power_button(f->pm);
	rig_out(&f->r, 0x604, 2, 1 << 10 | 1 << 13);
	assert_true(rig_requested(&f->r, VM_REQUEST_SLEEP));
	assert_true(rig_requested(&f->r, VM_REQUEST_WAKE));
	rig_reset(&f->r, "pm0");
	rig_out(&f->r, 0x604, 2, 1 << 10 | 1 << 13);
	atomic_store(&f->r.vm->requests, 0);
	irq_pulse(&key);
	assert_true(rig_requested(&f->r, VM_REQUEST_WAKE));
}

static void timer_runs_at_its_rate(void **state)
{
	struct fix *f = *state;
	uint32_t a = rig_in(&f->r, 0x608, 4);
	rig_advance(&f->r, 1000000000);
	assert_int_equal(rig_in(&f->r, 0x608, 4) - a, PM_TIMER_HZ);
	rig_out(&f->r, 0x602, 2, 1); /* TMR_EN: the top bit changes after 2^31 ticks */
	rig_advance(&f->r, 598 * INT64_C(1000000000));
	assert_false(f->sci.level);
	rig_advance(&f->r, 2 * INT64_C(1000000000));
	assert_true(f->sci.level);
	rig_out(&f->r, 0x600, 2, 1);
	assert_false(f->sci.level);
}

static void general_purpose_events(void **state)
{
	struct fix *f = *state;
	pm_gpe_raise(f->pm, 3);
	assert_false(f->sci.level);
	rig_out(&f->r, 0x622, 2, 0x0008);
	assert_true(f->sci.level);
	rig_out(&f->r, 0x620, 1, 0x08);
	assert_false(f->sci.level);
}

static void resets(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0xcf9, 1, 0x02);
	assert_false(rig_requested(&f->r, VM_REQUEST_RESET));
	rig_out(&f->r, 0xcf9, 1, 0x06);
	assert_true(rig_requested(&f->r, VM_REQUEST_RESET));
	atomic_store(&f->r.vm->requests, 0);
	rig_out(&f->r, 0x600 + PM_RESET, 1, PM_RESET_VALUE);
	assert_true(rig_requested(&f->r, VM_REQUEST_RESET));
	atomic_store(&f->r.vm->requests, 0);
	rig_out(&f->r, 0x64, 1, 0xfe);
	assert_true(rig_requested(&f->r, VM_REQUEST_RESET));
}

static void pm_saved_state(void **state)
{
	struct fix *f = *state;
	rig_advance(&f->r, 123456789);
	rig_out(&f->r, 0x602, 2, 0x0101);
	pm_power_button(f->pm);
	uint32_t t = rig_in(&f->r, 0x608, 4);
	rig_state_round_trip(&f->r, "pm0");
	assert_true(f->sci.level);
	assert_int_equal(rig_in(&f->r, 0x608, 4), t);
}

static void keyboard_controller_answers(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x64, 1) & 3, 0);
	rig_out(&f->r, 0x64, 1, 0xaa);
	assert_int_equal(rig_in(&f->r, 0x64, 1) & 1, 1);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0x55);
	assert_int_equal(rig_in(&f->r, 0x64, 1) & 1, 0);
	rig_out(&f->r, 0x64, 1, 0x60), rig_out(&f->r, 0x60, 1, 0x05);
	rig_out(&f->r, 0x64, 1, 0x20);
	assert_true(f->kbd.level);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0x05);
	assert_false(f->kbd.level);
	rig_out(&f->r, 0x60, 1, 0xf2); /* no keyboard answers */
	assert_int_equal(rig_in(&f->r, 0x64, 1) & 0x41, 0x41);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0xfe);
	rig_state_round_trip(&f->r, "i80420");
}

static void panic_is_reported(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_in(&f->r, 0x505, 1), 3);
	rig_out(&f->r, 0x505, 1, 2);
	assert_false(rig_requested(&f->r, VM_REQUEST_PANIC));
	rig_out(&f->r, 0x505, 1, 1);
	assert_true(rig_requested(&f->r, VM_REQUEST_PANIC));
}

static void debug_exit_takes_the_value(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0xf4, 4, 0x1234);
	assert_true(rig_requested(&f->r, VM_REQUEST_DEBUG_EXIT));
	assert_int_equal(atomic_load(&f->r.vm->debug_exit), 0x1234);
	rig_out(&f->r, 0xf4, 1, 0x10);
	assert_int_equal(atomic_load(&f->r.vm->debug_exit), 0x10);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(power_button_raises_the_sci), T(sleep_s5_powers_off),
		T(sleep_s4_switches_off_and_says_so), cmocka_unit_test(sleep_that_is_not_offered),
		T(sleep_s3_and_what_wakes),
		T(an_event_before_the_sleep_ends_it), T(timer_runs_at_its_rate),
		T(general_purpose_events),
		T(resets), T(pm_saved_state), T(keyboard_controller_answers), T(panic_is_reported),
		T(debug_exit_takes_the_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
