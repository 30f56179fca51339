/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same work on one thread and on two at once: integers, tables in memory, calls. */
#include "piece.h"

#include <pthread.h>

enum { TABLE = 1 << 16 };

struct part {
	uint32_t table[TABLE];
	uint64_t sum;
};
static struct part part[2];

static uint64_t __attribute__((noinline)) mix(uint64_t a, uint64_t b)
{
	return a & 1 ? a * 3 + b : (a >> 1) ^ b;
}

static void *work(void *opaque)
{
	struct part *p = opaque;
	uint64_t seed = 88172645463325252, sum = 1;
	for (int n = 0; n < 60000000; n++) {
		uint32_t *at = &p->table[piece_random(&seed) % TABLE];
		*at += (uint32_t)sum;
		sum = mix(sum, *at);
	}
	p->sum = sum;
	return NULL;
}

static void run(const char *name, int threads)
{
	pthread_t id[2];
	memset(part, 0, sizeof(part));
	struct piece p = piece_begin(name);
	for (int k = 0; k < threads; k++)
		pthread_create(&id[k], NULL, work, &part[k]);
	for (int k = 0; k < threads; k++)
		pthread_join(id[k], NULL);
	piece_end(p, part[threads - 1].sum);
}

static void one(const char *name) { run(name, 1); }
static void two(const char *name) { run(name, 2); }

int main(int argc, char **argv)
{
	static const struct piece_row table[] = { { "one-thread", one }, { "two-threads", two }, { 0 } };
	return piece_main(argc, argv, table);
}
