/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a machine and its vCPU threads, on an accelerator that only counts. */
#include "core/accel.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int fake_vm_create(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e)
{
	return 0;
}

static void fake_vm_destroy(struct vm *vm)
{
}

static int fake_vcpu_create(struct vcpu *v, struct err *e)
{
	v->accel_data = calloc(1, sizeof(_Atomic unsigned));
	return 0;
}

static void fake_vcpu_destroy(struct vcpu *v)
{
	free(v->accel_data);
}

static enum vcpu_exit fake_run(struct vcpu *v)
{
	_Atomic unsigned *count = v->accel_data;

	atomic_fetch_and(&v->attention, (unsigned)VCPU_ATT_STOP);
	atomic_fetch_add(count, 1);
	return atomic_load(count) % 3 ? VCPU_EXIT_HALTED : VCPU_EXIT_ATTENTION;
}

static void fake_kick(struct vcpu *v)
{
}

static int fake_get(struct vcpu *v, struct x86_state *s, struct err *e)
{
	memset(s, 0, sizeof(*s));
	s->rip = v->index;
	return 0;
}

static int fake_set(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	return 0;
}

static const struct accel_ops fake = {
	.name = "fake",
	.vm_create = fake_vm_create,
	.vm_destroy = fake_vm_destroy,
	.vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy,
	.vcpu_run = fake_run,
	.vcpu_kick = fake_kick,
	.get_state = fake_get,
	.set_state = fake_set,
};

struct seen {
	unsigned events[VM_EVENT_COUNT];
	enum vm_request why;
	struct loop *loop;
};

static void on_event(void *opaque, enum vm_event ev, enum vm_request why)
{
	struct seen *s = opaque;

	s->events[ev]++;
	s->why = why;
	if (ev == VM_EVENT_SHUTDOWN)
		loop_stop(s->loop);
}

static struct vm *make(struct seen *seen, unsigned cpus)
{
	struct vm_config cfg = { .accel = &fake };
	struct vcpu *v;
	struct vm *vm;
	struct err e;

	assert_int_equal(loop_create(&cfg.loop, NULL, &e), 0);
	assert_int_equal(vm_create(&vm, &cfg, &e), 0);
	*seen = (struct seen){ .loop = cfg.loop };
	vm->on_event = on_event;
	vm->on_event_opaque = seen;
	for (unsigned n = 0; n < cpus; n++)
		assert_int_equal(vm_add_vcpu(vm, n, &v, &e), 0);
	return vm;
}

static void finish(struct vm *vm)
{
	struct loop *l = vm->loop;

	vm_destroy(vm);
	loop_destroy(l);
}

static void pauses_and_resumes(void **state)
{
	struct seen seen;
	struct vm *vm = make(&seen, 4);
	struct x86_state s;
	struct err e;

	assert_int_equal(vm_start(vm, false, &e), 0);
	for (unsigned n = 0; n < 200; n++) {
		vcpu_attend(vm->vcpu[n % 4], VCPU_ATT_INTR);
		vm_pause(vm);
		unsigned before = atomic_load((_Atomic unsigned *)vm->vcpu[1]->accel_data);
		assert_int_equal(vcpu_get_state(vm->vcpu[3], &s, &e), 0);
		assert_int_equal(s.rip, 3);
		assert_int_equal(atomic_load((_Atomic unsigned *)vm->vcpu[1]->accel_data), before);
		vm_resume(vm);
	}
	assert_int_equal(seen.events[VM_EVENT_STOP], 200);
	vm_request(vm, VM_REQUEST_POWEROFF);
	loop_run(vm->loop);
	assert_int_equal(seen.why, VM_REQUEST_POWEROFF);
	assert_int_equal(atomic_load(&vm->run_state), VM_ENDED);
	finish(vm);
}

/* Runs the main loop until the machine is in that state. */
static void until(struct vm *vm, int state)
{
	for (unsigned n = 0; atomic_load(&vm->run_state) != state; n++) {
		assert_true(n < 1000);
		loop_once(vm->loop, 10);
	}
}

static int note_waking(void *opaque, struct err *e)
{
	struct vm *vm = opaque;

	vm->debug_exit = vm->waking;
	return 0;
}

static void sleeps_and_wakes(void **state)
{
	struct seen seen;
	struct vm *vm = make(&seen, 2);
	_Atomic unsigned *count;
	unsigned before;
	struct err e;

	vm->board = vm;
	vm->board_reset = note_waking;
	assert_int_equal(vm_start(vm, false, &e), 0);
	assert_int_equal(vm_wake(vm, &e), -22); /* it is awake */
	vm_request(vm, VM_REQUEST_WAKE);
	loop_once(vm->loop, 10);
	assert_int_equal(atomic_load(&vm->run_state), VM_RUNNING);
	vm_request(vm, VM_REQUEST_SLEEP);
	until(vm, VM_SLEEPING);
	assert_int_equal(seen.events[VM_EVENT_SUSPEND], 1);
	count = vm->vcpu[1]->accel_data;
	before = atomic_load(count);
	int64_t then = clock_now(vm->clock);
	usleep(2000);
	assert_int_equal(atomic_load(count), before);
	assert_true(clock_now(vm->clock) > then);
	vm_pause(vm); /* and sleeps on after that */
	assert_int_equal(atomic_load(&vm->run_state), VM_PAUSED);
	vm_resume(vm);
	assert_int_equal(atomic_load(&vm->run_state), VM_SLEEPING);
	assert_int_equal(vm_wake(vm, &e), 0);
	assert_int_equal(atomic_load(&vm->run_state), VM_RUNNING);
	assert_int_equal(vm->debug_exit, 1);
	assert_int_equal(seen.events[VM_EVENT_WAKEUP], 1);
	assert_int_equal(seen.events[VM_EVENT_RESET], 0);
	/* Asked for both at once: it sleeps and wakes. */
	vm_request(vm, VM_REQUEST_WAKE);
	vm_request(vm, VM_REQUEST_SLEEP);
	for (unsigned n = 0; n < 100 && seen.events[VM_EVENT_WAKEUP] < 2; n++)
		loop_once(vm->loop, 10);
	assert_int_equal(seen.events[VM_EVENT_SUSPEND], 2);
	assert_int_equal(atomic_load(&vm->run_state), VM_RUNNING);
	/* A reset out of sleep is a reset. */
	vm_request(vm, VM_REQUEST_SLEEP);
	until(vm, VM_SLEEPING);
	assert_int_equal(vm_reset(vm, VM_REQUEST_HOST_RESET, &e), 0);
	assert_int_equal(vm->debug_exit, 0);
	assert_int_equal(atomic_load(&vm->run_state), VM_RUNNING);
	vm_request(vm, VM_REQUEST_SLEEP);
	until(vm, VM_SLEEPING);
	finish(vm);
}

struct guest_device {
	unsigned resets, runs, stops, gone;
};

static void dev_gone(void *impl)
{
	((struct guest_device *)impl)->gone++;
}

static void dev_reset(void *impl)
{
	((struct guest_device *)impl)->resets++;
}

static void dev_run_state(void *impl, bool running)
{
	struct guest_device *g = impl;

	*(running ? &g->runs : &g->stops) += 1;
}

static const struct dev_type guest_type = {
	.name = "guest", .destroy = dev_gone, .reset = dev_reset, .run_state = dev_run_state,
};

/* With the machine running, and standing: then a device that comes runs when the machine does. */
static void devices_come_and_go(void **state)
{
	struct guest_device g = { 0 };
	struct seen seen;
	struct vm *vm = make(&seen, 2);
	struct err e;
	unsigned before;

	assert_int_equal(vm_start(vm, false, &e), 0);
	for (unsigned n = 0; n < 100; n++) {
		if (n == 50)
			vm_pause(vm);
		vcpu_attend(vm->vcpu[n % 2], VCPU_ATT_INTR);
		vm_hold(vm);
		before = atomic_load((_Atomic unsigned *)vm->vcpu[n % 2]->accel_data);
		assert_int_equal(dev_attach(vm, &guest_type, "guest", &g, &e), 0);
		vm_dev_begin(vm, dev_find(vm, "guest"));
		assert_int_equal(g.resets, n + 1);
		assert_int_equal(g.runs, n < 50 ? n + 1 : 50);
		assert_int_equal(atomic_load((_Atomic unsigned *)vm->vcpu[n % 2]->accel_data), before);
		vm_release(vm);
		vm_hold(vm);
		vm_dev_remove(vm, dev_find(vm, "guest"));
		vm_release(vm);
		assert_int_equal(g.stops, n + 1);
		assert_int_equal(g.gone, n + 1);
		assert_null(dev_find(vm, "guest"));
	}
	assert_int_equal(dev_attach(vm, &guest_type, "guest", &g, &e), 0);
	vm_resume(vm);
	assert_int_equal(g.runs, 51);
	assert_int_equal(seen.events[VM_EVENT_STOP], 1); /* held is not paused */
	vm_end(vm, VM_REQUEST_HOST_QUIT);
	finish(vm);
	assert_int_equal(g.gone, 101);
}

static void fire(void *opaque)
{
	vm_request(opaque, VM_REQUEST_POWEROFF);
}

static void timers_follow_the_machine_clock(void **state)
{
	struct seen seen;
	struct vm *vm = make(&seen, 1);
	struct timer t;
	struct err e;

	timer_init(&t, vm->timers, fire, vm);
	assert_int_equal(vm_start(vm, true, &e), 0);
	timer_arm(&t, clock_now(vm->clock) + 20000000);
	usleep(40000);
	loop_once(vm->loop, 0);
	assert_true(timer_armed(&t)); /* time stands while paused */
	vm_resume(vm);
	loop_run(vm->loop);
	assert_true(clock_now(vm->clock) >= 20000000);
	assert_true(clock_now(vm->clock) < 10000000000);
	finish(vm);
}

static uint64_t read_offset(void *opaque, uint64_t off, unsigned width)
{
	return 0x1122334455667788 >> (off * 8);
}

static void write_note(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	*(uint64_t *)opaque = value << 8 | width;
}

static void regions_split_and_refuse_overlap(void **state)
{
	static const struct region_ops ops = {.read = read_offset, .write = write_note, .width_min = 1, .width_max = 4};
	uint64_t note = 0;
	struct region r = {
		.space = REGION_MEMORY, .addr = 0x1000, .size = 8, .name = "a", .ops = &ops, .opaque = &note};
	struct region_handle *h, *h2;
	struct region_map *map;
	struct err e;

	assert_int_equal(region_map_create(&map, &e), 0);
	assert_int_equal(region_attach(map, &r, &h, &e), 0);
	r.addr = 0x1007;
	r.name = "b";
	assert_int_equal(region_attach(map, &r, &h2, &e), -17);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x1000, 8), 0x1122334455667788);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x1006, 4), 0xffff1122);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x2000, 2), 0xffff);
	region_write(map, REGION_MEMORY, 0x1004, 2, 0xabcd);
	assert_int_equal(note, 0xabcd02);
	region_detach(h);
	assert_false(region_present(map, REGION_MEMORY, 0x1000));
	region_map_destroy(map);
}

static void memory_is_checked(void **state)
{
	struct gmem *gm;
	struct err e;
	uint32_t v = 0x12345678, got = 0;

	assert_int_equal(gmem_create(&gm, &e), 0);
	assert_int_equal(gmem_add_ram(gm, 0, 0x10000, "low", false, &e), 0);
	assert_int_equal(gmem_add_ram(gm, 0x10000, 0x10000, "next", false, &e), 0);
	assert_int_equal(gmem_add_ram(gm, 0xf000, 0x1000, "over", false, &e), -17);
	assert_int_equal(gmem_write(gm, 0xfffe, &v, 4), 0);
	assert_int_equal(gmem_read(gm, 0xfffe, &got, 4), 0);
	assert_int_equal(got, v);
	assert_null(gmem_at(gm, 0xfffe, 4));
	assert_int_equal(gmem_write(gm, 0x1fffe, &v, 4), -14);
	assert_int_equal(gmem_read(gm, UINT64_MAX - 1, &got, 4), -14);
	gmem_destroy(gm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_and_resumes),
		cmocka_unit_test(sleeps_and_wakes),
		cmocka_unit_test(devices_come_and_go),
		cmocka_unit_test(timers_follow_the_machine_clock),
		cmocka_unit_test(regions_split_and_refuse_overlap),
		cmocka_unit_test(memory_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
