/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linear and segmented memory access of the soft CPU. All of these fault through cpu_fault* and return only on
 * success. RAM, MMIO (through core/region.h), page crossings, code pages and dirty logging are handled inside.
 * Sources: SDM 3A chapters 3.4, 4, 5.5, 6.15; APM 2 chapter 5.
 */
#ifndef PANAL_ACCEL_SOFT_MMU_H
#define PANAL_ACCEL_SOFT_MMU_H

#include "accel/soft/cpu.h"

/* ---- address of the memory operand ---- */
/* Offset within the segment, cut to the address size. */
uint64_t insn_ea(const struct soft_cpu *c, const struct insn *i);
/* Segment checks for [ea, ea + size): canonical form in 64-bit code, else limit, type and usability; #GP(0), or #SS(0)
 * when seg is SS. Returns the linear address. */
uint64_t seg_linear(struct soft_cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write);
/* Both together for i's memory operand (uses INSN_STACK_SEG for #SS). */
uint64_t insn_linear(struct soft_cpu *c, const struct insn *i, unsigned size, bool write);

/* insn_linear looks at the operand's first byte; this at all of it: canonical form. */
void mmu_check_range(struct soft_cpu *c, uint64_t lin, unsigned len);
/* #AC(0) where alignment is checked (CPL 3, CR0.AM, RFLAGS.AC) and lin is no multiple of align, a power of two. */
void mmu_check_align(struct soft_cpu *c, uint64_t lin, unsigned align);

/* ---- data, at the current privilege ---- */
uint8_t ld8(struct soft_cpu *c, uint64_t lin);
uint16_t ld16(struct soft_cpu *c, uint64_t lin);
uint32_t ld32(struct soft_cpu *c, uint64_t lin);
uint64_t ld64(struct soft_cpu *c, uint64_t lin);
void st8(struct soft_cpu *c, uint64_t lin, uint8_t v);
void st16(struct soft_cpu *c, uint64_t lin, uint16_t v);
void st32(struct soft_cpu *c, uint64_t lin, uint32_t v);
void st64(struct soft_cpu *c, uint64_t lin, uint64_t v);
uint64_t ld(struct soft_cpu *c, uint64_t lin, unsigned width);
void st(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v);
/* Up to 4096 bytes, without alignment checks; all pages are checked before the first byte is stored. */
void ld_buf(struct soft_cpu *c, uint64_t lin, void *buf, unsigned len);
void st_buf(struct soft_cpu *c, uint64_t lin, const void *buf, unsigned len);
/* Faults as a write of len bytes would, without writing. */
void probe_write(struct soft_cpu *c, uint64_t lin, unsigned len);
void probe_read(struct soft_cpu *c, uint64_t lin, unsigned len);

/* For read-modify-write: a host pointer to `width` bytes of writable RAM, on which host atomics work; NULL when the
 * place is MMIO, crosses into a page that lies elsewhere on the host, or is watched: then use ld/st between mmu_bus_lock and mmu_bus_unlock (write access
 * was checked already). After storing through the pointer nothing more is needed. */
void *rmw_ptr(struct soft_cpu *c, uint64_t lin, unsigned width);
void mmu_bus_lock(struct soft_cpu *c);
void mmu_bus_unlock(struct soft_cpu *c); /* also done by the fault path */

/* ---- data, as supervisor whatever the CPL (descriptor tables, TSS, interrupt stacks) ---- */
uint64_t ld_super(struct soft_cpu *c, uint64_t lin, unsigned width);
void st_super(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v);

/* ---- stack ---- */
/* Push or pop width bytes at SS:rSP with the stack address size. Two-step forms so that a sequence commits at once:
 * stack_peek reads at rSP + skip bytes; stack_poke writes at rSP - depth bytes (depth counts the item itself). */
void stack_push(struct soft_cpu *c, unsigned width, uint64_t v);
uint64_t stack_pop(struct soft_cpu *c, unsigned width);
uint64_t stack_peek(struct soft_cpu *c, uint64_t skip, unsigned width);
void stack_poke(struct soft_cpu *c, uint64_t depth, unsigned width, uint64_t v);
void stack_adjust(struct soft_cpu *c, int64_t bytes); /* moves rSP within its width */

/* ---- translation ---- */
/* Linear to guest-physical without side effects (no fault, no A/D): false when not mapped. For debuggers, KVM help. */
bool mmu_translate(struct soft_cpu *c, uint64_t lin, uint64_t *gpa);
void mmu_flush_all(struct soft_cpu *c);             /* MOV CR0/CR4/EFER: global entries too */
void mmu_flush_nonglobal(struct soft_cpu *c);       /* MOV CR3 */
void mmu_flush_page(struct soft_cpu *c, uint64_t lin); /* INVLPG */
/* After a change of CPL, CR4.SMAP or RFLAGS.AC: sets tlb.data_who. cpu_update_mode calls it. */
void mmu_update_who(struct soft_cpu *c);

#endif
