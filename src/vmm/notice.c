/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/notice.h"

static const int64_t SECOND_NS = INT64_C(1000000000);

static void send_now(struct notice *n)
{
	n->due = false;
	timer_arm(&n->timer, clock_now(timerq_clock(n->timer.queue)) + SECOND_NS);
	n->send(n->opaque);
}

static void on_timer(void *opaque)
{
	struct notice *n = opaque;

	if (n->due)
		send_now(n);
}

void notice_init(struct notice *n, struct timerq *timers, void (*send)(void *opaque), void *opaque)
{
	*n = (struct notice){ .send = send, .opaque = opaque };
	timer_init(&n->timer, timers, on_timer, n);
}

void notice_happened(struct notice *n)
{
	n->due = true;
	if (!timer_armed(&n->timer))
		send_now(n);
}

void notice_stop(struct notice *n)
{
	if (n->send)
		timer_cancel(&n->timer);
}
