/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-gpu as its driver sees it: what the screen says of itself, pictures, cursor, saved state. */
#include "vdriver.h"

#include "base/bytes.h"
#include "devices/virtio/gpu.h"
#include "display/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OK = 0x1100, NO_SCANOUT = 0x1202, NO_RESOURCE = 0x1203, BAD_PARAMETER = 0x1205, WIDTH = 8, HEIGHT = 4 };

struct fix {
	struct vd d;
	struct display *display;
	struct virtio_gpu *gpu;
	uint64_t request, answer, picture, other;
	uint8_t reply[2048];
};

static int up(void **state)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	vd_up(&f.d, false);
	assert_int_equal(display_create(&f.display, NULL), 0);
	struct virtio_gpu_config cfg = { .place = vd_place(&f.d), .display = f.display };
	assert_int_equal(virtio_gpu_create(f.d.rig.vm, &cfg, &f.gpu, NULL), 0);
	vd_find(&f.d);
	vd_start(&f.d, 2, 2);
	f.request = vd_alloc(&f.d, 4096);
	f.answer = vd_alloc(&f.d, 4096);
	f.picture = vd_alloc(&f.d, 4096);
	f.other = vd_alloc(&f.d, 64 * 64 * 4);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	struct display *d = f->display;

	vd_down(&f->d);
	display_destroy(d);
	return 0;
}

/* A command with these words behind its header; gives the type of the answer. */
static uint32_t say(struct fix *f, unsigned queue, uint32_t type, unsigned count, const uint32_t *words)
{
	uint8_t b[24 + 4 * 16] = { 0 };
	uint32_t len;

	store_le32(b, type);
	store_le32(b + 4, 1);
	store_le64(b + 8, 0x1122334455667788);
	for (unsigned n = 0; n < count; n++)
		store_le32(b + 24 + 4 * n, words[n]);
	vd_put(&f->d, f->request, b, sizeof(b));
	vd_offer(&f->d, queue, 0, (struct vd_buf[]){ { f->request, 24 + 4 * count, false },
						       { f->answer, sizeof(f->reply), true } }, 2);
	assert_int_equal(vd_take(&f->d, queue, &len), 0);
	vd_get(&f->d, f->answer, f->reply, sizeof(f->reply));
	assert_int_equal(load_le64(f->reply + 8), 0x1122334455667788);
	return load_le32(f->reply);
}
#define SAY(queue, type, ...) \
	say(f, queue, type, sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, (uint32_t[]){ __VA_ARGS__ })

/* Resource 5 of WIDTH x HEIGHT over two pieces, shown. */
static void show(struct fix *f)
{
	assert_int_equal(SAY(0, 0x101, 5, 2, WIDTH, HEIGHT), OK);
	assert_int_equal(SAY(0, 0x106, 5, 2, (uint32_t)f->picture, 0, 40, 0, (uint32_t)f->picture + 64, 0, 88, 0), OK);
	assert_int_equal(SAY(0, 0x103, 0, 0, WIDTH, HEIGHT, 0, 5), OK);
}

static void put_pixel(struct fix *f, unsigned n, uint32_t v)
{
	uint8_t b[4];

	store_le32(b, v);
	vd_put(&f->d, n < 10 ? f->picture + 4 * n : f->picture + 64 + 4 * (n - 10), b, 4);
}

static void the_screen_tells_of_itself(void **state)
{
	struct fix *f = *state;
	uint8_t sum = 0, *edid = f->reply + 32;

	assert_int_equal(rig_load(&f->d.rig, f->d.device + 8, 4), 1);
	assert_int_equal(SAY(0, 0x100, 0), 0x1101);
	assert_int_equal(load_le32(f->reply + 24 + 8), 1280);
	assert_int_equal(load_le32(f->reply + 24 + 16), 1);
	assert_int_equal(load_le32(f->reply + 24 + 24 + 16), 0);
	assert_int_equal(virtio_gpu_resize(f->gpu, 1600, 900, NULL), 0);
	assert_true(virtio_gpu_resize(f->gpu, 5000, 900, NULL) < 0);
	assert_int_equal(rig_load(&f->d.rig, f->d.device, 4), 1);
	rig_store(&f->d.rig, f->d.device + 4, 4, 1);
	assert_int_equal(rig_load(&f->d.rig, f->d.device, 4), 0);
	assert_int_equal(SAY(0, 0x10a, 0, 0), 0x1104);
	for (unsigned n = 0; n < 128; n++)
		sum += edid[n];
	assert_int_equal(sum, 0);
	assert_int_equal(edid[54 + 2] | edid[54 + 4] >> 4 << 8, 1600);
	assert_int_equal(edid[54 + 5] | edid[54 + 7] >> 4 << 8, 900);
	assert_int_equal(SAY(0, 0x10a, 3, 0), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x1ff, 0), 0x1200);
}

static void a_picture_is_shown(void **state)
{
	struct fix *f = *state;
	const struct surface *s;

	assert_null(display_refresh(f->display, 0));
	show(f);
	for (unsigned n = 0; n < WIDTH * HEIGHT; n++)
		put_pixel(f, n, 0xff000000 | n);
	s = display_refresh(f->display, 0);
	assert_int_equal(s->width, WIDTH);
	assert_int_equal(s->pixel[9], 0); /* the guest did not hand it over yet */
	assert_int_equal(SAY(0, 0x105, 1, 1, 3, 2, (1 * WIDTH + 1) * 4, 0, 5, 0), OK);
	assert_int_equal(SAY(0, 0x104, 1, 1, 3, 2, 5, 0), OK);
	s = display_refresh(f->display, 0);
	assert_int_equal(s->pixel[8], 0);
	assert_int_equal(s->pixel[9], 9);
	assert_int_equal(s->pixel[2 * WIDTH + 3], 2 * WIDTH + 3);
	assert_int_equal(s->pixel[3 * WIDTH + 3], 0);
	assert_int_equal(SAY(0, 0x103, 2, 1, 4, 2, 0, 5), OK); /* a part of it */
	s = display_refresh(f->display, 0);
	assert_int_equal(s->width, 4);
	assert_int_equal(s->pixel[1], WIDTH + 3);
	assert_int_equal(SAY(0, 0x103, 0, 0, 0, 0, 0, 0), OK);
	assert_null(display_refresh(f->display, 0));
}

static void wrong_commands_are_refused(void **state)
{
	struct fix *f = *state;

	assert_int_equal(SAY(0, 0x101, 0, 2, 8, 8), NO_RESOURCE);
	assert_int_equal(SAY(0, 0x101, 1, 9, 8, 8), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x101, 1, 2, 0, 8), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x101, 1, 2, 8192, 8192), OK);
	assert_int_equal(SAY(0, 0x101, 2, 2, 8, 8), 0x1201); /* all the memory is taken */
	assert_int_equal(SAY(0, 0x102, 1, 0), OK);
	assert_int_equal(SAY(0, 0x102, 1, 0), NO_RESOURCE);
	show(f);
	assert_int_equal(SAY(0, 0x101, 5, 2, 8, 8), NO_RESOURCE);
	assert_int_equal(SAY(0, 0x103, 0, 0, 9, 4, 0, 5), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x103, 0, 0, 8, 4, 1, 5), NO_SCANOUT);
	assert_int_equal(SAY(0, 0x105, UINT32_MAX, 0, 8, 4, 0, 0, 5, 0), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x106, 5, 1, 0, 0, 64, 0), 0x1200); /* has its memory already */
	assert_int_equal(SAY(0, 0x107, 5, 0), OK);
	assert_int_equal(SAY(0, 0x106, 5, 1, 0, 0x7fffffff, 64, 0), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x106, 5, 100, 0, 0, 64, 0), BAD_PARAMETER);
	assert_int_equal(SAY(0, 0x105, 0, 0, 8, 4, 0, 0, 5, 0), 0x1200);
}

static void the_cursor_lies_over_it(void **state)
{
	struct fix *f = *state;
	const struct surface *s;
	uint8_t white[4] = { 0xff, 0xff, 0xff, 0xff };

	show(f);
	assert_int_equal(SAY(0, 0x101, 7, 1, 64, 64), OK);
	assert_int_equal(SAY(0, 0x106, 7, 1, (uint32_t)f->other, 0, 64 * 64 * 4, 0), OK);
	vd_put(&f->d, f->other + 4 * (64 + 1), white, 4);
	assert_int_equal(SAY(0, 0x105, 0, 0, 64, 64, 0, 0, 7, 0), OK);
	assert_int_equal(SAY(1, 0x300, 0, 3, 2, 0, 7, 1, 1, 0), OK);
	s = display_refresh(f->display, 0);
	assert_int_equal(s->pixel[2 * WIDTH + 3], 0xffffff);
	assert_int_equal(s->pixel[2 * WIDTH + 4], 0);
	assert_int_equal(SAY(1, 0x301, 0, 5, 3, 0, 0, 0, 0, 0), OK);
	s = display_refresh(f->display, 0);
	assert_int_equal(s->pixel[2 * WIDTH + 3], 0);
	assert_int_equal(s->pixel[3 * WIDTH + 5], 0xffffff);
	assert_int_equal(SAY(1, 0x300, 0, 3, 2, 0, 0, 0, 0, 0), OK);
	s = display_refresh(f->display, 0);
	assert_int_equal(s->pixel[2 * WIDTH + 3], 0);
}

/* Without every truncation, as other devices have it: the table is long. */
static void its_state_survives(void **state)
{
	struct fix *f = *state;
	const struct dev *d = dev_find(f->d.rig.vm, "virtio-gpu0");
	uint8_t *one, *two;
	size_t len, again;

	assert_non_null(d);
	show(f);
	for (unsigned n = 0; n < WIDTH * HEIGHT; n++)
		put_pixel(f, n, n);
	assert_int_equal(state_save(d->type->state, d->impl, &one, &len, NULL), 0);
	d->type->reset(d->impl);
	assert_null(display_refresh(f->display, 0));
	assert_true(state_load(d->type->state, d->impl, d->type->state_size, one, len - 1, NULL) < 0);
	assert_int_equal(state_load(d->type->state, d->impl, d->type->state_size, one, len, NULL), 0);
	assert_int_equal(state_save(d->type->state, d->impl, &two, &again, NULL), 0);
	assert_int_equal(len, again);
	assert_memory_equal(one, two, len);
	free(one);
	free(two);
	assert_int_equal(display_refresh(f->display, 0)->pixel[31], 31); /* fetched again */
	assert_int_equal(SAY(0, 0x104, 0, 0, 8, 4, 5, 0), OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_screen_tells_of_itself), TEST(a_picture_is_shown), TEST(wrong_commands_are_refused),
		TEST(the_cursor_lies_over_it), TEST(its_state_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
