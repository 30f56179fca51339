/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel's state is what its registers, its buffer and its position in it say; while a piece of a command runs on
 * the image's loop the drive is busy, and no register that the command needs can change. A reset meanwhile makes the
 * channel forget what the piece brings. (ATA8-APT; ATA/ATAPI-6 for the task file.)
 */
#include "devices/storage/ide_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/vm.h"

#include <string.h>

enum { R_DATA, R_ERROR, R_COUNT, R_LOW, R_MID, R_HIGH, R_DEVICE, R_STATUS };
enum { C_READ_DMA_EXT = 0x25, C_WRITE_DMA_EXT = 0x35, C_PACKET = 0xa0, C_NOP = 0x00 };
enum { REASON_COMMAND = 1, REASON_IN = 2, CDB = 12, PRD = 8, PRDS_MAX = 8192 };
enum { P_READ_10 = 0x28, P_READ_12 = 0xa8, P_READ_CD = 0xbe };

static unsigned selected(const struct ide_channel *c)
{
	return c->r.device >> 4 & 1;
}

static struct ata_drive *drive_of(struct ide_channel *c)
{
	return &c->drive[selected(c)];
}

/* ---- interrupts and ends ---- */

void ide_update_irq(struct ide_channel *c)
{
	irq_set(&c->wire, c->r.irq && !(c->r.control & CONTROL_NO_INTERRUPT));
}

static void interrupt(struct ide_channel *c)
{
	c->r.irq = 1;
	c->r.bm_status |= BM_INTERRUPT;
	ide_update_irq(c);
}

static void idle(struct ide_channel *c, uint8_t status, uint8_t error)
{
	c->r.phase = IDE_IDLE;
	c->r.status = status;
	c->r.error = error;
}

static void abort_command(struct ide_channel *c)
{
	idle(c, ATA_READY | ATA_SEEK | ATA_ERROR, ATA_ABORTED);
	interrupt(c);
}

/* ---- pieces that run ---- */

void ide_channel_reset(struct ide_channel *c)
{
	bool packet = c->present[0] && c->drive[0].atapi;

	c->forgotten |= c->running;
	c->r = (struct ide_regs){ .count = { 1 }, .low = { 1 }, .error = 1, .control = c->r.control,
				  .bm_status = c->r.bm_status & BM_CAPABLE };
	memset(c->w, 0, W_PRDT * sizeof(c->w[0]));
	for (unsigned d = 0; d < IDE_DRIVES; d++)
		if (c->present[d])
			ata_reset(&c->drive[d]);
	c->r.mid[0] = packet ? 0x14 : 0;
	c->r.high[0] = packet ? 0xeb : 0;
	c->r.status = packet ? 0 : ATA_READY | ATA_SEEK;
	ide_update_irq(c);
}

/* The signature depends on the drive that is asked: registers are written to both, but each has its own answer. */
static void show_signature(struct ide_channel *c)
{
	bool packet = drive_of(c)->atapi;

	if (c->r.phase != IDE_IDLE || c->r.error != 1 || c->r.low[0] != 1 || c->r.count[0] != 1)
		return;
	if (c->r.mid[0] != (packet ? 0 : 0x14) || c->r.high[0] != (packet ? 0 : 0xeb))
		return;
	c->r.mid[0] = packet ? 0x14 : 0;
	c->r.high[0] = packet ? 0xeb : 0;
	c->r.status = packet ? 0 : ATA_READY | ATA_SEEK;
}

static void fill_registers(const struct ide_channel *c, struct ata_regs *in)
{
	const struct ide_regs *r = &c->r;

	*in = (struct ata_regs){
		.command = r->command,
		.device = r->device,
		.features = (uint16_t)(r->feature[0] | r->feature[1] << 8),
		.count = (uint16_t)(r->count[0] | r->count[1] << 8),
		.lba = (uint64_t)r->low[0] | (uint64_t)r->mid[0] << 8 | (uint64_t)r->high[0] << 16 |
		       (uint64_t)r->low[1] << 24 | (uint64_t)r->mid[1] << 32 | (uint64_t)r->high[1] << 40,
	};
}

/* Sectors of this piece. */
static uint32_t piece(const struct ide_channel *c, uint32_t most)
{
	return c->w[W_LEFT] < most ? c->w[W_LEFT] : most;
}

/* A long read of the CD by PIO becomes several shorter ones. */
static void cut_packet(const struct ide_channel *c, uint8_t *cdb)
{
	uint32_t n = piece(c, IDE_CD_PIECE);

	if (!c->w[W_LEFT])
		return;
	store_be32(cdb + 2, (uint32_t)c->lba);
	if (cdb[0] == P_READ_10)
		store_be16(cdb + 7, (uint16_t)n);
	else if (cdb[0] == P_READ_12)
		store_be32(cdb + 6, n);
	else
		cdb[8] = (uint8_t)n, cdb[6] = cdb[7] = 0;
}

/* The memory that the table of the bus master names (Programming Interface for Bus Master IDE, 1.2). */
static bool map_table(struct ide_channel *c, struct xfer *x)
{
	struct gmem *mem = c->h->vm->mem;
	uint32_t at = c->w[W_PRDT];
	uint8_t e[PRD];

	for (unsigned n = 0; n < PRDS_MAX && n < XFER_IOV_MAX; n++) {
		if (gmem_read(mem, at + n * PRD, e, PRD))
			return false;
		uint32_t len = load_le16(e + 4) & 0xfffe;

		if (!xfer_add_guest(x, load_le32(e) & ~1u, len ? len : 0x10000))
			return false;
		if (e[7] & 0x80)
			return true;
	}
	return false;
}

/* op for what is to run now. False: its memory is none. */
static bool prepare(struct ide_channel *c, struct ata_op *op)
{
	struct ata_drive *d = drive_of(c);

	op->drive = d;
	fill_registers(c, &op->in);
	xfer_reset(&op->x, c->h->vm->mem);
	memcpy(op->packet, c->r.packet, SCSI_CDB);
	if (c->r.dma)
		return map_table(c, &op->x);
	if (c->r.command == C_PACKET) {
		cut_packet(c, op->packet);
	} else if (c->w[W_LEFT]) {
		op->in.command = c->r.out ? C_WRITE_DMA_EXT : C_READ_DMA_EXT;
		op->in.lba = c->lba;
		op->in.count = (uint16_t)piece(c, IDE_PIECE);
	}
	return xfer_add_host(&op->x, c->buffer, IDE_BUFFER);
}

static void dma_failed(struct ide_channel *c)
{
	log_limited(&c->h->limit, LOG_WARNING, "ide: channel %u: the bus master's table or its memory is not in RAM",
	            c->n);
	c->r.bm_status = (uint8_t)((c->r.bm_status & ~BM_ACTIVE) | BM_ERROR);
	abort_command(c);
}

static void work(void *opaque)
{
	struct ide_channel *c = opaque;
	bool run = false;

	pthread_mutex_lock(&c->h->lock);
	c->posted = false;
	if (c->posted_to != c->loop[selected(c)]) {
		ide_post(c); /* a reset chose the other drive meanwhile */
	} else if (c->r.phase == IDE_WORK && c->h->running && !c->running) {
		run = prepare(c, c->op);
		if (!run)
			dma_failed(c);
	}
	c->running |= run;
	pthread_mutex_unlock(&c->h->lock);
	if (run)
		ata_run(c->op);
}

void ide_post(struct ide_channel *c)
{
	if (c->r.phase != IDE_WORK || c->posted || c->running || !c->h->running)
		return;
	c->posted_to = c->loop[selected(c)];
	c->posted = loop_post(c->posted_to, work, c) == 0;
	if (!c->posted)
		log_limited(&c->h->limit, LOG_ERROR, "ide: no memory to start a command of channel %u", c->n);
}

static void start_work(struct ide_channel *c)
{
	c->r.phase = IDE_WORK;
	c->r.status = ATA_BUSY | ATA_SEEK;
	ide_post(c);
}

/* ---- data for the guest and from it ---- */

static void next_block(struct ide_channel *c)
{
	uint32_t left = c->w[W_FILLED] - c->w[W_AT];

	c->w[W_BLOCK_END] = c->w[W_AT] + (left < c->w[W_BLOCK] ? left : c->w[W_BLOCK]);
	c->r.status = ATA_READY | ATA_SEEK | ATA_REQUEST;
	if (c->r.command == C_PACKET) {
		uint32_t n = c->w[W_BLOCK_END] - c->w[W_AT];

		c->r.count[0] = REASON_IN;
		c->r.mid[0] = (uint8_t)n;
		c->r.high[0] = (uint8_t)(n >> 8);
	}
}

static void offer(struct ide_channel *c, uint32_t filled)
{
	c->r.phase = c->r.out ? IDE_OUT : IDE_IN;
	c->w[W_AT] = 0;
	c->w[W_FILLED] = filled;
	next_block(c);
}

static void packet_end(struct ide_channel *c)
{
	c->r.count[0] = REASON_COMMAND | REASON_IN;
	idle(c, ATA_READY | ATA_SEEK, 0);
	interrupt(c);
}

/* The guest has read, or filled, the block. */
static void block_end(struct ide_channel *c)
{
	uint32_t most = c->r.command == C_PACKET ? IDE_CD_PIECE : IDE_PIECE, n = piece(c, most);

	if (c->w[W_AT] < c->w[W_FILLED]) {
		next_block(c);
		interrupt(c);
	} else if (c->r.out) {
		start_work(c);
	} else if (c->w[W_LEFT] > n) {
		c->w[W_LEFT] -= n;
		c->lba += n;
		start_work(c);
	} else if (c->r.command == C_PACKET) {
		packet_end(c);
	} else {
		idle(c, ATA_READY | ATA_SEEK, 0);
	}
}

static uint32_t data_read(struct ide_channel *c, unsigned width)
{
	uint8_t v[4] = { 0 };
	uint32_t left = c->w[W_BLOCK_END] - c->w[W_AT];

	if (c->r.phase != IDE_IN || !(c->r.status & ATA_REQUEST))
		return 0;
	if (width > left)
		width = left;
	memcpy(v, c->buffer + c->w[W_AT], width);
	c->w[W_AT] += width;
	if (c->w[W_AT] == c->w[W_BLOCK_END])
		block_end(c);
	return load_le32(v);
}

static void packet_complete(struct ide_channel *c);

static void data_write(struct ide_channel *c, unsigned width, uint32_t value)
{
	uint8_t v[4];
	uint32_t left = c->w[W_BLOCK_END] - c->w[W_AT];

	if (c->r.phase != IDE_OUT && c->r.phase != IDE_CDB)
		return;
	if (width > left)
		width = left;
	store_le32(v, value);
	memcpy((c->r.phase == IDE_CDB ? c->r.packet : c->buffer) + c->w[W_AT], v, width);
	c->w[W_AT] += width;
	if (c->w[W_AT] < c->w[W_BLOCK_END])
		return;
	if (c->r.phase == IDE_CDB)
		packet_complete(c);
	else
		block_end(c);
}

/* ---- commands ---- */

static void await_dma(struct ide_channel *c)
{
	c->r.phase = IDE_DMA;
	c->r.status = ATA_READY | ATA_SEEK | ATA_REQUEST;
	if (c->r.bm_command & BM_START) {
		c->r.bm_status |= BM_ACTIVE;
		start_work(c);
	}
}

static uint32_t blocks_of_packet(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case P_READ_10: return load_be16(cdb + 7);
	case P_READ_12: return load_be32(cdb + 6);
	case P_READ_CD: return load_be32(cdb + 5) & 0xffffff;
	}
	return 0;
}

static void packet_complete(struct ide_channel *c)
{
	uint32_t limit = c->r.mid[0] | (uint32_t)c->r.high[0] << 8;

	limit &= ~1u;
	c->w[W_BLOCK] = limit ? limit : 0xfffe;
	c->w[W_LEFT] = blocks_of_packet(c->r.packet);
	c->lba = load_be32(c->r.packet + 2);
	c->r.dma = c->r.feature[0] & 1;
	if (c->r.dma)
		await_dma(c);
	else
		start_work(c);
}

static bool is_read_write(uint8_t command)
{
	return (command & 0xfe) == 0x20 || command == 0x24 || command == 0x29 || (command & 0xfe) == 0x30 ||
	       command == 0x34 || command == 0x39 || command == 0xc4 || command == 0xc5;
}

static bool is_long(uint8_t command)
{
	return command == 0x24 || command == 0x29 || command == 0x34 || command == 0x39;
}

static bool is_multiple(uint8_t command)
{
	return command == 0x29 || command == 0x39 || command == 0xc4 || command == 0xc5;
}

/* Sectors by PIO: in blocks of one, or of as many as SET MULTIPLE said. */
static void start_sectors(struct ide_channel *c, bool out)
{
	struct ata_drive *d = drive_of(c);
	struct ata_regs in;

	fill_registers(c, &in);
	if (!(in.device & 0x40) || (is_multiple(in.command) && !d->multiple)) {
		abort_command(c);
		return;
	}
	c->w[W_LEFT] = (uint32_t)(ata_length(d, &in) / BLK_SECTOR);
	c->lba = is_long(in.command) ? in.lba : (in.lba & 0xffffff) | (uint64_t)(in.device & 15) << 24;
	c->w[W_BLOCK] = (is_multiple(in.command) ? d->multiple : 1u) * BLK_SECTOR;
	c->r.out = out;
	if (out)
		offer(c, piece(c, IDE_PIECE) * BLK_SECTOR);
	else
		start_work(c);
}

static void command(struct ide_channel *c, uint8_t code)
{
	struct ata_drive *d = drive_of(c);
	enum ata_protocol p = ata_protocol_of(d, code);

	c->r.irq = 0;
	ide_update_irq(c);
	c->r.command = code;
	c->r.error = c->r.dma = c->r.out = 0;
	memset(c->w, 0, W_PRDT * sizeof(c->w[0]));
	switch (p) {
	case ATA_NCQ_IN:
	case ATA_NCQ_OUT: abort_command(c); break;
	case ATA_PACKET:
		c->r.phase = IDE_CDB;
		c->r.status = ATA_READY | ATA_SEEK | ATA_REQUEST;
		c->r.count[0] = REASON_COMMAND;
		c->w[W_BLOCK_END] = CDB;
		memset(c->r.packet, 0, sizeof(c->r.packet));
		break;
	case ATA_DMA_IN:
	case ATA_DMA_OUT:
		c->r.dma = 1;
		await_dma(c);
		break;
	case ATA_PIO_IN:
	case ATA_PIO_OUT:
		c->w[W_BLOCK] = BLK_SECTOR;
		if (is_read_write(code)) {
			start_sectors(c, p == ATA_PIO_OUT);
			break;
		}
		ATTR_FALLTHROUGH;
	case ATA_NO_DATA: start_work(c); break;
	}
}

/* ---- a piece has ended ---- */

static void show_result(struct ide_channel *c, const struct ata_op *op)
{
	c->r.count[0] = (uint8_t)op->count;
	c->r.count[1] = (uint8_t)(op->count >> 8);
	c->r.low[0] = (uint8_t)op->lba;
	c->r.mid[0] = (uint8_t)(op->lba >> 8);
	c->r.high[0] = (uint8_t)(op->lba >> 16);
	c->r.low[1] = (uint8_t)(op->lba >> 24);
	c->r.mid[1] = (uint8_t)(op->lba >> 32);
	c->r.high[1] = (uint8_t)(op->lba >> 40);
	idle(c, op->status, op->error);
	if (c->r.dma)
		c->r.bm_status &= (uint8_t)~BM_ACTIVE;
	interrupt(c);
}

static void piece_done(struct ide_channel *c, const struct ata_op *op)
{
	uint32_t n = piece(c, IDE_PIECE);

	if (op->status & ATA_ERROR || c->r.dma) {
		show_result(c, op);
	} else if (c->r.out) {
		c->w[W_LEFT] -= n;
		c->lba += n;
		if (!c->w[W_LEFT]) {
			idle(c, ATA_READY | ATA_SEEK, 0);
		} else {
			offer(c, piece(c, IDE_PIECE) * BLK_SECTOR);
		}
		interrupt(c);
	} else if (op->x.moved &&
		   (c->r.command == C_PACKET || ata_protocol_of(op->drive, c->r.command) == ATA_PIO_IN)) {
		offer(c, op->x.moved < IDE_BUFFER ? (uint32_t)op->x.moved : IDE_BUFFER);
		interrupt(c);
	} else if (c->r.command == C_PACKET) {
		packet_end(c);
	} else {
		show_result(c, op);
	}
}

void ide_piece_done(struct ata_op *op)
{
	struct ide_channel *c = op->opaque;

	pthread_mutex_lock(&c->h->lock);
	c->running = false;
	if (c->forgotten)
		c->forgotten = false;
	else
		piece_done(c, op);
	ide_post(c);
	pthread_mutex_unlock(&c->h->lock);
}

/* ---- registers ---- */

uint8_t ide_status(const struct ide_channel *c)
{
	if (!c->present[selected(c)])
		return 0;
	return c->r.control & CONTROL_RESET ? ATA_BUSY : c->r.status;
}

uint32_t ide_read(struct ide_channel *c, unsigned off, unsigned width)
{
	struct ide_regs *r = &c->r;
	unsigned high = r->control & CONTROL_HIGH ? 1 : 0;

	if (!c->present[0] && !c->present[1])
		return 0;
	switch (off) {
	case R_DATA: return data_read(c, width);
	case R_ERROR: return c->present[selected(c)] ? r->error : 0;
	case R_COUNT: return r->count[high];
	case R_LOW: return r->low[high];
	case R_MID: return r->mid[high];
	case R_HIGH: return r->high[high];
	case R_DEVICE: return r->device | 0xa0;
	case R_STATUS:
		r->irq = 0;
		ide_update_irq(c);
		return ide_status(c);
	}
	return 0;
}

static void shift(uint8_t reg[2], uint8_t v)
{
	reg[1] = reg[0];
	reg[0] = v;
}

void ide_write(struct ide_channel *c, unsigned off, unsigned width, uint32_t value)
{
	struct ide_regs *r = &c->r;
	uint8_t v = (uint8_t)value;

	r->control &= (uint8_t)~CONTROL_HIGH;
	if (off == R_DATA) {
		data_write(c, width, value);
		return;
	}
	/* A busy drive has no registers; one that is reset takes none either. */
	if (r->phase == IDE_WORK && !(off == R_STATUS && v == 0x08))
		return;
	switch (off) {
	case R_ERROR: shift(r->feature, v); break;
	case R_COUNT: shift(r->count, v); break;
	case R_LOW: shift(r->low, v); break;
	case R_MID: shift(r->mid, v); break;
	case R_HIGH: shift(r->high, v); break;
	case R_DEVICE:
		r->device = v;
		show_signature(c);
		break;
	case R_STATUS:
		if (v == 0x08 && c->present[selected(c)] && drive_of(c)->atapi) { /* DEVICE RESET ends anything */
			uint8_t device = r->device;

			ide_channel_reset(c);
			r->device = device;
			show_signature(c);
		} else if (c->present[selected(c)] && r->phase != IDE_WORK) {
			command(c, v);
		}
		break;
	}
}

void ide_control(struct ide_channel *c, uint8_t v)
{
	bool was = c->r.control & CONTROL_RESET;

	c->r.control = v & (CONTROL_HIGH | CONTROL_RESET | CONTROL_NO_INTERRUPT);
	if (was && !(v & CONTROL_RESET))
		ide_channel_reset(c);
	ide_update_irq(c);
}

void ide_bm_command(struct ide_channel *c, uint8_t v)
{
	bool starts = v & BM_START && !(c->r.bm_command & BM_START);

	c->r.bm_command = v & (BM_START | BM_TO_MEMORY);
	if (!(v & BM_START))
		c->r.bm_status &= (uint8_t)~BM_ACTIVE;
	if (!starts)
		return;
	c->r.bm_status |= BM_ACTIVE;
	if (c->r.phase == IDE_DMA)
		start_work(c);
}
