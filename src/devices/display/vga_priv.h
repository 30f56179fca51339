/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the VGA: registers (vga_regs.c, vbe.c), the window at 0xa0000 (vga_window.c), the picture (vga_draw.c,
 * whose text part is vga_text.c), the PCI function (vga.c).
 *
 * Video memory holds the four planes side by side: byte `at` of plane p is mem[4 * at + p]. So a 256-colour picture is
 * in it pixel by pixel, chained or not, and VBE's linear modes use it as it is.
 */
#ifndef PANAL_DEVICES_DISPLAY_VGA_PRIV_H
#define PANAL_DEVICES_DISPLAY_VGA_PRIV_H

#include "devices/display/vga.h"
#include "devices/pci/pci.h"
#include "display/display.h"

enum { PLANES = 4, PLANE_BYTES = 64 << 10 };
enum { SEQ_COUNT = 8, GFX_COUNT = 16, CRTC_COUNT = 32, ATTR_COUNT = 32, PALETTE = 256, PALETTE_BYTES = PALETTE * 3 };
enum { VBE_COUNT = 11 };

/* Registers by number (IBM VGA Technical Reference; FreeVGA). */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY };
enum { GFX_SET_RESET, GFX_ENABLE_SET_RESET, GFX_COMPARE, GFX_ROTATE, GFX_READ_MAP, GFX_MODE, GFX_MISC, GFX_DONT_CARE,
       GFX_BIT_MASK };
enum { CRTC_H_END = 0x01, CRTC_OVERFLOW = 0x07, CRTC_PRESET_ROW = 0x08, CRTC_MAX_SCAN = 0x09, CRTC_CURSOR_START = 0x0a,
       CRTC_CURSOR_END = 0x0b, CRTC_START_HIGH = 0x0c, CRTC_START_LOW = 0x0d, CRTC_CURSOR_HIGH = 0x0e,
       CRTC_CURSOR_LOW = 0x0f, CRTC_V_SYNC_END = 0x11, CRTC_V_END = 0x12, CRTC_OFFSET = 0x13, CRTC_MODE = 0x17,
       CRTC_LINE_COMPARE = 0x18 };
enum { ATTR_MODE = 0x10, ATTR_OVERSCAN = 0x11, ATTR_PLANES = 0x12, ATTR_PAN = 0x13, ATTR_COLOR = 0x14 };
enum { CLOCKING_8_DOTS = 0x01, CLOCKING_SLOW = 0x08, CLOCKING_OFF = 0x20 };
enum { MEMORY_NO_ODD_EVEN = 0x04, MEMORY_CHAIN_4 = 0x08 };
enum { MODE_READ_COMPARE = 0x08, MODE_INTERLEAVE = 0x20, MODE_256 = 0x40 };
enum { MISC_GRAPHICS = 0x01, ATTR_BLINK = 0x08, ATTR_LINE_GRAPHICS = 0x04, ATTR_P54 = 0x80, ATTR_ON = 0x20 };

/* Bochs' VBE registers. */
enum { VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X, VBE_Y,
       VBE_MEMORY };
enum { VBE_ON = 0x01, VBE_CAPABILITIES = 0x02, VBE_8BIT_DAC = 0x20, VBE_LINEAR = 0x40, VBE_KEEP = 0x80 };
enum { VBE_X_MAX = 2560, VBE_Y_MAX = 1600, VBE_BPP_MAX = 32, VBE_ID_FIRST = 0xb0c0, VBE_ID_LAST = 0xb0c5 };

struct vga {
	struct pci_dev pci;
	struct vga_config cfg;
	struct vm *vm;
	struct region_handle *ports, *window, *vbe_ports;
	uint8_t *mem; /* VGA_MEMORY bytes; the guest writes them at any time */
	uint8_t *rom;
	pthread_mutex_t lock; /* guards all below, and the window's latches */

	uint8_t misc, feature;
	uint8_t seq_index, gfx_index, crtc_index, attr_index;
	bool attr_data; /* port 0x3c0 takes a value next, not an index */
	uint8_t seq[SEQ_COUNT], gfx[GFX_COUNT], crtc[CRTC_COUNT], attr[ATTR_COUNT];
	uint8_t dac_mask, dac_state, dac_read, dac_write, dac_part;
	uint8_t dac_new[3];
	uint8_t palette[PALETTE_BYTES];
	uint8_t status; /* retrace bits, which go on with each read */
	uint32_t latch;
	uint16_t vbe_index;
	uint16_t vbe[VBE_COUNT];
	uint8_t endian_big;
};

/* Lock held, all of them. */
void vga_regs_reset(struct vga *v);
uint8_t vga_port_read(struct vga *v, uint16_t port);
void vga_port_write(struct vga *v, uint16_t port, uint8_t value);

void vbe_reset(struct vga *v);
uint16_t vbe_read(const struct vga *v, unsigned index);
void vbe_write(struct vga *v, unsigned index, uint16_t value);
static inline bool vbe_on(const struct vga *v)
{
	return v->vbe[VBE_ENABLE] & VBE_ON;
}
/* Bytes of a pixel; 0 for the planar mode of 4 bits. */
static inline unsigned vbe_pixel_bytes(const struct vga *v)
{
	return (v->vbe[VBE_BPP] + 7u) / 8 * (v->vbe[VBE_BPP] >= 8);
}
/* A saved state may hold anything: false when the registers do not fit together. */
bool vbe_valid(const struct vga *v);

extern const struct region_ops vga_window_ops; /* opaque: struct vga */

/* Main loop; takes the lock. */
void vga_draw(void *vga, struct surface *s);
/* For vga_draw: the palette as pixels, and the text modes. */
void vga_colors(const struct vga *v, uint32_t out[PALETTE]);
void vga_draw_text(struct vga *v, struct surface *s, const uint32_t colors[PALETTE]);
static inline unsigned vga_start(const struct vga *v)
{
	return v->crtc[CRTC_START_HIGH] << 8 | v->crtc[CRTC_START_LOW];
}
static inline unsigned vga_lines(const struct vga *v)
{
	uint8_t o = v->crtc[CRTC_OVERFLOW];

	return (v->crtc[CRTC_V_END] | (o & 2) << 7 | (o & 0x40) << 3) + 1u;
}

#endif
