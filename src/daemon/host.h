/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host has: processors, memory, load. Read from /proc and /sys at each call; any thread. */
#ifndef PANAL_DAEMON_HOST_H
#define PANAL_DAEMON_HOST_H

#include "base/err.h"

enum { HOST_CPUS_MAX = 4096 };

/* Of this installation of an operating system; the same at each call. */
void host_uuid(uint8_t uuid[16]);

struct host_info {
	uint64_t memory_kib;
	unsigned cpus, mhz;
	/* nodes * sockets * cores * threads is cpus; a host without such an order is one socket of cores. */
	unsigned nodes, sockets, cores, threads;
};
void host_info(struct host_info *h);

/* Nanoseconds since the host's start, of one processor or (cpu < 0) of all. -ENOENT: there is no such processor. */
struct host_cpu_stats {
	uint64_t kernel, user, idle, iowait;
};
int host_cpu_stats(int cpu, struct host_cpu_stats *s) ATTR_MUST_USE;

struct host_memory {
	uint64_t total_kib, free_kib, buffers_kib, cached_kib;
};
void host_memory(struct host_memory *m);

/* False: the host has no pages of that size (KiB). */
bool host_free_hugepages(unsigned kib, uint64_t *count);

/* A bit for each processor that is online; *count: processors there are, online or not. Returns how many are online. */
unsigned host_cpu_map(uint8_t map[HOST_CPUS_MAX / 8], unsigned *count);

#endif
