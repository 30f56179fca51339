/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block device with a real image behind it. */
#include "vdriver.h"

#include "base/bytes.h"
#include "block/block.h"
#include "devices/virtio/blk.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISK = 1 << 20, F_FLUSH = 1 << 9, F_WCE = 1 << 11, F_DISCARD = 1 << 13, F_ZEROES = 1 << 14 };

struct disk {
	struct vd d;
	char path[64];
	struct loop_thread *io;
	struct blk *blk;
	uint64_t header, data, status;
};

static void disk_up(struct disk *k, bool mmio, bool own_thread, bool read_only)
{
	strcpy(k->path, "/tmp/panal-vblk-XXXXXX");
	int fd = mkstemp(k->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK), 0);
	close(fd);
	vd_up(&k->d, mmio);
	k->io = NULL;
	if (own_thread)
		assert_int_equal(loop_thread_start(&k->io, "io-test", NULL), 0);
	struct blk_open o = {.path = k->path, .read_only = read_only,
			     .loop = own_thread ? loop_thread_loop(k->io) : k->d.rig.loop};
	struct virtio_blk_config cfg = {.place = vd_place(&k->d), .queues = 2, .serial = "serial-1"};
	cfg.place.id = "disk0";
	assert_int_equal(blk_open(&cfg.blk, &o, NULL), 0);
	k->blk = cfg.blk;
	assert_int_equal(virtio_blk_create(k->d.rig.vm, &cfg, NULL), 0);
	vd_find(&k->d);
	vd_start(&k->d, vd_features(&k->d) & ((1 << 15) - 1), 2);
	k->header = vd_alloc(&k->d, 64);
	k->data = vd_alloc(&k->d, 65536);
	k->status = vd_alloc(&k->d, 16);
}

static void disk_down(struct disk *k)
{
	struct loop *main_loop = k->d.rig.loop;
	vm_destroy(k->d.rig.vm);
	loop_thread_stop(k->io);
	timerq_destroy(k->d.rig.timers);
	loop_destroy(main_loop);
	unlink(k->path);
}

static void offer(struct disk *k, unsigned q, uint32_t type, uint64_t sector, uint32_t len, bool write)
{
	uint8_t h[16] = {0}, s = 0xee;
	store_le32(h, type);
	store_le64(h + 8, sector);
	vd_put(&k->d, k->header, h, 16);
	vd_put(&k->d, k->status, &s, 1);
	struct vd_buf b[3] = {{k->header, 16, false}, {k->data, len, write}, {k->status, 1, true}};
	if (!len)
		b[1] = b[2];
	vd_offer(&k->d, q, 0, b, len ? 3 : 2);
}

static int request(struct disk *k, uint32_t type, uint64_t sector, uint32_t len, bool write)
{
	uint8_t s;
	offer(k, 1, type, sector, len, write);
	assert_int_equal(vd_take(&k->d, 1, NULL), 0);
	vd_get(&k->d, k->status, &s, 1);
	return s;
}

static void works(bool mmio, bool own_thread)
{
	struct disk k;
	uint8_t b[8192], c[8192];
	disk_up(&k, mmio, own_thread, false);
	assert_int_equal(rig_load(&k.d.rig, k.d.device, 4), DISK / 512);
	assert_int_equal(rig_load(&k.d.rig, k.d.device + 34, 2), 2);
	memset(b, 0xa5, sizeof(b));
	vd_put(&k.d, k.data, b, sizeof(b));
	assert_int_equal(request(&k, 1, 8, 8192, false), 0);
	assert_int_equal(request(&k, 4, 0, 0, false), 0);
	memset(c, 0, sizeof(c));
	vd_put(&k.d, k.data, c, sizeof(c));
	assert_int_equal(request(&k, 0, 8, 8192, true), 0);
	vd_get(&k.d, k.data, c, sizeof(c));
	assert_memory_equal(b, c, sizeof(b));
	/* The file has it. */
	int fd = open(k.path, O_RDONLY);
	assert_int_equal(pread(fd, c, 8192, 4096), 8192);
	assert_memory_equal(b, c, sizeof(b));
	/* Discard and write zeroes. */
	uint8_t range[16] = {0};
	store_le64(range, 8);
	store_le32(range + 8, 8);
	vd_put(&k.d, k.data, range, 16);
	assert_int_equal(request(&k, 11, 0, 16, false), 0);
	store_le64(range, 16);
	store_le32(range + 8, 2);
	vd_put(&k.d, k.data, range, 16);
	assert_int_equal(request(&k, 13, 0, 16, false), 0);
	assert_int_equal(pread(fd, c, 8192, 4096), 8192);
	assert_int_equal(c[0] | c[4095] | c[4096] | c[5119], 0);
	assert_int_equal(c[5120], 0xa5);
	close(fd);
	/* Identity. */
	assert_int_equal(request(&k, 8, 0, 20, true), 0);
	vd_get(&k.d, k.data, c, 20);
	assert_string_equal(c, "serial-1");
	/* Outside the disk, odd length, unknown type, unknown flags. */
	assert_int_equal(request(&k, 0, DISK / 512, 512, true), 1);
	assert_int_equal(request(&k, 0, UINT64_MAX / 512, 512, true), 1);
	assert_int_equal(request(&k, 0, UINT64_MAX, 512, true), 1);
	assert_int_equal(request(&k, 0, 0, 513, true), 1);
	assert_int_equal(request(&k, 99, 0, 512, true), 2);
	store_le32(range + 12, 2);
	vd_put(&k.d, k.data, range, 16);
	assert_int_equal(request(&k, 13, 0, 16, false), 2);
	store_le32(range + 12, 0);
	store_le32(range + 8, UINT32_MAX);
	vd_put(&k.d, k.data, range, 16);
	assert_int_equal(request(&k, 13, 0, 16, false), 1);
	disk_down(&k);
}

static void test_pci(void **state) { works(false, false); }
static void test_mmio(void **state) { works(true, false); }
static void test_own_thread(void **state) { works(false, true); }

static void test_read_only(void **state)
{
	struct disk k;
	disk_up(&k, false, false, true);
	assert_true(vd_features(&k.d) & 1 << 5);
	assert_false(vd_features(&k.d) & (F_DISCARD | F_ZEROES));
	assert_int_equal(request(&k, 0, 0, 512, true), 0);
	assert_int_equal(request(&k, 1, 0, 512, false), 1);
	disk_down(&k);
}

static void test_resized(void **state)
{
	struct disk k;
	disk_up(&k, true, false, false);
	assert_int_equal(request(&k, 1, DISK / 512, 512, false), 1);
	uint32_t before = rig_load(&k.d.rig, k.d.device - 0x100 + 0xfc, 4);
	assert_int_equal(blk_resize(k.blk, 2 * DISK, NULL), 0);
	assert_int_equal(rig_load(&k.d.rig, k.d.device, 4), 2 * DISK / 512);
	assert_int_not_equal(rig_load(&k.d.rig, k.d.device - 0x100 + 0xfc, 4), before);
	assert_int_equal(request(&k, 1, DISK / 512, 512, false), 0);
	assert_int_equal(blk_resize(k.blk, DISK, NULL), 0);
	assert_int_equal(request(&k, 1, DISK / 512, 512, false), 1);
	assert_int_equal(blk_resize(k.blk, DISK + 1, NULL), -EINVAL);
	disk_down(&k);
}

static void test_no_status(void **state)
{
	struct disk k;
	disk_up(&k, false, false, false);
	vd_offer(&k.d, 0, 0, (struct vd_buf[]){{k.header, 16, false}}, 1);
	vd_run(&k.d);
	assert_true(vd_status(&k.d) & VIRTIO_NEEDS_RESET);
	vd_start(&k.d, F_FLUSH, 2);
	assert_int_equal(request(&k, 0, 0, 512, true), 0);
	disk_down(&k);
}

/* A reset with requests under way ends when they do; a pause waits for them. */
static void test_reset_under_way(void **state)
{
	struct disk k;
	disk_up(&k, false, false, false);
	for (unsigned i = 0; i < 20; i++) {
		offer(&k, 0, 1, i, 512, false);
		loop_once(k.d.rig.loop, 0);
		vd_start(&k.d, F_FLUSH, 2);
	}
	assert_int_equal(request(&k, 0, 0, 512, true), 0);
	offer(&k, 0, 1, 0, 512, false);
	loop_once(k.d.rig.loop, 0);
	vm_pause(k.d.rig.vm);
	uint16_t idx;
	vd_get(&k.d, k.d.q[0].used + 2, &idx, 2);
	assert_int_equal(idx, 1);
	vm_resume(k.d.rig.vm);
	disk_down(&k);
}

static void test_write_cache(void **state)
{
	struct disk k;
	disk_up(&k, false, false, false);
	assert_int_equal(rig_load(&k.d.rig, k.d.device + 32, 1), 1);
	rig_store(&k.d.rig, k.d.device + 32, 1, 0);
	assert_int_equal(rig_load(&k.d.rig, k.d.device + 32, 1), 0);
	assert_int_equal(request(&k, 1, 0, 512, false), 0);
	/* Nothing else can be written. */
	rig_store(&k.d.rig, k.d.device, 4, 77);
	assert_int_equal(rig_load(&k.d.rig, k.d.device, 4), DISK / 512);
	assert_int_equal(rig_load(&k.d.rig, k.d.device + 32, 1), 0);
	disk_down(&k);
}

static void test_saved(void **state)
{
	struct disk k;
	disk_up(&k, false, false, false);
	assert_int_equal(request(&k, 0, 0, 512, true), 0);
	vm_pause(k.d.rig.vm);
	rig_state_round_trip(&k.d.rig, "disk0");
	vm_resume(k.d.rig.vm);
	assert_int_equal(request(&k, 0, 0, 512, true), 0);
	disk_down(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci),         cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_own_thread),  cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_resized),
		cmocka_unit_test(test_no_status),   cmocka_unit_test(test_reset_under_way),
		cmocka_unit_test(test_write_cache), cmocka_unit_test(test_saved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
