/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Privilege levels, call gates with parameters, SYSENTER, port permissions in 32-bit mode (SDM 3A 5.8, 5.9). */
#include "cpu32.h"

extern char u_exit[], u_cli[], u_gate[], gate_entry[], u_gate16[], gate16_entry[], u_conform[], conform_entry[], u_in[],
	u_ud[], u_ds[], u_sysenter[], sysenter_entry[], sysexit_done[], u_jmp_gate[], u_popf[], after_gate[];
__asm__(".text\n"
	"u_exit: int $0x80\n"
	"u_cli: cli; int $0x80\n"
	"u_ud: ud2\n"
	"u_ds: movl $0x10,%eax; movl %eax,%ds; int $0x80\n"
	"u_popf: pushl $0x3202; popfl; pushfl; popl %eax; int $0x80\n"
	"u_in: movl $0x80,%edx; inb %dx,%al; int $0x80\n"
	"u_gate: movl %esp,%edi; pushl $0x11; pushl $0x22; lcall $0x7b,$0; after_gate: movl %esp,%edx; int $0x80\n"
	"gate_entry: movl (%esp),%eax; movl 8(%esp),%ebx; movl 12(%esp),%ecx; movl 16(%esp),%esi; movl %esp,%ebp; lret "
	"$8\n"
	"u_gate16: movl %esp,%edi; pushw $0x11; pushw $0x22; lcall $0x7b,$0; ud2\n"
	"gate16_entry: movzwl (%esp),%eax; movzwl 4(%esp),%ebx; movzwl 6(%esp),%ecx; movl %esp,%ebp; int $0x80\n"
	"u_jmp_gate: ljmp $0x7b,$0\n"
	"u_conform: lcall $0x70,$conform_entry; int $0x80\n"
	"conform_entry: movl %cs,%eax; lret\n"
	"u_sysenter: sysenter\n"
	"sysenter_entry: movl %cs,%eax; movl %ss,%ebx; movl %esp,%esi; movl $sysexit_done,%edx; movl "
	"$user_stack+4000,%ecx;"
	" sysexit\n"
	"sysexit_done: movl %cs,%ecx; movl %ss,%edx; int $0x80\n");

static void call_gate(uint16_t sel, const char *at, unsigned attr, unsigned params)
{
	uint32_t off = (uint32_t)at;

	gdt[GATE / 8] = (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)params << 32 | (uint64_t)attr << 40 |
	                (uint64_t)(off >> 16) << 48;
}

static void basics(void)
{
	call3(u_exit, 2);
	expect("ring int 0x80", EXIT_INT, NOCODE);
	check("ring cs", last.cs, UCS);
	check("ring ss", last.ss, UDS);
	check("ring stack from the TSS", last_frame_at, tss.esp0 - offsetof(struct frame, ves));
	call3(u_cli, 2);
	expect("ring cli", 13, 0);
	call3(u_cli, 0x3202);
	expect("ring cli with IOPL 3", EXIT_INT, NOCODE);
	call3(u_ud, 2);
	expect("ring ud2", 6, NOCODE);
	call3(u_ds, 2);
	expect("ring kernel data", 13, KDS);
	call3(u_popf, 2);
	check("ring popf changes neither IF nor IOPL", last.eax, 2);
	call3(u_in, 2);
	expect("ring in, denied", 13, 0);
	tss.bitmap[16] = 0xfe;
	call3(u_in, 2);
	expect("ring in, allowed", EXIT_INT, NOCODE);
	tss.bitmap[16] = 0xff;
	tss.iomap = 0xffff;
	call3(u_in, 2);
	expect("ring in, no bitmap", 13, 0);
	tss.iomap = offsetof(struct tss32, bitmap);
}

static void gates(void)
{
	call_gate(KCS, gate_entry, 0xec, 2);
	call3(u_gate, 2);
	expect("ring call gate", EXIT_INT, NOCODE);
	check("ring call gate: return address", last.eax, (uint32_t)after_gate);
	check("ring call gate: parameters", last.ebx << 8 | last.ecx, 0x2211);
	check("ring call gate: old esp", last.esi, last.edi - 8);
	check("ring call gate: new stack", last.ebp, tss.esp0 - 24);
	check("ring call gate: parameters released", last.edx, last.edi);
	gdt[UGATE16 / 8] = descriptor((uint32_t)gate16_entry, 0xffff, 0x409b);
	call_gate(UGATE16, NULL, 0xe4, 2);
	call3(u_gate16, 2);
	expect("ring 16-bit call gate", EXIT_INT, NOCODE);
	check("ring 16-bit call gate: parameters", last.ebx << 8 | last.ecx, 0x2211);
	check("ring 16-bit call gate: new stack", last.ebp, tss.esp0 - 12);
	call_gate(KCS, gate_entry, 0x8c, 2);
	call3(u_gate, 2);
	expect("ring call gate, DPL 0", 13, GATE);
	call_gate(KCS, gate_entry, 0x6c, 2);
	call3(u_gate, 2);
	expect("ring call gate not present", 11, GATE);
	call_gate(KDS, gate_entry, 0xec, 2);
	call3(u_gate, 2);
	expect("ring call gate to data", 13, KDS);
	call_gate(0, gate_entry, 0xec, 2);
	call3(u_gate, 2);
	expect("ring call gate to null", 13, 0);
	call_gate(KCS, gate_entry, 0xec, 2);
	call3(u_jmp_gate, 2);
	expect("ring jmp through a gate inwards", 13, KCS);
}

static void conforming(void)
{
	call3(u_conform, 2);
	check("ring conforming code keeps the level", last.eax & 0xffff, CONFORMING | 3);
}

static void sysenter(void)
{
	wrmsr(0x174, 0);
	call3(u_sysenter, 2);
	expect("ring sysenter, null", 13, 0);
	/* SYSENTER wants four selectors in a row: code, data, user code, user data */
	gdt[SCS / 8] = gdt[KCS / 8];
	gdt[SCS / 8 + 1] = gdt[KDS / 8];
	gdt[SCS / 8 + 2] = gdt[UCS / 8];
	gdt[SCS / 8 + 3] = gdt[UDS / 8];
	wrmsr(0x174, SCS);
	wrmsr(0x175, tss.esp0);
	wrmsr(0x176, (uint32_t)sysenter_entry);
	call3(u_sysenter, 2);
	expect("ring sysenter and sysexit", EXIT_INT, NOCODE);
	check("ring sysenter: cs, ss", (last.eax & 0xffff) << 16 | (last.ebx & 0xffff), SCS << 16 | (SCS + 8));
	check("ring sysenter: esp", last.esi, tss.esp0);
	check("ring sysexit: cs, ss", (last.ecx & 0xffff) << 16 | (last.edx & 0xffff), (SCS + 19) << 16 | (SCS + 27));
}

void test_rings(void)
{
	basics();
	gates();
	conforming();
	if (has(1, 3, 11))
		sysenter();
}
