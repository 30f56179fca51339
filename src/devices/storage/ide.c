/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The function is there in compatibility mode only: its task files stay at their ports whatever the guest writes to the
 * timing registers, which say that both channels are decoded.
 */
#include "devices/storage/ide_priv.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR_INTEL = 0x8086, DEVICE_PIIX3_IDE = 0x7010, CLASS_IDE = 0x010180 /* compatible, bus master */ };
enum { BAR = 4, BAR_SIZE = 16, BM_CHANNEL = 8, BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };
enum { R_TIMING = 0x40, R_TIMING_SLAVES = 0x44, TIMING_DECODE = 0x8000 };
static const uint16_t task_file[IDE_CHANNELS] = { 0x1f0, 0x170 }, control_block[IDE_CHANNELS] = { 0x3f6, 0x376 };

/* ---- ports ---- */

static uint64_t task_read(void *opaque, uint64_t off, unsigned width)
{
	return ide_read(opaque, (unsigned)off, width);
}

static void task_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	ide_write(opaque, (unsigned)off, width, (uint32_t)value);
}

static uint64_t control_read(void *opaque, uint64_t off, unsigned width)
{
	return ide_status(opaque);
}

static void control_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	ide_control(opaque, (uint8_t)value);
}

static uint64_t bm_read(void *opaque, uint64_t off, unsigned width)
{
	struct ide *h = opaque;
	const struct ide_channel *c = &h->channel[off / BM_CHANNEL];
	unsigned at = off % BM_CHANNEL;

	switch (at) {
	case BM_COMMAND: return c->r.bm_command;
	case BM_STATUS: return c->r.bm_status;
	}
	return at >= BM_TABLE ? c->w[W_PRDT] >> (8 * (at - BM_TABLE)) & 0xff : 0;
}

static void bm_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct ide *h = opaque;
	struct ide_channel *c = &h->channel[off / BM_CHANNEL];
	unsigned at = off % BM_CHANNEL;
	uint8_t v = (uint8_t)value, *s = &c->r.bm_status;

	if (at == BM_COMMAND) {
		ide_bm_command(c, v);
	} else if (at == BM_STATUS) {
		*s = (uint8_t)((*s & BM_ACTIVE) | (*s & (BM_ERROR | BM_INTERRUPT) & ~v) | (v & BM_CAPABLE));
	} else if (at >= BM_TABLE) {
		unsigned shift = 8 * (at - BM_TABLE);

		c->w[W_PRDT] = ((c->w[W_PRDT] & ~(UINT32_C(0xff) << shift)) | (uint32_t)v << shift) & ~UINT32_C(3);
	}
}

static const struct region_ops task_ops = { .read = task_read, .write = task_write, .width_min = 1, .width_max = 4 };
static const struct region_ops control_ops = {
	.read = control_read, .write = control_write, .width_min = 1, .width_max = 1,
};
static const struct region_ops bm_ops = { .read = bm_read, .write = bm_write, .width_min = 1, .width_max = 1 };

/* ---- life ---- */

static void ide_reset(void *impl)
{
	struct ide *h = impl;

	pci_dev_reset(&h->pci);
	pthread_mutex_lock(&h->lock);
	for (unsigned n = 0; n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &h->channel[n];

		c->r.control = c->r.bm_status = 0;
		ide_channel_reset(c);
		c->w[W_PRDT] = 0;
	}
	pthread_mutex_unlock(&h->lock);
}

static void ide_run_state(void *impl, bool running)
{
	struct ide *h = impl;

	pthread_mutex_lock(&h->lock);
	h->running = running;
	for (unsigned n = 0; running && n < IDE_CHANNELS; n++)
		ide_post(&h->channel[n]);
	pthread_mutex_unlock(&h->lock);
	for (unsigned n = 0; !running && n < IDE_CHANNELS * IDE_DRIVES; n++) {
		struct ata_drive *d = &h->channel[n / IDE_DRIVES].drive[n % IDE_DRIVES];
		struct blk *b = d->blk ? d->blk : d->cd.blk;

		if (b)
			blk_wait(b);
	}
}

static void ide_destroy(void *impl)
{
	struct ide *h = impl;

	ide_run_state(h, false);
	pci_dev_detach(&h->pci);
	for (unsigned n = 0; n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &h->channel[n];

		region_detach(h->region[n][0]);
		region_detach(h->region[n][1]);
		for (unsigned d = 0; d < IDE_DRIVES; d++) {
			blk_close(c->drive[d].blk);
			blk_close(c->drive[d].cd.blk);
		}
		free(c->op);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ---- saved state ---- */

static bool channel_good(const struct ide_channel *c)
{
	const uint32_t *w = c->w;
	uint32_t room = c->r.phase == IDE_CDB ? SCSI_CDB : IDE_BUFFER;
	bool data = c->r.phase == IDE_IN || c->r.phase == IDE_OUT;

	if (c->r.phase >= IDE_PHASES || (c->r.phase != IDE_IDLE && !c->present[c->r.device >> 4 & 1]))
		return false;
	return w[W_AT] <= w[W_BLOCK_END] && w[W_BLOCK_END] <= room && w[W_FILLED] <= IDE_BUFFER &&
	       (!data || (w[W_BLOCK] && w[W_BLOCK_END] <= w[W_FILLED]));
}

static int ide_loaded(void *obj, uint16_t version, struct err *e)
{
	struct ide *h = obj;
	int ret = pci_dev_loaded(&h->pci, e);

	for (unsigned n = 0; ret == 0 && n < IDE_CHANNELS; n++) {
		struct ide_channel *c = &h->channel[n];

		c->forgotten |= c->running;
		c->w[W_PRDT] &= ~UINT32_C(3);
		if (!channel_good(c)) {
			ide_channel_reset(c);
			ret = err_set(e, -EINVAL, "%s: the saved state of channel %u cannot be", h->pci.name, n);
		}
		ide_update_irq(c);
	}
	return ret;
}

#define DRIVE(n, d)                                                                              \
	STATE_FIELD(struct ide, channel[n].drive[d].multiple, STATE_U8),                         \
		STATE_FIELD(struct ide, channel[n].drive[d].udma, STATE_U8),                     \
		STATE_FIELD(struct ide, channel[n].drive[d].write_cache, STATE_BOOL),            \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.locked, STATE_BOOL),              \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.ejected, STATE_BOOL),             \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.changed, STATE_BOOL),             \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.event, STATE_U8),                 \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.key, STATE_U8),                   \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.asc, STATE_U8),                   \
		STATE_FIELD(struct ide, channel[n].drive[d].cd.ascq, STATE_U8)
#define REGISTER(n, name) STATE_FIELD(struct ide, channel[n].r.name, STATE_U8)
#define PAIR(n, name) STATE_ARRAY(struct ide, channel[n].r.name, STATE_U8, 2)
#define CHANNEL(n)                                                                               \
	PAIR(n, feature), PAIR(n, count), PAIR(n, low), PAIR(n, mid), PAIR(n, high), REGISTER(n, device), \
		REGISTER(n, control), REGISTER(n, status), REGISTER(n, error), REGISTER(n, command), \
		REGISTER(n, phase), REGISTER(n, irq), REGISTER(n, dma), REGISTER(n, out),        \
		REGISTER(n, bm_command), REGISTER(n, bm_status),                                 \
		STATE_ARRAY(struct ide, channel[n].r.packet, STATE_BYTES, SCSI_CDB),             \
		STATE_ARRAY(struct ide, channel[n].w, STATE_U32, W_COUNT),                       \
		STATE_FIELD(struct ide, channel[n].lba, STATE_U64),                              \
		STATE_ARRAY(struct ide, channel[n].buffer, STATE_BYTES, IDE_BUFFER), DRIVE(n, 0), DRIVE(n, 1)

static const struct state_field ide_fields[] = {
	STATE_ARRAY(struct ide, pci.config, STATE_BYTES, PCI_CONFIG_SIZE), CHANNEL(0), CHANNEL(1), STATE_END,
};

static const struct state_desc ide_state = {
	.name = "ide", .version = 1, .fields = ide_fields, .after_load = ide_loaded,
};

static const struct dev_type ide_type = {
	.name = "ide", .destroy = ide_destroy, .reset = ide_reset, .run_state = ide_run_state, .state = &ide_state,
	.state_size = sizeof(struct ide),
};

/* ---- creation ---- */

static int channel_init(struct ide *h, unsigned n, const struct ide_config *cfg)
{
	struct ide_channel *c = &h->channel[n];

	c->h = h;
	c->n = n;
	c->wire = cfg->irq[n];
	c->op = calloc(1, sizeof(*c->op));
	if (!c->op)
		return -ENOMEM;
	c->op->done = ide_piece_done;
	c->op->opaque = c;
	for (unsigned d = 0; d < IDE_DRIVES; d++) {
		struct blk *blk = cfg->drive[n][d].blk;
		const char *serial = cfg->drive[n][d].serial;
		char made[ATA_SERIAL + 1];

		c->present[d] = cfg->drive[n][d].present;
		c->loop[d] = blk ? blk_loop(blk) : h->vm->loop;
		snprintf(made, sizeof(made), "PANALIDE%u", n * IDE_DRIVES + d);
		if (!serial)
			serial = blk && blk_info(blk)->serial[0] ? blk_info(blk)->serial : made;
		if (c->present[d])
			ata_init(&c->drive[d], blk, cfg->drive[n][d].cdrom, serial);
	}
	ide_channel_reset(c);
	return 0;
}

/*
 * Also those of a channel without drives: a host pulls bit 7 of the data down (ATA/ATAPI-6, DD7), so that nobody is not
 * taken for somebody busy. EDK II waits half a minute for each drive that is.
 */
static int attach_ports(struct ide *h, unsigned n, struct err *e)
{
	struct ide_channel *c = &h->channel[n];
	struct region r = { .space = REGION_PORT, .addr = task_file[n], .size = 8, .name = "ide", .ops = &task_ops,
			    .opaque = c, .lock = &h->lock };
	int ret;

	ret = region_attach(h->vm->regions, &r, &h->region[n][0], e);
	r.addr = control_block[n];
	r.size = 1;
	r.ops = &control_ops;
	return ret < 0 ? ret : region_attach(h->vm->regions, &r, &h->region[n][1], e);
}

static int attach(struct ide *h, const struct ide_config *cfg, struct err *e)
{
	struct pci_ident id = { .vendor = VENDOR_INTEL, .device = DEVICE_PIIX3_IDE, .class_code = CLASS_IDE,
				.subsystem_vendor = 0x1af4, .subsystem = 0x1100 };
	uint8_t timing[4];
	int ret = pci_dev_attach(&h->pci, cfg->bus, cfg->slot, cfg->function, "ide", &id, e);

	if (ret < 0)
		return ret;
	store_le16(timing, TIMING_DECODE);
	store_le16(timing + 2, TIMING_DECODE);
	pci_config_init(&h->pci, R_TIMING, timing, sizeof(timing));
	store_le32(&h->pci.write_mask[R_TIMING], UINT32_MAX);
	h->pci.write_mask[R_TIMING_SLAVES] = 0xff;
	pci_bar_set(&h->pci, BAR, &(struct pci_bar){ .size = BAR_SIZE, .ports = true, .ops = &bm_ops, .opaque = h,
						     .lock = &h->lock });
	for (unsigned n = 0; ret == 0 && n < IDE_CHANNELS; n++)
		ret = attach_ports(h, n, e);
	return ret < 0 ? ret : dev_attach(h->vm, &ide_type, NULL, h, e);
}

int ide_create(struct vm *vm, const struct ide_config *cfg, struct err *e)
{
	struct ide *h = calloc(1, sizeof(*h));
	int ret = 0;

	if (!h)
		return err_set(e, -ENOMEM, "no memory for the IDE controller");
	h->vm = vm;
	pthread_mutex_init(&h->lock, NULL);
	for (unsigned n = 0; ret == 0 && n < IDE_CHANNELS; n++)
		ret = channel_init(h, n, cfg);
	ret = ret < 0 ? err_set(e, ret, "no memory for the IDE controller") : attach(h, cfg, e);
	if (ret < 0) {
		/* The images stay the caller's. */
		for (unsigned n = 0; n < IDE_CHANNELS * IDE_DRIVES; n++) {
			struct ata_drive *d = &h->channel[n / IDE_DRIVES].drive[n % IDE_DRIVES];

			d->blk = d->cd.blk = NULL;
		}
		ide_destroy(h);
		return ret;
	}
	for (unsigned n = 0; n < IDE_CHANNELS * IDE_DRIVES; n++) {
		unsigned d = n % IDE_DRIVES, k = n / IDE_DRIVES;

		if (cfg->drive[k][d].cdrom && cfg->drive[k][d].cd)
			*cfg->drive[k][d].cd = &h->channel[k].drive[d].cd;
	}
	return 0;
}
