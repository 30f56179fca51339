/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB keyboard, mouse and tablet (HID 1.11), with the boot protocol that firmware uses. */
#ifndef PANAL_DEVICES_USB_HID_H
#define PANAL_DEVICES_USB_HID_H

#include "devices/usb/usb.h"

struct input;
struct vm;

enum usb_hid_kind { USB_KEYBOARD, USB_MOUSE, USB_TABLET, USB_HID_KINDS };

struct usb_hid_config {
	enum usb_hid_kind kind;
	struct usb_port *port;
	struct input *input; /* where its events come from, once a driver configured it */
};

/* Owned by the machine. */
int usb_hid_create(struct vm *vm, const struct usb_hid_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
