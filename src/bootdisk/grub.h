/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A grub.cfg: what it would boot without anybody at the keyboard. */
#ifndef PANAL_BOOTDISK_GRUB_H
#define PANAL_BOOTDISK_GRUB_H

#include "bootdisk/menu.h"
#include "bootdisk/volumes.h"

/* Runs the configuration at path on v as GRUB would, with $root and $prefix from there, chooses the default entry and
 * runs that. Errors: -ENOENT (no entry), -EINVAL (no script, or the entry boots no Linux), -E2BIG, -EIO. The message
 * names the file or the entry. */
int grub_choose(struct menu_target *out, struct volumes *all, struct volume *v, const char *path,
		struct err *e) ATTR_MUST_USE;

#endif
