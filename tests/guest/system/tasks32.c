/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches: by CALL, JMP, IRET, through task gates and on exceptions (SDM 3A chapter 7). */
#include "cpu32.h"

static uint8_t stack2[4096] __attribute__((aligned(64)));
extern volatile uint32_t seen_tr, seen_flags, seen_eax, seen_cr0, seen_code;
__asm__(".data\n.balign 4\nseen_tr: .long 0\nseen_flags: .long 0\nseen_eax: .long 0\nseen_cr0: .long 0\n"
	"seen_code: .long 0\n");

extern char task_entry[], task_fault[];
__asm__(".text\n"
	/* reports what it finds and returns to whoever called; runs again from after the IRET */
	"task_entry: movl %eax,seen_eax; pushfl; popl seen_flags; strw %ax; movzwl %ax,%eax; movl %eax,seen_tr;"
	" movl %cr0,%eax; movl %eax,seen_cr0; clts; movl $0x600d,%eax; iretl; jmp task_entry\n"
	/* an exception's task: the error code is on the stack */
	"task_fault: popl seen_code; movl tss+32,%eax; addl $2,%eax; movl %eax,tss+32; iretl; jmp task_fault\n");

static void prepare(const char *entry)
{
	memset(&tss2, 0, sizeof(tss2));
	tss2.eip = (uint32_t)entry;
	tss2.eflags = 2;
	tss2.eax = 0x1234;
	tss2.esp = (uint32_t)stack2 + sizeof(stack2);
	tss2.cs = KCS;
	tss2.ss = tss2.ds = tss2.es = tss2.fs = tss2.gs = KDS;
	tss2.iomap = 0xffff;
	gdt[TSS2 / 8] = descriptor((uint32_t)&tss2, sizeof(tss2) - 1, 0x0089);
	seen_tr = seen_flags = seen_eax = seen_cr0 = seen_code = 0;
}

static void k_call(uint32_t a) { __asm__ volatile("lcall %0, $0" : : "i"(TSS2) : "memory"); }
static void k_call_gate(uint32_t a) { __asm__ volatile("lcall %0, $0" : : "i"(TASK_GATE) : "memory"); }
static void k_int(uint32_t a) { __asm__ volatile("int $0x40" : : : "memory"); }
static void k_fault(uint32_t a) { __asm__ volatile("movl %0, %%fs" : : "r"(NOT_PRESENT)); }
static uint16_t task_register(void)
{
	uint16_t v;
	__asm__ volatile("str %0" : "=r"(v));
	return v;
}

static unsigned busy(unsigned sel)
{
	return gdt[sel / 8] >> 41 & 1;
}

static void calls(void)
{
	prepare(task_entry);
	call0(k_call, 0);
	expect("task call and iret", NONE, 0);
	check("task call: eax of the new task", seen_eax, 0x1234);
	check("task call: tr", seen_tr, TSS2);
	check("task call: NT", seen_flags >> 14 & 1, 1);
	check("task call: TS", seen_cr0 >> 3 & 1, 1);
	check("task call: back link", tss2.link, TSS_SEL);
	check("task iret: tr", task_register(), TSS_SEL);
	check("task iret: busy bits", busy(TSS_SEL) << 1 | busy(TSS2), 2);
	check("task iret: its eax is saved", tss2.eax, 0x600d);
	check("task iret: NT is cleared in its image", tss2.eflags >> 14 & 1, 0);
	call0(k_call_gate, 0);
	expect("task call by gate", NONE, 0);
	check("task call by gate: went on where it was", seen_eax, 0x600d);
	set_gate(0x40, TSS2, 0, 0xe5);
	prepare(task_entry);
	call0(k_int, 0);
	expect("task int by gate", NONE, 0);
	check("task int by gate: tr", seen_tr, TSS2);
	__asm__ volatile("clts");
}

static void faults(void)
{
	uint64_t keep = idt[11];

	prepare(task_fault);
	set_gate(11, TSS2, 0, 0x85);
	call0(k_fault, 0);
	idt[11] = keep;
	expect("task for an exception", NONE, 0);
	check("task for an exception: error code", seen_code, NOT_PRESENT);
	__asm__ volatile("clts");
	gdt[TSS2 / 8] |= 2ull << 40;
	call0(k_call, 0);
	expect("task busy", 13, TSS2);
	prepare(task_entry);
	gdt[TSS2 / 8] = descriptor((uint32_t)&tss2, 0x66, 0x0089);
	call0(k_call, 0);
	expect("task segment too small", 10, TSS2);
	gdt[TSS2 / 8] = descriptor((uint32_t)&tss2, sizeof(tss2) - 1, 0x0009);
	call0(k_call, 0);
	expect("task not present", 11, TSS2);
}

/* Back to the first task after one was left by an exception. */
static void recover(void)
{
	uint16_t sel = TSS_SEL;

	gdt[TSS_SEL / 8] &= ~(2ull << 40);
	__asm__ volatile("ltr %0; pushfl; andl $~0x4000,(%%esp); popfl; clts" : : "r"(sel) : "memory");
}

/* A fault in the new task's selectors belongs to it: its TSS is the current one. */
static bool on_ts(struct frame *f)
{
	seen_tr = task_register();
	return false;
}

static void bad_selector(void)
{
	prepare(task_entry);
	tss2.ds = 0x7f8;
	hook = on_ts;
	call0(k_call, 0);
	hook = NULL;
	expect("task with a bad ds", 10, 0x7f8);
	check("task with a bad ds: the new task faults", seen_tr, TSS2);
	check("task with a bad ds: eip", last.eip, (uint32_t)task_entry);
	recover();
}

static struct tss16 small;
extern char task16_entry[];
__asm__(".text\n"
	"task16_entry: movzwl %ax,%eax; movl %eax,seen_eax; strw %ax; movzwl %ax,%eax; movl %eax,seen_tr; clts; "
	"iretl\n");

/* A task with a 16-bit segment: IP has 16 bits, so its code segment begins at the entry. */
static void sixteen_bits(void)
{
	seen_tr = seen_eax = 0;
	small = (struct tss16){
		.ip = 0, .flags = 2, .ax = 0x4321, .sp = 0x100, .es = KDS, .cs = UGATE16, .ss = SMALL, .ds = KDS
	};
	gdt[UGATE16 / 8] = descriptor((uint32_t)task16_entry, 0xffff, 0x409b);
	gdt[SMALL / 8] = descriptor((uint32_t)stack2, 0xfff, 0x0093);
	gdt[TSS2 / 8] = descriptor((uint32_t)&small, sizeof(small) - 1, 0x0081);
	call0(k_call, 0);
	expect("task 16-bit", NONE, 0);
	check("task 16-bit: ax", seen_eax, 0x4321);
	check("task 16-bit: tr", seen_tr, TSS2);
	check("task 16-bit: back link", small.link, TSS_SEL);
	gdt[TSS2 / 8] = descriptor((uint32_t)&small, 0x2a, 0x0081);
	call0(k_call, 0);
	expect("task 16-bit, too small", 10, TSS2);
}

static uint32_t traps, trap_eip, trap_dr6;
static bool on_trap(struct frame *f)
{
	if (f->vector != 1)
		return false;
	traps++;
	trap_eip = f->eip;
	__asm__ volatile("mov %%dr6, %0; mov %1, %%dr6" : "=&r"(trap_dr6) : "r"(0xffff0ff0));
	return true;
}

static void trap_bit(void)
{
	prepare(task_entry);
	tss2.trap = 1;
	hook = on_trap;
	call0(k_call, 0);
	hook = NULL;
	expect("task with the trap bit", 1, NOCODE);
	check("task with the trap bit: once", traps, 1);
	check("task with the trap bit: at its first instruction", trap_eip, (uint32_t)task_entry);
	check("task with the trap bit: dr6", trap_dr6, 0xffff8ff0);
	__asm__ volatile("clts");
}

static void with_ldt(void)
{
	static uint64_t ldt[2];
	uint16_t sel;

	ldt[1] = descriptor(0, 0xfffff, 0xc093);
	gdt[GATE / 8] = descriptor((uint32_t)ldt, sizeof(ldt) - 1, 0x0082);
	prepare(task_entry);
	tss2.ldt = GATE;
	tss2.ds = tss2.ss = 0x0c;
	call0(k_call, 0);
	expect("task with an LDT", NONE, 0);
	__asm__ volatile("sldt %0; clts" : "=r"(sel));
	check("task with an LDT: back to none", sel, 0);
}

static void to_v86(void)
{
	static const uint8_t code[] = { 0xb8, 0x34, 0x12, 0xcd, 0x80 }; /* mov $0x1234, %ax; int $0x80 */

	memcpy((void *)0x10000, code, sizeof(code));
	prepare(NULL);
	tss2.eflags = 1 << 17 | 3 << 12 | 2;
	tss2.cs = 0x1000;
	tss2.ss = tss2.ds = 0x2000;
	tss2.esp = 0x1000;
	tss2.ss0 = KDS;
	tss2.esp0 = (uint32_t)stack2 + sizeof(stack2);
	call0(k_call, 0);
	expect("task in virtual-8086 mode", EXIT_INT, NOCODE);
	check("task in virtual-8086 mode: cs, ds", last.cs << 16 | last.vds, 0x10002000);
	check("task in virtual-8086 mode: NT is in its flags", last.eflags >> 14 & 1, 1);
	recover();
}

void test_tasks(void)
{
	calls();
	faults();
	bad_selector();
	sixteen_bits();
	trap_bit();
	with_ldt();
	to_v86();
}
