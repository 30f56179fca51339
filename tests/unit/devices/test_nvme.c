/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NVMe controller by its registers and queues. */
#include "rig.h"

#include "base/bytes.h"
#include "block/block.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_host.h"
#include "devices/storage/nvme.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define BAR UINT64_C(0xf0000000)
enum { DISK_SIZE = 4 << 20, RAM = 4 << 20, ENTRIES = 16, SLOT = 3 };
enum { ASQ = 0x1000, ACQ = 0x2000, SQ = 0x3000, CQ = 0x4000, LIST = 0x5000, DATA = 0x10000, BIG = 0x100000 };
enum { INVALID_FIELD = 0x4002, INVALID_OPCODE = 0x4001 };

struct queue {
	unsigned tail, head;
	uint8_t phase;
};

struct fix {
	struct rig r;
	struct wire line[4];
	struct pci_bus *bus;
	char disk[32];
	struct queue q[2];
	uint16_t id;
	struct blk *blk;
	uint32_t result;
};

static struct blk *image(struct fix *f)
{
	uint8_t sector[512];
	struct blk *b;

	strcpy(f->disk, "/tmp/panal-nvme-XXXXXX");
	int fd = mkstemp(f->disk);

	assert_true(fd >= 0);
	for (unsigned n = 0; n < DISK_SIZE / 512; n++) {
		memset(sector, (int)(n & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	struct blk_open o = { .path = f->disk, .loop = f->r.loop, .engine = "threads" };

	assert_int_equal(blk_open(&b, &o, NULL), 0);
	return b;
}

static void config(struct fix *f, unsigned off, uint32_t v)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	rig_out(&f->r, 0xcfc, 4, v);
}

static uint32_t reg(struct fix *f, unsigned off)
{
	return (uint32_t)rig_load(&f->r, BAR + off, 4);
}

static void set_reg(struct fix *f, unsigned off, uint32_t v)
{
	rig_store(&f->r, BAR + off, 4, v);
}

static void *ram(struct fix *f, uint64_t at)
{
	return gmem_at(f->r.vm->mem, at, 64);
}

static void enable(struct fix *f)
{
	memset(f->q, 0, sizeof(f->q));
	memset(gmem_at(f->r.vm->mem, 0, 0x6000), 0, 0x6000);
	f->q[0].phase = f->q[1].phase = 1;
	set_reg(f, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	rig_store(&f->r, BAR + 0x28, 8, ASQ);
	rig_store(&f->r, BAR + 0x30, 8, ACQ);
	set_reg(f, 0x14, 0x460001);
	assert_int_equal(reg(f, 0x1c), 1);
}

struct cmd {
	uint8_t code;
	uint32_t nsid, d10, d11, d12;
	uint64_t prp1, prp2;
};

static void put(struct fix *f, unsigned q, const struct cmd *c)
{
	uint8_t e[64] = { c->code };

	store_le16(e + 2, ++f->id);
	store_le32(e + 4, c->nsid);
	store_le64(e + 24, c->prp1);
	store_le64(e + 32, c->prp2);
	store_le32(e + 40, c->d10);
	store_le32(e + 44, c->d11);
	store_le32(e + 48, c->d12);
	memcpy(ram(f, (q ? SQ : ASQ) + f->q[q].tail * 64), e, 64);
	f->q[q].tail = (f->q[q].tail + 1) % ENTRIES;
	set_reg(f, 0x1000 + q * 8, f->q[q].tail);
}

/* Waits for the next completion of the queue; gives its status. */
static uint16_t take(struct fix *f, unsigned q)
{
	uint8_t *e = ram(f, (q ? CQ : ACQ) + f->q[q].head * 16);

	for (unsigned n = 0; n < 2000 && (e[14] & 1) != f->q[q].phase; n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(e[14] & 1, f->q[q].phase);
	assert_int_equal(load_le16(e + 10), q);
	f->result = load_le32(e);
	f->q[q].head = (f->q[q].head + 1) % ENTRIES;
	f->q[q].phase ^= f->q[q].head == 0;
	set_reg(f, 0x1004 + q * 8, f->q[q].head);
	return load_le16(e + 14) >> 1;
}

static uint16_t run(struct fix *f, unsigned q, const struct cmd *c)
{
	put(f, q, c);
	return take(f, q);
}

static void make_queues(struct fix *f)
{
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 5, .d10 = (ENTRIES - 1) << 16 | 1, .d11 = 3,
						  .prp1 = CQ }), 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 1, .d10 = (ENTRIES - 1) << 16 | 1, .d11 = 1 << 16 | 1,
						  .prp1 = SQ }), 0);
}

static int up(void **state)
{
	static struct fix f;
	struct pci_host_config hc = { .fixed_slots = 25 };

	memset(&f, 0, sizeof(f));
	rig_up(&f.r, 0);
	assert_int_equal(gmem_add_ram(f.r.vm->mem, 0, RAM, "ram", false, NULL), 0);
	for (unsigned n = 0; n < 4; n++)
		hc.intx[n] = rig_wire(&f.line[n]);
	assert_int_equal(pci_host_create(f.r.vm, &hc, &f.bus, NULL), 0);
	struct nvme_config nc = { .bus = f.bus, .slot = SLOT, .blk = f.blk = image(&f), .serial = "S1" };

	assert_int_equal(nvme_create(f.r.vm, &nc, NULL), 0);
	struct dev *d = dev_find(f.r.vm, "nvme0");

	d->type->run_state(d->impl, true);
	config(&f, 0x10, (uint32_t)BAR);
	config(&f, 0x04, 6);
	enable(&f);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;

	rig_down(&f->r);
	unlink(f->disk);
	return 0;
}

static void it_says_what_it_is(void **state)
{
	struct fix *f = *state;

	assert_int_equal(reg(f, 8), 0x10400);
	assert_int_equal(rig_load(&f->r, BAR, 8) >> 37 & 1, 1);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .d10 = 1, .prp1 = DATA }), 0);
	assert_memory_equal((char *)ram(f, DATA + 4), "S1   ", 5);
	assert_int_equal(load_le32(ram(f, DATA + 516)), 1);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .nsid = 1, .prp1 = DATA }), 0);
	assert_int_equal(load_le64(ram(f, DATA)), DISK_SIZE / 512);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .nsid = 2, .prp1 = DATA }), 0x400b);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .d10 = 2, .prp1 = DATA }), 0);
	assert_int_equal(load_le64(ram(f, DATA)), 1);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .nsid = 1, .d10 = 3, .prp1 = DATA }), 0);
	assert_int_equal(*(uint8_t *)ram(f, DATA), 3);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 2, .d10 = 127 << 16 | 2, .prp1 = DATA }), 0);
	assert_int_equal(load_le16((uint8_t *)ram(f, DATA) + 1), 303);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 2, .d10 = 0x77, .prp1 = DATA }), 0x4109);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 0x55 }), INVALID_OPCODE);
}

static void features_are_kept(void **state)
{
	struct fix *f = *state;

	assert_int_equal(run(f, 0, &(struct cmd){ .code = 9, .d10 = 7, .d11 = 7 << 16 | 7 }), 0);
	assert_int_equal(f->result, 15 << 16 | 15);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 10, .d10 = 6 }), 0);
	assert_int_equal(f->result, 1);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 9, .d10 = 6 }), 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 10, .d10 = 6 }), 0);
	assert_int_equal(f->result, 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 10, .d10 = 0x99 }), INVALID_FIELD);
	make_queues(f);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 9, .d10 = 7 }), 0x400c);
}

static void it_reads_and_writes(void **state)
{
	struct fix *f = *state;

	make_queues(f);
	/* From the middle of a page into the next one. */
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = 5, .d12 = 7, .prp1 = DATA + 0x800,
						  .prp2 = DATA + 0x2000 }), 0);
	assert_int_equal(*(uint8_t *)ram(f, DATA + 0x800), 5);
	assert_int_equal(*(uint8_t *)ram(f, DATA + 0x2000), 9);
	assert_true(f->line[3].rises > 0);
	memset(ram(f, DATA), 0xa5, 512);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 1, .nsid = 1, .d10 = 9, .d12 = 1u << 30,
						  .prp1 = DATA }), 0);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 0, .nsid = 0xffffffff }), 0);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = 9, .prp1 = DATA + 0x3000 }), 0);
	assert_int_equal(*(uint8_t *)ram(f, DATA + 0x31c0), 0xa5);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = DISK_SIZE / 512,
						  .prp1 = DATA }), 0x4080);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = UINT32_MAX, .d11 = UINT32_MAX,
						  .prp1 = DATA }), 0x4080);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 7, .prp1 = DATA }), 0x400b);
}

static void lists_of_pages_may_go_on_elsewhere(void **state)
{
	struct fix *f = *state;
	enum { PAGES = 64 };
	uint64_t at = LIST + 0xff8 - 8 * 8;

	make_queues(f);
	/* Eight entries to the end of the list's page, then the link, then the others. */
	for (unsigned n = 1; n < PAGES; n++) {
		if ((at & 0xfff) == 0xff8) {
			store_le64(ram(f, at), LIST + 0x3000);
			at = LIST + 0x3000;
		}
		store_le64(gmem_at(f->r.vm->mem, at, 8), BIG + (uint64_t)(PAGES - n) * 0x1000);
		at += 8;
	}
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d12 = PAGES * 8 - 1, .prp1 = BIG,
						  .prp2 = LIST + 0xff8 - 8 * 8 }), 0);
	for (unsigned n = 1; n < PAGES; n++)
		assert_int_equal(*(uint8_t *)ram(f, BIG + (PAGES - n) * 0x1000), n * 8 & 0xff);
	/* An entry inside a page, a list that is not memory, and more than a command may move. */
	store_le64(ram(f, LIST), BIG + 8);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d12 = 31, .prp1 = BIG,
						  .prp2 = LIST }), 0x4013);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d12 = 31, .prp1 = BIG,
						  .prp2 = UINT64_C(1) << 40 }), 4);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d12 = 1024, .prp1 = BIG, .prp2 = LIST }),
			 INVALID_FIELD);
}

static void blocks_are_deallocated_and_zeroed(void **state)
{
	struct fix *f = *state;
	uint8_t *range = ram(f, DATA);

	make_queues(f);
	memset(range, 0, 32);
	store_le32(range + 4, 64);
	store_le64(range + 8, 128);
	store_le32(range + 16 + 4, 8);
	store_le64(range + 16 + 8, 1024);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 9, .nsid = 1, .d10 = 1, .d11 = 4, .prp1 = DATA }), 0);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 8, .nsid = 1, .d10 = 300, .d12 = 9 }), 0);
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = n ? 309 : 191, .d12 = 1,
							  .prp1 = DATA }), 0);
		assert_int_equal(*(uint8_t *)ram(f, DATA), 0);
		assert_int_equal(*(uint8_t *)ram(f, DATA + 512), n ? 310 & 0xff : 192);
	}
	store_le64(range + 8, DISK_SIZE / 512 - 1);
	store_le32(range + 4, 2);
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 9, .nsid = 1, .d11 = 4, .prp1 = DATA }), 0x4080);
}

static void queues_come_and_go(void **state)
{
	struct fix *f = *state;

	assert_int_equal(run(f, 0, &(struct cmd){ .code = 1, .d10 = 15 << 16 | 1, .d11 = 1 << 16 | 1, .prp1 = SQ }),
			 0x4100);
	make_queues(f);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 5, .d10 = 15 << 16 | 1, .d11 = 1, .prp1 = CQ }), 0x4101);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 5, .d10 = 2000 << 16 | 2, .d11 = 1, .prp1 = CQ }), 0x4102);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 4, .d10 = 1 }), 0x410c);
	/* The reads end before their queue's deletion does. */
	for (unsigned n = 0; n < 8; n++)
		put(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = n, .prp1 = DATA });
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 0, .d10 = 1 }), 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 4, .d10 = 1 }), 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 0, .d10 = 1 }), 0x4101);
	make_queues(f);
}

/* More commands than completions fit: they wait until the driver has taken some. */
static void completions_wait_for_room(void **state)
{
	struct fix *f = *state;

	assert_int_equal(run(f, 0, &(struct cmd){ .code = 5, .d10 = 1 << 16 | 1, .d11 = 3, .prp1 = CQ }), 0);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 1, .d10 = (ENTRIES - 1) << 16 | 1, .d11 = 1 << 16 | 1,
						  .prp1 = SQ }), 0);
	for (unsigned n = 0; n < 3; n++)
		put(f, 1, &(struct cmd){ .code = 0, .nsid = 1 });
	for (unsigned n = 0; n < 3; n++) {
		uint8_t *e = ram(f, CQ + n % 2 * 16);

		for (unsigned i = 0; i < 2000 && load_le16(e + 12) != f->id - 2 + n; i++)
			loop_once(f->r.loop, 5);
		assert_int_equal(load_le16(e + 12), f->id - 2 + n);
		for (unsigned i = 0; i < 3; i++)
			loop_once(f->r.loop, 1);
		assert_int_equal(load_le16(e + 8), n + 1); /* nothing more was taken */
		set_reg(f, 0x100c, (n + 1) % 2);
	}
}

static void events_stay_pending(void **state)
{
	struct fix *f = *state;

	for (unsigned n = 0; n < 4; n++)
		put(f, 0, &(struct cmd){ .code = 12 });
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 12 }), 0x4105);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 8, .d10 = 1 << 16 }), 0);
	assert_int_equal(f->result, 1);
}

/* Told once by an event, until the log was read; the namespace has the new size. */
static void another_size_is_told(void **state)
{
	struct fix *f = *state;
	const struct cmd log = { .code = 2, .d10 = 1023 << 16 | 4, .prp1 = DATA };

	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .d10 = 1, .prp1 = DATA }), 0);
	assert_int_equal(load_le32(ram(f, DATA + 92)), 1 << 8);
	put(f, 0, &(struct cmd){ .code = 12 });
	put(f, 0, &(struct cmd){ .code = 12 });
	assert_int_equal(blk_resize(f->blk, 2 * DISK_SIZE, NULL), 0); /* nobody wants to know as yet */
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 10, .d10 = 11 }), 0);
	assert_int_equal(f->result, 0);
	put(f, 0, &(struct cmd){ .code = 9, .d10 = 11, .d11 = 1 << 8 });
	assert_int_equal(take(f, 0), 0);
	assert_int_equal(f->result, 0x040002);
	assert_int_equal(take(f, 0), 0);
	rig_state_round_trip(&f->r, "nvme0");
	assert_int_equal(blk_resize(f->blk, DISK_SIZE, NULL), 0); /* the log was not read: no second event */
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 2, .d10 = 1023 << 16 | 1 << 15 | 4, .prp1 = DATA }), 0);
	assert_int_equal(load_le32(ram(f, DATA)), 1);
	assert_int_equal(run(f, 0, &log), 0);
	assert_int_equal(load_le32(ram(f, DATA)), 1);
	assert_int_equal(run(f, 0, &log), 0);
	assert_int_equal(load_le32(ram(f, DATA)), 0);
	assert_int_equal(blk_resize(f->blk, 2 * DISK_SIZE, NULL), 0);
	assert_int_equal(take(f, 0), 0);
	assert_int_equal(f->result, 0x040002);
	assert_int_equal(run(f, 0, &(struct cmd){ .code = 6, .nsid = 1, .prp1 = DATA }), 0);
	assert_int_equal(load_le64(ram(f, DATA)), 2 * DISK_SIZE / 512);
}

static void it_shuts_down_and_starts_again(void **state)
{
	struct fix *f = *state;

	make_queues(f);
	set_reg(f, 0x14, 0x464001);
	for (unsigned n = 0; n < 2000 && (reg(f, 0x1c) & 12) != 8; n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, 0x1c), 9);
	set_reg(f, 0x14, 0);
	assert_int_equal(reg(f, 0x1c), 0);
	enable(f);
	make_queues(f);
	/* Disabled with a command under way, it is ready until that has ended, and says nothing of it. */
	put(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .prp1 = DATA });
	loop_once(f->r.loop, 0);
	set_reg(f, 0x14, 0);
	for (unsigned n = 0; n < 2000 && reg(f, 0x1c); n++)
		loop_once(f->r.loop, 5);
	assert_int_equal(reg(f, 0x1c), 0);
	assert_int_equal(load_le32((uint8_t *)ram(f, CQ) + 12), 0);
	set_reg(f, 0x24, 0);
	set_reg(f, 0x14, 0x460001);
	assert_int_equal(reg(f, 0x1c), 2); /* queues of one entry */
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;

	make_queues(f);
	put(f, 0, &(struct cmd){ .code = 12 });
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .prp1 = DATA }), 0);
	rig_state_round_trip(&f->r, "nvme0");
	assert_int_equal(run(f, 1, &(struct cmd){ .code = 2, .nsid = 1, .d10 = 7, .prp1 = DATA }), 0);
	assert_int_equal(*(uint8_t *)ram(f, DATA), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_it_is), TEST(features_are_kept), TEST(it_reads_and_writes),
		TEST(lists_of_pages_may_go_on_elsewhere), TEST(blocks_are_deallocated_and_zeroed),
		TEST(queues_come_and_go), TEST(completions_wait_for_room), TEST(events_stay_pending),
		TEST(another_size_is_told),
		TEST(it_shuts_down_and_starts_again), TEST(its_state_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
