/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the screen shows, made from video memory and registers. */
#include "devices/display/vga_priv.h"

#include "base/bytes.h"

#include <string.h>

enum { ROW_MAX = 4096 };

/* ---- colours ---- */

static uint32_t rgb(unsigned r, unsigned g, unsigned b)
{
	return r << 16 | g << 8 | b;
}

/* Six bits become eight so that the highest is white. */
static unsigned six(uint8_t c)
{
	return (c & 0x3fu) << 2 | (c & 0x3fu) >> 4;
}

void vga_colors(const struct vga *v, uint32_t out[PALETTE])
{
	bool wide = v->vbe[VBE_ENABLE] & VBE_8BIT_DAC;

	for (unsigned n = 0; n < PALETTE; n++) {
		const uint8_t *p = &v->palette[(n & v->dac_mask) * 3];

		out[n] = wide ? rgb(p[0], p[1], p[2]) : rgb(six(p[0]), six(p[1]), six(p[2]));
	}
}

/* The 16 colours of text and planar modes: attribute register, then palette. */
static void colors_16(const struct vga *v, uint32_t out[PALETTE])
{
	uint32_t all[PALETTE];

	vga_colors(v, all);
	for (unsigned n = 0; n < PALETTE; n++) {
		uint8_t a = n & 0x3f, top = v->attr[ATTR_COLOR];

		if (v->attr[ATTR_MODE] & ATTR_P54)
			a = (a & 0x0f) | (top & 3) << 4;
		out[n] = all[a | (top & 0x0c) << 4];
	}
}

/* ---- VBE's linear modes ---- */

static void row_16(const uint8_t *p, uint32_t width, unsigned green, uint32_t *out)
{
	for (uint32_t x = 0; x < width; x++, p += 2) {
		unsigned c = load_le16(p), r = c >> (green + 5) & 0x1f, g = c >> 5 & ((1u << green) - 1), b = c & 0x1f;

		out[x] = rgb(r << 3 | r >> 2, g << (8 - green) | g >> (2 * green - 8), b << 3 | b >> 2);
	}
}

static void row_linear(const struct vga *v, const uint8_t *p, uint32_t width, const uint32_t *colors, uint32_t *out)
{
	switch (v->vbe[VBE_BPP]) {
	case 8:
		for (uint32_t x = 0; x < width; x++)
			out[x] = colors[p[x]];
		break;
	case 15: row_16(p, width, 5, out); break;
	case 16: row_16(p, width, 6, out); break;
	case 24:
		for (uint32_t x = 0; x < width; x++, p += 3)
			out[x] = rgb(p[2], p[1], p[0]);
		break;
	default:
		for (uint32_t x = 0; x < width; x++, p += 4)
			out[x] = (v->endian_big ? load_be32(p) : load_le32(p)) & 0xffffff;
	}
}

/* vbe_valid keeps corner and size inside the memory. */
static void draw_linear(const struct vga *v, struct surface *s)
{
	const uint16_t *r = v->vbe;
	uint32_t bytes = vbe_pixel_bytes(v), pitch = r[VBE_VIRT_WIDTH] * bytes, colors[PALETTE], row[VBE_X_MAX];
	size_t at = (size_t)r[VBE_Y] * pitch + r[VBE_X] * bytes;

	if (surface_begin(s, r[VBE_XRES], r[VBE_YRES]) < 0)
		return;
	vga_colors(v, colors);
	for (uint32_t y = 0; y < s->height && at + s->width * bytes <= VGA_MEMORY; y++, at += pitch) {
		row_linear(v, v->mem + at, s->width, colors, row);
		surface_row(s, y, row);
	}
}

/* ---- VGA graphics: planar, interleaved (CGA), 256 colours ---- */

struct graphics {
	unsigned width, height, repeat; /* repeat: scan lines to a row */
	unsigned start, pitch;          /* in addresses of four bytes */
	unsigned bank_1, bank_2;        /* address bits that the row number replaces; 0: none */
	unsigned split;                 /* scan line from which on the picture begins again at 0 */
};

static void graphics_layout(const struct vga *v, struct graphics *g)
{
	uint8_t max = v->crtc[CRTC_MAX_SCAN], mode = v->crtc[CRTC_MODE], o = v->crtc[CRTC_OVERFLOW];
	unsigned columns = v->crtc[CRTC_H_END] + 1u, lines = vga_lines(v), byte_mode = mode >> 6 & 1;

	g->repeat = ((max & 0x1f) + 1u) << (max >> 7);
	g->width = columns * (v->gfx[GFX_MODE] & MODE_256 ? 4 : 8);
	g->start = vga_start(v);
	g->pitch = v->crtc[CRTC_OFFSET] * 2u;
	g->bank_1 = mode & 1 ? 0 : 1u << (12 + byte_mode);
	g->bank_2 = mode & 2 ? 0 : 1u << (13 + byte_mode);
	g->split = v->crtc[CRTC_LINE_COMPARE] | (o & 0x10u) << 4 | (max & 0x40u) << 3;
	if (g->bank_1) /* the rows of a cell are rows of the picture */
		g->repeat = 1u << (max >> 7);
	g->height = lines / g->repeat;
	if (vbe_on(v)) {
		g->width = v->vbe[VBE_XRES];
		g->height = v->vbe[VBE_YRES];
		g->repeat = 1;
		g->pitch = v->vbe[VBE_VIRT_WIDTH] / 8;
		g->start = v->vbe[VBE_Y] * g->pitch + v->vbe[VBE_X] / 8;
		g->split = UINT32_MAX;
		g->bank_1 = g->bank_2 = 0;
	}
}

/* Where the row begins. */
static unsigned row_address(const struct vga *v, const struct graphics *g, unsigned y)
{
	unsigned line = y * g->repeat, cell = (v->crtc[CRTC_MAX_SCAN] & 0x1f) + 1u, start = g->start, at;

	if (line > g->split) {
		y = (line - g->split - 1) / g->repeat;
		start = 0;
	}
	at = start + (g->bank_1 ? y / cell : y) * g->pitch;
	if (g->bank_1)
		at = (at & ~g->bank_1) | (y & 1 ? g->bank_1 : 0);
	if (g->bank_1 && g->bank_2)
		at = (at & ~g->bank_2) | (y & 2 ? g->bank_2 : 0);
	return at;
}

/* Eight pixels of the planes' bits. */
static void pixels_planar(const struct vga *v, const uint8_t *p, const uint32_t *colors, uint32_t *out)
{
	for (unsigned x = 0; x < 8; x++) {
		unsigned bit = 7 - x;
		unsigned c = (p[0] >> bit & 1) | (p[1] >> bit & 1) << 1 | (p[2] >> bit & 1) << 2 |
			     (p[3] >> bit & 1) << 3;

		out[x] = colors[v->attr[c & v->attr[ATTR_PLANES] & 0x0f]];
	}
}

/* Eight pixels of two bits: four in plane 0, four in plane 1; planes 2 and 3 would be the upper bits. */
static void pixels_interleaved(const struct vga *v, const uint8_t *p, const uint32_t *colors, uint32_t *out)
{
	for (unsigned x = 0; x < 8; x++) {
		unsigned from = x / 4, bit = 6 - 2 * (x % 4);
		unsigned c = (p[from] >> bit & 3) | (p[from + 2] >> bit & 3) << 2;

		out[x] = colors[v->attr[c & v->attr[ATTR_PLANES] & 0x0f]];
	}
}

static void row_graphics(const struct vga *v, unsigned at, unsigned width, const uint32_t *colors, uint32_t *out)
{
	uint8_t mode = v->gfx[GFX_MODE];
	unsigned step = mode & MODE_256 ? 4 : 8;

	for (unsigned x = 0; x < width; x += step, at++, out += step) {
		const uint8_t *p = &v->mem[at * PLANES % VGA_MEMORY];

		if (mode & MODE_256)
			for (unsigned n = 0; n < PLANES; n++)
				out[n] = colors[p[n]];
		else if (mode & MODE_INTERLEAVE)
			pixels_interleaved(v, p, colors, out);
		else
			pixels_planar(v, p, colors, out);
	}
}

static void draw_graphics(const struct vga *v, struct surface *s)
{
	uint32_t colors[PALETTE], row[ROW_MAX];
	unsigned pan = v->attr[ATTR_PAN] & 7;
	struct graphics g;

	graphics_layout(v, &g);
	if (surface_begin(s, g.width, g.height) < 0)
		return;
	if (v->gfx[GFX_MODE] & MODE_256) {
		vga_colors(v, colors);
		pan /= 2;
	} else {
		colors_16(v, colors);
	}
	if (vbe_on(v))
		pan = 0;
	for (unsigned y = 0; y < g.height; y++) {
		/* one step more than is shown, for the panning */
		row_graphics(v, row_address(v, &g, y), g.width + 8, colors, row);
		surface_row(s, y, row + pan);
	}
}

/* ---- which of them ---- */

static void draw_black(struct vga *v, struct surface *s)
{
	static const uint32_t black[SURFACE_SIDE_MAX];
	bool sized = s->width && s->height;

	if (surface_begin(s, sized ? s->width : 640, sized ? s->height : 480) < 0)
		return;
	for (uint32_t y = 0; y < s->height; y++)
		surface_row(s, y, black);
}

void vga_draw(void *vga, struct surface *s)
{
	struct vga *v = vga;
	uint32_t colors[PALETTE];

	pthread_mutex_lock(&v->lock);
	if (v->cfg.plain ? !vbe_on(v) : !(v->attr_index & ATTR_ON) || v->seq[SEQ_CLOCKING] & CLOCKING_OFF) {
		draw_black(v, s);
	} else if (vbe_on(v) && vbe_pixel_bytes(v)) {
		draw_linear(v, s);
	} else if (vbe_on(v) || v->gfx[GFX_MISC] & MISC_GRAPHICS) {
		draw_graphics(v, s);
	} else {
		colors_16(v, colors);
		vga_draw_text(v, s, colors);
	}
	pthread_mutex_unlock(&v->lock);
}
