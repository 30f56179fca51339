/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The firmware's items by port and DMA, and the generation ID, whose address the guest writes through them. */
#include "drive.h"

#include "arch/x86/pm.h"
#include "arch/x86/vmgenid.h"
#include "devices/legacy/fw_cfg.h"

enum { RAM = 1 << 20 };

static void must(int rc)
{
	if (rc)
		__builtin_trap();
}

/* A command in memory, or a new ID. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct rig *r = opaque;
	uint8_t id[VMGENID_BYTES] = {(uint8_t)a};

	if (a & 1)
		must(gmem_fill(r->vm->mem, a % RAM, (uint8_t)b, 1));
	else if (a & 2)
		must(gmem_write(r->vm->mem, a % (RAM / 16) * 16, &b, sizeof(b)));
	else
		vmgenid_set(dev_find(r->vm, "vmgenid0")->impl, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire sci = {0};
	struct fw_cfg *fc;
	struct vmgenid *g;
	struct vmgenid_config vc = {0};
	rig_up(&r, 0);
	must(gmem_add_ram(r.vm->mem, 0, RAM, "ram", false, NULL));
	must(pm_create(r.vm, (struct pm_config){.timers = r.timers, .sci = rig_wire(&sci)}, &vc.pm, NULL));
	must(fw_cfg_create(r.vm, &fc, NULL));
	must(fw_cfg_add_file(fc, "etc/e820", "some bytes", 10, NULL));
	vc.fw_cfg = fc;
	must(vmgenid_create(r.vm, &vc, &g, NULL));
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, FW_CFG_PORT, FW_CFG_PORTS}}, .ranges = 1, .other = other, .opaque = &r,
	};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
