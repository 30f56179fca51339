/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts as values: a wire that a part drives, and a place where message-signalled interrupts are written. */
#ifndef PANAL_CORE_IRQ_H
#define PANAL_CORE_IRQ_H

#include "base/compiler.h"

/* A wire. The part that drives it knows no controller. Setting the level that is there already is allowed. Any
 * thread; the receiver locks. A zeroed struct is an unconnected wire. */
struct irq {
	void (*set)(void *opaque, int n, bool level);
	void *opaque;
	int n;
};

static inline void irq_set(const struct irq *q, bool level)
{
	if (q->set)
		q->set(q->opaque, q->n, level);
}

static inline void irq_pulse(const struct irq *q)
{
	irq_set(q, true);
	irq_set(q, false);
}

/* Where MSI messages go. addr and data as the PCI capability holds them (SDM 3A 11.11). Any thread. */
struct msi_sink {
	void (*send)(void *opaque, uint64_t addr, uint32_t data);
	/* Makes an eventfd raise this message, or undoes it: interrupt controllers in the kernel. Negative errno when
	 * there is no room or the message cannot be had so; NULL: never. Any thread. */
	int (*bind)(void *opaque, int event_fd, uint64_t addr, uint32_t data, bool add);
	void *opaque;
};

static inline void msi_send(const struct msi_sink *sink, uint64_t addr, uint32_t data)
{
	if (sink->send)
		sink->send(sink->opaque, addr, data);
}

#endif
