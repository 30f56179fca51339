/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/clock.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

/* Time stands at base_ns while stopped, and is host time + delta while it runs. TSC likewise. */
struct machine_clock {
	struct clock clock;
	pthread_mutex_t lock;
	/* lock must be held for these */
	bool running;
	int64_t base_ns;
	uint64_t base_tsc;
	int64_t delta_ns;
	uint64_t tsc_offset;
};

static int64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t machine_now(void *opaque)
{
	struct machine_clock *mc = opaque;
	int64_t now;

	pthread_mutex_lock(&mc->lock);
	now = mc->running ? host_ns() + mc->delta_ns : mc->base_ns;
	pthread_mutex_unlock(&mc->lock);
	return now;
}

int machine_clock_create(struct machine_clock **out, struct err *e)
{
	struct machine_clock *mc = calloc(1, sizeof(*mc));

	if (!mc)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_mutex_init(&mc->lock, NULL);
	mc->clock = (struct clock){ .now_ns = machine_now, .opaque = mc };
	mc->tsc_offset = -__rdtsc();
	*out = mc;
	return 0;
}

void machine_clock_destroy(struct machine_clock *mc)
{
	if (!mc)
		return;
	pthread_mutex_destroy(&mc->lock);
	free(mc);
}

const struct clock *machine_clock_get(struct machine_clock *mc)
{
	return &mc->clock;
}

void machine_clock_run(struct machine_clock *mc, bool run)
{
	pthread_mutex_lock(&mc->lock);
	if (run && !mc->running) {
		mc->delta_ns = mc->base_ns - host_ns();
		mc->tsc_offset = mc->base_tsc - __rdtsc();
	} else if (!run && mc->running) {
		mc->base_ns = host_ns() + mc->delta_ns;
		mc->base_tsc = __rdtsc() + mc->tsc_offset;
	}
	mc->running = run;
	pthread_mutex_unlock(&mc->lock);
}

uint64_t machine_clock_tsc_offset(struct machine_clock *mc)
{
	uint64_t offset;

	pthread_mutex_lock(&mc->lock);
	offset = mc->running ? mc->tsc_offset : mc->base_tsc - __rdtsc();
	pthread_mutex_unlock(&mc->lock);
	return offset;
}

/* Both clocks at one moment: the tightest of a few readings, so that an interruption between them does not count. */
static void read_both(uint64_t *tsc, int64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int n = 0; n < 8; n++) {
		uint64_t before = __rdtsc();
		int64_t now = host_ns();
		uint64_t width = __rdtsc() - before;

		if (width < best) {
			best = width;
			*tsc = before + width / 2;
			*ns = now;
		}
	}
}

/* Three milliseconds of both side by side: about 20 ppm. */
static uint32_t measure_tsc_khz(void)
{
	const struct timespec nap = { .tv_nsec = 3000000 };
	int64_t ns0, ns1;
	uint64_t tsc0, tsc1;

	read_both(&tsc0, &ns0);
	nanosleep(&nap, NULL);
	read_both(&tsc1, &ns1);
	return (uint32_t)muldiv64(tsc1 - tsc0, 1000000, (uint64_t)(ns1 - ns0));
}

static uint32_t find_tsc_khz(void)
{
	unsigned a, b, c, d;

	/* CPUID 15H: crystal in ECX, ratio EBX/EAX (SDM 2A, CPUID). */
	if (__get_cpuid_count(0x15, 0, &a, &b, &c, &d) && a && b && c)
		return (uint32_t)muldiv64(c, b, (uint64_t)a * 1000);
	if (__get_cpuid(0x40000000, &a, &b, &c, &d) && a >= 0x40000010 && __get_cpuid(0x40000010, &a, &b, &c, &d) && a)
		return a;
	return measure_tsc_khz();
}

/* A constant of the host, not of a machine, and all who ask must be told the same: it is found out once. */
uint32_t host_tsc_khz(void)
{
	static _Atomic uint32_t found;
	uint32_t khz = atomic_load(&found), none = 0;

	if (khz)
		return khz;
	khz = find_tsc_khz();
	return atomic_compare_exchange_strong(&found, &none, khz) ? khz : none;
}

static int64_t virtual_now(void *opaque)
{
	return ((struct virtual_clock *)opaque)->ns;
}

struct clock virtual_clock_get(struct virtual_clock *vc)
{
	return (struct clock){ .now_ns = virtual_now, .opaque = vc };
}
