/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AHCI with a disk and a CD-ROM drive: registers, and commands put together from the input in guest memory. */
#include "drive.h"
#include "image.h"

#include "base/bytes.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/ahci.h"

#include <string.h>

#define ABAR UINT64_C(0xf0000000)
enum { LIST = 0x1000, TABLE = 0x2000, RAM = 0x10000 };

static void place(struct rig *r, unsigned port)
{
	uint64_t at = ABAR + 0x100 + port * 0x80;
	rig_store(r, at, 4, LIST);
	rig_store(r, at + 8, 4, 0x3000);
	rig_store(r, at + 0x18, 4, 0x11);
}

/* A well-formed command whose interesting parts come from the input. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct rig *r = opaque;
	static const uint8_t codes[] = {0xec, 0xa1, 0xa0, 0x25, 0x35, 0x60, 0x61, 0xc8, 0xca, 0x06, 0xe7, 0xef, 0x2f,
					0x40};
	static const uint8_t packets[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8,
					  0xbe};
	unsigned port = a & 1, slot = a >> 1 & 31, prds = a >> 6 & 3;
	uint8_t header[32] = {0}, table[0x80 + 3 * 16] = {
		0x27, a >> 8 & 7 ? 0x80 : 0, codes[(a >> 11) % sizeof(codes)], (uint8_t)b,
	};
	store_le32(header, 5 | prds << 16);
	store_le64(header + 8, TABLE);
	store_le32(table + 4, (uint32_t)(b >> 8) & (a & 1u << 31 ? UINT32_MAX : 0xff));
	table[7] = (uint8_t)(0x40 | (b >> 40));
	store_le16(table + 12, (uint16_t)(b >> 48));
	table[15] = (uint8_t)(a >> 24 & 4);
	table[0x40] = packets[(a >> 16) % sizeof(packets)];
	memcpy(table + 0x41, &b, 8);
	for (unsigned n = 0; n < 3; n++) {
		store_le64(table + 0x80 + n * 16, (uint64_t)(a >> 20 & 15) << 12);
		store_le32(table + 0x8c + n * 16, a & 1u << 30 ? (uint32_t)b : 511);
	}
	if (a & 1u << 29)
		place(r, port);
	must(gmem_write(r->vm->mem, TABLE, table, sizeof(table)) == 0);
	must(gmem_write(r->vm->mem, LIST + slot * 32, header, sizeof(header)) == 0);
	if (a & 1u << 28)
		rig_store(r, ABAR + 0x100 + port * 0x80 + 0x34, 4, 1u << slot);
	rig_store(r, ABAR + 0x100 + port * 0x80 + 0x38, 4, 1u << slot);
	for (unsigned n = 0; n < 2; n++)
		loop_once(r->loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire line[4] = {0};
	struct pci_bus *bus;
	struct pci_host_config hc = {0};
	struct ahci_config ac = {.slot = 31, .function = 2};
	rig_up(&r, 0);
	must(gmem_add_ram(r.vm->mem, 0, RAM, "ram", false, NULL) == 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&line[n]);
	must(pci_host_create(r.vm, &hc, &bus, NULL) == 0);
	ac.bus = bus;
	ac.port[0].present = ac.port[1].present = ac.port[1].cdrom = true;
	ac.port[0].blk = fuzz_image(&r, 65536);
	ac.port[1].blk = fuzz_image(&r, 65536);
	must(ahci_create(r.vm, &ac, NULL) == 0);
	struct dev *d = dev_find(r.vm, "ahci0");
	d->type->run_state(d->impl, true);
	rig_out(&r, 0xcf8, 4, 0x80000000 | 31 << 11 | 2 << 8 | 0x24);
	rig_out(&r, 0xcfc, 4, (uint32_t)ABAR);
	rig_out(&r, 0xcf8, 4, 0x80000000 | 31 << 11 | 2 << 8 | 4);
	rig_out(&r, 0xcfc, 4, 6);
	place(&r, 0);
	place(&r, 1);
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, ABAR, 0x300}, {REGION_PORT, 0xcf8, 8}}, .ranges = 2,
				 .other = other, .opaque = &r};
	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
