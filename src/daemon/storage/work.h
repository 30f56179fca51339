/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work beside the loop: files are read, copied and overwritten on threads, so that other clients are served
 * meanwhile. What a thread may touch is what its work item owns; everything else belongs to the loop's thread.
 */
#ifndef PANAL_DAEMON_STORAGE_WORK_H
#define PANAL_DAEMON_STORAGE_WORK_H

#include "base/err.h"
#include "base/list.h"

#include <stdatomic.h>

enum { WORK_THREADS_MAX = 16 };

struct loop;
struct works;

struct work {
	struct list node;
	struct works *all;
	/* On a thread of its own. Looks at works_stopping when it takes long. */
	void (*run)(struct work *w);
	/* On the loop's thread, once run has returned; w is its own from here on. */
	void (*done)(struct work *w);
};

int works_create(struct works **out, struct loop *loop, struct err *e) ATTR_MUST_USE;
/* Has what is under way break off, waits for it and calls its done; nothing starts any more. */
void works_stop(struct works *ws);
void works_destroy(struct works *ws);
/* Starts it, or when WORK_THREADS_MAX are under way, as soon as one of them ends. -1: there is no thread to be had, or
 * works_stop was called. */
int works_start(struct works *ws, struct work *w);
/* Whether work should break off with -ECANCELED, for the daemon stops. Any thread. */
const atomic_bool *works_stopping(const struct works *ws);

#endif
