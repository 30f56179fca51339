/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI functions and buses: configuration space with write masks, base address registers whose regions follow what
 * the guest writes, capabilities, and the four wired-or INTx lines (PCI Local Bus 3.0).
 *
 * A function's address is the slot and function number that its creator gives, so it is stable across boots.
 * Configuration accesses run on vCPU threads under the host's lock. Lock order: host lock, then a device's own lock;
 * pci_intx takes a leaf lock only and may be called with the device's lock held.
 */
#ifndef PANAL_DEVICES_PCI_PCI_H
#define PANAL_DEVICES_PCI_PCI_H

#include "base/err.h"
#include "core/irq.h"
#include <pthread.h>

struct msix;
struct pci_bus;
struct pci_dev;
struct region_handle;
struct region_map;
struct region_ops;
struct vm;

enum { PCI_SLOTS = 32, PCI_FUNCTIONS = 8, PCI_DEVFNS = 256, PCI_CONFIG_SIZE = 256, PCI_BARS = 6, PCI_LINES = 4,
       PCI_ROM = PCI_BARS /* the expansion ROM's register, after the BARs */, PCI_MAPS };

/* Offsets of the type 0 header. */
enum pci_register {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, /* 24 bits */
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_ROM_ADDRESS = 0x30,
	PCI_CAP_LIST = 0x34,
	PCI_INT_LINE = 0x3c,
	PCI_INT_PIN = 0x3d,
	PCI_CAPS_START = 0x40,
};

enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4, PCI_COMMAND_INTX_OFF = 0x400 };
enum { PCI_STATUS_INTX = 8, PCI_STATUS_CAPS = 0x10 };
enum { PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

struct pci_ident {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: base class, sub-class, interface */
	uint8_t revision;
	uint8_t int_pin; /* 0: none, 1 to 4: INTA to INTD */
};

struct pci_bar {
	uint64_t size; /* bytes, a power of two, at least 16 (memory) or 4 (ports); 0: this register does not exist */
	bool ports;
	bool is_64, prefetch; /* memory only; a 64-bit register also takes the next one */
	const struct region_ops *ops;
	void *opaque;
	pthread_mutex_t *lock; /* handed to the region; may be NULL */
	/* The address changed; mapped == false: it answers nowhere. Under the host's lock. May be NULL. */
	void (*moved)(void *opaque, uint64_t addr, bool mapped);
};

struct pci_dev {
	/* constant after pci_dev_attach and the calls that set the function up */
	struct pci_bus *bus;
	uint8_t slot, function;
	char name[32];
	struct pci_bar bar[PCI_MAPS];
	uint8_t write_mask[PCI_CONFIG_SIZE]; /* bits that a configuration write changes */
	uint8_t changing[PCI_CONFIG_SIZE];   /* bits that the function itself changes: a saved one may differ there */
	uint8_t initial[PCI_CONFIG_SIZE];    /* what a reset brings back */
	uint8_t cap_last, cap_end;           /* offsets: newest capability, first free byte */
	struct msix *msix;                   /* NULL: none */
	/* Called before a read and after a write of [off, off + width), under the host's lock. May be NULL. */
	void (*config_read)(struct pci_dev *d, unsigned off, unsigned width);
	void (*config_written)(struct pci_dev *d, unsigned off, unsigned width);
	void *config_opaque; /* for these, where the function is not part of its owner's struct */
	/* Called before config_written with the value as it was written: for bits that ones clear. May be NULL. */
	void (*config_cleared)(struct pci_dev *d, unsigned off, unsigned width, uint32_t value);

	/* host lock */
	uint8_t config[PCI_CONFIG_SIZE];
	struct {
		struct region_handle *region; /* NULL: not mapped */
		uint64_t addr;
		bool refused; /* should be mapped, but another region is in the way */
	} map[PCI_MAPS];
	const uint8_t *rom; /* what the expansion ROM holds; NULL: none */
	size_t rom_size;

	/* the host's line lock */
	bool intx_wanted, intx_driven;
};

/* Puts a zero-initialised function on the bus. Errors: -EINVAL, -EEXIST (the place is taken). */
int pci_dev_attach(struct pci_dev *d, struct pci_bus *bus, uint8_t slot, uint8_t function, const char *name,
                   const struct pci_ident *id, struct err *e) ATTR_MUST_USE;
/* Takes it off, its regions too. Safe on a function that was never attached. */
void pci_dev_detach(struct pci_dev *d);

/* Before the machine runs. */
void pci_bar_set(struct pci_dev *d, unsigned n, const struct pci_bar *bar);
/* An expansion ROM with these bytes (borrowed as long as the function), which firmware finds and runs. -EINVAL: it does
 * not begin as a PCI ROM does (PCI 3.0, 6.3). */
int pci_rom_set(struct pci_dev *d, const void *bytes, size_t size, struct err *e) ATTR_MUST_USE;
/* Appends a capability of len bytes (id and next pointer included), read-only until write_mask says otherwise.
 * Returns its offset. */
unsigned pci_cap_add(struct pci_dev *d, uint8_t id, unsigned len);
/* Sets config and what reset restores. */
void pci_config_init(struct pci_dev *d, unsigned off, const void *bytes, unsigned len);

/* State after power-on: registers cleared, regions off, lines low. vCPUs paused, or under the host's lock. */
void pci_dev_reset(struct pci_dev *d);
/* Takes a saved configuration: regions follow it. Refused without a change when it is another function's. vCPUs
 * paused. pci_dev_loaded is for a state table that wrote d->config itself: only regions and lines follow. */
int pci_dev_load(struct pci_dev *d, const uint8_t config[PCI_CONFIG_SIZE], struct err *e) ATTR_MUST_USE;
int pci_dev_loaded(struct pci_dev *d, struct err *e) ATTR_MUST_USE;

/* Drives the function's interrupt pin. Any thread. */
void pci_intx(struct pci_dev *d, bool level);
bool pci_bus_master(const struct pci_dev *d);
const struct msi_sink *pci_msi_sink(const struct pci_dev *d);

/* Configuration accesses of width 1, 2 or 4 that do not cross a 4-byte boundary; under the host's lock. */
uint32_t pci_config_read(struct pci_dev *d, unsigned off, unsigned width);
void pci_config_write(struct pci_dev *d, unsigned off, unsigned width, uint32_t value);

/*
 * A bus. The root bus comes from pci_host_create; a bridge makes its own with pci_bus_create and sets the numbers
 * when its bus registers are written. The root's number is 0.
 */
int pci_bus_create(struct pci_bus **out, struct pci_bus *parent, struct pci_dev *bridge, struct err *e) ATTR_MUST_USE;
void pci_bus_destroy(struct pci_bus *bus);
void pci_bus_number(struct pci_bus *bus, uint8_t secondary, uint8_t subordinate);
/* The function at bus number and devfn (slot * 8 + function), or NULL. Under the host's lock. */
struct pci_dev *pci_find(struct pci_bus *root, uint8_t number, uint8_t devfn);
/* The function at devfn of this bus, or NULL. */
struct pci_dev *pci_bus_dev(const struct pci_bus *bus, uint8_t devfn);
/* Which of the host's four lines a pin (1 to 4) in a slot of this bus drives. */
unsigned pci_line_of(const struct pci_bus *bus, uint8_t slot, uint8_t pin);

/* Used by the host and by bridges: what the root bus holds for all. */
struct pci_root {
	struct vm *vm;
	struct region_map *regions;
	struct msi_sink msi;
	pthread_mutex_t lock; /* configuration space of all functions */
	pthread_mutex_t line_lock;
	struct irq line[PCI_LINES];
	uint8_t fixed_slots; /* slots of the root bus from here on: pin p is line p - 1; 0: none */
	unsigned line_users[PCI_LINES]; /* line_lock */
};
int pci_root_bus_create(struct pci_bus **out, struct pci_root *root, struct err *e) ATTR_MUST_USE;
struct pci_root *pci_bus_root(const struct pci_bus *bus);

#endif
