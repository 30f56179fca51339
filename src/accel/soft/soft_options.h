/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands behind "soft," in --accel: the switch of the translator, and what its developers need (docs/options.roff). */
#ifndef PANAL_ACCEL_SOFT_OPTIONS_H
#define PANAL_ACCEL_SOFT_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct soft_options {
	unsigned hot;     /* runs of a block before it is translated; 0: nothing is */
	size_t cache;     /* bytes of translated code a vCPU */
	bool each_block;  /* blocks are not chained: the loop looks at events after every one */
	unsigned inject;  /* interrupt vector that is raised again and again; 0: none */
	unsigned inject_every; /* blocks from one to the next */
	unsigned rewrites; /* generations of a page after which its blocks are short and stay interpreted */
	bool perf, gdb;   /* names of translated blocks for perf and for GDB */
};

/* text may be NULL: the defaults. Errors: -EINVAL, -ERANGE with a message that names the option. */
int soft_options_parse(struct soft_options *out, const char *text, struct err *e) ATTR_MUST_USE;

#endif
