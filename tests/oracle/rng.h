/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers that a seed remakes, and the values that find bugs. */
#ifndef PANAL_TESTS_ORACLE_RNG_H
#define PANAL_TESTS_ORACLE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

static inline bool rng_percent(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

/* values.c */
uint64_t value_int(struct rng *r);    /* boundaries, small numbers, all sorts */
uint64_t value_double(struct rng *r); /* bits of a double: zeros, denormals, infinities, NaNs, numbers near 1 */
uint32_t value_float(struct rng *r);
void value_vector(struct rng *r, uint8_t *to, unsigned len); /* multiple of 8 */
void value_x87(struct rng *r, uint8_t to[16]);               /* an 80-bit value, sometimes one of the odd encodings */

#endif
