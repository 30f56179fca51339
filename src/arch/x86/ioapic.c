/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/ioapic.h"

#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { OFF_SELECT = 0x00, OFF_WINDOW = 0x10, OFF_EOI = 0x40, IOAPIC_WINDOW = 0x1000 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_ENTRY = 0x10 };
enum { VERSION = 0x20 | (IOAPIC_PINS - 1) << 16 };

#define RTE_LOGICAL (UINT64_C(1) << 11)
#define RTE_REMOTE_IRR (UINT64_C(1) << 14)
#define RTE_LEVEL (UINT64_C(1) << 15)
#define RTE_MASKED (UINT64_C(1) << 16)
#define RTE_WRITABLE (UINT64_C(0xff000000000000) << 8 | 0x1afff)

struct ioapic {
	struct ioapic_config cfg;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below; held while a message is sent, local APICs take no lock for one */
	uint8_t id;
	uint8_t select;
	uint32_t lines; /* levels at the pins */
	uint64_t entry[IOAPIC_PINS];
};

/* An entry holds what an MSI holds: destination, mode, vector, trigger. */
static void deliver(struct ioapic *io, unsigned n)
{
	uint64_t rte = io->entry[n];
	uint64_t addr = 0xfee00000 | (rte >> 56) << 12 | (rte & RTE_LOGICAL ? 1 << 2 : 0);
	uint32_t data = (rte & 0x7ff) | (rte & RTE_LEVEL ? 1 << 15 | 1 << 14 : 0);
	if (rte & RTE_LEVEL)
		io->entry[n] |= RTE_REMOTE_IRR;
	msi_send(&io->cfg.msi, addr, data);
}

/* A level pin that is up, open and not being served sends. */
static void service_level(struct ioapic *io, unsigned n)
{
	uint64_t rte = io->entry[n];
	if ((rte & RTE_LEVEL) && (io->lines & (1u << n)) && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)))
		deliver(io, n);
}

static void pin_set(void *opaque, int n, bool level)
{
	struct ioapic *io = opaque;
	uint32_t bit = 1u << n;
	pthread_mutex_lock(&io->lock);
	bool was = io->lines & bit;
	io->lines = level ? io->lines | bit : io->lines & ~bit;
	if (io->entry[n] & RTE_LEVEL)
		service_level(io, n);
	else if (level && !was && !(io->entry[n] & RTE_MASKED)) /* edges at a masked pin are lost: data sheet 3.2.4 */
		deliver(io, n);
	pthread_mutex_unlock(&io->lock);
}

struct irq ioapic_pin(struct ioapic *io, unsigned n)
{
	assert(n < IOAPIC_PINS);
	return (struct irq){.set = pin_set, .opaque = io, .n = n};
}

static void eoi_locked(struct ioapic *io, uint8_t vector)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		if ((io->entry[n] & 0xff) != vector || !(io->entry[n] & RTE_REMOTE_IRR))
			continue;
		io->entry[n] &= ~RTE_REMOTE_IRR;
		service_level(io, n);
	}
}

void ioapic_eoi(void *opaque, uint8_t vector)
{
	struct ioapic *io = opaque;
	pthread_mutex_lock(&io->lock);
	eoi_locked(io, vector);
	pthread_mutex_unlock(&io->lock);
}

static uint32_t register_read(struct ioapic *io)
{
	unsigned r = io->select;
	if (r == REG_ID || r == REG_ARBITRATION)
		return (uint32_t)io->id << 24;
	if (r == REG_VERSION)
		return VERSION;
	if (r >= REG_ENTRY && r < REG_ENTRY + 2 * IOAPIC_PINS)
		return io->entry[(r - REG_ENTRY) >> 1] >> (r & 1 ? 32 : 0);
	return 0;
}

static void entry_write(struct ioapic *io, unsigned n, bool high, uint32_t value)
{
	uint64_t old = io->entry[n];
	uint64_t new = high ? (uint32_t)old | (uint64_t)value << 32 : (old >> 32 << 32) | value;
	new &= RTE_WRITABLE;
	/* Switching to edge drops the remote IRR: the way by which drivers without an EOI register clear it. */
	if (new & RTE_LEVEL)
		new |= old & RTE_REMOTE_IRR;
	io->entry[n] = new;
	service_level(io, n);
}

static void register_write(struct ioapic *io, uint32_t value)
{
	unsigned r = io->select;
	if (r == REG_ID)
		io->id = (value >> 24) & 0xf;
	else if (r >= REG_ENTRY && r < REG_ENTRY + 2 * IOAPIC_PINS)
		entry_write(io, (r - REG_ENTRY) >> 1, r & 1, value);
}

static uint64_t mmio_read(void *opaque, uint64_t off, unsigned width)
{
	struct ioapic *io = opaque;
	if (off == OFF_SELECT)
		return io->select;
	return off == OFF_WINDOW ? register_read(io) : 0;
}

static void mmio_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct ioapic *io = opaque;
	if (off == OFF_SELECT)
		io->select = value;
	else if (off == OFF_WINDOW)
		register_write(io, value);
	else if (off == OFF_EOI)
		eoi_locked(io, value);
}

static const struct region_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .width_min = 1, .width_max = 4};

static void ioapic_reset(void *impl)
{
	struct ioapic *io = impl;
	pthread_mutex_lock(&io->lock);
	io->id = io->cfg.id;
	io->select = 0;
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		io->entry[n] = RTE_MASKED;
	pthread_mutex_unlock(&io->lock);
}

static int ioapic_after_load(void *obj, uint16_t version, struct err *e)
{
	struct ioapic *io = obj;
	io->lines &= (1u << IOAPIC_PINS) - 1;
	io->id &= 0xf;
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		io->entry[n] &= RTE_WRITABLE | RTE_REMOTE_IRR;
	return 0;
}

static const struct state_field ioapic_fields[] = {
	STATE_FIELD(struct ioapic, id, STATE_U8),
	STATE_FIELD(struct ioapic, select, STATE_U8),
	STATE_FIELD(struct ioapic, lines, STATE_U32),
	STATE_ARRAY(struct ioapic, entry, STATE_U64, IOAPIC_PINS),
	STATE_END,
};

static const struct state_desc ioapic_state = {
	.name = "ioapic", .version = 1, .fields = ioapic_fields, .after_load = ioapic_after_load,
};

static void ioapic_destroy(void *impl)
{
	struct ioapic *io = impl;
	region_detach(io->region);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

static const struct dev_type ioapic_type = {
	.name = "ioapic", .destroy = ioapic_destroy, .reset = ioapic_reset,
	.state = &ioapic_state, .state_size = sizeof(struct ioapic),
};

int ioapic_create(struct vm *vm, struct ioapic_config cfg, struct ioapic **out, struct err *e)
{
	struct ioapic *io = calloc(1, sizeof(*io));
	if (!io)
		return err_set(e, -ENOMEM, "no memory for the IOAPIC");
	io->cfg = cfg;
	pthread_mutex_init(&io->lock, NULL);
	ioapic_reset(io);
	struct region r = {.space = REGION_MEMORY, .addr = cfg.base ? cfg.base : IOAPIC_DEFAULT_BASE,
			   .size = IOAPIC_WINDOW, .name = "ioapic", .ops = &mmio_ops, .opaque = io, .lock = &io->lock};
	int rc = region_attach(vm->regions, &r, &io->region, e);
	if (!rc)
		rc = dev_attach(vm, &ioapic_type, NULL, io, e);
	if (rc) {
		ioapic_destroy(io);
		return rc;
	}
	*out = io;
	return 0;
}
