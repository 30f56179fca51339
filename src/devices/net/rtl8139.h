/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Realtek's 100 Mb/s card RTL8139C+ (datasheet of the RTL8139C(L)+, revision 1.6): four send slots and a ring of bytes
 * as the RTL8139 has them, and the C+ mode's rings of descriptors with checksums, segmentation and VLAN tags. */
#ifndef PANAL_DEVICES_NET_RTL8139_H
#define PANAL_DEVICES_NET_RTL8139_H

#include "devices/net/nic.h"

/* Owned by the machine. Errors: -EINVAL (the address, the option ROM), the bus's. */
int rtl8139_create(struct vm *vm, const struct nic_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
