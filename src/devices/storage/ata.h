/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATA disk (ATA8-ACS) or an ATAPI CD-ROM drive as its controller sees it: commands in, status out. The registers'
 * transport (AHCI's FISes, IDE's ports) is the controller's.
 */
#ifndef PANAL_DEVICES_STORAGE_ATA_H
#define PANAL_DEVICES_STORAGE_ATA_H

#include "devices/storage/scsi.h"

enum { ATA_SERIAL = 20, ATA_MODEL = 40, ATA_SECTORS_MAX = 65536 };
enum { ATA_BUSY = 0x80, ATA_READY = 0x40, ATA_FAULT = 0x20, ATA_SEEK = 0x10, ATA_REQUEST = 0x08, ATA_ERROR = 0x01 };
enum { ATA_ABORTED = 0x04, ATA_ID_NOT_FOUND = 0x10, ATA_UNCORRECTABLE = 0x40 };
enum { ATA_SIGNATURE = 0x00000101, ATA_SIGNATURE_ATAPI = (int)0xeb140101u };

/* How data go: a controller must know before the command runs. */
enum ata_protocol { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA_IN, ATA_DMA_OUT, ATA_NCQ_IN, ATA_NCQ_OUT,
		    ATA_PACKET };

struct ata_drive {
	/* constant after ata_init */
	struct blk *blk; /* a disk's image; NULL: a CD-ROM drive */
	bool atapi;
	char serial[ATA_SERIAL + 1], model[ATA_MODEL + 1];
	/* loop thread */
	struct scsi_cd cd;
	uint8_t multiple;  /* sectors per interrupt of READ MULTIPLE; 0: not set */
	uint8_t udma;      /* mode chosen by SET FEATURES */
	bool write_cache;
};

/* The register contents of a command; features and count are 16 bits wide in 48-bit commands. */
struct ata_regs {
	uint8_t command, device;
	uint16_t features, count;
	uint64_t lba; /* 48 bits; 28-bit commands take the low 24 and four of device */
};

struct ata_op {
	struct ata_drive *drive;
	struct ata_regs in;
	uint8_t packet[SCSI_CDB]; /* of ATA_PACKET */
	struct xfer x;
	/* results: what the registers show */
	uint8_t status, error;
	uint16_t count;
	uint64_t lba;
	void (*done)(struct ata_op *op); /* perhaps before ata_run returns */
	void *opaque;
	uint16_t words[256]; /* ata.c's own */
};

/* blk or medium becomes the drive's (the creator closes it). serial may be empty. */
void ata_init(struct ata_drive *d, struct blk *blk, bool atapi, const char *serial);
void ata_reset(struct ata_drive *d);
enum ata_protocol ata_protocol_of(const struct ata_drive *d, uint8_t command);
/* How many bytes a disk's command moves; 0 for those of ATA_NO_DATA and ATA_PACKET. */
uint64_t ata_length(const struct ata_drive *d, const struct ata_regs *in);
/* in, packet and x's pieces are filled. Loop thread. */
void ata_run(struct ata_op *op);

#endif
