/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/gpu_priv.h"

#include "core/gmem.h"
#include "core/vm.h"

#include <stdlib.h>

/* Names tell the order of bytes in memory (5.7.6.8). */
enum gpu_format {
	BGRA = 1, BGRX = 2, ARGB = 3, XRGB = 4, RGBA = 67, XBGR = 68, ABGR = 121, RGBX = 134,
};

bool gpu_format_known(uint32_t f)
{
	return (f >= BGRA && f <= XRGB) || f == RGBA || f == XBGR || f == ABGR || f == RGBX;
}

struct gpu_resource *gpu_find(struct virtio_gpu *g, uint32_t id)
{
	for (unsigned n = 0; id && n < GPU_RESOURCES; n++)
		if (g->resource[n].id == id)
			return &g->resource[n];
	return NULL;
}

static uint64_t size_of(const struct gpu_resource *r)
{
	return (uint64_t)r->width * r->height * sizeof(*r->pixel);
}

enum gpu_reply gpu_create(struct virtio_gpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	struct gpu_resource r = { .id = id, .format = format, .width = width, .height = height }, *place = NULL;

	if (!id || gpu_find(g, id))
		return GPU_NO_RESOURCE;
	if (!gpu_format_known(format) || !width || !height || width > GPU_SIDE_MAX || height > GPU_SIDE_MAX)
		return GPU_BAD_PARAMETER;
	for (unsigned n = 0; n < GPU_RESOURCES && !place; n++)
		place = g->resource[n].id ? NULL : &g->resource[n];
	if (!place || size_of(&r) > GPU_BYTES_MAX - g->bytes)
		return GPU_OUT_OF_MEMORY;
	r.pixel = calloc((size_t)width * height, sizeof(*r.pixel));
	if (!r.pixel)
		return GPU_OUT_OF_MEMORY;
	g->bytes += size_of(&r);
	*place = r;
	return GPU_OK;
}

void gpu_detach(struct virtio_gpu *g, struct gpu_resource *r)
{
	g->pieces -= r->pieces;
	free(r->piece);
	r->piece = NULL;
	r->pieces = 0;
}

void gpu_free(struct virtio_gpu *g, struct gpu_resource *r)
{
	gpu_detach(g, r);
	g->bytes -= size_of(r);
	free(r->pixel);
	if (g->shown == r->id)
		g->shown = 0;
	*r = (struct gpu_resource){ 0 };
}

enum gpu_reply gpu_attach(struct virtio_gpu *g, struct gpu_resource *r, struct gpu_piece *piece, uint32_t count)
{
	if (r->piece)
		return GPU_UNSPECIFIED;
	if (count > GPU_PIECES_MAX - g->pieces)
		return GPU_OUT_OF_MEMORY;
	for (uint32_t n = 0; n < count; n++)
		if (!gmem_at(g->v.vm->mem, piece[n].gpa, piece[n].len))
			return GPU_BAD_PARAMETER;
	r->piece = piece;
	r->pieces = count;
	g->pieces += count;
	return GPU_OK;
}

/* A place in the pieces, which only moves on. */
struct reader {
	const struct virtio_gpu *g;
	const struct gpu_resource *r;
	uint32_t n;
	uint64_t base; /* where piece n begins */
};

static void read_at(struct reader *d, uint64_t at, uint8_t *out, uint64_t len)
{
	while (len) {
		const struct gpu_piece *p;
		uint64_t take;

		if (d->n == d->r->pieces)
			return; /* the guest gave less than the picture has */
		p = &d->r->piece[d->n];
		if (at - d->base >= p->len) {
			d->base += p->len;
			d->n++;
			continue;
		}
		take = p->len - (at - d->base);
		take = take < len ? take : len;
		if (gmem_read(d->g->v.vm->mem, p->gpa + (at - d->base), out, take) < 0)
			return;
		at += take;
		out += take;
		len -= take;
	}
}

void gpu_transfer(struct virtio_gpu *g, struct gpu_resource *r, const struct rect *rect, uint64_t offset)
{
	struct reader d = { g, r, 0, 0 };

	if (offset > UINT32_MAX)
		return;
	g->moved += (uint64_t)rect->width * rect->height * sizeof(*r->pixel);
	for (uint32_t n = 0; n < rect->height; n++) {
		uint32_t *row = r->pixel + (size_t)(rect->y + n) * r->width + rect->x;

		read_at(&d, offset + (uint64_t)n * r->width * sizeof(*row), (uint8_t *)row,
			(uint64_t)rect->width * sizeof(*row));
	}
}

static uint32_t swap_red_blue(uint32_t v)
{
	return (v & 0xff00ff00) | (v & 0xff) << 16 | (v >> 16 & 0xff);
}

static uint32_t to_argb(uint32_t format, uint32_t v)
{
	switch (format) {
	case BGRA: return v;
	case ARGB: return __builtin_bswap32(v);
	case XRGB: return __builtin_bswap32(v) | 0xff000000;
	case RGBA: return swap_red_blue(v);
	case RGBX: return swap_red_blue(v) | 0xff000000;
	case XBGR: return v >> 8 | 0xff000000;
	case ABGR: return v >> 8 | v << 24;
	default: return v | 0xff000000;
	}
}

void gpu_pixels(const struct gpu_resource *r, uint32_t x, uint32_t y, uint32_t count, uint32_t *out)
{
	const uint32_t *from = r->pixel + (size_t)y * r->width + x;

	for (uint32_t n = 0; n < count; n++)
		out[n] = to_argb(r->format, from[n]);
}
