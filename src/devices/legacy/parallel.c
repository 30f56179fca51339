/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/parallel.h"

#include "core/chardev.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { DATA, STATUS, CONTROL };
/* BUSY and ACK are low when they are active, so that a ready printer shows both. */
enum { ST_NOT_BUSY = 0x80, ST_NOT_ACK = 0x40, ST_SELECTED = 0x10, ST_NO_ERROR = 0x08, ST_FIXED = 0x07 };
enum { CT_STROBE = 0x01, CT_INIT = 0x04, CT_SELECT = 0x08, CT_IRQ = 0x10, CT_INPUT = 0x20, CT_FIXED = 0xc0 };

struct parallel {
	struct parallel_config cfg;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below; held while irq is driven */
	uint8_t data, control;
	bool acked; /* a byte was taken since the status was last read */
};

/* The acknowledge pulse is over before the guest could look; its edge is the interrupt. */
static void strobe(struct parallel *p)
{
	/* A printer that cannot keep up would be busy; here the byte is dropped, as a file on a full disk drops it. */
	chardev_write(p->cfg.out, &p->data, 1);
	p->acked = true;
	if (p->control & CT_IRQ)
		irq_pulse(&p->cfg.irq);
}

static void control_write(struct parallel *p, uint8_t value)
{
	bool edge = (value & CT_STROBE) && !(p->control & CT_STROBE);

	p->control = value & (uint8_t)~CT_FIXED;
	if (edge && (value & CT_INIT))
		strobe(p);
}

static uint8_t status_read(struct parallel *p)
{
	uint8_t v = ST_NOT_BUSY | ST_SELECTED | ST_NO_ERROR | ST_FIXED | (p->acked ? 0 : ST_NOT_ACK);

	p->acked = false; /* whoever polls sees one low, then high again */
	return v;
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct parallel *p = opaque;

	switch (off) {
	case DATA: return p->control & CT_INPUT ? 0xff : p->data;
	case STATUS: return status_read(p);
	default: return p->control | CT_FIXED;
	}
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct parallel *p = opaque;

	if (off == DATA)
		p->data = (uint8_t)value;
	else if (off == CONTROL)
		control_write(p, (uint8_t)value);
}

static const struct region_ops port_ops = { .read = port_read, .write = port_write, .width_min = 1, .width_max = 1 };

static void parallel_reset(void *impl)
{
	struct parallel *p = impl;

	pthread_mutex_lock(&p->lock);
	p->data = 0;
	p->control = CT_INIT | CT_SELECT;
	p->acked = false;
	pthread_mutex_unlock(&p->lock);
}

static int parallel_loaded(void *obj, uint16_t version, struct err *e)
{
	struct parallel *p = obj;

	p->control &= (uint8_t)~CT_FIXED;
	return 0;
}

static const struct state_field parallel_fields[] = {
	STATE_FIELD(struct parallel, data, STATE_U8), STATE_FIELD(struct parallel, control, STATE_U8),
	STATE_FIELD(struct parallel, acked, STATE_BOOL), STATE_END,
};

static const struct state_desc parallel_state = {
	.name = "parallel", .version = 1, .fields = parallel_fields, .after_load = parallel_loaded,
};

static void parallel_destroy(void *impl)
{
	struct parallel *p = impl;

	region_detach(p->region);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct dev_type parallel_type = {
	.name = "parallel", .destroy = parallel_destroy, .reset = parallel_reset, .state = &parallel_state,
	.state_size = sizeof(struct parallel),
};

int parallel_create(struct vm *vm, struct parallel_config cfg, struct err *e)
{
	struct parallel *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the parallel port");
	p->cfg = cfg;
	pthread_mutex_init(&p->lock, NULL);
	parallel_reset(p);
	struct region r = { .space = REGION_PORT, .addr = cfg.port ? cfg.port : PARALLEL_PORT, .size = PARALLEL_PORTS,
			    .name = "parallel", .ops = &port_ops, .opaque = p, .lock = &p->lock };
	ret = region_attach(vm->regions, &r, &p->region, e);
	if (ret == 0)
		ret = dev_attach(vm, &parallel_type, NULL, p, e);
	if (ret < 0)
		parallel_destroy(p);
	return ret;
}
