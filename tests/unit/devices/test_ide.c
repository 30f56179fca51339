/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IDE controller by its ports: a disk as primary master, a CD-ROM drive as secondary slave. */
#include "rig.h"

#include "base/bytes.h"
#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/ide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { DISK_SIZE = 1 << 20, CD_SIZE = 256 * 2048, BM = 0xc000, TABLE = 0x1000, DATA = 0x10000 };
enum { DISK = 0x1f0, CD = 0x170, CONTROL = 0x206 /* from the task file */, SLAVE = 0x10 };

struct fix {
	struct rig r;
	struct wire line[4], irq[2];
	struct pci_bus *bus;
	char disk[32], cd[32];
};

static struct blk *image(struct fix *f, char *path, size_t size, bool cd)
{
	uint8_t sector[512];
	struct blk *b;

	strcpy(path, "/tmp/panal-ide-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t n = 0; n < size / 512; n++) {
		memset(sector, (int)(n & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	struct blk_open o = { .path = path, .read_only = cd, .loop = f->r.loop, .engine = "threads" };

	assert_int_equal(blk_open(&b, &o, NULL), 0);
	return b;
}

static void config(struct fix *f, unsigned off, uint32_t v)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | 31 << 11 | 1 << 8 | off);
	rig_out(&f->r, 0xcfc, 4, v);
}

static int up_with(void **state, bool cd)
{
	static struct fix f;
	struct pci_host_config hc = { .fixed_slots = 25 };

	memset(&f, 0, sizeof(f));
	rig_up(&f.r, 0);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, 1 << 20, "ram", false, NULL), 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&f.line[n]);
	assert_int_equal(pci_host_create(f.r.vm, &hc, &f.bus, NULL), 0);
	struct ide_config ic = { .bus = f.bus, .slot = 31, .function = 1,
				 .irq = { rig_wire(&f.irq[0]), rig_wire(&f.irq[1]) } };

	ic.drive[0][0].present = true;
	ic.drive[1][1].present = ic.drive[1][1].cdrom = cd;
	ic.drive[0][0].blk = image(&f, f.disk, DISK_SIZE, false);
	if (cd)
		ic.drive[1][1].blk = image(&f, f.cd, CD_SIZE, true);
	assert_int_equal(ide_create(f.r.vm, &ic, NULL), 0);
	struct dev *d = dev_find(f.r.vm, "ide0");

	d->type->run_state(d->impl, true);
	config(&f, 0x20, BM);
	config(&f, 0x04, 5);
	*state = &f;
	return 0;
}

static int up(void **state)
{
	return up_with(state, true);
}

static int up_without_cd(void **state)
{
	return up_with(state, false);
}

static int down(void **state)
{
	struct fix *f = *state;

	rig_down(&f->r);
	unlink(f->disk);
	if (f->cd[0])
		unlink(f->cd);
	return 0;
}

static uint8_t in(struct fix *f, unsigned port)
{
	return (uint8_t)rig_in(&f->r, (uint16_t)port, 1);
}

static void out(struct fix *f, unsigned port, unsigned v)
{
	rig_out(&f->r, (uint16_t)port, 1, v);
}

/* Waits until the drive is not busy; gives the status, and so takes the interrupt back. */
static uint8_t status(struct fix *f, unsigned base)
{
	for (unsigned n = 0; n < 2000 && in(f, base + CONTROL) & 0x80; n++)
		loop_once(f->r.loop, 5);
	return in(f, base + 7);
}

static void command(struct fix *f, unsigned base, uint8_t device, uint32_t lba, uint8_t count, uint8_t code)
{
	out(f, base + 6, 0xe0 | device | (lba >> 24 & 15));
	out(f, base + 2, count);
	out(f, base + 3, lba & 0xff);
	out(f, base + 4, lba >> 8 & 0xff);
	out(f, base + 5, lba >> 16 & 0xff);
	out(f, base + 7, code);
}

static void read_data(struct fix *f, unsigned base, void *to, unsigned len)
{
	for (unsigned n = 0; n < len; n += 2)
		store_le16((uint8_t *)to + n, (uint16_t)rig_in(&f->r, (uint16_t)base, 2));
}

static void write_data(struct fix *f, unsigned base, const void *from, unsigned len)
{
	for (unsigned n = 0; n < len; n += 4)
		rig_out(&f->r, (uint16_t)base, 4, load_le32((const uint8_t *)from + n));
}

static void resets_show_who_is_there(void **state)
{
	struct fix *f = *state;

	out(f, DISK + CONTROL, 4);
	assert_int_equal(in(f, DISK + 7), 0x80);
	out(f, DISK + CONTROL, 0);
	assert_int_equal(in(f, DISK + 7), 0x50);
	assert_int_equal(in(f, DISK + 2), 1);
	assert_int_equal(in(f, DISK + 4), 0);
	out(f, DISK + 6, 0xb0); /* no slave */
	assert_int_equal(in(f, DISK + 7), 0);
	out(f, CD + CONTROL, 4);
	out(f, CD + CONTROL, 0);
	assert_int_equal(in(f, CD + 7), 0); /* no master */
	out(f, CD + 6, 0xb0);
	assert_int_equal(in(f, CD + 4), 0x14);
	assert_int_equal(in(f, CD + 5), 0xeb);
}

static void identify_tells_the_size(void **state)
{
	struct fix *f = *state;
	uint8_t w[512];

	command(f, DISK, 0, 0, 0, 0xec);
	for (unsigned n = 0; n < 2000 && !f->irq[0].level; n++)
		loop_once(f->r.loop, 5);
	assert_true(f->irq[0].level);
	assert_int_equal(in(f, DISK + CONTROL), 0x58); /* leaves the interrupt */
	assert_true(f->irq[0].level);
	assert_int_equal(in(f, DISK + 7), 0x58);
	assert_false(f->irq[0].level);
	read_data(f, DISK, w, 512);
	assert_int_equal(in(f, DISK + 7), 0x50);
	assert_int_equal(load_le32(w + 120), DISK_SIZE / 512);
	command(f, CD, SLAVE, 0, 0, 0xec);
	assert_int_equal(status(f, CD) & 1, 1);
	assert_int_equal(in(f, CD + 5), 0xeb);
	command(f, CD, SLAVE, 0, 0, 0xa1);
	assert_int_equal(status(f, CD), 0x58);
	read_data(f, CD, w, 512);
	assert_int_equal(load_le16(w) & 0xff00, 0x8500);
}

static void pio_reads_and_writes(void **state)
{
	struct fix *f = *state;
	static uint8_t b[512 * 100];

	command(f, DISK, 0, 5, 100, 0x20);
	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(status(f, DISK), 0x58);
		read_data(f, DISK, b, 512);
		assert_int_equal(b[0], 5 + n);
		assert_int_equal(b[511], 5 + n);
	}
	assert_int_equal(status(f, DISK), 0x50);
	memset(b, 0xa5, sizeof(b));
	command(f, DISK, 0, 9, 70, 0x30);
	for (unsigned n = 0; n < 70; n++) {
		assert_int_equal(status(f, DISK), 0x58);
		write_data(f, DISK, b, 512);
	}
	assert_int_equal(status(f, DISK), 0x50);
	/* Blocks of eight, by 48-bit numbers: each register takes two writes. */
	command(f, DISK, 0, 0, 8, 0xc6);
	assert_int_equal(status(f, DISK), 0x50);
	out(f, DISK + 2, 0);
	out(f, DISK + 3, 0);
	out(f, DISK + 4, 0);
	out(f, DISK + 5, 0);
	command(f, DISK, 0, 78, 10, 0x29);
	assert_int_equal(status(f, DISK), 0x58);
	read_data(f, DISK, b, 8 * 512);
	assert_int_equal(b[511], 0xa5);
	assert_int_equal(b[512], 79);
	assert_int_equal(status(f, DISK), 0x58);
	read_data(f, DISK, b, 2 * 512);
	assert_int_equal(b[512], 87);
	assert_int_equal(status(f, DISK), 0x50);
	command(f, DISK, 0, DISK_SIZE / 512, 1, 0x20);
	assert_int_equal(status(f, DISK), 0x51);
	assert_int_equal(in(f, DISK + 1), 0x10);
	command(f, DISK, 0, 0, 1, 0x55);
	assert_int_equal(status(f, DISK), 0x51);
}

static void prd(struct fix *f, unsigned n, uint32_t at, uint32_t len, bool last)
{
	uint8_t e[8];

	store_le32(e, at);
	store_le32(e + 4, (len & 0xffff) | (last ? 0x80000000 : 0));
	assert_int_equal(gmem_write(f->r.vm->mem, TABLE + n * 8, e, 8), 0);
}

static void dma(struct fix *f, unsigned base, bool to_memory)
{
	unsigned bm = base == CD ? BM + 8 : BM;

	rig_out(&f->r, (uint16_t)(bm + 4), 4, TABLE);
	out(f, bm, to_memory ? 9 : 1);
	for (unsigned n = 0; n < 2000 && in(f, bm + 2) & 1; n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(in(f, bm + 2) & 5, 4);
	out(f, bm, 0);
	out(f, bm + 2, 6);
	assert_int_equal(in(f, bm + 2), 0);
}

static void the_bus_master_moves_data(void **state)
{
	struct fix *f = *state;
	uint8_t *ram = gmem_at(f->r.vm->mem, DATA, 0x10000);

	prd(f, 0, DATA, 512, false);
	prd(f, 1, DATA + 0x1000, 512, true);
	command(f, DISK, 0, 20, 2, 0xc8);
	dma(f, DISK, true);
	assert_int_equal(status(f, DISK), 0x50);
	assert_int_equal(ram[0], 20);
	assert_int_equal(ram[0x1000], 21);
	memset(ram, 0x5a, 512);
	command(f, DISK, 0, 30, 2, 0xca);
	dma(f, DISK, false);
	assert_int_equal(status(f, DISK), 0x50);
	memset(ram, 0, 512);
	command(f, DISK, 0, 30, 2, 0xc8);
	dma(f, DISK, true);
	assert_int_equal(ram[511], 0x5a);
	assert_int_equal(ram[0x1000], 21);
	prd(f, 0, 0xfff00000, 512, true);
	command(f, DISK, 0, 20, 1, 0xc8);
	rig_out(&f->r, BM + 4, 4, TABLE);
	out(f, BM, 9);
	assert_int_equal(status(f, DISK), 0x51);
	assert_int_equal(in(f, BM + 2) & 7, 6);
}

static void packet(struct fix *f, const uint8_t *cdb, unsigned limit, bool by_dma)
{
	out(f, CD + 6, 0xb0);
	out(f, CD + 1, by_dma);
	out(f, CD + 4, limit & 0xff);
	out(f, CD + 5, limit >> 8);
	out(f, CD + 7, 0xa0);
	assert_int_equal(status(f, CD), 0x58);
	assert_int_equal(in(f, CD + 2) & 3, 1);
	write_data(f, CD, cdb, 12);
}

static void packets_reach_the_drive(void **state)
{
	struct fix *f = *state;
	static const uint8_t ready[12] = { 0 }, sense[12] = { 0x03, [4] = 18 }, read[12] = { 0x28, [5] = 3, [8] = 40 };
	static uint8_t b[65536];
	unsigned got = 0;

	packet(f, ready, 0, false);
	assert_int_equal(status(f, CD), 0x51);
	assert_int_equal(in(f, CD + 1) >> 4, 6);
	packet(f, sense, 0xfffe, false);
	assert_int_equal(status(f, CD), 0x58);
	assert_int_equal(in(f, CD + 4), 18);
	read_data(f, CD, b, 18);
	assert_int_equal(b[12], 0x28);
	assert_int_equal(status(f, CD), 0x50);
	assert_int_equal(in(f, CD + 2) & 3, 3);
	/* Forty blocks: more than the controller fetches at once, in portions that the driver chose. */
	packet(f, read, 6144, false);
	while (status(f, CD) == 0x58) {
		unsigned n = in(f, CD + 4) | in(f, CD + 5) << 8;

		assert_true(n && n <= 6144);
		read_data(f, CD, b, n);
		for (unsigned i = 0; i < n; i += 512)
			assert_int_equal(b[i], (12 + (got + i) / 512) & 0xff);
		got += n;
	}
	assert_int_equal(got, 40 * 2048);
	prd(f, 0, DATA, 40960, false);
	prd(f, 1, DATA + 40960, 40960, true);
	packet(f, read, 0, true);
	dma(f, CD, true);
	assert_int_equal(status(f, CD), 0x50);
	assert_int_equal(((uint8_t *)gmem_at(f->r.vm->mem, DATA, 1))[0], 12);
	assert_int_equal(((uint8_t *)gmem_at(f->r.vm->mem, DATA + 81919, 1))[0], 171);
}

static void a_reset_ends_what_is_under_way(void **state)
{
	struct fix *f = *state;

	command(f, DISK, 0, 5, 100, 0x20);
	loop_once(f->r.loop, 0);
	out(f, DISK + CONTROL, 4);
	out(f, DISK + CONTROL, 0);
	for (unsigned n = 0; n < 20; n++)
		loop_once(f->r.loop, 1);
	assert_int_equal(in(f, DISK + 7), 0x50);
	assert_int_equal(in(f, DISK + 2), 1);
	command(f, DISK, 0, 5, 1, 0x20);
	assert_int_equal(status(f, DISK), 0x58);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;
	uint8_t b[512];

	command(f, DISK, 0, 5, 3, 0x20);
	assert_int_equal(status(f, DISK), 0x58);
	read_data(f, DISK, b, 256);
	rig_state_round_trip(&f->r, "ide0");
	read_data(f, DISK, b, 256);
	assert_int_equal(b[255], 5);
	assert_int_equal(status(f, DISK), 0x58);
	read_data(f, DISK, b, 512);
	assert_int_equal(b[0], 6);
}

/* What firmware does to find drives: nobody must look busy, nor like a disk. */
static void a_channel_without_drives_is_not_busy(void **state)
{
	struct fix *f = *state;

	for (unsigned device = 0; device <= SLAVE; device += SLAVE) {
		command(f, CD, (uint8_t)device, 0, 1, 0x90);
		assert_int_equal(in(f, CD + 7), 0);
		assert_int_equal(in(f, CD + CONTROL), 0);
		assert_int_equal(in(f, CD + 2), 0);
		assert_int_equal(in(f, CD + 3), 0);
		assert_int_equal(rig_in(&f->r, CD, 2), 0);
	}
	out(f, CD + CONTROL, 4);
	assert_int_equal(in(f, CD + 7), 0);
	out(f, CD + CONTROL, 0);
	assert_int_equal(in(f, CD + 7), 0);
	out(f, CD, 0x55);
	assert_false(f->irq[1].level);
	rig_state_round_trip(&f->r, "ide0");
	command(f, DISK, 0, 5, 1, 0x20);
	assert_int_equal(status(f, DISK), 0x58);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resets_show_who_is_there), TEST(identify_tells_the_size), TEST(pio_reads_and_writes),
		TEST(the_bus_master_moves_data), TEST(packets_reach_the_drive), TEST(a_reset_ends_what_is_under_way),
		TEST(its_state_survives),
		cmocka_unit_test_setup_teardown(a_channel_without_drives_is_not_busy, up_without_cd, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
