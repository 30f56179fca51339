/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that need fresh figures of machines: they wait for the answers, though not forever. */
#include "daemon/remote/remote_priv.h"

#include "core/loop.h"

#include <stdlib.h>

enum { GATHER_MS = 2000 };

struct gathering {
	struct call *call; /* NULL: it has ended */
	int (*then)(struct call *c);
	unsigned pending;
	bool running; /* gather_run has not returned */
	struct timer timer;
};

struct gathering *gather_new(struct call *c, int (*then)(struct call *c))
{
	struct gathering *g = calloc(1, sizeof(*g));

	if (!g) {
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the call");
		return NULL;
	}
	*g = (struct gathering){ .call = c, .then = then, .running = true };
	return g;
}

static void end(struct gathering *g)
{
	struct call *c = g->call;

	g->call = NULL;
	timer_cancel(&g->timer);
	call_end(c, g->then(c));
}

static void came(void *opaque)
{
	struct gathering *g = opaque;

	g->pending--;
	if (g->pending || g->running)
		return;
	if (g->call)
		end(g);
	free(g);
}

/* The answers that are missing are still waited for, by nobody but us. */
static void late(void *opaque)
{
	end(opaque);
}

void gather_add(struct gathering *g, struct domain *d)
{
	g->pending++;
	if (domain_sample(d, came, g) < 0)
		g->pending--;
}

int gather_run(struct gathering *g)
{
	const struct daemon *daemon = g->call->opaque;
	const struct clock *clock = timerq_clock(loop_timers(daemon->loop));
	int ret;

	g->running = false;
	if (g->pending) {
		timer_init(&g->timer, loop_timers(daemon->loop), late, g);
		timer_arm(&g->timer, clock_now(clock) + (int64_t)GATHER_MS * 1000000);
		return CALL_LATER;
	}
	ret = g->then(g->call);
	free(g);
	return ret;
}

int gather_one(struct call *c, struct domain *d, int (*then)(struct call *c))
{
	struct gathering *g = gather_new(c, then);

	if (!g)
		return CALL_FAILED;
	gather_add(g, d);
	return gather_run(g);
}
