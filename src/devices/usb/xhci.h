/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB controller with the xHCI 1.0 interface, as one PCI function: USB 2 and USB 3 ports, MSI-X, several
 * interrupters. It has no streams, no isochronous endpoints, no virtual functions.
 */
#ifndef PANAL_DEVICES_USB_XHCI_H
#define PANAL_DEVICES_USB_XHCI_H

#include "devices/usb/usb.h"

struct pci_bus;
struct vm;
struct xhci;

/* The first XHCI_PORTS2 ports carry low, full and high speed, those behind them super speed: plug n of the machine's
 * back is port n for the one and port XHCI_PORTS2 + n for the other. */
enum { XHCI_PORTS2 = 8, XHCI_PORTS3 = 8, XHCI_PORTS = XHCI_PORTS2 + XHCI_PORTS3 };

struct xhci_config {
	struct pci_bus *bus;
	uint8_t slot, function;
};

/* Owned by the machine. */
int xhci_create(struct vm *vm, const struct xhci_config *cfg, struct xhci **out, struct err *e) ATTR_MUST_USE;
/* Ports from 1 to XHCI_PORTS, for usb_attach; NULL: no such port. */
struct usb_port *xhci_port(struct xhci *x, unsigned n);

#endif
