/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/display/vga_priv.h"

#include <string.h>

enum { BANK_BYTES = 64 << 10 };

void vbe_reset(struct vga *v)
{
	memset(v->vbe, 0, sizeof(v->vbe));
	v->vbe[VBE_ID] = VBE_ID_LAST;
	v->vbe_index = 0;
}

/* Bytes from one row to the next; of the four planes together in the planar mode. */
static uint32_t row_bytes(const struct vga *v, uint32_t pixels)
{
	return vbe_pixel_bytes(v) ? pixels * vbe_pixel_bytes(v) : pixels / 2;
}

bool vbe_valid(const struct vga *v)
{
	const uint16_t *r = v->vbe;

	if (!vbe_on(v))
		return true;
	return r[VBE_XRES] >= 8 && r[VBE_XRES] <= VBE_X_MAX && r[VBE_YRES] && r[VBE_YRES] <= VBE_Y_MAX &&
	       (r[VBE_BPP] == 4 || r[VBE_BPP] == 8 || r[VBE_BPP] == 15 || r[VBE_BPP] == 16 || r[VBE_BPP] == 24 ||
		r[VBE_BPP] == 32) && r[VBE_VIRT_WIDTH] >= r[VBE_XRES] &&
	       (uint64_t)row_bytes(v, r[VBE_VIRT_WIDTH]) * r[VBE_YRES] <= VGA_MEMORY;
}

/* The picture stays inside the memory, whatever its corner. */
static void corner_limit(struct vga *v)
{
	uint16_t *r = v->vbe;
	uint32_t row = row_bytes(v, r[VBE_VIRT_WIDTH]);

	r[VBE_VIRT_HEIGHT] = row ? (uint16_t)(VGA_MEMORY / row > UINT16_MAX ? UINT16_MAX : VGA_MEMORY / row) : 0;
	if (r[VBE_X] + r[VBE_XRES] > r[VBE_VIRT_WIDTH])
		r[VBE_X] = (uint16_t)(r[VBE_VIRT_WIDTH] - r[VBE_XRES]);
	if (r[VBE_Y] + r[VBE_YRES] > r[VBE_VIRT_HEIGHT])
		r[VBE_Y] = (uint16_t)(r[VBE_VIRT_HEIGHT] - r[VBE_YRES]);
}

/* A mode that cannot be is not switched on: the guest reads that, and we say no more. */
static void enable(struct vga *v, uint16_t value)
{
	uint16_t *r = v->vbe;
	bool was = vbe_on(v);

	r[VBE_ENABLE] = value;
	if (!(value & VBE_ON)) {
		r[VBE_BANK] = 0;
		return;
	}
	if (was)
		return;
	r[VBE_BANK] = r[VBE_X] = r[VBE_Y] = 0;
	r[VBE_VIRT_WIDTH] = r[VBE_XRES];
	if (!vbe_valid(v)) {
		r[VBE_ENABLE] = value & ~VBE_ON;
		return;
	}
	corner_limit(v);
	if (!(value & VBE_KEEP))
		memset(v->mem, 0, (size_t)row_bytes(v, r[VBE_XRES]) * r[VBE_YRES]);
}

uint16_t vbe_read(const struct vga *v, unsigned index)
{
	if (v->vbe[VBE_ENABLE] & VBE_CAPABILITIES) {
		switch (index) {
		case VBE_XRES: return VBE_X_MAX;
		case VBE_YRES: return VBE_Y_MAX;
		case VBE_BPP: return VBE_BPP_MAX;
		default: break;
		}
	}
	if (index == VBE_MEMORY)
		return VGA_MEMORY / BANK_BYTES;
	return index < VBE_COUNT ? v->vbe[index] : 0;
}

void vbe_write(struct vga *v, unsigned index, uint16_t value)
{
	uint16_t *r = v->vbe, old;

	switch (index) {
	case VBE_ID:
		if (value >= VBE_ID_FIRST && value <= VBE_ID_LAST)
			r[VBE_ID] = value;
		break;
	case VBE_XRES: case VBE_YRES: case VBE_BPP: /* of the next mode */
		if (!vbe_on(v))
			r[index] = index == VBE_XRES ? value & ~7 : value;
		break;
	case VBE_BANK:
		if (value < VGA_MEMORY / BANK_BYTES)
			r[index] = value;
		break;
	case VBE_VIRT_WIDTH:
		old = r[index];
		r[index] = value & ~7;
		if (vbe_on(v) && !vbe_valid(v))
			r[index] = old;
		else if (vbe_on(v))
			corner_limit(v);
		break;
	case VBE_X: case VBE_Y:
		r[index] = value;
		if (vbe_on(v))
			corner_limit(v);
		break;
	case VBE_ENABLE: enable(v, value); break;
	default: break;
	}
}
