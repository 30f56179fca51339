/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a boot configuration offers: entries in their order, each with a title and an id, and what one of them boots. */
#ifndef PANAL_BOOTDISK_MENU_H
#define PANAL_BOOTDISK_MENU_H

#include "base/err.h"

struct script_block;
struct volume;

enum {
	MENU_TEXT_MAX = 256,
	MENU_ENTRIES_MAX = 512,
	MENU_INITRD_MAX = 16,
	MENU_CMDLINE_MAX = 4096,
	MENU_PATH_MAX = 1024
};

/* A file on a volume. */
struct menu_file {
	struct volume *volume;
	char path[MENU_PATH_MAX];
};

/* What the chosen entry boots. */
struct menu_target {
	char title[MENU_TEXT_MAX];
	char cmdline[MENU_CMDLINE_MAX];
	struct menu_file kernel; /* volume NULL: none was named */
	struct menu_file initrd[MENU_INITRD_MAX];
	unsigned initrd_count;
};

struct menu_entry {
	char title[MENU_TEXT_MAX], id[MENU_TEXT_MAX];
	const struct script_block *block; /* GRUB: runs when it is chosen; NULL: target is there already */
	bool submenu;                     /* the block makes a menu */
	struct menu_target *target;       /* Boot Loader Specification; owned */
};

struct menu {
	struct menu_entry *entry; /* malloc'ed */
	unsigned count;
};

/* A zeroed entry at the end; NULL: too many, or out of memory. */
struct menu_entry *menu_add(struct menu *m);
void menu_free(struct menu *m);
/* By number from 0 on, id or title; NULL: none. */
struct menu_entry *menu_find(const struct menu *m, const char *what, size_t len);

#endif
