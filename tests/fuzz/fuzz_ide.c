/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDE with a disk and a CD-ROM drive on one channel: ports, and commands with tables put together from the input. */
#include "drive.h"
#include "image.h"

#include "base/bytes.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/ide.h"

#include <string.h>

enum { BASE = 0x1f0, CONTROL = 0x3f6, BM = 0xc000, TABLE = 0x1000, RAM = 0x20000 };

static void out(struct rig *r, uint16_t port, uint8_t v)
{
	rig_out(r, port, 1, v);
}

static void move_data(struct rig *r, unsigned words, uint64_t v)
{
	for (unsigned n = 0; n < words && rig_in(r, CONTROL, 1) & 8; n++)
		if (v >> (n & 63) & 1)
			rig_in(r, BASE, 2);
		else
			rig_out(r, BASE, 4, (uint32_t)(v >> (n & 31)));
}

/* A command whose interesting parts come from the input, and some of its data. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct rig *r = opaque;
	static const uint8_t codes[] = { 0xec, 0xa1, 0xa0, 0x20, 0x24, 0x29, 0xc4, 0xc6, 0x30, 0x34, 0x39, 0xc5, 0xc8,
					 0xca, 0x25, 0x35, 0x06, 0xe7, 0xef, 0x90, 0x08, 0x60, 0xa0, 0x2f };
	static const uint8_t packets[] = { 0x00, 0x03, 0x12, 0x1b, 0x25, 0x28, 0x43, 0x5a, 0xa8, 0xbe };
	uint8_t e[24], cdb[12] = { packets[(a >> 5) % sizeof(packets)] };

	for (unsigned n = 0; n < 3; n++) {
		store_le32(e + 8 * n, (a >> 20 & 31) << 12);
		store_le32(e + 8 * n + 4, (a >> 30 & 1 ? (uint32_t)b & 0xffff : 512) | (n == 2 ? 0x80000000 : 0));
	}
	must(gmem_write(r->vm->mem, TABLE, e, sizeof(e)) == 0);
	rig_out(r, BM + 4, 4, TABLE);
	out(r, BASE + 6, (uint8_t)(0xe0 | (a >> 10 & 1 ? 0x10 : 0) | (b >> 40 & 15)));
	out(r, BASE + 1, (uint8_t)(a >> 11 & 3));
	out(r, BASE + 2, (uint8_t)b);
	for (unsigned n = 0; n < 3; n++)
		out(r, (uint16_t)(BASE + 3 + n), (uint8_t)(b >> (8 * n + 8)));
	out(r, BASE + 7, codes[(a & 31) % sizeof(codes)]);
	memcpy(cdb + 1, &b, 8);
	if (rig_in(r, CONTROL, 1) & 8 && a >> 13 & 1)
		for (unsigned n = 0; n < 12; n += 4)
			rig_out(r, BASE, 4, load_le32(cdb + n));
	if (a >> 14 & 1)
		out(r, BM, a >> 15 & 1 ? 9 : 1);
	for (unsigned n = 0; n < 2; n++)
		loop_once(r->loop, 0);
	move_data(r, a >> 16 & 1 ? 300 : 20, b);
	if (a >> 17 & 1) {
		out(r, CONTROL, 4);
		out(r, CONTROL, 0);
	}
	out(r, BM, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire line[4] = { 0 }, irq[2] = { 0 };
	struct pci_bus *bus;
	struct pci_host_config hc = { 0 };
	struct ide_config ic = { .slot = 31, .function = 1 };

	rig_up(&r, 0);
	must(gmem_add_ram(r.vm->mem, 0, RAM, "ram", false, NULL) == 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&line[n]);
	must(pci_host_create(r.vm, &hc, &bus, NULL) == 0);
	ic.bus = bus;
	ic.irq[0] = rig_wire(&irq[0]);
	ic.irq[1] = rig_wire(&irq[1]);
	for (unsigned n = 0; n < 2; n++) {
		ic.drive[0][n].present = true;
		ic.drive[0][n].cdrom = n;
		ic.drive[0][n].blk = fuzz_image(&r, 131072);
	}
	must(ide_create(r.vm, &ic, NULL) == 0);
	struct dev *d = dev_find(r.vm, "ide0");

	d->type->run_state(d->impl, true);
	rig_out(&r, 0xcf8, 4, 0x80000000 | 31 << 11 | 1 << 8 | 0x20);
	rig_out(&r, 0xcfc, 4, BM);
	rig_out(&r, 0xcf8, 4, 0x80000000 | 31 << 11 | 1 << 8 | 4);
	rig_out(&r, 0xcfc, 4, 5);
	struct fuzz_plan plan = { .range = { { REGION_PORT, BASE, 8 }, { REGION_PORT, CONTROL, 1 },
					     { REGION_PORT, BM, 16 }, { REGION_PORT, 0xcf8, 8 } },
				  .ranges = 4, .other = other, .opaque = &r };

	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
