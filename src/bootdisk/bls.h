/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Boot Loader Specification's entries of type 1: one file each in a directory. */
#ifndef PANAL_BOOTDISK_BLS_H
#define PANAL_BOOTDISK_BLS_H

#include "bootdisk/menu.h"
#include "bootdisk/volumes.h"

struct script;

/* Adds the directory's entries, the newest first. vars: where $names in options are looked up; NULL: nowhere. Paths in
 * entries are on the same volume. An entry without a kernel is left out. */
int bls_add(struct menu *m, struct volume *v, const char *directory, const struct script *vars,
	    struct err *e) ATTR_MUST_USE;
/* The pattern of the default entry in loader.conf beside the directory; "" for none. */
void bls_default(struct volume *v, const char *conf, char *out, size_t size);
/* The entry that the pattern names (with or without .conf), else the first. NULL: there is none. */
struct menu_entry *bls_choose(const struct menu *m, const char *pattern);

#endif
