/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A piece of work that is timed from outside: "bench NAME begin", the work, "bench NAME end CHECK MICROSECONDS". The
 * host keeps the time; CHECK must be the same on every processor, MICROSECONDS is the work's processor time as its own
 * kernel counts it.
 */
#ifndef PANAL_BENCH_PIECE_H
#define PANAL_BENCH_PIECE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct piece {
	const char *name;
	uint64_t begun;
};

static inline uint64_t piece_used(void)
{
	uint64_t us = 0;
	const int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	for (int k = 0; k < 2; k++) {
		struct rusage u;
		getrusage(who[k], &u);
		us += (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000;
		us += (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	}
	return us;
}

static inline struct piece piece_begin(const char *name)
{
	printf("bench %s begin\n", name);
	fflush(stdout);
	return (struct piece){ name, piece_used() };
}

static inline void piece_end(struct piece p, uint64_t check)
{
	printf("bench %s end %016llx %llu\n", p.name, (unsigned long long)check,
	       (unsigned long long)(piece_used() - p.begun));
	fflush(stdout);
}

/* FNV-1a */
static inline uint64_t piece_hash(uint64_t h, const void *data, size_t n)
{
	for (size_t k = 0; k < n; k++)
		h = (h ^ ((const uint8_t *)data)[k]) * 0x100000001b3;
	return h;
}
enum { PIECE_SEED = 0x7ea5 };

static inline uint64_t piece_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Runs the pieces of the table that are named, or all. */
struct piece_row {
	const char *name;
	void (*run)(const char *name);
};
static inline int piece_main(int argc, char **argv, const struct piece_row *table)
{
	for (const struct piece_row *r = table; r->name; r++) {
		int wanted = argc < 2;
		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], r->name);
		if (wanted)
			r->run(r->name);
	}
	return 0;
}

static inline void *piece_memory(size_t n)
{
	void *p = aligned_alloc(4096, (n + 4095) & ~(size_t)4095);
	if (!p) {
		printf("bench no memory\n");
		exit(1);
	}
	memset(p, 1, n);
	return p;
}

#endif
