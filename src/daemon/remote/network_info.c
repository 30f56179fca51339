/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding networks, and what can be read of them. A port of a network is an interface of a running machine. */
#include "daemon/network/netip.h"
#include "daemon/remote/remote_priv.h"
#include "daemon/xml/xtext.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 16384, PORT_TEXT_MAX = 64 << 10 };

/* ---- lists ---- */

enum { LIST_INACTIVE = 1, LIST_ACTIVE = 2, LIST_PERSISTENT = 4, LIST_TRANSIENT = 8, LIST_AUTOSTART = 16,
       LIST_NO_AUTOSTART = 32, NETWORK_LIST_FLAGS = 0x3f };

/* Each group of flags asks one question; none of a group asks nothing. */
static bool listed(const struct network *n, unsigned flags)
{
	const unsigned has = (n->active ? LIST_ACTIVE : LIST_INACTIVE) |
			     (n->persistent ? LIST_PERSISTENT : LIST_TRANSIENT) |
			     (n->autostart ? LIST_AUTOSTART : LIST_NO_AUTOSTART);

	for (unsigned shift = 0; shift < 6; shift += 2)
		if ((flags >> shift & 3) && !(flags >> shift & has >> shift & 3))
			return false;
	return true;
}

struct listing {
	struct xdr_out *out;
	unsigned flags, count, max;
	void (*put)(struct xdr_out *o, const struct network *n);
};

static void list_one(void *opaque, struct network *n)
{
	struct listing *l = opaque;

	if (!listed(n, l->flags) || l->count == l->max)
		return;
	l->count++;
	if (l->put)
		l->put(l->out, n);
}

static unsigned list(struct call *c, unsigned flags, unsigned max,
		     void (*put)(struct xdr_out *o, const struct network *n))
{
	struct listing l = { .out = &c->out, .flags = flags, .max = max, .put = put };

	networks_each(((struct daemon *)c->opaque)->networks, list_one, &l);
	return l.count;
}

static int list_all(struct call *c)
{
	bool need = call_i(c, 0);
	size_t hole;
	unsigned count;

	hole = xdr_hole(&c->out);
	count = list(c, call_u(c, 1), LIST_MAX, need ? remote_put_network : NULL);
	xdr_fill(&c->out, hole, need ? count : 0);
	xdr_u32(&c->out, count);
	return CALL_DONE;
}

static int num_of(struct call *c)
{
	xdr_i32(&c->out, (int)list(c, LIST_ACTIVE, LIST_MAX, NULL));
	return CALL_DONE;
}

static int num_of_defined(struct call *c)
{
	xdr_i32(&c->out, (int)list(c, LIST_INACTIVE, LIST_MAX, NULL));
	return CALL_DONE;
}

static void put_name(struct xdr_out *o, const struct network *n)
{
	xdr_string(o, network_name(n));
}

static int list_names(struct call *c, unsigned flags)
{
	int max = call_i(c, 0);
	size_t hole = xdr_hole(&c->out);

	if (max < 0 || max > LIST_MAX)
		return fault_set(&c->fault, FAULT_RPC, FROM_RPC, "too many networks asked for: %d", max);
	xdr_fill(&c->out, hole, list(c, flags, (unsigned)max, put_name));
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

/* ---- look-ups ---- */

static int lookup_by_name(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct network *n = network_by_name(daemon->networks, call_s(c, 0));

	if (!n)
		return fault_set(&c->fault, FAULT_NO_NETWORK, FROM_NETWORK, "no network with matching name '%.200s'",
				 call_s(c, 0));
	remote_put_network(&c->out, n);
	return CALL_DONE;
}

static int lookup_by_uuid(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct network *n = network_by_uuid(daemon->networks, call_arg(c, 0)->x);
	char text[37];

	xuuid_text(call_arg(c, 0)->x, text);
	if (!n)
		return fault_set(&c->fault, FAULT_NO_NETWORK, FROM_NETWORK, "no network with matching uuid '%s'", text);
	remote_put_network(&c->out, n);
	return CALL_DONE;
}

/* ---- what it is ---- */

static int put_int(struct call *c, bool (*ask)(const struct network *n))
{
	xdr_i32(&c->out, ask(c->object));
	return CALL_DONE;
}

static bool active(const struct network *n)
{
	return n->active;
}

static bool persistent(const struct network *n)
{
	return n->persistent;
}

static bool autostart(const struct network *n)
{
	return n->autostart;
}

static int is_active(struct call *c)
{
	return put_int(c, active);
}

static int is_persistent(struct call *c)
{
	return put_int(c, persistent);
}

static int get_autostart(struct call *c)
{
	return put_int(c, autostart);
}

static int get_bridge_name(struct call *c)
{
	const struct network *n = c->object;

	if (!n->def->bridge)
		return fault_set(&c->fault, FAULT_INTERNAL, FROM_NETWORK, "network '%s' does not have a bridge name.",
				 network_name(n));
	xdr_string(&c->out, n->def->bridge);
	return CALL_DONE;
}

/* ---- ports ---- */

bool remote_plugged(const struct domdef_interface *i, const struct network *n)
{
	return i->type == DOM_NET_NETWORK && i->portid && i->network && !strcmp(i->network, network_name(n));
}

struct ports {
	const struct network *network;
	void (*f)(void *opaque, const struct network *n, const struct domain *d, const struct domdef_interface *i,
		  const uint8_t uuid[16]);
	void *opaque;
	unsigned count;
};

static void ports_of(void *opaque, struct domain *d)
{
	struct ports *p = opaque;
	uint8_t uuid[16];

	for (unsigned n = 0; domain_active(d) && n < d->def->interfaces.n; n++) {
		const struct domdef_interface *i = d->def->interfaces.v[n];

		if (!remote_plugged(i, p->network) || xuuid_parse(uuid, i->portid) < 0)
			continue;
		p->count++;
		if (p->f)
			p->f(p->opaque, p->network, d, i, uuid);
	}
}

static void each_port(struct call *c, struct ports *p)
{
	domains_each(((struct daemon *)c->opaque)->domains, ports_of, p);
}

static void put_port(void *opaque, const struct network *n, const struct domain *d, const struct domdef_interface *i,
		     const uint8_t uuid[16])
{
	struct call *c = opaque;

	remote_put_network(&c->out, n);
	xdr_uuid(&c->out, uuid);
}

static int list_ports(struct call *c)
{
	struct ports p = { .network = c->object, .f = call_i(c, 1) ? put_port : NULL, .opaque = c };
	size_t hole;

	hole = xdr_hole(&c->out);
	each_port(c, &p);
	xdr_fill(&c->out, hole, p.f ? p.count : 0);
	xdr_u32(&c->out, p.count);
	return CALL_DONE;
}

struct finding {
	const uint8_t *uuid;
	const struct domain *domain;
	const struct domdef_interface *interface;
};

static void match_port(void *opaque, const struct network *n, const struct domain *d,
		       const struct domdef_interface *i, const uint8_t uuid[16])
{
	struct finding *f = opaque;

	if (memcmp(uuid, f->uuid, 16))
		return;
	f->domain = d;
	f->interface = i;
}

static int find_port(struct call *c, const struct network *n, const uint8_t *uuid, struct finding *f)
{
	struct ports p = { .network = n, .f = match_port, .opaque = f };
	char text[37];

	*f = (struct finding){ .uuid = uuid };
	each_port(c, &p);
	xuuid_text(uuid, text);
	return f->interface ? 0 :
			      fault_set(&c->fault, FAULT_NO_NETWORK_PORT, FROM_NETWORK,
					"network port with matching uuid '%s' is not there", text);
}

static int lookup_port(struct call *c)
{
	const struct network *n = c->object;
	struct finding f;

	if (find_port(c, n, call_arg(c, 1)->x, &f) < 0)
		return CALL_FAILED;
	remote_put_network(&c->out, n);
	xdr_uuid(&c->out, f.uuid);
	return CALL_DONE;
}

static char *port_text(const struct network *n, const struct finding *f)
{
	char port[37], owner[37];
	struct xtext t;

	xuuid_text(f->uuid, port);
	xuuid_text(domain_uuid(f->domain), owner);
	xtext_init(&t, PORT_TEXT_MAX);
	xtext_put(&t, "<networkport>\n  <uuid>%s</uuid>\n  <owner>\n    <name>", port);
	xtext_escape(&t, domain_name(f->domain));
	xtext_put(&t, "</name>\n    <uuid>%s</uuid>\n  </owner>\n  <mac address='%s'/>\n"
		      "  <plug type='%s' bridge='%s'/>\n</networkport>\n", owner, f->interface->mac,
		  n->def->mode == NETDEF_BRIDGE ? "bridge" : "network", n->def->bridge);
	return xtext_take(&t);
}

static int port_xml(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	const struct value *net = call_part(c, 0, 0);
	const struct network *n = network_by_uuid(daemon->networks, net->items[1].x);
	struct finding f;

	if (!n)
		return fault_set(&c->fault, FAULT_NO_NETWORK, FROM_NETWORK, "the port's network is not there");
	if (find_port(c, n, call_part(c, 0, 1)->x, &f) < 0)
		return CALL_FAILED;
	return remote_put_text(c, FROM_NETWORK, port_text(n, &f));
}

/* ---- the document ---- */

enum { XML_INACTIVE = 1 };

static int get_xml(struct call *c)
{
	struct network *n = c->object;
	struct ports p = { .network = n };
	bool inactive = call_u(c, 1) & XML_INACTIVE;
	char *text;

	if (inactive && !n->persistent)
		inactive = false;
	if (n->active)
		each_port(c, &p);
	if (p.count)
		n->def->connections = xnum(p.count);
	text = inactive ? netdef_format(network_config(n), NETDEF_FORMAT_INACTIVE) : netdef_format(n->def, 0);
	n->def->connections.set = false;
	return remote_put_text(c, FROM_NETWORK, text);
}

/* ---- leases ---- */

struct lending {
	struct call *call;
	const struct network *network;
	const char *mac; /* NULL: of all */
	bool need;
	unsigned count;
};

static unsigned prefix_of(const struct network *n, bool six)
{
	int family = six ? AF_INET6 : AF_INET;
	struct netip ip;

	for (unsigned k = 0; k < n->def->ips.n; k++)
		if (netip_of(&ip, n->def->ips.v[k], NULL) == 0 && ip.family == family)
			return ip.prefix;
	return six ? 64 : 24;
}

static void put_lease(void *opaque, const struct lease *l)
{
	struct lending *x = opaque;
	struct xdr_out *o = &x->call->out;

	if (x->mac && strcasecmp(x->mac, l->mac))
		return;
	x->count++;
	if (!x->need)
		return;
	xdr_string(o, x->network->def->bridge);
	xdr_i64(o, l->expiry);
	xdr_i32(o, l->six);
	xdr_optional_string(o, *l->mac ? l->mac : NULL);
	xdr_optional_string(o, *l->iaid ? l->iaid : NULL);
	xdr_string(o, l->address);
	xdr_u32(o, prefix_of(x->network, l->six));
	xdr_optional_string(o, *l->host ? l->host : NULL);
	xdr_optional_string(o, *l->client ? l->client : NULL);
}

static int get_leases(struct call *c)
{
	struct lending x = { .call = c, .network = c->object, .mac = call_s(c, 1), .need = call_i(c, 2) };
	size_t hole;

	hole = xdr_hole(&c->out);
	if (network_leases(x.network, put_lease, &x, &c->fault) < 0)
		return CALL_FAILED;
	xdr_fill(&c->out, hole, x.need ? x.count : 0);
	xdr_u32(&c->out, x.count);
	return CALL_DONE;
}

const struct handler remote_network_info[] = {
	{"CONNECT_LIST_ALL_NETWORKS", list_all, NULL, NETWORK_LIST_FLAGS},
	{"CONNECT_NUM_OF_NETWORKS", num_of},
	{"CONNECT_LIST_NETWORKS", list_active},
	{"CONNECT_NUM_OF_DEFINED_NETWORKS", num_of_defined},
	{"CONNECT_LIST_DEFINED_NETWORKS", list_defined},
	{"NETWORK_LOOKUP_BY_NAME", lookup_by_name},
	{"NETWORK_LOOKUP_BY_UUID", lookup_by_uuid},
	{"NETWORK_IS_ACTIVE", is_active, remote_find_network},
	{"NETWORK_IS_PERSISTENT", is_persistent, remote_find_network},
	{"NETWORK_GET_AUTOSTART", get_autostart, remote_find_network},
	{"NETWORK_GET_BRIDGE_NAME", get_bridge_name, remote_find_network},
	{"NETWORK_GET_XML_DESC", get_xml, remote_find_network, XML_INACTIVE},
	{"NETWORK_GET_DHCP_LEASES", get_leases, remote_find_network},
	{"NETWORK_LIST_ALL_PORTS", list_ports, remote_find_network},
	{"NETWORK_PORT_LOOKUP_BY_UUID", lookup_port, remote_find_network},
	{"NETWORK_PORT_GET_XML_DESC", port_xml},
};
const unsigned remote_network_info_count = COUNT_OF(remote_network_info);
