/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-input as its driver sees it: configuration, events, groups, saved state. */
#include "vdriver.h"

#include "base/bytes.h"
#include "devices/virtio/input.h"
#include "display/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fix {
	struct vd d;
	struct loop *loop;
	struct input *input;
	uint64_t buffers;
};

static void start(struct fix *f, enum virtio_input_kind kind)
{
	memset(f, 0, sizeof(*f));
	vd_up(&f->d, false);
	assert_int_equal(loop_create(&f->loop, NULL, NULL), 0);
	assert_int_equal(input_create(&f->input, f->loop, NULL), 0);
	struct virtio_input_config cfg = { .place = vd_place(&f->d), .kind = kind, .input = f->input };
	assert_int_equal(virtio_input_create(f->d.rig.vm, &cfg, NULL), 0);
	vd_find(&f->d);
}

static void end(struct fix *f)
{
	vd_down(&f->d);
	input_destroy(f->input);
	loop_destroy(f->loop);
}

static unsigned choose(struct fix *f, unsigned select, unsigned subsel)
{
	rig_store(&f->d.rig, f->d.device, 1, select);
	rig_store(&f->d.rig, f->d.device + 1, 1, subsel);
	return (unsigned)rig_load(&f->d.rig, f->d.device + 2, 1);
}

static bool has(struct fix *f, unsigned type, unsigned code)
{
	unsigned size = choose(f, 0x11, type);
	return code / 8 < size && rig_load(&f->d.rig, f->d.device + 8 + code / 8, 1) >> code % 8 & 1;
}

static void offer(struct fix *f, unsigned count)
{
	f->buffers = vd_alloc(&f->d, 8 * VD_QSIZE);
	for (unsigned n = 0; n < count; n++)
		vd_offer(&f->d, 0, (uint16_t)n, &(struct vd_buf){ f->buffers + 8 * n, 8, true }, 1);
}

static void expect(struct fix *f, unsigned n, unsigned type, unsigned code, uint32_t value)
{
	uint32_t len;
	uint8_t e[8];
	assert_int_equal(vd_take(&f->d, 0, &len), n);
	assert_int_equal(len, 8);
	vd_get(&f->d, f->buffers + 8 * n, e, 8);
	assert_int_equal(load_le16(e), type);
	assert_int_equal(load_le16(e + 2), code);
	assert_int_equal(load_le32(e + 4), value);
}

static void keyboard(void **state)
{
	static struct fix f;
	char name[16] = "";
	start(&f, VIRTIO_INPUT_KEYBOARD);
	assert_int_equal(choose(&f, 1, 0), strlen("Panal keyboard"));
	for (unsigned n = 0; n < 14; n++)
		name[n] = (char)rig_load(&f.d.rig, f.d.device + 8 + n, 1);
	assert_string_equal(name, "Panal keyboard");
	assert_int_equal(choose(&f, 0x77, 0), 0);
	assert_true(has(&f, 1, 30)); /* KEY_A */
	assert_false(has(&f, 1, 0x110));
	assert_false(has(&f, 3, 0));
	assert_false(input_takes(f.input, INPUT_KEY)); /* no driver yet */
	vd_start(&f.d, 0, 2);
	assert_true(input_takes(f.input, INPUT_KEY));
	assert_false(input_takes(f.input, INPUT_REL));
	offer(&f, 4);
	input_send(f.input, &(struct input_event){ .kind = INPUT_KEY, .down = true, .key = key_by_name("a") }, 1);
	expect(&f, 0, 1, 30, 1);
	expect(&f, 1, 0, 0, 0);
	/* three events find two buffers: none of them comes */
	struct input_event two[] = { { .kind = INPUT_KEY, .key = key_by_name("a") },
				     { .kind = INPUT_KEY, .key = key_by_name("b") } };
	input_send(f.input, two, 2);
	assert_int_equal(vd_take_now(&f.d, 0, NULL), -1);
	input_send(f.input, two, 1);
	expect(&f, 2, 1, 30, 0);
	expect(&f, 3, 0, 0, 0);
	end(&f);
}

static void tablet(void **state)
{
	static struct fix f;
	start(&f, VIRTIO_INPUT_TABLET);
	assert_true(has(&f, 3, 0) && has(&f, 3, 1) && has(&f, 1, 0x110) && has(&f, 2, 8));
	assert_false(has(&f, 2, 0));
	assert_int_equal(choose(&f, 0x12, 1), 20);
	assert_int_equal(rig_load(&f.d.rig, f.d.device + 8, 4), 0);
	assert_int_equal(rig_load(&f.d.rig, f.d.device + 12, 4), INPUT_ABS_MAX);
	assert_int_equal(choose(&f, 0x12, 2), 0);
	vd_start(&f.d, 0, 2);
	offer(&f, 8);
	struct input_event ev[] = { { .kind = INPUT_ABS, .axis = AXIS_X, .value = 100 },
				    { .kind = INPUT_ABS, .axis = AXIS_Y, .value = 32767 },
				    { .kind = INPUT_BUTTON, .button = BUTTON_LEFT, .down = true },
				    { .kind = INPUT_BUTTON, .button = BUTTON_WHEEL_DOWN, .down = true },
				    { .kind = INPUT_BUTTON, .button = BUTTON_WHEEL_DOWN } };
	input_send(f.input, ev, 5);
	expect(&f, 0, 3, 0, 100);
	expect(&f, 1, 3, 1, 32767);
	expect(&f, 2, 1, 0x110, 1);
	expect(&f, 3, 2, 8, UINT32_MAX);
	expect(&f, 4, 0, 0, 0);
	ev[0] = (struct input_event){ .kind = INPUT_BUTTON, .button = BUTTON_WHEEL_RIGHT, .down = true };
	input_send(f.input, ev, 1);
	expect(&f, 5, 2, 6, 1);
	rig_state_round_trip(&f.d.rig, "virtio-input0");
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(keyboard), cmocka_unit_test(tablet) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
