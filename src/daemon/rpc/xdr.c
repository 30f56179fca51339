/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rpc/xdr.h"

#include "base/bytes.h"
#include "daemon/rpc/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

void xdr_out_init(struct xdr_out *o)
{
	buf_init(&o->buf, XDR_PAYLOAD_MAX);
	o->failed = false;
}

void xdr_out_free(struct xdr_out *o)
{
	buf_free(&o->buf);
}

static void put(struct xdr_out *o, const void *data, size_t len)
{
	if (!o->failed && buf_append(&o->buf, data, len) < 0)
		o->failed = true;
}

void xdr_u32(struct xdr_out *o, uint32_t v)
{
	uint8_t b[4];

	store_be32(b, v);
	put(o, b, 4);
}

void xdr_i32(struct xdr_out *o, int32_t v)
{
	xdr_u32(o, (uint32_t)v);
}

void xdr_u64(struct xdr_out *o, uint64_t v)
{
	uint8_t b[8];

	store_be64(b, v);
	put(o, b, 8);
}

void xdr_i64(struct xdr_out *o, int64_t v)
{
	xdr_u64(o, (uint64_t)v);
}

void xdr_opaque(struct xdr_out *o, const void *data, size_t len)
{
	static const uint8_t zero[4];

	if (len > XDR_PAYLOAD_MAX)
		o->failed = true;
	xdr_u32(o, (uint32_t)len);
	put(o, data, len);
	put(o, zero, -len & 3);
}

void xdr_string(struct xdr_out *o, const char *s)
{
	size_t len = strlen(s);

	if (len > XDR_STRING_MAX)
		o->failed = true;
	xdr_opaque(o, s, len);
}

void xdr_optional_string(struct xdr_out *o, const char *s)
{
	xdr_u32(o, s != NULL);
	if (s)
		xdr_string(o, s);
}

void xdr_uuid(struct xdr_out *o, const uint8_t uuid[UUID_SIZE])
{
	put(o, uuid, UUID_SIZE);
}

void xdr_chars(struct xdr_out *o, const void *data, size_t len)
{
	const uint8_t *p = data;

	xdr_u32(o, (uint32_t)len);
	for (size_t n = 0; n < len && !o->failed; n++)
		xdr_u32(o, p[n]);
}

void xdr_model(struct xdr_out *o, const char *text)
{
	size_t len = strnlen(text, 31);

	for (size_t n = 0; n < 32; n++)
		xdr_u32(o, n < len ? (uint8_t)text[n] : 0);
}

static void param(struct xdr_out *o, const char *field, enum typed_kind kind)
{
	xdr_string(o, field);
	xdr_u32(o, kind);
}

void xdr_param_i32(struct xdr_out *o, const char *field, int32_t v)
{
	param(o, field, TYPED_INT);
	xdr_i32(o, v);
}

void xdr_param_u32(struct xdr_out *o, const char *field, uint32_t v)
{
	param(o, field, TYPED_UINT);
	xdr_u32(o, v);
}

void xdr_param_i64(struct xdr_out *o, const char *field, int64_t v)
{
	param(o, field, TYPED_LLONG);
	xdr_i64(o, v);
}

void xdr_param_u64(struct xdr_out *o, const char *field, uint64_t v)
{
	param(o, field, TYPED_ULLONG);
	xdr_u64(o, v);
}

void xdr_param_string(struct xdr_out *o, const char *field, const char *v)
{
	param(o, field, TYPED_STRING);
	xdr_string(o, v);
}

size_t xdr_hole(struct xdr_out *o)
{
	size_t at = o->buf.len;

	xdr_u32(o, 0);
	return at;
}

void xdr_fill(struct xdr_out *o, size_t hole, uint32_t v)
{
	if (!o->failed)
		store_be32(o->buf.data + hole, v);
}

/* ---- signatures ---- */

/* One item of a signature: its type, and of an array what is between the brackets. */
struct item {
	char type;
	bool optional;
	const char *inner; /* of '[': after the bracket; of references and T: their own signature */
	const char *next;  /* the item behind, at its first letter; at the end: at 0 or ']' */
};

static const char *skip_brackets(const char *s)
{
	unsigned depth = 1;

	while (depth) {
		depth += *s == '[';
		depth -= *s == ']';
		s++;
	}
	return s;
}

static struct item parse_item(const char *s)
{
	struct item it = { .optional = *s == '?' };

	s += it.optional;
	it.type = *s++;
	if (it.type == '[') {
		it.inner = s;
		s = skip_brackets(s);
	} else if (it.type == 'T') {
		it.type = '[';
		it.inner = "s:field v";
	} else {
		it.inner = proc_reference(it.type);
	}
	s += strcspn(s, " ]");
	it.next = s + (*s == ' ');
	return it;
}

static bool at_end(const char *s)
{
	return !*s || *s == ']';
}

static unsigned count_items(const char *s)
{
	unsigned count = 0;

	for (; !at_end(s); count++)
		s = parse_item(s).next;
	return count;
}

/* ---- reading ---- */

struct reader {
	uint8_t *at, *end;
	struct values *values; /* NULL: only looking */
	unsigned depth;
};

static int decode_list(struct reader *r, const char *signature, struct value *out);

static int take_u32(struct reader *r, uint32_t *v)
{
	if (r->end - r->at < 4)
		return -EBADMSG;
	*v = load_be32(r->at);
	r->at += 4;
	return 0;
}

static int take_u64(struct reader *r, uint64_t *v)
{
	if (r->end - r->at < 8)
		return -EBADMSG;
	*v = load_be64(r->at);
	r->at += 8;
	return 0;
}

/* A length and that many bytes with their padding, which must be there. */
static int take_bytes(struct reader *r, uint32_t max, uint8_t **data, uint32_t *len)
{
	uint8_t *start = r->at;

	if (take_u32(r, len) < 0 || *len > max || (size_t)(r->end - r->at) < round_up(*len, 4)) {
		r->at = start;
		return -EBADMSG;
	}
	*data = r->at;
	r->at += round_up(*len, 4);
	return 0;
}

/* A string is moved onto its own length, which makes room for the zero behind it. */
static int take_string(struct reader *r, struct value *v)
{
	uint8_t *data;
	uint32_t len;

	if (take_bytes(r, XDR_STRING_MAX, &data, &len) < 0 || memchr(data, 0, len))
		return -EBADMSG;
	v->count = len;
	if (r->values) {
		memmove(data - 4, data, len);
		data[(int64_t)len - 4] = 0;
		v->s = (const char *)data - 4;
	}
	return 0;
}

static int take_opaque(struct reader *r, struct value *v)
{
	uint8_t *data;

	if (take_bytes(r, XDR_PAYLOAD_MAX, &data, &v->count) < 0)
		return -EBADMSG;
	v->x = data;
	return 0;
}

/* Bytes that travel as 32 bits each are packed in place. */
static int take_wide_bytes(struct reader *r, struct value *v, bool counted)
{
	uint32_t count = 32;
	uint8_t *to = r->at;

	if ((counted && take_u32(r, &count) < 0) || count > (size_t)(r->end - r->at) / 4)
		return -EBADMSG;
	if (r->values) {
		for (uint32_t n = 0; n < count; n++)
			to[n] = (uint8_t)load_be32(r->at + 4 * (size_t)n);
		v->x = to;
	}
	v->count = count;
	r->at += 4 * (size_t)count;
	return 0;
}

static int take_uuid(struct reader *r, struct value *v)
{
	if (r->end - r->at < UUID_SIZE)
		return -EBADMSG;
	v->x = r->at;
	v->count = UUID_SIZE;
	r->at += UUID_SIZE;
	return 0;
}

static int take_typed(struct reader *r, struct value *v)
{
	uint32_t kind;

	if (take_u32(r, &kind) < 0)
		return -EBADMSG;
	v->typed = (uint8_t)kind;
	switch (kind) {
	case TYPED_INT:
	case TYPED_UINT:
	case TYPED_BOOL: return take_u32(r, &v->u);
	case TYPED_LLONG:
	case TYPED_ULLONG:
	case TYPED_DOUBLE: return take_u64(r, &v->H); /* a double's bits are swapped as those of an integer */
	case TYPED_STRING: return take_string(r, v);
	default: return -EBADMSG;
	}
}

/* Room for values in the pool; NULL when the message has more than is allowed. */
static struct value *take_values(struct reader *r, uint64_t count)
{
	struct values *vs = r->values;
	struct value *v;

	if (count > vs->room - vs->used)
		return NULL;
	v = vs->pool + vs->used;
	vs->used += (unsigned)count;
	return v;
}

static int decode_elements(struct reader *r, const char *inner, uint64_t count, struct value *v)
{
	uint32_t width = count_items(inner);
	int ret = 0;

	v->width = width;
	v->count = (uint32_t)count;
	if (++r->depth > XDR_DEPTH_MAX)
		return -E2BIG;
	if (r->values && count) {
		v->items = take_values(r, count * width);
		if (!v->items)
			return -E2BIG;
	}
	for (uint64_t n = 0; ret == 0 && n < count; n++) {
		struct value *element = r->values ? v->items + n * width : NULL;

		ret = decode_list(r, inner, element);
	}
	r->depth--;
	return ret;
}

/* Each element takes 4 bytes at least, so a count beyond what is there ends here and reserves nothing. */
static int decode_array(struct reader *r, const char *inner, struct value *v)
{
	uint32_t count;

	if (take_u32(r, &count) < 0 || count > (size_t)(r->end - r->at) / 4)
		return -EBADMSG;
	return decode_elements(r, inner, count, v);
}

static int decode_item(struct reader *r, const struct item *it, struct value *v)
{
	switch (it->type) {
	case 'i':
	case 'u': return take_u32(r, &v->u);
	case 'h':
	case 'H':
	case 'd': return take_u64(r, &v->H);
	case 's': return take_string(r, v);
	case 'x': return take_opaque(r, v);
	case 'c': return take_wide_bytes(r, v, true);
	case 'm': return take_wide_bytes(r, v, false);
	case 'U': return take_uuid(r, v);
	case 'v': return take_typed(r, v);
	case '[': return decode_array(r, it->inner, v);
	default: return decode_elements(r, it->inner, 1, v);
	}
}

/* Whatever is not zero is true: there are clients that write the flag in the other byte order. */
static int decode_list(struct reader *r, const char *s, struct value *out)
{
	while (!at_end(s)) {
		struct item it = parse_item(s);
		struct value scratch, *v = out ? out++ : &scratch;
		uint32_t present = 1;
		int ret = it.optional ? take_u32(r, &present) : 0;

		memset(v, 0, sizeof(*v));
		v->type = it.type;
		v->absent = !present;
		if (ret == 0 && present)
			ret = decode_item(r, &it, v);
		if (ret < 0)
			return ret;
		s = it.next;
	}
	return 0;
}

/*
 * How many values a message can have at most: at worst a reference of one string, two values in 4 bytes. The pool is
 * never moved, for values point into it.
 */
static unsigned pool_size(const char *signature, size_t len)
{
	size_t most = len / 2 + count_items(signature);

	return (unsigned)(most < XDR_VALUES_MAX ? most : XDR_VALUES_MAX);
}

int values_decode(struct values *v, const char *signature, uint8_t *data, size_t len, struct err *e)
{
	struct reader r = { .at = data, .end = data + len, .values = v };
	int ret;

	*v = (struct values){ .count = count_items(signature), .room = pool_size(signature, len) };
	v->pool = malloc(v->room * sizeof(*v->pool));
	if (!v->pool)
		return err_set(e, -ENOMEM, "out of memory");
	v->item = take_values(&r, v->count);
	ret = decode_list(&r, signature, v->item);
	if (ret == 0 && r.at != r.end)
		ret = -EBADMSG;
	if (ret < 0)
		return err_set(e, ret, ret == -E2BIG ? "the call's arguments are too many" :
						       "the call's arguments cannot be decoded");
	return 0;
}

void values_free(struct values *v)
{
	free(v->pool);
	*v = (struct values){ 0 };
}

bool xdr_matches(const char *signature, const uint8_t *data, size_t len)
{
	static const uint8_t nothing[1];
	/* Without values nothing is written through these. */
	uint8_t *begin = (uint8_t *)(uintptr_t)(data ? data : nothing);
	struct reader r = { .at = begin, .end = begin + len };

	return decode_list(&r, signature, NULL) == 0 && r.at == r.end;
}
