/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/region.h"

#include "base/bytes.h"
#include "base/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPACES = 2, NAME_MAX_BYTES = 40, DOORBELL_MAX = 512 };

struct region_handle {
	struct region_map *map;
	struct region r; /* r.name points at name */
	char name[NAME_MAX_BYTES];
	unsigned width_min, width_max;
};

struct region_doorbell_handle {
	struct region_map *map;
	struct region_doorbell bell;
};

struct region_map {
	pthread_rwlock_t lock;
	/* lock must be held for these */
	struct region_handle *sorted[SPACES][REGION_MAX]; /* by address, no overlap */
	unsigned count[SPACES];
	struct region_doorbell_handle *bell[DOORBELL_MAX];
	unsigned bells;
	struct region_listener listener;
};

int region_map_create(struct region_map **out, struct err *e)
{
	struct region_map *map = calloc(1, sizeof(*map));

	if (!map)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_rwlock_init(&map->lock, NULL);
	*out = map;
	return 0;
}

void region_map_destroy(struct region_map *map)
{
	if (!map)
		return;
	for (unsigned s = 0; s < SPACES; s++)
		for (unsigned n = 0; n < map->count[s]; n++)
			free(map->sorted[s][n]);
	for (unsigned n = 0; n < map->bells; n++)
		free(map->bell[n]);
	pthread_rwlock_destroy(&map->lock);
	free(map);
}

/* The index of the last region that starts at or below addr, or -1. Lock held. */
static int find_below(const struct region_map *map, enum region_space space, uint64_t addr)
{
	int lo = 0, hi = (int)map->count[space];

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (map->sorted[space][mid]->r.addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

static const struct region_handle *find(const struct region_map *map, enum region_space space, uint64_t addr)
{
	int n = find_below(map, space, addr);

	if (n < 0 || addr - map->sorted[space][n]->r.addr >= map->sorted[space][n]->r.size)
		return NULL;
	return map->sorted[space][n];
}

static int check_new(const struct region_map *map, const struct region *r, struct err *e)
{
	uint64_t limit = r->space == REGION_PORT ? 0x10000 : UINT64_MAX;
	const struct region_handle *other = NULL;
	int n;

	if (!r->size || r->size > limit || r->addr > limit - r->size || !r->ops || !r->ops->read || !r->ops->write)
		return err_set(e, -EINVAL, "region %s: bad address, size or functions", r->name);
	if (map->count[r->space] == REGION_MAX)
		return err_set(e, -ENOSPC, "region %s: more than %d regions", r->name, REGION_MAX);
	n = find_below(map, r->space, r->addr + (r->size - 1));
	if (n >= 0)
		other = map->sorted[r->space][n];
	if (other && other->r.addr + (other->r.size - 1) >= r->addr)
		return err_set(e, -EEXIST, "region %s at 0x%llx overlaps region %s at 0x%llx", r->name, (unsigned long long)r->addr,
		               other->name, (unsigned long long)other->r.addr);
	return 0;
}

int region_attach(struct region_map *map, const struct region *r, struct region_handle **out, struct err *e)
{
	struct region_handle *h = calloc(1, sizeof(*h));
	unsigned at;
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	h->map = map;
	h->r = *r;
	snprintf(h->name, sizeof(h->name), "%s", r->name ? r->name : "?");
	h->r.name = h->name;
	h->width_min = r->ops && r->ops->width_min ? r->ops->width_min : 1;
	h->width_max = r->ops && r->ops->width_max ? r->ops->width_max : 8;
	pthread_rwlock_wrlock(&map->lock);
	ret = check_new(map, &h->r, e);
	if (ret == 0) {
		at = (unsigned)(find_below(map, r->space, r->addr) + 1);
		memmove(&map->sorted[r->space][at + 1], &map->sorted[r->space][at],
		        (map->count[r->space] - at) * sizeof(map->sorted[0][0]));
		map->sorted[r->space][at] = h;
		map->count[r->space]++;
	}
	pthread_rwlock_unlock(&map->lock);
	if (ret < 0)
		free(h);
	else if (out)
		*out = h;
	return ret;
}

void region_detach(struct region_handle *h)
{
	struct region_map *map;
	int at;

	if (!h)
		return;
	map = h->map;
	pthread_rwlock_wrlock(&map->lock);
	at = find_below(map, h->r.space, h->r.addr);
	memmove(&map->sorted[h->r.space][at], &map->sorted[h->r.space][at + 1],
	        (map->count[h->r.space] - (unsigned)at - 1) * sizeof(map->sorted[0][0]));
	map->count[h->r.space]--;
	pthread_rwlock_unlock(&map->lock);
	free(h);
}

/* A copy of what answers at addr, so that no lock is held while it does. */
static bool look_up(struct region_map *map, enum region_space space, uint64_t addr, struct region_handle *copy)
{
	const struct region_handle *h;

	pthread_rwlock_rdlock(&map->lock);
	h = find(map, space, addr);
	if (h)
		*copy = *h;
	pthread_rwlock_unlock(&map->lock);
	return h;
}

/* How much of an access at off goes to the part at once. */
static unsigned piece(const struct region_handle *h, uint64_t off, unsigned width)
{
	while (width > h->width_max || width > h->r.size - off || (width & (width - 1)))
		width = width & (width - 1) ? width & (width - 1) : width / 2;
	return width;
}

static uint64_t read_piece(const struct region_handle *h, uint64_t off, unsigned width)
{
	uint64_t at = off, v;
	unsigned w = width;

	if (w < h->width_min) {
		at = round_down(off, h->width_min);
		w = h->width_min;
	}
	if (h->r.lock)
		pthread_mutex_lock(h->r.lock);
	v = h->r.ops->read(h->r.opaque, at, w);
	if (h->r.lock)
		pthread_mutex_unlock(h->r.lock);
	return (v >> ((off - at) * 8)) & width_mask(width);
}

uint64_t region_read(struct region_map *map, enum region_space space, uint64_t addr, unsigned width)
{
	uint64_t value = 0;
	unsigned done = 0;

	while (done < width) {
		struct region_handle h;
		unsigned w = 1;
		uint64_t v = 0xff;

		if (look_up(map, space, addr + done, &h)) {
			uint64_t off = addr + done - h.r.addr;

			w = piece(&h, off, width - done);
			v = read_piece(&h, off, w);
		}
		value |= v << (done * 8);
		done += w;
	}
	return value;
}

/* Signals a doorbell that matches; true when there was one. */
static bool ring(struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value)
{
	const uint64_t one = 1;
	bool rung = false;

	pthread_rwlock_rdlock(&map->lock);
	for (unsigned n = 0; n < map->bells && !rung; n++) {
		const struct region_doorbell *b = &map->bell[n]->bell;

		rung = b->space == space && b->addr == addr && (!b->width || b->width == width) && (!b->match || b->value == value);
		if (rung && write(b->event_fd, &one, sizeof(one)) < 0)
			rung = true; /* the counter is full: the reader is signalled already */
	}
	pthread_rwlock_unlock(&map->lock);
	return rung;
}

void region_write(struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value)
{
	unsigned done = 0;

	if (map->bells && ring(map, space, addr, width, value))
		return;
	while (done < width) {
		struct region_handle h;
		unsigned w = 1;

		if (look_up(map, space, addr + done, &h)) {
			uint64_t off = addr + done - h.r.addr;

			w = piece(&h, off, width - done);
			if (w >= h.width_min) {
				if (h.r.lock)
					pthread_mutex_lock(h.r.lock);
				h.r.ops->write(h.r.opaque, off, w, (value >> (done * 8)) & width_mask(w));
				if (h.r.lock)
					pthread_mutex_unlock(h.r.lock);
			}
		}
		done += w;
	}
}

bool region_present(struct region_map *map, enum region_space space, uint64_t addr)
{
	bool found;

	pthread_rwlock_rdlock(&map->lock);
	found = find(map, space, addr);
	pthread_rwlock_unlock(&map->lock);
	return found;
}

int region_doorbell_attach(struct region_map *map, const struct region_doorbell *bell, struct region_doorbell_handle **out,
                           struct err *e)
{
	struct region_doorbell_handle *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	*h = (struct region_doorbell_handle){ .map = map, .bell = *bell };
	pthread_rwlock_wrlock(&map->lock);
	if (map->bells == DOORBELL_MAX) {
		pthread_rwlock_unlock(&map->lock);
		free(h);
		return err_set(e, -ENOSPC, "more than %d doorbells", DOORBELL_MAX);
	}
	map->bell[map->bells++] = h;
	if (map->listener.doorbell)
		map->listener.doorbell(map->listener.opaque, &h->bell, true);
	pthread_rwlock_unlock(&map->lock);
	*out = h;
	return 0;
}

void region_doorbell_detach(struct region_doorbell_handle *h)
{
	struct region_map *map;

	if (!h)
		return;
	map = h->map;
	pthread_rwlock_wrlock(&map->lock);
	for (unsigned n = 0; n < map->bells; n++)
		if (map->bell[n] == h) {
			map->bell[n] = map->bell[--map->bells];
			break;
		}
	if (map->listener.doorbell)
		map->listener.doorbell(map->listener.opaque, &h->bell, false);
	pthread_rwlock_unlock(&map->lock);
	free(h);
}

void region_set_listener(struct region_map *map, const struct region_listener *listener)
{
	pthread_rwlock_wrlock(&map->lock);
	map->listener = listener ? *listener : (struct region_listener){ 0 };
	for (unsigned n = 0; n < map->bells && map->listener.doorbell; n++)
		map->listener.doorbell(map->listener.opaque, &map->bell[n]->bell, true);
	pthread_rwlock_unlock(&map->lock);
}
