/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of the virtio graphics card. All of it under the device's lock. */
#ifndef PANAL_DEVICES_VIRTIO_GPU_PRIV_H
#define PANAL_DEVICES_VIRTIO_GPU_PRIV_H

#include "devices/virtio/gpu.h"
#include "display/surface.h"

enum { GPU_RESOURCES = 256, GPU_SIDE_MAX = 8192, GPU_PIECES_MAX = 32768, GPU_CURSOR = 64, GPU_EDID_SIZE = 128 };
#define GPU_BYTES_MAX (UINT64_C(256) << 20) /* of all resources */

enum gpu_reply {
	GPU_OK = 0x1100, GPU_OK_DISPLAY_INFO = 0x1101, GPU_OK_EDID = 0x1104, GPU_UNSPECIFIED = 0x1200,
	GPU_OUT_OF_MEMORY = 0x1201, GPU_NO_SCANOUT = 0x1202, GPU_NO_RESOURCE = 0x1203, GPU_BAD_PARAMETER = 0x1205,
};

struct gpu_piece {
	uint64_t gpa;
	uint32_t len;
};

/* A picture, and the guest's memory that it is filled from. */
struct gpu_resource {
	uint32_t id; /* 0: free */
	uint32_t format, width, height;
	uint32_t *pixel; /* as the guest gave them */
	struct gpu_piece *piece;
	uint32_t pieces;
};

struct virtio_gpu {
	struct virtio_dev v; /* first */
	struct virtq_elem elem;
	struct display *display;
	struct gpu_resource resource[GPU_RESOURCES];
	uint64_t bytes;  /* of their pixels */
	uint32_t pieces; /* of all of them */
	uint64_t moved;  /* bytes of transfers since the round began */
	uint16_t first_width, first_height;
	/* saved */
	uint32_t width, height; /* what the screen prefers */
	uint32_t shown;         /* resource; 0: the screen is dark */
	uint32_t x, y, shown_width, shown_height;
	uint32_t cursor_on, cursor_x, cursor_y, hot_x, hot_y;
	uint32_t cursor[GPU_CURSOR * GPU_CURSOR];
	/* saved state only */
	uint32_t saved_resource[GPU_RESOURCES][5];
	uint64_t saved_gpa[GPU_PIECES_MAX];
	uint32_t saved_len[GPU_PIECES_MAX];
	uint32_t row[GPU_SIDE_MAX];
};

/* gpu_resource.c */
struct gpu_resource *gpu_find(struct virtio_gpu *g, uint32_t id); /* NULL: there is none */
bool gpu_format_known(uint32_t format);
enum gpu_reply gpu_create(struct virtio_gpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
void gpu_free(struct virtio_gpu *g, struct gpu_resource *r);
void gpu_detach(struct virtio_gpu *g, struct gpu_resource *r);
/* Takes the pieces (malloc'ed) unless it fails. */
enum gpu_reply gpu_attach(struct virtio_gpu *g, struct gpu_resource *r, struct gpu_piece *piece, uint32_t count);
/* Copies the rectangle from the pieces; offset is where in them its first pixel is. The rectangle is inside. */
void gpu_transfer(struct virtio_gpu *g, struct gpu_resource *r, const struct rect *rect, uint64_t offset);
/* count pixels of row y from x on as 0xAARRGGBB. */
void gpu_pixels(const struct gpu_resource *r, uint32_t x, uint32_t y, uint32_t count, uint32_t *out);

/* gpu_command.c: a chain of the control or the cursor queue; gives the bytes of the answer. */
uint32_t gpu_command(struct virtio_gpu *g, const struct virtq_elem *el);

/* gpu_edid.c */
void gpu_edid(uint8_t out[GPU_EDID_SIZE], unsigned width, unsigned height);

#endif
