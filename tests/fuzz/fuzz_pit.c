/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/pit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct pit *pit;
	rig_up(&r, 0);
	if (pit_create(r.vm, (struct pit_config){.timers = r.timers, .irq = rig_wire(&out)}, &pit, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_PORT, 0x40, 4}, {REGION_PORT, 0x61, 1}}, .ranges = 2};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
