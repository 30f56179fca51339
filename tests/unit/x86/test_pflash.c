/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#include "base/fd.h"
#include "devices/legacy/pflash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define AT UINT64_C(0xffc00000)
enum { SIZE = 4 * PFLASH_BLOCK };

struct fix {
	struct rig r;
	int fd; /* a second descriptor of the same file */
};

static int up(void **state)
{
	static struct fix f;
	rig_up(&f.r, 0);
	struct pflash_config cfg = {.addr = AT, .size = SIZE, .fd = fd_memfd("flash", SIZE, NULL)};
	f.fd = dup(cfg.fd);
	assert_int_equal(pwrite(f.fd, "\x12\x34\x56\x78", 4, 0), 4);
	assert_int_equal(pflash_create(f.r.vm, &cfg, NULL), 0);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	rig_down(&f->r);
	close(f->fd);
	return 0;
}

static uint64_t get(struct fix *f, unsigned off, unsigned width) { return rig_load(&f->r, AT + off, width); }
static void put(struct fix *f, unsigned off, uint8_t v) { rig_store(&f->r, AT + off, 1, v); }

static void array_reads_as_memory(void **state)
{
	struct fix *f = *state;
	assert_int_equal(get(f, 0, 4), 0x78563412);
	assert_int_equal(get(f, 1, 2), 0x5634);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0, 1), 0x12); /* a command is no data */
}

/* What UEFI's driver does to tell flash from RAM and ROM. */
static void firmware_recognises_it(void **state)
{
	struct fix *f = *state;
	put(f, 0, 0x50);
	assert_int_equal(get(f, 0, 1), 0x12);
	put(f, 0, 0x70);
	assert_int_equal(get(f, 0, 1), 0);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0, 1), 0x12);
}

static void programming_clears_bits_and_erasing_sets_them(void **state)
{
	struct fix *f = *state;
	uint8_t byte;
	put(f, 0, 0x10);
	put(f, 0, 0xf0);
	assert_int_equal(get(f, 0, 1), 0x80); /* status: ready */
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0, 1), 0x10);
	put(f, PFLASH_BLOCK, 0x40);
	put(f, PFLASH_BLOCK, 0xaa); /* of 0 */
	put(f, 0, 0xff);
	assert_int_equal(get(f, PFLASH_BLOCK, 1), 0);
	put(f, 5, 0x20);
	put(f, 5, 0xd0);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0, 8), UINT64_MAX);
	assert_int_equal(get(f, PFLASH_BLOCK - 1, 1), 0xff);
	assert_int_equal(get(f, PFLASH_BLOCK, 1), 0);
	assert_int_equal(pread(f->fd, &byte, 1, 100), 1); /* and it is in the file */
	assert_int_equal(byte, 0xff);
}

static void an_erase_without_confirmation_is_an_error(void **state)
{
	struct fix *f = *state;
	put(f, 0, 0x20);
	put(f, 0, 0x77);
	assert_int_equal(get(f, 0, 1), 0xb0);
	put(f, 0, 0x50);
	assert_int_equal(get(f, 0, 4), 0x78563412);
}

static void cfi_tells_the_geometry(void **state)
{
	struct fix *f = *state;
	put(f, 0x55, 0x98);
	assert_int_equal(get(f, 0x10, 1), 'Q');
	assert_int_equal(get(f, 0x11, 2), 'R' | 'Y' << 8);
	assert_int_equal(get(f, 0x13, 2), 1);
	assert_int_equal(1 << get(f, 0x27, 1), SIZE);
	assert_int_equal(get(f, 0x2d, 2) + 1, 4);
	assert_int_equal(get(f, 0x2f, 2) * 256, PFLASH_BLOCK);
	put(f, 0, 0x90);
	assert_int_equal(get(f, 0, 1), 0x89);
}

static void its_state_survives(void **state)
{
	struct fix *f = *state;
	put(f, 0, 0x70);
	rig_state_round_trip(&f->r, "pflash0");
	assert_int_equal(get(f, 0, 1), 0);
	rig_reset(&f->r, "pflash0");
	assert_int_equal(get(f, 0, 1), 0x12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(array_reads_as_memory), TEST(firmware_recognises_it),
		TEST(programming_clears_bits_and_erasing_sets_them), TEST(an_erase_without_confirmation_is_an_error),
		TEST(cfi_tells_the_geometry), TEST(its_state_survives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
