/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drive.h"

#include "arch/x86/pvclock.h"

struct target {
	struct rig r;
	struct pvclock *pc;
};

static uint64_t tsc(void *opaque)
{
	struct target *t = opaque;
	return (uint64_t)t->r.vc.ns * 3;
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	static const uint32_t msr[] = {0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02};
	struct target *t = opaque;
	uint64_t v;
	if (a & 1)
		pvclock_msr_read(t->pc, t->r.v[a >> 1 & 1], msr[(a >> 2) % 5], &v);
	else
		pvclock_msr_write(t->pc, t->r.v[a >> 1 & 1], msr[(a >> 2) % 5], a & 0x10000 ? b : b & 0x1fff);
	if (a >> 28 == 0)
		pvclock_refresh(t->pc, a & 0x20000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t;
	rig_up(&t.r, 2);
	if (gmem_add_ram(t.r.vm->mem, 0, 0x1000, "ram", false, NULL))
		__builtin_trap();
	struct pvclock_config cfg = {
		.mem = t.r.vm->mem, .clock = &t.r.clock, .tsc_khz = 3000000, .tsc_now = tsc, .tsc_opaque = &t,
	};
	if (pvclock_create(t.r.vm, cfg, &t.pc, NULL))
		__builtin_trap();
	struct fuzz_plan plan = {.other = other, .opaque = &t};
	fuzz_drive(&t.r, &plan, data, size);
	rig_down(&t.r);
	return 0;
}
