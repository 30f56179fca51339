/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time and timers.
 *
 * `struct clock` is time handed in by pointer: nanoseconds that only rise. The machine clock runs with the host's
 * CLOCK_MONOTONIC while the machine runs and stands while it is paused. Tests hand in a virtual clock.
 * All clocks of a machine (PIT, HPET, PM timer, APIC timer, TSC, kvmclock) derive from it, so that a guest that
 * calibrates one against another finds them agreeing.
 */
#ifndef PANAL_CORE_CLOCK_H
#define PANAL_CORE_CLOCK_H

#include "base/err.h"

struct clock {
	int64_t (*now_ns)(void *opaque);
	void *opaque;
};

static inline int64_t clock_now(const struct clock *c)
{
	return c->now_ns(c->opaque);
}

/* value * mul / div without overflow in between (128-bit). */
static inline uint64_t muldiv64(uint64_t value, uint64_t mul, uint64_t div)
{
	return (uint64_t)((unsigned __int128)value * mul / div);
}

/* The machine clock: starts stopped at 0. Any thread. */
struct machine_clock;
int machine_clock_create(struct machine_clock **out, struct err *e) ATTR_MUST_USE;
void machine_clock_destroy(struct machine_clock *mc);
const struct clock *machine_clock_get(struct machine_clock *mc);
void machine_clock_run(struct machine_clock *mc, bool run);

/*
 * The TSC of the machine: tsc = host_tsc + tsc_offset, at the host's frequency. machine_clock_tsc_offset changes
 * when the clock stops and starts, so that the guest's TSC stands with it.
 */
uint64_t machine_clock_tsc_offset(struct machine_clock *mc);
/* The machine's TSC now; it stands while the clock does. */
uint64_t machine_clock_tsc(struct machine_clock *mc);
/* Frequency of the host's TSC in kHz: CPUID 15H, the hypervisor's timing leaf, or measured once against
 * CLOCK_MONOTONIC, between two readings a millisecond apart. */
uint32_t host_tsc_khz(void);
/* Takes the first of these readings, so that a host_tsc_khz a little later need not wait. Any thread. */
void host_tsc_begin(void);

/* A virtual clock for tests: stands until it is moved. */
struct virtual_clock {
	int64_t ns;
};
struct clock virtual_clock_get(struct virtual_clock *vc);

/*
 * Timer queue: one-shot timers on one clock. Arm and cancel from any thread; callbacks run on the thread that calls
 * timerq_run (a loop's), without any lock of the queue held. A cancel that races with a callback that has begun
 * does not wait for it: the callback checks its owner's state under the owner's lock.
 */
struct timerq;
struct timer {
	struct timerq *queue;
	int64_t deadline_ns;
	unsigned slot; /* heap index + 1; 0 = not armed */
	void (*fn)(void *opaque);
	void *opaque;
};

/* wake is called when the earliest deadline became earlier, from the arming thread. */
int timerq_create(struct timerq **out, const struct clock *clock, void (*wake)(void *opaque), void *opaque,
		  struct err *e) ATTR_MUST_USE;
void timerq_destroy(struct timerq *q);
/* The earliest deadline, or INT64_MAX. */
int64_t timerq_next(struct timerq *q);
/* Runs the callbacks whose deadline has come, in order of deadline. */
void timerq_run(struct timerq *q);
const struct clock *timerq_clock(const struct timerq *q);

void timer_init(struct timer *t, struct timerq *q, void (*fn)(void *opaque), void *opaque);
/* Re-arms when armed. A deadline in the past fires at the next run. */
void timer_arm(struct timer *t, int64_t deadline_ns);
void timer_cancel(struct timer *t);
bool timer_armed(struct timer *t);

#endif
