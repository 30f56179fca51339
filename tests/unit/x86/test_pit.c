/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/pit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct pit *pit;
	struct wire irq;
};

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, 0);
	struct pit_config cfg = {.timers = f.r.timers, .irq = rig_wire(&f.irq)};
	assert_int_equal(pit_create(f.r.vm, cfg, &f.pit, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static void program(struct fix *f, unsigned ch, unsigned mode, uint16_t count)
{
	rig_out(&f->r, 0x43, 1, ch << 6 | 0x30 | mode << 1);
	rig_out(&f->r, 0x40 + ch, 1, count & 0xff);
	rig_out(&f->r, 0x40 + ch, 1, count >> 8);
}

static unsigned latched(struct fix *f, unsigned ch)
{
	rig_out(&f->r, 0x43, 1, ch << 6);
	unsigned low = rig_in(&f->r, 0x40 + ch, 1);
	return low | (unsigned)rig_in(&f->r, 0x40 + ch, 1) << 8;
}

static void tick_is_periodic(void **state)
{
	struct fix *f = *state;
	program(f, 0, 2, 11932); /* 100 Hz */
	unsigned before = f->irq.rises;
	rig_advance(&f->r, 1000000000);
	assert_in_range(f->irq.rises - before, 99, 100);
	program(f, 0, 3, 0); /* 65536: 18.2 Hz */
	before = f->irq.rises;
	rig_advance(&f->r, 10000000000);
	assert_in_range(f->irq.rises - before, 181, 183);
}

static void one_shot_fires_once(void **state)
{
	struct fix *f = *state;
	program(f, 0, 0, 1193); /* 1 ms */
	assert_false(f->irq.level);
	rig_advance(&f->r, 990000);
	assert_false(f->irq.level);
	rig_advance(&f->r, 20000);
	assert_true(f->irq.level);
	assert_int_equal(f->irq.rises, 1);
	rig_advance(&f->r, 1000000000);
	assert_int_equal(f->irq.rises, 1);
	program(f, 0, 0, 1193);
	assert_false(f->irq.level);
	rig_advance(&f->r, 2000000);
	assert_int_equal(f->irq.rises, 2);
}

static void hostile_rate_is_bounded(void **state)
{
	struct fix *f = *state;
	program(f, 0, 2, 1);
	unsigned before = f->irq.rises;
	rig_advance(&f->r, 100000000);
	assert_in_range(f->irq.rises - before, 1, 5100);
}

static void counter_counts_down(void **state)
{
	struct fix *f = *state;
	program(f, 0, 2, 1000);
	assert_int_equal(latched(f, 0), 1000);
	rig_advance(&f->r, 100 * 1000000000ll / PIT_HZ + 1);
	assert_int_equal(latched(f, 0), 900);
	program(f, 0, 3, 1000);
	rig_advance(&f->r, 100 * 1000000000ll / PIT_HZ + 1);
	assert_int_equal(latched(f, 0), 800); /* mode 3 counts by two */
	rig_out(&f->r, 0x43, 1, 0x00); /* latch, then time goes on */
	rig_advance(&f->r, 100 * 1000000000ll / PIT_HZ);
	unsigned low = rig_in(&f->r, 0x40, 1);
	assert_int_equal(low | rig_in(&f->r, 0x40, 1) << 8, 800);
}

static void bcd_counts(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x43, 1, 0x35);
	rig_out(&f->r, 0x40, 1, 0x00), rig_out(&f->r, 0x40, 1, 0x10); /* 1000 */
	rig_advance(&f->r, 1 * 1000000000ll / PIT_HZ + 1);
	assert_int_equal(latched(f, 0), 0x0999);
}

/* What kernels do to calibrate the TSC: channel 2 in mode 0, gate on, wait for OUT2 in port 0x61. */
static void channel2_with_gate_and_port_b(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x61, 1, 0x00);
	program(f, 2, 0, 59659); /* 50 ms */
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0);
	rig_advance(&f->r, 100000000);
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0); /* the gate is shut */
	assert_int_equal(latched(f, 2), 59659);
	rig_out(&f->r, 0x61, 1, 0x01);
	rig_advance(&f->r, 20000000);
	rig_out(&f->r, 0x61, 1, 0x00); /* held for a while */
	unsigned held = latched(f, 2);
	rig_advance(&f->r, 20000000);
	assert_int_equal(latched(f, 2), held);
	rig_out(&f->r, 0x61, 1, 0x01);
	rig_advance(&f->r, 29900000);
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0);
	rig_advance(&f->r, 200000);
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x21, 0x21);
}

static void triggered_one_shot(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x61, 1, 0x00);
	program(f, 2, 1, 1193);
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0x20);
	rig_out(&f->r, 0x61, 1, 0x01); /* the trigger */
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0);
	rig_advance(&f->r, 1100000);
	assert_int_equal(rig_in(&f->r, 0x61, 1) & 0x20, 0x20);
}

static void read_back_command(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x43, 1, 0x34);
	rig_out(&f->r, 0x43, 1, 0xe2); /* status of channel 0 */
	assert_int_equal(rig_in(&f->r, 0x40, 1), 0x80 | 0x40 | 0x34);
	rig_out(&f->r, 0x40, 1, 0xe8), rig_out(&f->r, 0x40, 1, 3);
	rig_out(&f->r, 0x43, 1, 0xc2); /* status and count */
	assert_int_equal(rig_in(&f->r, 0x40, 1), 0x80 | 0x34);
	unsigned low = rig_in(&f->r, 0x40, 1);
	assert_int_equal(low | rig_in(&f->r, 0x40, 1) << 8, 1000);
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	program(f, 0, 2, 11932);
	rig_advance(&f->r, 5000000);
	rig_state_round_trip(&f->r, "pit0");
	unsigned before = f->irq.rises;
	rig_advance(&f->r, 4000000);
	assert_int_equal(f->irq.rises, before);
	rig_advance(&f->r, 2000000);
	assert_int_equal(f->irq.rises, before + 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(tick_is_periodic), T(one_shot_fires_once), T(hostile_rate_is_bounded), T(counter_counts_down),
		T(bcd_counts),
		T(channel2_with_gate_and_port_b), T(triggered_one_shot), T(read_back_command), T(saved_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
