/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single step, breakpoints, RF, DR6, general detect (SDM 3B 17.2, 17.3). */
#include "cpu64.h"

enum { TF = 0x100, RF = 0x10000, BS = 1 << 14, BD = 1 << 13 };

static unsigned count;
static uint64_t rips[64], dr6s[64];

static bool on_debug(struct frame *f)
{
	if (f->vector != 1 || count >= 64)
		return false;
	rips[count] = f->rip;
	dr6s[count++] = read_dr6();
	write_dr6(0xffff0ff0);
	return true;
}

static void watch(void)
{
	count = 0;
	write_dr6(0xffff0ff0);
	hook = on_debug;
}

extern char step1[], step2[], step3[], step4[], step_rep[], step_rep_end[], step_ss[], step_ss2[], step_ss3[],
	step_int[], step_off[], step_pushf[], step_pushf2[];
static void k_step(uint64_t a)
{
	__asm__ volatile("pushfq; orl $0x100,(%%rsp); popfq; step1: nop; step2: addl $1,%%eax; step3: pushfq;"
			 "step4: andl $~0x100,(%%rsp); popfq; step_off:" : : : "rax", "memory");
}
static void k_step_rep(uint64_t a)
{
	static uint8_t buf[8];
	__asm__ volatile("lea %0,%%rdi; movl $3,%%ecx; pushfq; pushfq; orl $0x100,(%%rsp); popfq; step_rep: rep stosb;"
			 "step_rep_end: popfq" : "=m"(buf) : : "rcx", "rdi", "memory");
}
static void k_step_ss(uint64_t a)
{
	__asm__ volatile(
		"movl $0x10,%%ecx; pushfq; pushfq; orl $0x100,(%%rsp); popfq; step_ss: movl %%ecx,%%ss; step_ss2: nop;"
		"step_ss3: popfq"
		:
		:
		: "rcx", "memory");
}
static void k_step_pushf(uint64_t a)
{
	uint64_t f;
	__asm__ volatile("pushfq; pushfq; orl $0x100,(%%rsp); popfq; step_pushf: pushfq; step_pushf2: pop %0; popfq"
			 : "=r"(f) : : "memory");
	note("debug pushf shows TF", f >> 8 & 1);
}

static void stepping(void)
{
	watch();
	call0(k_step, 0);
	check("debug step: traps", count, 5);
	check("debug step: first is after the first instruction", rips[0], (uint64_t)step2);
	check("debug step: second", rips[1], (uint64_t)step3);
	check("debug step: dr6", dr6s[0], 0xffff0ff0 | BS);
	check("debug step: last is after popf", rips[count - 1], (uint64_t)step_off);
	watch();
	call0(k_step_rep, 0);
	check("debug step of rep: a trap for each iteration", count, 4);
	check("debug step of rep: first is at the instruction", rips[0], (uint64_t)step_rep);
	check("debug step of rep: third is after it", rips[2], (uint64_t)step_rep_end);
	watch();
	call0(k_step_ss, 0);
	check("debug step over mov ss: first trap", rips[0], (uint64_t)step_ss3);
	watch();
	call0(k_step_pushf, 0);
	check("debug step pushf", rips[0], (uint64_t)step_pushf2);
}

extern char u_step_syscall[], u_step_after[], u_step_int[];
__asm__(".text\n"
	"u_step_syscall: syscall; u_step_after: nop; nop; int $0x80\n"
	"u_step_int: nop; int $0x80\n"
	"step_sysret: sysretq\n");
extern char step_sysret[];

static void stepping_user(void)
{
	wrmsr(0xc0000082, (uint64_t)step_sysret);
	wrmsr(0xc0000084, 0x40700);
	watch();
	call3_flags(u_step_syscall, 0, TF | 2);
	expect("debug step over syscall ends", 0x80, NOCODE);
	check("debug step over syscall: first trap", rips[0], (uint64_t)u_step_after + USER_ALIAS);
	check("debug step over syscall: traps", count, 3);
	watch();
	call3_flags(u_step_int, 0, TF | 2);
	check("debug step: int clears it", count, 1);
	check("debug step: int's image has TF", last.rflags & TF, TF);
}

static uint64_t data[4];
extern char bp_insn[], bp_next[], after_write[], after_read[];
static void k_break(uint64_t a) { __asm__ volatile("nop; bp_insn: nop; bp_next: nop"); }
static void k_write(uint64_t a) { __asm__ volatile("movl $1,(%0); after_write: nop" : : "r"(a) : "memory"); }
static void k_read(uint64_t a) { __asm__ volatile("movl (%0),%%eax; after_read: nop" : : "r"(a) : "rax"); }
static void k_rep_write(uint64_t a)
{
	__asm__ volatile("rep stosq" : : "D"(a), "c"(4), "a"(0) : "memory");
}
static void k_io(uint64_t a) { inb(0x80); }
static void k_dr(uint64_t a) { read_dr7(); }
static void k_dr4(uint64_t a) { uint64_t v; __asm__ volatile("mov %%dr4, %0" : "=r"(v)); }

static bool on_break(struct frame *f)
{
	bool r = on_debug(f);
	f->rflags |= RF; /* go on past it */
	return r;
}

static void instruction_breakpoints(void)
{
	watch();
	hook = on_break;
	write_dr0((uint64_t)bp_insn);
	write_dr7(0x401);
	call0(k_break, 0);
	check("debug breakpoint: hits", count, 1);
	check("debug breakpoint: before the instruction", rips[0], (uint64_t)bp_insn);
	check("debug breakpoint: dr6", dr6s[0], 0xffff0ff1);
	check("debug breakpoint: image has RF clear", last.rflags & RF, 0);
	write_dr7(0x400);
	watch();
	call0(k_break, 0);
	check("debug breakpoint off", count, 0);
}

static void data_breakpoints(void)
{
	uint64_t at = (uint64_t)&data[1];

	watch();
	write_dr0(at);
	write_dr7(0x401 | 1 << 16 | 3 << 18);
	call0(k_write, at);
	check("debug write watch: hits", count, 1);
	check("debug write watch: after the instruction", rips[0], (uint64_t)after_write);
	check("debug write watch: dr6", dr6s[0], 0xffff0ff1);
	call0(k_write, at + 4);
	check("debug write watch: other address", count, 1);
	call0(k_write, at - 3);
	check("debug write watch: overlap", count, 2);
	call0(k_read, at);
	check("debug write watch: read does not hit", count, 2);
	write_dr7(0x401 | 3 << 16 | 3 << 18);
	call0(k_read, at);
	check("debug access watch: read hits", count, 3);
	call0(k_rep_write, (uint64_t)data);
	check("debug access watch: rep stosq", count, 4);
	write_dr7(0x400);
	if (!has(1, 3, 2))
		return;
	write_cr4(read_cr4() | 8);
	write_dr0(0x80);
	write_dr7(0x401 | 2 << 16);
	watch();
	call0(k_io, 0);
	check("debug port watch", count, 1);
	write_dr7(0x400);
}

static void registers(void)
{
	call0(k_dr4, 0);
	expect("debug dr4 with DE", 6, NOCODE);
	write_cr4(read_cr4() & ~8ul);
	call0(k_dr4, 0);
	expect("debug dr4 without DE", NONE, 0);
	watch();
	write_dr7(0x400 | 1 << 13);
	call0(k_dr, 0);
	check("debug general detect: hits", count, 1);
	check("debug general detect: dr6", dr6s[0], 0xffff0ff0 | BD);
	check("debug general detect: GD is cleared", read_dr7(), 0x400);
	write_dr6(0);
	check("debug dr6 fixed bits", read_dr6(), 0xffff0ff0);
	write_dr7(0xffffdfff);
	check("debug dr7 fixed bits", read_dr7(), 0xffff07ff);
	write_dr7(0x400);
}

void test_debug(void)
{
	stepping();
	stepping_user();
	instruction_breakpoints();
	data_breakpoints();
	registers();
	hook = NULL;
}
