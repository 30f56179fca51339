/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing: the rows in their order, then what was kept. An element that turns out to hold nothing is taken back. */
#include "daemon/xml/xmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writing {
	const struct xmap *map;
	const char *obj;
	unsigned flags, indent;
	struct buf *b;
	int ret; /* the first failure */
};

int xml_escape(struct buf *b, const char *text)
{
	static const struct {
		char c;
		const char *as;
	} table[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '\'', "&apos;" }, { '"', "&quot;" },
		      { '\r', "&#13;" }, { '\t', "&#9;" } };
	int ret = 0;

	for (; *text && ret == 0; text++) {
		const char *as = NULL;

		for (size_t n = 0; n < COUNT_OF(table); n++)
			if (table[n].c == *text)
				as = table[n].as;
		if (as)
			ret = buf_append(b, as, strlen(as));
		else if ((unsigned char)*text >= 0x20 || *text == '\n') /* others cannot be in a document */
			ret = buf_append_byte(b, (uint8_t)*text);
	}
	return ret;
}

static void put(struct writing *w, const char *text)
{
	if (w->ret == 0)
		w->ret = buf_append(w->b, text, strlen(text));
}

static void put_escaped(struct writing *w, const char *text)
{
	if (w->ret == 0)
		w->ret = xml_escape(w->b, text);
}

static void put_indent(struct writing *w)
{
	if (w->ret == 0)
		w->ret = buf_printf(w->b, "%*s", (int)w->indent, "");
}

/* The value as text in out; false: absent. Strings are not copied. */
static bool value_text(const struct xrow *row, const char *at, char out[48], const char **text)
{
	const struct xnum *n = (const struct xnum *)at;
	const struct xuuid *u = (const struct xuuid *)at;

	*text = out;
	switch (row->type) {
	case XV_STR:
	case XV_MAC:
		*text = *(char *const *)at;
		return *text;
	case XV_ENUM:
		*text = ((const char *const *)row->with)[*(const int *)at];
		return *(const int *)at > 0;
	case XV_FLAG:
		*text = "";
		return *(const bool *)at;
	case XV_UUID:
		xuuid_text(u->b, out);
		return u->set;
	default:
		if (n->hex || (row->flags & XF_NUMBERED))
			snprintf(out, 48, "0x%0*llx", row->digits ? row->digits : 2, (unsigned long long)n->v);
		else
			snprintf(out, 48, "%llu", (unsigned long long)n->v);
		return n->set;
	}
}

static bool wanted(const struct writing *w, const struct xrow *row)
{
	return !((row->flags & XF_LIVE) && !(w->flags & XMAP_LIVE)) &&
	       !((row->flags & XF_SECRET) && !(w->flags & XMAP_SECRET));
}

static void put_attribute(struct writing *w, const struct xrow *row, const char *base)
{
	char scratch[48];
	const char *text;

	if (!wanted(w, row) || !value_text(row, base + row->offset, scratch, &text))
		return;
	put(w, " ");
	put(w, row->name);
	put(w, "='");
	for (const char *line = text; *line;) { /* a line feed in an attribute would be read as a blank */
		size_t len = strcspn(line, "\n");
		char *part = strndup(line, len);

		put_escaped(w, part ? part : "");
		w->ret = part ? w->ret : -ENOMEM;
		free(part);
		line += len;
		if (*line && line++)
			put(w, "&#10;");
	}
	put(w, "'");
}

static void put_unit(struct writing *w, const struct xrow *row)
{
	if ((row->type == XV_KIB || row->type == XV_BYTES) && !(row->flags & XF_NOUNIT))
		put(w, row->type == XV_KIB ? " unit='KiB'" : " unit='bytes'");
}

static void put_attributes(struct writing *w, const struct xrow *row, const char *base)
{
	char scratch[48];
	const char *text;

	for (; row->place != X_END; row++) {
		if (row->place == X_ATTR)
			put_attribute(w, row, base);
		else if (row->place == X_EMBED)
			put_attributes(w, row->with, base + row->offset);
		else if (row->place == X_TEXT && value_text(row, base + row->offset, scratch, &text))
			put_unit(w, row);
	}
}

static const struct xlist *extras(const struct writing *w)
{
	return (const struct xlist *)(w->obj + w->map->extra);
}

static void put_extra_attributes(struct writing *w, const struct xrow *where)
{
	const struct xlist *l = extras(w);

	for (unsigned n = 0; n < l->n; n++) {
		const struct xraw *x = l->v[n];

		if (x->attribute && x->where == where) {
			put(w, " ");
			put(w, x->text);
		}
	}
}

static void put_raw(struct writing *w, const struct xraw *x)
{
	const char *line = x->text;

	while (*line && w->ret == 0) {
		size_t len = x->verbatim ? strlen(line) : strcspn(line, "\n");

		put_indent(w);
		if (w->ret == 0)
			w->ret = buf_append(w->b, line, len);
		put(w, "\n");
		line += len;
		line += *line == '\n';
	}
}

static void put_extra_elements(struct writing *w, const struct xrow *where)
{
	const struct xlist *l = extras(w);

	for (unsigned n = 0; n < l->n; n++) {
		const struct xraw *x = l->v[n];

		if (!x->attribute && x->where == where)
			put_raw(w, x);
	}
}

/* Rows of several names may share a list. */
static void put_list_raw(struct writing *w, const struct xrow *row, const struct xlist *l)
{
	for (unsigned n = 0; n < l->n; n++)
		if (row->place == X_ANY || !strcmp(((struct xraw *)l->v[n])->name, row->name))
			put_raw(w, l->v[n]);
}

/* <name>text</name>, with what was kept of its attributes. */
static void put_text_child(struct writing *w, const struct xrow *row, const char *base)
{
	char scratch[48];
	const char *text;

	if (!value_text(row, base + row->offset, scratch, &text))
		return;
	put_indent(w);
	put(w, "<");
	put(w, row->name);
	put_unit(w, row);
	put_extra_attributes(w, row);
	if (*text) {
		put(w, ">");
		put_escaped(w, text);
		put(w, "</");
		put(w, row->name);
		put(w, ">\n");
	} else {
		put(w, "/>\n");
	}
}

static void put_element(struct writing *w, const char *name, const struct xrow *rows, const struct xrow *where,
			const char *base, bool always);

static void put_object(struct writing *w, const struct xrow *row, const void *obj)
{
	if (obj && w->ret == 0)
		w->ret = xmap_write(row->with, obj, row->name, w->flags, w->indent, w->b);
}

static void put_children(struct writing *w, const struct xrow *row, const char *base)
{
	for (; row->place != X_END && w->ret == 0; row++) {
		const char *at = base + row->offset;
		const struct xlist *l = (const struct xlist *)at;

		if (!wanted(w, row))
			continue;
		switch (row->place) {
		case X_ELEM:
			put_text_child(w, row, base);
			break;
		case X_GROUP:
			put_element(w, row->name, row->with, row, base, row->flags & XF_ALWAYS);
			break;
		case X_EMBED:
			put_children(w, row->with, at);
			break;
		case X_ONE:
			put_object(w, row, *(void *const *)at);
			break;
		case X_LIST:
			for (unsigned n = 0; n < l->n; n++)
				put_object(w, row, l->v[n]);
			break;
		case X_RAW:
		case X_ANY:
			put_list_raw(w, row, l);
			break;
		}
	}
}

/* The text of the element itself; false: it has none. *there: the element is written even so. */
static bool put_own_text(struct writing *w, const struct xrow *row, const char *base, bool *there)
{
	char scratch[48];
	const char *text;

	for (; row->place != X_END; row++) {
		if (row->place != X_TEXT || !wanted(w, row) || !value_text(row, base + row->offset, scratch, &text))
			continue;
		put_escaped(w, text);
		*there = true;
		return *text;
	}
	return false;
}

static void put_element(struct writing *w, const char *name, const struct xrow *rows, const struct xrow *where,
			const char *base, bool always)
{
	size_t begin = w->b->len, attributes, open, inner;
	bool text;

	put_indent(w);
	put(w, "<");
	put(w, name);
	attributes = w->b->len;
	put_attributes(w, rows, base);
	put_extra_attributes(w, where);
	open = w->b->len;
	put(w, ">");
	text = put_own_text(w, rows, base, &always);
	if (!text)
		put(w, "\n");
	inner = w->b->len;
	w->indent += 2;
	put_children(w, rows, base);
	put_extra_elements(w, where);
	w->indent -= 2;
	if (w->ret < 0)
		return;
	if (text) {
		w->ret = buf_printf(w->b, "</%s>\n", name);
	} else if (w->b->len > inner) {
		w->ret = buf_printf(w->b, "%*s</%s>\n", (int)w->indent, "", name);
	} else if (open > attributes || always) {
		w->b->len = open;
		put(w, "/>\n");
	} else {
		w->b->len = begin;
	}
}

int xmap_write(const struct xmap *map, const void *obj, const char *name, unsigned flags, unsigned indent,
	       struct buf *b)
{
	struct writing w = { .map = map, .obj = obj, .flags = flags, .indent = indent, .b = b };

	put_element(&w, name ? name : map->name, map->rows, NULL, obj, true);
	return w.ret;
}

char *xmap_format(const struct xmap *map, const void *obj, const char *name, unsigned flags)
{
	struct buf b;
	int ret;

	buf_init(&b, XMAP_OUT_MAX);
	ret = xmap_write(map, obj, name, flags, 0, &b);
	if (ret == 0)
		ret = buf_append_byte(&b, 0);
	if (ret < 0) {
		buf_free(&b);
		return NULL;
	}
	return (char *)b.data;
}
