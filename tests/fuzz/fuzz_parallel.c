/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "core/chardev.h"
#include "devices/legacy/parallel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire irq = {0};
	struct loop *outside; /* outlives the machine, as the printer does */
	struct parallel_config cfg = {.irq = rig_wire(&irq)};
	rig_up(&r, 0);
	if (loop_create(&outside, NULL, NULL) || chardev_open(&cfg.out, "none", outside, NULL) ||
	    parallel_create(r.vm, cfg, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_PORT, PARALLEL_PORT, PARALLEL_PORTS}}, .ranges = 1};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	chardev_close(cfg.out);
	loop_destroy(outside);
	return 0;
}
