/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/pci_express.h"

#include "base/bytes.h"

enum { CAP_EXPRESS = 0x10, VERSION = 2, SLOT_IMPLEMENTED = 0x100 };
enum { DEVICE_CAPS = 0x04, DEVICE_CONTROL = 0x08, LINK_CONTROL = 0x10, DEVICE_CONTROL_2 = 0x28, LINK_CAPS_2 = 0x2c,
       LINK_CONTROL_2 = 0x30 };
enum { ROLE_BASED_ERRORS = 0x8000, LINK_2_5 = 1, LINK_X1 = 1 << 4, LINK_REPORTS_ACTIVE = 1 << 20, PORT_SHIFT = 24 };

unsigned pci_express_add(struct pci_dev *d, enum pci_express_kind kind, uint8_t port)
{
	uint8_t c[EXPRESS_LEN] = {0};
	unsigned at = pci_cap_add(d, CAP_EXPRESS, EXPRESS_LEN);
	bool root = kind == EXPRESS_ROOT_PORT;
	store_le16(c + EXPRESS_FLAGS, VERSION | kind << 4 | (root ? SLOT_IMPLEMENTED : 0));
	store_le32(c + DEVICE_CAPS, ROLE_BASED_ERRORS);
	store_le32(c + EXPRESS_LINK_CAPS, LINK_2_5 | LINK_X1 | (root ? LINK_REPORTS_ACTIVE : 0) |
						  (uint32_t)port << PORT_SHIFT);
	store_le16(c + EXPRESS_LINK_STATUS, LINK_2_5 | LINK_X1);
	store_le32(c + LINK_CAPS_2, LINK_2_5 << 1);
	store_le16(c + LINK_CONTROL_2, LINK_2_5);
	pci_config_init(d, at + 2, c + 2, EXPRESS_LEN - 2);
	store_le16(&d->write_mask[at + DEVICE_CONTROL], 0x7fff);
	store_le16(&d->write_mask[at + LINK_CONTROL], 0x07cb);
	store_le16(&d->write_mask[at + DEVICE_CONTROL_2], 0x041f);
	return at;
}
