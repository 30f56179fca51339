/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The threads of a machine's vCPUs. Their numbers come from the engine: each is looked up among that process's own. */
#include "daemon/domain/domain_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool thread_path(const struct domain *d, unsigned n, const char *file, char *path, size_t size)
{
	if (!d->machine || n >= d->vcpu_count || d->vcpu_tid[n] <= 0)
		return false;
	snprintf(path, size, "/proc/%d/task/%d/%s", (int)machine_pid(d->machine), (int)d->vcpu_tid[n], file);
	return access(path, R_OK) == 0;
}

/* How long the thread was ready and had no processor: the second number of schedstat. */
static uint64_t delay_of(const struct domain *d, unsigned n)
{
	unsigned long long ran, waited = 0;
	char path[64];
	FILE *f = thread_path(d, n, "schedstat", path, sizeof(path)) ? fopen(path, "re") : NULL;

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f)
		fclose(f);
	return waited;
}

bool domain_vcpu(const struct domain *d, unsigned n, struct domain_vcpu *v)
{
	uint64_t tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	unsigned long long field[40];
	char path[64], text[1024], state, *at;
	size_t got;
	FILE *f;

	f = thread_path(d, n, "stat", path, sizeof(path)) ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	got = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[got] = 0;
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c", &state) != 1)
		return false;
	at = strchr(at + 2, ' ');
	for (unsigned k = 4; at && k < 40; k++) /* proc(5) counts from 1; the fourth is behind the state */
		field[k] = strtoull(at, &at, 10);
	if (!at)
		return false;
	*v = (struct domain_vcpu){ .delay_ns = delay_of(d, n), .time_ns = (field[14] + field[15]) * tick,
		.cpu = (int)field[39], .waiting = state == 'S' };
	return true;
}

bool domain_vcpu_affinity(const struct domain *d, unsigned n, uint8_t *map, size_t size)
{
	char path[64];
	cpu_set_t set;

	memset(map, 0, size);
	if (!thread_path(d, n, "stat", path, sizeof(path)) || sched_getaffinity(d->vcpu_tid[n], sizeof(set), &set) < 0)
		return false;
	for (size_t cpu = 0; cpu < size * 8 && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			map[cpu / 8] |= (uint8_t)(1 << cpu % 8);
	return true;
}

int domain_vcpu_pin(struct domain *d, unsigned n, const uint8_t *map, size_t size, struct fault *f)
{
	char path[64];
	cpu_set_t set;

	if (!thread_path(d, n, "stat", path, sizeof(path)))
		return fault_set(f, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "vcpu %u is out of range of the running machine's", n);
	CPU_ZERO(&set);
	for (size_t cpu = 0; cpu < size * 8 && cpu < CPU_SETSIZE; cpu++)
		if (map[cpu / 8] & 1 << cpu % 8)
			CPU_SET(cpu, &set);
	if (sched_setaffinity(d->vcpu_tid[n], sizeof(set), &set) < 0)
		return fault_set(f, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot pin vcpu %u: %s", n, strerror(errno));
	return 0;
}
