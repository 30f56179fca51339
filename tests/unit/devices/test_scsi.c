/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SCSI host with a disk as target 0 and a CD-ROM drive as target 1. */
#include "vdriver.h"

#include "base/bytes.h"
#include "block/block.h"
#include "devices/virtio/scsi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { DISK = 1 << 20, CD = 64 * 2048, REQUEST = 51, RESPONSE = 108 };

struct fix {
	struct vd d;
	char disk[32], cd[32];
	uint64_t request, response, data;
	uint8_t answer[RESPONSE];
	struct blk *blk;
};

static struct blk *image(struct fix *f, char *path, size_t size, bool cd)
{
	uint8_t sector[512];
	struct blk *b;

	strcpy(path, "/tmp/panal-scsi-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t n = 0; n < size / 512; n++) {
		memset(sector, (int)(n & 0xff), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	}
	close(fd);
	struct blk_open o = { .path = path, .read_only = cd, .loop = f->d.rig.loop, .engine = "threads" };

	assert_int_equal(blk_open(&b, &o, NULL), 0);
	return b;
}

static int up(void **state)
{
	static struct fix f;
	struct virtio_scsi_config cfg = { .target_count = 3 }; /* nothing is at 2 */

	memset(&f, 0, sizeof(f));
	vd_up(&f.d, false);
	cfg.place = vd_place(&f.d);
	cfg.place.id = "scsi0";
	cfg.target[0].blk = f.blk = image(&f, f.disk, DISK, false);
	cfg.target[0].serial = "S1";
	cfg.target[1].blk = image(&f, f.cd, CD, true);
	cfg.target[1].cdrom = true;
	assert_int_equal(virtio_scsi_create(f.d.rig.vm, &cfg, NULL), 0);
	vd_find(&f.d);
	vd_start(&f.d, 0, 3);
	f.request = vd_alloc(&f.d, 64);
	f.response = vd_alloc(&f.d, RESPONSE);
	f.data = vd_alloc(&f.d, 65536);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;

	vd_down(&f->d);
	unlink(f->disk);
	unlink(f->cd);
	return 0;
}

/* One command; gives its SCSI status, or 0x100 and the response code. len is that of its data. */
static int run(struct fix *f, uint8_t target, const uint8_t *cdb, uint32_t len, bool write)
{
	uint8_t h[REQUEST] = { 1, target, 0x40 };
	struct vd_buf b[3] = { { f->request, REQUEST, false }, { f->response, RESPONSE, true },
			       { f->data, len, true } };

	memcpy(h + 19, cdb, 16);
	vd_put(&f->d, f->request, h, sizeof(h));
	memset(f->answer, 0xee, sizeof(f->answer));
	vd_put(&f->d, f->response, f->answer, RESPONSE);
	if (write) {
		b[2] = b[1];
		b[1] = (struct vd_buf){ f->data, len, false };
	}
	vd_offer(&f->d, 2, 0, b, len ? 3 : 2);
	assert_int_equal(vd_take(&f->d, 2, NULL), 0);
	vd_get(&f->d, f->response, f->answer, RESPONSE);
	return f->answer[11] ? 0x100 | f->answer[11] : f->answer[10];
}

static uint8_t *data(struct fix *f)
{
	return gmem_at(f->d.rig.vm->mem, f->data, 65536);
}

/* The unit attention after the start. */
static void attention(struct fix *f, uint8_t target)
{
	static const uint8_t ready[16] = { 0 };

	assert_int_equal(run(f, target, ready, 0, false), 2);
	assert_int_equal(load_le32(f->answer), 18);
	assert_int_equal(f->answer[12 + 2], 6);
	assert_int_equal(run(f, target, ready, 0, false), 0);
}

static void units_say_what_they_are(void **state)
{
	struct fix *f = *state;
	static const uint8_t inquiry[16] = { 0x12, [4] = 36 }, serial[16] = { 0x12, 1, 0x80, [4] = 64 },
			     limits[16] = { 0x12, 1, 0xb0, [4] = 64 }, thin[16] = { 0x12, 1, 0xb2, [4] = 64 },
			     luns[16] = { 0xa0, [9] = 64 };

	assert_int_equal(run(f, 0, inquiry, 36, false), 0);
	assert_int_equal(data(f)[0], 0);
	assert_memory_equal(data(f) + 8, "PANAL", 5);
	assert_int_equal(run(f, 1, inquiry, 36, false), 0);
	assert_int_equal(data(f)[0], 5);
	assert_int_equal(run(f, 2, inquiry, 36, false), 0x103);
	attention(f, 0);
	assert_int_equal(run(f, 0, serial, 64, false), 0);
	assert_memory_equal(data(f) + 4, "S1", 2);
	assert_int_equal(load_le32(f->answer + 4), 64 - 6); /* what was left over */
	assert_int_equal(run(f, 0, limits, 64, false), 0);
	assert_int_equal(load_be32(data(f) + 24), 1);
	assert_int_equal(run(f, 0, thin, 64, false), 0);
	assert_int_equal(data(f)[5], 0xe0);
	assert_int_equal(run(f, 0, luns, 64, false), 0);
	assert_int_equal(load_be32(data(f)), 8);
}

static void the_disk_reads_and_writes(void **state)
{
	struct fix *f = *state;
	uint8_t cdb[16] = { 0x28, [5] = 7, [8] = 3 };

	attention(f, 0);
	assert_int_equal(run(f, 0, cdb, 1536, false), 0);
	assert_int_equal(data(f)[0], 7);
	assert_int_equal(data(f)[1535], 9);
	memset(data(f), 0xa5, 1024);
	memcpy(cdb, (uint8_t[16]){ 0x8a, [9] = 20, [13] = 2 }, 16);
	assert_int_equal(run(f, 0, cdb, 1024, true), 0);
	memcpy(cdb, (uint8_t[16]){ 0x35 }, 16);
	assert_int_equal(run(f, 0, cdb, 0, false), 0);
	memcpy(cdb, (uint8_t[16]){ 0x88, [9] = 21, [13] = 2 }, 16);
	assert_int_equal(run(f, 0, cdb, 1024, false), 0);
	assert_int_equal(data(f)[511], 0xa5);
	assert_int_equal(data(f)[512], 22);
	memcpy(cdb, (uint8_t[16]){ 0x88, [2] = 0xff, [13] = 2 }, 16);
	assert_int_equal(run(f, 0, cdb, 1024, false), 2);
	assert_int_equal(f->answer[12 + 12], 0x21);
	memcpy(cdb, (uint8_t[16]){ 0x99 }, 16);
	assert_int_equal(run(f, 0, cdb, 0, false), 2);
	assert_int_equal(f->answer[12 + 12], 0x20);
}

static void blocks_are_unmapped_and_zeroed(void **state)
{
	struct fix *f = *state;
	uint8_t cdb[16] = { 0x42, [8] = 24 }, *list = data(f);

	attention(f, 0);
	memset(list, 0, 24);
	store_be16(list, 22);
	store_be16(list + 2, 16);
	store_be64(list + 8, 64);
	store_be32(list + 16, 16);
	assert_int_equal(run(f, 0, cdb, 24, true), 0);
	store_be64(list + 8, DISK / 512);
	assert_int_equal(run(f, 0, cdb, 24, true), 2);
	memset(list, 0, 512);
	memcpy(cdb, (uint8_t[16]){ 0x93, [9] = 100, [13] = 8 }, 16);
	assert_int_equal(run(f, 0, cdb, 512, true), 0);
	list[7] = 1;
	assert_int_equal(run(f, 0, cdb, 512, true), 2);
	memcpy(cdb, (uint8_t[16]){ 0x28, [5] = 79, [8] = 30 }, 16);
	assert_int_equal(run(f, 0, cdb, 30 * 512, false), 0);
	assert_int_equal(data(f)[0], 0);
	assert_int_equal(data(f)[512], 80);
	assert_int_equal(data(f)[21 * 512], 0);
	assert_int_equal(data(f)[29 * 512], 108);
}

static void the_cd_takes_one_command_after_the_other(void **state)
{
	struct fix *f = *state;
	uint8_t h[REQUEST] = { 1, 1, [19] = 0x28, [24] = 2, [27] = 1 };

	attention(f, 1);
	vd_put(&f->d, f->request, h, sizeof(h));
	for (uint16_t n = 0; n < 4; n++) {
		uint64_t response = vd_alloc(&f->d, RESPONSE);
		struct vd_buf b[3] = { { f->request, REQUEST, false }, { response, RESPONSE, true },
				       { f->data + n * 2048u, 2048, true } };

		vd_offer(&f->d, 2, (uint16_t)(n * 3), b, 3);
	}
	for (unsigned n = 0; n < 4; n++)
		assert_true(vd_take(&f->d, 2, NULL) >= 0);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(data(f)[n * 2048 + 2047], 11);
}

static void tasks_are_managed(void **state)
{
	struct fix *f = *state;
	uint8_t h[24] = { [4] = 5, [8] = 1 }, answer[5] = { 0xee };
	struct vd_buf b[2] = { { f->request, 24, false }, { f->response, 5, true } };

	attention(f, 0);
	vd_put(&f->d, f->request, h, sizeof(h));
	vd_offer(&f->d, 0, 0, b, 2);
	assert_int_equal(vd_take(&f->d, 0, NULL), 0);
	vd_get(&f->d, f->response, answer, 5);
	assert_int_equal(answer[0], 0);
	attention(f, 0); /* the unit was reset */
}

static void another_size_is_told(void **state)
{
	struct fix *f = *state;
	static const uint8_t capacity[16] = { 0x25 }, want[16] = { 3, [4] = 1, [12] = 0x2a, 0x09 };
	uint8_t event[16] = { 0 };
	uint32_t len;

	attention(f, 0);
	assert_int_equal(blk_resize(f->blk, 2 * DISK, NULL), 0);
	assert_int_equal(run(f, 0, capacity, 8, false), 2);
	assert_int_equal(f->answer[12 + 2], 6);
	assert_int_equal(f->answer[12 + 12], 0x2a);
	assert_int_equal(f->answer[12 + 13], 0x09);
	assert_int_equal(run(f, 0, capacity, 8, false), 0);
	assert_int_equal(load_be32(data(f)), 2 * DISK / 512 - 1);
	/* with events: at once where there is a buffer, else when there is one */
	assert_int_equal(vd_features(&f->d) & 4, 4);
	vd_start(&f->d, 4, 3);
	vd_offer(&f->d, 1, 0, (struct vd_buf[]){ { f->response, 16, true } }, 1);
	assert_int_equal(vd_take_now(&f->d, 1, NULL), -1);
	assert_int_equal(blk_resize(f->blk, DISK, NULL), 0);
	assert_int_equal(vd_take(&f->d, 1, &len), 0);
	assert_int_equal(len, 16);
	vd_get(&f->d, f->response, event, 16);
	assert_memory_equal(event, want, 16);
	assert_int_equal(blk_resize(f->blk, 2 * DISK, NULL), 0);
	rig_state_round_trip(&f->d.rig, "scsi0");
	vd_offer(&f->d, 1, 0, (struct vd_buf[]){ { f->response, 16, true } }, 1);
	assert_int_equal(vd_take(&f->d, 1, &len), 0);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;
	uint8_t cdb[16] = { 0x28, [5] = 7, [8] = 1 };

	attention(f, 0);
	rig_state_round_trip(&f->d.rig, "scsi0");
	assert_int_equal(run(f, 0, cdb, 512, false), 0);
	assert_int_equal(data(f)[0], 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(units_say_what_they_are), TEST(the_disk_reads_and_writes), TEST(blocks_are_unmapped_and_zeroed),
		TEST(the_cd_takes_one_command_after_the_other), TEST(tasks_are_managed), TEST(another_size_is_told),
		TEST(its_state_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
