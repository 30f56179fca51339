/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures as files. */
#include "display/surface.h"

#include "base/fd.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RGB = 3, PNG_EFFORT = 1 /* of 9: the machine waits meanwhile */ };

/* The file as it grows in memory, so that the descriptor sees one write and libpng no error of it. */
struct file {
	uint8_t *data;
	size_t len, room;
};

static bool grow(struct file *f, const void *data, size_t len)
{
	if (f->len + len > f->room) {
		size_t room = (f->len + len) * 2;
		uint8_t *more = realloc(f->data, room);

		if (!more)
			return false;
		f->data = more;
		f->room = room;
	}
	memcpy(f->data + f->len, data, len);
	f->len += len;
	return true;
}

static int finish(struct file *f, int fd, bool complete, struct err *e)
{
	int ret = complete ? fd_write_all(fd, f->data, f->len) : -ENOMEM;

	free(f->data);
	if (ret == -ENOMEM)
		return err_set(e, ret, "no memory for the picture");
	return ret < 0 ? err_errno(e, -ret, "cannot write the picture") : 0;
}

static void row_rgb(const struct surface *s, uint32_t y, uint8_t *out)
{
	const uint32_t *in = s->pixel + (size_t)y * s->width;

	for (uint32_t x = 0; x < s->width; x++, out += RGB) {
		out[0] = (uint8_t)(in[x] >> 16);
		out[1] = (uint8_t)(in[x] >> 8);
		out[2] = (uint8_t)in[x];
	}
}

int surface_write_ppm(const struct surface *s, int fd, struct err *e)
{
	uint8_t *row = malloc((size_t)s->width * RGB);
	struct file f = { 0 };
	char head[64];
	bool ok = row && grow(&f, head, (size_t)snprintf(head, sizeof(head), "P6\n%u %u\n255\n", s->width, s->height));

	for (uint32_t y = 0; ok && y < s->height; y++) {
		row_rgb(s, y, row);
		ok = grow(&f, row, (size_t)s->width * RGB);
	}
	free(row);
	return finish(&f, fd, ok, e);
}

static void png_take(png_structp png, png_bytep data, size_t len)
{
	if (!grow(png_get_io_ptr(png), data, len))
		png_error(png, "no memory");
}

static void png_done(png_structp png) {}

/* Errors of libpng come back by a long jump: nothing of this function's own changes after setjmp. */
static bool encode(const struct surface *s, png_structp png, png_infop info, uint8_t *row)
{
	if (setjmp(png_jmpbuf(png)))
		return false;
	png_set_IHDR(png, info, s->width, s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_compression_level(png, PNG_EFFORT);
	png_set_filter(png, 0, PNG_FILTER_UP);
	png_write_info(png, info);
	for (uint32_t y = 0; y < s->height; y++) {
		row_rgb(s, y, row);
		png_write_row(png, row);
	}
	png_write_end(png, info);
	return true;
}

int surface_write_png(const struct surface *s, int fd, struct err *e)
{
	uint8_t *row = malloc((size_t)s->width * RGB);
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	struct file f = { 0 };
	bool ok = row && info;

	if (ok) {
		png_set_write_fn(png, &f, png_take, png_done);
		ok = encode(s, png, info, row);
	}
	png_destroy_write_struct(&png, &info);
	free(row);
	return finish(&f, fd, ok, e);
}
