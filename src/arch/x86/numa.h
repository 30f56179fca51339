/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes of a machine with memory that is nearer to some processors than to others: data only, for ACPI's SRAT, SLIT
 * and HMAT. */
#ifndef PANAL_ARCH_X86_NUMA_H
#define PANAL_ARCH_X86_NUMA_H

#include "base/err.h"

enum { NUMA_NODES_MAX = 16, NUMA_CACHES_MAX = 48, NUMA_RANGES_MAX = NUMA_NODES_MAX + 3, NUMA_NOBODY = -1 };
enum { NUMA_LOCAL = 10, NUMA_REMOTE = 20, NUMA_UNREACHABLE = 255 };

/* As ACPI numbers them (ACPI 6.4, table 5.147). */
enum numa_hierarchy { NUMA_MEMORY, NUMA_L1, NUMA_L2, NUMA_L3, NUMA_HIERARCHIES };
enum numa_data { NUMA_LATENCY, NUMA_READ_LATENCY, NUMA_WRITE_LATENCY, NUMA_BANDWIDTH, NUMA_READ_BANDWIDTH,
		 NUMA_WRITE_BANDWIDTH, NUMA_DATA_KINDS };
enum numa_associativity { NUMA_NO_CACHE, NUMA_DIRECT, NUMA_COMPLEX };
enum numa_policy { NUMA_NO_POLICY, NUMA_WRITE_BACK, NUMA_WRITE_THROUGH };

struct numa_node {
	uint64_t memory; /* bytes; 0: processors only */
	uint64_t cpus;   /* bit per vCPU index */
	int initiator;   /* node whose processors are nearest to this memory; NUMA_NOBODY: its own, or not told */
};

/* A cache of the memory's side. */
struct numa_cache {
	unsigned node, level; /* level from 1 on */
	uint64_t size;
	enum numa_associativity associativity;
	enum numa_policy policy;
	uint16_t line; /* bytes */
};

struct numa {
	unsigned count; /* 0: no NUMA; nodes are numbered from 0 without gaps */
	struct numa_node node[NUMA_NODES_MAX];
	uint8_t distance[NUMA_NODES_MAX][NUMA_NODES_MAX]; /* 0: not told */
	/* From initiator to target: nanoseconds or MiB/s; 0: not told. */
	uint32_t value[NUMA_HIERARCHIES][NUMA_DATA_KINDS][NUMA_NODES_MAX][NUMA_NODES_MAX];
	struct numa_cache cache[NUMA_CACHES_MAX];
	unsigned caches;
};

/* Is it whole and does it fit the machine? Fills in distances that were not told. -EINVAL with what is wrong. */
int numa_check(struct numa *n, unsigned cpus, uint64_t memory, struct err *e) ATTR_MUST_USE;

struct numa_range {
	unsigned node;
	uint64_t base, size;
};
/* Where each node's memory lies when RAM goes from 0 to low and from 4 GiB on, with the hole below 1 MiB; the node's
 * memories follow each other. The count, at most NUMA_RANGES_MAX. */
unsigned numa_ranges(const struct numa *n, uint64_t low, struct numa_range out[NUMA_RANGES_MAX]);
/* The node of that vCPU. */
unsigned numa_node_of(const struct numa *n, unsigned cpu);

#endif
