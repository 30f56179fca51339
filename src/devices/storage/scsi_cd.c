/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/scsi.h"

#include "base/bytes.h"
#include <errno.h>
#include <string.h>

enum { BLOCK = 2048, SECTORS_PER_MINUTE = 75 * 60, LEAD_IN = 150, REPLY_MAX = 512 };
enum { KEY_NONE = 0, KEY_NOT_READY = 2, KEY_MEDIUM_ERROR = 3, KEY_ILLEGAL_REQUEST = 5, KEY_UNIT_ATTENTION = 6 };
enum {
	ASC_UNRECOVERED_READ = 0x11, ASC_INVALID_COMMAND = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24,
	ASC_MEDIUM_CHANGED = 0x28, ASC_NO_MEDIUM = 0x3a, ASC_REMOVAL_PREVENTED = 0x53,
};
enum { EVENT_NONE = 0, EVENT_EJECT_REQUEST = 1, EVENT_NEW_MEDIA = 2, EVENT_REMOVAL = 3 };
enum { PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };
/* Larger than any CD: it is told as a DVD. */
#define CD_BLOCKS_MAX 449849u

static bool loaded(const struct scsi_cd *cd)
{
	return cd->blk && !cd->ejected;
}

static uint32_t blocks_of(const struct scsi_cd *cd)
{
	uint64_t n = loaded(cd) ? blk_info(cd->blk)->size / BLOCK : 0;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- ends ---- */

static void good(struct scsi_cd *cd)
{
	cd->key = cd->asc = cd->ascq = 0;
	cd->done(cd, SCSI_GOOD);
}

static void fail(struct scsi_cd *cd, uint8_t key, uint8_t asc)
{
	cd->key = key;
	cd->asc = asc;
	cd->ascq = asc == ASC_REMOVAL_PREVENTED ? 2 : 0;
	cd->done(cd, SCSI_CHECK_CONDITION);
}

static void reply(struct scsi_cd *cd, const uint8_t *buf, uint32_t len, uint32_t allocated)
{
	xfer_put(cd->x, buf, len < allocated ? len : allocated);
	xfer_written(cd->x);
	good(cd);
}

/* ---- commands ---- */

static void test_unit_ready(struct scsi_cd *cd, const uint8_t *cdb)
{
	good(cd);
}

static void request_sense(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t s[SCSI_SENSE] = {[0] = 0x70, [2] = cd->key, [7] = SCSI_SENSE - 8, [12] = cd->asc, [13] = cd->ascq};
	reply(cd, s, sizeof(s), cdb[4]);
}

static void inquiry(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[36] = {[0] = 5 /* CD-ROM */, [1] = 0x80 /* removable */, [2] = 5 /* SPC-3 */, [3] = 2, [4] = 31};
	if (cdb[1] & 1) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	memcpy(r + 8, "PANAL   DVD-ROM         1.0 ", 28);
	reply(cd, r, sizeof(r), load_be16(cdb + 3));
}

static void report_luns(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[16] = {[3] = 8};
	reply(cd, r, sizeof(r), load_be32(cdb + 6));
}

/* The capabilities page, and the error recovery page for those who ask for all. */
static uint32_t mode_pages(const struct scsi_cd *cd, uint8_t page, uint8_t *p)
{
	static const uint8_t recovery[12] = {0x01, 10, 0, 5}, fault[12] = {0x1a, 10};
	uint8_t capabilities[22] = {0x2a, 20, 0x3b /* CD-R, -RW, DVD */, 0, 0x71, 0x20,
				    (uint8_t)(0x29 | (cd->locked ? 2 : 0)) /* tray, lock, eject */};
	uint32_t n = 0;
	store_be16(capabilities + 8, 706 * 4);
	store_be16(capabilities + 12, 512);
	store_be16(capabilities + 14, 706 * 4);
	if (page == 0x01 || page == 0x3f)
		memcpy(p + n, recovery, sizeof(recovery)), n += sizeof(recovery);
	if (page == 0x1a || page == 0x3f)
		memcpy(p + n, fault, sizeof(fault)), n += sizeof(fault);
	if (page == 0x2a || page == 0x3f)
		memcpy(p + n, capabilities, sizeof(capabilities)), n += sizeof(capabilities);
	return n;
}

static void mode_sense(struct scsi_cd *cd, const uint8_t *cdb)
{
	bool ten = cdb[0] == 0x5a;
	uint8_t r[64] = {0};
	uint32_t head = ten ? 8 : 4, n = mode_pages(cd, cdb[2] & 0x3f, r + head);
	if (!n) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	if (ten)
		store_be16(r, (uint16_t)(head + n - 2));
	else
		r[0] = (uint8_t)(head + n - 1);
	reply(cd, r, head + n, ten ? load_be16(cdb + 7) : cdb[4]);
}

/* Load and eject are the guest's to ask for; the medium itself comes and goes from outside. */
static void start_stop(struct scsi_cd *cd, const uint8_t *cdb)
{
	bool load_eject = cdb[4] & 2, start = cdb[4] & 1;
	if (load_eject && !start && cd->locked) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
		return;
	}
	if (load_eject && start == cd->ejected) {
		cd->ejected = !start;
		cd->changed |= start && cd->blk;
		cd->event = start ? EVENT_NEW_MEDIA : EVENT_REMOVAL;
		if (cd->moved)
			cd->moved(cd->moved_opaque, cd->ejected);
	}
	good(cd);
}

static void prevent_removal(struct scsi_cd *cd, const uint8_t *cdb)
{
	cd->locked = cdb[4] & 1;
	good(cd);
}

static void read_capacity(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[8];
	store_be32(r, blocks_of(cd) - 1);
	store_be32(r + 4, BLOCK);
	reply(cd, r, sizeof(r), sizeof(r));
}

static void read_done(struct xfer *x)
{
	struct scsi_cd *cd = x->opaque;
	if (x->result)
		fail(cd, KEY_MEDIUM_ERROR, ASC_UNRECOVERED_READ);
	else
		good(cd);
}

static void read_blocks(struct scsi_cd *cd, uint32_t lba, uint32_t count)
{
	uint32_t size = blocks_of(cd);
	uint64_t len = (uint64_t)count * BLOCK;
	if (lba > size || count > size - lba) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_LBA_RANGE);
		return;
	}
	/* A transfer shorter than the command asks for ends where its memory does. */
	if (len > cd->x->room)
		len = cd->x->room / BLK_SECTOR * BLK_SECTOR;
	if (!len) {
		good(cd);
		return;
	}
	cd->x->done = read_done;
	cd->x->opaque = cd;
	xfer_start(cd->x, cd->blk, BLK_READ, (uint64_t)lba * BLOCK, len, false);
}

static void read_10(struct scsi_cd *cd, const uint8_t *cdb)
{
	read_blocks(cd, load_be32(cdb + 2), load_be16(cdb + 7));
}

static void read_12(struct scsi_cd *cd, const uint8_t *cdb)
{
	read_blocks(cd, load_be32(cdb + 2), load_be32(cdb + 6));
}

/* READ CD: user data of data sectors is what an image holds. */
static void read_cd(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint32_t count = load_be32(cdb + 5) & 0xffffff;
	if (count && (cdb[9] & 0xf8) != 0x10)
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
	else
		read_blocks(cd, load_be32(cdb + 2), count);
}

static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	if (!msf) {
		store_be32(p, lba);
		return;
	}
	lba += LEAD_IN;
	p[0] = 0;
	p[1] = (uint8_t)(lba / SECTORS_PER_MINUTE);
	p[2] = (uint8_t)(lba / 75 % 60);
	p[3] = (uint8_t)(lba % 75);
}

/* One data track, then the lead-out. */
static void read_toc(struct scsi_cd *cd, const uint8_t *cdb)
{
	bool msf = cdb[1] & 2;
	uint8_t format = cdb[2] & 15 ? cdb[2] & 15 : cdb[9] >> 6, r[20] = {[2] = 1, [3] = 1};
	uint32_t n = 4;
	if (format > 1 || (format == 0 && cdb[6] > 1 && cdb[6] != 0xaa)) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	if (format == 1 || cdb[6] <= 1) {
		r[n + 1] = 0x14;
		r[n + 2] = 1;
		put_address(r + n + 4, 0, msf);
		n += 8;
	}
	if (format == 0) {
		r[n + 1] = 0x14;
		r[n + 2] = 0xaa;
		put_address(r + n + 4, blocks_of(cd), msf);
		n += 8;
	}
	store_be16(r, (uint16_t)(n - 2));
	reply(cd, r, n, load_be16(cdb + 7));
}

static uint16_t profile(const struct scsi_cd *cd)
{
	if (!loaded(cd))
		return 0;
	return blocks_of(cd) > CD_BLOCKS_MAX ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

/* The profile list, the core and the removable-medium features (MMC-5 5.3). */
static void get_configuration(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[40] = {[10] = 3, [11] = 8, [12] = PROFILE_DVD_ROM >> 8, PROFILE_DVD_ROM, [16] = PROFILE_CD_ROM >> 8,
			 PROFILE_CD_ROM, [21] = 1, [22] = 11, [23] = 8, [27] = 2 /* ATAPI */, [28] = 1,
			 [33] = 3, [34] = 3, [35] = 4, [36] = 0x39};
	uint16_t now = profile(cd);
	store_be16(r + 6, now);
	r[14] = now == PROFILE_DVD_ROM;
	r[18] = now == PROFILE_CD_ROM;
	store_be32(r, sizeof(r) - 4);
	reply(cd, r, sizeof(r), load_be16(cdb + 7));
}

/* Polled, media class only (MMC-5 6.7). */
static void get_event_status(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[8] = {[1] = 2, [2] = 0x80, [3] = 0x10};
	if (!(cdb[1] & 1)) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	if (cdb[4] & 0x10) {
		r[1] = 6;
		r[2] = 4;
		r[4] = cd->event;
		r[5] = (uint8_t)((cd->ejected ? 1 : 0) | (loaded(cd) ? 2 : 0));
		cd->event = EVENT_NONE;
	}
	reply(cd, r, r[1] + 2u, load_be16(cdb + 7));
}

static void read_disc_information(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[34] = {[1] = 32, [2] = 0x0e /* complete, finalised */, [3] = 1, [4] = 1, [5] = 1, [6] = 1,
			 [7] = 0x20};
	reply(cd, r, sizeof(r), load_be16(cdb + 7));
}

/* Physical format information of a single-layer DVD (MMC-5 6.22.3.2.1); its size is what readers look for. */
static void read_dvd_structure(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[20] = {[1] = 18, [4] = 1, [5] = 0x0f, [6] = 1};
	if (cdb[7] != 0 || profile(cd) != PROFILE_DVD_ROM) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
		return;
	}
	store_be32(r + 8, 0x30000);
	store_be32(r + 12, 0x30000 + blocks_of(cd) - 1);
	reply(cd, r, sizeof(r), load_be16(cdb + 8));
}

static void mechanism_status(struct scsi_cd *cd, const uint8_t *cdb)
{
	uint8_t r[8] = {[1] = (uint8_t)(cd->ejected ? 0x10 : 0), [5] = 1};
	reply(cd, r, sizeof(r), load_be16(cdb + 8));
}

/* ---- the table ---- */

enum { NEEDS_MEDIUM = 1, KEEPS_ATTENTION = 2, NO_DATA = 4 };
static const struct command {
	uint8_t code, flags;
	void (*run)(struct scsi_cd *cd, const uint8_t *cdb);
} table[] = {
	{0x00, NEEDS_MEDIUM | NO_DATA, test_unit_ready}, {0x03, KEEPS_ATTENTION, request_sense},
	{0x12, KEEPS_ATTENTION, inquiry},         {0x1a, 0, mode_sense},
	{0x1b, NO_DATA, start_stop},              {0x1e, NO_DATA, prevent_removal},
	{0x25, NEEDS_MEDIUM, read_capacity},      {0x28, NEEDS_MEDIUM, read_10},
	{0x2b, NEEDS_MEDIUM | NO_DATA, test_unit_ready}, {0x43, NEEDS_MEDIUM, read_toc},
	{0x46, KEEPS_ATTENTION, get_configuration}, {0x4a, KEEPS_ATTENTION, get_event_status},
	{0x51, NEEDS_MEDIUM, read_disc_information}, {0x5a, 0, mode_sense},
	{0xa0, KEEPS_ATTENTION, report_luns},
	{0xa8, NEEDS_MEDIUM, read_12},            {0xad, NEEDS_MEDIUM, read_dvd_structure},
	{0xbb, NO_DATA, test_unit_ready},         {0xbd, 0, mechanism_status},
	{0xbe, NEEDS_MEDIUM, read_cd},
};

static const struct command *find(uint8_t code)
{
	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (table[n].code == code)
			return &table[n];
	return NULL;
}

bool scsi_cd_has_data(const uint8_t cdb[SCSI_CDB])
{
	const struct command *c = find(cdb[0]);
	return !c || !(c->flags & NO_DATA);
}

void scsi_cd_reset(struct scsi_cd *cd)
{
	cd->locked = cd->ejected = false;
	cd->changed = cd->blk;
	cd->event = cd->blk ? EVENT_NEW_MEDIA : EVENT_NONE;
	cd->key = cd->asc = cd->ascq = 0;
}

int scsi_cd_change(struct scsi_cd *cd, struct blk *blk, bool force, struct err *e)
{
	if (cd->blk && cd->locked && !cd->ejected && !force) {
		cd->event = EVENT_EJECT_REQUEST;
		return err_set(e, -EBUSY, "the guest has locked the tray and was asked to open it; try again soon");
	}
	if (cd->blk)
		blk_wait(cd->blk); /* commands that read end here */
	if (cd->blk && blk)
		blk_stats_carry(blk, blk_stats(cd->blk));
	blk_close(cd->blk);
	cd->blk = blk;
	cd->locked = false;
	cd->ejected = false;
	cd->changed = true;
	cd->event = blk ? EVENT_NEW_MEDIA : EVENT_REMOVAL;
	if (cd->moved)
		cd->moved(cd->moved_opaque, !blk);
	return 0;
}

void scsi_cd_execute(struct scsi_cd *cd, const uint8_t cdb[SCSI_CDB], struct xfer *x,
                     void (*done)(struct scsi_cd *cd, uint8_t status), void *opaque)
{
	const struct command *c = find(cdb[0]);
	cd->x = x;
	cd->done = done;
	cd->opaque = opaque;
	if (!c) {
		fail(cd, KEY_ILLEGAL_REQUEST, ASC_INVALID_COMMAND);
	} else if (cd->changed && !(c->flags & KEEPS_ATTENTION)) {
		cd->changed = false;
		fail(cd, KEY_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
	} else if (c->flags & NEEDS_MEDIUM && !loaded(cd)) {
		fail(cd, KEY_NOT_READY, ASC_NO_MEDIUM);
	} else {
		c->run(cd, cdb);
	}
}
