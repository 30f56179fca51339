/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A processor for a guest: a model, features more or less, and CPUID's rows made so. */
#ifndef PANAL_CPU_FIT_H
#define PANAL_CPU_FIT_H

#include "base/err.h"
#include "cpu/model.h"

struct cpu_spec {
	const struct cpu_model *model; /* NULL: all that the accelerator offers on this host */
	struct cpu_set more, less;
	char vendor[13];               /* empty: the model's, or the host's */
	bool lenient;                  /* what is missing is left out instead of refused */
};

/*
 * "host", "max" or a model's name, then ",+FEATURE", ",-FEATURE", ",vendor=intel|amd|TWELVE-BYTES", ",enforce=on|off".
 * -EINVAL: the error names what is unknown and what is there.
 */
int cpu_spec_parse(struct cpu_spec *s, const char *text, struct err *e) ATTR_MUST_USE;

/*
 * Makes the accelerator's rows those of the processor asked for: features, XSAVE's areas, vendor, numbers and name.
 * Topology, caches and clocks are the board's. -ENOTSUP: features are missing (unless lenient), named in the error.
 */
int cpu_fit(struct x86_cpuid *rows, unsigned count, const struct cpu_spec *s, struct err *e) ATTR_MUST_USE;

#endif
