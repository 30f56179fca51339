/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/net/e1000_priv.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR_INTEL = 0x8086, CLASS_ETHERNET = 0x020000, BAR_MEM = 0, BAR_FLASH = 1, BAR_MSIX = 3 };
enum { MEM_SIZE = 0x20000, IO_SIZE = 0x40, IO_SIZE_LATE = 0x20 };

static const struct model {
	const char *name;
	uint16_t device;
	uint8_t revision, io_bar;
} models[] = {
	[E1000_82540EM] = { "e1000", 0x100e, 3, 1 },
	[E1000_82574L] = { "e1000e", 0x10d3, 0, 2 },
};

/* ---- on the back end's loop ---- */

void e1000_work(void *opaque)
{
	struct e1000 *c = opaque;

	e1000_transmit(c);
	if (e1000_has_room(c))
		nic_room(&c->nic);
}

static void on_link(void *opaque, bool up)
{
	e1000_link(opaque);
}

static const struct nic_ops nic_ops = { .work = e1000_work, .receive = e1000_receive, .link = on_link };

/* ---- life ---- */

static void e1000_reset(void *impl)
{
	struct e1000 *c = impl;

	pci_dev_reset(&c->pci);
	if (c->msix.dev)
		msix_reset(&c->msix);
	pthread_mutex_lock(&c->nic.lock);
	e1000_eeprom_fill(c);
	e1000_phy_reset(c);
	e1000_mac_reset(c);
	pthread_mutex_unlock(&c->nic.lock);
}

static void e1000_run_state(void *impl, bool running)
{
	nic_run_state(&((struct e1000 *)impl)->nic, running);
}

static void take_down(struct e1000 *c, bool close)
{
	nic_run_state(&c->nic, false);
	if (c->msix.dev)
		msix_destroy(&c->msix);
	pci_dev_detach(&c->pci);
	e1000_throttle_stop(c);
	nic_destroy(&c->nic, close);
	free(c);
}

static void e1000_destroy(void *impl)
{
	take_down(impl, true);
}

static int e1000_loaded(void *obj, uint16_t version, struct err *e)
{
	struct e1000 *c = obj;
	int ret = pci_dev_loaded(&c->pci, e);

	if (ret == 0 && c->msix.dev)
		ret = msix_loaded(&c->msix, e);
	if (ret < 0)
		return ret;
	e1000_throttle_stop(c);
	e1000_mac_loaded(c);
	c->io_addr &= MEM_SIZE - 1;
	c->wire.out &= 1;
	c->link_up = c->nic.up;
	c->pin = false;
	e1000_update_irq(c);
	for (unsigned n = 0; n < E1000_VECTORS; n++)
		if (c->waiting & 1u << n)
			timer_arm(&c->throttle[n], 0);
	return 0;
}

static const struct state_field fields[] = {
	STATE_ARRAY(struct e1000, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct e1000, msix.table, STATE_BYTES, E1000_VECTORS * MSIX_ENTRY),
	STATE_FIELD(struct e1000, msix.pending, STATE_U64),
	STATE_ARRAY(struct e1000, reg, STATE_U32, R_MAX),
	STATE_ARRAY(struct e1000, mta, STATE_U32, E1000_MTA),
	STATE_ARRAY(struct e1000, ra, STATE_U32, 2 * E1000_RA),
	STATE_ARRAY(struct e1000, vfta, STATE_U32, E1000_VFTA),
	STATE_ARRAY(struct e1000, stat, STATE_U32, S_COUNT),
	STATE_FIELD(struct e1000, icr, STATE_U32),
	STATE_ARRAY(struct e1000, eeprom, STATE_U16, E1000_EEPROM),
	STATE_ARRAY(struct e1000, phy, STATE_U16, E1000_PHY),
	STATE_FIELD(struct e1000, phy_page, STATE_U16),
	STATE_FIELD(struct e1000, io_addr, STATE_U32),
	STATE_FIELD(struct e1000, wire.bits, STATE_U32),
	STATE_FIELD(struct e1000, wire.count, STATE_U8),
	STATE_FIELD(struct e1000, wire.out, STATE_U8),
	STATE_FIELD(struct e1000, waiting, STATE_U32),
	STATE_ARRAY(struct e1000, ctx, STATE_U32, E1000_RINGS * 2 * E1000_CTX),
	STATE_ARRAY(struct e1000, sent, STATE_U32, E1000_RINGS),
	STATE_END,
};

static const struct state_desc states[] = {
	[E1000_82540EM] = { .name = "e1000", .version = 1, .fields = fields, .after_load = e1000_loaded },
	[E1000_82574L] = { .name = "e1000e", .version = 1, .fields = fields, .after_load = e1000_loaded },
};

static const struct dev_type types[] = {
	[E1000_82540EM] = { .name = "e1000", .destroy = e1000_destroy, .reset = e1000_reset,
			    .run_state = e1000_run_state, .state = &states[E1000_82540EM],
			    .state_size = sizeof(struct e1000) },
	[E1000_82574L] = { .name = "e1000e", .destroy = e1000_destroy, .reset = e1000_reset,
			   .run_state = e1000_run_state, .state = &states[E1000_82574L],
			   .state_size = sizeof(struct e1000) },
};

/* ---- making one ---- */

static uint64_t nothing_read(void *opaque, uint64_t off, unsigned width)
{
	return width_mask(width);
}

static void nothing_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
}

static const struct region_ops flash_ops = { .read = nothing_read, .write = nothing_write };

static int add_function(struct e1000 *c, const struct nic_config *cfg, struct err *e)
{
	const struct model *m = &models[c->model];
	struct pci_ident id = { .vendor = VENDOR_INTEL, .device = m->device, .class_code = CLASS_ETHERNET,
				.revision = m->revision, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
				.int_pin = 1 };
	bool late = c->model == E1000_82574L;
	int ret = pci_dev_attach(&c->pci, cfg->bus, cfg->slot, 0, m->name, &id, e);

	if (ret < 0)
		return ret;
	pci_bar_set(&c->pci, BAR_MEM, &(struct pci_bar){ .size = MEM_SIZE, .ops = &e1000_mem_ops, .opaque = c,
							 .lock = &c->nic.lock });
	pci_bar_set(&c->pci, m->io_bar,
		    &(struct pci_bar){ .size = late ? IO_SIZE_LATE : IO_SIZE, .ports = true, .ops = &e1000_io_ops,
				       .opaque = c, .lock = &c->nic.lock });
	if (late) {
		pci_bar_set(&c->pci, BAR_FLASH,
			    &(struct pci_bar){ .size = MEM_SIZE, .ops = &flash_ops, .opaque = c });
		msix_init(&c->msix, &c->pci, BAR_MSIX, E1000_VECTORS);
	}
	return cfg->rom ? pci_rom_set(&c->pci, cfg->rom, cfg->rom_size, e) : 0;
}

int e1000_create(struct vm *vm, enum e1000_model model, const struct nic_config *cfg, struct err *e)
{
	struct e1000 *c;
	int ret = nic_config_check(cfg, models[model].name, e);

	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "no memory for the network card");
	c->vm = vm;
	c->model = model;
	memcpy(c->mac, cfg->mac, FRAME_MAC);
	e1000_throttle_init(c, cfg->timers ? cfg->timers : vm->timers);
	nic_init(&c->nic, vm, cfg, &nic_ops, c);
	ret = add_function(c, cfg, e);
	if (ret == 0) {
		e1000_eeprom_fill(c);
		e1000_phy_reset(c);
		e1000_mac_reset(c);
		ret = dev_attach(vm, &types[model], NULL, c, e);
	}
	if (ret < 0) {
		take_down(c, false); /* the back end stays the caller's */
		return ret;
	}
	nic_connect(&c->nic);
	return 0;
}
