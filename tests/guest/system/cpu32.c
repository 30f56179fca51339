/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cpu32.h"

uint64_t gdt[GDT_COUNT], idt[256];
struct tss32 tss, tss2;
struct frame last;
uint32_t last_cr2, last_frame_at;
bool (*hook)(struct frame *f);
uint8_t user_stack[4096] __attribute__((aligned(64)));

extern volatile bool catching;
extern uint32_t catch_esp;
extern char catch_escape[];
void catch_call(void (*fn)(uint32_t), uint32_t arg);
uint32_t exception(struct frame *f);
static uint8_t ring0_stack[8192] __attribute__((aligned(64)));

/* Returns the stack pointer to resume from: the frame, or one that leads to catch_escape. */
uint32_t exception(struct frame *f)
{
	uint32_t words = sizeof(*f);

	if (!(f->eflags & 1 << 17))
		words = (f->cs & 3) ? offsetof(struct frame, ves) : offsetof(struct frame, esp);
	memset(&last, 0, sizeof(last));
	memcpy(&last, f, words);
	last_frame_at = (uint32_t)f;
	last_cr2 = read_cr2();
	if (hook && hook(f))
		return (uint32_t)f;
	if (!catching)
		die("exception", (uint64_t)f->vector << 32 | f->code, f->eip);
	/* a frame for ring 0 on a stack of its own */
	f = (struct frame *)ring0_stack;
	memset(f, 0, offsetof(struct frame, esp));
	f->gs = f->fs = f->es = f->ds = KDS;
	f->eip = (uint32_t)catch_escape;
	f->cs = KCS;
	f->eflags = 2;
	return (uint32_t)f;
}

void begin(void)
{
	last = (struct frame){ .vector = NONE };
}

void call0(void (*fn)(uint32_t), uint32_t arg)
{
	begin();
	catch_call(fn, arg);
}

void call3(const char *code, uint32_t flags)
{
	uint32_t words[5] = { (uint32_t)code, UCS, flags, (uint32_t)user_stack + 4000, UDS };

	begin();
	enter_frame(words, 5);
}

void expect(const char *name, uint32_t vector, uint32_t code)
{
	check(name, (uint64_t)last.vector << 32 | last.code, (uint64_t)vector << 32 | code);
}

bool has(uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t v[4];

	__asm__ volatile("cpuid" : "=a"(v[0]), "=b"(v[1]), "=c"(v[2]), "=d"(v[3]) : "a"(leaf), "c"(0));
	return v[reg] >> bit & 1;
}

uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
	       (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 12 & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

void set_gate(unsigned n, uint16_t sel, uint32_t off, unsigned attr)
{
	idt[n] = (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)attr << 40 | (uint64_t)(off >> 16) << 48;
}

static void make_gdt(void)
{
	gdt[KCS / 8] = descriptor(0, 0xfffff, 0xc09b);
	gdt[KDS / 8] = descriptor(0, 0xfffff, 0xc093);
	gdt[CODE16 / 8] = descriptor(0, 0xffff, 0x009b);
	gdt[DATA16 / 8] = descriptor(0, 0xffff, 0x0093);
	gdt[CODE64 / 8] = descriptor(0, 0xfffff, 0xa09b);
	gdt[TSS_SEL / 8] = descriptor((uint32_t)&tss, sizeof(tss) - 1, 0x0089);
	gdt[UCS / 8] = descriptor(0, 0xfffff, 0xc0fb);
	gdt[UDS / 8] = descriptor(0, 0xfffff, 0xc0f3);
	gdt[READ_ONLY / 8] = descriptor(0, 0xfffff, 0xc091);
	gdt[EXEC_ONLY / 8] = descriptor(0, 0xfffff, 0xc099);
	gdt[NOT_PRESENT / 8] = descriptor(0, 0xfffff, 0xc013);
	gdt[CONFORMING / 8] = descriptor(0, 0xfffff, 0xc09f);
	gdt[TSS2 / 8] = descriptor((uint32_t)&tss2, sizeof(tss2) - 1, 0x0089);
	gdt[TASK_GATE / 8] = (uint64_t)TSS2 << 16 | 0xe5ull << 40;
}

static void setup(void)
{
	struct { uint16_t limit; uint32_t base; } __attribute__((packed)) t;

	make_gdt();
	for (unsigned n = 0; n < 256; n++)
		set_gate(n, KCS, (uint32_t)vectors + n * 16, n == 3 || n == 4 || n == EXIT_INT ? 0xee : 0x8e);
	tss.ss0 = KDS;
	tss.esp0 = (uint32_t)ring0_stack + sizeof(ring0_stack);
	tss.iomap = offsetof(struct tss32, bitmap);
	memset(tss.bitmap, 0xff, sizeof(tss.bitmap));
	t.limit = sizeof(gdt) - 1;
	t.base = (uint32_t)gdt;
	__asm__ volatile("lgdt %0" : : "m"(t));
	t.limit = sizeof(idt) - 1;
	t.base = (uint32_t)idt;
	__asm__ volatile("lidt %0; ltr %1" : : "m"(t), "r"((uint16_t)TSS_SEL));
}

void main(void);
void main(void)
{
	setup();
	test_segments();
	test_rings();
	test_v86();
	test_tasks();
	test_modes();
	test_paging();
	test_hot();
	finish();
}
