/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator: hot decoded blocks of 64-bit code become host code (docs/internals/translator.md). One per vCPU,
 * used on its thread only. The interpreter stays the reference: a translated block leaves to it, with exact state,
 * for whatever its fast paths do not carry.
 */
#ifndef PANAL_ACCEL_SOFT_XLATE_H
#define PANAL_ACCEL_SOFT_XLATE_H

#include "accel/soft/soft.h"

enum {
	XLATE_CODE_MAX = 128 << 20, /* bytes of host code; when they are full all is dropped */
	XLATE_BLOCK_MAX = 1 << 18,  /* translated blocks */
	XLATE_HOT = 16,             /* runs of a block before it is translated */
};

struct xlate;
struct xblock;

struct xlate_sight;
/* Sets c->xlate. Of the options: hot (1: at first sight), cache, each_block. sight may be NULL. */
int xlate_create(struct soft_cpu *c, const struct soft_options *o, struct xlate_sight *sight, struct err *e) ATTR_MUST_USE;
void xlate_destroy(struct xlate *x); /* NULL: nothing */
/* Drops all translations: the blocks they were made from are going. */
void xlate_flush(struct xlate *x);

struct xlate_stats {
	uint64_t blocks, entries, bails, flushes; /* translated; entered from the loop; left to the interpreter; */
	uint64_t moved; /* of blocks: copied from a translation of the same code at another address */
	uint64_t helps; /* instructions of translated blocks that the interpreter's handler did */
};
const struct xlate_stats *xlate_stats(const struct xlate *x);
/* Bytes of code memory that were ever asked of the host. */
uint64_t xlate_code_bytes(const struct xlate *x);

/* After SOFT_ATT_CODE: what was made of pages that were written since goes. Clears the bit. */
void xlate_look(struct soft_cpu *c);

/* The translation of b, which is fresh and at s.rip; counts the visit and translates when due. NULL: interpret it. */
struct xblock *xlate_block(struct soft_cpu *c, struct block *b);

enum xlate_result {
	XLATE_NEXT,  /* s.rip is exact and at the start of some block */
	XLATE_LEAVE, /* the same, and events are to be looked at */
	XLATE_AT,    /* s.rip is at the start of *b: interpret it from instruction *at on */
};
/* Runs x and what is chained to it; faults of handlers leave by c->fault_jmp. */
enum xlate_result xlate_run(struct soft_cpu *c, struct xblock *x, struct block **b, unsigned *at);

/* Around all of the above on a vCPU's thread: the base of GS is the vCPU's, and then what it was. No translator: nothing. */
void xlate_thread_in(struct soft_cpu *c);
void xlate_thread_out(struct soft_cpu *c);

#endif
