/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/region.h"

#include "base/bytes.h"
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPACES = 2, DOORBELL_MAX = 512, NAME_MAX_BYTES = 48 };

struct region_handle {
	struct region_map *map;
	struct region r; /* name points to the copy below; widths are filled in */
	struct region_ops widths;
	char name[NAME_MAX_BYTES];
};

struct region_doorbell_handle {
	struct region_map *map;
	struct region_doorbell bell;
};

struct region_map {
	pthread_rwlock_t lock; /* everything below; never held while a part's function runs */
	struct region_handle *region[SPACES][REGION_MAX]; /* by rising address */
	unsigned count[SPACES];
	struct region_doorbell_handle *bell[DOORBELL_MAX]; /* by space and rising address */
	unsigned bell_count;
	struct region_listener listener;
};

int region_map_create(struct region_map **out, struct err *e)
{
	struct region_map *map = calloc(1, sizeof(*map));
	pthread_rwlockattr_t attr;

	if (!map)
		return err_set(e, -ENOMEM, "out of memory");
	/* Accesses come all the time: without this an attach might wait for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&map->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	*out = map;
	return 0;
}

void region_map_destroy(struct region_map *map)
{
	if (!map)
		return;
	for (unsigned space = 0; space < SPACES; space++)
		for (unsigned n = 0; n < map->count[space]; n++)
			free(map->region[space][n]);
	for (unsigned n = 0; n < map->bell_count; n++)
		free(map->bell[n]);
	pthread_rwlock_destroy(&map->lock);
	free(map);
}

/* The index of the first region that begins above addr, under the lock. */
static unsigned first_above(const struct region_map *map, enum region_space space, uint64_t addr)
{
	unsigned low = 0, high = map->count[space];

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (map->region[space][mid]->r.addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- attach ---- */

static int check(const struct region *r, const struct region_ops *w, struct err *e)
{
	uint64_t last;

	if (!r->size || __builtin_add_overflow(r->addr, r->size - 1, &last) ||
	    (r->space == REGION_PORT && last > UINT16_MAX))
		return err_set(e, -EINVAL, "region %s: %#" PRIx64 " bytes at %#" PRIx64 " leave the address space",
			       r->name, r->size, r->addr);
	if (!is_power_of_2(w->width_min) || !is_power_of_2(w->width_max) || w->width_max > 8 ||
	    w->width_min > w->width_max || r->size % w->width_min)
		return err_set(e, -EINVAL, "region %s: widths %u to %u do not fit its size of %#" PRIx64, r->name,
			       w->width_min, w->width_max, r->size);
	return 0;
}

static int insert(struct region_map *map, struct region_handle *h, struct err *e)
{
	struct region_handle **list = map->region[h->r.space];
	unsigned at = first_above(map, h->r.space, h->r.addr), count = map->count[h->r.space];
	const struct region_handle *other = NULL;

	if (count == REGION_MAX)
		return err_set(e, -ENOSPC, "region %s: there are %d regions already", h->r.name, REGION_MAX);
	if (at && h->r.addr - list[at - 1]->r.addr < list[at - 1]->r.size)
		other = list[at - 1];
	else if (at < count && list[at]->r.addr - h->r.addr < h->r.size)
		other = list[at];
	if (other)
		return err_set(e, -EEXIST,
			       "region %s at %#" PRIx64 " overlaps region %s at %#" PRIx64 " (%#" PRIx64 " bytes)",
			       h->r.name, h->r.addr, other->r.name, other->r.addr, other->r.size);
	memmove(list + at + 1, list + at, (count - at) * sizeof(*list));
	list[at] = h;
	map->count[h->r.space]++;
	return 0;
}

int region_attach(struct region_map *map, const struct region *r, struct region_handle **out, struct err *e)
{
	struct region_handle *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	h->map = map;
	h->r = *r;
	snprintf(h->name, sizeof(h->name), "%s", r->name ? r->name : "?");
	h->r.name = h->name;
	h->widths = *r->ops;
	if (!h->widths.width_min)
		h->widths.width_min = 1;
	if (!h->widths.width_max)
		h->widths.width_max = 8;
	ret = check(&h->r, &h->widths, e);
	if (!ret) {
		pthread_rwlock_wrlock(&map->lock);
		ret = insert(map, h, e);
		pthread_rwlock_unlock(&map->lock);
	}
	if (ret < 0) {
		free(h);
		return ret;
	}
	if (out)
		*out = h;
	return 0;
}

void region_detach(struct region_handle *h)
{
	if (!h)
		return;
	struct region_map *map = h->map;
	struct region_handle **list = map->region[h->r.space];

	pthread_rwlock_wrlock(&map->lock);
	unsigned at = first_above(map, h->r.space, h->r.addr) - 1;
	assert(list[at] == h);
	memmove(list + at, list + at + 1, (--map->count[h->r.space] - at) * sizeof(*list));
	pthread_rwlock_unlock(&map->lock);
	free(h);
}

/* ---- dispatch ---- */

/* What an access needs of a region, copied out so that the lock can go. */
struct target {
	const struct region_ops *ops; /* NULL: nobody answers */
	void *opaque;
	pthread_mutex_t *lock;
	uint64_t off;
	uint64_t room; /* bytes to the end of the region, or to the next one when nobody answers */
	uint8_t width_min, width_max;
};

static struct target find(const struct region_map *map, enum region_space space, uint64_t addr)
{
	unsigned at = first_above(map, space, addr);
	const struct region_handle *h = at ? map->region[space][at - 1] : NULL;

	if (h && addr - h->r.addr < h->r.size)
		return (struct target){.ops = h->r.ops, .opaque = h->r.opaque, .lock = h->r.lock,
				       .off = addr - h->r.addr, .room = h->r.size - (addr - h->r.addr),
				       .width_min = h->widths.width_min, .width_max = h->widths.width_max};
	return (struct target){.room = at < map->count[space] ? map->region[space][at]->r.addr - addr : UINT64_MAX};
}

static struct target lookup(struct region_map *map, enum region_space space, uint64_t addr)
{
	pthread_rwlock_rdlock(&map->lock);
	struct target t = find(map, space, addr);
	pthread_rwlock_unlock(&map->lock);
	return t;
}

static uint64_t call_read(const struct target *t, uint64_t off, unsigned width)
{
	if (!t->ops->read)
		return width_mask(width);
	if (t->lock)
		pthread_mutex_lock(t->lock);
	uint64_t value = t->ops->read(t->opaque, off, width);
	if (t->lock)
		pthread_mutex_unlock(t->lock);
	return value & width_mask(width);
}

static void call_write(const struct target *t, uint64_t off, unsigned width, uint64_t value)
{
	if (!t->ops->write)
		return;
	if (t->lock)
		pthread_mutex_lock(t->lock);
	t->ops->write(t->opaque, off, width, value & width_mask(width));
	if (t->lock)
		pthread_mutex_unlock(t->lock);
}

/* The largest power of two that is at most n, room and width_max; n and room are above zero. */
static unsigned piece_width(const struct target *t, unsigned n)
{
	unsigned width = 8;

	while (width > n || width > t->room || (t->ops && width > t->width_max))
		width /= 2;
	return width;
}

/* A read narrower than the part can do: the aligned unit around it. width becomes what of it lies in the unit. */
static uint64_t read_narrow(const struct target *t, unsigned *width)
{
	uint64_t unit = round_down(t->off, t->width_min);
	unsigned skip = (unsigned)(t->off - unit);

	if (*width > t->width_min - skip)
		*width = 1;
	return call_read(t, unit, t->width_min) >> (skip * 8) & width_mask(*width);
}

static uint64_t read_pieces(struct region_map *map, enum region_space space, uint64_t addr, unsigned width)
{
	uint64_t value = 0;

	for (unsigned done = 0, n; done < width; done += n) {
		struct target t = lookup(map, space, addr + done);
		uint64_t part;

		n = piece_width(&t, width - done);
		if (!t.ops)
			part = width_mask(n);
		else if (n < t.width_min)
			part = read_narrow(&t, &n);
		else
			part = call_read(&t, t.off, n);
		value |= part << (done * 8);
	}
	return value;
}

uint64_t region_read(struct region_map *map, enum region_space space, uint64_t addr, unsigned width)
{
	struct target t = lookup(map, space, addr);

	if (!t.ops && t.room >= width)
		return width_mask(width);
	if (t.ops && t.room >= width && width <= t.width_max && width >= t.width_min)
		return call_read(&t, t.off, width);
	return read_pieces(map, space, addr, width);
}

static void write_pieces(struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value)
{
	for (unsigned done = 0, n; done < width; done += n) {
		struct target t = lookup(map, space, addr + done);

		n = piece_width(&t, width - done);
		if (t.ops && n >= t.width_min)
			call_write(&t, t.off, n, value >> (done * 8));
	}
}

bool region_present(struct region_map *map, enum region_space space, uint64_t addr)
{
	return lookup(map, space, addr).ops != NULL;
}

/* ---- doorbells ---- */

/* The index of the first doorbell at or above (space, addr), under the lock. */
static unsigned first_bell(const struct region_map *map, enum region_space space, uint64_t addr)
{
	unsigned low = 0, high = map->bell_count;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct region_doorbell *b = &map->bell[mid]->bell;

		if (b->space < space || (b->space == space && b->addr < addr))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool bell_matches(const struct region_doorbell *b, unsigned width, uint64_t value)
{
	return (!b->width || b->width == width) && (!b->match || b->value == (value & width_mask(width)));
}

static bool ring(const struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value)
{
	for (unsigned n = first_bell(map, space, addr); n < map->bell_count; n++) {
		const struct region_doorbell *b = &map->bell[n]->bell;

		if (b->space != space || b->addr != addr)
			return false;
		if (bell_matches(b, width, value)) {
			fd_event_signal(b->event_fd);
			return true;
		}
	}
	return false;
}

void region_write(struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value)
{
	pthread_rwlock_rdlock(&map->lock);
	bool rung = map->bell_count && ring(map, space, addr, width, value);
	struct target t = find(map, space, addr);
	pthread_rwlock_unlock(&map->lock);

	if (rung || (!t.ops && t.room >= width))
		return;
	if (t.ops && t.room >= width && width <= t.width_max) {
		if (width >= t.width_min)
			call_write(&t, t.off, width, value);
		return;
	}
	write_pieces(map, space, addr, width, value);
}

int region_doorbell_attach(struct region_map *map, const struct region_doorbell *bell,
			   struct region_doorbell_handle **out, struct err *e)
{
	struct region_doorbell_handle *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "out of memory");
	h->map = map;
	h->bell = *bell;
	pthread_rwlock_wrlock(&map->lock);
	bool room = map->bell_count < DOORBELL_MAX;
	if (room) {
		unsigned at = first_bell(map, bell->space, bell->addr);

		memmove(map->bell + at + 1, map->bell + at, (map->bell_count++ - at) * sizeof(map->bell[0]));
		map->bell[at] = h;
		if (map->listener.doorbell)
			map->listener.doorbell(map->listener.opaque, &h->bell, true);
	}
	pthread_rwlock_unlock(&map->lock);
	if (!room) {
		free(h);
		return err_set(e, -ENOSPC, "there are %d doorbells already", DOORBELL_MAX);
	}
	*out = h;
	return 0;
}

void region_doorbell_detach(struct region_doorbell_handle *h)
{
	if (!h)
		return;
	struct region_map *map = h->map;

	pthread_rwlock_wrlock(&map->lock);
	unsigned at = first_bell(map, h->bell.space, h->bell.addr);
	while (map->bell[at] != h)
		at++;
	memmove(map->bell + at, map->bell + at + 1, (--map->bell_count - at) * sizeof(map->bell[0]));
	if (map->listener.doorbell)
		map->listener.doorbell(map->listener.opaque, &h->bell, false);
	pthread_rwlock_unlock(&map->lock);
	free(h);
}

void region_set_listener(struct region_map *map, const struct region_listener *listener)
{
	pthread_rwlock_wrlock(&map->lock);
	map->listener = listener ? *listener : (struct region_listener){0};
	for (unsigned n = 0; map->listener.doorbell && n < map->bell_count; n++)
		map->listener.doorbell(map->listener.opaque, &map->bell[n]->bell, true);
	pthread_rwlock_unlock(&map->lock);
}
