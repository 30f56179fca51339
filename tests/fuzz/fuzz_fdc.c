/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller with its DMA: ports, and commands put together from the input; disks change meanwhile. */
#include "drive.h"
#include "image.h"

#include "devices/legacy/isa_dma.h"
#include "devices/storage/fdc.h"

enum { FIFO = 0x3f5, STATUS = 0x3f4, RAM = 0x40000, SIZE = 720 << 10 };

struct bench {
	struct rig *r;
	struct fdc_drive *drive;
};

static void out(struct rig *r, uint16_t port, uint8_t v)
{
	rig_out(r, port, 1, v);
}

static void set_dma(struct rig *r, uint32_t a)
{
	out(r, 0x0c, 0);
	out(r, 0x04, (uint8_t)(a >> 16));
	out(r, 0x04, (uint8_t)(a >> 12));
	out(r, 0x05, (uint8_t)a);
	out(r, 0x05, a >> 6 & 3);
	out(r, 0x81, a >> 8 & 7);
	out(r, 0x0b, (uint8_t)((a >> 11 & 0x38) | (a & 1 ? 0x46 : 0x4a)));
	out(r, 0x0a, 2);
}

/* A command whose sector is often there. */
static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct bench *bench = opaque;
	struct rig *r = bench->r;
	static const uint8_t codes[] = { 0xe6, 0x46, 0xc5, 0x45, 0x42, 0x4c, 0x49, 0x4d, 0x4a, 0xf6, 0x03, 0x13, 0x0f,
					 0xcf, 0x07, 0x08, 0x12, 0x94, 0x04, 0x0e };

	if ((a & 31) == 31) {
		must(fdc_change(bench->drive, a & 32 ? fuzz_image(r, SIZE) : NULL, NULL) == 0);
		return;
	}
	out(r, 0x3f2, 0x1c);
	out(r, 0x3f7, 2);
	set_dma(r, a);
	for (unsigned n = 0; n < 8; n++)
		rig_in(r, FIFO, 1);
	out(r, FIFO, codes[(a & 31) % sizeof(codes)]);
	out(r, FIFO, a >> 5 & 4);
	for (unsigned n = 0; n < 7; n++)
		out(r, FIFO, n == 3 && b >> 63 ? 2 : (uint8_t)(b >> 8 * n & (n < 5 ? 0x0f : 0xff)));
	for (unsigned n = 0; n < 3; n++)
		loop_once(r->loop, 0);
	for (unsigned n = 0; n < (b >> 56 & 63) * 16 && rig_in(r, STATUS, 1) & 0x20; n++)
		if (a >> 9 & 1)
			out(r, FIFO, (uint8_t)n);
		else
			rig_in(r, FIFO, 1);
	if (a >> 10 & 1)
		out(r, 0x3f2, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig r;
	struct wire irq = { 0 };
	struct bench bench = { .r = &r };
	struct fdc_config fc = { .irq = rig_wire(&irq) };
	struct fdc *f;

	rig_up(&r, 0);
	must(gmem_add_ram(r.vm->mem, 0, RAM, "ram", false, NULL) == 0);
	must(isa_dma_create(r.vm, &fc.dma, NULL) == 0);
	fc.drive[0].present = fc.drive[1].present = true;
	fc.drive[0].blk = fuzz_image(&r, SIZE);
	fc.drive[0].handle = &bench.drive;
	must(fdc_create(r.vm, &fc, &f, NULL) == 0);
	struct dev *d = dev_find(r.vm, "fdc0");

	d->type->run_state(d->impl, true);
	struct fuzz_plan plan = { .range = { { REGION_PORT, 0x3f2, 6 }, { REGION_PORT, 0, 16 },
					     { REGION_PORT, 0xc0, 32 }, { REGION_PORT, 0x80, 16 } },
				  .ranges = 4, .other = other, .opaque = &bench };

	fuzz_drive(&r, &plan, data, size);
	rig_down(&r);
	return 0;
}
