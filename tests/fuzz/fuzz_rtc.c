/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/rtc.h"

static int64_t utc(void *opaque)
{
	struct rig *r = opaque;
	return INT64_C(1700000000) * 1000000000 + r->vc.ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct rtc *rtc;
	rig_up(&r, 0);
	struct rtc_config cfg = {.timers = r.timers, .irq = rig_wire(&out), .utc_ns = utc, .utc_opaque = &r};
	if (rtc_create(r.vm, cfg, &rtc, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_PORT, 0x70, 2}}, .ranges = 1};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
