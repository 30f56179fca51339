/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of the Q35's memory controller hub in the host bridge's configuration space that firmware uses (Intel
 * 3 Series Express Chipset, 5.1): PCIEXBAR moves the ECAM window; PAM and SMRAM keep what is written.
 */
#ifndef PANAL_ARCH_X86_MCH_H
#define PANAL_ARCH_X86_MCH_H

struct pci_bus;

/* bus: the root bus, without ECAM as yet. The window appears where and when the firmware says. */
void mch_create(struct pci_bus *bus);

#endif
