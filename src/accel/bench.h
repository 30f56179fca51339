/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast an accelerator executes kernel-mode code on this host, by doing it. */
#ifndef PANAL_ACCEL_BENCH_H
#define PANAL_ACCEL_BENCH_H

#include "base/err.h"

struct accel_ops;

struct accel_speed {
	uint64_t instructions, ns; /* what was measured */
	uint64_t per_second;       /* instructions per second */
};

enum { ACCEL_BENCH_MS = 8, ACCEL_BENCH_LIMIT_MS = 100 };

/*
 * Makes a machine of its own and runs a ring-0 loop in it (arithmetic, memory, page-table entries, CR3, a port) for
 * about ACCEL_BENCH_MS; never longer than ACCEL_BENCH_LIMIT_MS. Any thread; takes one more thread for the time.
 * Errors: what the accelerator says, -ETIMEDOUT when too little came about in the time.
 */
int accel_bench(const struct accel_ops *accel, const char *options, struct accel_speed *out,
		struct err *e) ATTR_MUST_USE;

/* The loop's unprivileged part on the host's own processor. */
void accel_bench_native(struct accel_speed *out);

#endif
