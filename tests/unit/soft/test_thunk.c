/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every encoding that the thunks accept, with random and awkward register contents, against the host's processor.
 * The memory of the "guest" is the test's own, at the same addresses, so that operands can be shared.
 */
#include "accel/soft/thunk.h"
#include "accel/soft/thunk_cache.h"
#include "accel/soft/thunk_priv.h"
#include "native.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

enum { AREA = 4096, MEM_BYTES = 256, FAULT_NONE = 0x100 };

struct fixture {
	struct soft_cpu *c;
	struct soft_vm *sv;
	struct thunk_cache *tc;
	ZydisDecoder d64, d32;
	uint8_t *area; /* two pages, then one that cannot be accessed */
	unsigned tested, failed, faults;
	uint8_t seen[ZYDIS_MNEMONIC_MAX_VALUE + 1], refused[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	uint64_t seed;
	unsigned effort; /* 1 for a quick run */
	bool wide; /* the host has AVX-512 */
	bool unmasked; /* SIMD and x87 exceptions unmasked at random */
};

static struct fixture fx;
static __thread jmp_buf fault_env;
static __thread unsigned fault_vector;

/* ---- what the thunks need of the soft CPU ---- */

void cpu_fault(struct soft_cpu *c, unsigned vector)
{
	fault_vector = vector;
	longjmp(fault_env, 1);
}

void cpu_fault_code(struct soft_cpu *c, unsigned vector, uint32_t code)
{
	cpu_fault(c, vector);
}

uint64_t insn_ea(const struct soft_cpu *c, const struct insn *i)
{
	uint64_t a = (uint64_t)(int64_t)i->disp;

	if (i->base != REG_NONE)
		a += c->s.gpr[i->base];
	if (i->index != REG_NONE)
		a += c->s.gpr[i->index] * i->scale;
	return a;
}

uint64_t seg_linear(struct soft_cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	return ea;
}

uint64_t insn_linear(struct soft_cpu *c, const struct insn *i, unsigned size, bool write)
{
	return insn_ea(c, i);
}

static void check_access(struct soft_cpu *c, uint64_t lin, unsigned len)
{
	if (lin < (uintptr_t)fx.area || lin + len > (uintptr_t)fx.area + 2 * AREA)
		cpu_fault(c, X86_PF);
}

void ld_buf(struct soft_cpu *c, uint64_t lin, void *buf, unsigned len)
{
	check_access(c, lin, len);
	memcpy(buf, (void *)lin, len);
}

void st_buf(struct soft_cpu *c, uint64_t lin, const void *buf, unsigned len)
{
	check_access(c, lin, len);
	memcpy((void *)lin, buf, len);
}

uint64_t ld(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	uint64_t v = 0;

	ld_buf(c, lin, &v, width);
	return v;
}

void st(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v) { st_buf(c, lin, &v, width); }
uint16_t ld16(struct soft_cpu *c, uint64_t lin) { return ld(c, lin, 2); }
uint32_t ld32(struct soft_cpu *c, uint64_t lin) { return ld(c, lin, 4); }
void st8(struct soft_cpu *c, uint64_t lin, uint8_t v) { st(c, lin, 1, v); }
void st16(struct soft_cpu *c, uint64_t lin, uint16_t v) { st(c, lin, 2, v); }
void st32(struct soft_cpu *c, uint64_t lin, uint32_t v) { st(c, lin, 4, v); }
void probe_write(struct soft_cpu *c, uint64_t lin, unsigned len) { check_access(c, lin, len); }
void probe_read(struct soft_cpu *c, uint64_t lin, unsigned len) { check_access(c, lin, len); }
void mmu_check_align(struct soft_cpu *c, uint64_t lin, unsigned align) {}
void mmu_check_range(struct soft_cpu *c, uint64_t lin, unsigned len) {}

uint64_t mmu_load_slow(struct soft_cpu *c, uint64_t lin, unsigned width) { return ld(c, lin, width); }
void mmu_store_slow(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v) { st(c, lin, width, v); }

void fpu_check_x87(struct soft_cpu *c, bool waits)
{
	if (c->s.cr0 & (X86_CR0_EM | X86_CR0_TS))
		cpu_fault(c, X86_NM);
	if (waits && (c->s.fpu.fsw & 0x80))
		cpu_fault(c, X86_MF);
}

void fpu_check_mmx(struct soft_cpu *c)
{
	fpu_check_x87(c, true);
}

void fpu_check_sse(struct soft_cpu *c)
{
	if (c->s.cr0 & X86_CR0_TS)
		cpu_fault(c, X86_NM);
}

void fpu_check_avx(struct soft_cpu *c)
{
	fpu_check_sse(c);
}

__attribute__((weak)) int err_set(struct err *e, int code, const char *fmt, ...) { return code; }
__attribute__((weak)) int err_errno(struct err *e, int value, const char *fmt, ...) { return -value; }

/* ---- random state ---- */

static uint64_t rnd(void)
{
	fx.seed ^= fx.seed << 13;
	fx.seed ^= fx.seed >> 7;
	fx.seed ^= fx.seed << 17;
	return fx.seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* A double, two singles, or bits, often near an edge of the formats. */
static uint64_t rnd_element(void)
{
	static const uint64_t edge64[] = { 0, UINT64_C(0x8000000000000000), UINT64_C(0x3ff0000000000000),
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff8000000000000), UINT64_C(0x7ff0000000000001), 1,
		UINT64_C(0x000fffffffffffff), UINT64_C(0x7fefffffffffffff), UINT64_C(0x43e0000000000000) };
	static const uint32_t edge32[] = { 0, 0x80000000, 0x3f800000, 0x7f800000, 0xffc00000, 0x7f800001, 1, 0x007fffff,
		0x7f7fffff, 0x4f000000, 0x00800000 };

	switch (rnd() % 5) {
	case 0: return edge64[rnd() % COUNT_OF(edge64)];
	case 1: return edge32[rnd() % COUNT_OF(edge32)] | (uint64_t)edge32[rnd() % COUNT_OF(edge32)] << 32;
	case 2: return (rnd() & UINT64_C(0x800fffffffffffff)) | (1023 - 20 + rnd() % 40) << 52;
	case 3: return (rnd() & UINT64_C(0x807fffff807fffff)) | (uint64_t)(107 + rnd() % 40) << 23 |
		       (uint64_t)(107 + rnd() % 40) << 55;
	default: return rnd();
	}
}

static void rnd_st(uint8_t *st)
{
	static const struct { uint64_t m; uint16_t e; } edge[] = {
		{ 0, 0 }, { 0, 0x8000 }, { UINT64_C(1) << 63, 0x3fff }, { UINT64_C(1) << 63, 0x7fff },
		{ UINT64_C(3) << 62, 0xffff }, { UINT64_C(0xa000000000000000), 0x7fff }, { 1, 0 },
		{ UINT64_C(1) << 63, 0 } /* pseudo-denormal */, { 12345, 0x4000 } /* unnormal */,
		{ 5, 0x7fff } /* pseudo-NaN */, { UINT64_MAX, 0x7ffe }, { UINT64_C(1) << 63, 1 },
		{ UINT64_C(0xc90fdaa22168c235), 0x4000 }, { UINT64_C(1) << 63, 0x403e }, { UINT64_C(1) << 63, 0x4040 },
	};
	unsigned k = rnd() % 3;
	uint64_t m = rnd() | UINT64_C(1) << 63;
	uint16_t e = 0x3fff - 70 + rnd() % 140;

	memset(st, 0, 16);
	if (k == 0) {
		unsigned n = rnd() % COUNT_OF(edge);

		m = edge[n].m;
		e = edge[n].e;
	} else if (k == 1) {
		e = 0x3fff - 4 + rnd() % 8;
	}
	if (rnd() % 2)
		e ^= 0x8000;
	memcpy(st, &m, 8);
	memcpy(st + 8, &e, 2);
}

static void rnd_fpu(struct x86_fpu *f)
{
	memset(f, 0, sizeof(*f));
	for (unsigned n = 0; n < (fx.wide ? 32 : 16); n++)
		for (unsigned k = 0; k < (fx.wide ? 8 : 4); k++) {
			uint64_t v = rnd_element();

			memcpy(f->zmm[n] + 8 * k, &v, 8);
		}
	for (unsigned n = 0; n < 8 && fx.wide; n++)
		f->k[n] = rnd() % 4 ? rnd() : rnd() % 2 ? 0 : UINT64_MAX;
	for (unsigned n = 0; n < 8; n++)
		rnd_st(f->st[n]);
	f->fcw = 0x7f | (rnd() % 4) << 8 | (rnd() % 4) << 10;
	f->mxcsr = 0x1f80 | (rnd() & 0xe07f);
	if (fx.unmasked) {
		f->fcw &= ~(rnd() & 0x3f);
		f->mxcsr = (f->mxcsr & ~0x3f & ~(rnd() & 0x1f80)) | (rnd() & 0x3f);
	} else if (rnd() % 3 == 0) {
		f->mxcsr = 0x1f80;
	}
	/* No exception is pending before the instruction. */
	f->fsw = (rnd() & 0x7f00) | (rnd() & f->fcw & 0x3f) | (rnd() % 4 ? 0 : (0x40 & f->fcw) << 0);
	if (!(f->fcw & 1))
		f->fsw &= ~0x40;
	f->ftw = rnd() % 4 ? 0xff : rnd() % 3 ? rnd() : 0;
}

/* ---- one instruction ---- */

struct sample {
	uint8_t byte[15];
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct insn i;
	struct x86_state before;
	uint8_t mem_before[2 * AREA];
	uint64_t mem_at;
};

static void to_native(struct native_state *n, const struct x86_state *s)
{
	memset(n, 0, sizeof(*n));
	memcpy(n->gpr, s->gpr, sizeof(n->gpr));
	n->rflags = s->rflags;
	memcpy(n->zmm, s->fpu.zmm, sizeof(n->zmm));
	memcpy(n->k, s->fpu.k, sizeof(n->k));
	memcpy(n->fx, &s->fpu.fcw, 2);
	memcpy(n->fx + 2, &s->fpu.fsw, 2);
	n->fx[4] = s->fpu.ftw;
	memcpy(n->fx + 24, &s->fpu.mxcsr, 4);
	for (unsigned k = 0; k < 8; k++)
		memcpy(n->fx + 32 + 16 * k, s->fpu.st[k], 10);
}

/* As the decoder of the soft CPU does it. */
static void fill_insn(struct sample *t)
{
	struct insn *i = &t->i;

	*i = (struct insn){ .len = t->zi.length, .asize = t->zi.address_width / 8, .width = t->zi.operand_width / 8,
			    .base = REG_NONE, .index = REG_NONE, .scale = 1, .reg = REG_NONE, .rm = REG_NONE,
			    .reg2 = REG_NONE, .seg = X86_DS };
	for (unsigned n = 0; n < t->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &t->op[n];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			i->flags |= INSN_MEM;
			if (o->mem.base)
				i->base = ZydisRegisterGetId(o->mem.base);
			if (ZydisRegisterGetClass(o->mem.index) == ZYDIS_REGCLASS_GPR64)
				i->index = ZydisRegisterGetId(o->mem.index);
			i->scale = o->mem.scale ? o->mem.scale : 1;
			i->disp = o->mem.disp.value;
		}
		if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			i->imm = o->imm.value.u;
	}
}

/* Outside of what can be accessed the oracle tells no more than that. */
static unsigned same_fault(unsigned vector)
{
	return vector == X86_PF ? X86_GP : vector;
}

static bool sample_bind(struct sample *t, bool mode64)
{
	struct insn_source src = { .zi = &t->zi, .op = t->op, .bytes = t->byte, .sv = fx.sv,
				   .mode = MODE_PROTECTED | (mode64 ? MODE_CODE64 : MODE_CODE32) };

	fill_insn(t);
	return thunk_bind(&t->i, &src, 0);
}

/* Puts the memory operand somewhere: at the end of the accessible pages, across the two, aligned or not. */
static uint64_t choose_place(const struct sample *t, unsigned size)
{
	uint64_t base = (uintptr_t)fx.area;

	switch (rnd() % 6) {
	case 0: return base + 2 * AREA - size;
	case 1: return base + AREA - 1 - rnd() % size;
	case 2: return base + 64 + rnd() % 64;
	default: return base + 64 * (1 + rnd() % 100);
	}
}

static void place_operand(struct sample *t, struct x86_state *s)
{
	const ZydisDecodedOperand *mem = NULL;
	bool vsib;

	for (unsigned n = 0; n < t->zi.operand_count; n++)
		if (t->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			mem = &t->op[n];
	t->mem_at = 0;
	if (!mem)
		return;
	t->mem_at = choose_place(t, mem->size >= 8 ? mem->size / 8 : 16);
	/* Under a mask: partly, or all, in what cannot be accessed. */
	if (t->zi.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && rnd() % 3 == 0)
		t->mem_at = (uintptr_t)fx.area + 2 * AREA - rnd() % 8 * (mem->size / 8) / 8;
	vsib = ZydisRegisterGetClass(mem->mem.index) == ZYDIS_REGCLASS_XMM ||
	       ZydisRegisterGetClass(mem->mem.index) == ZYDIS_REGCLASS_YMM ||
	       ZydisRegisterGetClass(mem->mem.index) == ZYDIS_REGCLASS_ZMM;
	if (vsib) {
		uint8_t *v = s->fpu.zmm[ZydisRegisterGetId(mem->mem.index)];
		bool wide = strstr(ZydisMnemonicGetString(t->zi.mnemonic), "erq") != NULL;

		t->mem_at = (uintptr_t)fx.area + AREA;
		for (unsigned n = 0; n < (wide ? 8 : 16) && (n < (wide ? 4 : 8) || fx.wide); n++) {
			int64_t x = (int64_t)(rnd() % 400) - 200;

			memcpy(v + n * (wide ? 8 : 4), &x, wide ? 8 : 4);
		}
	} else if (mem->mem.index != ZYDIS_REGISTER_NONE) {
		s->gpr[ZydisRegisterGetId(mem->mem.index)] = rnd() % 16;
	}
	s->gpr[ZydisRegisterGetId(mem->mem.base)] = 0;
	s->gpr[ZydisRegisterGetId(mem->mem.base)] = t->mem_at - insn_ea(fx.c, &t->i);
}

static void prepare(struct sample *t)
{
	struct x86_state *s = &fx.c->s;

	thunk_fpu_sync(fx.c);
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = rnd() % 4 ? rnd() : rnd() % 70;
	s->rflags = (rnd() & X86_FLAG_ARITH) | 2;
	s->cr0 = X86_CR0_PE | X86_CR0_NE;
	s->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
	s->xcr0 = fx.wide ? 0xe7 : 7;
	rnd_fpu(&s->fpu);
	place_operand(t, s);
	for (unsigned n = 0; n < 2 * AREA; n += 8) {
		uint64_t v = rnd_element();

		memcpy(fx.area + n, &v, 8);
	}
	t->before = *s;
	memcpy(t->mem_before, fx.area, 2 * AREA);
	fx.c->mode = MODE_PROTECTED | MODE_CODE64;
	fx.c->cpl = 3;
	fx.c->rip_mask = UINT64_MAX;
	fx.c->block_rip = 0x1234560000;
}

/* The TLB knows both pages, or nothing, so that both ways to memory are tried. */
static void prepare_tlb(bool hits)
{
	struct soft_cpu *c = fx.c;

	c->tlb.rd = hits ? c->tlb.entry[TLB_USER][TLB_READ] : c->tlb.none;
	c->tlb.wr = hits ? c->tlb.entry[TLB_USER][TLB_WRITE] : c->tlb.none;
	for (unsigned n = 0; n < 2; n++) {
		uint64_t page = (uintptr_t)fx.area + AREA * n;

		c->tlb.entry[TLB_USER][TLB_READ][tlb_slot(page)] = (struct tlb_entry){ page, 0 };
		c->tlb.entry[TLB_USER][TLB_WRITE][tlb_slot(page)] = (struct tlb_entry){ page, 0 };
	}
}

static void report(const struct sample *t, const char *what, const void *want, const void *got, unsigned len)
{
	if (fx.failed++ > 40)
		return;
	printf("%s [", ZydisMnemonicGetString(t->zi.mnemonic));
	for (unsigned n = 0; n < t->zi.length; n++)
		printf("%02x", t->byte[n]);
	printf("] %s: want ", what);
	for (unsigned n = 0; n < len; n++)
		printf("%02x", ((const uint8_t *)want)[n]);
	printf(" got ");
	for (unsigned n = 0; n < len; n++)
		printf("%02x", ((const uint8_t *)got)[n]);
	printf("\n");
}

static void expect(const struct sample *t, const char *what, const void *want, const void *got, unsigned len)
{
	if (memcmp(want, got, len))
		report(t, what, want, got, len);
}

static void compare(const struct sample *t, const struct native_state *n, const uint8_t *mem, unsigned mem_len)
{
	const struct x86_state *s = &fx.c->s;
	uint64_t flags = s->rflags & X86_FLAG_ARITH;

	for (unsigned k = 0; k < 16; k++) {
		expect(t, "gpr", &n->gpr[k], &s->gpr[k], 8);
		expect(t, "ymm", n->zmm[k], s->fpu.zmm[k], fx.wide ? 64 : 32);
	}
	for (unsigned k = 16; k < 32 && fx.wide; k++)
		expect(t, "zmm", n->zmm[k], s->fpu.zmm[k], 64);
	for (unsigned k = 0; k < 8 && fx.wide; k++)
		expect(t, "k", &n->k[k], &s->fpu.k[k], 8);
	expect(t, "rflags", &n->rflags, &flags, 8);
	expect(t, "mxcsr", n->fx + 24, &s->fpu.mxcsr, 4);
	expect(t, "fcw", n->fx, &s->fpu.fcw, 2);
	expect(t, "fsw", n->fx + 2, &s->fpu.fsw, 2);
	expect(t, "ftw", n->fx + 4, &s->fpu.ftw, 1);
	for (unsigned k = 0; k < 8; k++)
		expect(t, "st", n->fx + 32 + 16 * k, s->fpu.st[k], 10);
	for (unsigned k = 0; k < mem_len; k += 16)
		expect(t, "memory", mem + k, fx.area + k, 16);
}

static unsigned signal_vector(int sig)
{
	return sig == SIGFPE ? X86_XM : sig == SIGILL ? X86_UD : sig ? X86_GP : FAULT_NONE;
}

static __attribute__((noinline)) void run_on(struct soft_cpu *c, struct sample *t)
{
	fault_vector = FAULT_NONE;
	if (!setjmp(fault_env))
		t->i.fn(c, &t->i);
}

static void run_guest(struct sample *t)
{
	run_on(fx.c, t);
}

/* The environment forms store the host's own pointers: those fields are set aside. */
static void mask_environment(const struct sample *t, uint8_t *mem)
{
	bool env = t->zi.mnemonic == ZYDIS_MNEMONIC_FNSTENV || t->zi.mnemonic == ZYDIS_MNEMONIC_FNSAVE;
	uint64_t at = t->mem_at - (uintptr_t)fx.area;

	if (!env)
		return;
	if (t->i.width == 28 || t->i.width == 108)
		memset(mem + at + 12, 0, 14);
	else
		memset(mem + at + 6, 0, 8);
}

static void run_sample(struct sample *t)
{
	static uint8_t mem_native[2 * AREA];
	struct native_state n;
	unsigned want;

	prepare(t);
	to_native(&n, &t->before);
	native_run(&n, t->byte, t->zi.length);
	want = signal_vector(n.signal);
	mask_environment(t, fx.area);
	memcpy(mem_native, fx.area, 2 * AREA);
	memcpy(fx.area, t->mem_before, 2 * AREA);
	prepare_tlb(rnd() % 2);
	run_guest(t);
	thunk_fpu_sync(fx.c);
	mask_environment(t, fx.area);
	fx.tested++;
	if (want != FAULT_NONE)
		fx.faults++;
	fault_vector = same_fault(fault_vector);
	if (fault_vector != want)
		report(t, "fault", &want, &fault_vector, 4);
	compare(t, &n, mem_native, t->mem_at ? 2 * AREA : 0);
}

/* What cannot be compared this way. */
static bool not_comparable(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_RDRAND:
	case ZYDIS_MNEMONIC_RDSEED:
	case ZYDIS_MNEMONIC_LDMXCSR: /* random bits are reserved ones */
	case ZYDIS_MNEMONIC_VLDMXCSR: return true;
	default: return false;
	}
}

/* A zero displacement's worth of registers: RSP as an operand would be random on the host's stack; that is fine. */
static bool sample_set(struct sample *t, const uint8_t *byte)
{
	memcpy(t->byte, byte, sizeof(t->byte));
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&fx.d64, byte, 15, &t->zi, t->op)))
		return false;
	for (unsigned n = 0; n < t->zi.operand_count; n++)
		if (t->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (t->op[n].mem.base == ZYDIS_REGISTER_NONE || t->op[n].mem.base == ZYDIS_REGISTER_RIP))
			return false;
	if (not_comparable(t->zi.mnemonic))
		return false;
	if (sample_bind(t, true))
		return true;
	/* What is refused must not be of a kind that has been accepted with other operands (Knights Corner's is). */
	if (t->zi.meta.isa_set != ZYDIS_ISA_SET_KNCV && t->zi.mnemonic != ZYDIS_MNEMONIC_NOP)
		fx.refused[t->zi.mnemonic] = 1;
	return false;
}

static void run_encoding(const uint8_t *byte, unsigned times)
{
	static struct sample t;

	if (!sample_set(&t, byte))
		return;
	/* An index register that is the base too would undo place_operand. */
	if (t.i.base != REG_NONE && t.i.base == t.i.index)
		return;
	fx.seen[t.zi.mnemonic] = 1;
	for (unsigned n = 0; n < times * fx.effort; n++)
		run_sample(&t);
}

/* ModRM and what follows: reg is fixed, the rest random; mod 3 or a memory form. */
static unsigned put_modrm(uint8_t *b, unsigned reg, bool mem)
{
	unsigned n = 0;

	if (!mem) {
		b[n++] = 0xc0 | reg << 3 | rnd() % 8;
	} else if (rnd() % 2) {
		b[n++] = 0x44 | reg << 3; /* SIB, disp8 */
		b[n++] = rnd();
		b[n++] = rnd();
	} else {
		b[n++] = 0x80 | reg << 3 | (rnd() % 2 ? 3 : 6); /* disp32 */
		for (unsigned k = 0; k < 4; k++)
			b[n++] = rnd();
	}
	for (unsigned k = 0; k < 4; k++)
		b[n++] = rnd();
	return n;
}

static void legacy_opcode(unsigned prefix, unsigned map, unsigned opcode, unsigned times)
{
	static const uint8_t value[] = { 0, 0x66, 0xf3, 0xf2 };

	for (unsigned w = 0; w < 2; w++)
		for (unsigned k = 0; k < 16; k++) {
			uint8_t b[32] = { 0 };
			unsigned n = 0;

			if (prefix)
				b[n++] = value[prefix];
			if (prefix > 1 && rnd() % 3 == 0)
				b[n++] = 0x66;
			if (w || rnd() % 2)
				b[n++] = 0x40 | w << 3 | rnd() % 8;
			b[n++] = 0x0f;
			if (map > 1)
				b[n++] = map == 2 ? 0x38 : 0x3a;
			b[n++] = opcode;
			put_modrm(b + n, k & 7, k & 8);
			run_encoding(b, times);
		}
}

static void vex_opcode(unsigned pp, unsigned map, unsigned opcode, unsigned times)
{
	for (unsigned k = 0; k < 128; k++) {
		uint8_t b[32] = { 0 };
		unsigned w = k >> 4 & 1, l = k >> 5 & 1, fixed = k >> 6;

		b[0] = 0xc4;
		b[1] = (rnd() & 0xe0) | map;
		b[2] = w << 7 | (fixed ? 15 : rnd() % 16) << 3 | l << 2 | pp;
		b[3] = opcode;
		put_modrm(b + 4, k & 7, k & 8);
		run_encoding(b, times);
	}
}

static void evex_opcode(unsigned pp, unsigned map, unsigned opcode, unsigned times)
{
	for (unsigned k = 0; k < 64; k++) {
		uint8_t b[32] = { 0x62 };
		unsigned w = k >> 4 & 1, plain = k >> 5;

		b[1] = (rnd() & 0xf0) | map;
		b[2] = w << 7 | (plain ? 15 : rnd() % 16) << 3 | 4 | pp;
		b[3] = plain ? (rnd() & 0x67) | 8 : rnd() & 0xff;
		b[4] = opcode;
		put_modrm(b + 5, k & 7, k & 8);
		run_encoding(b, times);
	}
}

static void finish(unsigned mnemonics)
{
	unsigned seen = 0;

	for (unsigned n = 0; n <= ZYDIS_MNEMONIC_MAX_VALUE; n++) {
		seen += fx.seen[n];
		if (fx.seen[n] && fx.refused[n]) {
			printf("%s is refused in some form\n", ZydisMnemonicGetString(n));
			fx.failed++;
		}
	}
	printf("%u runs of %u mnemonics, %u faulted, %u differences\n", fx.tested, seen, fx.faults, fx.failed);
	assert_true(seen >= mnemonics);
	assert_int_equal(fx.failed, 0);
	assert_true(fx.tested > 1000);
}

static void legacy_encodings(void **state)
{
	for (unsigned prefix = 0; prefix < 4; prefix++)
		for (unsigned map = 1; map < 4; map++)
			for (unsigned opcode = 0; opcode < 256; opcode++)
				legacy_opcode(prefix, map, opcode, 1);
	finish(280);
}

static void vex_encodings(void **state)
{
	for (unsigned pp = 0; pp < 4; pp++)
		for (unsigned map = 1; map < 4; map++)
			for (unsigned opcode = 0; opcode < 256; opcode++)
				vex_opcode(pp, map, opcode, 1);
	finish(355);
}

static void evex_encodings(void **state)
{
	if (!fx.wide)
		skip();
	for (unsigned pp = 0; pp < 4; pp++)
		for (unsigned map = 1; map < 7; map++)
			for (unsigned opcode = 0; opcode < 256; opcode++)
				evex_opcode(pp, map, opcode, 2);
	finish(500);
}

static void x87_all(unsigned times)
{
	for (unsigned opcode = 0xd8; opcode < 0xe0; opcode++)
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t b[32] = { opcode };

			if (modrm < 0xc0)
				put_modrm(b + 1, modrm >> 3 & 7, true);
			else
				b[1] = modrm;
			run_encoding(b, times);
			/* with 16-bit operands: the small environments */
			memmove(b + 1, b, 14);
			b[0] = 0x66;
			run_encoding(b, 1);
		}
	finish(90);
}

static void x87_encodings(void **state)
{
	x87_all(10);
}

/* Unmasked exceptions: #XM with the flags as the processor left them, x87 stores that do not happen. */
static void unmasked_exceptions(void **state)
{
	fx.unmasked = true;
	x87_all(4);
	for (unsigned prefix = 0; prefix < 4; prefix++)
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			legacy_opcode(prefix, 1, opcode, 1);
			vex_opcode(prefix, 1 + rnd() % 3, opcode, 1);
			if (fx.wide)
				evex_opcode(prefix, 1 + rnd() % 6, opcode, 1);
		}
	finish(400);
}

/* ---- directed ---- */

static void load_bytes(struct sample *t, ZydisDecoder *d, const uint8_t *byte, unsigned len, bool mode64, bool want)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->byte, byte, len);
	assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, t->byte, 15, &t->zi, t->op)));
	assert_int_equal(sample_bind(t, mode64), want);
}

/* #MF comes before a waiting instruction and not before the others. */
static void pending_exception(void **state)
{
	static struct sample t;
	struct soft_cpu *c = fx.c;

	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xd9, 0xee }, 2, true, true); /* FLDZ */
	prepare(&t);
	c->s.fpu.fcw = 0x37e;
	c->s.fpu.fsw = 0x8081;
	run_guest(&t);
	assert_int_equal(fault_vector, X86_MF);
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xdb, 0xe2 }, 2, true, true); /* FNCLEX */
	run_guest(&t);
	assert_int_equal(fault_vector, FAULT_NONE);
	assert_int_equal(c->s.fpu.fsw & 0x80ff, 0);
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xd9, 0xee }, 2, true, true);
	c->s.fpu.fip = 0;
	run_guest(&t);
	assert_int_equal(fault_vector, FAULT_NONE);
	assert_int_equal(c->s.fpu.fip, 0x1234560000);
	assert_int_equal(c->s.fpu.fop, 0x1ee);
	/* FLDCW that unmasks a flag that is set */
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xd9, 0x2b }, 2, true, true);
	prepare(&t);
	c->s.fpu.fcw = 0x37f;
	c->s.fpu.fsw = 4;
	*(uint16_t *)t.mem_at = 0x37b;
	run_guest(&t);
	assert_int_equal(c->s.fpu.fcw, 0x37b);
	assert_int_equal(c->s.fpu.fsw & 0x8080, 0x8080);
}

static void task_switched(void **state)
{
	static struct sample t;

	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0x0f, 0x58, 0xc1 }, 3, true, true);
	prepare(&t);
	fx.c->s.cr0 |= X86_CR0_TS;
	run_guest(&t);
	assert_int_equal(fault_vector, X86_NM);
}

static void refused(void **state)
{
	static const struct { uint8_t len, byte[8]; } row[] = {
		{ 4, { 0x0f, 0x0f, 0xc1, 0x9e } },             /* 3DNow PFADD */
		{ 5, { 0xc4, 0xe2, 0x78, 0x49, 0xc0 } },       /* TILERELEASE */
		{ 4, { 0xf2, 0x0f, 0x78, 0xc0 } },             /* INSERTQ */
	};
	static struct sample t;

	for (unsigned n = 0; n < COUNT_OF(row); n++)
		load_bytes(&t, &fx.d64, row[n].byte, row[n].len, true, false);
}

/* 32-bit code: no REX, VEX.W and the high register bits are ignored. */
static void code32(void **state)
{
	static struct sample t;
	struct soft_cpu *c = fx.c;

	/* VMOVD xmm1, ecx with W set: still 32 bits */
	load_bytes(&t, &fx.d32, (const uint8_t[]){ 0xc4, 0xe1, 0xf9, 0x6e, 0xc9 }, 5, false, true);
	prepare(&t);
	c->s.gpr[X86_RCX] = UINT64_C(0x1122334455667788);
	run_guest(&t);
	assert_int_equal(*(uint64_t *)c->s.fpu.zmm[1], 0x55667788);
	/* BLSR ebx, edi; then POPCNT in 32 bits */
	load_bytes(&t, &fx.d32, (const uint8_t[]){ 0xc4, 0xe2, 0x60, 0xf3, 0xcf }, 5, false, true);
	prepare(&t);
	c->s.gpr[X86_RDI] = 0xf0;
	run_guest(&t);
	assert_int_equal(c->s.gpr[X86_RBX], 0xe0);
	load_bytes(&t, &fx.d32, (const uint8_t[]){ 0x66, 0xf3, 0x0f, 0xb8, 0xf4 }, 5, false, true); /* popcnt si, sp */
	prepare(&t);
	c->s.gpr[X86_RSI] = 0x99990000;
	c->s.gpr[X86_RSP] = 0xfffff00f;
	run_guest(&t);
	assert_int_equal(c->s.gpr[X86_RSI], 0x99990008);
}

/* A gather that faults half-way has committed what came before, with the mask. */
static void gather_restarts(void **state)
{
	static struct sample t;
	struct soft_cpu *c = fx.c;
	int32_t index[4] = { 0, 1, 100000, 2 };
	uint32_t *dst, *mask;

	/* VPGATHERDD xmm1, [rbx + xmm2 * 4], xmm3 */
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xc4, 0xe2, 0x61, 0x90, 0x0c, 0x93 }, 6, true, true);
	prepare(&t);
	prepare_tlb(false);
	c->s.gpr[X86_RBX] = (uintptr_t)fx.area;
	memcpy(c->s.fpu.zmm[2], index, 16);
	memset(c->s.fpu.zmm[3], 0xff, 16);
	run_guest(&t);
	dst = (uint32_t *)c->s.fpu.zmm[1];
	mask = (uint32_t *)c->s.fpu.zmm[3];
	assert_int_equal(fault_vector, X86_PF);
	assert_int_equal(dst[1], ((uint32_t *)fx.area)[1]);
	assert_int_equal(mask[0] | mask[1], 0);
	assert_int_equal(mask[2] & mask[3], UINT32_MAX);
}

/* Two vCPUs on one thread, each with x87 registers of its own. */
static void two_owners(void **state)
{
	static struct sample one, pi;
	struct soft_cpu *a = fx.c, *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

	memcpy(b, a, sizeof(*b));
	b->thunk_state = NULL;
	assert_int_equal(thunk_vcpu_create(b, NULL), 0);
	load_bytes(&one, &fx.d64, (const uint8_t[]){ 0xd9, 0xe8 }, 2, true, true); /* FLD1 */
	load_bytes(&pi, &fx.d64, (const uint8_t[]){ 0xd9, 0xeb }, 2, true, true);
	prepare(&one);
	a->s.fpu.ftw = 0;
	a->s.fpu.fsw = 0;
	a->s.fpu.fcw = 0x37f;
	b->s = a->s;
	for (unsigned n = 0; n < 3; n++) {
		one.i.fn(a, &one.i);
		pi.i.fn(b, &pi.i);
	}
	thunk_fpu_sync(a);
	thunk_fpu_sync(b);
	assert_int_equal(a->s.fpu.ftw, 0xe0);
	assert_int_equal(b->s.fpu.ftw, 0xe0);
	assert_int_equal(a->s.fpu.st[2][7], 0x80);
	assert_int_equal(b->s.fpu.st[2][7], 0xc9);
	thunk_vcpu_destroy(b);
	free(b);
}

/* A state from outside that contradicts itself: flags unmasked and set, ES clear. */
static void inconsistent_state(void **state)
{
	static struct sample t;

	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xd9, 0xe8 }, 2, true, true);
	prepare(&t);
	fx.c->s.fpu.fcw = 0x340;
	fx.c->s.fpu.fsw = 0x3f;
	fx.c->s.fpu.mxcsr = 0xffffffff;
	run_guest(&t);
	assert_int_equal(fault_vector, FAULT_NONE);
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0x0f, 0x58, 0xc1 }, 3, true, true); /* ADDPS */
	run_guest(&t);
	assert_int_equal(fx.c->s.fpu.mxcsr >> 16, 0);
}

/* Several vCPUs on threads of their own share the cache; each has its own FPU and its own exceptions. */
static void *vcpu_thread(void *arg)
{
	static const uint8_t div_zero[] = { 0x0f, 0x5e, 0xc1 }, fld1[] = { 0xd9, 0xe8 }, fadd[] = { 0xd8, 0xc1 };
	struct soft_cpu *c = aligned_alloc(64, (sizeof(*c) + 63) & ~63ul);
	struct sample *t = calloc(1, sizeof(*t));
	uintptr_t good = 0;
	unsigned vector;

	memcpy(c, fx.c, sizeof(*c));
	c->thunk_state = NULL;
	assert_int_equal(thunk_vcpu_create(c, NULL), 0);
	for (unsigned n = 0; n < 300; n++) {
		memset(&c->s.fpu, 0, sizeof(c->s.fpu));
		c->s.fpu.fcw = 0x37f;
		c->s.fpu.mxcsr = 0x1d80; /* division by zero unmasked */
		memset(c->s.fpu.zmm[0], 0x3f, 16);
		load_bytes(t, &fx.d64, fld1, 2, true, true);
		t->i.fn(c, &t->i);
		t->i.fn(c, &t->i);
		load_bytes(t, &fx.d64, div_zero, 3, true, true);
		run_on(c, t);
		vector = fault_vector;
		load_bytes(t, &fx.d64, fadd, 2, true, true);
		t->i.fn(c, &t->i);
		thunk_fpu_sync(c);
		good += vector == X86_XM && c->s.fpu.mxcsr == 0x1d84 && c->s.fpu.st[0][9] == 0x40 &&
			c->s.fpu.st[0][8] == 0 && c->s.fpu.st[1][9] == 0x3f;
	}
	thunk_vcpu_destroy(c);
	free(c);
	free(t);
	return (void *)good;
}

static void threads(void **state)
{
	static struct sample t;
	pthread_t thread[4];

	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0xd9, 0xe8 }, 2, true, true);
	prepare(&t);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(pthread_create(&thread[n], NULL, vcpu_thread, NULL), 0);
	for (unsigned n = 0; n < 4; n++) {
		void *good;

		pthread_join(thread[n], &good);
		assert_int_equal((uintptr_t)good, 300);
	}
}

/* The cache is full: the slow path gives the same results. */
static void full_cache(void **state)
{
	static uint8_t filler[256];
	static struct sample t;

	for (uint32_t n = 0; ; n++) {
		memcpy(filler, &n, 4);
		if (!thunk_cache_get(fx.tc, filler, sizeof(filler)))
			break;
	}
	fx.tested = 0;
	for (unsigned opcode = 0x50; opcode < 0x60; opcode++) {
		legacy_opcode(1, 1, opcode, 2);
		vex_opcode(0, 1, opcode, 1);
	}
	assert_int_equal(fx.failed, 0);
	assert_true(fx.tested > 100);
	/* RCPPS with a register combination that was not used before */
	load_bytes(&t, &fx.d64, (const uint8_t[]){ 0x66, 0x0f, 0x3a, 0x0f, 0xc1, 0x77 }, 6, true, true);
	prepare(&t);
	run_guest(&t);
	assert_int_equal(fault_vector, FAULT_NONE);
}

/* cmocka catches these signals around each test, so they are taken back at its start. The thunks install their handler
 * once, on top of the oracle's. */
static void take_signals(void)
{
	static struct sigaction fpe, ill;

	native_init();
	if (fpe.sa_flags) {
		sigaction(SIGFPE, &fpe, NULL);
		sigaction(SIGILL, &ill, NULL);
	}
	assert_int_equal(thunk_signal_install(NULL), 0);
	sigaction(SIGFPE, NULL, &fpe);
	sigaction(SIGILL, NULL, &ill);
}

static void setup(void)
{
	take_signals();
	memset(&fx, 0, sizeof(fx));
	fx.wide = native_has_avx512();
	fx.effort = getenv("PANAL_TEST_LONG") ? 10 : 1;
	fx.seed = UINT64_C(0x9e3779b97f4a7c15);
	fx.c = aligned_alloc(64, (sizeof(*fx.c) + 63) & ~63ul);
	memset(fx.c, 0, sizeof(*fx.c));
	tlb_init(&fx.c->tlb);
	fx.sv = calloc(1, sizeof(*fx.sv));
	assert_int_equal(thunk_cache_create(&fx.tc, NULL), 0);
	fx.sv->thunk_shared = fx.tc;
	fx.c->sv = fx.sv;
	assert_int_equal(thunk_vcpu_create(fx.c, NULL), 0);
	ZydisDecoderInit(&fx.d64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&fx.d32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
	fx.area = mmap(NULL, 3 * AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(mprotect(fx.area + 2 * AREA, AREA, PROT_NONE), 0);
}

static void teardown(void)
{
	thunk_vcpu_destroy(fx.c);
	thunk_cache_destroy(fx.tc);
	munmap(fx.area, 3 * AREA);
	free(fx.sv);
	free(fx.c);
}

#define IN_FIXTURE(test)                                                                                              \
	static void test_##test(void **state)                                                                         \
	{                                                                                                             \
		setup();                                                                                              \
		test(state);                                                                                          \
		teardown();                                                                                           \
	}
IN_FIXTURE(legacy_encodings)
IN_FIXTURE(vex_encodings)
IN_FIXTURE(evex_encodings)
IN_FIXTURE(x87_encodings)
IN_FIXTURE(unmasked_exceptions)
IN_FIXTURE(pending_exception)
IN_FIXTURE(task_switched)
IN_FIXTURE(refused)
IN_FIXTURE(code32)
IN_FIXTURE(gather_restarts)
IN_FIXTURE(two_owners)
IN_FIXTURE(inconsistent_state)
IN_FIXTURE(threads)
IN_FIXTURE(full_cache)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_encodings),
		cmocka_unit_test(test_vex_encodings),
		cmocka_unit_test(test_evex_encodings),
		cmocka_unit_test(test_x87_encodings),
		cmocka_unit_test(test_unmasked_exceptions),
		cmocka_unit_test(test_pending_exception),
		cmocka_unit_test(test_task_switched),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_code32),
		cmocka_unit_test(test_gather_restarts),
		cmocka_unit_test(test_two_owners),
		cmocka_unit_test(test_inconsistent_state),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_full_cache),
	};

	if (!native_has_avx2()) {
		printf("the host has no AVX2: nothing to compare with\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
