/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Root ports with their hot-plug slots, and bridges behind one, through the configuration ports; functions come and
 * go. */
#include "drive.h"

#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_host.h"
#include "devices/pci/pci_port.h"

static void must(int ret)
{
	if (ret)
		__builtin_trap();
}

struct tree {
	struct rig r;
	struct pci_port *port;
	struct pci_dev dev;
};

/* Registers of the port, the bridges, the function; now and then a function is plugged, pulled or asked for. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct tree *t = opaque;
	struct pci_ident id = {.vendor = 0x1234, .device = 0x5678, .int_pin = 1};
	static const uint8_t at[] = {0x04, 0x10, 0x18, 0x1c, 0x20, 0x24, 0x3c, 0x40, 0x4c, 0x50, 0x54, 0x58,
				     0x5c, 0x7c, 0x80};
	rig_out(&t->r, 0xcf8, 4, 0x80000000 | (a >> 8 & 3) << 16 | (a & 0x80 ? 0xe0 : a & 0x40 ? 0xe1 : 8) << 8 |
					 at[a % COUNT_OF(at)]);
	rig_out(&t->r, 0xcfc, 4, (uint32_t)b);
	if ((a >> 16 & 7) == 0) {
		if (t->dev.bus)
			pci_dev_detach(&t->dev);
		else
			must(pci_dev_attach(&t->dev, pci_port_bus(t->port), 0, 0, "test", &id, NULL));
		pci_port_changed(t->port);
	} else if ((a >> 16 & 7) == 1 && pci_port_push(t->port, NULL)) {
		pci_port_changed(t->port);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tree t;
	struct pci_bus *bus, *behind;
	struct pci_port *second;
	struct pci_host_config hc = {.fixed_slots = 25};
	t = (struct tree){0};
	rig_up(&t.r, 0);
	must(pci_host_create(t.r.vm, &hc, &bus, NULL));
	must(pci_port_create(t.r.vm, &(struct pci_port_config){.bus = bus, .slot = 0x1c, .number = 1}, &t.port, NULL));
	struct pci_port_config pc = {.bus = bus, .slot = 0x1c, .function = 1, .number = 2};
	must(pci_port_create(t.r.vm, &pc, &second, NULL));
	struct pci_bridge_config bc = {.bus = pci_port_bus(second), .express = true};
	must(pci_bridge_create(t.r.vm, &bc, &behind, NULL));
	must(pci_bridge_create(t.r.vm, &(struct pci_bridge_config){.bus = behind, .slot = 1}, &behind, NULL));
	struct fuzz_plan plan = {.range = {{REGION_PORT, 0xcf8, 8}}, .ranges = 1, .other = other, .opaque = &t};
	fuzz_drive(&t.r, &plan, data, size);
	pci_dev_detach(&t.dev);
	rig_down(&t.r);
	return 0;
}
