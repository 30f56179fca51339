/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine without hardware: memory, regions, time, vCPUs, devices, and its life.
 *
 * Threads: the main loop thread owns the struct and its life cycle; vCPU threads run guest code; I/O loops belong to
 * devices. Any thread may call vm_request. Two machines can live in one process.
 *
 *   CREATED --vm_start--> RUNNING <--vm_pause/vm_resume--> PAUSED --> ENDED
 *   RUNNING --the guest sleeps--> SLEEPING --vm_wake--> RUNNING; paused and resumed, it sleeps on
 */
#ifndef PANAL_CORE_VM_H
#define PANAL_CORE_VM_H

#include "base/err.h"
#include "base/list.h"
#include "core/clock.h"
#include <stdatomic.h>

struct accel_ops;
struct dev;
struct gmem;
struct loop;
struct region_map;
struct vcpu;

enum { VCPU_MAX = 64 };

/* SLEEPING (ACPI S3): no vCPU runs, RAM is kept, clock and devices go on: one of them may wake the machine. */
enum vm_run_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_ENDED, VM_SLEEPING };

/* Why a machine ends or restarts: what the guest asks for, then what is asked for from outside. */
enum vm_request {
	VM_REQUEST_POWEROFF, /* the guest switched itself off (ACPI S5) */
	VM_REQUEST_RESET,    /* the guest asked for a reset: port 0xcf9, keyboard controller, ACPI reset register */
	VM_REQUEST_TRIPLE_FAULT,
	VM_REQUEST_PANIC,      /* the guest says that it panicked */
	VM_REQUEST_DEBUG_EXIT, /* value in vm->debug_exit */
	VM_REQUEST_DEBUG,      /* a vCPU came to something that its debugger waits for: the machine pauses */
	VM_REQUEST_WATCHDOG,   /* the guest's watchdog timer ran out: what policy.watchdog says */
	VM_REQUEST_DISK,       /* a disk failed, and its requests wait: the machine pauses */
	VM_REQUEST_CLOCK,      /* the guest set its clock: an event */
	VM_REQUEST_BALLOON,    /* the guest's memory became more or less: an event */
	VM_REQUEST_SLEEP,      /* the guest sleeps to RAM (ACPI S3) */
	VM_REQUEST_HIBERNATE,  /* it has its memory on disk and switches off (ACPI S4): an event, then as POWEROFF */
	VM_REQUEST_WAKE,       /* something wakes it; nothing happens when it does not sleep */
	VM_REQUEST_ERROR,      /* a vCPU cannot go on; text in vm->fault */
	VM_REQUEST_HOST_QUIT,   /* the control protocol's quit */
	VM_REQUEST_HOST_RESET,  /* its system_reset */
	VM_REQUEST_HOST_SIGNAL, /* SIGTERM, SIGINT */
	VM_REQUEST_COUNT,
};

enum vm_event { VM_EVENT_STOP, VM_EVENT_RESUME, VM_EVENT_RESET, VM_EVENT_SHUTDOWN, VM_EVENT_PANICKED,
		VM_EVENT_WATCHDOG, VM_EVENT_SUSPEND, VM_EVENT_SUSPEND_DISK, VM_EVENT_WAKEUP, VM_EVENT_CLOCK,
		VM_EVENT_BALLOON,
		VM_EVENT_RESETTING, /* a reset begins: RESET follows when it is done */
		VM_EVENT_COUNT };

enum vm_watchdog { VM_WATCHDOG_RESET, VM_WATCHDOG_POWEROFF, VM_WATCHDOG_PAUSE, VM_WATCHDOG_NMI, VM_WATCHDOG_NONE };

struct vm_policy {
	bool no_reboot;       /* a guest's reset ends the machine instead */
	bool pause_on_panic;  /* else a panic is an event only and the guest goes on */
	bool pause_on_shutdown;
	enum vm_watchdog watchdog;
};

struct vm {
	/* constant after vm_create */
	struct loop *loop;       /* main loop, owned by the caller of vm_create */
	struct gmem *mem;
	struct region_map *regions;
	struct machine_clock *mclock;
	const struct clock *clock; /* machine clock */
	struct timerq *timers;   /* on the machine clock, run by the main loop's thread */
	const struct accel_ops *accel;
	void *accel_data; /* owned by the accelerator */
	void *accel_extra; /* of an accelerator that is made of two */
	struct vm_policy policy;

	/* main loop thread */
	struct list devs; /* struct dev, in order of attachment */
	struct vcpu *vcpu[VCPU_MAX];
	unsigned vcpu_count;
	_Atomic int run_state; /* enum vm_run_state */
	/* The board's part in power-on and reset, after the devices' part: CPU state, boot data. */
	int (*board_reset)(void *opaque, struct err *e);
	bool waking; /* for board_reset: out of sleep, so that RAM stays as it is */
	void *board;
	void (*on_event)(void *opaque, enum vm_event ev, enum vm_request why);
	void *on_event_opaque;

	/* what the guest asked for */
	_Atomic unsigned requests; /* bit per enum vm_request */
	_Atomic unsigned debug_exit;
	struct err fault; /* set before VM_REQUEST_ERROR */
	enum vm_request end_reason; /* valid in VM_ENDED */

	void *priv; /* core's own */
};

struct vm_config {
	struct loop *loop;
	const struct accel_ops *accel;
	const char *accel_options; /* "translate=on", may be NULL */
	struct vm_policy policy;
};

int vm_create(struct vm **out, const struct vm_config *cfg, struct err *e) ATTR_MUST_USE;
/* Stops and joins the vCPUs, destroys the devices backwards, then the rest. NULL is allowed. */
void vm_destroy(struct vm *vm);

/* Adds the vCPU with that index (0 first; the first is the boot processor) and its APIC id. */
int vm_add_vcpu(struct vm *vm, uint32_t apic_id, struct vcpu **out, struct err *e) ATTR_MUST_USE;

/* Main loop thread. vm_start has the accelerator prepare, brings the machine to its state after power-on exactly as a
 * reset does (devices' reset in order, then board_reset), creates the threads and lets them run (paused: they wait). */
int vm_start(struct vm *vm, bool paused, struct err *e) ATTR_MUST_USE;
void vm_pause(struct vm *vm); /* returns when no vCPU runs guest code and devices are quiet */
void vm_resume(struct vm *vm);
/* why: for the event RESET. */
int vm_reset(struct vm *vm, enum vm_request why, struct err *e);
/* Out of sleep: what a reset does to vCPUs and devices, but RAM stays. A paused machine stays paused, awake.
 * -EINVAL: it does not sleep. */
int vm_wake(struct vm *vm, struct err *e) ATTR_MUST_USE;
bool vm_asleep(const struct vm *vm);
/* Ends the run: vCPUs stop for good, run_state = VM_ENDED, on_event SHUTDOWN. */
void vm_end(struct vm *vm, enum vm_request why);

/*
 * Devices that come and go while the machine is started. Between hold and release no vCPU runs guest code or is in a
 * device's function, so that what they reach may be attached and destroyed; time goes on. Main loop; they do not nest.
 */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);
/* Held: a device that was just made begins as after power-on, and runs if the machine does. */
void vm_dev_begin(struct vm *vm, struct dev *d);
/* Held: it stops, leaves nothing under way, and is destroyed. */
void vm_dev_remove(struct vm *vm, struct dev *d);

/* Any thread, a vCPU's too. The first to ask wins where two conflict; handled on the main loop. The asking vCPU
 * goes on until it is stopped a moment later. POWEROFF ends the run, RESET restarts the machine (policy.no_reboot:
 * ends it), PANIC, CLOCK and BALLOON are events, DEBUG and DISK pause, SLEEP and WAKE do what they say, and all others
 * end the run. */
void vm_request(struct vm *vm, enum vm_request what);

#endif
