/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hard disk's command set: SCSI Block Commands (SBC-3) with SPC-3's basics, as USB and SCSI controllers carry them.
 * Commands are values of the controller's, so any number may be under way. Loop thread of the image.
 */
#ifndef PANAL_DEVICES_STORAGE_SCSI_DISK_H
#define PANAL_DEVICES_STORAGE_SCSI_DISK_H

#include "devices/storage/scsi.h"

struct scsi_disk {
	struct blk *blk;    /* owned by the controller */
	const char *serial; /* at most 20 characters; NULL: the image's */
	bool attention;     /* unit attention is due: a reset happened, */
	bool resized;       /* or the capacity is another */
};

/* One command: zero-initialised by the controller, which sets x, done and opaque. */
struct scsi_command {
	struct scsi_disk *disk;
	struct xfer *x;
	void (*done)(struct scsi_command *c, uint8_t status);
	void *opaque;
	uint8_t key, asc, ascq; /* its sense; REQUEST SENSE tells what is here from the command before */
};

/* After power-on or a reset. */
void scsi_disk_reset(struct scsi_disk *d);
/* Executes; done is called with SCSI_GOOD or SCSI_CHECK_CONDITION, perhaps before this returns. x->moved is how much
 * was transferred; a transfer shorter than the command's ends where its memory does. */
void scsi_disk_execute(struct scsi_disk *d, struct scsi_command *c, const uint8_t cdb[SCSI_CDB]);
/* Fixed format (SPC-3 4.5.3). */
void scsi_sense(const struct scsi_command *c, uint8_t out[SCSI_SENSE]);

#endif
