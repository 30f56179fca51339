/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/port92.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { PORT = 0x92, BIT_RESET = 1, BIT_A20 = 2 };

struct port92 {
	struct vm *vm;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards value */
	uint8_t value;
};

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	return ((struct port92 *)opaque)->value;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct port92 *p = opaque;

	if (value & ~p->value & BIT_RESET)
		vm_request(p->vm, VM_REQUEST_RESET);
	p->value = (uint8_t)value;
}

static const struct region_ops port_ops = { .read = port_read, .write = port_write, .width_min = 1, .width_max = 1 };

static void port92_reset(void *impl)
{
	struct port92 *p = impl;

	pthread_mutex_lock(&p->lock);
	p->value = BIT_A20;
	pthread_mutex_unlock(&p->lock);
}

static void port92_destroy(void *impl)
{
	struct port92 *p = impl;

	region_detach(p->region);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct state_field port92_fields[] = { STATE_FIELD(struct port92, value, STATE_U8), STATE_END };
static const struct state_desc port92_state = { .name = "port92", .version = 1, .fields = port92_fields };
static const struct dev_type port92_type = {
	.name = "port92", .destroy = port92_destroy, .reset = port92_reset, .state = &port92_state,
	.state_size = sizeof(struct port92),
};

int port92_create(struct vm *vm, struct err *e)
{
	struct port92 *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for port 0x92");
	p->vm = vm;
	pthread_mutex_init(&p->lock, NULL);
	port92_reset(p);
	struct region r = { .space = REGION_PORT, .addr = PORT, .size = 1, .name = "port92", .ops = &port_ops,
			    .opaque = p, .lock = &p->lock };
	ret = region_attach(vm->regions, &r, &p->region, e);
	if (ret == 0)
		ret = dev_attach(vm, &port92_type, NULL, p, e);
	if (ret < 0)
		port92_destroy(p);
	return ret;
}
