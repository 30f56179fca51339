/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vm.h"

#include "core/accel.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vm_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct accel_caps *vm_accel_caps(const struct vm *vm)
{
	return &((const struct vm_priv *)vm->priv)->caps;
}

/* The machine's timers live on the machine clock; one timer of the main loop stands for the earliest of them. */
struct vm_timers {
	struct vm *vm;
	struct timer host; /* on the loop's clock */
};

static void schedule_timers(void *opaque)
{
	struct vm_timers *t = opaque;
	int64_t next = timerq_next(t->vm->timers), left;

	if (next == INT64_MAX || atomic_load(&t->vm->run_state) != VM_RUNNING)
		return;
	left = next - clock_now(t->vm->clock);
	timer_arm(&t->host, clock_now(timerq_clock(t->host.queue)) + (left > 0 ? left : 0));
}

static void run_timers(void *opaque)
{
	struct vm_timers *t = opaque;

	if (atomic_load(&t->vm->run_state) == VM_RUNNING)
		timerq_run(t->vm->timers);
	schedule_timers(t);
}

struct vm_all {
	struct vm vm;
	struct vm_priv priv;
	struct vm_timers timers;
};

static int create_parts(struct vm_all *a, const struct vm_config *cfg, struct err *e)
{
	struct vm *vm = &a->vm;
	int ret = gmem_create(&vm->mem, e);

	if (ret == 0)
		ret = region_map_create(&vm->regions, e);
	if (ret == 0)
		ret = machine_clock_create(&vm->mclock, e);
	if (ret < 0)
		return ret;
	vm->clock = machine_clock_get(vm->mclock);
	a->timers.vm = vm;
	timer_init(&a->timers.host, loop_timers(cfg->loop), run_timers, &a->timers);
	ret = timerq_create(&vm->timers, vm->clock, schedule_timers, &a->timers, e);
	if (ret == 0)
		ret = cfg->accel->vm_create(vm, cfg->accel_options, &a->priv.caps, e);
	if (ret == 0)
		vm->accel = cfg->accel;
	return ret;
}

int vm_create(struct vm **out, const struct vm_config *cfg, struct err *e)
{
	struct vm_all *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return err_set(e, -ENOMEM, "out of memory");
	a->vm.loop = cfg->loop;
	a->vm.policy = cfg->policy;
	a->vm.priv = &a->priv;
	list_init(&a->vm.devs);
	atomic_store(&a->priv.hold, true);
	ret = create_parts(a, cfg, e);
	if (ret < 0) {
		vm_destroy(&a->vm);
		return ret;
	}
	*out = &a->vm;
	return 0;
}

static void hold(struct vm *vm)
{
	struct vm_priv *p = vm->priv;

	atomic_store(&p->hold, true);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_attend(vm->vcpu[n], VCPU_ATT_STOP);
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct vcpu *v = vm->vcpu[n];

		pthread_mutex_lock(&v->lock);
		while (v->thread_started && !v->parked)
			pthread_cond_wait(&v->wake, &v->lock);
		pthread_mutex_unlock(&v->lock);
	}
}

static void release(struct vm *vm)
{
	struct vm_priv *p = vm->priv;

	for (unsigned n = 0; n < vm->vcpu_count; n++)
		pthread_mutex_lock(&vm->vcpu[n]->lock);
	atomic_store(&p->hold, false);
	for (unsigned n = vm->vcpu_count; n-- > 0;) {
		pthread_cond_broadcast(&vm->vcpu[n]->wake);
		pthread_mutex_unlock(&vm->vcpu[n]->lock);
	}
}

void vm_destroy(struct vm *vm)
{
	struct vm_priv *p;

	if (!vm)
		return;
	p = vm->priv;
	atomic_store(&p->quit, true);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_join_and_free(vm->vcpu[n]);
	while (!list_empty(&vm->devs)) {
		struct dev *d = list_entry(vm->devs.prev, struct dev, node);

		list_remove(&d->node);
		d->type->destroy(d->impl);
		free(d);
	}
	if (vm->accel)
		vm->accel->vm_destroy(vm);
	if (vm->timers)
		timer_cancel(&container_of(vm, struct vm_all, vm)->timers.host);
	timerq_destroy(vm->timers);
	machine_clock_destroy(vm->mclock);
	region_map_destroy(vm->regions);
	gmem_destroy(vm->mem);
	free(container_of(vm, struct vm_all, vm));
}

static void tell(struct vm *vm, enum vm_event ev, enum vm_request why)
{
	if (vm->on_event)
		vm->on_event(vm->on_event_opaque, ev, why);
}

static void devices_run(struct vm *vm, bool running)
{
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (d->type->run_state)
			d->type->run_state(d->impl, running);
	}
}

static void go(struct vm *vm)
{
	atomic_store(&vm->run_state, VM_RUNNING);
	machine_clock_run(vm->mclock, true);
	if (vm->accel->clock_changed)
		vm->accel->clock_changed(vm, true);
	devices_run(vm, true);
	schedule_timers(&container_of(vm, struct vm_all, vm)->timers);
	release(vm);
}

static void halt_all(struct vm *vm)
{
	hold(vm);
	machine_clock_run(vm->mclock, false);
	if (vm->accel->clock_changed)
		vm->accel->clock_changed(vm, false);
	devices_run(vm, false);
}

int vm_start(struct vm *vm, bool paused, struct err *e)
{
	int ret = vm->accel->vm_prepare ? vm->accel->vm_prepare(vm, e) : 0;

	if (ret == 0 && vm->board_reset)
		ret = vm->board_reset(vm->board, e);
	for (unsigned n = 0; ret == 0 && n < vm->vcpu_count; n++)
		ret = vcpu_start_thread(vm->vcpu[n], e);
	if (ret < 0)
		return ret;
	if (paused)
		atomic_store(&vm->run_state, VM_PAUSED);
	else
		go(vm);
	return 0;
}

void vm_pause(struct vm *vm)
{
	if (atomic_load(&vm->run_state) != VM_RUNNING)
		return;
	halt_all(vm);
	atomic_store(&vm->run_state, VM_PAUSED);
	tell(vm, VM_EVENT_STOP, VM_REQUEST_COUNT);
}

void vm_resume(struct vm *vm)
{
	if (atomic_load(&vm->run_state) != VM_PAUSED)
		return;
	go(vm);
	tell(vm, VM_EVENT_RESUME, VM_REQUEST_COUNT);
}

int vm_reset(struct vm *vm, struct err *e)
{
	bool was_running = atomic_load(&vm->run_state) == VM_RUNNING;
	int ret = 0;

	if (was_running)
		halt_all(vm);
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (d->type->reset)
			d->type->reset(d->impl);
	}
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		atomic_fetch_and(&vm->vcpu[n]->attention, (unsigned)VCPU_ATT_STOP);
	if (vm->board_reset)
		ret = vm->board_reset(vm->board, e);
	tell(vm, VM_EVENT_RESET, VM_REQUEST_RESET);
	if (was_running && ret == 0)
		go(vm);
	return ret;
}

void vm_end(struct vm *vm, enum vm_request why)
{
	int state = atomic_load(&vm->run_state);

	if (state == VM_ENDED)
		return;
	if (state == VM_RUNNING)
		halt_all(vm);
	vm->end_reason = why;
	atomic_store(&vm->run_state, VM_ENDED);
	tell(vm, VM_EVENT_SHUTDOWN, why);
}

static void reset_asked(struct vm *vm)
{
	struct err e;

	if (vm->policy.no_reboot) {
		vm_end(vm, VM_REQUEST_RESET);
	} else if (vm_reset(vm, &e) < 0) {
		vm->fault = e;
		vm_end(vm, VM_REQUEST_ERROR);
	}
}

static void panicked(struct vm *vm)
{
	tell(vm, VM_EVENT_PANICKED, VM_REQUEST_PANIC);
	if (vm->policy.pause_on_panic)
		vm_pause(vm);
}

/* What ends the machine comes before what restarts it. */
static void serve_requests(void *opaque)
{
	static const enum vm_request ending[] = { VM_REQUEST_ERROR, VM_REQUEST_DEBUG_EXIT, VM_REQUEST_POWEROFF,
	                                          VM_REQUEST_TRIPLE_FAULT };
	struct vm *vm = opaque;
	unsigned asked = atomic_exchange(&vm->requests, 0);

	if (atomic_load(&vm->run_state) == VM_ENDED)
		return;
	if (asked & 1u << VM_REQUEST_PANIC)
		panicked(vm);
	for (unsigned n = 0; n < COUNT_OF(ending); n++) {
		if (!(asked & 1u << ending[n]))
			continue;
		if (ending[n] == VM_REQUEST_POWEROFF && vm->policy.pause_on_shutdown)
			vm_pause(vm);
		else
			vm_end(vm, ending[n]);
		return;
	}
	if (asked & 1u << VM_REQUEST_RESET)
		reset_asked(vm);
}

void vm_request(struct vm *vm, enum vm_request what)
{
	if (!(atomic_fetch_or(&vm->requests, 1u << what) & 1u << what) && loop_post(vm->loop, serve_requests, vm) < 0)
		abort(); /* not even a list node: nothing can be served any more */
}

int dev_attach(struct vm *vm, const struct dev_type *type, const char *id, void *impl, struct err *e)
{
	struct dev *d = calloc(1, sizeof(*d));
	unsigned n = 0;

	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->type = type;
	d->impl = impl;
	if (id)
		snprintf(d->id, sizeof(d->id), "%s", id);
	else
		do
			snprintf(d->id, sizeof(d->id), "%s%u", type->name, n++);
		while (dev_find(vm, d->id));
	if (id && dev_find(vm, d->id)) {
		free(d);
		return err_set(e, -EEXIST, "a device with the id %s exists already", id);
	}
	list_add_tail(&vm->devs, &d->node);
	return 0;
}

struct dev *dev_find(struct vm *vm, const char *id)
{
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (!strcmp(d->id, id))
			return d;
	}
	return NULL;
}
