/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ICH9's LPC bridge, PCI function 1f.0 (Intel ICH9 datasheet, chapter 13): it routes the PCI lines to the PICs'
 * inputs, places the ACPI registers and the chipset configuration window, and has the APM ports 0xb2 and 0xb3.
 */
#ifndef PANAL_ARCH_X86_LPC_H
#define PANAL_ARCH_X86_LPC_H

#include "base/err.h"
#include "core/irq.h"

struct gsi;
struct lpc;
struct pci_bus;
struct pm;
struct vm;

enum { LPC_SLOT = 0x1f, LPC_LINES = 4, LPC_GSI = 16 };

struct lpc_config {
	struct gsi *gsi;
	struct pm *pm; /* moved where the guest places it; without the guest's word it answers nowhere */
};

/* The bus wants the lines first: lpc_create makes them, lpc_attach the PCI function, from when on the bridge is the
 * machine's (on failure it is gone). lpc_destroy is for one that was never attached. */
int lpc_create(struct vm *vm, struct lpc_config cfg, struct lpc **out, struct err *e) ATTR_MUST_USE;
int lpc_attach(struct lpc *l, struct pci_bus *bus, struct err *e) ATTR_MUST_USE;
void lpc_destroy(void *lpc);
/* Line n (0-3) of the PCI host: IOAPIC pin 16 + n, and the PIC input that PIRQ A + n names. */
struct irq lpc_line(struct lpc *l, unsigned n);

#endif
