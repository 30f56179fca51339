/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GRUB's script language (GRUB manual 2.06, "Writing full configuration files directly"): parsed into commands, which
 * are then run: if, while, until, for and functions here, all other words by the command function. The text is a
 * guest's: its size, depth, memory and steps are bounded.
 */
#ifndef PANAL_BOOTDISK_SCRIPT_H
#define PANAL_BOOTDISK_SCRIPT_H

#include "base/err.h"

enum { SCRIPT_TEXT_MAX = 1 << 20, SCRIPT_ARGS_MAX = 256, SCRIPT_DEPTH_MAX = 32, SCRIPT_STEPS_MAX = 20000 };

struct script;       /* variables, functions, all memory of what was parsed */
struct script_block; /* commands between braces */

/* A command that the language does not have itself. block: the commands in braces behind it, or NULL; lives as long as
 * the script. Gives its status: 0 is true. */
typedef int (*script_command)(void *opaque, unsigned argc, char *const argv[], const struct script_block *block);

struct script *script_create(script_command command, void *opaque); /* NULL: out of memory */
void script_destroy(struct script *s);

/* Parses and runs. What cannot be parsed is -EINVAL, and nothing of it was run; -E2BIG: more depth, memory or steps
 * than any real one needs, whatever was run until then. */
int script_run(struct script *s, const char *text, size_t len, struct err *e) ATTR_MUST_USE;
int script_run_block(struct script *s, const struct script_block *b, struct err *e) ATTR_MUST_USE;

/* Unset: "". The text lives until the variable changes. */
const char *script_get(const struct script *s, const char *name);
int script_set(struct script *s, const char *name, const char *value) ATTR_MUST_USE;
/* It is still there in submenus. An unset one becomes "". */
int script_export(struct script *s, const char *name) ATTR_MUST_USE;
/* A submenu begins: all variables that were not exported are gone. */
void script_enter_submenu(struct script *s);

/* $name and ${name} in a text, one after the other, without quotes; into out, cut at its end. */
void script_expand(const struct script *s, const char *text, char *out, size_t size);

#endif
