/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A network's start and end. */
#include "daemon/network/network_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "daemon/network/firewall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the kernel's switches ---- */

static int read_switch(const char *path)
{
	char c = 0;
	int fd = fd_open(path, O_RDONLY, 0, NULL);

	if (fd >= 0 && fd_read_all(fd, &c, 1) != 1)
		c = 0;
	fd_close(&fd);
	return c;
}

static int set_switch(const char *path, char value, struct err *e)
{
	int fd, ret = 0;

	if (read_switch(path) == value)
		return 0;
	fd = fd_open(path, O_WRONLY, 0, e);
	if (fd < 0)
		return fd;
	ret = fd_write_all(fd, &value, 1);
	fd_close(&fd);
	return ret < 0 ? err_errno(e, -ret, "cannot write %s", path) : 0;
}

static bool has_family(const struct netdef *d, bool six)
{
	for (unsigned n = 0; n < d->ips.n; n++)
		if (six == (d->ips.v[n]->family && !strcmp(d->ips.v[n]->family, "ipv6")))
			return true;
	return false;
}

/* The host itself must not get an address from a guest that plays the router, nor talk IPv6 where none is wanted. */
static void set_ipv6(const struct netdef *d)
{
	static const struct {
		const char *name;
		bool only_with;
		char value;
	} switches[] = {{"accept_ra", true, '0'}, {"autoconf", true, '0'}, {"disable_ipv6", false, '1'}};
	bool six = has_family(d, true) || (d->ipv6 && !strcmp(d->ipv6, "yes"));
	char path[128];

	for (unsigned n = 0; n < COUNT_OF(switches); n++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", d->bridge, switches[n].name);
		if ((switches[n].only_with || !six) && read_switch(path) &&
		    set_switch(path, switches[n].value, NULL) < 0)
			log_line(LOG_WARNING, "cannot write %s", path);
	}
}

static int set_forwarding(const struct netdef *d, struct err *e)
{
	int ret = 0;

	if (!d->forward)
		return 0;
	if (has_family(d, false))
		ret = set_switch("/proc/sys/net/ipv4/ip_forward", '1', e);
	if (ret == 0 && has_family(d, true))
		ret = set_switch("/proc/sys/net/ipv6/conf/all/forwarding", '1', e);
	return ret;
}

/* ---- building ---- */

static int check_free(const struct netdef *d, struct err *e)
{
	struct link_info l;
	char interface[16];
	struct netip ip;

	if (link_get(d->bridge, &l, NULL) == 0)
		return err_set(e, -EEXIST, "bridge name '%s' already in use.", d->bridge);
	for (unsigned n = 0; n < d->ips.n; n++) {
		int ret = netip_of(&ip, d->ips.v[n], e);

		if (ret < 0)
			return ret;
		if (netip_in_use(&ip, interface))
			return err_set(e, -EADDRINUSE, "Network is already in use by interface %s: %s", interface,
				       ip.network_text);
	}
	return 0;
}

static bool own_mac(const struct netdef *d, uint8_t mac[6])
{
	return d->mac && link_parse_mac(mac, d->mac);
}

static int add_bridge(const struct netdef *d, struct err *e)
{
	struct link_bridge b = { .name = d->bridge, .stp = !d->stp || strcmp(d->stp, "off") };
	uint8_t mac[6];

	if (own_mac(d, mac))
		b.mac = mac;
	b.delay_s = d->delay ? (unsigned)strtoul(d->delay, NULL, 10) % 256 : 0;
	b.mtu = d->mtu.set ? (unsigned)d->mtu.v : 0;
	return link_add_bridge(&b, e);
}

static int add_addresses(const struct netdef *d, struct err *e)
{
	struct netip ip;
	int ret = 0;

	for (unsigned n = 0; n < d->ips.n && ret == 0; n++) {
		ret = netip_of(&ip, d->ips.v[n], e);
		if (ret == 0)
			ret = link_add_address(d->bridge, ip.family, ip.address, ip.prefix, e);
	}
	return ret;
}

static int add_routes(const struct netdef *d, struct err *e)
{
	struct netip ip;
	uint8_t gateway[16];
	int ret = 0;

	for (unsigned n = 0; n < d->routes.n && ret == 0; n++) {
		const struct netdef_route *r = d->routes.v[n];

		ret = netip_parse(&ip, r->family, r->address, r->netmask, r->prefix, e);
		if (ret == 0 && (!r->gateway || inet_pton(ip.family, r->gateway, gateway) != 1))
			ret = err_set(e, -EBADMSG, "Missing or invalid gateway of a <route>");
		if (ret == 0)
			ret = link_add_route(d->bridge, ip.family, ip.network, ip.prefix, gateway,
					     (unsigned)r->metric.v, e);
	}
	return ret;
}

/* All that may be done again where it was done already. */
static int furnish(const struct netdef *d, struct err *e)
{
	int ret;

	set_ipv6(d);
	ret = add_addresses(d, e);
	if (ret == 0)
		ret = link_set_up(d->bridge, e);
	if (ret == 0)
		ret = add_routes(d, e);
	if (ret == 0)
		ret = set_forwarding(d, e);
	if (ret == 0)
		ret = firewall_apply(d, e);
	return ret;
}

static int build(struct network *n, struct err *e)
{
	int ret = check_free(n->def, e);

	if (ret < 0)
		return ret;
	ret = netnote_write(n, NETNOTE_STARTING, e);
	if (ret == 0)
		ret = add_bridge(n->def, e);
	if (ret == 0)
		ret = furnish(n->def, e);
	if (ret == 0)
		ret = netdns_start(n, e);
	if (ret == 0)
		ret = netnote_write(n, NETNOTE_RUNNING, e);
	if (ret < 0)
		network_clear(n);
	return ret;
}

/* A bridge of the host's: nothing to make, something to look at. */
static int look_at_bridge(struct network *n, struct err *e)
{
	struct link_info l;
	int ret = link_get(n->def->bridge, &l, e);

	if (ret == 0 && strcmp(l.kind, "bridge"))
		ret = err_set(e, -EINVAL, "the network interface %s is no bridge", n->def->bridge);
	return ret < 0 ? ret : netnote_write(n, NETNOTE_RUNNING, e);
}

/* What this network's document asks for and does not get. */
static void log_gaps(const struct netdef *d)
{
	const struct {
		bool there;
		const char *what;
	} gap[] = {{d->bandwidth.n, "<bandwidth>"}, {d->vlan.n, "<vlan>"}, {d->virtualport.n, "<virtualport>"},
		   {d->portgroups.n, "<portgroup>"}, {d->zone, "the zone of <bridge>"}, {d->extra.n, "an extension"}};

	for (unsigned n = 0; n < COUNT_OF(gap); n++)
		if (gap[n].there)
			log_line(LOG_INFO, "network %s: %s has no effect", d->name, gap[n].what);
}

int network_start(struct network *n, struct fault *f)
{
	struct netdef *live;
	struct err e = { 0 };
	int ret;

	if (n->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK, "network is already active");
	if (n->all->daemon->session)
		return fault_set(f, FAULT_OPERATION_UNSUPPORTED, FROM_NETWORK,
				 "a user's own instance has no rights to make networks: <interface type='user'/> "
				 "works without, and qemu:///system has networks");
	live = netdef_copy(n->def);
	if (!live)
		return fault_set(f, FAULT_NO_MEMORY, FROM_NETWORK, "no memory for the network");
	if (n->persistent)
		n->next = n->def;
	else
		netdef_free(n->def);
	n->def = live;
	log_gaps(live);
	ret = netdef_own_bridge(live) ? build(n, &e) : look_at_bridge(n, &e);
	if (ret < 0) {
		if (n->next) {
			netdef_free(n->def);
			n->def = n->next;
			n->next = NULL;
		}
		return fault_from_err(f, FAULT_INTERNAL, FROM_NETWORK, &e);
	}
	n->active = true;
	network_tell(n, NETWORK_STARTED);
	return 0;
}

int network_adopt(struct network *n, struct err *e)
{
	struct link_info l;
	int ret = link_get(n->def->bridge, &l, e);

	if (ret < 0 || !netdef_own_bridge(n->def))
		return ret;
	ret = furnish(n->def, e);
	if (ret == 0 && n->pidfd < 0 && !netdns_find(n))
		ret = netdns_start(n, e);
	return ret;
}

/* ---- the end ---- */

/* The bridge is ours only with the address that we gave it. */
static void delete_bridge(const struct netdef *d)
{
	struct link_info l;
	struct err e = { 0 };
	uint8_t mac[6];

	if (link_get(d->bridge, &l, NULL) < 0 || !own_mac(d, mac) || memcmp(l.mac, mac, sizeof(mac)))
		return;
	if (link_delete(d->bridge, &e) < 0)
		log_line(LOG_ERROR, "network %s: %s", d->name, e.text);
}

void network_clear(struct network *n)
{
	struct err e = { 0 };

	if (netdef_own_bridge(n->def) && n->def->bridge) {
		netdns_stop(n);
		if (firewall_remove(n->def->bridge, &e) < 0)
			log_line(LOG_ERROR, "network %s: %s", network_name(n), e.text);
		delete_bridge(n->def);
	}
	netnote_remove(n);
}

int network_stop(struct network *n, struct fault *f)
{
	struct err e = { 0 };

	if (!n->active)
		return fault_set(f, FAULT_OPERATION_INVALID, FROM_NETWORK, "network '%s' is not active",
				 network_name(n));
	if (netnote_write(n, NETNOTE_STOPPING, &e) < 0)
		return fault_from_err(f, FAULT_SYSTEM, FROM_NETWORK, &e);
	network_clear(n);
	n->active = false;
	if (n->next) {
		netdef_free(n->def);
		n->def = n->next;
		n->next = NULL;
	}
	network_tell(n, NETWORK_STOPPED);
	if (!n->persistent)
		network_free(n);
	return 0;
}

int network_leases(const struct network *n, void (*f)(void *opaque, const struct lease *l), void *opaque,
		   struct fault *fault)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	struct err e = { 0 };

	netnote_dir(n->all, network_uuid(n), dir);
	snprintf(path, sizeof(path), "%s/leases", dir);
	if (n->active && leases_read(path, f, opaque, &e) < 0)
		return fault_from_err(fault, FAULT_SYSTEM, FROM_NETWORK, &e);
	return 0;
}
