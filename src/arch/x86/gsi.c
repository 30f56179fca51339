/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/gsi.h"

#include <assert.h>
#include <stdatomic.h>

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

static void legacy_set(void *opaque, int n, bool level)
{
	struct gsi *g = opaque;
	struct irq wire = gsi_isa(g, (unsigned)n);
	if (!atomic_load(&g->cut))
		irq_set(&wire, level);
}

struct irq gsi_legacy(struct gsi *g, unsigned n)
{
	return (struct irq){.set = legacy_set, .opaque = g, .n = (int)n};
}

void gsi_cut(void *gsi, bool cut)
{
	struct gsi *g = gsi;
	struct irq wire[] = {gsi_isa(g, 0), gsi_isa(g, 8)};
	if (atomic_exchange(&g->cut, cut) == cut || !cut)
		return;
	irq_set(&wire[0], false);
	irq_set(&wire[1], false);
}

struct irq gsi_isa(struct gsi *g, unsigned n)
{
	assert(n < GSI_ISA);
	return n ? gsi_wire(g, n) : (struct irq){.set = timer_set, .opaque = g, .n = 0};
}
