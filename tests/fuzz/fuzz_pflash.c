/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "base/fd.h"
#include "devices/legacy/pflash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	rig_up(&r, 0);
	struct pflash_config cfg = {.addr = 0xffc00000, .size = 4 * PFLASH_BLOCK};
	cfg.fd = fd_memfd("flash", cfg.size, NULL);
	if (cfg.fd < 0 || pflash_create(r.vm, &cfg, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, cfg.addr, cfg.size}, {REGION_MEMORY, cfg.addr, 64}},
				 .ranges = 2};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
