/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/ata.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	C_NOP = 0x00, C_DSM = 0x06, C_RESET_DEVICE = 0x08, C_READ = 0x20, C_READ_EXT = 0x24, C_READ_DMA_EXT = 0x25,
	C_READ_NATIVE_MAX_EXT = 0x27, C_READ_MULTIPLE_EXT = 0x29, C_READ_LOG_EXT = 0x2f, C_WRITE = 0x30,
	C_WRITE_EXT = 0x34, C_WRITE_DMA_EXT = 0x35, C_WRITE_MULTIPLE_EXT = 0x39, C_WRITE_DMA_FUA_EXT = 0x3d,
	C_VERIFY = 0x40, C_VERIFY_EXT = 0x42, C_READ_FPDMA = 0x60, C_WRITE_FPDMA = 0x61, C_DIAGNOSTIC = 0x90,
	C_INIT_PARAMETERS = 0x91, C_PACKET = 0xa0, C_IDENTIFY_PACKET = 0xa1, C_SMART = 0xb0, C_READ_MULTIPLE = 0xc4,
	C_WRITE_MULTIPLE = 0xc5, C_SET_MULTIPLE = 0xc6, C_READ_DMA = 0xc8, C_WRITE_DMA = 0xca, C_STANDBY_NOW = 0xe0,
	C_IDLE_NOW = 0xe1, C_STANDBY = 0xe2, C_IDLE = 0xe3, C_CHECK_POWER = 0xe5, C_SLEEP = 0xe6, C_FLUSH = 0xe7,
	C_FLUSH_EXT = 0xea, C_IDENTIFY = 0xec, C_SET_FEATURES = 0xef, C_READ_NATIVE_MAX = 0xf8,
};
enum { MULTIPLE_MAX = 16, QUEUE_DEPTH = 32, DSM_TRIM = 1, FUA = 0x80, DSM_BLOCKS_MAX = 8 };
#define LBA28_MAX UINT64_C(0x0fffffff)

enum flags { LBA28 = 1, LBA48 = 2, DISK = 4, CDROM = 8, WRITES = 16 };

struct command {
	uint8_t code;
	enum ata_protocol protocol;
	uint8_t flags;
	void (*run)(struct ata_op *op);
};

/* ---- ends ---- */

static void end(struct ata_op *op, uint8_t error)
{
	op->error = error;
	op->status = ATA_READY | ATA_SEEK | (error ? ATA_ERROR : 0);
	op->done(op);
}

static void end_block(struct xfer *x)
{
	end(x->opaque, x->result ? ATA_UNCORRECTABLE : 0);
}

static void start(struct ata_op *op, enum blk_op what, uint64_t offset, uint64_t len, bool fua)
{
	op->x.done = end_block;
	op->x.opaque = op;
	xfer_start(&op->x, op->drive->blk, what, offset, len, fua);
}

/* ---- reading and writing ---- */

static uint64_t disk_sectors(const struct ata_drive *d)
{
	return d->blk ? blk_info(d->blk)->size / BLK_SECTOR : 0;
}

static const struct command *find(const struct ata_drive *d, uint8_t code);

/* The first sector and the number of them: 0 stands for the most. */
static void range(const struct ata_regs *in, uint8_t flags, uint64_t *lba, uint32_t *count)
{
	if (flags & LBA48) {
		*lba = in->lba & UINT64_C(0xffffffffffff);
		*count = in->count ? in->count : ATA_SECTORS_MAX;
	} else {
		*lba = (in->lba & 0xffffff) | (uint64_t)(in->device & 15) << 24;
		*count = in->count & 0xff ? in->count & 0xff : 256;
	}
}

static bool in_range(const struct ata_drive *d, uint64_t lba, uint32_t count)
{
	uint64_t size = disk_sectors(d);
	return lba < size && count <= size - lba;
}

static void move(struct ata_op *op, uint64_t lba, uint32_t count, bool write, bool fua)
{
	uint64_t len = (uint64_t)count * BLK_SECTOR;
	if (!in_range(op->drive, lba, count))
		end(op, ATA_ID_NOT_FOUND);
	else if (op->x.room < len || (write && blk_info(op->drive->blk)->read_only))
		end(op, ATA_ABORTED);
	else
		start(op, write ? BLK_WRITE : BLK_READ, lba * BLK_SECTOR, len, fua);
}

static void read_write(struct ata_op *op)
{
	const struct command *c = find(op->drive, op->in.command);
	uint64_t lba;
	uint32_t count;
	range(&op->in, c->flags, &lba, &count);
	if (!(op->in.device & 0x40)) /* CHS went out with ATA-6; BIOSes use LBA */
		end(op, ATA_ABORTED);
	else
		move(op, lba, count, c->flags & WRITES,
		     op->in.command == C_WRITE_DMA_FUA_EXT || (c->flags & WRITES && !op->drive->write_cache));
}

/* The count lies in the features register, the tag where the count was. */
static void queued(struct ata_op *op)
{
	uint32_t count = op->in.features ? op->in.features : ATA_SECTORS_MAX;
	bool write = op->in.command == C_WRITE_FPDMA;
	move(op, op->in.lba, count, write, write && (op->in.device & FUA || !op->drive->write_cache));
}

static void verify(struct ata_op *op)
{
	uint64_t lba;
	uint32_t count;
	range(&op->in, find(op->drive, op->in.command)->flags, &lba, &count);
	end(op, in_range(op->drive, lba, count) ? 0 : ATA_ID_NOT_FOUND);
}

static void flush(struct ata_op *op)
{
	start(op, BLK_FLUSH, 0, 0, false);
}

/* ---- TRIM: ranges of 48-bit LBA and 16-bit count, one after the other ---- */

static void trim_next(struct ata_op *op);

static void trim_done(struct xfer *x)
{
	struct ata_op *op = x->opaque;
	if (x->result && x->result != -EOPNOTSUPP)
		end(op, ATA_ABORTED);
	else
		trim_next(op);
}

/* op->count counts the ranges that are done, of all in the data. */
static void trim_next(struct ata_op *op)
{
	while (op->count < sizeof(op->words) / 8) {
		uint64_t v = load_le64((uint8_t *)op->words + 8u * op->count++), lba = v & UINT64_C(0xffffffffffff);
		uint32_t n = (uint32_t)(v >> 48);
		if (!n)
			continue;
		if (!in_range(op->drive, lba, n)) {
			end(op, ATA_ABORTED);
			return;
		}
		op->x.done = trim_done;
		op->x.opaque = op;
		xfer_start(&op->x, op->drive->blk, BLK_DISCARD, lba * BLK_SECTOR, (uint64_t)n * BLK_SECTOR, false);
		return;
	}
	op->count = 0;
	end(op, 0);
}

static void data_set_management(struct ata_op *op)
{
	if (!(op->in.features & DSM_TRIM) || op->in.count != 1 || blk_info(op->drive->blk)->read_only ||
	    xfer_get(&op->x, op->words, sizeof(op->words)) != sizeof(op->words)) {
		end(op, ATA_ABORTED);
		return;
	}
	op->count = 0;
	trim_next(op);
}

/* ---- IDENTIFY ---- */

/* Two characters a word, the first in the high byte; blanks behind. */
static void put_text(uint16_t *w, const char *text, unsigned chars)
{
	size_t len = strlen(text);
	for (unsigned n = 0; n < chars; n += 2) {
		uint8_t a = n < len ? (uint8_t)text[n] : ' ', b = n + 1 < len ? (uint8_t)text[n + 1] : ' ';
		w[n / 2] = (uint16_t)(a << 8 | b);
	}
}

static void identify_common(const struct ata_drive *d, uint16_t *w)
{
	put_text(w + 10, d->serial, ATA_SERIAL);
	put_text(w + 23, "1.0", 8);
	put_text(w + 27, d->model, ATA_MODEL);
	w[49] = 0x0300; /* DMA, LBA */
	w[53] = 7;
	w[63] = 7; /* multiword DMA 0-2 */
	w[64] = 3; /* PIO 3, 4 */
	w[65] = w[66] = w[67] = w[68] = 120;
	w[80] = 0x01f0; /* ATA-4 to ATA8-ACS */
	w[88] = (uint16_t)(0x3f | 1u << (8 + (d->udma > 5 ? 5 : d->udma))); /* Ultra DMA 0-5 */
	w[93] = 0x6001; /* 80-wire cable */
}

static void identify_disk(const struct ata_drive *d, uint16_t *w)
{
	uint64_t n = disk_sectors(d), low = n > LBA28_MAX ? LBA28_MAX : n, cylinders = low / (16 * 63);
	const struct blk_info *info = blk_info(d->blk);
	w[0] = 0x0040;
	w[1] = (uint16_t)(cylinders > 16383 ? 16383 : cylinders);
	w[3] = 16;
	w[6] = 63;
	w[47] = 0x8000 | MULTIPLE_MAX;
	w[59] = d->multiple ? 0x0100 | d->multiple : 0;
	w[60] = (uint16_t)low;
	w[61] = (uint16_t)(low >> 16);
	w[75] = QUEUE_DEPTH - 1;
	w[76] = 0x0106; /* NCQ, 1.5 and 3 Gb/s */
	w[82] = 0x4020; /* write cache, NOP */
	w[83] = 0x7400; /* LBA48, FLUSH CACHE (EXT) */
	w[84] = 0x4040; /* FUA */
	w[85] = d->write_cache ? 0x4020 : 0x4000;
	w[86] = 0x3400;
	w[87] = 0x4040;
	for (unsigned i = 0; i < 4; i++)
		w[100 + i] = (uint16_t)(n >> (16 * i));
	unsigned exponent = 0;
	while (info->block_size_physical >> (9 + exponent + 1))
		exponent++;
	w[106] = (uint16_t)(0x4000 | (exponent ? 0x2000 | exponent : 0));
	w[217] = 1; /* no rotation */
	if (info->can_discard && !info->read_only) {
		w[105] = 1;
		w[169] = 1;
	}
}

static void identify(struct ata_op *op)
{
	uint16_t *w = op->words;
	memset(w, 0, sizeof(op->words));
	identify_common(op->drive, w);
	if (op->drive->atapi) {
		w[0] = 0x85c0; /* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
		w[82] = w[85] = 0x0210; /* PACKET, DEVICE RESET */
		w[83] = 0x4000;
	} else {
		identify_disk(op->drive, w);
	}
	w[255] = 0xa5; /* signature; the checksum makes all bytes add up to zero */
	uint8_t sum = 0;
	for (unsigned n = 0; n < 512; n++)
		sum += (uint8_t)(w[n / 2] >> (n & 1 ? 8 : 0));
	w[255] |= (uint16_t)((uint8_t)-sum << 8);
	xfer_put(&op->x, w, 512);
	xfer_written(&op->x);
	end(op, 0);
}

/* An ATAPI drive aborts IDENTIFY DEVICE and shows its signature, which is how drivers find out. */
static void identify_wrong(struct ata_op *op)
{
	op->lba = 0xeb1401;
	op->count = 1;
	end(op, ATA_ABORTED);
}

/* ---- the rest ---- */

static void set_features(struct ata_op *op)
{
	struct ata_drive *d = op->drive;
	switch (op->in.features & 0xff) {
	case 0x02: d->write_cache = true; break;
	case 0x82: d->write_cache = false; break;
	case 0x03:
		if ((op->in.count & 0xf8) == 0x40)
			d->udma = op->in.count & 7;
		break;
	case 0x05: case 0x85: case 0x55: case 0xaa: case 0x66: case 0xcc: case 0x10: case 0x90:
		break; /* power management, look-ahead and the like: taken, without effect */
	default: end(op, ATA_ABORTED); return;
	}
	end(op, 0);
}

static void set_multiple(struct ata_op *op)
{
	unsigned n = op->in.count & 0xff;
	if (n > MULTIPLE_MAX || (n && !is_power_of_2(n))) {
		end(op, ATA_ABORTED);
		return;
	}
	op->drive->multiple = (uint8_t)n;
	end(op, 0);
}

static void native_max(struct ata_op *op)
{
	uint64_t last = disk_sectors(op->drive) - 1;
	op->lba = op->in.command == C_READ_NATIVE_MAX && last > LBA28_MAX ? LBA28_MAX : last;
	end(op, 0);
}

static void check_power(struct ata_op *op)
{
	op->count = 0xff; /* active */
	end(op, 0);
}

static void nothing(struct ata_op *op)
{
	end(op, 0);
}

/* The log directory and the NCQ error log (page 10h), which has nothing to tell: an error stops the queue at once. */
static void read_log(struct ata_op *op)
{
	memset(op->words, 0, sizeof(op->words));
	if ((op->in.lba & 0xff) == 0) {
		op->words[0] = 1;
		op->words[0x10] = 1;
	} else if ((op->in.lba & 0xff) != 0x10) {
		end(op, ATA_ABORTED);
		return;
	}
	xfer_put(&op->x, op->words, sizeof(op->words));
	xfer_written(&op->x);
	end(op, 0);
}

static void diagnostic(struct ata_op *op)
{
	op->lba = op->drive->atapi ? 0xeb1401 : 1;
	op->count = 1;
	op->error = 1; /* passed */
	op->status = op->drive->atapi ? 0 : ATA_READY | ATA_SEEK;
	op->done(op);
}

/* The sense key is in the error register's upper half. */
static void packet_done(struct scsi_cd *cd, uint8_t status)
{
	struct ata_op *op = cd->opaque;
	op->count = 3; /* command done */
	op->lba = (op->in.lba & 0xff) | (op->x.moved & 0xffff) << 8;
	end(op, status == SCSI_GOOD ? 0 : (uint8_t)(cd->key << 4 | ATA_ABORTED));
}

static void packet(struct ata_op *op)
{
	scsi_cd_execute(&op->drive->cd, op->packet, &op->x, packet_done, op);
}

static const struct command table[] = {
	{C_NOP, ATA_NO_DATA, 0, NULL},
	{C_DSM, ATA_DMA_OUT, DISK, data_set_management},
	{C_RESET_DEVICE, ATA_NO_DATA, CDROM, diagnostic},
	{C_READ, ATA_PIO_IN, DISK | LBA28, read_write},
	{C_READ_EXT, ATA_PIO_IN, DISK | LBA48, read_write},
	{C_READ_MULTIPLE, ATA_PIO_IN, DISK | LBA28, read_write},
	{C_READ_MULTIPLE_EXT, ATA_PIO_IN, DISK | LBA48, read_write},
	{C_READ_DMA, ATA_DMA_IN, DISK | LBA28, read_write},
	{C_READ_DMA_EXT, ATA_DMA_IN, DISK | LBA48, read_write},
	{C_WRITE, ATA_PIO_OUT, DISK | LBA28 | WRITES, read_write},
	{C_WRITE_EXT, ATA_PIO_OUT, DISK | LBA48 | WRITES, read_write},
	{C_WRITE_MULTIPLE, ATA_PIO_OUT, DISK | LBA28 | WRITES, read_write},
	{C_WRITE_MULTIPLE_EXT, ATA_PIO_OUT, DISK | LBA48 | WRITES, read_write},
	{C_WRITE_DMA, ATA_DMA_OUT, DISK | LBA28 | WRITES, read_write},
	{C_WRITE_DMA_EXT, ATA_DMA_OUT, DISK | LBA48 | WRITES, read_write},
	{C_WRITE_DMA_FUA_EXT, ATA_DMA_OUT, DISK | LBA48 | WRITES, read_write},
	{C_READ_FPDMA, ATA_NCQ_IN, DISK, queued},
	{C_WRITE_FPDMA, ATA_NCQ_OUT, DISK, queued},
	{C_VERIFY, ATA_NO_DATA, DISK | LBA28, verify},
	{C_VERIFY_EXT, ATA_NO_DATA, DISK | LBA48, verify},
	{C_READ_LOG_EXT, ATA_PIO_IN, DISK, read_log},
	{C_READ_NATIVE_MAX, ATA_NO_DATA, DISK, native_max},
	{C_READ_NATIVE_MAX_EXT, ATA_NO_DATA, DISK, native_max},
	{C_DIAGNOSTIC, ATA_NO_DATA, DISK | CDROM, diagnostic},
	{C_INIT_PARAMETERS, ATA_NO_DATA, DISK, nothing},
	{C_SET_MULTIPLE, ATA_NO_DATA, DISK, set_multiple},
	{C_STANDBY_NOW, ATA_NO_DATA, DISK | CDROM, nothing},
	{C_IDLE_NOW, ATA_NO_DATA, DISK | CDROM, nothing},
	{C_STANDBY, ATA_NO_DATA, DISK, nothing},
	{C_IDLE, ATA_NO_DATA, DISK, nothing},
	{C_SLEEP, ATA_NO_DATA, DISK | CDROM, nothing},
	{C_CHECK_POWER, ATA_NO_DATA, DISK | CDROM, check_power},
	{C_FLUSH, ATA_NO_DATA, DISK, flush},
	{C_FLUSH_EXT, ATA_NO_DATA, DISK, flush},
	{C_IDENTIFY, ATA_PIO_IN, DISK, identify},
	{C_IDENTIFY, ATA_NO_DATA, CDROM, identify_wrong},
	{C_IDENTIFY_PACKET, ATA_PIO_IN, CDROM, identify},
	{C_PACKET, ATA_PACKET, CDROM, packet},
	{C_SET_FEATURES, ATA_NO_DATA, DISK | CDROM, set_features},
};

static const struct command *find(const struct ata_drive *d, uint8_t code)
{
	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (table[n].code == code && table[n].flags & (d->atapi ? CDROM : DISK))
			return &table[n];
	return NULL;
}

enum ata_protocol ata_protocol_of(const struct ata_drive *d, uint8_t command)
{
	const struct command *c = find(d, command);
	return c ? c->protocol : ATA_NO_DATA;
}

uint64_t ata_length(const struct ata_drive *d, const struct ata_regs *in)
{
	const struct command *c = find(d, in->command);
	uint64_t lba;
	uint32_t count;
	if (!c || c->protocol == ATA_NO_DATA || c->protocol == ATA_PACKET)
		return 0;
	if (!(c->flags & (LBA28 | LBA48)))
		return BLK_SECTOR;
	range(in, c->flags, &lba, &count);
	return (uint64_t)count * BLK_SECTOR;
}

void ata_run(struct ata_op *op)
{
	const struct command *c = find(op->drive, op->in.command);
	op->lba = op->in.lba;
	op->count = 0;
	if (c && c->run)
		c->run(op);
	else
		end(op, ATA_ABORTED);
}

void ata_reset(struct ata_drive *d)
{
	d->multiple = 0;
	d->udma = 5;
	d->write_cache = true;
	scsi_cd_reset(&d->cd);
}

void ata_init(struct ata_drive *d, struct blk *blk, bool atapi, const char *serial)
{
	*d = (struct ata_drive){.blk = atapi ? NULL : blk, .atapi = atapi, .cd = {.blk = atapi ? blk : NULL}};
	snprintf(d->serial, sizeof(d->serial), "%.*s", ATA_SERIAL, serial);
	snprintf(d->model, sizeof(d->model), "%s", atapi ? "PANAL DVD-ROM" : "PANAL DISK");
	ata_reset(d);
}
