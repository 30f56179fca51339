/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/hostcpu.h"

#include "cpu/feature.h"

#include <cpuid.h>
#include <string.h>

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

static void take_feature(void *opaque, const char *name)
{
	struct hostcpu *c = opaque;

	if (c->feature_count < HOSTCPU_FEATURES_MAX)
		c->feature[c->feature_count++] = name;
}

static void read_features(struct hostcpu *c)
{
	struct cpu_set s;

	cpu_set_of_host(&s);
	cpu_set_each(&s, take_feature, c);
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
