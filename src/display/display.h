/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screens of a machine. A graphics device registers a head: a function that draws what the screen shows now.
 * Viewers (a screendump, later servers) pull: display_refresh has the device draw, and the surface tells each of them
 * what is new. What nobody looks at costs nothing.
 *
 * Main loop, all of it; a device's draw function takes the device's own lock.
 */
#ifndef PANAL_DISPLAY_DISPLAY_H
#define PANAL_DISPLAY_DISPLAY_H

#include "display/surface.h"

struct display;

enum { DISPLAY_HEADS_MAX = 4 };

struct display_head {
	/* surface_begin, then surface_row for each row. Without surface_begin the screen shows nothing now. */
	void (*draw)(void *opaque, struct surface *s);
	void *opaque;
};

int display_create(struct display **out, struct err *e) ATTR_MUST_USE;
void display_destroy(struct display *d); /* NULL is allowed */

/* Copied. -ENOSPC at DISPLAY_HEADS_MAX. display_detach takes off what has this opaque, if anything. */
int display_attach(struct display *d, const struct display_head *head, struct err *e) ATTR_MUST_USE;
void display_detach(struct display *d, void *opaque);

/* What head n (0: the first) shows now; NULL when there is no such head, or it shows nothing. Valid until the next call
 * for this head. */
const struct surface *display_refresh(struct display *d, unsigned n);

#endif
