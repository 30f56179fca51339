/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As in the PIT, nothing counts: the counter is computed from the machine's clock, and a host timer exists for the
 * next match only.
 */
#include "arch/x86/hpet.h"

#include "arch/x86/gsi.h"
#include "base/bytes.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

/* Registers (2.3.1 to 2.3.9), timers from 0x100 on in steps of 0x20. */
enum { R_CAPS = 0x00, R_CONFIG = 0x10, R_STATUS = 0x20, R_COUNTER = 0xf0, R_TIMER = 0x100, TIMER_STEP = 0x20,
       T_CONFIG = 0x00, T_COMPARE = 0x08, T_MESSAGE = 0x10 };
enum { CAPS_REVISION = 1, CAPS_64 = 1 << 13, CAPS_LEGACY = 1 << 15, CONFIG_ON = 1, CONFIG_LEGACY = 2 };
enum { T_LEVEL = 1 << 1, T_ENABLED = 1 << 2, T_PERIODIC = 1 << 3, T_CAN_PERIODIC = 1 << 4, T_CAN_64 = 1 << 5,
       T_SET = 1 << 6, T_32 = 1 << 8, T_ROUTE_SHIFT = 9, T_ROUTE = 0x1f, T_MESSAGES = 1 << 14, T_CAN_MESSAGE = 1 << 15,
       T_WRITABLE = T_LEVEL | T_ENABLED | T_PERIODIC | T_SET | T_32 | T_ROUTE << T_ROUTE_SHIFT | T_MESSAGES };
/* IOAPIC pins that nothing else uses. */
#define T_ROUTES UINT64_C(0x00f00000)
#define FEMTOSECONDS UINT64_C(1000000)
enum { VENDOR = 0x8086 };
/* Faster periodic interrupts than this serve no guest. */
enum { MIN_PERIOD_NS = 20000 };

struct hpet_timer {
	struct hpet *h;
	struct timer timer;
	unsigned n;
	bool driven; /* a level-triggered wire is up */
	uint64_t config, compare, period, message;
};

struct hpet {
	struct hpet_config cfg;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below; held while wires are driven */
	uint64_t config, status;
	uint64_t held;    /* the counter at start_ns, or while it stands */
	int64_t start_ns;
	struct hpet_timer t[HPET_TIMERS];
};

static int64_t now_ns(const struct hpet *h) { return clock_now(timerq_clock(h->cfg.timers)); }

static uint64_t counter(const struct hpet *h)
{
	return h->config & CONFIG_ON ? h->held + (uint64_t)(now_ns(h) - h->start_ns) / HPET_PERIOD_NS : h->held;
}

/* ---- interrupts ---- */

static bool legacy(const struct hpet_timer *t)
{
	return (t->h->config & CONFIG_LEGACY) && t->n < 2;
}

static struct irq wire_of(const struct hpet_timer *t)
{
	struct gsi *g = (struct gsi *)t->h->cfg.gsi;
	unsigned pin = t->config >> T_ROUTE_SHIFT & T_ROUTE;
	if (legacy(t))
		return gsi_isa(g, t->n ? 8 : 0);
	return T_ROUTES >> pin & 1 ? gsi_wire(g, pin) : (struct irq){0};
}

static void drive(struct hpet_timer *t, bool level)
{
	struct irq wire = wire_of(t);
	if (level != t->driven)
		irq_set(&wire, level);
	t->driven = level;
}

static void fire(struct hpet_timer *t)
{
	if (!(t->config & T_ENABLED))
		return;
	if (t->config & T_MESSAGES) {
		msi_send(&t->h->cfg.msi, t->message >> 32, (uint32_t)t->message);
	} else if (t->config & T_LEVEL) {
		t->h->status |= UINT64_C(1) << t->n;
		drive(t, true);
	} else {
		struct irq wire = wire_of(t);
		irq_pulse(&wire);
	}
}

/* ---- matches ---- */

/* Ticks until the comparator matches, at least one; UINT64_MAX: never within the machine's life. */
static uint64_t ticks_left(const struct hpet_timer *t, uint64_t now)
{
	uint64_t left = t->config & T_32 ? (uint32_t)(t->compare - now) : t->compare - now;
	if (!left)
		return t->config & T_32 ? UINT64_C(1) << 32 : UINT64_MAX;
	return left > INT64_MAX / HPET_PERIOD_NS / 2 ? UINT64_MAX : left;
}

static void rearm(struct hpet_timer *t)
{
	struct hpet *h = t->h;
	uint64_t left = ticks_left(t, counter(h));
	if (!(h->config & CONFIG_ON) || !(t->config & T_ENABLED) || left == UINT64_MAX) {
		timer_cancel(&t->timer);
		return;
	}
	int64_t wait = (int64_t)left * HPET_PERIOD_NS;
	timer_arm(&t->timer, now_ns(h) + (wait > MIN_PERIOD_NS || !(t->config & T_PERIODIC) ? wait : MIN_PERIOD_NS));
}

/* The comparator moves on past the counter: matches that were missed are left out. */
static void next_period(struct hpet_timer *t, uint64_t now)
{
	uint64_t behind = t->config & T_32 ? (uint32_t)(now - t->compare) : now - t->compare;
	if (!(t->config & T_PERIODIC) || !t->period)
		return;
	t->compare += (behind / t->period + 1) * t->period;
	if (t->config & T_32)
		t->compare = (uint32_t)t->compare;
}

static void due(void *opaque)
{
	struct hpet_timer *t = opaque;
	struct hpet *h = t->h;
	pthread_mutex_lock(&h->lock);
	/* A cancel may come too late: what the registers say now counts. */
	if ((h->config & CONFIG_ON) && !timer_armed(&t->timer)) {
		fire(t);
		next_period(t, counter(h));
		rearm(t);
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- registers ---- */

uint32_t hpet_id(bool legacy)
{
	return CAPS_REVISION | (HPET_TIMERS - 1) << 8 | CAPS_64 | (legacy ? CAPS_LEGACY : 0) | (uint32_t)VENDOR << 16;
}

static uint64_t caps(const struct hpet *h)
{
	return hpet_id(h->cfg.legacy) | (HPET_PERIOD_NS * FEMTOSECONDS) << 32;
}

static uint64_t timer_register(const struct hpet_timer *t, unsigned off)
{
	switch (off) {
	case T_CONFIG: return t->config | T_CAN_PERIODIC | T_CAN_64 | T_CAN_MESSAGE | T_ROUTES << 32;
	case T_COMPARE: return t->compare;
	case T_MESSAGE: return t->message;
	}
	return 0;
}

static uint64_t get(const struct hpet *h, unsigned off)
{
	switch (off) {
	case R_CAPS: return caps(h);
	case R_CONFIG: return h->config;
	case R_STATUS: return h->status;
	case R_COUNTER: return counter(h);
	}
	unsigned n = (off - R_TIMER) / TIMER_STEP;
	return off >= R_TIMER && n < HPET_TIMERS ? timer_register(&h->t[n], off % TIMER_STEP) : 0;
}

static void config_write(struct hpet *h, uint64_t v)
{
	uint64_t old = h->config;
	v &= CONFIG_ON | (h->cfg.legacy ? CONFIG_LEGACY : 0);
	h->held = counter(h);
	h->start_ns = now_ns(h);
	if ((old ^ v) & CONFIG_LEGACY)
		for (unsigned n = 0; n < HPET_TIMERS; n++)
			drive(&h->t[n], false);
	h->config = v;
	if ((old ^ v) & CONFIG_LEGACY)
		h->cfg.legacy(h->cfg.opaque, v & CONFIG_LEGACY);
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		rearm(&h->t[n]);
}

static void status_write(struct hpet *h, uint64_t v)
{
	h->status &= ~v;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		if (!(h->status >> n & 1))
			drive(&h->t[n], false);
}

static void timer_config_write(struct hpet_timer *t, uint64_t v)
{
	v &= T_WRITABLE;
	if (t->driven && (!(v & T_ENABLED) || !(v & T_LEVEL) || ((v ^ t->config) >> T_ROUTE_SHIFT & T_ROUTE)))
		drive(t, false);
	t->config = v;
	if (v & T_32) {
		t->compare = (uint32_t)t->compare;
		t->period = (uint32_t)t->period;
	}
}

/* 2.3.9.2.2: in periodic mode a write is the period, and with T_SET the comparator too. high: the upper half came too,
 * or does not matter. */
static void compare_write(struct hpet_timer *t, uint64_t v, bool high)
{
	bool narrow = t->config & T_32;
	if (narrow)
		v = (uint32_t)v;
	if (!(t->config & T_PERIODIC) || (t->config & T_SET))
		t->compare = v;
	if (t->config & T_PERIODIC)
		t->period = v;
	if (high || narrow)
		t->config &= ~(uint64_t)T_SET;
}

static void put(struct hpet *h, unsigned off, uint64_t v, bool high)
{
	unsigned n = (off - R_TIMER) / TIMER_STEP;
	if (off == R_CONFIG)
		config_write(h, v);
	else if (off == R_STATUS)
		status_write(h, v);
	else if (off == R_COUNTER && !(h->config & CONFIG_ON))
		h->held = v;
	if (off < R_TIMER || n >= HPET_TIMERS)
		return;
	struct hpet_timer *t = &h->t[n];
	if (off % TIMER_STEP == T_CONFIG)
		timer_config_write(t, v);
	else if (off % TIMER_STEP == T_COMPARE)
		compare_write(t, v, high);
	else if (off % TIMER_STEP == T_MESSAGE)
		t->message = v;
	rearm(t);
}

static uint64_t hpet_read(void *opaque, uint64_t off, unsigned width)
{
	uint64_t v = get(opaque, off & ~7u);
	return width == 8 ? v : (uint32_t)(v >> (off & 4) * 8);
}

static void hpet_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct hpet *h = opaque;
	unsigned at = off & ~7u, shift = (off & 4) * 8;
	uint64_t v = value, old = get(h, at);
	if (at == R_STATUS)
		old = 0;
	/* In periodic mode the other half of what is written is the period's. */
	if (at >= R_TIMER && at % TIMER_STEP == T_COMPARE && (at - R_TIMER) / TIMER_STEP < HPET_TIMERS) {
		const struct hpet_timer *t = &h->t[(at - R_TIMER) / TIMER_STEP];
		old = t->config & T_PERIODIC ? t->period : t->compare;
	}
	if (width != 8)
		v = (old & ~(UINT64_C(0xffffffff) << shift)) | (value & 0xffffffff) << shift;
	put(h, at, v, width == 8 || shift);
}

static const struct region_ops hpet_ops = {.read = hpet_read, .write = hpet_write, .width_min = 4, .width_max = 8};

/* ---- life ---- */

static void hpet_reset(void *impl)
{
	struct hpet *h = impl;
	pthread_mutex_lock(&h->lock);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		drive(&h->t[n], false);
		h->t[n].config = h->t[n].period = h->t[n].message = 0;
		h->t[n].compare = UINT64_MAX;
	}
	config_write(h, 0);
	h->held = h->status = 0;
	pthread_mutex_unlock(&h->lock);
}

static void hpet_before_save(void *obj)
{
	struct hpet *h = obj;
	h->held = counter(h);
	h->start_ns = now_ns(h);
}

static int hpet_after_load(void *obj, uint16_t version, struct err *e)
{
	struct hpet *h = obj;
	h->start_ns = now_ns(h);
	h->config &= CONFIG_ON | (h->cfg.legacy ? CONFIG_LEGACY : 0);
	h->status &= (1 << HPET_TIMERS) - 1;
	if (h->cfg.legacy)
		h->cfg.legacy(h->cfg.opaque, h->config & CONFIG_LEGACY);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		struct hpet_timer *t = &h->t[n];
		t->config &= T_WRITABLE;
		t->driven = false;
		drive(t, (h->status >> n & 1) && (t->config & T_LEVEL) && (t->config & T_ENABLED));
		rearm(t);
	}
	return 0;
}

#define TIMER_FIELDS(n) \
	STATE_FIELD(struct hpet, t[n].config, STATE_U64), STATE_FIELD(struct hpet, t[n].compare, STATE_U64), \
	STATE_FIELD(struct hpet, t[n].period, STATE_U64), STATE_FIELD(struct hpet, t[n].message, STATE_U64)

static const struct state_field hpet_fields[] = {
	STATE_FIELD(struct hpet, config, STATE_U64), STATE_FIELD(struct hpet, status, STATE_U64),
	STATE_FIELD(struct hpet, held, STATE_U64), TIMER_FIELDS(0), TIMER_FIELDS(1), TIMER_FIELDS(2), STATE_END,
};

static const struct state_desc hpet_state = {
	.name = "hpet", .version = 1, .fields = hpet_fields, .before_save = hpet_before_save,
	.after_load = hpet_after_load,
};

static void hpet_destroy(void *impl)
{
	struct hpet *h = impl;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		timer_cancel(&h->t[n].timer);
	region_detach(h->region);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const struct dev_type hpet_type = {
	.name = "hpet", .destroy = hpet_destroy, .reset = hpet_reset, .state = &hpet_state,
	.state_size = sizeof(struct hpet),
};

int hpet_create(struct vm *vm, struct hpet_config cfg, struct err *e)
{
	struct hpet *h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(e, -ENOMEM, "no memory for the HPET");
	h->cfg = cfg;
	pthread_mutex_init(&h->lock, NULL);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		h->t[n] = (struct hpet_timer){.h = h, .n = n, .compare = UINT64_MAX};
		timer_init(&h->t[n].timer, cfg.timers, due, &h->t[n]);
	}
	struct region r = {.space = REGION_MEMORY, .addr = HPET_BASE, .size = HPET_SIZE, .name = "hpet",
			   .ops = &hpet_ops, .opaque = h, .lock = &h->lock};
	int rc = region_attach(vm->regions, &r, &h->region, e);
	if (!rc)
		rc = dev_attach(vm, &hpet_type, NULL, h, e);
	if (rc)
		hpet_destroy(h);
	return rc;
}
