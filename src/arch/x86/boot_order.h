/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the firmware tries to boot, and in which order: fw_cfg's file "bootorder", Open Firmware paths one a line, as
 * SeaBIOS and OVMF compare them with what they find. Devices without a place in it come after those that have one, in
 * the firmware's own order.
 */
#ifndef PANAL_ARCH_X86_BOOT_ORDER_H
#define PANAL_ARCH_X86_BOOT_ORDER_H

#include "base/err.h"

struct fw_cfg;

enum { BOOT_ORDER_MAX = 32, BOOT_PATH_MAX = 96 };

struct boot_order {
	struct {
		unsigned place;
		char path[BOOT_PATH_MAX];
	} entry[BOOT_ORDER_MAX];
	unsigned count;
};

/* Place 0: the device has none, nothing happens; 1 is tried first. More than BOOT_ORDER_MAX devices are not listed. */
void boot_order_add(struct boot_order *o, unsigned place, const char *path, ...) ATTR_PRINTF(3, 4);
/* Adds the file, when anything has a place. */
int boot_order_publish(struct boot_order *o, struct fw_cfg *fc, struct err *e) ATTR_MUST_USE;

#endif
