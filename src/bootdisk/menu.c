/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bootdisk/menu.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct menu_entry *menu_add(struct menu *m)
{
	struct menu_entry *more;

	if (m->count == MENU_ENTRIES_MAX)
		return NULL;
	more = realloc(m->entry, (m->count + 1) * sizeof(*more));
	if (!more)
		return NULL;
	m->entry = more;
	m->entry[m->count] = (struct menu_entry){0};
	return &m->entry[m->count++];
}

void menu_free(struct menu *m)
{
	for (unsigned n = 0; n < m->count; n++)
		free(m->entry[n].target);
	free(m->entry);
	*m = (struct menu){0};
}

static bool same(const char *text, const char *what, size_t len)
{
	return strlen(text) == len && !memcmp(text, what, len);
}

struct menu_entry *menu_find(const struct menu *m, const char *what, size_t len)
{
	unsigned number = 0;
	size_t digits = 0;

	while (digits < len && isdigit((unsigned char)what[digits]) && number < MENU_ENTRIES_MAX)
		number = number * 10 + (unsigned)(what[digits++] - '0');
	if (len && digits == len)
		return number < m->count ? &m->entry[number] : NULL;
	for (unsigned n = 0; n < m->count; n++)
		if (same(m->entry[n].id, what, len) || same(m->entry[n].title, what, len))
			return &m->entry[n];
	return NULL;
}
