/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text modes: characters and attributes in planes 0 and 1, fonts in plane 2. */
#include "devices/display/vga_priv.h"

enum { GLYPH_BYTES = 32, CHARACTERS_MAX = 256, CELL_MAX = 9, CURSOR_OFF = 0x20, LINE_FIRST = 0xc0, LINE_LAST = 0xdf };
enum { UNDERLINE_ATTRIBUTE = 0x01, FONT_SELECT = 0x08 };

struct text {
	unsigned columns, rows, cell_width, cell_height;
	unsigned start, pitch; /* in characters */
	unsigned font[2];      /* where in plane 2, by attribute bit 3 */
	unsigned cursor;       /* the character that has it */
	bool cursor_on;
	unsigned cursor_first, cursor_last; /* lines of the cell */
};

/* Sequencer register 3: bits 5, 3, 2 are font A, bits 4, 1, 0 font B; the highest bit is half a step. */
static unsigned font_offset(unsigned low, unsigned high)
{
	return low * 0x4000 + high * 0x2000;
}

static void text_layout(const struct vga *v, struct text *t)
{
	uint8_t fonts = v->seq[SEQ_FONT], start = v->crtc[CRTC_CURSOR_START];

	t->columns = v->crtc[CRTC_H_END] + 1u;
	t->cell_width = v->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
	t->cell_height = (v->crtc[CRTC_MAX_SCAN] & 0x1f) + 1u;
	t->rows = vga_lines(v) / (v->crtc[CRTC_MAX_SCAN] & 0x80 ? 2 : 1) / t->cell_height;
	t->start = vga_start(v);
	t->pitch = v->crtc[CRTC_OFFSET] * 2u;
	t->font[1] = font_offset(fonts >> 2 & 3, fonts >> 5 & 1);
	t->font[0] = font_offset(fonts & 3, fonts >> 4 & 1);
	t->cursor = v->crtc[CRTC_CURSOR_HIGH] << 8 | v->crtc[CRTC_CURSOR_LOW];
	t->cursor_on = !(start & CURSOR_OFF);
	t->cursor_first = start & 0x1f;
	t->cursor_last = v->crtc[CRTC_CURSOR_END] & 0x1f;
}

/* One line of one character. */
static uint32_t *cell_line(const struct vga *v, const struct text *t, unsigned at, unsigned line,
			   const uint32_t *colors, uint32_t *out)
{
	const uint8_t *cell = &v->mem[(at & 0xffff) * PLANES];
	uint8_t ch = cell[0], a = cell[1], bg = a >> 4, fg = a & 0x0f, bits;
	unsigned glyph = t->font[a & FONT_SELECT ? 1 : 0] + ch * GLYPH_BYTES + line;
	bool last;

	if (v->attr[ATTR_MODE] & ATTR_BLINK)
		bg &= 7; /* shown in the phase in which it is to be seen */
	bits = v->mem[(glyph & 0xffff) * PLANES + 2];
	last = ch >= LINE_FIRST && ch <= LINE_LAST && v->attr[ATTR_MODE] & ATTR_LINE_GRAPHICS && bits & 1;
	if (t->cursor_on && at == t->cursor && line >= t->cursor_first && line <= t->cursor_last) {
		bits = 0xff;
		last = true;
	}
	for (unsigned x = 0; x < 8; x++)
		*out++ = colors[v->attr[bits >> (7 - x) & 1 ? fg : bg]];
	if (t->cell_width == CELL_MAX)
		*out++ = colors[v->attr[last ? fg : bg]];
	return out;
}

void vga_draw_text(struct vga *v, struct surface *s, const uint32_t colors[PALETTE])
{
	uint32_t line[CHARACTERS_MAX * CELL_MAX];
	struct text t;

	text_layout(v, &t);
	if (!t.rows || surface_begin(s, t.columns * t.cell_width, t.rows * t.cell_height) < 0)
		return;
	for (unsigned y = 0; y < s->height; y++) {
		unsigned at = t.start + y / t.cell_height * t.pitch;
		uint32_t *out = line;

		for (unsigned x = 0; x < t.columns; x++)
			out = cell_line(v, &t, at + x, y % t.cell_height, colors, out);
		surface_row(s, y, line);
	}
}
