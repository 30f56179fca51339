/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/hostcpu.h"

#include <cpuid.h>
#include <string.h>

enum reg { EAX, EBX, ECX, EDX };

/* Up to 32 names for a register, bit 0 first; NULL: none that clients know, or not the guest's. */
static const struct {
	uint32_t leaf, subleaf;
	enum reg reg;
	const char *name[32];
} leaves[] = {
	{1, 0, EDX, {"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic", NULL,
		     "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", NULL,   "ds",
		     "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe"}},
	{1, 0, ECX, {"pni",          "pclmuldq", "dtes64", "monitor", "ds_cpl", "vmx",    "smx",    "est",
		     "tm2",          "ssse3",    "cid",    NULL,      "fma",    "cx16",   "xtpr",   "pdcm",
		     NULL,           "pcid",     "dca",    "sse4.1",  "sse4.2", "x2apic", "movbe",  "popcnt",
		     "tsc-deadline", "aes",      "xsave",  NULL,      "avx",    "f16c",   "rdrand", "hypervisor"}},
	{7, 0, EBX, {"fsgsbase",   "tsc_adjust", NULL,         "bmi1",     "hle",      "avx2",     NULL,
		     "smep",       "bmi2",       "erms",       "invpcid",  "rtm",      "cmt",      NULL,
		     "mpx",        NULL,         "avx512f",    "avx512dq", "rdseed",   "adx",      "smap",
		     "avx512ifma", "pcommit",    "clflushopt", "clwb",     "intel-pt", "avx512pf", "avx512er",
		     "avx512cd",   "sha-ni",     "avx512bw",   "avx512vl"}},
	{7, 0, ECX, {NULL,         "avx512vbmi",  "umip",         "pku",       "ospke",
		     "waitpkg",    "avx512vbmi2", NULL,           "gfni",      "vaes",
		     "vpclmulqdq", "avx512vnni",  "avx512bitalg", NULL,        "avx512-vpopcntdq",
		     NULL,         "la57",        NULL,           NULL,        NULL,
		     NULL,         NULL,          "rdpid",        NULL,        "bus-lock-detect",
		     "cldemote",   NULL,          "movdiri",      "movdir64b", NULL,
		     NULL,         "pks"}},
	{7,
	 0,
	 EDX,
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
	{7, 1, EAX, {NULL, NULL, NULL, NULL, "avx-vnni", "avx512-bf16"}},
	{0xd, 1, EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
	{0x80000001,
	 0,
	 EDX,
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
	 ECX,
	 {"lahf_lm",     "cmp_legacy",    "svm",          "extapic",   "cr8legacy", "abm",        "sse4a",
	  "misalignsse", "3dnowprefetch", "osvw",         "ibs",       "xop",       "skinit",     "wdt",
	  NULL,          "lwp",           "fma4",         NULL,        NULL,        "nodeid_msr", NULL,
	  "tbm",         "topoext",       "perfctr_core", "perfctr_nb"}},
	{0x80000007, 0, EDX, {[8] = "invtsc"}},
	{0x80000008,
	 0,
	 EBX,
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
	 EDX,
	 {"npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid", "decodeassists",
	  [10] = "pause-filter", [12] = "pfthreshold", [13] = "avic", [15] = "v-vmsave-vmload", [16] = "vgif"}},
};

/* Microarchitectures by the numbers of the vendors' lists (Intel SDM 4, table 2-1; AMD revision guides). */
static const struct {
	const char *vendor;
	unsigned family, first, last; /* models */
	const char *name;
} models[] = {
	{ "GenuineIntel", 6, 0x17, 0x1d, "Penryn" },
	{ "GenuineIntel", 6, 0x1a, 0x1f, "Nehalem" },
	{ "GenuineIntel", 6, 0x2e, 0x2e, "Nehalem" },
	{ "GenuineIntel", 6, 0x25, 0x25, "Westmere" },
	{ "GenuineIntel", 6, 0x2c, 0x2c, "Westmere" },
	{ "GenuineIntel", 6, 0x2f, 0x2f, "Westmere" },
	{ "GenuineIntel", 6, 0x2a, 0x2a, "SandyBridge" },
	{ "GenuineIntel", 6, 0x2d, 0x2d, "SandyBridge" },
	{ "GenuineIntel", 6, 0x3a, 0x3a, "IvyBridge" },
	{ "GenuineIntel", 6, 0x3e, 0x3e, "IvyBridge" },
	{ "GenuineIntel", 6, 0x3c, 0x3c, "Haswell" },
	{ "GenuineIntel", 6, 0x3f, 0x3f, "Haswell" },
	{ "GenuineIntel", 6, 0x45, 0x46, "Haswell" },
	{ "GenuineIntel", 6, 0x3d, 0x3d, "Broadwell" },
	{ "GenuineIntel", 6, 0x47, 0x47, "Broadwell" },
	{ "GenuineIntel", 6, 0x4f, 0x4f, "Broadwell" },
	{ "GenuineIntel", 6, 0x56, 0x56, "Broadwell" },
	{ "GenuineIntel", 6, 0x4e, 0x4e, "Skylake-Client" },
	{ "GenuineIntel", 6, 0x5e, 0x5e, "Skylake-Client" },
	{ "GenuineIntel", 6, 0x8e, 0x8e, "Skylake-Client" },
	{ "GenuineIntel", 6, 0x9e, 0x9e, "Skylake-Client" },
	{ "GenuineIntel", 6, 0x55, 0x55, "Skylake-Server" },
	{ "GenuineIntel", 6, 0x6a, 0x6c, "Icelake-Server" },
	{ "GenuineIntel", 6, 0x7d, 0x7e, "Icelake-Client" },
	{ "GenuineIntel", 6, 0x8f, 0x8f, "SapphireRapids" },
	{ "AuthenticAMD", 0x10, 0, 0xff, "Opteron_G3" },
	{ "AuthenticAMD", 0x15, 0, 1, "Opteron_G4" },
	{ "AuthenticAMD", 0x15, 2, 0x7f, "Opteron_G5" },
	{ "AuthenticAMD", 0x17, 0, 0x2f, "EPYC" },
	{ "AuthenticAMD", 0x17, 0x30, 0xff, "EPYC-Rome" },
	{ "AuthenticAMD", 0x19, 0, 0xff, "EPYC-Milan" },
};

static uint32_t leaf_max(uint32_t leaf)
{
	return __get_cpuid_max(leaf & 0x80000000, NULL);
}

static void read_features(struct hostcpu *c)
{
	for (size_t n = 0; n < COUNT_OF(leaves); n++) {
		uint32_t r[4];

		if (leaves[n].leaf > leaf_max(leaves[n].leaf))
			continue;
		__cpuid_count(leaves[n].leaf, leaves[n].subleaf, r[EAX], r[EBX], r[ECX], r[EDX]);
		for (unsigned bit = 0; bit < 32; bit++)
			if (leaves[n].name[bit] && r[leaves[n].reg] >> bit & 1 &&
			    c->feature_count < HOSTCPU_FEATURES_MAX)
				c->feature[c->feature_count++] = leaves[n].name[bit];
	}
}

static void read_numbers(struct hostcpu *c)
{
	uint32_t a, b, d, x, r[4];

	__cpuid(0, a, b, x, d);
	memcpy(c->vendor_text, &b, 4);
	memcpy(c->vendor_text + 4, &d, 4);
	memcpy(c->vendor_text + 8, &x, 4);
	__cpuid(1, a, b, x, d);
	c->stepping = a & 15;
	c->number = a >> 4 & 15;
	c->family = a >> 8 & 15;
	if (c->family == 6 || c->family == 15)
		c->number |= (a >> 16 & 15) << 4;
	if (c->family == 15)
		c->family += a >> 20 & 0xff;
	for (uint32_t n = 0; n < 3 && leaf_max(0x80000000) >= 0x80000004; n++) {
		__cpuid(0x80000002 + n, r[0], r[1], r[2], r[3]);
		memcpy(c->brand + 16 * n, r, 16);
	}
}

bool hostcpu_has(const struct hostcpu *c, const char *feature)
{
	for (unsigned n = 0; n < c->feature_count; n++)
		if (!strcmp(c->feature[n], feature))
			return true;
	return false;
}

/* For processors newer than the list: the newest in it that they contain. */
static const char *model_by_features(const struct hostcpu *c)
{
	static const struct {
		const char *vendor, *feature, *name;
	} newest[] = {
		{"GenuineIntel", "amx-tile", "SapphireRapids"}, {"GenuineIntel", "avx512-vpopcntdq", "Icelake-Server"},
		{"GenuineIntel", "avx512f", "Skylake-Server"},  {"GenuineIntel", "avx2", "Haswell"},
		{"AuthenticAMD", "avx512f", "EPYC-Milan"},      {"AuthenticAMD", "avx2", "EPYC"},
	};

	for (size_t n = 0; n < COUNT_OF(newest); n++)
		if (!strcmp(c->vendor_text, newest[n].vendor) && hostcpu_has(c, newest[n].feature))
			return newest[n].name;
	return "qemu64"; /* libvirt's name for the plainest 64-bit processor */
}

void hostcpu_read(struct hostcpu *c)
{
	memset(c, 0, sizeof(*c));
	read_numbers(c);
	read_features(c);
	c->vendor = !strcmp(c->vendor_text, "GenuineIntel")   ? "Intel"
		    : !strcmp(c->vendor_text, "AuthenticAMD") ? "AMD"
							      : c->vendor_text;
	c->model = model_by_features(c);
	for (size_t n = 0; n < COUNT_OF(models); n++)
		if (!strcmp(models[n].vendor, c->vendor_text) && models[n].family == c->family &&
		    c->number >= models[n].first && c->number <= models[n].last)
			c->model = models[n].name;
}
