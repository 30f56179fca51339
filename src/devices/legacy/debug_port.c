/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/debug_port.h"

#include "core/chardev.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { PRESENT = 0xe9 };

struct debug_port {
	struct chardev *out;
	struct region_handle *region;
};

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	return PRESENT;
}

/* What does not fit any more is dropped: a log must not stop the guest. */
static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct debug_port *d = opaque;
	uint8_t byte = (uint8_t)value;
	chardev_write(d->out, &byte, 1);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 1};

static void debug_port_destroy(void *impl)
{
	struct debug_port *d = impl;
	region_detach(d->region);
	free(d);
}

static const struct dev_type debug_port_type = {.name = "debug-port", .destroy = debug_port_destroy};

int debug_port_create(struct vm *vm, struct debug_port_config cfg, struct err *e)
{
	if (!cfg.out)
		return 0;
	struct debug_port *d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "no memory for the firmware's log port");
	d->out = cfg.out;
	struct region r = {.space = REGION_PORT, .addr = cfg.port, .size = 1, .name = "debug-port", .ops = &port_ops,
			   .opaque = d};
	int rc = region_attach(vm->regions, &r, &d->region, e);
	if (!rc)
		rc = dev_attach(vm, &debug_port_type, NULL, d, e);
	if (rc)
		debug_port_destroy(d);
	return rc;
}
