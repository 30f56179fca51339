/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inline paths of mmu.h for instruction handlers: TLB hits, addresses, flags. */
#ifndef PANAL_ACCEL_SOFT_MEM_H
#define PANAL_ACCEL_SOFT_MEM_H

#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "base/bytes.h"
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The slot is the first byte's; an access that crosses into the next page cannot match its tag. */
ALWAYS_INLINE void *mem_hit(const struct tlb_entry *table, uint64_t lin, unsigned size)
{
	const struct tlb_entry *e = &table[tlb_slot(lin)];
	if (likely(e->tag == ((lin + size - 1) & ~UINT64_C(0xfff))))
		return (void *)(uintptr_t)(lin + e->addend);
	return NULL;
}

/* Guests access memory at any alignment; one host instruction each, as the processor would. */
typedef uint16_t __attribute__((aligned(1), may_alias)) any16;
typedef uint32_t __attribute__((aligned(1), may_alias)) any32;
typedef uint64_t __attribute__((aligned(1), may_alias)) any64;

ALWAYS_INLINE uint64_t raw_load(const void *p, unsigned width)
{
	switch (width) {
	case 1: return *(const volatile uint8_t *)p;
	case 2: return *(const volatile any16 *)p;
	case 4: return *(const volatile any32 *)p;
	default: return *(const volatile any64 *)p;
	}
}

ALWAYS_INLINE void raw_store(void *p, unsigned width, uint64_t v)
{
	switch (width) {
	case 1: *(volatile uint8_t *)p = (uint8_t)v; break;
	case 2: *(volatile any16 *)p = (uint16_t)v; break;
	case 4: *(volatile any32 *)p = (uint32_t)v; break;
	default: *(volatile any64 *)p = v;
	}
}

ALWAYS_INLINE uint64_t mem_load(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	const void *p = mem_hit(c->tlb.rd, lin, width);
	if (likely(p))
		return raw_load(p, width);
	return mmu_load_slow(c, lin, width);
}

ALWAYS_INLINE void mem_store(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v)
{
	void *p = mem_hit(c->tlb.wr, lin, width);
	if (likely(p))
		raw_store(p, width, v);
	else
		mmu_store_slow(c, lin, width, v);
}

ALWAYS_INLINE void *mem_rmw(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	void *p = mem_hit(c->tlb.wr, lin, width);
	return likely(p) ? p : rmw_ptr(c, lin, width);
}

/* The linear address when i->fast; RIP's mask is also that of a flat segment. */
ALWAYS_INLINE uint64_t mem_fast(const struct soft_cpu *c, const struct insn *i)
{
	const char *words = (const char *)c;
	uint64_t base = *(const uint64_t *)(words + i->base_at), index = *(const uint64_t *)(words + i->index_at);
	return (base + index * i->scale + (uint64_t)(int64_t)i->disp) & c->rip_mask;
}

/* Linear address of i's memory operand with the segment checks for size bytes. */
ALWAYS_INLINE uint64_t mem_addr(struct soft_cpu *c, const struct insn *i, unsigned size, bool write)
{
	return likely(i->fast) ? mem_fast(c, i) : insn_linear(c, i, size, write);
}

ALWAYS_INLINE bool near_target(uint64_t rip)
{
	return likely((uint64_t)((int64_t)(rip << 16) >> 16) == rip);
}

/* A near transfer from a handler. */
ALWAYS_INLINE void jump_near(struct soft_cpu *c, uint64_t rip)
{
	if (likely(c->mode & MODE_CODE64 && near_target(rip)))
		c->next_rip = rip;
	else
		cpu_jump(c, rip);
}

/*
 * Guest flags <-> the host's AX as LAHF and SETO make it: AH = SF ZF 0 AF 0 PF 1 CF, AL = OF. Adding 127 to AL and
 * SAHF put them back, so an instruction can run on the host with the guest's flags.
 */
ALWAYS_INLINE uint32_t flags_to_ax(const struct soft_cpu *c)
{
	return (uint32_t)(c->s.rflags & 0xff) << 8 | ((uint32_t)c->s.rflags >> 11 & 1);
}
ALWAYS_INLINE uint64_t flags_of_ax(uint32_t ax)
{
	return (ax >> 8 & 0xd5) | (uint64_t)(ax & 1) << 11;
}
ALWAYS_INLINE void flags_from_ax(struct soft_cpu *c, uint32_t ax)
{
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ARITH) | flags_of_ax(ax);
}
/* Before and after the instruction in an asm body whose flags live in EAX. */
#define ASM_FLAGS_IN "addb $127, %%al\n\tsahf\n\t"
#define ASM_FLAGS_OUT "\n\tlahf\n\tseto %%al"

ALWAYS_INLINE bool cond_true(uint64_t f, unsigned cc)
{
	bool r;
	switch (cc >> 1) {
	case 0: r = f & X86_FLAG_OF; break;
	case 1: r = f & X86_FLAG_CF; break;
	case 2: r = f & X86_FLAG_ZF; break;
	case 3: r = f & (X86_FLAG_CF | X86_FLAG_ZF); break;
	case 4: r = f & X86_FLAG_SF; break;
	case 5: r = f & X86_FLAG_PF; break;
	case 6: r = (f >> 7 ^ f >> 11) & 1; break;
	default: r = (f & X86_FLAG_ZF) || ((f >> 7 ^ f >> 11) & 1); break;
	}
	return r ^ (cc & 1);
}

#endif
