/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What networks tell dnsmasq and nft, what they read of its leases. tests/interop/network.py has it done. */
#include "daemon/network/dnsmasq.h"
#include "daemon/network/firewall.h"
#include "daemon/network/lease.h"
#include "daemon/network/netip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BRIDGE "<bridge name='virbr7'/>"
#define NAT "<network><name>n</name><forward mode='nat'/>" BRIDGE
#define IP "<ip address='192.168.7.1' netmask='255.255.255.0'>"

typedef int (*text_fn)(struct buf *b, const struct netdef *d, struct err *e);

static int dns(struct buf *b, const struct netdef *d, struct err *e)
{
	return dnsmasq_text(b, d, "/run/x", e);
}

/* The text of a document; the caller frees. NULL: failed, with *ret. */
static char *make(const char *xml, text_fn f, int *ret, struct err *e)
{
	struct netdef *d;
	struct buf b;

	buf_init(&b, 1 << 20);
	*ret = netdef_parse(&d, xml, strlen(xml), 0, e);
	assert_int_equal(*ret, 0);
	*ret = f(&b, d, e);
	netdef_free(d);
	assert_int_equal(buf_append_byte(&b, 0), 0);
	if (*ret == 0)
		return (char *)b.data;
	buf_free(&b);
	return NULL;
}

/* Lines that must be there and, after a "!", lines that must not. */
static void has(const char *xml, text_fn f, const char *const lines[])
{
	struct err e = { 0 };
	int ret;
	char *text = make(xml, f, &ret, &e), line[256];

	if (!text)
		fail_msg("%s", e.text);
	for (; *lines; lines++) {
		bool want = **lines != '!';

		snprintf(line, sizeof(line), "%s\n", *lines + !want);
		if ((strstr(text, line) != NULL) != want)
			fail_msg("%s: %s", *lines, text);
	}
	free(text);
}

static void refuses(const char *xml, text_fn f, const char *words)
{
	struct err e = { 0 };
	int ret;
	char *text = make(xml, f, &ret, &e);

	assert_null(text);
	assert_true(ret < 0);
	if (!strstr(e.text, words))
		fail_msg("%s instead of %s", e.text, words);
}

/* ---- dnsmasq ---- */

static void dhcp(void **state)
{
	has(NAT IP "<dhcp><range start='192.168.7.2' end='192.168.7.254'/>"
		   "<host mac='52:54:00:00:00:01' name='a.b' ip='192.168.7.9'><lease expiry='2' unit='hours'/></host>"
		   "<host name='c' ip='192.168.7.8'/></dhcp></ip></network>",
	    dns,
	    (const char *[]){"interface=virbr7", "bind-dynamic", "except-interface=lo",
			     "dhcp-range=192.168.7.2,192.168.7.254,255.255.255.0",
			     "dhcp-host=52:54:00:00:00:01,192.168.7.9,a.b,7200", "dhcp-host=c,192.168.7.8",
			     "dhcp-leasefile=/run/x/leases", "!dhcp-option=3", "!no-resolv", "!enable-ra", NULL});
	/* Only hosts that are named, in a network without a way out, for ever, with a larger frame. */
	has("<network><name>n</name>" BRIDGE "<mtu size='9000'/>" IP
	    "<dhcp><host mac='52:54:00:00:00:01' ip='192.168.7.9'><lease expiry='0'/></host></dhcp></ip></network>",
	    dns,
	    (const char *[]){"dhcp-range=192.168.7.1,static,255.255.255.0",
			     "dhcp-host=52:54:00:00:00:01,192.168.7.9,infinite", "dhcp-option=3", "no-resolv",
			     "dhcp-option=option:mtu,9000", NULL});
	has(NAT "<ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><range start='fd00:7::100' end='fd00:7::1ff'/>"
		"<host id='0:1:2' name='six' ip='fd00:7::9'/></dhcp></ip></network>",
	    dns,
	    (const char *[]){"dhcp-range=fd00:7::100,fd00:7::1ff,64", "dhcp-host=id:0:1:2,[fd00:7::9]", "enable-ra",
			     NULL});
	has(NAT IP "<tftp root='/srv/tftp'/><dhcp><range start='192.168.7.2' end='192.168.7.3'/>"
		   "<bootp file='ipxe.0' server='10.0.0.1'/></dhcp></ip></network>",
	    dns,
	    (const char *[]){"enable-tftp", "tftp-root=/srv/tftp", "dhcp-boot=ipxe.0,,10.0.0.1", NULL});
}

static void names(void **state)
{
	has(NAT "<domain name='lab.example' localOnly='yes'/><dns forwardPlainNames='no'>"
		"<forwarder domain='corp.example' addr='10.1.1.1'/><forwarder addr='9.9.9.9'/>"
		"<txt name='t.example' value='v=1, two'/><host ip='192.168.7.4'><hostname>four</hostname>"
		"<hostname>vier</hostname></host>"
		"<srv service='ldap' protocol='tcp' domain='lab.example' target='four' port='389' priority='1'/>"
		"</dns>" IP
		"</ip></network>",
	    dns,
	    (const char *[]){"domain=lab.example", "expand-hosts", "local=/lab.example/",
			     "server=/corp.example/10.1.1.1", "server=9.9.9.9", "no-resolv", "domain-needed",
			     "local=//", "txt-record=t.example,\"v=1, two\"", "host-record=four,192.168.7.4",
			     "host-record=vier,192.168.7.4",
			     "srv-host=_ldap._tcp.lab.example,four,389,1,0", NULL});
	has(NAT "<dns enable='no'/>" IP "</ip></network>", dns, (const char *[]){"port=0", NULL});
	has(NAT "<ip address='192.168.7.1' prefix='24' localPtr='yes'/></network>", dns,
	    (const char *[]){"local=/7.168.192.in-addr.arpa/", NULL});
}

/* Nothing of a document becomes a line, or a field, of its own. */
static void foreign_characters(void **state)
{
	static const struct {
		const char *xml, *words;
	} bad[] = {
		{NAT IP "<dhcp><host mac='52:54:00:00:00:01' name='a&#10;conf-dir=/x'/></dhcp></ip></network>", "name"},
		{NAT IP "<dhcp><host mac='52:54:00:00:00:01' name='a,b'/></dhcp></ip></network>", "name"},
		{NAT IP "<dhcp><host id='x&#10;y' ip='192.168.7.2'/></dhcp></ip></network>", "id"},
		{NAT IP "<dhcp><host ip='192.168.7.2'/></dhcp></ip></network>", "Missing"},
		{NAT IP "<tftp root='/a&#10;conf-file=/b'/></ip></network>", "tftp"},
		{NAT IP "<dhcp><bootp file='a,b'/></dhcp></ip></network>", "bootp"},
		{NAT "<domain name='a/b'/>" IP "</ip></network>", "domain"},
		{NAT "<dns><txt name='t' value='a&quot;b'/></dns>" IP "</ip></network>", "txt"},
		{NAT "<dns><forwarder addr='1.2.3.4@lo'/></dns>" IP "</ip></network>", "Invalid IP"},
		{NAT "<dns><host ip='1.2.3.4'><hostname>a b</hostname></host></dns>" IP "</ip></network>",
		 "hostname"},
		{NAT IP "<dhcp><range start='192.168.8.2' end='192.168.8.9'/></dhcp></ip></network>", "entirely"},
		{NAT IP "<dhcp><range start='192.168.7.2' end='192.168.7.9'><lease expiry='1'/></range></dhcp>"
			"</ip></network>", "2 minutes"},
		{"<network><name>n</name><bridge name='a;b'/>" IP "</ip></network>", "bridge"},
	};

	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		refuses(bad[n].xml, dns, bad[n].words);
}

/* ---- nft ---- */

static void rules(void **state)
{
	has(NAT IP "</ip></network>", firewall_text,
	    (const char *[]){"table inet panal-virbr7", "delete table inet panal-virbr7",
			     "\t\toifname \"virbr7\" ip daddr 192.168.7.0/24 ct state established,related accept",
			     "\t\tiifname \"virbr7\" ip saddr 192.168.7.0/24 accept", "\t\toifname \"virbr7\" reject",
			     "\t\tip saddr 192.168.7.0/24 ip daddr != 192.168.7.0/24 masquerade", NULL});
	has("<network><name>n</name>" BRIDGE IP "</ip></network>", firewall_text,
	    (const char *[]){"\t\tiifname \"virbr7\" oifname \"virbr7\" accept", "\t\tiifname \"virbr7\" reject",
			     "!\t\tiifname \"virbr7\" ip saddr 192.168.7.0/24 accept", "!\tchain postrouting {", NULL});
	has("<network><name>n</name><forward mode='route' dev='eth1'/>" BRIDGE IP "</ip></network>", firewall_text,
	    (const char *[]){"\t\tiifname \"eth1\" oifname \"virbr7\" ip daddr 192.168.7.0/24 accept",
			     "\t\tiifname \"virbr7\" oifname \"eth1\" ip saddr 192.168.7.0/24 accept",
			     "!\tchain postrouting {", NULL});
	has("<network><name>n</name><forward mode='open'/>" BRIDGE IP "</ip></network>", firewall_text,
	    (const char *[]){"delete table inet panal-virbr7", "!table inet panal-virbr7 {", NULL});
	has("<network><name>n</name><forward mode='nat'><nat ipv6='yes'><address start='10.0.0.1' end='10.0.0.9'/>"
	    "<port start='500' end='1000'/></nat></forward>" BRIDGE IP
	    "</ip><ip family='ipv6' address='fd00:7::1' prefix='64'/></network>",
	    firewall_text,
	    (const char *[]){"\t\tip saddr 192.168.7.0/24 ip daddr != 192.168.7.0/24 snat ip to 10.0.0.1-10.0.0.9",
			     "\t\tmeta l4proto { tcp, udp } ip saddr 192.168.7.0/24 ip daddr != 192.168.7.0/24 snat "
			     "ip to 10.0.0.1-10.0.0.9:500-1000",
			     "\t\tip6 saddr fd00:7::/64 ip6 daddr != fd00:7::/64 masquerade", NULL});
	refuses("<network><name>n</name><forward mode='nat' dev='e\"; x'/>" BRIDGE IP "</ip></network>", firewall_text,
		"network interface");
	refuses("<network><name>n</name><forward mode='nat'><nat><address start='x'/></nat></forward>" BRIDGE IP
		"</ip></network>", firewall_text, "address range");
}

static void foreign_is(const char *listing, enum firewall_use use, const char *wanted)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(firewall_foreign_text(&b, listing, strlen(listing), "ip", "virbr7", use), 0);
	assert_int_equal(buf_append_byte(&b, 0), 0);
	assert_string_equal((char *)b.data, wanted);
	buf_free(&b);
}

#define CHAIN(name, policy) "{\"chain\": {\"name\": \"" name "\", \"policy\": \"" policy "\"}}"
#define RULE(chain, comment) \
	"{\"rule\": {\"chain\": \"" chain "\", \"handle\": 7, \"comment\": \"" comment "\"}}"

static void other_tables(void **state)
{
	foreign_is("", FIREWALL_FORWARDED, "");
	foreign_is("no JSON", FIREWALL_FORWARDED, "");
	foreign_is("{\"nftables\": [" CHAIN("FORWARD", "accept") "]}", FIREWALL_FORWARDED, "");
	foreign_is("{\"nftables\": [" CHAIN("FORWARD", "drop") "," RULE("FORWARD", "panal:virbr7") ","
		   RULE("FORWARD", "panal:virbr70") "]}", FIREWALL_FORWARDED,
		   "delete rule ip filter FORWARD handle 7\n"
		   "insert rule ip filter FORWARD oifname \"virbr7\" counter accept comment \"panal:virbr7\"\n"
		   "insert rule ip filter FORWARD iifname \"virbr7\" counter accept comment \"panal:virbr7\"\n");
	foreign_is("{\"nftables\": [" CHAIN("FORWARD", "drop") ",{\"chain\": {\"name\": \"DOCKER-USER\"}}]}",
		   FIREWALL_FORWARDED,
		   "insert rule ip filter DOCKER-USER oifname \"virbr7\" counter accept comment \"panal:virbr7\"\n"
		   "insert rule ip filter DOCKER-USER iifname \"virbr7\" counter accept comment \"panal:virbr7\"\n");
	foreign_is("{\"nftables\": [" CHAIN("FORWARD", "drop") "," RULE("FORWARD", "panal:virbr7") "]}", FIREWALL_GONE,
		   "delete rule ip filter FORWARD handle 7\n");
	foreign_is("{\"nftables\": [" RULE("X; flush ruleset", "panal:virbr7") ", {\"rule\": 5}, 6]}",
		   FIREWALL_GONE, "");
}

static void order(void **state)
{
#define OURS "{\"chain\": {\"table\": \"panal-virbr7\", \"name\": \"forward\"}}"
#define OTHER(policy) "{\"chain\": {\"table\": \"filter\", \"name\": \"FORWARD\", \"policy\": \"" policy "\"}}"
	static const struct {
		const char *listing;
		bool fine;
	} cases[] = {
		{"", false},
		{"{\"nftables\": []}", false},
		{"{\"nftables\": [" OURS "]}", true},
		{"{\"nftables\": [" OTHER("accept") "," OURS "]}", true},
		{"{\"nftables\": [" OTHER("drop") "," OURS "]}", false},
		{"{\"nftables\": [" OTHER("accept") "]}", false},
	};

	for (unsigned n = 0; n < COUNT_OF(cases); n++)
		assert_int_equal(firewall_in_order(cases[n].listing, strlen(cases[n].listing), "virbr7"),
				 cases[n].fine);
	/* An isolated network's guests ask the host for addresses and names, and nothing is forwarded. */
	foreign_is("{\"nftables\": [" OTHER("drop") "]}", FIREWALL_ISOLATED, "");
}

/* ---- leases ---- */

struct seen {
	struct lease last;
	unsigned count;
};

static void see(void *opaque, const struct lease *l)
{
	struct seen *s = opaque;

	s->last = *l;
	s->count++;
}

static void leases(void **state)
{
	static const char text[] = "1700000000 52:54:00:11:22:33 192.168.7.55 web1 ff:00:01\n"
				   "0 52:54:00:11:22:34 192.168.7.56 * *\n"
				   "duid 00:01:00:01\n"
				   "1700000000 1122867 fd00:7::55 web1 00:01:00:01:2c\n";
	struct seen s = { 0 };

	leases_parse(text, strlen(text), 0, see, &s);
	assert_int_equal(s.count, 3);
	assert_true(s.last.six);
	assert_string_equal(s.last.iaid, "1122867");
	assert_string_equal(s.last.client, "00:01:00:01:2c");
	s.count = 0;
	leases_parse(text, strlen(text), 1700000001, see, &s);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.last.mac, "52:54:00:11:22:34");
	assert_string_equal(s.last.host, "");
	s.count = 0;
	leases_parse(text, strlen(text) - 1, 0, see, &s); /* the last line is being written */
	assert_int_equal(s.count, 2);
}

static void broken_leases(void **state)
{
	static const char *const bad[] = {"x 52:54:00:11:22:33 1.2.3.4 n *\n", "1 52:54:00:11:22 1.2.3.4 n *\n",
		"1 52:54:00:11:22:33 1.2.3 n *\n", "1 52:54:00:11:22:33 1.2.3.4 n\n",
		"-1 52:54:00:11:22:33 1.2.3.4 n *\n",
		"1 52:54:00:11:22:33 1.2.3.4 n <x>\n", "1 52:54:00:11:22:33 1.2.3.4 n * more\n", "\n\n \n"};
	struct seen s = { 0 };
	static const char odd[] = "1 52:54:00:11:22:33 1.2.3.4 <b>&\x1b[2J *\n";

	for (unsigned n = 0; n < COUNT_OF(bad); n++)
		leases_parse(bad[n], strlen(bad[n]), 0, see, &s);
	assert_int_equal(s.count, 0);
	leases_parse(odd, strlen(odd), 0, see, &s); /* the address counts, the name does not */
	assert_int_equal(s.count, 1);
	assert_string_equal(s.last.host, "");
}

/* ---- addresses ---- */

static void addresses(void **state)
{
	struct netip a, b;

	assert_int_equal(netip_parse(&a, NULL, "192.168.7.77", "255.255.254.0", (struct xnum){ 0 }, NULL), 0);
	assert_string_equal(a.network_text, "192.168.6.0/23");
	assert_true(netip_has(&a, "192.168.6.1"));
	assert_false(netip_has(&a, "192.168.8.1"));
	assert_int_equal(netip_parse(&b, NULL, "192.168.0.1", NULL, xnum(16), NULL), 0);
	assert_true(netip_overlap(&a, &b));
	assert_int_equal(netip_parse(&b, "ipv6", "fd00::1", NULL, xnum(64), NULL), 0);
	assert_string_equal(b.network_text, "fd00::/64");
	assert_false(netip_overlap(&a, &b));
	assert_int_equal(netip_parse(&a, NULL, "1.2.3.4", "255.0.255.0", (struct xnum){ 0 }, NULL), -EBADMSG);
	assert_int_equal(netip_parse(&a, NULL, "1.2.3.4", NULL, xnum(33), NULL), -EBADMSG);
	assert_int_equal(netip_parse(&a, NULL, "10.2.3.4", NULL, (struct xnum){ 0 }, NULL), 0);
	assert_int_equal(a.prefix, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp), cmocka_unit_test(names), cmocka_unit_test(foreign_characters),
		cmocka_unit_test(rules), cmocka_unit_test(other_tables), cmocka_unit_test(order),
		cmocka_unit_test(leases),
		cmocka_unit_test(broken_leases), cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
