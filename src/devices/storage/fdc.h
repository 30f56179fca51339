/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A floppy disk controller (Intel 82077AA, in AT mode) with up to two drives: ports 0x3f2 to 0x3f5 and 0x3f7,
 * interrupt 6, DMA channel 2 or by the processor. Images are raw sectors of one of the sizes that PCs had, 160K to
 * 2.88M, from whose size the geometry follows. Not carried: the scan commands, sectors of other than 512 bytes, and
 * time: motors and heads are at once where they shall be.
 */
#ifndef PANAL_DEVICES_STORAGE_FDC_H
#define PANAL_DEVICES_STORAGE_FDC_H

#include "base/err.h"
#include "core/irq.h"

struct blk;
struct fdc;
struct isa_dma;
struct vm;

enum { FDC_PORT = 0x3f2, FDC_PORTS = 4, FDC_PORT_RATE = 0x3f7, FDC_IRQ = 6, FDC_DMA = 2, FDC_DRIVES = 2 };
/* As CMOS byte 0x10 has them. */
enum fdc_type { FDC_NO_DRIVE, FDC_360K, FDC_1200K, FDC_720K, FDC_1440K, FDC_2880K };

/* A drive with its handle for a new medium. */
struct fdc_drive {
	struct fdc *fdc;
	unsigned n;
};

struct fdc_config {
	struct irq irq;
	struct isa_dma *dma;
	struct {
		bool present;
		struct blk *blk;          /* the controller's from now on; NULL: empty */
		struct fdc_drive **handle; /* set; may be NULL */
	} drive[FDC_DRIVES];
};

/* On failure the images stay the caller's. -EINVAL: an image has no size that floppies have. */
int fdc_create(struct vm *vm, const struct fdc_config *cfg, struct fdc **out, struct err *e) ATTR_MUST_USE;
/* The drive's kind, for CMOS: that which its first medium needs, 1.44M when it is empty. */
enum fdc_type fdc_drive_type(const struct fdc *f, unsigned drive);
/* Another medium, or none (blk NULL); the old one is closed, the new one is the drive's. -EINVAL: its size is no
 * floppy's, or not one of this drive's. Loop thread. */
int fdc_change(const struct fdc_drive *drive, struct blk *blk, struct err *e) ATTR_MUST_USE;

#endif
