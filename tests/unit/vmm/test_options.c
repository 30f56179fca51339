/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of panal-vmm: sizes, processors, and what is refused with one clear line. */
#include "vmm/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct result {
	struct options parsed;
	struct err why;
};

static int parse(struct result *r, const char *option, const char *value)
{
	const char *argv[] = { "panal-vmm", "kernel", option, value };

	r->why = (struct err){ 0 };
	return options_parse(&r->parsed, value ? 4 : 3, (char **)argv, &r->why);
}

static void test_memory(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* 0: refused */
	} sizes[] = {
		{ "2M", UINT64_C(2) << 20 },	  { "2048K", UINT64_C(2) << 20 }, { "1G", UINT64_C(1) << 30 },
		{ "2097152", UINT64_C(2) << 20 }, { "1T", UINT64_C(1) << 40 },	  { "1025G", 0 },
		{ "2T", 0 },			  { "1M", 0 },			  { "0", 0 },
		{ "", 0 },			  { "G", 0 },			  { "1.5G", 0 },
		{ "-1G", 0 },			  { "2097153", 0 },		  { "16777216T", 0 },
		{ "18446744073709551616", 0 },	  { "1GG", 0 },			  { "1G ", 0 },
	};
	struct result r;

	for (size_t n = 0; n < COUNT_OF(sizes); n++) {
		int ret = parse(&r, "--memory", sizes[n].text);

		if (sizes[n].bytes) {
			assert_int_equal(ret, 0);
			assert_true(r.parsed.memory == sizes[n].bytes);
		} else {
			assert_true(ret < 0);
			assert_non_null(strstr(r.why.text, "--memory"));
		}
	}
}

static void test_cpus(void **state)
{
	static const struct {
		const char *text;
		unsigned cpus, sockets, cores, threads; /* cpus 0: refused */
	} cpus[] = {
		{ "1", 1, 1, 1, 1 },
		{ "64", 64, 1, 64, 1 },
		{ "8,sockets=2", 8, 2, 4, 1 },
		{ "8,threads=2", 8, 1, 4, 2 },
		{ "8,sockets=2,cores=2,threads=2", 8, 2, 2, 2 },
		{ "sockets=2,cores=3,threads=2", 12, 2, 3, 2 },
		{ "cores=4", 4, 1, 4, 1 },
		{ "0", 0 },
		{ "65", 0 },
		{ "7,threads=2", 0 },
		{ "8,sockets=2,cores=2", 0 },
		{ "8,sockets=0", 0 },
		{ "8,threads=0", 0 },
		{ "8,sockets=65", 0 },
		{ "1,sockets=4294967297,cores=4294967295", 0 },
		{ "sockets=9223372036854775808,threads=2", 0 },
		{ "sockets=4294967296,cores=4294967296", 0 },
		{ "sockets=4294967296,cores=4294967296,threads=18446744073709551615", 0 },
		{ "-1", 0 },
		{ "two", 0 },
		{ "8,dies=2", 8, 1, 4, 1 },
		{ "2,dies=0", 0 },
		{ "2,clusters=2", 0 },
	};
	struct result r;

	for (size_t n = 0; n < COUNT_OF(cpus); n++) {
		int ret = parse(&r, "--cpus", cpus[n].text);

		if (cpus[n].cpus) {
			assert_int_equal(ret, 0);
			assert_int_equal(r.parsed.cpus, cpus[n].cpus);
			assert_int_equal(r.parsed.topology.sockets, cpus[n].sockets);
			assert_int_equal(r.parsed.topology.cores, cpus[n].cores);
			assert_int_equal(r.parsed.topology.threads, cpus[n].threads);
		} else if (ret == 0) {
			fail_msg("--cpus %s was taken", cpus[n].text);
		} else {
			assert_non_null(strstr(r.why.text, "--cpus"));
		}
	}
}

static void test_numa(void **state)
{
	static const char *const bad[] = {
		"", "node,mem=", "node,cpus=64", "node,cpus=3-1", "node,cpus=a", "node,cpus=1x", "node,nodeid=1",
		"node,nodeid=16",
		"node,initiator=99", "node,colour=red", "dist,src=0,dst=1", "dist,src=0,dst=1,val=9",
		"dist,src=0,dst=1,val=256",
		"dist,src=0,dst=16,val=20", "dist,dst=1,val=20", "hmat-lb,initiator=0,target=0", "nodes",
		"hmat-lb,initiator=0,target=0,data-type=access-latency",
		"hmat-lb,initiator=0,target=0,data-type=speed,latency=3",
		"hmat-lb,initiator=0,target=0,data-type=access-latency,bandwidth=1G", "hmat-cache,node-id=0",
		"node,mem=1G,mem=1G",
		"hmat-lb,initiator=0,target=0,hierarchy=5,data-type=access-latency,latency=3",
		"hmat-cache,node-id=0,size=1M,level=4", "hmat-cache,node-id=0,size=1M,policy=no",
		"node,cpus=0,mem=512M" /* half of the memory is nowhere */, "node,mem=1G" /* a processor is nowhere */,
	};
	const char *good[] = { "panal-vmm", "kernel", "--cpus", "4", "--numa", "node,cpus=0,cpus=2-3,mem=512M",
	"--numa",
			       "node,cpus=1,mem=512M", "--numa", "dist,src=1,dst=0,val=33", "--numa",
			       "hmat-lb,initiator=1,target=0,data-type=read-bandwidth,bandwidth=3G", "--numa",
			       "hmat-cache,node-id=1,size=4M,level=2,associativity=direct,policy=write-through" };
	static struct options o;
	struct result r;
	struct err e = { 0 };

	for (size_t n = 0; n < COUNT_OF(bad); n++) {
		if (parse(&r, "--numa", bad[n]) == 0)
			fail_msg("--numa %s was taken", bad[n]);
		assert_non_null(strstr(r.why.text, "--numa"));
	}
	if (options_parse(&o, COUNT_OF(good), (char **)good, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(o.numa.count, 2);
	assert_int_equal(o.numa.node[0].cpus, 0xd);
	assert_int_equal(o.numa.distance[0][1], 33);
	assert_int_equal(o.numa.value[NUMA_MEMORY][NUMA_READ_BANDWIDTH][1][0], 3072);
	assert_int_equal(o.numa.cache[0].policy, NUMA_WRITE_THROUGH);
}

static void test_refused(void **state)
{
	struct result r;
	const char *many[2 + 2 * (BOOT_INITRD_MAX + 1)] = { "panal-vmm", "kernel" };

	assert_true(parse(&r, "--nothing", NULL) < 0);
	assert_true(parse(&r, "--memory", NULL) < 0);
	assert_true(parse(&r, "--rng=a b", NULL) < 0);
	assert_true(parse(&r, "--hugepages=on", NULL) < 0);
	assert_true(parse(&r, "second-kernel", NULL) < 0);
	assert_true(parse(&r, "--unpack", "me") < 0);
	assert_true(parse(&r, "--virtio", "isa") < 0);
	assert_true(parse(&r, "--board", "q35") < 0);
	assert_true(parse(&r, "--paused", NULL) < 0);
	assert_non_null(strstr(r.why.text, "--control"));
	assert_int_equal(parse(&r, "--memory=16M", NULL), 0);
	assert_int_equal(parse(&r, "--dry-run", NULL), 0);
	assert_true(r.parsed.dry_run);
	for (unsigned n = 0; n <= BOOT_INITRD_MAX; n++) {
		many[2 + 2 * n] = "--initrd";
		many[3 + 2 * n] = "file";
	}
	assert_int_equal(options_parse(&r.parsed, 2 + 2 * BOOT_INITRD_MAX, (char **)many, &r.why), 0);
	assert_int_equal(r.parsed.boot.initrd_count, BOOT_INITRD_MAX);
	assert_true(options_parse(&r.parsed, 2 + 2 * (BOOT_INITRD_MAX + 1), (char **)many, &r.why) < 0);
	assert_true(options_parse(&r.parsed, 1, (char **)many, &r.why) < 0); /* no kernel */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_numa),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
