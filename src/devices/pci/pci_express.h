/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI Express capability (PCI Express 3.0, 7.8): a link of 2.5 GT/s and one lane that is always up where something
 * is at its other end. */
#ifndef PANAL_DEVICES_PCI_PCI_EXPRESS_H
#define PANAL_DEVICES_PCI_PCI_EXPRESS_H

#include "devices/pci/pci.h"

enum pci_express_kind { EXPRESS_ENDPOINT = 0, EXPRESS_ROOT_PORT = 4, EXPRESS_TO_PCI = 7 };

/* Offsets in the capability. */
enum { EXPRESS_FLAGS = 0x02, EXPRESS_LINK_CAPS = 0x0c, EXPRESS_LINK_STATUS = 0x12, EXPRESS_SLOT_CAPS = 0x14,
       EXPRESS_SLOT_CONTROL = 0x18, EXPRESS_SLOT_STATUS = 0x1a, EXPRESS_ROOT_CONTROL = 0x1c, EXPRESS_LEN = 0x3c };
enum { EXPRESS_LINK_ACTIVE = 1 << 13 };

/* Adds it to an attached function; port: the link's number. Returns its offset. */
unsigned pci_express_add(struct pci_dev *d, enum pci_express_kind kind, uint8_t port);

#endif
