/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/pci_host.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include <errno.h>
#include <stdlib.h>

enum { PORT_ADDRESS = 0xcf8, PORT_COUNT = 8, RESET_CONTROL = 1, DATA = 4 };
enum { RESET_CPU = 4, RESET_BITS = 0x0e };
enum { ECAM_BUS_SHIFT = 20, ECAM_BUSES = 256 };
enum { CLASS_HOST_BRIDGE = 0x060000, VENDOR_INTEL = 0x8086, DEVICE_Q35 = 0x29c0 };
#define ADDRESS_ENABLE UINT32_C(0x80000000)

struct pci_host {
	struct pci_root root;
	struct pci_bus *bus;
	struct pci_dev bridge;
	struct region_handle *ecam, *ports;
	/* root.lock */
	uint32_t address;
	uint8_t reset_control;
};

/* --- ECAM (PCI Express 3.0, 7.2.2) --- */

static uint64_t ecam_read(void *opaque, uint64_t off, unsigned width)
{
	struct pci_host *h = opaque;
	struct pci_dev *d = pci_find(h->bus, off >> ECAM_BUS_SHIFT, off >> 12 & 0xff);
	return d ? pci_config_read(d, off & 0xfff, width) : width_mask(width);
}

static void ecam_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pci_host *h = opaque;
	struct pci_dev *d = pci_find(h->bus, off >> ECAM_BUS_SHIFT, off >> 12 & 0xff);
	if (d)
		pci_config_write(d, off & 0xfff, width, value);
}

static const struct region_ops ecam_ops = {.read = ecam_read, .write = ecam_write, .width_min = 1, .width_max = 4};

/* --- ports (PCI Local Bus 3.0, 3.2.2.3.2) --- */

static struct pci_dev *addressed(struct pci_host *h)
{
	if (!(h->address & ADDRESS_ENABLE))
		return NULL;
	return pci_find(h->bus, h->address >> 16 & 0xff, h->address >> 8 & 0xff);
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct pci_host *h = opaque;
	if (off >= DATA) {
		struct pci_dev *d = addressed(h);
		return d ? pci_config_read(d, (h->address & 0xfc) + off - DATA, width) : width_mask(width);
	}
	if (off == 0 && width == 4)
		return h->address;
	return off == RESET_CONTROL && width == 1 ? h->reset_control : width_mask(width);
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pci_host *h = opaque;
	if (off >= DATA) {
		struct pci_dev *d = addressed(h);
		if (d && off - DATA + width <= 4)
			pci_config_write(d, (h->address & 0xfc) + off - DATA, width, value);
	} else if (off == 0 && width == 4) {
		h->address = value & (ADDRESS_ENABLE | 0xfffffc);
	} else if (off == RESET_CONTROL && width == 1) {
		/* A reset happens at the rising edge of RESET_CPU, soft and hard alike (ICH9 13.7.5). */
		bool edge = (value & RESET_CPU) && !(h->reset_control & RESET_CPU);
		h->reset_control = value & RESET_BITS;
		if (edge)
			vm_request(h->root.vm, VM_REQUEST_RESET);
	}
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 4};

/* --- life --- */

void pci_host_ecam(struct pci_bus *bus, uint64_t addr, unsigned buses)
{
	struct pci_host *h = container_of(pci_bus_root(bus), struct pci_host, root);
	struct region ecam = {.space = REGION_MEMORY, .addr = addr, .size = (uint64_t)buses << ECAM_BUS_SHIFT,
			      .name = "pci-ecam", .ops = &ecam_ops, .opaque = h, .lock = &h->root.lock};
	region_detach(h->ecam);
	h->ecam = NULL;
	if (addr && region_attach(h->root.regions, &ecam, &h->ecam, NULL))
		h->ecam = NULL;
}

/* A board that gave the bridge registers of its own hears of a reset and a load as of any write. */
static void bridge_changed(struct pci_host *h)
{
	if (h->bridge.config_written)
		h->bridge.config_written(&h->bridge, 0, PCI_CONFIG_SIZE);
}

static void pci_host_reset(void *impl)
{
	struct pci_host *h = impl;
	pthread_mutex_lock(&h->root.lock);
	h->address = 0;
	h->reset_control = 0;
	pci_dev_reset(&h->bridge);
	bridge_changed(h);
	pthread_mutex_unlock(&h->root.lock);
}

static void pci_host_destroy(void *impl)
{
	struct pci_host *h = impl;
	region_detach(h->ecam);
	region_detach(h->ports);
	pci_dev_detach(&h->bridge);
	pci_bus_destroy(h->bus);
	pthread_mutex_destroy(&h->root.lock);
	pthread_mutex_destroy(&h->root.line_lock);
	free(h);
}

static int pci_host_loaded(void *obj, uint16_t version, struct err *e)
{
	struct pci_host *h = obj;
	h->address &= ADDRESS_ENABLE | 0xfffffc;
	h->reset_control &= RESET_BITS;
	int rc = pci_dev_loaded(&h->bridge, e);
	if (!rc)
		bridge_changed(h);
	return rc;
}

static const struct state_field pci_host_fields[] = {
	STATE_FIELD(struct pci_host, address, STATE_U32),
	STATE_FIELD(struct pci_host, reset_control, STATE_U8),
	STATE_ARRAY(struct pci_host, bridge.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_END,
};

static const struct state_desc pci_host_state = {
	.name = "pci-host", .version = 1, .fields = pci_host_fields, .after_load = pci_host_loaded,
};

static const struct dev_type pci_host_type = {
	.name = "pci-host", .destroy = pci_host_destroy, .reset = pci_host_reset, .state = &pci_host_state,
	.state_size = sizeof(struct pci_host),
};

static int attach_regions(struct pci_host *h, const struct pci_host_config *cfg, struct err *e)
{
	struct region ecam = {.space = REGION_MEMORY, .addr = cfg->ecam_addr, .name = "pci-ecam", .ops = &ecam_ops,
			      .opaque = h, .lock = &h->root.lock};
	ecam.size = (uint64_t)(cfg->ecam_buses ? cfg->ecam_buses : ECAM_BUSES) << ECAM_BUS_SHIFT;
	struct region ports = {.space = REGION_PORT, .addr = PORT_ADDRESS, .size = PORT_COUNT, .name = "pci-ports",
			       .ops = &port_ops, .opaque = h, .lock = &h->root.lock};
	int rc = 0;
	if (cfg->ecam_addr)
		rc = region_attach(h->root.regions, &ecam, &h->ecam, e);
	if (!rc && !cfg->no_ports)
		rc = region_attach(h->root.regions, &ports, &h->ports, e);
	return rc;
}

static void root_init(struct pci_root *root, struct vm *vm, const struct pci_host_config *cfg)
{
	root->vm = vm;
	root->regions = vm->regions;
	root->msi = cfg->msi;
	root->fixed_slots = cfg->fixed_slots;
	pthread_mutex_init(&root->lock, NULL);
	pthread_mutex_init(&root->line_lock, NULL);
	for (unsigned i = 0; i < PCI_LINES; i++)
		root->line[i] = cfg->intx[i];
}

int pci_host_create(struct vm *vm, const struct pci_host_config *cfg, struct pci_bus **out, struct err *e)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, -ENOMEM, "no memory for the PCI host");
	root_init(&h->root, vm, cfg);
	struct pci_ident id = {.vendor = cfg->vendor ? cfg->vendor : VENDOR_INTEL,
			       .device = cfg->device ? cfg->device : DEVICE_Q35, .class_code = CLASS_HOST_BRIDGE,
			       .subsystem_vendor = cfg->subsystem_vendor, .subsystem = cfg->subsystem};
	int rc = pci_root_bus_create(&h->bus, &h->root, e);
	if (!rc)
		rc = pci_dev_attach(&h->bridge, h->bus, 0, 0, "pci-host-bridge", &id, e);
	if (!rc)
		rc = attach_regions(h, cfg, e);
	if (!rc)
		rc = dev_attach(vm, &pci_host_type, NULL, h, e);
	if (rc)
		pci_host_destroy(h);
	else
		*out = h->bus;
	return rc;
}

/* --- what firmware would do --- */

struct window {
	uint64_t next, end;
};

static bool window_take(struct window *w, uint64_t size, uint64_t *addr)
{
	uint64_t at = round_up(w->next, size);
	if (at < w->next || at > w->end || w->end - at < size)
		return false;
	w->next = at + size;
	*addr = at;
	return true;
}

static int place_bar(struct pci_dev *d, unsigned n, struct window *mem32, struct window *mem64, struct window *ports,
                     struct err *e)
{
	const struct pci_bar *bar = &d->bar[n];
	uint64_t addr = 0;
	bool ok = bar->is_64 && window_take(mem64, bar->size, &addr);
	if (!ok)
		ok = window_take(bar->ports ? ports : mem32, bar->size, &addr);
	if (!ok)
		return err_set(e, -ENOSPC, "%s: no room for BAR %u of 0x%llx bytes in the PCI windows of this board",
			       d->name, n, (unsigned long long)bar->size);
	pci_config_write(d, PCI_BAR0 + 4 * n, 4, addr);
	if (bar->is_64)
		pci_config_write(d, PCI_BAR0 + 4 * n + 4, 4, addr >> 32);
	return 0;
}

int pci_host_assign(struct pci_bus *bus, const struct pci_windows *w, struct err *e)
{
	struct window mem32 = {w->mem32_addr, w->mem32_addr + w->mem32_size};
	struct window mem64 = {w->mem64_addr, w->mem64_addr + w->mem64_size};
	struct window ports = {w->port_addr, (uint64_t)w->port_addr + w->port_size};
	struct pci_root *root = pci_bus_root(bus);
	int rc = 0;
	pthread_mutex_lock(&root->lock);
	for (unsigned devfn = 1; devfn < PCI_DEVFNS && !rc; devfn++) {
		struct pci_dev *d = pci_bus_dev(bus, devfn);
		if (!d)
			continue;
		for (unsigned n = 0; n < PCI_BARS && !rc; n++)
			if (d->bar[n].size)
				rc = place_bar(d, n, &mem32, &mem64, &ports, e);
		if (d->config[PCI_INT_PIN])
			pci_config_write(d, PCI_INT_LINE, 1,
					 w->line_gsi[pci_line_of(bus, d->slot, d->config[PCI_INT_PIN])]);
		pci_config_write(d, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
	pthread_mutex_unlock(&root->lock);
	return rc;
}
