/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/lapic_priv.h"

#include "core/dev.h"
#include <errno.h>
#include <stdlib.h>

static bool match_physical(const struct lapic *l, const struct apic_msg *m)
{
	if (m->dest == UINT32_MAX)
		return true;
	/* An APIC in xAPIC mode hears only the low 8 bits of its id. */
	return lapic_x2(l) ? l->id == m->dest : m->dest < 0xff && (l->id & 0xff) == m->dest;
}

static bool match_logical(const struct lapic *l, const struct apic_msg *m)
{
	if (m->dest == UINT32_MAX)
		return true;
	uint32_t ldr = atomic_load_explicit(&l->ldr, memory_order_relaxed);
	if (lapic_x2(l))
		return m->dest >> 16 == ldr >> 16 && (m->dest & ldr & 0xffff);
	uint32_t dest = m->dest & 0xff, own = ldr >> 24;
	uint32_t model = atomic_load_explicit(&l->dfr, memory_order_relaxed) >> 28;
	if (model == 0xf) /* flat */
		return dest & own;
	if (model == 0) /* cluster */
		return dest >> 4 == own >> 4 && (dest & own & 0xf);
	return false;
}

static bool match(const struct lapic *l, const struct apic_msg *m)
{
	if (!lapic_enabled(l))
		return false;
	return m->logical ? match_logical(l, m) : match_physical(l, m);
}

/* The APIC with the lowest processor priority among those addressed; equals take turns. */
static struct lapic *arbitrate(struct apic_bus *bus, const struct apic_msg *m)
{
	unsigned start = atomic_fetch_add_explicit(&bus->turn, 1, memory_order_relaxed);
	struct lapic *best = NULL;
	uint32_t best_ppr = UINT32_MAX;
	for (unsigned n = 0; n < bus->count; n++) {
		struct lapic *l = bus->lapic[(start + n) % bus->count];
		if (!match(l, m) || !(atomic_load_explicit(&l->svr, memory_order_relaxed) & SVR_ENABLE))
			continue;
		uint32_t ppr = atomic_load_explicit(&l->ppr, memory_order_relaxed) >> 4;
		if (ppr < best_ppr) {
			best = l;
			best_ppr = ppr;
		}
	}
	return best;
}

void apic_bus_send(struct apic_bus *bus, const struct apic_msg *msg)
{
	struct apic_msg m = *msg;
	if (!m.wide && m.dest == 0xff)
		m.dest = UINT32_MAX;
	if (m.lowest) {
		struct lapic *l = arbitrate(bus, &m);
		if (l)
			lapic_accept(l, APIC_FIXED, m.vector, m.level);
		return;
	}
	for (unsigned n = 0; n < bus->count; n++)
		if (match(bus->lapic[n], &m))
			lapic_accept(bus->lapic[n], m.mode, m.vector, m.level);
}

void apic_bus_send_all(struct apic_bus *bus, struct lapic *self, const struct apic_msg *m)
{
	for (unsigned n = 0; n < bus->count; n++)
		if (bus->lapic[n] != self && lapic_enabled(bus->lapic[n]))
			lapic_accept(bus->lapic[n], m->mode, m->vector, m->level);
}

/* SDM 3A 11.11 "Message Signalled Interrupts". */
static void send_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct apic_bus *bus = opaque;
	if ((addr & 0xfff00000) != LAPIC_DEFAULT_BASE || addr >> 32) {
		log_limited(&bus->limit, LOG_WARNING,
			"guest programmed an MSI to 0x%llx, which is no local APIC; it is dropped",
			    (unsigned long long)addr);
		return;
	}
	struct apic_msg m = {
		.dest = (addr >> 12) & 0xff,
		.logical = addr & (1 << 2),
		.mode = (data >> 8) & 7,
		.vector = data & 0xff,
		.level = data & (1 << 15),
	};
	if (m.level && !(data & (1 << 14)))
		return; /* de-assertion of a level means nothing to a local APIC */
	m.lowest = m.mode == APIC_LOWEST || (m.mode == APIC_FIXED && (addr & (1 << 3)));
	apic_bus_send(bus, &m);
}

struct msi_sink apic_bus_msi(struct apic_bus *bus)
{
	return (struct msi_sink){.send = send_msi, .opaque = bus};
}

static void drive_lint(void *opaque, int n, bool level)
{
	struct apic_bus *bus = opaque;
	for (unsigned i = 0; i < bus->count; i++)
		lapic_lint(bus->lapic[i], n, level);
}

struct irq apic_bus_lint0(struct apic_bus *bus)
{
	return (struct irq){.set = drive_lint, .opaque = bus, .n = 0};
}

struct irq apic_bus_lint1(struct apic_bus *bus)
{
	return (struct irq){.set = drive_lint, .opaque = bus, .n = 1};
}

void apic_bus_on_eoi(struct apic_bus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque)
{
	bus->eoi = eoi;
	bus->eoi_opaque = opaque;
}

void apic_bus_on_extint(struct apic_bus *bus, int (*ack)(void *opaque), void *opaque)
{
	bus->extint_ack = ack;
	bus->extint_opaque = opaque;
}

uint64_t apic_bus_tsc(struct apic_bus *bus, const struct vcpu *v)
{
	if (bus->cfg.tsc_now)
		return bus->cfg.tsc_now(bus->cfg.tsc_opaque, v);
	return machine_clock_tsc(bus->vm->mclock) + atomic_load(&v->tsc_offset);
}

/* The window is one region for all: which APIC answers depends on who asks. */
static struct lapic *window_lapic(const struct apic_window *w)
{
	struct vcpu *v = vcpu_current();
	if (!v || v->vm != w->bus->vm || v->index >= w->bus->count)
		return NULL;
	struct lapic *l = w->bus->lapic[v->index];
	uint64_t base = atomic_load_explicit(&l->base, memory_order_relaxed);
	return lapic_enabled(l) && !lapic_x2(l) && (base & APIC_BASE_ADDR) == w->base ? l : NULL;
}

static uint64_t window_read(void *opaque, uint64_t off, unsigned width)
{
	struct lapic *l = window_lapic(opaque);
	return l ? lapic_mmio_read(l, off) : UINT32_MAX;
}

static void window_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct lapic *l = window_lapic(opaque);
	if (l)
		lapic_mmio_write(l, off, value);
}

/* SDM 3A 11.4.1: registers are to be accessed by aligned 32-bit loads and stores. */
static const struct region_ops window_ops = {
	.read = window_read, .write = window_write, .width_min = 4, .width_max = 4,
};

static int window_add(struct apic_bus *bus, uint64_t base, struct err *e)
{
	if (bus->windows == COUNT_OF(bus->window))
		return err_set(e, -ENOSPC, "local APICs were moved to %d addresses already; use fewer",
			APIC_EXTRA_WINDOWS);
	struct apic_window *w = &bus->window[bus->windows];
	w->bus = bus;
	w->base = base;
	struct region r = {.space = REGION_MEMORY, .addr = base, .size = LAPIC_WINDOW, .name = "lapic",
			   .ops = &window_ops, .opaque = w};
	int rc = region_attach(bus->vm->regions, &r, &w->region, e);
	if (!rc)
		bus->windows++;
	return rc;
}

int apic_bus_window(struct apic_bus *bus, uint64_t base)
{
	int rc = 0;
	pthread_mutex_lock(&bus->lock);
	unsigned n = 0;
	while (n < bus->windows && bus->window[n].base != base)
		n++;
	if (n == bus->windows)
		rc = window_add(bus, base, NULL);
	pthread_mutex_unlock(&bus->lock);
	if (rc)
		log_limited(&bus->limit, LOG_WARNING, "guest moved a local APIC to 0x%llx, where nothing can answer",
			    (unsigned long long)base);
	return rc;
}

void apic_bus_add(struct apic_bus *bus, struct lapic *l)
{
	if (bus->count <= l->vcpu->index)
		bus->count = l->vcpu->index + 1;
	bus->lapic[l->vcpu->index] = l;
}

static void bus_destroy(void *impl)
{
	struct apic_bus *bus = impl;
	for (unsigned n = 0; n < bus->windows; n++)
		region_detach(bus->window[n].region);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

static const struct dev_type bus_type = {.name = "apic-bus", .destroy = bus_destroy};

int apic_bus_create(struct vm *vm, struct apic_bus_config cfg, struct apic_bus **out, struct err *e)
{
	struct apic_bus *bus = calloc(1, sizeof(*bus));
	if (!bus)
		return err_set(e, -ENOMEM, "no memory for the APIC bus");
	bus->cfg = cfg;
	bus->vm = vm;
	if (!bus->cfg.timer_hz)
		bus->cfg.timer_hz = 1000000000;
	if (!bus->cfg.tsc_khz)
		bus->cfg.tsc_khz = host_tsc_khz();
	pthread_mutex_init(&bus->lock, NULL);
	int rc = window_add(bus, LAPIC_DEFAULT_BASE, e);
	if (!rc)
		rc = dev_attach(vm, &bus_type, NULL, bus, e);
	if (rc) {
		bus_destroy(bus);
		return rc;
	}
	*out = bus;
	return 0;
}
