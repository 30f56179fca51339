/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the wires of a PC go: a global system interrupt (GSI) reaches the IOAPIC's pin of that number and, for
 * 0-15, the PIC's too. ISA's interrupt 0 (the PIT) is wired to IOAPIC pin 2, as every PC has it and the MADT says.
 */
#ifndef PANAL_ARCH_X86_GSI_H
#define PANAL_ARCH_X86_GSI_H

#include "core/irq.h"

enum { GSI_COUNT = 24, GSI_ISA = 16 };

struct gsi {
	struct irq pic[GSI_ISA];      /* unconnected where there is no PIC */
	struct irq ioapic[GSI_COUNT]; /* likewise */
	_Atomic bool cut;             /* PIT and RTC reach nothing: the HPET is in their place */
};

/* The wire of a device to an ISA interrupt (0-15). gsi outlives it. */
struct irq gsi_isa(struct gsi *g, unsigned n);
/* The same for PIT (0) and RTC (8), whose wires gsi_cut cuts. */
struct irq gsi_legacy(struct gsi *g, unsigned n);
/* opaque: the struct gsi. Any thread. */
void gsi_cut(void *gsi, bool cut);
/* The wire to an IOAPIC pin; those below 16 reach the PIC too. */
struct irq gsi_wire(struct gsi *g, unsigned n);

#endif
