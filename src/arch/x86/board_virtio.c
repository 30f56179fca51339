/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_virtio.h"

#include "core/dev.h"
#include "core/vm.h"
#include "devices/net/e1000.h"
#include "devices/net/rtl8139.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/serial.h"
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned mmio_gsi(unsigned n)
{
	return BOARD_MMIO_GSI + n % BOARD_MMIO_GSIS;
}

static unsigned next_slot(struct board_virtio *bv, unsigned n)
{
	unsigned slot = BOARD_SLOT_FIRST;

	if (n < bv->slot_count)
		return bv->slot[n];
	while (slot <= BOARD_SLOT_LAST && bv->slots_used & 1u << slot)
		slot++;
	return slot;
}

unsigned board_virtio_slot(struct board_virtio *bv)
{
	unsigned slot = next_slot(bv, bv->slot_count);

	if (slot > BOARD_SLOT_LAST)
		return 0;
	bv->slots_used |= 1u << slot;
	return slot;
}

static int next_place(struct board_virtio *bv, struct virtio_place *place, struct err *e)
{
	unsigned n = bv->next++, slot = next_slot(bv, n);

	*place = (struct virtio_place){ 0 };
	if (bv->bus && slot >= BOARD_BEHIND_PORT)
		return board_bridges_place(&bv->bridges, bv->bus, (uint8_t)slot, &place->bus, &place->slot, bv->path,
					   sizeof(bv->path), e);
	if (slot < BOARD_SLOT_FIRST || slot > BOARD_SLOT_LAST)
		return err_set(e, -ENOSPC, "more than %d devices; leave some out", BOARD_SLOT_LAST);
	bv->slots_used |= 1u << slot;
	snprintf(bv->path, sizeof(bv->path), "/pci@i0cf8");
	if (bv->bus) {
		place->bus = bv->bus;
		place->slot = (uint8_t)slot;
	} else {
		place->mmio_addr = BOARD_MMIO_AT + n * BOARD_MMIO_SIZE;
		place->mmio_irq = gsi_wire(bv->gsi, mmio_gsi(n));
	}
	return 0;
}

static void ATTR_PRINTF(3, 0) add_order(struct board_virtio *bv, unsigned boot, const char *form, unsigned slot)
{
	char node[32];

	snprintf(node, sizeof(node), form, slot);
	boot_order_add(&bv->order, bv->path[0] ? boot : 0, "%s/%s", bv->path, node);
}

/* What is behind a root port can be unplugged. */
static void take_seat(struct board_virtio *bv, struct board_seat *seat)
{
	unsigned slot = next_slot(bv, bv->next - 1);

	if (!bv->bus || !(slot & BOARD_BEHIND_PORT) || slot & BOARD_BEHIND_BRIDGE)
		return;
	seat->port = (slot & ~(unsigned)BOARD_BEHIND_PORT) + 1;
	seat->dev = list_entry(bv->vm->devs.prev, struct dev, node);
}

static int add_disk(struct board_virtio *bv, struct board_config *cfg, unsigned n, struct err *e)
{
	struct virtio_blk_config c = {.blk = cfg->disk[n],
				      .serial = cfg->disk_serial[n][0] ? cfg->disk_serial[n] : NULL,
				      .queues = bv->vm->vcpu_count < 4 ? bv->vm->vcpu_count : 4};
	int ret = next_place(bv, &c.place, e);

	if (ret == 0)
		ret = virtio_blk_create(bv->vm, &c, e);
	if (ret < 0)
		return ret;
	cfg->disk[n] = NULL;
	take_seat(bv, &cfg->disk_place[n]);
	add_order(bv, cfg->disk_boot[n], "scsi@%x/disk@0,0", c.place.slot);
	return 0;
}

/* A card that is not virtio, at a place of the same row. */
static int add_card(struct board_virtio *bv, struct board_config *cfg, unsigned n, struct err *e)
{
	struct virtio_place place;
	struct nic_config c = { .net = cfg->net[n], .rom = cfg->nic_rom[n], .rom_size = cfg->nic_rom_size[n] };
	int ret = next_place(bv, &place, e);

	if (ret == 0 && !place.bus)
		ret = err_set(e, -EINVAL, "network cards other than virtio need PCI; leave out --virtio mmio");
	if (ret < 0)
		return ret;
	c.bus = place.bus;
	c.slot = place.slot;
	memcpy(c.mac, cfg->mac[n], sizeof(c.mac));
	if (cfg->nic[n] == BOARD_NIC_RTL8139)
		ret = rtl8139_create(bv->vm, &c, e);
	else
		ret = e1000_create(bv->vm, cfg->nic[n] == BOARD_NIC_E1000E ? E1000_82574L : E1000_82540EM, &c, e);
	if (ret < 0)
		return ret;
	cfg->net[n] = NULL;
	take_seat(bv, &cfg->net_place[n]);
	add_order(bv, cfg->net_boot[n], "ethernet@%x/ethernet-phy@0", c.slot);
	return 0;
}

static int add_net(struct board_virtio *bv, struct board_config *cfg, unsigned n, struct err *e)
{
	struct virtio_net_config c = { .net = cfg->net[n] };
	int ret = next_place(bv, &c.place, e);

	c.place.rom = c.place.bus ? cfg->nic_rom[n] : NULL;
	c.place.rom_size = cfg->nic_rom_size[n];
	memcpy(c.mac, cfg->mac[n], sizeof(c.mac));
	if (ret == 0)
		ret = virtio_net_create(bv->vm, &c, e);
	if (ret < 0)
		return ret;
	cfg->net[n] = NULL;
	take_seat(bv, &cfg->net_place[n]);
	add_order(bv, cfg->net_boot[n], "ethernet@%x/ethernet-phy@0", c.place.slot);
	return 0;
}

static int add_console(struct board_virtio *bv, struct chardev **chardev, struct err *e)
{
	struct virtio_console_config c = { .chardev = *chardev };
	int ret = next_place(bv, &c.place, e);

	if (ret == 0)
		ret = virtio_console_create(bv->vm, &c, NULL, e);
	if (ret == 0)
		*chardev = NULL;
	return ret;
}

static int add_channels(struct board_virtio *bv, struct board_config *cfg, struct err *e)
{
	struct virtio_serial_config c = { .count = cfg->channel_count, .moved = cfg->channel_moved,
					  .opaque = cfg->channel_opaque };
	int ret = next_place(bv, &c.place, e);

	for (unsigned n = 0; n < cfg->channel_count; n++) {
		c.port[n].name = cfg->channel_name[n];
		c.port[n].chardev = cfg->channel[n];
	}
	if (ret == 0)
		ret = virtio_serial_create(bv->vm, &c, e);
	for (unsigned n = 0; ret == 0 && n < cfg->channel_count; n++)
		cfg->channel[n] = NULL;
	return ret;
}

static int add_balloon(struct board_virtio *bv, struct board_config *cfg, struct err *e)
{
	struct virtio_balloon_config c = { 0 };
	int ret = next_place(bv, &c.place, e);

	if (ret == 0)
		ret = virtio_balloon_create(bv->vm, &c, &bv->balloon, e);
	if (ret == 0)
		take_seat(bv, &cfg->balloon_place);
	return ret;
}

static int add_rng(struct board_virtio *bv, struct board_config *cfg, struct err *e)
{
	struct virtio_rng_config c = { 0 };
	int ret = next_place(bv, &c.place, e);

	if (ret == 0)
		ret = virtio_rng_create(bv->vm, &c, e);
	if (ret == 0)
		take_seat(bv, &cfg->rng_place);
	return ret;
}

static int add_vsock(struct board_virtio *bv, const struct board_config *cfg, struct err *e)
{
	struct virtio_vsock_config c = { .path = cfg->vsock_path, .cid = cfg->vsock_cid };
	int ret = next_place(bv, &c.place, e);

	return ret < 0 ? ret : virtio_vsock_create(bv->vm, &c, e);
}

static int add_input(struct board_virtio *bv, enum virtio_input_kind kind, struct err *e)
{
	struct virtio_input_config c = { .kind = kind, .input = bv->input };
	int ret = next_place(bv, &c.place, e);

	return ret < 0 ? ret : virtio_input_create(bv->vm, &c, e);
}

int board_virtio_add(struct board_virtio *bv, struct board_config *cfg, struct err *e)
{
	int ret = 0;

	bv->slot = cfg->slot;
	bv->slot_count = cfg->slot_count;
	for (unsigned n = 0; n < cfg->slot_count; n++)
		if (cfg->slot[n] < BOARD_BEHIND_PORT)
			bv->slots_used |= 1u << cfg->slot[n];
	for (unsigned n = 0; ret == 0 && n < cfg->disk_count; n++)
		if (cfg->disk_bus[n] == BOARD_VIRTIO)
			ret = add_disk(bv, cfg, n, e);
	for (unsigned n = 0; ret == 0 && n < cfg->net_count; n++)
		ret = cfg->nic[n] == BOARD_NIC_VIRTIO ? add_net(bv, cfg, n, e) :
							add_card(bv, cfg, n, e);
	if (ret == 0 && cfg->console)
		ret = add_console(bv, &cfg->console, e);
	if (ret == 0 && cfg->channel_count)
		ret = add_channels(bv, cfg, e);
	if (ret == 0 && cfg->rng)
		ret = add_rng(bv, cfg, e);
	if (ret == 0 && cfg->balloon)
		ret = add_balloon(bv, cfg, e);
	if (ret == 0 && cfg->vsock_path)
		ret = add_vsock(bv, cfg, e);
	for (unsigned kind = 0; ret == 0 && kind < VIRTIO_INPUT_KINDS; kind++)
		if (cfg->virtio_input & 1u << kind)
			ret = add_input(bv, (enum virtio_input_kind)kind, e);
	return ret;
}

void board_virtio_describe(const struct board_virtio *bv, struct acpi_config *acpi)
{
	if (bv->bus)
		return;
	acpi->virtio_count = bv->next;
	for (unsigned n = 0; n < bv->next; n++) {
		acpi->virtio[n].base = (uint32_t)(BOARD_MMIO_AT + n * BOARD_MMIO_SIZE);
		acpi->virtio[n].size = BOARD_MMIO_SIZE;
		acpi->virtio[n].gsi = (uint8_t)mmio_gsi(n);
	}
}
