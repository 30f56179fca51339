/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu/model.h"

#include <string.h>

static const char intel[] = "GenuineIntel", amd[] = "AuthenticAMD";

/* A base stands before what is built on it. */
static const struct cpu_model models[] = {
	{ "x86-64-v1", NULL, NULL, 0, 0, 0, NULL,
	  "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx "
	  "lm" },
	{ "x86-64-v2", "x86-64-v1", NULL, 0, 0, 0, NULL, "pni ssse3 cx16 sse4.1 sse4.2 popcnt lahf_lm" },
	{ "x86-64-v3", "x86-64-v2", NULL, 0, 0, 0, NULL, "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave" },
	{ "x86-64-v4", "x86-64-v3", NULL, 0, 0, 0, NULL, "avx512f avx512bw avx512cd avx512dq avx512vl" },

	{ "Conroe", "x86-64-v1", intel, 6, 15, 3, "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
	  "pni ssse3 cx16 lahf_lm" },
	{ "Penryn", "x86-64-v1", intel, 6, 23, 10, "Intel Core 2 Duo (Penryn)", "pni ssse3 cx16 sse4.1 lahf_lm" },
	{ "Nehalem", "x86-64-v2", intel, 6, 26, 3, "Intel Core i7 9xx (Nehalem)", "rdtscp" },
	{ "Westmere", "Nehalem", intel, 6, 44, 1, "Westmere E56xx/L56xx/X56xx", "aes pclmuldq pcid pdpe1gb" },
	{ "SandyBridge", "Westmere", intel, 6, 42, 1, "Intel Xeon E312xx (Sandy Bridge)", "avx xsave xsaveopt" },
	{ "IvyBridge", "SandyBridge", intel, 6, 58, 9, "Intel Xeon E3-12xx v2 (Ivy Bridge)",
	  "f16c rdrand fsgsbase smep erms" },
	{ "Haswell-noTSX", "IvyBridge", intel, 6, 60, 1, "Intel Core Processor (Haswell, no TSX)",
	  "fma avx2 bmi1 bmi2 movbe abm invpcid" },
	{ "Haswell", "Haswell-noTSX", intel, 6, 60, 4, "Intel Core Processor (Haswell)", "hle rtm" },
	{ "Broadwell-noTSX", "Haswell-noTSX", intel, 6, 61, 2, "Intel Core Processor (Broadwell, no TSX)",
	  "rdseed adx smap 3dnowprefetch" },
	{ "Broadwell", "Broadwell-noTSX", intel, 6, 61, 2, "Intel Core Processor (Broadwell)", "hle rtm" },
	{ "Skylake-Client-noTSX-IBRS", "Broadwell-noTSX", intel, 6, 94, 3, "Intel Core Processor (Skylake, no TSX)",
	  "clflushopt xsavec xgetbv1 spec-ctrl" },
	{ "Skylake-Server-noTSX-IBRS", "Skylake-Client-noTSX-IBRS", intel, 6, 85, 4,
	  "Intel Xeon Processor (Skylake, no TSX)", "avx512f avx512bw avx512cd avx512dq avx512vl clwb" },
	{ "Cascadelake-Server-noTSX", "Skylake-Server-noTSX-IBRS", intel, 6, 85, 6,
	  "Intel Xeon Processor (Cascadelake)", "avx512vnni ssbd" },
	{ "Icelake-Server-noTSX", "Cascadelake-Server-noTSX", intel, 6, 106, 6, "Intel Xeon Processor (Icelake)",
	  "avx512vbmi avx512ifma avx512vbmi2 avx512bitalg avx512-vpopcntdq gfni vaes vpclmulqdq sha-ni rdpid umip pku "
	  "fsrm wbnoinvd la57" },
	{ "SapphireRapids-noTSX", "Icelake-Server-noTSX", intel, 6, 143, 4, "Intel Xeon Processor (SapphireRapids)",
	  "avx-vnni avx512-bf16 avx512-fp16 amx-tile amx-bf16 amx-int8 serialize movdiri movdir64b cldemote waitpkg "
	  "xsaves" },

	{ "Opteron_G1", "x86-64-v1", amd, 15, 6, 1, "AMD Opteron 240 (Gen 1 Class Opteron)", "pni" },
	{ "Opteron_G2", "Opteron_G1", amd, 15, 6, 1, "AMD Opteron 22xx (Gen 2 Class Opteron)",
	  "cx16 lahf_lm rdtscp" },
	{ "Opteron_G3", "x86-64-v1", amd, 16, 2, 3, "AMD Opteron 23xx (Gen 3 Class Opteron)",
	  "pni cx16 popcnt lahf_lm abm sse4a misalignsse rdtscp" },
	{ "Opteron_G4", "x86-64-v2", amd, 21, 1, 2, "AMD Opteron 62xx class CPU",
	  "aes pclmuldq avx xsave abm sse4a misalignsse 3dnowprefetch xop fma4 rdtscp pdpe1gb" },
	{ "Opteron_G5", "Opteron_G4", amd, 21, 2, 0, "AMD Opteron 63xx class CPU", "f16c fma tbm bmi1" },
	{ "EPYC", "x86-64-v3", amd, 23, 1, 2, "AMD EPYC Processor",
	  "aes pclmuldq rdrand rdseed adx fsgsbase smep smap sha-ni clflushopt xsaveopt xsavec xgetbv1 rdtscp pdpe1gb "
	  "mmxext fxsr_opt cr8legacy sse4a misalignsse 3dnowprefetch osvw topoext" },
	{ "EPYC-Rome", "EPYC", amd, 23, 49, 0, "AMD EPYC-Rome Processor",
	  "clwb rdpid umip wbnoinvd clzero xsaveerptr ibpb" },
	{ "EPYC-Milan", "EPYC-Rome", amd, 25, 1, 1, "AMD EPYC-Milan Processor",
	  "pcid invpcid erms fsrm pku vaes vpclmulqdq ibrs amd-stibp amd-ssbd" },
	{ "EPYC-Genoa", "EPYC-Milan", amd, 25, 17, 0, "AMD EPYC-Genoa Processor",
	  "avx512f avx512bw avx512cd avx512dq avx512vl avx512ifma avx512vbmi avx512vbmi2 avx512vnni avx512bitalg "
	  "avx512-vpopcntdq avx512-bf16 gfni la57" },
};

const struct cpu_model *cpu_model_at(unsigned n) { return n < COUNT_OF(models) ? &models[n] : NULL; }

const struct cpu_model *cpu_model_find(const char *name)
{
	for (size_t n = 0; n < COUNT_OF(models); n++)
		if (!strcmp(models[n].name, name))
			return &models[n];
	return NULL;
}

void cpu_model_set(const struct cpu_model *m, struct cpu_set *out)
{
	*out = (struct cpu_set){ 0 };
	for (; m; m = m->base ? cpu_model_find(m->base) : NULL)
		cpu_set_add(out, m->features);
}

const struct cpu_model *cpu_model_best(const struct cpu_set *have, const char *vendor)
{
	const struct cpu_model *best = NULL;
	struct cpu_set wanted, missing;

	for (size_t n = 0; n < COUNT_OF(models); n++) {
		if (models[n].vendor && (!vendor || strcmp(models[n].vendor, vendor)))
			continue;
		cpu_model_set(&models[n], &wanted);
		if (cpu_set_missing(&missing, have, &wanted))
			best = &models[n];
	}
	return best;
}
