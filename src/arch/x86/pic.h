/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pair of 8259A interrupt controllers of a PC, cascaded through input 2, with the edge/level registers. */
#ifndef PANAL_ARCH_X86_PIC_H
#define PANAL_ARCH_X86_PIC_H

#include "base/err.h"
#include "core/irq.h"

struct pic;
struct vm;

struct pic_config {
	struct irq intr; /* the INTR output: apic_bus_lint0 */
};

/* Ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. */
int pic_create(struct vm *vm, struct pic_config cfg, struct pic **out, struct err *e) ATTR_MUST_USE;
/* Input n, 0-15 (2 is the cascade and goes nowhere). Any thread. */
struct irq pic_pin(struct pic *p, unsigned n);
/* The processor acknowledges: the vector; a spurious one when the request went away. For apic_bus_on_extint,
 * opaque is the pic. Any thread. */
int pic_ack(void *opaque);

#endif
