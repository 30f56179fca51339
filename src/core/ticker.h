/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timer queue on any clock, run by a loop: a timerfd of the loop that follows the queue's earliest deadline. The
 * loop's own timers and the machine's are each one of these.
 */
#ifndef PANAL_CORE_TICKER_H
#define PANAL_CORE_TICKER_H

#include "base/err.h"

struct clock;
struct loop;
struct ticker;
struct timerq;

/* clock is borrowed and must advance with host time, or be held. Created and destroyed on the loop's thread. */
int ticker_create(struct ticker **out, struct loop *l, const struct clock *clock, struct err *e) ATTR_MUST_USE;
void ticker_destroy(struct ticker *t); /* NULL is allowed */
struct timerq *ticker_timers(struct ticker *t);
/* The clock stands (true) or goes on: no timer fires while it is held. The loop's thread. */
void ticker_hold(struct ticker *t, bool hold);
/* Runs what is due now. The loop's thread. */
void ticker_run(struct ticker *t);

#endif
