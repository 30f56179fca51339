/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/pci_bridge.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/pci_express.h"
#include <errno.h>
#include <stdlib.h>

enum { VENDOR_REDHAT = 0x1b36, DEVICE_PCI_BRIDGE = 0x0001, DEVICE_EXPRESS_BRIDGE = 0x000e, CLASS_BRIDGE = 0x060400 };
enum { HEADER_BRIDGE = 1, IO_32 = 0x01, PREFETCH_64 = 0x01, CONTROL_BUS_RESET = 0x40 };

/* --- the header --- */

int pci_bridge_init(struct pci_dev *d, struct pci_bus **bus, struct err *e)
{
	/* Bases above limits: windows that let nothing through, where there is no firmware to set them. */
	const uint8_t io[2] = {0xf0 | IO_32, IO_32}, memory[4] = {0xf0, 0xff, 0, 0};
	const uint8_t prefetch[4] = {0xf0 | PREFETCH_64, 0xff, PREFETCH_64, 0};
	uint8_t type = d->config[PCI_HEADER_TYPE] | HEADER_BRIDGE;
	pci_config_init(d, PCI_HEADER_TYPE, &type, 1);
	pci_config_init(d, BRIDGE_IO, io, sizeof(io));
	pci_config_init(d, BRIDGE_MEMORY, memory, sizeof(memory));
	pci_config_init(d, BRIDGE_PREFETCH, prefetch, sizeof(prefetch));
	memset(&d->write_mask[BRIDGE_PRIMARY], 0xff, 4);
	memset(&d->write_mask[BRIDGE_IO], 0xf0, 2);
	for (unsigned at = BRIDGE_MEMORY; at < BRIDGE_PREFETCH + 4; at += 2)
		store_le16(&d->write_mask[at], 0xfff0);
	memset(&d->write_mask[BRIDGE_PREFETCH + 4], 0xff, 12); /* the upper halves, also of the ports */
	store_le16(&d->write_mask[BRIDGE_CONTROL], 0x0fff);
	return pci_bus_create(bus, d->bus, d, e);
}

static void reset_behind(struct pci_bus *bus)
{
	for (unsigned n = 0; n < PCI_DEVFNS; n++)
		if (pci_bus_dev(bus, (uint8_t)n))
			pci_dev_reset(pci_bus_dev(bus, (uint8_t)n));
}

void pci_bridge_written(struct pci_dev *d, struct pci_bus *bus, unsigned off, unsigned width)
{
	if (range_overlap(off, width, BRIDGE_PRIMARY, 3))
		pci_bus_number(bus, d->config[BRIDGE_SECONDARY], d->config[BRIDGE_SUBORDINATE]);
	if (width < PCI_CONFIG_SIZE && range_overlap(off, width, BRIDGE_CONTROL, 1) &&
	    (d->config[BRIDGE_CONTROL] & CONTROL_BUS_RESET))
		reset_behind(bus);
}

/* --- the plain bridges --- */

struct pci_bridge {
	struct pci_dev pci;
	struct pci_bus *behind;
};

static void written(struct pci_dev *d, unsigned off, unsigned width)
{
	pci_bridge_written(d, container_of(d, struct pci_bridge, pci)->behind, off, width);
}

static void bridge_reset(void *impl)
{
	struct pci_bridge *b = impl;
	pthread_mutex_lock(&pci_bus_root(b->pci.bus)->lock);
	pci_dev_reset(&b->pci);
	written(&b->pci, 0, PCI_CONFIG_SIZE);
	pthread_mutex_unlock(&pci_bus_root(b->pci.bus)->lock);
}

static void bridge_destroy(void *impl)
{
	struct pci_bridge *b = impl;
	pci_bus_destroy(b->behind);
	pci_dev_detach(&b->pci);
	free(b);
}

static int bridge_loaded(void *obj, uint16_t version, struct err *e)
{
	struct pci_bridge *b = obj;
	int rc = pci_dev_loaded(&b->pci, e);
	if (!rc)
		written(&b->pci, 0, PCI_CONFIG_SIZE);
	return rc;
}

static const struct state_field bridge_fields[] = {
	STATE_ARRAY(struct pci_bridge, pci.config, STATE_BYTES, PCI_CONFIG_SIZE), STATE_END,
};

static const struct state_desc bridge_state = {
	.name = "pci-bridge", .version = 1, .fields = bridge_fields, .after_load = bridge_loaded,
};

static const struct dev_type bridge_type = {
	.name = "pci-bridge", .destroy = bridge_destroy, .reset = bridge_reset, .state = &bridge_state,
	.state_size = sizeof(struct pci_bridge),
};

int pci_bridge_create(struct vm *vm, const struct pci_bridge_config *cfg, struct pci_bus **out, struct err *e)
{
	struct pci_bridge *b = calloc(1, sizeof(*b));
	struct pci_ident id = {.vendor = VENDOR_REDHAT, .class_code = CLASS_BRIDGE,
			       .device = cfg->express ? DEVICE_EXPRESS_BRIDGE : DEVICE_PCI_BRIDGE};
	if (!b)
		return err_set(e, -ENOMEM, "no memory for a PCI bridge");
	int rc = pci_dev_attach(&b->pci, cfg->bus, cfg->slot, cfg->function, "pci-bridge", &id, e);
	if (!rc)
		rc = pci_bridge_init(&b->pci, &b->behind, e);
	if (!rc) {
		if (cfg->express)
			pci_express_add(&b->pci, EXPRESS_TO_PCI, 0);
		b->pci.config_written = written;
		rc = dev_attach(vm, &bridge_type, NULL, b, e);
	}
	if (rc)
		bridge_destroy(b);
	else
		*out = b->behind;
	return rc;
}
