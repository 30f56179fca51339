/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "devices/legacy/i6300esb.h"
#include "devices/pci/pci_host.h"

enum { SLOT = 5, BAR = 0xf0000000 };

/* Unlocks, preloads, and the registers in configuration space. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	static const uint8_t at[] = {0x60, 0x68, 0x68, 0x04, 0x10};
	struct rig *r = opaque;
	rig_store(r, BAR + 12, 2, 0x80);
	rig_store(r, BAR + 12, 2, 0x86);
	rig_store(r, BAR + (a >> 8 & 12), 4, b & 0x3ff);
	rig_out(r, 0xcf8, 4, 0x80000000 | SLOT << 11 | at[a % COUNT_OF(at)]);
	if (a & 0x80)
		rig_out(r, 0xcfc, 4, (uint32_t)b);
	rig_out(r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 0x10);
	rig_out(r, 0xcfc, 4, BAR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct pci_bus *bus;
	rig_up(&r, 0);
	if (pci_host_create(r.vm, &(struct pci_host_config){0}, &bus, NULL))
		__builtin_trap();
	struct i6300esb_config wc = {.bus = bus, .slot = SLOT, .timers = r.timers};
	if (i6300esb_create(r.vm, &wc, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, BAR, 16}, {REGION_PORT, 0xcf8, 8}}, .ranges = 2,
				 .other = other, .opaque = &r};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
