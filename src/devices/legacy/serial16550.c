/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/serial16550.h"

#include "core/chardev.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 0x3f8, FIFO = 16, CLOCK_HZ = 1843200 };
enum { POLLED = 16 }; /* looks at the line status without a write in between, which only a waiting reader takes */
enum { R_DATA, R_IER, R_IIR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 0x10, LSR_ERRORS = 0x1e, LSR_THRE = 0x20, LSR_TEMT = 0x40,
	LSR_FIFO_ERROR = 0x80 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_RI_FELL = 4 };

struct serial16550 {
	struct serial16550_config cfg;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below; held while irq is driven and the line is called */
	struct timer timeout;
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr; /* lsr: error bits only, the rest follows from the FIFOs */
	uint16_t divisor;
	bool tx_pending;    /* the "transmitter empty" interrupt is due */
	bool rx_timed_out;  /* bytes below the trigger level have lain long enough */
	bool probing;       /* all interrupts were just enabled: drivers look whether they hold */
	bool polls;         /* the guest reads without interrupts: found out anew after a load */
	uint8_t looks;      /* at the line status since the last write */
	uint8_t rx[FIFO], tx[FIFO];
	uint8_t rx_count, tx_count; /* the first byte is at index 0 */
};

static bool fifo_on(const struct serial16550 *s) { return s->fcr & FCR_ENABLE; }
static unsigned depth(const struct serial16550 *s) { return fifo_on(s) ? FIFO : 1; }

static unsigned trigger(const struct serial16550 *s)
{
	static const uint8_t level[4] = {1, 4, 8, 14};
	return fifo_on(s) ? level[s->fcr >> 6] : 1;
}

/* The highest pending source, in the order of the data sheet's table. */
static uint8_t source(const struct serial16550 *s)
{
	if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS))
		return IIR_LINE;
	if ((s->ier & IER_RX) && s->rx_count >= trigger(s))
		return IIR_RX;
	if ((s->ier & IER_RX) && s->rx_count && s->rx_timed_out)
		return IIR_TIMEOUT;
	if ((s->ier & IER_TX) && s->tx_pending)
		return IIR_TX;
	if ((s->ier & IER_MODEM) && (s->msr & 0x0f))
		return IIR_MODEM;
	return IIR_NONE;
}

/* A PC gates the interrupt with OUT2; systems exist that forget to set it, so it is not gated here. */
static void update_irq(struct serial16550 *s)
{
	irq_set(&s->cfg.irq, source(s) != IIR_NONE);
}

/* Four characters' time without a byte moving (data sheet, "FIFO interrupt mode operation"). */
static int64_t timeout_ns(const struct serial16550 *s)
{
	unsigned bits = 1 + 5 + (s->lcr & 3) + (s->lcr & 8 ? 1 : 0) + (s->lcr & 4 ? 2 : 1);
	unsigned divisor = s->divisor ? s->divisor : 1;
	return (int64_t)muldiv64(4ull * bits * 16 * divisor, 1000000000, CLOCK_HZ);
}

static void restart_timeout(struct serial16550 *s)
{
	s->rx_timed_out = false;
	if (!fifo_on(s) || !s->rx_count) {
		timer_cancel(&s->timeout);
		return;
	}
	timer_arm(&s->timeout, clock_now(timerq_clock(s->cfg.timers)) + timeout_ns(s));
}

static void timeout_due(void *opaque)
{
	struct serial16550 *s = opaque;
	pthread_mutex_lock(&s->lock);
	if (s->rx_count && !timer_armed(&s->timeout)) {
		s->rx_timed_out = true;
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static void rx_put(struct serial16550 *s, uint8_t byte)
{
	if (s->rx_count == depth(s)) {
		s->lsr |= LSR_OE;
		if (!fifo_on(s))
			s->rx[0] = byte; /* without FIFO the new byte replaces the old */
		return;
	}
	s->rx[s->rx_count++] = byte;
	restart_timeout(s);
}

/*
 * What comes before the guest listens would be lost when its driver clears the FIFO. So the line waits for it, as one
 * with hardware flow control does: for "request to send", or for a sign as good, for guests that leave RTS alone.
 */
static bool listens(const struct serial16550 *s)
{
	return (s->mcr & MCR_RTS) || ((s->ier & IER_RX) && !s->probing) || s->polls;
}

static size_t room(const struct serial16550 *s)
{
	return (s->mcr & MCR_LOOP) || !listens(s) ? 0 : depth(s) - s->rx_count;
}

static void tell_room(struct serial16550 *s)
{
	if (s->cfg.line.room && room(s))
		s->cfg.line.room(s->cfg.line.opaque);
}

static uint8_t rx_get(struct serial16550 *s)
{
	if (!s->rx_count)
		return 0;
	uint8_t byte = s->rx[0];
	memmove(s->rx, s->rx + 1, --s->rx_count);
	restart_timeout(s);
	if (!s->rx_count)
		tell_room(s);
	return byte;
}

/* Gives the line what it takes; an emptied transmitter asks for more. */
static void tx_flush(struct serial16550 *s)
{
	if (!s->tx_count)
		return;
	size_t n = s->tx_count;
	if (s->cfg.line.write)
		n = s->cfg.line.write(s->cfg.line.opaque, s->tx, s->tx_count);
	if (n > s->tx_count)
		n = s->tx_count;
	s->tx_count -= n;
	memmove(s->tx, s->tx + n, s->tx_count);
	if (!s->tx_count)
		s->tx_pending = true;
}

static void tx_put(struct serial16550 *s, uint8_t byte)
{
	s->tx_pending = false;
	if (s->mcr & MCR_LOOP) {
		rx_put(s, byte);
		s->tx_pending = true;
		return;
	}
	if (s->tx_count == depth(s))
		return; /* written without looking at THRE: lost, as on the chip */
	s->tx[s->tx_count++] = byte;
	tx_flush(s);
}

static void modem_lines(struct serial16550 *s)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
	if (s->mcr & MCR_LOOP)
		lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
	uint8_t changed = (lines ^ s->msr) >> 4;
	/* The ring indicator counts only when it ends. */
	if (lines & MSR_RI)
		changed &= ~MSR_RI_FELL;
	s->msr = lines | (s->msr & 0x0f) | changed;
}

static void fcr_write(struct serial16550 *s, uint8_t value)
{
	bool toggled = (value ^ s->fcr) & FCR_ENABLE;
	if (!(value & FCR_ENABLE))
		value = 0;
	/* Turned on, it begins with what the receiver holds: Linux turns it on after the receiver's interrupt. */
	if ((toggled && !(value & FCR_ENABLE)) || (value & FCR_CLEAR_RX)) {
		s->rx_count = 0;
		s->lsr = 0;
	}
	if ((toggled || (value & FCR_CLEAR_TX)) && s->tx_count) {
		s->tx_count = 0;
		s->tx_pending = true;
	}
	s->fcr = value & 0xc9;
	restart_timeout(s);
	if (!s->rx_count)
		tell_room(s);
}

/* A program that reads without interrupts looks at the line status again and again; EDK II also asks for the modem's
 * status and control in between. */
static void looked(struct serial16550 *s)
{
	if (!s->polls && !s->rx_count && !s->tx_count)
		s->polls = ++s->looks == POLLED;
}

static uint8_t lsr_read(struct serial16550 *s)
{
	looked(s);
	uint8_t v = s->lsr | (s->rx_count ? LSR_DR : 0) | (s->tx_count ? 0 : LSR_THRE | LSR_TEMT);
	if (fifo_on(s) && (s->lsr & LSR_BI))
		v |= LSR_FIFO_ERROR;
	s->lsr = 0;
	return v;
}

static uint8_t iir_read(struct serial16550 *s)
{
	uint8_t v = source(s);
	if (v == IIR_TX)
		s->tx_pending = false;
	return v | (fifo_on(s) ? IIR_FIFO : 0);
}

static uint8_t register_read(struct serial16550 *s, unsigned reg)
{
	bool dlab = s->lcr & LCR_DLAB;
	uint8_t v;
	if (reg != R_IER)
		s->probing = false;
	switch (reg) {
	case R_DATA: return dlab ? s->divisor & 0xff : rx_get(s);
	case R_IER: return dlab ? s->divisor >> 8 : s->ier;
	case R_IIR: return iir_read(s);
	case R_LCR: return s->lcr;
	case R_MCR: return s->mcr;
	case R_LSR: return lsr_read(s);
	case R_MSR:
		v = s->msr;
		s->msr &= 0xf0;
		return v;
	default: return s->scr;
	}
}

static void ier_write(struct serial16550 *s, uint8_t value)
{
	/* Enabling the transmitter's interrupt while it is empty raises it. */
	if ((value & IER_TX) && !(s->ier & IER_TX) && !s->tx_count)
		s->tx_pending = true;
	s->ier = value & 0x0f;
	s->probing = s->ier == 0x0f;
}

static void register_write(struct serial16550 *s, unsigned reg, uint8_t value)
{
	bool dlab = s->lcr & LCR_DLAB;
	s->looks = 0;
	if (reg != R_IER)
		s->probing = false;
	switch (reg) {
	case R_DATA:
		if (dlab)
			s->divisor = (s->divisor & 0xff00) | value;
		else
			tx_put(s, value);
		break;
	case R_IER:
		if (dlab)
			s->divisor = (s->divisor & 0xff) | value << 8;
		else
			ier_write(s, value);
		break;
	case R_IIR: fcr_write(s, value); break;
	case R_LCR: s->lcr = value; break;
	case R_MCR:
		s->mcr = value & 0x1f;
		modem_lines(s);
		break;
	case R_SCR: s->scr = value; break;
	}
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	bool listened = listens(opaque);
	uint8_t v = register_read(opaque, off);

	if (!listened)
		tell_room(opaque);
	update_irq(opaque);
	return v;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	bool had_room = room(opaque);

	register_write(opaque, off, value);
	if (!had_room)
		tell_room(opaque);
	update_irq(opaque);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 1};

/* ---- the line ---- */

size_t serial16550_room(struct serial16550 *s)
{
	pthread_mutex_lock(&s->lock);
	size_t n = room(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t serial16550_receive(struct serial16550 *s, const uint8_t *buf, size_t len)
{
	pthread_mutex_lock(&s->lock);
	size_t n = room(s);
	if (n > len)
		n = len;
	for (size_t i = 0; i < n; i++)
		rx_put(s, buf[i]);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

void serial16550_break(struct serial16550 *s)
{
	pthread_mutex_lock(&s->lock);
	rx_put(s, 0);
	s->lsr |= LSR_BI;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

void serial16550_writable(struct serial16550 *s)
{
	pthread_mutex_lock(&s->lock);
	tx_flush(s);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static size_t chardev_line_write(void *opaque, const uint8_t *buf, size_t len)
{
	return chardev_write(opaque, buf, len);
}

static void chardev_line_room(void *opaque) { chardev_rx_ready(opaque); }

static size_t chardev_receive(void *opaque, const uint8_t *buf, size_t len)
{
	return serial16550_receive(opaque, buf, len);
}

static void chardev_writable(void *opaque) { serial16550_writable(opaque); }

/* The character device holds no lock of its own while it calls, so the port's lock is outermost. */
static void connect_chardev(struct serial16550 *s)
{
	struct chardev *c = s->cfg.chardev;
	struct chardev_client client = {.receive = chardev_receive, .writable = chardev_writable, .opaque = s};
	if (!c)
		return;
	s->cfg.line = (struct serial_line){.write = chardev_line_write, .room = chardev_line_room, .opaque = c};
	chardev_set_client(c, &client);
}

/* ---- saved state, life ---- */

static void serial_reset(void *impl)
{
	struct serial16550 *s = impl;
	pthread_mutex_lock(&s->lock);
	s->ier = s->fcr = s->lcr = s->mcr = s->lsr = s->scr = 0;
	s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	s->divisor = 12; /* 9600 */
	s->tx_pending = s->rx_timed_out = s->polls = s->probing = false;
	s->looks = 0;
	s->rx_count = s->tx_count = 0;
	timer_cancel(&s->timeout);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static int serial_after_load(void *obj, uint16_t version, struct err *e)
{
	struct serial16550 *s = obj;
	if (s->rx_count > depth(s) || s->tx_count > depth(s))
		return err_set(e, -EINVAL, "the saved serial port holds more bytes than its FIFOs can");
	s->ier &= 0x0f;
	s->fcr &= 0xc9;
	s->mcr &= 0x1f;
	s->lsr &= LSR_ERRORS;
	bool timed_out = s->rx_timed_out;
	restart_timeout(s);
	s->rx_timed_out = timed_out;
	update_irq(s);
	return 0;
}

static const struct state_field serial_fields[] = {
	STATE_FIELD(struct serial16550, ier, STATE_U8), STATE_FIELD(struct serial16550, fcr, STATE_U8),
	STATE_FIELD(struct serial16550, lcr, STATE_U8), STATE_FIELD(struct serial16550, mcr, STATE_U8),
	STATE_FIELD(struct serial16550, lsr, STATE_U8), STATE_FIELD(struct serial16550, msr, STATE_U8),
	STATE_FIELD(struct serial16550, scr, STATE_U8), STATE_FIELD(struct serial16550, divisor, STATE_U16),
	STATE_FIELD(struct serial16550, tx_pending, STATE_BOOL),
	STATE_FIELD(struct serial16550, rx_timed_out, STATE_BOOL),
	STATE_ARRAY(struct serial16550, rx, STATE_BYTES, FIFO), STATE_ARRAY(struct serial16550, tx, STATE_BYTES, FIFO),
	STATE_FIELD(struct serial16550, rx_count, STATE_U8), STATE_FIELD(struct serial16550, tx_count, STATE_U8),
	STATE_END,
};

static const struct state_desc serial_state = {
	.name = "serial16550", .version = 1, .fields = serial_fields, .after_load = serial_after_load,
};

/* What a loaded state had still to send goes out when the machine runs; it may listen where a fresh port does not. */
static void serial_run_state(void *impl, bool running)
{
	struct serial16550 *s = impl;

	if (!running)
		return;
	serial16550_writable(s);
	pthread_mutex_lock(&s->lock);
	tell_room(s);
	pthread_mutex_unlock(&s->lock);
}

static void serial_destroy(void *impl)
{
	struct serial16550 *s = impl;
	timer_cancel(&s->timeout);
	region_detach(s->region);
	if (s->cfg.chardev)
		chardev_set_client(s->cfg.chardev, &(struct chardev_client){0});
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct dev_type serial_type = {
	.name = "serial16550", .destroy = serial_destroy, .reset = serial_reset, .run_state = serial_run_state,
	.state = &serial_state, .state_size = sizeof(struct serial16550),
};

int serial16550_create(struct vm *vm, struct serial16550_config cfg, struct serial16550 **out, struct err *e)
{
	struct serial16550 *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for a serial port");
	s->cfg = cfg;
	pthread_mutex_init(&s->lock, NULL);
	timer_init(&s->timeout, cfg.timers, timeout_due, s);
	connect_chardev(s);
	serial_reset(s);
	struct region r = {.space = REGION_PORT, .addr = cfg.port ? cfg.port : DEFAULT_PORT, .size = 8,
			   .name = "serial16550", .ops = &port_ops, .opaque = s, .lock = &s->lock};
	int rc = region_attach(vm->regions, &r, &s->region, e);
	if (!rc)
		rc = dev_attach(vm, &serial_type, NULL, s, e);
	if (rc) {
		serial_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}
