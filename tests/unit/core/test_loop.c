/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/clock.h"
#include "core/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { POSTS = 5000 };

struct counted {
	struct loop *l;
	int count, expected_next;
	struct loop_fd *watch, *other;
};

static void count(void *opaque)
{
	((struct counted *)opaque)->count++;
}

static void *post_many(void *arg)
{
	struct counted *c = arg;

	for (int n = 0; n < POSTS; n++)
		assert_int_equal(loop_post(c->l, count, c), 0);
	return NULL;
}

static void test_posts_from_threads(void **state)
{
	struct counted c = {0};
	pthread_t t[3];

	assert_int_equal(loop_create(&c.l, NULL, NULL), 0);
	for (int n = 0; n < 3; n++)
		pthread_create(&t[n], NULL, post_many, &c);
	while (c.count < 3 * POSTS)
		loop_once(c.l, -1);
	for (int n = 0; n < 3; n++)
		pthread_join(t[n], NULL);
	loop_destroy(c.l);
}

static void test_posts_are_taken_back(void **state)
{
	struct counted mine = {0}, others = {0};
	struct loop *l;

	assert_int_equal(loop_create(&l, NULL, NULL), 0);
	for (int n = 0; n < 3; n++) {
		assert_int_equal(loop_post(l, count, &mine), 0);
		assert_int_equal(loop_post(l, count, &others), 0);
	}
	loop_unpost(l, &mine);
	loop_once(l, 100);
	assert_int_equal(mine.count, 0);
	assert_int_equal(others.count, 3);
	assert_int_equal(loop_post(l, count, &mine), 0);
	loop_once(l, 100);
	assert_int_equal(mine.count, 1);
	loop_destroy(l);
}

/* Both are ready in one round; whoever comes first removes both. */
static void remove_both(void *opaque, int fd, unsigned events)
{
	struct counted *c = opaque;

	c->count++;
	loop_fd_remove(c->watch);
	loop_fd_remove(c->other);
}

static void test_remove_in_callback(void **state)
{
	struct counted c = {0};
	int a[2], b[2];

	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(loop_create(&c.l, NULL, NULL), 0);
	assert_int_equal(loop_fd_add(c.l, a[0], LOOP_READ, remove_both, &c, &c.watch, NULL), 0);
	assert_int_equal(loop_fd_add(c.l, b[0], LOOP_READ, remove_both, &c, &c.other, NULL), 0);
	assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
	loop_once(c.l, 100);
	loop_once(c.l, 0);
	assert_int_equal(c.count, 1);
	loop_destroy(c.l);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

static void count_fd(void *opaque, int fd, unsigned events)
{
	struct counted *c = opaque;

	c->count++;
	c->expected_next |= (int)events;
}

static void test_no_events_no_hangup(void **state)
{
	struct counted c = {0};
	int a[2];

	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(loop_create(&c.l, NULL, NULL), 0);
	assert_int_equal(loop_fd_add(c.l, a[0], LOOP_READ, count_fd, &c, &c.watch, NULL), 0);
	loop_fd_events(c.watch, 0);
	close(a[1]);
	loop_once(c.l, 10);
	assert_int_equal(c.count, 0);
	loop_fd_events(c.watch, LOOP_READ);
	loop_once(c.l, 10);
	assert_int_equal(c.count, 1);
	assert_true(c.expected_next & LOOP_HANGUP);
	loop_destroy(c.l);
	close(a[0]);
}

static void test_timer_of_virtual_clock(void **state)
{
	struct virtual_clock vc = {0};
	struct clock clock = virtual_clock_get(&vc);
	struct counted c = {0};
	struct timer t;

	assert_int_equal(loop_create(&c.l, &clock, NULL), 0);
	timer_init(&t, loop_timers(c.l), count, &c);
	timer_arm(&t, 1000000000000);
	loop_once(c.l, 0);
	assert_int_equal(c.count, 0);
	vc.ns = 1000000000000;
	loop_once(c.l, 0);
	assert_int_equal(c.count, 1);
	loop_destroy(c.l);
}

struct remote {
	struct loop *l;
	struct timer t;
	_Atomic int fired;
};

static void remote_fired(void *opaque)
{
	atomic_fetch_add(&((struct remote *)opaque)->fired, 1);
}

/* A timer armed from another thread wakes a loop that waits for ever. */
static void test_thread_and_timer(void **state)
{
	struct loop_thread *t;
	struct remote r = {0};

	assert_int_equal(loop_thread_start(&t, "test", NULL), 0);
	r.l = loop_thread_loop(t);
	timer_init(&r.t, loop_timers(r.l), remote_fired, &r);
	for (int n = 0; n < 20; n++) {
		timer_arm(&r.t, clock_now(timerq_clock(r.t.queue)) + 500000);
		for (int left = 2000; left && atomic_load(&r.fired) <= n; left--)
			usleep(500);
		assert_int_equal(atomic_load(&r.fired), n + 1);
	}
	loop_thread_stop(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_posts_from_threads), cmocka_unit_test(test_posts_are_taken_back),
		cmocka_unit_test(test_remove_in_callback),
		cmocka_unit_test(test_no_events_no_hangup), cmocka_unit_test(test_timer_of_virtual_clock),
		cmocka_unit_test(test_thread_and_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
