/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text for nft(8), and what nft says of other tables as JSON (libnftables-json(5)). */
#include "daemon/network/firewall.h"

#include "daemon/network/child.h"
#include "daemon/network/netip.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCRIPT_MAX = 256 << 10 };

/* ---- our table ---- */

struct script {
	struct buf *b;
	int ret;
};

static void add(struct script *s, const char *fmt, ...) ATTR_PRINTF(2, 3);
static void add(struct script *s, const char *fmt, ...)
{
	char one[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(one, sizeof(one), fmt, ap);
	va_end(ap);
	if (s->ret == 0)
		s->ret = buf_printf(s->b, "%s\n", one);
}

/* What the guests ask of the host itself: addresses and names. */
static void put_input(struct script *s, const char *bridge)
{
	add(s, "\tchain input {");
	add(s, "\t\ttype filter hook input priority filter; policy accept;");
	add(s, "\t\tiifname \"%s\" udp dport { 53, 67, 69, 547 } accept", bridge);
	add(s, "\t\tiifname \"%s\" tcp dport 53 accept", bridge);
	add(s, "\t}");
}

/* One address range of the network: what may come in, what may go out. */
static void put_ways(struct script *s, const struct netdef *d, const struct netip *ip)
{
	const char *word = ip->family == AF_INET6 ? "ip6" : "ip", *bridge = d->bridge;
	bool nat = d->mode == NETDEF_NAT &&
		   (ip->family == AF_INET || (d->nat_ipv6 && !strcmp(d->nat_ipv6, "yes")));
	char in[40] = "", out[40] = "";

	if (d->forward_dev) {
		snprintf(in, sizeof(in), "iifname \"%s\" ", d->forward_dev);
		snprintf(out, sizeof(out), "oifname \"%s\" ", d->forward_dev);
	}
	add(s, "\t\t%soifname \"%s\" %s daddr %s %saccept", in, bridge, word, ip->network_text,
	    nat ? "ct state established,related " : "");
	add(s, "\t\tiifname \"%s\" %s%s saddr %s accept", bridge, out, word, ip->network_text);
}

static void put_forward(struct script *s, const struct netdef *d, const struct netip *ips)
{
	add(s, "\tchain forward {");
	add(s, "\t\ttype filter hook forward priority filter; policy accept;");
	add(s, "\t\tiifname \"%s\" oifname \"%s\" accept", d->bridge, d->bridge);
	for (unsigned n = 0; d->forward && n < d->ips.n; n++)
		put_ways(s, d, &ips[n]);
	for (unsigned n = 0; d->forward && n < d->routes.n; n++) {
		const struct netdef_route *r = d->routes.v[n];
		struct netip ip;

		if (netip_parse(&ip, r->family, r->address, r->netmask, r->prefix, NULL) == 0)
			put_ways(s, d, &ip);
	}
	add(s, "\t\toifname \"%s\" reject", d->bridge);
	add(s, "\t\tiifname \"%s\" reject", d->bridge);
	add(s, "\t}");
}

static void put_masquerade(struct script *s, const struct netdef *d, const struct netip *ip)
{
	const char *word = ip->family == AF_INET6 ? "ip6" : "ip", *net = ip->network_text;
	char to[2 * INET6_ADDRSTRLEN + 16] = "masquerade", ports[32] = "", out[40] = "";

	if (d->forward_dev)
		snprintf(out, sizeof(out), "oifname \"%s\" ", d->forward_dev);
	if (d->nat_start && ip->family == AF_INET)
		snprintf(to, sizeof(to), "snat %s to %s%s%s", word, d->nat_start, d->nat_end ? "-" : "",
			 d->nat_end ? d->nat_end : "");
	if (d->nat_port_start.set && d->nat_port_end.set)
		snprintf(ports, sizeof(ports), "%s:%u-%u", d->nat_start && ip->family == AF_INET ? "" : " to ",
			 (unsigned)d->nat_port_start.v, (unsigned)d->nat_port_end.v);
	/* Multicast and broadcast stay in the network. */
	if (ip->family == AF_INET)
		add(s, "\t\tip saddr %s ip daddr { 224.0.0.0/24, 255.255.255.255 } return", net);
	else
		add(s, "\t\tip6 saddr %s ip6 daddr ff00::/8 return", net);
	if (*ports)
		add(s, "\t\t%smeta l4proto { tcp, udp } %s saddr %s %s daddr != %s %s%s", out, word, net, word, net,
		    to, ports);
	add(s, "\t\t%s%s saddr %s %s daddr != %s %s", out, word, net, word, net, to);
}

static void put_nat(struct script *s, const struct netdef *d, const struct netip *ips)
{
	add(s, "\tchain postrouting {");
	add(s, "\t\ttype nat hook postrouting priority srcnat; policy accept;");
	for (unsigned n = 0; n < d->ips.n; n++)
		if (ips[n].family == AF_INET || (d->nat_ipv6 && !strcmp(d->nat_ipv6, "yes")))
			put_masquerade(s, d, &ips[n]);
	add(s, "\t}");
}

static int check(const struct netdef *d, struct err *e)
{
	uint8_t bytes[4];

	if (!netip_plain(d->bridge, "-._"))
		return err_set(e, -EBADMSG, "the bridge's name '%.20s' has characters that are not possible here",
			       d->bridge ? d->bridge : "");
	if (d->forward_dev && (!netip_plain(d->forward_dev, "-._@") || strlen(d->forward_dev) > 15))
		return err_set(e, -EBADMSG, "'%.60s' is no name of a network interface", d->forward_dev);
	if ((d->nat_start && inet_pton(AF_INET, d->nat_start, bytes) != 1) ||
	    (d->nat_end && inet_pton(AF_INET, d->nat_end, bytes) != 1))
		return err_set(e, -EBADMSG, "Bad address range of <nat>");
	if (d->nat_port_start.set &&
	    (d->nat_port_start.v > 65535 || !d->nat_port_end.set || d->nat_port_end.v > 65535 ||
	     d->nat_port_start.v > d->nat_port_end.v))
		return err_set(e, -EBADMSG, "Bad port range of <nat>: 0 to 65535, the first before the last");
	return 0;
}

int firewall_text(struct buf *b, const struct netdef *d, struct err *e)
{
	struct script s = { .b = b, .ret = check(d, e) };
	struct netip *ips = calloc(d->ips.n + 1, sizeof(*ips));

	if (!ips)
		return err_set(e, -ENOMEM, "out of memory");
	for (unsigned n = 0; s.ret == 0 && n < d->ips.n; n++)
		s.ret = netip_of(&ips[n], d->ips.v[n], e);
	if (s.ret < 0) {
		free(ips);
		return s.ret;
	}
	/* The first line makes sure that there is something for the second to delete. */
	add(&s, "table inet panal-%s", d->bridge);
	add(&s, "delete table inet panal-%s", d->bridge);
	if (d->mode != NETDEF_OPEN || !d->forward) {
		add(&s, "table inet panal-%s {", d->bridge);
		put_input(&s, d->bridge);
		put_forward(&s, d, ips);
		if (d->forward && d->mode == NETDEF_NAT)
			put_nat(&s, d, ips);
		add(&s, "}");
	}
	free(ips);
	return s.ret < 0 ? err_set(e, s.ret, "out of memory") : 0;
}

/* ---- tables of others ---- */

static const char *string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

struct foreign {
	bool docker, forward_drops, input_drops;
};

static void see_chain(struct foreign *f, const json_t *chain)
{
	const char *name = string(chain, "name");
	bool drops = !strcmp(string(chain, "policy"), "drop");

	f->docker |= !strcmp(name, "DOCKER-USER");
	f->forward_drops |= !strcmp(name, "FORWARD") && drops;
	f->input_drops |= !strcmp(name, "INPUT") && drops;
}

static void drop_rule(struct script *s, const json_t *rule, const char *family, const char *mark)
{
	const json_t *handle = json_object_get(rule, "handle");
	const char *chain = string(rule, "chain");

	if (strcmp(string(rule, "comment"), mark) || !json_is_integer(handle) || !netip_plain(chain, "-_."))
		return;
	add(s, "delete rule %s filter %s handle %lld", family, chain, (long long)json_integer_value(handle));
}

/* Matches that iptables-nft can show: its users' tools refuse a chain with others. */
static void put_foreign(struct script *s, const struct foreign *f, const char *family, const char *bridge,
			const char *mark, bool forwarded)
{
	static const char *const asked[] = {"udp dport 67", "udp dport 547", "udp dport 53", "tcp dport 53"};
	const char *chain = f->docker ? "DOCKER-USER" : "FORWARD";

	if (forwarded && (f->docker || f->forward_drops)) {
		add(s, "insert rule %s filter %s oifname \"%s\" counter accept comment \"%s\"", family, chain, bridge,
		    mark);
		add(s, "insert rule %s filter %s iifname \"%s\" counter accept comment \"%s\"", family, chain, bridge,
		    mark);
	}
	for (unsigned n = 0; f->input_drops && n < COUNT_OF(asked); n++)
		add(s, "insert rule %s filter INPUT iifname \"%s\" %s counter accept comment \"%s\"", family, bridge,
		    asked[n], mark);
}

int firewall_foreign_text(struct buf *b, const char *listing, size_t len, const char *family, const char *bridge,
			  enum firewall_use use)
{
	json_t *root = json_loadb(listing, len, 0, NULL), *all = json_object_get(root, "nftables"), *item;
	struct script s = { .b = b };
	struct foreign f = { 0 };
	char mark[40];
	size_t n;

	snprintf(mark, sizeof(mark), "panal:%.20s", bridge);
	json_array_foreach(all, n, item) {
		if (json_object_get(item, "chain"))
			see_chain(&f, json_object_get(item, "chain"));
		if (json_object_get(item, "rule"))
			drop_rule(&s, json_object_get(item, "rule"), family, mark);
	}
	if (use != FIREWALL_GONE)
		put_foreign(&s, &f, family, bridge, mark, use == FIREWALL_FORWARDED);
	json_decref(root);
	return s.ret;
}

bool firewall_in_order(const char *listing, size_t len, const char *bridge)
{
	json_t *root = json_loadb(listing, len, 0, NULL), *all = json_object_get(root, "nftables"), *item;
	struct foreign f = { 0 };
	bool ours = false;
	char table[40];
	size_t n;

	snprintf(table, sizeof(table), "panal-%.20s", bridge);
	json_array_foreach(all, n, item) {
		const json_t *chain = json_object_get(item, "chain");

		if (chain && !strcmp(string(chain, "table"), "filter"))
			see_chain(&f, chain);
		ours |= chain && !strcmp(string(chain, "table"), table);
	}
	json_decref(root);
	return ours && !f.docker && !f.forward_drops && !f.input_drops;
}

/* ---- doing ---- */

static int foreign(struct buf *b, const char *family, const char *bridge, enum firewall_use use)
{
	const char *const argv[] = {"nft", "-j", "-a", "list", "table", family, "filter", NULL};
	char *listing = NULL;
	size_t len = 0;
	int ret = 0;

	/* A host without such a table is the usual case. */
	if (child_run(argv, "", 0, &listing, &len, NULL) == 0)
		ret = firewall_foreign_text(b, listing, len, family, bridge, use);
	free(listing);
	return ret;
}

static int run(const struct buf *b, struct err *e)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};

	return child_run(argv, b->data, b->len, NULL, NULL, e);
}

static bool has_ipv6(const struct netdef *d)
{
	for (unsigned n = 0; n < d->ips.n; n++)
		if (d->ips.v[n]->family && !strcmp(d->ips.v[n]->family, "ipv6"))
			return true;
	return false;
}

int firewall_apply(const struct netdef *d, struct err *e)
{
	enum firewall_use use = d->forward ? FIREWALL_FORWARDED : FIREWALL_ISOLATED;
	struct buf b;
	int ret;

	buf_init(&b, SCRIPT_MAX);
	ret = firewall_text(&b, d, e);
	if (ret == 0)
		ret = foreign(&b, "ip", d->bridge, use);
	if (ret == 0 && has_ipv6(d))
		ret = foreign(&b, "ip6", d->bridge, use);
	if (ret == 0)
		ret = run(&b, e);
	buf_free(&b);
	return ret < 0 && e ? err_wrap(e, "the firewall rules of bridge %s", d->bridge) : ret;
}

int firewall_refresh(const struct netdef *d, struct err *e)
{
	static const char *const argv[] = {"nft", "-j", "list", "chains", NULL};
	char *listing = NULL;
	size_t len = 0;
	bool fine = child_run(argv, "", 0, &listing, &len, NULL) == 0 && firewall_in_order(listing, len, d->bridge);

	free(listing);
	return fine ? 0 : firewall_apply(d, e);
}

int firewall_remove(const char *bridge, struct err *e)
{
	struct buf b;
	int ret;

	if (!netip_plain(bridge, "-._"))
		return 0;
	buf_init(&b, SCRIPT_MAX);
	ret = buf_printf(&b, "table inet panal-%s\ndelete table inet panal-%s\n", bridge, bridge);
	if (ret == 0)
		ret = foreign(&b, "ip", bridge, FIREWALL_GONE);
	if (ret == 0)
		ret = foreign(&b, "ip6", bridge, FIREWALL_GONE);
	if (ret == 0)
		ret = run(&b, e);
	buf_free(&b);
	return ret < 0 && e ? err_wrap(e, "removing the firewall rules of bridge %s", bridge) : ret;
}
