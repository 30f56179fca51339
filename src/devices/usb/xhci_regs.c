/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register file (chapter 5, 7.2). */
#include "devices/usb/xhci_priv.h"

#include "core/loop.h"
#include "core/region.h"

#include <string.h>

enum { R_OPERATIONAL = 0x40, R_PORTS = 0x440, R_PORTS_END = R_PORTS + XHCI_PORTS * 16, R_EXTENDED = 0x800,
       R_RUNTIME = 0x1000, R_INTR = 0x1020, R_INTR_END = R_INTR + XHCI_INTRS * 32, R_DOORBELL = 0x2000 };
enum { R_USBCMD = 0x40, R_USBSTS = 0x44, R_PAGESIZE = 0x48, R_DNCTRL = 0x54, R_CRCR = 0x58, R_CRCR_HIGH = 0x5c,
       R_DCBAAP = 0x70, R_DCBAAP_HIGH = 0x74, R_CONFIG = 0x78 };
enum { ADDRESSES_64 = 1, EVENTS_OF_ALL = 1 << 8, SEGMENTS_LOG2 = 4, MICROFRAME_NS = 125000 };
enum { CMD_WRITABLE = CMD_RUN | CMD_INTE | 1 << 3 | 1 << 10 };

/* Supported Protocol capabilities for the two kinds of ports (7.2). */
static const uint32_t extended[] = {
	0x02000402, 0x20425355 /* "USB " */, 1 | XHCI_PORTS2 << 8, 0,
	0x03000002, 0x20425355, (XHCI_PORTS2 + 1) | XHCI_PORTS3 << 8, 0,
};

static const uint32_t capability[] = {
	0x01000000 | R_OPERATIONAL, XHCI_SLOTS | XHCI_INTRS << 8 | (uint32_t)XHCI_PORTS << 24, SEGMENTS_LOG2 << 4, 0,
	ADDRESSES_64 | EVENTS_OF_ALL | R_EXTENDED >> 2 << 16, R_DOORBELL, R_RUNTIME, 0,
};

void xhci_post(struct xhci *x)
{
	if (!x->live || x->posted)
		return;
	x->posted = true;
	if (loop_post(x->vm->loop, xhci_work, x) < 0)
		x->posted = false;
}

void xhci_regs_reset(struct xhci *x)
{
	x->usbcmd = x->dnctrl = x->config = 0;
	x->usbsts = STS_HALTED;
	x->crcr = x->dcbaap = 0;
	x->reset_due = x->crcr_new = x->crcr_stop = x->starved = x->refill = false;
	memset(x->intr, 0, sizeof(x->intr));
	memset(x->bell, 0, sizeof(x->bell));
	for (unsigned n = 0; n < XHCI_INTRS; n++)
		x->intr[n].imod = 4000; /* as after power-on (5.5.2.2) */
	xhci_ports_reset(x);
	xhci_intx(x);
}

/* ---- reading ---- */

static uint32_t read_intr(const struct xhci_intr *i, unsigned off)
{
	switch (off) {
	case 0x00: return i->iman;
	case 0x04: return i->imod;
	case 0x08: return i->erstsz;
	case 0x10: return (uint32_t)i->erstba;
	case 0x14: return (uint32_t)(i->erstba >> 32);
	case 0x18: return (uint32_t)i->erdp;
	case 0x1c: return (uint32_t)(i->erdp >> 32);
	}
	return 0;
}

static uint64_t regs_read(void *opaque, uint64_t off, unsigned width)
{
	struct xhci *x = opaque;

	if (off < sizeof(capability))
		return capability[off / 4];
	if (off >= R_PORTS && off < R_PORTS_END)
		return off % 16 ? 0 : x->portsc[(off - R_PORTS) / 16];
	if (off >= R_EXTENDED && off < R_EXTENDED + sizeof(extended))
		return extended[(off - R_EXTENDED) / 4];
	if (off >= R_INTR && off < R_INTR_END)
		return read_intr(&x->intr[(off - R_INTR) / 32], (off - R_INTR) % 32);
	switch (off) {
	case R_USBCMD: return x->usbcmd;
	case R_USBSTS: return x->usbsts;
	case R_PAGESIZE: return 1; /* 4 KiB */
	case R_DNCTRL: return x->dnctrl;
	case R_CRCR: return x->crcr & CR_RUNNING;
	case R_DCBAAP: return (uint32_t)x->dcbaap;
	case R_DCBAAP_HIGH: return (uint32_t)(x->dcbaap >> 32);
	case R_CONFIG: return x->config;
	case R_RUNTIME: return (uint64_t)clock_now(x->vm->clock) / MICROFRAME_NS & 0x3fff;
	}
	return 0;
}

/* ---- writing ---- */

static void write_command(struct xhci *x, uint32_t v)
{
	if (v & CMD_RESET) {
		x->usbcmd |= CMD_RESET;
		x->usbsts |= STS_NOT_READY;
		x->reset_due = true;
		xhci_post(x);
		return;
	}
	if (v & CMD_RESTORE)
		x->usbsts |= STS_RESTORE_ERROR; /* nothing is kept while the power is off: the driver begins anew */
	x->usbcmd = v & CMD_WRITABLE;
	if (v & CMD_RUN) {
		x->usbsts &= ~(uint32_t)STS_HALTED;
		xhci_ports_tell(x);
	} else {
		x->usbsts |= STS_HALTED;
		x->crcr &= ~(uint64_t)CR_RUNNING;
	}
	xhci_intx(x);
	xhci_post(x);
}

static void write_crcr(struct xhci *x, uint32_t v, bool high)
{
	if (!(x->crcr & CR_RUNNING)) {
		x->crcr = high ? (x->crcr & UINT32_MAX) | (uint64_t)v << 32 :
				 (x->crcr & ~(uint64_t)UINT32_MAX) | (v & ~UINT32_C(0x3e));
		x->crcr_new = true;
	} else if (!high && v & (CR_STOP | CR_ABORT)) {
		x->crcr_stop = true;
		xhci_post(x);
	}
}

static uint64_t half(uint64_t old, uint32_t v, bool high)
{
	return high ? (old & UINT32_MAX) | (uint64_t)v << 32 : (old & ~(uint64_t)UINT32_MAX) | v;
}

static void write_dequeue(struct xhci *x, unsigned n, uint32_t v, bool high)
{
	struct xhci_intr *i = &x->intr[n];

	/* The busy bit is cleared by writing one, which the upper half has no part in. */
	if (high)
		i->erdp = half(i->erdp, v, true);
	else
		xhci_event_wrote_dequeue(x, n, half(i->erdp, v, false));
	xhci_ports_tell(x);
	if (x->starved) {
		x->refill = true;
		x->starved = false;
		xhci_post(x);
	}
}

static void write_intr(struct xhci *x, unsigned n, unsigned off, uint32_t v)
{
	struct xhci_intr *i = &x->intr[n];

	switch (off) {
	case 0x00:
		i->iman = (i->iman & ~v & 1) | (v & 2);
		xhci_intx(x);
		break;
	case 0x04: i->imod = v; break;
	case 0x08: i->erstsz = v & 0xffff; break;
	case 0x10: case 0x14:
		i->erstba = half(i->erstba, off == 0x10 ? v & ~UINT32_C(63) : v, off == 0x14);
		i->started = false;
		break;
	case 0x18: case 0x1c: write_dequeue(x, n, v, off == 0x1c); break;
	}
}

static void ring_bell(struct xhci *x, unsigned slot, uint32_t v)
{
	unsigned target = v & 0xff;

	if (slot > XHCI_SLOTS || target >= XHCI_EPS || (slot == 0) != (target == 0) || !(x->usbcmd & CMD_RUN))
		return;
	if (slot == 0)
		x->crcr |= CR_RUNNING;
	x->bell[slot] |= 1u << target;
	xhci_post(x);
}

static void regs_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct xhci *x = opaque;
	uint32_t v = (uint32_t)value;

	if (off >= R_DOORBELL) {
		ring_bell(x, (unsigned)(off - R_DOORBELL) / 4, v);
		return;
	}
	if (x->reset_due)
		return; /* not ready */
	if (off >= R_PORTS && off < R_PORTS_END && off % 16 == 0)
		xhci_port_write(x, (unsigned)(off - R_PORTS) / 16, v);
	if (off >= R_INTR && off < R_INTR_END)
		write_intr(x, (unsigned)(off - R_INTR) / 32, (off - R_INTR) % 32, v);
	switch (off) {
	case R_USBCMD: write_command(x, v); break;
	case R_USBSTS: x->usbsts &= ~(v & (STS_HOST_ERROR | STS_EVENT | STS_PORT | STS_RESTORE_ERROR)); break;
	case R_DNCTRL: x->dnctrl = v & 0xffff; break;
	case R_CRCR: case R_CRCR_HIGH: write_crcr(x, v, off == R_CRCR_HIGH); break;
	case R_DCBAAP: case R_DCBAAP_HIGH:
		x->dcbaap = half(x->dcbaap, off == R_DCBAAP ? v & ~UINT32_C(63) : v, off == R_DCBAAP_HIGH);
		break;
	case R_CONFIG: x->config = v & 0xff; break;
	}
}

const struct region_ops xhci_regs_ops = { .read = regs_read, .write = regs_write, .width_min = 4, .width_max = 4 };
