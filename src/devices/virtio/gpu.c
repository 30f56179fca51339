/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/gpu.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/vm.h"
#include "devices/virtio/gpu_priv.h"
#include "display/display.h"

#include <errno.h>
#include <stdlib.h>

enum { CONTROL, CURSOR, QUEUES, CONTROL_SIZE = 256, CURSOR_SIZE = 16, CLASS_DISPLAY = 0x038000, SIDE_MIN = 64 };
/* As long as a chain can be: a driver may give each page of a picture an entry, and each page of entries a segment. */
enum { SEG_MAX = CONTROL_SIZE, ROUND_BYTES = 64 << 20 };
enum { C_EVENTS = 0, C_EVENTS_CLEAR = 4, C_SCANOUTS = 8, C_LEN = 16, EVENT_DISPLAY = 1 };
#define FEATURE_EDID VIRTIO_BIT(1)

static struct virtio_gpu *gpu_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_gpu, v);
}

/* ---- the screen, on the main loop ---- */

/* The cursor's colours are multiplied by its alpha already, as all drivers have them. */
static uint32_t blend(uint32_t under, uint32_t over)
{
	uint32_t keep = 255 - (over >> 24), out = 0;

	for (unsigned shift = 0; shift < 24; shift += 8) {
		uint32_t sum = (over >> shift & 255) + (under >> shift & 255) * keep / 255;

		out |= (sum > 255 ? 255 : sum) << shift;
	}
	return out;
}

static void draw_cursor(const struct virtio_gpu *g, uint32_t *row, uint32_t y)
{
	int64_t left = (int64_t)g->cursor_x - g->hot_x, line = (int64_t)y - ((int64_t)g->cursor_y - g->hot_y);

	if (!g->cursor_on || line < 0 || line >= GPU_CURSOR)
		return;
	for (int64_t n = 0; n < GPU_CURSOR; n++)
		if (left + n >= 0 && left + n < g->shown_width)
			row[left + n] = blend(row[left + n], g->cursor[line * GPU_CURSOR + n]);
}

static void draw(void *opaque, struct surface *s)
{
	struct virtio_gpu *g = opaque;
	const struct gpu_resource *r;

	pthread_mutex_lock(&g->v.lock);
	r = gpu_find(g, g->shown);
	if (r && surface_begin(s, g->shown_width, g->shown_height) == 0)
		for (uint32_t y = 0; y < g->shown_height; y++) {
			gpu_pixels(r, g->x, g->y + y, g->shown_width, g->row);
			for (uint32_t n = 0; n < g->shown_width; n++)
				g->row[n] &= 0xffffff;
			draw_cursor(g, g->row, y);
			surface_row(s, y, g->row);
		}
	pthread_mutex_unlock(&g->v.lock);
}

int virtio_gpu_resize(struct virtio_gpu *g, uint16_t width, uint16_t height, struct err *e)
{
	if (width < SIDE_MIN || height < SIDE_MIN || width > VIRTIO_GPU_SIDE_MAX || height > VIRTIO_GPU_SIDE_MAX)
		return err_set(e, -EINVAL, "a screen of %ux%u is not possible; %d to %d are on each side", width,
			       height, SIDE_MIN, VIRTIO_GPU_SIDE_MAX);
	pthread_mutex_lock(&g->v.lock);
	g->width = width;
	g->height = height;
	store_le32(g->v.config + C_EVENTS, load_le32(g->v.config + C_EVENTS) | EVENT_DISPLAY);
	virtio_config_changed(&g->v);
	pthread_mutex_unlock(&g->v.lock);
	return 0;
}

/* ---- the driver's side ---- */

static void gpu_queue(struct virtio_dev *v, unsigned n)
{
	struct virtio_gpu *g = gpu_of(v);

	/* Large pictures, one after the other: others of this loop have their turn in between. */
	g->moved = 0;
	while (g->moved < ROUND_BYTES && virtio_pop(v, n, &g->elem))
		virtq_push(&v->queue[n].q, &g->elem, gpu_command(g, &g->elem));
	if (g->moved < ROUND_BYTES)
		virtio_rearm(v, n);
	else
		virtio_kick(v, n);
	virtio_notify(v, n);
}

/* Writing a bit of events_clear clears it in events_read. The rest is read-only. */
static void gpu_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
	uint32_t clear = load_le32(v->config + C_EVENTS_CLEAR), pending = load_le32(v->config + C_EVENTS);

	memset(v->config, 0, C_LEN);
	store_le32(v->config + C_EVENTS, off >= C_EVENTS_CLEAR && off < C_SCANOUTS ? pending & ~clear :
			   pending & EVENT_DISPLAY);
	store_le32(v->config + C_SCANOUTS, 1);
}

static void free_all(struct virtio_gpu *g)
{
	for (unsigned n = 0; n < GPU_RESOURCES; n++)
		if (g->resource[n].id)
			gpu_free(g, &g->resource[n]);
}

static bool gpu_forget(struct virtio_dev *v)
{
	struct virtio_gpu *g = gpu_of(v);

	free_all(g);
	g->shown = g->cursor_on = 0;
	return true;
}

static const struct virtio_device_ops gpu_ops = {
	.id = VIRTIO_ID_GPU, .name = "virtio-gpu", .pci_class = CLASS_DISPLAY, .queue = gpu_queue,
	.config_written = gpu_config_written, .reset = gpu_forget,
};

/* ---- saved state: pictures are not in it; they are fetched again from the guest's memory ---- */

static void gpu_before_save(void *obj)
{
	struct virtio_gpu *g = obj;
	uint32_t at = 0;

	virtio_before_save(obj);
	memset(g->saved_gpa, 0, sizeof(g->saved_gpa));
	memset(g->saved_len, 0, sizeof(g->saved_len));
	for (unsigned n = 0; n < GPU_RESOURCES; n++) {
		const struct gpu_resource *r = &g->resource[n];
		const uint32_t v[5] = { r->id, r->format, r->width, r->height, r->pieces };

		memcpy(g->saved_resource[n], v, sizeof(v));
		for (uint32_t i = 0; i < r->pieces; i++, at++) {
			g->saved_gpa[at] = r->piece[i].gpa;
			g->saved_len[at] = r->piece[i].len;
		}
	}
}

static enum gpu_reply resource_loaded(struct virtio_gpu *g, const uint32_t *v, uint32_t *at)
{
	enum gpu_reply ret = gpu_create(g, v[0], v[1], v[2], v[3]);
	struct gpu_resource *r = gpu_find(g, v[0]);
	struct gpu_piece *piece;

	if (ret != GPU_OK || !v[4])
		return ret;
	if (v[4] > GPU_PIECES_MAX - *at)
		return GPU_BAD_PARAMETER;
	piece = malloc(v[4] * sizeof(*piece));
	for (uint32_t n = 0; piece && n < v[4]; n++, ++*at)
		piece[n] = (struct gpu_piece){ g->saved_gpa[*at], g->saved_len[*at] };
	ret = piece ? gpu_attach(g, r, piece, v[4]) : GPU_OUT_OF_MEMORY;
	if (ret != GPU_OK)
		free(piece);
	else
		gpu_transfer(g, r, &(struct rect){ 0, 0, r->width, r->height }, 0);
	return ret;
}

static int check_loaded(struct virtio_gpu *g, struct err *e)
{
	const struct gpu_resource *r = gpu_find(g, g->shown);

	if (g->shown && (!r || !g->shown_width || !g->shown_height || !range_inside(g->x, g->shown_width, r->width) ||
			 !range_inside(g->y, g->shown_height, r->height)))
		return err_set(e, -EINVAL, "what a saved screen shows does not exist");
	if (g->width < SIDE_MIN || g->height < SIDE_MIN || g->width > VIRTIO_GPU_SIDE_MAX ||
	    g->height > VIRTIO_GPU_SIDE_MAX)
		return err_set(e, -EINVAL, "a saved screen of %ux%u is not possible", g->width, g->height);
	return 0;
}

/* The pictures that were are kept until the new ones are known to be good. */
static int gpu_loaded(void *obj, uint16_t version, struct err *e)
{
	struct virtio_gpu *g = obj;
	struct gpu_resource old[GPU_RESOURCES], *now = g->resource;
	uint64_t bytes = g->bytes;
	uint32_t pieces = g->pieces, at = 0;
	int ret = 0;

	memcpy(old, now, sizeof(old));
	memset(now, 0, sizeof(old));
	g->bytes = g->pieces = 0;
	for (unsigned n = 0; ret == 0 && n < GPU_RESOURCES; n++)
		if (g->saved_resource[n][0] && resource_loaded(g, g->saved_resource[n], &at) != GPU_OK)
			ret = err_set(e, -EINVAL, "a saved picture of the graphics card is not possible");
	if (ret == 0)
		ret = check_loaded(g, e);
	if (ret == 0)
		ret = virtio_after_load(obj, version, e);
	if (ret < 0) {
		free_all(g);
		memcpy(now, old, sizeof(old));
		g->bytes = bytes;
		g->pieces = pieces;
		return ret;
	}
	for (unsigned n = 0; n < GPU_RESOURCES; n++) {
		free(old[n].pixel);
		free(old[n].piece);
	}
	return 0;
}

static const struct state_field gpu_fields[] = {
	VIRTIO_STATE_FIELDS(struct virtio_gpu), STATE_FIELD(struct virtio_gpu, width, STATE_U32),
	STATE_FIELD(struct virtio_gpu, height, STATE_U32), STATE_FIELD(struct virtio_gpu, shown, STATE_U32),
	STATE_FIELD(struct virtio_gpu, x, STATE_U32), STATE_FIELD(struct virtio_gpu, y, STATE_U32),
	STATE_FIELD(struct virtio_gpu, shown_width, STATE_U32), STATE_FIELD(struct virtio_gpu, shown_height, STATE_U32),
	STATE_FIELD(struct virtio_gpu, cursor_on, STATE_U32), STATE_FIELD(struct virtio_gpu, cursor_x, STATE_U32),
	STATE_FIELD(struct virtio_gpu, cursor_y, STATE_U32), STATE_FIELD(struct virtio_gpu, hot_x, STATE_U32),
	STATE_FIELD(struct virtio_gpu, hot_y, STATE_U32),
	STATE_ARRAY(struct virtio_gpu, cursor, STATE_U32, GPU_CURSOR * GPU_CURSOR),
	STATE_ARRAY(struct virtio_gpu, saved_resource, STATE_U32, GPU_RESOURCES * 5),
	STATE_ARRAY(struct virtio_gpu, saved_gpa, STATE_U64, GPU_PIECES_MAX),
	STATE_ARRAY(struct virtio_gpu, saved_len, STATE_U32, GPU_PIECES_MAX), STATE_END,
};

static const struct state_desc gpu_state = {
	.name = "virtio-gpu", .version = 1, .fields = gpu_fields, .before_save = gpu_before_save,
	.after_load = gpu_loaded,
};

/* ---- life ---- */

static void gpu_reset(void *impl)
{
	struct virtio_gpu *g = impl;

	virtio_dev_reset(&g->v);
	pthread_mutex_lock(&g->v.lock);
	gpu_forget(&g->v);
	g->width = g->first_width;
	g->height = g->first_height;
	memset(g->v.config, 0, C_LEN);
	store_le32(g->v.config + C_SCANOUTS, 1);
	pthread_mutex_unlock(&g->v.lock);
}

static void gpu_destroy(void *impl)
{
	struct virtio_gpu *g = impl;

	if (g->display)
		display_detach(g->display, g);
	gpu_forget(&g->v);
	virtio_destroy(&g->v);
	virtq_elem_free(&g->elem);
	free(g);
}

static const struct dev_type gpu_type = {
	.name = "virtio-gpu", .destroy = gpu_destroy, .reset = gpu_reset, .run_state = virtio_dev_run_state,
	.state = &gpu_state, .state_size = sizeof(struct virtio_gpu),
};

static int attach(struct virtio_gpu *g, struct vm *vm, const char *id, struct err *e)
{
	const struct display_head head = { .draw = draw, .opaque = g };
	int ret = g->display ? display_attach(g->display, &head, e) : 0;

	if (ret == 0)
		ret = dev_attach(vm, &gpu_type, id, g, e);
	if (ret < 0)
		gpu_destroy(g);
	return ret;
}

int virtio_gpu_create(struct vm *vm, const struct virtio_gpu_config *cfg, struct virtio_gpu **out, struct err *e)
{
	const uint16_t sizes[QUEUES] = { CONTROL_SIZE, CURSOR_SIZE };
	struct virtio_gpu *g = calloc(1, sizeof(*g));
	int ret;

	if (!g || virtq_elem_init(&g->elem, SEG_MAX) < 0) {
		free(g);
		return err_set(e, -ENOMEM, "no memory for virtio-gpu");
	}
	g->display = cfg->display;
	g->width = g->first_width = cfg->width ? cfg->width : VIRTIO_GPU_WIDTH;
	g->height = g->first_height = cfg->height ? cfg->height : VIRTIO_GPU_HEIGHT;
	g->v.device_features = FEATURE_EDID;
	g->v.config_size = C_LEN;
	store_le32(g->v.config + C_SCANOUTS, 1);
	ret = virtio_init(&g->v, vm, &gpu_ops, &cfg->place, sizes, QUEUES, e);
	if (ret < 0) {
		virtq_elem_free(&g->elem);
		free(g);
		return ret;
	}
	ret = attach(g, vm, cfg->place.id, e);
	if (ret == 0 && out)
		*out = g;
	return ret;
}
