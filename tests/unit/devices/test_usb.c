/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB devices behind the controller, as a driver uses them: keyboard, mouse, tablet. */
#include "udriver.h"

#include "base/bytes.h"
#include "devices/usb/hid.h"
#include "display/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fix {
	struct udriver u;
	struct input *input;
	unsigned slot;
};

static int up(void **state, enum usb_hid_kind kind)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	udriver_up(&f.u);
	assert_int_equal(input_create(&f.input, f.u.r.loop, NULL), 0);
	struct usb_hid_config hc = { .kind = kind, .port = xhci_port(f.u.x, 1), .input = f.input };
	assert_int_equal(usb_hid_create(f.u.r.vm, &hc, NULL), 0);
	udriver_start(&f.u, true);
	f.slot = udriver_address(&f.u, 1, 0);
	*state = &f;
	return 0;
}

static int up_keyboard(void **state) { return up(state, USB_KEYBOARD); }
static int up_mouse(void **state) { return up(state, USB_MOUSE); }
static int up_tablet(void **state) { return up(state, USB_TABLET); }

static int down(void **state)
{
	struct fix *f = *state;
	struct input *in = f->input;

	udriver_down(&f->u);
	input_destroy(in);
	return 0;
}

static void send_key(struct fix *f, const char *name, bool pressed)
{
	struct input_event ev = { .kind = INPUT_KEY, .down = pressed, .key = key_by_name(name) };

	input_send(f->input, &ev, 1);
}

static void move(struct fix *f, enum input_kind kind, enum input_axis axis, int value)
{
	struct input_event ev = { .kind = kind, .axis = axis, .value = value };

	input_send(f->input, &ev, 1);
}

static void button(struct fix *f, enum input_button which, bool pressed)
{
	struct input_event ev = { .kind = INPUT_BUTTON, .button = which, .down = pressed };

	input_send(f->input, &ev, 1);
}

/* The next report; 0: there is none. */
static uint32_t report(struct fix *f)
{
	uint32_t moved = 0;
	unsigned code = udriver_transfer(&f->u, f->slot, 3, U_DATA, 8, &moved);

	return code == 1 || code == 13 ? moved : 0;
}

static void descriptors_fit_together(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	uint32_t moved;

	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 2 << 8, 0, 255, &moved), 1);
	assert_int_equal(moved, 34);
	assert_int_equal(load_le16(d + 2), 34);
	assert_int_equal(d[14], 3); /* HID */
	uint16_t size = load_le16(d + 18 + 7);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x81, 6, 0x22 << 8, 0, 512, &moved), 1);
	assert_int_equal(moved, size);
	unsigned open = 0;
	for (unsigned at = 0; at < size; at += 1 + (d[at] & 3)) {
		open += (d[at] & 0xfc) == 0xa0;
		open -= (d[at] & 0xfc) == 0xc0;
	}
	assert_int_equal(open, 0);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x80, 6, 6 << 8, 0, 10, &moved), 1);
}

static void keys_come_as_reports(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);

	assert_false(input_takes(f->input, INPUT_KEY));
	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	assert_true(input_takes(f->input, INPUT_KEY));
	send_key(f, "shift", true);
	send_key(f, "a", true);
	send_key(f, "a", false);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x02);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x040002);
	assert_int_equal(report(f), 8);
	assert_int_equal(load_le64(d), 0x02);
	assert_int_equal(report(f), 0);
	send_key(f, "shift", false); /* answers the transfer that waits */
	struct uevent ev = udriver_wait(&f->u);
	assert_int_equal(ev.code, 1);
	assert_int_equal(load_le64(d), 0);
}

static void too_many_keys_roll_over(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g" };

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	for (unsigned n = 0; n < 7; n++)
		send_key(f, names[n], true);
	for (unsigned n = 0; n < 6; n++)
		assert_int_equal(report(f), 8);
	assert_memory_equal(d + 2, "\4\5\6\7\10\11", 6);
	assert_int_equal(report(f), 8);
	assert_memory_equal(d + 2, "\1\1\1\1\1\1", 6);
	assert_int_equal(udriver_control(&f->u, f->slot, 0xa1, 1, 1 << 8, 0, 8, NULL), 1);
	assert_int_equal(d[2], 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 0x21, 11, 0, 0, 0, NULL), 1);
	assert_int_equal(udriver_control(&f->u, f->slot, 0xa1, 3, 0, 0, 1, NULL), 1);
	assert_int_equal(d[0], 0);
}

static void movement_adds_up(void **state)
{
	struct fix *f = *state;
	int8_t *d = (int8_t *)udriver_data(&f->u);

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	move(f, INPUT_REL, AXIS_X, 100);
	move(f, INPUT_REL, AXIS_X, 100);
	move(f, INPUT_REL, AXIS_Y, -3);
	button(f, BUTTON_LEFT, true);
	button(f, BUTTON_WHEEL_DOWN, true);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 0 && d[1] == 127 && d[2] == -3 && d[3] == 0);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 0 && d[1] == 73 && d[2] == 0);
	assert_int_equal(report(f), 4);
	assert_true(d[0] == 1 && d[1] == 0 && d[3] == -1);
	assert_int_equal(report(f), 0);
}

static void positions_are_as_they_are(void **state)
{
	struct fix *f = *state;
	uint8_t *d = udriver_data(&f->u);

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	move(f, INPUT_ABS, AXIS_X, 100);
	move(f, INPUT_ABS, AXIS_X, 0x7fff);
	move(f, INPUT_ABS, AXIS_Y, 0x1234);
	assert_int_equal(report(f), 6);
	assert_memory_equal(d, "\0\xff\x7f\x34\x12\0", 6);
	button(f, BUTTON_RIGHT, true);
	button(f, BUTTON_RIGHT, false);
	assert_int_equal(report(f), 6);
	assert_memory_equal(d, "\2\xff\x7f\x34\x12\0", 6);
	assert_int_equal(report(f), 6);
	assert_int_equal(d[0], 0);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;

	udriver_configure(&f->u, f->slot, 1 << 3, 1 << 3);
	send_key(f, "a", true);
	send_key(f, "a", false);
	move(f, INPUT_ABS, AXIS_Y, 0x1234);
	rig_state_round_trip(&f->u.r, "usb-hid0");
	assert_true(report(f) > 0);
}

#define TEST(name, kind) cmocka_unit_test_setup_teardown(name, up_##kind, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_fit_together, keyboard), TEST(descriptors_fit_together, mouse),
		TEST(descriptors_fit_together, tablet), TEST(keys_come_as_reports, keyboard),
		TEST(too_many_keys_roll_over, keyboard), TEST(movement_adds_up, mouse),
		TEST(positions_are_as_they_are, tablet), TEST(its_state_survives, keyboard),
		TEST(its_state_survives, tablet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
