/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 32-bit guest's machine: selectors, exception frames, tasks, catching. */
#ifndef PANAL_TESTS_CPU32_H
#define PANAL_TESTS_CPU32_H

#include "guest.h"

enum {
	KCS = 0x08,
	KDS = 0x10,
	CODE16 = 0x18,
	DATA16 = 0x20,
	CODE64 = 0x28,
	TSS_SEL = 0x30,
	UCS = 0x3b,
	UDS = 0x43,
	SMALL = 0x48,
	DOWN = 0x50,
	READ_ONLY = 0x58,
	EXEC_ONLY = 0x60,
	NOT_PRESENT = 0x68,
	CONFORMING = 0x70,
	GATE = 0x78,
	TSS2 = 0x80,
	TASK_GATE = 0x88,
	UGATE16 = 0x98,
	SCS = 0xa8,
	GDT_COUNT = 28
};
enum { EXIT_INT = 0x80, NONE = 0x100 };
#define NOCODE 0xffffffff

struct frame {
	uint32_t gs, fs, es, ds, edi, esi, ebp, esp_, ebx, edx, ecx, eax;
	uint32_t vector, code, eip, cs, eflags, esp, ss, ves, vds, vfs, vgs;
};
struct tss32 {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
	uint8_t bitmap[8193];
} __attribute__((packed));
struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

extern uint64_t gdt[GDT_COUNT], idt[256];
extern struct tss32 tss, tss2;
extern struct frame last;
extern uint32_t last_cr2, last_frame_at;
extern bool (*hook)(struct frame *f);
extern char vectors[];
extern uint8_t user_stack[4096];

void begin(void);
void call0(void (*fn)(uint32_t), uint32_t arg);
/* Ring 3; the code ends in int $0x80 or faults. EAX is 0 at its start. */
void call3(const char *code, uint32_t flags);
/* IRET with these words on the stack. */
void enter_frame(const uint32_t *words, unsigned count);
void expect(const char *name, uint32_t vector, uint32_t code);
uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr); /* attr: bits 40-47 and 52-55 as 0xG0TT */
void set_gate(unsigned n, uint16_t sel, uint32_t off, unsigned attr);
bool has(uint32_t leaf, unsigned reg, unsigned bit);

static inline uint32_t read_cr0(void) { uint32_t v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline uint32_t read_cr2(void) { uint32_t v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline uint32_t read_cr4(void) { uint32_t v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint32_t v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void write_cr3(uint32_t v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline void write_cr4(uint32_t v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline void wrmsr(uint32_t msr, uint32_t lo) { __asm__ volatile("wrmsr" : : "c"(msr), "a"(lo), "d"(0)); }

void test_segments(void);
void test_rings(void);
void test_paging(void);
void test_v86(void);
void test_tasks(void);
void test_modes(void);
void test_hot(void);

#endif
