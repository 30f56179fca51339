/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PAM is what gmem.h calls the shadow: accelerators have RAM and ROM there as it says. What remains for the region here
 * is what they do not map: writes that RAM does not get, or gets where reads find ROM, and reads of nothing.
 */
#include "arch/x86/mch.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PCIEXBAR = 0x60, PAM0 = 0x90, PAM_COUNT = 7, SMRAM = 0x9d, ESMRAMC = 0x9e };
enum { PCIEXBAR_ON = 1, SMRAM_DEFAULT = 0x02, ESMRAMC_DEFAULT = 0x38 };
/* PAM0's upper half is for the 64 KiB from 0xf0000 on, the other halves for 16 KiB each from 0xc0000 on. */
enum { PAM_F_PART = 12, PAM_MODE = 3 };
#define PCIEXBAR_ADDRESS UINT64_C(0xffc000000)

/* 256, 128 or 64 MiB, a bus each; 3 is reserved. */
static const uint16_t buses[4] = { 256, 128, 64, 0 };

struct mch {
	struct vm *vm;
	struct pci_dev *pci;
	struct region_handle *region;
	uint8_t pam[PAM_COUNT]; /* the PCI host's lock */
};

static struct mch *mch_of(struct pci_dev *d)
{
	return d->config_opaque;
}

/* Its bits are gmem's: reads, writes. */
static uint8_t mode_of(const uint8_t pam[PAM_COUNT], unsigned part)
{
	if (part >= PAM_F_PART)
		return pam[0] >> 4 & PAM_MODE;
	return pam[1 + part / 2] >> (part % 2 * 4) & PAM_MODE;
}

/* SeaBIOS comes out of S3 in what it had put into RAM: then the registers are as if they had standby power. */
static void set_pam(struct mch *m)
{
	uint8_t *now = &m->pci->config[PAM0];

	if (m->vm->waking)
		memcpy(now, m->pam, PAM_COUNT);
	memcpy(m->pam, now, PAM_COUNT);
	for (unsigned part = 0; part < GMEM_SHADOW_PARTS; part++)
		gmem_shadow_set(m->vm->mem, part, mode_of(m->pam, part));
}

static void written(struct pci_dev *d, unsigned off, unsigned width)
{
	if (range_overlap(off, width, PAM0, PAM_COUNT))
		set_pam(mch_of(d));
	if (!range_overlap(off, width, PCIEXBAR, 8))
		return;
	uint64_t v = load_le64(&d->config[PCIEXBAR]);
	unsigned count = buses[v >> 1 & 3];
	uint64_t addr = v & PCIEXBAR_ADDRESS & ~(((uint64_t)count << 20) - 1);
	pci_host_ecam(d->bus, v & PCIEXBAR_ON && count ? addr : 0, count);
}

static uint64_t shadow_read(void *opaque, uint64_t off, unsigned width)
{
	struct mch *m = opaque;
	uint64_t gpa = GMEM_SHADOW + off;
	uint8_t v[8], mode = gmem_shadow(m->vm->mem, gpa);

	memset(v, 0xff, sizeof(v));
	if (gmem_read(m->vm->mem, mode & GMEM_SHADOW_READ ? gpa : gmem_shadow_rom(gpa), v, width) < 0)
		memset(v, 0xff, sizeof(v));
	return load_le64(v);
}

static void shadow_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct mch *m = opaque;
	uint64_t gpa = GMEM_SHADOW + off;
	uint8_t v[8];

	store_le64(v, value);
	if (gmem_shadow(m->vm->mem, gpa) & GMEM_SHADOW_WRITE && gmem_write(m->vm->mem, gpa, v, width) < 0)
		return; /* a machine with less memory than that */
}

static const struct region_ops shadow_ops = {
	.read = shadow_read, .write = shadow_write, .width_min = 1, .width_max = 8,
};

static void mch_destroy(void *impl)
{
	struct mch *m = impl;

	region_detach(m->region);
	free(m);
}

/* Its registers are the host bridge's, which resets and saves them. */
static const struct dev_type mch_type = { .name = "mch", .destroy = mch_destroy };

static void registers_init(struct pci_dev *d)
{
	uint8_t smram[2] = { SMRAM_DEFAULT, ESMRAMC_DEFAULT };

	pci_config_init(d, SMRAM, smram, sizeof(smram));
	store_le64(&d->write_mask[PCIEXBAR], PCIEXBAR_ADDRESS | 7);
	memset(&d->write_mask[PAM0], 0x33, PAM_COUNT);
	d->write_mask[PAM0] = 0x30;
	d->write_mask[SMRAM] = 0x7f;
	d->config_written = written;
}

int mch_create(struct vm *vm, struct pci_bus *bus, struct err *e)
{
	struct mch *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for the memory controller hub");
	m->vm = vm;
	m->pci = pci_bus_dev(bus, 0);
	struct region r = { .space = REGION_MEMORY, .addr = GMEM_SHADOW, .size = GMEM_SHADOW_SIZE, .name = "shadow",
			    .ops = &shadow_ops, .opaque = m };
	ret = region_attach(vm->regions, &r, &m->region, e);
	if (ret == 0)
		ret = dev_attach(vm, &mch_type, NULL, m, e);
	if (ret < 0) {
		mch_destroy(m);
		return ret;
	}
	m->pci->config_opaque = m;
	registers_init(m->pci);
	set_pam(m);
	return 0;
}
