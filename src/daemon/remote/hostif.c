/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's network interfaces, to look at: which there are belongs to the host's administrator. */
#include "daemon/network/link.h"
#include "daemon/remote/remote_priv.h"
#include "daemon/xml/xtext.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { INTERFACES_MAX = 16384, DOCUMENT_MAX = 1 << 20 };
enum { LIST_INACTIVE = 1, LIST_ACTIVE = 2 };

/* Ends of machines and of containers are no interfaces of the host's. */
static bool listed(const struct link_info *l, unsigned flags)
{
	if (!strcmp(l->kind, "tun") || !strcmp(l->kind, "veth") || (!l->ethernet && !l->loopback))
		return false;
	return !(flags & 3) || (flags & (l->up ? LIST_ACTIVE : LIST_INACTIVE));
}

static const char *mac_text(const struct link_info *l, char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", l->mac[0], l->mac[1], l->mac[2], l->mac[3], l->mac[4],
		 l->mac[5]);
	return out;
}

static void put_reference(struct xdr_out *o, const struct link_info *l)
{
	char mac[18];

	xdr_string(o, l->name);
	xdr_string(o, mac_text(l, mac));
}

/* ---- lists ---- */

struct listing {
	struct xdr_out *out;
	unsigned flags, count, max;
	void (*put)(struct xdr_out *o, const struct link_info *l);
};

static void list_one(void *opaque, const struct link_info *i)
{
	struct listing *l = opaque;

	if (!listed(i, l->flags) || l->count == l->max)
		return;
	l->count++;
	if (l->put)
		l->put(l->out, i);
}

static int list(struct call *c, struct listing *l)
{
	struct err e = { 0 };

	l->out = &c->out;
	return link_each(list_one, l, &e) < 0 ? fault_from_err(&c->fault, FAULT_SYSTEM, FROM_INTERFACE, &e) : 0;
}

static int list_all(struct call *c)
{
	struct listing l = { .flags = call_u(c, 1), .max = INTERFACES_MAX, .put = call_i(c, 0) ? put_reference : NULL };
	size_t hole;

	hole = xdr_hole(&c->out);
	if (list(c, &l) < 0)
		return CALL_FAILED;
	xdr_fill(&c->out, hole, l.put ? l.count : 0);
	xdr_u32(&c->out, l.count);
	return CALL_DONE;
}

static int num_of(struct call *c, unsigned flags)
{
	struct listing l = { .flags = flags, .max = INTERFACES_MAX };

	if (list(c, &l) < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, (int)l.count);
	return CALL_DONE;
}

static int num_active(struct call *c)
{
	return num_of(c, LIST_ACTIVE);
}

static int num_defined(struct call *c)
{
	return num_of(c, LIST_INACTIVE);
}

static void put_name(struct xdr_out *o, const struct link_info *l)
{
	xdr_string(o, l->name);
}

static int list_names(struct call *c, unsigned flags)
{
	struct listing l = { .flags = flags, .put = put_name };
	size_t hole;

	if (call_i(c, 0) < 0 || call_i(c, 0) > INTERFACES_MAX)
		return fault_set(&c->fault, FAULT_RPC, FROM_RPC, "too many interfaces asked for: %d", call_i(c, 0));
	l.max = (unsigned)call_i(c, 0);
	hole = xdr_hole(&c->out);
	if (list(c, &l) < 0)
		return CALL_FAILED;
	xdr_fill(&c->out, hole, l.count);
	return CALL_DONE;
}

static int list_active(struct call *c)
{
	return list_names(c, LIST_ACTIVE);
}

static int list_defined(struct call *c)
{
	return list_names(c, LIST_INACTIVE);
}

/* ---- one of them ---- */

static int find(struct call *c, const char *name, struct link_info *l)
{
	if (link_get(name, l, NULL) == 0)
		return 0;
	return fault_set(&c->fault, FAULT_NO_INTERFACE, FROM_INTERFACE, "couldn't find interface named '%.60s'", name);
}

static int lookup_by_name(struct call *c)
{
	struct link_info l;

	if (find(c, call_s(c, 0), &l) < 0)
		return CALL_FAILED;
	put_reference(&c->out, &l);
	return CALL_DONE;
}

struct by_mac {
	uint8_t mac[6];
	struct link_info found;
	unsigned count;
};

static void match(void *opaque, const struct link_info *l)
{
	struct by_mac *m = opaque;

	if (!listed(l, 0) || memcmp(l->mac, m->mac, sizeof(m->mac)))
		return;
	m->found = *l;
	m->count++;
}

static int lookup_by_mac(struct call *c)
{
	struct by_mac m = { 0 };

	if (!link_parse_mac(m.mac, call_s(c, 0)) || link_each(match, &m, NULL) < 0 || !m.count)
		return fault_set(&c->fault, FAULT_NO_INTERFACE, FROM_INTERFACE,
				 "couldn't find interface with MAC address '%.40s'", call_s(c, 0));
	if (m.count > 1)
		return fault_set(&c->fault, FAULT_OPERATION_FAILED, FROM_INTERFACE,
				 "several interfaces have the MAC address %.40s", call_s(c, 0));
	put_reference(&c->out, &m.found);
	return CALL_DONE;
}

static int is_active(struct call *c)
{
	struct link_info l;

	if (find(c, call_part(c, 0, 0)->s, &l) < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, l.up);
	return CALL_DONE;
}

/* ---- the document ---- */

struct document {
	struct xtext t;
	unsigned bridge; /* index: its ports are wanted */
};

static void put_head(struct document *d, const struct link_info *l, const char *indent)
{
	xtext_put(&d->t, "%s<interface type='%s' name='", indent, strcmp(l->kind, "bridge") ? "ethernet" : "bridge");
	xtext_escape(&d->t, l->name); /* the kernel lets an interface be called nearly anything */
	xtext_put(&d->t, "'>\n");
}

static void put_common(struct document *d, const struct link_info *l, const char *indent)
{
	char mac[18];

	xtext_put(&d->t, "%s  <link state='%s'/>\n%s  <mac address='%s'/>\n", indent, l->running ? "up" : "down",
		  indent, mac_text(l, mac));
}

static void put_port(void *opaque, const struct link_info *l)
{
	struct document *d = opaque;

	if (l->master != d->bridge)
		return;
	put_head(d, l, "    ");
	put_common(d, l, "    ");
	xtext_put(&d->t, "    </interface>\n");
}

static void put_address(struct document *d, const struct link_info *l, int family)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t address[16];
	unsigned prefix;

	if (!link_address(l->name, family, address, &prefix))
		return;
	inet_ntop(family, address, text, sizeof(text));
	xtext_put(&d->t, "  <protocol family='%s'>\n    <ip address='%s' prefix='%u'/>\n  </protocol>\n",
		  family == AF_INET6 ? "ipv6" : "ipv4", text, prefix);
}

static char *document_of(const struct link_info *l)
{
	struct document d = { .bridge = l->index };

	xtext_init(&d.t, DOCUMENT_MAX);
	put_head(&d, l, "");
	xtext_put(&d.t, "  <mtu size='%u'/>\n", l->mtu);
	put_common(&d, l, "");
	put_address(&d, l, AF_INET);
	put_address(&d, l, AF_INET6);
	if (!strcmp(l->kind, "bridge")) {
		xtext_put(&d.t, "  <bridge>\n");
		if (link_each(put_port, &d, NULL) < 0)
			xtext_put(&d.t, "    <!-- the ports cannot be listed -->\n");
		xtext_put(&d.t, "  </bridge>\n");
	}
	xtext_put(&d.t, "</interface>\n");
	return xtext_take(&d.t);
}

enum { XML_INACTIVE = 1 }; /* the same: what is shown is what is */

static int get_xml(struct call *c)
{
	struct link_info l;

	if (find(c, call_part(c, 0, 0)->s, &l) < 0)
		return CALL_FAILED;
	return remote_put_text(c, FROM_INTERFACE, document_of(&l));
}

const struct handler remote_hostif[] = {
	{"CONNECT_LIST_ALL_INTERFACES", list_all, NULL, LIST_INACTIVE | LIST_ACTIVE},
	{"CONNECT_NUM_OF_INTERFACES", num_active},
	{"CONNECT_LIST_INTERFACES", list_active},
	{"CONNECT_NUM_OF_DEFINED_INTERFACES", num_defined},
	{"CONNECT_LIST_DEFINED_INTERFACES", list_defined},
	{"INTERFACE_LOOKUP_BY_NAME", lookup_by_name},
	{"INTERFACE_LOOKUP_BY_MAC_STRING", lookup_by_mac},
	{"INTERFACE_IS_ACTIVE", is_active},
	{"INTERFACE_GET_XML_DESC", get_xml, NULL, XML_INACTIVE},
};
const unsigned remote_hostif_count = COUNT_OF(remote_hostif);
