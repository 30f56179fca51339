/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defining, starting, stopping and changing networks. */
#include "daemon/remote/remote_priv.h"

#include <stdlib.h>
#include <string.h>

int remote_find_network(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const uint8_t *uuid = call_part(c, 0, 1)->x;
	char text[37];

	c->object = network_by_uuid(daemon->networks, uuid);
	if (c->object)
		return CALL_DONE;
	xuuid_text(uuid, text);
	return fault_set(&c->fault, FAULT_NO_NETWORK, FROM_NETWORK, "no network with matching uuid '%s' (%.100s)", text,
			 call_part(c, 0, 0)->s);
}

void remote_put_network(struct xdr_out *o, const struct network *n)
{
	xdr_string(o, network_name(n));
	xdr_uuid(o, network_uuid(n));
}

/* ---- life ---- */

enum { NETWORK_VALIDATE = 1 };

typedef int (*make_fn)(struct networks *ns, const char *xml, bool validate, struct network **out, struct fault *f);

static int make(struct call *c, make_fn f, bool validate)
{
	const struct daemon *daemon = c->opaque;
	struct network *n;

	if (f(daemon->networks, call_s(c, 0), validate, &n, &c->fault) < 0)
		return CALL_FAILED;
	remote_put_network(&c->out, n);
	return CALL_DONE;
}

static int define_xml(struct call *c)
{
	return make(c, network_define, false);
}

static int define_xml_flags(struct call *c)
{
	return make(c, network_define, call_u(c, 1) & NETWORK_VALIDATE);
}

static int create_xml(struct call *c)
{
	return make(c, network_create, false);
}

static int create_xml_flags(struct call *c)
{
	return make(c, network_create, call_u(c, 1) & NETWORK_VALIDATE);
}

static int create(struct call *c)
{
	return network_start(c->object, &c->fault);
}

static int destroy(struct call *c)
{
	return network_stop(c->object, &c->fault);
}

static int undefine(struct call *c)
{
	return network_undefine(c->object, &c->fault);
}

static int set_autostart(struct call *c)
{
	return network_set_autostart(c->object, call_i(c, 1), &c->fault);
}

static int update(struct call *c)
{
	return network_update(c->object, call_u(c, 1), call_u(c, 2), call_i(c, 3), call_s(c, 4), call_u(c, 5),
			      &c->fault);
}

/* ---- title, description, metadata ---- */

enum { METADATA_DESCRIPTION, METADATA_TITLE, METADATA_ELEMENT };

static int change_metadata(void *opaque, struct netdef *d, struct fault *f)
{
	const struct call *c = opaque;
	const char *text = call_s(c, 2), *key = call_s(c, 3), *uri = call_s(c, 4);
	struct err e = { 0 };
	int ret;

	switch (call_i(c, 1)) {
	case METADATA_DESCRIPTION: ret = xstr_set(&d->description, text && *text ? text : NULL); break;
	case METADATA_TITLE:
		if (text && strchr(text, '\n'))
			return fault_set(f, FAULT_INVALID_ARG, FROM_NETWORK, "a title cannot have several lines");
		ret = xstr_set(&d->title, text && *text ? text : NULL);
		break;
	case METADATA_ELEMENT:
		if (!uri)
			return fault_set(f, FAULT_INVALID_ARG, FROM_NETWORK, "metadata needs a namespace's URI");
		ret = metadata_set(&d->metadata, key, uri, text, &e);
		break;
	default: return fault_set(f, FAULT_INVALID_ARG, FROM_NETWORK, "unknown metadata type '%d'", call_i(c, 1));
	}
	return ret < 0 ? fault_set(f, domdef_fault(ret), FROM_NETWORK, "%s", e.text[0] ? e.text : "no memory") : 0;
}

static void tell_metadata(struct call *c, const struct network *n)
{
	const struct daemon *daemon = c->opaque;
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_network(&o, n);
	xdr_i32(&o, call_i(c, 1));
	xdr_optional_string(&o, call_s(c, 4));
	watch_send(daemon->server, WATCH_NETWORK, 1, "NETWORK_EVENT_CALLBACK_METADATA_CHANGE", network_uuid(n), &o);
	xdr_out_free(&o);
}

static int set_metadata(struct call *c)
{
	struct network *n = c->object;

	if (network_change(n, call_u(c, 5), change_metadata, c, &c->fault) < 0)
		return CALL_FAILED;
	tell_metadata(c, n);
	return CALL_DONE;
}

static int get_metadata(struct call *c)
{
	struct network *n = c->object;
	const struct netdef *d;
	const char *text = NULL;

	d = call_u(c, 3) & AFFECT_CONFIG ? network_config(n) : n->def;
	switch (call_i(c, 1)) {
	case METADATA_DESCRIPTION: text = d->description; break;
	case METADATA_TITLE: text = d->title; break;
	case METADATA_ELEMENT: text = call_s(c, 2) ? metadata_get(&d->metadata, call_s(c, 2)) : NULL; break;
	}
	if (!text)
		return fault_set(&c->fault, FAULT_NO_NETWORK_METADATA, FROM_NETWORK,
				 "Requested metadata element is not present");
	xdr_string(&c->out, text);
	return CALL_DONE;
}

const struct handler remote_network_life[] = {
	{"NETWORK_DEFINE_XML", define_xml},
	{"NETWORK_DEFINE_XML_FLAGS", define_xml_flags, NULL, NETWORK_VALIDATE},
	{"NETWORK_CREATE_XML", create_xml},
	{"NETWORK_CREATE_XML_FLAGS", create_xml_flags, NULL, NETWORK_VALIDATE},
	{"NETWORK_CREATE", create, remote_find_network},
	{"NETWORK_DESTROY", destroy, remote_find_network},
	{"NETWORK_UNDEFINE", undefine, remote_find_network},
	{"NETWORK_SET_AUTOSTART", set_autostart, remote_find_network},
	{"NETWORK_UPDATE", update, remote_find_network, AFFECT_LIVE | AFFECT_CONFIG},
	{"NETWORK_SET_METADATA", set_metadata, remote_find_network, AFFECT_LIVE | AFFECT_CONFIG},
	{"NETWORK_GET_METADATA", get_metadata, remote_find_network, AFFECT_LIVE | AFFECT_CONFIG},
};
const unsigned remote_network_life_count = COUNT_OF(remote_network_life);
