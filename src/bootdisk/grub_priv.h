/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of grub: the state that its commands work on. */
#ifndef PANAL_BOOTDISK_GRUB_PRIV_H
#define PANAL_BOOTDISK_GRUB_PRIV_H

#include "bootdisk/grub.h"
#include "bootdisk/script.h"

enum { GRUB_CONFIG_DEPTH = 8 };

struct grub {
	struct volumes *all;
	struct script *script;
	struct menu *menu;          /* where menuentry adds */
	struct menu_target *target; /* what linux and initrd write to; NULL outside of an entry */
	unsigned depth;             /* configurations that load each other */
	struct err *e;              /* the first failure of a configuration or of a named file */
	int ret;
	char missing[MENU_TEXT_MAX]; /* what the entry wants and is not there */
};

/* script_command; opaque is the struct grub. */
int grub_command(void *opaque, unsigned argc, char *const argv[], const struct script_block *block);
/* source, configfile. */
int grub_load_config(struct grub *g, const char *path);
/* [ and test; argv without the name and the closing bracket. 0: true. */
int grub_test(struct grub *g, unsigned argc, char *const argv[]);

#endif
