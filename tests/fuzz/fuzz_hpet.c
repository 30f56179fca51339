/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/gsi.h"
#include "arch/x86/hpet.h"

/* Values that reach the registers, which random addresses seldom do. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	static const uint16_t at[] = {0x10, 0x20, 0xf0, 0x100, 0x108, 0x110, 0x120, 0x128, 0x140, 0x148};
	rig_store(opaque, HPET_BASE + at[a % COUNT_OF(at)], a & 0x100 ? 8 : 4, a & 0x200 ? b : b & 0x2ffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire wire[GSI_COUNT] = {0};
	struct gsi gsi = {0};
	rig_up(&r, 0);
	for (unsigned n = 0; n < GSI_COUNT; n++)
		gsi.ioapic[n] = rig_wire(&wire[n]);
	struct hpet_config hc = {.timers = r.timers, .gsi = &gsi, .legacy = gsi_cut, .opaque = &gsi};
	if (hpet_create(r.vm, hc, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, HPET_BASE, HPET_SIZE}}, .ranges = 1, .other = other,
				 .opaque = &r};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
