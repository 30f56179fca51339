/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID rows of what the soft CPU offers: the host's identity, and of its features those that the tiers carry.
 * Instructions that compute on registers run on the host itself, so they are offered only where the host has them;
 * what the soft CPU does in software (paging features, XSAVE forms, FSGSBASE ...) is offered everywhere.
 * Sources: SDM 2 (CPUID), APM 3 appendix E.
 */
#include "accel/soft/system.h"
#include "base/err.h"
#include "core/clock.h"
#include <cpuid.h>
#include <errno.h>
#include <stdatomic.h>

#define BIT(n) (1u << (n))

/* leaf 1 */
enum {
	ECX1_HOST = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) |
	            BIT(28) | BIT(29) | BIT(30), /* SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 4.2 MOVBE POPCNT AES AVX F16C RDRAND */
	ECX1_SOFT = BIT(17) | BIT(21) | BIT(24) | BIT(26), /* PCID x2APIC TSC-deadline XSAVE; hypervisor beside */
	EDX1_HOST = BIT(15) | BIT(23) | BIT(25) | BIT(26), /* CMOV MMX SSE SSE2 */
	EDX1_SOFT = BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(12) |
	            BIT(13) | BIT(14) | BIT(16) | BIT(17) | BIT(19) | BIT(24),
	/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA PAT PSE36 CLFSH FXSR */
};
/* leaf 7 */
enum {
	EBX7_HOST = BIT(3) | BIT(5) | BIT(8) | BIT(18) | BIT(19) | BIT(29), /* BMI1 AVX2 BMI2 RDSEED ADX SHA */
	EBX7_SOFT = BIT(0) | BIT(1) | BIT(6) | BIT(7) | BIT(9) | BIT(10) | BIT(13) | BIT(20) | BIT(23) | BIT(24),
	/* FSGSBASE TSC_ADJUST FDP_EXCPTN_ONLY SMEP ERMS INVPCID no-FCS/FDS SMAP CLFLUSHOPT CLWB */
	ECX7_AVX = BIT(8) | BIT(9) | BIT(10), /* GFNI VAES VPCLMULQDQ */
	ECX7_SOFT = BIT(2) | BIT(22), /* UMIP RDPID */
	EDX7_SOFT = BIT(4),           /* FSRM */
};
/* leaf 0x80000001 */
enum {
	ECX81_HOST = BIT(5),          /* LZCNT */
	ECX81_SOFT = BIT(0) | BIT(8), /* LAHF in 64-bit code, PREFETCHW */
	EDX81_SOFT = BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29), /* SYSCALL NX 1G pages RDTSCP LM */
	EDX81_AMD_COPY = 0x0183f3ff,  /* AMD repeats these bits of leaf 1 */
};
#define HYPERVISOR BIT(31)

struct rows {
	struct x86_cpuid *row;
	unsigned count, max;
};

static void add(struct rows *r, uint32_t leaf, uint32_t subleaf, bool matters, const uint32_t v[4])
{
	if (r->count < r->max)
		r->row[r->count] = (struct x86_cpuid){ leaf, subleaf, matters, v[0], v[1], v[2], v[3] };
	r->count++;
}

/* The host's greatest leaf of a range, asked for once: where the host is a guest itself, each CPUID is an exit. */
static uint32_t host_max(uint32_t range)
{
	static _Atomic uint32_t known[2];
	_Atomic uint32_t *k = &known[range >> 31];
	uint32_t max = atomic_load(k);

	if (!max)
		atomic_store(k, max = __get_cpuid_max(range, NULL));
	return max;
}

/* Zeros when the leaf is above the maximum. */
static void host(uint32_t leaf, uint32_t subleaf, uint32_t v[4])
{
	v[0] = v[1] = v[2] = v[3] = 0;
	if (leaf <= host_max(leaf & 0x80000000))
		__cpuid_count(leaf, subleaf, v[0], v[1], v[2], v[3]);
}

static bool host_is_amd(void)
{
	uint32_t v[4];

	host(0, 0, v);
	return v[1] == signature_AMD_ebx || v[1] == 0x6f677948; /* Hygon */
}

/* AVX needs the host's operating system to carry the upper halves. */
static bool host_has_avx(void)
{
	uint32_t v[4], lo, hi;

	host(1, 0, v);
	if (!(v[2] & BIT(27)) || !(v[2] & BIT(28)))
		return false;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 6) == 6;
}

static void leaf1(struct rows *r, bool avx)
{
	uint32_t h[4], v[4];

	host(1, 0, h);
	v[0] = h[0];
	v[1] = 8 << 8 | 1 << 16; /* CLFLUSH line, one logical processor; the board adds the APIC id */
	v[2] = (h[2] & ECX1_HOST) | ECX1_SOFT | HYPERVISOR;
	v[3] = (h[3] & EDX1_HOST) | EDX1_SOFT;
	if (!avx)
		v[2] &= ~(uint32_t)(BIT(12) | BIT(28) | BIT(29));
	add(r, 1, 0, false, v);
}

/* Deterministic cache parameters: geometry from the host, shared by one processor. */
static void caches(struct rows *r, uint32_t leaf)
{
	for (uint32_t n = 0; n < 8; n++) {
		uint32_t v[4];
		host(leaf, n, v);
		v[0] &= 0x3fff;
		add(r, leaf, n, true, v);
		if (!(v[0] & 31))
			return;
	}
}

static void leaf7(struct rows *r, bool avx, bool amd)
{
	uint32_t h[4], v[4] = { 0 };

	host(7, 0, h);
	v[1] = (h[1] & EBX7_HOST) | EBX7_SOFT;
	v[2] = ECX7_SOFT | (avx ? h[2] & ECX7_AVX : 0);
	v[3] = EDX7_SOFT;
	if (!amd)
		v[3] |= BIT(29); /* ARCH_CAPABILITIES, see msr.c */
	if (!avx)
		v[1] &= ~(uint32_t)BIT(5);
	add(r, 7, 0, true, v);
}

static void leaf_xsave(struct rows *r, bool avx)
{
	uint64_t mask = avx ? 7 : 3;
	uint32_t size = avx ? 832 : 576;

	add(r, 0xd, 0, true, (const uint32_t[4]){ (uint32_t)mask, size, size, 0 });
	add(r, 0xd, 1, true, (const uint32_t[4]){ 15, size, 0, 0 }); /* XSAVEOPT XSAVEC XGETBV(1) XSAVES */
	if (avx)
		add(r, 0xd, 2, true, (const uint32_t[4]){ 256, 576, 0, 0 });
}

/* num / den nearest to value / base with num <= limit, by continued fractions. */
static void nearest_ratio(uint64_t value, uint64_t base, uint64_t limit, uint32_t *num, uint32_t *den)
{
	uint64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0, a = value, b = base;

	while (b) {
		uint64_t q = a / b, p2 = q * p1 + p0, q2 = q * q1 + q0, rest = a % b;
		if (p2 > limit)
			break;
		p0 = p1, q0 = q1, p1 = p2, q1 = q2;
		a = b, b = rest;
	}
	*num = (uint32_t)p1;
	*den = (uint32_t)q1;
}

/* The crystal is the local APIC timer's 1 GHz. Linux multiplies its kHz by EBX in 32 bits, so EBX stays below 4200. */
static void leaf_tsc(struct rows *r)
{
	enum { CRYSTAL_KHZ = 1000000, NUM_MAX = 4200 };
	uint32_t khz = host_tsc_khz(), num = 0, den = 0;

	nearest_ratio(khz, CRYSTAL_KHZ, NUM_MAX, &num, &den);
	add(r, 0x15, 0, false, (const uint32_t[4]){ den, num, CRYSTAL_KHZ * 1000u, 0 });
	add(r, 0x16, 0, false, (const uint32_t[4]){ khz / 1000, khz / 1000, 100, 0 });
}

static void basic_leaves(struct rows *r, bool avx, bool amd)
{
	uint32_t v[4];

	host(0, 0, v);
	v[0] = 0x16;
	add(r, 0, 0, false, v);
	leaf1(r, avx);
	if (!amd) {
		host(2, 0, v);
		add(r, 2, 0, false, v);
		caches(r, 4);
	}
	add(r, 6, 0, false, (const uint32_t[4]){ BIT(2), 0, 0, 0 }); /* ARAT */
	leaf7(r, avx, amd);
	leaf_xsave(r, avx);
	leaf_tsc(r);
}

static void extended_leaves(struct rows *r, bool amd)
{
	uint32_t v[4], one[4];
	uint32_t edx1 = r->row[1].edx;

	host(0x80000000, 0, v);
	v[0] = amd ? 0x80000021 : 0x80000008;
	add(r, 0x80000000, 0, false, v);
	host(0x80000001, 0, one);
	one[2] = (one[2] & ECX81_HOST) | ECX81_SOFT;
	one[3] = EDX81_SOFT | (amd ? edx1 & EDX81_AMD_COPY : 0);
	add(r, 0x80000001, 0, false, one);
	for (uint32_t leaf = 0x80000002; leaf <= 0x80000006; leaf++) {
		host(leaf, 0, v);
		add(r, leaf, 0, false, v);
	}
	add(r, 0x80000007, 0, false, (const uint32_t[4]){ 0, 0, 0, BIT(8) }); /* invariant TSC */
	host(0x80000008, 0, v);
	v[0] = (v[0] & 0xff) >= 36 && (v[0] & 0xff) <= 52 ? v[0] & 0xff : 40;
	v[0] |= 48 << 8;
	v[1] = v[2] = v[3] = 0;
	add(r, 0x80000008, 0, false, v);
	if (amd) /* LFENCE serialises; a null selector clears the base */
		add(r, 0x80000021, 0, false, (const uint32_t[4]){ BIT(2) | BIT(6), 0, 0, 0 });
}

int soft_cpuid_rows(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e)
{
	struct rows r = { rows, 0, max };
	bool avx = host_has_avx(), amd = host_is_amd();

	if (max < 2)
		return err_set(e, -EINVAL, "no room for %u CPUID rows", max);
	basic_leaves(&r, avx, amd);
	extended_leaves(&r, amd);
	if (r.count > max)
		return err_set(e, -ENOSPC, "the soft CPU has %u CPUID rows, room is for %u", r.count, max);
	return (int)r.count;
}
