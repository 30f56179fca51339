/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Little- and big-endian loads and stores at any alignment, bits, rounding. All sizes in bytes. */
#ifndef PANAL_BASE_BYTES_H
#define PANAL_BASE_BYTES_H

#include "base/compiler.h"
#include <string.h>

/* The host is x86-64: little-endian loads are plain copies. */
static inline uint16_t load_le16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load_le32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load_le64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store_le16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store_le32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_le64(void *p, uint64_t v) { memcpy(p, &v, 8); }
static inline uint16_t load_be16(const void *p) { return __builtin_bswap16(load_le16(p)); }
static inline uint32_t load_be32(const void *p) { return __builtin_bswap32(load_le32(p)); }
static inline uint64_t load_be64(const void *p) { return __builtin_bswap64(load_le64(p)); }
static inline void store_be16(void *p, uint16_t v) { store_le16(p, __builtin_bswap16(v)); }
static inline void store_be32(void *p, uint32_t v) { store_le32(p, __builtin_bswap32(v)); }
static inline void store_be64(void *p, uint64_t v) { store_le64(p, __builtin_bswap64(v)); }

/* The low `width` bytes (1 to 8) set. */
static inline uint64_t width_mask(unsigned width)
{
	return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (width * 8)) - 1;
}

static inline bool is_power_of_2(uint64_t v) { return v && !(v & (v - 1)); }

/* `to` is a power of two. round_up wraps to 0 past the top; check first where that can be. */
static inline uint64_t round_down(uint64_t v, uint64_t to) { return v & ~(to - 1); }
static inline uint64_t round_up(uint64_t v, uint64_t to) { return (v + to - 1) & ~(to - 1); }

/* True when [at, at + len) lies inside [0, size), without overflow. */
static inline bool range_inside(uint64_t at, uint64_t len, uint64_t size)
{
	return len <= size && at <= size - len;
}

/* True when the two ranges share a byte; lengths above zero, no range wraps. */
static inline bool range_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

#endif
