/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XDR (RFC 4506) as libvirt's protocol uses it: a writer into a bounded buffer, and a reader that takes a signature of
 * proc.h and turns bytes into values. Everything is big-endian and padded to 4 bytes.
 */
#ifndef PANAL_DAEMON_RPC_XDR_H
#define PANAL_DAEMON_RPC_XDR_H

#include "base/buf.h"
#include "base/err.h"

enum {
	XDR_STRING_MAX = 4 << 20,
	XDR_PAYLOAD_MAX = 32 << 20,
	XDR_VALUES_MAX = 1 << 18,  /* of one message, in all arrays together */
	XDR_DEPTH_MAX = 8,
	UUID_SIZE = 16,
};

/* ---- writing ---- */

/* A failed write (no memory, over the maximum) is remembered; the bytes are then not to be used. */
struct xdr_out {
	struct buf buf;
	bool failed;
};

void xdr_out_init(struct xdr_out *o);
void xdr_out_free(struct xdr_out *o);
void xdr_i32(struct xdr_out *o, int32_t v);
void xdr_u32(struct xdr_out *o, uint32_t v);
void xdr_i64(struct xdr_out *o, int64_t v);
void xdr_u64(struct xdr_out *o, uint64_t v);
void xdr_string(struct xdr_out *o, const char *s);
void xdr_optional_string(struct xdr_out *o, const char *s); /* NULL: absent */
void xdr_opaque(struct xdr_out *o, const void *data, size_t len);
void xdr_uuid(struct xdr_out *o, const uint8_t uuid[UUID_SIZE]);
/* Bytes in 32 bits each, with their count; for texts the count includes the terminating zero. */
void xdr_chars(struct xdr_out *o, const void *data, size_t len);
/* 32 characters in 32 bits each, cut or filled with zeros. */
void xdr_model(struct xdr_out *o, const char *text);
/* The field of a typed parameter, then its value. */
void xdr_param_i32(struct xdr_out *o, const char *field, int32_t v);
void xdr_param_u32(struct xdr_out *o, const char *field, uint32_t v);
void xdr_param_i64(struct xdr_out *o, const char *field, int64_t v);
void xdr_param_u64(struct xdr_out *o, const char *field, uint64_t v);
void xdr_param_string(struct xdr_out *o, const char *field, const char *v);
/* A count that is known later: xdr_hole gives its place, xdr_fill writes it. */
size_t xdr_hole(struct xdr_out *o);
void xdr_fill(struct xdr_out *o, size_t hole, uint32_t v);

/* ---- reading ---- */

enum typed_kind { TYPED_INT = 1, TYPED_UINT, TYPED_LLONG, TYPED_ULLONG, TYPED_DOUBLE, TYPED_BOOL, TYPED_STRING };

struct value {
	char type;      /* the letter of the signature; '[' for arrays and T; 'v' for the value of a typed parameter */
	uint8_t typed;  /* of 'v': enum typed_kind */
	bool absent;    /* of '?' */
	uint32_t count; /* strings and bytes: length; arrays: elements */
	uint32_t width; /* arrays and references: values in one element */
	union {
		int32_t i;
		uint32_t u;
		int64_t h;
		uint64_t H;
		double d;
		const char *s;       /* terminated; NULL when absent */
		const uint8_t *x;
		struct value *items; /* count * width of them */
	};
};

/* What a message was turned into. Texts and bytes lie in the message itself. */
struct values {
	struct value *item; /* the signature's items, in order */
	unsigned count;
	struct value *pool;
	unsigned used, room;
};

/*
 * Decodes all of data[0..len) by the signature. data is changed (strings are shifted to make room for their ends) and
 * must outlive the values. Free with values_free, after a failure too. -EBADMSG: not of that form; -E2BIG: a limit of
 * this header; -ENOMEM.
 */
int values_decode(struct values *v, const char *signature, uint8_t *data, size_t len, struct err *e) ATTR_MUST_USE;
void values_free(struct values *v);

/* Whether these bytes are of that form, wholly. Changes nothing. For checking what we have written ourselves. */
bool xdr_matches(const char *signature, const uint8_t *data, size_t len);

#endif
