/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/i8042.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { STATUS_FULL = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_TIMEOUT = 0x40 };
enum { CTR_IRQ = 0x01, CTR_SYSTEM = 0x04, CTR_NO_KEYBOARD = 0x10, CTR_NO_AUX = 0x20 };
enum {
	CMD_READ_CTR = 0x20, CMD_WRITE_CTR = 0x60, CMD_AUX_OFF = 0xa7, CMD_AUX_ON = 0xa8, CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa, CMD_KBD_TEST = 0xab, CMD_KBD_OFF = 0xad, CMD_KBD_ON = 0xae, CMD_READ_OUT = 0xd0,
	CMD_WRITE_OUT = 0xd1, CMD_KBD_LOOP = 0xd2, CMD_AUX_LOOP = 0xd3, CMD_AUX_SEND = 0xd4, CMD_RESET = 0xfe,
};
enum { REPLY_RESEND = 0xfe };

struct i8042 {
	struct i8042_config cfg;
	struct vm *vm;
	struct region_handle *region[2];
	pthread_mutex_t lock; /* guards all below */
	uint8_t status, ctr, data;
	uint8_t command; /* whose data byte is awaited; 0: none */
};

static void update_irq(struct i8042 *k)
{
	irq_set(&k->cfg.irq, (k->status & STATUS_FULL) && (k->ctr & CTR_IRQ));
}

static void reply(struct i8042 *k, uint8_t value, uint8_t flags)
{
	k->data = value;
	k->status = (k->status & ~STATUS_TIMEOUT) | STATUS_FULL | flags;
	update_irq(k);
}

static void command_write(struct i8042 *k, uint8_t value)
{
	k->status |= STATUS_COMMAND;
	k->command = 0;
	switch (value) {
	case CMD_READ_CTR: reply(k, k->ctr, 0); break;
	case CMD_SELF_TEST: reply(k, 0x55, 0); break;
	case CMD_KBD_TEST: reply(k, 0x00, 0); break;
	case CMD_AUX_TEST: reply(k, 0x01, 0); break; /* clock stuck: no such port */
	case CMD_READ_OUT: reply(k, 0x03, 0); break;
	case CMD_AUX_OFF: k->ctr |= CTR_NO_AUX; break;
	case CMD_AUX_ON: k->ctr &= ~CTR_NO_AUX; break;
	case CMD_KBD_OFF: k->ctr |= CTR_NO_KEYBOARD; break;
	case CMD_KBD_ON: k->ctr &= ~CTR_NO_KEYBOARD; break;
	case CMD_WRITE_CTR: case CMD_WRITE_OUT: case CMD_KBD_LOOP: case CMD_AUX_LOOP: case CMD_AUX_SEND:
		k->command = value;
		break;
	default:
		/* 0xf0-0xff pulse output lines; line 0 is the processor's reset. */
		if (value >= 0xf0 && !(value & 1))
			vm_request(k->vm, VM_REQUEST_RESET);
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
	case CMD_WRITE_OUT:
		if (!(value & 1))
			vm_request(k->vm, VM_REQUEST_RESET);
		break;
	case CMD_KBD_LOOP: reply(k, value, 0); break;
	case CMD_AUX_LOOP: reply(k, 0x00, 0); break; /* not what was sent: no auxiliary port */
	default: reply(k, REPLY_RESEND, STATUS_TIMEOUT); break; /* nobody there */
	}
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned width)
{
	struct i8042 *k = opaque;
	k->status &= ~(STATUS_FULL | STATUS_TIMEOUT);
	update_irq(k);
	return k->data;
}

static void data_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value) { data_write(opaque, value); }

static uint64_t status_read(void *opaque, uint64_t off, unsigned width)
{
	struct i8042 *k = opaque;
	return k->status;
}

static void command_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	command_write(opaque, value);
}

static const struct region_ops data_ops = {.read = data_read, .write = data_port_write, .width_min = 1, .width_max = 1};
static const struct region_ops command_ops = {
	.read = status_read, .write = command_port_write, .width_min = 1, .width_max = 1,
};

static void i8042_reset(void *impl)
{
	struct i8042 *k = impl;
	pthread_mutex_lock(&k->lock);
	k->status = STATUS_SYSTEM;
	k->ctr = CTR_SYSTEM | CTR_NO_AUX;
	k->data = k->command = 0;
	update_irq(k);
	pthread_mutex_unlock(&k->lock);
}

static int i8042_after_load(void *obj, uint16_t version, struct err *e)
{
	update_irq(obj);
	return 0;
}

static const struct state_field i8042_fields[] = {
	STATE_FIELD(struct i8042, status, STATE_U8), STATE_FIELD(struct i8042, ctr, STATE_U8),
	STATE_FIELD(struct i8042, data, STATE_U8), STATE_FIELD(struct i8042, command, STATE_U8), STATE_END,
};

static const struct state_desc i8042_state = {
	.name = "i8042", .version = 1, .fields = i8042_fields, .after_load = i8042_after_load,
};

static void i8042_destroy(void *impl)
{
	struct i8042 *k = impl;
	region_detach(k->region[0]);
	region_detach(k->region[1]);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static const struct dev_type i8042_type = {
	.name = "i8042", .destroy = i8042_destroy, .reset = i8042_reset,
	.state = &i8042_state, .state_size = sizeof(struct i8042),
};

int i8042_create(struct vm *vm, struct i8042_config cfg, struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(e, -ENOMEM, "no memory for the keyboard controller");
	k->cfg = cfg;
	k->vm = vm;
	pthread_mutex_init(&k->lock, NULL);
	i8042_reset(k);
	struct region d = {.space = REGION_PORT, .addr = 0x60, .size = 1, .name = "i8042", .ops = &data_ops,
		.opaque = k,
			   .lock = &k->lock};
	struct region c = d;
	c.addr = 0x64;
	c.ops = &command_ops;
	int rc = region_attach(vm->regions, &d, &k->region[0], e);
	if (!rc)
		rc = region_attach(vm->regions, &c, &k->region[1], e);
	if (!rc)
		rc = dev_attach(vm, &i8042_type, NULL, k, e);
	if (rc)
		i8042_destroy(k);
	return rc;
}
