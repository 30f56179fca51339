/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A USB 2.0 hub with eight ports (USB 2.0, chapter 11), powered by itself. */
#ifndef PANAL_DEVICES_USB_HUB_H
#define PANAL_DEVICES_USB_HUB_H

#include "devices/usb/usb.h"

struct vm;

enum { USB_HUB_PORTS = 8 };

struct usb_hub_config {
	struct usb_port *port;
};

/* Owned by the machine. Its ports are found by usb_at and usb_ops.port. */
int usb_hub_create(struct vm *vm, const struct usb_hub_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
