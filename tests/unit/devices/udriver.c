/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "udriver.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"

#include <stdlib.h>

enum { DEVICE_TABLE = 0x1000, SEGMENT_TABLE = 0x1800, INPUT = 0x1900, CONTEXTS = 0x4000, RINGS = 0x10000 };
enum { RING = 0x400, RING_TRBS = RING / 16, EVENTS = 64, SLOT = 7 };

static void must(bool good)
{
	if (!good)
		abort();
}

static void config(struct udriver *u, unsigned off, uint32_t v)
{
	rig_out(&u->r, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	rig_out(&u->r, 0xcfc, 4, v);
}

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	struct udriver *u = opaque;

	u->messages++;
	u->last_message = data;
}

void udriver_up(struct udriver *u)
{
	struct pci_host_config hc = { .msi = { .send = message, .opaque = u } };
	struct xhci_config xc = { .slot = SLOT };

	memset(u, 0, sizeof(*u));
	rig_up(&u->r, 0);
	must(gmem_add_ram(u->r.vm->mem, 0, U_RAM, "ram", false, NULL) == 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&u->line[n]);
	must(pci_host_create(u->r.vm, &hc, &u->bus, NULL) == 0);
	xc.bus = u->bus;
	must(xhci_create(u->r.vm, &xc, &u->x, NULL) == 0);
	struct dev *d = dev_find(u->r.vm, "xhci0");
	d->type->run_state(d->impl, true);
	config(u, 0x10, (uint32_t)UREGS);
	config(u, 0x18, (uint32_t)UMSIX);
	config(u, 0x04, 6);
}

void udriver_down(struct udriver *u)
{
	rig_down(&u->r);
}

uint32_t udriver_read(struct udriver *u, uint32_t off)
{
	return (uint32_t)rig_load(&u->r, UREGS + off, 4);
}

void udriver_write(struct udriver *u, uint32_t off, uint32_t v)
{
	rig_store(&u->r, UREGS + off, 4, v);
}

void udriver_spin(struct udriver *u)
{
	for (unsigned n = 0; n < 4; n++)
		loop_once(u->r.loop, 0);
}

void udriver_bell(struct udriver *u, unsigned slot, unsigned target)
{
	udriver_write(u, U_BELLS + slot * 4, target);
	udriver_spin(u);
}

static void store(struct udriver *u, uint64_t at, const void *p, size_t size)
{
	must(gmem_write(u->r.vm->mem, at, p, size) == 0);
}

static void store_trb(struct udriver *u, uint64_t at, uint64_t parameter, uint32_t status, uint32_t control)
{
	uint8_t b[16];

	store_le64(b, parameter);
	store_le32(b + 8, status);
	store_le32(b + 12, control);
	store(u, at, b, sizeof(b));
}

void udriver_start(struct udriver *u, bool msix)
{
	uint8_t segment[16] = { 0 };

	udriver_write(u, U_OP, 2);
	udriver_spin(u);
	must(udriver_read(u, U_OP) == 0 && udriver_read(u, U_OP + 4) == 1);
	must(gmem_fill(u->r.vm->mem, 0, 0, U_RAM) == 0);
	memset(u->ring, 0, sizeof(u->ring));
	memset(u->slot_of_port, 0, sizeof(u->slot_of_port));
	for (unsigned n = 1; n < 33; n++) {
		uint64_t at = CONTEXTS + n * 0x400;

		store(u, DEVICE_TABLE + n * 8, &at, 8);
	}
	u->command_at = U_COMMANDS;
	u->event_at = U_EVENTS;
	u->command_cycle = u->event_cycle = true;
	store_le64(segment, U_EVENTS);
	store_le32(segment + 8, EVENTS);
	store(u, SEGMENT_TABLE, segment, sizeof(segment));
	udriver_write(u, U_OP + 0x38, 32);
	udriver_write(u, U_OP + 0x30, DEVICE_TABLE);
	udriver_write(u, U_OP + 0x34, 0);
	udriver_write(u, U_OP + 0x18, U_COMMANDS | 1);
	udriver_write(u, U_OP + 0x1c, 0);
	udriver_write(u, U_RT + 0x28, 1);
	udriver_write(u, U_RT + 0x38, U_EVENTS);
	udriver_write(u, U_RT + 0x3c, 0);
	udriver_write(u, U_RT + 0x30, SEGMENT_TABLE);
	udriver_write(u, U_RT + 0x34, 0);
	udriver_write(u, U_RT + 0x20, 2);
	if (msix) {
		rig_store(&u->r, UMSIX, 8, 0xfee00000);
		rig_store(&u->r, UMSIX + 8, 8, 0x41);
		config(u, 0x40, 0x80000000);
	}
	udriver_write(u, U_OP, 5);
}

bool udriver_event(struct udriver *u, struct uevent *ev)
{
	uint8_t b[16];
	uint32_t control, status;

	must(gmem_read(u->r.vm->mem, u->event_at, b, sizeof(b)) == 0);
	control = load_le32(b + 12);
	status = load_le32(b + 8);
	if ((control & 1) != u->event_cycle)
		return false;
	*ev = (struct uevent){ load_le64(b), status & 0xffffff, status >> 24, control >> 10 & 63, control >> 24,
			       control >> 16 & 31, control & 0x3fe };
	u->event_at += 16;
	if (u->event_at == U_EVENTS + EVENTS * 16) {
		u->event_at = U_EVENTS;
		u->event_cycle = !u->event_cycle;
	}
	udriver_write(u, U_RT + 0x38, u->event_at | 8);
	udriver_write(u, U_RT + 0x3c, 0);
	return true;
}

struct uevent udriver_wait(struct udriver *u)
{
	struct uevent ev = { 0 };

	for (unsigned n = 0; n < 400; n++) {
		if (!udriver_event(u, &ev))
			loop_once(u->r.loop, 5);
		else if (ev.type != 34)
			return ev;
	}
	abort();
}

unsigned udriver_command(struct udriver *u, unsigned type, uint64_t parameter, uint32_t control, unsigned *slot)
{
	uint64_t at = u->command_at;
	struct uevent ev;

	store_trb(u, at, parameter, 0, control | type << 10 | u->command_cycle);
	u->command_at += 16;
	if (u->command_at == U_COMMANDS + 15 * 16) {
		store_trb(u, u->command_at, U_COMMANDS, 0, 6 << 10 | 2 | u->command_cycle);
		u->command_at = U_COMMANDS;
		u->command_cycle = !u->command_cycle;
	}
	udriver_bell(u, 0, 0);
	do
		ev = udriver_wait(u);
	while (ev.type == 32 && ev.code == 26); /* what a stopped endpoint had under way */
	must(ev.type == 33 && ev.parameter == at);
	if (slot)
		*slot = ev.slot;
	return ev.code;
}

static uint32_t ring_at(unsigned slot, unsigned ep)
{
	return RINGS + (slot % 8 * 32 + ep) * RING;
}

uint64_t udriver_put(struct udriver *u, unsigned slot, unsigned ep, uint64_t parameter, uint32_t status,
		     uint32_t control)
{
	uint32_t base = ring_at(slot, ep), *at = &u->ring[slot][ep].at;
	uint64_t put;

	if (!*at) {
		*at = base;
		u->ring[slot][ep].cycle = true;
	}
	if (*at == base + (RING_TRBS - 1) * 16) {
		store_trb(u, *at, base, 0, 6 << 10 | 2 | (control & 16) | u->ring[slot][ep].cycle);
		*at = base;
		u->ring[slot][ep].cycle = !u->ring[slot][ep].cycle;
	}
	put = *at;
	store_trb(u, put, parameter, status, control | u->ring[slot][ep].cycle);
	*at += 16;
	return put;
}

/* ---- devices ---- */

static void input_context(struct udriver *u, uint32_t add, uint32_t dw0, unsigned port)
{
	uint8_t c[64] = { 0 };

	must(gmem_fill(u->r.vm->mem, INPUT, 0, 33 * 32) == 0);
	store_le32(c + 4, add);
	store_le32(c + 32, dw0);
	c[32 + 6] = (uint8_t)port;
	store(u, INPUT, c, sizeof(c));
}

static void input_endpoint(struct udriver *u, unsigned slot, unsigned n, unsigned type, unsigned packet)
{
	uint8_t c[32] = { 0 };

	c[4] = (uint8_t)(type << 3 | 3 << 1);
	store_le16(c + 6, (uint16_t)packet);
	store_le64(c + 8, ring_at(slot, n) | 1);
	store(u, INPUT + (n + 1) * 32, c, sizeof(c));
	u->ring[slot][n].at = 0;
}

unsigned udriver_address(struct udriver *u, unsigned port, uint32_t route)
{
	unsigned slot;

	if (!route) {
		udriver_write(u, U_PORTS + (port - 1) * 16, 1 << 9 | 1 << 4);
		udriver_spin(u);
		must((udriver_read(u, U_PORTS + (port - 1) * 16) & (1 << 21 | 3)) == (1 << 21 | 3));
		udriver_write(u, U_PORTS + (port - 1) * 16, 1 << 9 | 0x7f << 17);
	}
	must(udriver_command(u, 9, 0, 0, &slot) == 1);
	input_context(u, 3, route | 1 << 27, port);
	input_endpoint(u, slot, 1, 4, 64);
	must(udriver_command(u, 11, INPUT, slot << 24, NULL) == 1);
	u->slot_of_port[port] = slot;
	return slot;
}

unsigned udriver_control(struct udriver *u, unsigned slot, uint8_t type, uint8_t request, uint16_t value,
			 uint16_t index, uint16_t length, uint32_t *moved)
{
	uint64_t setup = type | (uint64_t)request << 8 | (uint64_t)value << 16 | (uint64_t)index << 32 |
			 (uint64_t)length << 48;
	bool in = type & 0x80;
	struct uevent ev;

	udriver_put(u, slot, 1, setup, 8, 2 << 10 | 1 << 6 | (length ? in ? 3 << 16 : 2 << 16 : 0));
	if (length)
		udriver_put(u, slot, 1, U_DATA, length, 3 << 10 | 1 << 5 | in << 16);
	udriver_put(u, slot, 1, 0, 0, 4 << 10 | 1 << 5 | (length && in ? 0 : 1 << 16));
	udriver_bell(u, slot, 1);
	ev = udriver_wait(u);
	if (moved)
		*moved = length - ev.length;
	if (length && (ev.code == 1 || ev.code == 13))
		ev = udriver_wait(u);
	must(ev.type == 32 && ev.slot == slot && ev.ep == 1);
	if (ev.code == 6) { /* stalled: begin anew behind it */
		must(udriver_command(u, 14, 0, slot << 24 | 1 << 16, NULL) == 1);
		u->ring[slot][1].at = 0;
		must(gmem_fill(u->r.vm->mem, ring_at(slot, 1), 0, RING) == 0);
		must(udriver_command(u, 16, ring_at(slot, 1) | 1, slot << 24 | 1 << 16, NULL) == 1);
	}
	return ev.code;
}

void udriver_configure(struct udriver *u, unsigned slot, uint32_t eps, uint32_t interrupt)
{
	unsigned last = 1;

	for (unsigned n = 2; n < 32; n++)
		last = eps >> n & 1 ? n : last;
	input_context(u, eps | 1, last << 27, 0);
	for (unsigned n = 2; n < 32; n++)
		if (eps >> n & 1)
			input_endpoint(u, slot, n, (interrupt >> n & 1 ? 3u : 2u) + (n & 1 ? 4 : 0), 512);
	must(udriver_command(u, 12, INPUT, slot << 24, NULL) == 1);
	must(udriver_control(u, slot, 0, 9, 1, 0, 0, NULL) == 1);
}

unsigned udriver_transfer(struct udriver *u, unsigned slot, unsigned ep, uint64_t at, uint32_t length, uint32_t *moved)
{
	struct uevent ev;

	udriver_put(u, slot, ep, at, length, 1 << 10 | 1 << 5);
	udriver_bell(u, slot, ep);
	for (unsigned n = 0; n < 40; n++) {
		if (!udriver_event(u, &ev)) {
			loop_once(u->r.loop, 1);
			continue;
		}
		if (ev.type != 32)
			continue;
		must(ev.slot == slot && ev.ep == ep);
		if (moved)
			*moved = length - ev.length;
		return ev.code;
	}
	return 0;
}

uint8_t *udriver_data(struct udriver *u)
{
	return gmem_at(u->r.vm->mem, U_DATA, 0x10000);
}
