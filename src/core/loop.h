/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event loop: epoll, one timerfd for all timers, one eventfd for posts. A loop belongs to the thread that runs it;
 * loop_post and loop_stop may be called from any thread, the rest only from the owner (or before it runs).
 */
#ifndef PANAL_CORE_LOOP_H
#define PANAL_CORE_LOOP_H

#include "base/err.h"

struct loop;
struct loop_fd;
struct timerq;
struct clock;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };
typedef void (*loop_fd_fn)(void *opaque, int fd, unsigned events);

/* clock: for the loop's timers; NULL = host monotonic time. */
int loop_create(struct loop **out, const struct clock *clock, struct err *e) ATTR_MUST_USE;
void loop_destroy(struct loop *l);

/* Watches a descriptor (borrowed). LOOP_HANGUP comes with any events. A callback may remove any watch, its own too, and
 * may run rounds of its own (loop_once). */
int loop_fd_add(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *opaque, struct loop_fd **out,
		struct err *e) ATTR_MUST_USE;
void loop_fd_events(struct loop_fd *w, unsigned events); /* 0: nothing is reported, a hang-up neither */
void loop_fd_remove(struct loop_fd *w); /* NULL is allowed */

/* Timers of this loop; its callbacks run on the loop's thread. */
struct timerq *loop_timers(struct loop *l);

/* Has fn run on the loop's thread, in order of posting. Any thread. -ENOMEM is the only failure. */
int loop_post(struct loop *l, void (*fn)(void *opaque), void *opaque) ATTR_MUST_USE;

/* Forgets what was posted with this opaque and has not run: its owner goes. Owner thread. */
void loop_unpost(struct loop *l, const void *opaque);

/* Has fn run on the loop's thread and waits for it. Runs it here when this is that thread, or when the loop belongs to
 * no loop_thread (then the caller is its owner). Not while holding a lock that the loop's callbacks take. -ENOMEM is
 * the only failure. */
int loop_call(struct loop *l, void (*fn)(void *opaque), void *opaque) ATTR_MUST_USE;

/* Runs until loop_stop. */
void loop_run(struct loop *l);
/* One round: waits at most timeout_ms (-1 for ever), runs what is due. For tests. */
void loop_once(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);

/* A loop on a thread of its own (an I/O loop). loop_thread_stop stops, joins and destroys it. */
struct loop_thread;
int loop_thread_start(struct loop_thread **out, const char *name, struct err *e) ATTR_MUST_USE;
struct loop *loop_thread_loop(struct loop_thread *t);
void loop_thread_stop(struct loop_thread *t);

#endif
