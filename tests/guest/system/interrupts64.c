/* SPDX-License-Identifier: GPL-2.0-or-later */
/* External interrupts and NMIs by the local APIC's messages to itself: shadows, blocking, priority (SDM 3A 6.7). */
#include "cpu64.h"

enum { SPURIOUS = 0xf0, EOI = 0xb0, ICR_LOW = 0x300, ICR_HIGH = 0x310, TPR = 0x80, VECTOR = 0x50 };

static volatile uint32_t *apic(unsigned reg)
{
	return (volatile uint32_t *)(0xfee00000ul + reg);
}

static void self(uint32_t what)
{
	*apic(ICR_LOW) = what;
	while (*apic(ICR_LOW) & 1 << 12)
		;
}
enum { FIXED_SELF = 0x44000 | VECTOR, NMI_SELF = 0x4400 };

static unsigned fixed, nmis, nested;
static uint64_t at[16];

static bool on_interrupt(struct frame *f)
{
	if (f->vector == VECTOR) {
		at[fixed++ & 15] = f->rip;
		*apic(EOI) = 0;
		return true;
	}
	if (f->vector == 2) {
		at[nmis++ & 15] = f->rip;
		return true;
	}
	return false;
}

/* In the handler of an NMI another one comes: it waits for IRET. */
static bool on_nested_nmi(struct frame *f)
{
	if (f->vector != 2)
		return false;
	nmis++;
	if (nmis == 1) {
		self(NMI_SELF);
		for (volatile unsigned n = 0; n < 1000; n++)
			;
		nested = nmis;
	}
	return true;
}

extern char sti_insn[], sti_next[], sti_after[], hlt_after[], ss_insn[], ss_next[], ss_after[];
static void k_sti(uint64_t a) { __asm__ volatile("sti_insn: sti; sti_next: nop; sti_after: nop; nop; cli"); }
static void k_sti_cli(uint64_t a) { __asm__ volatile("sti; cli; nop; nop"); }
static void k_sti_hlt(uint64_t a) { __asm__ volatile("sti; hlt; hlt_after: cli"); }
static void k_popf(uint64_t a)
{
	extern char popf_after[];
	__asm__ volatile("pushfq; orl $0x200,(%%rsp); popfq; popf_after: nop; cli" : : : "memory");
	check("irq after popf", at[0], (uint64_t)popf_after);
}
static void k_ss_sti(uint64_t a)
{
	__asm__ volatile("movl $0x10,%%eax; sti; nop; movl %%eax,%%ss; ss_next: nop; ss_after: cli" : : : "rax");
}

static void maskable(void)
{
	*apic(SPURIOUS) = 0x1ff;
	*apic(ICR_HIGH) = 0;
	hook = on_interrupt;
	self(FIXED_SELF);
	call0(k_sti, 0);
	check("irq after sti: count", fixed, 1);
	check("irq after sti: one instruction later", at[0], (uint64_t)sti_after);
	fixed = 0;
	self(FIXED_SELF);
	call0(k_sti_cli, 0);
	check("irq sti cli: none gets in", fixed, 0);
	fixed = 0;
	call0(k_sti_hlt, 0); /* still pending */
	check("irq wakes hlt", fixed, 1);
	check("irq wakes hlt: after it", at[0], (uint64_t)hlt_after);
	fixed = 0;
	self(FIXED_SELF);
	call0(k_popf, 0);
	check("irq after popf: count", fixed, 1);
	fixed = 0;
	__asm__ volatile("mov %0, %%cr8" : : "r"(6ul));
	self(FIXED_SELF);
	call0(k_sti, 0);
	check("irq held off by cr8", fixed, 0);
	__asm__ volatile("mov %0, %%cr8" : : "r"(4ul));
	call0(k_sti, 0);
	check("irq let through by cr8", fixed, 1);
	check("irq cr8 shows in the TPR", *apic(TPR), 0x40);
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ul));
	fixed = 0;
	call0(k_ss_sti, 0);
	check("irq none pending", fixed, 0);
}

static void non_maskable(void)
{
	nmis = 0;
	self(NMI_SELF);
	__asm__ volatile("nop; nop");
	check("nmi with interrupts off", nmis, 1);
	check("nmi: stack from the IST", last_frame_at, tss.ist[1] - sizeof(struct frame));
	hook = on_nested_nmi;
	nmis = 0;
	self(NMI_SELF);
	for (volatile unsigned n = 0; n < 1000; n++)
		;
	check("nmi blocked in its handler", nested, 1);
	check("nmi taken after iret", nmis, 2);
}

void test_interrupts(void)
{
	if (!has(1, 3, 9))
		return;
	maskable();
	non_maskable();
	hook = NULL;
}
