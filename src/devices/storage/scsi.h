/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CD-ROM drive's command set: SCSI Multi-Media Commands (MMC-5) with SPC-3's basics, as ATAPI, virtio-scsi and USB
 * carry them. One command at a time; loop thread of the image.
 */
#ifndef PANAL_DEVICES_STORAGE_SCSI_H
#define PANAL_DEVICES_STORAGE_SCSI_H

#include "devices/storage/xfer.h"

enum { SCSI_CDB = 16, SCSI_SENSE = 18, SCSI_GOOD = 0, SCSI_CHECK_CONDITION = 2 };

struct scsi_cd {
	struct blk *blk;     /* the medium; NULL: the tray is empty */
	bool locked;         /* the guest forbids to take it out */
	bool ejected;        /* the guest opened the tray */
	bool changed;        /* unit attention is due: the medium is new, or a reset happened */
	uint8_t event;       /* of the media class, for GET EVENT STATUS NOTIFICATION */
	uint8_t key, asc, ascq; /* sense of the last command */
	/* The tray opened or closed; loop thread. May be NULL. */
	void (*moved)(void *opaque, bool open);
	void *moved_opaque;
	/* the command under way */
	struct xfer *x;
	void (*done)(struct scsi_cd *cd, uint8_t status);
	void *opaque;
};

/* After power-on or a reset. */
void scsi_cd_reset(struct scsi_cd *cd);
/*
 * Puts another medium into the drive, or takes it out (blk NULL); the old one is closed, the new one is the drive's.
 * -EBUSY: the guest has locked the tray, and is asked to let go of the medium; force does not ask. Loop thread.
 */
int scsi_cd_change(struct scsi_cd *cd, struct blk *blk, bool force, struct err *e) ATTR_MUST_USE;
/* Whether the command has data, by the same table that executes it; one that is not known may have. */
bool scsi_cd_has_data(const uint8_t cdb[SCSI_CDB]);
/* Executes; done is called with SCSI_GOOD or SCSI_CHECK_CONDITION, perhaps before this returns. x->moved is how much
 * was transferred. */
void scsi_cd_execute(struct scsi_cd *cd, const uint8_t cdb[SCSI_CDB], struct xfer *x,
                     void (*done)(struct scsi_cd *cd, uint8_t status), void *opaque);

#endif
