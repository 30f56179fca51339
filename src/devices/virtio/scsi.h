/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio SCSI host (virtio 1.2, section 5.6): one target a drive, logical unit 0 each; disks and CD-ROM drives. */
#ifndef PANAL_DEVICES_VIRTIO_SCSI_H
#define PANAL_DEVICES_VIRTIO_SCSI_H

#include "base/err.h"
#include "devices/virtio/virtio.h"

struct blk;
struct scsi_cd;

enum { VIRTIO_SCSI_TARGETS = 16 };

struct virtio_scsi_config {
	struct virtio_place place;
	unsigned target_count; /* their numbers are their places here; without image and CD-ROM drive there is none */
	struct {
		bool cdrom;
		struct blk *blk;     /* the device's once it is made; a CD-ROM drive may have none. All on one loop */
		const char *serial;  /* at most 20 characters, borrowed; NULL: the image's. Of a disk */
		struct scsi_cd **cd; /* where to say what a CD-ROM drive's medium is changed with; NULL: nowhere */
	} target[VIRTIO_SCSI_TARGETS];
};

/* Main loop, before the machine runs. On failure the images stay the caller's. */
int virtio_scsi_create(struct vm *vm, const struct virtio_scsi_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
