/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --usb DEVICE[,port=N[.N]...][,id=NAME]: what is plugged into the USB controller. */
#ifndef PANAL_VMM_USB_H
#define PANAL_VMM_USB_H

#include "arch/x86/board.h"
#include "vmm/names.h"

/* Adds to the configuration's USB part, or sets the controller's slot. */
struct usb_options {
	bool wanted;
	uint8_t slot;
	struct board_usb dev[BOARD_USB_MAX];
	char id[BOARD_USB_MAX][CONTROL_ID_MAX]; /* empty: none given */
	unsigned count;
};
int usb_add(struct usb_options *o, const char *text, struct err *e) ATTR_MUST_USE;
/* "2" or "1.3" as board_usb.port. */
int usb_parse_port(const char *text, uint32_t *port, struct err *e) ATTR_MUST_USE;

#endif
