/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network document. As domdef.h says of machines: typed, nothing lost, complete after parsing; domdef_fault gives
 * libvirt's number for a failure. */
#ifndef PANAL_DAEMON_XML_NETDEF_H
#define PANAL_DAEMON_XML_NETDEF_H

#include "daemon/xml/xmap.h"

enum netdef_forward {
	NETDEF_ISOLATED,
	NETDEF_NAT,
	NETDEF_ROUTE,
	NETDEF_OPEN,
	NETDEF_BRIDGE,
	NETDEF_PRIVATE,
	NETDEF_VEPA,
	NETDEF_PASSTHROUGH,
	NETDEF_HOSTDEV
};

struct netdef_range {
	XLIST(struct xraw) extra;
	char *start, *end;
	XLIST(struct xraw) lease;
};

struct netdef_host {
	XLIST(struct xraw) extra;
	char *mac, *id, *name, *ip;
	XLIST(struct xraw) lease;
};

struct netdef_ip {
	XLIST(struct xraw) extra;
	char *family, *address, *netmask, *local_ptr;
	struct xnum prefix;
	char *tftp;
	XLIST(struct netdef_range) ranges;
	XLIST(struct netdef_host) hosts;
	char *boot_file, *boot_server;
};

struct netdef_name {
	XLIST(struct xraw) extra;
	char *text;
};

struct netdef_dns_host {
	XLIST(struct xraw) extra;
	char *ip;
	XLIST(struct netdef_name) names;
};

struct netdef_dns_txt {
	XLIST(struct xraw) extra;
	char *name, *value;
};

struct netdef_dns_srv {
	XLIST(struct xraw) extra;
	char *service, *protocol, *domain, *target;
	struct xnum port, priority, weight;
};

struct netdef_forwarder {
	XLIST(struct xraw) extra;
	char *addr, *domain;
};

struct netdef_portgroup {
	XLIST(struct xraw) extra;
	char *name, *dflt, *trust;
	XLIST(struct xraw) parts;
};

struct netdef_interface {
	XLIST(struct xraw) extra;
	char *dev;
	struct xnum connections;
};

struct netdef_route {
	XLIST(struct xraw) extra;
	char *family, *address, *netmask, *gateway;
	struct xnum prefix, metric;
};

struct netdef {
	XLIST(struct xraw) extra;
	char *ipv6, *trust;
	struct xnum connections; /* of a running network */
	char *name;
	struct xuuid uuid;
	char *title, *description;
	XLIST(struct xraw) metadata;
	bool forward; /* the element is there; without it the network is isolated */
	int mode;     /* enum netdef_forward; filled in as NAT where the element names none */
	char *forward_dev, *managed;
	char *nat_ipv6, *nat_start, *nat_end;
	struct xnum nat_port_start, nat_port_end;
	XLIST(struct netdef_interface) interfaces;
	XLIST(struct xraw) forward_parts;
	char *bridge, *stp, *delay, *mac_table, *zone;
	struct xnum mtu;
	char *mac;
	char *domain, *local_only, *domain_register;
	char *dns_enable, *dns_forward_plain;
	XLIST(struct netdef_forwarder) forwarders;
	XLIST(struct netdef_dns_txt) txts;
	XLIST(struct netdef_dns_host) dns_hosts;
	XLIST(struct netdef_dns_srv) srvs;
	XLIST(struct xraw) vlan, bandwidth, virtualport, port;
	XLIST(struct netdef_portgroup) portgroups;
	XLIST(struct netdef_ip) ips;
	XLIST(struct netdef_route) routes;
};

enum { NETDEF_LIVE = 1, NETDEF_VALIDATE = 2, NETDEF_FORMAT_INACTIVE = 1 };

/* Errors: -EILSEQ, -EBADMSG, -EPROTO, -ENOTSUP, -ENOMEM. */
int netdef_parse(struct netdef **out, const char *xml, size_t len, unsigned flags, struct err *e) ATTR_MUST_USE;
char *netdef_format(const struct netdef *d, unsigned flags) ATTR_MUST_USE;
void netdef_free(struct netdef *d);
struct netdef *netdef_copy(const struct netdef *d) ATTR_MUST_USE;

/* virNetworkUpdateCommand and virNetworkUpdateSection of call 291. parent: which <ip>, -1: the one that fits or the
 * first. d is as before after a failure. Errors: -EPERM (libvirt's OPERATION_INVALID: there is no such entry, or one
 * already), -ENOTSUP (section), -EBADMSG. */
enum { NETDEF_MODIFY = 1, NETDEF_DELETE = 2, NETDEF_ADD_LAST = 3, NETDEF_ADD_FIRST = 4 };
enum { NETDEF_DHCP_HOST = 4, NETDEF_DHCP_RANGE = 5, NETDEF_FORWARD_INTERFACE = 7, NETDEF_PORTGROUP = 9,
       NETDEF_DNS_HOST = 10, NETDEF_DNS_TXT = 11, NETDEF_DNS_SRV = 12 };
int netdef_update(struct netdef *d, unsigned command, unsigned section, int parent, const char *xml, struct err *e)
	ATTR_MUST_USE;

extern const struct xmap netdef_map;

#endif
