/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller and the DMA controllers by their ports. */
#include "rig.h"

#include "block/block.h"
#include "devices/legacy/isa_dma.h"
#include "devices/storage/fdc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, RATE = 0x3f7, BUFFER = 0x23000 };
enum { READ = 0xe6, WRITE = 0xc5, FORMAT = 0x4d, READ_ID = 0x4a, VERIFY = 0xf6 };

struct fix {
	struct rig r;
	struct wire irq;
	struct isa_dma *dma;
	struct fdc *fdc;
	struct fdc_drive *a, *b;
	char path[40];
};

/* Sector n is full of n's low byte; its first byte is the high one. */
static struct blk *image(struct fix *f, unsigned kib, bool ro)
{
	uint8_t s[512];
	struct blk *b;

	strcpy(f->path, "/tmp/panal-fdc-XXXXXX");
	int fd = mkstemp(f->path);

	for (unsigned n = 0; n < kib * 2; n++) {
		memset(s, (int)(n & 0xff), sizeof(s));
		s[0] = (uint8_t)(n >> 8);
		assert_int_equal(write(fd, s, sizeof(s)), sizeof(s));
	}
	close(fd);
	struct blk_open o = { .path = f->path, .read_only = ro, .loop = f->r.loop, .engine = "threads" };

	assert_int_equal(blk_open(&b, &o, NULL), 0);
	unlink(f->path);
	return b;
}

static void out(struct fix *f, uint16_t port, uint8_t v)
{
	rig_out(&f->r, port, 1, v);
}

static uint8_t in(struct fix *f, uint16_t port)
{
	return (uint8_t)rig_in(&f->r, port, 1);
}

static int up(void **state)
{
	static struct fix f;
	struct fdc_config fc = { 0 };

	memset(&f, 0, sizeof(f));
	rig_up(&f.r, 0);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, 1 << 20, "ram", false, NULL), 0);
	assert_int_equal(isa_dma_create(f.r.vm, &f.dma, NULL), 0);
	fc.irq = rig_wire(&f.irq);
	fc.dma = f.dma;
	fc.drive[0].present = fc.drive[1].present = true;
	fc.drive[0].blk = image(&f, 1440, false);
	fc.drive[0].handle = &f.a;
	fc.drive[1].handle = &f.b;
	assert_int_equal(fdc_create(f.r.vm, &fc, &f.fdc, NULL), 0);
	struct dev *d = dev_find(f.r.vm, "fdc0");

	d->type->run_state(d->impl, true);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	rig_down(&((struct fix *)*state)->r);
	return 0;
}

static void put(struct fix *f, const uint8_t *bytes, unsigned len)
{
	for (unsigned n = 0; n < len; n++) {
		assert_int_equal(in(f, MSR) & 0xc0, 0x80);
		out(f, FIFO, bytes[n]);
	}
}

#define PUT(f, ...) put(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static unsigned get(struct fix *f, uint8_t *r)
{
	unsigned n = 0;

	for (unsigned k = 0; k < 2000 && !(in(f, MSR) & 0x80); k++)
		loop_once(f->r.loop, 10);
	while (n < 16 && (in(f, MSR) & 0xd0) == 0xd0)
		r[n++] = in(f, FIFO);
	return n;
}

static void expect(struct fix *f, const uint8_t *want, unsigned len)
{
	uint8_t r[16] = { 0 };

	assert_int_equal(get(f, r), len);
	assert_memory_equal(r, want, len);
}

#define EXPECT(f, ...) expect(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Out of reset, motor of the first drive on, 500 kbit/s; the head is on its track. */
static void begin(struct fix *f)
{
	out(f, DOR, 0x1c);
	for (uint8_t n = 0; n < 4; n++) {
		PUT(f, 0x08);
		EXPECT(f, (uint8_t)(0xc0 | n), 0);
	}
	PUT(f, 0x08);
	EXPECT(f, 0x80);
	out(f, RATE, 0);
}

static void seek(struct fix *f, uint8_t track)
{
	PUT(f, 0x0f, 0, track);
	assert_int_equal(in(f, MSR), 0x81);
	PUT(f, 0x08);
	EXPECT(f, 0x20, track);
}

static void dma(struct fix *f, uint8_t mode, uint32_t addr, uint16_t count)
{
	out(f, 0x0a, 6);
	out(f, 0x0c, 0);
	out(f, 0x04, (uint8_t)addr);
	out(f, 0x04, (uint8_t)(addr >> 8));
	out(f, 0x81, (uint8_t)(addr >> 16));
	out(f, 0x05, (uint8_t)(count - 1));
	out(f, 0x05, (uint8_t)((count - 1) >> 8));
	out(f, 0x0b, mode);
	out(f, 0x0a, 2);
}

static void check_sector(struct fix *f, uint32_t at, unsigned n)
{
	uint8_t s[512];

	assert_int_equal(gmem_read(f->r.vm->mem, at, s, sizeof(s)), 0);
	assert_int_equal(s[0], n >> 8);
	assert_int_equal(s[1], n & 0xff);
	assert_int_equal(s[511], n & 0xff);
}

static void reset_and_seek(void **state)
{
	struct fix *f = *state;

	assert_int_equal(in(f, MSR), 0);
	out(f, DOR, 0x04);
	assert_false(f->irq.level); /* its gate is closed */
	out(f, DOR, 0x1c);
	assert_true(f->irq.level);
	out(f, DOR, 0x00);
	assert_false(f->irq.level);
	begin(f);
	assert_int_equal(in(f, RATE), 0x80); /* nobody has looked at the disk */
	seek(f, 5);
	assert_int_equal(in(f, RATE), 0);
	PUT(f, 0x07, 0);
	assert_true(f->irq.level);
	PUT(f, 0x08);
	EXPECT(f, 0x20, 0);
	assert_false(f->irq.level);
	PUT(f, 0x07, 2); /* a drive that is not there has no track 0 */
	PUT(f, 0x08);
	EXPECT(f, 0x72, 0);
	PUT(f, 0x8f, 0, 3); /* outwards: 0 is the end */
	PUT(f, 0x08);
	EXPECT(f, 0x20, 0);
	PUT(f, 0xcf, 0, 3);
	PUT(f, 0x08);
	EXPECT(f, 0x20, 3);
	out(f, MSR, 0x80); /* the data rate register's reset */
	PUT(f, 0x08);
	EXPECT(f, 0xc0, 0);
}

static void tells_what_it_is(void **state)
{
	struct fix *f = *state;

	begin(f);
	PUT(f, 0x10);
	EXPECT(f, 0x90);
	PUT(f, 0x18); /* PART ID: of the 82078 */
	EXPECT(f, 0x80);
	PUT(f, 0x03, 0xaf, 0x02);
	PUT(f, 0x13, 0, 0x1a, 0);
	PUT(f, 0x94);
	EXPECT(f, 0x10);
	PUT(f, 0x0e);
	EXPECT(f, 0, 0, 0, 0, 0xaf, 0x02, 0, 0x80, 0x1a, 0);
	PUT(f, 0x14);
	EXPECT(f, 0x00);
	PUT(f, 0x04, 0x04);
	EXPECT(f, 0x3c);
	out(f, 0x3f3, 0xff);
	assert_int_equal(in(f, 0x3f3), 3);
}

static void reads_by_dma(void **state)
{
	struct fix *f = *state;

	begin(f);
	/* the last sector of one head and the first of the other, of track 2 */
	seek(f, 2);
	dma(f, 0x46, BUFFER, 1024);
	PUT(f, READ, 0, 2, 0, 18, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 2, 1, 2, 2);
	check_sector(f, BUFFER, 2 * 36 + 17);
	check_sector(f, BUFFER + 512, 2 * 36 + 18);
	assert_int_equal(in(f, 0x08), 4); /* channel 2 has ended, told once */
	assert_int_equal(in(f, 0x08), 0);
	/* without the second head the track ends first */
	dma(f, 0x46, BUFFER, 1024);
	PUT(f, 0x46, 0, 2, 0, 18, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x80, 0, 3, 0, 1, 2);
	/* a part of a sector */
	dma(f, 0x46, BUFFER, 100);
	PUT(f, READ, 0, 2, 0, 1, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0, 0, 0, 2, 0, 2, 2);
	/* nobody takes it */
	out(f, 0x0a, 6);
	PUT(f, READ, 0, 2, 0, 1, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x10, 0, 2, 0, 1, 2);
	/* the whole track, from its first sector on */
	dma(f, 0x46, BUFFER, 1024);
	PUT(f, 0x42, 0, 2, 0, 7, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0, 0, 0, 2, 0, 3, 2);
	check_sector(f, BUFFER, 2 * 36);
	PUT(f, VERIFY, 0x80, 2, 0, 1, 2, 18, 0x1b, 20);
	EXPECT(f, 0x04, 0, 0, 2, 1, 3, 2);
}

static void writes_and_formats(void **state)
{
	static const uint8_t ids[8] = { 1, 1, 3, 2, 1, 1, 4, 2 };
	uint8_t s[1024];
	struct fix *f = *state;

	memset(s, 0x5a, sizeof(s));
	assert_int_equal(gmem_write(f->r.vm->mem, BUFFER, s, sizeof(s)), 0);
	begin(f);
	seek(f, 1);
	dma(f, 0x4a, BUFFER, 1024);
	PUT(f, WRITE, 4, 1, 1, 3, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 1, 1, 5, 2);
	dma(f, 0x46, 0x40000, 2048);
	PUT(f, READ, 4, 1, 1, 2, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 1, 1, 6, 2);
	check_sector(f, 0x40000, 36 + 18 + 1);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x40200, s, sizeof(s)), 0);
	assert_true(s[0] == 0x5a && s[1023] == 0x5a);
	check_sector(f, 0x40600, 36 + 18 + 4);
	assert_int_equal(gmem_write(f->r.vm->mem, BUFFER, ids, sizeof(ids)), 0);
	dma(f, 0x4a, BUFFER, sizeof(ids));
	PUT(f, FORMAT, 4, 2, 2, 0x54, 0xf6);
	EXPECT(f, 0x04, 0, 0, 1, 1, 4, 2);
	dma(f, 0x46, 0x40000, 1024);
	PUT(f, READ, 4, 1, 1, 3, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 1, 1, 5, 2);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x40000, s, sizeof(s)), 0);
	assert_true(s[0] == 0xf6 && s[1023] == 0xf6);
}

static void by_processor(void **state)
{
	struct fix *f = *state;

	begin(f);
	PUT(f, 0x03, 0xaf, 0x03);
	PUT(f, 0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	for (unsigned k = 0; k < 2000 && !(in(f, MSR) & 0x80); k++)
		loop_once(f->r.loop, 10);
	assert_int_equal(in(f, MSR), 0xb0);
	assert_true(f->irq.level);
	for (unsigned n = 0; n < 512; n++)
		out(f, FIFO, (uint8_t)n);
	assert_false(f->irq.level);
	EXPECT(f, 0x40, 0x80, 0, 1, 0, 1, 2); /* no TC line: the track ends */
	PUT(f, 0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned s = 16; s < 18; s++) {
		for (unsigned k = 0; k < 2000 && !(in(f, MSR) & 0x80); k++)
			loop_once(f->r.loop, 10);
		assert_int_equal(in(f, MSR), 0xf0);
		rig_state_round_trip(&f->r, "fdc0");
		for (unsigned n = 0; n < 512; n++)
			assert_int_equal(in(f, FIFO), s == 16 ? (n ? 16 : 0) : n & 0xff);
	}
	EXPECT(f, 0x40, 0x80, 0, 1, 0, 1, 2);
}

static void says_what_is_wrong(void **state)
{
	struct fix *f = *state;

	begin(f);
	dma(f, 0x46, BUFFER, 512);
	PUT(f, READ, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* the head is elsewhere */
	EXPECT(f, 0x40, 0x04, 0x10, 1, 0, 1, 2);
	PUT(f, READ, 0, 0, 0, 19, 2, 36, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x04, 0, 0, 0, 19, 2);
	PUT(f, READ, 0, 0, 0, 1, 3, 18, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x04, 0, 0, 0, 1, 3);
	PUT(f, READ, 1, 0, 0, 1, 2, 18, 0x1b, 0xff); /* an empty drive */
	EXPECT(f, 0x41, 0x01, 0, 0, 0, 1, 2);
	out(f, RATE, 2);
	PUT(f, READ_ID, 0);
	EXPECT(f, 0x40, 0x01, 0, 0, 0, 1, 2);
	out(f, RATE, 0);
	PUT(f, READ_ID, 4);
	EXPECT(f, 0x04, 0, 0, 0, 1, 1, 2);
	PUT(f, 0x13, 0, 0x40, 0); /* implied seek */
	PUT(f, READ, 0, 80, 0, 1, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x01, 0, 80, 0, 1, 2);
	PUT(f, READ, 0, 79, 0, 18, 2, 18, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 79, 1, 1, 2);
	check_sector(f, BUFFER, 79 * 36 + 17);
}

static void media_change(void **state)
{
	struct fix *f = *state;

	begin(f);
	seek(f, 1);
	assert_int_equal(fdc_drive_type(f->fdc, 0), FDC_1440K);
	struct blk *wrong = image(f, 2880, false);

	assert_int_equal(fdc_change(f->a, wrong, NULL), -EINVAL);
	blk_close(wrong);
	assert_int_equal(fdc_change(f->a, NULL, NULL), 0);
	assert_int_equal(in(f, RATE), 0x80);
	seek(f, 0);
	assert_int_equal(in(f, RATE), 0x80);
	assert_int_equal(fdc_change(f->a, image(f, 720, true), NULL), 0);
	seek(f, 1);
	assert_int_equal(in(f, RATE), 0);
	out(f, RATE, 2);
	dma(f, 0x46, BUFFER, 512);
	PUT(f, READ, 0, 1, 0, 9, 2, 9, 0x1b, 0xff);
	EXPECT(f, 0x04, 0, 0, 1, 1, 1, 2);
	check_sector(f, BUFFER, 18 + 8);
	PUT(f, WRITE, 0, 1, 0, 9, 2, 9, 0x1b, 0xff);
	EXPECT(f, 0x40, 0x02, 0, 1, 0, 9, 2);
	PUT(f, 0x04, 0);
	EXPECT(f, 0x68);
}

static void reset_meanwhile(void **state)
{
	struct fix *f = *state;

	begin(f);
	dma(f, 0x46, BUFFER, 512);
	PUT(f, READ, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	out(f, DOR, 0);
	begin(f);
	for (unsigned n = 0; n < 20; n++)
		loop_once(f->r.loop, 1);
	assert_int_equal(in(f, MSR), 0x80);
	PUT(f, READ, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	struct dev *d = dev_find(f->r.vm, "fdc0");

	d->type->run_state(d->impl, false); /* the machine stands, is saved, and goes on */
	rig_state_round_trip(&f->r, "fdc0");
	d->type->run_state(d->impl, true);
	EXPECT(f, 0, 0, 0, 0, 0, 3, 2);
	check_sector(f, BUFFER, 1);
}

static void dma_registers(void **state)
{
	struct fix *f = *state;
	uint8_t two[2] = { 0x11, 0x22 }, got[4] = { 0 };
	bool end;

	assert_int_equal(isa_dma_move(f->dma, 2, ISA_DMA_TO_MEMORY, two, 2, &end), 0);
	assert_false(end);
	dma(f, 0x56, 0x1ffff, 2); /* comes round within its page, and begins again */
	assert_int_equal(isa_dma_move(f->dma, 2, ISA_DMA_FROM_MEMORY, two, 2, &end), 0);
	assert_int_equal(isa_dma_move(f->dma, 2, ISA_DMA_TO_MEMORY, two, 2, &end), 2);
	assert_true(end);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x1ffff, got, 1), 0);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x10000, got + 1, 1), 0);
	assert_memory_equal(got, two, 2);
	assert_int_equal(isa_dma_move(f->dma, 2, ISA_DMA_TO_MEMORY, two, 1, &end), 1);
	out(f, 0x0c, 0);
	assert_int_equal(in(f, 0x05) | in(f, 0x05) << 8, 0);
	assert_int_equal(in(f, 0x04) | in(f, 0x04) << 8, 0);
	rig_state_round_trip(&f->r, "isa-dma0");
	assert_int_equal(in(f, 0x0f), 0xfb);
	/* words, by the second chip */
	out(f, 0xd8, 0);
	out(f, 0xc4, 0x00);
	out(f, 0xc4, 0x10);
	out(f, 0x8b, 0x03);
	out(f, 0xc6, 0);
	out(f, 0xc6, 0);
	out(f, 0xd6, 0x45);
	out(f, 0xd4, 0x01);
	assert_int_equal(isa_dma_move(f->dma, 5, ISA_DMA_TO_MEMORY, two, 2, &end), 2);
	assert_true(end);
	assert_int_equal(gmem_read(f->r.vm->mem, 0x22000, got, 2), 0);
	assert_memory_equal(got, two, 2);
	out(f, 0x0d, 0);
	assert_int_equal(in(f, 0x0f), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reset_and_seek, up, down),
		cmocka_unit_test_setup_teardown(tells_what_it_is, up, down),
		cmocka_unit_test_setup_teardown(reads_by_dma, up, down),
		cmocka_unit_test_setup_teardown(writes_and_formats, up, down),
		cmocka_unit_test_setup_teardown(by_processor, up, down),
		cmocka_unit_test_setup_teardown(says_what_is_wrong, up, down),
		cmocka_unit_test_setup_teardown(media_change, up, down),
		cmocka_unit_test_setup_teardown(reset_meanwhile, up, down),
		cmocka_unit_test_setup_teardown(dma_registers, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
