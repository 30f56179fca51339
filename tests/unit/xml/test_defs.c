/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Documents of networks, pools, volumes, secrets, snapshots; capabilities. */
#include "daemon/xml/capsxml.h"
#include "daemon/xml/hostcpu.h"
#include "daemon/xml/netdef.h"
#include "daemon/xml/pooldef.h"
#include "daemon/xml/smalldef.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		print_error("%s\nhas no %s\n", text, part);
	assert_non_null(strstr(text, part));
}

static struct netdef *network(const char *xml)
{
	struct err e = { 0 };
	struct netdef *d;
	int ret = netdef_parse(&d, xml, strlen(xml), 0, &e);

	if (ret < 0)
		print_error("%s\n", e.text);
	assert_int_equal(ret, 0);
	return d;
}

#define NAT                                                                                                        \
	"<network><name>default</name><forward/><bridge name='virbr0'/>"                                           \
	"<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' "                  \
	"end='192.168.122.254'/></dhcp></ip></network>"

static void networks_are_filled_in(void **state)
{
	struct netdef *d = network(NAT);
	char *text = netdef_format(d, 0), *again;
	struct netdef *twice;

	assert_int_equal(d->mode, NETDEF_NAT);
	has(text, "<forward mode='nat'/>");
	has(text, "<bridge name='virbr0' stp='on' delay='0'/>");
	has(text, "<mac address='52:54:00:");
	twice = network(text);
	again = netdef_format(twice, 0);
	assert_string_equal(text, again);
	netdef_free(twice);
	free(again);
	netdef_free(d);
	free(text);
	d = network("<network><name>i</name></network>");
	assert_false(d->forward);
	netdef_free(d);
}

static void bad_networks_are_refused(void **state)
{
	static const char *const bad[] = {
		"<network/>", "<network><name>a/b</name></network>",
		"<network><name>a</name><ip address='1.2.3'/></network>",
		"<network><name>a</name><ip address='1.2.3.4' prefix='33'/></network>",
		"<network><name>a</name><bridge name='averylonginterfacename'/></network>",
		"<network><name>a</name><forward mode='bridge'/></network>",
		"<network><name>a</name><forward mode='magic'/></network>",
		"<network><name>a</name><ip address='1.2.3.4'><dhcp><range start='x' end='y'/></dhcp></ip></network>",
	};

	for (size_t n = 0; n < COUNT_OF(bad); n++) {
		struct err e = { 0 };
		struct netdef *d;

		assert_true(netdef_parse(&d, bad[n], strlen(bad[n]), 0, &e) < 0);
		assert_null(d);
		assert_true(e.text[0]);
	}
}

static void networks_are_updated(void **state)
{
	struct netdef *d = network(NAT);
	struct err e = { 0 };

	assert_int_equal(netdef_update(d, NETDEF_ADD_LAST, NETDEF_DHCP_HOST, -1,
	                               "<host mac='52:54:00:00:00:01' name='a' ip='192.168.122.10'/>", &e), 0);
	assert_int_equal(d->ips.v[0]->hosts.n, 1);
	assert_int_equal(netdef_update(d, NETDEF_ADD_LAST, NETDEF_DHCP_HOST, -1,
	                               "<host mac='52:54:00:00:00:02' ip='192.168.122.10'/>", &e), -EPERM);
	assert_int_equal(netdef_update(d, NETDEF_MODIFY, NETDEF_DHCP_HOST, -1,
	                               "<host mac='52:54:00:00:00:01' name='b' ip='192.168.122.11'/>", &e), 0);
	assert_string_equal(d->ips.v[0]->hosts.v[0]->name, "b");
	assert_int_equal(netdef_update(d, NETDEF_MODIFY, NETDEF_DHCP_HOST, -1,
	                               "<host mac='52:54:00:00:00:01' ip='nowhere'/>", &e), -EBADMSG);
	assert_string_equal(d->ips.v[0]->hosts.v[0]->ip, "192.168.122.11");
	assert_int_equal(netdef_update(d, NETDEF_DELETE, NETDEF_DHCP_HOST, -1, "<host mac='52:54:00:00:00:01'/>", &e),
			 0);
	assert_int_equal(netdef_update(d, NETDEF_DELETE, NETDEF_DHCP_HOST, -1, "<host mac='52:54:00:00:00:01'/>", &e),
			 -EPERM);
	assert_int_equal(netdef_update(d, NETDEF_DELETE, NETDEF_DHCP_RANGE, 0,
	                               "<range start='192.168.122.2' end='192.168.122.254'/>", &e), 0);
	assert_int_equal(d->ips.v[0]->ranges.n, 0);
	assert_int_equal(netdef_update(d, NETDEF_ADD_FIRST, NETDEF_DNS_TXT, -1, "<txt name='a' value='b'/>", &e), 0);
	assert_int_equal(d->txts.n, 1);
	assert_int_equal(netdef_update(d, NETDEF_ADD_LAST, 1, -1, "<bridge/>", &e), -ENOTSUP);
	netdef_free(d);
}

static void pools_and_volumes(void **state)
{
	static const char pool[] = "<pool type='dir'><name>p</name><target><path>/srv/p//</path></target></pool>";
	static const char vol[] = "<volume><name>v</name><capacity unit='G'>2</capacity><target><format type='qcow2'/>"
				  "</target></volume>";
	static const char bad_pool[] = "<pool type='dir'><name>p</name></pool>";
	static const char bad_vol[] = "<volume><name>../v</name><capacity>1</capacity></volume>";
	struct err e = { 0 };
	struct pooldef *p;
	struct voldef *v;
	char *text;

	assert_int_equal(pooldef_parse(&p, pool, strlen(pool), false, &e), 0);
	assert_string_equal(p->path, "/srv/p");
	text = pooldef_format(p);
	has(text, "<capacity unit='bytes'>0</capacity>");
	has(text, "<source/>");
	free(text);
	pooldef_free(p);
	assert_int_equal(pooldef_parse(&p, bad_pool, strlen(bad_pool), false, &e), -EBADMSG);
	assert_int_equal(voldef_parse(&v, vol, strlen(vol), false, &e), 0);
	assert_int_equal(v->capacity.v, UINT64_C(2) << 30);
	assert_int_equal(v->allocation.v, v->capacity.v);
	text = voldef_format(v);
	has(text, "<capacity unit='bytes'>2147483648</capacity>");
	free(text);
	voldef_free(v);
	assert_int_equal(voldef_parse(&v, bad_vol, strlen(bad_vol), false, &e), -EBADMSG);
}

static void secrets_and_snapshots(void **state)
{
	static const char secret[] =
		"<secret ephemeral='no' private='yes'><usage type='ceph'><name>k</name></usage></secret>";
	static const char nameless[] = "<secret><usage type='ceph'/></secret>";
	static const char snap[] = "<domainsnapshot><name>s</name><disks><disk name='vda' snapshot='external'>"
				   "<source file='/x'/></disk></disks></domainsnapshot>";
	struct err e = { 0 };
	struct secretdef *s;
	struct snapdef *n;
	char *text;

	assert_int_equal(secretdef_parse(&s, secret, strlen(secret), false, &e), 0);
	assert_string_equal(secretdef_usage_id(s), "k");
	text = secretdef_format(s);
	has(text, "<secret ephemeral='no' private='yes'>");
	free(text);
	secretdef_free(s);
	assert_int_equal(secretdef_parse(&s, nameless, strlen(nameless), false, &e), -EBADMSG);
	assert_int_equal(snapdef_parse(&n, snap, strlen(snap), true, &e), 0);
	assert_string_equal(n->disks.v[0]->source, "/x");
	snapdef_free(n);
}

static void units_are_libvirts(void **state)
{
	assert_int_equal(xunit_scale("KiB"), 1024);
	assert_int_equal(xunit_scale("k"), 1024);
	assert_int_equal(xunit_scale("KB"), 1000);
	assert_int_equal(xunit_scale("bytes"), 1);
	assert_int_equal(xunit_scale("GiB"), 1 << 30);
	assert_int_equal(xunit_scale("Kid"), 0);
	assert_int_equal(xunit_scale("x"), 0);
}

static void capabilities_say_what_works(void **state)
{
	static const uint8_t uuid[16] = { 1 };
	const struct capsxml c = { .uuid = uuid, .emulator = "/e" };
	struct err e = { 0 };
	struct hostcpu cpu;
	char *text = capsxml_capabilities(&c);

	has(text, "<arch name='x86_64'>");
	has(text, "<emulator>/e</emulator>");
	has(text, "<domain type='kvm'/>");
	free(text);
	assert_int_equal(capsxml_domain(&text, &c, NULL, "x86_64", "q35", "kvm", &e), 0);
	has(text, "<value>bochs</value>");
	has(text, "<mode name='host-passthrough' supported='yes'>");
	free(text);
	assert_int_equal(capsxml_domain(&text, &c, NULL, "sparc", NULL, NULL, &e), -EINVAL);
	assert_int_equal(capsxml_domain(&text, &c, NULL, NULL, "abacus", NULL, &e), -EINVAL);
	hostcpu_read(&cpu);
	assert_true(hostcpu_has(&cpu, "sse2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_are_filled_in), cmocka_unit_test(bad_networks_are_refused),
		cmocka_unit_test(networks_are_updated),	  cmocka_unit_test(pools_and_volumes),
		cmocka_unit_test(secrets_and_snapshots),  cmocka_unit_test(units_are_libvirts),
		cmocka_unit_test(capabilities_say_what_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
