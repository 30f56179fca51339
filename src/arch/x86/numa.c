/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/numa.h"

#include <errno.h>

#define HOLE_BASE UINT64_C(0xa0000)
#define HOLE_END UINT64_C(0x100000)
#define HIGH_BASE UINT64_C(0x100000000)

static int check_cpus(const struct numa *n, unsigned cpus, struct err *e)
{
	uint64_t all = cpus < 64 ? (UINT64_C(1) << cpus) - 1 : UINT64_MAX, seen = 0;

	for (unsigned k = 0; k < n->count; k++) {
		if (n->node[k].cpus & ~all)
			return err_set(e, -EINVAL, "node %u has processors that the machine has not; it has %u", k,
				cpus);
		if (n->node[k].cpus & seen)
			return err_set(e, -EINVAL, "processor %d is in two nodes",
				       __builtin_ctzll(n->node[k].cpus & seen));
		seen |= n->node[k].cpus;
	}
	if (seen != all)
		return err_set(e, -EINVAL, "processor %d is in no node; give it to one with cpus=",
			       __builtin_ctzll(all & ~seen));
	return 0;
}

static int check_memory(const struct numa *n, uint64_t memory, struct err *e)
{
	uint64_t left = memory;

	for (unsigned k = 0; k < n->count; k++) {
		if (n->node[k].memory > left || n->node[k].memory % 4096)
			return err_set(e, -EINVAL, "the nodes' memory is not the machine's, or not in steps of 4K");
		left -= n->node[k].memory;
	}
	if (left)
		return err_set(e, -EINVAL, "%llu bytes of the memory are in no node; the nodes' mem= must add up to it",
			       (unsigned long long)left);
	/* The hole and what firmware needs are in it. */
	if (n->node[0].memory < (UINT64_C(2) << 20))
		return err_set(e, -EINVAL, "node 0 has the machine's first memory: it needs 2M");
	return 0;
}

static int check_initiators(const struct numa *n, struct err *e)
{
	for (unsigned k = 0; k < n->count; k++) {
		int who = n->node[k].initiator;

		if (who != NUMA_NOBODY && ((unsigned)who >= n->count || !n->node[who].cpus))
			return err_set(e, -EINVAL, "the initiator of node %u is %d, which has no processors", k, who);
	}
	for (unsigned k = 0; k < n->caches; k++)
		if (n->cache[k].node >= n->count || !n->node[n->cache[k].node].memory)
			return err_set(e, -EINVAL, "there is a cache for node %u, which has no memory",
				n->cache[k].node);
	return 0;
}

/* A distance that was told one way goes for the other; what was not told at all is far. */
static int fill_distances(struct numa *n, struct err *e)
{
	for (unsigned a = 0; a < n->count; a++) {
		for (unsigned b = 0; b < n->count; b++) {
			uint8_t *d = &n->distance[a][b];

			if (!*d)
				*d = a == b ? NUMA_LOCAL : n->distance[b][a] ? n->distance[b][a] : NUMA_REMOTE;
			if (a == b ? *d != NUMA_LOCAL : *d <= NUMA_LOCAL)
				return err_set(e, -EINVAL, "the distance from node %u to %u is %u; a node is %d from "
							   "itself, and others are farther",
					       a, b, *d, NUMA_LOCAL);
		}
	}
	return 0;
}

int numa_check(struct numa *n, unsigned cpus, uint64_t memory, struct err *e)
{
	int ret = check_cpus(n, cpus, e);

	if (ret == 0)
		ret = check_memory(n, memory, e);
	if (ret == 0)
		ret = check_initiators(n, e);
	return ret < 0 ? ret : fill_distances(n, e);
}

static void add(struct numa_range *out, unsigned *count, unsigned node, uint64_t base, uint64_t end)
{
	if (base < end)
		out[(*count)++] = (struct numa_range){ .node = node, .base = base, .size = end - base };
}

unsigned numa_ranges(const struct numa *n, uint64_t low, struct numa_range out[NUMA_RANGES_MAX])
{
	unsigned count = 0;
	uint64_t at = 0;

	for (unsigned k = 0; k < n->count; k++) {
		uint64_t end = at + n->node[k].memory, low_end = end < low ? end : low;

		if (at == 0 && end) {
			add(out, &count, k, 0, HOLE_BASE);
			add(out, &count, k, HOLE_END, low_end);
		} else {
			add(out, &count, k, at, low_end);
		}
		if (end > low)
			add(out, &count, k, HIGH_BASE + (at > low ? at - low : 0), HIGH_BASE + end - low);
		at = end;
	}
	return count;
}

unsigned numa_node_of(const struct numa *n, unsigned cpu)
{
	for (unsigned k = 0; k < n->count; k++)
		if (n->node[k].cpus >> cpu & 1)
			return k;
	return 0;
}
