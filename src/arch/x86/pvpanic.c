/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/pvpanic.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

/* Events: the kernel panicked; it panicked and its crash kernel takes over (so the machine should go on). */
enum { DEFAULT_PORT = 0x505, EVENT_PANICKED = 1, EVENT_CRASH_LOADED = 2 };

struct pvpanic {
	struct vm *vm;
	struct region_handle *region;
};

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	return EVENT_PANICKED | EVENT_CRASH_LOADED;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pvpanic *p = opaque;
	if (value & EVENT_PANICKED)
		vm_request(p->vm, VM_REQUEST_PANIC);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 1};

static void pvpanic_destroy(void *impl)
{
	struct pvpanic *p = impl;
	region_detach(p->region);
	free(p);
}

static const struct dev_type pvpanic_type = {.name = "pvpanic", .destroy = pvpanic_destroy};

int pvpanic_create(struct vm *vm, struct pvpanic_config cfg, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for the pvpanic device");
	p->vm = vm;
	struct region r = {.space = REGION_PORT, .addr = cfg.port ? cfg.port : DEFAULT_PORT, .size = 1,
			   .name = "pvpanic", .ops = &port_ops, .opaque = p};
	int rc = region_attach(vm->regions, &r, &p->region, e);
	if (!rc)
		rc = dev_attach(vm, &pvpanic_type, NULL, p, e);
	if (rc)
		pvpanic_destroy(p);
	return rc;
}
