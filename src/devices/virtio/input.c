/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/input.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/vm.h"
#include "display/input.h"

#include <errno.h>
#include <stdlib.h>

enum { EVENTS, STATUS, QUEUES, QUEUE_SIZE = 64, SEG_MAX = 4, CLASS_INPUT = 0x098000, EVENT_BYTES = 8, GROUP_MAX = 32 };

/* The configuration: the driver selects what it wants to read (5.8.4). */
enum { C_SELECT, C_SUBSEL, C_SIZE, C_DATA = 8, C_DATA_MAX = 128, C_LEN = C_DATA + C_DATA_MAX };
enum { SELECT_NAME = 0x01, SELECT_IDS = 0x03, SELECT_EVENTS = 0x11, SELECT_ABS = 0x12 };
enum { BUS_VIRTUAL = 6, VENDOR = 0x1af4, PRODUCT = 1, VERSION = 1 };

/* Numbers of Linux's input-event-codes.h. */
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14 };
enum { EVDEV_REL_X = 0, EVDEV_REL_Y = 1, EVDEV_REL_HWHEEL = 6, EVDEV_REL_WHEEL = 8, LEDS = 3 };

struct virtio_input {
	struct virtio_dev v; /* first */
	struct virtq_elem elem;
	struct input *input;
	enum virtio_input_kind kind;
	/* main loop: events since the last sync */
	uint8_t group[GROUP_MAX][EVENT_BYTES];
	unsigned count;
};

static const char *const names[VIRTIO_INPUT_KINDS] = { "Panal keyboard", "Panal mouse", "Panal tablet" };
static const uint16_t button_code[BUTTON_COUNT] = {
	[BUTTON_LEFT] = 0x110, [BUTTON_RIGHT] = 0x111, [BUTTON_MIDDLE] = 0x112, [BUTTON_SIDE] = 0x113,
	[BUTTON_EXTRA] = 0x114, [BUTTON_TOUCH] = 0x14a,
};

/* ---- configuration ---- */

static void set_bit(uint8_t *bits, unsigned n)
{
	bits[n / 8] |= (uint8_t)(1u << n % 8);
}

/* Which codes of the event type the device sends, or takes (LEDs). */
static void fill_events(const struct virtio_input *in, unsigned type, uint8_t *bits)
{
	bool keyboard = in->kind == VIRTIO_INPUT_KEYBOARD, tablet = in->kind == VIRTIO_INPUT_TABLET;

	if (type == EV_KEY && keyboard)
		for (unsigned n = 0; key_at(n); n++)
			set_bit(bits, key_at(n)->linux_code);
	if (type == EV_KEY && !keyboard)
		for (unsigned n = 0; n < BUTTON_COUNT; n++)
			if (button_code[n] && (n != BUTTON_TOUCH || tablet))
				set_bit(bits, button_code[n]);
	if (type == EV_REL && !keyboard) {
		set_bit(bits, EVDEV_REL_WHEEL);
		set_bit(bits, EVDEV_REL_HWHEEL);
	}
	if ((type == EV_REL && in->kind == VIRTIO_INPUT_MOUSE) || (type == EV_ABS && tablet)) {
		set_bit(bits, AXIS_X);
		set_bit(bits, AXIS_Y);
	}
	if (type == EV_LED && keyboard)
		bits[0] |= (1u << LEDS) - 1;
	if (type == EV_REP && keyboard)
		bits[0] |= 3;
}

static unsigned used_bytes(const uint8_t *data)
{
	unsigned n = C_DATA_MAX;

	while (n && !data[n - 1])
		n--;
	return n;
}

static void config_fill(struct virtio_input *in)
{
	uint8_t *c = in->v.config, *data = c + C_DATA, select = c[C_SELECT], subsel = c[C_SUBSEL];
	size_t len = strlen(names[in->kind]);

	memset(c + C_SIZE, 0, C_LEN - C_SIZE);
	switch (select) {
	case SELECT_NAME: memcpy(data, names[in->kind], len); break;
	case SELECT_IDS:
		store_le16(data, BUS_VIRTUAL);
		store_le16(data + 2, VENDOR);
		store_le16(data + 4, (uint16_t)(PRODUCT + in->kind));
		store_le16(data + 6, VERSION);
		break;
	case SELECT_EVENTS: fill_events(in, subsel, data); break;
	case SELECT_ABS:
		if (in->kind == VIRTIO_INPUT_TABLET && subsel <= AXIS_Y) {
			store_le32(data + 4, INPUT_ABS_MAX);
			c[C_SIZE] = 20;
			return;
		}
		break;
	default: break;
	}
	c[C_SIZE] = (uint8_t)used_bytes(data);
}

static void input_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	config_fill(container_of(v, struct virtio_input, v));
}

/* ---- events, on the main loop ---- */

static void add(struct virtio_input *in, uint16_t type, uint16_t code, uint32_t value)
{
	uint8_t *e = in->group[in->count];

	if (in->count == GROUP_MAX)
		return;
	store_le16(e, type);
	store_le16(e + 2, code);
	store_le32(e + 4, value);
	in->count++;
}

static void add_button(struct virtio_input *in, const struct input_event *ev)
{
	bool up = ev->button == BUTTON_WHEEL_UP || ev->button == BUTTON_WHEEL_LEFT;

	switch (ev->button) {
	case BUTTON_WHEEL_UP: case BUTTON_WHEEL_DOWN: case BUTTON_WHEEL_LEFT: case BUTTON_WHEEL_RIGHT:
		if (ev->down)
			add(in, EV_REL, ev->button <= BUTTON_WHEEL_DOWN ? EVDEV_REL_WHEEL : EVDEV_REL_HWHEEL,
			    (ev->button <= BUTTON_WHEEL_DOWN) == up ? 1 : UINT32_MAX);
		break;
	default: add(in, EV_KEY, button_code[ev->button], ev->down);
	}
}

static void on_event(void *opaque, const struct input_event *ev)
{
	struct virtio_input *in = opaque;

	switch (ev->kind) {
	case INPUT_KEY: add(in, EV_KEY, ev->key->linux_code, ev->down); break;
	case INPUT_BUTTON: add_button(in, ev); break;
	case INPUT_REL: add(in, EV_REL, ev->axis == AXIS_X ? EVDEV_REL_X : EVDEV_REL_Y, (uint32_t)ev->value); break;
	default: add(in, EV_ABS, (uint16_t)ev->axis, (uint32_t)ev->value);
	}
}

/* A group arrives wholly or, when the driver has no room for it, not at all. */
static void on_sync(void *opaque)
{
	struct virtio_input *in = opaque;
	struct virtio_dev *v = &in->v;

	if (in->count == GROUP_MAX)
		in->count--;
	add(in, EV_SYN, 0, 0);
	pthread_mutex_lock(&v->lock);
	v->budget = QUEUE_SIZE;
	if (virtio_active(v) && virtq_waiting(&v->queue[EVENTS].q) >= in->count) {
		for (unsigned n = 0; n < in->count && virtio_pop(v, EVENTS, &in->elem); n++) {
			size_t put = virtq_copy_in(&in->elem, 0, in->group[n], EVENT_BYTES);

			virtq_push(&v->queue[EVENTS].q, &in->elem, (uint32_t)put);
		}
		virtio_notify(v, EVENTS);
	}
	pthread_mutex_unlock(&v->lock);
	in->count = 0;
}

static bool ready(void *opaque)
{
	struct virtio_input *in = opaque;
	bool is;

	pthread_mutex_lock(&in->v.lock);
	is = virtio_active(&in->v);
	pthread_mutex_unlock(&in->v.lock);
	return is;
}

/* ---- queues and life ---- */

/* LEDs and the like: there is no lamp. */
static void input_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_input *in = container_of(v, struct virtio_input, v);

	if (n != STATUS)
		return;
	while (virtio_pop(v, n, &in->elem))
		virtq_push(&v->queue[n].q, &in->elem, 0);
	virtio_rearm(v, n);
	virtio_notify(v, n);
}

static const struct virtio_device_ops input_ops = {
	.id = VIRTIO_ID_INPUT, .name = "virtio-input", .pci_class = CLASS_INPUT, .queue = input_queue,
	.config_written = input_config_written,
};

static void input_free(void *impl)
{
	struct virtio_input *in = impl;

	input_detach(in->input, in);
	virtio_destroy(&in->v);
	virtq_elem_free(&in->elem);
	free(in);
}

static int input_loaded(void *obj, uint16_t version, struct err *e)
{
	config_fill(obj);
	return virtio_after_load(obj, version, e);
}

static const struct state_field input_fields[] = { VIRTIO_STATE_FIELDS(struct virtio_input), STATE_END };

static const struct state_desc input_state = {
	.name = "virtio-input", .version = 1, .fields = input_fields, .before_save = virtio_before_save,
	.after_load = input_loaded,
};

static const struct dev_type input_type = {
	.name = "virtio-input", .destroy = input_free, .reset = virtio_dev_reset, .run_state = virtio_dev_run_state,
	.state = &input_state, .state_size = sizeof(struct virtio_input),
};

int virtio_input_create(struct vm *vm, const struct virtio_input_config *cfg, struct err *e)
{
	static const unsigned kinds[VIRTIO_INPUT_KINDS] = { 1 << INPUT_KEY, 1 << INPUT_BUTTON | 1 << INPUT_REL,
							    1 << INPUT_BUTTON | 1 << INPUT_ABS };
	const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE };
	struct virtio_input *in = calloc(1, sizeof(*in));
	int ret;

	if (!in || virtq_elem_init(&in->elem, SEG_MAX) < 0) {
		free(in);
		return err_set(e, -ENOMEM, "no memory for virtio-input");
	}
	in->kind = cfg->kind;
	in->input = cfg->input;
	in->v.config_size = C_LEN;
	ret = virtio_init(&in->v, vm, &input_ops, &cfg->place, sizes, QUEUES, e);
	if (ret < 0) {
		virtq_elem_free(&in->elem);
		free(in);
		return ret;
	}
	const struct input_sink sink = { .kinds = kinds[cfg->kind], .event = on_event, .sync = on_sync, .ready = ready,
					 .opaque = in };
	ret = input_attach(cfg->input, &sink, e);
	if (ret == 0)
		ret = dev_attach(vm, &input_type, cfg->place.id, in, e);
	if (ret < 0)
		input_free(in);
	return ret;
}
