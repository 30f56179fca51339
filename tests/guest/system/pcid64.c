/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCIDs: two address spaces whose windows show other pages, changed between by MOV CR3 that keeps what the processor
 * knows of the next one; and tables that are edited while the other is loaded. What may be stale is not looked at, only
 * what may not (SDM 3A 4.10.4.1).
 */
#include "cpu64.h"

enum { HOT = 300, AT = 8 };
#define NOFLUSH (1ull << 63)
#define PLACE (WINDOW + AT * 0x1000ul)
/* tables of the two spaces from the PDPT's entry for the window on, and what they show there */
static uint64_t top[2][512] __attribute__((aligned(4096))), upper[2][512] __attribute__((aligned(4096)));
static uint64_t directory[2][512] __attribute__((aligned(4096))), table[2][512] __attribute__((aligned(4096)));
static uint8_t page[3][4096] __attribute__((aligned(4096)));

static void load(unsigned space, uint64_t flags)
{
	write_cr3((uint64_t)top[space] | (space + 1) | flags);
}

static void show(unsigned space, unsigned n)
{
	*(volatile uint64_t *)&table[space][AT] = (uint64_t)page[n] | 3;
}

static uint64_t look(void)
{
	return *(volatile uint32_t *)PLACE;
}

static void invpcid(uint64_t type, uint64_t pcid, uint64_t at)
{
	uint64_t d[2] = { pcid, at };
	__asm__ volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static void build(void)
{
	for (unsigned n = 0; n < 3; n++)
		page[n][0] = (uint8_t)(n + 1);
	for (unsigned s = 0; s < 2; s++) {
		memcpy(top[s], pml4, 4096);
		memcpy(upper[s], pdpt, 4096);
		top[s][0] = (uint64_t)upper[s] | 7;
		upper[s][WINDOW >> 30] = (uint64_t)directory[s] | 7;
		directory[s][0] = (uint64_t)table[s] | 7;
		show(s, s);
	}
}

/* Space 0 is looked at, changed while 1 is loaded, dropped as `drop` does, and loaded again. */
static uint64_t edited(void (*drop)(void), uint64_t flags)
{
	load(0, 0);
	show(0, 0);
	invlpg(PLACE);
	look();
	load(1, NOFLUSH);
	look();
	show(0, 2);
	drop();
	load(0, flags);
	return look();
}

static void nothing(void) { }
static void by_address(void) { invpcid(0, 1, PLACE); }
static void by_context(void) { invpcid(1, 1, 0); }
static void by_all(void) { invpcid(2, 0, 0); }
static void by_local(void) { invpcid(3, 0, 0); }
static void by_pge(void) { write_cr4(read_cr4() ^ 1 << 7); write_cr4(read_cr4() ^ 1 << 7); }

static void edits(void)
{
	check("pcid edited, loaded with a flush", edited(nothing, 0), 3);
	check("pcid edited, global pages switched", edited(by_pge, NOFLUSH), 3);
	load(0, NOFLUSH);
	show(0, 1);
	invlpg(PLACE);
	check("pcid edited, invlpg", look(), 2);
	if (!has(7, 1, 10))
		return;
	check("pcid edited, invpcid of the address", edited(by_address, NOFLUSH), 3);
	check("pcid edited, invpcid of the context", edited(by_context, NOFLUSH), 3);
	check("pcid edited, invpcid of all", edited(by_all, NOFLUSH), 3);
	check("pcid edited, invpcid of all but global", edited(by_local, NOFLUSH), 3);
}

static uint64_t fault_in(unsigned space)
{
	load(space, NOFLUSH);
	begin();
	call0((void (*)(uint64_t))(uintptr_t)look, 0);
	return last.vector;
}

/* A page that goes, and one that comes: what is absent is never kept. */
static void absent(void)
{
	table[0][AT] = 0;
	load(0, 0);
	check("pcid absent in one", fault_in(0) << 16 | fault_in(1), 14 << 16 | NONE);
	load(1, NOFLUSH);
	show(0, 0);
	check("pcid present again", fault_in(0), NONE);
}

static void hot(void)
{
	uint64_t sum = 0;

	show(0, 0);
	show(1, 1);
	load(1, 0);
	load(0, 0);
	for (unsigned n = 0; n < HOT; n++) {
		load(n & 1, NOFLUSH);
		sum += look() * (n & 1 ? 1000 : 1);
	}
	check("pcid hot loads in turn", sum, HOT / 2 * 2001);
}

/* The same address is other code in each; and what one writes is code of the other. */
static void code(void)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n < 2; n++) {
		uint32_t v = 10 + 10 * n;
		memcpy(page[n] + 64, "\xb8\0\0\0\0\xc3", 6);
		memcpy(page[n] + 65, &v, 4);
	}
	for (unsigned n = 0; n < HOT; n++) {
		load(n & 1, NOFLUSH);
		sum += ((uint32_t (*)(void))(uintptr_t)(PLACE + 64))();
	}
	check("pcid hot code in turn", sum, HOT / 2 * 30);
	/* Space 1 writes through its window to what space 0 runs in its own. */
	show(1, 0);
	load(1, 0);
	sum = 0;
	for (unsigned n = 0; n < HOT / 10; n++) {
		load(1, NOFLUSH);
		*(volatile uint32_t *)(PLACE + 65) = n + 1000; /* the next one goes where this one found the page */
		*(volatile uint32_t *)(PLACE + 65) = n;
		load(0, NOFLUSH);
		sum += ((uint32_t (*)(void))(uintptr_t)(PLACE + 64))();
	}
	check("pcid code written in the other", sum, HOT / 10 * (HOT / 10 - 1) / 2);
}

void test_pcid(void)
{
	uint64_t cr3 = read_cr3(), cr4 = read_cr4();

	if (!has(1, 2, 17))
		return;
	build();
	write_cr4(cr4 | 1 << 17);
	edits();
	absent();
	hot();
	code();
	write_cr3(cr3);
	write_cr4(cr4);
}
