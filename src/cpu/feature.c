/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu/feature.h"

#include <assert.h>
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

const struct cpu_leaf cpu_leaves[CPU_LEAVES] = {
	{1, 0, CPU_EDX, {"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", NULL,
		     "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", NULL,   "ds",
		     "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe"}},
	{1, 0, CPU_ECX, {"pni",          "pclmuldq", "dtes64", "monitor", "ds_cpl", "vmx",    "smx",    "est",
		     "tm2",          "ssse3",    "cid",    NULL,      "fma",    "cx16",   "xtpr",   "pdcm",
		     NULL,           "pcid",     "dca",    "sse4.1",  "sse4.2", "x2apic", "movbe",  "popcnt",
		     "tsc-deadline", "aes",      "xsave",  NULL,      "avx",    "f16c",   "rdrand", "hypervisor"}},
	{7, 0, CPU_EBX, {"fsgsbase",   "tsc_adjust", NULL,         "bmi1",     "hle",      "avx2",     NULL,
		     "smep",       "bmi2",       "erms",       "invpcid",  "rtm",      "cmt",      NULL,
		     "mpx",        NULL,         "avx512f",    "avx512dq", "rdseed",   "adx",      "smap",
		     "avx512ifma", "pcommit",    "clflushopt", "clwb",     "intel-pt", "avx512pf", "avx512er",
		     "avx512cd",   "sha-ni",     "avx512bw",   "avx512vl"}},
	{7, 0, CPU_ECX, {NULL,         "avx512vbmi",  "umip",         "pku",       "ospke",
		     "waitpkg",    "avx512vbmi2", NULL,           "gfni",      "vaes",
		     "vpclmulqdq", "avx512vnni",  "avx512bitalg", NULL,        "avx512-vpopcntdq",
		     NULL,         "la57",        NULL,           NULL,        NULL,
		     NULL,         NULL,          "rdpid",        NULL,        "bus-lock-detect",
		     "cldemote",   NULL,          "movdiri",      "movdir64b", NULL,
		     NULL,         "pks"}},
	{7,
	 0,
	 CPU_EDX,
	 {NULL,
	  NULL,
	  "avx512-4vnniw",
	  "avx512-4fmaps",
	  "fsrm",
	  NULL,
	  NULL,
	  NULL,
	  "avx512-vp2intersect",
	  NULL,
	  "md-clear",
	  NULL,
	  NULL,
	  NULL,
	  "serialize",
	  NULL,
	  "tsx-ldtrk",
	  NULL,
	  "pconfig",
	  "arch-lbr",
	  NULL,
	  NULL,
	  "amx-bf16",
	  "avx512-fp16",
	  "amx-tile",
	  "amx-int8",
	  "spec-ctrl",
	  "stibp",
	  NULL,
	  "arch-capabilities",
	  "core-capability",
	  "ssbd"}},
	{7, 1, CPU_EAX, {NULL, NULL, NULL, NULL, "avx-vnni", "avx512-bf16"}},
	{0xd, 1, CPU_EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
	{0x80000001,
	 0,
	 CPU_EDX,
	 {[11] = "syscall",
	  [19] = "mp",
	  [20] = "nx",
	  [22] = "mmxext",
	  [25] = "fxsr_opt",
	  [26] = "pdpe1gb",
	  [27] = "rdtscp",
	  [29] = "lm",
	  [30] = "3dnowext",
	  [31] = "3dnow"}},
	{0x80000001,
	 0,
	 CPU_ECX,
	 {"lahf_lm",     "cmp_legacy",    "svm",          "extapic",   "cr8legacy", "abm",        "sse4a",
	  "misalignsse", "3dnowprefetch", "osvw",         "ibs",       "xop",       "skinit",     "wdt",
	  NULL,          "lwp",           "fma4",         NULL,        NULL,        "nodeid_msr", NULL,
	  "tbm",         "topoext",       "perfctr_core", "perfctr_nb"}},
	{0x80000007, 0, CPU_EDX, {[8] = "invtsc"}},
	{0x80000008,
	 0,
	 CPU_EBX,
	 {[0] = "clzero",
	  [2] = "xsaveerptr",
	  [9] = "wbnoinvd",
	  [12] = "ibpb",
	  [14] = "ibrs",
	  [15] = "amd-stibp",
	  [24] = "amd-ssbd",
	  [25] = "virt-ssbd",
	  [26] = "amd-no-ssb"}},
	{0x8000000a,
	 0,
	 CPU_EDX,
	 {"npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid", "decodeassists",
	  [10] = "pause-filter", [12] = "pfthreshold", [13] = "avic", [15] = "v-vmsave-vmload", [16] = "vgif"}},
};

/* ---- names ---- */

/* Other spellings: of kernels, of compilers, of other lists. */
static const struct {
	const char *other, *name;
} spellings[] = {
	{"sse3", "pni"}, {"pclmulqdq", "pclmuldq"}, {"lzcnt", "abm"}, {"sha", "sha-ni"},
	{"cmpxchg16b", "cx16"}, {"fxsave", "fxsr"}, {"i64", "lm"}, {"prefetchw", "3dnowprefetch"}, {"clfsh", "clflush"},
	{"cmpxchg8b", "cx8"}, {"lahf-lm", "lahf_lm"}, {"fxsr-opt", "fxsr_opt"}, {"gbpages", "pdpe1gb"}, {"nxe", "nx"},
};

/* '_', '-' and '.' are one. */
static bool same_name(const char *a, const char *b)
{
	for (;; a++, b++) {
		char x = *a == '_' || *a == '.' ? '-' : *a, y = *b == '_' || *b == '.' ? '-' : *b;

		if (x != y)
			return false;
		if (!x)
			return true;
	}
}

static bool find(const char *name, unsigned *leaf, unsigned *bit)
{
	for (*leaf = 0; *leaf < CPU_LEAVES; ++*leaf)
		for (*bit = 0; *bit < 32; ++*bit) {
			const char *known = cpu_leaves[*leaf].name[*bit];

			if (known && same_name(known, name))
				return true;
		}
	return false;
}

static bool find_any(const char *name, unsigned *leaf, unsigned *bit)
{
	if (find(name, leaf, bit))
		return true;
	for (size_t n = 0; n < COUNT_OF(spellings); n++)
		if (same_name(spellings[n].other, name))
			return find(spellings[n].name, leaf, bit);
	return false;
}

/* ---- sets ---- */

bool cpu_set_change(struct cpu_set *s, const char *name, bool on)
{
	unsigned leaf, bit;

	if (!find_any(name, &leaf, &bit))
		return false;
	s->word[leaf] = (s->word[leaf] & ~(UINT32_C(1) << bit)) | (uint32_t)on << bit;
	return true;
}

bool cpu_set_has(const struct cpu_set *s, const char *name)
{
	unsigned leaf, bit;

	return find_any(name, &leaf, &bit) && (s->word[leaf] >> bit & 1);
}

void cpu_set_add(struct cpu_set *s, const char *names)
{
	char name[32];

	while (*names) {
		size_t len = strcspn(names, " ");

		assert(len < sizeof(name));
		memcpy(name, names, len);
		name[len] = 0;
		if (len && !cpu_set_change(s, name, true))
			assert(!"a model's feature is in the list");
		names += len + (names[len] == ' ');
	}
}

bool cpu_set_missing(struct cpu_set *out, const struct cpu_set *a, const struct cpu_set *b)
{
	uint32_t any = 0;

	for (unsigned n = 0; n < CPU_LEAVES; n++)
		any |= out->word[n] = b->word[n] & ~a->word[n];
	return !any;
}

void cpu_set_each(const struct cpu_set *s, void (*f)(void *opaque, const char *name), void *opaque)
{
	for (unsigned leaf = 0; leaf < CPU_LEAVES; leaf++)
		for (unsigned bit = 0; bit < 32; bit++)
			if (s->word[leaf] >> bit & 1 && cpu_leaves[leaf].name[bit])
				f(opaque, cpu_leaves[leaf].name[bit]);
}

struct text {
	char *out;
	size_t size, len;
};

static void add_text(void *opaque, const char *name)
{
	struct text *t = opaque;

	if (t->len + strlen(name) + 6 < t->size)
		t->len += sprintf(t->out + t->len, "%s%s", t->len ? " " : "", name);
	else if (t->len + 5 < t->size && (t->len < 3 || strcmp(t->out + t->len - 3, "...")))
		t->len += sprintf(t->out + t->len, " ...");
}

void cpu_set_text(const struct cpu_set *s, char *out, size_t size)
{
	struct text t = { .out = out, .size = size };

	out[0] = 0;
	cpu_set_each(s, add_text, &t);
}

/* ---- where they come from ---- */

static uint32_t named_bits(const struct cpu_leaf *l)
{
	uint32_t bits = 0;

	for (unsigned bit = 0; bit < 32; bit++)
		bits |= (uint32_t)(l->name[bit] != NULL) << bit;
	return bits;
}

void cpu_set_of_rows(struct cpu_set *s, const struct x86_cpuid *rows, unsigned count)
{
	*s = (struct cpu_set){ 0 };
	for (unsigned leaf = 0; leaf < CPU_LEAVES; leaf++)
		for (unsigned n = 0; n < count; n++) {
			struct x86_cpuid r = rows[n];
			const struct cpu_leaf *l = &cpu_leaves[leaf];

			if (r.leaf == l->leaf && (!r.subleaf_matters || r.subleaf == l->subleaf))
				s->word[leaf] = *cpu_row_reg(&r, l->reg) & named_bits(l);
		}
}

void cpu_set_of_host(struct cpu_set *s)
{
	*s = (struct cpu_set){ 0 };
	for (unsigned n = 0; n < CPU_LEAVES; n++) {
		const struct cpu_leaf *l = &cpu_leaves[n];
		uint32_t r[4];

		if (l->leaf > __get_cpuid_max(l->leaf & 0x80000000, NULL))
			continue;
		__cpuid_count(l->leaf, l->subleaf, r[CPU_EAX], r[CPU_EBX], r[CPU_ECX], r[CPU_EDX]);
		s->word[n] = r[l->reg] & named_bits(l);
	}
}
