/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/gsi.h"

#include <assert.h>

static void gsi_set(void *opaque, int n, bool level)
{
	struct gsi *g = opaque;
	if (n < GSI_ISA)
		irq_set(&g->pic[n], level);
	irq_set(&g->ioapic[n], level);
}

static void timer_set(void *opaque, int n, bool level)
{
	struct gsi *g = opaque;
	irq_set(&g->pic[0], level);
	irq_set(&g->ioapic[2], level);
}

struct irq gsi_wire(struct gsi *g, unsigned n)
{
	assert(n < GSI_COUNT);
	return (struct irq){.set = gsi_set, .opaque = g, .n = n};
}

struct irq gsi_isa(struct gsi *g, unsigned n)
{
	assert(n < GSI_ISA);
	return n ? gsi_wire(g, n) : (struct irq){.set = timer_set, .opaque = g, .n = 0};
}
