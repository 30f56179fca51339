/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/soft_options.h"

#include "accel/soft/xlate.h"
#include "base/opt.h"

#include <errno.h>

static const struct opt_desc table[] = {
	{ .key = "translate", .kind = OPT_BOOL, .help = "hot code is translated" },
	{ .key = "hot", .kind = OPT_NUMBER, .help = "runs of a block before it is translated" },
	{ .key = "cache", .kind = OPT_SIZE, .help = "translated code of a vCPU" },
	{ .key = "chain", .kind = OPT_BOOL, .help = "off: back to the loop after every block" },
	{ .key = "interrupt", .kind = OPT_NUMBER, .help = "a vector to raise again and again" },
	{ .key = "interrupt-every", .kind = OPT_NUMBER, .help = "blocks from one to the next" },
	{ .key = "rewrites", .kind = OPT_NUMBER, .help = "writes to a page after which its code stays interpreted" },
	{ .key = "perf-map", .kind = OPT_BOOL, .help = "names of translated blocks in /tmp/perf-PID.map" },
	{ .key = "gdb-jit", .kind = OPT_BOOL, .help = "names of translated blocks for a GDB on this process" },
	{ 0 },
};

/* The numbers' bounds; first_vector: those below are exceptions. */
enum { CACHE_MIN = 64 << 10, HOT_MAX = 10000, FIRST_VECTOR = 32, LAST_VECTOR = 255, EVERY_MAX = 1000000,
       REWRITES = 64, REWRITES_MAX = 1000000000 };

static int number(const struct opts *o, const char *key, uint64_t min, uint64_t max, uint64_t dflt, uint64_t *out,
		  struct err *e)
{
	*out = opts_number(o, key, dflt);
	if (*out == dflt || (*out >= min && *out <= max))
		return 0;
	return err_set(e, -ERANGE, "--accel soft: %s is from %llu to %llu", key, (unsigned long long)min,
		       (unsigned long long)max);
}

static int take(struct soft_options *out, const struct opts *o, struct err *e)
{
	uint64_t hot = 0, cache = 0, vector = 0, every = 0, rewrites = 0;
	int r = number(o, "hot", 1, HOT_MAX, XLATE_HOT, &hot, e);
	if (r == 0)
		r = number(o, "cache", CACHE_MIN, XLATE_CODE_MAX, XLATE_CODE_MAX, &cache, e);
	if (r == 0)
		r = number(o, "interrupt", FIRST_VECTOR, LAST_VECTOR, 0, &vector, e);
	if (r == 0)
		r = number(o, "interrupt-every", 1, EVERY_MAX, 1, &every, e);
	if (r == 0)
		r = number(o, "rewrites", 0, REWRITES_MAX, REWRITES, &rewrites, e);
	if (r < 0)
		return r;
	*out = (struct soft_options){
		.hot = opts_bool(o, "translate", true) ? (unsigned)hot : 0,
		.cache = cache,
		.each_block = !opts_bool(o, "chain", true) || vector,
		.inject = (unsigned)vector,
		.inject_every = (unsigned)every,
		.rewrites = (unsigned)rewrites,
		.perf = opts_bool(o, "perf-map", false),
		.gdb = opts_bool(o, "gdb-jit", false),
	};
	return 0;
}

int soft_options_parse(struct soft_options *out, const char *text, struct err *e)
{
	struct opts o;
	int r = opts_parse(&o, table, text ? text : "", e);
	if (r < 0)
		return err_wrap(e, "--accel soft");
	r = take(out, &o, e);
	opts_free(&o);
	return r;
}
