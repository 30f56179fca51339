/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor's way into video memory at 0xa0000: one access, four planes (IBM VGA Technical Reference, 2-78). */
#include "devices/display/vga_priv.h"

#include "base/bytes.h"
#include "core/region.h"

/* Four planes in one word, plane 0 lowest, as in memory. */
static uint32_t spread(uint8_t byte)
{
	return byte * 0x01010101u;
}

static uint32_t plane_mask(unsigned bits)
{
	return (bits & 1 ? 0xffu : 0) | (bits & 2 ? 0xff00u : 0) | (bits & 4 ? 0xff0000u : 0) |
	       (bits & 8 ? 0xff000000u : 0);
}

/* Where in the 64 KiB of a plane the offset in the window leads; false: not in this window. */
static bool window_offset(const struct vga *v, uint32_t off, uint32_t *at)
{
	switch (v->gfx[GFX_MISC] >> 2 & 3) {
	case 0: *at = off; return true;
	case 1: *at = off; return off < 0x10000;
	case 2: *at = off - 0x10000; return off >= 0x10000 && off < 0x18000;
	default: *at = off - 0x18000; return off >= 0x18000;
	}
}

/* VBE modes of 8 bits and more: a bank of the linear picture. */
static uint8_t *linear_byte(const struct vga *v, uint32_t at)
{
	if (!vbe_on(v) || !vbe_pixel_bytes(v))
		return NULL;
	return &v->mem[((uint32_t)v->vbe[VBE_BANK] << 16 | (at & 0xffff)) % VGA_MEMORY];
}

/* The address of the four bytes; in the planar VBE mode a bank is 64 KiB of each plane. */
static uint8_t *planes_at(const struct vga *v, uint32_t at)
{
	uint32_t bank = vbe_on(v) ? (uint32_t)v->vbe[VBE_BANK] << 16 : 0;

	return &v->mem[((bank + (at & 0xffff)) * PLANES) % VGA_MEMORY];
}

static bool odd_even(const struct vga *v)
{
	return !(v->seq[SEQ_MEMORY] & MEMORY_NO_ODD_EVEN);
}

/* ---- reads ---- */

static uint8_t read_planes(struct vga *v, uint32_t at)
{
	uint32_t differ;

	v->latch = load_le32(planes_at(v, at));
	if (!(v->gfx[GFX_MODE] & MODE_READ_COMPARE))
		return (uint8_t)(v->latch >> 8 * (v->gfx[GFX_READ_MAP] & 3));
	differ = (v->latch ^ plane_mask(v->gfx[GFX_COMPARE])) & plane_mask(v->gfx[GFX_DONT_CARE]);
	return (uint8_t)~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

static uint8_t read_byte(struct vga *v, uint32_t off)
{
	uint32_t at;
	const uint8_t *linear;

	if (!window_offset(v, off, &at))
		return 0xff;
	linear = linear_byte(v, at);
	if (linear)
		return *linear;
	if (v->seq[SEQ_MEMORY] & MEMORY_CHAIN_4)
		return v->mem[at % (PLANES * PLANE_BYTES)];
	if (odd_even(v) && !(v->gfx[GFX_MODE] & MODE_READ_COMPARE)) {
		v->latch = load_le32(planes_at(v, at >> 1));
		return (uint8_t)(v->latch >> 8 * ((v->gfx[GFX_READ_MAP] & 2) | (at & 1)));
	}
	return read_planes(v, at);
}

/* ---- writes ---- */

static uint8_t rotated(const struct vga *v, uint8_t value)
{
	unsigned by = v->gfx[GFX_ROTATE] & 7;

	return (uint8_t)(value >> by | value << (8 - by));
}

static uint32_t combined(const struct vga *v, uint32_t value)
{
	switch (v->gfx[GFX_ROTATE] >> 3 & 3) {
	case 1: return value & v->latch;
	case 2: return value | v->latch;
	case 3: return value ^ v->latch;
	default: return value;
	}
}

/* What the four write modes make of the processor's byte. */
static uint32_t written_word(const struct vga *v, uint8_t value)
{
	uint32_t mask = spread(v->gfx[GFX_BIT_MASK]), word, fixed;

	switch (v->gfx[GFX_MODE] & 3) {
	case 1: return v->latch;
	case 2: word = plane_mask(value); break;
	case 3:
		mask &= spread(rotated(v, value));
		word = plane_mask(v->gfx[GFX_SET_RESET]);
		return (word & mask) | (v->latch & ~mask);
	default:
		fixed = plane_mask(v->gfx[GFX_ENABLE_SET_RESET]);
		word = (spread(rotated(v, value)) & ~fixed) | (plane_mask(v->gfx[GFX_SET_RESET]) & fixed);
	}
	return (combined(v, word) & mask) | (v->latch & ~mask);
}

static void write_planes(struct vga *v, uint32_t at, uint8_t value, uint32_t planes)
{
	uint8_t *p = planes_at(v, at);
	uint32_t word = written_word(v, value);

	store_le32(p, (load_le32(p) & ~planes) | (word & planes));
}

static void write_byte(struct vga *v, uint32_t off, uint8_t value)
{
	uint32_t at, planes = plane_mask(v->seq[SEQ_MAP_MASK]);
	uint8_t *linear;

	if (!window_offset(v, off, &at))
		return;
	linear = linear_byte(v, at);
	if (linear) {
		*linear = value;
	} else if (v->seq[SEQ_MEMORY] & MEMORY_CHAIN_4) {
		if (v->seq[SEQ_MAP_MASK] >> (at & 3) & 1)
			v->mem[at % (PLANES * PLANE_BYTES)] = value;
	} else if (odd_even(v)) {
		write_planes(v, at >> 1, value, planes & (at & 1 ? 0xff00ff00u : 0x00ff00ffu));
	} else {
		write_planes(v, at, value, planes);
	}
}

/* Wider accesses are the bytes one after the other, as the 8-bit card did them. */
static uint64_t window_read(void *opaque, uint64_t off, unsigned width)
{
	uint64_t value = 0;

	for (unsigned n = 0; n < width; n++)
		value |= (uint64_t)read_byte(opaque, (uint32_t)off + n) << 8 * n;
	return value;
}

static void window_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	for (unsigned n = 0; n < width; n++)
		write_byte(opaque, (uint32_t)off + n, (uint8_t)(value >> 8 * n));
}

const struct region_ops vga_window_ops = { .read = window_read, .write = window_write };
