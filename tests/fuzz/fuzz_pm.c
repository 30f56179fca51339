/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/pm.h"

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct irq alarm = pm_alarm(opaque), key = pm_waker(opaque);

	if ((a & 7) == 7)
		irq_set(&alarm, b & 1);
	else if ((a & 7) == 5)
		irq_pulse(&key);
	else if ((a & 7) == 3)
		pm_woken(opaque);
	else if (a & 1)
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
	struct pm_config cfg = {.timers = r.timers, .sci = rig_wire(&out), .reset_port = 0xcf9,
				.s3_type = 1, .s4_type = 2, .s5_type = 5};
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
