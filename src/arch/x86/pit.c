/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing counts here: the counter and the output are computed from the time that passed since the count was
 * loaded, and a host timer exists only for the rising edges of channel 0. Modes as in Intel's 8254 data sheet.
 */
#include "arch/x86/pit.h"

#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

enum { CHANNELS = 3, PORT_COMMAND = 3 };
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { GATE2 = 1, SPEAKER = 2, REFRESH = 0x10, OUT2 = 0x20 };

/* Faster periodic interrupts than this serve no guest; edges are left out instead. */
enum { MIN_PERIOD_NS = 20000 };

struct pit_channel {
	uint32_t count; /* 1 to 65536, or to 10000 in BCD; 0 before the first load */
	uint8_t mode, access;
	bool bcd, gate;
	bool running; /* counting since start_ns; else held at held_ticks */
	int64_t start_ns;
	uint64_t held_ticks;
	uint64_t age_ns; /* saved state only: now - start_ns */
	/* bytes on their way in and out */
	uint8_t write_low;
	bool write_high_next, read_high_next;
	uint8_t latched; /* bytes of latch still to be read */
	uint16_t latch;
	bool status_latched;
	uint8_t status;
};

struct pit {
	struct pit_config cfg;
	struct region_handle *region[2];
	pthread_mutex_t lock; /* guards all below; held while irq is driven */
	struct timer timer;
	struct pit_channel ch[CHANNELS];
	uint8_t port_b;
};

static int64_t now_ns(const struct pit *p) { return clock_now(timerq_clock(p->cfg.timers)); }
static uint64_t to_ticks(int64_t ns) { return muldiv64(ns, PIT_HZ, 1000000000); }

/* Rounded up: at that time the tick has come. */
static int64_t to_ns(uint64_t ticks)
{
	return (int64_t)(((unsigned __int128)ticks * 1000000000 + PIT_HZ - 1) / PIT_HZ);
}

static bool periodic(const struct pit_channel *c) { return c->mode == 2 || c->mode == 3; }
/* Modes 1 and 5 start at the gate's rising edge and run on whatever the gate does then. */
static bool triggered(const struct pit_channel *c) { return c->mode == 1 || c->mode == 5; }

/* Ticks since the count was loaded or triggered, less those for which the gate held it. */
static uint64_t elapsed(const struct pit_channel *c, int64_t now)
{
	return c->running && now > c->start_ns ? to_ticks(now - c->start_ns) : c->held_ticks;
}

static bool output(const struct pit_channel *c, int64_t now)
{
	if (!c->count)
		return c->mode != 0;
	uint64_t t = elapsed(c, now);
	bool started = c->running || c->held_ticks;
	switch (c->mode) {
	case 0: return t >= c->count;
	case 1: return !started || t >= c->count;
	case 2: return !c->running || t % c->count != c->count - 1;
	case 3: return !c->running || t % c->count < (c->count + 1) / 2;
	default: return !started || t != c->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return (v % 10) | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | (v / 1000 % 10) << 12;
}

static uint32_t from_bcd(uint16_t v)
{
	return (v & 15) + ((v >> 4) & 15) * 10 + ((v >> 8) & 15) * 100 + (v >> 12) * 1000;
}

static uint16_t counter(const struct pit_channel *c, int64_t now)
{
	uint64_t t = elapsed(c, now);
	uint32_t wrap = c->bcd ? 10000 : 65536, v;
	if (!c->count)
		return 0;
	if (c->mode == 2)
		v = c->count - t % c->count;
	else if (c->mode == 3)
		v = c->count - (2 * t) % c->count;
	else
		v = (c->count + wrap - t % wrap) % wrap;
	return c->bcd ? to_bcd(v % wrap) : v;
}

/* The next rising edge of channel 0's output after `now`, or INT64_MAX. */
static int64_t next_edge(const struct pit_channel *c, int64_t now)
{
	if (!c->running || !c->count)
		return INT64_MAX;
	uint64_t t = elapsed(c, now);
	if (periodic(c)) {
		uint64_t at = t + (c->count > to_ticks(MIN_PERIOD_NS) ? 0 : to_ticks(MIN_PERIOD_NS));
		return c->start_ns + to_ns((at / c->count + 1) * c->count);
	}
	uint64_t edge = c->mode >= 4 ? c->count + 1 : c->count;
	return t < edge ? c->start_ns + to_ns(edge) : INT64_MAX;
}

static void rearm(struct pit *p, int64_t now)
{
	int64_t at = next_edge(&p->ch[0], now);
	if (at == INT64_MAX)
		timer_cancel(&p->timer);
	else
		timer_arm(&p->timer, at);
}

static void edge_due(void *opaque)
{
	struct pit *p = opaque;
	pthread_mutex_lock(&p->lock);
	int64_t now = now_ns(p);
	struct pit_channel *c = &p->ch[0];
	bool over = periodic(c) || elapsed(c, now) >= c->count;
	/* The guest may have loaded anew between the deadline and this callback. */
	if (c->running && c->count && over && !timer_armed(&p->timer)) {
		irq_set(&p->cfg.irq, false);
		irq_set(&p->cfg.irq, true);
	}
	if (!timer_armed(&p->timer))
		rearm(p, now);
	pthread_mutex_unlock(&p->lock);
}

static void changed(struct pit *p, unsigned n, int64_t now)
{
	if (n)
		return;
	irq_set(&p->cfg.irq, output(&p->ch[0], now));
	rearm(p, now);
}

static void load(struct pit *p, unsigned n, uint16_t raw)
{
	struct pit_channel *c = &p->ch[n];
	int64_t now = now_ns(p);
	uint32_t v = c->bcd ? from_bcd(raw) : raw;
	bool first = !c->count;
	c->count = v ? v : (c->bcd ? 10000 : 65536);
	/* A running mode 2 or 3 takes the new count at the end of its period; starting it at once differs by less than
	 * one period and is what guests that reprogram the tick expect to see. Triggered modes wait for the gate. */
	if (triggered(c)) {
		if (first)
			c->running = false;
	} else {
		c->running = c->gate;
		c->held_ticks = 0;
		c->start_ns = now;
	}
	changed(p, n, now);
}

static void set_gate(struct pit *p, unsigned n, bool gate)
{
	struct pit_channel *c = &p->ch[n];
	int64_t now = now_ns(p);
	bool rising = gate && !c->gate, falling = !gate && c->gate;
	c->gate = gate;
	if (!c->count || (!rising && !falling))
		return;
	if (triggered(c) || periodic(c)) {
		if (rising) {
			c->running = true;
			c->start_ns = now;
			c->held_ticks = 0;
		} else if (periodic(c)) {
			c->running = false;
		}
	} else if (falling) {
		c->held_ticks = elapsed(c, now);
		c->running = false;
	} else {
		c->start_ns = now - to_ns(c->held_ticks);
		c->running = true;
	}
	changed(p, n, now);
}

static void latch_count(struct pit_channel *c, int64_t now)
{
	if (c->latched)
		return; /* the first latch holds until it is read */
	c->latch = counter(c, now);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
	if (c->access == ACCESS_HIGH)
		c->latch >>= 8;
}

static void latch_status(struct pit_channel *c, int64_t now)
{
	if (c->status_latched)
		return;
	bool null_count = !c->count || c->write_high_next;
	c->status = output(c, now) << 7 | null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd;
	c->status_latched = true;
}

static void read_back(struct pit *p, uint8_t value)
{
	int64_t now = now_ns(p);
	for (unsigned n = 0; n < CHANNELS; n++) {
		if (!(value & (2u << n)))
			continue;
		if (!(value & 0x20))
			latch_count(&p->ch[n], now);
		if (!(value & 0x10))
			latch_status(&p->ch[n], now);
	}
}

static void command(struct pit *p, uint8_t value)
{
	unsigned n = value >> 6;
	if (n == 3) {
		read_back(p, value);
		return;
	}
	struct pit_channel *c = &p->ch[n];
	unsigned access = (value >> 4) & 3, mode = (value >> 1) & 7;
	if (access == ACCESS_LATCH) {
		latch_count(c, now_ns(p));
		return;
	}
	*c = (struct pit_channel){.access = access, .mode = mode > 5 ? mode - 4 : mode, .bcd = value & 1,
		.gate = c->gate};
	changed(p, n, now_ns(p));
}

static uint8_t channel_read(struct pit *p, struct pit_channel *c)
{
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched) {
		uint8_t v = c->latch;
		c->latch >>= 8;
		c->latched--;
		return v;
	}
	uint16_t v = counter(c, now_ns(p));
	if (c->access == ACCESS_LOW)
		return v;
	if (c->access == ACCESS_HIGH)
		return v >> 8;
	c->read_high_next = !c->read_high_next;
	return c->read_high_next ? v : v >> 8;
}

static void channel_write(struct pit *p, unsigned n, uint8_t value)
{
	struct pit_channel *c = &p->ch[n];
	if (c->access == ACCESS_LOW) {
		load(p, n, value);
	} else if (c->access == ACCESS_HIGH) {
		load(p, n, value << 8);
	} else if (c->write_high_next) {
		c->write_high_next = false;
		load(p, n, value << 8 | c->write_low);
	} else {
		c->write_low = value;
		c->write_high_next = true;
		/* Mode 0: the first byte stops the counting. */
		if (c->mode == 0 && c->count) {
			c->held_ticks = elapsed(c, now_ns(p));
			c->running = false;
			changed(p, n, now_ns(p));
		}
	}
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct pit *p = opaque;
	return off == PORT_COMMAND ? 0xff : channel_read(p, &p->ch[off]);
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	if (off == PORT_COMMAND)
		command(opaque, value);
	else
		channel_write(opaque, off, value);
}

/* Bit 4 changes with every refresh of dynamic memory, each 15 us: old code measures delays by it. */
static uint64_t port_b_read(void *opaque, uint64_t off, unsigned width)
{
	struct pit *p = opaque;
	int64_t now = now_ns(p);
	return (p->port_b & 0xf) | (now / 15085 & 1 ? REFRESH : 0) | (output(&p->ch[2], now) ? OUT2 : 0);
}

static void port_b_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pit *p = opaque;
	p->port_b = value & 0xf;
	set_gate(p, 2, value & GATE2);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 1};
static const struct region_ops port_b_ops = {
	.read = port_b_read, .write = port_b_write, .width_min = 1, .width_max = 1,
};

static void pit_reset(void *impl)
{
	struct pit *p = impl;
	pthread_mutex_lock(&p->lock);
	for (unsigned n = 0; n < CHANNELS; n++)
		p->ch[n] = (struct pit_channel){.mode = 3, .access = ACCESS_BOTH, .gate = n != 2};
	p->port_b = 0;
	timer_cancel(&p->timer);
	irq_set(&p->cfg.irq, false);
	pthread_mutex_unlock(&p->lock);
}

static void pit_before_save(void *obj)
{
	struct pit *p = obj;
	int64_t now = now_ns(p);
	for (unsigned n = 0; n < CHANNELS; n++)
		p->ch[n].age_ns = p->ch[n].running ? now - p->ch[n].start_ns : 0;
}

static int pit_after_load(void *obj, uint16_t version, struct err *e)
{
	struct pit *p = obj;
	int64_t now = now_ns(p);
	for (unsigned n = 0; n < CHANNELS; n++) {
		struct pit_channel *c = &p->ch[n];
		if (c->count > 65536 || c->mode > 5 || c->access > 3 || !c->access || c->latched > 2 ||
		    c->age_ns > (uint64_t)INT64_MAX / 2 || (c->bcd && c->count > 10000) ||
		    c->held_ticks > (uint64_t)INT64_MAX / 1000000)
			return err_set(e, -EINVAL, "the saved timer (PIT) holds values that no PIT can have");
		c->start_ns = now - (int64_t)c->age_ns;
	}
	p->port_b &= 0xf;
	rearm(p, now);
	return 0;
}

#define CH_FIELD(n, prefix, member, kind_) \
	{ .name = prefix #member, .kind = kind_, .offset = offsetof(struct pit, ch[n].member), .count = 1 }
#define CH_FIELDS(n, prefix) \
	CH_FIELD(n, prefix, count, STATE_U32), CH_FIELD(n, prefix, mode, STATE_U8), \
	CH_FIELD(n, prefix, access, STATE_U8), CH_FIELD(n, prefix, bcd, STATE_BOOL), \
	CH_FIELD(n, prefix, gate, STATE_BOOL), CH_FIELD(n, prefix, running, STATE_BOOL), \
	CH_FIELD(n, prefix, held_ticks, STATE_U64), CH_FIELD(n, prefix, age_ns, STATE_U64), \
	CH_FIELD(n, prefix, write_low, STATE_U8), CH_FIELD(n, prefix, write_high_next, STATE_BOOL), \
	CH_FIELD(n, prefix, read_high_next, STATE_BOOL), CH_FIELD(n, prefix, latched, STATE_U8), \
	CH_FIELD(n, prefix, latch, STATE_U16), CH_FIELD(n, prefix, status_latched, STATE_BOOL), \
	CH_FIELD(n, prefix, status, STATE_U8)

static const struct state_field pit_fields[] = {
	CH_FIELDS(0, "ch0_"), CH_FIELDS(1, "ch1_"), CH_FIELDS(2, "ch2_"),
	STATE_FIELD(struct pit, port_b, STATE_U8), STATE_END,
};

static const struct state_desc pit_state = {
	.name = "pit", .version = 1, .fields = pit_fields, .before_save = pit_before_save, .after_load = pit_after_load,
};

static void pit_destroy(void *impl)
{
	struct pit *p = impl;
	timer_cancel(&p->timer);
	region_detach(p->region[0]);
	region_detach(p->region[1]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct dev_type pit_type = {
	.name = "pit", .destroy = pit_destroy, .reset = pit_reset, .state = &pit_state,
	.state_size = sizeof(struct pit),
};

int pit_create(struct vm *vm, struct pit_config cfg, struct pit **out, struct err *e)
{
	struct pit *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for the PIT");
	p->cfg = cfg;
	pthread_mutex_init(&p->lock, NULL);
	timer_init(&p->timer, cfg.timers, edge_due, p);
	pit_reset(p);
	struct region r = {.space = REGION_PORT, .addr = 0x40, .size = 4, .name = "pit", .ops = &port_ops, .opaque = p,
			   .lock = &p->lock};
	struct region b = {.space = REGION_PORT, .addr = 0x61, .size = 1, .name = "port-b", .ops = &port_b_ops,
			   .opaque = p, .lock = &p->lock};
	int rc = region_attach(vm->regions, &r, &p->region[0], e);
	if (!rc)
		rc = region_attach(vm->regions, &b, &p->region[1], e);
	if (!rc)
		rc = dev_attach(vm, &pit_type, NULL, p, e);
	if (rc) {
		pit_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}
