/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options are those of dnsmasq(8), a line each, without the dashes. */
#include "daemon/network/dnsmasq.h"

#include "daemon/network/netip.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char host_chars[] = "-._", id_chars[] = ":.-_", path_chars[] = "/-._+ ";

struct text {
	struct buf *b;
	struct err *e;
	int ret; /* the first failure */
};

static void line(struct text *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
static void line(struct text *t, const char *fmt, ...)
{
	char one[1024];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(one, sizeof(one), fmt, ap);
	va_end(ap);
	if (t->ret < 0)
		return;
	if (len >= (int)sizeof(one))
		t->ret = err_set(t->e, -EBADMSG, "an entry of the network's document is too long");
	else
		t->ret = buf_printf(t->b, "%s\n", one);
	if (t->ret == -ENOMEM || t->ret == -ENOSPC)
		err_set(t->e, t->ret, "out of memory");
}

/* False, with the failure noted: the text must not go into the file. */
static bool plain(struct text *t, const char *what, const char *value, const char *more)
{
	if (netip_plain(value, more))
		return true;
	if (t->ret == 0)
		t->ret = err_set(t->e, -EBADMSG, "%s '%.80s' has characters that it cannot have, or none", what,
				 value ? value : "");
	return false;
}

/* An address goes in as the parser of addresses writes it. */
static bool address(struct text *t, const char *value, char out[INET6_ADDRSTRLEN])
{
	uint8_t bytes[16];
	int family = value && strchr(value, ':') ? AF_INET6 : AF_INET;

	if (value && inet_pton(family, value, bytes) == 1)
		return inet_ntop(family, bytes, out, INET6_ADDRSTRLEN);
	if (t->ret == 0)
		t->ret = err_set(t->e, -EBADMSG, "Invalid IP address '%.60s' in the network's document",
				 value ? value : "");
	return false;
}

/* ---- leases' times ---- */

/* The value of an attribute in an element that was kept as text; 0: it is not there. */
static size_t raw_attribute(const char *text, const char *name, char *out, size_t size)
{
	char wanted[32];
	const char *at;
	size_t len;

	snprintf(wanted, sizeof(wanted), " %s=", name);
	at = strstr(text, wanted);
	if (!at)
		return 0;
	at += strlen(wanted);
	if (*at != '\'' && *at != '"')
		return 0;
	len = strcspn(at + 1, "'\"");
	snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), at + 1);
	return len;
}

/* ",SECONDS", ",infinite", or nothing: dnsmasq's hour. */
static void lease_time(struct text *t, const void *leases, char out[32])
{
	const struct xlist *l = leases;
	char expiry[24], unit[16] = "minutes", *end;
	unsigned long long v, scale;

	out[0] = 0;
	if (!l->n || !raw_attribute(((struct xraw *)l->v[0])->text, "expiry", expiry, sizeof(expiry)))
		return;
	raw_attribute(((struct xraw *)l->v[0])->text, "unit", unit, sizeof(unit));
	scale = !strcmp(unit, "seconds") ? 1 : !strcmp(unit, "minutes") ? 60 : !strcmp(unit, "hours") ? 3600 : 0;
	errno = 0;
	v = strtoull(expiry, &end, 10);
	if (*end || errno || expiry[0] == '-' || !scale || v > UINT32_MAX / scale || (v && v * scale < 120)) {
		if (t->ret == 0)
			t->ret = err_set(t->e, -EBADMSG,
					 "a lease of %.20s %.20s is not possible; 0 (for ever) and 2 minutes to 136 "
					 "years are, in seconds, minutes or hours",
					 expiry, unit);
		return;
	}
	if (v)
		snprintf(out, 32, ",%llu", v * scale);
	else
		snprintf(out, 32, ",infinite");
}

/* ---- DHCP ---- */

static void put_range(struct text *t, const struct netip *ip, const struct netdef_range *r)
{
	char start[INET6_ADDRSTRLEN], end[INET6_ADDRSTRLEN], lease[32];

	if (!address(t, r->start, start) || !address(t, r->end, end))
		return;
	if (!netip_has(ip, start) || !netip_has(ip, end)) {
		if (t->ret == 0)
			t->ret = err_set(t->e, -EBADMSG, "range %s - %s is not entirely within network %s", start,
					 end, ip->network_text);
		return;
	}
	lease_time(t, &r->lease, lease);
	if (ip->family == AF_INET6)
		line(t, "dhcp-range=%s,%s,%u%s", start, end, ip->prefix, lease);
	else
		line(t, "dhcp-range=%s,%s,%s%s", start, end, ip->mask_text, lease);
}

static void put_host(struct text *t, const struct netdef_host *h)
{
	char ip[INET6_ADDRSTRLEN], lease[32], parts[512];
	int len = 0;

	if ((h->id && !plain(t, "the id of a dhcp host", h->id, id_chars)) ||
	    (h->mac && !plain(t, "the address of a dhcp host", h->mac, id_chars)) ||
	    (h->name && !plain(t, "the name of a dhcp host", h->name, host_chars)) ||
	    (h->ip && !address(t, h->ip, ip)))
		return;
	if (h->mac)
		len = snprintf(parts, sizeof(parts), "%s", h->mac);
	else if (h->id)
		len = snprintf(parts, sizeof(parts), "id:%s", h->id);
	else if (h->name)
		len = snprintf(parts, sizeof(parts), "%s", h->name);
	else if (t->ret == 0)
		t->ret = err_set(t->e, -EBADMSG, "Missing a MAC address, a client id or a name in a dhcp <host>");
	if (t->ret < 0 || len >= (int)sizeof(parts))
		return;
	lease_time(t, &h->lease, lease);
	line(t, "dhcp-host=%s%s%s%s%s%s%s%s", parts, h->ip ? "," : "", h->ip && strchr(ip, ':') ? "[" : "",
	     h->ip ? ip : "", h->ip && strchr(ip, ':') ? "]" : "", h->mac && h->name ? "," : "",
	     h->mac && h->name ? h->name : "", lease);
}

static void put_boot(struct text *t, const struct netdef_ip *ip)
{
	if (ip->tftp && plain(t, "the root of <tftp>", ip->tftp, path_chars)) {
		line(t, "enable-tftp");
		line(t, "tftp-root=%s", ip->tftp);
	}
	if (!ip->boot_file || !plain(t, "the file of <bootp>", ip->boot_file, "/-._+:"))
		return;
	if (!ip->boot_server)
		line(t, "dhcp-boot=%s", ip->boot_file);
	else if (plain(t, "the server of <bootp>", ip->boot_server, host_chars))
		line(t, "dhcp-boot=%s,,%s", ip->boot_file, ip->boot_server);
}

/* How many may have a lease at once: all of the ranges and hosts. */
static uint64_t count_leases(const struct netdef *d)
{
	uint64_t count = 0;

	for (unsigned n = 0; n < d->ips.n; n++) {
		const struct netdef_ip *ip = d->ips.v[n];

		count += ip->hosts.n;
		for (unsigned m = 0; m < ip->ranges.n; m++) {
			struct in_addr start, end;

			if (inet_pton(AF_INET, ip->ranges.v[m]->start, &start) == 1 &&
			    inet_pton(AF_INET, ip->ranges.v[m]->end, &end) == 1)
				count += (uint64_t)ntohl(end.s_addr) - ntohl(start.s_addr) + 1;
			else
				count += 1000;
		}
	}
	return count > 100000 ? 100000 : count;
}

static void put_ip(struct text *t, const struct netdef_ip *d)
{
	struct netip ip;
	int ret = netip_of(&ip, d, t->ret == 0 ? t->e : NULL);

	if (ret < 0) {
		t->ret = t->ret < 0 ? t->ret : ret;
		return;
	}
	for (unsigned n = 0; n < d->ranges.n; n++)
		put_range(t, &ip, d->ranges.v[n]);
	if (!d->ranges.n && d->hosts.n) {
		if (ip.family == AF_INET6)
			line(t, "dhcp-range=%s,static,%u", d->address, ip.prefix);
		else
			line(t, "dhcp-range=%s,static,%s", d->address, ip.mask_text);
	} else if (!d->ranges.n && ip.family == AF_INET6) {
		line(t, "dhcp-range=%s,ra-only", d->address);
	}
	for (unsigned n = 0; n < d->hosts.n; n++)
		put_host(t, d->hosts.v[n]);
	put_boot(t, d);
	if (!d->local_ptr || strcmp(d->local_ptr, "yes"))
		return;
	if (ip.family != AF_INET || (ip.prefix != 8 && ip.prefix != 16 && ip.prefix != 24)) {
		if (t->ret == 0)
			t->ret = err_set(t->e, -ENOTSUP, "localPtr is possible with IPv4 prefixes of 8, 16 and 24");
		return;
	}
	if (ip.prefix == 8)
		line(t, "local=/%u.in-addr.arpa/", ip.network[0]);
	else if (ip.prefix == 16)
		line(t, "local=/%u.%u.in-addr.arpa/", ip.network[1], ip.network[0]);
	else
		line(t, "local=/%u.%u.%u.in-addr.arpa/", ip.network[2], ip.network[1], ip.network[0]);
}

static void put_dhcp(struct text *t, const struct netdef *d)
{
	bool six = false;

	for (unsigned n = 0; n < d->ips.n; n++) {
		put_ip(t, d->ips.v[n]);
		six |= d->ips.v[n]->family && !strcmp(d->ips.v[n]->family, "ipv6");
	}
	if (six)
		line(t, "enable-ra");
	if (!netdef_dhcp(d, AF_INET) && !netdef_dhcp(d, AF_INET6))
		return;
	line(t, "dhcp-authoritative");
	line(t, "dhcp-no-override");
	line(t, "dhcp-lease-max=%llu", (unsigned long long)count_leases(d));
	if (!d->forward) /* there is no way out: no router, so that a guest's other network is its way */
		line(t, "dhcp-option=3");
	if (d->mtu.set)
		line(t, "dhcp-option=option:mtu,%llu", (unsigned long long)d->mtu.v);
}

/* ---- DNS ---- */

static void put_dns_host(struct text *t, const struct netdef_dns_host *h)
{
	char ip[INET6_ADDRSTRLEN];

	if (!address(t, h->ip, ip))
		return;
	for (unsigned n = 0; n < h->names.n; n++)
		if (plain(t, "a <hostname>", h->names.v[n]->text, host_chars))
			line(t, "host-record=%s,%s", h->names.v[n]->text, ip);
}

static void put_txt(struct text *t, const struct netdef_dns_txt *x)
{
	const char *value = x->value ? x->value : "";

	if (!plain(t, "the name of a <txt>", x->name, host_chars))
		return;
	for (const char *p = value; *p; p++)
		if ((uint8_t)*p < ' ' || *p == '"' || *p == '\\' || *p == 127) {
			t->ret = t->ret < 0 ? t->ret :
				err_set(t->e, -EBADMSG, "the value of <txt> '%s' has a quote, a backslash or a "
					"control character", x->name);
			return;
		}
	line(t, "txt-record=%s,\"%s\"", x->name, value);
}

static void put_srv(struct text *t, const struct netdef_dns_srv *s)
{
	if (!plain(t, "the service of a <srv>", s->service, "-_") ||
	    !plain(t, "the protocol of a <srv>", s->protocol, "-_") ||
	    (s->domain && !plain(t, "the domain of a <srv>", s->domain, host_chars)) ||
	    (s->target && !plain(t, "the target of a <srv>", s->target, host_chars)))
		return;
	line(t, "srv-host=_%s._%s%s%s,%s,%llu,%llu,%llu", s->service, s->protocol, s->domain ? "." : "",
	     s->domain ? s->domain : "", s->target ? s->target : "", (unsigned long long)(s->port.set ? s->port.v : 1),
	     (unsigned long long)s->priority.v, (unsigned long long)s->weight.v);
}

/* Whether anything but the host's name servers is asked. */
static bool put_forwarders(struct text *t, const struct netdef *d)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool all = false;

	for (unsigned n = 0; n < d->forwarders.n; n++) {
		const struct netdef_forwarder *f = d->forwarders.v[n];

		if ((f->domain && !plain(t, "the domain of a <forwarder>", f->domain, host_chars)) ||
		    (f->addr && !address(t, f->addr, ip)))
			continue;
		if (f->domain)
			line(t, "server=/%s/%s", f->domain, f->addr ? ip : "#");
		else if (f->addr)
			line(t, "server=%s", ip);
		all |= !f->domain;
	}
	return all;
}

static void put_dns(struct text *t, const struct netdef *d)
{
	if (d->dns_enable && !strcmp(d->dns_enable, "no")) {
		line(t, "port=0");
		return;
	}
	if (put_forwarders(t, d) || !d->forward)
		line(t, "no-resolv");
	if (d->dns_forward_plain && !strcmp(d->dns_forward_plain, "no")) {
		line(t, "domain-needed");
		line(t, "local=//");
	}
	for (unsigned n = 0; n < d->dns_hosts.n; n++)
		put_dns_host(t, d->dns_hosts.v[n]);
	for (unsigned n = 0; n < d->txts.n; n++)
		put_txt(t, d->txts.v[n]);
	for (unsigned n = 0; n < d->srvs.n; n++)
		put_srv(t, d->srvs.v[n]);
}

/* ---- the file ---- */

bool dnsmasq_wanted(const struct netdef *d)
{
	return netdef_own_bridge(d) && d->ips.n > 0;
}

int dnsmasq_text(struct buf *b, const struct netdef *d, const char *dir, struct err *e)
{
	struct text t = { .b = b, .e = e };

	line(&t, "# Written by panald at each start of the network: changes are lost; virsh net-edit makes them.");
	if (plain(&t, "the name of the bridge", d->bridge, "-._"))
		line(&t, "interface=%s", d->bridge);
	line(&t, "except-interface=lo");
	line(&t, "bind-dynamic");
	line(&t, "keep-in-foreground");
	line(&t, "no-hosts");
	line(&t, "pid-file=%s/dnsmasq.pid", dir);
	line(&t, "dhcp-leasefile=%s/leases", dir);
	line(&t, "log-facility=-");
	line(&t, "quiet-dhcp");
	line(&t, "quiet-dhcp6");
	line(&t, "quiet-ra");
	if (d->domain && plain(&t, "the name of the <domain>", d->domain, host_chars)) {
		line(&t, "domain=%s", d->domain);
		line(&t, "expand-hosts");
		if (d->local_only && !strcmp(d->local_only, "yes"))
			line(&t, "local=/%s/", d->domain);
	}
	put_dns(&t, d);
	put_dhcp(&t, d);
	return t.ret;
}
