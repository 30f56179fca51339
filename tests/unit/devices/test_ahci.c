/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The AHCI controller by its registers: a disk on port 0, a CD-ROM drive on port 1, nothing on port 2. */
#include "rig.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/ahci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define ABAR UINT64_C(0xf0000000)
enum { DISK_SIZE = 1 << 20, CD_SIZE = 64 * 2048 };
enum { LIST = 0x1000, RECEIVED = 0x2000, TABLE = 0x4000, TABLE_STEP = 0x100, DATA = 0x10000, DATA_STEP = 0x1000 };
enum { CLB = 0x00, FB = 0x08, IS = 0x10, IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24, SSTS = 0x28, SCTL = 0x2c,
       SERR = 0x30, SACT = 0x34, CI = 0x38 };

struct fix {
	struct rig r;
	struct wire line[4];
	struct pci_bus *bus;
	char disk[32], cd[32];
};

static struct blk *image(struct fix *f, char *path, size_t size, bool cd)
{
	strcpy(path, "/tmp/panal-ahci-XXXXXX");
	int fd = mkstemp(path);
	uint8_t sector[512];
	struct blk *b;
	assert_true(fd >= 0);
	for (size_t n = 0; n < size / 512; n++) {
		memset(sector, (int)(n & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	struct blk_open o = {.path = path, .read_only = cd, .loop = f->r.loop, .engine = "threads"};
	assert_int_equal(blk_open(&b, &o, NULL), 0);
	return b;
}

static void config(struct fix *f, unsigned off, uint32_t v)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | 31 << 11 | 2 << 8 | off);
	rig_out(&f->r, 0xcfc, 4, v);
}

static uint32_t reg(struct fix *f, unsigned port, unsigned off)
{
	return (uint32_t)rig_load(&f->r, ABAR + 0x100 + port * 0x80 + off, 4);
}

static void set_reg(struct fix *f, unsigned port, unsigned off, uint32_t v)
{
	rig_store(&f->r, ABAR + 0x100 + port * 0x80 + off, 4, v);
}

static void start(struct fix *f, unsigned port)
{
	set_reg(f, port, CLB, LIST + port * 0x400);
	set_reg(f, port, FB, RECEIVED + port * 0x100);
	set_reg(f, port, IE, 0x7fffffff);
	set_reg(f, port, CMD, 0x11); /* FRE, ST */
	assert_int_equal(reg(f, port, CMD) & 0xc000, 0xc000);
}

static int up(void **state)
{
	static struct fix f;
	memset(&f, 0, sizeof(f));
	rig_up(&f.r, 0);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, 1 << 20, "ram", false, NULL), 0);
	struct pci_host_config hc = {.fixed_slots = 25};
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&f.line[n]);
	assert_int_equal(pci_host_create(f.r.vm, &hc, &f.bus, NULL), 0);
	struct ahci_config ac = {.bus = f.bus, .slot = 31, .function = 2};
	ac.port[0].present = ac.port[1].present = ac.port[1].cdrom = true;
	ac.port[0].blk = image(&f, f.disk, DISK_SIZE, false);
	ac.port[1].blk = image(&f, f.cd, CD_SIZE, true);
	assert_int_equal(ahci_create(f.r.vm, &ac, NULL), 0);
	struct dev *d = dev_find(f.r.vm, "ahci0");
	d->type->run_state(d->impl, true);
	config(&f, 0x24, (uint32_t)ABAR);
	config(&f, 0x04, 6);
	rig_store(&f.r, ABAR + 4, 4, 0x80000002);
	start(&f, 0);
	start(&f, 1);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	unlink(f->disk);
	unlink(f->cd);
	return 0;
}

struct cmd {
	uint8_t command, device, tag;
	uint16_t features, count;
	uint64_t lba;
	const uint8_t *packet;
	bool write;
	uint32_t bytes; /* of the data area, DATA + tag * DATA_STEP */
};

static void put_command(struct fix *f, unsigned port, const struct cmd *c)
{
	uint8_t header[32] = {0}, table[0x90] = {0x27, 0x80, c->command, (uint8_t)c->features};
	uint64_t at = TABLE + c->tag * TABLE_STEP + port * 0x2000;
	store_le32(header, 5 | (c->packet ? 1 << 5 : 0) | (c->write ? 1 << 6 : 0) | (c->bytes ? 1 << 16 : 0));
	store_le64(header + 8, at);
	for (unsigned n = 0; n < 3; n++) {
		table[4 + n] = (uint8_t)(c->lba >> (8 * n));
		table[8 + n] = (uint8_t)(c->lba >> (24 + 8 * n));
	}
	table[7] = c->device;
	table[11] = (uint8_t)(c->features >> 8);
	store_le16(table + 12, c->count);
	if (c->packet)
		memcpy(table + 0x40, c->packet, 12);
	store_le64(table + 0x80, DATA + c->tag * DATA_STEP);
	store_le32(table + 0x8c, c->bytes ? c->bytes - 1 : 0);
	assert_int_equal(gmem_write(f->r.vm->mem, at, table, sizeof(table)), 0);
	assert_int_equal(gmem_write(f->r.vm->mem, LIST + port * 0x400 + c->tag * 32, header, sizeof(header)), 0);
}

/* Rings and waits until the register has none of these bits. */
static void ring(struct fix *f, unsigned port, unsigned off, uint32_t bits)
{
	for (unsigned n = 0; n < 2000 && reg(f, port, off) & bits; n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, port, off) & bits, 0);
}

static void run(struct fix *f, unsigned port, const struct cmd *c)
{
	put_command(f, port, c);
	set_reg(f, port, CI, 1u << c->tag);
	ring(f, port, CI, 1u << c->tag);
}

static uint8_t *data(struct fix *f, unsigned tag) { return gmem_at(f->r.vm->mem, DATA + tag * DATA_STEP, DATA_STEP); }
static uint8_t *fis(struct fix *f, unsigned port, unsigned at)
{
	return gmem_at(f->r.vm->mem, RECEIVED + port * 0x100 + at, 32);
}

static void ports_show_who_is_there(void **state)
{
	struct fix *f = *state;
	assert_int_equal(rig_load(&f->r, ABAR + 0x0c, 4), 0x3f);
	assert_int_equal(reg(f, 0, SIG), 0x101);
	assert_int_equal(reg(f, 1, SIG), 0xeb140101);
	assert_int_equal(reg(f, 0, SSTS) & 15, 3);
	assert_int_equal(reg(f, 2, SSTS), 0);
	assert_int_equal(reg(f, 0, TFD) & 0x89, 0);
}

static void identify_tells_the_size(void **state)
{
	struct fix *f = *state;
	run(f, 0, &(struct cmd){.command = 0xec, .bytes = 512});
	uint8_t sum = 0, *w = data(f, 0);
	for (unsigned n = 0; n < 512; n++)
		sum += w[n];
	assert_int_equal(sum, 0);
	assert_int_equal(load_le32(w + 120), DISK_SIZE / 512);
	assert_int_equal(load_le64(w + 200), DISK_SIZE / 512);
	assert_int_equal(fis(f, 0, 0x20)[0], 0x5f); /* a PIO command ends with the setup FIS */
	assert_int_equal(reg(f, 0, IS) & 2, 2);
	assert_true(f->line[0].level);
	assert_int_equal(rig_load(&f->r, ABAR + 8, 4), 1);
	set_reg(f, 0, IS, 0xffffffff);
	assert_false(f->line[0].level);
	run(f, 1, &(struct cmd){.command = 0xa1, .bytes = 512});
	assert_int_equal(load_le16(w) & 0xff00, 0x8500);
}

static void dma_reads_and_writes(void **state)
{
	struct fix *f = *state;
	run(f, 0, &(struct cmd){.command = 0x25, .device = 0x40, .count = 2, .lba = 5, .bytes = 1024, .tag = 3});
	assert_int_equal(data(f, 3)[0], 5);
	assert_int_equal(data(f, 3)[1023], 6);
	assert_int_equal(load_le32(gmem_at(f->r.vm->mem, LIST + 3 * 32 + 4, 4)), 1024); /* PRDBC */
	assert_int_equal(fis(f, 0, 0x40)[0], 0x34);
	assert_int_equal(fis(f, 0, 0x40)[2], 0x50);
	memset(data(f, 0), 0xa5, 512);
	run(f, 0, &(struct cmd){.command = 0xca, .device = 0x40, .count = 1, .lba = 9, .bytes = 512, .write = true});
	run(f, 0, &(struct cmd){.command = 0xea, .device = 0x40});
	run(f, 0, &(struct cmd){.command = 0xc8, .device = 0x40, .count = 1, .lba = 9, .bytes = 512, .tag = 1});
	assert_int_equal(data(f, 1)[511], 0xa5);
}

static void queued_commands_end_by_set_device_bits(void **state)
{
	struct fix *f = *state;
	for (uint8_t tag = 0; tag < 32; tag++)
		put_command(f, 0, &(struct cmd){.command = 0x60, .device = 0x40, .features = 1,
						.count = (uint16_t)(tag << 3),
						.lba = 100u + tag, .bytes = 512, .tag = tag});
	set_reg(f, 0, SACT, 0xffffffff);
	set_reg(f, 0, CI, 0xffffffff);
	ring(f, 0, SACT, 0xffffffff);
	for (unsigned tag = 0; tag < 32; tag++)
		assert_int_equal(data(f, tag)[0], 100 + tag);
	assert_int_equal(fis(f, 0, 0x58)[0], 0xa1);
	assert_int_equal(reg(f, 0, IS) & 8, 8);
}

static void an_error_stops_the_port_until_it_is_restarted(void **state)
{
	struct fix *f = *state;
	put_command(f, 0, &(struct cmd){.command = 0x25, .device = 0x40, .count = 1, .lba = DISK_SIZE / 512,
					.bytes = 512});
	set_reg(f, 0, CI, 1);
	for (unsigned n = 0; n < 2000 && !(reg(f, 0, IS) >> 30 & 1); n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, 0, TFD), 0x1051); /* ID not found */
	assert_int_equal(reg(f, 0, CI), 1);
	set_reg(f, 0, CMD, 0x10);
	assert_int_equal(reg(f, 0, CMD) & 0x8001, 0);
	assert_int_equal(reg(f, 0, CI), 0);
	start(f, 0);
	run(f, 0, &(struct cmd){.command = 0x25, .device = 0x40, .count = 1, .lba = 7, .bytes = 512});
	assert_int_equal(data(f, 0)[0], 7);
}

static void memory_that_is_none_is_a_host_bus_error(void **state)
{
	struct fix *f = *state;
	uint8_t far[8];
	put_command(f, 0, &(struct cmd){.command = 0x25, .device = 0x40, .count = 1, .bytes = 512});
	store_le64(far, UINT64_C(1) << 40);
	assert_int_equal(gmem_write(f->r.vm->mem, TABLE + 0x80, far, 8), 0);
	set_reg(f, 0, CI, 1);
	for (unsigned n = 0; n < 100 && !(reg(f, 0, IS) >> 29 & 1); n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, 0, IS) >> 29 & 1, 1);
}

static void comreset_brings_the_signature_again(void **state)
{
	struct fix *f = *state;
	set_reg(f, 1, CMD, 0x10);
	set_reg(f, 1, SCTL, 1);
	assert_int_equal(reg(f, 1, SSTS) & 15, 1);
	set_reg(f, 1, SCTL, 0);
	assert_int_equal(reg(f, 1, SSTS) & 15, 3);
	assert_int_equal(reg(f, 1, SERR) >> 26 & 1, 1);
	assert_int_equal(reg(f, 1, IS) >> 6 & 1, 1);
	set_reg(f, 1, SERR, 0xffffffff);
	assert_int_equal(reg(f, 1, IS) >> 6 & 1, 0);
	assert_int_equal(reg(f, 1, SIG), 0xeb140101);
}

static void packets_reach_the_drive(void **state)
{
	struct fix *f = *state;
	static const uint8_t ready[12] = {0}, sense[12] = {0x03, [4] = 18}, inquiry[12] = {0x12, [4] = 36},
			     capacity[12] = {0x25}, read[12] = {0x28, [5] = 3, [8] = 2};
	put_command(f, 1, &(struct cmd){.command = 0xa0, .packet = ready});
	set_reg(f, 1, CI, 1);
	for (unsigned n = 0; n < 100 && !(reg(f, 1, IS) >> 30 & 1); n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, 1, TFD) >> 12, 6); /* unit attention: the medium is new */
	set_reg(f, 1, CMD, 0x10);
	start(f, 1);
	run(f, 1, &(struct cmd){.command = 0xa0, .features = 1, .packet = sense, .bytes = 18});
	assert_int_equal(data(f, 0)[2], 6);
	assert_int_equal(data(f, 0)[12], 0x28);
	run(f, 1, &(struct cmd){.command = 0xa0, .features = 1, .packet = inquiry, .bytes = 36});
	assert_int_equal(data(f, 0)[0], 5);
	run(f, 1, &(struct cmd){.command = 0xa0, .features = 1, .packet = capacity, .bytes = 8});
	assert_int_equal(load_be32(data(f, 0)), CD_SIZE / 2048 - 1);
	assert_int_equal(load_be32(data(f, 0) + 4), 2048);
	run(f, 1, &(struct cmd){.command = 0xa0, .features = 1, .packet = read, .bytes = 4096, .tag = 2});
	assert_int_equal(data(f, 2)[0], 12);
	assert_int_equal(data(f, 2)[4095], 19);
	/* SeaBIOS names 4 MiB of memory for what moves none, whether there are so many or not. */
	run(f, 1, &(struct cmd){.command = 0xa0, .packet = ready, .bytes = 4 << 20});
	assert_int_equal(reg(f, 1, IS) >> 29 & 1, 0);
	assert_int_equal(reg(f, 1, TFD) & 1, 0);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;
	run(f, 0, &(struct cmd){.command = 0xec, .bytes = 512});
	rig_state_round_trip(&f->r, "ahci0");
	assert_int_equal(reg(f, 0, CLB), LIST);
	run(f, 0, &(struct cmd){.command = 0x25, .device = 0x40, .count = 1, .lba = 7, .bytes = 512});
	assert_int_equal(data(f, 0)[0], 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_show_who_is_there), TEST(identify_tells_the_size), TEST(dma_reads_and_writes),
		TEST(queued_commands_end_by_set_device_bits), TEST(an_error_stops_the_port_until_it_is_restarted),
		TEST(memory_that_is_none_is_a_host_bus_error), TEST(comreset_brings_the_signature_again),
		TEST(packets_reach_the_drive), TEST(its_state_survives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
