/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device types and the one attach list.
 *
 * A device type is one const struct. A machine keeps its devices in one list, in the order of attachment; reset,
 * stop, start and save walk it forwards, destroy walks it backwards. Nothing about a device is listed elsewhere.
 * All functions run on the machine's main loop thread with the vCPUs paused, unless said otherwise.
 */
#ifndef PANAL_CORE_DEV_H
#define PANAL_CORE_DEV_H

#include "base/err.h"
#include "base/list.h"

struct state_desc;
struct vm;

struct dev_type {
	const char *name; /* "serial16550", "virtio-blk" */
	void (*destroy)(void *impl);
	void (*reset)(void *impl); /* to the state after power-on; NULL: nothing to reset */
	/* The machine stops or goes on: with running == false a device starts no new I/O and waits for what is under
	 * way, so that its state can be taken. NULL: the device has no activity of its own. */
	void (*run_state)(void *impl, bool running);
	const struct state_desc *state; /* NULL: stateless */
	size_t state_size;              /* sizeof the struct that state describes */
};

enum { DEV_ID_MAX = 32 };

struct dev {
	const struct dev_type *type;
	char id[DEV_ID_MAX]; /* unique in the machine: "serial0" */
	void *impl;
	struct list node;
};

/* Each device's own header has its create function: it takes the device's concrete configuration struct, attaches
 * regions and wires, and calls dev_attach last. On failure nothing stays attached. impl is then owned by the
 * machine, which calls type->destroy(impl). id NULL: "<type><n>" is made. */
int dev_attach(struct vm *vm, const struct dev_type *type, const char *id, void *impl, struct err *e) ATTR_MUST_USE;
struct dev *dev_find(struct vm *vm, const char *id);

#endif
