/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/balloon.h"

#include "arch/x86/board.h"
#include "devices/virtio/balloon.h"

#include <string.h>

_Static_assert((int)CONTROL_BALLOON_STATS == (int)BALLOON_TAGS, "the figures of the device and of the control socket");

bool balloon_set(struct balloon *b, uint64_t bytes)
{
	return board_balloon_set(b->board, bytes);
}

bool balloon_get(struct balloon *b, struct control_balloon *out)
{
	struct virtio_balloon_info info;

	if (!board_balloon_get(b->board, &out->bytes, &info))
		return false;
	out->told_s = info.told_s;
	memcpy(out->stat, info.stat, sizeof(out->stat));
	return true;
}

static void arm(struct balloon *b)
{
	if (b->period_ns)
		timer_arm(&b->timer, clock_now(timerq_clock(b->timer.queue)) + b->period_ns);
	else
		timer_cancel(&b->timer);
}

/* To be asked is to be given the answer of before: that one is for whoever asks next. */
static void on_timer(void *opaque)
{
	struct balloon *b = opaque;
	struct control_balloon ignored;

	balloon_get(b, &ignored);
	arm(b);
}

void balloon_init(struct balloon *b, struct board *board, struct timerq *timers)
{
	*b = (struct balloon){ .board = board };
	timer_init(&b->timer, timers, on_timer, b);
}

bool balloon_period(struct balloon *b, unsigned seconds)
{
	struct control_balloon ignored;

	if (!balloon_get(b, &ignored))
		return false;
	b->period_ns = seconds * INT64_C(1000000000);
	arm(b);
	return true;
}

void balloon_stop(struct balloon *b)
{
	if (b->board)
		timer_cancel(&b->timer);
}
