/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bridges of a pc: root ports with a hot-plug slot each, and a chain of PCI bridges behind the last of them. */
#ifndef PANAL_ARCH_X86_BOARD_BRIDGES_H
#define PANAL_ARCH_X86_BOARD_BRIDGES_H

#include "arch/x86/board.h"

struct board_bridges {
	struct pci_port *port[BOARD_PORT_MAX];
	struct pci_bus *bridge[BOARD_BRIDGE_MAX]; /* what lies behind each */
	unsigned ports, bridges;
};

/* Makes cfg's root ports and bridges; *slots_used gets the slots of the root bus that they take. The first bridge is in
 * the last port's slot, each further one in slot 1 behind the one before. */
int board_bridges_add(struct board_bridges *bb, struct vm *vm, struct pci_bus *root, const struct board_config *cfg,
		      uint32_t *slots_used, struct err *e) ATTR_MUST_USE;
/* The bus and slot of a place as board_config's slots have it; for the root bus too. path: its Open Firmware path, of
 * size bytes, empty where firmware could not follow. -ENODEV: there is no such port or bridge. */
int board_bridges_place(const struct board_bridges *bb, struct pci_bus *root, uint8_t place, struct pci_bus **bus,
			uint8_t *slot, char *path, size_t size, struct err *e) ATTR_MUST_USE;

#endif
