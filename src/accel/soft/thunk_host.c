/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID bits: SDM 2A, CPUID, leaves 1 and 7; XCR0: SDM 1 13.3. */
#include "accel/soft/thunk_host.h"
#include "base/compiler.h"

#include <cpuid.h>

enum cpuid_reg { L1_ECX, L7_EBX, L7_ECX, L7_EDX, L71_EAX, CPUID_REGS };

static const struct {
	uint8_t feature, reg, bit;
	bool ymm; /* needs the OS to save YMM */
} feature_bit[] = {
	{ HOST_SSE3, L1_ECX, 0, false },    { HOST_PCLMUL, L1_ECX, 1, false },  { HOST_SSSE3, L1_ECX, 9, false },
	{ HOST_FMA, L1_ECX, 12, true },     { HOST_SSE41, L1_ECX, 19, false },  { HOST_SSE42, L1_ECX, 20, false },
	{ HOST_MOVBE, L1_ECX, 22, false },  { HOST_POPCNT, L1_ECX, 23, false }, { HOST_AES, L1_ECX, 25, false },
	{ HOST_AVX, L1_ECX, 28, true },     { HOST_F16C, L1_ECX, 29, true },    { HOST_RDRAND, L1_ECX, 30, false },
	{ HOST_BMI1, L7_EBX, 3, false },    { HOST_AVX2, L7_EBX, 5, true },     { HOST_BMI2, L7_EBX, 8, false },
	{ HOST_AVX512F, L7_EBX, 16, true }, { HOST_RDSEED, L7_EBX, 18, false }, { HOST_ADX, L7_EBX, 19, false },
	{ HOST_SHA, L7_EBX, 29, false },    { HOST_GFNI, L7_ECX, 8, true },
	{ HOST_VAES, L7_ECX, 9, true },     { HOST_VPCLMUL, L7_ECX, 10, true },
};

/* Beside HOST_AVX512. */
static const struct {
	uint8_t feature, reg, bit;
} avx512_bit[] = {
	{ HOST_IFMA, L7_EBX, 21 },   { HOST_VBMI, L7_ECX, 1 },        { HOST_VBMI2, L7_ECX, 6 }, { HOST_VNNI, L7_ECX, 11 },
	{ HOST_BITALG, L7_ECX, 12 }, { HOST_VPOPCNTDQ, L7_ECX, 14 }, { HOST_FP16, L7_EDX, 23 }, { HOST_BF16, L71_EAX, 5 },
};
enum { AVX512_BASE = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30, AVX512_VL = 1u << 31 }; /* F DQ CD BW, VL: L7_EBX */

/* What the kernel carries, by XCR0. */
static bool os_saves(uint32_t l1_ecx, uint32_t mask)
{
	uint32_t lo, hi;

	if (!(l1_ecx >> 27 & 1)) /* OSXSAVE */
		return false;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & mask) == mask;
}

void thunk_host_probe(struct thunk_host *h)
{
	uint32_t reg[CPUID_REGS] = { 0 }, a, b, c, d;
	bool ymm;

	if (__get_cpuid(1, &a, &b, &c, &d))
		reg[L1_ECX] = c;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		reg[L7_EBX] = b;
		reg[L7_ECX] = c;
	}
	if (reg[L7_EBX] && __get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		reg[L7_EDX] = d;
		if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
			reg[L71_EAX] = a;
	}
	ymm = os_saves(reg[L1_ECX], 6);
	h->have = UINT64_C(1) << HOST_ALWAYS;
	for (unsigned n = 0; n < COUNT_OF(feature_bit); n++)
		if ((reg[feature_bit[n].reg] >> feature_bit[n].bit & 1) && (ymm || !feature_bit[n].ymm))
			h->have |= UINT64_C(1) << feature_bit[n].feature;
	if ((reg[L7_EBX] & (AVX512_BASE | AVX512_VL)) != (AVX512_BASE | AVX512_VL) || !os_saves(reg[L1_ECX], 0xe6))
		return;
	h->have |= UINT64_C(1) << HOST_AVX512;
	for (unsigned n = 0; n < COUNT_OF(avx512_bit); n++)
		if (reg[avx512_bit[n].reg] >> avx512_bit[n].bit & 1)
			h->have |= UINT64_C(1) << avx512_bit[n].feature;
}
