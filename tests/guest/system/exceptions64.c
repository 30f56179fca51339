/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions with their vectors, error codes, return addresses and stacks (SDM 3A chapter 6). */
#include "cpu64.h"

extern char u_div[], u_int0[], u_int_trap[], u_int_ist[], u_int3[], u_into[], u_cli[], u_hlt[], u_ud2[], u_noncanon[],
	u_int83[], u_int_low[], u_ac[], u_stack[], u_in[], u_rdtsc[], u_mov_cr[], u_lgdt[], u_rdmsr[], u_sti[],
	insn_ud2[], insn_div[], after_int3[];
__asm__(".text\n"
	"u_div: xor %ecx,%ecx; div %ecx; int $0x80\n"
	"u_int0: int $0x80\n"
	"u_int_trap: int $0x82\n"
	"u_int_ist: int $0x81\n"
	"u_int3: int3; int $0x80\n"
	"u_int83: int $0x83\n"
	"u_int_low: int $0x20\n"
	"u_cli: cli; int $0x80\n"
	"u_sti: sti; int $0x80\n"
	"u_hlt: hlt; int $0x80\n"
	"u_ud2: ud2\n"
	"u_in: movl %edi,%edx; inb %dx,%al; int $0x80\n"
	"u_rdtsc: rdtsc; int $0x80\n"
	"u_mov_cr: mov %cr0,%rax; int $0x80\n"
	"u_lgdt: lgdt (%rsp); int $0x80\n"
	"u_rdmsr: movl $0x10,%ecx; rdmsr; int $0x80\n"
	"u_noncanon: mov (%rdi),%al; int $0x80\n"
	"u_stack: mov %rdi,%rsp; push %rax; int $0x80\n"
	"u_ac: mov (%rdi),%eax; int $0x80\n");

static void k_div(uint64_t a) { __asm__ volatile("insn_div: divl %0" : : "r"(0), "a"(1), "d"(0)); }
static void k_div_over(uint64_t a) { __asm__ volatile("divl %0" : : "r"(1), "a"(1), "d"(1)); }
static void k_ud2(uint64_t a) { __asm__ volatile("insn_ud2: ud2"); }
static void k_int3(uint64_t a) { __asm__ volatile("int3; after_int3:"); }
static void k_read(uint64_t a) { *(volatile uint8_t *)a; }
static void k_read_rbp(uint64_t a)
{
	__asm__ volatile("xchg %0, %%rbp; mov (%%rbp), %%al; xchg %0, %%rbp" : "+r"(a) : : "rax");
}
static void k_int(uint64_t a) { __asm__ volatile("int $0x40"); }
static void k_int83(uint64_t a) { __asm__ volatile("int $0x83"); }
static void k_ts(uint64_t a)
{
	write_cr0(read_cr0() | 8);
	__asm__ volatile("fninit");
}
static void k_em_sse(uint64_t a)
{
	write_cr0(read_cr0() | 4);
	__asm__ volatile("xorps %xmm0, %xmm0");
}
static void k_lock(uint64_t a) { __asm__ volatile(".byte 0xf0, 0x90"); }
static void k_long(uint64_t a) { __asm__ volatile(".fill 15, 1, 0x66; nop"); }
static void k_mf(uint64_t a)
{
	uint16_t cw = 0x33e; /* invalid operation unmasked */
	__asm__ volatile("fninit; fldcw %0; fldz; fldz; fdivp; fwait" : : "m"(cw));
}
static void k_xm(uint64_t a)
{
	uint32_t csr = 0x1f80 & ~(1u << 9); /* divide by zero unmasked */
	float one = 1;
	__asm__ volatile("ldmxcsr %0; xorps %%xmm1, %%xmm1; movss %1, %%xmm0; divss %%xmm1, %%xmm0"
			 :
			 : "m"(csr), "m"(one));
}
static void k_bound_int_limit(uint64_t a)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) t = { 0x40 * 16 - 1, (uint64_t)idt };
	__asm__ volatile("lidt %0; int $0x40" : : "m"(t));
}
static void restore_idt(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) t = { sizeof(idt) - 1, (uint64_t)idt };
	__asm__ volatile("lidt %0" : : "m"(t));
}

static bool after_bp(struct frame *f)
{
	return true;
}

static void kernel_exceptions(void)
{
	call0(k_div, 0);
	expect("exc divide by zero", 0, NOCODE);
	check("exc divide: rip at the instruction", last.rip, (uint64_t)insn_div);
	check("exc divide: RF in the image", last.rflags >> 16 & 1, 1);
	call0(k_div_over, 0);
	expect("exc divide overflow", 0, NOCODE);
	call0(k_ud2, 0);
	expect("exc ud2", 6, NOCODE);
	check("exc ud2: rip at the instruction", last.rip, (uint64_t)insn_ud2);
	hook = after_bp;
	call0(k_int3, 0);
	hook = NULL;
	expect("exc int3", 3, NOCODE);
	check("exc int3: rip after the instruction", last.rip, (uint64_t)after_int3);
	call0(k_read, 0x800000000000);
	expect("exc non-canonical read", 13, 0);
	call0(k_read, 0xffff7fffffffffff);
	expect("exc non-canonical read high", 13, 0);
	call0(k_read_rbp, 0x800000000000);
	expect("exc non-canonical stack segment read", 12, 0);
	call0(k_read, 0x200000000000);
	expect("exc page not present", 14, 0);
	check("exc page not present: cr2", last_cr2, 0x200000000000);
	call0(k_int, 0);
	expect("exc int 0x40", 0x40, NOCODE);
	call0(k_int83, 0);
	expect("exc int through a gate that is not present", 11, 0x83 * 8 + 2);
	call0(k_bound_int_limit, 0);
	restore_idt();
	expect("exc int beyond the IDT limit", 13, 0x40 * 8 + 2);
	call0(k_lock, 0);
	expect("exc lock nop", 6, NOCODE);
	call0(k_long, 0);
	expect("exc instruction of 16 bytes", 13, 0);
}

static void fpu_exceptions(void)
{
	uint32_t csr = 0x1f80;

	call0(k_ts, 0);
	expect("exc x87 with TS", 7, NOCODE);
	__asm__ volatile("clts");
	call0(k_em_sse, 0);
	expect("exc SSE with EM", 6, NOCODE);
	write_cr0(read_cr0() & ~4ul);
	call0(k_mf, 0);
	expect("exc x87 invalid operation", 16, NOCODE);
	__asm__ volatile("fninit");
	call0(k_xm, 0);
	expect("exc SSE divide by zero", 19, NOCODE);
	__asm__ volatile("ldmxcsr %0" : : "m"(csr));
}

static void user_exceptions(void)
{
	call3(u_div, 0);
	expect("exc user divide", 0, NOCODE);
	check("exc user divide: cs", last.cs, UCS);
	check("exc user divide: ss", last.ss, UDS);
	check("exc user divide: stack from the TSS", last_frame_at, tss.rsp[0] - sizeof(struct frame));
	call3_flags(u_int0, 0, 0x202);
	expect("exc user int 0x80", 0x80, NOCODE);
	check("exc user int 0x80: IF in the image", last.rflags, 0x202);
	call3(u_int_ist, 0);
	expect("exc user int with IST", 0x81, NOCODE);
	check("exc user int with IST: stack", last_frame_at, tss.ist[2] - sizeof(struct frame));
	call3(u_int_low, 0);
	expect("exc user int through a DPL 0 gate", 13, 0x20 * 8 + 2);
	call3(u_int83, 0);
	expect("exc user int, not present", 11, 0x83 * 8 + 2);
	call3(u_int3, 0);
	expect("exc user int3", 3, NOCODE);
	call3(u_ud2, 0);
	expect("exc user ud2", 6, NOCODE);
	call3(u_noncanon, 0x8000000000000000);
	expect("exc user non-canonical", 13, 0);
	call3(u_stack, 0x800000000010);
	expect("exc user non-canonical push", 12, 0);
}

static void user_privileged(void)
{
	call3(u_cli, 0);
	expect("exc user cli", 13, 0);
	call3(u_sti, 0);
	expect("exc user sti", 13, 0);
	call3_flags(u_cli, 0, 0x3202);
	expect("exc user cli with IOPL 3", 0x80, NOCODE);
	check("exc user cli with IOPL 3: flags", last.rflags, 0x3002);
	call3(u_hlt, 0);
	expect("exc user hlt", 13, 0);
	call3(u_mov_cr, 0);
	expect("exc user mov from cr0", 13, 0);
	call3(u_lgdt, 0);
	expect("exc user lgdt", 13, 0);
	call3(u_rdmsr, 0);
	expect("exc user rdmsr", 13, 0);
	call3(u_in, 0x80);
	expect("exc user in, bitmap denies", 13, 0);
	tss.bitmap[0x80 / 8] = 0xfe;
	call3(u_in, 0x80);
	expect("exc user in, bitmap allows", 0x80, NOCODE);
	call3(u_in, 0x81);
	expect("exc user in, next port", 13, 0);
	tss.bitmap[0x80 / 8] = 0xff;
	call3_flags(u_in, 0x80, 0x3002);
	expect("exc user in, IOPL 3", 0x80, NOCODE);
	write_cr4(read_cr4() | 4);
	call3(u_rdtsc, 0);
	expect("exc user rdtsc with TSD", 13, 0);
	write_cr4(read_cr4() & ~4ul);
	call3(u_rdtsc, 0);
	expect("exc user rdtsc", 0x80, NOCODE);
}

static void alignment_check(void)
{
	static uint8_t data[16] __attribute__((aligned(16)));

	write_cr0(read_cr0() | 1 << 18);
	call3_flags(u_ac, (uint64_t)data + USER_ALIAS + 1, 0x40002);
	expect("exc user alignment", 17, 0);
	call3_flags(u_ac, (uint64_t)data + USER_ALIAS + 4, 0x40002);
	expect("exc user aligned", 0x80, NOCODE);
	call3_flags(u_ac, (uint64_t)data + USER_ALIAS + 1, 2);
	expect("exc user unaligned, AC clear", 0x80, NOCODE);
	write_cr0(read_cr0() & ~(1ul << 18));
}

/* Faults during delivery: SDM 3A table 6-5. */
static void double_faults(void)
{
	struct gate64 pf = idt[14], gp = idt[13], ud = idt[6];

	idt[14].attr = 0x0e; /* page fault, then not present: double fault */
	call0(k_read, 0x200000000000);
	expect("exc double: page fault and contributory", 8, 0);
	check("exc double: stack from the IST", last_frame_at, tss.ist[0] - sizeof(struct frame));
	idt[14] = pf;
	idt[13].attr = 0x0e;
	call0(k_read, 0x800000000000);
	expect("exc double: two contributory", 8, 0);
	idt[13] = gp;
	idt[6].attr = 0x0e; /* benign first: the second alone */
	call0(k_ud2, 0);
	expect("exc serial: benign, then contributory", 11, 6 * 8 + 3);
	idt[6] = ud;
	idt[6].sel = KDS;
	call0(k_ud2, 0);
	expect("exc handler's selector is data", 13, KDS + 1);
	idt[6].sel = 0;
	call0(k_ud2, 0);
	expect("exc handler's selector is null", 13, 1);
	idt[6].sel = KCS32;
	call0(k_ud2, 0);
	expect("exc handler's selector is 32-bit code", 13, KCS32 + 1);
	idt[6].sel = 0x7f8;
	call0(k_ud2, 0);
	expect("exc handler's selector is outside the GDT", 13, 0x7f9);
	idt[6] = ud;
	idt[6].attr = 0x85;
	call0(k_ud2, 0);
	expect("exc task gate in long mode", 13, 6 * 8 + 3);
	idt[6] = ud;
	tss.rsp[0] |= 1ul << 47;
	call3(u_ud2, 0);
	expect("exc ring 0 stack not canonical", 8, 0);
	tss.rsp[0] &= ~(1ul << 47);
}

/* An unaligned stack is aligned by delivery. */
static void k_unaligned(uint64_t a)
{
	__asm__ volatile("mov %%rsp, %%rax; lea -203(%%rsp), %%rsp; int $0x40" : : : "rax");
}

void test_exceptions(void)
{
	kernel_exceptions();
	fpu_exceptions();
	user_exceptions();
	user_privileged();
	alignment_check();
	double_faults();
	call0(k_unaligned, 0);
	check("exc frame is aligned", last_frame_at & 15, (0 - sizeof(struct frame)) & 15);
	check("exc frame keeps the old stack pointer", last.rax - last.rsp, 203);
}
