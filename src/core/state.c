/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stream, all little-endian: u32 magic, u16 version, u8 length and bytes of the part's name, u16 number of fields;
 * for each field u8 length and bytes of its name, u8 kind, u32 count, the values.
 */
#include "core/state.h"

#include "base/buf.h"
#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

enum { STATE_MAGIC = 0x31545350, STATE_MAX_BYTES = 64 << 20, FIELD_MAX = 256 };

static const uint8_t kind_size[] = {
	[STATE_U8] = 1, [STATE_U16] = 2, [STATE_U32] = 4, [STATE_U64] = 8, [STATE_BOOL] = 1, [STATE_BYTES] = 1,
};

static size_t field_size(const struct state_field *f)
{
	return (size_t)kind_size[f->kind] * f->count;
}

static unsigned field_count(const struct state_desc *d)
{
	unsigned n = 0;

	while (d->fields[n].name)
		n++;
	return n;
}

/* ---- save ---- */

static int put_name(struct buf *b, const char *name)
{
	size_t len = strlen(name);
	int ret = len > UINT8_MAX ? -EINVAL : buf_append_byte(b, (uint8_t)len);

	return ret < 0 ? ret : buf_append(b, name, len);
}

static int put_int(struct buf *b, uint64_t value, unsigned width)
{
	return buf_append(b, &value, width);
}

static int put_field(struct buf *b, const struct state_field *f, const uint8_t *obj)
{
	int ret = put_name(b, f->name);

	if (!ret)
		ret = put_int(b, f->kind, 1);
	if (!ret)
		ret = put_int(b, f->count, 4);
	return ret < 0 ? ret : buf_append(b, obj + f->offset, field_size(f));
}

static int put_all(struct buf *b, const struct state_desc *d, const void *obj)
{
	int ret = put_int(b, STATE_MAGIC, 4);

	if (!ret)
		ret = put_int(b, d->version, 2);
	if (!ret)
		ret = put_name(b, d->name);
	if (!ret)
		ret = put_int(b, field_count(d), 2);
	for (const struct state_field *f = d->fields; !ret && f->name; f++)
		ret = put_field(b, f, obj);
	return ret;
}

int state_save(const struct state_desc *d, void *obj, uint8_t **out, size_t *len, struct err *e)
{
	struct buf b;
	int ret;

	buf_init(&b, STATE_MAX_BYTES);
	if (d->before_save)
		d->before_save(obj);
	ret = put_all(&b, d, obj);
	if (ret < 0) {
		buf_free(&b);
		return err_errno(e, -ret, "cannot save the state of %s", d->name);
	}
	*out = b.data;
	*len = b.len;
	return 0;
}

/* ---- load ---- */

struct reader {
	const uint8_t *at;
	size_t left;
	bool bad; /* a read went past the end */
};

static const uint8_t *take(struct reader *r, size_t len)
{
	const uint8_t *p = r->at;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return p;
}

static uint64_t take_int(struct reader *r, unsigned width)
{
	const uint8_t *p = take(r, width);
	uint64_t value = 0;

	if (p)
		memcpy(&value, p, width);
	return value;
}

/* "" when the stream ended. */
static void take_name(struct reader *r, char name[UINT8_MAX + 1])
{
	size_t len = take_int(r, 1);
	const uint8_t *p = take(r, len);

	name[0] = 0;
	if (!p)
		return;
	memcpy(name, p, len);
	name[len] = 0;
}

/* Where each field's values lie in the stream; NULL: absent. */
struct found {
	const uint8_t *data[FIELD_MAX];
	uint16_t version;
};

static int take_field(struct reader *r, const struct state_desc *d, struct found *found, struct err *e)
{
	char name[UINT8_MAX + 1];
	unsigned n = 0;

	take_name(r, name);
	unsigned kind = (unsigned)take_int(r, 1);
	uint64_t count = take_int(r, 4);
	if (r->bad)
		return err_set(e, -EINVAL, "it ends early");
	while (d->fields[n].name && strcmp(d->fields[n].name, name))
		n++;
	const struct state_field *f = &d->fields[n];
	if (!f->name)
		return err_set(e, -EINVAL, "field \"%.40s\" is not known to this version", name);
	if (found->data[n])
		return err_set(e, -EINVAL, "field %s is there twice", f->name);
	if (kind != f->kind || count != f->count)
		return err_set(e, -EINVAL, "field %s has another type or count", f->name);
	found->data[n] = take(r, field_size(f));
	if (!found->data[n])
		return err_set(e, -EINVAL, "it ends early");
	for (uint32_t k = 0; f->kind == STATE_BOOL && k < f->count; k++)
		if (found->data[n][k] > 1)
			return err_set(e, -EINVAL, "field %s is neither true nor false", f->name);
	return 0;
}

static int take_all(struct reader *r, const struct state_desc *d, struct found *found, struct err *e)
{
	char name[UINT8_MAX + 1];
	int ret = 0;

	if (take_int(r, 4) != STATE_MAGIC)
		return err_set(e, -EINVAL, "it is no saved state");
	found->version = (uint16_t)take_int(r, 2);
	take_name(r, name);
	unsigned count = (unsigned)take_int(r, 2);
	if (r->bad)
		return err_set(e, -EINVAL, "it ends early");
	if (strcmp(name, d->name))
		return err_set(e, -EINVAL, "it is of \"%.40s\"", name);
	if (!found->version || found->version > d->version)
		return err_set(e, -EINVAL, "its version is %u, this program knows 1 to %u", found->version, d->version);
	for (unsigned n = 0; !ret && n < count; n++)
		ret = take_field(r, d, found, e);
	if (!ret && r->left)
		ret = err_set(e, -EINVAL, "%zu bytes follow its end", r->left);
	for (unsigned n = 0; !ret && d->fields[n].name; n++)
		if (!found->data[n] && d->fields[n].since <= found->version)
			ret = err_set(e, -EINVAL, "field %s is missing", d->fields[n].name);
	return ret;
}

/* Only the table's fields change hands: what else is in the object (locks, armed timers) stays as it is. */
static void put_back(const struct state_desc *d, uint8_t *obj, const uint8_t *saved)
{
	for (const struct state_field *f = d->fields; f->name; f++)
		memcpy(obj + f->offset, saved + f->offset, field_size(f));
}

static void put_in(const struct state_desc *d, uint8_t *obj, const struct found *found)
{
	for (unsigned n = 0; d->fields[n].name; n++) {
		const struct state_field *f = &d->fields[n];

		if (found->data[n])
			memcpy(obj + f->offset, found->data[n], field_size(f));
		else
			memset(obj + f->offset, 0, field_size(f));
	}
}

static bool table_fits(const struct state_desc *d, size_t obj_size)
{
	unsigned n;

	for (n = 0; d->fields[n].name; n++)
		if (n == FIELD_MAX || !range_inside(d->fields[n].offset, field_size(&d->fields[n]), obj_size))
			return false;
	return n <= FIELD_MAX;
}

int state_load(const struct state_desc *d, void *obj, size_t obj_size, const uint8_t *buf, size_t len, struct err *e)
{
	struct reader r = {.at = buf, .left = len};
	struct found found = {0};
	uint8_t *saved;
	int ret;

	if (!table_fits(d, obj_size))
		return err_set(e, -EINVAL, "the table of %s does not fit its object", d->name);
	ret = take_all(&r, d, &found, e);
	saved = ret < 0 ? NULL : malloc(obj_size);
	if (!ret && !saved)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (!ret) {
		memcpy(saved, obj, obj_size);
		put_in(d, obj, &found);
		ret = d->after_load ? d->after_load(obj, found.version, e) : 0;
		if (ret < 0)
			put_back(d, obj, saved);
	}
	free(saved);
	if (ret < 0)
		err_wrap(e, "the saved state of %s is refused", d->name);
	return ret;
}
