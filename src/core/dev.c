/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/dev.h"

#include "core/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dev *dev_find(struct vm *vm, const char *id)
{
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (!strcmp(d->id, id))
			return d;
	}
	return NULL;
}

/* "<type><n>" with the first n that is free; there are fewer devices than numbers. */
static void make_id(struct vm *vm, const char *type, char id[DEV_ID_MAX])
{
	unsigned n = 0;

	do
		snprintf(id, DEV_ID_MAX, "%.20s%u", type, n++);
	while (dev_find(vm, id));
}

int dev_attach(struct vm *vm, const struct dev_type *type, const char *id, void *impl, struct err *e)
{
	struct dev *d;

	if (id && (!*id || strlen(id) >= DEV_ID_MAX))
		return err_set(e, -EINVAL, "\"%.40s\" is no name for a device: 1 to %d characters", id, DEV_ID_MAX - 1);
	if (id && dev_find(vm, id))
		return err_set(e, -EEXIST, "there are two devices with the name %s", id);
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->type = type;
	d->impl = impl;
	if (id)
		snprintf(d->id, sizeof(d->id), "%s", id);
	else
		make_id(vm, type->name, d->id);
	list_add_tail(&vm->devs, &d->node);
	return 0;
}
