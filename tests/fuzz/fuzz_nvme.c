/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVMe: registers, and commands put together from the input in the queues of an enabled controller. */
#include "drive.h"
#include "image.h"

#include "base/bytes.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/nvme.h"

#include <string.h>

#define BAR UINT64_C(0xf0000000)
enum { RAM = 0x20000, SLOT = 3, ASQ = 0x1000, ACQ = 0x2000, QUEUES = 0x3000, LIST = 0xf000, ENTRIES = 8 };

struct fuzz {
	struct rig r;
	unsigned tail[4];
};

static void put(struct fuzz *z, unsigned q, const uint8_t *e)
{
	uint64_t at = q ? QUEUES + q * 0x1000 : ASQ;

	must(gmem_write(z->r.vm->mem, at + z->tail[q] * 64, e, 64) == 0);
	z->tail[q] = (z->tail[q] + 1) % ENTRIES;
	rig_store(&z->r, BAR + 0x1000 + q * 8, 4, z->tail[q]);
}

static void make_queue(struct fuzz *z, unsigned q)
{
	uint8_t cq[64] = { 5, [40] = (uint8_t)q, [42] = ENTRIES - 1, [44] = 3 };
	uint8_t sq[64] = { 1, [40] = (uint8_t)q, [42] = ENTRIES - 1, [44] = 1, [46] = (uint8_t)q };

	store_le64(cq + 24, QUEUES + q * 0x1000 + 0x4000);
	store_le64(sq + 24, QUEUES + q * 0x1000);
	put(z, 0, cq);
	put(z, 0, sq);
	loop_once(z->r.loop, 0);
}

static void enable(struct fuzz *z)
{
	struct rig *r = &z->r;

	rig_store(r, BAR + 0x14, 4, 0);
	loop_once(r->loop, 0);
	rig_store(r, BAR + 0x24, 4, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	rig_store(r, BAR + 0x28, 8, ASQ);
	rig_store(r, BAR + 0x30, 8, ACQ);
	rig_store(r, BAR + 0x14, 4, 0x460001);
	memset(z->tail, 0, sizeof(z->tail));
	make_queue(z, 1);
	make_queue(z, 2);
}

/* A command whose interesting parts come from the input; completions are taken by themselves now and then. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct fuzz *z = opaque;
	static const uint8_t admin[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 1, 5, 0x55, 6, 2, 9 };
	static const uint8_t io[] = { 0, 1, 2, 8, 9, 2, 1, 0x55 };
	unsigned q = a & 3;
	uint8_t e[64] = { q ? io[a >> 2 & 7] : admin[a >> 2 & 15], a >> 31 ? (uint8_t)b : 0 };

	if (a >> 6 & 1)
		enable(z);
	store_le32(e + 4, a >> 7 & 7 ? 1 : (uint32_t)b);
	store_le64(e + 24, ((a >> 10 & 31) << 12) + (a >> 15 & 3 ? 0 : b & 0xfff));
	store_le64(e + 32, a >> 17 & 1 ? LIST + (b & 0xff8) : (a >> 18 & 31) << 12);
	store_le64(e + 40, b);
	store_le32(e + 48, (uint32_t)(a >> 23));
	if (q == 0 && (e[0] == 1 || e[0] == 5)) {
		store_le64(e + 24, QUEUES + (b & 3) * 0x1000 + (e[0] == 5 ? 0x4000 : 0));
	}
	put(z, q, e);
	for (unsigned n = 0; n < 2; n++)
		loop_once(z->r.loop, 0);
	if (a >> 29 & 1)
		rig_store(&z->r, BAR + 0x1004 + q * 8, 4, b >> 32 & (ENTRIES - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz z = { 0 };
	struct rig *r = &z.r;
	struct wire line[4] = { 0 };
	struct pci_bus *bus;
	struct pci_host_config hc = { 0 };

	rig_up(r, 0);
	must(gmem_add_ram(r->vm->mem, 0, RAM, "ram", false, NULL) == 0);
	for (unsigned n = 0; n < 512; n++)
		store_le64(gmem_at(r->vm->mem, LIST + n * 8, 8), (n & 31) << 12);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&line[n]);
	must(pci_host_create(r->vm, &hc, &bus, NULL) == 0);
	struct nvme_config nc = { .bus = bus, .slot = SLOT, .blk = fuzz_image(r, 65536), .serial = "S" };

	must(nvme_create(r->vm, &nc, NULL) == 0);
	struct dev *d = dev_find(r->vm, "nvme0");

	d->type->run_state(d->impl, true);
	rig_out(r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 0x10);
	rig_out(r, 0xcfc, 4, (uint32_t)BAR);
	rig_out(r, 0xcf8, 4, 0x80000000 | SLOT << 11 | 4);
	rig_out(r, 0xcfc, 4, 6);
	enable(&z);
	struct fuzz_plan plan = { .range = { { REGION_MEMORY, BAR, 0x40 }, { REGION_MEMORY, BAR + 0x1000, 0x40 },
					     { REGION_PORT, 0xcf8, 8 } },
				  .ranges = 3, .other = other, .opaque = &z };

	fuzz_drive(r, &plan, data, size);
	rig_down(r);
	return 0;
}
