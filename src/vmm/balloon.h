/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon as the control socket sees it: its size, the guest's figures, how often the guest is asked for them. */
#ifndef PANAL_VMM_BALLOON_H
#define PANAL_VMM_BALLOON_H

#include "control/control.h"
#include "core/clock.h"

struct board;

/* All on the main loop's thread. */
struct balloon {
	struct board *board;
	struct timer timer;
	int64_t period_ns; /* on the machine's clock: a machine that stands is not asked */
};

void balloon_init(struct balloon *b, struct board *board, struct timerq *timers);
/* Before the machine is destroyed; also of one that was never begun. */
void balloon_stop(struct balloon *b);
/* As in struct control_target. */
bool balloon_set(struct balloon *b, uint64_t bytes);
bool balloon_get(struct balloon *b, struct control_balloon *out);
bool balloon_period(struct balloon *b, unsigned seconds);

#endif
