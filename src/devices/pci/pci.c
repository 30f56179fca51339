/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/pci/pci.h"

#include "base/bytes.h"
#include "core/region.h"
#include "devices/pci/msix.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BAR_PORTS = 1, BAR_64 = 4, BAR_PREFETCH = 8 };
enum { ROM_ON = 1, ROM_MIN = 2048, ROM_MAX = 16 << 20 };
enum { HEADER_MULTI_FUNCTION = 0x80, HEADER_TYPE_MASK = 0x7f };

struct pci_bus {
	struct pci_root *root;
	struct pci_bus *parent; /* NULL: the root bus */
	struct pci_dev *bridge;
	uint8_t secondary, subordinate;
	struct pci_bus *children; /* linked by sibling */
	struct pci_bus *sibling;
	struct pci_dev *dev[PCI_DEVFNS];
};

/* --- buses --- */

int pci_root_bus_create(struct pci_bus **out, struct pci_root *root, struct err *e)
{
	struct pci_bus *bus = calloc(1, sizeof(*bus));
	if (!bus)
		return err_set(e, -ENOMEM, "no memory for a PCI bus");
	bus->root = root;
	bus->subordinate = 255;
	*out = bus;
	return 0;
}

int pci_bus_create(struct pci_bus **out, struct pci_bus *parent, struct pci_dev *bridge, struct err *e)
{
	int rc = pci_root_bus_create(out, parent->root, e);
	if (rc)
		return rc;
	struct pci_bus *bus = *out;
	bus->parent = parent;
	bus->bridge = bridge;
	bus->subordinate = 0;
	bus->sibling = parent->children;
	parent->children = bus;
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	if (!bus)
		return;
	if (bus->parent) {
		struct pci_bus **link = &bus->parent->children;
		while (*link != bus)
			link = &(*link)->sibling;
		*link = bus->sibling;
	}
	free(bus);
}

struct pci_root *pci_bus_root(const struct pci_bus *bus)
{
	return bus->root;
}

void pci_bus_number(struct pci_bus *bus, uint8_t secondary, uint8_t subordinate)
{
	bus->secondary = secondary;
	bus->subordinate = subordinate;
}

/* Bridges are few and nested at most as deep as the board built them, so the recursion is bounded by the board. */
struct pci_dev *pci_find(struct pci_bus *root, uint8_t number, uint8_t devfn)
{
	if (root->secondary == number)
		return root->dev[devfn];
	for (struct pci_bus *b = root->children; b; b = b->sibling)
		if (b->secondary && b->secondary <= number && number <= b->subordinate)
			return pci_find(b, number, devfn);
	return NULL;
}

struct pci_dev *pci_bus_dev(const struct pci_bus *bus, uint8_t devfn)
{
	return bus->dev[devfn];
}

/* PCI-to-PCI Bridge Architecture 1.2, 9.1: a pin moves on by its slot's number at each bridge. */
unsigned pci_line_of(const struct pci_bus *bus, uint8_t slot, uint8_t pin)
{
	unsigned line = pin - 1u, fixed = bus->root->fixed_slots;
	for (; bus->parent; bus = bus->parent) {
		line += slot;
		slot = bus->bridge->slot;
	}
	return (fixed && slot >= fixed ? line : line + slot) % PCI_LINES;
}

/* --- interrupt lines --- */

/* Drives or releases the line; a line is high while any function drives it. line_lock is held. */
static void intx_apply(struct pci_dev *d)
{
	struct pci_root *root = d->bus->root;
	uint8_t pin = d->config[PCI_INT_PIN];
	bool drive = d->intx_wanted && pin && !(load_le16(&d->config[PCI_COMMAND]) & PCI_COMMAND_INTX_OFF);
	if (drive == d->intx_driven)
		return;
	d->intx_driven = drive;
	unsigned line = pci_line_of(d->bus, d->slot, pin);
	if (drive ? root->line_users[line]++ == 0 : --root->line_users[line] == 0)
		irq_set(&root->line[line], drive);
}

void pci_intx(struct pci_dev *d, bool level)
{
	struct pci_root *root = d->bus->root;
	pthread_mutex_lock(&root->line_lock);
	d->intx_wanted = level;
	intx_apply(d);
	pthread_mutex_unlock(&root->line_lock);
}

static void intx_refresh(struct pci_dev *d)
{
	struct pci_root *root = d->bus->root;
	pthread_mutex_lock(&root->line_lock);
	intx_apply(d);
	pthread_mutex_unlock(&root->line_lock);
}

/* --- base address registers --- */

static uint64_t bar_mask(const struct pci_bar *bar)
{
	return ~(bar->size - 1);
}

static unsigned bar_register(unsigned n)
{
	return n == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * n;
}

/* The address that the register holds; false when the function does not decode it. */
static bool bar_wanted(const struct pci_dev *d, unsigned n, uint64_t *addr)
{
	const struct pci_bar *bar = &d->bar[n];
	unsigned at = bar_register(n);
	uint16_t command = load_le16(&d->config[PCI_COMMAND]);
	if (!bar->size || !(command & (bar->ports ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (n == PCI_ROM && !(d->config[at] & ROM_ON))
		return false;
	uint64_t v = bar->is_64 ? load_le64(&d->config[at]) : load_le32(&d->config[at]);
	*addr = v & bar_mask(bar);
	/* Zero is "not assigned", and the highest address is what remains after the guest asked for the size. */
	uint64_t top = bar->ports ? 0xffff : bar->is_64 ? UINT64_MAX : UINT32_MAX;
	return *addr && *addr <= top && top - *addr >= bar->size && *addr != (bar_mask(bar) & top);
}

static void bar_unmap(struct pci_dev *d, unsigned n)
{
	d->map[n].refused = false;
	if (!d->map[n].region)
		return;
	if (d->bar[n].moved)
		d->bar[n].moved(d->bar[n].opaque, d->map[n].addr, false);
	region_detach(d->map[n].region);
	d->map[n].region = NULL;
}

static void bar_map(struct pci_dev *d, unsigned n, uint64_t addr)
{
	const struct pci_bar *bar = &d->bar[n];
	struct region r = {.space = bar->ports ? REGION_PORT : REGION_MEMORY, .addr = addr, .size = bar->size,
			   .name = d->name, .ops = bar->ops, .opaque = bar->opaque, .lock = bar->lock};
	/* A guest that moves things about may overlap for a moment: it is tried again after the next change. */
	d->map[n].refused = region_attach(d->bus->root->regions, &r, &d->map[n].region, NULL) != 0;
	if (d->map[n].refused) {
		d->map[n].region = NULL;
		return;
	}
	d->map[n].addr = addr;
	if (bar->moved)
		bar->moved(bar->opaque, addr, true);
}

/* True when something was unmapped, so that another register's place may have become free. */
static bool bars_follow(struct pci_dev *d)
{
	bool freed = false;
	for (unsigned n = 0; n < PCI_MAPS; n++) {
		uint64_t addr = 0;
		bool wanted = bar_wanted(d, n, &addr);
		if (wanted && d->map[n].region && d->map[n].addr == addr)
			continue;
		freed |= d->map[n].region != NULL;
		bar_unmap(d, n);
		if (wanted)
			bar_map(d, n, addr);
	}
	return freed;
}

static void bars_retry(struct pci_bus *bus)
{
	for (unsigned i = 0; i < PCI_DEVFNS; i++) {
		struct pci_dev *d = bus->dev[i];
		for (unsigned n = 0; d && n < PCI_MAPS; n++)
			if (d->map[n].refused)
				bars_follow(d);
	}
	for (struct pci_bus *b = bus->children; b; b = b->sibling)
		bars_retry(b);
}

static struct pci_bus *top_bus(struct pci_bus *bus)
{
	while (bus->parent)
		bus = bus->parent;
	return bus;
}

void pci_bar_set(struct pci_dev *d, unsigned n, const struct pci_bar *bar)
{
	assert(n < PCI_BARS && is_power_of_2(bar->size) && bar->size >= (bar->ports ? 4 : 16));
	assert(!bar->is_64 || (n + 1 < PCI_BARS && !bar->ports));
	d->bar[n] = *bar;
	uint64_t flags = bar->ports ? BAR_PORTS : (bar->is_64 ? BAR_64 : 0) | (bar->prefetch ? BAR_PREFETCH : 0);
	uint8_t text[8];
	store_le64(text, flags);
	pci_config_init(d, PCI_BAR0 + 4 * n, text, bar->is_64 ? 8 : 4);
	store_le64(text, bar_mask(bar));
	memcpy(&d->write_mask[PCI_BAR0 + 4 * n], text, bar->is_64 ? 8 : 4);
}

/* --- the expansion ROM --- */

static uint64_t rom_read(void *opaque, uint64_t off, unsigned width)
{
	const struct pci_dev *d = opaque;
	uint64_t value = 0;
	for (unsigned n = 0; n < width; n++)
		value |= (uint64_t)(off + n < d->rom_size ? d->rom[off + n] : 0xff) << 8 * n;
	return value;
}

static void rom_write(void *opaque, uint64_t off, unsigned width, uint64_t value) {}

static const struct region_ops rom_ops = {.read = rom_read, .write = rom_write};

int pci_rom_set(struct pci_dev *d, const void *bytes, size_t size, struct err *e)
{
	const uint8_t *b = bytes;
	uint64_t room = ROM_MIN;
	if (size < 2 || size > ROM_MAX || b[0] != 0x55 || b[1] != 0xaa)
		return err_set(e, -EINVAL, "%s: the option ROM of %zu bytes does not begin as one", d->name, size);
	while (room < size)
		room *= 2;
	d->rom = bytes;
	d->rom_size = size;
	d->bar[PCI_ROM] = (struct pci_bar){.size = room, .ops = &rom_ops, .opaque = d};
	store_le32(&d->write_mask[PCI_ROM_ADDRESS], (uint32_t)bar_mask(&d->bar[PCI_ROM]) | ROM_ON);
	return 0;
}

/* --- setting up --- */

void pci_config_init(struct pci_dev *d, unsigned off, const void *bytes, unsigned len)
{
	assert(range_inside(off, len, PCI_CONFIG_SIZE));
	memcpy(&d->config[off], bytes, len);
	memcpy(&d->initial[off], bytes, len);
}

unsigned pci_cap_add(struct pci_dev *d, uint8_t id, unsigned len)
{
	unsigned at = d->cap_end ? d->cap_end : PCI_CAPS_START;
	assert(at + len <= PCI_CONFIG_SIZE - 4);
	uint8_t head[2] = {id, 0}, link = at;
	pci_config_init(d, at, head, 2);
	pci_config_init(d, d->cap_last ? d->cap_last + 1u : PCI_CAP_LIST, &link, 1);
	uint8_t status = d->config[PCI_STATUS] | PCI_STATUS_CAPS;
	pci_config_init(d, PCI_STATUS, &status, 1);
	d->cap_last = at;
	d->cap_end = round_up(at + len, 4);
	return at;
}

static void header_init(struct pci_dev *d, const struct pci_ident *id)
{
	uint8_t h[PCI_CAPS_START] = {0};
	store_le16(h + PCI_VENDOR_ID, id->vendor);
	store_le16(h + PCI_DEVICE_ID, id->device);
	store_le32(h + PCI_REVISION, id->class_code << 8 | id->revision);
	store_le16(h + PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
	store_le16(h + PCI_SUBSYSTEM, id->subsystem);
	h[PCI_INT_PIN] = id->int_pin;
	pci_config_init(d, 0, h, sizeof(h));
	store_le16(&d->write_mask[PCI_COMMAND],
	           PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
	d->write_mask[PCI_CACHE_LINE] = 0xff;
	d->write_mask[PCI_INT_LINE] = 0xff;
}

/* Function 0 tells whether the slot has more functions (PCI 3.0, 6.2.1). */
static void multi_function_update(struct pci_bus *bus, uint8_t slot)
{
	struct pci_dev *first = bus->dev[slot * PCI_FUNCTIONS];
	if (!first)
		return;
	uint8_t type = first->config[PCI_HEADER_TYPE] & HEADER_TYPE_MASK;
	for (unsigned f = 1; f < PCI_FUNCTIONS; f++)
		if (bus->dev[slot * PCI_FUNCTIONS + f])
			type |= HEADER_MULTI_FUNCTION;
	pci_config_init(first, PCI_HEADER_TYPE, &type, 1);
}

int pci_dev_attach(struct pci_dev *d, struct pci_bus *bus, uint8_t slot, uint8_t function, const char *name,
                   const struct pci_ident *id, struct err *e)
{
	if (slot >= PCI_SLOTS || function >= PCI_FUNCTIONS)
		return err_set(e, -EINVAL, "%s: PCI address %02x.%x does not exist; slots go to 1f, functions to 7",
			       name, slot, function);
	unsigned devfn = slot * PCI_FUNCTIONS + function;
	pthread_mutex_lock(&bus->root->lock);
	struct pci_dev *there = bus->dev[devfn];
	if (!there) {
		d->bus = bus;
		d->slot = slot;
		d->function = function;
		snprintf(d->name, sizeof(d->name), "%s", name);
		header_init(d, id);
		bus->dev[devfn] = d;
		multi_function_update(bus, slot);
	}
	pthread_mutex_unlock(&bus->root->lock);
	if (there)
		return err_set(e, -EEXIST, "%s: PCI address %02x.%x is taken by %s; choose another slot", name, slot,
			       function, there->name);
	return 0;
}

void pci_dev_detach(struct pci_dev *d)
{
	struct pci_bus *bus = d->bus;
	if (!bus)
		return;
	pci_intx(d, false);
	pthread_mutex_lock(&bus->root->lock);
	for (unsigned n = 0; n < PCI_MAPS; n++)
		bar_unmap(d, n);
	bus->dev[d->slot * PCI_FUNCTIONS + d->function] = NULL;
	multi_function_update(bus, d->slot);
	pthread_mutex_unlock(&bus->root->lock);
	d->bus = NULL;
}

/* --- life --- */

void pci_dev_reset(struct pci_dev *d)
{
	pci_intx(d, false);
	memcpy(d->config, d->initial, sizeof(d->config));
	bars_follow(d);
	if (d->msix)
		msix_reset(d->msix);
}

/* Bits that no write could have changed must be what this function has. */
static int config_check(const struct pci_dev *d, const uint8_t *config, struct err *e)
{
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		bool fixed = !(d->msix && msix_owns(d->msix, i));
		if (fixed && (config[i] ^ d->initial[i]) & ~(d->write_mask[i] | d->changing[i]))
			return err_set(
				e, -EINVAL,
				"%s: the saved PCI configuration differs at byte 0x%02x: it was saved from another "
				"device",
				d->name, i);
	}
	return 0;
}

int pci_dev_loaded(struct pci_dev *d, struct err *e)
{
	int rc = config_check(d, d->config, e);
	if (rc)
		return rc;
	bars_follow(d);
	intx_refresh(d);
	return 0;
}

int pci_dev_load(struct pci_dev *d, const uint8_t config[PCI_CONFIG_SIZE], struct err *e)
{
	int rc = config_check(d, config, e);
	if (rc)
		return rc;
	memcpy(d->config, config, PCI_CONFIG_SIZE);
	bars_follow(d);
	intx_refresh(d);
	return 0;
}

bool pci_bus_master(const struct pci_dev *d)
{
	return load_le16(&d->config[PCI_COMMAND]) & PCI_COMMAND_MASTER;
}

const struct msi_sink *pci_msi_sink(const struct pci_dev *d)
{
	return &d->bus->root->msi;
}

/* --- configuration space --- */

uint32_t pci_config_read(struct pci_dev *d, unsigned off, unsigned width)
{
	if (!range_inside(off, width, PCI_CONFIG_SIZE))
		return width_mask(width);
	if (d->config_read)
		d->config_read(d, off, width);
	uint8_t bytes[4] = {0};
	memcpy(bytes, &d->config[off], width);
	for (unsigned i = 0; i < width; i++)
		if (off + i == PCI_STATUS && d->intx_wanted)
			bytes[i] |= PCI_STATUS_INTX;
	return load_le32(bytes);
}

void pci_config_write(struct pci_dev *d, unsigned off, unsigned width, uint32_t value)
{
	if (!range_inside(off, width, PCI_CONFIG_SIZE))
		return;
	for (unsigned i = 0; i < width; i++) {
		uint8_t mask = d->write_mask[off + i];
		d->config[off + i] = (d->config[off + i] & ~mask) | (value >> (8 * i) & mask);
	}
	if (range_overlap(off, width, PCI_COMMAND, 2)) {
		intx_refresh(d);
		if (bars_follow(d))
			bars_retry(top_bus(d->bus));
	} else if (range_overlap(off, width, PCI_BAR0, 4 * PCI_BARS) || range_overlap(off, width, PCI_ROM_ADDRESS, 4)) {
		if (bars_follow(d))
			bars_retry(top_bus(d->bus));
	}
	if (d->msix)
		msix_config_written(d->msix, off, width);
	if (d->config_cleared)
		d->config_cleared(d, off, width, value);
	if (d->config_written)
		d->config_written(d, off, width);
}
