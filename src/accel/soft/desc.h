/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment and gate descriptors as they lie in the GDT and LDT, and the pieces that segment loads, far transfers,
 * events and task switches share. Sources: SDM 3A chapters 3.4, 3.5, 5, 6.12, 7.2.
 */
#ifndef PANAL_ACCEL_SOFT_DESC_H
#define PANAL_ACCEL_SOFT_DESC_H

#include "accel/soft/cpu.h"

struct desc {
	uint64_t raw;
	uint64_t at; /* linear address of the descriptor */
};

/* System descriptor types. The 16-bit forms do not exist while EFER.LMA is set. */
enum {
	DESC_TSS16 = 1, DESC_LDT = 2, DESC_TSS16_BUSY = 3, DESC_CALL16 = 4, DESC_TASK_GATE = 5, DESC_INT16 = 6,
	DESC_TRAP16 = 7, DESC_TSS32 = 9, DESC_TSS32_BUSY = 11, DESC_CALL32 = 12, DESC_INT32 = 14, DESC_TRAP32 = 15,
};

static inline uint32_t desc_attr(const struct desc *d) { return (d->raw >> 40) & 0xf0ff; }
static inline unsigned desc_type(const struct desc *d) { return (d->raw >> 40) & 15; }
static inline unsigned desc_dpl(const struct desc *d) { return (d->raw >> 45) & 3; }
static inline bool desc_present(const struct desc *d) { return d->raw >> 47 & 1; }
static inline bool desc_is_code_data(const struct desc *d) { return d->raw >> 44 & 1; }
static inline bool desc_is_code(const struct desc *d) { return (d->raw >> 43 & 3) == 3; }
static inline bool desc_is_conforming(const struct desc *d) { return desc_is_code(d) && (d->raw >> 42 & 1); }
static inline bool desc_is_writable(const struct desc *d) { return (d->raw >> 43 & 3) == 2 && (d->raw >> 41 & 1); }
static inline bool desc_is_readable(const struct desc *d)
{
	return desc_is_code_data(d) && (!desc_is_code(d) || (d->raw >> 41 & 1));
}

static inline uint32_t desc_base(const struct desc *d)
{
	return (uint32_t)(d->raw >> 16 & 0xffffff) | (uint32_t)(d->raw >> 56) << 24;
}

static inline uint32_t desc_limit(const struct desc *d)
{
	uint32_t limit = (uint32_t)(d->raw & 0xffff) | (uint32_t)(d->raw >> 32 & 0xf0000);
	return d->raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static inline bool is_canonical(uint64_t v)
{
	return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

static inline bool cpu_long(const struct soft_cpu *c) { return c->mode & MODE_LONG; }

/* Raises vector with the error code of a selector; ext is 0 or 1 (delivery of an event that the program did not
 * ask for). */
ATTR_NORETURN ATTR_COLD void desc_fault(struct soft_cpu *c, unsigned vector, uint16_t sel, unsigned ext);

/* Reads the descriptor of sel; false when sel lies outside its table (or there is no LDT). */
bool desc_find(struct soft_cpu *c, uint16_t sel, struct desc *d);
/* The same, but raises vector(sel | ext). */
void desc_fetch(struct soft_cpu *c, uint16_t sel, struct desc *d, unsigned vector, unsigned ext);
/* Bytes 8 to 15 of a system descriptor in IA-32e mode; vector(sel | ext) when they are outside the table. */
uint64_t desc_fetch_high(struct soft_cpu *c, uint16_t sel, const struct desc *d, unsigned vector, unsigned ext);
/* Sets bit 0 of the type in memory (accessed; of a TSS, with bit 2: busy) when it is clear. */
void desc_set_accessed(struct soft_cpu *c, struct desc *d);
void desc_set_busy(struct soft_cpu *c, uint64_t at, bool busy);
struct x86_seg desc_seg(const struct desc *d, uint16_t sel);
/* A null selector; dpl is kept in the attributes, because SS's DPL is the CPL. */
struct x86_seg desc_null_seg(uint16_t sel, unsigned dpl);

/* Checks that rip may be reached in the code segment cs: #GP(ext). */
void desc_check_rip(struct soft_cpu *c, const struct x86_seg *cs, uint64_t rip, unsigned ext);
/* Puts cs in force, no more: what was found by RIP under another base is looked up anew. */
void desc_set_cs(struct soft_cpu *c, const struct x86_seg *cs);
/* Puts cs and rip in force at privilege cpl: selector's RPL, mode, next_rip, end of block. SS was set before. */
void desc_enter_code(struct soft_cpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t rip);
/* Nulls data segments that the outer privilege level cpl may not hold (returns to an outer level). */
void desc_drop_data_segments(struct soft_cpu *c, unsigned cpl);

/* A stack under construction: pushes go to memory at once, SS:rSP change when the transfer commits. */
struct desc_stack {
	struct x86_seg ss;
	uint64_t sp;
	unsigned width; /* of the stack pointer: 2, 4, 8 */
	unsigned cpl;   /* whose accesses these are */
	bool switched;  /* #SS carries the selector instead of 0 */
	unsigned ext;
};
/* The stack in use now. */
void desc_stack_current(struct soft_cpu *c, struct desc_stack *st, unsigned ext);
/* The stack for privilege level cpl from the TSS, or entry ist (1-7, 64-bit only); checks of SS included: #TS. */
void desc_stack_from_tss(struct soft_cpu *c, struct desc_stack *st, unsigned cpl, unsigned ist, unsigned ext);
void desc_stack_push(struct soft_cpu *c, struct desc_stack *st, unsigned width, uint64_t v);
/* Puts SS:rSP in force. */
void desc_stack_commit(struct soft_cpu *c, const struct desc_stack *st);

/* ---- task.c ---- */
enum task_source { TASK_JMP, TASK_CALL, TASK_IRET, TASK_EVENT };
/* Switches to the task of TSS selector sel; next_eip is what the old task resumes at. Ends with s.rip and next_rip in
 * the new task. With TASK_EVENT and has_code the error code is pushed on the new stack. */
void task_switch(struct soft_cpu *c, uint16_t sel, enum task_source source, uint64_t next_eip, unsigned ext);
/* Pushes an event's error code in the new task. */
void task_push_code(struct soft_cpu *c, uint32_t code, unsigned ext);

/* ---- segment.c ---- */
void segment_load_ldtr(struct soft_cpu *c, uint16_t sel, unsigned vector);
/* The checks and the load of a data or stack selector, with the vector for what LLDT-like callers want: MOV uses #GP,
 * a task switch uses #TS. cpl is the privilege level that the checks use. */
void segment_load_checked(struct soft_cpu *c, unsigned seg, uint16_t sel, unsigned cpl, unsigned vector);

#endif
