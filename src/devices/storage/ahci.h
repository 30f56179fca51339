/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SATA controller with the AHCI 1.3.1 interface, as the ICH9's function 1f.2: six ports, NCQ, 64-bit addresses. */
#ifndef PANAL_DEVICES_STORAGE_AHCI_H
#define PANAL_DEVICES_STORAGE_AHCI_H

#include "base/err.h"

struct blk;
struct pci_bus;
struct scsi_cd;
struct vm;

enum { AHCI_PORTS = 6 };

struct ahci_config {
	struct pci_bus *bus;
	uint8_t slot, function;
	struct {
		bool present, cdrom;
		struct blk *blk;    /* the device's once the controller is made; a CD-ROM drive may have none */
		const char *serial; /* NULL: the image's */
		struct scsi_cd **cd; /* where to say what a CD-ROM drive's medium is changed with; NULL: nowhere */
	} port[AHCI_PORTS];
};

int ahci_create(struct vm *vm, const struct ahci_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
