/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel gigabit cards by their registers: the 82540EM ("e1000", PCI/PCI-X Family Software Developer's Manual 317453)
 * and the 82574L ("e1000e", its datasheet 317694), which adds MSI-X, a second send ring and extended receive
 * descriptors. One pair of rings receives: the 82574L's receive side scaling is not there.
 */
#ifndef PANAL_DEVICES_NET_E1000_H
#define PANAL_DEVICES_NET_E1000_H

#include "devices/net/nic.h"

enum e1000_model { E1000_82540EM, E1000_82574L };

/* Owned by the machine. Errors: -EINVAL (the address, the option ROM), the bus's. */
int e1000_create(struct vm *vm, enum e1000_model model, const struct nic_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
