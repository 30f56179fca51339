/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parallel ATA controller as the IDE function of Intel's PIIX3: two channels at the ports that every PC has had since
 * the AT, two drives each, PIO and bus-master DMA.
 */
#ifndef PANAL_DEVICES_STORAGE_IDE_H
#define PANAL_DEVICES_STORAGE_IDE_H

#include "base/err.h"
#include "core/irq.h"

struct blk;
struct scsi_cd;
struct pci_bus;
struct vm;

enum { IDE_CHANNELS = 2, IDE_DRIVES = 2 };

struct ide_config {
	struct pci_bus *bus;
	uint8_t slot, function;
	struct irq irq[IDE_CHANNELS]; /* 14 and 15 on a PC */
	struct {
		bool present, cdrom;
		struct blk *blk;    /* the device's once the controller is made; a CD-ROM drive may have none */
		const char *serial; /* NULL: the image's */
		struct scsi_cd **cd; /* where to say what a CD-ROM drive's medium is changed with; NULL: nowhere */
	} drive[IDE_CHANNELS][IDE_DRIVES];
};

/* Main loop, before the machine runs. On failure the images stay the caller's. */
int ide_create(struct vm *vm, const struct ide_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
