/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The graphics card: registers, windows, and the picture that is made of whatever they hold. */
#include "drive.h"

#include "devices/display/vga.h"
#include "devices/pci/pci_host.h"
#include "display/display.h"

enum { SLOT = 3, FRAME = 0xd0000000, REGISTERS = 0xd8000000 };

static void must(int ret)
{
	if (ret)
		__builtin_trap();
}

struct world {
	struct rig r;
	struct display *display;
};

/* Looks, or sets a VBE register, which random ports seldom do. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct world *w = opaque;

	if (a % 4 == 0) {
		display_refresh(w->display, 0);
		return;
	}
	rig_out(&w->r, 0x1ce, 2, a >> 8 & 0x0f);
	rig_out(&w->r, 0x1cf, 2, (uint16_t)b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;
	struct pci_bus *bus;
	struct pci_host_config hc = {0};
	rig_up(&w.r, 0);
	must(display_create(&w.display, NULL));
	must(pci_host_create(w.r.vm, &hc, &bus, NULL));
	must(vga_create(w.r.vm, &(struct vga_config){.bus = bus, .slot = SLOT, .display = w.display}, NULL));
	rig_out(&w.r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 0x10);
	rig_out(&w.r, 0xcfc, 4, FRAME);
	rig_out(&w.r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 0x18);
	rig_out(&w.r, 0xcfc, 4, REGISTERS);
	rig_out(&w.r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 0x04);
	rig_out(&w.r, 0xcfc, 4, 3);
	rig_out(&w.r, 0x3c2, 1, 1);
	rig_out(&w.r, 0x3c0, 1, 0x20);
	struct fuzz_plan plan = {
		.range = {{REGION_PORT, 0x3b0, 0x30}, {REGION_PORT, 0x1ce, 3}, {REGION_MEMORY, 0xa0000, 0x20000},
			  {REGION_MEMORY, REGISTERS, 0x1000}, {REGION_MEMORY, FRAME + 0xffff00, 0x100}},
		.ranges = 5, .other = other, .opaque = &w,
	};
	fuzz_drive(&w.r, &plan, data, size);
	display_refresh(w.display, 0);
	vm_destroy(w.r.vm);
	display_destroy(w.display);
	timerq_destroy(w.r.timers);
	loop_destroy(w.r.loop);
	return 0;
}
