/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that try to get out of translated code. Each attack runs in a loop that is hot and harmless for HARMLESS
 * turns and then takes the address that it should not be able to use: one of this process, one near the edges of what
 * the TLB's tags can say, one that is not canonical. Wanted: the guest's own exception at that instruction, no more.
 */
#include "rig.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

enum {
	TABLE = 0x40000, IDT = 0x50000, GDT = 0x51000, TSS = 0x51800, HANDLERS = 0x52000, IST = 0x58000,
	GOOD = 0x60000, FUNCTION = 0x62000, SPARE_TABLES = 0x110000, FRAMES = 0x180000,
	HARMLESS = 100, CANARY = 16384,
};
static const uint64_t OUTSIDE = 2 << 20; /* RAM that the guest's page tables do not reach */

struct fixture {
	struct rig r;
	uint8_t *canary; /* memory of this process that the guest knows the address of */
	uint8_t want[CANARY];
};

/* Each exception has a stack of its own and a handler that halts: RIP tells the vector. */
static void handlers(struct rig *r)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	const uint64_t ist = IST;
	for (unsigned vector = 0; vector < 32; vector++)
		rig_gate(r, IDT, HANDLERS, vector);
	rig_put(r, GDT, gdt, sizeof(gdt));
	rig_put(r, TSS + 36, &ist, 8);
}

static void fresh(struct fixture *f)
{
	struct rig *r = &f->r;
	rig_state(r, RIG_64);
	r->s.idtr = (struct x86_table){ IDT, 32 * 16 - 1 };
	r->s.gdtr = (struct x86_table){ GDT, 23 };
	r->s.seg[X86_TR] = (struct x86_seg){ .base = TSS, .limit = 0x67, .attr = X86_AR_P | 11, .sel = 0x18 };
	r->s.cr4 |= X86_CR4_OSXSAVE | X86_CR4_OSXMMEXCPT;
	r->s.xcr0 = __builtin_cpu_supports("avx") ? 7 : 3;
	r->s.gpr[X86_RSI] = TABLE;
	r->s.gpr[X86_R8] = GOOD + 0x800;
}

static int setup_with(void **state, const char *options)
{
	struct fixture *f = calloc(1, sizeof(*f));
	rig_init_options(&f->r, RIG_64, options);
	handlers(&f->r);
	f->canary = mmap(NULL, CANARY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(f->canary, 0xc3, CANARY); /* RET, to whoever executes it */
	memcpy(f->want, f->canary, CANARY);
	*state = f;
	return 0;
}
static int setup(void **state) { return setup_with(state, "translate=on,hot=2,rewrites=1000000000"); }
static int setup_interpreted(void **state) { return setup_with(state, NULL); }

static int teardown(void **state)
{
	struct fixture *f = *state;
	rig_free(&f->r);
	munmap(f->canary, CANARY);
	free(f);
	return 0;
}

/* ---- attacks ---- */
enum kind { DATA, STACK, JUMP };
struct attack {
	const char *name;
	enum kind kind;
	uint8_t align, bytes; /* of the access; 16: refuses other addresses with #GP */
	uint8_t len;
	uint8_t code[24];
};
/* RDI holds the address. */
#define CODE(...) sizeof((const uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ }
static const struct attack attacks[] = {
	{ "load 8", DATA, 1, 8, CODE(0x48, 0x8b, 0x07) },
	{ "load 1", DATA, 1, 1, CODE(0x8a, 0x07) },
	{ "store 8", DATA, 1, 8, CODE(0x48, 0x89, 0x07) },
	{ "store 4", DATA, 1, 4, CODE(0x89, 0x07) },
	{ "store 2", DATA, 1, 2, CODE(0x66, 0x89, 0x07) },
	{ "store 1", DATA, 1, 1, CODE(0x88, 0x07) },
	{ "store constant", DATA, 1, 4, CODE(0xc7, 0x07, 1, 2, 3, 4) },
	{ "add to memory", DATA, 1, 8, CODE(0x48, 0x01, 0x07) },
	{ "locked xadd", DATA, 1, 8, CODE(0xf0, 0x48, 0x0f, 0xc1, 0x07) },
	{ "cmpxchg", DATA, 1, 8, CODE(0x48, 0x0f, 0xb1, 0x0f) },
	{ "xchg", DATA, 1, 8, CODE(0x48, 0x87, 0x07) },
	{ "load with a scaled index", DATA, 1, 8, CODE(0x48, 0x8d, 0x1c, 0x3f, 0x48, 0xd1, 0xeb, 0x48, 0x01, 0xfb,
						       0x48, 0x29, 0xfb, 0x31, 0xdb, 0x48, 0x8b, 0x04, 0xdf) },
	{ "load over the end of memory", DATA, 1, 8, CODE(0x48, 0x8d, 0x47, 0xf0, 0x48, 0x8b, 0x40, 0x10) },
	{ "movdqu load", DATA, 1, 16, CODE(0xf3, 0x0f, 0x6f, 0x07) },
	{ "movdqu store", DATA, 1, 16, CODE(0xf3, 0x0f, 0x7f, 0x07) },
	{ "movaps store", DATA, 16, 16, CODE(0x0f, 0x29, 0x07) },
	{ "fld", DATA, 1, 8, CODE(0xdd, 0x07, 0xdd, 0xd8) },
	{ "fstp", DATA, 1, 8, CODE(0xd9, 0xe8, 0xdd, 0x1f) },
	{ "push from memory", DATA, 1, 8, CODE(0xff, 0x37, 0x5a) },
	{ "rep movsb from", DATA, 1, 1, CODE(0x56, 0x48, 0x89, 0xfe, 0x4c, 0x89, 0xc7, 0xb9, 16, 0, 0, 0, 0xf3, 0xa4,
					   0x5e) },
	{ "rep stosb", DATA, 1, 1, CODE(0xb9, 16, 0, 0, 0, 0xf3, 0xaa) },
	{ "push", STACK, 1, 8, CODE(0x48, 0x89, 0xfc, 0x50) },
	{ "pop", STACK, 1, 8, CODE(0x48, 0x89, 0xfc, 0x58) },
	{ "call over the stack", STACK, 1, 8, CODE(0x48, 0x89, 0xfc, 0xe8, 0, 0, 0, 0) },
	{ "jump", JUMP, 1, 1, CODE(0xff, 0xe7) },
	{ "jump through memory", JUMP, 1, 1, CODE(0xff, 0x66, 0xf8) },
	{ "call and return", JUMP, 1, 1, CODE(0xff, 0xd7) },
	{ "push and return", JUMP, 1, 1, CODE(0x57, 0xc3) },
};

/* l: mov rdi, [rsi]; add rsi, 8; the attack; jmp l */
static void put_attack(struct rig *r, const struct attack *a)
{
	static const uint8_t begin[] = { 0x48, 0x8b, 0x3e, 0x48, 0x83, 0xc6, 0x08 };
	uint8_t end[2] = { 0xeb, 0 };
	end[1] = (uint8_t)-(int)(sizeof(begin) + a->len + sizeof(end));
	rig_put(r, RIG_CODE, begin, sizeof(begin));
	rig_put(r, RIG_CODE + sizeof(begin), a->code, a->len);
	rig_put(r, RIG_CODE + sizeof(begin) + a->len, end, sizeof(end));
}

static void put_addresses(struct rig *r, const struct attack *a, uint64_t bad)
{
	for (unsigned n = 0; n < HARMLESS; n++) {
		uint64_t good = GOOD + 0x40 * (n % 16);
		if (a->kind == STACK)
			good = GOOD + 0x100 * (n % 8) + 0x100;
		if (a->kind == JUMP) /* where the attack is followed by the jump back, or the loop's own start */
			good = a->code[0] == 0xff && a->code[1] == 0xd7 ? FUNCTION : RIG_CODE;
		rig_put(r, TABLE + n * 8, &good, 8);
	}
	rig_put(r, TABLE + HARMLESS * 8, &bad, 8);
	rig_put(r, FUNCTION, "\xc3", 1);
}

static uint64_t ram_sum(struct rig *r)
{
	const uint64_t *at = gmem_at(r->vm.mem, OUTSIDE, RIG_RAM - OUTSIDE);
	uint64_t sum = 0;
	for (size_t n = 0; n < (RIG_RAM - OUTSIDE) / 8; n++)
		sum = sum * 31 + at[n];
	return sum;
}

static bool canonical(uint64_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

/* What the processor raises there; stack: #SS rather than #GP. */
static unsigned wanted(const struct attack *a, uint64_t bad)
{
	uint64_t first = a->kind == STACK && a->code[3] != 0x58 ? bad - 8 : bad;
	uint64_t last = first + a->bytes - 1;
	if (!canonical(first) || !canonical(last) || last < first)
		return a->kind == STACK ? X86_SS_FAULT : X86_GP;
	if (a->align > 1 && first % a->align)
		return X86_GP;
	return X86_PF;
}

static void assault(struct fixture *f, const struct attack *a, uint64_t bad)
{
	struct rig *r = &f->r;
	put_attack(r, a);
	put_addresses(r, a, bad);
	uint64_t before = ram_sum(r);
	fresh(f);
	enum vcpu_exit out = rig_run(r);
	unsigned vector = (unsigned)((r->s.rip - 1 - HANDLERS) / 16);
	if (out != VCPU_EXIT_HALTED || vector != wanted(a, bad))
		fail_msg("%s at %" PRIx64 ": exit %d, RIP %" PRIx64 " (vector %u, wanted %u)", a->name, bad, out,
			 r->s.rip, vector, wanted(a, bad));
	uint64_t from = a->kind == STACK && a->code[3] != 0x58 ? bad - 8 : bad;
	if (vector == X86_PF && r->s.cr2 - from >= a->bytes)
		fail_msg("%s at %" PRIx64 ": CR2 %" PRIx64, a->name, bad, r->s.cr2);
	if (r->s.gpr[X86_RSI] != TABLE + (HARMLESS + 1) * 8 && a->kind != JUMP && strncmp(a->name, "rep movsb", 9))
		fail_msg("%s at %" PRIx64 ": not in the last turn", a->name, bad);
	assert_memory_equal(f->canary, f->want, CANARY);
	assert_int_equal(ram_sum(r), before);
}

static void all_attacks(struct fixture *f, uint64_t bad)
{
	for (unsigned n = 0; n < sizeof(attacks) / sizeof(*attacks); n++)
		assault(f, &attacks[n], bad);
}

/* Mappings of this process, by their permissions. */
static uint64_t mapping(const char *permissions, unsigned skip)
{
	char line[512], p[8];
	uint64_t from = 0, at;
	FILE *m = fopen("/proc/self/maps", "r");
	assert_non_null(m);
	while (fgets(line, sizeof(line), m))
		if (sscanf(line, "%" SCNx64 "-%*x %7s", &at, p) == 2 && !strncmp(p, permissions, 3) && !skip--)
			from = at;
	fclose(m);
	return from;
}

/* ---- tests ---- */
static void test_host_addresses(void **state)
{
	struct fixture *f = *state;
	int here;
	const uint64_t places[] = {
		(uintptr_t)f->canary, (uintptr_t)f->canary + 4096 - 3, (uintptr_t)gmem_at(f->r.vm.mem, 0, 1),
		(uintptr_t)gmem_at(f->r.vm.mem, OUTSIDE, 1), (uintptr_t)&here & ~UINT64_C(15), (uintptr_t)&f->r.vm,
		(uintptr_t)f->r.vcpu[0].accel_data, (uintptr_t)test_host_addresses & ~UINT64_C(15),
		(uintptr_t)stdout,
	};
	for (unsigned n = 0; n < sizeof(places) / sizeof(*places); n++)
		all_attacks(f, places[n]);
	/* The code that is being executed, among others. */
	for (unsigned n = 0; n < 64; n++) {
		uint64_t at = mapping("r-x", n);
		if (!at)
			break;
		for (unsigned k = 0; k < sizeof(attacks) / sizeof(*attacks); k += 3)
			assault(f, &attacks[k], at);
		assault(f, &attacks[2], at + 0x40);
	}
}

static void test_edges(void **state)
{
	static const uint64_t bad[] = {
		0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000, 0x7fffffffffffffff, 0x0001000000060000,
		/* a good page, and bits that a tag might lose */
		0x8000000000060000, 0x0000800000060000, 0xfffe000000060000,
		0xffff800000060000, 0x0000000400060000, 0x0000000100060000, 0x0000008000060000,
		0x0000000000600000, 0x0000000000a60000, 0x0000000000200000 + 0x60000, /* the same slot of the TLB */
		0xfffffffffffff000, 0xffffffffffffffc0, 0xffff800000000000, 0x00007ffffffff000, 0x0000000000201000,
		0x00007ffffffffff0,
	};
	struct fixture *f = *state;
	for (unsigned n = 0; n < sizeof(bad) / sizeof(*bad); n++)
		all_attacks(f, bad[n]);
}

/* Over the end of a page into one that is not mapped: CR2 is the second page's. */
static void test_page_end(void **state)
{
	struct fixture *f = *state;
	for (unsigned n = 0; n < sizeof(attacks) / sizeof(*attacks); n++) {
		const struct attack *a = &attacks[n];
		if (a->kind != DATA || a->bytes < 2 || a->align > 1)
			continue;
		for (unsigned before = 1; before < a->bytes; before++)
			assault(f, a, OUTSIDE - before);
	}
}

/* ---- the guest's own page at an address of this process ---- */
static void map(struct rig *r, uint64_t lin, uint64_t gpa, unsigned slot)
{
	const uint64_t table = SPARE_TABLES + slot * 0x3000;
	const uint64_t entry[4] = { table | 7, (table + 0x1000) | 7, (table + 0x2000) | 7, gpa | 7 };
	const uint64_t at[4] = { RIG_PML4 + (lin >> 39 & 511) * 8, table + (lin >> 30 & 511) * 8,
				 table + 0x1000 + (lin >> 21 & 511) * 8, table + 0x2000 + (lin >> 12 & 511) * 8 };
	for (unsigned n = 0; n < 4; n++)
		rig_put(r, at[n], &entry[n], 8);
}

static void test_own_page_at_host_address(void **state)
{
	struct fixture *f = *state;
	struct rig *r = &f->r;
	const uint64_t at = (uintptr_t)f->canary & ~UINT64_C(0xfff);
	map(r, at, FRAMES, 0);
	put_attack(r, &attacks[2]); /* store 8 */
	put_addresses(r, &attacks[2], at + 0x120);
	const uint64_t end = 0x0000800000000000;
	rig_put(r, TABLE + (HARMLESS + 1) * 8, &end, 8);
	fresh(f);
	r->s.gpr[X86_RAX] = 0x1122334455667788;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.rip, HANDLERS + X86_GP * 16 + 1);
	assert_int_equal(rig_get(r, FRAMES + 0x120, 8), 0x1122334455667788);
	assert_memory_equal(f->canary, f->want, CANARY);
}

/* The guest's code at the address of the translator's: its own is what runs there. */
static void test_own_code_at_host_code(void **state)
{
	struct fixture *f = *state;
	struct rig *r = &f->r;
	for (unsigned n = 0; n < 16; n++) {
		uint64_t at = mapping("r-x", n) & ~UINT64_C(0xfff);
		if (!at || !canonical(at))
			break;
		map(r, at, FRAMES, 0);
		rig_put(r, FRAMES + 0x40, "\xbb\x2a\0\0\0\xf4", 6); /* mov ebx, 42; hlt */
		put_attack(r, &attacks[24]);                       /* jump */
		put_addresses(r, &attacks[24], at + 0x40);
		fresh(f);
		assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
		assert_int_equal(r->s.gpr[X86_RBX], 42);
		assert_int_equal(r->s.rip, at + 0x46);
	}
}

static void test_write_xor_execute(void **state)
{
	char line[512], p[8];
	FILE *m = fopen("/proc/self/maps", "r");
	unsigned executable = 0;
	assert_non_null(m);
	while (fgets(line, sizeof(line), m)) {
		assert_int_equal(sscanf(line, "%*x-%*x %7s", p), 1);
		if (p[1] == 'w' && p[2] == 'x')
			fail_msg("writable and executable: %s", line);
		executable += p[2] == 'x' && strstr(line, "panal-code");
	}
	fclose(m);
	assert_true(executable > 0);
}

/* ---- two vCPUs ---- */
static void *second_vcpu(void *opaque)
{
	struct rig *r = opaque;
	assert_int_equal(accel_soft.vcpu_run(&r->vcpu[1]), VCPU_EXIT_HALTED);
	return NULL;
}

static void run_both(struct rig *r, uint64_t second_rip)
{
	struct err e = { 0 };
	struct x86_state s = r->s;
	pthread_t id;
	s.rip = second_rip;
	s.gpr[X86_RSP] = RIG_STACK - 0x1000;
	assert_int_equal(accel_soft.set_state(&r->vcpu[1], &s, &e), 0);
	assert_int_equal(pthread_create(&id, NULL, second_vcpu, r), 0);
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	pthread_join(id, NULL);
}

enum { WINDOW = 0x70000, FLAG = 0x61000, TURNS = 200000 };

/*
 * One vCPU turns a page over between two frames; the other drops its translation each time and reads. It may see either
 * frame, and nothing else; when the first is done the last one.
 */
static void test_remap_race(void **state)
{
	struct fixture *f = *state;
	struct rig *r = &f->r;
	/* l: invlpg [rdi]; mov rax, [rdi]; cmp rax, 0x11; je ok; cmp rax, 0x22; jne bad;
	 * ok: cmp dword [rdx], 0; je l; invlpg [rdi]; mov rax, [rdi]; hlt; bad: mov ebx, 1; hlt */
	static const uint8_t reader[] = {
		0x0f, 0x01, 0x3f, 0x48, 0x8b, 0x07, 0x48, 0x83, 0xf8, 0x11, 0x74, 0x06, 0x48, 0x83, 0xf8, 0x22, 0x75,
		0x0c, 0x83, 0x3a, 0x00, 0x74, 0xe9, 0x0f, 0x01, 0x3f, 0x48, 0x8b, 0x07, 0xf4, 0xbb, 1, 0, 0, 0, 0xf4,
	};
	/* l: xor qword [r9], 0x1000; dec ecx; jnz l; mov dword [rdx], 1; hlt */
	static const uint8_t writer[] = {
		0x49, 0x81, 0x31, 0x00, 0x10, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf5, 0xc7, 0x02, 1, 0, 0, 0, 0xf4,
	};
	const uint64_t first = 0x11, second = 0x22, none = 0;
	rig_put(r, RIG_CODE, reader, sizeof(reader));
	rig_put(r, RIG_CODE + 0x1000, writer, sizeof(writer));
	rig_put(r, FRAMES, &first, 8);
	rig_put(r, FRAMES + 0x1000, &second, 8);
	rig_put(r, FLAG, &none, 8);
	*rig_pte(r, WINDOW) = FRAMES | 7;
	fresh(f);
	r->s.gpr[X86_RDI] = WINDOW;
	r->s.gpr[X86_RDX] = FLAG;
	r->s.gpr[X86_R9] = RIG_PT + (WINDOW >> 12) * 8;
	r->s.gpr[X86_RCX] = TURNS + 1;
	run_both(r, RIG_CODE + 0x1000);
	assert_int_equal(r->s.gpr[X86_RBX], 0);
	assert_int_equal(r->s.gpr[X86_RAX], 0x22);
}

/* One vCPU writes the constant of an instruction that the other executes in a loop: it sees values in order. */
static void test_code_race(void **state)
{
	struct fixture *f = *state;
	struct rig *r = &f->r;
	/* l: mov eax, 0; cmp eax, ebp; jb bad; mov ebp, eax; cmp eax, ecx; jb l; hlt; bad: mov ebx, 1; hlt */
	static const uint8_t reader[] = {
		0xb8, 0, 0, 0, 0, 0x39, 0xe8, 0x72, 0x07, 0x89, 0xc5, 0x39, 0xc8, 0x72, 0xf1, 0xf4, 0xbb, 1, 0, 0, 0,
		0xf4,
	};
	/* l: inc eax; mov [rdi], eax; mov edx, 2000; m: dec edx; jnz m; cmp eax, ecx; jb l; hlt */
	static const uint8_t writer[] = {
		0xff, 0xc0, 0x89, 0x07, 0xba, 0xd0, 0x07, 0, 0, 0xff, 0xca, 0x75, 0xfc, 0x39, 0xc8, 0x72, 0xef, 0xf4,
	};
	/* The constant is aligned: a store to it is seen whole. */
	rig_put(r, RIG_CODE + 3, reader, sizeof(reader));
	rig_put(r, RIG_CODE + 0x1000, writer, sizeof(writer));
	fresh(f);
	r->s.rip = RIG_CODE + 3;
	r->s.gpr[X86_RDI] = RIG_CODE + 4;
	r->s.gpr[X86_RCX] = 3000;
	r->s.gpr[X86_RAX] = 0;
	run_both(r, RIG_CODE + 0x1000);
	assert_int_equal(r->s.gpr[X86_RBX], 0);
	assert_int_equal(r->s.gpr[X86_RAX], 3000);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_host_addresses), WITH(test_edges), WITH(test_page_end), WITH(test_own_page_at_host_address),
		WITH(test_own_code_at_host_code), WITH(test_write_xor_execute), WITH(test_remap_race),
		WITH(test_code_race),
		cmocka_unit_test_setup_teardown(test_host_addresses, setup_interpreted, teardown),
		cmocka_unit_test_setup_teardown(test_edges, setup_interpreted, teardown),
		cmocka_unit_test_setup_teardown(test_page_end, setup_interpreted, teardown),
		cmocka_unit_test_setup_teardown(test_remap_race, setup_interpreted, teardown),
		cmocka_unit_test_setup_teardown(test_code_race, setup_interpreted, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
