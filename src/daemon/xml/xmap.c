/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/xmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- lists and strings ---- */

int xlist_insert(void *list, unsigned at, void *item)
{
	struct xlist *l = list;
	void **v;

	if (l->n >= XMAP_LIST_MAX)
		return -E2BIG;
	v = realloc(l->v, (l->n + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (at > l->n)
		at = l->n;
	memmove(&v[at + 1], &v[at], (l->n - at) * sizeof(*v));
	v[at] = item;
	l->v = v;
	l->n++;
	return 0;
}

int xlist_add(void *list, void *item)
{
	return xlist_insert(list, XMAP_LIST_MAX, item);
}

void *xlist_new(void *list, size_t size)
{
	void *item = calloc(1, size);

	if (item && xlist_add(list, item) < 0) {
		free(item);
		return NULL;
	}
	return item;
}

void *xlist_take(void *list, unsigned at)
{
	struct xlist *l = list;
	void *item;

	if (at >= l->n)
		return NULL;
	item = l->v[at];
	l->n--;
	memmove(&l->v[at], &l->v[at + 1], (l->n - at) * sizeof(*l->v));
	return item;
}

int xstr_set(char **member, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

int xstr_printf(char **member, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return -ENOMEM;
	free(*member);
	*member = text;
	return 0;
}

int xenum_find(const char *const names[], const char *name)
{
	for (int n = 1; name && names[n]; n++)
		if (!strcmp(names[n], name))
			return n;
	return 0;
}

/* ---- UUIDs and units ---- */

void xuuid_text(const uint8_t u[16], char text[37])
{
	snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
	         u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

int xuuid_parse(uint8_t uuid[16], const char *text)
{
	unsigned digits = 0;
	uint8_t out[16] = { 0 };

	for (; *text; text++) {
		int c = tolower((unsigned char)*text);

		if (c == '-' || isspace(c))
			continue;
		if (!isxdigit(c) || digits == 32)
			return -EINVAL;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | (isdigit(c) ? c - '0' : c - 'a' + 10));
		digits++;
	}
	if (digits != 32)
		return -EINVAL;
	memcpy(uuid, out, sizeof(out));
	return 0;
}

void xuuid_random(struct xuuid *u)
{
	while (getrandom(u->b, sizeof(u->b), 0) != sizeof(u->b))
		;
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x40);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
	u->set = true;
}

uint64_t xunit_scale(const char *unit)
{
	static const char prefixes[] = "kmgtpe";
	const char *at;
	uint64_t scale = 1, step = 1024;

	if (!*unit || !strcasecmp(unit, "b") || !strcasecmp(unit, "byte") || !strcasecmp(unit, "bytes"))
		return 1;
	at = strchr(prefixes, tolower((unsigned char)unit[0]));
	if (!at || !*at)
		return 0;
	if (!strcasecmp(unit + 1, "b"))
		step = 1000;
	else if (unit[1] && strcasecmp(unit + 1, "ib"))
		return 0;
	for (ptrdiff_t n = 0; n <= at - prefixes; n++)
		scale *= step;
	return scale;
}

/* ---- freeing ---- */

void xraw_free(struct xraw *r)
{
	if (!r)
		return;
	free(r->name);
	free(r->uri);
	free(r->text);
	free(r);
}

static void clear_list(struct xlist *l, const struct xmap *map)
{
	for (unsigned n = 0; n < l->n; n++) {
		if (map)
			xmap_free(map, l->v[n]);
		else
			xraw_free(l->v[n]);
	}
	free(l->v);
	*l = (struct xlist){ 0 }; /* raw elements of several names may share a list */
}

static void clear_rows(const struct xrow *row, char *base)
{
	for (; row->place != X_END; row++) {
		void *at = base + row->offset;

		switch (row->place) {
		case X_GROUP:
			clear_rows(row->with, base);
			break;
		case X_EMBED:
			clear_rows(row->with, at);
			break;
		case X_ONE:
			xmap_free(row->with, *(void **)at);
			break;
		case X_LIST:
			clear_list(at, row->with);
			break;
		case X_RAW:
		case X_ANY:
			clear_list(at, NULL);
			break;
		default:
			if (row->type == XV_STR || row->type == XV_MAC)
				free(*(char **)at);
		}
	}
}

void xmap_clear(const struct xmap *map, void *obj)
{
	if (!obj)
		return;
	clear_rows(map->rows, obj);
	clear_list((struct xlist *)((char *)obj + map->extra), NULL);
	memset(obj, 0, map->size);
}

void xmap_free(const struct xmap *map, void *obj)
{
	xmap_clear(map, obj);
	free(obj);
}
