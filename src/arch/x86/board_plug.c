/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_plug.h"

#include "arch/x86/board_base.h"
#include "arch/x86/board_usb.h"
#include "core/dev.h"
#include "core/vm.h"
#include "devices/net/e1000.h"
#include "devices/net/rtl8139.h"
#include "devices/pci/pci_port.h"
#include "devices/storage/nvme.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"

#include <errno.h>
#include <string.h>

enum { QUEUES_MAX = 4 };

unsigned board_plug_ports(const struct board *b)
{
	const struct board_bridges *bb = &b->virtio.bridges;

	return bb->ports - (bb->bridges ? 1 : 0);
}

static struct pci_port *port_at(const struct board *b, unsigned port)
{
	return port >= 1 && port <= board_plug_ports(b) ? b->virtio.bridges.port[port - 1] : NULL;
}

bool board_plug_filled(const struct board *b, unsigned port)
{
	return port_at(b, port) && pci_port_filled(port_at(b, port));
}

static int find_port(const struct board *b, unsigned *port, struct err *e)
{
	unsigned count = board_plug_ports(b);

	for (unsigned n = 1; !*port && n <= count; n++)
		if (!pci_port_filled(port_at(b, n))) {
			*port = n;
			return 0;
		}
	if (!*port)
		return err_set(e, -ENOSPC, "no slot is free for another device: the machine has %u (--root-ports)",
			       count);
	if (!port_at(b, *port))
		return err_set(e, -ENODEV, "there is no slot port%u; this machine has %u (--root-ports)", *port, count);
	if (pci_port_filled(port_at(b, *port)))
		return err_set(e, -EBUSY, "slot port%u is taken", *port);
	return 0;
}

/* ---- what can come ---- */

static int make_disk(struct board *b, struct board_plug *p, const struct virtio_place *place, struct err *e)
{
	const char *serial = p->serial[0] ? p->serial : NULL;
	struct virtio_blk_config vc = { .place = *place, .blk = p->blk, .serial = serial };
	struct nvme_config nc = { .bus = place->bus, .blk = p->blk, .serial = serial };

	vc.queues = b->vm->vcpu_count < QUEUES_MAX ? b->vm->vcpu_count : QUEUES_MAX;
	return p->bus == BOARD_NVME ? nvme_create(b->vm, &nc, e) : virtio_blk_create(b->vm, &vc, e);
}

static int make_nic(struct board *b, struct board_plug *p, const struct virtio_place *place, struct err *e)
{
	struct virtio_net_config vc = { .place = *place, .net = p->net };
	struct nic_config nc = { .bus = place->bus, .net = p->net, .rom = p->rom, .rom_size = p->rom_size };

	memcpy(vc.mac, p->mac, sizeof(vc.mac));
	memcpy(nc.mac, p->mac, sizeof(nc.mac));
	vc.place.rom = p->rom;
	vc.place.rom_size = p->rom_size;
	switch (p->nic) {
	case BOARD_NIC_E1000: return e1000_create(b->vm, E1000_82540EM, &nc, e);
	case BOARD_NIC_E1000E: return e1000_create(b->vm, E1000_82574L, &nc, e);
	case BOARD_NIC_RTL8139: return rtl8139_create(b->vm, &nc, e);
	default: return virtio_net_create(b->vm, &vc, e);
	}
}

static int make_balloon(struct board *b, const struct virtio_place *place, struct err *e)
{
	struct virtio_balloon_config bc = { .place = *place };

	if (b->virtio.balloon)
		return err_set(e, -EEXIST, "the machine has a memory balloon");
	return virtio_balloon_create(b->vm, &bc, &b->virtio.balloon, e);
}

static int make_on_pci(struct board *b, struct board_plug *p, struct err *e)
{
	struct virtio_place place = { .id = p->id };
	int ret;

	if (p->kind == BOARD_PLUG_DISK && p->bus != BOARD_VIRTIO && p->bus != BOARD_NVME)
		return err_set(e, -ENOTSUP, "a disk that comes while the machine runs is on bus=virtio, nvme or usb");
	ret = find_port(b, &p->port, e);
	if (ret < 0)
		return ret;
	place.bus = pci_port_bus(port_at(b, p->port));
	switch (p->kind) {
	case BOARD_PLUG_DISK: return make_disk(b, p, &place, e);
	case BOARD_PLUG_NIC: return make_nic(b, p, &place, e);
	case BOARD_PLUG_RNG: return virtio_rng_create(b->vm, &(struct virtio_rng_config){ .place = place }, e);
	default: return make_balloon(b, &place, e);
	}
}

static bool on_usb(const struct board_plug *p)
{
	return p->kind == BOARD_PLUG_USB || (p->kind == BOARD_PLUG_DISK && p->bus == BOARD_USB);
}

static int make(struct board *b, struct board_plug *p, struct err *e)
{
	const struct board_usb u = { .kind = p->usb, .port = p->usb_port };

	if (!on_usb(p))
		return make_on_pci(b, p, e);
	p->port = 0;
	return p->kind == BOARD_PLUG_USB ? board_usb_plug(b, &u, e) : board_usb_plug_disk(b, p->blk, p->usb_port, e);
}

int board_plug(struct board *b, struct board_plug *p, struct dev **out, struct err *e)
{
	int ret;

	vm_hold(b->vm);
	ret = make(b, p, e);
	if (ret == 0) {
		*out = board_last_dev(b);
		vm_dev_begin(b->vm, *out);
		if (p->port)
			pci_port_changed(port_at(b, p->port));
	}
	vm_release(b->vm);
	return ret;
}

/* ---- and go ---- */

int board_unplug_ask(struct board *b, unsigned port, struct err *e)
{
	return port_at(b, port) ? pci_port_push(port_at(b, port), e) :
				  err_set(e, -ENODEV, "there is no slot port%u", port);
}

void board_unplug(struct board *b, struct dev *d, unsigned port)
{
	vm_hold(b->vm);
	if (b->virtio.balloon && (void *)b->virtio.balloon == d->impl)
		b->virtio.balloon = NULL;
	vm_dev_remove(b->vm, d);
	if (port)
		pci_port_changed(port_at(b, port));
	vm_release(b->vm);
}

/* ---- what the guest says ---- */

static unsigned number_of(const struct board *b, const struct pci_port *p)
{
	unsigned n = 0;

	while (b->virtio.bridges.port[n] != p)
		n++;
	return n + 1;
}

static void ejected(void *opaque, struct pci_port *p)
{
	struct board *b = opaque;

	b->plug.ejected(b->plug.opaque, number_of(b, p));
}

static void refused(void *opaque, struct pci_port *p)
{
	struct board *b = opaque;

	b->plug.refused(b->plug.opaque, number_of(b, p));
}

void board_plug_watch(struct board *b, const struct board_plug_ops *ops)
{
	b->plug = *ops;
	for (unsigned n = 1; n <= board_plug_ports(b); n++) {
		pci_port_on_eject(port_at(b, n), ejected, b);
		pci_port_on_refusal(port_at(b, n), refused);
	}
}
