/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk through the guest's page tables, and the way of its results into the TLB. What stands here (walk.c, tlb.c,
 * page.c) uses general registers alone: translated code calls mmu_refill with the guest's vector registers in the host's.
 */
#ifndef PANAL_ACCEL_SOFT_WALK_H
#define PANAL_ACCEL_SOFT_WALK_H

#include "accel/soft/soft.h"

struct walk {
	uint64_t gpa;
	uint64_t page_size;
	bool global;
	bool write_ok, user_ok, nx;
	bool ram_only;  /* set by the caller: tables elsewhere than in RAM count as absent */
	bool from_upper; /* it began at a page table that was remembered */
	bool wide;      /* 8-byte entries */
	struct { bool write_ok, user_ok, nx; } above; /* rights of the way to the last table */
	unsigned levels;
	struct walk_entry {
		uint64_t gpa, value;
	} entry[4];
};

enum walk_result { WALK_OK, WALK_ABSENT, WALK_RESERVED };

/* Nothing changes but w. upper: page tables that were reached before may be taken. */
enum walk_result walk(struct soft_cpu *c, uint64_t lin, bool upper, struct walk *w);
bool walk_allows(const struct soft_cpu *c, const struct walk *w, enum tlb_kind kind, enum tlb_who who);
/* Sets accessed and dirty bits, and remembers the page table. False: an entry changed meanwhile, walk again. */
bool walk_mark(struct soft_cpu *c, uint64_t lin, struct walk *w, bool write);

/* ---- tlb.c ---- */
void tlb_fill(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, const struct walk *w, uint8_t *host);

static inline bool canonical(uint64_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

#endif
