/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller with its keyboard and mouse, as a driver at its ports sees them. */
#include "rig.h"

#include "arch/x86/i8042.h"
#include "display/input.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct fix {
	struct rig r;
	struct input *input;
	struct wire irq, irq_mouse;
};

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){ 0 };
	rig_up(&f.r, 0);
	assert_int_equal(input_create(&f.input, f.r.loop, NULL), 0);
	struct i8042_config cfg = { .irq = rig_wire(&f.irq), .irq_mouse = rig_wire(&f.irq_mouse), .input = f.input };
	assert_int_equal(i8042_create(f.r.vm, cfg, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	vm_destroy(f->r.vm);
	input_destroy(f->input);
	timerq_destroy(f->r.timers);
	loop_destroy(f->r.loop);
	return 0;
}

static void command(struct fix *f, uint8_t value) { rig_out(&f->r, 0x64, 1, value); }
static void data(struct fix *f, uint8_t value) { rig_out(&f->r, 0x60, 1, value); }
static unsigned status(struct fix *f) { return rig_in(&f->r, 0x64, 1); }

static void control(struct fix *f, uint8_t value)
{
	command(f, 0x60);
	data(f, value);
}

/* Everything that waits, as text: mouse bytes with an m. */
static const char *drain(struct fix *f)
{
	static char text[1024];
	size_t len = 0;
	text[0] = 0;
	while ((status(f) & 1) && len < sizeof(text) - 8) {
		bool mouse = status(f) & 0x20;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%02x", len ? " " : "", mouse ? "m" : "",
					(unsigned)rig_in(&f->r, 0x60, 1));
	}
	return text;
}

static void key(struct fix *f, const char *name, bool press)
{
	struct input_event ev = { .kind = INPUT_KEY, .key = key_by_name(name), .down = press };
	assert_non_null(ev.key);
	input_send(f->input, &ev, 1);
}

static const char *tap(struct fix *f, const char *name)
{
	key(f, name, true);
	key(f, name, false);
	return drain(f);
}

static const char *to_keyboard(struct fix *f, uint8_t value)
{
	data(f, value);
	return drain(f);
}

static const char *to_mouse(struct fix *f, uint8_t value)
{
	command(f, 0xd4);
	data(f, value);
	return drain(f);
}

static void keys_in_each_set(void **state)
{
	struct fix *f = *state;
	control(f, 0x41); /* translation, interrupt */
	assert_string_equal(tap(f, "a"), "1e 9e");
	assert_string_equal(tap(f, "ret"), "1c 9c");
	assert_string_equal(tap(f, "left"), "e0 4b e0 cb");
	assert_string_equal(tap(f, "f7"), "41 c1");
	assert_string_equal(tap(f, "pause"), "e1 1d 45 e1 9d c5");
	assert_string_equal(tap(f, "print"), "e0 2a e0 37 e0 b7 e0 aa");
	control(f, 0x01); /* as the keyboard sends it */
	assert_string_equal(tap(f, "a"), "1c f0 1c");
	assert_string_equal(tap(f, "left"), "e0 6b e0 f0 6b");
	assert_string_equal(tap(f, "pause"), "e1 14 77 e1 f0 14 f0 77");
	assert_string_equal(to_keyboard(f, 0xf0), "fa");
	assert_string_equal(to_keyboard(f, 1), "fa");
	assert_string_equal(tap(f, "a"), "1e 9e");
	assert_string_equal(tap(f, "left"), "e0 4b e0 cb");
	to_keyboard(f, 0xf0);
	to_keyboard(f, 3);
	assert_string_equal(tap(f, "left"), "61 f0 61");
	assert_string_equal(to_keyboard(f, 0xf9), "fa"); /* no releases */
	assert_string_equal(tap(f, "a"), "1c");
	to_keyboard(f, 0xf0);
	assert_string_equal(to_keyboard(f, 0), "fa 03");
	to_keyboard(f, 0xf0);
	assert_string_equal(to_keyboard(f, 4), "fe");
}

static void keyboard_commands(void **state)
{
	struct fix *f = *state;
	command(f, 0xaa);
	assert_string_equal(drain(f), "55");
	command(f, 0xab);
	assert_string_equal(drain(f), "00");
	control(f, 0x01);
	assert_string_equal(to_keyboard(f, 0xff), "fa aa");
	assert_string_equal(to_keyboard(f, 0xf2), "fa ab 83");
	assert_string_equal(to_keyboard(f, 0xee), "ee");
	assert_string_equal(to_keyboard(f, 0xed), "fa");
	assert_string_equal(to_keyboard(f, 0x07), "fa");
	assert_string_equal(to_keyboard(f, 0xf5), "fa");
	assert_string_equal(tap(f, "a"), ""); /* switched off */
	assert_string_equal(to_keyboard(f, 0xf4), "fa");
	assert_string_equal(to_keyboard(f, 0x11), "fe");
	assert_string_equal(to_keyboard(f, 0xfe), "fa"); /* again what was not a refusal */
	control(f, 0x41);
	assert_string_equal(to_keyboard(f, 0xf2), "fa ab 41");
	command(f, 0xad); /* the line is closed: keys wait */
	assert_string_equal(tap(f, "b"), "");
	command(f, 0xae);
	assert_string_equal(drain(f), "30 b0");
}

static void one_interrupt_a_byte(void **state)
{
	struct fix *f = *state;
	control(f, 0x43);
	unsigned before = f->irq.rises;
	key(f, "right", true);
	assert_true(f->irq.level);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0xe0);
	assert_true(f->irq.level);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0x4d);
	assert_false(f->irq.level);
	assert_int_equal(f->irq.rises, before + 2);
	assert_int_equal(rig_in(&f->r, 0x60, 1), 0x4d); /* the buffer keeps its byte */
	to_mouse(f, 0xf4);
	command(f, 0xd3); /* Linux's test of interrupt 12 */
	data(f, 0xa5);
	assert_true(f->irq_mouse.level);
	assert_false(f->irq.level);
	assert_string_equal(drain(f), "ma5");
	assert_false(f->irq_mouse.level);
}

static void move(struct fix *f, int dx, int dy)
{
	struct input_event ev[] = { { .kind = INPUT_REL, .axis = AXIS_X, .value = dx },
				    { .kind = INPUT_REL, .axis = AXIS_Y, .value = dy } };
	input_send(f->input, ev, 2);
}

static void press(struct fix *f, enum input_button button, bool held)
{
	struct input_event ev = { .kind = INPUT_BUTTON, .button = button, .down = held };
	input_send(f->input, &ev, 1);
}

static void mouse_packets(void **state)
{
	struct fix *f = *state;
	control(f, 0x43);
	assert_string_equal(to_mouse(f, 0xff), "mfa maa m00");
	move(f, 5, 5);
	assert_string_equal(drain(f), ""); /* nobody wants to know yet */
	assert_string_equal(to_mouse(f, 0xf4), "mfa");
	move(f, 5, -3);
	assert_string_equal(drain(f), "m08 m05 m03");
	move(f, -5, 3);
	assert_string_equal(drain(f), "m38 mfb mfd");
	move(f, 300, 0);
	assert_string_equal(drain(f), "m08 mff m00 m08 m2d m00");
	press(f, BUTTON_LEFT, true);
	assert_string_equal(drain(f), "m09 m00 m00");
	press(f, BUTTON_RIGHT, true);
	press(f, BUTTON_LEFT, false);
	assert_string_equal(drain(f), "m0b m00 m00 m0a m00 m00");
	assert_string_equal(to_mouse(f, 0xe9), "mfa m21 m02 m64");
}

static void knock(struct fix *f, const uint8_t rate[3])
{
	for (unsigned n = 0; n < 3; n++) {
		to_mouse(f, 0xf3);
		to_mouse(f, rate[n]);
	}
}

static void mouse_wheel_and_five_buttons(void **state)
{
	struct fix *f = *state;
	control(f, 0x43);
	assert_string_equal(to_mouse(f, 0xf2), "mfa m00");
	knock(f, (const uint8_t[]){ 200, 100, 80 });
	assert_string_equal(to_mouse(f, 0xf2), "mfa m03");
	to_mouse(f, 0xf4);
	press(f, BUTTON_WHEEL_UP, true);
	press(f, BUTTON_WHEEL_UP, false);
	assert_string_equal(drain(f), "m08 m00 m00 mff");
	knock(f, (const uint8_t[]){ 200, 200, 80 });
	assert_string_equal(to_mouse(f, 0xf2), "mfa m04");
	press(f, BUTTON_SIDE, true);
	assert_string_equal(drain(f), "m08 m00 m00 m10");
	press(f, BUTTON_WHEEL_DOWN, true);
	assert_string_equal(drain(f), "m08 m00 m00 m11");
}

/* A guest that does not read loses events, whole ones, and nothing else. */
static void a_full_queue(void **state)
{
	struct fix *f = *state;
	control(f, 0x03);
	to_mouse(f, 0xf4);
	for (unsigned n = 0; n < 100; n++) {
		tap(f, "x");
		key(f, "left", true);
		key(f, "left", false);
		move(f, 1, 0);
	}
	for (unsigned n = 0; n < 100; n++) {
		key(f, "left", true);
		key(f, "left", false);
	}
	const char *text = drain(f);
	assert_int_equal(strncmp(text, "e0 6b e0 f0 6b", 14), 0);
	assert_string_equal(tap(f, "a"), "1c f0 1c");
}

static void output_port_resets(void **state)
{
	struct fix *f = *state;
	command(f, 0xdd);
	command(f, 0xd0);
	assert_int_equal(rig_in(&f->r, 0x60, 1) & 3, 1);
	command(f, 0xd1);
	data(f, 0xdf);
	command(f, 0xd0);
	assert_int_equal(rig_in(&f->r, 0x60, 1) & 3, 3);
	assert_false(rig_requested(&f->r, VM_REQUEST_RESET));
	command(f, 0xd1);
	data(f, 0xde);
	assert_true(rig_requested(&f->r, VM_REQUEST_RESET));
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	control(f, 0x43);
	to_mouse(f, 0xf4);
	key(f, "left", true);
	move(f, 3, 4);
	rig_state_round_trip(&f->r, "i80420");
	assert_string_equal(drain(f), "e0 4b m28 m03 mfc");
}

static void key_tables_agree(void **state)
{
	for (unsigned n = 0; key_at(n); n++) {
		const struct key *k = key_at(n);
		unsigned number = key_set1((uint8_t)k->set2) | (k->set2 & KEY_EXTENDED ? 0x80 : 0);
		assert_ptr_equal(key_by_name(k->name), k);
		/* Linux took its numbers from set 1: where both have one below 84, it is the same. */
		if (k->set2 && k->set2 < 0x84 && k->linux_code < 84)
			assert_int_equal(number, k->linux_code);
		if (k->set2 && k->set2 != KEY_PAUSE)
			assert_int_equal(key_by_number(number)->set2, k->set2);
	}
	assert_null(key_by_name("no-such-key"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(keys_in_each_set), T(keyboard_commands), T(one_interrupt_a_byte), T(mouse_packets),
		T(mouse_wheel_and_five_buttons), T(a_full_queue), T(output_port_resets), T(saved_state),
		T(key_tables_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
