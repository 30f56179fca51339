/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Intel 8254 timer of a PC with its three channels, and system control port B (0x61) for channel 2. */
#ifndef PANAL_ARCH_X86_PIT_H
#define PANAL_ARCH_X86_PIT_H

#include "base/err.h"
#include "core/irq.h"

struct pit;
struct timerq;
struct vm;

enum { PIT_HZ = 1193182 };

struct pit_config {
	struct timerq *timers; /* on the machine clock */
	struct irq irq;        /* channel 0's output: ISA interrupt 0 */
};

/* Ports 0x40-0x43 and 0x61. */
int pit_create(struct vm *vm, struct pit_config cfg, struct pit **out, struct err *e) ATTR_MUST_USE;

#endif
