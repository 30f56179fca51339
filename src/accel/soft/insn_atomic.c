/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locked forms, XADD, XCHG with memory, CMPXCHG, CMPXCHG8B/16B: host atomics on the guest's RAM. Where there is no
 * host pointer (MMIO, or over a page's end) the machine's bus lock keeps locked accesses apart.
 */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"

#define LOCKED2(name, type) \
	asm volatile(ASM_FLAGS_IN "lock; " name " %2, %0" ASM_FLAGS_OUT \
	             : "+m"(*(volatile type *)p), "+&a"(ax) \
	             : "r"((type)b) \
	             : "cc", "memory")
#define LOCKED1(name, type) \
	asm volatile(ASM_FLAGS_IN "lock; " name " %0" ASM_FLAGS_OUT \
	             : "+m"(*(volatile type *)p), "+&a"(ax) \
	             : \
	             : "cc", "memory")
#define WIDTH2(name) \
	switch (w) { \
	case 1: LOCKED2(name "b", uint8_t); break; \
	case 2: LOCKED2(name "w", uint16_t); break; \
	case 4: LOCKED2(name "l", uint32_t); break; \
	default: LOCKED2(name "q", uint64_t); break; \
	} \
	break
#define WIDTH2_NO8(name) \
	switch (w) { \
	case 2: LOCKED2(name "w", uint16_t); break; \
	case 4: LOCKED2(name "l", uint32_t); break; \
	default: LOCKED2(name "q", uint64_t); break; \
	} \
	break
#define WIDTH1(name) \
	switch (w) { \
	case 1: LOCKED1(name "b", uint8_t); break; \
	case 2: LOCKED1(name "w", uint16_t); break; \
	case 4: LOCKED1(name "l", uint32_t); break; \
	default: LOCKED1(name "q", uint64_t); break; \
	} \
	break

static void locked_op(struct soft_cpu *c, unsigned op, unsigned w, void *p, uint64_t b)
{
	uint32_t ax = flags_to_ax(c);
	switch (op) {
	case ATOMIC_ADD: WIDTH2("add");
	case ATOMIC_OR: WIDTH2("or");
	case ATOMIC_ADC: WIDTH2("adc");
	case ATOMIC_SBB: WIDTH2("sbb");
	case ATOMIC_AND: WIDTH2("and");
	case ATOMIC_SUB: WIDTH2("sub");
	case ATOMIC_XOR: WIDTH2("xor");
	case ATOMIC_INC: WIDTH1("inc");
	case ATOMIC_DEC: WIDTH1("dec");
	case ATOMIC_NEG: WIDTH1("neg");
	case ATOMIC_NOT: WIDTH1("not");
	case ATOMIC_BTS: WIDTH2_NO8("bts");
	case ATOMIC_BTR: WIDTH2_NO8("btr");
	default: WIDTH2_NO8("btc");
	}
	flags_from_ax(c, ax);
}

static bool is_bit(unsigned op)
{
	return op >= ATOMIC_BTS;
}

static void locked(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t b = 0, lin;
	if (is_bit(i->sub)) {
		lin = bit_address(c, i, &b, true);
		b &= w * 8 - 1;
	} else {
		b = i->reg == REG_NONE ? i->imm : reg_get(c, i->reg, w);
		lin = mem_addr(c, i, w, true);
	}
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		locked_op(c, i->sub, w, p, b);
		return;
	}
	mmu_bus_lock(c);
	uint64_t v = ld(c, lin, w);
	locked_op(c, i->sub, w, &v, b);
	st(c, lin, w, v);
	mmu_bus_unlock(c);
}

bool atomic_bind(struct insn *i, const struct insn_source *src, unsigned op)
{
	if (src->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	i->width = (uint8_t)(src->op[0].size / 8);
	if (op < ATOMIC_INC || is_bit(op)) {
		enum form f = form_of(i, src);
		if (f == FORM_MI)
			i->reg = REG_NONE;
	}
	i->sub = (uint8_t)op;
	i->fn = locked;
	return true;
}

/* ---- XCHG, XADD ---- */
static uint64_t host_xchg(void *p, unsigned w, uint64_t v)
{
	switch (w) {
	case 1: return __atomic_exchange_n((uint8_t *)p, (uint8_t)v, __ATOMIC_SEQ_CST);
	case 2: return __atomic_exchange_n((uint16_t *)p, (uint16_t)v, __ATOMIC_SEQ_CST);
	case 4: return __atomic_exchange_n((uint32_t *)p, (uint32_t)v, __ATOMIC_SEQ_CST);
	default: return __atomic_exchange_n((uint64_t *)p, v, __ATOMIC_SEQ_CST);
	}
}

static void xchg_m(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t lin = mem_addr(c, i, w, true), v = reg_get(c, i->reg, w), old;
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		old = host_xchg(p, w, v);
	} else {
		mmu_bus_lock(c);
		old = ld(c, lin, w);
		st(c, lin, w, v);
		mmu_bus_unlock(c);
	}
	reg_set(c, i->reg, w, old);
}

bool atomic_bind_xchg(struct insn *i, const struct insn_source *src)
{
	const ZydisDecodedOperand *reg = op_is_reg(&src->op[0]) ? &src->op[0] : &src->op[1];
	i->width = (uint8_t)(reg->size / 8);
	i->reg = decode_reg_number(reg->reg.value);
	i->fn = xchg_m;
	return true;
}

#define XADD(name, type) \
	do { \
		type b_ = (type)b; \
		asm volatile(ASM_FLAGS_IN "lock; " name " %0, %1" ASM_FLAGS_OUT \
		             : "+r"(b_), "+m"(*(volatile type *)p), "+&a"(ax) \
		             : \
		             : "cc", "memory"); \
		b = b_; \
	} while (0)

/* Adds b to *p; returns what was there. */
static uint64_t host_xadd(struct soft_cpu *c, void *p, unsigned w, uint64_t b)
{
	uint32_t ax = flags_to_ax(c);
	switch (w) {
	case 1: XADD("xaddb", uint8_t); break;
	case 2: XADD("xaddw", uint16_t); break;
	case 4: XADD("xaddl", uint32_t); break;
	default: XADD("xaddq", uint64_t); break;
	}
	flags_from_ax(c, ax);
	return b;
}

static void xadd_m(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t lin = mem_addr(c, i, w, true), v = reg_get(c, i->reg, w), old;
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		old = host_xadd(c, p, w, v);
	} else {
		mmu_bus_lock(c);
		uint64_t tmp = ld(c, lin, w);
		old = host_xadd(c, &tmp, w, v);
		st(c, lin, w, tmp);
		mmu_bus_unlock(c);
	}
	reg_set(c, i->reg, w, old);
}

static void xadd_r(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t a = reg_get(c, i->rm, w), b = reg_get(c, i->reg, w);
	host_xadd(c, &a, w, b);
	reg_set(c, i->reg, w, reg_get(c, i->rm, w));
	reg_set(c, i->rm, w, a);
}

static bool bind_xadd(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->fn = form_of(i, src) == FORM_RR ? xadd_r : xadd_m;
	return true;
}

/* ---- CMPXCHG ---- */
#define CMPXCHG(name, k, type) \
	asm volatile("movq %%rax, %%r10\n\tmovl %%r11d, %%eax\n\taddb $127, %%al\n\tsahf\n\tmovq %%r10, %%rax\n\t" \
	             "lock; " name " %" k "3, %0\n\t" \
	             "movq %%rax, %%r10\n\tlahf\n\tseto %%al\n\tmovl %%eax, %%r11d\n\tmovq %%r10, %%rax" \
	             : "+m"(*(volatile type *)p), "+&a"(rax), "+&r"(r11) \
	             : "r"(b) \
	             : "cc", "memory", "r10")

/* The host's own on *p with the guest's RAX; true when it was equal. */
static bool host_cmpxchg(struct soft_cpu *c, void *p, unsigned w, uint64_t b)
{
	uint64_t rax = c->s.gpr[X86_RAX];
	register uint64_t r11 asm("r11") = flags_to_ax(c);
	switch (w) {
	case 1: CMPXCHG("cmpxchgb", "b", uint8_t); break;
	case 2: CMPXCHG("cmpxchgw", "w", uint16_t); break;
	case 4: CMPXCHG("cmpxchgl", "k", uint32_t); break;
	default: CMPXCHG("cmpxchgq", "q", uint64_t); break;
	}
	c->s.gpr[X86_RAX] = rax;
	flags_from_ax(c, (uint32_t)r11);
	return c->s.rflags & X86_FLAG_ZF;
}

static void cmpxchg_m(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t lin = mem_addr(c, i, w, true), b = reg_get(c, i->reg, w);
	void *p = mem_rmw(c, lin, w);
	if (likely(p)) {
		host_cmpxchg(c, p, w, b);
		return;
	}
	mmu_bus_lock(c);
	uint64_t v = ld(c, lin, w);
	host_cmpxchg(c, &v, w, b);
	st(c, lin, w, v);
	mmu_bus_unlock(c);
}

static void cmpxchg_r(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t b = reg_get(c, i->reg, w), v = reg_get(c, i->rm, w);
	if (host_cmpxchg(c, &v, w, b))
		reg_set(c, i->rm, w, v);
}

static bool bind_cmpxchg(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->fn = form_of(i, src) == FORM_RR ? cmpxchg_r : cmpxchg_m;
	return true;
}

static void cmpxchg8b(struct soft_cpu *c, const struct insn *i)
{
	uint64_t *g = c->s.gpr, lin = mem_addr(c, i, 8, true);
	uint64_t expect = (uint32_t)g[X86_RAX] | g[X86_RDX] << 32, v = (uint32_t)g[X86_RBX] | g[X86_RCX] << 32, old = expect;
	void *p = mem_rmw(c, lin, 8);
	if (likely(p)) {
		__atomic_compare_exchange_n((uint64_t *)p, &old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else {
		mmu_bus_lock(c);
		old = ld(c, lin, 8);
		st(c, lin, 8, old == expect ? v : old);
		mmu_bus_unlock(c);
	}
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ZF) | (old == expect ? X86_FLAG_ZF : 0);
	if (old == expect)
		return;
	g[X86_RAX] = (uint32_t)old;
	g[X86_RDX] = old >> 32;
}

static void cmpxchg16b(struct soft_cpu *c, const struct insn *i)
{
	uint64_t *g = c->s.gpr, lin = mem_addr(c, i, 16, true), lo = g[X86_RAX], hi = g[X86_RDX];
	bool equal;
	if (lin & 15)
		cpu_gp0(c);
	void *p = mem_rmw(c, lin, 16);
	if (likely(p)) {
		asm volatile("lock; cmpxchg16b %0"
		             : "+m"(*(volatile unsigned __int128 *)p), "+a"(lo), "+d"(hi), "=@ccz"(equal)
		             : "b"(g[X86_RBX]), "c"(g[X86_RCX])
		             : "memory");
	} else {
		mmu_bus_lock(c);
		lo = ld(c, lin, 8);
		hi = ld(c, lin + 8, 8);
		equal = lo == g[X86_RAX] && hi == g[X86_RDX];
		st(c, lin, 8, equal ? g[X86_RBX] : lo);
		st(c, lin + 8, 8, equal ? g[X86_RCX] : hi);
		mmu_bus_unlock(c);
	}
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ZF) | (equal ? X86_FLAG_ZF : 0);
	if (equal)
		return;
	g[X86_RAX] = lo;
	g[X86_RDX] = hi;
}

static bool bind_cmpxchg_pair(struct insn *i, const struct insn_source *src, unsigned width)
{
	i->fn = width == 16 ? cmpxchg16b : cmpxchg8b;
	return true;
}

const struct insn_row insn_atomic[] = {
	{ ZYDIS_MNEMONIC_XADD, 0, bind_xadd },
	{ ZYDIS_MNEMONIC_CMPXCHG, 0, bind_cmpxchg },
	{ ZYDIS_MNEMONIC_CMPXCHG8B, 8, bind_cmpxchg_pair },
	{ ZYDIS_MNEMONIC_CMPXCHG16B, 16, bind_cmpxchg_pair },
	{ 0 },
};
