/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/i8042.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/input/ps2.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_FULL = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10, STATUS_AUX = 0x20,
       STATUS_TIMEOUT = 0x40 };
enum { CTR_IRQ = 0x01, CTR_IRQ_AUX = 0x02, CTR_SYSTEM = 0x04, CTR_NO_KEYBOARD = 0x10, CTR_NO_AUX = 0x20,
       CTR_TRANSLATE = 0x40 };
enum { OUT_NO_RESET = 0x01, OUT_A20 = 0x02, OUT_AUX_FULL = 0x20, OUT_FULL = 0x10 };
enum {
	CMD_READ_CTR = 0x20, CMD_WRITE_CTR = 0x60, CMD_AUX_OFF = 0xa7, CMD_AUX_ON = 0xa8, CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa, CMD_KBD_TEST = 0xab, CMD_KBD_OFF = 0xad, CMD_KBD_ON = 0xae, CMD_READ_IN = 0xc0,
	CMD_READ_OUT = 0xd0, CMD_WRITE_OUT = 0xd1, CMD_KBD_LOOP = 0xd2, CMD_AUX_LOOP = 0xd3, CMD_AUX_SEND = 0xd4,
	CMD_A20_OFF = 0xdd, CMD_A20_ON = 0xdf, CMD_RESET = 0xfe,
};
enum { REPLY_RESEND = 0xfe, INPUT_UNLOCKED = 0x80, RELEASED = 0x80 };

struct i8042 {
	struct i8042_config cfg;
	struct vm *vm;
	struct region_handle *region[2];
	pthread_mutex_t lock; /* guards all below */
	uint8_t status, ctr, data;
	uint8_t command; /* whose data byte is awaited; 0: none */
	uint8_t out;     /* output port, but for the bits that are computed */
	bool broken;     /* translation: the prefix f0 came, its key is still to come */
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
};

static bool plugged(const struct i8042 *k)
{
	return k->cfg.input != NULL;
}

static void update_irq(struct i8042 *k)
{
	bool full = k->status & STATUS_FULL, aux = k->status & STATUS_AUX;

	irq_set(&k->cfg.irq, full && !aux && (k->ctr & CTR_IRQ));
	irq_set(&k->cfg.irq_mouse, full && aux && (k->ctr & CTR_IRQ_AUX));
}

/* ---- bytes for the guest: one at a time ---- */

static void reply(struct i8042 *k, uint8_t value, uint8_t flags)
{
	k->data = value;
	k->status = (k->status & ~(STATUS_TIMEOUT | STATUS_AUX)) | STATUS_FULL | flags;
	update_irq(k);
}

/* A byte of the keyboard as the guest gets it; false: it is a prefix that vanishes in translation. */
static bool translated(struct i8042 *k, uint8_t *byte)
{
	if (!(k->ctr & CTR_TRANSLATE))
		return true;
	if (*byte == 0xf0) {
		k->broken = true;
		return false;
	}
	if (*byte < 0x85)
		*byte = key_set1(*byte) | (k->broken ? RELEASED : 0);
	k->broken = false;
	return true;
}

static void fill(struct i8042 *k)
{
	uint8_t byte;

	if (k->status & STATUS_FULL)
		return;
	while (!(k->ctr & CTR_NO_KEYBOARD) && ps2_keyboard_take(&k->keyboard, &byte)) {
		if (translated(k, &byte)) {
			reply(k, byte, 0);
			return;
		}
	}
	if (!(k->ctr & CTR_NO_AUX) && ps2_mouse_take(&k->mouse, &byte))
		reply(k, byte, STATUS_AUX);
}

/* ---- the output port ---- */

static uint8_t out_read(const struct i8042 *k)
{
	bool full = k->status & STATUS_FULL, aux = k->status & STATUS_AUX;

	return k->out | (full && !aux ? OUT_FULL : 0) | (full && aux ? OUT_AUX_FULL : 0);
}

static void out_write(struct i8042 *k, uint8_t value)
{
	k->out = (value & ~(OUT_FULL | OUT_AUX_FULL)) | OUT_NO_RESET;
	if (!(value & OUT_NO_RESET))
		vm_request(k->vm, VM_REQUEST_RESET);
}

/* ---- commands ---- */

static void command_write(struct i8042 *k, uint8_t value)
{
	k->status |= STATUS_COMMAND;
	k->command = 0;
	switch (value) {
	case CMD_READ_CTR: reply(k, k->ctr, 0); break;
	case CMD_SELF_TEST:
		k->status |= STATUS_SYSTEM;
		k->ctr |= CTR_SYSTEM;
		reply(k, 0x55, 0);
		break;
	case CMD_KBD_TEST: reply(k, 0x00, 0); break;
	case CMD_AUX_TEST: reply(k, plugged(k) ? 0x00 : 0x01, 0); break; /* clock stuck: no such port */
	case CMD_READ_IN: reply(k, INPUT_UNLOCKED, 0); break;
	case CMD_READ_OUT: reply(k, out_read(k), 0); break;
	case CMD_AUX_OFF: k->ctr |= CTR_NO_AUX; break;
	case CMD_AUX_ON: k->ctr &= ~CTR_NO_AUX; break;
	case CMD_KBD_OFF: k->ctr |= CTR_NO_KEYBOARD; break;
	case CMD_KBD_ON: k->ctr &= ~CTR_NO_KEYBOARD; break;
	case CMD_A20_OFF: k->out &= ~OUT_A20; break;
	case CMD_A20_ON: k->out |= OUT_A20; break;
	case CMD_WRITE_CTR: case CMD_WRITE_OUT: case CMD_KBD_LOOP: case CMD_AUX_LOOP: case CMD_AUX_SEND:
		k->command = value;
		break;
	default:
		/* 0xf0-0xff pulse output lines; line 0 is the processor's reset. */
		if (value >= 0xf0 && !(value & 1))
			vm_request(k->vm, VM_REQUEST_RESET);
	}
	fill(k);
}

static void to_device(struct i8042 *k, bool mouse, uint8_t value)
{
	if (!plugged(k)) {
		reply(k, REPLY_RESEND, STATUS_TIMEOUT); /* nobody there */
	} else if (mouse) {
		k->ctr &= ~CTR_NO_AUX;
		ps2_mouse_write(&k->mouse, value);
	} else {
		k->ctr &= ~CTR_NO_KEYBOARD; /* to send a byte opens the line */
		ps2_keyboard_write(&k->keyboard, value);
	}
}

static void data_write(struct i8042 *k, uint8_t value)
{
	uint8_t command = k->command;

	k->status &= ~STATUS_COMMAND;
	k->command = 0;
	switch (command) {
	case CMD_WRITE_CTR:
		k->ctr = value;
		k->status = (k->status & ~STATUS_SYSTEM) | (value & CTR_SYSTEM ? STATUS_SYSTEM : 0);
		update_irq(k);
		break;
	case CMD_WRITE_OUT: out_write(k, value); break;
	case CMD_KBD_LOOP: reply(k, value, 0); break;
	case CMD_AUX_LOOP: /* without the port not what was sent */
		reply(k, plugged(k) ? value : 0x00, plugged(k) ? STATUS_AUX : 0);
		break;
	default: to_device(k, command == CMD_AUX_SEND, value);
	}
	fill(k);
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned width)
{
	struct i8042 *k = opaque;
	uint8_t value = k->data;

	k->status &= ~(STATUS_FULL | STATUS_TIMEOUT | STATUS_AUX);
	update_irq(k);
	fill(k);
	return value;
}

static void data_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	data_write(opaque, (uint8_t)value);
}

static uint64_t status_read(void *opaque, uint64_t off, unsigned width)
{
	return ((struct i8042 *)opaque)->status;
}

static void command_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	command_write(opaque, (uint8_t)value);
}

static const struct region_ops data_ops = {
	.read = data_read, .write = data_port_write, .width_min = 1, .width_max = 1,
};
static const struct region_ops command_ops = {
	.read = status_read, .write = command_port_write, .width_min = 1, .width_max = 1,
};

/* ---- what people do: main loop ---- */

static void on_event(void *opaque, const struct input_event *ev)
{
	struct i8042 *k = opaque;

	pthread_mutex_lock(&k->lock);
	if (ev->kind == INPUT_KEY)
		ps2_keyboard_key(&k->keyboard, ev->key, ev->down);
	else
		ps2_mouse_event(&k->mouse, ev);
	pthread_mutex_unlock(&k->lock);
	if (ev->kind == INPUT_KEY && ev->down)
		irq_pulse(&k->cfg.wake);
}

static void on_sync(void *opaque)
{
	struct i8042 *k = opaque;

	pthread_mutex_lock(&k->lock);
	ps2_mouse_report(&k->mouse);
	fill(k);
	pthread_mutex_unlock(&k->lock);
}

/* ---- life ---- */

static void i8042_reset(void *impl)
{
	struct i8042 *k = impl;

	pthread_mutex_lock(&k->lock);
	k->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	k->ctr = CTR_SYSTEM | CTR_NO_AUX | (plugged(k) ? CTR_TRANSLATE : 0);
	k->data = k->command = 0;
	k->out = OUT_NO_RESET | OUT_A20;
	k->broken = false;
	ps2_keyboard_reset(&k->keyboard);
	ps2_mouse_reset(&k->mouse);
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
}

static int i8042_after_load(void *obj, uint16_t version, struct err *e)
{
	struct i8042 *k = obj;

	if (version < 2) { /* had neither */
		ps2_keyboard_reset(&k->keyboard);
		ps2_mouse_reset(&k->mouse);
		k->out = OUT_NO_RESET | OUT_A20;
	}
	if (!ps2_queue_valid(&k->keyboard.queue) || !ps2_queue_valid(&k->mouse.queue) || k->keyboard.set < 1 ||
	    k->keyboard.set > 3)
		return err_set(e, -EINVAL, "i8042: no such state");
	update_irq(k);
	return 0;
}

#define FIELD_2(member, kind_, n) \
	{ .name = #member, .kind = kind_, .since = 2, .offset = offsetof(struct i8042, member), .count = (n) }

static const struct state_field i8042_fields[] = {
	STATE_FIELD(struct i8042, status, STATE_U8), STATE_FIELD(struct i8042, ctr, STATE_U8),
	STATE_FIELD(struct i8042, data, STATE_U8), STATE_FIELD(struct i8042, command, STATE_U8),
	FIELD_2(out, STATE_U8, 1), FIELD_2(broken, STATE_BOOL, 1),
	FIELD_2(keyboard.queue.byte, STATE_BYTES, PS2_QUEUE), FIELD_2(keyboard.queue.first, STATE_U8, 1),
	FIELD_2(keyboard.queue.count, STATE_U8, 1), FIELD_2(keyboard.command, STATE_U8, 1),
	FIELD_2(keyboard.set, STATE_U8, 1), FIELD_2(keyboard.leds, STATE_U8, 1), FIELD_2(keyboard.rate, STATE_U8, 1),
	FIELD_2(keyboard.last, STATE_U8, 1), FIELD_2(keyboard.enabled, STATE_BOOL, 1),
	FIELD_2(keyboard.no_break, STATE_BYTES, PS2_KEYS_BYTES), FIELD_2(mouse.queue.byte, STATE_BYTES, PS2_QUEUE),
	FIELD_2(mouse.queue.first, STATE_U8, 1), FIELD_2(mouse.queue.count, STATE_U8, 1),
	FIELD_2(mouse.command, STATE_U8, 1), FIELD_2(mouse.id, STATE_U8, 1), FIELD_2(mouse.rate, STATE_U8, 1),
	FIELD_2(mouse.resolution, STATE_U8, 1), FIELD_2(mouse.knock, STATE_BYTES, 2), FIELD_2(mouse.last, STATE_U8, 1),
	FIELD_2(mouse.buttons, STATE_U8, 1), FIELD_2(mouse.told, STATE_U8, 1), FIELD_2(mouse.enabled, STATE_BOOL, 1),
	FIELD_2(mouse.remote, STATE_BOOL, 1), FIELD_2(mouse.wrap, STATE_BOOL, 1),
	FIELD_2(mouse.scaling, STATE_BOOL, 1), FIELD_2(mouse.dx, STATE_U32, 1), FIELD_2(mouse.dy, STATE_U32, 1),
	FIELD_2(mouse.dz, STATE_U32, 1), STATE_END,
};

static const struct state_desc i8042_state = {
	.name = "i8042", .version = 2, .fields = i8042_fields, .after_load = i8042_after_load,
};

static void i8042_destroy(void *impl)
{
	struct i8042 *k = impl;

	if (plugged(k))
		input_detach(k->cfg.input, k);
	region_detach(k->region[0]);
	region_detach(k->region[1]);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static const struct dev_type i8042_type = {
	.name = "i8042", .destroy = i8042_destroy, .reset = i8042_reset,
	.state = &i8042_state, .state_size = sizeof(struct i8042),
};

static int attach_regions(struct i8042 *k, struct err *e)
{
	struct region d = { .space = REGION_PORT, .addr = 0x60, .size = 1, .name = "i8042", .ops = &data_ops,
			    .opaque = k, .lock = &k->lock };
	struct region c = d;
	int ret;

	c.addr = 0x64;
	c.ops = &command_ops;
	ret = region_attach(k->vm->regions, &d, &k->region[0], e);
	return ret < 0 ? ret : region_attach(k->vm->regions, &c, &k->region[1], e);
}

int i8042_create(struct vm *vm, struct i8042_config cfg, struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	int ret;

	if (!k)
		return err_set(e, -ENOMEM, "no memory for the keyboard controller");
	k->cfg = cfg;
	k->vm = vm;
	pthread_mutex_init(&k->lock, NULL);
	i8042_reset(k);
	const struct input_sink sink = { .kinds = 1 << INPUT_KEY | 1 << INPUT_BUTTON | 1 << INPUT_REL,
					 .event = on_event, .sync = on_sync, .opaque = k };
	ret = attach_regions(k, e);
	if (ret == 0 && plugged(k))
		ret = input_attach(cfg.input, &sink, e);
	if (ret == 0)
		ret = dev_attach(vm, &i8042_type, NULL, k, e);
	if (ret < 0)
		i8042_destroy(k);
	return ret;
}
