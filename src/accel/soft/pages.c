/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/pages.h"

#include "base/bytes.h"

#include <stdint.h>
#include <sys/mman.h>

/* [from, to) of what mmap gave goes back. */
static void trim(uint8_t *from, uint8_t *to)
{
	if (from != to)
		munmap(from, (size_t)(to - from));
}

static void *map(size_t size, size_t small, int flags)
{
	const size_t page = 4096;
	size = round_up(size, page);
	uint8_t *p = mmap(NULL, size + PAGES_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags,
			  -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	uint8_t *at = p + (round_up((uintptr_t)p, PAGES_HUGE) - (uintptr_t)p);
	trim(p, at);
	trim(at + size, p + size + PAGES_HUGE);
	small = round_up(small, PAGES_HUGE);
	if (small < size)
		madvise(at + small, size - small, MADV_HUGEPAGE); /* refused: small ones do */
	return at;
}

void *pages_map(size_t size, size_t small)
{
	return map(size, small, 0);
}

void *pages_map_low(size_t size, size_t small)
{
	void *p = map(size, small, MAP_32BIT);
	return p ? p : pages_map(size, small);
}
