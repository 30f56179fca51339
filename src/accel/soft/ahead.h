/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that a vCPU will write soon, taken for it by another thread: the host clears a page when it is touched first, and where
 * the host is a guest itself it may have to get it from outside, which is twenty times as much (2 ms for a MiB).
 */
#ifndef PANAL_ACCEL_SOFT_AHEAD_H
#define PANAL_ACCEL_SOFT_AHEAD_H

#include "base/compiler.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One thread of a machine's. It is started by the first who asks for something, a vCPU's thread: so it has the rights that the process
 * kept, and a machine without the soft CPU has none. All functions may be called from any thread, and with NULL, for which nothing is
 * taken ahead. */
struct ahead;
/* -ENOMEM. */
int ahead_create(struct ahead **out, struct err *e) ATTR_MUST_USE;
/* Nobody calls ahead_take any more. */
void ahead_destroy(struct ahead *a);

enum ahead_how {
	AHEAD_WRITE, /* to be written */
	AHEAD_READ,  /* to be read, where another mapping has written them */
	AHEAD_HUGE,  /* to be written, and as huge pages; what is there already is copied into them, where the kernel can (6.1) */
};
/* The pages of [at, at + size), whose start is a page's, are wanted. It does not wait, promises nothing (a host without threads or
 * memory to spare goes on without), and changes no byte. */
void ahead_take(struct ahead *a, const void *at, size_t size, enum ahead_how how);
/* What was asked for before is not touched any more: it may be unmapped. Waits for what is under way. */
void ahead_settle(struct ahead *a);

/* A table that grows from its start; zeros until it is written. Owned by one thread. */
struct ahead_table {
	uint8_t *at;
	size_t size, taken; /* bytes: all; taken or asked for */
};
/* Where it is; NULL: no memory. Its first PAGES_HUGE are left to be taken as they are used, since many machines need no more. */
void *ahead_table_create(struct ahead_table *t, size_t size);
/* Also of one that is all zero, or could not be made. */
void ahead_table_destroy(struct ahead_table *t);
void ahead_grow(struct ahead *a, struct ahead_table *t);
/* `used` bytes of t are used: there is to be room behind them. */
enum { AHEAD_ROOM = 1 << 20 };
static inline void ahead_reach(struct ahead *a, struct ahead_table *t, size_t used)
{
	if (unlikely(used + AHEAD_ROOM > t->taken && t->taken < t->size))
		ahead_grow(a, t);
}

/* Memory of the guest's. Its kernel hands out what was never used mostly in order: when a stretch is stored to for the first time, and
 * so was the one before, the next is taken. Any thread. */
struct ahead_area {
	uint8_t *at;
	size_t size;
	_Atomic uint8_t *stretch; /* a byte for each AHEAD_STRETCH; NULL: nothing is taken ahead */
};
enum { AHEAD_STRETCH_SHIFT = 21, AHEAD_STRETCH = 1 << AHEAD_STRETCH_SHIFT, AHEAD_BEGUN = 1, AHEAD_ASKED = 2 };
/* -ENOMEM. */
int ahead_area_create(struct ahead_area *m, void *at, size_t size, struct err *e) ATTR_MUST_USE;
void ahead_area_destroy(struct ahead_area *m);
/* Is it known that byte `off` lies in a stretch that was stored to? */
static inline bool ahead_begun(const struct ahead_area *m, uint64_t off)
{
	return !m->stretch || atomic_load_explicit(&m->stretch[off >> AHEAD_STRETCH_SHIFT], memory_order_relaxed) & AHEAD_BEGUN;
}
/* It is. With NULL instead of a nothing is taken: for a guest that gave memory back, which is not to come again unasked. */
void ahead_begin(struct ahead *a, struct ahead_area *m, uint64_t off);

#endif
