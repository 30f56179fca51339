/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 32-bit code that is hot, so that a translator holds a translation of it, and then meets something else: other code in
 * its own bytes, other segments in its registers, the end of the 4 GiB.
 */
#include "cpu32.h"

enum { HOT = 300, P = 1, W = 2, PS = 0x80, TOP = 0xfffff000 };
static uint8_t code[4 * 4096] __attribute__((aligned(4096)));
static uint8_t top[4096] __attribute__((aligned(4096)));
static uint8_t area[8192] __attribute__((aligned(4096)));
static uint32_t dir[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));

static void put_function(uint8_t *at, uint32_t n)
{
	at[0] = 0xb8; /* mov $n, %eax; ret */
	memcpy(at + 1, &n, 4);
	at[5] = 0xc3;
}

static uint32_t heat(const void *at)
{
	uint32_t sum = 0;

	for (unsigned n = 0; n < HOT; n++) {
		__asm__ volatile("" : : : "memory");
		sum += ((uint32_t (*)(void))(uintptr_t)at)();
	}
	return sum;
}

/* ---- code that changes ---- */

/* A block that stores to what follows in it: harmless at first, then at its own next instruction. */
static void middle_of_block(void)
{
	static uint32_t elsewhere;
	uint32_t sum = 0;

	/* mov %esi, (%edi); mov $1, %eax; ret */
	memcpy(code, "\x89\x37\xb8\x01\0\0\0\xc3", 8);
	for (unsigned n = 0; n < HOT; n++) {
		uint32_t v;
		uint32_t *at = n % 100 == 99 ? (uint32_t *)(void *)(code + 3) : &elsewhere;
		__asm__ volatile("call *%1" : "=a"(v) : "r"(code), "D"(at), "S"(n) : "memory");
		sum += v;
	}
	check("hot32 block changes what follows in it", sum, 99 + 99 + 99 * 99 + 199 + 99 * 199 + 299);
}

static void page_edges(void)
{
	for (unsigned before = 1; before < 6; before++) {
		uint8_t *at = code + 4096 - before;
		put_function(at, 5);
		check("hot32 code over a page's end", heat(at), 5 * HOT);
		put_function(at, 6);
		check("hot32 the same, rewritten", heat(at), 6 * HOT);
		memcpy(at + 1, "\x07", 1);
		check("hot32 the same, a byte rewritten", heat(at), 7 * HOT);
	}
	memcpy(code + 4096 - 5, "\xe9\x00\x01\0\0", 5); /* jmp to the next page */
	put_function(code + 4096 + 0x100, 8);
	check("hot32 jump to the next page", heat(code + 4096 - 5), 8 * HOT);
	put_function(code + 4096 + 0x100, 9);
	check("hot32 jump to the next page, rewritten there", heat(code + 4096 - 5), 9 * HOT);
}

/* ---- segments that change ---- */
static uint32_t with = KDS;
static void k_fs(uint32_t at)
{
	__asm__ volatile("movl %1, %%fs; movl %%fs:(%0), %%eax; movl %2, %%fs"
			 : : "r"(at), "r"(with), "r"(KDS) : "eax");
}
static void k_ds(uint32_t at)
{
	__asm__ volatile("movl %1, %%ds; movl (%0), %%eax; movl %2, %%ds; movl %%eax, %3"
			 : : "r"(at), "r"(with), "r"(KDS), "m"(area[64]) : "eax", "memory");
}
/* Two pushes and a pop on a stack of that kind. */
static void k_ss(uint32_t at)
{
	__asm__ volatile("movl %%esp, %%edi; movl %1, %%ss; movl %0, %%esp; pushl $0x11; pushl $0x22; popl %%eax;"
			 "movl %%esp, %%esi; movl %2, %%ss; movl %%edi, %%esp; movl %%esi, %3"
			 : : "r"(at), "r"(with), "r"(KDS), "m"(area[64]) : "eax", "esi", "edi", "memory");
}
static void warm(void (*fn)(uint32_t), uint32_t at)
{
	with = KDS;
	for (unsigned n = 0; n < HOT; n++)
		fn(at);
}

static void segments(void)
{
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfff, 0x4093);
	area[0] = 0x5a;
	warm(k_fs, (uint32_t)area);
	with = SMALL;
	call0(k_fs, 0xffc);
	expect("hot32 fs of 4 KiB, its last doubleword", NONE, 0);
	call0(k_fs, 0xffd);
	expect("hot32 fs of 4 KiB, beyond", 13, 0);
	warm(k_fs, (uint32_t)area);
	with = 0;
	call0(k_fs, (uint32_t)area);
	expect("hot32 fs null", 13, 0);
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfffff, 0xc093);
	warm(k_fs, (uint32_t)area);
	with = SMALL;
	call0(k_fs, 0);
	expect("hot32 fs of 4 GiB from elsewhere on", NONE, 0);
	call0(k_fs, 0xfffffffd);
	expect("hot32 fs of 4 GiB, over its end", 13, 0);
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfff, 0x4093);
	warm(k_ds, (uint32_t)area);
	with = SMALL;
	call0(k_ds, 0);
	expect("hot32 ds of 4 KiB", NONE, 0);
	check("hot32 ds of 4 KiB, what was read", area[64], 0x5a);
	call0(k_ds, 0x1000);
	expect("hot32 ds of 4 KiB, beyond", 13, 0);
	gdt[SMALL / 8] = descriptor((uint32_t)area, 0xfff, 0x0093);
	warm(k_ss, (uint32_t)area + 0x800);
	check("hot32 stack", *(uint32_t *)(void *)(area + 64), (uint32_t)area + 0x7fc);
	with = SMALL;
	call0(k_ss, 0xabcd0100);
	check("hot32 stack of 16 bits", *(uint32_t *)(void *)(area + 64), 0xabcd00fc);
	check("hot32 stack of 16 bits, what was stored", area[0xfc] | area[0xf8] << 8, 0x2211);
	with = KDS;
}

/* ---- the end of the 4 GiB ---- */
static uint32_t load(uint32_t at)
{
	uint32_t v;
	__asm__ volatile("movl 0x20(%1), %0" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void wraps(void)
{
	uint8_t *zero = (uint8_t *)0;
	uint32_t sum = 0, esp;

	__asm__("" : "+r"(zero)); /* a page like any other here */
	for (unsigned n = 0; n < 1024; n++)
		dir[n] = n << 22 | P | W | PS;
	dir[1023] = (uint32_t)table | P | W;
	table[1023] = (uint32_t)top | P | W;
	write_cr4(read_cr4() | 0x10);
	write_cr3((uint32_t)dir);
	write_cr0(read_cr0() | 0x80000000);
	memset(zero, 0, 64);
	zero[4] = 77;
	for (unsigned n = 0; n < HOT; n++)
		sum += load((uint32_t)area + 128 + 4 * (n & 7));
	check("hot32 load whose address wraps", load(0xffffffe4), 77);
	/* mov $3, %eax at the end, then ret at 0 */
	put_function(top + 4091, 3);
	zero[0] = 0xc3;
	check("hot32 code that goes on at 0", heat((void *)0xfffffffb), 3 * HOT);
	memcpy(top + 4091, "\xeb\x0b\xeb\x0b\x90", 5); /* jmp 8 */
	put_function(zero + 8, 4);
	check("hot32 jump over the end", heat((void *)0xfffffffb), 4 * HOT);
	memcpy(zero + 16, "\xe9\xe0\xff\xff\xff", 5); /* jmp 0xfffffff5 */
	put_function(top + 4085, 6);
	check("hot32 jump back over it", heat(zero + 16), 6 * HOT);
	for (unsigned n = 0; n < HOT; n++)
		__asm__ volatile("movl %%esp, %%esi; movl %1, %%esp; pushl $0x55; subl $0x20, %%esp; addl $0x1c, %%esp;"
				 "movl %%esp, %0; movl %%esi, %%esp"
				 : "=&r"(esp) : "r"(n == HOT - 1 ? 0x20 : (uint32_t)area + 256) : "esi", "memory");
	check("hot32 stack near 0", esp, 0x18);
	check("hot32 stack near 0, what was stored", zero[0x1c], 0x55);
	write_cr0(read_cr0() & ~0x80000000u);
}

void test_hot(void)
{
	middle_of_block();
	page_edges();
	segments();
	wraps();
}
