/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the chips' fuzz targets share: bytes become register accesses, wire changes, time, resets, and loads of
 * spoiled saved states. One input is one life of a machine. */
#ifndef PANAL_TESTS_FUZZ_DRIVE_H
#define PANAL_TESTS_FUZZ_DRIVE_H

#include "rig.h"

struct fuzz_range {
	enum region_space space;
	uint64_t addr;
	uint32_t size;
};

enum { FUZZ_RANGES = 8, FUZZ_IRQS = 32 };

struct fuzz_plan {
	struct fuzz_range range[FUZZ_RANGES];
	unsigned ranges;
	struct irq irq[FUZZ_IRQS]; /* inputs of the chip */
	unsigned irqs;
	/* What the chip has besides registers; a and b come from the input. May be NULL. */
	void (*other)(void *opaque, uint32_t a, uint64_t b);
	void *opaque;
};

void fuzz_drive(struct rig *r, const struct fuzz_plan *plan, const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
