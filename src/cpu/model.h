/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processor models by name: the levels of the x86-64 psABI and generations of Intel's and AMD's processors, by what the
 * vendors' manuals say of them (Intel SDM 1, chapter 5 and 4, table 2-1; AMD's processor programming references).
 */
#ifndef PANAL_CPU_MODEL_H
#define PANAL_CPU_MODEL_H

#include "cpu/feature.h"

struct cpu_model {
	const char *name;
	const char *base;     /* another model of the list whose features it has too; NULL: none */
	const char *vendor;   /* "GenuineIntel", "AuthenticAMD"; NULL: the host's, as its numbers and name */
	unsigned family, model, stepping;
	const char *brand;    /* at most 47 characters */
	const char *features; /* parted by blanks */
};

/* In the order of their age; NULL past the end. */
const struct cpu_model *cpu_model_at(unsigned n);
const struct cpu_model *cpu_model_find(const char *name);
void cpu_model_set(const struct cpu_model *m, struct cpu_set *out);
/* The newest of the models of that vendor (NULL: levels only) that has nothing beyond the set; NULL: none. */
const struct cpu_model *cpu_model_best(const struct cpu_set *have, const char *vendor);

#endif
