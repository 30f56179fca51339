/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The graphics card through its ports, windows and PCI registers, and the picture that comes out. */
#include "rig.h"

#include "devices/display/vga.h"
#include "devices/pci/pci_host.h"
#include "display/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <png.h>

#include <cmocka.h>

enum { SLOT = 3, FRAME = 0xd0000000, REGISTERS = 0xd8000000, ROM = 0xd9000000 };

struct fix {
	struct rig r;
	struct pci_bus *bus;
	struct display *display;
	bool plain;
};

static uint8_t rom[5000];

static void start(struct fix *f)
{
	struct pci_host_config hc = { 0 };
	rig_up(&f->r, 0);
	assert_int_equal(display_create(&f->display, NULL), 0);
	assert_int_equal(pci_host_create(f->r.vm, &hc, &f->bus, NULL), 0);
	rom[0] = 0x55;
	rom[1] = 0xaa;
	rom[4999] = 0x77;
	struct vga_config cfg = { .bus = f->bus, .slot = SLOT, .plain = f->plain, .display = f->display, .rom = rom,
				  .rom_size = sizeof(rom) };
	assert_int_equal(vga_create(f->r.vm, &cfg, NULL), 0);
}

static int up(void **state)
{
	static struct fix f;
	f = (struct fix){ 0 };
	start(&f);
	*state = &f;
	return 0;
}

static int up_plain(void **state)
{
	static struct fix f;
	f = (struct fix){ .plain = true };
	start(&f);
	*state = &f;
	return 0;
}

static int down(void **state)
{
	struct fix *f = *state;
	vm_destroy(f->r.vm);
	display_destroy(f->display);
	timerq_destroy(f->r.timers);
	loop_destroy(f->r.loop);
	return 0;
}

static uint32_t config_read(struct fix *f, unsigned off)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	return (uint32_t)rig_in(&f->r, 0xcfc, 4);
}

static void config_write(struct fix *f, unsigned off, uint32_t value)
{
	rig_out(&f->r, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	rig_out(&f->r, 0xcfc, 4, value);
}

static void map(struct fix *f)
{
	config_write(f, 0x10, FRAME);
	config_write(f, 0x18, REGISTERS);
	config_write(f, 0x04, 3);
}

static void indexed(struct fix *f, uint16_t port, uint8_t n, uint8_t value)
{
	rig_out(&f->r, port, 2, value << 8 | n);
}

static void attribute(struct fix *f, uint8_t n, uint8_t value)
{
	rig_in(&f->r, 0x3da, 1);
	rig_out(&f->r, 0x3c0, 1, n);
	rig_out(&f->r, 0x3c0, 1, value);
}

static void color(struct fix *f, uint8_t n, uint8_t r, uint8_t g, uint8_t b)
{
	rig_out(&f->r, 0x3c8, 1, n);
	rig_out(&f->r, 0x3c9, 1, r);
	rig_out(&f->r, 0x3c9, 1, g);
	rig_out(&f->r, 0x3c9, 1, b);
}

static void vbe(struct fix *f, uint16_t n, uint16_t value)
{
	rig_out(&f->r, 0x1ce, 2, n);
	rig_out(&f->r, 0x1cf, 2, value);
}

static uint16_t vbe_get(struct fix *f, uint16_t n)
{
	rig_out(&f->r, 0x1ce, 2, n);
	return (uint16_t)rig_in(&f->r, 0x1cf, 2);
}

static void vbe_mode(struct fix *f, unsigned width, unsigned height, unsigned bits)
{
	vbe(f, 4, 0);
	vbe(f, 1, (uint16_t)width);
	vbe(f, 2, (uint16_t)height);
	vbe(f, 3, (uint16_t)bits);
	vbe(f, 4, 0x41);
}

/* What all modes need: colours that differ, attribute registers one to one, the screen on. */
static void common(struct fix *f, unsigned columns, unsigned lines)
{
	rig_out(&f->r, 0x3c2, 1, 0x67);
	for (unsigned n = 0; n < 256; n++)
		color(f, (uint8_t)n, n & 0x3f, (n >> 2) & 0x3f, n & 1 ? 0x3f : 0);
	for (unsigned n = 0; n < 16; n++)
		attribute(f, (uint8_t)n, (uint8_t)n);
	attribute(f, 0x12, 0x0f);
	indexed(f, 0x3d4, 0x11, 0); /* unprotected */
	indexed(f, 0x3d4, 0x01, (uint8_t)(columns - 1));
	indexed(f, 0x3d4, 0x12, (uint8_t)(lines - 1));
	indexed(f, 0x3d4, 0x07, (lines - 1) & 0x100 ? 0x12 : 0x10);
	indexed(f, 0x3d4, 0x18, 0xff);
	indexed(f, 0x3d4, 0x09, 0x40);
	indexed(f, 0x3d4, 0x13, (uint8_t)(columns / 2));
	indexed(f, 0x3d4, 0x17, 0xe3);
	indexed(f, 0x3d4, 0x0a, 0x20);
	indexed(f, 0x3ce, 8, 0xff);
	indexed(f, 0x3c4, 2, 0x0f);
	rig_in(&f->r, 0x3da, 1);
	rig_out(&f->r, 0x3c0, 1, 0x20);
}

static uint32_t shade(unsigned n)
{
	unsigned r = n & 0x3f, g = n >> 2 & 0x3f, b = n & 1 ? 0x3f : 0;
	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}

static const struct surface *look(struct fix *f, unsigned width, unsigned height)
{
	const struct surface *s = display_refresh(f->display, 0);
	assert_non_null(s);
	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	return s;
}

static uint32_t at(const struct surface *s, unsigned x, unsigned y)
{
	return s->pixel[y * s->width + x];
}

static void text_mode(void **state)
{
	struct fix *f = *state;
	common(f, 80, 400);
	indexed(f, 0x3d4, 0x09, 0x4f);
	indexed(f, 0x3d4, 0x13, 0x28);
	indexed(f, 0x3c4, 4, 0x06); /* a font into plane 2 */
	indexed(f, 0x3c4, 2, 0x04);
	indexed(f, 0x3ce, 6, 0x04);
	rig_store(&f->r, 0xa0000 + 'A' * 32 + 2, 1, 0x81);
	rig_store(&f->r, 0xa0000 + 0xc4 * 32 + 7, 1, 0xff); /* a line */
	indexed(f, 0x3c4, 4, 0x02); /* text */
	indexed(f, 0x3c4, 2, 0x03);
	indexed(f, 0x3c4, 1, 0x00);
	indexed(f, 0x3ce, 6, 0x0e);
	attribute(f, 0x10, 0x04);
	rig_in(&f->r, 0x3da, 1);
	rig_out(&f->r, 0x3c0, 1, 0x20);
	rig_store(&f->r, 0xb8000 + 2 * (80 + 1), 2, 0x1f41);
	rig_store(&f->r, 0xb8000 + 2 * (80 + 2), 2, 0x2ec4);
	assert_int_equal(rig_load(&f->r, 0xb8000 + 2 * (80 + 1), 2), 0x1f41);
	const struct surface *s = look(f, 720, 400);
	assert_int_equal(at(s, 9, 16), shade(1));
	assert_int_equal(at(s, 9, 18), shade(15));
	assert_int_equal(at(s, 10, 18), shade(1));
	assert_int_equal(at(s, 16, 18), shade(15));
	assert_int_equal(at(s, 17, 18), shade(1));  /* the ninth column is background */
	assert_int_equal(at(s, 26, 23), shade(14)); /* but not of lines */
	indexed(f, 0x3d4, 0x0a, 14);
	indexed(f, 0x3d4, 0x0b, 15);
	indexed(f, 0x3d4, 0x0f, 81);
	s = look(f, 720, 400);
	assert_int_equal(at(s, 12, 16 + 14), shade(15));
	struct rect d = surface_damage(s, s->time - 1);
	assert_int_equal(d.y, 30);
	assert_int_equal(d.height, 2);
	indexed(f, 0x3c4, 1, 0x21); /* screen off */
	assert_int_equal(at(look(f, 720, 400), 12, 30), 0);
}

static void planar_mode(void **state)
{
	struct fix *f = *state;
	common(f, 80, 480);
	indexed(f, 0x3c4, 4, 0x06);
	indexed(f, 0x3ce, 6, 0x05);
	rig_store(&f->r, 0xa0000 + 80, 1, 0xc0); /* all planes */
	indexed(f, 0x3c4, 2, 0x02);
	rig_store(&f->r, 0xa0000 + 80, 1, 0x40); /* plane 1 */
	const struct surface *s = look(f, 640, 480);
	assert_int_equal(at(s, 0, 1), shade(13));
	assert_int_equal(at(s, 1, 1), shade(15));
	assert_int_equal(at(s, 2, 1), shade(0));
	/* set/reset with a bit mask, on top of the latches */
	indexed(f, 0x3c4, 2, 0x0f);
	indexed(f, 0x3ce, 0, 0x05);
	indexed(f, 0x3ce, 1, 0x0f);
	indexed(f, 0x3ce, 8, 0x20);
	rig_load(&f->r, 0xa0000 + 80, 1);
	rig_store(&f->r, 0xa0000 + 80, 1, 0);
	/* write mode 2, XOR */
	indexed(f, 0x3ce, 1, 0);
	indexed(f, 0x3ce, 5, 0x02);
	indexed(f, 0x3ce, 3, 0x18);
	indexed(f, 0x3ce, 8, 0x80);
	rig_load(&f->r, 0xa0000 + 80, 1);
	rig_store(&f->r, 0xa0000 + 80, 1, 0x0f);
	/* write mode 1 copies four planes; read mode 1 compares */
	indexed(f, 0x3ce, 5, 0x01);
	rig_load(&f->r, 0xa0000 + 80, 1);
	rig_store(&f->r, 0xa0000 + 81, 1, 0);
	s = look(f, 640, 480);
	for (unsigned x = 0; x <= 8; x += 8) {
		assert_int_equal(at(s, x + 0, 1), shade(13 ^ 15));
		assert_int_equal(at(s, x + 1, 1), shade(15));
		assert_int_equal(at(s, x + 2, 1), shade(5));
	}
	indexed(f, 0x3ce, 5, 0x08);
	indexed(f, 0x3ce, 2, 0x0f);
	indexed(f, 0x3ce, 7, 0x0f);
	assert_int_equal(rig_load(&f->r, 0xa0000 + 81, 1), 0x40);
	/* write mode 3: the byte is the mask */
	indexed(f, 0x3ce, 5, 0x03);
	indexed(f, 0x3ce, 3, 0);
	indexed(f, 0x3ce, 8, 0xff);
	indexed(f, 0x3ce, 0, 0x09);
	rig_load(&f->r, 0xa0000 + 80, 1);
	rig_store(&f->r, 0xa0000 + 80, 1, 0x01);
	s = look(f, 640, 480);
	assert_int_equal(at(s, 7, 1), shade(9));
	assert_int_equal(at(s, 1, 1), shade(15));
}

static void modes_of_256_colors(void **state)
{
	struct fix *f = *state;
	common(f, 80, 400);
	indexed(f, 0x3d4, 0x09, 0x41); /* two lines a row */
	indexed(f, 0x3d4, 0x13, 0x28);
	indexed(f, 0x3ce, 5, 0x40);
	indexed(f, 0x3ce, 6, 0x05);
	indexed(f, 0x3c4, 4, 0x0e); /* chained: 13h */
	rig_store(&f->r, 0xa0000 + 320 * 7 + 9, 2, 0xc8b7);
	const struct surface *s = look(f, 320, 200);
	assert_int_equal(at(s, 9, 7), shade(0xb7));
	assert_int_equal(at(s, 10, 7), shade(0xc8));
	indexed(f, 0x3c4, 4, 0x06); /* mode X: the same picture, a plane at a time */
	indexed(f, 0x3c4, 2, 0x02);
	rig_store(&f->r, 0xa0000 + 80 * 7 + 2, 1, 0x55);
	s = look(f, 320, 200);
	assert_int_equal(at(s, 9, 7), shade(0x55));
	assert_int_equal(at(s, 10, 7), shade(0xc8));
	indexed(f, 0x3d4, 0x0d, 80); /* a row further down */
	assert_int_equal(at(look(f, 320, 200), 9, 6), shade(0x55));
}

static void vbe_modes(void **state)
{
	struct fix *f = *state;
	map(f);
	common(f, 80, 400);
	assert_int_equal(vbe_get(f, 0), 0xb0c5);
	assert_int_equal(vbe_get(f, 10), 256);
	vbe(f, 4, 2);
	assert_int_equal(vbe_get(f, 1), 2560);
	assert_int_equal(vbe_get(f, 2), 1600);
	assert_int_equal(vbe_get(f, 3), 32);
	vbe_mode(f, 1024, 768, 32);
	rig_store(&f->r, FRAME + 4 * (1024 * 5 + 6), 4, 0xff123456);
	const struct surface *s = look(f, 1024, 768);
	assert_int_equal(at(s, 6, 5), 0x123456);
	vbe(f, 6, 2048); /* wider than shown, and moved */
	vbe(f, 8, 16);
	vbe(f, 9, 2);
	rig_store(&f->r, FRAME + 4 * (2048 * 2 + 16), 4, 0x00fedcba);
	assert_int_equal(at(look(f, 1024, 768), 0, 0), 0xfedcba);
	vbe_mode(f, 640, 480, 16);
	rig_store(&f->r, FRAME + 2, 2, 0xf81f);
	assert_int_equal(at(look(f, 640, 480), 1, 0), 0xff00ff);
	vbe_mode(f, 640, 480, 24);
	rig_store(&f->r, FRAME + 3, 4, 0x00aabbcc);
	assert_int_equal(at(look(f, 640, 480), 1, 0), 0xaabbcc);
	vbe_mode(f, 800, 600, 8); /* through the window, bank 1 */
	indexed(f, 0x3ce, 6, 0x05);
	vbe(f, 5, 1);
	rig_store(&f->r, 0xa0000, 1, 0x42);
	assert_int_equal(at(look(f, 800, 600), 65536 % 800, 65536 / 800), shade(0x42));
	assert_int_equal(rig_load(&f->r, FRAME + 65536, 1), 0x42);
	/* BAR 2 has the same registers */
	assert_int_equal(rig_load(&f->r, REGISTERS + 0x502, 2), 800);
	assert_int_equal(rig_load(&f->r, REGISTERS + 0x600, 4), 8);
	rig_store(&f->r, REGISTERS + 0x400 + 0x14, 1, 0x0e);
	assert_int_equal(rig_in(&f->r, 0x3d4, 1), 0x0e);
}

/* What cannot be shown is not switched on, and no register leads out of the memory. */
static void vbe_refuses(void **state)
{
	struct fix *f = *state;
	common(f, 80, 400);
	static const uint16_t bad[][3] = { { 2560, 1600, 12 }, { 0, 100, 32 }, { 640, 0, 8 }, { 65528, 100, 8 },
					   { 640, 65535, 32 }, { 2560, 1601, 32 } };
	for (unsigned n = 0; n < COUNT_OF(bad); n++) {
		vbe_mode(f, bad[n][0], bad[n][1], bad[n][2]);
		assert_int_equal(vbe_get(f, 4) & 1, 0);
	}
	vbe_mode(f, 2560, 1600, 32);
	assert_int_equal(vbe_get(f, 4) & 1, 1);
	vbe(f, 6, 65528); /* no such width any more */
	assert_int_equal(vbe_get(f, 6), 2560);
	vbe(f, 8, 65535);
	vbe(f, 9, 65535);
	vbe(f, 5, 65535);
	look(f, 2560, 1600);
	assert_int_equal(vbe_get(f, 5), 0);
}

static void option_rom(void **state)
{
	struct fix *f = *state;
	config_write(f, 0x30, 0xffffffff);
	assert_int_equal(config_read(f, 0x30), 0xffffe001);
	config_write(f, 0x30, ROM | 1);
	assert_int_equal(rig_load(&f->r, ROM, 2), 0xffff);
	config_write(f, 0x04, 2);
	assert_int_equal(rig_load(&f->r, ROM, 2), 0xaa55);
	rig_store(&f->r, ROM, 1, 0);
	assert_int_equal(rig_load(&f->r, ROM, 2), 0xaa55);
	assert_int_equal(rig_load(&f->r, ROM + 4998, 4), 0xffff7700);
	config_write(f, 0x30, ROM);
	assert_int_equal(rig_load(&f->r, ROM, 2), 0xffff);
}

static void saved_state(void **state)
{
	struct fix *f = *state;
	map(f);
	common(f, 80, 400);
	vbe_mode(f, 640, 480, 32);
	attribute(f, 0x13, 3);
	rig_state_round_trip(&f->r, "vga0");
	assert_int_equal(vbe_get(f, 1), 640);
	rig_in(&f->r, 0x3da, 1);
	rig_out(&f->r, 0x3c0, 1, 0x20);
	rig_store(&f->r, FRAME, 4, 0x112233);
	assert_int_equal(at(look(f, 640, 480), 0, 0), 0x112233);
}

static void without_vga(void **state)
{
	struct fix *f = *state;
	map(f);
	assert_int_equal(config_read(f, 0x08), 0x03800002);
	assert_int_equal(rig_in(&f->r, 0x3da, 1), 0xff);
	rig_store(&f->r, REGISTERS + 0x502, 2, 800);
	rig_store(&f->r, REGISTERS + 0x504, 2, 600);
	rig_store(&f->r, REGISTERS + 0x506, 2, 32);
	rig_store(&f->r, REGISTERS + 0x508, 2, 0x41);
	rig_store(&f->r, FRAME, 4, 0x445566);
	assert_int_equal(at(look(f, 800, 600), 0, 0), 0x445566);
}

/* What libpng reads back is the picture. */
static void picture_file(void **state)
{
	struct fix *f = *state;
	map(f);
	common(f, 80, 400);
	vbe_mode(f, 320, 200, 32);
	for (unsigned n = 0; n < 1000; n++)
		rig_store(&f->r, FRAME + 4 * (n * 61 % 64000), 4, n * 2654435761u >> 8);
	const struct surface *s = look(f, 320, 200);
	char path[] = "/tmp/panal-picture-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(surface_write_png(s, fd, NULL), 0);
	png_image image = { .version = PNG_IMAGE_VERSION };
	assert_int_equal(png_image_begin_read_from_file(&image, path), 1);
	assert_int_equal(image.width, 320);
	assert_int_equal(image.height, 200);
	image.format = PNG_FORMAT_BGRA;
	static uint32_t back[320 * 200];
	assert_int_equal(png_image_finish_read(&image, NULL, back, 0, NULL), 1);
	for (unsigned n = 0; n < COUNT_OF(back); n++)
		assert_int_equal(back[n] & 0xffffff, s->pixel[n]);
	close(fd);
	unlink(path);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, up, down)
	const struct CMUnitTest tests[] = {
		T(text_mode), T(planar_mode), T(modes_of_256_colors), T(vbe_modes), T(vbe_refuses), T(option_rom),
		T(saved_state), T(picture_file), cmocka_unit_test_setup_teardown(without_vga, up_plain, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
