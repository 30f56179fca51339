/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that changes after it has become hot, so that a translator holds a translation of it: in the middle of a block
 * that is under way, over the edge of a page, through an alias, by remapping, at addresses that wrap.
 */
#include "cpu64.h"

enum { HOT = 300 };
static uint8_t code[4 * 4096] __attribute__((aligned(4096)));
static uint64_t target;

static void put_function(uint8_t *at, uint32_t n)
{
	at[0] = 0xb8; /* mov $n, %eax; ret */
	memcpy(at + 1, &n, 4);
	at[5] = 0xc3;
}

static uint32_t run(const void *at)
{
	__asm__ volatile("" : : : "memory");
	return ((uint32_t (*)(void))(uintptr_t)at)();
}

static uint64_t heat(const void *at)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n < HOT; n++)
		sum += run(at);
	return sum;
}

/* A block that stores to what follows in it: harmless at first (rdi is elsewhere), then at its own next instruction. */
static void middle_of_block(void)
{
	static uint32_t elsewhere;
	uint64_t sum = 0;

	/* mov %esi, (%rdi); mov $1, %eax; ret */
	memcpy(code, "\x89\x37\xb8\x01\0\0\0\xc3", 8);
	for (unsigned n = 0; n < HOT; n++) {
		uint32_t v;
		uint32_t *at = n % 100 == 99 ? (uint32_t *)(void *)(code + 3) : &elsewhere;
		__asm__ volatile("call *%1" : "=a"(v) : "r"(code), "D"(at), "S"(n) : "memory");
		sum += v;
	}
	/* 99 turns of 1, then 99; 99 more of 99, then 199; 99 of 199, then 299 */
	check("hot block changes what follows in it", sum, 99 + 99 + 99 * 99 + 199 + 99 * 199 + 299);
}

static void page_edges(void)
{
	for (unsigned before = 1; before < 6; before++) {
		uint8_t *at = code + 4096 - before;
		put_function(at, 5);
		check("hot code over a page's end", heat(at), 5 * HOT);
		put_function(at, 6);
		check("the same, rewritten", heat(at), 6 * HOT);
		memcpy(at + 1, "\x07", 1);
		check("the same, a byte rewritten", heat(at), 7 * HOT);
	}
	/* A jump from one page to the next, whose code changes: links between blocks must not go stale. */
	memcpy(code + 4096 - 5, "\xe9\x00\x01\0\0", 5);
	put_function(code + 4096 + 0x100, 8);
	check("hot jump to the next page", heat(code + 4096 - 5), 8 * HOT);
	put_function(code + 4096 + 0x100, 9);
	check("hot jump to the next page, rewritten there", heat(code + 4096 - 5), 9 * HOT);
}

static void aliases(void)
{
	put_function(code, 1);
	pt_window[1] = (uint64_t)code | 3;
	pt_window[2] = (uint64_t)code | 3;
	invlpg(WINDOW + 0x1000);
	invlpg(WINDOW + 0x2000);
	check("hot alias", heat((void *)(WINDOW + 0x1000)) + heat((void *)(WINDOW + 0x2000)), 2 * HOT);
	*(volatile uint8_t *)(WINDOW + 0x2001) = 3;
	check("hot alias, rewritten through the other", heat((void *)(WINDOW + 0x1000)) + heat(code), 6 * HOT);
	*(volatile uint8_t *)(code + USER_ALIAS + 1) = 4;
	check("hot alias, rewritten through a third", heat((void *)(WINDOW + 0x1000)), 4 * HOT);
}

/* A hot block in the window jumps to the window's second page, which moves under it. */
static void remapped(void)
{
	uint64_t sum = 0;

	memcpy(code, "\xe9\xfb\x0f\0\0", 5); /* jmp to the next page's start */
	put_function(code + 4096, 10);
	put_function(code + 2 * 4096, 20);
	pt_window[4] = (uint64_t)code | 3;
	pt_window[5] = ((uint64_t)code + 4096) | 3;
	invlpg(WINDOW + 0x4000);
	invlpg(WINDOW + 0x5000);
	check("hot jump within the window", heat((void *)(WINDOW + 0x4000)), 10 * HOT);
	for (unsigned n = 0; n < HOT; n++) {
		pt_window[5] = ((uint64_t)code + (n & 1 ? 4096 : 8192)) | 3;
		invlpg(WINDOW + 0x5000);
		sum += run((void *)(WINDOW + 0x4000));
	}
	check("hot jump to a page that moves each time", sum, HOT / 2 * 30);
	pt_window[5] = ((uint64_t)code + 4096) | 3;
	write_cr3(read_cr3());
	check("hot jump after CR3 was loaded", heat((void *)(WINDOW + 0x4000)), 10 * HOT);
	pt_window[5] = 0;
	invlpg(WINDOW + 0x5000);
	call0((void (*)(uint64_t))(uintptr_t)(WINDOW + 0x4000), 0);
	expect("hot jump to a page that is gone", 14, 0x10);
	check("its address", last_cr2, WINDOW + 0x5000);
	pt_window[5] = (((uint64_t)code + 4096) | 3) | 1ull << 63;
	invlpg(WINDOW + 0x5000);
	call0((void (*)(uint64_t))(uintptr_t)(WINDOW + 0x4000), 0);
	expect("hot jump to a page that is no code", 14, 0x11);
}

static void jump(uint64_t at)
{
	target = at;
	__asm__ volatile("call *%0" : : "m"(target) : "memory");
}

static void wild_jumps(void)
{
	static const uint64_t canonical[] = { 0x7f0000000000, 0x7ffffffff000, 0xffff800000000000, 0xfffffffffffff000 },
			      not[] = { 0x0000800000000000, 0x8000000000000000, 0xffff7fffffffffff };

	for (unsigned n = 0; n < HOT; n++) {
		put_function(code + 3 * 4096, n);
		jump((uint64_t)code + 3 * 4096);
	}
	for (unsigned n = 0; n < 4; n++) {
		call0(jump, canonical[n]);
		expect("hot indirect call to nowhere", 14, 0x10);
		check("its address", last_cr2, canonical[n]);
	}
	for (unsigned n = 0; n < 3; n++) {
		call0(jump, not[n]);
		expect("hot indirect call to no address", 13, 0);
	}
}

/* Addresses that wrap at 2^64 and, with a 32-bit address size, at 2^32. */
static void wrapping(void)
{
	uint64_t sum = 0, low;

	target = 7;
	for (uint64_t n = 0; n < HOT; n++) {
		uint64_t v;
		__asm__ volatile("mov (%1,%2), %0" : "=r"(v) : "r"((uint64_t)&target - n), "r"(n) : "memory");
		sum += v;
		__asm__ volatile("mov 0x1000(%1), %0" : "=r"(v) : "r"((uint64_t)&target - 0x1000) : "memory");
		sum += v;
		__asm__ volatile("mov (%k1,%k2,8), %0"
				 : "=r"(v) : "r"((uint64_t)&target + 8 + 8 * n), "r"(0x1ffffffful - n) : "memory");
		sum += v;
		low = (uint64_t)&target + 0x1000 * n;
		__asm__ volatile("mov (%1,%2), %0" : "=r"(v) : "r"(low), "r"(-0x1000 * n) : "memory");
		sum += v;
	}
	check("hot loads at addresses that wrap", sum, 4 * 7 * HOT);
}

void test_hot(void)
{
	middle_of_block();
	page_edges();
	aliases();
	remapped();
	wild_jumps();
	wrapping();
}
