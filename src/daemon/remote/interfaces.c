/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the network cards of running machines have sent, and what addresses they have. */
#include "daemon/domain/agent.h"
#include "daemon/network/netip.h"
#include "daemon/remote/remote_priv.h"

#include <stdio.h>
#include <string.h>

/* ---- counters ---- */

static const struct domdef_interface *find_interface(const struct domain *d, const char *name)
{
	for (unsigned n = 0; n < d->def->interfaces.n; n++) {
		const struct domdef_interface *i = d->def->interfaces.v[n];

		if ((i->target && !strcmp(i->target, name)) || (i->mac && !strcasecmp(i->mac, name)))
			return i;
	}
	return NULL;
}

/* What the host receives from the tap is what the guest sent. Without a tap the card itself has counted. */
static int put_interface_stats(struct call *c)
{
	struct domain *d = remote_domain(c, 0);
	const struct domdef_interface *i = d ? find_interface(d, call_s(c, 1)) : NULL;
	const struct domain_nic_sample *s = i ? domain_nic_sample(d, i) : NULL;
	const struct link_counters *k;
	struct link_info l = { 0 };
	struct err e = { 0 };

	if (!d)
		return CALL_FAILED;
	if (!i)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "invalid path, '%.60s' is not a known interface", call_s(c, 1));
	if (i->target && link_get(i->target, &l, &e) < 0)
		return fault_from_err(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR, &e);
	if (!i->target && !s)
		return fault_set(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR,
				 "the machine does not tell what interface %s does", i->mac);
	if (!i->target)
		l.counters = (struct link_counters){ .tx_bytes = s->rx_bytes, .tx_packets = s->rx_packets,
			.tx_dropped = s->rx_dropped, .rx_bytes = s->tx_bytes, .rx_packets = s->tx_packets };
	k = &l.counters;
	for (unsigned n = 0; n < 8; n++)
		xdr_i64(&c->out, (int64_t)(const uint64_t[]){ k->tx_bytes, k->tx_packets, k->tx_errors, k->tx_dropped,
			k->rx_bytes, k->rx_packets, k->rx_errors, k->rx_dropped }[n]);
	return CALL_DONE;
}

static int interface_stats(struct call *c)
{
	struct domain *d = c->object;

	return d->machine ? gather_one(c, d, put_interface_stats) : remote_not_running(c);
}

/* ---- addresses ---- */

enum { SOURCE_LEASE, SOURCE_AGENT, SOURCE_ARP };
enum { ADDRESSES_MAX = 64 };

struct answer {
	struct xdr_out *out;
	const struct domdef_interface *interface;
	const struct network *network;
	size_t hole;
	unsigned count, interfaces;
};

/* The interface goes into the answer with its first address. */
static void put_address(struct answer *a, bool six, const char *address, unsigned prefix)
{
	if (!a->hole) {
		xdr_string(a->out, a->interface->target ? a->interface->target : "");
		xdr_optional_string(a->out, a->interface->mac);
		a->hole = xdr_hole(a->out);
		a->interfaces++;
	}
	if (a->count == ADDRESSES_MAX)
		return;
	xdr_i32(a->out, six);
	xdr_string(a->out, address);
	xdr_u32(a->out, prefix);
	a->count++;
}

static unsigned prefix_of(const struct network *n, bool six)
{
	struct netip ip;

	for (unsigned k = 0; n && k < n->def->ips.n; k++)
		if (netip_of(&ip, n->def->ips.v[k], NULL) == 0 && (ip.family == AF_INET6) == six)
			return ip.prefix;
	return six ? 64 : 24;
}

static void take_lease(void *opaque, const struct lease *l)
{
	struct answer *a = opaque;

	if (!strcasecmp(l->mac, a->interface->mac))
		put_address(a, l->six, l->address, prefix_of(a->network, l->six));
}

/* The host's neighbours: "ADDRESS TYPE FLAGS MAC MASK DEVICE". Whom the host did not speak to is not among them. */
static void take_neighbours(struct answer *a)
{
	char line[256], address[64], mac[32];
	unsigned flags;
	FILE *f = fopen("/proc/self/net/arp", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %*s %x %31s", address, &flags, mac) == 3 && (flags & 2) &&
		    !strcasecmp(mac, a->interface->mac))
			put_address(a, false, address, 0);
	if (f)
		fclose(f);
}

static int take_interface(struct call *c, struct answer *a)
{
	const struct daemon *daemon = c->opaque;

	a->hole = 0;
	a->count = 0;
	a->network = a->interface->network ? network_by_name(daemon->networks, a->interface->network) : NULL;
	if (call_u(c, 1) == SOURCE_ARP)
		take_neighbours(a);
	else if (a->network && network_leases(a->network, take_lease, a, &c->fault) < 0)
		return CALL_FAILED;
	if (a->hole)
		xdr_fill(a->out, a->hole, a->count);
	return CALL_DONE;
}

/* ---- as the guest sees them ---- */

static void put_agent_address(struct xdr_out *o, const json_t *a)
{
	const char *type = json_string_value(json_object_get(a, "ip-address-type"));
	const char *address = json_string_value(json_object_get(a, "ip-address"));

	xdr_i32(o, type && !strcmp(type, "ipv6"));
	xdr_string(o, address ? address : "");
	xdr_u32(o, (uint32_t)json_integer_value(json_object_get(a, "prefix")));
}

static int put_agent_interfaces(struct call *c, const json_t *result)
{
	size_t count = json_array_size(result), addresses;

	count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
	xdr_u32(&c->out, (uint32_t)count);
	for (size_t n = 0; n < count; n++) {
		const json_t *i = json_array_get(result, n), *list = json_object_get(i, "ip-addresses");
		const char *name = json_string_value(json_object_get(i, "name"));

		xdr_string(&c->out, name ? name : "");
		xdr_optional_string(&c->out, json_string_value(json_object_get(i, "hardware-address")));
		addresses = json_array_size(list) < ADDRESSES_MAX ? json_array_size(list) : ADDRESSES_MAX;
		xdr_u32(&c->out, (uint32_t)addresses);
		for (size_t k = 0; k < addresses; k++)
			put_agent_address(&c->out, json_array_get(list, k));
	}
	return CALL_DONE;
}

static int ask_agent(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? remote_agent(c, d, "guest-network-get-interfaces", NULL, false, put_agent_interfaces) : ret;
}

static int interface_addresses(struct call *c)
{
	struct domain *d = c->object;
	struct answer a = { .out = &c->out };
	size_t hole;

	if (call_u(c, 1) == SOURCE_AGENT)
		return ask_agent(c);
	if (call_u(c, 1) > SOURCE_ARP)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "Unknown IP address data source %u", call_u(c, 1));
	hole = xdr_hole(&c->out);
	for (unsigned n = 0; n < d->def->interfaces.n; n++) {
		a.interface = d->def->interfaces.v[n];
		if (a.interface->mac && take_interface(c, &a) == CALL_FAILED)
			return CALL_FAILED;
	}
	xdr_fill(&c->out, hole, a.interfaces);
	return CALL_DONE;
}

const struct handler remote_interfaces[] = {
	{"DOMAIN_INTERFACE_STATS", interface_stats, remote_find_domain},
	{"DOMAIN_INTERFACE_ADDRESSES", interface_addresses, remote_find_running},
};
const unsigned remote_interfaces_count = COUNT_OF(remote_interfaces);
