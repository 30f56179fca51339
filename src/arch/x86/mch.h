/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of the Q35's memory controller hub in the host bridge's configuration space that firmware uses (Intel
 * 3 Series Express Chipset, 5.1): PCIEXBAR moves the ECAM window; PAM chooses what lies from 0xc0000 to 0xfffff, RAM or
 * the firmware's ROM, for reads and for writes; SMRAM keeps what is written: there is no SMM.
 */
#ifndef PANAL_ARCH_X86_MCH_H
#define PANAL_ARCH_X86_MCH_H

#include "base/err.h"

struct pci_bus;
struct vm;

/* bus: the root bus, without ECAM as yet. The window appears where and when the firmware says. */
int mch_create(struct vm *vm, struct pci_bus *bus, struct err *e) ATTR_MUST_USE;

#endif
