/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/pm.h"

static void other(void *opaque, uint32_t a, uint64_t b)
{
	if (a & 1)
		pm_power_button(opaque);
	else
		pm_gpe_raise(opaque, a >> 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct pm *pm;
	rig_up(&r, 0);
	struct pm_config cfg = {.timers = r.timers, .sci = rig_wire(&out), .reset_port = 0xcf9};
	if (pm_create(r.vm, cfg, &pm, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0x600, PM_LEN}, {REGION_PORT, 0xcf9, 1}}, .ranges = 2, .other = other,
		.opaque = pm,
	};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
