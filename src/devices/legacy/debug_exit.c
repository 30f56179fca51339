/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/debug_exit.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 0xf4 };

struct debug_exit {
	struct vm *vm;
	struct region_handle *region;
};

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	return 0;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct debug_exit *d = opaque;
	atomic_store(&d->vm->debug_exit, (unsigned)value);
	vm_request(d->vm, VM_REQUEST_DEBUG_EXIT);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 4};

static void debug_exit_destroy(void *impl)
{
	struct debug_exit *d = impl;
	region_detach(d->region);
	free(d);
}

static const struct dev_type debug_exit_type = {.name = "debug-exit", .destroy = debug_exit_destroy};

int debug_exit_create(struct vm *vm, struct debug_exit_config cfg, struct err *e)
{
	struct debug_exit *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "no memory for the debug-exit device");
	d->vm = vm;
	/* Four ports, so that a 32-bit OUT arrives as one value. */
	struct region r = {.space = REGION_PORT, .addr = cfg.port ? cfg.port : DEFAULT_PORT, .size = 4,
			   .name = "debug-exit", .ops = &port_ops, .opaque = d};
	int rc = region_attach(vm->regions, &r, &d->region, e);
	if (!rc)
		rc = dev_attach(vm, &debug_exit_type, NULL, d, e);
	if (rc)
		debug_exit_destroy(d);
	return rc;
}
