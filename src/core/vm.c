/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vm.h"

#include "base/fd.h"
#include "core/accel.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/ticker.h"
#include "core/vcpu_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct vm_priv {
	struct accel_caps caps;
	struct ticker *ticker;
	int request_fd; /* eventfd: vm->requests has something for the main loop */
	struct loop_fd *request_watch;
	bool accel_created;
	bool asleep; /* run_state is SLEEPING, or PAUSED over it */
};

static void requests_come(void *opaque, int fd, unsigned events);

const struct accel_caps *vm_accel_caps(const struct vm *vm)
{
	return &((const struct vm_priv *)vm->priv)->caps;
}

/* ---- create and destroy ---- */

static int create_time(struct vm *vm, struct vm_priv *p, struct err *e)
{
	int ret = machine_clock_create(&vm->mclock, e);

	if (ret < 0)
		return ret;
	vm->clock = machine_clock_get(vm->mclock);
	ret = ticker_create(&p->ticker, vm->loop, vm->clock, e);
	if (ret < 0)
		return ret;
	ticker_hold(p->ticker, true);
	vm->timers = ticker_timers(p->ticker);
	return 0;
}

static int create_parts(struct vm *vm, struct vm_priv *p, const char *accel_options, struct err *e)
{
	int ret = gmem_create(&vm->mem, e);

	if (!ret)
		ret = region_map_create(&vm->regions, e);
	if (!ret)
		ret = create_time(vm, p, e);
	if (!ret && (p->request_fd = fd_event(e)) < 0)
		ret = p->request_fd;
	if (!ret)
		ret = loop_fd_add(vm->loop, p->request_fd, LOOP_READ, requests_come, vm, &p->request_watch, e);
	if (!ret)
		ret = vm->accel->vm_create(vm, accel_options, &p->caps, e);
	p->accel_created = !ret;
	return ret;
}

int vm_create(struct vm **out, const struct vm_config *cfg, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_priv *p = calloc(1, sizeof(*p));
	int ret;

	if (!vm || !p) {
		free(vm);
		free(p);
		return err_set(e, -ENOMEM, "no memory for the machine");
	}
	p->request_fd = -1;
	vm->priv = p;
	vm->loop = cfg->loop;
	vm->accel = cfg->accel;
	vm->policy = cfg->policy;
	list_init(&vm->devs);
	ret = create_parts(vm, p, cfg->accel_options, e);
	if (ret < 0) {
		vm_destroy(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

static void destroy_device(struct dev *d)
{
	list_remove(&d->node);
	if (d->type->destroy)
		d->type->destroy(d->impl);
	free(d);
}

static void destroy_devices(struct vm *vm)
{
	while (!list_empty(&vm->devs))
		destroy_device(list_entry(vm->devs.prev, struct dev, node));
}

static void stop_running(struct vm *vm);
static bool goes(const struct vm *vm);

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	struct vm_priv *p = vm->priv;

	if (goes(vm))
		stop_running(vm);
	/* The threads end first: they use the devices. The vCPUs themselves stay until the devices are gone. */
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_end(vm->vcpu[n]);
	destroy_devices(vm);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_destroy(vm->vcpu[n]);
	if (p->accel_created)
		vm->accel->vm_destroy(vm);
	loop_fd_remove(p->request_watch);
	fd_close(&p->request_fd);
	ticker_destroy(p->ticker);
	machine_clock_destroy(vm->mclock);
	region_map_destroy(vm->regions);
	gmem_destroy(vm->mem);
	free(p);
	free(vm);
}

int vm_add_vcpu(struct vm *vm, uint32_t apic_id, struct vcpu **out, struct err *e)
{
	struct vcpu *v;
	int ret;

	assert(atomic_load(&vm->run_state) == VM_CREATED);
	if (vm->vcpu_count == VCPU_MAX)
		return err_set(e, -ENOSPC, "a machine has at most %d vCPUs; give fewer with --cpus", VCPU_MAX);
	ret = vcpu_create(&v, vm, vm->vcpu_count, apic_id, e);
	if (ret < 0)
		return ret;
	vm->vcpu[vm->vcpu_count++] = v;
	if (out)
		*out = v;
	return 0;
}

/* ---- run, stop ---- */

static void emit(struct vm *vm, enum vm_event ev, enum vm_request why)
{
	if (vm->on_event)
		vm->on_event(vm->on_event_opaque, ev, why);
}

static void devices_run_state(struct vm *vm, bool running)
{
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (d->type->run_state)
			d->type->run_state(d->impl, running);
	}
}

static void clock_run(struct vm *vm, bool run)
{
	struct vm_priv *p = vm->priv;

	machine_clock_run(vm->mclock, run);
	ticker_hold(p->ticker, !run);
	if (vm->accel->clock_changed)
		vm->accel->clock_changed(vm, run);
}

bool vm_asleep(const struct vm *vm)
{
	return ((const struct vm_priv *)vm->priv)->asleep;
}

/* Clock and devices go, if not vCPUs. */
static bool goes(const struct vm *vm)
{
	int state = atomic_load(&vm->run_state);

	return state == VM_RUNNING || state == VM_SLEEPING;
}

static void park_vcpus(struct vm *vm)
{
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_park(vm->vcpu[n]);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_wait_parked(vm->vcpu[n]);
}

/* No events here: a reset stops and goes on without anybody's hearing of it. */
static void stop_running(struct vm *vm)
{
	park_vcpus(vm);
	clock_run(vm, false);
	devices_run_state(vm, false);
	atomic_store(&vm->run_state, VM_PAUSED);
}

static void go_on(struct vm *vm)
{
	bool asleep = vm_asleep(vm);

	atomic_store(&vm->run_state, asleep ? VM_SLEEPING : VM_RUNNING);
	clock_run(vm, true);
	devices_run_state(vm, true);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		if (!asleep && !vm->vcpu[n]->held)
			vcpu_unpark(vm->vcpu[n]);
}

/* ---- devices that come and go ---- */

void vm_hold(struct vm *vm)
{
	if (atomic_load(&vm->run_state) == VM_RUNNING)
		park_vcpus(vm);
}

void vm_release(struct vm *vm)
{
	if (atomic_load(&vm->run_state) != VM_RUNNING)
		return;
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		if (!vm->vcpu[n]->held)
			vcpu_unpark(vm->vcpu[n]);
}

void vm_dev_begin(struct vm *vm, struct dev *d)
{
	if (d->type->reset)
		d->type->reset(d->impl);
	if (d->type->run_state && goes(vm))
		d->type->run_state(d->impl, true);
}

void vm_dev_remove(struct vm *vm, struct dev *d)
{
	if (d->type->run_state)
		d->type->run_state(d->impl, false);
	destroy_device(d);
}

/* ---- pause, sleep, reset ---- */

void vm_pause(struct vm *vm)
{
	if (!goes(vm))
		return;
	stop_running(vm);
	emit(vm, VM_EVENT_STOP, VM_REQUEST_COUNT);
}

void vm_resume(struct vm *vm)
{
	if (atomic_load(&vm->run_state) != VM_PAUSED)
		return;
	go_on(vm);
	emit(vm, VM_EVENT_RESUME, VM_REQUEST_COUNT);
}

/* Power-on and reset are one: devices in order, then the board. */
static int to_power_on(struct vm *vm, struct err *e)
{
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		atomic_fetch_and(&vm->vcpu[n]->attention, ~(unsigned)(VCPU_ATT_INTR | VCPU_ATT_NMI | VCPU_ATT_SMI |
								      VCPU_ATT_INIT | VCPU_ATT_SIPI));
	list_each(it, &vm->devs) {
		struct dev *d = list_entry(it, struct dev, node);

		if (d->type->reset)
			d->type->reset(d->impl);
	}
	return vm->board_reset ? vm->board_reset(vm->board, e) : 0;
}

int vm_start(struct vm *vm, bool paused, struct err *e)
{
	int ret;

	assert(atomic_load(&vm->run_state) == VM_CREATED);
	ret = vm->accel->vm_prepare ? vm->accel->vm_prepare(vm, e) : 0;
	if (!ret)
		ret = to_power_on(vm, e);
	for (unsigned n = 0; !ret && n < vm->vcpu_count; n++)
		ret = vcpu_start(vm->vcpu[n], e);
	if (ret < 0)
		return ret;
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_wait_parked(vm->vcpu[n]);
	atomic_store(&vm->run_state, VM_PAUSED);
	if (!paused)
		go_on(vm);
	return 0;
}

static int restart_as(struct vm *vm, enum vm_event ev, enum vm_request why, struct err *e)
{
	struct vm_priv *p = vm->priv;
	bool went = goes(vm);
	int ret;

	if (went)
		stop_running(vm);
	emit(vm, VM_EVENT_RESETTING, why);
	/* What the guest asked for before is void, a second reset among it. */
	atomic_store(&vm->requests, 0);
	p->asleep = false;
	vm->waking = ev == VM_EVENT_WAKEUP;
	ret = to_power_on(vm, e);
	vm->waking = false;
	if (ret < 0)
		return ret;
	emit(vm, ev, why);
	if (went)
		go_on(vm);
	return 0;
}

int vm_reset(struct vm *vm, enum vm_request why, struct err *e)
{
	if (!goes(vm) && atomic_load(&vm->run_state) != VM_PAUSED)
		return err_set(e, -EINVAL, "the machine does not run");
	return restart_as(vm, VM_EVENT_RESET, why, e);
}

int vm_wake(struct vm *vm, struct err *e)
{
	if (!vm_asleep(vm) || atomic_load(&vm->run_state) == VM_ENDED)
		return err_set(e, -EINVAL, "the guest does not sleep");
	return restart_as(vm, VM_EVENT_WAKEUP, VM_REQUEST_WAKE, e);
}

void vm_end(struct vm *vm, enum vm_request why)
{
	int state = atomic_load(&vm->run_state);

	if (state == VM_ENDED)
		return;
	if (goes(vm))
		stop_running(vm);
	vm->end_reason = why;
	atomic_store(&vm->run_state, VM_ENDED);
	emit(vm, VM_EVENT_SHUTDOWN, why);
}

/* ---- requests of the guest ---- */

enum { REQUEST_PANIC_BIT = 1 << VM_REQUEST_PANIC, REQUEST_DEBUG_BIT = 1 << VM_REQUEST_DEBUG };
enum { REQUEST_WATCHDOG_BIT = 1 << VM_REQUEST_WATCHDOG, REQUEST_WAKE_BIT = 1 << VM_REQUEST_WAKE };
enum { REQUEST_DISK_BIT = 1 << VM_REQUEST_DISK, REQUEST_CLOCK_BIT = 1 << VM_REQUEST_CLOCK,
       REQUEST_BALLOON_BIT = 1 << VM_REQUEST_BALLOON };
enum { REQUEST_BESIDE = REQUEST_PANIC_BIT | REQUEST_DEBUG_BIT | REQUEST_WATCHDOG_BIT | REQUEST_WAKE_BIT |
			REQUEST_DISK_BIT | REQUEST_CLOCK_BIT | REQUEST_BALLOON_BIT };

/* Of those that end, restart or suspend the run the first wins; a panic, a debugger's stop and what wakes are beside
 * them. */
void vm_request(struct vm *vm, enum vm_request what)
{
	const struct vm_priv *p = vm->priv;
	unsigned old = atomic_load(&vm->requests), bit = 1u << what;

	do {
		if ((old & bit) || (!(bit & REQUEST_BESIDE) && (old & ~(unsigned)REQUEST_BESIDE)))
			return;
	} while (!atomic_compare_exchange_weak(&vm->requests, &old, old | bit));
	fd_event_signal(p->request_fd);
}

static void panicked(struct vm *vm)
{
	emit(vm, VM_EVENT_PANICKED, VM_REQUEST_PANIC);
	if (vm->policy.pause_on_panic)
		vm_pause(vm);
}

static void restart(struct vm *vm)
{
	struct err e;
	int ret = vm_reset(vm, VM_REQUEST_RESET, &e);

	if (ret < 0) {
		vm->fault = e;
		vm_end(vm, VM_REQUEST_ERROR);
	}
}

static void shut_down(struct vm *vm, enum vm_request why)
{
	if (!vm->policy.pause_on_shutdown) {
		vm_end(vm, why);
		return;
	}
	vm_pause(vm);
	emit(vm, VM_EVENT_SHUTDOWN, why);
}

static void reboot(struct vm *vm, enum vm_request why)
{
	if (vm->policy.no_reboot)
		shut_down(vm, why);
	else
		restart(vm);
}

static void watchdog(struct vm *vm)
{
	emit(vm, VM_EVENT_WATCHDOG, VM_REQUEST_WATCHDOG);
	switch (vm->policy.watchdog) {
	case VM_WATCHDOG_RESET: reboot(vm, VM_REQUEST_RESET); break;
	case VM_WATCHDOG_POWEROFF: shut_down(vm, VM_REQUEST_POWEROFF); break;
	case VM_WATCHDOG_PAUSE: vm_pause(vm); break;
	case VM_WATCHDOG_NMI:
		for (unsigned n = 0; n < vm->vcpu_count; n++)
			vcpu_send_nmi(vm->vcpu[n]);
		break;
	case VM_WATCHDOG_NONE: break;
	}
}

static void fall_asleep(struct vm *vm)
{
	struct vm_priv *p = vm->priv;

	/* Paused a moment ago: it sleeps when it goes on. */
	if (goes(vm)) {
		park_vcpus(vm);
		atomic_store(&vm->run_state, VM_SLEEPING);
	}
	p->asleep = true;
	emit(vm, VM_EVENT_SUSPEND, VM_REQUEST_SLEEP);
}

/* For the machine it is a power-off; whoever watches learns that the guest means to go on. */
static void hibernate(struct vm *vm)
{
	emit(vm, VM_EVENT_SUSPEND_DISK, VM_REQUEST_HIBERNATE);
	shut_down(vm, VM_REQUEST_POWEROFF);
}

static void wake(struct vm *vm)
{
	struct err e;

	if (vm_asleep(vm) && vm_wake(vm, &e) < 0) {
		vm->fault = e;
		vm_end(vm, VM_REQUEST_ERROR);
	}
}

static void handle(struct vm *vm, enum vm_request what)
{
	switch (what) {
	case VM_REQUEST_RESET: reboot(vm, what); break;
	case VM_REQUEST_WATCHDOG: watchdog(vm); break;
	case VM_REQUEST_POWEROFF: shut_down(vm, what); break;
	case VM_REQUEST_PANIC: panicked(vm); break;
	case VM_REQUEST_DISK:
	case VM_REQUEST_DEBUG: vm_pause(vm); break;
	case VM_REQUEST_CLOCK: emit(vm, VM_EVENT_CLOCK, what); break;
	case VM_REQUEST_BALLOON: emit(vm, VM_EVENT_BALLOON, what); break;
	case VM_REQUEST_SLEEP: fall_asleep(vm); break;
	case VM_REQUEST_HIBERNATE: hibernate(vm); break;
	case VM_REQUEST_WAKE: wake(vm); break;
	/* A PC restarts after a triple fault. Here it ends the run: it is nearly always a kernel that cannot boot, and
	 * restarting it for ever would hide that. */
	case VM_REQUEST_TRIPLE_FAULT:
	case VM_REQUEST_DEBUG_EXIT:
	case VM_REQUEST_ERROR:
	case VM_REQUEST_HOST_QUIT:
	case VM_REQUEST_HOST_RESET:
	case VM_REQUEST_HOST_SIGNAL:
	case VM_REQUEST_COUNT: vm_end(vm, what); break;
	}
}

static void requests_come(void *opaque, int fd, unsigned events)
{
	struct vm *vm = opaque;

	fd_event_clear(fd);
	unsigned asked = atomic_exchange(&vm->requests, 0);
	static const enum vm_request first[] = { VM_REQUEST_PANIC, VM_REQUEST_DEBUG, VM_REQUEST_DISK, VM_REQUEST_CLOCK,
						 VM_REQUEST_BALLOON };

	for (size_t n = 0; n < COUNT_OF(first); n++)
		if (asked & 1u << first[n])
			handle(vm, first[n]);
	if ((asked & REQUEST_WATCHDOG_BIT) && atomic_load(&vm->run_state) != VM_ENDED)
		handle(vm, VM_REQUEST_WATCHDOG);
	bool wakes = asked & REQUEST_WAKE_BIT;
	asked &= ~(unsigned)REQUEST_BESIDE;
	if (asked && atomic_load(&vm->run_state) != VM_ENDED)
		handle(vm, (enum vm_request)__builtin_ctz(asked));
	if (wakes && atomic_load(&vm->run_state) != VM_ENDED)
		handle(vm, VM_REQUEST_WAKE);
}
