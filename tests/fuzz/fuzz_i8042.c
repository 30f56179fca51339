/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller and the one-register devices. */
#include "drive.h"

#include "arch/x86/i8042.h"
#include "arch/x86/pvpanic.h"
#include "devices/legacy/debug_exit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	rig_up(&r, 0);
	if (i8042_create(r.vm, (struct i8042_config){.irq = rig_wire(&out)}, NULL) ||
	    pvpanic_create(r.vm, (struct pvpanic_config){0}, NULL) ||
	    debug_exit_create(r.vm, (struct debug_exit_config){0}, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0x60, 5}, {REGION_PORT, 0x505, 1}, {REGION_PORT, 0xf4, 4}}, .ranges = 3,
	};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
