/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_bridges.h"

#include "core/vm.h"
#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_port.h"

#include <errno.h>
#include <stdio.h>

/* From 1c.0 on, where an ICH9 has its ports; then below. */
enum { PORT_SLOT = 0x1c, BRIDGE_SLOT = 1 };

static void port_address(unsigned n, uint8_t *slot, uint8_t *function)
{
	*slot = (uint8_t)(PORT_SLOT - n / PCI_FUNCTIONS);
	*function = n % PCI_FUNCTIONS;
}

static int add_bridges(struct board_bridges *bb, struct vm *vm, unsigned count, struct err *e)
{
	struct pci_bridge_config bc = { .express = true };
	int ret = 0;

	if (count && !bb->ports)
		return err_set(e, -EINVAL, "PCI bridges hang on a root port: give --root-ports too");
	bc.bus = count ? pci_port_bus(bb->port[bb->ports - 1]) : NULL;
	for (unsigned n = 0; ret == 0 && n < count; n++) {
		ret = pci_bridge_create(vm, &bc, &bb->bridge[n], e);
		bc = (struct pci_bridge_config){ .bus = bb->bridge[n], .slot = BRIDGE_SLOT };
		bb->bridges += ret == 0;
	}
	return ret;
}

int board_bridges_add(struct board_bridges *bb, struct vm *vm, struct pci_bus *root, const struct board_config *cfg,
		      uint32_t *slots_used, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < cfg->root_ports; n++) {
		struct pci_port_config pc = { .bus = root, .number = (uint8_t)(n + 1) };

		port_address(n, &pc.slot, &pc.function);
		*slots_used |= 1u << pc.slot;
		ret = pci_port_create(vm, &pc, &bb->port[n], e);
		bb->ports += ret == 0;
	}
	return ret < 0 ? ret : add_bridges(bb, vm, cfg->pci_bridges, e);
}

static int behind_port(const struct board_bridges *bb, unsigned n, struct pci_bus **bus, char *path, size_t size,
                       struct err *e)
{
	uint8_t slot, function;

	if (n >= bb->ports)
		return err_set(e, -ENODEV, "there is no root port %u; --root-ports makes them", n + 1);
	if (bb->bridges && n == bb->ports - 1)
		return err_set(e, -ENODEV, "root port %u has the PCI bridge in its slot", n + 1);
	port_address(n, &slot, &function);
	*bus = pci_port_bus(bb->port[n]);
	if (function)
		snprintf(path, size, "/pci@i0cf8/pci-bridge@%x,%x", slot, function);
	else
		snprintf(path, size, "/pci@i0cf8/pci-bridge@%x", slot);
	return 0;
}

int board_bridges_place(const struct board_bridges *bb, struct pci_bus *root, uint8_t place, struct pci_bus **bus,
			uint8_t *slot, char *path, size_t size, struct err *e)
{
	unsigned bridge = (place & ~BOARD_BEHIND_BRIDGE) / PCI_SLOTS;

	*path = 0;
	if (place & BOARD_BEHIND_BRIDGE) {
		if (bridge >= bb->bridges)
			return err_set(e, -ENODEV, "there is no PCI bridge %u; --pci-bridges makes them", bridge + 1);
		*bus = bb->bridge[bridge];
		*slot = place % PCI_SLOTS;
		return 0;
	}
	if (place & BOARD_BEHIND_PORT) {
		*slot = 0;
		return behind_port(bb, place & ~BOARD_BEHIND_PORT, bus, path, size, e);
	}
	*bus = root;
	*slot = place;
	snprintf(path, size, "/pci@i0cf8");
	return 0;
}
