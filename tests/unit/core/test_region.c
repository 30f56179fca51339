/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/fd.h"
#include "core/region.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A part of 16 bytes that remembers how it was asked. */
struct part {
	uint8_t byte[16];
	int reads, writes;
	unsigned width[16];
	struct region_map *map;
	struct region_handle *self;
};

static uint64_t part_read(void *opaque, uint64_t off, unsigned width)
{
	struct part *p = opaque;
	uint64_t v = 0;

	p->width[p->reads++ % 16] = width;
	assert_true(off + width <= 16);
	memcpy(&v, p->byte + off, width);
	return v | ~width_mask(width); /* dirt above is cut off by the dispatcher */
}

static void part_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct part *p = opaque;

	p->width[p->writes++ % 16] = width;
	assert_true(off + width <= 16);
	memcpy(p->byte + off, &value, width);
}

static void part_detach_self(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct part *p = opaque;

	region_detach(p->self);
}

static const struct region_ops plain = {.read = part_read, .write = part_write};
static const struct region_ops dwords = {.read = part_read, .write = part_write, .width_min = 4, .width_max = 4};
static const struct region_ops vanishing = {.read = part_read, .write = part_detach_self};

static struct region_handle *attach(struct region_map *map, struct part *p, uint64_t addr, const struct region_ops *ops)
{
	struct region r = {.addr = addr, .size = 16, .name = "part", .ops = ops, .opaque = p};
	struct region_handle *h;

	for (unsigned n = 0; n < 16; n++)
		p->byte[n] = (uint8_t)(0x10 + n);
	assert_int_equal(region_attach(map, &r, &h, NULL), 0);
	return h;
}

static void test_widths(void **state)
{
	struct part a = {0}, b = {0};
	struct region_map *map;

	assert_int_equal(region_map_create(&map, NULL), 0);
	attach(map, &a, 0x1000, &plain);
	attach(map, &b, 0x1010, &dwords);
	assert_true(region_read(map, REGION_MEMORY, 0x1000, 8) == 0x1716151413121110);
	assert_int_equal(a.reads, 1);
	/* Over the end of a, into b, where bytes come out of dwords. */
	assert_int_equal(region_read(map, REGION_MEMORY, 0x100e, 4), 0x11101f1e);
	assert_int_equal(b.width[0], 4);
	b.reads = 0;
	assert_true(region_read(map, REGION_MEMORY, 0x1010, 8) == 0x1716151413121110);
	assert_int_equal(b.reads, 2);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x1015, 1), 0x15);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x1013, 2), 0x1413);
	region_write(map, REGION_MEMORY, 0x1011, 1, 0xff); /* too narrow: dropped */
	assert_int_equal(b.writes, 0);
	region_write(map, REGION_MEMORY, 0x1010, 8, 0x8877665544332211);
	assert_int_equal(b.writes, 2);
	assert_int_equal(b.byte[7], 0x88);
	region_map_destroy(map);
}

static void test_unmapped(void **state)
{
	struct part a = {0};
	struct region_map *map;

	assert_int_equal(region_map_create(&map, NULL), 0);
	attach(map, &a, 0x1000, &plain);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x500, 4), 0xffffffff);
	assert_int_equal(region_read(map, REGION_PORT, 0x1000, 1), 0xff);
	assert_int_equal(region_read(map, REGION_MEMORY, 0xffe, 4), 0x1110ffff);
	assert_int_equal(region_read(map, REGION_MEMORY, 0x100f, 2), 0xff1f);
	region_write(map, REGION_MEMORY, 0xffe, 4, 0x44332211);
	assert_int_equal(a.byte[0], 0x33);
	assert_true(region_read(map, REGION_MEMORY, UINT64_MAX - 3, 8) == UINT64_MAX);
	assert_true(region_present(map, REGION_MEMORY, 0x100f));
	assert_false(region_present(map, REGION_MEMORY, 0x1010));
	region_map_destroy(map);
}

static void test_refused(void **state)
{
	static const struct region_ops odd = {.read = part_read, .write = part_write, .width_min = 3};
	static const struct {
		uint64_t addr, size;
		enum region_space space;
		const struct region_ops *ops;
		int code;
	} cases[] = {
		{0x1008, 1, REGION_MEMORY, &plain, -EEXIST}, {0xff0, 0x11, REGION_MEMORY, &plain, -EEXIST},
		{0xff0, 0x100, REGION_MEMORY, &plain, -EEXIST}, {0x2000, 0, REGION_MEMORY, &plain, -EINVAL},
		{UINT64_MAX, 2, REGION_MEMORY, &plain, -EINVAL}, {0xffff, 2, REGION_PORT, &plain, -EINVAL},
		{0x2000, 8, REGION_MEMORY, &odd, -EINVAL}, {0x2000, 6, REGION_MEMORY, &dwords, -EINVAL},
		{0xff0, 0x10, REGION_MEMORY, &plain, 0}, {0x1010, 1, REGION_MEMORY, &plain, 0},
		{UINT64_MAX, 1, REGION_MEMORY, &plain, 0}, {0x1008, 1, REGION_PORT, &plain, 0},
	};
	struct part a = {0};
	struct region_map *map;

	assert_int_equal(region_map_create(&map, NULL), 0);
	attach(map, &a, 0x1000, &plain);
	for (unsigned n = 0; n < COUNT_OF(cases); n++) {
		struct region r = {.space = cases[n].space, .addr = cases[n].addr, .size = cases[n].size, .name = "new",
				   .ops = cases[n].ops, .opaque = &a};

		assert_int_equal(region_attach(map, &r, NULL, NULL), cases[n].code);
	}
	region_map_destroy(map);
}

static void test_detach_in_callback(void **state)
{
	struct part a = {0};
	struct region_map *map;

	assert_int_equal(region_map_create(&map, NULL), 0);
	a.self = attach(map, &a, 0x1000, &vanishing);
	region_write(map, REGION_MEMORY, 0x1000, 4, 0);
	assert_false(region_present(map, REGION_MEMORY, 0x1000));
	region_map_destroy(map);
}

static void heard(void *opaque, const struct region_doorbell *bell, bool added)
{
	*(int *)opaque += added ? 1 : -1;
}

static void test_doorbells(void **state)
{
	struct part a = {0};
	struct region_map *map;
	struct region_doorbell_handle *h[2];
	int fd = fd_event(NULL), count = 0;
	struct region_listener listener = {heard, &count};

	assert_int_equal(region_map_create(&map, NULL), 0);
	attach(map, &a, 0x1000, &plain);
	struct region_doorbell bell = {.addr = 0x1004, .width = 2, .match = true, .value = 7, .event_fd = fd};
	assert_int_equal(region_doorbell_attach(map, &bell, &h[0], NULL), 0);
	region_set_listener(map, &listener);
	bell = (struct region_doorbell){.addr = 0x1008, .event_fd = fd};
	assert_int_equal(region_doorbell_attach(map, &bell, &h[1], NULL), 0);
	assert_int_equal(count, 2);
	region_write(map, REGION_MEMORY, 0x1004, 2, 7);
	assert_true(fd_event_clear(fd));
	assert_int_equal(a.writes, 0);
	region_write(map, REGION_MEMORY, 0x1004, 2, 6);
	region_write(map, REGION_MEMORY, 0x1004, 4, 7);
	region_write(map, REGION_PORT, 0x1008, 4, 7);
	assert_false(fd_event_clear(fd));
	assert_int_equal(a.writes, 2);
	region_write(map, REGION_MEMORY, 0x1008, 1, 0x55);
	assert_true(fd_event_clear(fd));
	region_doorbell_detach(h[1]);
	region_doorbell_detach(h[0]);
	assert_int_equal(count, 0);
	region_write(map, REGION_MEMORY, 0x1008, 1, 0x55);
	assert_int_equal(a.byte[8], 0x55);
	region_map_destroy(map);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths), cmocka_unit_test(test_unmapped), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_detach_in_callback), cmocka_unit_test(test_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
