/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/pic.h"

static void other(void *opaque, uint32_t a, uint64_t b)
{
	pic_ack(opaque);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire out = {0};
	struct pic *pic;
	rig_up(&r, 0);
	if (pic_create(r.vm, (struct pic_config){.intr = rig_wire(&out)}, &pic, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0x20, 2}, {REGION_PORT, 0xa0, 2}, {REGION_PORT, 0x4d0, 2}}, .ranges = 3,
		.other = other, .opaque = pic, .irqs = 16,
	};
	for (unsigned n = 0; n < 16; n++)
		plan.irq[n] = pic_pin(pic, n);
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
