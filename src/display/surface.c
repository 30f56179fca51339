/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/surface.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void surface_destroy(struct surface *s)
{
	free(s->pixel);
	free(s->change);
	*s = (struct surface){ 0 };
}

static int resize(struct surface *s, uint32_t width, uint32_t height)
{
	uint32_t *pixel = calloc((size_t)width * height, sizeof(*pixel));
	uint64_t *change = calloc(height, sizeof(*change));

	if (!pixel || !change) {
		free(pixel);
		free(change);
		return -ENOMEM;
	}
	free(s->pixel);
	free(s->change);
	s->pixel = pixel;
	s->change = change;
	s->width = width;
	s->height = height;
	s->resized = s->time;
	for (uint32_t y = 0; y < height; y++)
		change[y] = s->time;
	return 0;
}

int surface_begin(struct surface *s, uint32_t width, uint32_t height)
{
	if (!width || !height || width > SURFACE_SIDE_MAX || height > SURFACE_SIDE_MAX)
		return -EINVAL;
	s->time++;
	return width == s->width && height == s->height ? 0 : resize(s, width, height);
}

void surface_row(struct surface *s, uint32_t y, const uint32_t *pixels)
{
	uint32_t *row = s->pixel + (size_t)y * s->width;
	size_t size = s->width * sizeof(*row);

	if (!memcmp(row, pixels, size))
		return;
	memcpy(row, pixels, size);
	s->change[y] = s->time;
}

struct rect surface_damage(const struct surface *s, uint64_t since)
{
	uint32_t first = 0, end = s->height;

	while (first < end && s->change[first] <= since)
		first++;
	while (end > first && s->change[end - 1] <= since)
		end--;
	return first == end ? (struct rect){ 0 } : (struct rect){ 0, first, s->width, end - first };
}
