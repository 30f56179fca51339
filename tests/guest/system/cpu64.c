/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu64.h"

uint64_t gdt[GDT_COUNT] = {
	[KCS / 8] = 0x00af9b000000ffff, [KDS / 8] = 0x00cf93000000ffff, [UCS32 / 8] = 0x00cffb000000ffff,
	[UDS / 8] = 0x00cff3000000ffff, [UCS / 8] = 0x00affb000000ffff, [KCS32 / 8] = 0x00cf9b000000ffff,
	[NOT_PRESENT / 8] = 0x00cf13000000ffff, [DATA16 / 8] = 0x00009300f0001234,
	[CONFORMING / 8] = 0x00af9f000000ffff, [EXEC_ONLY / 8] = 0x00aff9000000ffff,
	[READ_ONLY / 8] = 0x00cff1000000ffff,
};
struct gate64 idt[256];
struct tss64 tss;
struct frame last;
uint64_t last_cr2, last_frame_at;
bool (*hook)(struct frame *f);

extern volatile bool catching;
extern uint64_t catch_rsp;
extern char catch_escape[];
void catch_call(void (*fn)(uint64_t), uint64_t arg);
void exception(struct frame *f);

static uint8_t stacks[9][8192] __attribute__((aligned(64)));
static uint8_t user_stack[8192] __attribute__((aligned(64)));

void exception(struct frame *f)
{
	last = *f;
	last_frame_at = (uint64_t)f;
	last_cr2 = read_cr2();
	if (hook && hook(f))
		return;
	if (!catching)
		die("exception", f->vector << 32 | (uint32_t)f->code, f->rip);
	f->rip = (uint64_t)catch_escape;
	f->cs = KCS;
	f->ss = KDS;
	f->rflags = 2;
	f->rsp = catch_rsp;
}

void begin(void)
{
	last = (struct frame){ .vector = NONE };
}

void call0(void (*fn)(uint64_t), uint64_t arg)
{
	begin();
	catch_call(fn, arg);
}

void call3_flags(const char *code, uint64_t arg, uint64_t flags)
{
	begin();
	user_call((uint64_t)code + USER_ALIAS, arg, flags, UCS, UDS, (uint64_t)user_stack + USER_ALIAS + 8000);
}

void call3(const char *code, uint64_t arg)
{
	call3_flags(code, arg, 2);
}

void expect(const char *name, uint64_t vector, int64_t code)
{
	check(name, last.vector << 32 | (uint32_t)last.code, vector << 32 | (uint32_t)code);
}

bool has(uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t v[4];

	cpuid(leaf & 0x80000000, 0, v);
	if (leaf > v[0])
		return false;
	cpuid(leaf, 0, v);
	return v[reg] >> bit & 1;
}

bool is_amd(void)
{
	uint32_t v[4];

	cpuid(0, 0, v);
	return v[1] == 0x68747541;
}

static void set_gate(unsigned n, unsigned ist, unsigned attr)
{
	uint64_t at = (uint64_t)vectors + n * 16;

	idt[n] = (struct gate64){ (uint16_t)at, KCS, (uint8_t)ist, (uint8_t)attr, (uint16_t)(at >> 16),
		                  (uint32_t)(at >> 32), 0 };
}

static void setup(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) t;
	uint64_t at = (uint64_t)&tss;

	for (unsigned n = 0; n < 256; n++)
		set_gate(n, 0, 0x8e);
	set_gate(8, 1, 0x8e);
	set_gate(2, 2, 0x8e);
	set_gate(3, 0, 0xee);
	set_gate(4, 0, 0xee);
	set_gate(0x80, 0, 0xee);
	set_gate(0x81, 3, 0xee); /* with a stack of its own */
	set_gate(0x82, 0, 0xef); /* trap gate */
	set_gate(0x83, 0, 0x6e); /* not present */
	for (unsigned n = 0; n < 3; n++)
		tss.rsp[n] = (uint64_t)stacks[n] + 8192;
	for (unsigned n = 0; n < 6; n++)
		tss.ist[n] = (uint64_t)stacks[n + 3] + 8192;
	tss.iomap = offsetof(struct tss64, bitmap);
	memset(tss.bitmap, 0xff, sizeof(tss.bitmap));
	gdt[TSS_SEL / 8] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[TSS_SEL / 8 + 1] = at >> 32;
	t.limit = sizeof(gdt) - 1;
	t.base = (uint64_t)gdt;
	__asm__ volatile("lgdt %0" : : "m"(t));
	t.limit = sizeof(idt) - 1;
	t.base = (uint64_t)idt;
	__asm__ volatile("lidt %0; ltr %1" : : "m"(t), "r"((uint16_t)TSS_SEL));
}

void main(void);
void main(void)
{
	setup();
	test_exceptions();
	test_paging();
	test_segments();
	test_transfers();
	test_syscall();
	test_debug();
	test_fpu();
	test_system();
	test_code();
	test_hot();
	test_pcid();
	test_interrupts();
	finish();
}
