/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The features of x86 processors: one list of names for the bits of CPUID (SDM 2A, CPUID; APM 3, appendix E), as
 * libvirt's clients write them, and sets of them. Data and pure functions, any thread.
 */
#ifndef PANAL_CPU_FEATURE_H
#define PANAL_CPU_FEATURE_H

#include "arch/x86/regs.h"
#include "base/compiler.h"

enum cpu_reg { CPU_EAX, CPU_EBX, CPU_ECX, CPU_EDX };

enum { CPU_LEAVES = 12 };

/* Up to 32 names for a register, bit 0 first; NULL: none that clients know, or not the guest's. */
struct cpu_leaf {
	uint32_t leaf, subleaf;
	enum cpu_reg reg;
	const char *name[32];
};
extern const struct cpu_leaf cpu_leaves[CPU_LEAVES];

/* A word of bits for each of cpu_leaves. */
struct cpu_set {
	uint32_t word[CPU_LEAVES];
};

/* Adds a feature (or takes it away) by its name; other spellings in use are known: "sse3", "lzcnt", "sse4_1".
 * False: there is no such feature. */
bool cpu_set_change(struct cpu_set *s, const char *name, bool on);
bool cpu_set_has(const struct cpu_set *s, const char *name);
/* Adds names parted by blanks, all of them known. */
void cpu_set_add(struct cpu_set *s, const char *names);
/* What a is missing of b; true: nothing. */
bool cpu_set_missing(struct cpu_set *out, const struct cpu_set *a, const struct cpu_set *b);
/* The names of a set's features, in the list's order: calls f for each. */
void cpu_set_each(const struct cpu_set *s, void (*f)(void *opaque, const char *name), void *opaque);
/* "a b c", cut with "..." where it does not fit. */
void cpu_set_text(const struct cpu_set *s, char *out, size_t size);

/* Of rows of CPUID, and of the processor that this runs on. */
void cpu_set_of_rows(struct cpu_set *s, const struct x86_cpuid *rows, unsigned count);
void cpu_set_of_host(struct cpu_set *s);

static inline uint32_t *cpu_row_reg(struct x86_cpuid *r, enum cpu_reg reg)
{
	return reg == CPU_EAX ? &r->eax : reg == CPU_EBX ? &r->ebx : reg == CPU_ECX ? &r->ecx : &r->edx;
}

#endif
