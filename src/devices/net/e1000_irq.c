/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Causes become the pin's level, or, on the 82574L, messages of the vectors that IVAR names. ITR and EITR keep a
 * distance between two interrupts, in units of 256 ns: the pin does not rise, the message waits, until the timer has
 * run out.
 */
#include "devices/net/e1000_priv.h"

#include "core/vm.h"

enum { ITR_UNIT_NS = 256, IVAR_VALID = 8, IVAR_STEP = 4, SOURCES = 5 };

static const uint32_t sources[SOURCES] = { ICR_RXQ0, ICR_RXQ1, ICR_TXQ0, ICR_TXQ1, ICR_OTHER };

static bool messages(struct e1000 *c)
{
	return c->msix.dev && msix_enabled(&c->msix);
}

static void rest(struct e1000 *c, unsigned vector)
{
	uint32_t units = (messages(c) ? c->reg[R_EITR0 + vector] : c->reg[R_ITR]) & 0xffff;
	struct timer *t = &c->throttle[vector];

	if (units)
		timer_arm(t, clock_now(timerq_clock(t->queue)) + (int64_t)units * ITR_UNIT_NS);
}

/* The causes of a message end with it, where EIAC says so (82574L, 10.2.4.6). */
static void auto_clear(struct e1000 *c, uint32_t cause)
{
	uint32_t bits = c->reg[R_EIAC] & cause;

	c->icr &= ~bits;
	if (!(c->reg[R_CTRL_EXT] & CTRL_EXT_IAME))
		c->reg[R_IMS] &= ~bits;
	if (c->reg[R_CTRL_EXT] & CTRL_EXT_EIAME)
		c->reg[R_IAM] &= ~cause;
}

static void message(struct e1000 *c, unsigned source)
{
	unsigned entry = c->reg[R_IVAR] >> (source * IVAR_STEP) & 15, vector = entry & 7;

	if (!(entry & IVAR_VALID) || vector >= E1000_VECTORS)
		return;
	if (timer_armed(&c->throttle[vector])) {
		c->waiting |= 1u << vector;
		return;
	}
	msix_notify(&c->msix, vector);
	auto_clear(c, sources[source]);
	rest(c, vector);
}

static void update_pin(struct e1000 *c)
{
	bool level = c->icr & c->reg[R_IMS] & ~ICR_ASSERTED;

	if (level && !c->pin && timer_armed(&c->throttle[0])) {
		c->waiting |= 1;
		return;
	}
	if (level && !c->pin)
		rest(c, 0);
	c->pin = level;
	pci_intx(&c->pci, level);
}

void e1000_update_irq(struct e1000 *c)
{
	c->icr &= ~ICR_ASSERTED;
	if (c->icr & c->reg[R_IMS])
		c->icr |= ICR_ASSERTED;
	if (!messages(c))
		update_pin(c);
}

/* The 82574L also tells which queue, and collects what belongs to none. */
static uint32_t queue_causes(uint32_t bits)
{
	if (bits & ICR_RXT0)
		bits |= ICR_RXQ0;
	if (bits & (ICR_LSC | ICR_RXO | ICR_MDAC))
		bits |= ICR_OTHER;
	return bits;
}

static void send_messages(struct e1000 *c, uint32_t bits)
{
	for (unsigned n = 0; messages(c) && n < SOURCES; n++)
		if (bits & sources[n] & c->reg[R_IMS])
			message(c, n);
	e1000_update_irq(c);
}

void e1000_cause(struct e1000 *c, uint32_t bits)
{
	if (c->model == E1000_82574L)
		bits = queue_causes(bits);
	c->icr |= bits;
	send_messages(c, bits);
}

void e1000_unmask(struct e1000 *c, uint32_t bits)
{
	bits &= ~c->reg[R_IMS];
	c->reg[R_IMS] |= bits;
	send_messages(c, bits & c->icr);
}

uint32_t e1000_icr_read(struct e1000 *c)
{
	uint32_t v = c->icr;

	if (c->model == E1000_82540EM)
		v &= 0x1ffff; /* the queues' bits are not in it */
	if (c->model == E1000_82574L && (v & ICR_ASSERTED) && (c->reg[R_CTRL_EXT] & CTRL_EXT_IAME))
		c->reg[R_IMS] &= ~c->reg[R_IAM];
	c->icr = 0;
	e1000_update_irq(c);
	return v;
}

/* ---- the distance has passed ---- */

static void passed(struct e1000 *c, unsigned vector)
{
	pthread_mutex_lock(&c->nic.lock);
	if (c->waiting & 1u << vector) {
		c->waiting &= ~(1u << vector);
		for (unsigned n = 0; messages(c) && n < SOURCES; n++)
			if ((c->reg[R_IVAR] >> (n * IVAR_STEP) & 7) == vector && c->icr & c->reg[R_IMS] & sources[n])
				message(c, n);
		e1000_update_irq(c);
	}
	pthread_mutex_unlock(&c->nic.lock);
}

static void passed0(void *opaque) { passed(opaque, 0); }
static void passed1(void *opaque) { passed(opaque, 1); }
static void passed2(void *opaque) { passed(opaque, 2); }
static void passed3(void *opaque) { passed(opaque, 3); }
static void passed4(void *opaque) { passed(opaque, 4); }

void e1000_throttle_init(struct e1000 *c, struct timerq *timers)
{
	static void (*const fn[E1000_VECTORS])(void *) = { passed0, passed1, passed2, passed3, passed4 };

	for (unsigned n = 0; n < E1000_VECTORS; n++)
		timer_init(&c->throttle[n], timers, fn[n], c);
}

void e1000_throttle_stop(struct e1000 *c)
{
	for (unsigned n = 0; n < E1000_VECTORS; n++)
		timer_cancel(&c->throttle[n]);
}
