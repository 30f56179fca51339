/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot 32-bit code with addresses that wrap, registers whose upper halves 64-bit code left behind, and segments that
 * change under it: translated code and the interpreter end in the same state,
 * and nothing outside the guest is touched.
 */
#include "rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	TABLE = 0x40000, IDT = 0x50000, GDT = 0x51000, TSS = 0x51800, HANDLERS = 0x52000, IST = 0x58000,
	GOOD = 0x60000, LOWEST = 0x70000 /* bytes of what is used there */, TOP_TABLE = 0x110000, TOP_FRAME = 0x180000,
	OTHER_TABLES = 0x120000, MAPPED = 2 << 20,
	HARMLESS = 40, FLAT = 0x10, COMPAT = 0x18, SMALL = 0x20, MOVED = 0x28,
};

struct pair {
	struct rig hot, cold;
};

static const struct code {
	const char *name;
	uint8_t len, bytes[40];
} codes[] = {
/* EDI holds the address, ESI leads to the next one: both are left alone. */
#define CODE(...) sizeof((const uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ }
	{ "load", CODE(0x8b, 0x07) },
	{ "load below", CODE(0x8b, 0x47, 0xf0) },
	{ "load above", CODE(0x8b, 0x47, 0x20) },
	{ "load far above, which wraps", CODE(0x8b, 0x87, 0x00, 0x00, 0xff, 0xff) },
	{ "store", CODE(0x89, 0x07) },
	{ "store of a byte", CODE(0x88, 0x67, 0x01) },
	{ "add to memory", CODE(0x83, 0x07, 0x05) },
	{ "several stores", CODE(0x89, 0x07, 0x89, 0x5f, 0x08, 0x89, 0x4f, 0x04, 0x88, 0x57, 0xfc) },
	{ "index", CODE(0x89, 0xfa, 0xf7, 0xda, 0x8b, 0x04, 0x57, 0x89, 0x54, 0x97, 0x10) },
	{ "index alone", CODE(0x8d, 0x04, 0x3d, 0x00, 0x00, 0x00, 0x00, 0xc1, 0xe8, 0x02, 0x8b, 0x04, 0x85,
		   0x03, 0, 0, 0) },
	{ "lea", CODE(0x8d, 0x84, 0x7f, 0x00, 0x00, 0x00, 0xf0, 0x8d, 0x1f) },
	{ "movdqu", CODE(0xf3, 0x0f, 0x6f, 0x07, 0xf3, 0x0f, 0x7f, 0x47, 0x10) },
	{ "fld, fstp", CODE(0xdd, 0x07, 0xdd, 0x5f, 0x08) },
	{ "push and pop", CODE(0x87, 0xfc, 0x50, 0x53, 0x5b, 0x58, 0x87, 0xfc) },
	{ "push from memory", CODE(0x89, 0xe0, 0xff, 0x37, 0x89, 0xc4) },
	{ "push of a constant", CODE(0x87, 0xfc, 0x6a, 0xd5, 0x68, 1, 2, 3, 4, 0x87, 0xfc) },
	/* Blocks that begin with the stack where EDI says: stores to the first and last page,
	 * so that the TLB has them; xchg esp, edi; CLC,
	 * which is a handler's; a jump to what follows. */
#define ON_STACK(...) \
	CODE(0xa3, 0x00, 0x05, 0x00, 0x00, 0xa3, 0x00, 0xf5, 0xff, 0xff, 0x87, 0xfc, 0xf8, 0xb8, 0x19, 0x00, \
		   0x01, 0x00, 0xff, 0xe0, \
	     __VA_ARGS__, 0x87, 0xfc)
	{ "pushes", ON_STACK(0x50, 0x53, 0x5b, 0x58) },
	{ "room on the stack", ON_STACK(0x83, 0xec, 0x20, 0x89, 0x44, 0x24, 0x24, 0x89, 0x5c, 0x24, 0x2c, 0x83,
		   0xc4, 0x20) },
	{ "room below", ON_STACK(0x83, 0xec, 0x20, 0x89, 0x44, 0x24, 0x04, 0x83, 0xc4, 0x20, 0x50, 0x58) },
	{ "room above", ON_STACK(0x83, 0xc4, 0x20, 0x89, 0x5c, 0x24, 0xe0, 0x83, 0xec, 0x20) },
	{ "call and return", CODE(0x87, 0xfc, 0xe8, 0x05, 0, 0, 0, 0x87, 0xfc, 0xeb, 0x02, 0x90, 0xc3, 0x90) },
	{ "leave", CODE(0x89, 0xe3, 0x89, 0xfd, 0xc9, 0x89, 0xdc) },
	{ "fs", CODE(0x64, 0x8b, 0x07, 0x64, 0x89, 0x47, 0x04, 0x64, 0xa1, 0xfc, 0xff, 0xff, 0xff) },
	{ "gs, moved", CODE(0x65, 0x8b, 0x07, 0x65, 0x88, 0x07, 0x65, 0xa1, 0x10, 0x00, 0x00, 0x00) },
	{ "moffs", CODE(0xa1, 0x00, 0x00, 0x06, 0x00, 0xa2, 0x05, 0x00, 0x06, 0x00, 0x03, 0x07, 0x66, 0xa3,
		   0x08, 0, 6, 0) },
	{ "inc and dec", CODE(0x40, 0x4b, 0x66, 0x41, 0x8b, 0x17, 0x42) },
	{ "string", CODE(0x89, 0xf3, 0x89, 0xfe, 0xa5, 0x4f, 0x4f, 0x4f, 0x4f, 0x89, 0xde) },
	{ "jump through memory", CODE(0x8d, 0x05, 0x10, 0x00, 0x01, 0x00, 0x89, 0x07, 0xff, 0x27) },
	/* SMALL where EDI has its highest bit. */
	{ "fs of another size", CODE(0x89, 0xf8, 0x31, 0xdb, 0x66, 0xbb, 0x10, 0x00, 0xc1, 0xf8, 0x1f, 0x83,
		   0xe0, 0x10, 0x01, 0xc3,
				    0x8e, 0xe3, 0x89, 0xf8, 0x25, 0xff, 0x1f, 0x00, 0x00, 0x64, 0x88, 0x08) },
	{ "ds of another size", CODE(0x89, 0xf8, 0xc1, 0xe8, 0x1c, 0x83, 0xe0, 0x08, 0x83, 0xc0, 0x18, 0x83,
		   0xf8, 0x20, 0x75, 0x02,
				    0x8e, 0xd8, 0x8b, 0x07) },
};

/* The whole gigabyte of that entry leads to the upper half of RAM, 2 MiB after 2 MiB. */
static void map_other(struct rig *r, uint64_t pdpt, unsigned entry, uint64_t tables)
{
	const uint64_t directory = tables | 7, table = (tables + 0x1000) | 7;
	rig_put(r, pdpt + entry * 8, &directory, 8);
	for (unsigned n = 0; n < 512; n++) {
		uint64_t page = (uint64_t)(MAPPED + n * 4096) | 7;
		rig_put(r, tables + n * 8, &table, 8);
		rig_put(r, tables + 0x1000 + n * 8, &page, 8);
	}
}

static void prepare(struct rig *r, const char *options)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff,
		   0x0040930600000fff };
	const uint64_t ist = IST, table = TOP_TABLE | 7, pages = (TOP_TABLE + 0x1000) | 7, frame = TOP_FRAME | 7,
		       beyond = (OTHER_TABLES + 0x4000) | 7;
	rig_init_options(r, RIG_64, options);
	memset(gmem_at(r->vm.mem, MAPPED, RIG_RAM - MAPPED), 0xee, RIG_RAM - MAPPED);
	for (unsigned vector = 0; vector < 32; vector++)
		rig_gate(r, IDT, HANDLERS, vector);
	rig_put(r, GDT, gdt, sizeof(gdt));
	rig_put(r, TSS + 36, &ist, 8);
	/* The last page of 32-bit addresses is there; and so is what a sum that does not wrap would lead to. */
	rig_put(r, RIG_PDPT + 3 * 8, &table, 8);
	map_other(r, RIG_PDPT, 4, OTHER_TABLES);
	rig_put(r, RIG_PML4 + 511 * 8, &beyond, 8);
	map_other(r, OTHER_TABLES + 0x4000, 511, OTHER_TABLES + 0x2000);
	rig_put(r, TOP_TABLE + 511 * 8, &pages, 8);
	rig_put(r, TOP_TABLE + 0x1000 + 511 * 8, &frame, 8);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	prepare(&p->hot, "translate=on,hot=2,rewrites=1000000000");
	prepare(&p->cold, "translate=off");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	rig_free(&p->hot);
	rig_free(&p->cold);
	free(p);
	return 0;
}

/* l: mov edi, [esi]; add esi, 4; the code; jmp l */
static void put_code(struct rig *r, const struct code *c)
{
	static const uint8_t begin[] = { 0x8b, 0x3e, 0x83, 0xc6, 0x04 };
	uint8_t end[2] = { 0xeb, (uint8_t)-(int)(sizeof(begin) + c->len + 2) };
	uint8_t *memory = gmem_at(r->vm.mem, 0, RIG_RAM);
	for (unsigned n = 0; n < 0x1000; n++)
		memory[n] = memory[GOOD + n] = memory[GOOD + 0x1000 + n] = memory[TOP_FRAME + n] =
			(uint8_t)(n * 7 + (n >> 8));
	for (unsigned n = 0; n <= 256; n++)
		memory[RIG_CODE + n] = 0xf4;
	rig_put(r, RIG_CODE, begin, sizeof(begin));
	rig_put(r, RIG_CODE + sizeof(begin), c->bytes, c->len);
	rig_put(r, RIG_CODE + sizeof(begin) + c->len, end, sizeof(end));
}

static void put_addresses(struct rig *r, uint32_t last)
{
	uint32_t end = 0x90000000;
	for (unsigned n = 0; n < HARMLESS; n++) {
		uint32_t good = GOOD + 0x100 + 0x40 * (n % 16);
		rig_put(r, TABLE + n * 4, &good, 4);
	}
	rig_put(r, TABLE + HARMLESS * 4, &last, 4);
	rig_put(r, TABLE + HARMLESS * 4 + 4, &end, 4);
}

static enum vcpu_exit run(struct rig *r, const struct code *c, uint32_t last, uint64_t upper, bool user)
{
	struct x86_state *s = &r->s;
	put_code(r, c);
	put_addresses(r, last);
	rig_state(r, RIG_64);
	s->seg[X86_CS].attr = (s->seg[X86_CS].attr & ~(uint32_t)X86_AR_L) | X86_AR_DB;
	s->seg[X86_CS].sel = COMPAT;
	s->seg[X86_GS].base = 0x20000; /* so that an operand over the end of 4 GiB would find a page */
	s->seg[X86_GS].sel = MOVED;
	s->idtr = (struct x86_table){ IDT, 32 * 16 - 1 };
	s->gdtr = (struct x86_table){ GDT, 39 };
	s->seg[X86_TR] = (struct x86_seg){ .base = TSS, .limit = 0x67, .attr = X86_AR_P | 11, .sel = 0x30 };
	s->cr4 |= X86_CR4_OSXSAVE | X86_CR4_OSXMMEXCPT;
	s->xcr0 = 3;
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		s->gpr[n] = upper | (n == X86_RSP ? RIG_STACK : n == X86_RSI ? TABLE : 0x11 * n);
	if (user)
		rig_user(r);
	return rig_run(r);
}

static bool same_memory(struct pair *p, uint64_t at, uint64_t len)
{
	return !memcmp(gmem_at(p->hot.vm.mem, at, len), gmem_at(p->cold.vm.mem, at, len), len);
}

static void compare(struct pair *p, const struct code *c, uint32_t last, uint64_t upper, bool user)
{
	enum vcpu_exit hot = run(&p->hot, c, last, upper, user), cold = run(&p->cold, c, last, upper, user);
	const struct x86_state *a = &p->hot.s, *b = &p->cold.s;
	bool same = hot == cold && a->rip == b->rip && !memcmp(a->gpr, b->gpr, sizeof(a->gpr)) && a->cr2 == b->cr2 &&
		    a->rflags == b->rflags && same_memory(p, 0, LOWEST) && same_memory(p, TOP_FRAME, 0x1000) &&
		    same_memory(p, MAPPED, RIG_RAM - MAPPED);
	if (!same)
		fail_msg("%s at %" PRIx32 ", upper %" PRIx64 "%s: exit %d and %d, RIP %" PRIx64 " and %" PRIx64,
			   c->name, last,
			 upper, user ? ", user" : "", hot, cold, a->rip, b->rip);
}

static void test_wraps(void **state)
{
	static const uint32_t last[] = {
		GOOD + 0x180, GOOD + 0xff9, GOOD - 6, 0, 2, 4, 8, 0x10, 0x1f, 0x204, 0x3f8, 0xffc, 0x3ffc,
			   0x4004, MAPPED - 2, MAPPED, MAPPED + 8,
		0x80000000, 0x7fffffff, 0xfffff000, 0xfffff008, 0xffffef00, 0xffffb004, 0xfffffe10, 0xffffffe0,
			   0xfffffff0, 0xfffffff8,
		0xfffffffc, 0xfffffffd, 0xffffffff, 0x80060080,
	};
	static const uint64_t uppers[] = { 0, UINT64_C(0xffffffff) << 32, UINT64_C(1) << 32 };
	struct pair *p = *state;
	for (unsigned k = 0; k < sizeof(codes) / sizeof(*codes); k++)
		for (unsigned n = 0; n < sizeof(last) / sizeof(*last); n++)
			compare(p, &codes[k], last[n], uppers[(k + n) % 3], n & 1);
}

/* Registers that nobody writes: their upper halves stay, and reach nothing of this process. */
static void test_upper_halves(void **state)
{
	static const struct code kept = { "upper halves", CODE(0x8b, 0x44, 0x24, 0x08, 0x89, 0x45, 0x10, 0x89,
		   0x04, 0x8d, 0x20, 0, 6,
							     0, 0x03, 0x44, 0x8d, 0x04) };
	struct pair *p = *state;
	const uint64_t host = (uint64_t)(uintptr_t)p >> 32 << 32;
	compare(p, &kept, GOOD, host, false);
	assert_int_equal(p->hot.s.gpr[X86_RBP] >> 32 << 32, host);
	compare(p, &kept, GOOD, 0, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upper_halves, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
