/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions: who answers an access to a guest-physical address that is not RAM, or to an I/O port.
 *
 * A part fills a struct region and attaches it; the description is copied, checked for overlap and width, and a
 * handle comes back. Dispatch runs on the accessing vCPU's thread. The map's own lock is not held while a part's
 * function runs, so that function may attach, detach and move regions (PCI BARs do). A part protects its own
 * state: with .lock set, the dispatcher holds that mutex around read and write.
 *
 * Width rules, applied before the part sees the access: an access wider than width_max is split into accesses of
 * width_max at rising addresses; one that crosses the end of the region is split there; a read narrower than
 * width_min reads width_min at the aligned offset and takes the bytes asked for; a write narrower than width_min
 * is dropped. Unmapped reads give all ones, unmapped writes vanish.
 */
#ifndef PANAL_CORE_REGION_H
#define PANAL_CORE_REGION_H

#include "base/err.h"
#include <pthread.h>

enum region_space { REGION_MEMORY, REGION_PORT };

struct region_ops {
	/* off is the offset within the region; width 1, 2, 4 or 8 (ports: 1, 2, 4); the value is zero-extended. */
	uint64_t (*read)(void *opaque, uint64_t off, unsigned width);
	void (*write)(void *opaque, uint64_t off, unsigned width, uint64_t value);
	uint8_t width_min, width_max; /* powers of two; 0 means 1 and 8 */
};

struct region {
	enum region_space space;
	uint64_t addr, size;
	const char *name; /* copied */
	const struct region_ops *ops;
	void *opaque;
	pthread_mutex_t *lock; /* may be NULL */
};

struct region_map;
struct region_handle;

int region_map_create(struct region_map **out, struct err *e) ATTR_MUST_USE;
void region_map_destroy(struct region_map *map);

/* out may be NULL (attached for the machine's life). Errors: -EINVAL, -EEXIST (overlap; the message names both),
 * -ENOSPC (REGION_MAX). Any thread. */
enum { REGION_MAX = 512 };
int region_attach(struct region_map *map, const struct region *r, struct region_handle **out,
		  struct err *e) ATTR_MUST_USE;
/* After it returns no new access starts; one on another thread may still be ending, so the part's memory stays
 * until the vCPUs were paused or joined. NULL is allowed. */
void region_detach(struct region_handle *h);

/* Every access ends in one of these. */
uint64_t region_read(struct region_map *map, enum region_space space, uint64_t addr, unsigned width);
void region_write(struct region_map *map, enum region_space space, uint64_t addr, unsigned width, uint64_t value);
/* True when a region answers at this address; the soft CPU asks to choose a path. */
bool region_present(struct region_map *map, enum region_space space, uint64_t addr);

/*
 * Doorbells: a write of `width` bytes at addr (any value, or only `value` when match is set) signals event_fd (an
 * eventfd) instead of reaching the part. Accelerators that can (KVM: ioeventfd) do it without leaving the kernel;
 * otherwise region_write does it.
 */
struct region_doorbell {
	enum region_space space;
	uint64_t addr;
	unsigned width; /* 0: any width */
	bool match;
	uint64_t value;
	int event_fd; /* borrowed until doorbell_detach */
};
struct region_doorbell_handle;
int region_doorbell_attach(struct region_map *map, const struct region_doorbell *bell,
			   struct region_doorbell_handle **out, struct err *e) ATTR_MUST_USE;
void region_doorbell_detach(struct region_doorbell_handle *h);

/* The accelerator's wish to hear of doorbells; called with the map's lock held, for those that exist already too. */
struct region_listener {
	void (*doorbell)(void *opaque, const struct region_doorbell *bell, bool added);
	void *opaque;
};
void region_set_listener(struct region_map *map, const struct region_listener *listener);

#endif
