/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people read: in their language (gettext), as a table on a terminal and plain when piped, as JSON for scripts.
 */
#ifndef PANAL_CLI_SAY_H
#define PANAL_CLI_SAY_H

#include "base/err.h"
#include "base/text.h"

#include <jansson.h>

/* "panal COMMAND: text" on standard error; returns 1, the status of a command that failed. */
int say_error(const char *command, const char *fmt, ...) ATTR_PRINTF(2, 3);
int say_err(const char *command, const struct err *e);

/* ---- tables ---- */

enum { TABLE_COLUMNS_MAX = 10 };

/* Cells are kept until table_print, which frees them. A failed allocation leaves a cell empty. */
struct table {
	unsigned columns;
	char **cell; /* columns * rows, the heads first */
	unsigned cells, room;
};

void table_begin(struct table *t, unsigned columns, const char *const *heads); /* heads are translated here */
void table_cell(struct table *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
void table_print(struct table *t);
void table_drop(struct table *t); /* without printing */

/* Prints and lets go of it. */
int say_json(json_t *value);

/* 1536 -> "1.5 KiB"; out is at least 16 bytes. */
void size_text(char *out, size_t size, double bytes);
/* The name of a machine's state, in English for scripts; _() makes it the user's. */
const char *state_name(int state);

#endif
