/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the screen says of itself (VESA E-EDID 1.4, base block): one preferred timing, at 60 Hz. */
#include "devices/virtio/gpu_priv.h"

#include "base/bytes.h"

enum { BLANK_X = 160, SYNC_AT = 48, SYNC = 32, BLANK_Y = 35, HZ = 60, DPI_MM10 = 254, DPI = 96 };

static void timing(uint8_t *t, unsigned width, unsigned height)
{
	unsigned mm_x = width * DPI_MM10 / DPI / 10, mm_y = height * DPI_MM10 / DPI / 10;
	uint64_t clock = (uint64_t)(width + BLANK_X) * (height + BLANK_Y) * HZ / 10000;

	store_le16(t, (uint16_t)clock);
	t[2] = (uint8_t)width;
	t[3] = BLANK_X & 0xff;
	t[4] = (uint8_t)(width >> 8 << 4 | BLANK_X >> 8);
	t[5] = (uint8_t)height;
	t[6] = BLANK_Y;
	t[7] = (uint8_t)(height >> 8 << 4);
	t[8] = SYNC_AT;
	t[9] = SYNC;
	t[10] = 3 << 4 | 6; /* vertical sync: 3 lines behind, 6 long */
	t[12] = (uint8_t)mm_x;
	t[13] = (uint8_t)mm_y;
	t[14] = (uint8_t)(mm_x >> 8 << 4 | mm_y >> 8);
	t[17] = 0x1a; /* digital, separate syncs */
}

void gpu_edid(uint8_t out[GPU_EDID_SIZE], unsigned width, unsigned height)
{
	static const uint8_t head[] = {
		0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x41, 0xcc /* PNL */, 0x01, 0x00, 1, 0, 0, 0, 1, 33,
		1, 4, 0xa5 /* digital, 8 bits, DisplayPort */, 0, 0, 120, 0x06 /* sRGB, preferred timing */,
		0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, /* sRGB */
	};
	static const uint8_t name[] = "\0\0\0\xfc\0Panal\n       ";
	static const uint8_t range[] = { 0, 0, 0, 0xfd, 0, 50, 125, 30, 255, 255, 1, 10, 32, 32, 32, 32, 32, 32 };
	uint8_t sum = 0;

	memset(out, 0, GPU_EDID_SIZE);
	memcpy(out, head, sizeof(head));
	out[21] = (uint8_t)(width * DPI_MM10 / DPI / 100);
	out[22] = (uint8_t)(height * DPI_MM10 / DPI / 100);
	memset(out + 38, 1, 16); /* no standard timings */
	timing(out + 54, width, height);
	memcpy(out + 72, name, sizeof(range));
	memcpy(out + 90, range, sizeof(range));
	out[111] = 0x10; /* dummy */
	for (unsigned n = 0; n < GPU_EDID_SIZE - 1; n++)
		sum = (uint8_t)(sum + out[n]);
	out[127] = (uint8_t)-sum;
}
