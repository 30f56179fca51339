/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The addresses of a network's document as bytes, and checks of texts that go into other programs' configuration. */
#ifndef PANAL_DAEMON_NETWORK_NETIP_H
#define PANAL_DAEMON_NETWORK_NETIP_H

#include "daemon/xml/netdef.h"

#include <arpa/inet.h>

struct netip {
	int family; /* AF_INET, AF_INET6 */
	unsigned prefix;
	uint8_t address[16], network[16];          /* 4 or 16 bytes of them */
	char network_text[INET6_ADDRSTRLEN + 4];   /* "192.168.122.0/24" */
	char mask_text[INET_ADDRSTRLEN];           /* of IPv4 */
};

/* Of an <ip> or, by its parts, of a <route>. Errors: -EBADMSG. */
int netip_parse(struct netip *out, const char *family, const char *address, const char *netmask, struct xnum prefix,
		struct err *e) ATTR_MUST_USE;
static inline int netip_of(struct netip *out, const struct netdef_ip *ip, struct err *e)
{
	return netip_parse(out, ip->family, ip->address, ip->netmask, ip->prefix, e);
}
bool netip_has(const struct netip *net, const char *address);
bool netip_overlap(const struct netip *a, const struct netip *b);

/* Whether the network is one that the daemon makes a bridge for: NAT, routed, open or isolated. */
bool netdef_own_bridge(const struct netdef *d);
/* Whether some <ip> of the family gives addresses by DHCP. */
bool netdef_dhcp(const struct netdef *d, int family);

/* The interface that the host reaches some of these addresses by already; false: none, but for its default route. */
bool netip_in_use(const struct netip *net, char interface[16]);

/* Only letters, digits and `more`; not empty, at most 255 bytes. */
bool netip_plain(const char *text, const char *more);

#endif
