/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bridges share: the type 1 header and the bus behind it (PCI-to-PCI Bridge Architecture 1.2, 3.2), and the plain
 * bridges: PCI Express to PCI, and PCI to PCI.
 *
 * The windows are kept for the guest to read back. They do not cut off what lies behind the bridge: a function answers
 * where its own registers place it. A reset of the secondary bus resets the configuration of the functions there.
 */
#ifndef PANAL_DEVICES_PCI_PCI_BRIDGE_H
#define PANAL_DEVICES_PCI_PCI_BRIDGE_H

#include "devices/pci/pci.h"

enum { BRIDGE_PRIMARY = 0x18, BRIDGE_SECONDARY = 0x19, BRIDGE_SUBORDINATE = 0x1a, BRIDGE_IO = 0x1c,
       BRIDGE_STATUS = 0x1e, BRIDGE_MEMORY = 0x20, BRIDGE_PREFETCH = 0x24, BRIDGE_CONTROL = 0x3e };

/* The header of an attached function, and its bus in *bus. */
int pci_bridge_init(struct pci_dev *d, struct pci_bus **bus, struct err *e) ATTR_MUST_USE;
/* For config_written, and with the whole space after a reset or a load: the bus numbers follow. */
void pci_bridge_written(struct pci_dev *d, struct pci_bus *bus, unsigned off, unsigned width);

struct pci_bridge_config {
	struct pci_bus *bus;
	uint8_t slot, function;
	bool express; /* behind a root port: a PCI Express to PCI bridge; else a PCI-to-PCI bridge */
};
/* Owned by the machine. *out is the bus behind it, with slots 0 to 31. */
int pci_bridge_create(struct vm *vm, const struct pci_bridge_config *cfg, struct pci_bus **out,
		      struct err *e) ATTR_MUST_USE;

#endif
