/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that changes after it has become hot, so that a translator holds a translation of it: in the middle of a block
 * that is under way, over the edge of a page, through an alias, by remapping, at addresses that wrap; and hot calls
 * that return elsewhere than behind themselves.
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

/* ---- calls and returns ---- */
static uint64_t call1(const void *at, uint64_t arg)
{
	uint64_t v;
	__asm__ volatile("call *%2" : "=a"(v), "+D"(arg) : "r"(at) : "rcx", "rdx", "memory");
	return v;
}

/* More calls are under way than anybody keeps the returns of. */
static void deep(void)
{
	uint64_t sum = 0;

	/* f: test %edi, %edi; jz 1f; dec %edi; call f; inc %eax; ret; 1: xor %eax, %eax; ret */
	memcpy(code, "\x85\xff\x74\x0a\xff\xcf\xe8\xf5\xff\xff\xff\xff\xc0\xc3\x31\xc0\xc3", 17);
	for (unsigned n = 0; n < HOT / 4; n++)
		sum += call1(code, 10 * n);
	check("hot recursion", sum, 10 * (HOT / 4) * (HOT / 4 - 1) / 2);
}

static void other_returns(void)
{
	uint64_t sum = 0;

	/* call 1f; mov $1, %eax; ret; mov $2, %eax; ret; 1: add %rdi, (%rsp); ret */
	memcpy(code, "\xe8\x0c\0\0\0\xb8\x01\0\0\0\xc3\xb8\x02\0\0\0\xc3\x48\x01\x3c\x24\xc3", 22);
	for (unsigned n = 0; n < HOT; n++)
		sum += call1(code, n % 3 ? 0 : 6);
	check("hot return to another place", sum, HOT + HOT / 3);
	/* mov $3, %eax; call 1f; ud2; 1: add $8, %rsp; ret */
	memcpy(code, "\xb8\x03\0\0\0\xe8\x02\0\0\0\x0f\x0b\x48\x83\xc4\x08\xc3", 17);
	check("hot return past the caller", heat(code), 3 * HOT);
	/* push %rax; call 1f; mov $5, %eax; ret; 1: ret $8 */
	memcpy(code, "\x50\xe8\x06\0\0\0\xb8\x05\0\0\0\xc3\xc2\x08\0", 15);
	check("hot return that drops an argument", heat(code), 5 * HOT);
	/* call 1f; 1: pop %rax; sub %rdi, %rax; ret */
	memcpy(code, "\xe8\0\0\0\0\x58\x48\x29\xf8\xc3", 10);
	sum = 0;
	for (unsigned n = 0; n < HOT; n++)
		sum += call1(code, (uint64_t)code);
	check("hot call without a return", sum, 5 * HOT);
}

/* push %rdi; ret */
static void wild_return(uint64_t to)
{
	call1(code, to);
}

static void wild_returns(void)
{
	static const uint64_t not[] = { 0x0000800000000000, 0x8000000000000000, 0xffff7fffffffffff };

	memcpy(code, "\x57\xc3\xc3", 3);
	for (unsigned n = 0; n < HOT; n++)
		wild_return((uint64_t)code + 2);
	for (unsigned n = 0; n < 3; n++) {
		call0(wild_return, not[n]);
		expect("hot return to no address", 13, 0);
	}
	call0(wild_return, 0x7f0000000000);
	expect("hot return to nowhere", 14, 0x10);
}

/* What is behind the call changes before the return. */
static void rewritten_behind(void)
{
	static uint32_t elsewhere;
	uint64_t sum = 0;

	/* call 1f; mov $1, %eax; ret; 1: mov %esi, (%rdi); ret */
	memcpy(code, "\xe8\x06\0\0\0\xb8\x01\0\0\0\xc3\x89\x37\xc3", 14);
	for (unsigned n = 0; n < HOT; n++) {
		uint32_t v;
		uint32_t *at = n % 100 == 99 ? (uint32_t *)(void *)(code + 6) : &elsewhere;
		__asm__ volatile("call *%1" : "=a"(v) : "r"(code), "D"(at), "S"(n) : "memory");
		sum += v;
	}
	check("hot code behind a call that changes it", sum, 99 + 99 + 99 * 99 + 199 + 99 * 199 + 299);
}

static unsigned shown, turns;

static bool turn(void)
{
	bool other = turns++ % 100 == 99;
	shown ^= other;
	pt_window[6] = ((uint64_t)code + shown * 4096) | 3;
	return other;
}

static void show_other(void)
{
	if (turn())
		invlpg(WINDOW + 0x6000);
}

static void show_other_by_cr3(void)
{
	if (turn())
		write_cr3(read_cr3());
}

/* The page that a hot call lies in is another one when it returns, once in a hundred times. */
static void remapped_behind(void)
{
	void (*const by[])(void) = { show_other, show_other_by_cr3 };

	/* push %rbx; call *%rdi; mov $n, %eax; pop %rbx; ret */
	for (unsigned n = 0; n < 2; n++) {
		uint32_t v = 10 + 10 * n;
		memcpy(code + n * 4096, "\x53\xff\xd7\xb8\0\0\0\0\x5b\xc3", 10);
		memcpy(code + n * 4096 + 4, &v, 4);
	}
	for (unsigned k = 0; k < 2; k++) {
		uint64_t sum = 0;
		shown = turns = 0;
		pt_window[6] = (uint64_t)code | 3;
		invlpg(WINDOW + 0x6000);
		for (unsigned n = 0; n < HOT; n++) {
			uint64_t v, rdi = (uint64_t)(uintptr_t)by[k];
			__asm__ volatile("call *%2" : "=a"(v), "+D"(rdi) : "r"((uint64_t)WINDOW + 0x6000)
					 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory");
			sum += v;
		}
		check(k ? "hot call whose page moves by CR3" : "hot call whose page moves", sum,
		      99 * 10 + 100 * 20 + 100 * 10 + 20);
	}
}

/* The same where what changes the mapping and flushes is hot itself, so that nobody comes by the loop between call and
 * return: in pages of their own, since those above are written too often to be translated. */
static void remapped_behind_hot(void)
{
	static uint8_t page[3 * 4096] __attribute__((aligned(4096)));
	static const char *const names[] = { "hot call whose page moves, by hot INVLPG",
		   "hot call whose page moves, by hot MOV CR3" };
	const uint64_t at = WINDOW + 0x6000;

	for (unsigned n = 0; n < 2; n++) {
		uint32_t v = 10 + 10 * n;
		memcpy(page + n * 4096, "\x53\xff\xd7\xb8\0\0\0\0\x5b\xc3", 10);
		memcpy(page + n * 4096 + 4, &v, 4);
	}
	/* mov %rsi, (%rdx); invlpg (%rcx); ret, and mov %rsi, (%rdx); mov %cr3, %rax; mov %rax, %cr3; ret */
	memcpy(page + 2 * 4096, "\x48\x89\x32\x0f\x01\x39\xc3", 7);
	memcpy(page + 2 * 4096 + 16, "\x48\x89\x32\x0f\x20\xd8\x0f\x22\xd8\xc3", 10);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t sum = 0;
		pt_window[6] = (uint64_t)page | 3;
		invlpg(WINDOW + 0x6000);
		for (unsigned n = 0; n < HOT; n++) {
			uint64_t v, rdi = (uint64_t)page + 2 * 4096 + 16 * k;
			uint64_t rsi = (uint64_t)(page + (n < 100 ? 0 : 4096)) | 3;
			__asm__ volatile("call *%2" : "=a"(v), "+D"(rdi)
					 : "r"(at), "S"(rsi), "d"(&pt_window[6]), "c"(at) : "memory");
			sum += v;
		}
		check(names[k], sum, 100 * 10 + 200 * 20);
	}
}

static void returns(void)
{
	deep();
	other_returns();
	wild_returns();
	rewritten_behind();
	remapped_behind();
	remapped_behind_hot();
}

void test_hot(void)
{
	middle_of_block();
	page_edges();
	aliases();
	remapped();
	wild_jumps();
	wrapping();
	returns();
}
