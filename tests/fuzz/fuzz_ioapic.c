/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/ioapic.h"

static void sink(void *opaque, uint64_t addr, uint32_t data)
{
	/* What a local APIC would be sent is always a message to one. */
	if ((addr >> 20) != 0xfee || data >> 16)
		__builtin_trap();
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	ioapic_eoi(opaque, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct ioapic *io;
	rig_up(&r, 0);
	if (ioapic_create(r.vm, (struct ioapic_config){.msi = {.send = sink}}, &io, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {
		.range = {{REGION_MEMORY, 0xfec00000, 0x48}}, .ranges = 1, .other = other, .opaque = io,
		.irqs = IOAPIC_PINS,
	};
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		plan.irq[n] = ioapic_pin(io, n);
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
