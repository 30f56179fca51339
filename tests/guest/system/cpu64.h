/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 64-bit guest's machine: selectors, exception frames, catching. */
#ifndef PANAL_TESTS_CPU64_H
#define PANAL_TESTS_CPU64_H

#include "guest.h"

enum {
	KCS = 0x08,
	KDS = 0x10,
	UCS32 = 0x1b,
	UDS = 0x23,
	UCS = 0x2b,
	TSS_SEL = 0x30,
	KCS32 = 0x40,
	NOT_PRESENT = 0x48,
	GATE = 0x50,
	DATA16 = 0x60,
	CONFORMING = 0x68,
	EXEC_ONLY = 0x70,
	READ_ONLY = 0x78,
	LDT_SEL = 0x80,
	GDT_COUNT = 20
};
#define USER_ALIAS 0x100000000ul
#define WINDOW 0x140000000ul

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, code, rip, cs, rflags, rsp, ss;
};
struct gate64 {
	uint16_t off0, sel;
	uint8_t ist, attr;
	uint16_t off1;
	uint32_t off2, zero;
};
struct tss64 {
	uint32_t zero;
	uint64_t rsp[3], res, ist[7], res2;
	uint16_t res3, iomap;
	uint8_t bitmap[8193];
} __attribute__((packed));

extern uint64_t gdt[GDT_COUNT];
extern struct gate64 idt[256];
extern struct tss64 tss;
extern struct frame last;      /* the last exception */
extern uint64_t last_cr2;
extern uint64_t last_frame_at; /* address of its frame: tells the stack that was used */
extern bool (*hook)(struct frame *f); /* true: handled, go on at f->rip */
extern uint64_t pml4[], pdpt[], pd[], pd_user[], pd_window[], pt_window[];
extern char vectors[];

/* In ring 0; last.vector is NONE when nothing came up. */
enum { NONE = 0x100 };
void call0(void (*fn)(uint64_t), uint64_t arg);
/* In ring 3; the code ends in int $0x80. */
void call3(const char *code, uint64_t arg);
void call3_flags(const char *code, uint64_t arg, uint64_t flags);
void user_call(uint64_t rip, uint64_t arg, uint64_t flags, uint64_t cs, uint64_t ss, uint64_t rsp);
void begin(void); /* forgets the last exception */

/* The last exception's vector and error code (-1: none was pushed). */
void expect(const char *name, uint64_t vector, int64_t code);
#define NOCODE (-1)

static inline uint64_t read_cr0(void) { uint64_t v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr2(void) { uint64_t v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr3(void) { uint64_t v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr4(void) { uint64_t v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint64_t v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void write_cr3(uint64_t v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline void write_cr4(uint64_t v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline void invlpg(uint64_t at) { __asm__ volatile("invlpg (%0)" : : "r"(at) : "memory"); }
static inline uint64_t read_dr6(void) { uint64_t v; __asm__ volatile("mov %%dr6, %0" : "=r"(v)); return v; }
static inline void write_dr6(uint64_t v) { __asm__ volatile("mov %0, %%dr6" : : "r"(v)); }
static inline uint64_t read_dr7(void) { uint64_t v; __asm__ volatile("mov %%dr7, %0" : "=r"(v)); return v; }
static inline void write_dr7(uint64_t v) { __asm__ volatile("mov %0, %%dr7" : : "r"(v)); }
static inline void write_dr0(uint64_t v) { __asm__ volatile("mov %0, %%dr0" : : "r"(v)); }
static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (uint64_t)hi << 32;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t v[4])
{
	__asm__ volatile("cpuid" : "=a"(v[0]), "=b"(v[1]), "=c"(v[2]), "=d"(v[3]) : "a"(leaf), "c"(sub));
}
bool has(uint32_t leaf, unsigned reg, unsigned bit); /* reg: 0 EAX .. 3 EDX */
bool is_amd(void);

/* The groups, one file each. */
void test_exceptions(void);
void test_paging(void);
void test_segments(void);
void test_transfers(void);
void test_syscall(void);
void test_debug(void);
void test_fpu(void);
void test_interrupts(void);
void test_code(void);
void test_hot(void);
void test_pcid(void);
void test_system(void);

#endif
