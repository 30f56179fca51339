/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far transfers and IRET in long mode, compatibility mode (SDM 2; SDM 3A 5.8, 6.14). */
#include "cpu64.h"

struct far32 {
	uint32_t off; /* the 64-bit form exists on some processors only */
	uint16_t sel;
} __attribute__((packed));

extern char u_gate[], gate_entry[], gate_return[], u_compat[], compat_done[], u_lret[], compat_kernel[], u_iret_ring0[];
__asm__(".text\n"
	/* call through a gate; the entry notes what it sees and returns */
	"u_gate: mov %rsp,%r14; lcall *(%rdi); gate_return: mov %rsp,%r15; int $0x80\n"
	"gate_entry: movl %cs,%eax; movl %ss,%ebx; mov %rsp,%rbp; mov 8(%rsp),%r8; mov 16(%rsp),%r9; mov 24(%rsp),%r10;"
	" mov (%rsp),%r11; lretq\n"
	"u_lret: lretq\n"
	"u_iret_ring0: iretq\n"
	".code32\n"
	/* 32-bit user code: arithmetic wraps, stack items have 4 bytes */
	"u_compat: movl %esp,%ebx; pushl $0x1234; movl %esp,%ecx; movl $0xffffffff,%eax; incl %eax; movl %cs,%edx;"
	" int $0x80\n"
	"compat_kernel: movl %cs,%eax; pushl $0x77; popl %ecx; ljmp $8,$compat_done\n"
	".code64\n");

static uint8_t user_stack[4096] __attribute__((aligned(64)));

static void set_call_gate(uint16_t sel, uint64_t at, unsigned attr)
{
	gdt[GATE / 8] = (at & 0xffff) | (uint64_t)sel << 16 | (uint64_t)attr << 40 | (at >> 16 & 0xffff) << 48;
	gdt[GATE / 8 + 1] = at >> 32;
}

static struct far32 pointer = { 0x1234, GATE };

static void call_gates(void)
{
	uint64_t alias = (uint64_t)&pointer + USER_ALIAS;

	set_call_gate(KCS, (uint64_t)gate_entry, 0xec);
	pointer.sel = GATE | 3;
	call3(u_gate, alias);
	expect("far call gate and back", 0x80, NOCODE);
	check("far call gate: cs", last.rax, KCS);
	check("far call gate: ss is null", last.rbx & 0xffff, 0);
	check("far call gate: stack from the TSS", last.rbp, tss.rsp[0] - 32);
	check("far call gate: old cs", last.r8, UCS);
	check("far call gate: old rsp", last.r9, last.r14);
	check("far call gate: old ss", last.r10, UDS);
	check("far call gate: return address", last.r11, (uint64_t)gate_return + USER_ALIAS);
	check("far call gate: stack after return", last.r15, last.r14);
	set_call_gate(KCS, (uint64_t)gate_entry, 0x8c);
	call3(u_gate, alias);
	expect("far call gate with DPL 0", 13, GATE);
	set_call_gate(KCS, (uint64_t)gate_entry, 0x6c);
	call3(u_gate, alias);
	expect("far call gate not present", 11, GATE);
	set_call_gate(KDS, (uint64_t)gate_entry, 0xec);
	call3(u_gate, alias);
	expect("far call gate to data", 13, KDS);
	set_call_gate(KCS32, (uint64_t)gate_entry, 0xec);
	call3(u_gate, alias);
	expect("far call gate to 32-bit code", 13, KCS32);
	set_call_gate(KCS, 1ull << 47, 0xec);
	call3(u_gate, alias);
	expect("far call gate to a non-canonical address", 13, 0);
	pointer.sel = KCS | 3;
	call3(u_gate, alias);
	expect("far call to ring 0 code", 13, KCS);
	pointer.sel = 0;
	call3(u_gate, alias);
	expect("far call null", 13, 0);
	pointer.sel = TSS_SEL;
	call3(u_gate, alias);
	expect("far call a tss in long mode", 13, TSS_SEL);
}

static void enter(uint64_t rip, uint64_t flags, uint64_t cs, uint64_t ss, uint64_t rsp)
{
	begin();
	user_call(rip, 0, flags, cs, ss, rsp);
}

#define STACK ((uint64_t)user_stack + USER_ALIAS + 4000)

/* Compatibility code lies below 4 GiB: user pages at 3 GiB show the image. */
static void map_low_user(bool on)
{
	for (unsigned n = 0; n < 2; n++)
		pd[1536 + n] = on ? (uint64_t)n << 21 | 0x87 : (0xc0000000ull + (n << 21)) | 0x83;
	pdpt[3] = on ? pdpt[3] | 4 : pdpt[3] & ~4ull;
	write_cr3(read_cr3());
}

static void compatibility(void)
{
	uint64_t low = 0xc0000000, esp = low + (uint64_t)user_stack + 4000;

	map_low_user(true);
	enter(low + (uint64_t)u_compat, 2, UCS32, UDS, esp);
	expect("far iret to compatibility mode", 0x80, NOCODE);
	check("far compat: esp", last.rbx, esp);
	check("far compat: push of 4 bytes", last.rcx, esp - 4);
	check("far compat: increment wraps", last.rax, 0);
	check("far compat: cs", last.rdx & 0xffff, UCS32);
	check("far compat: saved cs", last.cs, UCS32);
	check("far compat: saved rip", last.rip >> 32, 0);
	map_low_user(false);
}

static void irets(void)
{
	enter((uint64_t)u_iret_ring0 + USER_ALIAS, 2, UCS, UDS, STACK);
	expect("far user iret of zeros", 13, 0);
	enter(1ull << 47, 2, UCS, UDS, STACK);
	expect("far iret to a non-canonical address", 13, 0);
	enter(0x1000, 2, 0, UDS, STACK);
	expect("far iret cs null", 13, 0);
	enter(0x1000, 2, UCS & ~3, UDS, STACK);
	expect("far iret cs RPL below DPL", 13, UCS & ~3);
	enter(0x1000, 2, KDS, UDS, STACK);
	expect("far iret cs data", 13, KDS);
	enter(0x1000, 2, 0x7fb, UDS, STACK);
	expect("far iret cs outside", 13, 0x7f8);
	enter(0x1000, 2, UCS, 3, STACK);
	expect("far iret ss null for ring 3", 13, 0);
	enter(0x1000, 2, UCS, KDS, STACK);
	expect("far iret ss kernel data", 13, KDS);
	enter(0x1000, 2, UCS, NOT_PRESENT, STACK);
	expect("far iret ss RPL wrong", 13, NOT_PRESENT);
	gdt[UCS / 8] &= ~(1ull << 47);
	enter(0x1000, 2, UCS, UDS, STACK);
	expect("far iret cs not present", 11, UCS & ~3);
	gdt[UCS / 8] |= 1ull << 47;
	enter(0x1000, 0x4002, UCS, UDS, STACK);
	note("far iret image with NT: vector", last.vector);
}

static void k_iret_nt(uint64_t a)
{
	__asm__ volatile("pushfq; orl $0x4000, (%rsp); popfq; iretq");
}
static void k_lret_bad(uint64_t a)
{
	__asm__ volatile("push %0; push %1; lretq" : : "r"((uint64_t)KCS), "r"(a));
}
static void k_compat_kernel(uint64_t a)
{
	__asm__ volatile(
		"push %%rbx; mov %%rsp, %%r12; movl $compat_kernel, %%eax; push %0; push %%rax; lretq; compat_done:"
		"mov %%r12, %%rsp; pop %%rbx"
		:
		: "r"((uint64_t)KCS32)
		: "rax", "rcx", "rdx", "r12", "memory");
}
static void k_lret_outer(uint64_t a)
{
	__asm__ volatile("push %0; push %1; push %2; push %3; lretq"
			 :
			 : "r"((uint64_t)UDS), "r"(STACK), "r"((uint64_t)UCS), "r"(a));
}

extern char u_after_lret[];
__asm__(".text\nu_after_lret: movl %cs,%eax; mov %rsp,%rbx; int $0x80\n");

static void kernel_transfers(void)
{
	call0(k_iret_nt, 0);
	expect("far iret with NT in long mode", 13, 0);
	call0(k_compat_kernel, 0);
	expect("far ring 0 compatibility code and back", NONE, 0);
	call0(k_lret_outer, (uint64_t)u_after_lret + USER_ALIAS);
	expect("far lret to ring 3", 0x80, NOCODE);
	check("far lret to ring 3: cs", last.rax, UCS);
	check("far lret to ring 3: rsp", last.rbx, STACK);
	call0(k_lret_bad, 1ull << 47);
	expect("far lret to a non-canonical address", 13, 0);
}

void test_transfers(void)
{
	call_gates();
	compatibility();
	irets();
	kernel_transfers();
}
