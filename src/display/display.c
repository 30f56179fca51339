/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct display {
	struct {
		struct display_head head;
		struct surface surface;
	} screen[DISPLAY_HEADS_MAX];
	unsigned count;
};

int display_create(struct display **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

void display_destroy(struct display *d)
{
	if (!d)
		return;
	for (unsigned n = 0; n < d->count; n++)
		surface_destroy(&d->screen[n].surface);
	free(d);
}

int display_attach(struct display *d, const struct display_head *head, struct err *e)
{
	if (d->count == DISPLAY_HEADS_MAX)
		return err_set(e, -ENOSPC, "more than %d screens", DISPLAY_HEADS_MAX);
	d->screen[d->count++].head = *head;
	return 0;
}

void display_detach(struct display *d, void *opaque)
{
	for (unsigned n = d->count; n-- > 0;) {
		if (d->screen[n].head.opaque != opaque)
			continue;
		surface_destroy(&d->screen[n].surface);
		memmove(&d->screen[n], &d->screen[n + 1], (d->count - n - 1) * sizeof(d->screen[0]));
		memset(&d->screen[--d->count], 0, sizeof(d->screen[0]));
	}
}

const struct surface *display_refresh(struct display *d, unsigned n)
{
	uint64_t before;

	if (n >= d->count)
		return NULL;
	before = d->screen[n].surface.time;
	d->screen[n].head.draw(d->screen[n].head.opaque, &d->screen[n].surface);
	return d->screen[n].surface.time == before || !d->screen[n].surface.pixel ? NULL : &d->screen[n].surface;
}
