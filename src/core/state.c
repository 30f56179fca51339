/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stream of one part: u16 name length, name, u16 version, u16 number of fields, then each field as u8 name
 * length, name, u8 kind, u32 count, and its values in little-endian order.
 */
#include "core/state.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

enum { FIELDS_MAX = 512 };

static const uint8_t kind_width[] = {
	[STATE_U8] = 1, [STATE_U16] = 2, [STATE_U32] = 4, [STATE_U64] = 8, [STATE_BOOL] = 1, [STATE_BYTES] = 1,
};

struct writer {
	uint8_t *data;
	size_t len, room;
	bool failed;
};

static void put(struct writer *w, const void *p, size_t n)
{
	if (w->failed)
		return;
	if (w->len + n > w->room) {
		size_t room = (w->len + n) * 2;
		uint8_t *data = realloc(w->data, room);

		if (!data) {
			w->failed = true;
			return;
		}
		w->data = data;
		w->room = room;
	}
	memcpy(w->data + w->len, p, n);
	w->len += n;
}

static void put_number(struct writer *w, uint64_t v, unsigned bytes)
{
	put(w, &v, bytes); /* the host is little-endian */
}

static void put_field(struct writer *w, const struct state_field *f, const uint8_t *obj)
{
	size_t len = strlen(f->name);

	put_number(w, len, 1);
	put(w, f->name, len);
	put_number(w, f->kind, 1);
	put_number(w, f->count, 4);
	put(w, obj + f->offset, (size_t)f->count * kind_width[f->kind]);
}

int state_save(const struct state_desc *d, void *obj, uint8_t **out, size_t *len, struct err *e)
{
	struct writer w = { 0 };
	unsigned count = 0;

	if (d->before_save)
		d->before_save(obj);
	while (d->fields[count].name)
		count++;
	put_number(&w, strlen(d->name), 2);
	put(&w, d->name, strlen(d->name));
	put_number(&w, d->version, 2);
	put_number(&w, count, 2);
	for (unsigned n = 0; n < count; n++)
		put_field(&w, &d->fields[n], obj);
	if (w.failed) {
		free(w.data);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*out = w.data;
	*len = w.len;
	return 0;
}

struct reader {
	const uint8_t *data;
	size_t len, at;
	bool failed;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->data + r->at;

	if (r->failed || !range_inside(r->at, n, r->len)) {
		r->failed = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static uint64_t take_number(struct reader *r, unsigned bytes)
{
	const uint8_t *p = take(r, bytes);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, bytes);
	return v;
}

static int find_field(const struct state_desc *d, const uint8_t *name, size_t len)
{
	for (int n = 0; d->fields[n].name; n++)
		if (strlen(d->fields[n].name) == len && !memcmp(d->fields[n].name, name, len))
			return n;
	return -1;
}

static int load_field(const struct state_desc *d, struct reader *r, uint8_t *obj, bool *seen, struct err *e)
{
	size_t len = take_number(r, 1), bytes;
	const uint8_t *name = take(r, len), *values;
	unsigned kind = (unsigned)take_number(r, 1);
	uint32_t count = (uint32_t)take_number(r, 4);
	const struct state_field *f;
	int n;

	if (r->failed)
		return err_set(e, -EINVAL, "saved state of %s is cut short", d->name);
	n = find_field(d, name, len);
	if (n < 0)
		return err_set(e, -EINVAL, "saved state of %s has an unknown field \"%.*s\": it comes from a newer version", d->name,
		               (int)len, (const char *)name);
	f = &d->fields[n];
	if (seen[n] || kind != f->kind || count != f->count)
		return err_set(e, -EINVAL, "saved state of %s: field %s is given twice or has another shape", d->name, f->name);
	bytes = (size_t)count * kind_width[f->kind];
	values = take(r, bytes);
	if (!values)
		return err_set(e, -EINVAL, "saved state of %s is cut short in field %s", d->name, f->name);
	for (size_t k = 0; f->kind == STATE_BOOL && k < bytes; k++)
		if (values[k] > 1)
			return err_set(e, -EINVAL, "saved state of %s: field %s is neither 0 nor 1", d->name, f->name);
	memcpy(obj + f->offset, values, bytes);
	seen[n] = true;
	return 0;
}

static int load_fields(const struct state_desc *d, struct reader *r, uint8_t *obj, struct err *e)
{
	bool seen[FIELDS_MAX] = { false };
	size_t len = take_number(r, 2);
	const uint8_t *name = take(r, len);
	uint16_t version = (uint16_t)take_number(r, 2);
	unsigned count = (unsigned)take_number(r, 2);
	int ret = 0;

	if (r->failed || len != strlen(d->name) || memcmp(name, d->name, len))
		return err_set(e, -EINVAL, "this is not the saved state of %s", d->name);
	if (version > d->version)
		return err_set(e, -ENOTSUP, "saved state of %s has version %u; this program knows %u", d->name, version, d->version);
	for (unsigned n = 0; ret == 0 && n < count; n++)
		ret = load_field(d, r, obj, seen, e);
	for (unsigned n = 0; ret == 0 && d->fields[n].name; n++)
		if (!seen[n] && d->fields[n].since <= version && version >= 1 && d->fields[n].since > 0)
			ret = err_set(e, -EINVAL, "saved state of %s lacks field %s", d->name, d->fields[n].name);
		else if (!seen[n])
			memset(obj + d->fields[n].offset, 0, (size_t)d->fields[n].count * kind_width[d->fields[n].kind]);
	if (ret == 0 && r->at != r->len)
		ret = err_set(e, -EINVAL, "saved state of %s has %zu bytes too many", d->name, r->len - r->at);
	if (ret == 0 && d->after_load)
		ret = d->after_load(obj, version, e);
	return ret;
}

/* The fields alone are copied back when the load is refused: the rest of the object is not the stream's. */
int state_load(const struct state_desc *d, void *obj, size_t obj_size, const uint8_t *buf, size_t len, struct err *e)
{
	struct reader r = { .data = buf, .len = len };
	uint8_t *old = malloc(obj_size);
	int ret;

	if (!old)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(old, obj, obj_size);
	ret = load_fields(d, &r, obj, e);
	for (unsigned n = 0; ret < 0 && d->fields[n].name; n++) {
		const struct state_field *f = &d->fields[n];

		memcpy((uint8_t *)obj + f->offset, old + f->offset, (size_t)f->count * kind_width[f->kind]);
	}
	free(old);
	return ret;
}
