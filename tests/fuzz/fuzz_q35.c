/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration mechanism, the memory controller hub, the LPC bridge and fw_cfg in one machine. */
#include "drive.h"

#include "arch/x86/gsi.h"
#include "arch/x86/lpc.h"
#include "arch/x86/mch.h"
#include "arch/x86/pm.h"
#include "arch/x86/port92.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/pci/pci_host.h"

static void must(int ret)
{
	if (ret)
		__builtin_trap();
}

/* Values that reach the registers, which random addresses seldom do. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct rig *r = opaque;
	static const uint16_t at[] = { 0x0060, 0x0064, 0x0090, 0xf840, 0xf844, 0xf860, 0xf8f0 };
	rig_out(r, 0xcf8, 4, 0x80000000 | at[a % COUNT_OF(at)]);
	rig_out(r, 0xcfc, 4, (uint32_t)b);
	if (a & 0x100)
		gmem_written(r->vm->mem, 0, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire wire[GSI_COUNT] = {0};
	struct gsi gsi = {0};
	struct pm *pm;
	struct lpc *lpc;
	struct fw_cfg *fc;
	struct pci_bus *bus;
	struct pci_host_config hc = {.fixed_slots = 25};
	rig_up(&r, 0);
	must(gmem_add_ram(r.vm->mem, 0, 1 << 16, "ram", false, NULL));
	for (unsigned n = 0; n < GSI_COUNT; n++)
		gsi.ioapic[n] = rig_wire(&wire[n]);
	must(pm_create(r.vm, (struct pm_config){.timers = r.timers, .base = PM_NOWHERE}, &pm, NULL));
	must(lpc_create(r.vm, (struct lpc_config){.gsi = &gsi, .pm = pm}, &lpc, NULL));
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0xcf8, 8}, {REGION_PORT, 0x510, 12}, {REGION_PORT, 0x92, 1},
			  {REGION_PORT, 0xb2, 2}, {REGION_MEMORY, 0xfed1c000, 0x4000},
			  {REGION_MEMORY, 0xb0000000, 0x100000},
			  {REGION_PORT, 0x600, 0x80}},
		.ranges = 7, .other = other, .opaque = &r,
	};
	for (unsigned n = 0; n < LPC_LINES; n++)
		hc.intx[n] = plan.irq[plan.irqs++] = lpc_line(lpc, n);
	must(pci_host_create(r.vm, &hc, &bus, NULL));
	must(lpc_attach(lpc, bus, NULL));
	if (mch_create(r.vm, bus, NULL) < 0)
		__builtin_trap();
	must(port92_create(r.vm, NULL));
	must(fw_cfg_create(r.vm, &fc, NULL));
	must(fw_cfg_add_file(fc, "etc/test", "some bytes", 10, NULL));
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
