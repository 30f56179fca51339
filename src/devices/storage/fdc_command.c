/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands (82077AA data sheet, chapter 5). What needs no sector is done as its last byte comes, on the vCPU's thread.
 * The others go sector by sector on the loop: a sector is in `data`, between image and guest, and the command's
 * registers say where it stands, so that a machine can stop and be saved between any two.
 */
#include "devices/storage/fdc_priv.h"

#include "base/compiler.h"
#include "core/loop.h"
#include "core/vm.h"
#include "devices/legacy/isa_dma.h"

#include <errno.h>
#include <string.h>

enum { C_READ_TRACK = 0x02, C_SPECIFY, C_SENSE_DRIVE, C_WRITE, C_READ, C_RECALIBRATE, C_SENSE_INTERRUPT,
       C_WRITE_DELETED, C_READ_ID, C_READ_DELETED = 0x0c, C_FORMAT, C_DUMP, C_SEEK, C_VERSION,
       C_PERPENDICULAR = 0x12, C_CONFIGURE, C_LOCK, C_VERIFY = 0x16, C_CODE = 0x1f, C_MULTI = 0x80, C_MFM = 0x40 };
static const uint8_t lengths[C_CODE + 1] = {
	[C_READ_TRACK] = 9, [C_SPECIFY] = 3, [C_SENSE_DRIVE] = 2, [C_WRITE] = 9, [C_READ] = 9, [C_RECALIBRATE] = 2,
	[C_SENSE_INTERRUPT] = 1, [C_WRITE_DELETED] = 9, [C_READ_ID] = 2, [C_READ_DELETED] = 9, [C_FORMAT] = 6,
	[C_DUMP] = 1, [C_SEEK] = 3, [C_VERSION] = 1, [C_PERPENDICULAR] = 2, [C_CONFIGURE] = 4, [C_LOCK] = 1,
	[C_VERIFY] = 9,
};
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_READY_CHANGED = 0xc0, ST0_SEEK_END = 0x20, ST0_NO_TRACK0 = 0x10 };
enum { ST1_NO_ADDRESS = 0x01, ST1_PROTECTED = 0x02, ST1_NO_DATA = 0x04, ST1_OVERRUN = 0x10, ST1_CRC = 0x20,
       ST1_END = 0x80 };
enum { ST2_WRONG_TRACK = 0x10, ST2_DATA_CRC = 0x20, ST2_MARK = 0x40 };
enum { ST3_TRACK0 = 0x10, ST3_FIXED = 0x28, ST3_PROTECTED = 0x40 };
enum { CONFIG_IMPLIED_SEEK = 0x40, SPECIFY_PIO = 1, SIZE_512 = 2, RELATIVE_IN = 0x40, ID_LEN = 4, VERSION = 0x90,
       TRACK_MAX = 255 };

static unsigned code(const struct fdc *f)
{
	return f->command & C_CODE;
}

bool fdc_writes(const struct fdc *f)
{
	return code(f) == C_WRITE || code(f) == C_WRITE_DELETED || code(f) == C_FORMAT;
}

static unsigned drive_of(const struct fdc *f)
{
	return f->fifo[1] & DOR_DRIVE;
}

/* ---- ends ---- */

static void idle(struct fdc *f)
{
	f->phase = FDC_IDLE;
	f->fifo_at = f->fifo_len = 0;
}

static void results(struct fdc *f, const uint8_t *bytes, uint8_t len)
{
	memcpy(f->fifo, bytes, len);
	f->phase = FDC_RESULT;
	f->fifo_at = 0;
	f->fifo_len = len;
}

static void end(struct fdc *f, uint8_t st0)
{
	uint8_t drive = (uint8_t)drive_of(f);
	const uint8_t r[7] = { (uint8_t)(st0 | f->head << 2 | drive), f->st1, f->st2, f->c, f->h, f->r, f->n };

	f->loaded = f->last = false;
	results(f, r, sizeof(r));
	fdc_irq(f, true);
}

static void fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
	f->st1 |= st1;
	f->st2 |= st2;
	end(f, ST0_ABNORMAL);
}

/* ---- heads and sectors ---- */

static void move_head(struct fdc *f, unsigned drive, uint8_t track)
{
	if (track != f->track[drive] && drive < FDC_DRIVES && f->blk[drive])
		f->changed[drive] = false;
	f->track[drive] = track;
}

/* The medium under the head, if its marks can be read at this rate. */
static const struct fdc_format *under_head(const struct fdc *f)
{
	unsigned drive = drive_of(f);
	const struct fdc_format *m = drive < FDC_DRIVES ? f->format[drive] : NULL;

	if (!m || m->rate != (f->rate & 3) || !(f->command & C_MFM))
		return NULL;
	return f->head < m->heads && f->track[drive] < m->cylinders ? m : NULL;
}

/* Where the sector c, h, r lies in the image. False: the command has ended. */
static bool find(struct fdc *f, uint64_t *offset)
{
	unsigned drive = drive_of(f);
	const struct fdc_format *m = under_head(f);

	if (!m) {
		fail(f, ST1_NO_ADDRESS, 0);
		return false;
	}
	if (f->c != f->track[drive] || f->h != f->head || !f->r || f->r > m->sectors || f->n != SIZE_512) {
		fail(f, ST1_NO_DATA, f->c != f->track[drive] ? ST2_WRONG_TRACK : 0);
		return false;
	}
	*offset = (((uint64_t)f->c * m->heads + f->h) * m->sectors + f->r - 1) * FDC_SECTOR;
	return true;
}

/* To the next sector (table 5-7 of the data sheet). True: the track, or with C_MULTI the cylinder, is at its end. */
static bool advance(struct fdc *f)
{
	if (f->r++ != f->eot)
		return false;
	f->r = 1;
	if (!(f->command & C_MULTI) || code(f) == C_READ_TRACK) {
		f->c++;
		return true;
	}
	f->head ^= 1;
	f->h ^= 1;
	if (f->h)
		return false;
	f->c++;
	return true;
}

/* ---- data ---- */

static void step(struct fdc *f);

/* VERIFY counts its sectors itself, and has no more to say at the end of the track. */
static bool verified(struct fdc *f, bool at_end)
{
	return f->left ? --f->left == 0 : at_end;
}

static bool formatted(struct fdc *f)
{
	return --f->left == 0;
}

/* A sector is done; last: the DMA's count ran out. */
static void next(struct fdc *f, bool last)
{
	bool at_end = code(f) == C_FORMAT ? formatted(f) : advance(f);

	f->loaded = false;
	if (code(f) == C_VERIFY)
		last = verified(f, at_end);
	if (last || (at_end && code(f) == C_FORMAT))
		end(f, 0);
	else if (at_end)
		fail(f, ST1_END, 0);
	else if (f->phase == FDC_MOVE)
		step(f);
	else
		fdc_post(f);
}

static bool by_processor(const struct fdc *f)
{
	return f->specify[1] & SPECIFY_PIO && code(f) != C_VERIFY;
}

static void ask_processor(struct fdc *f)
{
	f->phase = FDC_PIO;
	f->pio_at = 0;
	fdc_irq(f, true);
}

static void sector_read(struct fdc *f)
{
	bool last = false;

	memcpy(f->data, f->io, FDC_SECTOR);
	if (by_processor(f)) {
		ask_processor(f);
		return;
	}
	if (code(f) != C_VERIFY &&
	    isa_dma_move(f->cfg.dma, FDC_DMA, ISA_DMA_TO_MEMORY, f->data, FDC_SECTOR, &last) < FDC_SECTOR && !last)
		fail(f, ST1_OVERRUN, 0);
	else
		next(f, last);
}

static void request_done(struct blk_req *req)
{
	struct fdc *f = req->opaque;

	pthread_mutex_lock(&f->lock);
	f->busy = false;
	if (f->forgotten)
		step(f);
	else if (req->result == -EROFS)
		fail(f, ST1_PROTECTED, 0);
	else if (req->result < 0)
		fail(f, ST1_CRC, ST2_DATA_CRC);
	else if (fdc_writes(f))
		next(f, f->last);
	else
		sector_read(f);
	pthread_mutex_unlock(&f->lock);
}

static void submit(struct fdc *f, uint64_t offset)
{
	if (fdc_writes(f) && code(f) == C_FORMAT)
		memset(f->io, f->filler, FDC_SECTOR);
	else if (fdc_writes(f))
		memcpy(f->io, f->data, FDC_SECTOR);
	f->iov = (struct iovec){ f->io, FDC_SECTOR };
	f->req = (struct blk_req){ .op = fdc_writes(f) ? BLK_WRITE : BLK_READ, .offset = offset, .len = FDC_SECTOR,
				   .iov = &f->iov, .iov_count = 1, .done = request_done, .opaque = f };
	f->busy = true;
	blk_submit(f->blk[drive_of(f)], &f->req);
}

/* What is to be written comes first. False: the command has ended, or waits for the processor. */
static bool load(struct fdc *f)
{
	uint32_t want = code(f) == C_FORMAT ? ID_LEN : FDC_SECTOR, got;

	if (f->loaded)
		return true;
	if (by_processor(f)) {
		ask_processor(f);
		return false;
	}
	got = isa_dma_move(f->cfg.dma, FDC_DMA, ISA_DMA_FROM_MEMORY, f->data, want, &f->last);
	if (!got || (got < want && !f->last)) {
		fail(f, ST1_OVERRUN, 0);
		return false;
	}
	memset(f->data + got, 0, FDC_SECTOR - got);
	f->loaded = true;
	return true;
}

/* The sector that a FORMAT names is the one under the head. */
static void take_id(struct fdc *f)
{
	f->c = f->data[0];
	f->h = f->data[1];
	f->r = f->data[2];
	f->n = f->data[3];
}

/* The lock is held; on the loop. */
static void step(struct fdc *f)
{
	uint64_t offset;

	f->forgotten = f->forgotten && f->busy;
	if (!f->running || f->phase != FDC_MOVE || f->busy)
		return;
	if (fdc_writes(f) && !load(f))
		return;
	if (code(f) == C_FORMAT)
		take_id(f);
	if (find(f, &offset))
		submit(f, offset);
}

static void work(void *opaque)
{
	struct fdc *f = opaque;

	pthread_mutex_lock(&f->lock);
	f->posted = false;
	step(f);
	pthread_mutex_unlock(&f->lock);
}

void fdc_post(struct fdc *f)
{
	f->phase = FDC_MOVE;
	if (!f->posted)
		f->posted = loop_post(f->vm->loop, work, f) == 0;
}

static void begin(struct fdc *f)
{
	unsigned drive = drive_of(f);

	f->c = f->fifo[2];
	f->h = f->fifo[3];
	f->r = code(f) == C_READ_TRACK ? 1 : f->fifo[4];
	f->n = f->fifo[5];
	f->eot = f->fifo[6];
	f->left = code(f) == C_VERIFY && f->fifo[1] & C_MULTI ? f->fifo[8] : 0;
	if (code(f) == C_FORMAT) {
		f->left = f->fifo[3];
		f->filler = f->fifo[5];
		f->c = f->track[drive];
		f->n = f->fifo[2];
	} else if (f->config[0] & CONFIG_IMPLIED_SEEK) {
		move_head(f, drive, f->c);
	}
	if (code(f) == C_READ_DELETED)
		f->st2 = ST2_MARK; /* there are no deleted sectors: this is another */
	if (!under_head(f))
		fail(f, ST1_NO_ADDRESS, 0);
	else if (fdc_writes(f) && blk_info(f->blk[drive])->read_only)
		fail(f, ST1_PROTECTED, 0);
	else if (code(f) == C_FORMAT && (!f->left || f->n != SIZE_512))
		fail(f, ST1_NO_DATA, 0);
	else
		fdc_post(f);
}

/* ---- commands without data ---- */

static void seek(struct fdc *f, unsigned to)
{
	unsigned drive = drive_of(f);
	bool lost = code(f) == C_RECALIBRATE && (drive >= FDC_DRIVES || !f->cfg.drive[drive].present);

	move_head(f, drive, (uint8_t)to);
	f->seek_status[drive] = (uint8_t)(ST0_SEEK_END | (lost ? ST0_ABNORMAL | ST0_NO_TRACK0 : 0) | f->head << 2 |
					  drive);
	f->seeked |= (uint8_t)(1u << drive);
	idle(f);
	fdc_irq(f, true);
}

static unsigned relative(const struct fdc *f)
{
	unsigned from = f->track[drive_of(f)], by = f->fifo[2];

	if (f->command & RELATIVE_IN)
		return from + by > TRACK_MAX ? TRACK_MAX : from + by;
	return by > from ? 0 : from - by;
}

static void sense_interrupt(struct fdc *f)
{
	uint8_t r[2] = { ST0_INVALID }, len = 2;
	unsigned drive = 0;

	if (f->reset_left) {
		drive = FDC_ALL_DRIVES - f->reset_left--;
		r[0] = (uint8_t)(ST0_READY_CHANGED | drive);
	} else if (f->seeked) {
		drive = (unsigned)__builtin_ctz(f->seeked);
		r[0] = f->seek_status[drive];
		f->seeked &= (uint8_t)~(1u << drive);
	} else {
		len = 1;
	}
	r[1] = f->track[drive];
	results(f, r, len);
}

static void sense_drive(struct fdc *f)
{
	unsigned drive = drive_of(f);
	bool protected = drive < FDC_DRIVES && f->blk[drive] && blk_info(f->blk[drive])->read_only;
	uint8_t st3 = (uint8_t)(ST3_FIXED | f->head << 2 | drive | (f->track[drive] ? 0 : ST3_TRACK0) |
				(protected ? ST3_PROTECTED : 0));

	results(f, &st3, 1);
}

static void read_id(struct fdc *f)
{
	f->c = f->track[drive_of(f)];
	f->h = f->head;
	f->r = 1;
	f->n = SIZE_512;
	if (under_head(f))
		end(f, 0);
	else
		fail(f, ST1_NO_ADDRESS, 0);
}

static void dump(struct fdc *f)
{
	const uint8_t modes = (uint8_t)(f->locked << 7 | (f->perpendicular & 0x3f));
	const uint8_t r[10] = { f->track[0], f->track[1], f->track[2], f->track[3], f->specify[0], f->specify[1],
				f->eot, modes, f->config[0], f->config[1] };

	results(f, r, sizeof(r));
}

static void answer(struct fdc *f, uint8_t v)
{
	results(f, &v, 1);
}

static void keep(struct fdc *f)
{
	if (code(f) == C_SPECIFY)
		memcpy(f->specify, f->fifo + 1, sizeof(f->specify));
	else if (code(f) == C_CONFIGURE)
		memcpy(f->config, f->fifo + 2, sizeof(f->config));
	else
		f->perpendicular = f->fifo[1];
	idle(f);
}

static void execute(struct fdc *f)
{
	f->head = f->fifo[1] >> 2 & 1;
	f->st1 = f->st2 = 0;
	fdc_irq(f, false);
	switch (code(f)) {
	case C_SPECIFY:
	case C_PERPENDICULAR:
	case C_CONFIGURE: keep(f); break;
	case C_SENSE_DRIVE: sense_drive(f); break;
	case C_RECALIBRATE: seek(f, 0); break;
	case C_SEEK: seek(f, f->command & C_MULTI ? relative(f) : f->fifo[2]); break;
	case C_SENSE_INTERRUPT: sense_interrupt(f); break;
	case C_READ_ID: read_id(f); break;
	case C_DUMP: dump(f); break;
	case C_VERSION: answer(f, VERSION); break;
	case C_LOCK:
		f->locked = f->command & C_MULTI;
		answer(f, (uint8_t)(f->locked << 4));
		break;
	default: begin(f); break;
	}
}

/* ---- bytes ---- */

static void take_command(struct fdc *f, uint8_t v)
{
	if (!f->fifo_at) {
		f->command = v;
		f->fifo_len = lengths[v & C_CODE];
		memset(f->fifo, 0, sizeof(f->fifo));
		if (!f->fifo_len) {
			answer(f, ST0_INVALID);
			return;
		}
	}
	f->fifo[f->fifo_at++] = v;
	if (f->fifo_at == f->fifo_len)
		execute(f);
}

void fdc_put(struct fdc *f, uint8_t v)
{
	if (f->phase == FDC_IDLE) {
		take_command(f, v);
	} else if (f->phase == FDC_PIO && fdc_writes(f)) {
		fdc_irq(f, false);
		f->data[f->pio_at++] = v;
		if (f->pio_at < (code(f) == C_FORMAT ? ID_LEN : FDC_SECTOR))
			return;
		f->loaded = true;
		fdc_post(f);
	}
}

uint8_t fdc_get(struct fdc *f)
{
	uint8_t v = 0;

	if (f->phase == FDC_RESULT) {
		fdc_irq(f, false);
		v = f->fifo[f->fifo_at++];
		if (f->fifo_at == f->fifo_len)
			idle(f);
	} else if (f->phase == FDC_PIO && !fdc_writes(f)) {
		fdc_irq(f, false);
		v = f->data[f->pio_at++];
		if (f->pio_at == FDC_SECTOR)
			next(f, false);
	}
	return v;
}

void fdc_clear(struct fdc *f, bool hard)
{
	idle(f);
	f->forgotten |= f->busy;
	f->loaded = f->last = false;
	f->seeked = f->reset_left = 0;
	memset(f->track, 0, sizeof(f->track));
	f->perpendicular = hard ? 0 : f->perpendicular;
	if (hard)
		memset(f->specify, 0, sizeof(f->specify));
	f->locked = f->locked && !hard;
	if (!f->locked) {
		f->config[0] = 0x20; /* no FIFO */
		f->config[1] = 0;
	}
	fdc_irq(f, false);
}
