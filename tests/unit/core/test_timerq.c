/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { TIMERS = 200 };

struct world {
	struct virtual_clock vc;
	struct clock clock;
	struct timerq *q;
	int woken;
	int64_t last;
	int fired;
};

struct item {
	struct timer t;
	struct world *w;
	int64_t again;
};

static void woke(void *opaque)
{
	((struct world *)opaque)->woken++;
}

static void world_make(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->clock = virtual_clock_get(&w->vc);
	assert_int_equal(timerq_create(&w->q, &w->clock, woke, w, NULL), 0);
}

static void fire(void *opaque)
{
	struct item *i = opaque;

	assert_true(i->t.deadline_ns >= i->w->last);
	assert_true(i->t.deadline_ns <= i->w->vc.ns);
	assert_false(timer_armed(&i->t));
	i->w->last = i->t.deadline_ns;
	i->w->fired++;
	if (i->again)
		timer_arm(&i->t, i->again);
}

static void test_order(void **state)
{
	static struct item item[TIMERS];
	struct world w;
	int armed = 0;

	world_make(&w);
	srandom(1);
	for (int n = 0; n < TIMERS; n++) {
		item[n] = (struct item){.w = &w};
		timer_init(&item[n].t, w.q, fire, &item[n]);
		timer_arm(&item[n].t, random() % 1000);
	}
	for (int n = 0; n < TIMERS; n += 3)
		timer_cancel(&item[n].t);
	for (int n = 0; n < TIMERS; n += 4)
		timer_arm(&item[n].t, random() % 1000);
	for (int n = 0; n < TIMERS; n++)
		armed += timer_armed(&item[n].t);
	for (w.vc.ns = 0; w.vc.ns < 1000; w.vc.ns += 7)
		timerq_run(w.q);
	timerq_run(w.q);
	assert_int_equal(w.fired, armed);
	assert_true(timerq_next(w.q) == INT64_MAX);
	timerq_destroy(w.q);
}

static void test_wake_only_when_sooner(void **state)
{
	struct item a, b;
	struct world w;

	world_make(&w);
	a = b = (struct item){.w = &w};
	timer_init(&a.t, w.q, fire, &a);
	timer_init(&b.t, w.q, fire, &b);
	timer_arm(&a.t, 100);
	assert_int_equal(w.woken, 1);
	timer_arm(&b.t, 200);
	assert_int_equal(w.woken, 1);
	timer_arm(&b.t, 50);
	assert_int_equal(w.woken, 2);
	timer_cancel(&b.t);
	timer_cancel(&b.t);
	assert_true(timerq_next(w.q) == 100);
	timerq_destroy(w.q);
}

/* A timer that re-arms itself in the past fires once a run. */
static void test_past(void **state)
{
	struct item a;
	struct world w;

	world_make(&w);
	a = (struct item){.w = &w, .again = 5};
	timer_init(&a.t, w.q, fire, &a);
	timer_arm(&a.t, 5);
	w.vc.ns = 10;
	for (int n = 1; n < 5; n++) {
		timerq_run(w.q);
		assert_int_equal(w.fired, n);
	}
	timerq_destroy(w.q);
}

static void test_tsc_khz(void **state)
{
	uint32_t khz = host_tsc_khz();

	assert_in_range(khz, 100000, 10000000);
	assert_int_equal(host_tsc_khz(), khz);
	assert_true(muldiv64(UINT64_MAX, 1000, 1000) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_wake_only_when_sooner), cmocka_unit_test(test_past),
		cmocka_unit_test(test_tsc_khz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
