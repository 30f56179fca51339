/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A picture that knows what changed in it. Whoever draws gives whole rows; the surface compares them with what it holds
 * and notes when each row changed last, so that any number of viewers can each ask for what is new to them.
 */
#ifndef PANAL_DISPLAY_SURFACE_H
#define PANAL_DISPLAY_SURFACE_H

#include "base/err.h"

enum { SURFACE_SIDE_MAX = 8192 };

struct rect {
	uint32_t x, y, width, height; /* width and height 0: nothing */
};

struct surface {
	uint32_t width, height;
	uint32_t *pixel;  /* 0x00RRGGBB, width to a row */
	uint64_t *change; /* one a row: the time of its last change */
	uint64_t time;    /* counts drawings; a viewer remembers it */
	uint64_t resized; /* when the size changed last */
};

void surface_destroy(struct surface *s);
/* Begins a drawing of this size, at most SURFACE_SIDE_MAX on each side. A new size makes a black picture, all of it
 * changed. -ENOMEM, -EINVAL: nothing is to be drawn. */
int surface_begin(struct surface *s, uint32_t width, uint32_t height) ATTR_MUST_USE;
/* The row y is now this. */
void surface_row(struct surface *s, uint32_t y, const uint32_t *pixels);
/* What changed after the time `since` (0: ever); rows are changed as a whole. */
struct rect surface_damage(const struct surface *s, uint64_t since);

/* Writes the picture to a file descriptor. Errors: -ENOMEM, errno of the write. */
int surface_write_png(const struct surface *s, int fd, struct err *e) ATTR_MUST_USE;
int surface_write_ppm(const struct surface *s, int fd, struct err *e) ATTR_MUST_USE;

#endif
