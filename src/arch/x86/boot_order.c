/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/boot_order.h"

#include "devices/legacy/fw_cfg.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void boot_order_add(struct boot_order *o, unsigned place, const char *path, ...)
{
	va_list args;

	if (!place || o->count == BOOT_ORDER_MAX)
		return;
	va_start(args, path);
	vsnprintf(o->entry[o->count].path, BOOT_PATH_MAX, path, args);
	va_end(args);
	o->entry[o->count++].place = place;
}

/* Insertion: few entries, and equal places keep their order. */
static void sort(struct boot_order *o)
{
	for (unsigned n = 1; n < o->count; n++)
		for (unsigned i = n; i > 0 && o->entry[i].place < o->entry[i - 1].place; i--) {
			__typeof__(o->entry[0]) t = o->entry[i];

			o->entry[i] = o->entry[i - 1];
			o->entry[i - 1] = t;
		}
}

int boot_order_publish(struct boot_order *o, struct fw_cfg *fc, struct err *e)
{
	char text[BOOT_ORDER_MAX * BOOT_PATH_MAX];
	size_t len = 0;

	if (!o->count)
		return 0;
	sort(o);
	for (unsigned n = 0; n < o->count; n++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", n ? "\n" : "", o->entry[n].path);
	return fw_cfg_add_file(fc, "bootorder", text, len + 1, e);
}
