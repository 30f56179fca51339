/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_usb.h"

#include "devices/pci/pci.h"
#include "devices/usb/hid.h"
#include "devices/usb/hub.h"
#include "devices/usb/storage.h"
#include "devices/usb/xhci.h"

#include <errno.h>
#include <stdio.h>

/* "1.3": port 1, and of the hub there port 3. */
static const char *path_text(uint32_t path, char text[24])
{
	int at = 0;

	for (; path && at < 20; path >>= 4)
		at += snprintf(text + at, 24 - (size_t)at, at ? ".%u" : "%u", path & 15);
	return text;
}

static struct usb_port *hub_port(struct xhci *x, uint32_t path)
{
	const struct usb_dev *hub;
	unsigned bits = 4;

	while (path >> bits > 15)
		bits += 4;
	hub = usb_at(xhci_port(x, path & 15), (path & ((1u << bits) - 1)) >> 4);
	return hub && hub->ops->port ? hub->ops->port((struct usb_dev *)hub, path >> bits) : NULL;
}

/* A socket of the controller: its super speed port, or the other one. Both are one plug's. */
static struct usb_port *socket(struct xhci *x, unsigned n, bool super)
{
	struct usb_port *two = xhci_port(x, n), *three = xhci_port(x, XHCI_PORTS2 + n);

	if (n < 1 || n > XHCI_PORTS2 || two->dev || three->dev)
		return NULL;
	return super ? three : two;
}

static int find_port(struct xhci *x, uint32_t path, bool super, struct usb_port **out, struct err *e)
{
	char text[24];

	*out = NULL;
	for (unsigned n = 1; !path && !*out && n <= XHCI_PORTS2; n++)
		*out = socket(x, n, super);
	if (path)
		*out = path > 15 ? hub_port(x, path) : socket(x, path, super);
	if (*out && !(*out)->dev)
		return 0;
	if (!path)
		return err_set(e, -ENOSPC, "all %d USB ports are taken; give a hub, and ports of it as port=1.1",
			       XHCI_PORTS2);
	return err_set(e, -ENOENT, "USB port %s is taken or does not exist; a hub comes before what is plugged into it",
		       path_text(path, text));
}

static int add_one(struct board *b, struct xhci *x, const struct board_usb *u, struct err *e)
{
	struct usb_hid_config hid = { .input = b->input };
	int ret = find_port(x, u->port, false, &hid.port, e);

	if (ret < 0)
		return ret;
	if (u->kind == BOARD_USB_HUB)
		return usb_hub_create(b->vm, &(struct usb_hub_config){ .port = hid.port }, e);
	hid.kind = u->kind == BOARD_USB_KEYBOARD ? USB_KEYBOARD : u->kind == BOARD_USB_MOUSE ? USB_MOUSE : USB_TABLET;
	return usb_hid_create(b->vm, &hid, e);
}

/* A hub stays: others may be plugged into it. */
static int add_from_start(struct board *b, struct xhci *x, struct board_config *cfg, unsigned n, struct err *e)
{
	int ret = add_one(b, x, &cfg->usb_dev[n], e);

	if (ret == 0 && cfg->usb_dev[n].kind != BOARD_USB_HUB)
		cfg->usb_place[n].dev = board_last_dev(b);
	return ret;
}

static int add_disk(struct board *b, struct xhci *x, struct board_config *cfg, unsigned n, struct err *e)
{
	struct usb_storage_config c = { .blk = cfg->disk[n] };
	int ret = find_port(x, cfg->disk_port[n], true, &c.port, e);

	if (ret == 0)
		ret = usb_storage_create(b->vm, &c, e);
	if (ret == 0) {
		cfg->disk[n] = NULL;
		cfg->disk_place[n].dev = board_last_dev(b);
	}
	return ret;
}

/* Those that have a port, and hubs, which make ports; or the others. */
static int add_some(struct board *b, struct xhci *x, struct board_config *cfg, bool placed, struct err *e)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < cfg->usb_count; n++)
		if (placed == (cfg->usb_dev[n].port || cfg->usb_dev[n].kind == BOARD_USB_HUB))
			ret = add_from_start(b, x, cfg, n, e);
	for (unsigned n = 0; ret == 0 && n < cfg->disk_count; n++)
		if (cfg->disk_bus[n] == BOARD_USB && placed == (cfg->disk_port[n] != 0))
			ret = add_disk(b, x, cfg, n, e);
	return ret;
}

static bool wanted(const struct board_config *cfg)
{
	for (unsigned n = 0; n < cfg->disk_count; n++)
		if (cfg->disk_bus[n] == BOARD_USB)
			return true;
	return cfg->usb;
}

int board_usb_add(struct board *b, struct board_config *cfg, struct err *e)
{
	struct xhci_config xc = { .bus = b->virtio.bus, .slot = cfg->usb_slot ? cfg->usb_slot : BOARD_USB_SLOT };
	struct xhci *x;
	int ret;

	if (!wanted(cfg))
		return 0;
	if (!xc.bus)
		return err_set(e, -EINVAL, "USB needs PCI");
	b->virtio.slots_used |= 1u << xc.slot;
	ret = xhci_create(b->vm, &xc, &x, e);
	if (ret == 0)
		b->xhci = x;
	if (ret == 0)
		ret = add_some(b, x, cfg, true, e);
	return ret == 0 ? add_some(b, x, cfg, false, e) : ret;
}

/* ---- while the machine runs ---- */

static int no_controller(struct err *e)
{
	return err_set(e, -ENODEV, "there is no USB controller in this machine (--usb controller)");
}

int board_usb_plug(struct board *b, const struct board_usb *u, struct err *e)
{
	if (!b->xhci)
		return no_controller(e);
	if (u->kind == BOARD_USB_HUB)
		return err_set(e, -ENOTSUP, "a USB hub cannot come while the machine runs");
	return add_one(b, b->xhci, u, e);
}

int board_usb_plug_disk(struct board *b, struct blk *blk, uint32_t port, struct err *e)
{
	struct usb_storage_config c = { .blk = blk };
	int ret = b->xhci ? find_port(b->xhci, port, true, &c.port, e) : no_controller(e);

	return ret < 0 ? ret : usb_storage_create(b->vm, &c, e);
}
