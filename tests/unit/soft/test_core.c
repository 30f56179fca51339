/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core of the soft CPU: paging, faults, code that changes, strings in pieces, the run loop. */
#include "rig.h"
#include "base/bytes.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define CODE(r, at, ...) \
	do { \
		static const uint8_t code_[] = { __VA_ARGS__ }; \
		rig_put(r, at, code_, sizeof(code_)); \
	} while (0)

static int setup64(void **state)
{
	static struct rig r[1];
	rig_init(r, RIG_64);
	*state = r;
	return 0;
}
static int setup32(void **state)
{
	static struct rig r[1];
	rig_init(r, RIG_32);
	*state = r;
	return 0;
}
static int setup_real(void **state)
{
	static struct rig r[1];
	rig_init(r, RIG_REAL);
	*state = r;
	return 0;
}
static int teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static void expect_fault(struct rig *r, unsigned vector, uint32_t code, uint64_t rip)
{
	assert_true(r->result.raised);
	assert_int_equal(r->result.vector, vector);
	assert_int_equal(r->result.code, code);
	assert_int_equal(r->s.rip, rip);
}

static void test_arith(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x48, 0x01, 0xd8,       /* add rax, rbx */
	     0x48, 0x89, 0x07,                    /* mov [rdi], rax */
	     0xff, 0x47, 0x08,                    /* inc dword [rdi+8] */
	     0xf0, 0x48, 0x0f, 0xc1, 0x5f, 0x10); /* lock xadd [rdi+16], rbx */
	r->s.gpr[X86_RAX] = UINT64_MAX;
	r->s.gpr[X86_RBX] = 2;
	r->s.gpr[X86_RDI] = RIG_DATA;
	rig_step(r, 4);
	assert_false(r->result.raised);
	assert_int_equal(r->result.executed, 4);
	assert_int_equal(rig_get(r, RIG_DATA, 8), 1);
	assert_int_equal(rig_get(r, RIG_DATA + 8, 4), 1);
	assert_int_equal(rig_get(r, RIG_DATA + 16, 8), 2);
	assert_int_equal(r->s.gpr[X86_RBX], 0);
}

/* ---- paging ---- */
static void test_page_faults(void **state)
{
	static const struct {
		uint64_t pte;
		bool user, write;
		uint32_t cr0_clear, cr4_set;
		int code; /* -1: no fault */
	} row[] = {
		{ 0, false, false, 0, 0, 0 },
		{ 0, false, true, 0, 0, X86_PF_W },
		{ 0, true, true, 0, 0, X86_PF_W | X86_PF_U },
		{ 1, false, false, 0, 0, -1 },
		{ 1, false, true, 0, 0, X86_PF_P | X86_PF_W },
		{ 1, false, true, X86_CR0_WP, 0, -1 },
		{ 3, true, false, 0, 0, X86_PF_P | X86_PF_U },
		{ 5, true, true, X86_CR0_WP, 0, X86_PF_P | X86_PF_U | X86_PF_W },
		{ 7, true, true, 0, 0, -1 },
		{ 7, false, false, 0, X86_CR4_SMAP, X86_PF_P },
		{ 7, false, true, 0, X86_CR4_SMAP, X86_PF_P | X86_PF_W },
		{ 7 | UINT64_C(1) << 51, false, false, 0, 0, X86_PF_P | X86_PF_RSVD },
	};
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x8b, 0x07, /* mov eax, [rdi] */
	     0x89, 0x07);             /* mov [rdi], eax */
	for (unsigned n = 0; n < COUNT_OF(row); n++) {
		rig_state(r, RIG_64);
		if (row[n].user)
			rig_user(r);
		*rig_pte(r, RIG_DATA) = row[n].pte ? row[n].pte | RIG_DATA : 0;
		/* code and stack as supervisor pages where SMAP and SMEP matter */
		r->s.cr0 &= ~(uint64_t)row[n].cr0_clear;
		r->s.cr4 |= row[n].cr4_set;
		r->s.rip += row[n].write ? 2 : 0;
		r->s.gpr[X86_RDI] = RIG_DATA + 0x123;
		uint64_t rip = r->s.rip;
		rig_step(r, 1);
		if (row[n].code < 0) {
			assert_false(r->result.raised);
			assert_int_equal(*rig_pte(r, RIG_DATA) & 0x60, row[n].write ? 0x60 : 0x20);
		} else {
			expect_fault(r, X86_PF, (uint32_t)row[n].code, rip);
			assert_int_equal(r->s.cr2, RIG_DATA + 0x123);
			assert_int_equal(*rig_pte(r, RIG_DATA) & 0x60, 0);
		}
	}
}

static void test_fetch_faults(void **state)
{
	struct rig *r = *state;
	/* mov eax, imm32 whose last two bytes lie in the next page */
	CODE(r, RIG_CODE + 0xffd, 0xb8, 1, 2, 3, 4);
	r->s.rip = RIG_CODE + 0xffd;
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_int_equal(r->s.gpr[X86_RAX], 0x04030201);
	*rig_pte(r, RIG_CODE + 0x1000) = 0;
	rig_state(r, RIG_64);
	r->s.rip = RIG_CODE + 0xffd;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_I, RIG_CODE + 0xffd);
	assert_int_equal(r->s.cr2, RIG_CODE + 0x1000);
	/* an instruction that ends with the page needs nothing of the next */
	CODE(r, RIG_CODE + 0xffe, 0x89, 0xd8);
	rig_state(r, RIG_64);
	r->s.rip = RIG_CODE + 0xffe;
	rig_step(r, 1);
	assert_false(r->result.raised);
	/* NX */
	*rig_pte(r, RIG_DATA) |= UINT64_C(1) << 63;
	rig_state(r, RIG_64);
	r->s.rip = RIG_DATA;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_I | X86_PF_P, RIG_DATA);
	/* SMEP */
	rig_state(r, RIG_64);
	r->s.cr4 |= X86_CR4_SMEP;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_I | X86_PF_P, RIG_CODE);
}

static void test_crossing_store(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x48, 0x89, 0x07); /* mov [rdi], rax */
	r->s.gpr[X86_RDI] = RIG_DATA + 0xffc;
	r->s.gpr[X86_RAX] = UINT64_C(0x1122334455667788);
	*rig_pte(r, RIG_DATA + 0x1000) = 0;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_W, RIG_CODE);
	assert_int_equal(r->s.cr2, RIG_DATA + 0x1000);
	assert_int_equal(rig_get(r, RIG_DATA + 0xffc, 4), 0);
	*rig_pte(r, RIG_DATA + 0x1000) = 0x40000 | 7;
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_int_equal(rig_get(r, RIG_DATA + 0xffc, 4), 0x55667788);
	assert_int_equal(rig_get(r, 0x40000, 4), 0x11223344);
}

struct neighbour {
	uint8_t *byte;
	_Atomic bool begun, over;
	unsigned lost;
};

/* Plain stores to a byte that only this thread changes: each must still be there at the next look. */
static void *store_beside(void *arg)
{
	struct neighbour *n = arg;
	uint8_t v = 0;
	while (!atomic_load(&n->over)) {
		__atomic_store_n(n->byte, ++v, __ATOMIC_SEQ_CST);
		atomic_store(&n->begun, true);
		for (unsigned k = 0; k < 50; k++)
			n->lost += __atomic_load_n(n->byte, __ATOMIC_SEQ_CST) != v;
	}
	return NULL;
}

/* LOCK ADD of 8 bytes over a page's end never takes back what another thread stores to one of them; and where the
 * second page lies elsewhere the sum is right. Few rounds: some hosts slow such locks down by a thousand times. */
static void test_crossing_lock(void **state)
{
	enum { ROUNDS = 4000, HIGH = 4 };
	struct rig *r = *state;
	struct neighbour n = { .byte = (uint8_t *)gmem_at(r->vm.mem, RIG_DATA + 0x1000, HIGH) + HIGH - 1 };
	pthread_t t;
	/* 1: lock add qword [rdi], 1; dec ecx; jnz 1b; hlt */
	CODE(r, RIG_CODE, 0xf0, 0x48, 0x83, 0x07, 0x01, 0xff, 0xc9, 0x75, 0xf7, 0xf4);
	r->s.gpr[X86_RDI] = RIG_DATA + 0xffc;
	r->s.gpr[X86_RCX] = ROUNDS;
	assert_int_equal(pthread_create(&t, NULL, store_beside, &n), 0);
	while (!atomic_load(&n.begun))
		sched_yield();
	rig_run(r);
	atomic_store(&n.over, true);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(rig_get(r, RIG_DATA + 0xffc, 4), ROUNDS);
	assert_int_equal(n.lost, 0);

	rig_state(r, RIG_64);
	*rig_pte(r, RIG_DATA + 0x1000) = 0x40000 | 7;
	r->s.gpr[X86_RDI] = RIG_DATA + 0xffc;
	r->s.gpr[X86_RCX] = 1;
	rig_put(r, RIG_DATA + 0xffc, (const uint8_t[]){ 0xff, 0xff, 0xff, 0xff }, 4);
	rig_run(r);
	assert_int_equal(rig_get(r, RIG_DATA + 0xffc, 4), 0);
	assert_int_equal(rig_get(r, 0x40000, 4), 1);
}

static void test_large_page(void **state)
{
	struct rig *r = *state;
	uint64_t pde = 0x200000 | 0x87;
	rig_put(r, RIG_PD + 8, &pde, 8); /* 2 MiB at 2 MiB */
	CODE(r, RIG_CODE, 0x48, 0x89, 0x07);
	r->s.gpr[X86_RDI] = 0x212345;
	r->s.gpr[X86_RAX] = 77;
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_int_equal(rig_get(r, 0x212345, 8), 77);
	assert_int_equal(rig_get(r, RIG_PD + 8, 8), pde | 0x60);
	pde |= 1 << 14; /* a reserved address bit of a large page */
	rig_put(r, RIG_PD + 8, &pde, 8);
	r->s.rip = RIG_CODE;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_P | X86_PF_RSVD | X86_PF_W, RIG_CODE);
}

static void test_canonical(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x8b, 0x07, /* mov eax, [rdi] */
	     0x8b, 0x45, 0x00);       /* mov eax, [rbp] */
	r->s.gpr[X86_RDI] = r->s.gpr[X86_RBP] = UINT64_C(1) << 47;
	rig_step(r, 1);
	expect_fault(r, X86_GP, 0, RIG_CODE);
	r->s.rip = RIG_CODE + 2;
	rig_step(r, 1);
	expect_fault(r, X86_SS_FAULT, 0, RIG_CODE + 2);
}

/* ---- strings ---- */
static void test_rep_fault(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0xf3, 0xa4); /* rep movsb */
	uint8_t pattern[256];
	for (unsigned n = 0; n < sizeof(pattern); n++)
		pattern[n] = (uint8_t)(n * 7 + 1);
	rig_put(r, RIG_DATA, pattern, sizeof(pattern));
	*rig_pte(r, RIG_DATA + 0x2000) = 0;
	r->s.gpr[X86_RSI] = RIG_DATA;
	r->s.gpr[X86_RDI] = RIG_DATA + 0x1fa0; /* 96 bytes until the hole */
	r->s.gpr[X86_RCX] = 200;
	rig_step(r, 1);
	expect_fault(r, X86_PF, X86_PF_W, RIG_CODE);
	assert_int_equal(r->s.cr2, RIG_DATA + 0x2000);
	assert_int_equal(r->s.gpr[X86_RCX], 104);
	assert_int_equal(r->s.gpr[X86_RSI], RIG_DATA + 96);
	assert_int_equal(r->s.gpr[X86_RDI], RIG_DATA + 0x2000);
	*rig_pte(r, RIG_DATA + 0x2000) = 0x50000 | 7;
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_int_equal(r->s.gpr[X86_RCX], 0);
	assert_int_equal(r->s.rip, RIG_CODE + 2);
	for (unsigned n = 0; n < 200; n++)
		assert_int_equal(rig_get(r, n < 96 ? RIG_DATA + 0x1fa0 + n : 0x50000 + n - 96, 1), pattern[n]);
}

static void test_rep_overlap(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0xf3, 0xa5); /* rep movsd: a pattern feeds itself */
	uint64_t v = 0xa1b2c3d4;
	rig_put(r, RIG_DATA, &v, 4);
	r->s.gpr[X86_RSI] = RIG_DATA;
	r->s.gpr[X86_RDI] = RIG_DATA + 4;
	r->s.gpr[X86_RCX] = 5000;
	for (unsigned n = 0; n < 8; n++)
		*rig_pte(r, RIG_DATA + n * 4096) = 0x80000 | n << 12 | 7;
	rig_put(r, 0x80000, &v, 4);
	rig_step(r, 1);
	assert_false(r->result.raised);
	for (unsigned n = 0; n <= 5000; n++)
		assert_int_equal(rig_get(r, 0x80000 + n * 4, 4), v);
}

/* ---- code that changes ---- */
static void test_self_modifying(void **state)
{
	struct rig *r = *state;
	/* the store changes the immediate of the instruction after it, in the same block */
	CODE(r, RIG_CODE, 0xb9, 5, 0, 0, 0,   /* mov ecx, 5 */
	     0x31, 0xdb,                      /* xor ebx, ebx */
	     0x89, 0x0d, 1, 0, 0, 0,          /* l: mov [rip+1], ecx (the immediate below) */
	     0xb8, 0, 0, 0, 0,                /* mov eax, 0 */
	     0x01, 0xc3,                      /* add ebx, eax */
	     0xff, 0xc9,                      /* dec ecx */
	     0x75, 0xef,                      /* jnz l */
	     0xf4);                           /* hlt */
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RBX], 15);
}

static void test_device_writes_code(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0xb8, 1, 0, 0, 0, 0xf4);
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RAX], 1);
	CODE(r, RIG_CODE, 0xb8, 2, 0, 0, 0, 0xf4);
	r->s.rip = RIG_CODE;
	r->s.mp = X86_MP_RUNNABLE;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RAX], 2);
}

static void test_atomic_on_code(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0xf0, 0xff, 0x05, 1, 0, 0, 0, /* lock inc dword [rip+1] */
	     0xb8, 41, 0, 0, 0,                         /* mov eax, 41 */
	     0xf4);
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RAX], 42);
}

/* The same physical page under two addresses. */
static void test_alias_writes_code(void **state)
{
	struct rig *r = *state;
	*rig_pte(r, 0x60000) = RIG_CODE | 7;
	CODE(r, RIG_CODE, 0xc6, 0x07, 7,    /* mov byte [rdi], 7: fills the write translation before */
	     0xe8, 9, 0, 0, 0,              /* call f */
	     0xc6, 0x06, 9,                 /* mov byte [rsi], 9 */
	     0xe8, 1, 0, 0, 0,              /* call f */
	     0xf4,                          /* hlt */
	     0xb8, 0, 0, 0, 0,              /* f: mov eax, 0 */
	     0x48, 0xc1, 0xe3, 0x08,        /* shl rbx, 8 */
	     0x48, 0x09, 0xc3,              /* or rbx, rax */
	     0xc3);                         /* ret */
	r->s.gpr[X86_RDI] = 0x60000 + 18;
	r->s.gpr[X86_RSI] = RIG_CODE + 18;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RBX], 0x0709);
}

/* ---- modes ---- */
static void test_real_mode(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0xb8, 0x34, 0x12,  /* mov ax, 1234 */
	     0x8e, 0xd8,                     /* mov ds, ax */
	     0xbb, 0xff, 0xff,               /* mov bx, ffff */
	     0x88, 0x07,                     /* mov [bx], al */
	     0x89, 0x07);                    /* mov [bx], ax: over the limit */
	rig_step(r, 4);
	assert_false(r->result.raised);
	assert_int_equal(rig_get(r, 0x12340 + 0xffff, 1), 0x34);
	rig_step(r, 1);
	expect_fault(r, X86_GP, 0, 10);
}

/* The same IP under another CS is other code, also when the first was found before. */
static void test_real_mode_segments(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x83, 0xc3, 0x01,    /* add bx, 1 */
	     0xea, 0x00, 0x00, 0x00, 0x11);    /* jmp 1100:0 */
	CODE(r, 0x11000, 0x81, 0xc3, 0x00, 0x01, /* add bx, 100 */
	     0x49,                             /* dec cx */
	     0x74, 0x05,                       /* jz +5 */
	     0xea, 0x00, 0x00, 0x00, 0x10,     /* jmp 1000:0 */
	     0xf4);                            /* hlt */
	r->s.gpr[X86_RCX] = 5;
	r->s.gpr[X86_RBX] = 0;
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	assert_int_equal(r->s.gpr[X86_RBX], 0x0505);
}

static void test_flat32(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x60,      /* pushad */
	     0x89, 0x44, 0x8f, 0x04, /* mov [edi+ecx*4+4], eax */
	     0x61,                   /* popad */
	     0xc8, 0x10, 0x00, 0x00, /* enter 16, 0 */
	     0xc9,                   /* leave */
	     0xe8, 0, 0, 0, 0,       /* call +0 */
	     0x58);                  /* pop eax */
	r->s.gpr[X86_RDI] = RIG_DATA;
	r->s.gpr[X86_RCX] = 3;
	r->s.gpr[X86_RAX] = 0xcafe;
	r->s.gpr[X86_RBP] = 0x1234;
	rig_step(r, 7);
	assert_false(r->result.raised);
	assert_int_equal(rig_get(r, RIG_DATA + 16, 4), 0xcafe);
	assert_int_equal(r->s.gpr[X86_RSP], RIG_STACK);
	assert_int_equal(r->s.gpr[X86_RBP], 0x1234);
	assert_int_equal(r->s.gpr[X86_RAX], RIG_CODE + 16);
}

static void test_single_step(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x90, 0x90);
	r->s.rflags |= X86_FLAG_TF;
	rig_step(r, 2);
	expect_fault(r, X86_DB, 0, RIG_CODE + 1);
	assert_int_equal(r->result.executed, 1);
	assert_true(r->s.dr[6] & 1 << 14);
}

static void test_too_long(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	     0x90);
	rig_step(r, 1);
	expect_fault(r, X86_GP, 0, RIG_CODE);
	CODE(r, RIG_CODE, 0xf0, 0x90); /* lock nop */
	rig_step(r, 1);
	expect_fault(r, X86_UD, 0, RIG_CODE);
}

static void test_divide(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x48, 0xf7, 0xf9); /* idiv rcx */
	r->s.gpr[X86_RAX] = 0;
	r->s.gpr[X86_RDX] = UINT64_C(1) << 63;
	r->s.gpr[X86_RCX] = UINT64_MAX;
	rig_step(r, 1);
	expect_fault(r, X86_DE, 0, RIG_CODE);
	r->s.gpr[X86_RAX] = (uint64_t)-7;
	r->s.gpr[X86_RDX] = UINT64_MAX;
	r->s.gpr[X86_RCX] = 2;
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_int_equal(r->s.gpr[X86_RAX], (uint64_t)-3);
	assert_int_equal(r->s.gpr[X86_RDX], (uint64_t)-1);
}

/* ---- dirty log ---- */
static void count_page(void *opaque, uint64_t gpa)
{
	*(uint64_t *)opaque |= UINT64_C(1) << (gpa >> 16 & 63);
}

static void test_dirty_log(void **state)
{
	struct rig *r = *state;
	uint64_t seen = 0;
	CODE(r, RIG_CODE, 0x89, 0x07, 0xf0, 0x01, 0x06, 0xf4); /* mov [rdi], eax; lock add [rsi], eax; hlt */
	for (unsigned round = 0; round < 2; round++) {
		gmem_dirty_start(r->vm.mem);
		accel_soft.dirty_sync(&r->vm, true);
		rig_state(r, RIG_64);
		r->s.gpr[X86_RDI] = 0x40000;
		r->s.gpr[X86_RSI] = 0x50000;
		assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
		seen = 0;
		gmem_dirty_take(r->vm.mem, count_page, &seen);
		assert_int_equal(seen & 0x30, 0x30);
	}
	accel_soft.dirty_sync(&r->vm, false);
	gmem_dirty_stop(r->vm.mem);
}

/* ---- speed, printed only: a loop of eight integer instructions ---- */
static void test_speed(void **state)
{
	struct rig *r = *state;
	CODE(r, RIG_CODE, 0x48, 0x01, 0xd8,             /* l: add rax, rbx */
	     0x48, 0x89, 0xc2,                          /* mov rdx, rax */
	     0x48, 0xc1, 0xea, 0x03,                    /* shr rdx, 3 */
	     0x48, 0x31, 0xd0,                          /* xor rax, rdx */
	     0x48, 0x8b, 0x17,                          /* mov rdx, [rdi] */
	     0x48, 0x89, 0x57, 0x08,                    /* mov [rdi+8], rdx */
	     0x48, 0xff, 0xc9,                          /* dec rcx */
	     0x75, 0xe7,                                /* jnz l */
	     0xf4);
	struct timespec a, b;
	const unsigned loops = 400000;
	r->s.gpr[X86_RCX] = loops;
	r->s.gpr[X86_RDI] = RIG_DATA;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(rig_run(r), VCPU_EXIT_HALTED);
	clock_gettime(CLOCK_MONOTONIC, &b);
	double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
	print_message("speed: %.0f million instructions a second\n", loops * 8.0 / s * 1e-6);
	assert_int_equal(r->s.gpr[X86_RCX], 0);
}

/* XSAVE and XRSTOR carry AVX-512's registers in a state that has them on. */
static void test_xsave_512(void **state)
{
	/* xsave64 [rsi]; vpxorq zmm31, zmm31, zmm31; vpxorq zmm1, zmm1, zmm1; kxorq k3, k3, k3; xrstor64 [rsi]; hlt */
	static const uint8_t code[] = {
		0x48, 0x0f, 0xae, 0x26, 0x62, 0x01, 0x85, 0x40, 0xef, 0xff, 0x62, 0xf1, 0xf5,
		0x48, 0xef, 0xc9, 0xc4, 0xe1, 0xe4, 0x47, 0xdb, 0x48, 0x0f, 0xae, 0x2e, 0xf4,
	};
	struct rig *r = *state;
	struct x86_fpu want;

	if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
	    !__builtin_cpu_supports("avx512vl"))
		skip();
	rig_put(r, RIG_CODE, code, sizeof(code));
	r->s.cr4 |= X86_CR4_OSXSAVE;
	r->s.xcr0 = 0xe7;
	r->s.gpr[X86_RSI] = RIG_DATA;
	r->s.gpr[X86_RAX] = 0xe7;
	r->s.gpr[X86_RDX] = 0;
	for (unsigned n = 0; n < sizeof(r->s.fpu.zmm); n++)
		((uint8_t *)r->s.fpu.zmm)[n] = (uint8_t)(n * 7 + n / 64 + 1);
	for (unsigned n = 0; n < 8; n++)
		r->s.fpu.k[n] = UINT64_C(0x0123456789abcdef) * (n + 1);
	want = r->s.fpu;
	rig_step(r, 4);
	assert_false(r->result.raised);
	assert_int_equal(r->s.fpu.zmm[31][63] | r->s.fpu.zmm[1][40] | r->s.fpu.k[3], 0);
	rig_step(r, 1);
	assert_false(r->result.raised);
	assert_memory_equal(r->s.fpu.zmm, want.zmm, sizeof(want.zmm));
	assert_memory_equal(r->s.fpu.k, want.k, sizeof(want.k));
	/* Without them on: #UD. */
	r->s.xcr0 = 7;
	r->s.rip = RIG_CODE + 4;
	rig_step(r, 1);
	assert_true(r->result.raised);
	assert_int_equal(r->result.vector, X86_UD);
}

/* The soft CPU goes on through vector code, and no further. */
static void test_step_vector(void **state)
{
	/* 3 times pxor xmm0, xmm1 with dec ecx, jnz; then 20 nops, pxor; and at RIG_CODE + 64: nop, pxor; out; pxor */
	static const uint8_t loop[] = { 0x66, 0x0f, 0xef, 0xc1, 0xff, 0xc9, 0x75, 0xf8 };
	static const uint8_t out[] = { 0x66, 0x0f, 0xef, 0xc1, 0x90, 0xe6, 0x80, 0x66, 0x0f, 0xef, 0xc1 };
	struct rig *r = *state;
	uint8_t nops[40];

	memset(nops, 0x90, sizeof(nops));
	rig_put(r, RIG_CODE, loop, sizeof(loop));
	rig_put(r, RIG_CODE + sizeof(loop), nops, sizeof(nops));
	r->s.gpr[X86_RCX] = 3;
	soft_step_run_vector(r->step, &r->s, 1000, 8, &r->result);
	assert_int_equal(r->s.gpr[X86_RCX], 0);
	assert_int_equal(r->result.executed, 9 + 6); /* 8 since the last: DEC, JNZ, 6 NOPs */
	assert_int_equal(r->s.rip, RIG_CODE + sizeof(loop) + 6);
	/* Not vector code: one alone. */
	soft_step_run_vector(r->step, &r->s, 1000, 8, &r->result);
	assert_int_equal(r->result.executed, 1);
	/* It ends before I/O. */
	rig_put(r, RIG_CODE, out, sizeof(out));
	r->s.rip = RIG_CODE;
	soft_step_run_vector(r->step, &r->s, 1000, 8, &r->result);
	assert_int_equal(r->s.rip, RIG_CODE + 5);
	/* In user mode each is alone. */
	rig_user(r);
	r->s.rip = RIG_CODE;
	soft_step_run_vector(r->step, &r->s, 1000, 8, &r->result);
	assert_int_equal(r->result.executed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arith, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_page_faults, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_fetch_faults, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_crossing_store, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_crossing_lock, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_large_page, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_canonical, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_rep_fault, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_rep_overlap, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_self_modifying, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_device_writes_code, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_atomic_on_code, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_alias_writes_code, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_real_mode, setup_real, teardown),
		cmocka_unit_test_setup_teardown(test_real_mode_segments, setup_real, teardown),
		cmocka_unit_test_setup_teardown(test_flat32, setup32, teardown),
		cmocka_unit_test_setup_teardown(test_single_step, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_divide, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_dirty_log, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_xsave_512, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_step_vector, setup64, teardown),
		cmocka_unit_test_setup_teardown(test_speed, setup64, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
