/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code that changes: by its own stores, through another mapping, across pages, under a loop. */
#include "cpu64.h"

static uint8_t code[8192] __attribute__((aligned(4096)));

/* mov $n, %eax; ret */
static void put_function(uint8_t *at, uint32_t n)
{
	at[0] = 0xb8;
	memcpy(at + 1, &n, 4);
	at[5] = 0xc3;
}

static uint32_t run(const uint8_t *at)
{
	__asm__ volatile("" : : : "memory");
	return ((uint32_t (*)(void))(uintptr_t)at)();
}

static void rewriting(void)
{
	uint64_t sum = 0;

	put_function(code, 1);
	check("code first", run(code), 1);
	put_function(code, 2);
	check("code rewritten", run(code), 2);
	for (uint32_t n = 0; n < 2000; n++) {
		put_function(code, n);
		sum += run(code);
	}
	check("code rewritten 2000 times", sum, 1999000);
	*(uint8_t *)((uint64_t)code + USER_ALIAS + 1) = 0x55;
	check("code rewritten through another mapping", run(code) & 0xff, 0x55);
	put_function(code + 4094, 7);
	check("code over a page's end", run(code + 4094), 7);
	code[4096] = 9; /* second byte of the constant */
	check("code over a page's end, second page rewritten", run(code + 4094), 0x907);
}

/* The store changes the very next instruction: the processor must see it. */
static void next_instruction(void)
{
	uint32_t v;

	__asm__ volatile("movb $2, 1f+1(%%rip); 1: movl $1, %0" : "=a"(v) : : "memory");
	check("code changes the next instruction", v, 2);
	__asm__ volatile("movl $0x90909090, 1f(%%rip); movl $5, %0; 1: ud2; ud2" : "=a"(v) : : "memory");
	check("code removes an instruction ahead", v, 5);
}

/* Rewriting from within the loop that runs it. */
static void in_loop(void)
{
	uint64_t sum = 0, n = 100;

	__asm__ volatile("2: movb %b1, 1f+3(%%rip); 1: addq $0, %0; decq %1; jnz 2b" : "+r"(sum), "+r"(n) : : "memory");
	check("code changed in a loop", sum, 5050);
}

static void copy(const void *from, void *to, uint64_t n)
{
	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
}

static void remapped(void)
{
	put_function(code, 11);
	put_function(code + 4096, 22);
	pt_window[0] = (uint64_t)code | 3;
	invlpg(WINDOW);
	check("code in the window", run((uint8_t *)WINDOW), 11);
	pt_window[0] = ((uint64_t)code + 4096) | 3;
	invlpg(WINDOW);
	check("code after the window moved", run((uint8_t *)WINDOW), 22);
	code[4097] = 33;
	check("code after the window moved, rewritten", run((uint8_t *)WINDOW), 33);
	copy("\xb8\x2c\0\0\0\xc3", code + 4096, 6);
	check("code written by rep movsb", run((uint8_t *)WINDOW), 44);
}

void test_code(void)
{
	rewriting();
	next_instruction();
	in_loop();
	remapped();
}
