/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: copies, one load after the other, loads at random, loads that depend on each other. */
#include "piece.h"

enum { BIG = 256 << 20, MIDDLE = 32 << 20, SMALL = 16 << 10 };

enum { COPY = 64 << 10, COPIES = 16384 };

static void copies(const char *name)
{
	uint8_t *from = piece_memory(COPY), *to = piece_memory(COPY);
	struct piece p = piece_begin(name);
	for (int n = 0; n < COPIES; n++) {
		from[n % COPY] = (uint8_t)n;
		memcpy(to, from, COPY);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, COPY));
}

static void rep_movs(const char *name)
{
	uint8_t *from = piece_memory(COPY), *to = piece_memory(COPY);
	struct piece p = piece_begin(name);
	for (int n = 0; n < COPIES; n++) {
		uint8_t *s = from, *d = to;
		size_t count = COPY;
		from[n % COPY] = (uint8_t)n;
		__asm__ volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(count) : : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, COPY));
}

static void rep_stos(const char *name)
{
	uint8_t *to = piece_memory(COPY);
	struct piece p = piece_begin(name);
	for (int n = 0; n < COPIES; n++) {
		uint8_t *d = to;
		size_t count = COPY;
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(n) : "memory");
	}
	piece_end(p, piece_hash(PIECE_SEED, to, COPY));
}

static void sequential(const char *name)
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

/* One cycle over all places that are `stride` bytes apart, in random order. Of a page only the first line would be used
 * with a stride of pages, and those compete for few sets of the caches: the line moves with the page. */
static void chase(const char *name, size_t size, size_t stride, int steps)
{
	size_t places = size / stride;
	uint8_t *at = piece_memory(size);
	void ***order = piece_memory(places * sizeof(*order));
	uint64_t seed = 88172645463325252;
	for (size_t k = 0; k < places; k++)
		order[k] = (void **)(void *)(at + k * stride + (stride > 64 ? k % (stride / 64) * 64 : 0));
	for (size_t k = places - 1; k > 0; k--) {
		size_t other = piece_random(&seed) % (k + 1);
		void **t = order[k];
		order[k] = order[other];
		order[other] = t;
	}
	for (size_t k = 0; k < places; k++)
		*order[k] = order[(k + 1) % places];
	struct piece p = piece_begin(name);
	void **here = order[0];
	for (int n = 0; n < steps; n++)
		here = *here;
	piece_end(p, (uint64_t)((uint8_t *)here - at));
	free(order);
	free(at);
}

static void chase_small(const char *name) { chase(name, SMALL, 64, 60000001); }
static void chase_pages(const char *name) { chase(name, MIDDLE, 4096, 6000001); }
static void chase_lines(const char *name) { chase(name, MIDDLE, 64, 3000001); }

int main(int argc, char **argv)
{
	static const struct piece_row table[] = {
		{ "memcpy", copies }, { "rep-movs", rep_movs }, { "rep-stos", rep_stos }, { "sequential", sequential },
		{ "random", at_random }, { "chase-16K", chase_small }, { "chase-pages", chase_pages },
		{ "chase-lines", chase_lines }, { 0 },
	};
	return piece_main(argc, argv, table);
}
