/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about secrets. */
#include "daemon/remote/storage_calls.h"

#include <string.h>

enum { SECRET_DEFINE_VALIDATE = 1, SECRET_LIST_FLAGS = 0xf };

void remote_put_secret(struct xdr_out *o, const struct secret *s)
{
	xdr_uuid(o, s->def->uuid.b);
	xdr_i32(o, s->def->usage);
	xdr_string(o, secretdef_usage_id(s->def));
}

static struct secret *find(struct call *c, const uint8_t *uuid)
{
	const struct daemon *daemon = c->opaque;
	struct secret *s = secret_by_uuid(daemon->secrets, uuid);
	char text[37];

	if (s)
		return s;
	xuuid_text(uuid, text);
	fault_set(&c->fault, FAULT_NO_SECRET, FROM_SECRET, "no secret with matching uuid '%s'", text);
	return NULL;
}

static int find_secret(struct call *c)
{
	c->object = find(c, call_part(c, 0, 0)->x);
	return c->object ? CALL_DONE : CALL_FAILED;
}

/* ---- lists ---- */

struct listing {
	struct xdr_out *out;
	unsigned flags, count, max;
	bool put, texts;
};

static bool listed(const struct secret *s, unsigned flags)
{
	unsigned has = (secret_ephemeral(s) ? 1u : 2u) | (secret_private(s) ? 4u : 8u);

	return (!(flags & 3) || (flags & 3 & has)) && (!(flags & 12) || (flags & 12 & has));
}

static void list_one(void *opaque, struct secret *s)
{
	struct listing *l = opaque;
	char text[37];

	if (!listed(s, l->flags) || l->count >= l->max)
		return;
	l->count++;
	if (!l->put)
		return;
	xuuid_text(s->def->uuid.b, text);
	if (l->texts)
		xdr_string(l->out, text);
	else
		remote_put_secret(l->out, s);
}

static int count(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {.max = UINT32_MAX};

	secrets_each(daemon->secrets, list_one, &l);
	xdr_i32(&c->out, (int32_t)l.count);
	return CALL_DONE;
}

static int list_uuids(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {.out = &c->out, .put = true, .texts = true, .max = call_i(c, 0) < 0 ? 0 : call_u(c, 0)};
	size_t hole = xdr_hole(&c->out);

	secrets_each(daemon->secrets, list_one, &l);
	xdr_fill(&c->out, hole, l.count);
	return CALL_DONE;
}

static int list_all(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct listing l = {.out = &c->out, .flags = call_u(c, 1), .put = call_i(c, 0) != 0, .max = UINT32_MAX};
	size_t hole = xdr_hole(&c->out);

	secrets_each(daemon->secrets, list_one, &l);
	xdr_fill(&c->out, hole, l.put ? l.count : 0);
	xdr_u32(&c->out, l.count);
	return CALL_DONE;
}

/* ---- one ---- */

static int by_uuid(struct call *c)
{
	const struct secret *s = find(c, call_arg(c, 0)->x);

	if (!s)
		return CALL_FAILED;
	remote_put_secret(&c->out, s);
	return CALL_DONE;
}

static int by_usage(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct secret *s = secret_by_usage(daemon->secrets, call_i(c, 0), call_s(c, 1));

	if (!s)
		return fault_set(&c->fault, FAULT_NO_SECRET, FROM_SECRET, "no secret with matching usage '%.200s'",
				 call_s(c, 1));
	remote_put_secret(&c->out, s);
	return CALL_DONE;
}

static int define(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct secret *s;

	if (secret_define(daemon->secrets, call_s(c, 0), call_u(c, 1) & SECRET_DEFINE_VALIDATE, &s, &c->fault) < 0)
		return CALL_FAILED;
	remote_put_secret(&c->out, s);
	return CALL_DONE;
}

static int get_xml(struct call *c)
{
	const struct secret *s = c->object;

	return remote_put_text(c, FROM_STORAGE, secretdef_format(s->def));
}

static int set_value(struct call *c)
{
	return secret_set(c->object, call_arg(c, 1)->x, call_arg(c, 1)->count, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

static int get_value(struct call *c)
{
	const struct secret *s = c->object;
	char uuid[37];

	if (secret_private(s))
		return fault_set(&c->fault, FAULT_INVALID_SECRET, FROM_SECRET, "secret is private");
	xuuid_text(s->def->uuid.b, uuid);
	if (!s->value)
		return fault_set(&c->fault, FAULT_NO_SECRET, FROM_SECRET, "secret '%s' does not have a value", uuid);
	xdr_opaque(&c->out, s->value, s->len);
	return CALL_DONE;
}

static int undefine(struct call *c)
{
	return secret_undefine(c->object, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

const struct handler remote_secret[] = {
	{"CONNECT_NUM_OF_SECRETS", count},
	{"CONNECT_LIST_SECRETS", list_uuids},
	{"CONNECT_LIST_ALL_SECRETS", list_all, NULL, SECRET_LIST_FLAGS},
	{"SECRET_LOOKUP_BY_UUID", by_uuid},
	{"SECRET_LOOKUP_BY_USAGE", by_usage},
	{"SECRET_DEFINE_XML", define, NULL, SECRET_DEFINE_VALIDATE},
	{"SECRET_GET_XML_DESC", get_xml, find_secret},
	{"SECRET_SET_VALUE", set_value, find_secret},
	{"SECRET_GET_VALUE", get_value, find_secret},
	{"SECRET_UNDEFINE", undefine, find_secret},
};
const unsigned remote_secret_count = COUNT_OF(remote_secret);
