/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/network/netip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned address_bytes(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

/* -1: ones after zeros. */
static int mask_prefix(const char *netmask)
{
	struct in_addr a;
	uint32_t v;

	if (inet_pton(AF_INET, netmask, &a) != 1)
		return -1;
	v = ntohl(a.s_addr);
	if (~v & (~v + 1))
		return -1;
	return __builtin_popcount(v);
}

/* What an IPv4 address without mask or prefix had before there were masks; an IPv6 network has 64 bits. */
static unsigned dflt_prefix(const struct netip *ip)
{
	if (ip->family == AF_INET6)
		return 64;
	return ip->address[0] < 128 ? 8 : ip->address[0] < 192 ? 16 : 24;
}

static void fill_texts(struct netip *ip)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t mask = ip->prefix ? UINT32_MAX << (32 - (ip->prefix > 32 ? 32 : ip->prefix)) : 0;

	memcpy(ip->network, ip->address, sizeof(ip->network));
	for (unsigned bit = ip->prefix; bit < address_bytes(ip->family) * 8; bit++)
		ip->network[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
	inet_ntop(ip->family, ip->network, text, sizeof(text));
	snprintf(ip->network_text, sizeof(ip->network_text), "%s/%u", text, ip->prefix);
	mask = htonl(mask);
	if (ip->family == AF_INET)
		inet_ntop(AF_INET, &mask, ip->mask_text, sizeof(ip->mask_text));
}

int netip_parse(struct netip *out, const char *family, const char *address, const char *netmask, struct xnum prefix,
		struct err *e)
{
	int bits;

	*out = (struct netip){ .family = family && !strcmp(family, "ipv6") ? AF_INET6 : AF_INET };
	if (!address || inet_pton(out->family, address, out->address) != 1)
		return err_set(e, -EBADMSG, "Invalid address '%.60s' in the network's document",
			       address ? address : "");
	out->prefix = prefix.set ? (unsigned)prefix.v : dflt_prefix(out);
	if (netmask) {
		bits = out->family == AF_INET ? mask_prefix(netmask) : -1;
		if (bits < 0)
			return err_set(e, -EBADMSG, "Invalid netmask '%.60s' for address '%s'", netmask, address);
		out->prefix = (unsigned)bits;
	}
	if (out->prefix > address_bytes(out->family) * 8)
		return err_set(e, -EBADMSG, "Invalid prefix %u for address '%s'", out->prefix, address);
	fill_texts(out);
	return 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned bit = 0; bit < bits; bit++)
		if ((a[bit / 8] ^ b[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

bool netip_has(const struct netip *net, const char *address)
{
	uint8_t bytes[16];

	return inet_pton(net->family, address, bytes) == 1 && same_bits(bytes, net->network, net->prefix);
}

bool netip_overlap(const struct netip *a, const struct netip *b)
{
	return a->family == b->family &&
	       same_bits(a->network, b->network, a->prefix < b->prefix ? a->prefix : b->prefix);
}

/* Of IPv4 only, from /proc/net/route: "NAME DESTINATION GATEWAY FLAGS REFS USE METRIC MASK", numbers as they are in
 * memory. */
bool netip_in_use(const struct netip *net, char interface[16])
{
	struct netip other = { .family = AF_INET };
	char line[256];
	unsigned dest, mask;
	bool found = false;
	FILE *f = net->family == AF_INET ? fopen("/proc/self/net/route", "re") : NULL;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%15s %x %*x %*x %*d %*d %*d %x", interface, &dest, &mask) != 3 || !mask)
			continue;
		memcpy(other.network, &dest, sizeof(dest));
		other.prefix = (unsigned)__builtin_popcount(mask);
		found = netip_overlap(net, &other);
	}
	if (f)
		fclose(f);
	return found;
}

bool netdef_own_bridge(const struct netdef *d)
{
	return !d->forward || d->mode == NETDEF_NAT || d->mode == NETDEF_ROUTE || d->mode == NETDEF_OPEN;
}

bool netdef_dhcp(const struct netdef *d, int family)
{
	for (unsigned n = 0; n < d->ips.n; n++) {
		const struct netdef_ip *ip = d->ips.v[n];
		bool six = ip->family && !strcmp(ip->family, "ipv6");

		if (six == (family == AF_INET6) && (ip->ranges.n || ip->hosts.n))
			return true;
	}
	return false;
}

bool netip_plain(const char *text, const char *more)
{
	size_t len = text ? strlen(text) : 0;

	if (len < 1 || len > 255)
		return false;
	for (size_t n = 0; n < len; n++)
		if (!(text[n] >= 'a' && text[n] <= 'z') && !(text[n] >= 'A' && text[n] <= 'Z') &&
		    !(text[n] >= '0' && text[n] <= '9') && !strchr(more, text[n]))
			return false;
	return true;
}
