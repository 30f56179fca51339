/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/netdef.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *const forwards[] = { "", "nat", "route", "open", "bridge", "private", "vepa", "passthrough",
					"hostdev", NULL };

#define EXTRA .extra = offsetof(T, extra)

/* ---- addresses ---- */

#define T struct netdef_range
static const struct xrow range_rows[] = {
	XSTR(ATTR, "start", start, .flags = XF_REQUIRED), XSTR(ATTR, "end", end, .flags = XF_REQUIRED),
	XRAW("lease", lease), XEND
};
static const struct xmap range_map = { "range", sizeof(T), EXTRA, range_rows };
#undef T

#define T struct netdef_host
static const struct xrow host_rows[] = {
	XMAC(ATTR, "mac", mac), XSTR(ATTR, "id", id), XSTR(ATTR, "name", name), XSTR(ATTR, "ip", ip),
	XRAW("lease", lease), XEND
};
static const struct xmap host_map = { "host", sizeof(T), EXTRA, host_rows };
#undef T

#define T struct netdef_ip
static const struct xrow tftp_rows[] = { XSTR(ATTR, "root", tftp), XEND };
static const struct xrow bootp_rows[] = { XSTR(ATTR, "file", boot_file), XSTR(ATTR, "server", boot_server), XEND };
static const struct xrow dhcp_rows[] = {
	XMANY("range", ranges, range_map), XMANY("host", hosts, host_map), XGROUP("bootp", bootp_rows), XEND
};
static const struct xrow ip_rows[] = {
	XSTR(ATTR, "family", family), XSTR(ATTR, "address", address), XSTR(ATTR, "netmask", netmask),
	XNUM(ATTR, "prefix", prefix), XSTR(ATTR, "localPtr", local_ptr), XGROUP("tftp", tftp_rows),
	XGROUP("dhcp", dhcp_rows), XEND
};
static const struct xmap ip_map = { "ip", sizeof(T), EXTRA, ip_rows };
#undef T

#define T struct netdef_route
static const struct xrow route_rows[] = {
	XSTR(ATTR, "family", family), XSTR(ATTR, "address", address, .flags = XF_REQUIRED),
	XSTR(ATTR, "netmask", netmask), XNUM(ATTR, "prefix", prefix), XSTR(ATTR, "gateway", gateway),
	XNUM(ATTR, "metric", metric), XEND
};
static const struct xmap route_map = { "route", sizeof(T), EXTRA, route_rows };
#undef T

/* ---- names ---- */

#define T struct netdef_name
static const struct xrow name_rows[] = { XSTR(TEXT, "", text), XEND };
static const struct xmap name_map = { "hostname", sizeof(T), EXTRA, name_rows };
#undef T

#define T struct netdef_dns_host
static const struct xrow dns_host_rows[] = {
	XSTR(ATTR, "ip", ip, .flags = XF_REQUIRED), XMANY("hostname", names, name_map), XEND
};
static const struct xmap dns_host_map = { "host", sizeof(T), EXTRA, dns_host_rows };
#undef T

#define T struct netdef_dns_txt
static const struct xrow txt_rows[] = {
	XSTR(ATTR, "name", name, .flags = XF_REQUIRED), XSTR(ATTR, "value", value), XEND
};
static const struct xmap txt_map = { "txt", sizeof(T), EXTRA, txt_rows };
#undef T

#define T struct netdef_dns_srv
static const struct xrow srv_rows[] = {
	XSTR(ATTR, "service", service, .flags = XF_REQUIRED), XSTR(ATTR, "protocol", protocol, .flags = XF_REQUIRED),
	XSTR(ATTR, "domain", domain), XSTR(ATTR, "target", target), XNUM(ATTR, "port", port),
	XNUM(ATTR, "priority", priority), XNUM(ATTR, "weight", weight), XEND
};
static const struct xmap srv_map = { "srv", sizeof(T), EXTRA, srv_rows };
#undef T

#define T struct netdef_forwarder
static const struct xrow forwarder_rows[] = { XSTR(ATTR, "domain", domain), XSTR(ATTR, "addr", addr), XEND };
static const struct xmap forwarder_map = { "forwarder", sizeof(T), EXTRA, forwarder_rows };
#undef T

/* ---- the network ---- */

#define T struct netdef_portgroup
static const struct xrow portgroup_rows[] = {
	XSTR(ATTR, "name", name, .flags = XF_REQUIRED), XSTR(ATTR, "default", dflt),
	XSTR(ATTR, "trustGuestRxFilters", trust), XRAW("vlan", parts), XRAW("virtualport", parts),
	XRAW("bandwidth", parts), XRAW("port", parts), XEND
};
static const struct xmap portgroup_map = { "portgroup", sizeof(T), EXTRA, portgroup_rows };
#undef T

#define T struct netdef_interface
static const struct xrow interface_rows[] = {
	XSTR(ATTR, "dev", dev, .flags = XF_REQUIRED), XNUM(ATTR, "connections", connections, .flags = XF_LIVE), XEND
};
static const struct xmap interface_map = { "interface", sizeof(T), EXTRA, interface_rows };
#undef T

#define T struct netdef
static const struct xrow metadata_rows[] = { XANY(metadata), XEND };
static const struct xrow nat_address_rows[] = { XSTR(ATTR, "start", nat_start), XSTR(ATTR, "end", nat_end), XEND };
static const struct xrow nat_port_rows[] = {
	XNUM(ATTR, "start", nat_port_start), XNUM(ATTR, "end", nat_port_end), XEND
};
static const struct xrow nat_rows[] = {
	XSTR(ATTR, "ipv6", nat_ipv6), XGROUP("address", nat_address_rows), XGROUP("port", nat_port_rows), XEND
};
static const struct xrow forward_rows[] = {
	{ .name = "", .place = X_TEXT, .type = XV_FLAG, .offset = offsetof(T, forward) },
	XSTR(ATTR, "dev", forward_dev), XENUM(ATTR, "mode", mode, forwards), XSTR(ATTR, "managed", managed),
	XRAW("driver", forward_parts), XRAW("pf", forward_parts), XGROUP("nat", nat_rows),
	XMANY("interface", interfaces, interface_map), XRAW("address", forward_parts), XEND
};
static const struct xrow bridge_rows[] = {
	XSTR(ATTR, "name", bridge), XSTR(ATTR, "zone", zone), XSTR(ATTR, "stp", stp), XSTR(ATTR, "delay", delay),
	XSTR(ATTR, "macTableManager", mac_table), XEND
};
static const struct xrow mtu_rows[] = { XNUM(ATTR, "size", mtu), XEND };
static const struct xrow mac_rows[] = { XMAC(ATTR, "address", mac), XEND };
static const struct xrow domain_rows[] = {
	XSTR(ATTR, "name", domain), XSTR(ATTR, "localOnly", local_only), XSTR(ATTR, "register", domain_register), XEND
};
static const struct xrow dns_rows[] = {
	XSTR(ATTR, "enable", dns_enable), XSTR(ATTR, "forwardPlainNames", dns_forward_plain),
	XMANY("forwarder", forwarders, forwarder_map), XMANY("txt", txts, txt_map),
	XMANY("host", dns_hosts, dns_host_map), XMANY("srv", srvs, srv_map), XEND
};
static const struct xrow network_rows[] = {
	XNUM(ATTR, "connections", connections, .flags = XF_LIVE), XSTR(ATTR, "ipv6", ipv6),
	XSTR(ATTR, "trustGuestRxFilters", trust),
	XSTR(ELEM, "name", name), XUUID(ELEM, "uuid", uuid), XSTR(ELEM, "title", title),
	XSTR(ELEM, "description", description),
	XGROUP("metadata", metadata_rows),
	XGROUP("forward", forward_rows),
	XGROUP("bridge", bridge_rows),
	XGROUP("mtu", mtu_rows),
	XGROUP("mac", mac_rows),
	XGROUP("domain", domain_rows),
	XGROUP("dns", dns_rows),
	XRAW("vlan", vlan), XRAW("bandwidth", bandwidth),
	XMANY("ip", ips, ip_map),
	XMANY("route", routes, route_map),
	XRAW("virtualport", virtualport),
	XMANY("portgroup", portgroups, portgroup_map),
	XRAW("port", port),
	XEND
};
const struct xmap netdef_map = { "network", sizeof(T), EXTRA, network_rows };
#undef T

/* ---- checks and what is filled in ---- */

static int check_ip(const struct netdef_ip *ip, struct err *e)
{
	bool six = ip->family && !strcmp(ip->family, "ipv6");
	uint8_t bytes[16];

	if (!ip->address || inet_pton(six ? AF_INET6 : AF_INET, ip->address, bytes) != 1)
		return err_set(e, -EBADMSG, "Invalid address '%.60s' in <ip>", ip->address ? ip->address : "");
	if (ip->prefix.set && ip->prefix.v > (six ? 128 : 32))
		return err_set(e, -EBADMSG, "Invalid prefix '%llu' for address '%s'", (unsigned long long)ip->prefix.v,
		               ip->address);
	if (ip->netmask && (six || inet_pton(AF_INET, ip->netmask, bytes) != 1))
		return err_set(e, -EBADMSG, "Invalid netmask '%.60s' for address '%s'", ip->netmask, ip->address);
	for (unsigned n = 0; n < ip->ranges.n; n++)
		if (inet_pton(six ? AF_INET6 : AF_INET, ip->ranges.v[n]->start, bytes) != 1 ||
		    inet_pton(six ? AF_INET6 : AF_INET, ip->ranges.v[n]->end, bytes) != 1)
			return err_set(e, -EBADMSG, "Invalid dhcp range '%.60s'-'%.60s'", ip->ranges.v[n]->start,
			               ip->ranges.v[n]->end);
	for (unsigned n = 0; n < ip->hosts.n; n++)
		if (ip->hosts.v[n]->ip && inet_pton(six ? AF_INET6 : AF_INET, ip->hosts.v[n]->ip, bytes) != 1)
			return err_set(e, -EBADMSG, "Invalid IP address '%.60s' of a dhcp <host>", ip->hosts.v[n]->ip);
	return 0;
}

static bool own_bridge(const struct netdef *d)
{
	return !d->forward || d->mode == NETDEF_NAT || d->mode == NETDEF_ROUTE || d->mode == NETDEF_OPEN;
}

static int check(const struct netdef *d, struct err *e)
{
	if (!d->name || !*d->name)
		return err_set(e, -EBADMSG, "missing name information");
	if (strchr(d->name, '/'))
		return err_set(e, -EBADMSG, "name %.100s cannot contain '/'", d->name);
	if (d->bridge && (!*d->bridge || strlen(d->bridge) > 15 || strchr(d->bridge, '/')))
		return err_set(e, -EBADMSG, "'%.60s' is no name of a bridge: 1 to 15 characters without '/'",
			       d->bridge);
	for (unsigned n = 0; n < d->ips.n; n++) {
		int ret = check_ip(d->ips.v[n], e);

		if (ret < 0)
			return ret;
	}
	if (!own_bridge(d) && (d->ips.n || d->domain))
		return err_set(e, -ENOTSUP, "Unsupported <ip> or <domain> element in network %s with forward mode='%s'",
		               d->name, forwards[d->mode]);
	if (d->forward && d->mode == NETDEF_BRIDGE && !d->bridge && !d->interfaces.n && !d->forward_dev)
		return err_set(e, -ENOTSUP,
			       "network %s with forward mode='bridge' names neither <bridge> nor <interface>", d->name);
	return 0;
}

static int fill(struct netdef *d)
{
	uint8_t b[3];
	int ret = 0;

	if (!d->uuid.set)
		xuuid_random(&d->uuid);
	if (d->forward && !d->mode)
		d->mode = NETDEF_NAT;
	if (!own_bridge(d))
		return 0;
	/* A bridge without a name gets one when the network is defined: the daemon knows which are free. */
	if (!d->stp)
		ret = xstr_set(&d->stp, "on");
	if (ret == 0 && !d->delay)
		ret = xstr_set(&d->delay, "0");
	if (ret == 0 && !d->mac) {
		while (getrandom(b, sizeof(b), 0) != sizeof(b))
			;
		ret = xstr_printf(&d->mac, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
	}
	return ret;
}

int netdef_parse(struct netdef **out, const char *xml, size_t len, unsigned flags, struct err *e)
{
	void *obj;
	int ret = xmap_parse(&netdef_map, &obj, xml, len, "network_definition",
	                     (flags & NETDEF_LIVE ? XMAP_LIVE : 0) | (flags & NETDEF_VALIDATE ? XMAP_STRICT : 0), e);

	*out = obj;
	if (ret == 0 && fill(*out) < 0)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret == 0)
		ret = check(*out, e);
	if (ret < 0) {
		netdef_free(*out);
		*out = NULL;
	}
	return ret;
}

char *netdef_format(const struct netdef *d, unsigned flags)
{
	return xmap_format(&netdef_map, d, NULL, flags & NETDEF_FORMAT_INACTIVE ? 0 : XMAP_LIVE);
}

void netdef_free(struct netdef *d)
{
	xmap_free(&netdef_map, d);
}

struct netdef *netdef_copy(const struct netdef *d)
{
	char *text = xmap_format(&netdef_map, d, NULL, XMAP_LIVE);
	void *copy = NULL;

	if (!text || xmap_parse(&netdef_map, &copy, text, strlen(text), "network", XMAP_LIVE, NULL) < 0)
		copy = NULL;
	free(text);
	return copy;
}

/* ---- updates ---- */

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool same_host(const void *a, const void *b)
{
	const struct netdef_host *x = a, *y = b;

	return same(x->mac, y->mac) || same(x->id, y->id) || (!x->mac && same(x->ip, y->ip)) ||
	       (!x->mac && !x->ip && same(x->name, y->name));
}

/* What a new host must not share with one that is there. */
static bool host_clash(const void *a, const void *b)
{
	const struct netdef_host *x = a, *y = b;

	return same(x->mac, y->mac) || same(x->ip, y->ip) || same(x->name, y->name) || same(x->id, y->id);
}

static bool same_range(const void *a, const void *b)
{
	return same(((const struct netdef_range *)a)->start, ((const struct netdef_range *)b)->start) &&
	       same(((const struct netdef_range *)a)->end, ((const struct netdef_range *)b)->end);
}

static bool same_interface(const void *a, const void *b)
{
	return same(((const struct netdef_interface *)a)->dev, ((const struct netdef_interface *)b)->dev);
}

static bool same_portgroup(const void *a, const void *b)
{
	return same(((const struct netdef_portgroup *)a)->name, ((const struct netdef_portgroup *)b)->name);
}

static bool same_dns_host(const void *a, const void *b)
{
	return same(((const struct netdef_dns_host *)a)->ip, ((const struct netdef_dns_host *)b)->ip);
}

static bool same_txt(const void *a, const void *b)
{
	return same(((const struct netdef_dns_txt *)a)->name, ((const struct netdef_dns_txt *)b)->name);
}

static bool same_srv(const void *a, const void *b)
{
	const struct netdef_dns_srv *x = a, *y = b;

	return same(x->service, y->service) && same(x->protocol, y->protocol) &&
	       (!x->domain || same(x->domain, y->domain)) && (!x->target || same(x->target, y->target));
}

struct section {
	unsigned number;
	const struct xmap *map;
	bool in_ip, fixed; /* in an <ip>; cannot be modified in place */
	size_t list;       /* in the network or the <ip> */
	bool (*same)(const void *a, const void *b), (*clash)(const void *a, const void *b);
};
static const struct section sections[] = {
	{NETDEF_DHCP_HOST, &host_map, true, false, offsetof(struct netdef_ip, hosts), same_host, host_clash},
	{NETDEF_DHCP_RANGE, &range_map, true, true, offsetof(struct netdef_ip, ranges), same_range, same_range},
	{NETDEF_FORWARD_INTERFACE, &interface_map, false, true, offsetof(struct netdef, interfaces), same_interface,
	 same_interface},
	{NETDEF_PORTGROUP, &portgroup_map, false, false, offsetof(struct netdef, portgroups), same_portgroup,
	 same_portgroup},
	{NETDEF_DNS_HOST, &dns_host_map, false, true, offsetof(struct netdef, dns_hosts), same_dns_host, same_dns_host},
	{NETDEF_DNS_TXT, &txt_map, false, true, offsetof(struct netdef, txts), same_txt, same_txt},
	{NETDEF_DNS_SRV, &srv_map, false, true, offsetof(struct netdef, srvs), same_srv, same_srv},
};

static struct netdef_ip *find_ip(const struct netdef *d, int parent, const struct netdef_host *host)
{
	if (parent >= 0)
		return (unsigned)parent < d->ips.n ? d->ips.v[parent] : NULL;
	for (unsigned n = 0; n < d->ips.n; n++) { /* the one of the address's family, with DHCP if possible */
		bool six = d->ips.v[n]->family && !strcmp(d->ips.v[n]->family, "ipv6");

		if (six == (host && host->ip && strchr(host->ip, ':')))
			return d->ips.v[n];
	}
	return d->ips.n ? d->ips.v[0] : NULL;
}

static int find(const struct xlist *l, const void *item, bool (*like)(const void *a, const void *b))
{
	for (unsigned n = 0; n < l->n; n++)
		if (like(item, l->v[n]))
			return (int)n;
	return -1;
}

/* Takes item when it returns 0 and was not a deletion. */
static int apply(struct xlist *l, const struct section *s, unsigned command, void *item, struct err *e)
{
	int at = find(l, item, s->same), clash = find(l, item, s->clash);

	if (command == NETDEF_DELETE || command == NETDEF_MODIFY) {
		if (at < 0)
			return err_set(e, -EPERM, "couldn't locate a matching <%s> element in the network",
				       s->map->name);
		if (command == NETDEF_MODIFY && s->fixed)
			return err_set(e, -EPERM, "<%s> entries cannot be modified, only added or deleted",
				       s->map->name);
		xmap_free(s->map, xlist_take(l, (unsigned)at));
		return command == NETDEF_DELETE ? 0 : xlist_insert(l, (unsigned)at, item);
	}
	if (clash >= 0)
		return err_set(e, -EPERM, "there is an existing <%s> element in the network that matches",
			       s->map->name);
	return xlist_insert(l, command == NETDEF_ADD_FIRST ? 0 : XMAP_LIST_MAX, item);
}

static int update(struct netdef *d, const struct section *s, unsigned command, int parent, void *item, struct err *e)
{
	struct netdef_ip *ip = NULL;
	int ret;

	if (s->in_ip) {
		ip = find_ip(d, parent, s->number == NETDEF_DHCP_HOST ? item : NULL);
		if (!ip)
			return err_set(e, -EPERM, "couldn't update dhcp entry - no <ip> element found at index %d",
				       parent);
	}
	ret = apply((struct xlist *)((ip ? (char *)ip : (char *)d) + s->list), s, command, item, e);
	if (ret == -ENOMEM || ret == -E2BIG)
		ret = err_set(e, ret == -ENOMEM ? ret : -ENOTSUP, "no room for another <%s>", s->map->name);
	return ret;
}

int netdef_update(struct netdef *d, unsigned command, unsigned section, int parent, const char *xml, struct err *e)
{
	const struct section *s = NULL;
	struct netdef *copy, old;
	void *item;
	int ret;

	for (size_t n = 0; n < COUNT_OF(sections); n++)
		if (sections[n].number == section)
			s = &sections[n];
	if (!s || command < NETDEF_MODIFY || command > NETDEF_ADD_FIRST)
		return err_set(e, -ENOTSUP, "updating this section of a network is not possible");
	ret = xmap_parse(s->map, &item, xml, strlen(xml), "network_update", 0, e);
	if (ret < 0)
		return ret;
	copy = netdef_copy(d);
	ret = copy ? update(copy, s, command, parent, item, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret < 0 || command == NETDEF_DELETE)
		xmap_free(s->map, item);
	if (ret == 0)
		ret = check(copy, e);
	if (ret == 0) {
		old = *d;
		*d = *copy;
		*copy = old;
	}
	netdef_free(copy);
	return ret;
}
