/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/rtc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define START INT64_C(1709164799) /* 2024-02-28 23:59:59 UTC, a Wednesday in a leap year */

struct fix {
	struct rig r;
	struct rtc *rtc;
	struct wire irq;
	int64_t utc_shift;
};

static int64_t utc(void *opaque)
{
	struct fix *f = opaque;
	return START * 1000000000 + f->r.vc.ns + f->utc_shift;
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, 0);
	struct rtc_config cfg = {
		.timers = f.r.timers, .irq = rig_wire(&f.irq), .utc_ns = utc, .utc_opaque = &f,
		.mem_below_4g = 0xc0000000, .mem_above_4g = 0x140000000, .cpus = 4,
	};
	assert_int_equal(rtc_create(f.r.vm, cfg, &f.rtc, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static unsigned get(struct fix *f, unsigned reg)
{
	rig_out(&f->r, 0x70, 1, reg);
	return rig_in(&f->r, 0x71, 1);
}

static void put(struct fix *f, unsigned reg, uint8_t v)
{
	rig_out(&f->r, 0x70, 1, reg);
	rig_out(&f->r, 0x71, 1, v);
}

static void assert_time(struct fix *f, unsigned year, unsigned mon, unsigned day, unsigned h, unsigned m, unsigned s)
{
	assert_int_equal(get(f, 9), year);
	assert_int_equal(get(f, 8), mon);
	assert_int_equal(get(f, 7), day);
	assert_int_equal(get(f, 4), h);
	assert_int_equal(get(f, 2), m);
	assert_int_equal(get(f, 0), s);
}

static void shows_the_time(void **state)
{
	struct fix *f = *state;
	assert_time(f, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59);
	assert_int_equal(get(f, 0x32), 0x20);
	assert_int_equal(get(f, 6), 4);
	rig_advance(&f->r, 1000000000);
	assert_time(f, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00);
	put(f, 0x0b, 0x06); /* binary */
	assert_time(f, 24, 2, 29, 0, 0, 0);
	put(f, 0x0b, 0x04); /* 12 hours */
	assert_int_equal(get(f, 4), 12);
	rig_advance(&f->r, 13 * INT64_C(3600000000000));
	assert_int_equal(get(f, 4), 0x81);
	assert_int_equal(get(f, 0x0d), 0x80);
}

static void update_in_progress_before_the_second(void **state)
{
	struct fix *f = *state;
	rig_advance(&f->r, 999000000);
	assert_int_equal(get(f, 0x0a) & 0x80, 0);
	rig_advance(&f->r, 900000);
	assert_int_equal(get(f, 0x0a) & 0x80, 0x80);
	rig_advance(&f->r, 200000);
	assert_int_equal(get(f, 0x0a) & 0x80, 0);
}

static void the_guest_sets_it(void **state)
{
	struct fix *f = *state;
	put(f, 0x0b, 0x82);
	put(f, 0x32, 0x19), put(f, 9, 0x99), put(f, 8, 0x12), put(f, 7, 0x31);
	put(f, 4, 0x23), put(f, 2, 0x59), put(f, 0, 0x58);
	rig_advance(&f->r, 5000000000); /* stands while SET is on */
	assert_int_equal(get(f, 0), 0x58);
	put(f, 0x0b, 0x02);
	rig_advance(&f->r, 3000000000);
	assert_time(f, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01);
	assert_int_equal(get(f, 0x32), 0x20);
	put(f, 2, 0x30); /* without SET */
	assert_time(f, 0x00, 0x01, 0x01, 0x00, 0x30, 0x01);
	f->utc_shift = 60 * INT64_C(1000000000); /* the host went on while the machine stood */
	dev_find(f->r.vm, "rtc0")->type->run_state(f->rtc, true);
	assert_time(f, 0x00, 0x01, 0x01, 0x00, 0x31, 0x01);
}

static void alarm_interrupt(void **state)
{
	struct fix *f = *state;
	put(f, 1, 0x10), put(f, 3, 0x00), put(f, 5, 0x00);
	get(f, 0x0c);
	put(f, 0x0b, 0x22);
	rig_advance(&f->r, 10900000000);
	assert_false(f->irq.level);
	rig_advance(&f->r, 200000000);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
	assert_false(f->irq.level);
	assert_int_equal(get(f, 0x0c) & 0xa0, 0);
	put(f, 1, 0xff), put(f, 3, 0xc0), put(f, 5, 0xff); /* every second */
	unsigned before = f->irq.rises;
	for (unsigned n = 0; n < 5; n++) {
		rig_advance(&f->r, 1000000000);
		get(f, 0x0c);
	}
	assert_int_equal(f->irq.rises, before + 5);
}

static void periodic_and_update_interrupts(void **state)
{
	struct fix *f = *state;
	get(f, 0x0c);
	put(f, 0x0a, 0x26); /* 1024 Hz */
	put(f, 0x0b, 0x42);
	unsigned taken = 0;
	for (unsigned n = 0; n < 10000; n++) {
		rig_advance(&f->r, 100000);
		if (f->irq.level && (get(f, 0x0c) & 0x40))
			taken++;
	}
	assert_in_range(taken, 1023, 1025);
	put(f, 0x0b, 0x12);
	get(f, 0x0c);
	rig_advance(&f->r, 1000000000);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 0x0c) & 0x90, 0x90);
}

static void cmos_memory(void **state)
{
	struct fix *f = *state;
	assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
	assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 0xffff);
	assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (0xc0000000 - 0x1000000) >> 16);
	assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 0x140000000 >> 16);
	assert_int_equal(get(f, 0x5f), 3);
	put(f, 0x40, 0xa5);
	rig_reset(&f->r, "rtc0");
	assert_int_equal(get(f, 0x40), 0xa5);
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	put(f, 4, 0x05);
	put(f, 0x0b, 0x42);
	get(f, 0x0c);
	rig_state_round_trip(&f->r, "rtc0");
	assert_int_equal(get(f, 4), 0x05);
	rig_advance(&f->r, 2000000);
	assert_true(f->irq.level);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(shows_the_time), T(update_in_progress_before_the_second), T(the_guest_sets_it), T(alarm_interrupt),
		T(periodic_and_update_interrupts), T(cmos_memory), T(saved_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
