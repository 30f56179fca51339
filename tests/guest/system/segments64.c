/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment loads, descriptor inspection, FS and GS bases (SDM 3A 3.4, 5; SDM 2). */
#include "cpu64.h"

extern char u_load_ss0[], u_load_ds[], u_lar[], u_fsbase[], u_swapgs[];
__asm__(".text\n"
	"u_load_ss0: movl %edi,%ss; int $0x80\n"
	"u_load_ds: movl %edi,%ds; int $0x80\n"
	"u_lar: xorl %eax,%eax; lar %edi,%eax; pushfq; pop %rbx; int $0x80\n"
	"u_fsbase: wrfsbase %rdi; rdfsbase %rax; int $0x80\n"
	"u_swapgs: swapgs; int $0x80\n");

static void k_ds(uint64_t sel) { __asm__ volatile("movl %0, %%ds" : : "r"((uint32_t)sel)); }
static void k_ss(uint64_t sel) { __asm__ volatile("movl %0, %%ss; movl %1, %%ss" : : "r"((uint32_t)sel), "r"(KDS)); }
static void k_fs(uint64_t sel) { __asm__ volatile("movl %0, %%fs" : : "r"((uint32_t)sel)); }
static void k_lldt(uint64_t sel) { __asm__ volatile("lldt %0" : : "r"((uint16_t)sel)); }
static void k_ltr(uint64_t sel) { __asm__ volatile("ltr %0" : : "r"((uint16_t)sel)); }
static void k_pop_fs(uint64_t sel) { __asm__ volatile("push %0; pop %%fs" : : "r"(sel)); }

static void loads(void)
{
	call0(k_ds, 0);
	expect("seg ds null", NONE, 0);
	call0(k_ds, 3);
	expect("seg ds null with RPL", NONE, 0);
	call0(k_ds, 0x7f8);
	expect("seg ds outside the GDT", 13, 0x7f8);
	call0(k_ds, 0x7fc);
	expect("seg ds in an LDT that is not there", 13, 0x7fc);
	call0(k_ds, NOT_PRESENT);
	expect("seg ds not present", 11, NOT_PRESENT);
	call0(k_ds, TSS_SEL);
	expect("seg ds system descriptor", 13, TSS_SEL);
	call0(k_ds, EXEC_ONLY);
	expect("seg ds execute-only code", 13, EXEC_ONLY);
	call0(k_ds, KCS);
	expect("seg ds readable code", NONE, 0);
	call0(k_ds, KDS | 3);
	expect("seg ds RPL above DPL", 13, KDS);
	call0(k_ds, UDS);
	expect("seg ds user data", NONE, 0);
	call0(k_ss, 0);
	expect("seg ss null in ring 0", NONE, 0);
	call0(k_ss, 1);
	expect("seg ss null, wrong RPL", 13, 0);
	call0(k_ss, UDS);
	expect("seg ss user data in ring 0", 13, UDS & ~3);
	call0(k_ss, READ_ONLY);
	expect("seg ss read-only", 13, READ_ONLY);
	call0(k_ss, NOT_PRESENT);
	expect("seg ss not present", 12, NOT_PRESENT);
	call0(k_ss, KCS);
	expect("seg ss code", 13, KCS);
	gdt[DATA16 / 8] &= ~(1ull << 40);
	call0(k_fs, DATA16);
	check("seg fs load sets the accessed bit", gdt[DATA16 / 8] >> 40 & 1, 1);
	call0(k_pop_fs, UDS);
	expect("seg pop fs", NONE, 0);
	k_fs(0);
	call3(u_load_ss0, 0);
	expect("seg user ss null", 13, 0);
	call3(u_load_ds, KDS);
	expect("seg user ds kernel data", 13, KDS);
	call3(u_load_ds, 0);
	expect("seg user ds null", 0x80, NOCODE);
}

static uint64_t lar(uint32_t sel, bool *zf)
{
	uint32_t v = 0;
	__asm__ volatile("lar %2, %1; setz %0" : "=qm"(*zf), "+r"(v) : "r"(sel));
	return v;
}

static uint64_t lsl(uint32_t sel, bool *zf)
{
	uint32_t v = 0;
	__asm__ volatile("lsl %2, %1; setz %0" : "=qm"(*zf), "+r"(v) : "r"(sel));
	return v;
}

static unsigned verify(uint16_t sel)
{
	bool r, w;
	__asm__ volatile("verr %1; setz %0" : "=qm"(r) : "r"(sel));
	__asm__ volatile("verw %1; setz %0" : "=qm"(w) : "r"(sel));
	return r * 2u + w;
}

static void inspection(void)
{
	bool zf;

	gdt[KDS / 8] |= 1ull << 40;
	check("seg lar data", lar(KDS, &zf) & 0xf0ff00, 0xc09300);
	check("seg lar code", lar(UCS, &zf) & 0xf0fe00, 0xa0fa00);
	check("seg lar tss", lar(TSS_SEL, &zf) & 0xf0ff00, 0x008b00);
	lar(0, &zf);
	check("seg lar null", zf, 0);
	lar(0x7f8, &zf);
	check("seg lar outside", zf, 0);
	lar(NOT_PRESENT, &zf);
	check("seg lar not present is fine", zf, 1);
	gdt[LDT_SEL / 8] = 0x0000810000000000; /* an available 16-bit TSS: no such thing here */
	lar(LDT_SEL, &zf);
	check("seg lar 16-bit tss in long mode", zf, 0);
	gdt[LDT_SEL / 8] = 0;
	check("seg lsl flat data", lsl(KDS, &zf), 0xffffffff);
	check("seg lsl 16-bit data", lsl(DATA16, &zf), 0x1234);
	check("seg lsl tss", lsl(TSS_SEL, &zf), sizeof(tss) - 1);
	check("seg verify data", verify(KDS), 3);
	check("seg verify code", verify(KCS), 2);
	check("seg verify read-only", verify(READ_ONLY), 2);
	check("seg verify execute-only", verify(EXEC_ONLY), 0);
	check("seg verify tss", verify(TSS_SEL), 0);
	check("seg verify RPL", verify(KDS | 3), 0);
	call3(u_lar, KDS);
	check("seg user lar kernel data", last.rbx >> 6 & 1, 0);
	call3(u_lar, UDS);
	check("seg user lar user data", last.rbx >> 6 & 1, 1);
}

static void system_segments(void)
{
	uint64_t ldt[2] = { 0, 0x00cf93000000ffff }, at = (uint64_t)ldt;
	uint16_t sel;

	gdt[LDT_SEL / 8] = 15 | (at & 0xffffff) << 16 | 0x82ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[LDT_SEL / 8 + 1] = at >> 32;
	call0(k_lldt, LDT_SEL);
	expect("seg lldt", NONE, 0);
	__asm__ volatile("sldt %0" : "=m"(sel));
	check("seg sldt", sel, LDT_SEL);
	call0(k_fs, 12);
	expect("seg fs from the LDT", NONE, 0);
	call0(k_fs, 20);
	expect("seg fs beyond the LDT", 13, 20);
	k_fs(0);
	call0(k_lldt, KDS);
	expect("seg lldt data", 13, KDS);
	call0(k_lldt, 0);
	expect("seg lldt null", NONE, 0);
	__asm__ volatile("str %0" : "=m"(sel));
	check("seg str", sel, TSS_SEL);
	check("seg tss is busy", gdt[TSS_SEL / 8] >> 40 & 0xf, 11);
	call0(k_ltr, TSS_SEL);
	expect("seg ltr of a busy tss", 13, TSS_SEL);
	call0(k_ltr, 0);
	expect("seg ltr null", 13, 0);
	gdt[LDT_SEL / 8] = gdt[LDT_SEL / 8 + 1] = 0;
}

static void bases(void)
{
	static uint64_t box[2] = { 0x1111, 0x2222 };
	uint64_t v;

	wrmsr(0xc0000100, (uint64_t)box);
	__asm__ volatile("mov %%fs:8, %0" : "=r"(v));
	check("seg fs base by MSR", v, 0x2222);
	wrmsr(0xc0000101, (uint64_t)box);
	wrmsr(0xc0000102, 0x12345678);
	__asm__ volatile("swapgs");
	check("seg swapgs: gs base", rdmsr(0xc0000101), 0x12345678);
	check("seg swapgs: kernel gs base", rdmsr(0xc0000102), (uint64_t)box);
	call3(u_swapgs, 0);
	expect("seg user swapgs", 13, 0);
	if (has(7, 1, 0)) {
		call3(u_fsbase, 0x5000);
		expect("seg wrfsbase with FSGSBASE clear", 6, NOCODE);
		write_cr4(read_cr4() | 1 << 16);
		call3(u_fsbase, 0x5000);
		check("seg wrfsbase, rdfsbase", last.rax, 0x5000);
		call3(u_fsbase, 1ull << 47);
		expect("seg wrfsbase non-canonical", 13, 0);
		write_cr4(read_cr4() & ~(1ul << 16));
	}
	__asm__ volatile("movl %0, %%gs" : : "r"(UDS));
	check("seg gs load sets base 0", rdmsr(0xc0000101), 0);
}

void test_segments(void)
{
	loads();
	inspection();
	system_segments();
	bases();
}
