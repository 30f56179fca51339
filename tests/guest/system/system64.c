/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, MSRs, CPUID, time (SDM 3A 2.5, SDM 4). */
#include "cpu64.h"

static void k_cr0(uint64_t v) { write_cr0(v); }
static void k_cr3(uint64_t v) { write_cr3(v); }
static void k_cr4(uint64_t v) { write_cr4(v); }
static void k_cr8(uint64_t v) { __asm__ volatile("mov %0, %%cr8" : : "r"(v)); }
static void k_rdmsr(uint64_t msr) { rdmsr((uint32_t)msr); }
static void k_efer(uint64_t v) { wrmsr(0xc0000080, v); }
static void k_pat(uint64_t v) { wrmsr(0x277, v); }
static void k_fsbase(uint64_t v) { wrmsr(0xc0000100, v); }
static void k_monitor(uint64_t a) { __asm__ volatile("monitor" : : "a"(a), "c"(0), "d"(0)); }
static void k_stac(uint64_t a) { __asm__ volatile("stac; clac"); }
static void k_cx16(uint64_t at)
{
	__asm__ volatile("lock cmpxchg16b (%0)" : : "r"(at), "a"(0), "d"(0), "b"(1), "c"(2) : "memory");
}
static void k_cr1(uint64_t a) { __asm__ volatile(".byte 0x0f,0x20,0xc8"); }
static void k_dr7_high(uint64_t v) { write_dr7(v); }

static void control_registers(void)
{
	uint64_t cr0 = read_cr0(), cr4 = read_cr4(), v;

	call0(k_cr0, cr0 & ~1ul);
	expect("sys cr0 PG without PE", 13, 0);
	call0(k_cr0, (cr0 | 1 << 29) & ~(1ul << 30));
	expect("sys cr0 NW without CD", 13, 0);
	call0(k_cr0, cr0 | 1ul << 32);
	expect("sys cr0 high bits", 13, 0);
	call0(k_cr0, cr0 & ~(1ul << 31));
	expect("sys cr0 PG off in 64-bit code", 13, 0);
	write_cr0(cr0 & ~0x10ul);
	check("sys cr0 ET stays", read_cr0(), cr0);
	call0(k_cr4, cr4 & ~0x20ul);
	expect("sys cr4 PAE off in long mode", 13, 0);
	call0(k_cr4, cr4 | 1ul << 31);
	expect("sys cr4 reserved bit", 13, 0);
	call0(k_cr3, read_cr3() | 1ull << 52);
	expect("sys cr3 reserved bit", 13, 0);
	call0(k_cr1, 0);
	expect("sys cr1", 6, NOCODE);
	k_cr8(5);
	__asm__ volatile("mov %%cr8, %0" : "=r"(v));
	check("sys cr8", v, 5);
	k_cr8(0);
	call0(k_cr8, 16);
	expect("sys cr8 reserved bits", 13, 0);
	call0(k_dr7_high, 1ul << 32);
	expect("sys dr7 high bits", 13, 0);
	if (has(1, 2, 17)) {
		write_cr4(cr4 | 1 << 17);
		check("sys cr4 PCIDE", read_cr4() >> 17 & 1, 1);
		write_cr3((read_cr3() | 5) | 1ull << 63);
		check("sys cr3 no-flush bit is not kept", read_cr3() >> 63, 0);
		write_cr3(read_cr3() & ~0xfffull);
		call0(k_cr0, cr0 & ~(1ul << 31));
		expect("sys cr0 PG off with PCIDE", 13, 0);
		write_cr4(cr4);
	}
	__asm__ volatile("smsw %0" : "=r"(v));
	check("sys smsw", v & 0xffff, cr0 & 0xffff);
}

static void msrs(void)
{
	uint64_t a, b;

	call0(k_rdmsr, 0x12345678);
	expect("sys rdmsr unknown", 13, 0);
	call0(k_efer, rdmsr(0xc0000080) | 1 << 1);
	expect("sys efer reserved bit", 13, 0);
	call0(k_efer, rdmsr(0xc0000080) & ~0x100ul);
	expect("sys efer LME off with paging", 13, 0);
	check("sys efer", rdmsr(0xc0000080), 0xd01);
	call0(k_pat, 0x0007040600070402);
	expect("sys pat bad type", 13, 0);
	check("sys pat at reset", rdmsr(0x277), 0x0007040600070406);
	call0(k_fsbase, 1ull << 47);
	expect("sys fs base non-canonical", 13, 0);
	a = rdmsr(0x10);
	b = rdmsr(0x10);
	verdict("sys tsc rises", b > a);
	wrmsr(0x10, 1000);
	a = rdmsr(0x10);
	verdict("sys tsc is settable", a >= 1000 && a < 1000000000);
	if (has(7, 1, 1)) {
		a = rdmsr(0x3b);
		wrmsr(0x3b, a + 1000000000000);
		verdict("sys tsc_adjust moves the tsc", rdmsr(0x10) > 1000000000000);
		check("sys tsc_adjust reads back", rdmsr(0x3b), a + 1000000000000);
	}
	if (has(0x80000001, 3, 27)) {
		uint32_t lo, hi, aux;
		wrmsr(0xc0000103, 0x77);
		__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		check("sys rdtscp aux", aux, 0x77);
	}
	note("sys misc_enable", rdmsr(0x1a0) & 1);
}

static void features(void)
{
	static uint64_t pair[4] __attribute__((aligned(16)));
	uint32_t v[4];

	cpuid(1, 0, v);
	check("sys cpuid: long mode", has(0x80000001, 3, 29), 1);
	check("sys cpuid: OSXSAVE clear", v[2] >> 27 & 1, 0);
	if (!(v[2] >> 3 & 1)) {
		call0(k_monitor, (uint64_t)pair);
		expect("sys monitor when not offered", 6, NOCODE);
	}
	if (has(7, 1, 20)) {
		call0(k_stac, 0);
		expect("sys stac, clac", NONE, 0);
	}
	call0(k_cx16, (uint64_t)pair + 8);
	expect("sys cmpxchg16b misaligned", 13, 0);
	call0(k_cx16, (uint64_t)pair);
	check("sys cmpxchg16b", pair[0] << 8 | pair[1], 0x102);
	if (has(1, 2, 30)) {
		uint8_t ok;
		uint64_t r;
		__asm__ volatile("1: rdrand %0; jnc 1b; setc %1" : "=r"(r), "=qm"(ok) : : "cc");
		check("sys rdrand", ok, 1);
	}
	if (has(7, 1, 10)) {
		uint64_t d[2] = { 0, WINDOW };
		__asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(0ul) : "memory");
		__asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(2ul) : "memory");
		verdict("sys invpcid", true);
	}
}

void test_system(void)
{
	control_registers();
	msrs();
	features();
}
