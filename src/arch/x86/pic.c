/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Section names are those of Intel's 8259A data sheet. */
#include "arch/x86/pic.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { MASTER, SLAVE, CHIPS, CASCADE = 2 };

struct pic_chip {
	uint8_t lines;  /* levels at the inputs */
	uint8_t irr, isr, imr;
	uint8_t elcr;   /* 1: level-triggered */
	uint8_t base;   /* ICW2 */
	uint8_t lowest; /* the input with the lowest priority; 7 after initialisation */
	uint8_t icw;    /* the next initialisation word expected (2-4), 0: none */
	bool icw4_needed, single;
	bool auto_eoi, rotate_auto_eoi, special_mask, nested; /* nested: special fully nested mode */
	bool read_isr, poll;
};

struct pic {
	struct pic_config cfg;
	struct region_handle *region[3];
	pthread_mutex_t lock; /* guards all below; held while the output is driven */
	struct pic_chip chip[CHIPS];
	bool out;
};

/* The requested input of the highest priority among bits, or -1. */
static int first(const struct pic_chip *c, uint8_t bits)
{
	for (unsigned n = 1; n <= 8; n++) {
		unsigned input = (c->lowest + n) & 7;
		if (bits & (1u << input))
			return input;
	}
	return -1;
}

static unsigned rank(const struct pic_chip *c, int input)
{
	return input < 0 ? 8 : (input - c->lowest - 1) & 7;
}

/* The input that may interrupt now, or -1 ("Fully Nested Mode", "Special Mask Mode"). */
static int ready(const struct pic *p, unsigned n)
{
	const struct pic_chip *c = &p->chip[n];
	int input = first(c, c->irr & ~c->imr);
	uint8_t in_service = c->isr;
	if (c->special_mask)
		in_service &= ~c->imr;
	/* In special fully nested mode the master takes further requests of a slave that is being served. */
	if (c->nested && n == MASTER)
		in_service &= ~(1u << CASCADE);
	return rank(c, input) < rank(c, first(c, in_service)) ? input : -1;
}

static void input_set(struct pic_chip *c, unsigned input, bool level)
{
	uint8_t bit = 1u << input;
	if (c->elcr & bit)
		c->irr = level ? c->irr | bit : c->irr & ~bit;
	else if (level && !(c->lines & bit))
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void update(struct pic *p)
{
	bool slave = ready(p, SLAVE) >= 0;
	struct pic_chip *m = &p->chip[MASTER];
	input_set(m, CASCADE, slave);
	/* The slave's output is a level: a request that it withdrew is gone. */
	if (!slave)
		m->irr &= ~(1u << CASCADE);
	p->out = ready(p, MASTER) >= 0;
	irq_set(&p->cfg.intr, p->out);
}

static void pin_set(void *opaque, int n, bool level)
{
	struct pic *p = opaque;
	if (n == CASCADE)
		return;
	pthread_mutex_lock(&p->lock);
	input_set(&p->chip[n >> 3], n & 7, level);
	update(p);
	pthread_mutex_unlock(&p->lock);
}

struct irq pic_pin(struct pic *p, unsigned n)
{
	assert(n < 16);
	return (struct irq){.set = pin_set, .opaque = p, .n = n};
}

static void acknowledge(struct pic_chip *c, unsigned input)
{
	uint8_t bit = 1u << input;
	if (c->auto_eoi) {
		if (c->rotate_auto_eoi)
			c->lowest = input;
	} else {
		c->isr |= bit;
	}
	if (!(c->elcr & bit))
		c->irr &= ~bit;
}

/* One chip's INTA cycle: the input; 7 without an in-service bit when the request went away. */
static unsigned inta(struct pic *p, unsigned n)
{
	int input = ready(p, n);
	if (input < 0)
		return 7;
	acknowledge(&p->chip[n], input);
	return input;
}

int pic_ack(void *opaque)
{
	struct pic *p = opaque;
	pthread_mutex_lock(&p->lock);
	unsigned input = inta(p, MASTER);
	int vector = p->chip[MASTER].base + input;
	if (input == CASCADE)
		vector = p->chip[SLAVE].base + inta(p, SLAVE);
	/* The cascade input follows the slave's output; with more requests there it must be seen anew. */
	if (input == CASCADE)
		p->chip[MASTER].lines &= ~(1u << CASCADE);
	update(p);
	pthread_mutex_unlock(&p->lock);
	return vector;
}

/* ---- commands ---- */

static void icw1(struct pic_chip *c, uint8_t value)
{
	c->irr = c->lines & c->elcr;
	c->imr = c->isr = 0;
	c->lowest = 7;
	c->icw = 2;
	c->icw4_needed = value & 1;
	c->single = value & 2;
	c->auto_eoi = c->rotate_auto_eoi = c->special_mask = c->nested = false;
	c->read_isr = c->poll = false;
}

static void ocw2(struct pic_chip *c, uint8_t value)
{
	unsigned input = value & 7;
	int serving;
	switch (value >> 5) {
	case 0: c->rotate_auto_eoi = false; break;
	case 4: c->rotate_auto_eoi = true; break;
	case 1: /* non-specific EOI */
	case 5: /* ... and rotate */
		serving = first(c, c->special_mask ? c->isr & ~c->imr : c->isr);
		if (serving < 0)
			break;
		c->isr &= ~(1u << serving);
		if (value >> 5 == 5)
			c->lowest = serving;
		break;
	case 3: c->isr &= ~(1u << input); break;
	case 7:
		c->isr &= ~(1u << input);
		c->lowest = input;
		break;
	case 6: c->lowest = input; break;
	}
}

static void ocw3(struct pic_chip *c, uint8_t value)
{
	if (value & 4)
		c->poll = true;
	if (value & 2)
		c->read_isr = value & 1;
	if (value & 0x40)
		c->special_mask = value & 0x20;
}

static void command(struct pic_chip *c, uint8_t value)
{
	if (value & 0x10)
		icw1(c, value);
	else if (value & 8)
		ocw3(c, value);
	else
		ocw2(c, value);
}

static void data(struct pic_chip *c, uint8_t value)
{
	switch (c->icw) {
	case 0: c->imr = value; break;
	case 2:
		c->base = value & 0xf8;
		c->icw = c->single ? (c->icw4_needed ? 4 : 0) : 3;
		break;
	case 3: /* who hangs where is wired */
		c->icw = c->icw4_needed ? 4 : 0;
		break;
	case 4:
		c->nested = value & 0x10;
		c->auto_eoi = value & 2;
		c->icw = 0;
		break;
	}
}

/* The poll command: the next read is the acknowledge ("Poll Command"). */
static uint8_t poll_read(struct pic *p, unsigned n)
{
	struct pic_chip *c = &p->chip[n];
	c->poll = false;
	int input = ready(p, n);
	if (input < 0)
		return 0;
	acknowledge(c, input);
	if (n == MASTER && input == CASCADE)
		c->lines &= ~(1u << CASCADE);
	update(p);
	return 0x80 | input;
}

static uint64_t port_read(struct pic *p, unsigned n, uint64_t off)
{
	struct pic_chip *c = &p->chip[n];
	if (c->poll)
		return poll_read(p, n);
	if (off)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void port_write(struct pic *p, unsigned n, uint64_t off, uint8_t value)
{
	if (off)
		data(&p->chip[n], value);
	else
		command(&p->chip[n], value);
	update(p);
}

static uint64_t master_read(void *opaque, uint64_t off, unsigned width) { return port_read(opaque, MASTER, off); }
static uint64_t slave_read(void *opaque, uint64_t off, unsigned width) { return port_read(opaque, SLAVE, off); }

static void master_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	port_write(opaque, MASTER, off, value);
}

static void slave_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	port_write(opaque, SLAVE, off, value);
}

static uint64_t elcr_read(void *opaque, uint64_t off, unsigned width)
{
	struct pic *p = opaque;
	return p->chip[off].elcr;
}

static void elcr_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	static const uint8_t may_be_level[CHIPS] = {0xf8, 0xde}; /* never 0, 1, 2, 8, 13 */
	struct pic *p = opaque;
	struct pic_chip *c = &p->chip[off];
	c->elcr = value & may_be_level[off];
	c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
	update(p);
}

static const struct region_ops port_ops[3] = {
	{.read = master_read, .write = master_write, .width_min = 1, .width_max = 1},
	{.read = slave_read, .write = slave_write, .width_min = 1, .width_max = 1},
	{.read = elcr_read, .write = elcr_write, .width_min = 1, .width_max = 1},
};
static const uint16_t port_addr[3] = {0x20, 0xa0, 0x4d0};

/* ---- saved state, life ---- */

static void pic_reset(void *impl)
{
	struct pic *p = impl;
	pthread_mutex_lock(&p->lock);
	for (unsigned n = 0; n < CHIPS; n++) {
		struct pic_chip *c = &p->chip[n];
		*c = (struct pic_chip){.lines = c->lines, .lowest = 7};
	}
	update(p);
	pthread_mutex_unlock(&p->lock);
}

static int pic_after_load(void *obj, uint16_t version, struct err *e)
{
	struct pic *p = obj;
	for (unsigned n = 0; n < CHIPS; n++)
		if (p->chip[n].lowest > 7 || p->chip[n].icw == 1 || p->chip[n].icw > 4)
			return err_set(e, -EINVAL,
				"the saved interrupt controller (PIC) is in a state that none can be in");
	update(p);
	return 0;
}

#define CHIP_FIELD(n, prefix, member, kind_) \
	{ .name = prefix #member, .kind = kind_, .offset = offsetof(struct pic, chip[n].member), .count = 1 }
#define CHIP_FIELDS(n, prefix) \
	CHIP_FIELD(n, prefix, lines, STATE_U8), CHIP_FIELD(n, prefix, irr, STATE_U8), \
	CHIP_FIELD(n, prefix, isr, STATE_U8), CHIP_FIELD(n, prefix, imr, STATE_U8), \
	CHIP_FIELD(n, prefix, elcr, STATE_U8), CHIP_FIELD(n, prefix, base, STATE_U8), \
	CHIP_FIELD(n, prefix, lowest, STATE_U8), CHIP_FIELD(n, prefix, icw, STATE_U8), \
	CHIP_FIELD(n, prefix, icw4_needed, STATE_BOOL), CHIP_FIELD(n, prefix, single, STATE_BOOL), \
	CHIP_FIELD(n, prefix, auto_eoi, STATE_BOOL), CHIP_FIELD(n, prefix, rotate_auto_eoi, STATE_BOOL), \
	CHIP_FIELD(n, prefix, special_mask, STATE_BOOL), CHIP_FIELD(n, prefix, nested, STATE_BOOL), \
	CHIP_FIELD(n, prefix, read_isr, STATE_BOOL), CHIP_FIELD(n, prefix, poll, STATE_BOOL)

static const struct state_field pic_fields[] = {
	CHIP_FIELDS(MASTER, "master_"), CHIP_FIELDS(SLAVE, "slave_"), STATE_END,
};

static const struct state_desc pic_state = {
	.name = "pic", .version = 1, .fields = pic_fields, .after_load = pic_after_load,
};

static void pic_destroy(void *impl)
{
	struct pic *p = impl;
	for (unsigned n = 0; n < COUNT_OF(p->region); n++)
		region_detach(p->region[n]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct dev_type pic_type = {
	.name = "pic", .destroy = pic_destroy, .reset = pic_reset, .state = &pic_state,
	.state_size = sizeof(struct pic),
};

int pic_create(struct vm *vm, struct pic_config cfg, struct pic **out, struct err *e)
{
	struct pic *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for the PIC");
	p->cfg = cfg;
	pthread_mutex_init(&p->lock, NULL);
	pic_reset(p);
	int rc = 0;
	for (unsigned n = 0; n < COUNT_OF(p->region) && !rc; n++) {
		struct region r = {.space = REGION_PORT, .addr = port_addr[n], .size = 2, .name = "pic",
				   .ops = &port_ops[n], .opaque = p, .lock = &p->lock};
		rc = region_attach(vm->regions, &r, &p->region[n], e);
	}
	if (!rc)
		rc = dev_attach(vm, &pic_type, NULL, p, e);
	if (rc) {
		pic_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}
