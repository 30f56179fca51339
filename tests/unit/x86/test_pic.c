/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "arch/x86/pic.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct pic *pic;
	struct wire intr;
};

static void init_chips(struct fix *f, uint8_t icw4)
{
	struct rig *r = &f->r;
	rig_out(r, 0x20, 1, 0x11), rig_out(r, 0x21, 1, 0x20), rig_out(r, 0x21, 1, 4), rig_out(r, 0x21, 1, icw4);
	rig_out(r, 0xa0, 1, 0x11), rig_out(r, 0xa1, 1, 0x28), rig_out(r, 0xa1, 1, 2), rig_out(r, 0xa1, 1, icw4);
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){0};
	rig_up(&f.r, 0);
	assert_int_equal(pic_create(f.r.vm, (struct pic_config){.intr = rig_wire(&f.intr)}, &f.pic, NULL), 0);
	init_chips(&f, 1);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	return 0;
}

static void pin(struct fix *f, unsigned n, bool level)
{
	struct irq q = pic_pin(f->pic, n);
	irq_set(&q, level);
}

static void edge_is_latched_and_acknowledged(void **state)
{
	struct fix *f = *state;
	pin(f, 1, true);
	assert_true(f->intr.level);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0x02);
	assert_int_equal(pic_ack(f->pic), 0x21);
	assert_false(f->intr.level);
	rig_out(&f->r, 0x20, 1, 0x0b);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0x02); /* in service */
	rig_out(&f->r, 0x20, 1, 0x20);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0);
	assert_false(f->intr.level); /* the line is still up: no new edge */
	pin(f, 1, false), pin(f, 1, true);
	assert_true(f->intr.level);
}

static void priority_and_masks(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x21, 1, 0x08);
	pin(f, 3, true), pin(f, 5, true), pin(f, 4, true);
	assert_int_equal(pic_ack(f->pic), 0x24);
	assert_false(f->intr.level); /* 5 waits for 4 */
	pin(f, 1, true);
	assert_true(f->intr.level); /* 1 is above 4 */
	assert_int_equal(pic_ack(f->pic), 0x21);
	rig_out(&f->r, 0x20, 1, 0x20);
	rig_out(&f->r, 0x20, 1, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x25);
	rig_out(&f->r, 0x20, 1, 0x65); /* specific EOI */
	rig_out(&f->r, 0x21, 1, 0);
	assert_int_equal(pic_ack(f->pic), 0x23);
}

static void slave_cascades(void **state)
{
	struct fix *f = *state;
	pin(f, 8, true), pin(f, 12, true);
	assert_int_equal(pic_ack(f->pic), 0x28);
	assert_false(f->intr.level);
	rig_out(&f->r, 0xa0, 1, 0x20), rig_out(&f->r, 0x20, 1, 0x20);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x2c);
	rig_out(&f->r, 0xa0, 1, 0x20), rig_out(&f->r, 0x20, 1, 0x20);
	assert_false(f->intr.level);
}

static void level_follows_the_line(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x4d1, 1, 0xff);
	assert_int_equal(rig_in(&f->r, 0x4d1, 1), 0xde); /* 8 and 13 are edges for ever */
	rig_out(&f->r, 0x4d1, 1, 0x08);
	pin(f, 11, true);
	assert_int_equal(pic_ack(f->pic), 0x2b);
	rig_out(&f->r, 0xa0, 1, 0x20), rig_out(&f->r, 0x20, 1, 0x20);
	assert_true(f->intr.level); /* still asked for */
	pin(f, 11, false);
	assert_false(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x27); /* too late: spurious */
	rig_out(&f->r, 0x20, 1, 0x0b);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0);
}

static void automatic_eoi(void **state)
{
	struct fix *f = *state;
	init_chips(f, 3);
	pin(f, 6, true), pin(f, 7, true);
	assert_int_equal(pic_ack(f->pic), 0x26);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x27);
	assert_false(f->intr.level);
}

static void rotation(void **state)
{
	struct fix *f = *state;
	pin(f, 0, true), pin(f, 3, true);
	assert_int_equal(pic_ack(f->pic), 0x20);
	rig_out(&f->r, 0x20, 1, 0xa0); /* rotate on non-specific EOI: 0 is lowest now */
	pin(f, 0, false), pin(f, 0, true);
	assert_int_equal(pic_ack(f->pic), 0x23);
	rig_out(&f->r, 0x20, 1, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x20);
}

static void special_mask_mode(void **state)
{
	struct fix *f = *state;
	pin(f, 2 + 1, true);
	assert_int_equal(pic_ack(f->pic), 0x23);
	pin(f, 5, true);
	assert_false(f->intr.level);
	rig_out(&f->r, 0x21, 1, 0x08); /* masks 3, which is in service */
	rig_out(&f->r, 0x20, 1, 0x68);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x25);
}

static void polling(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x20, 1, 0x0c);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0);
	pin(f, 4, true);
	rig_out(&f->r, 0x20, 1, 0x0c);
	assert_int_equal(rig_in(&f->r, 0x20, 1), 0x84);
	assert_false(f->intr.level);
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	rig_out(&f->r, 0x21, 1, 0x80);
	pin(f, 9, true), pin(f, 1, true);
	pic_ack(f->pic);
	rig_state_round_trip(&f->r, "pic0");
	assert_int_equal(rig_in(&f->r, 0x21, 1), 0x80);
	rig_out(&f->r, 0x20, 1, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x29);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(edge_is_latched_and_acknowledged), T(priority_and_masks), T(slave_cascades),
		T(level_follows_the_line),
		T(automatic_eoi), T(rotation), T(special_mask_mode), T(polling), T(saved_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
