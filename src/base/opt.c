/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/opt.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int parse_number(const char *text, uint64_t *value, struct err *e)
{
	char *end;
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;

	if (!isdigit((unsigned char)text[0]))
		return err_set(e, -EINVAL, "\"%s\" is not a number", text);
	errno = 0;
	*value = strtoull(text, &end, base);
	if (errno == ERANGE)
		return err_set(e, -ERANGE, "%s is too large a number", text);
	if (*end)
		return err_set(e, -EINVAL, "\"%s\" is not a number", text);
	return 0;
}

int parse_size(const char *text, uint64_t *bytes, struct err *e)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;
	unsigned shift = 0;

	if (!isdigit((unsigned char)text[0]))
		return err_set(e, -EINVAL, "\"%s\" is not a size; write it like 512M or 2G", text);
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return err_set(e, -ERANGE, "%s is too large a size", text);
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return err_set(e, -EINVAL, "\"%s\" is not a size; write it like 512M or 2G", text);
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (*bytes > (uint64_t)INT64_MAX >> shift)
		return err_set(e, -ERANGE, "%s is too large a size", text);
	*bytes <<= shift;
	return 0;
}

static int parse_bool(const char *text, uint64_t *value)
{
	static const char *const words[][2] = { { "off", "on" }, { "no", "yes" }, { "false", "true" } };

	for (size_t n = 0; n < COUNT_OF(words); n++)
		for (unsigned v = 0; v < 2; v++)
			if (!strcmp(text, words[n][v])) {
				*value = v;
				return 0;
			}
	return -EINVAL;
}

static const struct opt_desc *find_key(const struct opt_desc *table, const char *key, size_t len)
{
	for (const struct opt_desc *d = table; d->key; d++)
		if (strlen(d->key) == len && !memcmp(d->key, key, len))
			return d;
	return NULL;
}

static const struct opt_desc *find_positional(const struct opt_desc *table)
{
	for (const struct opt_desc *d = table; d->key; d++)
		if (d->positional)
			return d;
	return NULL;
}

/* Cuts the next part off at a single comma; a doubled one stands for itself. The part is malloc'ed. */
static char *next_part(const char **text)
{
	const char *p = *text;
	char *part = malloc(strlen(p) + 1), *to = part;

	if (!part)
		return NULL;
	while (*p && (*p != ',' || p[1] == ',')) {
		if (*p == ',')
			p++;
		*to++ = *p++;
	}
	*to = 0;
	*text = *p ? p + 1 : p;
	return part;
}

static int set_value(struct opt *o, const char *text, struct err *e)
{
	int ret = 0;

	if (o->desc->kind == OPT_SIZE)
		ret = parse_size(text, &o->number, e);
	else if (o->desc->kind == OPT_NUMBER)
		ret = parse_number(text, &o->number, e);
	else if (o->desc->kind == OPT_BOOL && parse_bool(text, &o->number) < 0)
		ret = err_set(e, -EINVAL, "\"%s\" is neither on nor off", text);
	if (ret < 0)
		return err_wrap(e, "%s", o->desc->key);
	o->text = strdup(text);
	return o->text ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int parse_part(struct opts *out, const struct opt_desc *table, const char *part, bool first, struct err *e)
{
	const char *eq = strchr(part, '='), *value = eq ? eq + 1 : "on";
	const struct opt_desc *d = find_key(table, part, eq ? (size_t)(eq - part) : strlen(part));

	if (first && !eq && find_positional(table) && !(d && d->kind == OPT_BOOL)) {
		d = find_positional(table);
		value = part;
	} else if (!d) {
		return err_set(e, -EINVAL, "unknown option \"%.*s\"", eq ? (int)(eq - part) : (int)strlen(part), part);
	} else if (!eq && d->kind != OPT_BOOL) {
		return err_set(e, -EINVAL, "option \"%s\" needs a value: %s=...", part, part);
	}
	for (unsigned n = 0; n < out->count; n++)
		if (out->item[n].desc == d && !d->repeat)
			return err_set(e, -EINVAL, "option \"%s\" is given twice", d->key);
	if (out->count == OPT_MAX)
		return err_set(e, -E2BIG, "more than %d options", OPT_MAX);
	out->item[out->count] = (struct opt){ .desc = d };
	return set_value(&out->item[out->count++], value, e);
}

int opts_parse(struct opts *out, const struct opt_desc *table, const char *text, struct err *e)
{
	bool first = true;
	int ret = 0;

	*out = (struct opts){ 0 };
	while (ret == 0 && *text) {
		char *part = next_part(&text);

		if (!part)
			ret = err_set(e, -ENOMEM, "out of memory");
		else if (!*part)
			ret = err_set(e, -EINVAL, "a part of the option is empty");
		else
			ret = parse_part(out, table, part, first, e);
		free(part);
		first = false;
	}
	if (ret < 0)
		opts_free(out);
	return ret;
}

void opts_free(struct opts *o)
{
	for (unsigned n = 0; n < o->count; n++)
		free(o->item[n].text);
	*o = (struct opts){ 0 };
}

static const struct opt *find(const struct opts *o, const char *key)
{
	for (unsigned n = 0; n < o->count; n++)
		if (!strcmp(o->item[n].desc->key, key))
			return &o->item[n];
	return NULL;
}

const char *opts_string(const struct opts *o, const char *key, const char *dflt)
{
	const struct opt *p = find(o, key);

	return p ? p->text : dflt;
}

uint64_t opts_number(const struct opts *o, const char *key, uint64_t dflt)
{
	const struct opt *p = find(o, key);

	return p ? p->number : dflt;
}

bool opts_bool(const struct opts *o, const char *key, bool dflt)
{
	return opts_number(o, key, dflt);
}
