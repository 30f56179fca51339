/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One page of user code, and one behind it, at many addresses, each with data of its own next to it, entered in turns
 * as processes would that have the same library elsewhere. Whatever is in the code because of its address shows in
 * memory or in registers; translated code and the interpreter end in the same state, also where the last of the places
 * has no data.
 */
#include "accel/soft/soft.h"
#include "accel/soft/xlate.h"
#include "rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	LIST = 0x40000, IDT = 0x50000, GDT = 0x51000, TSS = 0x51800, HANDLERS = 0x52000, IST = 0x58000,
	TABLES = 0x200000, FRAMES = 0x300000, FAR = FRAMES + 0x1000, DATA = FRAMES + 0x2000,
	PLACES = 9, VISITS = 3000,
};

/* The page: RAX to RDI, R8 and memory are what it made; R15 is where it goes afterwards. The data are a page behind it,
 * the other page of code two. */
extern const uint8_t moved_code[], moved_end[], moved_far[], moved_far_end[], moved_driver[], moved_driver_end[];
asm(".pushsection .rodata\n"
    ".balign 4096\n"
    "moved_code:\n"
    "1:	mov moved_code+0x1000(%rip), %rax\n"
    "	lea moved_code(%rip), %rbx\n"
    "	add %rbx, %rax\n"
    "	rol $7, %rax\n"
    "	mov %rax, moved_code+0x1008(%rip)\n"
    "	add %rax, moved_code+0x1000(%rip)\n"
    "	test $3, %al\n"
    "	jz 3f\n"
    "	xor %rax, %rdx\n"
    "2:	call 5f\n"
    "	fildll moved_code+0x1010(%rip)\n"
    "	fnstenv moved_code+0x1020(%rip)\n"
    "	fstp %st(0)\n"
    "	call moved_code+0x2000\n"
    "	push moved_code+0x1008(%rip)\n"
    "	pop %rdi\n"
    "	lea moved_table(%rip), %r9\n"
    "	mov %edi, %r10d\n"
    "	and $1, %r10d\n"
    "	movsbq (%r9,%r10), %r10\n"
    "	add %r9, %r10\n"
    "	jmp *%r10\n"
    "3:	sub $5, %rdx\n"
    "	cmp %rbx, moved_code+0x1018(%rip)\n"
    "	mov %rbx, moved_code+0x1018(%rip)\n"
    "	adc $0, %rdx\n"
    "	jmp 2b\n"
    "5:	push %rbx\n"
    "	add 8(%rsp), %rdx\n"
    "	pop %r8\n"
    "	ret\n"
    "6:	movdqu moved_code+0x1020(%rip), %xmm1\n"
    "	pxor %xmm1, %xmm0\n"
    "	movq %xmm0, moved_code+0x1040(%rip)\n"
    "7:	dec %ecx\n"
    "	jnz 1b\n"
    "	xlatb\n" /* a handler's, in between */
    "	jmp *%r15\n"
    "moved_table: .byte 6b - moved_table, 7b - moved_table\n"
    "moved_end:\n"
    ".balign 4096\n"
    "	.skip 4096\n"
    "moved_far:\n"
    "	lea (%rip), %rsi\n"
    "	add %rsi, %rdx\n"
    "	add moved_code+0x1000(%rip), %rdi\n"
    "	ret\n"
    "moved_far_end:\n"
    /* R14: pairs of a place and a count, until a place is 0 */
    "moved_driver:\n"
    "	mov (%r14), %r11\n"
    "	mov 8(%r14), %rcx\n"
    "	add $16, %r14\n"
    "	lea moved_driver(%rip), %r15\n"
    "	test %r11, %r11\n"
    "	jz 1f\n"
    "	jmp *%r11\n"
    "1:	hlt\n"
    "moved_driver_end:\n"
    ".popsection\n");

/* As programs and libraries are; low, where nothing is moved; in the upper half of what a program may have. */
static const uint64_t places[PLACES] = {
	0x555555554000, 0x55d0c0de5000, 0x7f31a7fff000, 0x7f31a8003000, 0x200000000, 0x1ffff0000, 0x40000000,
	0x7ffeffffa000, 0x7fffffff8000,
};

struct run {
	struct rig rig;
	uint64_t next; /* free for page tables */
};

static void map(struct run *r, uint64_t lin, uint64_t frame)
{
	uint64_t table = RIG_PML4;
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t at = table + (lin >> shift & 511) * 8, entry = rig_get(&r->rig, at, 8);
		if (!(entry & 1)) {
			entry = r->next | 7;
			r->next += 0x1000;
			rig_put(&r->rig, at, &entry, 8);
		}
		table = entry & ~UINT64_C(0xfff);
	}
	const uint64_t entry = frame | 7;
	rig_put(&r->rig, table + (lin >> 12 & 511) * 8, &entry, 8);
}

static void prepare(struct run *r, const char *options)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff,
		   0x00cff3000000ffff };
	const uint64_t ist = IST;
	rig_init_options(&r->rig, RIG_64, options);
	r->next = TABLES;
	for (unsigned vector = 0; vector < 32; vector++)
		rig_gate(&r->rig, IDT, HANDLERS, vector);
	rig_put(&r->rig, GDT, gdt, sizeof(gdt));
	rig_put(&r->rig, TSS + 36, &ist, 8);
	rig_put(&r->rig, FRAMES, moved_code, (unsigned)(moved_end - moved_code));
	rig_put(&r->rig, FAR, moved_far, (unsigned)(moved_far_end - moved_far));
	rig_put(&r->rig, RIG_CODE, moved_driver, (unsigned)(moved_driver_end - moved_driver));
	for (unsigned n = 0; n < PLACES; n++) {
		map(r, places[n], FRAMES);
		map(r, places[n] + 0x2000, FAR);
		map(r, places[n] + 0x1000, DATA + n * 0x1000);
		const uint64_t seed[3] = { n * UINT64_C(0x9e3779b97f4a7c15), n, 3 * n + 1 };
		rig_put(&r->rig, DATA + n * 0x1000, seed, sizeof(seed));
	}
}

/* The order of visits: none: one place after the other, each once hot; else at random. */
static enum vcpu_exit run(struct run *r, unsigned order, uint64_t last)
{
	struct x86_state *s = &r->rig.s;
	uint64_t random = order;
	for (unsigned n = 0; n < VISITS; n++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		unsigned place = order ? (random >> 40) % PLACES : n * PLACES / VISITS;
		const uint64_t pair[2] = { places[place], 1 + (random >> 33) % 5 };
		rig_put(&r->rig, LIST + n * 16, pair, 16);
	}
	const uint64_t end[4] = { last, 1 };
	rig_put(&r->rig, LIST + VISITS * 16, end, sizeof(end));
	rig_state(&r->rig, RIG_64);
	s->idtr = (struct x86_table){ IDT, 32 * 16 - 1 };
	s->gdtr = (struct x86_table){ GDT, 39 };
	s->seg[X86_TR] = (struct x86_seg){ .base = TSS, .limit = 0x67, .attr = X86_AR_P | 11, .sel = 0x30 };
	s->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[X86_R14] = LIST;
	s->gpr[X86_RSP] = RIG_STACK;
	rig_user(&r->rig);
	return rig_run(&r->rig);
}

static void compare(const char *options, unsigned order, uint64_t last, uint64_t moved)
{
	static struct run hot, cold;
	prepare(&hot, options);
	prepare(&cold, "translate=off");
	enum vcpu_exit a = run(&hot, order, last), b = run(&cold, order, last);
	const struct x86_state *x = &hot.rig.s, *y = &cold.rig.s;
	if (a != b || x->rip != y->rip || x->rflags != y->rflags || x->cr2 != y->cr2 ||
	    memcmp(x->gpr, y->gpr, sizeof(x->gpr)))
		fail_msg("%s, order %u: exit %d and %d, RIP %" PRIx64 " and %" PRIx64, options, order, a, b, x->rip,
			 y->rip);
	/* The handler's frame and the stack, and every place's data with what FNSTENV said. */
	assert_memory_equal(gmem_at(hot.rig.vm.mem, 0, 0x100000), gmem_at(cold.rig.vm.mem, 0, 0x100000), 0x100000);
	assert_memory_equal(gmem_at(hot.rig.vm.mem, FRAMES, 0x20000), gmem_at(cold.rig.vm.mem, FRAMES, 0x20000),
			    0x20000);
	assert_true(xlate_stats(((struct soft_vcpu *)hot.rig.vcpu[0].accel_data)->c.xlate)->moved >= moved);
	rig_free(&hot.rig);
	rig_free(&cold.rig);
}

static void test_one_after_another(void **state)
{
	compare("hot=1", 0, 0, 20);
	compare("hot=16", 0, 0, 20);
}

static void test_in_turns(void **state)
{
	for (unsigned order = 1; order < 6; order++)
		compare(order & 1 ? "hot=2" : "hot=16", order, 0, 1000);
}

static void test_small_store(void **state)
{
	compare("hot=1,cache=64K", 7, 0, 100);
	compare("hot=1,chain=off", 8, 0, 100);
}

/* The last place is one where the data are missing: the fault's RIP, the flags and what was done before show. */
static void test_fault(void **state)
{
	compare("hot=2", 3, 0x7f31a8009000, 1000);
	compare("hot=2", 4, places[0] + 1, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_after_another), cmocka_unit_test(test_in_turns),
		cmocka_unit_test(test_small_store), cmocka_unit_test(test_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
