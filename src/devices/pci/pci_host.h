/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI host: root bus 0 with the host bridge at 00.0, configuration through ECAM and through ports 0xcf8/0xcfc,
 * the reset control register at port 0xcf9.
 */
#ifndef PANAL_DEVICES_PCI_PCI_HOST_H
#define PANAL_DEVICES_PCI_PCI_HOST_H

#include "base/err.h"
#include "core/irq.h"

struct pci_bus;
struct vm;

struct pci_host_config {
	uint64_t ecam_addr;  /* 0: no ECAM */
	unsigned ecam_buses; /* 1 to 256; 1 MiB each; 0 = 256 */
	bool no_ports;       /* without 0xcf8 to 0xcff */
	uint8_t fixed_slots; /* slots from this one on have no part in the turning below; 0: all have */
	struct irq intx[4];  /* where the four lines end; slot s, pin p (1 to 4) drives line (s + p - 1) % 4 */
	struct msi_sink msi;
	/* identity of the host bridge; 0 = 8086:29c0 (Q35's), 8086:1237 and others are the board's choice */
	uint16_t vendor, device, subsystem_vendor, subsystem;
};

/* Owned by the machine. */
int pci_host_create(struct vm *vm, const struct pci_host_config *cfg, struct pci_bus **out,
		    struct err *e) ATTR_MUST_USE;

/* Moves the ECAM window: buses from 1 to 256, addr 0 switches it off. In the way of another region it stays off. Under
 * the host's lock, for the host bridge's own registers (config_written, which a reset and a load call too). */
void pci_host_ecam(struct pci_bus *bus, uint64_t addr, unsigned buses);

/* Where a machine without firmware wants its BARs. Sizes in bytes; size 0: nothing is placed there. */
struct pci_windows {
	uint64_t mem32_addr, mem32_size;
	uint64_t mem64_addr, mem64_size; /* for 64-bit BARs; when absent or full they go to mem32 */
	uint16_t port_addr, port_size;
	uint8_t line_gsi[4]; /* written to the interrupt line registers */
};
/* Does what firmware would: places every BAR of the root bus, switches decoding and bus mastering on, fills the
 * interrupt line registers. vCPUs paused; to be called again after each reset. -ENOSPC: a window is too small. */
int pci_host_assign(struct pci_bus *bus, const struct pci_windows *w, struct err *e) ATTR_MUST_USE;

#endif
