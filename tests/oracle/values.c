/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "oracle.h"
#include "rng.h"
#include <string.h>

uint64_t value_int(struct rng *r)
{
	unsigned bits = rng_below(r, 65);
	uint64_t v = rng_next(r);
	switch (rng_below(r, 8)) {
	case 0: return (uint64_t)(int64_t)(int)(rng_below(r, 5) - 2);
	case 1: return UINT64_C(1) << (bits & 63);
	case 2: return (UINT64_C(1) << (bits & 63)) - 1;
	case 3: return ~(UINT64_C(1) << (bits & 63));
	case 4: return rng_below(r, 256);
	case 5: return bits == 0 ? 0 : v >> (64 - bits);
	case 6: return (uint64_t)((int64_t)v >> (bits & 63));
	default: return v;
	}
}

uint64_t value_double(struct rng *r)
{
	uint64_t sign = rng_next(r) & UINT64_C(1) << 63, v = rng_next(r);
	switch (rng_below(r, 12)) {
	case 0: return sign;
	case 1: return sign | UINT64_C(0x7ff0000000000000);
	case 2: return sign | UINT64_C(0x7ff8000000000000) | v >> 13;
	case 3: return sign | UINT64_C(0x7ff0000000000001) | (v >> 13 & 0xffff);
	case 4: return sign | (v >> 12 >> rng_below(r, 52)); /* denormal */
	case 5: return sign | UINT64_C(0x3ff0000000000000);
	case 6: return sign | UINT64_C(0x7fefffffffffffff);
	case 7: return sign | UINT64_C(0x0010000000000000);
	case 8: return sign | UINT64_C(0x41d0000000000000) | v >> 9; /* around 2^31 and up */
	case 9: return sign | (UINT64_C(0x3fe) + rng_below(r, 70)) << 52 | v >> 12;
	case 10: return sign | (UINT64_C(0x3fe) + rng_below(r, 4)) << 52;
	default: return v;
	}
}

uint32_t value_float(struct rng *r)
{
	uint32_t sign = (uint32_t)(rng_next(r) & 1) << 31, v = (uint32_t)rng_next(r);
	switch (rng_below(r, 11)) {
	case 0: return sign;
	case 1: return sign | 0x7f800000;
	case 2: return sign | 0x7fc00000 | v >> 10;
	case 3: return sign | 0x7f800001 | (v >> 10 & 0xff);
	case 4: return sign | (v >> 9 >> rng_below(r, 23));
	case 5: return sign | 0x3f800000;
	case 6: return sign | 0x7f7fffff;
	case 7: return sign | 0x00800000;
	case 8: return sign | (0x7eu + rng_below(r, 40)) << 23 | v >> 9;
	case 9: return sign | (0x7eu + rng_below(r, 4)) << 23;
	default: return v;
	}
}

void value_vector(struct rng *r, uint8_t *to, unsigned len)
{
	unsigned kind = rng_below(r, 6);
	for (unsigned n = 0; n < len; n += 8) {
		uint64_t v = 0;
		switch (kind) {
		case 0: v = rng_next(r); break;
		case 1: v = value_int(r); break;
		case 2:
		case 3: v = value_double(r); break;
		case 4: v = (uint64_t)value_float(r) << 32 | value_float(r); break;
		default:
			for (unsigned b = 0; b < 8; b++)
				v = v << 8 | (value_int(r) & 0xff);
			break;
		}
		memcpy(to + n, &v, 8);
	}
}

void value_x87(struct rng *r, uint8_t to[16])
{
	uint64_t mant = rng_next(r) | UINT64_C(1) << 63;
	uint16_t exp = 0x3fff + rng_below(r, 80) - 10, sign = (uint16_t)(rng_next(r) & 0x8000);
	switch (rng_below(r, 12)) {
	case 0: mant = 0, exp = 0; break;
	case 1: mant = UINT64_C(1) << 63, exp = 0x7fff; break;          /* infinity */
	case 2: exp = 0x7fff, mant |= UINT64_C(3) << 62; break;         /* quiet NaN */
	case 3: exp = 0x7fff, mant &= ~(UINT64_C(1) << 62); break;      /* signalling NaN */
	case 4: exp = 0, mant >>= 1 + rng_below(r, 62); break;          /* denormal */
	case 5: exp = 0; break;                                         /* pseudo-denormal */
	case 6: mant &= ~(UINT64_C(1) << 63); break;                    /* unnormal */
	case 7: mant = UINT64_C(1) << 63, exp = 0x3fff; break;          /* 1.0 */
	case 8: mant = UINT64_C(1) << 63; break;                        /* a power of two */
	case 9: exp = (uint16_t)(rng_next(r) & 0x7fff); break;
	case 10: mant &= ~UINT64_C(0) << rng_below(r, 60), exp = 0x3fff + rng_below(r, 64); break;
	default: break;
	}
	exp |= sign;
	memset(to, 0, 16);
	memcpy(to, &mant, 8);
	memcpy(to + 8, &exp, 2);
}

uint64_t ora_mix(uint64_t a, uint64_t b)
{
	struct rng r = { .s = a ^ b * UINT64_C(0xd6e8feb86659fd93) };
	return rng_next(&r);
}

/* Mostly plain random bytes, quickly, with some numbers among them. */
void ora_fill(uint64_t seed, uint8_t *at, unsigned len)
{
	struct rng r = { .s = seed };
	for (unsigned n = 0; n < len; n += 8) {
		uint64_t v = rng_next(&r);
		switch (v >> 60) {
		case 0: v = value_double(&r); break;
		case 1: v = (uint64_t)value_float(&r) << 32 | value_float(&r); break;
		case 2: v = value_int(&r); break;
		default: break;
		}
		memcpy(at + n, &v, 8);
	}
}

void ora_data(const struct ora_case *c, uint8_t *at)
{
	ora_fill(c->data_seed, at, ORA_DATA_SIZE);
	for (unsigned n = 0; n < c->plant_count; n++)
		if (c->plant[n].off + c->plant[n].width <= ORA_DATA_SIZE)
			memcpy(at + c->plant[n].off, &c->plant[n].value, c->plant[n].width);
}
