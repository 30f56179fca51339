/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 2). */
#include "cpu64.h"

enum { STAR = 0xc0000081, LSTAR, CSTAR, SFMASK, EFER = 0xc0000080 };

extern char u_syscall[], after_syscall[], entry[], entry_bad[], u_sysenter[], sysenter_entry[], u_sysexit_done[];
extern uint64_t seen[8];
__asm__(".data\n.globl seen\nseen: .skip 64\n.text\n"
	"u_syscall: mov %rsp,%rbp; stc; syscall; after_syscall: movl %cs,%eax; movl %ss,%ebx; pushfq; pop %rdx; int "
	"$0x80\n"
	"entry: mov %rcx,seen; mov %r11,seen+8; movl %cs,%eax; mov %rax,seen+16; movl %ss,%eax; mov %rax,seen+24;"
	" pushfq_at_user: mov %rsp,seen+40; mov $kstack_top,%rsp; pushfq; pop %rax; mov %rax,seen+32; mov seen+40,%rsp;"
	" sysretq\n"
	"entry_bad: mov $kstack_top,%rsp; mov $0x800000000000,%rcx; sysretq\n"
	"u_sysenter: mov %rsp,%rcx; sysenter\n"
	"sysenter_entry: movl %cs,%eax; mov %rax,seen+16; movl %ss,%eax; mov %rax,seen+24; mov %rsp,seen+40;"
	" lea u_sysexit_done(%rip),%rdx; mov $0x100000000,%rax; add %rax,%rdx; rex.W sysexit\n"
	"u_sysexit_done: movl %cs,%eax; movl %ss,%ebx; int $0x80\n"
	".bss\n.balign 16\n.skip 1024\nkstack_top:\n.text\n");

static void syscalls(void)
{
	wrmsr(STAR, (uint64_t)0x1b << 48 | (uint64_t)KCS << 32);
	wrmsr(LSTAR, (uint64_t)entry);
	wrmsr(SFMASK, 0x40701);
	call3_flags(u_syscall, 0, 0x202);
	expect("syscall and sysret", 0x80, NOCODE);
	check("syscall: rcx", seen[0], (uint64_t)after_syscall + USER_ALIAS);
	check("syscall: r11", seen[1], 0x203);
	check("syscall: cs", seen[2], KCS);
	check("syscall: ss", seen[3], KDS);
	check("syscall: masked flags", seen[4], 2);
	check("sysret: cs", last.rax, UCS);
	check("sysret: ss", last.rbx, UDS);
	check("sysret: flags", last.rdx, 0x203);
	wrmsr(LSTAR, (uint64_t)entry_bad);
	call3(u_syscall, 0);
	if (!is_amd()) {
		expect("sysret to a non-canonical address", 13, 0);
		check("sysret to a non-canonical address: still in ring 0", last.cs, KCS);
	}
	wrmsr(EFER, rdmsr(EFER) & ~1ul);
	call3(u_syscall, 0);
	expect("syscall with SCE clear", 6, NOCODE);
	wrmsr(EFER, rdmsr(EFER) | 1);
}

static void sysenters(void)
{
	if (is_amd())
		return;
	wrmsr(0x174, 0);
	call3(u_sysenter, 0);
	expect("sysenter with a null selector", 13, 0);
	wrmsr(0x174, KCS);
	wrmsr(0x175, (uint64_t)tss.rsp[1]);
	wrmsr(0x176, (uint64_t)sysenter_entry);
	call3(u_sysenter, 0);
	expect("sysenter and sysexit", 0x80, NOCODE);
	check("sysenter: cs", seen[2], KCS);
	check("sysenter: ss", seen[3], KCS + 8);
	check("sysenter: rsp", seen[5], tss.rsp[1]);
	check("sysexit: cs", last.rax, KCS + 32 + 3);
	check("sysexit: ss", last.rbx, KCS + 40 + 3);
}

static void k_bad_lstar(uint64_t a) { wrmsr(LSTAR, a); }

void test_syscall(void)
{
	syscalls();
	sysenters();
	call0(k_bad_lstar, 1ull << 47);
	expect("syscall: LSTAR non-canonical", 13, 0);
}
