/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a machine and its vCPU threads, on an accelerator that runs nothing. */
#include "core/accel.h"
#include "core/dev.h"
#include "core/loop.h"
#include "core/vm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum mode { MODE_SPIN, MODE_HALT, MODE_SHUTDOWN, MODE_ERROR, MODE_REQUEST };

struct fake {
	_Atomic int mode;
	_Atomic uint64_t rounds, interrupts;
	_Atomic int kicks;
	_Atomic bool inside;
	enum vm_request request;
};

struct world {
	struct loop *loop;
	struct vm *vm;
	struct fake fake[4];
	int events[VM_EVENT_COUNT], resets, board_resets, clock_changes;
	bool running, destroyed;
	struct world *self;
};

static int fake_vm_create(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e)
{
	return options ? err_set(e, -EINVAL, "no options here") : 0;
}

static void fake_vm_destroy(struct vm *vm)
{
}

static int fake_vcpu_create(struct vcpu *v, struct err *e)
{
	return 0;
}

static void fake_vcpu_destroy(struct vcpu *v)
{
	struct fake *f = v->accel_data;

	if (f)
		assert_false(atomic_load(&f->inside));
}

static enum vcpu_exit fake_decide(struct vcpu *v, struct fake *f)
{
	for (;;) {
		unsigned att = atomic_load(&v->attention);

		if (att & VCPU_ATT_STOP)
			return VCPU_EXIT_ATTENTION;
		if (att & VCPU_ATT_INTR) {
			atomic_fetch_and(&v->attention, ~(unsigned)VCPU_ATT_INTR);
			atomic_fetch_add(&f->interrupts, 1);
		}
		atomic_fetch_add(&f->rounds, 1);
		switch (atomic_load(&f->mode)) {
		case MODE_HALT: return VCPU_EXIT_HALTED;
		case MODE_SHUTDOWN: return VCPU_EXIT_SHUTDOWN;
		case MODE_ERROR: err_set(&v->vm->fault, -EIO, "broken"); return VCPU_EXIT_ERROR;
		case MODE_REQUEST: vm_request(v->vm, f->request); atomic_store(&f->mode, MODE_SPIN); break;
		default: break;
		}
	}
}

static enum vcpu_exit fake_run(struct vcpu *v)
{
	struct fake *f = v->accel_data;

	if (vcpu_current() != v)
		return VCPU_EXIT_ERROR;
	atomic_store(&f->inside, true);
	enum vcpu_exit x = fake_decide(v, f);
	atomic_store(&f->inside, false);
	return x;
}

static void fake_kick(struct vcpu *v)
{
	struct fake *f = v->accel_data;

	atomic_fetch_add(&f->kicks, 1);
}

static void fake_clock_changed(struct vm *vm, bool running)
{
	struct world *w = vm->board;

	for (unsigned n = 0; n < vm->vcpu_count; n++)
		assert_false(atomic_load(&w->fake[n].inside));
	w->clock_changes++;
	w->running = running;
}

static const struct accel_ops fake_ops = {
	.name = "fake", .vm_create = fake_vm_create, .vm_destroy = fake_vm_destroy, .vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy, .vcpu_run = fake_run, .vcpu_kick = fake_kick,
	.clock_changed = fake_clock_changed,
};

static void on_event(void *opaque, enum vm_event ev, enum vm_request why)
{
	struct world *w = opaque;

	w->events[ev]++;
	if (ev == VM_EVENT_SHUTDOWN)
		loop_stop(w->loop);
}

static void dev_destroy(void *impl) { ((struct world *)impl)->destroyed = true; }
static void dev_reset(void *impl) { ((struct world *)impl)->resets++; }
static const struct dev_type dev_type = {.name = "fake", .destroy = dev_destroy, .reset = dev_reset};

static int board_reset(void *opaque, struct err *e)
{
	struct world *w = opaque;

	assert_int_equal(w->resets, w->board_resets + 1); /* devices first */
	w->board_resets++;
	return 0;
}

static void world_make(struct world *w, unsigned vcpus, struct vm_policy policy)
{
	struct vm_config cfg = {.accel = &fake_ops, .policy = policy};
	struct err e;

	memset(w, 0, sizeof(*w));
	assert_int_equal(loop_create(&w->loop, NULL, &e), 0);
	cfg.loop = w->loop;
	assert_int_equal(vm_create(&w->vm, &cfg, &e), 0);
	w->vm->board = w;
	w->vm->board_reset = board_reset;
	w->vm->on_event = on_event;
	w->vm->on_event_opaque = w;
	for (unsigned n = 0; n < vcpus; n++) {
		struct vcpu *v;

		assert_int_equal(vm_add_vcpu(w->vm, n, &v, &e), 0);
		v->accel_data = &w->fake[n];
	}
	assert_int_equal(dev_attach(w->vm, &dev_type, NULL, w, &e), 0);
}

static void world_end(struct world *w)
{
	vm_destroy(w->vm);
	assert_true(w->destroyed);
	loop_destroy(w->loop);
}

static void settle(struct world *w)
{
	for (int n = 0; n < 50; n++)
		loop_once(w->loop, 1);
}

/* A request may come a little later than the call that waits for it. */
#define WAIT_FOR(w, cond)                                                                                       \
	do {                                                                                                    \
		for (int left = 2000; left && !(cond); left--)                                                  \
			loop_once((w)->loop, 1);                                                                \
		assert_true(cond);                                                                              \
	} while (0)

static void test_pause_resume(void **state)
{
	struct world w;

	world_make(&w, 4, (struct vm_policy){0});
	atomic_store(&w.fake[1].mode, MODE_HALT);
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	assert_int_equal(w.board_resets, 1);
	for (int n = 0; n < 300; n++) {
		vm_pause(w.vm);
		for (int k = 0; k < 4; k++)
			assert_false(atomic_load(&w.fake[k].inside));
		assert_false(w.running);
		int64_t ns = clock_now(w.vm->clock);
		assert_true(clock_now(w.vm->clock) == ns);
		vm_resume(w.vm);
	}
	assert_int_equal(w.events[VM_EVENT_STOP], 300);
	assert_int_equal(w.events[VM_EVENT_RESUME], 300);
	WAIT_FOR(&w, atomic_load(&w.fake[3].rounds) > 0);
	world_end(&w);
}

static void test_start_paused(void **state)
{
	struct world w;

	world_make(&w, 2, (struct vm_policy){0});
	assert_int_equal(vm_start(w.vm, true, NULL), 0);
	settle(&w);
	assert_int_equal(atomic_load(&w.fake[0].rounds), 0);
	assert_true(clock_now(w.vm->clock) == 0);
	vm_resume(w.vm);
	WAIT_FOR(&w, atomic_load(&w.fake[0].rounds) > 0);
	world_end(&w);
}

/* Each interrupt ends one halt, whatever the moment it comes at. */
static void test_halt_wake(void **state)
{
	struct world w;

	world_make(&w, 1, (struct vm_policy){0});
	atomic_store(&w.fake[0].mode, MODE_HALT);
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	for (uint64_t n = 0; n < 5000; n++) {
		vcpu_attend(w.vm->vcpu[0], VCPU_ATT_INTR);
		while (atomic_load(&w.fake[0].interrupts) <= n)
			;
	}
	world_end(&w);
}

static void count_work(struct vcpu *v, void *arg)
{
	assert_ptr_equal(vcpu_current(), v);
	++*(int *)arg;
}

static void plain_work(struct vcpu *v, void *arg)
{
	++*(int *)arg;
}

static void test_run_on(void **state)
{
	struct world w;
	int count = 0;

	world_make(&w, 2, (struct vm_policy){0});
	vcpu_run_on(w.vm->vcpu[0], plain_work, &count);
	atomic_store(&w.fake[1].mode, MODE_HALT);
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	for (int n = 0; n < 500; n++) {
		vcpu_run_on(w.vm->vcpu[0], count_work, &count);
		vcpu_run_on(w.vm->vcpu[1], count_work, &count);
	}
	vm_pause(w.vm);
	vcpu_run_on(w.vm->vcpu[0], count_work, &count);
	assert_false(atomic_load(&w.fake[0].inside));
	assert_int_equal(count, 1002);
	world_end(&w);
}

static void test_requests(void **state)
{
	static const struct {
		enum vm_request what;
		struct vm_policy policy;
		int state, resets, panics;
	} cases[] = {
		{VM_REQUEST_POWEROFF, {0}, VM_ENDED, 1, 0},
		{VM_REQUEST_POWEROFF, {.pause_on_shutdown = true}, VM_PAUSED, 1, 0},
		{VM_REQUEST_HIBERNATE, {0}, VM_ENDED, 1, 0},
		{VM_REQUEST_HIBERNATE, {.pause_on_shutdown = true}, VM_PAUSED, 1, 0},
		{VM_REQUEST_RESET, {0}, VM_RUNNING, 2, 0},
		{VM_REQUEST_RESET, {.no_reboot = true}, VM_ENDED, 1, 0},
		{VM_REQUEST_PANIC, {0}, VM_RUNNING, 1, 1},
		{VM_REQUEST_PANIC, {.pause_on_panic = true}, VM_PAUSED, 1, 1},
		{VM_REQUEST_DEBUG_EXIT, {0}, VM_ENDED, 1, 0},
	};

	for (unsigned n = 0; n < COUNT_OF(cases); n++) {
		struct world w;

		world_make(&w, 2, cases[n].policy);
		w.fake[0].request = cases[n].what;
		atomic_store(&w.fake[0].mode, MODE_REQUEST);
		assert_int_equal(vm_start(w.vm, false, NULL), 0);
		WAIT_FOR(&w, atomic_load(&w.fake[0].mode) == MODE_SPIN && !atomic_load(&w.vm->requests));
		settle(&w);
		assert_int_equal(atomic_load(&w.vm->run_state), cases[n].state);
		assert_int_equal(w.board_resets, cases[n].resets);
		assert_int_equal(w.events[VM_EVENT_PANICKED], cases[n].panics);
		assert_int_equal(w.events[VM_EVENT_SUSPEND_DISK], cases[n].what == VM_REQUEST_HIBERNATE);
		if (cases[n].state == VM_ENDED) /* to hibernate is to switch off */
			assert_int_equal(w.vm->end_reason, cases[n].what == VM_REQUEST_HIBERNATE ? VM_REQUEST_POWEROFF :
												    cases[n].what);
		world_end(&w);
	}
}

static void test_dead_cpu(void **state)
{
	static const struct {
		enum mode mode;
		enum vm_request why;
	} cases[] = {{MODE_SHUTDOWN, VM_REQUEST_TRIPLE_FAULT}, {MODE_ERROR, VM_REQUEST_ERROR}};

	for (unsigned n = 0; n < COUNT_OF(cases); n++) {
		struct world w;

		world_make(&w, 2, (struct vm_policy){0});
		atomic_store(&w.fake[1].mode, cases[n].mode);
		assert_int_equal(vm_start(w.vm, false, NULL), 0);
		loop_run(w.loop);
		assert_int_equal(w.vm->end_reason, cases[n].why);
		assert_int_equal(w.events[VM_EVENT_SHUTDOWN], 1);
		assert_int_equal(atomic_load(&w.fake[1].rounds), 1);
		world_end(&w);
	}
}

static void test_first_request_wins(void **state)
{
	struct world w;

	world_make(&w, 1, (struct vm_policy){0});
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	vm_request(w.vm, VM_REQUEST_DEBUG_EXIT);
	vm_request(w.vm, VM_REQUEST_POWEROFF);
	loop_run(w.loop);
	assert_int_equal(w.vm->end_reason, VM_REQUEST_DEBUG_EXIT);
	world_end(&w);
}

struct ticks {
	struct timer t;
	const struct clock *clock;
	_Atomic int fired;
};

static void tick(void *opaque)
{
	struct ticks *t = opaque;

	atomic_fetch_add(&t->fired, 1);
	timer_arm(&t->t, clock_now(t->clock) + 1000000);
}

static void arm_from_vcpu(struct vcpu *v, void *arg)
{
	struct ticks *t = arg;

	timer_arm(&t->t, clock_now(t->clock) + 1000000);
}

static void test_timers(void **state)
{
	struct world w;
	struct ticks t = {0};

	world_make(&w, 1, (struct vm_policy){0});
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	t.clock = w.vm->clock;
	timer_init(&t.t, w.vm->timers, tick, &t);
	vcpu_run_on(w.vm->vcpu[0], arm_from_vcpu, &t);
	for (int n = 0; n < 5; n++)
		loop_once(w.loop, 1000);
	assert_true(atomic_load(&t.fired) >= 2);
	vm_pause(w.vm);
	int fired = atomic_load(&t.fired);
	usleep(5000);
	settle(&w);
	assert_int_equal(atomic_load(&t.fired), fired);
	vm_resume(w.vm);
	loop_once(w.loop, 1000);
	WAIT_FOR(&w, atomic_load(&t.fired) > fired);
	timer_cancel(&t.t);
	world_end(&w);
}

static void test_tsc_stands(void **state)
{
	struct world w;

	world_make(&w, 1, (struct vm_policy){0});
	assert_true(machine_clock_tsc(w.vm->mclock) == 0);
	assert_int_equal(vm_start(w.vm, false, NULL), 0);
	usleep(1000);
	vm_pause(w.vm);
	uint64_t tsc = machine_clock_tsc(w.vm->mclock);
	int64_t ns = clock_now(w.vm->clock);
	assert_true(tsc > 0);
	usleep(3000);
	assert_true(machine_clock_tsc(w.vm->mclock) == tsc);
	vm_resume(w.vm);
	uint64_t later = machine_clock_tsc(w.vm->mclock);
	uint64_t most = muldiv64((uint64_t)(clock_now(w.vm->clock) - ns) + 1000, host_tsc_khz(), 900000);
	assert_true(later > tsc && later - tsc <= most);
	/* The clock and the TSC tell the same time. */
	double ratio = (double)tsc / ((double)ns * host_tsc_khz() / 1e6);
	assert_true(ratio > 0.9 && ratio < 1.1);
	world_end(&w);
}

static void test_refused(void **state)
{
	struct world w;
	struct vm_config cfg = {.accel = &fake_ops, .accel_options = "x=y"};
	struct err e;
	struct vm *vm;

	world_make(&w, 1, (struct vm_policy){0});
	cfg.loop = w.loop;
	assert_int_equal(vm_create(&vm, &cfg, &e), -EINVAL);
	assert_int_equal(dev_attach(w.vm, &dev_type, "fake0", &w, &e), -EEXIST);
	assert_non_null(dev_find(w.vm, "fake0"));
	assert_null(dev_find(w.vm, "fake1"));
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_resume),       cmocka_unit_test(test_start_paused),
		cmocka_unit_test(test_halt_wake),          cmocka_unit_test(test_run_on),
		cmocka_unit_test(test_requests),           cmocka_unit_test(test_dead_cpu),
		cmocka_unit_test(test_first_request_wins), cmocka_unit_test(test_timers),
		cmocka_unit_test(test_tsc_stands),         cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
