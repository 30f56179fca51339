/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/clock.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- machine clock ---- */

/* A sequence lock: readers are vCPUs and must not wait for each other. */
struct machine_clock {
	struct clock clock;
	pthread_mutex_t lock;       /* writers */
	_Atomic unsigned seq;       /* odd while it is being changed */
	_Atomic bool running;
	_Atomic int64_t base_ns;    /* running: host time when the clock was zero; else what it shows */
	_Atomic uint64_t tsc_offset; /* running: guest TSC - host TSC; else what it was last */
	_Atomic uint64_t tsc_stand;  /* not running: the guest's TSC */
};

static unsigned read_begin(struct machine_clock *mc)
{
	unsigned seq;

	while ((seq = atomic_load_explicit(&mc->seq, memory_order_acquire)) & 1)
		_mm_pause();
	return seq;
}

/* The values between are loaded with acquire order, so that they come before this. */
static bool read_again(struct machine_clock *mc, unsigned seq)
{
	return atomic_load_explicit(&mc->seq, memory_order_relaxed) != seq;
}

static int64_t machine_now(void *opaque)
{
	struct machine_clock *mc = opaque;
	unsigned seq;
	int64_t ns;

	do {
		seq = read_begin(mc);
		ns = atomic_load_explicit(&mc->base_ns, memory_order_acquire);
		if (atomic_load_explicit(&mc->running, memory_order_acquire))
			ns = monotonic_ns() - ns;
	} while (read_again(mc, seq));
	return ns;
}

int machine_clock_create(struct machine_clock **out, struct err *e)
{
	struct machine_clock *mc = calloc(1, sizeof(*mc));

	if (!mc)
		return err_set(e, -ENOMEM, "out of memory");
	mc->clock = (struct clock){machine_now, mc};
	pthread_mutex_init(&mc->lock, NULL);
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
	if (atomic_load(&mc->running) != run) {
		atomic_fetch_add(&mc->seq, 1);
		int64_t ns = monotonic_ns();
		uint64_t tsc = __rdtsc();
		/* Both directions: host time minus the one value gives the other. */
		atomic_store(&mc->base_ns, ns - atomic_load(&mc->base_ns));
		if (run)
			atomic_store(&mc->tsc_offset, atomic_load(&mc->tsc_stand) - tsc);
		else
			atomic_store(&mc->tsc_stand, atomic_load(&mc->tsc_offset) + tsc);
		atomic_store(&mc->running, run);
		atomic_fetch_add(&mc->seq, 1);
	}
	pthread_mutex_unlock(&mc->lock);
}

uint64_t machine_clock_tsc_offset(struct machine_clock *mc)
{
	if (unlikely(!atomic_load_explicit(&mc->running, memory_order_relaxed)))
		return machine_clock_tsc(mc) - __rdtsc();
	return atomic_load_explicit(&mc->tsc_offset, memory_order_relaxed);
}

uint64_t machine_clock_tsc(struct machine_clock *mc)
{
	unsigned seq;
	uint64_t tsc;

	do {
		seq = read_begin(mc);
		if (atomic_load_explicit(&mc->running, memory_order_acquire))
			tsc = __rdtsc() + atomic_load_explicit(&mc->tsc_offset, memory_order_acquire);
		else
			tsc = atomic_load_explicit(&mc->tsc_stand, memory_order_acquire);
	} while (read_again(mc, seq));
	return tsc;
}

/* ---- frequency of the TSC ---- */

/* A millisecond between two pairs of readings gives the frequency within 4 parts in a million, which is less than NTP
 * corrects. perf_event_open(2) would tell the kernel's own figure, but the first event of a host makes the kernel patch
 * itself and wait for all processors: 20 ms. */
enum { HYPERVISOR_TIMING_LEAF = 0x40000010, MEASURE_NS = 1000000 };

/* SDM 2A, CPUID leaf 15H: ECX is the crystal in Hz, EBX/EAX the ratio of TSC to crystal; ECX may be 0. */
static uint64_t khz_from_leaf15(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid_count(0x15, 0, &a, &b, &c, &d) || !a || !b || !c)
		return 0;
	return muldiv64(c, b, a) / 1000;
}

/* Several hypervisors give the TSC's kHz in EAX of 0x40000010. */
static uint64_t khz_from_hypervisor(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 31))
		return 0;
	__cpuid(0x40000000, a, b, c, d);
	if (a < HYPERVISOR_TIMING_LEAF || a > 0x400000ff)
		return 0;
	__cpuid(HYPERVISOR_TIMING_LEAF, a, b, c, d);
	return a;
}

struct tsc_pair {
	int64_t ns;
	uint64_t tsc;
};

/* The narrowest of a few readings: an interruption between the two makes one wide. */
static struct tsc_pair tsc_pair(void)
{
	struct tsc_pair best = {0};
	uint64_t width = UINT64_MAX;

	for (unsigned n = 0; n < 8; n++) {
		uint64_t t0 = __rdtsc();
		int64_t ns = monotonic_ns();
		uint64_t t1 = __rdtsc();

		if (t1 - t0 < width) {
			width = t1 - t0;
			best = (struct tsc_pair){ns, t0 + (t1 - t0) / 2};
		}
	}
	return best;
}

/* The process's first pair: the earlier it was taken, the less remains to be waited for. */
static struct tsc_pair first_pair(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct tsc_pair first;
	struct tsc_pair pair;

	pthread_mutex_lock(&lock);
	if (!first.tsc)
		first = tsc_pair();
	pair = first;
	pthread_mutex_unlock(&lock);
	return pair;
}

void host_tsc_begin(void)
{
	first_pair();
}

static uint64_t khz_measured(void)
{
	struct tsc_pair a = first_pair(), b;

	do
		b = tsc_pair();
	while (b.ns - a.ns < MEASURE_NS);
	return muldiv64(b.tsc - a.tsc, 1000000, (uint64_t)(b.ns - a.ns));
}

uint32_t host_tsc_khz(void)
{
	static _Atomic uint32_t known; /* a constant of the host, found at the first call */
	uint64_t khz = atomic_load(&known);

	if (khz)
		return (uint32_t)khz;
	khz = khz_from_leaf15();
	if (!khz)
		khz = khz_from_hypervisor();
	if (!khz)
		khz = khz_measured();
	uint32_t none = 0;
	return atomic_compare_exchange_strong(&known, &none, (uint32_t)khz) ? (uint32_t)khz : none;
}

/* ---- virtual clock ---- */

static int64_t virtual_now(void *opaque)
{
	return ((struct virtual_clock *)opaque)->ns;
}

struct clock virtual_clock_get(struct virtual_clock *vc)
{
	return (struct clock){virtual_now, vc};
}
