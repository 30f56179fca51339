/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processors that a machine's threads may run on: texts such as "0-3,^2", and what the document says of them. */
#include "daemon/domain/domain_priv.h"

#include "base/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static bool parse_number(const char **at, unsigned *out)
{
	char *end;
	unsigned long v;

	if (!isdigit((unsigned char)**at))
		return false;
	v = strtoul(*at, &end, 10);
	*at = end;
	*out = (unsigned)v;
	return v < DOMAIN_CPUS_MAX;
}

static void put_bit(uint8_t *map, unsigned n, bool on)
{
	unsigned bit = 1u << n % 8;

	map[n / 8] = (uint8_t)(on ? map[n / 8] | bit : map[n / 8] & ~bit);
}

bool domain_cpuset_parse(const char *text, uint8_t map[DOMAIN_CPUS_MAX / 8])
{
	memset(map, 0, DOMAIN_CPUS_MAX / 8);
	for (const char *at = text;; at++) {
		unsigned first, last;
		bool without;

		at += strspn(at, " ");
		without = *at == '^';
		at += without;
		if (!parse_number(&at, &first))
			return false;
		last = first;
		if (*at == '-' && (at++, !parse_number(&at, &last) || last < first))
			return false;
		for (unsigned cpu = first; cpu <= last; cpu++)
			put_bit(map, cpu, !without);
		at += strspn(at, " ");
		if (*at != ',')
			return !*at;
	}
}

static bool in_map(const uint8_t *map, size_t size, unsigned cpu)
{
	return cpu / 8 < size && map[cpu / 8] & 1 << cpu % 8;
}

char *domain_cpuset_text(const uint8_t *map, size_t size)
{
	char text[4096];
	size_t at = 0;

	text[0] = 0;
	for (unsigned cpu = 0; cpu < size * 8 && at + 16 < sizeof(text); cpu++) {
		unsigned last = cpu;

		if (!in_map(map, size, cpu))
			continue;
		while (in_map(map, size, last + 1))
			last++;
		at += (size_t)snprintf(text + at, sizeof(text) - at, last > cpu ? "%s%u-%u" : "%s%u", at ? "," : "",
				       cpu, last);
		cpu = last;
	}
	return strdup(text);
}

/* ---- the threads that are no vCPUs ---- */

static bool is_vcpu(const struct domain *d, pid_t tid)
{
	for (unsigned n = 0; n < d->vcpu_count; n++)
		if (d->vcpu_tid[n] == tid)
			return true;
	return false;
}

/* 0, or the last negative errno. A thread that has ended meanwhile is none. */
int domain_each_other_thread(const struct domain *d, int (*f)(void *opaque, pid_t tid), void *opaque)
{
	char path[64];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	if (!d->machine || machine_pid(d->machine) <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)machine_pid(d->machine));
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (tid > 0 && !is_vcpu(d, tid) && f(opaque, tid) < 0 && errno != ESRCH)
			ret = -errno;
	}
	closedir(dir);
	return ret;
}

static int set_one(void *opaque, pid_t tid)
{
	return sched_setaffinity(tid, sizeof(cpu_set_t), opaque);
}

int domain_emulator_pin(struct domain *d, const uint8_t *map, size_t size, struct fault *f)
{
	cpu_set_t set;
	int ret;

	CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < size * 8 && cpu < CPU_SETSIZE; cpu++)
		if (in_map(map, size, cpu))
			CPU_SET(cpu, &set);
	ret = domain_each_other_thread(d, set_one, &set);
	if (ret < 0)
		return fault_set(f, FAULT_SYSTEM, FROM_HYPERVISOR, "cannot pin the emulator: %s", strerror(-ret));
	return 0;
}

bool domain_emulator_affinity(const struct domain *d, uint8_t *map, size_t size)
{
	cpu_set_t set;

	memset(map, 0, size);
	if (!d->machine || machine_pid(d->machine) <= 0 ||
	    sched_getaffinity(machine_pid(d->machine), sizeof(set), &set) < 0)
		return false;
	for (size_t cpu = 0; cpu < size * 8 && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			map[cpu / 8] |= (uint8_t)(1 << cpu % 8);
	return true;
}

/* ---- the document's ---- */

const char *domain_vcpu_cpuset(const struct domdef *def, unsigned n)
{
	for (unsigned k = 0; k < def->cputune.vcpupin.n; k++)
		if (def->cputune.vcpupin.v[k]->vcpu.v == n)
			return def->cputune.vcpupin.v[k]->cpuset;
	return def->cpuset;
}

/* A machine whose threads cannot be where the document wants them runs all the same, as the host was changed since. */
void domain_pins_apply(struct domain *d)
{
	const char *emulator = d->def->cputune.emulatorpin ? d->def->cputune.emulatorpin : d->def->cpuset;
	uint8_t map[DOMAIN_CPUS_MAX / 8];
	struct fault f;

	for (unsigned n = 0; n < d->vcpu_count; n++) {
		const char *text = domain_vcpu_cpuset(d->def, n);

		if (text && (!domain_cpuset_parse(text, map) || domain_vcpu_pin(d, n, map, sizeof(map), &f) < 0))
			log_line(LOG_WARNING, "%s: vCPU %u cannot run on the processors %s", domain_name(d), n, text);
	}
	if (emulator &&
	    (!domain_cpuset_parse(emulator, map) || domain_emulator_pin(d, map, sizeof(map), &f) < 0))
		log_line(LOG_WARNING, "%s: it cannot run on the processors %s", domain_name(d), emulator);
}
