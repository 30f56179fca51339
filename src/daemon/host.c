/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line's number behind "key:" or "key". 0 when there is none. */
static uint64_t number_in(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	uint64_t value = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		value = strtoull(line + strlen(key) + strspn(line + strlen(key), ": \t"), NULL, 10);
		break;
	}
	fclose(f);
	return value;
}

/* machine-id(5) is meant to be kept from others: what is told is a hash of it (FNV-1a, both halves), marked version 4.
 */
void host_uuid(uint8_t uuid[16])
{
	FILE *f = fopen("/etc/machine-id", "re");
	uint64_t half[2] = { UINT64_C(0xcbf29ce484222325), UINT64_C(0x9ae16a3b2f90404f) };
	char id[40] = "no machine-id";

	if (f) {
		if (!fgets(id, sizeof(id), f))
			id[0] = 0;
		fclose(f);
	}
	for (const char *p = id; *p && *p != '\n'; p++)
		for (unsigned n = 0; n < 2; n++)
			half[n] = (half[n] ^ (uint8_t)*p ^ n * 0x5a) * UINT64_C(0x100000001b3);
	memcpy(uuid, half, 16);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* The number in a file of sysfs; -1 when it cannot be read. */
static long number_of(const char *fmt, unsigned n)
{
	char path[128];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), fmt, n);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

bool host_free_hugepages(unsigned kib, uint64_t *count)
{
	long value = number_of("/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages", kib);

	*count = value < 0 ? 0 : (uint64_t)value;
	return value >= 0;
}

/* "0-3,8": sets bits; returns how many were set. */
static unsigned parse_ranges(const char *path, uint8_t *map, unsigned *highest)
{
	FILE *f = fopen(path, "re");
	unsigned first, last, count = 0;
	char c;

	*highest = 0;
	while (f && fscanf(f, "%u", &first) == 1) {
		last = first;
		if (fscanf(f, "-%u", &last) < 0)
			last = first;
		for (unsigned n = first; n <= last && n < HOST_CPUS_MAX; n++, count++) {
			map[n / 8] |= (uint8_t)(1 << n % 8);
			*highest = n;
		}
		if (fscanf(f, "%c", &c) != 1 || c != ',')
			break;
	}
	if (f)
		fclose(f);
	return count;
}

unsigned host_cpu_map(uint8_t map[HOST_CPUS_MAX / 8], unsigned *count)
{
	uint8_t present[HOST_CPUS_MAX / 8] = { 0 };
	unsigned highest, online;

	memset(map, 0, HOST_CPUS_MAX / 8);
	online = parse_ranges("/sys/devices/system/cpu/online", map, &highest);
	parse_ranges("/sys/devices/system/cpu/present", present, count);
	if (*count < highest)
		*count = highest;
	*count += 1;
	if (online)
		return online;
	map[0] = 1;
	*count = 1;
	return 1;
}

static bool is_online(const uint8_t *map, unsigned n)
{
	return map[n / 8] & 1 << n % 8;
}

/* How many different values a file of the processors' topology has. */
static unsigned distinct(const uint8_t *map, unsigned count, const char *fmt)
{
	uint8_t seen[HOST_CPUS_MAX / 8] = { 0 };
	unsigned found = 0;

	for (unsigned n = 0; n < count; n++) {
		long value = is_online(map, n) ? number_of(fmt, n) : -1;

		if (value < 0 || value >= HOST_CPUS_MAX || is_online(seen, (unsigned)value))
			continue;
		seen[value / 8] |= (uint8_t)(1 << value % 8);
		found++;
	}
	return found ? found : 1;
}

/* How many threads the first core has: those with the core and the package of processor 0. */
static unsigned threads_of_first(const uint8_t *map, unsigned count)
{
	static const char core[] = "/sys/devices/system/cpu/cpu%u/topology/core_id";
	static const char package[] = "/sys/devices/system/cpu/cpu%u/topology/physical_package_id";
	unsigned threads = 0;

	for (unsigned n = 0; n < count; n++)
		threads += is_online(map, n) && number_of(core, n) == number_of(core, 0) &&
			   number_of(package, n) == number_of(package, 0);
	return threads ? threads : 1;
}

static unsigned numa_nodes(void)
{
	uint8_t map[HOST_CPUS_MAX / 8] = { 0 };
	unsigned highest, count = parse_ranges("/sys/devices/system/node/online", map, &highest);

	return count ? count : 1;
}

void host_info(struct host_info *h)
{
	uint8_t map[HOST_CPUS_MAX / 8];
	unsigned count, packages;

	*h = (struct host_info){ .cpus = host_cpu_map(map, &count) };
	h->memory_kib = number_in("/proc/meminfo", "MemTotal");
	h->mhz = (unsigned)number_in("/proc/cpuinfo", "cpu MHz");
	h->nodes = numa_nodes();
	packages = distinct(map, count, "/sys/devices/system/cpu/cpu%u/topology/physical_package_id");
	h->sockets = packages / h->nodes ? packages / h->nodes : 1;
	h->threads = threads_of_first(map, count);
	h->cores = h->cpus / (h->nodes * h->sockets * h->threads);
	if (h->nodes * h->sockets * h->cores * h->threads != h->cpus) {
		h->nodes = h->sockets = h->threads = 1;
		h->cores = h->cpus;
	}
}

int host_cpu_stats(int cpu, struct host_cpu_stats *s)
{
	FILE *f = fopen("/proc/stat", "re");
	uint64_t tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	char line[512], key[16];
	int ret = -ENOENT;

	if (!f)
		return -errno;
	if (cpu < 0)
		snprintf(key, sizeof(key), "cpu ");
	else
		snprintf(key, sizeof(key), "cpu%d ", cpu);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long user, nice, system, idle, iowait, irq, softirq;

		if (strncmp(line, key, strlen(key)) ||
		    sscanf(line + strlen(key), "%llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
			   &iowait, &irq, &softirq) != 7)
			continue;
		*s = (struct host_cpu_stats){ (system + irq + softirq) * tick, (user + nice) * tick, idle * tick,
			iowait * tick };
		ret = 0;
		break;
	}
	fclose(f);
	return ret;
}

void host_memory(struct host_memory *m)
{
	m->total_kib = number_in("/proc/meminfo", "MemTotal");
	m->free_kib = number_in("/proc/meminfo", "MemFree");
	m->buffers_kib = number_in("/proc/meminfo", "Buffers");
	m->cached_kib = number_in("/proc/meminfo", "Cached");
}
