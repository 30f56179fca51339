/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large tables of the soft CPU: memory that is zero and is taken when it is touched. */
#ifndef PANAL_ACCEL_SOFT_PAGES_H
#define PANAL_ACCEL_SOFT_PAGES_H

#include <stddef.h>

#define PAGES_HUGE ((size_t)2 << 20)

/* size bytes, to be given back by munmap; NULL: none. From byte `small` on the host is asked for huge pages, where it gives
 * them on request: tables that are looked into at random cost it a walk of its own page tables each time. `small` is what a
 * machine that does little is not to pay for; size or more: no huge pages at all. */
void *pages_map(size_t size, size_t small);

/* The same below 2 GiB, where code names addresses absolutely; elsewhere when there is no room. */
void *pages_map_low(size_t size, size_t small);

#endif
