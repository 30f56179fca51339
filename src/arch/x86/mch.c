/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PAM chooses on hardware whether 0xc0000-0xfffff is RAM or ROM, for reads and for writes. Here RAM lies there always,
 * with the BIOS's copy in it from the reset on, so that shadowing needs nothing; what firmware write-protects stays
 * writable. SMRAM is not carved out: there is no SMM.
 */
#include "arch/x86/mch.h"

#include "base/bytes.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"

#include <string.h>

enum { PCIEXBAR = 0x60, PAM0 = 0x90, PAM_COUNT = 7, SMRAM = 0x9d, ESMRAMC = 0x9e };
enum { PCIEXBAR_ON = 1, SMRAM_DEFAULT = 0x02, ESMRAMC_DEFAULT = 0x38 };
#define PCIEXBAR_ADDRESS UINT64_C(0xffc000000)

/* 256, 128 or 64 MiB, a bus each; 3 is reserved. */
static const uint16_t buses[4] = { 256, 128, 64, 0 };

static void written(struct pci_dev *d, unsigned off, unsigned width)
{
	if (!range_overlap(off, width, PCIEXBAR, 8))
		return;
	uint64_t v = load_le64(&d->config[PCIEXBAR]);
	unsigned count = buses[v >> 1 & 3];
	uint64_t addr = v & PCIEXBAR_ADDRESS & ~(((uint64_t)count << 20) - 1);
	pci_host_ecam(d->bus, v & PCIEXBAR_ON && count ? addr : 0, count);
}

void mch_create(struct pci_bus *bus)
{
	struct pci_dev *d = pci_bus_dev(bus, 0);
	uint8_t smram[2] = { SMRAM_DEFAULT, ESMRAMC_DEFAULT };

	pci_config_init(d, SMRAM, smram, sizeof(smram));
	store_le64(&d->write_mask[PCIEXBAR], PCIEXBAR_ADDRESS | 7);
	memset(&d->write_mask[PAM0], 0x33, PAM_COUNT);
	d->write_mask[PAM0] = 0x30;
	d->write_mask[SMRAM] = 0x7f;
	d->config_written = written;
}
