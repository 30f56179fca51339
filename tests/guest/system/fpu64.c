/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE and the XSAVE family (SDM 1 10.5, 13). */
#include "cpu64.h"

static uint8_t area[1024] __attribute__((aligned(64))), other[1024] __attribute__((aligned(64)));

static void k_fxsave(uint64_t a) { __asm__ volatile("fxsave64 (%0)" : : "r"(a) : "memory"); }
static void k_fxrstor(uint64_t a) { __asm__ volatile("fxrstor64 (%0)" : : "r"(a) : "memory"); }
static void k_xsave(uint64_t a) { __asm__ volatile("xsave64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xrstor(uint64_t a) { __asm__ volatile("xrstor64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xsaveopt(uint64_t a) { __asm__ volatile("xsaveopt64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xsavec(uint64_t a) { __asm__ volatile("xsavec64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xsaves(uint64_t a) { __asm__ volatile("xsaves64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xrstors(uint64_t a) { __asm__ volatile("xrstors64 (%0)" : : "r"(a), "a"(7), "d"(0) : "memory"); }
static void k_xsetbv(uint64_t v) { __asm__ volatile("xsetbv" : : "a"((uint32_t)v), "d"(0), "c"(0)); }
static void k_avx(uint64_t a) { __asm__ volatile("vpxor %ymm1, %ymm1, %ymm1"); }

static uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static void put64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

static void fill_registers(void)
{
	static const uint64_t v[2] = { 0x1122334455667788, 0x99aabbccddeeff00 };
	__asm__ volatile("fninit; fld1; fldpi; movdqu %0, %%xmm0; movdqu %0, %%xmm15" : : "m"(v));
}

static void legacy(void)
{
	fill_registers();
	memset(area, 0xee, sizeof(area));
	k_fxsave((uint64_t)area);
	check("fpu fxsave: fcw", area[0] | area[1] << 8, 0x37f);
	check("fpu fxsave: fsw (top)", area[2] | area[3] << 8, 0x3000);
	check("fpu fxsave: tags", area[4], 0xc0);
	check("fpu fxsave: st0 mantissa", get64(area + 32), 0xc90fdaa22168c235);
	check("fpu fxsave: st1 mantissa", get64(area + 48), 0x8000000000000000);
	check("fpu fxsave: mxcsr", (uint32_t)get64(area + 24), 0x1f80);
	check("fpu fxsave: xmm0", get64(area + 160), 0x1122334455667788);
	check("fpu fxsave: xmm15", get64(area + 160 + 248), 0x99aabbccddeeff00);
	check("fpu fxsave: reserved bytes stay", area[511], 0xee);
	__asm__ volatile("fninit; xorps %%xmm0, %%xmm0; xorps %%xmm15, %%xmm15" : : : "memory");
	k_fxrstor((uint64_t)area);
	memset(other, 0xee, sizeof(other));
	k_fxsave((uint64_t)other);
	check("fpu fxrstor: the same again",
	      (uint64_t)memcmp(area, other, 5) | (uint64_t)memcmp(area + 24, other + 24, 392), 0);
	call0(k_fxsave, (uint64_t)area + 8);
	expect("fpu fxsave misaligned", 13, 0);
	area[27] = 0xff;
	call0(k_fxrstor, (uint64_t)area);
	expect("fpu fxrstor reserved mxcsr bits", 13, 0);
	write_cr0(read_cr0() | 8);
	call0(k_fxsave, (uint64_t)area);
	expect("fpu fxsave with TS", 7, NOCODE);
	write_cr0(read_cr0() & ~8ul);
}

static void enabling(bool avx)
{
	call0(k_xsave, (uint64_t)area);
	expect("fpu xsave with OSXSAVE clear", 6, NOCODE);
	call0(k_xsetbv, 7);
	expect("fpu xsetbv with OSXSAVE clear", 6, NOCODE);
	write_cr4(read_cr4() | 1 << 18);
	check("fpu cpuid shows OSXSAVE", has(1, 2, 27), 1);
	call0(k_xsetbv, 2);
	expect("fpu xsetbv without x87", 13, 0);
	call0(k_xsetbv, 5);
	expect("fpu xsetbv AVX without SSE", 13, 0);
	call0(k_xsetbv, 3);
	if (avx) {
		call0(k_avx, 0);
		expect("fpu AVX with XCR0 lacking it", 6, NOCODE);
		call0(k_xsetbv, 7);
		call0(k_avx, 0);
		expect("fpu AVX", NONE, 0);
	}
	call0(k_xsetbv, 1ul << 62 >> 32 | 0x40000000);
	expect("fpu xsetbv unknown bit", 13, 0);
}

static void standard(bool avx)
{
	uint64_t want = avx ? 7 : 3;

	fill_registers();
	if (avx)
		__asm__ volatile("vinsertf128 $1, %xmm0, %ymm0, %ymm0");
	memset(area, 0, sizeof(area));
	area[512 + 7] = 0x80;
	k_xsave((uint64_t)area);
	check("fpu xsave: header", get64(area + 512), want | 1ull << 63);
	check("fpu xsave: xmm0", get64(area + 160), 0x1122334455667788);
	if (avx)
		check("fpu xsave: ymm0 high", get64(area + 576), 0x1122334455667788);
	area[512 + 7] = 0;
	__asm__ volatile("fninit; xorps %xmm0, %xmm0");
	k_xrstor((uint64_t)area);
	memset(other, 0, sizeof(other));
	k_xsave((uint64_t)other);
	check("fpu xrstor: the same again", (uint64_t)memcmp(area + 24, other + 24, 392), 0);
	put64(area + 512, 0);
	k_xrstor((uint64_t)area);
	k_fxsave((uint64_t)other);
	check("fpu xrstor of initial state: tags", other[4], 0);
	check("fpu xrstor of initial state: xmm0", get64(other + 160), 0);
	if (has(0xd, 0, 0)) {
		memset(other, 0, sizeof(other));
		k_xsaveopt((uint64_t)other);
		check("fpu xsaveopt: initial components", get64(other + 512), 0);
	}
	put64(area + 512, 8);
	call0(k_xrstor, (uint64_t)area);
	expect("fpu xrstor: component not enabled", 13, 0);
	put64(area + 512, 3);
	put64(area + 528, 1);
	call0(k_xrstor, (uint64_t)area);
	expect("fpu xrstor: reserved header byte", 13, 0);
	put64(area + 528, 0);
	call0(k_xsave, (uint64_t)area + 16);
	expect("fpu xsave misaligned", 13, 0);
}

static bool xsave_has(unsigned bit)
{
	uint32_t v[4];

	cpuid(0xd, 1, v);
	return v[0] >> bit & 1;
}

static void compacted(bool avx)
{
	if (!xsave_has(1))
		return;
	fill_registers();
	if (avx)
		__asm__ volatile("vinsertf128 $1, %xmm0, %ymm0, %ymm0");
	memset(area, 0xee, sizeof(area));
	k_xsavec((uint64_t)area);
	check("fpu xsavec: xstate_bv", get64(area + 512), avx ? 7 : 3);
	check("fpu xsavec: xcomp_bv", get64(area + 520), 1ull << 63 | (avx ? 7 : 3));
	check("fpu xsavec: the rest of the header stays", get64(area + 528), 0xeeeeeeeeeeeeeeee);
	memset(area + 528, 0, 48);
	if (avx)
		check("fpu xsavec: ymm0 high", get64(area + 576), 0x1122334455667788);
	__asm__ volatile("fninit; xorps %xmm0, %xmm0");
	k_xrstor((uint64_t)area);
	k_fxsave((uint64_t)other);
	check("fpu xrstor compacted", get64(other + 160), 0x1122334455667788);
	put64(area + 520, 1ull << 63 | 1);
	call0(k_xrstor, (uint64_t)area);
	expect("fpu xrstor compacted: component outside xcomp_bv", 13, 0);
	if (!xsave_has(3))
		return;
	k_xsaves((uint64_t)area);
	check("fpu xsaves: xcomp_bv", get64(area + 520), 1ull << 63 | (avx ? 7 : 3));
	call0(k_xrstors, (uint64_t)area);
	expect("fpu xrstors", NONE, 0);
	put64(area + 520, 0);
	call0(k_xrstors, (uint64_t)area);
	expect("fpu xrstors of the standard form", 13, 0);
}

static void sizes(bool avx)
{
	uint32_t v[4];

	cpuid(0xd, 0, v);
	check("fpu cpuid 0xd: size enabled", v[1], avx ? 832 : 576);
	k_xsetbv(3);
	cpuid(0xd, 0, v);
	check("fpu cpuid 0xd: size of x87 and SSE", v[1], 576);
	k_xsetbv(avx ? 7 : 3);
}

void test_fpu(void)
{
	bool avx = has(1, 2, 28);

	legacy();
	if (!has(1, 2, 26))
		return;
	enabling(avx);
	standard(avx);
	compacted(avx);
	sizes(avx);
	write_cr4(read_cr4() & ~(1ul << 18));
}
