/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/say.h"

#include "cli/remote.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

int say_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "panal %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

int say_err(const char *command, const struct err *e)
{
	char text[ERR_TEXT_MAX];

	text_told(e->text, text, sizeof(text));
	return say_error(command, "%s", text);
}

/* ---- tables ---- */

static void add_cell(struct table *t, char *text)
{
	char **more;

	if (t->cells == t->room) {
		more = realloc(t->cell, (t->room + 64) * sizeof(*more));
		if (!more) {
			free(text);
			return;
		}
		t->cell = more;
		t->room += 64;
	}
	t->cell[t->cells++] = text;
}

void table_begin(struct table *t, unsigned columns, const char *const *heads)
{
	*t = (struct table){ .columns = columns };
	for (unsigned n = 0; n < columns; n++)
		add_cell(t, strdup(_(heads[n])));
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add_cell(t, text);
}

/* Places on the screen, not bytes. */
static unsigned width(const char *text)
{
	wchar_t wide[256];
	size_t n = text ? mbstowcs(wide, text, COUNT_OF(wide) - 1) : 0;
	int columns;

	if (n == (size_t)-1)
		return strlen(text);
	columns = wcswidth(wide, n);
	return columns < 0 ? (unsigned)n : (unsigned)columns;
}

void table_print(struct table *t)
{
	unsigned widest[TABLE_COLUMNS_MAX] = { 0 };

	for (unsigned n = 0; n < t->cells; n++)
		if (width(t->cell[n]) > widest[n % t->columns])
			widest[n % t->columns] = width(t->cell[n]);
	for (unsigned n = 0; n < t->cells; n++) {
		const char *text = t->cell[n] ? t->cell[n] : "";
		bool last = n % t->columns == t->columns - 1;

		printf("%s%*s", text, last ? 0 : (int)(widest[n % t->columns] - width(text) + 2), "");
		if (last)
			putchar('\n');
	}
	table_drop(t);
}

void table_drop(struct table *t)
{
	for (unsigned n = 0; n < t->cells; n++)
		free(t->cell[n]);
	free(t->cell);
	*t = (struct table){ 0 };
}

int say_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
	return 0;
}

void size_text(char *out, size_t size, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned n = 0;

	for (; bytes >= 1024 && n + 1 < COUNT_OF(units); n++)
		bytes /= 1024;
	snprintf(out, size, bytes < 10 && n > 0 && bytes != (int)bytes ? "%.1f %s" : "%.0f %s", bytes, units[n]);
}

const char *state_name(int state)
{
	switch (state) {
	case MACHINE_RUNNING: return N_("running");
	case MACHINE_PAUSED: return N_("paused");
	case MACHINE_SHUTDOWN: return N_("stopping");
	case MACHINE_OFF: return N_("off");
	case MACHINE_CRASHED: return N_("crashed");
	default: return N_("unknown");
	}
}
