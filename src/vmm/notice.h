/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events that a guest can bring about as often as it likes: clients hear at most one a second, and of the last. */
#ifndef PANAL_VMM_NOTICE_H
#define PANAL_VMM_NOTICE_H

#include "core/clock.h"

#include <stdbool.h>

/* Main loop. */
struct notice {
	struct timer timer; /* armed: one was sent less than a second ago */
	bool due;
	void (*send)(void *opaque);
	void *opaque;
};

void notice_init(struct notice *n, struct timerq *timers, void (*send)(void *opaque), void *opaque);
/* Something happened: send is called now, or within a second. */
void notice_happened(struct notice *n);
/* Also of one that was never begun. */
void notice_stop(struct notice *n);

#endif
