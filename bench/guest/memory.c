/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: copies, one load after the other, loads at random, loads that depend on each other. */
#include "piece.h"

enum { BLOCK = 1 << 20, BIG = 256 << 20, MIDDLE = 32 << 20, SMALL = 16 << 10 };

static void copies(const char *name)
{
	uint8_t *from = piece_memory(BLOCK), *to = piece_memory(BLOCK);
	struct piece p = piece_begin(name);
	for (int n = 0; n < 1024; n++) {
		from[n] = (uint8_t)n;
		memcpy(to, from, BLOCK);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, BLOCK));
}

static void rep_movs(const char *name)
{
	uint8_t *from = piece_memory(BLOCK), *to = piece_memory(BLOCK);
	struct piece p = piece_begin(name);
	for (int n = 0; n < 24576; n++) {
		uint8_t *s = from + (n & 15) * 64, *d = to;
		size_t count = (64 << 10) / 8;
		*s = (uint8_t)n;
		__asm__ volatile("rep movsq" : "+S"(s), "+D"(d), "+c"(count) : : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, BLOCK));
}

static void rep_stos(const char *name)
{
	uint8_t *to = piece_memory(BLOCK);
	struct piece p = piece_begin(name);
	for (int n = 0; n < 24576; n++) {
		uint8_t *d = to;
		size_t count = (64 << 10) / 8;
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(count) : "a"((uint64_t)n) : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, BLOCK));
}

__attribute__((optimize("no-tree-vectorize"))) static void sequential(const char *name)
{
	uint64_t *at = piece_memory(MIDDLE / 2), sum = 0;
	struct piece p = piece_begin(name);
	for (int round = 0; round < 40; round++)
		for (size_t k = 0; k < MIDDLE / 2 / 8; k++) {
			sum += at[k] ^ sum >> 3;
			at[k] = sum;
		}
	piece_end(p, sum);
	free(at);
}

static void at_random(const char *name)
{
	uint64_t *at = piece_memory(BIG), seed = 88172645463325252, sum = 0;
	for (size_t k = 0; k < BIG / 8; k++)
		at[k] = k;
	struct piece p = piece_begin(name);
	for (int n = 0; n < 8000000; n++)
		sum += at[piece_random(&seed) % (BIG / 8)];
	piece_end(p, sum);
	free(at);
}

/* One cycle over all lines of 64 bytes, in random order. */
static void chase(const char *name, size_t size, int steps)
{
	size_t lines = size / 64;
	void **at = piece_memory(size);
	uint32_t *order = piece_memory(lines * sizeof(*order));
	uint64_t seed = 88172645463325252;
	for (size_t k = 0; k < lines; k++)
		order[k] = (uint32_t)k;
	for (size_t k = lines - 1; k > 0; k--) {
		size_t other = piece_random(&seed) % (k + 1);
		uint32_t t = order[k];
		order[k] = order[other];
		order[other] = t;
	}
	for (size_t k = 0; k < lines; k++)
		at[order[k] * 8ul] = &at[order[(k + 1) % lines] * 8ul];
	struct piece p = piece_begin(name);
	void **here = at;
	for (int n = 0; n < steps; n++)
		here = *here;
	piece_end(p, (uint64_t)(here - at));
	free(order);
	free(at);
}

static void chase_small(const char *name) { chase(name, SMALL, 60000001); }
static void chase_big(const char *name) { chase(name, MIDDLE, 3000000); }

int main(int argc, char **argv)
{
	static const struct piece_row table[] = {
		{ "memcpy", copies }, { "rep-movs", rep_movs }, { "rep-stos", rep_stos }, { "sequential", sequential },
		{ "random", at_random }, { "chase-16K", chase_small }, { "chase-32M", chase_big }, { 0 },
	};
	return piece_main(argc, argv, table);
}
