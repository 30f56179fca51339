/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers (82077AA data sheet, chapter 2), media, life. */
#include "devices/storage/fdc_priv.h"

#include "core/dev.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { P_DOR, P_TAPE, P_STATUS, P_DATA };
enum { RATE_RESET = 0x80, DOR_MOTOR = 0x10, DIR_CHANGED = 0x80, RATE_DEFAULT = 2 };

/* 250 kbit/s is rate 2, 500 kbit/s 0, 1 Mbit/s 3. The last of a kind of drive are those that fill disks up. */
static const struct fdc_format formats[] = {
	{ 160, 40, 1, 8, 2, FDC_360K },	   { 180, 40, 1, 9, 2, FDC_360K },    { 320, 40, 2, 8, 2, FDC_360K },
	{ 360, 40, 2, 9, 2, FDC_360K },	   { 720, 80, 2, 9, 2, FDC_1440K },   { 1200, 80, 2, 15, 0, FDC_1200K },
	{ 1440, 80, 2, 18, 0, FDC_1440K }, { 1680, 80, 2, 21, 0, FDC_1440K }, { 1722, 82, 2, 21, 0, FDC_1440K },
	{ 2880, 80, 2, 36, 3, FDC_2880K },
};

/* ---- media ---- */

static const struct fdc_format *format_of(const struct blk *b, struct err *e)
{
	uint64_t size = blk_info(b)->size;

	for (size_t n = 0; n < COUNT_OF(formats); n++)
		if (size == (uint64_t)formats[n].kib << 10)
			return &formats[n];
	err_set(e, -EINVAL,
		"an image of %llu bytes is no floppy: those are 160K, 180K, 320K, 360K, 720K, 1200K, 1440K, 1680K, "
		"1722K and 2880K long",
		(unsigned long long)size);
	return NULL;
}

/* A drive for 2.88M takes the other 3.5-inch formats too. */
static bool takes(enum fdc_type drive, const struct fdc_format *m)
{
	return drive == m->type || (drive == FDC_2880K && m->type == FDC_1440K);
}

enum fdc_type fdc_drive_type(const struct fdc *f, unsigned drive)
{
	return f->type[drive];
}

static void swap_medium(struct fdc *f, unsigned n, struct blk *blk, const struct fdc_format *m)
{
	struct blk *old = f->blk[n];

	if (old)
		blk_wait(old);
	pthread_mutex_lock(&f->lock);
	f->blk[n] = blk;
	f->format[n] = m;
	f->changed[n] = true;
	pthread_mutex_unlock(&f->lock);
	blk_close(old);
}

int fdc_change(const struct fdc_drive *drive, struct blk *blk, struct err *e)
{
	struct fdc *f = drive->fdc;
	const struct fdc_format *m = blk ? format_of(blk, e) : NULL;
	bool running = f->running;

	if (blk && !m)
		return -EINVAL;
	if (m && !takes(f->type[drive->n], m))
		return err_set(e, -EINVAL, "the drive that the machine was started with does not take floppies of %uK",
			       m->kib);
	/* No sector starts meanwhile; the command under way goes on with the new medium, as by a quick hand. */
	pthread_mutex_lock(&f->lock);
	f->running = false;
	pthread_mutex_unlock(&f->lock);
	swap_medium(f, drive->n, blk, m);
	pthread_mutex_lock(&f->lock);
	f->running = running;
	if (running && f->phase == FDC_MOVE)
		fdc_post(f);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* ---- registers ---- */

void fdc_irq(struct fdc *f, bool level)
{
	f->irq = level;
	irq_set(&f->cfg.irq, f->irq && f->dor & DOR_DMA);
}

static void leave_reset(struct fdc *f)
{
	f->reset_left = FDC_ALL_DRIVES;
	fdc_irq(f, true);
}

static void dor_write(struct fdc *f, uint8_t v)
{
	uint8_t was = f->dor;

	f->dor = v;
	if (!(v & DOR_RUN))
		fdc_clear(f, false);
	else if (!(was & DOR_RUN))
		leave_reset(f);
	else
		fdc_irq(f, f->irq);
}

static void rate_write(struct fdc *f, uint8_t v)
{
	f->rate = v & 3;
	f->precomp = v >> 2 & 7;
	if (!(v & RATE_RESET) || !(f->dor & DOR_RUN))
		return;
	fdc_clear(f, false);
	leave_reset(f);
}

static uint8_t status(const struct fdc *f)
{
	static const uint8_t by_phase[] = {
		[FDC_IDLE] = MSR_READY, [FDC_MOVE] = MSR_BUSY, [FDC_PIO] = MSR_READY | MSR_PIO | MSR_BUSY,
		[FDC_RESULT] = MSR_READY | MSR_READ | MSR_BUSY,
	};
	uint8_t v = (uint8_t)(by_phase[f->phase] | f->seeked);

	if (!(f->dor & DOR_RUN))
		return 0;
	if (f->phase == FDC_IDLE && f->fifo_at)
		v |= MSR_BUSY;
	if (f->phase == FDC_PIO)
		v |= fdc_writes(f) ? 0 : MSR_READ;
	return v;
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct fdc *f = opaque;

	switch (off) {
	case P_DOR: return f->dor;
	case P_TAPE: return f->tape;
	case P_STATUS: return status(f);
	default: return f->dor & DOR_RUN ? fdc_get(f) : 0;
	}
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct fdc *f = opaque;
	uint8_t v = (uint8_t)value;

	switch (off) {
	case P_DOR: dor_write(f, v); break;
	case P_TAPE: f->tape = v & 3; break;
	case P_STATUS: rate_write(f, v); break;
	default:
		if (f->dor & DOR_RUN)
			fdc_put(f, v);
	}
}

/* The line of the selected drive, which answers when its motor is on. */
static uint64_t change_read(void *opaque, uint64_t off, unsigned width)
{
	struct fdc *f = opaque;
	unsigned drive = f->dor & DOR_DRIVE;

	if (!(f->dor & DOR_MOTOR << drive) || drive >= FDC_DRIVES || !f->cfg.drive[drive].present)
		return 0;
	return f->changed[drive] || !f->blk[drive] ? DIR_CHANGED : 0;
}

static void control_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	((struct fdc *)opaque)->rate = value & 3;
}

static const struct region_ops port_ops = { .read = port_read, .write = port_write, .width_min = 1, .width_max = 1 };
static const struct region_ops rate_ops = {
	.read = change_read, .write = control_write, .width_min = 1, .width_max = 1,
};

/* ---- life ---- */

static void fdc_reset(void *impl)
{
	struct fdc *f = impl;

	pthread_mutex_lock(&f->lock);
	fdc_clear(f, true);
	f->dor = f->tape = f->precomp = f->command = 0;
	f->rate = RATE_DEFAULT;
	for (unsigned n = 0; n < FDC_DRIVES; n++)
		f->changed[n] = true;
	fdc_irq(f, false);
	pthread_mutex_unlock(&f->lock);
}

static void fdc_run_state(void *impl, bool running)
{
	struct fdc *f = impl;

	pthread_mutex_lock(&f->lock);
	f->running = running;
	if (running && f->phase == FDC_MOVE)
		fdc_post(f);
	pthread_mutex_unlock(&f->lock);
	for (unsigned n = 0; !running && n < FDC_DRIVES; n++)
		if (f->blk[n])
			blk_wait(f->blk[n]);
}

static void fdc_destroy(void *impl)
{
	struct fdc *f = impl;

	fdc_run_state(f, false);
	loop_unpost(f->vm->loop, f);
	region_detach(f->region[0]);
	region_detach(f->region[1]);
	for (unsigned n = 0; n < FDC_DRIVES; n++)
		blk_close(f->blk[n]);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static int fdc_loaded(void *obj, uint16_t version, struct err *e)
{
	struct fdc *f = obj;

	if (f->phase > FDC_RESULT || f->fifo_at > FDC_FIFO || f->fifo_len > FDC_FIFO || f->pio_at >= FDC_SECTOR ||
	    f->reset_left > FDC_ALL_DRIVES || f->seeked >> FDC_ALL_DRIVES || f->head > 1 ||
	    (f->phase == FDC_RESULT && f->fifo_at >= f->fifo_len) ||
	    (f->phase == FDC_IDLE && f->fifo_at && f->fifo_at >= f->fifo_len))
		return err_set(e, -EINVAL, "floppy controller: the state is not one that it can be in");
	f->forgotten |= f->busy;
	fdc_irq(f, f->irq);
	return 0;
}

#define BYTE(member) STATE_FIELD(struct fdc, member, STATE_U8)
#define FLAG(member) STATE_FIELD(struct fdc, member, STATE_BOOL)
#define BYTES(member, n) STATE_ARRAY(struct fdc, member, STATE_BYTES, n)
static const struct state_field fdc_fields[] = {
	BYTE(dor), BYTE(tape), BYTE(rate), BYTE(precomp), BYTE(phase), BYTES(fifo, FDC_FIFO), BYTE(fifo_at),
	BYTE(fifo_len), BYTES(specify, 2), BYTES(config, 2), BYTE(perpendicular), FLAG(locked), FLAG(irq),
	BYTES(track, FDC_ALL_DRIVES), BYTE(reset_left), BYTE(seeked), BYTES(seek_status, FDC_ALL_DRIVES),
	STATE_ARRAY(struct fdc, changed, STATE_BOOL, FDC_ALL_DRIVES), BYTE(command), BYTE(head), BYTE(c), BYTE(h),
	BYTE(r), BYTE(n), BYTE(eot), BYTE(left), BYTE(filler), BYTE(st1), BYTE(st2),
	STATE_FIELD(struct fdc, pio_at, STATE_U16), FLAG(loaded), FLAG(last), BYTES(data, FDC_SECTOR), STATE_END,
};

static const struct state_desc fdc_state = {
	.name = "fdc", .version = 1, .fields = fdc_fields, .after_load = fdc_loaded,
};

static const struct dev_type fdc_type = {
	.name = "fdc", .destroy = fdc_destroy, .reset = fdc_reset, .run_state = fdc_run_state, .state = &fdc_state,
	.state_size = sizeof(struct fdc),
};

static int set_drives(struct fdc *f, const struct fdc_config *cfg, struct err *e)
{
	for (unsigned n = 0; n < FDC_DRIVES; n++) {
		const struct blk *b = cfg->drive[n].blk;

		f->handle[n] = (struct fdc_drive){ f, n };
		f->type[n] = cfg->drive[n].present ? FDC_1440K : FDC_NO_DRIVE;
		f->format[n] = b ? format_of(b, e) : NULL;
		if (b && !f->format[n])
			return -EINVAL;
		if (b)
			f->type[n] = f->format[n]->type;
	}
	return 0;
}

static int add_ports(struct fdc *f, struct err *e)
{
	const struct region ports = { REGION_PORT, FDC_PORT, FDC_PORTS, "floppy", &port_ops, f, &f->lock };
	const struct region rate = { REGION_PORT, FDC_PORT_RATE, 1, "floppy rate", &rate_ops, f, &f->lock };
	int ret = region_attach(f->vm->regions, &ports, &f->region[0], e);

	return ret < 0 ? ret : region_attach(f->vm->regions, &rate, &f->region[1], e);
}

int fdc_create(struct vm *vm, const struct fdc_config *cfg, struct fdc **out, struct err *e)
{
	struct fdc *f = calloc(1, sizeof(*f));
	int ret;

	if (!f)
		return err_set(e, -ENOMEM, "no memory for the floppy controller");
	f->vm = vm;
	f->cfg = *cfg;
	pthread_mutex_init(&f->lock, NULL);
	fdc_reset(f);
	ret = set_drives(f, cfg, e);
	if (ret == 0)
		ret = add_ports(f, e);
	if (ret == 0)
		ret = dev_attach(vm, &fdc_type, NULL, f, e);
	if (ret < 0) {
		fdc_destroy(f);
		return ret;
	}
	for (unsigned n = 0; n < FDC_DRIVES; n++) {
		f->blk[n] = cfg->drive[n].blk;
		if (cfg->drive[n].handle)
			*cfg->drive[n].handle = &f->handle[n];
	}
	*out = f;
	return 0;
}
