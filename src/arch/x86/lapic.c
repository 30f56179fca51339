/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/lapic_priv.h"

#include "arch/x86/pvclock.h"
#include "core/dev.h"
#include "core/state.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Register offsets in the xAPIC page (SDM 3A table 11-1); the x2APIC MSR is 0x800 + (offset >> 4). */
enum {
	REG_ID = 0x20, REG_VERSION = 0x30, REG_TPR = 0x80, REG_APR = 0x90, REG_PPR = 0xa0, REG_EOI = 0xb0,
	REG_RRD = 0xc0, REG_LDR = 0xd0, REG_DFR = 0xe0, REG_SVR = 0xf0, REG_ISR = 0x100, REG_TMR = 0x180,
	REG_IRR = 0x200, REG_ESR = 0x280, REG_ICR = 0x300, REG_ICR2 = 0x310, REG_LVT = 0x320, REG_TIMER_INIT = 0x380,
	REG_TIMER_COUNT = 0x390, REG_TIMER_DIVIDE = 0x3e0, REG_SELF_IPI = 0x3f0,
};
/* Version 0x14, six LVT entries, EOI broadcast can be suppressed. */
enum { VERSION = 0x14 | (LVT_COUNT - 1) << 16 | 1 << 24 };
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_END = 0x83f };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

/* A periodic timer faster than this would occupy the host for nothing: no guest can serve it. */
enum { TIMER_MIN_PERIOD_NS = 20000 };

/* What software may write in each LVT entry. */
static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

static inline uint32_t get32(const _Atomic uint32_t *p) { return atomic_load_explicit(p, memory_order_relaxed); }
static inline void put32(_Atomic uint32_t *p, uint32_t v) { atomic_store_explicit(p, v, memory_order_relaxed); }

/* ---- vectors ---- */

static int highest(const uint64_t *bits)
{
	for (int n = 3; n >= 0; n--)
		if (bits[n])
			return n * 64 + 63 - __builtin_clzll(bits[n]);
	return -1;
}

static int highest_irr(struct lapic *l)
{
	for (int n = 3; n >= 0; n--) {
		uint64_t w = atomic_load(&l->irr[n]);
		if (w)
			return n * 64 + 63 - __builtin_clzll(w);
	}
	return -1;
}

/* The bit first, then the hint; clearing goes the other way round and looks again, so no hint is ever lost. */
static void irr_set(struct lapic *l, uint8_t vector, bool level)
{
	uint64_t bit = UINT64_C(1) << (vector & 63);
	unsigned n = vector >> 6;
	if (level)
		atomic_fetch_or(&l->tmr[n], bit);
	else
		atomic_fetch_and(&l->tmr[n], ~bit);
	if (atomic_fetch_or(&l->irr[n], bit) & bit)
		return;
	atomic_fetch_or(&l->hints, 1u << n);
	vcpu_attend(l->vcpu, VCPU_ATT_INTR);
}

static void irr_clear(struct lapic *l, uint8_t vector)
{
	unsigned n = vector >> 6;
	if (atomic_fetch_and(&l->irr[n], ~(UINT64_C(1) << (vector & 63))) & ~(UINT64_C(1) << (vector & 63)))
		return;
	atomic_fetch_and(&l->hints, ~(1u << n));
	if (atomic_load(&l->irr[n]))
		atomic_fetch_or(&l->hints, 1u << n);
}

/* PPR: the higher class of the TPR and the vector in service (SDM 3A 11.8.3.1). */
static void ppr_update(struct lapic *l)
{
	uint32_t tpr = get32(&l->tpr);
	int isrv = highest(l->isr);
	uint32_t in_service = isrv < 0 ? 0 : isrv & 0xf0;
	put32(&l->ppr, (tpr & 0xf0) >= in_service ? tpr : in_service);
}

static void error_raise(struct lapic *l, uint32_t bit)
{
	if (atomic_fetch_or(&l->esr_pending, bit) & bit)
		return;
	uint32_t lvt = get32(&l->lvt[LVT_ERROR]);
	if (lvt & LVT_MASKED)
		return;
	/* An illegal vector here is an error of its own; it is noted and cannot be signalled. */
	if ((lvt & 0xff) < 16)
		atomic_fetch_or(&l->esr_pending, ESR_RECEIVE_VECTOR);
	else
		irr_set(l, lvt & 0xff, false);
}

void lapic_accept(struct lapic *l, uint8_t mode, uint8_t vector, bool level)
{
	switch (mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!(get32(&l->svr) & SVR_ENABLE))
			return;
		if (vector < 16)
			error_raise(l, ESR_RECEIVE_VECTOR);
		else
			irr_set(l, vector, level);
		return;
	case APIC_SMI:
		vcpu_attend(l->vcpu, VCPU_ATT_SMI);
		return;
	case APIC_NMI:
		vcpu_send_nmi(l->vcpu);
		return;
	case APIC_INIT:
		/* The registers are the vCPU's own: it resets them before it looks at them next. */
		atomic_fetch_or(&l->hints, HINT_INIT);
		vcpu_send_init(l->vcpu);
		return;
	case APIC_SIPI:
		vcpu_send_sipi(l->vcpu, vector);
		return;
	case APIC_EXTINT:
		atomic_fetch_or(&l->hints, HINT_EXTINT_MSG);
		vcpu_attend(l->vcpu, VCPU_ATT_INTR);
		return;
	}
}

/* A local source fires through its LVT entry. Lines are taken as edges in fixed mode. */
static void lvt_deliver(struct lapic *l, unsigned n)
{
	uint32_t lvt = get32(&l->lvt[n]);
	if (lvt & LVT_MASKED)
		return;
	unsigned mode = n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : (lvt >> 8) & 7;
	if (mode == APIC_EXTINT || mode == APIC_SIPI)
		return;
	lapic_accept(l, mode, lvt & 0xff, false);
}

/* With the APIC switched off, LINT0 and LINT1 are the processor's INTR and NMI pins. */
void lapic_lint(struct lapic *l, unsigned n, bool level)
{
	uint32_t bit = 1u << n;
	uint32_t before = level ? atomic_fetch_or(&l->lint_level, bit) : atomic_fetch_and(&l->lint_level, ~bit);
	if (n == 0) {
		if (!level) {
			atomic_fetch_and(&l->hints, ~HINT_LINT0);
			return;
		}
		atomic_fetch_or(&l->hints, HINT_LINT0);
	}
	if (!level || (before & bit))
		return;
	bool extint = n == 0 && (!lapic_enabled(l) || (get32(&l->lvt[LVT_LINT0]) & (LVT_MASKED | 0x700)) == 0x700);
	if (extint)
		vcpu_attend(l->vcpu, VCPU_ATT_INTR);
	else if (lapic_enabled(l))
		lvt_deliver(l, LVT_LINT0 + n);
	else
		vcpu_send_nmi(l->vcpu);
}

/* ---- timer; all under l->lock ---- */

static unsigned timer_mode(const struct lapic *l)
{
	unsigned mode = (get32(&l->lvt[LVT_TIMER]) >> 17) & 3;
	return mode > TIMER_DEADLINE ? TIMER_ONE_SHOT : mode;
}

/* Divide configuration (SDM 3A figure 11-10): bits 3, 1, 0; 7 divides by 1. */
static unsigned timer_divisor(const struct lapic *l)
{
	unsigned d = (l->timer_divide & 3) | ((l->timer_divide >> 1) & 4);
	return d == 7 ? 1 : 2u << d;
}

static int64_t timer_now(const struct lapic *l)
{
	return clock_now(timerq_clock(l->bus->cfg.timers));
}

static int64_t timer_ns(const struct lapic *l, uint64_t ticks)
{
	return (int64_t)muldiv64(ticks * timer_divisor(l), 1000000000, l->bus->cfg.timer_hz);
}

static int64_t timer_period(const struct lapic *l)
{
	int64_t ns = timer_ns(l, l->timer_init);
	return ns < TIMER_MIN_PERIOD_NS ? TIMER_MIN_PERIOD_NS : ns;
}

/* A periodic count that ran out is moved on to the end of the period that now lies in. */
static void timer_catch_up(struct lapic *l, int64_t now)
{
	if (!l->timer_counting || l->timer_expire_ns > now)
		return;
	if (timer_mode(l) == TIMER_PERIODIC) {
		int64_t period = timer_period(l);
		l->timer_expire_ns += ((now - l->timer_expire_ns) / period + 1) * period;
	} else {
		l->timer_counting = false;
	}
}

static uint32_t timer_count(struct lapic *l)
{
	int64_t now = timer_now(l);
	timer_catch_up(l, now);
	if (!l->timer_counting)
		return 0;
	uint64_t per_tick = (uint64_t)timer_divisor(l) * 1000000000;
	unsigned __int128 left = (unsigned __int128)(l->timer_expire_ns - now) * l->bus->cfg.timer_hz;
	uint64_t ticks = (left + per_tick - 1) / per_tick;
	return ticks > l->timer_init ? l->timer_init : ticks;
}

static int64_t deadline_ns(const struct lapic *l, int64_t now)
{
	uint64_t tsc = apic_bus_tsc(l->bus, l->vcpu);
	if (l->tsc_deadline <= tsc)
		return now;
	uint64_t left = l->tsc_deadline - tsc;
	/* Rounded up, so that the TSC has reached the deadline when the timer fires; far ones are looked at again. */
	uint64_t cap = (uint64_t)l->bus->cfg.tsc_khz * 1000 * 3600;
	return now + 1 + (int64_t)muldiv64(left < cap ? left : cap, 1000000, l->bus->cfg.tsc_khz);
}

/* Sets the host timer to what the registers say. A masked timer needs none: its count is computed when read. */
static void timer_rearm(struct lapic *l)
{
	int64_t now = timer_now(l);
	bool masked = get32(&l->lvt[LVT_TIMER]) & LVT_MASKED;
	if (timer_mode(l) == TIMER_DEADLINE) {
		if (l->tsc_deadline && !masked)
			timer_arm(&l->timer, deadline_ns(l, now));
		else
			timer_cancel(&l->timer);
		return;
	}
	if (masked)
		timer_catch_up(l, now);
	if (l->timer_counting && !masked)
		timer_arm(&l->timer, l->timer_expire_ns);
	else
		timer_cancel(&l->timer);
}

static void timer_start(struct lapic *l, uint32_t init)
{
	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	l->timer_init = init;
	l->timer_counting = init != 0;
	int64_t span = timer_mode(l) == TIMER_PERIODIC ? timer_period(l) : timer_ns(l, init);
	l->timer_expire_ns = timer_now(l) + span;
	timer_rearm(l);
}

static void timer_fired(void *opaque)
{
	struct lapic *l = opaque;
	bool fire = false;
	pthread_mutex_lock(&l->lock);
	int64_t now = timer_now(l);
	if (timer_mode(l) == TIMER_DEADLINE) {
		fire = l->tsc_deadline && apic_bus_tsc(l->bus, l->vcpu) >= l->tsc_deadline;
		if (fire)
			l->tsc_deadline = 0;
	} else {
		fire = l->timer_counting && l->timer_expire_ns <= now;
		timer_catch_up(l, now);
	}
	timer_rearm(l);
	/* An INIT that waits to be applied has stopped the timer already, as far as the guest can tell. */
	if (fire && lapic_enabled(l) && !(atomic_load(&l->hints) & HINT_INIT))
		lvt_deliver(l, LVT_TIMER);
	pthread_mutex_unlock(&l->lock);
}

static void timer_lvt_write(struct lapic *l, uint32_t value)
{
	unsigned before = timer_mode(l);
	int64_t now = timer_now(l);
	timer_catch_up(l, now);
	put32(&l->lvt[LVT_TIMER], value);
	unsigned after = timer_mode(l);
	/* SDM 3A 11.5.4.1: a change between TSC-deadline and the others disarms. */
	if (before != after && (before == TIMER_DEADLINE || after == TIMER_DEADLINE)) {
		l->tsc_deadline = 0;
		l->timer_counting = false;
		l->timer_init = 0;
	}
	timer_rearm(l);
}

static void timer_divide_write(struct lapic *l, uint32_t value)
{
	uint32_t left = timer_count(l);
	l->timer_divide = value & 0xb;
	if (l->timer_counting)
		l->timer_expire_ns = timer_now(l) + timer_ns(l, left);
	timer_rearm(l);
}

/* ---- reset ---- */

/* What RESET and INIT both do; INIT leaves the APIC id and the base alone (SDM 3A 11.4.7.3). */
static void registers_reset(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	l->timer_init = l->timer_divide = 0;
	l->timer_counting = false;
	l->tsc_deadline = 0;
	timer_cancel(&l->timer);
	for (unsigned n = 0; n < LVT_COUNT; n++)
		put32(&l->lvt[n], LVT_MASKED);
	pthread_mutex_unlock(&l->lock);
	put32(&l->svr, 0xff);
	put32(&l->dfr, UINT32_MAX);
	put32(&l->ldr, lapic_x2(l) ? (l->id >> 4) << 16 | 1u << (l->id & 15) : 0);
	put32(&l->tpr, 0);
	put32(&l->ppr, 0);
	l->icr = 0;
	l->esr = 0;
	atomic_store(&l->esr_pending, 0);
	for (unsigned n = 0; n < 4; n++) {
		l->isr[n] = 0;
		atomic_store(&l->irr[n], 0);
		atomic_store(&l->tmr[n], 0);
	}
	atomic_fetch_and(&l->hints, ~(HINT_IRR | HINT_EXTINT_MSG | HINT_INIT));
}

static void lapic_reset(void *impl)
{
	struct lapic *l = impl;
	atomic_store(&l->base, LAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | (l->vcpu->index ? 0 : APIC_BASE_BSP));
	registers_reset(l);
	if (l->cfg.virtual_wire)
		put32(&l->lvt[LVT_LINT0], APIC_EXTINT << 8);
}

/* Every entry on the vCPU's thread comes through here. */
static inline void apply_init(struct lapic *l)
{
	if (unlikely(atomic_load_explicit(&l->hints, memory_order_acquire) & HINT_INIT))
		registers_reset(l);
}

/* ---- what the processor asks ---- */

static bool extint_ready(struct lapic *l, uint32_t hints)
{
	if (hints & HINT_EXTINT_MSG)
		return true;
	if (!(hints & HINT_LINT0))
		return false;
	return !lapic_enabled(l) || (get32(&l->lvt[LVT_LINT0]) & (LVT_MASKED | 0x700)) == 0x700;
}

/* The vector that may be delivered now, or -1. */
static int ready_vector(struct lapic *l)
{
	if (!lapic_enabled(l))
		return -1;
	int vector = highest_irr(l);
	return vector >= 16 && (uint32_t)(vector & 0xf0) > (get32(&l->ppr) & 0xf0) ? vector : -1;
}

static bool pending_slow(struct lapic *l, uint32_t hints)
{
	if (hints & HINT_INIT) {
		registers_reset(l);
		hints = atomic_load(&l->hints);
	}
	return extint_ready(l, hints) || ((hints & HINT_IRR) && ready_vector(l) >= 0);
}

static bool chip_intr_pending(void *opaque)
{
	struct lapic *l = opaque;
	uint32_t hints = atomic_load_explicit(&l->hints, memory_order_acquire);
	return unlikely(hints) && pending_slow(l, hints);
}

static int chip_intr_ack(void *opaque)
{
	struct lapic *l = opaque;
	apply_init(l);
	if (extint_ready(l, atomic_load(&l->hints))) {
		atomic_fetch_and(&l->hints, ~HINT_EXTINT_MSG);
		int vector = l->bus->extint_ack ? l->bus->extint_ack(l->bus->extint_opaque) : -1;
		/* The PIC may have more to say without its output having fallen. */
		if (extint_ready(l, atomic_load(&l->hints)))
			vcpu_attend(l->vcpu, VCPU_ATT_INTR);
		return vector;
	}
	int vector = ready_vector(l);
	if (vector < 0)
		return -1;
	irr_clear(l, vector);
	l->isr[vector >> 6] |= UINT64_C(1) << (vector & 63);
	ppr_update(l);
	return vector;
}

/* The priority fell: what waited may be deliverable now. */
static void attend_if_ready(struct lapic *l)
{
	if ((atomic_load(&l->hints) & HINT_IRR) && ready_vector(l) >= 0)
		vcpu_attend(l->vcpu, VCPU_ATT_INTR);
}

static void tpr_write(struct lapic *l, uint8_t value)
{
	put32(&l->tpr, value);
	ppr_update(l);
	attend_if_ready(l);
}

static uint8_t chip_cr8_get(void *opaque)
{
	struct lapic *l = opaque;
	apply_init(l);
	return get32(&l->tpr) >> 4;
}

static void chip_cr8_set(void *opaque, uint8_t cr8)
{
	struct lapic *l = opaque;
	apply_init(l);
	tpr_write(l, (cr8 & 0xf) << 4);
}

/* ---- registers ---- */

static void eoi_write(struct lapic *l)
{
	int vector = highest(l->isr);
	if (vector < 0)
		return;
	uint64_t bit = UINT64_C(1) << (vector & 63);
	l->isr[vector >> 6] &= ~bit;
	ppr_update(l);
	bool level = atomic_load(&l->tmr[vector >> 6]) & bit;
	if (level && l->bus->eoi && !(get32(&l->svr) & SVR_NO_EOI_BROADCAST))
		l->bus->eoi(l->bus->eoi_opaque, vector);
	attend_if_ready(l);
}

static void svr_write(struct lapic *l, uint32_t value)
{
	put32(&l->svr, value & (0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST));
	if (value & SVR_ENABLE)
		return;
	/* SDM 3A 11.4.7.2: with the APIC disabled by software all LVT entries are masked. */
	pthread_mutex_lock(&l->lock);
	for (unsigned n = 0; n < LVT_COUNT; n++)
		if (n != LVT_TIMER)
			atomic_fetch_or(&l->lvt[n], LVT_MASKED);
	timer_lvt_write(l, get32(&l->lvt[LVT_TIMER]) | LVT_MASKED);
	pthread_mutex_unlock(&l->lock);
}

static void lvt_write(struct lapic *l, unsigned n, uint32_t value)
{
	value &= lvt_writable[n];
	if (!(get32(&l->svr) & SVR_ENABLE))
		value |= LVT_MASKED;
	if (n == LVT_TIMER) {
		pthread_mutex_lock(&l->lock);
		timer_lvt_write(l, value);
		pthread_mutex_unlock(&l->lock);
		return;
	}
	put32(&l->lvt[n], value);
	if (n == LVT_LINT0 && extint_ready(l, atomic_load(&l->hints)))
		vcpu_attend(l->vcpu, VCPU_ATT_INTR);
}

static void send_ipi(struct lapic *l, uint32_t low, uint32_t dest, bool wide)
{
	struct apic_msg m = {
		.dest = dest, .wide = wide, .logical = low & (1 << 11), .mode = (low >> 8) & 7, .vector = low & 0xff,
	};
	unsigned shorthand = (low >> 18) & 3;
	bool fixed = m.mode == APIC_FIXED || m.mode == APIC_LOWEST;
	if (fixed && m.vector < 16) {
		error_raise(l, ESR_SEND_VECTOR);
		return;
	}
	if (m.mode == APIC_EXTINT || m.mode == 3)
		return;
	/* INIT level de-assert: only Pentiums knew it (SDM 3A 11.6.1). */
	if (m.mode == APIC_INIT && !(low & (1 << 14)))
		return;
	if (shorthand == 0) {
		m.lowest = m.mode == APIC_LOWEST;
		apic_bus_send(l->bus, &m);
	} else if (shorthand == 1) {
		if (fixed)
			lapic_accept(l, APIC_FIXED, m.vector, false);
	} else {
		apic_bus_send_all(l->bus, shorthand == 3 ? l : NULL, &m);
	}
}

static uint32_t vector_bank(struct lapic *l, unsigned off)
{
	unsigned n = (off & 0x70) >> 4;
	uint64_t w;
	if (off < REG_TMR)
		w = l->isr[n >> 1];
	else if (off < REG_IRR)
		w = atomic_load(&l->tmr[n >> 1]);
	else
		w = atomic_load(&l->irr[n >> 1]);
	return w >> (n & 1 ? 32 : 0);
}

static uint32_t count_read(struct lapic *l)
{
	pthread_mutex_lock(&l->lock);
	uint32_t v = timer_mode(l) == TIMER_DEADLINE ? 0 : timer_count(l);
	pthread_mutex_unlock(&l->lock);
	return v;
}

/* The registers that both modes share. False: there is none at this offset. */
static bool register_read(struct lapic *l, unsigned off, uint32_t *v)
{
	if (off >= REG_ISR && off < REG_IRR + 0x80) {
		*v = vector_bank(l, off);
		return true;
	}
	if (off >= REG_LVT && off < REG_LVT + LVT_COUNT * 16) {
		*v = get32(&l->lvt[(off - REG_LVT) >> 4]);
		return true;
	}
	switch (off) {
	case REG_VERSION: *v = VERSION; return true;
	case REG_TPR: *v = get32(&l->tpr); return true;
	case REG_PPR: *v = get32(&l->ppr); return true;
	case REG_LDR: *v = get32(&l->ldr); return true;
	case REG_SVR: *v = get32(&l->svr); return true;
	case REG_ESR: *v = l->esr; return true;
	case REG_TIMER_INIT: *v = l->timer_init; return true;
	case REG_TIMER_COUNT: *v = count_read(l); return true;
	case REG_TIMER_DIVIDE: *v = l->timer_divide; return true;
	}
	return false;
}

static bool register_write(struct lapic *l, unsigned off, uint32_t v)
{
	if (off >= REG_LVT && off < REG_LVT + LVT_COUNT * 16) {
		lvt_write(l, (off - REG_LVT) >> 4, v);
		return true;
	}
	switch (off) {
	case REG_TPR: tpr_write(l, v); return true;
	case REG_EOI: eoi_write(l); return true;
	case REG_SVR: svr_write(l, v); return true;
	/* SDM 3A 11.5.3: the write latches the errors since the last write. */
	case REG_ESR: l->esr = atomic_exchange(&l->esr_pending, 0); return true;
	case REG_TIMER_INIT:
		pthread_mutex_lock(&l->lock);
		timer_start(l, v);
		pthread_mutex_unlock(&l->lock);
		return true;
	case REG_TIMER_DIVIDE:
		pthread_mutex_lock(&l->lock);
		timer_divide_write(l, v);
		pthread_mutex_unlock(&l->lock);
		return true;
	}
	return false;
}

uint32_t lapic_mmio_read(struct lapic *l, unsigned off)
{
	uint32_t v = 0;
	apply_init(l);
	if (off & 0xf)
		return 0;
	switch (off) {
	case REG_ID: return l->id << 24;
	case REG_APR: return get32(&l->ppr) & 0xf0; /* arbitration happens at once; nothing waits for it */
	case REG_DFR: return get32(&l->dfr);
	case REG_ICR: return l->icr;
	case REG_ICR2: return l->icr >> 32;
	case REG_EOI:
	case REG_RRD: return 0;
	}
	if (!register_read(l, off, &v))
		error_raise(l, ESR_REGISTER);
	return v;
}

void lapic_mmio_write(struct lapic *l, unsigned off, uint32_t v)
{
	apply_init(l);
	if (off & 0xf)
		return;
	switch (off) {
	case REG_ID:
	case REG_VERSION:
		return;
	case REG_LDR: put32(&l->ldr, v & 0xff000000); return;
	case REG_DFR: put32(&l->dfr, v | 0x0fffffff); return;
	case REG_ICR2: l->icr = (uint32_t)l->icr | (uint64_t)(v & 0xff000000) << 32; return;
	case REG_ICR:
		l->icr = (l->icr >> 32 << 32) | (v & 0xccfff);
		send_ipi(l, v, l->icr >> 56, false);
		return;
	}
	if (!register_write(l, off, v))
		error_raise(l, ESR_REGISTER);
}

/* ---- MSRs ---- */

static int x2_read(struct lapic *l, uint32_t msr, uint64_t *value)
{
	unsigned off = (msr - MSR_X2APIC) << 4;
	uint32_t v;
	switch (off) {
	case REG_ID: *value = l->id; return 0;
	case REG_ICR: *value = l->icr; return 0;
	}
	if (!register_read(l, off, &v))
		return -ENOENT;
	*value = v;
	return 0;
}

/* Bits that must be zero in x2APIC mode, or #GP (SDM 3A 11.12.1.2 and 11.12.1.3). */
static bool x2_reserved(unsigned off, uint64_t v)
{
	if (off == REG_ICR)
		return (uint32_t)v & ~UINT32_C(0xcdfff);
	if (v >> 32)
		return true;
	if (off >= REG_LVT && off < REG_LVT + LVT_COUNT * 16)
		return v & ~(uint64_t)(lvt_writable[(off - REG_LVT) >> 4] | 0x5000); /* read-only bits may be set */
	switch (off) {
	case REG_TPR:
	case REG_SELF_IPI: return v & ~UINT64_C(0xff);
	case REG_EOI:
	case REG_ESR: return v != 0;
	case REG_SVR: return v & ~UINT64_C(0x13ff);
	case REG_TIMER_DIVIDE: return v & ~UINT64_C(0xb);
	}
	return false;
}

static int x2_write(struct lapic *l, uint32_t msr, uint64_t value)
{
	unsigned off = (msr - MSR_X2APIC) << 4;
	if (x2_reserved(off, value))
		return -EINVAL;
	switch (off) {
	case REG_ICR:
		l->icr = value & ~UINT64_C(0x1000);
		send_ipi(l, value, value >> 32, true);
		return 0;
	case REG_SELF_IPI:
		send_ipi(l, 1 << 18 | (uint32_t)value, 0, true);
		return 0;
	}
	return register_write(l, off, value) ? 0 : -ENOENT;
}

/* SDM 3A 11.12.5: which changes of mode are legal. */
static int base_write(struct lapic *l, uint64_t value)
{
	uint64_t old = atomic_load(&l->base), modes = APIC_BASE_ENABLE | APIC_BASE_X2;
	uint64_t allowed = APIC_BASE_ADDR | APIC_BASE_BSP | APIC_BASE_ENABLE | (l->bus->cfg.x2apic ? APIC_BASE_X2 : 0);
	if (value & ~allowed)
		return -EINVAL;
	uint64_t from = old & modes, to = value & modes;
	if (to == APIC_BASE_X2 || (from == modes && to == APIC_BASE_ENABLE) || (!from && to == modes))
		return -EINVAL;
	atomic_store(&l->base, value);
	if (to == APIC_BASE_ENABLE)
		apic_bus_window(l->bus, value & APIC_BASE_ADDR);
	if (from == to)
		return 0;
	if (to == modes)
		put32(&l->ldr, (l->id >> 4) << 16 | 1u << (l->id & 15));
	else if (!to || !from)
		registers_reset(l);
	vcpu_attend(l->vcpu, VCPU_ATT_INTR);
	return 0;
}

static void tsc_deadline_write(struct lapic *l, uint64_t value)
{
	pthread_mutex_lock(&l->lock);
	if (timer_mode(l) == TIMER_DEADLINE) {
		l->tsc_deadline = value;
		timer_rearm(l);
	}
	pthread_mutex_unlock(&l->lock);
}

static int chip_msr_read(void *opaque, uint32_t msr, uint64_t *value)
{
	struct lapic *l = opaque;
	apply_init(l);
	if (msr == MSR_APIC_BASE) {
		*value = atomic_load(&l->base);
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		pthread_mutex_lock(&l->lock);
		*value = l->tsc_deadline;
		pthread_mutex_unlock(&l->lock);
		return 0;
	}
	if (msr >= MSR_X2APIC && msr <= MSR_X2APIC_END)
		return lapic_x2(l) ? x2_read(l, msr, value) : -ENOENT;
	return l->cfg.pvclock ? pvclock_msr_read(l->cfg.pvclock, l->vcpu, msr, value) : -ENOENT;
}

static int chip_msr_write(void *opaque, uint32_t msr, uint64_t value)
{
	struct lapic *l = opaque;
	apply_init(l);
	if (msr == MSR_APIC_BASE)
		return base_write(l, value);
	if (msr == MSR_TSC_DEADLINE) {
		tsc_deadline_write(l, value);
		return 0;
	}
	if (msr >= MSR_X2APIC && msr <= MSR_X2APIC_END)
		return lapic_x2(l) ? x2_write(l, msr, value) : -ENOENT;
	return l->cfg.pvclock ? pvclock_msr_write(l->cfg.pvclock, l->vcpu, msr, value) : -ENOENT;
}

/* ---- saved state, life ---- */

static void before_save(void *obj)
{
	struct lapic *l = obj;
	apply_init(l);
	pthread_mutex_lock(&l->lock);
	int64_t now = timer_now(l);
	timer_catch_up(l, now);
	l->timer_left_ns = l->timer_counting ? l->timer_expire_ns - now : 0;
	pthread_mutex_unlock(&l->lock);
}

static int after_load(void *obj, uint16_t version, struct err *e)
{
	struct lapic *l = obj;
	uint64_t base = atomic_load(&l->base), modes = base & (APIC_BASE_ENABLE | APIC_BASE_X2);
	if (modes == APIC_BASE_X2 || (modes & APIC_BASE_X2 && !l->bus->cfg.x2apic))
		return err_set(e, -EINVAL, "the saved local APIC is in a mode that this machine has not");
	if (get32(&l->tpr) > 0xff || l->timer_divide & ~0xbu || l->timer_left_ns > (uint64_t)INT64_MAX / 2 ||
	    (l->isr[0] | atomic_load(&l->irr[0])) & 0xffff)
		return err_set(e, -EINVAL, "the saved local APIC holds values that no local APIC can have");
	for (unsigned n = 0; n < LVT_COUNT; n++)
		put32(&l->lvt[n], get32(&l->lvt[n]) & lvt_writable[n]);
	put32(&l->svr, get32(&l->svr) & (0xff | SVR_ENABLE | SVR_NO_EOI_BROADCAST));
	uint32_t hints = (atomic_load(&l->lint_level) & 1 ? HINT_LINT0 : 0);
	for (unsigned n = 0; n < 4; n++)
		hints |= atomic_load(&l->irr[n]) ? 1u << n : 0;
	atomic_store(&l->hints, hints);
	ppr_update(l);
	if (modes == APIC_BASE_ENABLE)
		apic_bus_window(l->bus, base & APIC_BASE_ADDR);
	pthread_mutex_lock(&l->lock);
	l->timer_expire_ns = timer_now(l) + (int64_t)l->timer_left_ns;
	timer_rearm(l);
	pthread_mutex_unlock(&l->lock);
	vcpu_attend(l->vcpu, VCPU_ATT_INTR);
	return 0;
}

static const struct state_field lapic_fields[] = {
	STATE_FIELD(struct lapic, base, STATE_U64),
	STATE_FIELD(struct lapic, tpr, STATE_U32),
	STATE_FIELD(struct lapic, ldr, STATE_U32),
	STATE_FIELD(struct lapic, dfr, STATE_U32),
	STATE_FIELD(struct lapic, svr, STATE_U32),
	STATE_ARRAY(struct lapic, lvt, STATE_U32, LVT_COUNT),
	STATE_ARRAY(struct lapic, isr, STATE_U64, 4),
	STATE_ARRAY(struct lapic, irr, STATE_U64, 4),
	STATE_ARRAY(struct lapic, tmr, STATE_U64, 4),
	STATE_FIELD(struct lapic, icr, STATE_U64),
	STATE_FIELD(struct lapic, esr, STATE_U32),
	STATE_FIELD(struct lapic, esr_pending, STATE_U32),
	STATE_FIELD(struct lapic, lint_level, STATE_U32),
	STATE_FIELD(struct lapic, timer_init, STATE_U32),
	STATE_FIELD(struct lapic, timer_divide, STATE_U32),
	STATE_FIELD(struct lapic, timer_counting, STATE_BOOL),
	STATE_FIELD(struct lapic, timer_left_ns, STATE_U64),
	STATE_FIELD(struct lapic, tsc_deadline, STATE_U64),
	STATE_END,
};

static const struct state_desc lapic_state = {
	.name = "lapic", .version = 1, .fields = lapic_fields, .before_save = before_save, .after_load = after_load,
};

/* The TSC may have been set anew while the machine stood: the deadline is looked at again. */
static void lapic_run_state(void *impl, bool running)
{
	struct lapic *l = impl;
	if (!running)
		return;
	pthread_mutex_lock(&l->lock);
	timer_rearm(l);
	pthread_mutex_unlock(&l->lock);
}

static void lapic_destroy(void *impl)
{
	struct lapic *l = impl;
	timer_cancel(&l->timer);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const struct dev_type lapic_type = {
	.name = "lapic", .destroy = lapic_destroy, .reset = lapic_reset, .run_state = lapic_run_state,
	.state = &lapic_state, .state_size = sizeof(struct lapic),
};

int lapic_create(struct vm *vm, struct lapic_config cfg, struct lapic **out, struct err *e)
{
	assert(cfg.vcpu->index == cfg.bus->count);
	struct lapic *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, -ENOMEM, "no memory for a local APIC");
	l->cfg = cfg;
	l->bus = cfg.bus;
	l->vcpu = cfg.vcpu;
	l->id = cfg.vcpu->apic_id;
	pthread_mutex_init(&l->lock, NULL);
	timer_init(&l->timer, cfg.bus->cfg.timers, timer_fired, l);
	lapic_reset(l);
	int rc = dev_attach(vm, &lapic_type, NULL, l, e);
	if (rc) {
		lapic_destroy(l);
		return rc;
	}
	l->chip = (struct vcpu_chip){
		.intr_pending = chip_intr_pending, .intr_ack = chip_intr_ack, .cr8_get = chip_cr8_get,
		.cr8_set = chip_cr8_set, .msr_read = chip_msr_read, .msr_write = chip_msr_write, .opaque = l,
	};
	cfg.vcpu->chip = &l->chip;
	apic_bus_add(cfg.bus, l);
	*out = l;
	return 0;
}
