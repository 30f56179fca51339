/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transfers take no time: what a device asks for is moved at once, so that priorities and the request register mean
 * nothing here. Memory to memory is not carried: no PC could use it, and none did. */
#include "devices/legacy/isa_dma.h"

#include "core/dev.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CHIPS = 2, CHANNELS = 4, CASCADE = 4 };
enum { R_STATUS = 8, R_REQUEST, R_MASK_ONE, R_MODE, R_FLIP_FLOP, R_CLEAR, R_CLEAR_MASK, R_MASK_ALL };
enum { COMMAND_OFF = 0x04, MODE_WAY = 0x0c, MODE_VERIFY = 0x00, MODE_TO_MEMORY = 0x04, MODE_FROM_MEMORY = 0x08,
       MODE_AGAIN = 0x10, MODE_DOWN = 0x20, MODE_KIND = 0xc0, MODE_CASCADE = 0xc0 };
enum { LOW_PORTS = 0x00, LOW_SIZE = 16, HIGH_PORTS = 0xc0, HIGH_SIZE = 32, PAGE_PORTS = 0x80, PAGES = 16 };
/* Where among the page registers a channel has its own; 4 is the second chip's link to the first. */
static const uint8_t page_of[ISA_DMA_CHANNELS] = { 7, 3, 1, 2, 15, 11, 9, 10 };

struct isa_dma {
	struct vm *vm;
	struct region_handle *region[3];
	pthread_mutex_t lock; /* guards all below */
	/* by channel */
	uint16_t base[ISA_DMA_CHANNELS], base_count[ISA_DMA_CHANNELS]; /* what the guest wrote */
	uint16_t at[ISA_DMA_CHANNELS], count[ISA_DMA_CHANNELS];        /* where it stands: count and 1 are left */
	uint8_t mode[ISA_DMA_CHANNELS];
	/* by chip */
	uint8_t command[CHIPS], mask[CHIPS], ended[CHIPS], high_byte[CHIPS];
	uint8_t page[PAGES];
};

/* ---- registers ---- */

static uint8_t half_read(struct isa_dma *d, unsigned chip, uint16_t v)
{
	d->high_byte[chip] ^= 1;
	return (uint8_t)(d->high_byte[chip] ? v : v >> 8);
}

static uint8_t chip_read(struct isa_dma *d, unsigned chip, unsigned reg)
{
	unsigned n = chip * CHANNELS + reg / 2 % CHANNELS;
	uint8_t v = d->ended[chip];

	if (reg < R_STATUS)
		return half_read(d, chip, reg & 1 ? d->count[n] : d->at[n]);
	if (reg == R_MASK_ALL)
		return (uint8_t)(d->mask[chip] | 0xf0);
	if (reg != R_STATUS)
		return 0;
	d->ended[chip] = 0;
	return v;
}

static void half_write(struct isa_dma *d, unsigned chip, unsigned n, bool count, uint8_t v)
{
	uint16_t *base = count ? &d->base_count[n] : &d->base[n];

	*base = d->high_byte[chip] ? (uint16_t)((*base & 0xff) | v << 8) : (uint16_t)((*base & 0xff00) | v);
	if (count)
		d->count[n] = *base;
	else
		d->at[n] = *base;
	d->high_byte[chip] ^= 1;
}

static void chip_clear(struct isa_dma *d, unsigned chip)
{
	d->command[chip] = d->ended[chip] = d->high_byte[chip] = 0;
	d->mask[chip] = 0x0f;
}

static void chip_write(struct isa_dma *d, unsigned chip, unsigned reg, uint8_t v)
{
	if (reg < R_STATUS) {
		half_write(d, chip, chip * CHANNELS + reg / 2, reg & 1, v);
		return;
	}
	switch (reg) {
	case R_STATUS: d->command[chip] = v; break;
	case R_MASK_ONE:
		d->mask[chip] = (uint8_t)((d->mask[chip] & ~(1u << (v & 3))) | (v >> 2 & 1u) << (v & 3));
		break;
	case R_MODE: d->mode[chip * CHANNELS + (v & 3)] = v & 0xfc; break;
	case R_FLIP_FLOP: d->high_byte[chip] = 0; break;
	case R_CLEAR: chip_clear(d, chip); break;
	case R_CLEAR_MASK: d->mask[chip] = 0; break;
	case R_MASK_ALL: d->mask[chip] = v & 0x0f; break;
	}
}

static uint64_t low_read(void *opaque, uint64_t off, unsigned width)
{
	return chip_read(opaque, 0, (unsigned)off);
}

static void low_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	chip_write(opaque, 0, (unsigned)off, (uint8_t)value);
}

/* The second chip is on the upper address lines: every register has two ports. */
static uint64_t high_read(void *opaque, uint64_t off, unsigned width)
{
	return chip_read(opaque, 1, (unsigned)off / 2);
}

static void high_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	chip_write(opaque, 1, (unsigned)off / 2, (uint8_t)value);
}

static uint64_t page_read(void *opaque, uint64_t off, unsigned width)
{
	return ((struct isa_dma *)opaque)->page[off];
}

static void page_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	((struct isa_dma *)opaque)->page[off] = (uint8_t)value;
}

/* ---- transfers ---- */

static bool ready(const struct isa_dma *d, unsigned channel, enum isa_dma_way way)
{
	unsigned chip = channel / CHANNELS;
	uint8_t mode = d->mode[channel], want = way == ISA_DMA_TO_MEMORY ? MODE_TO_MEMORY : MODE_FROM_MEMORY;

	if (d->command[chip] & COMMAND_OFF || d->mask[chip] >> channel % CHANNELS & 1)
		return false;
	if (channel > CASCADE && (d->mask[1] & 1 || (d->mode[CASCADE] & MODE_KIND) != MODE_CASCADE))
		return false;
	return (mode & MODE_KIND) != MODE_CASCADE && ((mode & MODE_WAY) == want || (mode & MODE_WAY) == MODE_VERIFY);
}

/* Where the next unit lies: the page does not count on when the address comes round. */
static uint32_t address(const struct isa_dma *d, unsigned channel)
{
	uint32_t page = d->page[page_of[channel]];

	return channel < CASCADE ? page << 16 | d->at[channel] : (page & 0xfe) << 16 | (uint32_t)d->at[channel] << 1;
}

static void move_unit(struct gmem *mem, uint32_t gpa, uint8_t mode, uint8_t *p, uint32_t unit)
{
	if ((mode & MODE_WAY) == MODE_TO_MEMORY) {
		if (gmem_write(mem, gpa, p, unit) < 0)
			return; /* nobody is there: the bytes are lost */
	} else if ((mode & MODE_WAY) == MODE_VERIFY || gmem_read(mem, gpa, p, unit) < 0) {
		memset(p, 0xff, unit);
	}
}

static void count_out(struct isa_dma *d, unsigned channel)
{
	d->ended[channel / CHANNELS] |= (uint8_t)(1u << channel % CHANNELS);
	if (d->mode[channel] & MODE_AGAIN) {
		d->at[channel] = d->base[channel];
		d->count[channel] = d->base_count[channel];
	} else {
		d->mask[channel / CHANNELS] |= (uint8_t)(1u << channel % CHANNELS);
	}
}

uint32_t isa_dma_move(struct isa_dma *d, unsigned channel, enum isa_dma_way way, void *buf, uint32_t len, bool *end)
{
	uint32_t unit = channel < CASCADE ? 1 : 2, moved = 0;

	*end = false;
	pthread_mutex_lock(&d->lock);
	while (!*end && len - moved >= unit && ready(d, channel, way)) {
		move_unit(d->vm->mem, address(d, channel), d->mode[channel], (uint8_t *)buf + moved, unit);
		moved += unit;
		d->at[channel] = (uint16_t)(d->at[channel] + (d->mode[channel] & MODE_DOWN ? -1 : 1));
		*end = d->count[channel]-- == 0;
	}
	if (*end)
		count_out(d, channel);
	pthread_mutex_unlock(&d->lock);
	return moved;
}

/* ---- life ---- */

static void isa_dma_reset(void *impl)
{
	struct isa_dma *d = impl;

	pthread_mutex_lock(&d->lock);
	for (unsigned n = 0; n < CHIPS; n++)
		chip_clear(d, n);
	memset(d->mode, 0, sizeof(d->mode));
	memset(d->page, 0, sizeof(d->page));
	memset(d->base, 0, sizeof(d->base));
	memset(d->base_count, 0, sizeof(d->base_count));
	memset(d->at, 0, sizeof(d->at));
	memset(d->count, 0, sizeof(d->count));
	/* As a BIOS leaves it, for those who come without one: the second chip passes the first one on. */
	d->mode[CASCADE] = MODE_CASCADE;
	d->mask[1] &= (uint8_t)~1u;
	pthread_mutex_unlock(&d->lock);
}

static int isa_dma_loaded(void *obj, uint16_t version, struct err *e)
{
	struct isa_dma *d = obj;

	for (unsigned n = 0; n < CHIPS; n++) {
		d->mask[n] &= 0x0f;
		d->ended[n] &= 0x0f;
		d->high_byte[n] &= 1;
	}
	return 0;
}

#define BY_CHANNEL(member) STATE_ARRAY(struct isa_dma, member, STATE_U16, ISA_DMA_CHANNELS)
static const struct state_field isa_dma_fields[] = {
	BY_CHANNEL(base),
	BY_CHANNEL(base_count),
	BY_CHANNEL(at),
	BY_CHANNEL(count),
	STATE_ARRAY(struct isa_dma, mode, STATE_BYTES, ISA_DMA_CHANNELS),
	STATE_ARRAY(struct isa_dma, command, STATE_BYTES, CHIPS),
	STATE_ARRAY(struct isa_dma, mask, STATE_BYTES, CHIPS),
	STATE_ARRAY(struct isa_dma, ended, STATE_BYTES, CHIPS),
	STATE_ARRAY(struct isa_dma, high_byte, STATE_BYTES, CHIPS),
	STATE_ARRAY(struct isa_dma, page, STATE_BYTES, PAGES),
	STATE_END,
};

static const struct state_desc isa_dma_state = {
	.name = "isa-dma", .version = 1, .fields = isa_dma_fields, .after_load = isa_dma_loaded,
};

static void isa_dma_destroy(void *impl)
{
	struct isa_dma *d = impl;

	for (size_t n = 0; n < COUNT_OF(d->region); n++)
		region_detach(d->region[n]);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static const struct dev_type isa_dma_type = {
	.name = "isa-dma", .destroy = isa_dma_destroy, .reset = isa_dma_reset, .state = &isa_dma_state,
	.state_size = sizeof(struct isa_dma),
};

static const struct region_ops low_ops = { .read = low_read, .write = low_write, .width_min = 1, .width_max = 1 };
static const struct region_ops high_ops = { .read = high_read, .write = high_write, .width_min = 1, .width_max = 1 };
static const struct region_ops page_ops = { .read = page_read, .write = page_write, .width_min = 1, .width_max = 1 };

static int add_ports(struct isa_dma *d, struct vm *vm, struct err *e)
{
	const struct region r[3] = {
		{ REGION_PORT, LOW_PORTS, LOW_SIZE, "dma1", &low_ops, d, &d->lock },
		{ REGION_PORT, HIGH_PORTS, HIGH_SIZE, "dma2", &high_ops, d, &d->lock },
		{ REGION_PORT, PAGE_PORTS, PAGES, "dma pages", &page_ops, d, &d->lock },
	};
	int ret = 0;

	for (size_t n = 0; ret == 0 && n < COUNT_OF(r); n++)
		ret = region_attach(vm->regions, &r[n], &d->region[n], e);
	return ret;
}

int isa_dma_create(struct vm *vm, struct isa_dma **out, struct err *e)
{
	struct isa_dma *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for the DMA controllers");
	d->vm = vm;
	pthread_mutex_init(&d->lock, NULL);
	isa_dma_reset(d);
	ret = add_ports(d, vm, e);
	if (ret == 0)
		ret = dev_attach(vm, &isa_dma_type, NULL, d, e);
	if (ret < 0)
		isa_dma_destroy(d);
	else
		*out = d;
	return ret;
}
