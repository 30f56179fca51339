/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/display/vga_priv.h"

#include <string.h>

enum { MISC_COLOR = 0x01, V_SYNC_PROTECT = 0x80, OVERFLOW_COMPARE = 0x10 };
enum { STATUS_DISPLAY_OFF = 0x01, STATUS_RETRACE = 0x08 };
enum { DAC_WRITING = 0, DAC_READING = 3, DAC_MAX = 0x3f };

void vga_regs_reset(struct vga *v)
{
	v->misc = v->feature = 0;
	v->seq_index = v->gfx_index = v->crtc_index = v->attr_index = 0;
	v->attr_data = false;
	memset(v->seq, 0, sizeof(v->seq));
	memset(v->gfx, 0, sizeof(v->gfx));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->attr, 0, sizeof(v->attr));
	memset(v->palette, 0, sizeof(v->palette));
	v->dac_mask = 0xff;
	v->dac_state = v->dac_read = v->dac_write = v->dac_part = 0;
	memset(v->dac_new, 0, sizeof(v->dac_new));
	v->status = 0;
	v->latch = 0;
}

/* The CRTC and the status register answer at 3bx or at 3dx, as the miscellaneous output register says. */
static bool elsewhere(const struct vga *v, uint16_t port)
{
	bool mono = port >= 0x3b0 && port <= 0x3bf, color = port >= 0x3d0;

	return v->misc & MISC_COLOR ? mono : color;
}

/* ---- attribute controller: index and value by turns at one port ---- */

static void attr_write(struct vga *v, uint8_t value)
{
	static const uint8_t mask[ATTR_COUNT] = { [ATTR_MODE] = 0xef, [ATTR_OVERSCAN] = 0xff, [ATTR_PLANES] = 0x3f,
						  [ATTR_PAN] = 0x0f, [ATTR_COLOR] = 0x0f };
	unsigned n = v->attr_index & 0x1f;

	if (v->attr_data)
		v->attr[n] = value & (n < ATTR_MODE ? 0x3f : mask[n]);
	else
		v->attr_index = value & 0x3f;
	v->attr_data = !v->attr_data;
}

/* ---- palette ---- */

static void dac_data_write(struct vga *v, uint8_t value)
{
	v->dac_new[v->dac_part++] = value;
	if (v->dac_part < 3)
		return;
	memcpy(&v->palette[v->dac_write * 3], v->dac_new, 3);
	v->dac_part = 0;
	v->dac_write++;
}

static uint8_t dac_data_read(struct vga *v)
{
	uint8_t value = v->palette[v->dac_read * 3 + v->dac_part++];

	if (v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return value;
}

/* ---- CRTC ---- */

static void crtc_write(struct vga *v, uint8_t value)
{
	unsigned n = v->crtc_index;

	if (n >= CRTC_COUNT)
		return;
	if (v->crtc[CRTC_V_SYNC_END] & V_SYNC_PROTECT && n <= CRTC_OVERFLOW) {
		if (n == CRTC_OVERFLOW) /* the one bit of them that stays open */
			v->crtc[n] = (uint8_t)((v->crtc[n] & ~OVERFLOW_COMPARE) | (value & OVERFLOW_COMPARE));
		return;
	}
	v->crtc[n] = value;
}

/* ---- ports ---- */

uint8_t vga_port_read(struct vga *v, uint16_t port)
{
	if (elsewhere(v, port))
		return 0xff;
	switch (port) {
	case 0x3c0: return v->attr_data ? 0 : v->attr_index;
	case 0x3c1: return v->attr[v->attr_index & 0x1f];
	case 0x3c2: return 0;
	case 0x3c4: return v->seq_index;
	case 0x3c5: return v->seq_index < SEQ_COUNT ? v->seq[v->seq_index] : 0;
	case 0x3c6: return v->dac_mask;
	case 0x3c7: return v->dac_state;
	case 0x3c8: return v->dac_write;
	case 0x3c9: return dac_data_read(v);
	case 0x3ca: return v->feature;
	case 0x3cc: return v->misc;
	case 0x3ce: return v->gfx_index;
	case 0x3cf: return v->gfx_index < GFX_COUNT ? v->gfx[v->gfx_index] : 0;
	case 0x3b4: case 0x3d4: return v->crtc_index;
	case 0x3b5: case 0x3d5: return v->crtc_index < CRTC_COUNT ? v->crtc[v->crtc_index] : 0;
	case 0x3ba: case 0x3da:
		v->attr_data = false;
		/* Whoever waits for a beam sees it come and go. */
		v->status ^= STATUS_DISPLAY_OFF | STATUS_RETRACE;
		return v->status;
	default: return 0xff;
	}
}

static void dac_index(struct vga *v, uint8_t value, bool read)
{
	*(read ? &v->dac_read : &v->dac_write) = value;
	v->dac_part = 0;
	v->dac_state = read ? DAC_READING : DAC_WRITING;
}

void vga_port_write(struct vga *v, uint16_t port, uint8_t value)
{
	if (elsewhere(v, port))
		return;
	switch (port) {
	case 0x3c0: attr_write(v, value); break;
	case 0x3c2: v->misc = value & ~0x10; break;
	case 0x3c4: v->seq_index = value; break;
	case 0x3c5:
		if (v->seq_index < SEQ_COUNT)
			v->seq[v->seq_index] = value;
		break;
	case 0x3c6: v->dac_mask = value; break;
	case 0x3c7: dac_index(v, value, true); break;
	case 0x3c8: dac_index(v, value, false); break;
	case 0x3c9: dac_data_write(v, value); break;
	case 0x3ce: v->gfx_index = value; break;
	case 0x3cf:
		if (v->gfx_index < GFX_COUNT)
			v->gfx[v->gfx_index] = value;
		break;
	case 0x3b4: case 0x3d4: v->crtc_index = value; break;
	case 0x3b5: case 0x3d5: crtc_write(v, value); break;
	case 0x3ba: case 0x3da: v->feature = value; break;
	default: break;
	}
}
