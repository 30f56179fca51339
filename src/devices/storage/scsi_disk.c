/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/scsi_disk.h"

#include "base/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MEDIUM_ERROR = 3, KEY_ILLEGAL_REQUEST = 5, KEY_UNIT_ATTENTION = 6, KEY_DATA_PROTECT = 7 };
enum {
	ASC_WRITE_ERROR = 0x0c, ASC_UNRECOVERED_READ = 0x11, ASC_INVALID_COMMAND = 0x20, ASC_LBA_RANGE = 0x21,
	ASC_INVALID_FIELD = 0x24, ASC_WRITE_PROTECTED = 0x27, ASC_RESET = 0x29,
	ASC_PARAMETERS = 0x2a, ASCQ_CAPACITY = 0x09,
};
enum { WRITE_SAME_MAX = 65536 /* blocks */, UNMAP_MAX = 1 << 22 };
enum { PAGE_CACHING = 0x08, PAGE_ALL = 0x3f, MODE_WRITE_PROTECT = 0x80, MODE_FUA = 0x10, FUA = 1 << 3 };

static uint64_t blocks_of(const struct scsi_disk *d)
{
	return blk_info(d->blk)->size / BLK_SECTOR;
}

/* ---- ends ---- */

static void good(struct scsi_command *c)
{
	c->key = c->asc = c->ascq = 0;
	c->done(c, SCSI_GOOD);
}

static void fail_in_detail(struct scsi_command *c, uint8_t key, uint8_t asc, uint8_t ascq)
{
	c->key = key;
	c->asc = asc;
	c->ascq = ascq;
	c->done(c, SCSI_CHECK_CONDITION);
}

static void fail(struct scsi_command *c, uint8_t key, uint8_t asc)
{
	fail_in_detail(c, key, asc, 0);
}

static void reply(struct scsi_command *c, const uint8_t *buf, uint32_t len, uint32_t allocated)
{
	xfer_put(c->x, buf, len < allocated ? len : allocated);
	xfer_written(c->x);
	good(c);
}

/* ---- who it is ---- */

static void test_unit_ready(struct scsi_command *c, const uint8_t *cdb)
{
	good(c);
}

void scsi_sense(const struct scsi_command *c, uint8_t out[SCSI_SENSE])
{
	memset(out, 0, SCSI_SENSE);
	out[0] = 0x70;
	out[2] = c->key;
	out[7] = SCSI_SENSE - 8;
	out[12] = c->asc;
	out[13] = c->ascq;
}

static void request_sense(struct scsi_command *c, const uint8_t *cdb)
{
	uint8_t s[SCSI_SENSE];

	scsi_sense(c, s);
	reply(c, s, sizeof(s), cdb[4]);
}

static const char *serial_of(const struct scsi_disk *d)
{
	return d->serial ? d->serial : blk_info(d->blk)->serial[0] ? blk_info(d->blk)->serial : "PANAL";
}

static bool can_unmap(const struct scsi_disk *d)
{
	return blk_info(d->blk)->can_discard && !blk_info(d->blk)->read_only;
}

/* One range an UNMAP; WRITE SAME names how many blocks. */
static void block_limits(const struct scsi_disk *d, uint8_t *r)
{
	uint32_t granularity = blk_info(d->blk)->discard_granularity / BLK_SECTOR;

	r[3] = 60;
	r[4] = 1;
	if (can_unmap(d)) {
		store_be32(r + 20, UNMAP_MAX);
		store_be32(r + 24, 1);
		store_be32(r + 28, granularity ? granularity : 1);
	}
	store_be64(r + 36, WRITE_SAME_MAX);
}

/* Vital product data (SPC-3 7.6, SBC-3 6.5). */
static void inquiry_page(struct scsi_command *c, const uint8_t *cdb)
{
	uint8_t r[64] = { [1] = cdb[2] };
	size_t n = strlen(serial_of(c->disk));

	switch (cdb[2]) {
	case 0x00: memcpy(r + 4, "\x00\x80\x83\xb0\xb1\xb2", r[3] = 6); break;
	case 0x80: memcpy(r + 4, serial_of(c->disk), r[3] = (uint8_t)n); break;
	case 0x83: /* T10 vendor identification */
		r[4] = 2;
		r[5] = 1;
		r[7] = (uint8_t)(8 + n);
		memcpy(r + 8, "PANAL   ", 8);
		memcpy(r + 16, serial_of(c->disk), n);
		r[3] = (uint8_t)(4 + r[7]);
		break;
	case 0xb0: block_limits(c->disk, r); break;
	case 0xb1: r[3] = 60, store_be16(r + 4, 1); break; /* it does not rotate */
	case 0xb2: /* thin: UNMAP and WRITE SAME take blocks away */
		r[3] = 4;
		r[5] = can_unmap(c->disk) ? 0xe0 : 0;
		r[6] = can_unmap(c->disk) ? 2 : 0;
		break;
	default: fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD); return;
	}
	reply(c, r, 4u + r[3], load_be16(cdb + 3));
}

static void inquiry(struct scsi_command *c, const uint8_t *cdb)
{
	uint8_t r[36] = { [2] = 5 /* SPC-3 */, [3] = 2, [4] = 31, [7] = 2 /* command queuing */ };

	if (cdb[1] & 1) {
		inquiry_page(c, cdb);
		return;
	}
	if (cdb[2]) {
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	memcpy(r + 8, "PANAL   DISK            1.0 ", 28);
	reply(c, r, sizeof(r), load_be16(cdb + 3));
}

static void report_luns(struct scsi_command *c, const uint8_t *cdb)
{
	uint8_t r[16] = { [3] = 8 };

	reply(c, r, sizeof(r), load_be32(cdb + 6));
}

/* The caching page: there is a write cache. */
static void mode_sense(struct scsi_command *c, const uint8_t *cdb)
{
	bool ten = cdb[0] == 0x5a, changeable = cdb[2] >> 6 == 1;
	uint8_t r[8 + 20] = { 0 }, page = cdb[2] & 0x3f;
	uint32_t head = ten ? 8 : 4, n = head + 20;

	if (page != PAGE_CACHING && page != PAGE_ALL) {
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	r[ten ? 3 : 2] = (uint8_t)((blk_info(c->disk->blk)->read_only ? MODE_WRITE_PROTECT : 0) | MODE_FUA);
	r[head] = PAGE_CACHING;
	r[head + 1] = 18;
	r[head + 2] = changeable ? 0 : 4;
	if (ten)
		store_be16(r, (uint16_t)(n - 2));
	else
		r[0] = (uint8_t)(n - 1);
	reply(c, r, n, ten ? load_be16(cdb + 7) : cdb[4]);
}

static void read_capacity_10(struct scsi_command *c, const uint8_t *cdb)
{
	uint64_t last = blocks_of(c->disk) - 1;
	uint8_t r[8];

	store_be32(r, last > UINT32_MAX ? UINT32_MAX : (uint32_t)last);
	store_be32(r + 4, BLK_SECTOR);
	reply(c, r, sizeof(r), sizeof(r));
}

static void read_capacity_16(struct scsi_command *c, const uint8_t *cdb)
{
	uint32_t physical = blk_info(c->disk->blk)->block_size_physical / BLK_SECTOR;
	uint8_t r[32] = { 0 };

	if ((cdb[1] & 31) != 0x10) {
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	store_be64(r, blocks_of(c->disk) - 1);
	store_be32(r + 8, BLK_SECTOR);
	r[14] = can_unmap(c->disk) ? 0x80 : 0;
	r[13] = physical > 1 ? (uint8_t)(31 - __builtin_clz(physical)) & 15 : 0;
	reply(c, r, sizeof(r), load_be32(cdb + 10));
}

/* As sticks tell it (MMC-3 6.24): one descriptor, formatted. */
static void read_format_capacities(struct scsi_command *c, const uint8_t *cdb)
{
	uint64_t blocks = blocks_of(c->disk);
	uint8_t r[12] = { [3] = 8 };

	store_be32(r + 4, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
	store_be32(r + 8, BLK_SECTOR | 2u << 24);
	reply(c, r, sizeof(r), load_be16(cdb + 7));
}

/* ---- data ---- */

static void moved(struct xfer *x)
{
	struct scsi_command *c = x->opaque;

	if (!x->result)
		good(c);
	else
		fail(c, KEY_MEDIUM_ERROR, x->req.op == BLK_READ ? ASC_UNRECOVERED_READ : ASC_WRITE_ERROR);
}

static void start(struct scsi_command *c, enum blk_op op, uint64_t lba, uint64_t len, bool fua)
{
	c->x->done = moved;
	c->x->opaque = c;
	xfer_start(c->x, c->disk->blk, op, lba * BLK_SECTOR, len, fua);
}

struct range {
	uint64_t lba;
	uint32_t count;
};

/* Where a command of 6, 10, 12 or 16 bytes has its range: the code's upper bits tell its length (SPC-3 4.3.4). */
static struct range range_of(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0: return (struct range){ load_be32(cdb) & 0x1fffff, cdb[4] ? cdb[4] : 256 };
	case 5: return (struct range){ load_be32(cdb + 2), load_be32(cdb + 6) };
	case 4: return (struct range){ load_be64(cdb + 2), load_be32(cdb + 10) };
	default: return (struct range){ load_be32(cdb + 2), load_be16(cdb + 7) };
	}
}

static bool inside(struct scsi_command *c, struct range r)
{
	if (range_inside(r.lba, r.count, blocks_of(c->disk)))
		return true;
	fail(c, KEY_ILLEGAL_REQUEST, ASC_LBA_RANGE);
	return false;
}

static void transfer(struct scsi_command *c, const uint8_t *cdb, enum blk_op op)
{
	struct range r = range_of(cdb);
	uint64_t len = (uint64_t)r.count * BLK_SECTOR;

	if (!inside(c, r))
		return;
	if (len > c->x->room)
		len = c->x->room / BLK_SECTOR * BLK_SECTOR;
	if (len)
		start(c, op, r.lba, len, op == BLK_WRITE && cdb[0] >> 5 && cdb[1] & FUA);
	else
		good(c);
}

static void read_blocks(struct scsi_command *c, const uint8_t *cdb)
{
	transfer(c, cdb, BLK_READ);
}

static void write_blocks(struct scsi_command *c, const uint8_t *cdb)
{
	transfer(c, cdb, BLK_WRITE);
}

static void synchronize(struct scsi_command *c, const uint8_t *cdb)
{
	start(c, BLK_FLUSH, 0, 0, false);
}

/* Without a comparison of data, which nobody asks for: the blocks exist. */
static void verify(struct scsi_command *c, const uint8_t *cdb)
{
	if (cdb[1] & 6)
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
	else if (inside(c, range_of(cdb)))
		good(c);
}

/* The range of the one descriptor behind the list's header (SBC-3 5.28). */
static void unmap(struct scsi_command *c, const uint8_t *cdb)
{
	uint8_t list[8 + 16];
	uint32_t len = load_be16(cdb + 7);
	struct range r;

	if (!len) {
		good(c);
		return;
	}
	if (!can_unmap(c->disk) || cdb[1] & 1 || len < sizeof(list) ||
	    xfer_get(c->x, list, sizeof(list)) < sizeof(list) ||
	    load_be16(list + 2) != 16 || load_be32(list + 16) > UNMAP_MAX) {
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	r = (struct range){ load_be64(list + 8), load_be32(list + 16) };
	if (!inside(c, r))
		return;
	if (r.count)
		start(c, BLK_DISCARD, r.lba, (uint64_t)r.count * BLK_SECTOR, false);
	else
		good(c);
}

/* Zeros only, which is what is asked for; with or without a block that holds them. */
static void write_same(struct scsi_command *c, const uint8_t *cdb)
{
	struct range r = range_of(cdb);
	uint8_t block[BLK_SECTOR] = { 0 };
	bool no_data = cdb[0] == 0x93 && cdb[1] & 1;
	bool good_block = no_data || xfer_get(c->x, block, sizeof(block)) == sizeof(block);

	for (unsigned n = 0; n < sizeof(block); n++)
		good_block &= !block[n];
	if (!good_block || !r.count || r.count > WRITE_SAME_MAX)
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
	else if (inside(c, r))
		start(c, BLK_WRITE_ZEROES, r.lba, (uint64_t)r.count * BLK_SECTOR, false);
}

/* ---- the table ---- */

enum { KEEPS_ATTENTION = 1, WRITES = 2 };
static const struct command {
	uint8_t code, flags;
	void (*run)(struct scsi_command *c, const uint8_t *cdb);
} table[] = {
	{ 0x00, 0, test_unit_ready }, { 0x03, KEEPS_ATTENTION, request_sense }, { 0x08, 0, read_blocks },
	{ 0x0a, WRITES, write_blocks }, { 0x12, KEEPS_ATTENTION, inquiry }, { 0x1a, 0, mode_sense },
	{ 0x1b, 0, test_unit_ready }, /* start and stop: nothing turns */
	{ 0x1e, 0, test_unit_ready }, /* the medium cannot be taken out */
	{ 0x23, 0, read_format_capacities }, { 0x25, 0, read_capacity_10 }, { 0x28, 0, read_blocks },
	{ 0x2a, WRITES, write_blocks }, { 0x2f, 0, verify }, { 0x35, 0, synchronize }, { 0x41, WRITES, write_same },
	{ 0x42, WRITES, unmap }, { 0x5a, 0, mode_sense },
	{ 0x88, 0, read_blocks }, { 0x8a, WRITES, write_blocks }, { 0x8f, 0, verify }, { 0x91, 0, synchronize },
	{ 0x93, WRITES, write_same },
	{ 0x9e, 0, read_capacity_16 }, { 0xa0, KEEPS_ATTENTION, report_luns }, { 0xa8, 0, read_blocks },
	{ 0xaa, WRITES, write_blocks },
};

void scsi_disk_reset(struct scsi_disk *d)
{
	d->attention = true;
}

void scsi_disk_execute(struct scsi_disk *d, struct scsi_command *c, const uint8_t cdb[SCSI_CDB])
{
	const struct command *found = NULL;

	c->disk = d;
	for (size_t n = 0; n < COUNT_OF(table) && !found; n++)
		if (table[n].code == cdb[0])
			found = &table[n];
	if (!found) {
		fail(c, KEY_ILLEGAL_REQUEST, ASC_INVALID_COMMAND);
	} else if (d->attention && !(found->flags & KEEPS_ATTENTION)) {
		d->attention = false;
		fail(c, KEY_UNIT_ATTENTION, ASC_RESET);
	} else if (d->resized && !(found->flags & KEEPS_ATTENTION)) {
		d->resized = false;
		fail_in_detail(c, KEY_UNIT_ATTENTION, ASC_PARAMETERS, ASCQ_CAPACITY);
	} else if (found->flags & WRITES && blk_info(d->blk)->read_only) {
		fail(c, KEY_DATA_PROTECT, ASC_WRITE_PROTECTED);
	} else {
		found->run(c, cdb);
	}
}
