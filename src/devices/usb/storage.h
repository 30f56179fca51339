/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A USB disk: mass storage, bulk-only transport 1.0, one unit with SCSI disk commands; high and super speed. */
#ifndef PANAL_DEVICES_USB_STORAGE_H
#define PANAL_DEVICES_USB_STORAGE_H

#include "devices/usb/usb.h"

struct vm;

struct usb_storage_config {
	struct usb_port *port;
	struct blk *blk; /* on the main loop; the device's once it is made */
};

/* Owned by the machine. */
int usb_storage_create(struct vm *vm, const struct usb_storage_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
