/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the control and the cursor queue (5.7.6). */
#include "devices/virtio/gpu_priv.h"

#include "base/bytes.h"

#include <stdlib.h>

enum { HEADER = 24, FENCE = 1, SCANOUTS_MAX = 16, REPLY_MAX = HEADER + 8 + 1024, REQUEST_MAX = 64, PIECE = 16 };
enum {
	GET_DISPLAY_INFO = 0x100, RESOURCE_CREATE = 0x101, RESOURCE_UNREF = 0x102, SET_SCANOUT = 0x103,
	RESOURCE_FLUSH = 0x104, TRANSFER = 0x105, ATTACH_BACKING = 0x106, DETACH_BACKING = 0x107, GET_EDID = 0x10a,
	UPDATE_CURSOR = 0x300, MOVE_CURSOR = 0x301,
};

/* A command: its bytes after the header, and what it answers. */
struct call {
	struct virtio_gpu *g;
	const struct virtq_elem *el;
	const uint8_t *p;
	uint8_t reply[REPLY_MAX];
	uint32_t reply_size;
};

static uint32_t u32(const struct call *c, unsigned off)
{
	return load_le32(c->p + off);
}

static struct rect rect_of(const struct call *c)
{
	return (struct rect){ u32(c, 0), u32(c, 4), u32(c, 8), u32(c, 12) };
}

static bool inside(const struct rect *r, const struct gpu_resource *in)
{
	return range_inside(r->x, r->width, in->width) && range_inside(r->y, r->height, in->height);
}

static enum gpu_reply display_info(struct call *c)
{
	uint8_t *mode = c->reply + HEADER;

	store_le32(mode + 8, c->g->width);
	store_le32(mode + 12, c->g->height);
	store_le32(mode + 16, 1);
	c->reply_size = HEADER + SCANOUTS_MAX * 24;
	return GPU_OK_DISPLAY_INFO;
}

static enum gpu_reply edid(struct call *c)
{
	if (u32(c, 0))
		return GPU_BAD_PARAMETER;
	store_le32(c->reply + HEADER, GPU_EDID_SIZE);
	gpu_edid(c->reply + HEADER + 8, c->g->width, c->g->height);
	c->reply_size = REPLY_MAX;
	return GPU_OK_EDID;
}

static enum gpu_reply create(struct call *c)
{
	return gpu_create(c->g, u32(c, 0), u32(c, 4), u32(c, 8), u32(c, 12));
}

static enum gpu_reply unref(struct call *c)
{
	struct gpu_resource *r = gpu_find(c->g, u32(c, 0));

	if (!r)
		return GPU_NO_RESOURCE;
	gpu_free(c->g, r);
	return GPU_OK;
}

static enum gpu_reply set_scanout(struct call *c)
{
	struct virtio_gpu *g = c->g;
	struct rect r = rect_of(c);
	const struct gpu_resource *res = gpu_find(g, u32(c, 20));

	if (u32(c, 16))
		return GPU_NO_SCANOUT;
	if (!u32(c, 20)) {
		g->shown = 0;
		return GPU_OK;
	}
	if (!res)
		return GPU_NO_RESOURCE;
	if (!r.width || !r.height || !inside(&r, res))
		return GPU_BAD_PARAMETER;
	g->shown = res->id;
	g->x = r.x;
	g->y = r.y;
	g->shown_width = r.width;
	g->shown_height = r.height;
	return GPU_OK;
}

/* Viewers pull what the resource holds: there is nothing to push. */
static enum gpu_reply flush(struct call *c)
{
	struct rect r = rect_of(c);
	const struct gpu_resource *res = gpu_find(c->g, u32(c, 16));

	return !res ? GPU_NO_RESOURCE : inside(&r, res) ? GPU_OK : GPU_BAD_PARAMETER;
}

static enum gpu_reply transfer(struct call *c)
{
	struct rect r = rect_of(c);
	struct gpu_resource *res = gpu_find(c->g, u32(c, 24));

	if (!res)
		return GPU_NO_RESOURCE;
	if (!inside(&r, res))
		return GPU_BAD_PARAMETER;
	if (!res->piece)
		return GPU_UNSPECIFIED;
	gpu_transfer(c->g, res, &r, load_le64(c->p + 16));
	return GPU_OK;
}

/* The pieces come behind the command; those that lie next to each other become one. */
static enum gpu_reply attach(struct call *c)
{
	struct gpu_resource *r = gpu_find(c->g, u32(c, 0));
	uint32_t count = u32(c, 4), used = 0;
	struct gpu_piece *piece;
	enum gpu_reply ret;
	uint8_t b[PIECE];

	if (!r)
		return GPU_NO_RESOURCE;
	if (!count || count > GPU_PIECES_MAX || c->el->readable_len < HEADER + 8 + (uint64_t)count * PIECE)
		return GPU_BAD_PARAMETER;
	piece = malloc(count * sizeof(*piece));
	for (uint32_t n = 0; piece && n < count; n++) {
		virtq_copy_out(c->el, HEADER + 8 + (size_t)n * PIECE, b, sizeof(b));
		struct gpu_piece p = { load_le64(b), load_le32(b + 8) };
		struct gpu_piece *last = used ? &piece[used - 1] : NULL;

		if (last && last->gpa + last->len == p.gpa && p.len <= UINT32_MAX - last->len)
			last->len += p.len;
		else
			piece[used++] = p;
	}
	ret = piece ? gpu_attach(c->g, r, piece, used) : GPU_OUT_OF_MEMORY;
	if (ret != GPU_OK)
		free(piece);
	return ret;
}

static enum gpu_reply detach(struct call *c)
{
	struct gpu_resource *r = gpu_find(c->g, u32(c, 0));

	if (!r)
		return GPU_NO_RESOURCE;
	gpu_detach(c->g, r);
	return GPU_OK;
}

static enum gpu_reply move_cursor(struct call *c)
{
	if (u32(c, 0))
		return GPU_NO_SCANOUT;
	c->g->cursor_x = u32(c, 4);
	c->g->cursor_y = u32(c, 8);
	return GPU_OK;
}

static enum gpu_reply update_cursor(struct call *c)
{
	struct virtio_gpu *g = c->g;
	const struct gpu_resource *r = gpu_find(g, u32(c, 16));
	enum gpu_reply ret = move_cursor(c);

	if (ret != GPU_OK)
		return ret;
	g->cursor_on = r && r->width == GPU_CURSOR && r->height == GPU_CURSOR;
	g->hot_x = u32(c, 20);
	g->hot_y = u32(c, 24);
	for (uint32_t y = 0; g->cursor_on && y < GPU_CURSOR; y++)
		gpu_pixels(r, 0, y, GPU_CURSOR, g->cursor + y * GPU_CURSOR);
	return GPU_OK;
}

static const struct command {
	uint16_t type, size; /* size: bytes after the header */
	enum gpu_reply (*run)(struct call *c);
} table[] = {
	{ GET_DISPLAY_INFO, 0, display_info }, { RESOURCE_CREATE, 16, create }, { RESOURCE_UNREF, 8, unref },
	{ SET_SCANOUT, 24, set_scanout }, { RESOURCE_FLUSH, 24, flush }, { TRANSFER, 32, transfer },
	{ ATTACH_BACKING, 8, attach }, { DETACH_BACKING, 8, detach }, { GET_EDID, 8, edid },
	{ UPDATE_CURSOR, 32, update_cursor }, { MOVE_CURSOR, 32, move_cursor },
};

uint32_t gpu_command(struct virtio_gpu *g, const struct virtq_elem *el)
{
	uint8_t request[REQUEST_MAX] = { 0 };
	size_t size = virtq_copy_out(el, 0, request, sizeof(request));
	struct call c = { .g = g, .el = el, .p = request + HEADER, .reply_size = HEADER };
	const struct command *found = NULL;
	enum gpu_reply ret = GPU_UNSPECIFIED;

	for (unsigned n = 0; size >= HEADER && n < COUNT_OF(table) && !found; n++)
		found = table[n].type == load_le32(request) ? &table[n] : NULL;
	if (found && size >= HEADER + (size_t)found->size)
		ret = found->run(&c);
	else if (found)
		ret = GPU_BAD_PARAMETER;
	store_le32(c.reply, ret);
	if (load_le32(request + 4) & FENCE) { /* done already: the answer is the fence */
		store_le32(c.reply + 4, FENCE);
		memcpy(c.reply + 8, request + 8, 12);
	}
	return (uint32_t)virtq_copy_in(el, 0, c.reply, c.reply_size);
}
