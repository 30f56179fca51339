/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading: walks the document and looks each name up in the table, so that nothing can be passed over unseen. */
#include "daemon/xml/xmap.h"
#include "daemon/xml/xmldoc.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SEEN_MAX = 96 };

/* One element that is being read into an object. */
struct reading {
	const struct xmap *map;
	char *obj;               /* owns the extras */
	const struct xrow *rows; /* of this element */
	const struct xrow *where;
	char *base;              /* what the rows' offsets count from */
	unsigned flags;
	struct err *e;
	const struct xrow *seen[SEEN_MAX];
	unsigned seen_count;
};

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* ---- values ---- */

/* The value's place in messages: "attribute 'a' in element 'b'", or "element 'b'". */
static int bad_value(const struct xrow *row, const char *element, const char *value, struct err *e)
{
	if (row->place == X_ATTR)
		return err_set(e, -EBADMSG, "Invalid value for attribute '%s' in element '%s': '%.100s'", row->name,
		               element, value);
	return err_set(e, -EBADMSG, "Invalid value for element '%s': '%.100s'", element, value);
}

static int number(const char *text, uint64_t *v, bool *hex)
{
	char *end;

	text += strspn(text, " \t\r\n");
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	*hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	errno = 0;
	*v = strtoull(text, &end, *hex ? 16 : 10);
	return errno || !xmldoc_blank(end) ? -EINVAL : 0;
}

/* Rounded up to the unit of the member, as libvirt does. */
static int scaled(xmlNode *node, const char *text, uint64_t to, struct xnum *out)
{
	xmlChar *unit = xmlGetNoNsProp(node, (const xmlChar *)"unit");
	uint64_t scale = unit ? xunit_scale((const char *)unit) : to, bytes;
	bool hex;
	int ret = scale ? number(text, &out->v, &hex) : -EINVAL;

	xmlFree(unit);
	if (ret < 0)
		return ret;
	if (__builtin_mul_overflow(out->v, scale, &bytes) || bytes > INT64_MAX)
		return -ERANGE;
	out->v = bytes / to + (bytes % to != 0);
	out->set = true;
	return 0;
}

static int mac(char **out, const char *text)
{
	char *copy = strdup(text);
	size_t n;

	if (!copy)
		return -ENOMEM;
	for (n = 0; copy[n]; n++) {
		copy[n] = (char)tolower((unsigned char)copy[n]);
		if (n >= 17 || (n % 3 == 2 ? copy[n] != ':' : !isxdigit((unsigned char)copy[n])))
			break;
	}
	if (n != 17 || copy[n]) {
		free(copy);
		return -EINVAL;
	}
	*out = copy;
	return 0;
}

static int set_value(const struct xrow *row, xmlNode *node, void *at, const char *text)
{
	switch (row->type) {
	case XV_STR:
		return xstr_set(at, text);
	case XV_MAC:
		return mac(at, text);
	case XV_FLAG:
		*(bool *)at = true;
		return 0;
	case XV_NUM: {
		struct xnum *n = at;
		int ret = number(text, &n->v, &n->hex);

		n->set = ret == 0;
		return ret;
	}
	case XV_ENUM:
		*(int *)at = xenum_find(row->with, text);
		return *(int *)at ? 0 : -EINVAL;
	case XV_UUID:
		((struct xuuid *)at)->set = true;
		return xuuid_parse(((struct xuuid *)at)->b, text);
	default:
		return scaled(node, text, row->type == XV_KIB ? 1024 : 1, at);
	}
}

static int read_value(struct reading *r, const struct xrow *row, xmlNode *node, char *base, const char *text)
{
	int ret;

	if ((row->flags & XF_LIVE) && !(r->flags & XMAP_LIVE))
		return 0;
	ret = set_value(row, node, base + row->offset, text ? text : "");
	if (ret == -ENOMEM)
		return out_of_memory(r->e);
	return ret < 0 ? bad_value(row, (const char *)node->name, text ? text : "", r->e) : 0;
}

/* ---- what no row names ---- */

static int keep(struct reading *r, void *list, const struct xrow *where, const char *name, const char *uri, char *text,
		bool attribute, bool verbatim)
{
	struct xraw *x = text ? calloc(1, sizeof(*x)) : NULL;
	int ret;

	if (!x) {
		free(text);
		return out_of_memory(r->e);
	}
	*x = (struct xraw){ .where = where, .text = text, .attribute = attribute, .verbatim = verbatim };
	ret = xstr_set(&x->name, name);
	if (ret == 0)
		ret = xstr_set(&x->uri, uri);
	if (ret == 0)
		ret = xlist_add(list, x);
	if (ret < 0)
		xraw_free(x);
	return ret == -E2BIG ? err_set(r->e, -EBADMSG, "more than %d elements of one kind", XMAP_LIST_MAX) :
	       ret < 0	     ? out_of_memory(r->e) :
			       0;
}

static void *extras(struct reading *r)
{
	return r->obj + r->map->extra;
}

static int keep_attribute(struct reading *r, xmlNode *node, const xmlAttr *a)
{
	xmlChar *value = xmlNodeListGetString(node->doc, a->children, 1);
	struct buf b;
	int ret;

	if (r->flags & XMAP_STRICT) {
		xmlFree(value);
		return err_set(r->e, -EPROTO, "element '%s' has no attribute '%s'", node->name, a->name);
	}
	buf_init(&b, XMAP_OUT_MAX);
	ret = a->ns && a->ns->prefix ? buf_printf(&b, "%s:", a->ns->prefix) : 0;
	if (ret == 0)
		ret = buf_printf(&b, "%s='", a->name);
	if (ret == 0)
		ret = xml_escape(&b, value ? (const char *)value : "");
	if (ret == 0)
		ret = buf_append(&b, "'", 2); /* with the zero */
	xmlFree(value);
	if (ret < 0) {
		buf_free(&b);
		return out_of_memory(r->e);
	}
	return keep(r, extras(r), r->where, (const char *)a->name, a->ns ? (const char *)a->ns->href : NULL,
	            (char *)b.data, true, false);
}

static int keep_element(struct reading *r, void *list, const struct xrow *where, xmlNode *child, bool verbatim)
{
	const char *uri = child->ns ? (const char *)child->ns->href : NULL;
	struct buf b;

	if (verbatim)
		return keep(r, list, where, (const char *)child->name, uri, xmldoc_verbatim(child), false, true);
	buf_init(&b, XMAP_OUT_MAX);
	if (xmldoc_tidy(child, &b) < 0 || buf_append_byte(&b, 0) < 0) {
		buf_free(&b);
		return out_of_memory(r->e);
	}
	return keep(r, list, where, (const char *)child->name, uri, (char *)b.data, false, false);
}

static int keep_unknown(struct reading *r, xmlNode *node, xmlNode *child)
{
	if (r->flags & XMAP_STRICT)
		return err_set(r->e, -EPROTO, "element '%s' is not possible inside element '%s'", child->name,
		               node->name);
	return keep_element(r, extras(r), r->where, child, false);
}

/* ---- elements ---- */

static const struct xrow *find_row(const struct xrow *row, const char *name, bool attribute, char **base)
{
	for (; row->place != X_END; row++) {
		if (row->place == X_EMBED) {
			char *inner = *base + row->offset;
			const struct xrow *found = find_row(row->with, name, attribute, &inner);

			if (found) {
				*base = inner;
				return found;
			}
		} else if (row->place == X_ANY ? !attribute :
		           (row->place == X_ATTR) == attribute && row->place != X_TEXT && !strcmp(row->name, name)) {
			return row;
		}
	}
	return NULL;
}

static const struct xrow *text_row(const struct xrow *row)
{
	for (; row->place != X_END; row++)
		if (row->place == X_TEXT)
			return row;
	return NULL;
}

static bool was_seen(const struct reading *r, const struct xrow *row)
{
	for (unsigned n = 0; n < r->seen_count; n++)
		if (r->seen[n] == row)
			return true;
	return false;
}

/* Each row is there once, but for lists. */
static int once(struct reading *r, const struct xrow *row, xmlNode *node, xmlNode *child)
{
	if (was_seen(r, row))
		return err_set(r->e, -EBADMSG, "element '%s' is given twice in element '%s'", child->name, node->name);
	if (r->seen_count < SEEN_MAX)
		r->seen[r->seen_count++] = row;
	return 0;
}

static int read_element(struct reading *r, xmlNode *node);

static int read_inner(struct reading *r, const struct xrow *rows, const struct xrow *where, char *base, xmlNode *node)
{
	struct reading inner = { .map = r->map, .obj = r->obj, .rows = rows, .where = where, .base = base,
				 .flags = r->flags, .e = r->e };

	return read_element(&inner, node);
}

/* A child that holds text alone: one row stands for element and text. */
static int read_text_child(struct reading *r, const struct xrow *row, char *base, xmlNode *child)
{
	struct xrow rows[2] = { *row, XEND };
	struct reading inner = { .map = r->map, .obj = r->obj, .rows = rows, .where = row, .base = base,
				 .flags = r->flags, .e = r->e };

	rows[0].place = X_TEXT;
	rows[0].flags &= (uint8_t)~XF_REQUIRED;
	return read_element(&inner, child);
}

static int read_object(struct reading *r, const struct xmap *map, void **out, xmlNode *child)
{
	*out = calloc(1, map->size);
	return *out ? xmap_read(map, *out, child, r->flags, r->e) : out_of_memory(r->e);
}

static int read_member(struct reading *r, const struct xrow *row, char *base, xmlNode *child)
{
	void *item;
	int ret;

	item = calloc(1, ((const struct xmap *)row->with)->size);
	ret = item ? xlist_add(base + row->offset, item) : -ENOMEM;
	if (ret < 0) {
		free(item);
		return ret == -E2BIG ? err_set(r->e, -EBADMSG, "more than %d elements '%s'", XMAP_LIST_MAX, row->name) :
				       out_of_memory(r->e);
	}
	return xmap_read(row->with, item, child, r->flags, r->e);
}

static int read_child(struct reading *r, xmlNode *node, xmlNode *child)
{
	char *base = r->base;
	const struct xrow *row = find_row(r->rows, (const char *)child->name, false, &base);
	bool many = row && (row->place == X_LIST || row->place == X_RAW || row->place == X_ANY);
	int ret;

	/* Elements of other namespaces are never ours, but for those that are kept anyway. */
	if (!row || (child->ns && row->place != X_ANY && child->ns != node->ns))
		return keep_unknown(r, node, child);
	if ((row->flags & XF_FIRST) && was_seen(r, row))
		return keep_element(r, extras(r), r->where, child, false);
	ret = many ? 0 : once(r, row, node, child);
	if (ret < 0)
		return ret;
	if ((row->flags & XF_LIVE) && !(r->flags & XMAP_LIVE))
		return 0;
	switch (row->place) {
	case X_ELEM:
		return read_text_child(r, row, base, child);
	case X_GROUP:
		return read_inner(r, row->with, row, base, child);
	case X_ONE:
		return read_object(r, row->with, (void **)(base + row->offset), child);
	case X_LIST:
		return read_member(r, row, base, child);
	default:
		return keep_element(r, base + row->offset, NULL, child, row->place == X_ANY);
	}
}

static int read_attribute(struct reading *r, xmlNode *node, const xmlAttr *a, bool counts)
{
	char *base = r->base;
	const struct xrow *row = find_row(r->rows, (const char *)a->name, true, &base);
	xmlChar *value;
	int ret;

	if (counts && !strcmp((const char *)a->name, "unit"))
		return 0; /* read with the text */
	if (!row || a->ns)
		return keep_attribute(r, node, a);
	value = xmlNodeListGetString(node->doc, a->children, 1);
	ret = read_value(r, row, node, base, (const char *)value);
	xmlFree(value);
	return ret;
}

static int read_text(struct reading *r, const struct xrow *row, xmlNode *node)
{
	xmlChar *text;
	int ret;

	if (!row || row->type == XV_FLAG) {
		for (xmlNode *c = node->children; c; c = c->next)
			if (c->type == XML_TEXT_NODE && !xmldoc_blank((const char *)c->content))
				return err_set(r->e, -EBADMSG, "element '%s' holds text: '%.100s'", node->name,
				               (const char *)c->content);
		return row ? read_value(r, row, node, r->base, "") : 0;
	}
	text = xmlNodeGetContent(node);
	/* An empty element is one that is not there, as clients expect that fill in templates. */
	ret = xmldoc_blank((const char *)text) ? 0 : read_value(r, row, node, r->base, (const char *)text);
	xmlFree(text);
	return ret;
}

static int check_required(struct reading *r, xmlNode *node)
{
	for (const struct xrow *row = r->rows; row->place != X_END; row++) {
		bool there = row->place == X_ATTR && xmlHasProp(node, (const xmlChar *)row->name);

		if (!(row->flags & XF_REQUIRED))
			continue;
		for (unsigned n = 0; n < r->seen_count; n++)
			there |= r->seen[n] == row;
		if (!there && row->place == X_ATTR)
			return err_set(r->e, -EBADMSG, "Missing required attribute '%s' in element '%s'", row->name,
			               node->name);
		if (!there)
			return err_set(r->e, -EBADMSG, "Missing required element '%s' in element '%s'", row->name,
			               node->name);
	}
	return 0;
}

static int read_element(struct reading *r, xmlNode *node)
{
	const struct xrow *text = text_row(r->rows);
	bool counts = text && (text->type == XV_KIB || text->type == XV_BYTES);
	int ret = 0;

	for (const xmlAttr *a = node->properties; a && ret == 0; a = a->next)
		ret = read_attribute(r, node, a, counts);
	for (xmlNode *c = node->children; c && ret == 0; c = c->next)
		if (c->type == XML_ELEMENT_NODE)
			ret = read_child(r, node, c);
	if (ret == 0)
		ret = read_text(r, text, node);
	return ret == 0 ? check_required(r, node) : ret;
}

int xmap_read(const struct xmap *map, void *obj, xmlNode *node, unsigned flags, struct err *e)
{
	struct reading r = { .map = map, .obj = obj, .rows = map->rows, .base = obj, .flags = flags, .e = e };

	return read_element(&r, node);
}

int xmap_parse(const struct xmap *map, void **obj, const char *xml, size_t len, const char *what, unsigned flags,
	       struct err *e)
{
	xmlDoc *doc;
	xmlNode *root;
	int ret = xmldoc_parse(&doc, xml, len, what, e);

	*obj = NULL;
	if (ret < 0)
		return ret;
	root = xmlDocGetRootElement(doc);
	*obj = calloc(1, map->size);
	if (!*obj)
		ret = out_of_memory(e);
	else if (strcmp((const char *)root->name, map->name))
		ret = err_set(e, -EBADMSG, "unexpected root element <%s>, expecting <%s>", root->name, map->name);
	else
		ret = xmap_read(map, *obj, root, flags, e);
	xmlFreeDoc(doc);
	if (ret < 0) {
		xmap_free(map, *obj);
		*obj = NULL;
	}
	return ret;
}
