/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft CPU's translation look-aside buffer: linear page -> host address, direct mapped, a table per kind of
 * access and privilege. An entry is present only when the whole check (present, writable, user, NX, SMEP, SMAP,
 * accessed and dirty bits set) passed for that kind, so a hit needs one compare and one add.
 *
 * The tables are large because a guest's working set is. They are memory that is zero until it is used, and what
 * empties them costs what was filled since.
 */
#ifndef PANAL_ACCEL_SOFT_TLB_H
#define PANAL_ACCEL_SOFT_TLB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TLB_BITS = 16, TLB_SIZE = 1 << TLB_BITS,
	TLB_LOG = 1024,
	TLB_CHUNK = 64, TLB_CHUNKS = TLB_SIZE / TLB_CHUNK, /* entries that are noted as filled together */
	TLB_UPPER = 256,
};

enum tlb_kind { TLB_READ, TLB_WRITE, TLB_EXEC, TLB_KINDS };
/* Who accesses: supervisor (implicit, or CPL < 3 with SMAP off or AC set), supervisor under SMAP, user. */
enum tlb_who { TLB_SUPER, TLB_SUPER_SMAP, TLB_USER, TLB_WHOS };

struct tlb_entry {
	uint64_t tag;    /* linear page address (low 12 bits clear), tlb_empty when there is none */
	uint64_t addend; /* host address = linear + addend */
};

/* A page table that a walk reached, with the rights of the way to it (SDM 3A 4.10.3: a paging-structure cache). */
struct tlb_upper {
	uint64_t lin;         /* >> 21 */
	uint64_t gpa;
	const uint8_t *table; /* in host memory */
	uint32_t gen;         /* holds while it is tlb.walk_gen */
	bool write_ok, user_ok, nx;
};

/* The last page of a few memory accesses in translated loops of user code (xlate_near.c), beside the tables: what is here was
 * found there since the last flush. */
struct tlb_near {
	uint64_t page, addend;
	uint64_t limit;  /* the place in the page must be below; 0: nothing is here */
	uint64_t since;  /* instructions retired at the first of `misses` */
	uint32_t misses;
};
enum { TLB_NEAR = 64 };

struct tlb {
	struct tlb_near near[TLB_NEAR];
	/* the tables that explicit data accesses look into now; an always empty one when every access must be seen */
	struct tlb_entry *rd, *wr;
	enum tlb_who data_who; /* of explicit data accesses now: follows CPL, CR4.SMAP, RFLAGS.AC */
	uint64_t misses, flushes;
	uint32_t user_gen; /* counts flushes that may concern addresses of user code: for soft_user */
	/* Counts flushes that may concern code in the lower and in the upper half of the addresses: what was derived from
	 * the mapping of code there is stale when it changes. A kernel's global pages stay when a program's go. */
	_Alignas(8) uint32_t mode_below; /* beside each generation the mode, so that both are compared at once: tlb_now */
	uint32_t map_gen[2];
	uint32_t mode_above;
	uint32_t walk_gen;   /* counts all flushes, from 1 */
	bool upper_local;    /* code in the upper half was mapped by a page that is not global, since the last flush */
	/* What was filled since the last flush, so that a flush costs what was used. [0]: entries that a MOV CR3 drops,
	 * [1]: global ones. A count above TLB_LOG means that the log overflowed: then used[] tells the chunks. */
	struct tlb_log {
		unsigned count;
		uint32_t slot[TLB_LOG]; /* table * TLB_SIZE + slot */
		uint64_t used[TLB_WHOS][TLB_KINDS][TLB_CHUNKS / 64];
	} log[2];
	uint64_t large_2m[64], large_1g[4]; /* hashed: regions that large pages mapped since the last full flush */
	struct tlb_upper upper[TLB_UPPER];
	struct tlb_entry entry[TLB_WHOS][TLB_KINDS][TLB_SIZE];
	struct tlb_entry none[TLB_SIZE]; /* stays empty */
};

static inline unsigned tlb_half(uint64_t linear)
{
	return linear >> 63;
}

/* Mode and generation of the mapping for code at linear, in this order or the other. */
static inline const void *tlb_now(const struct tlb *t, uint64_t linear)
{
	return (const uint8_t *)t + (tlb_half(linear) ? offsetof(struct tlb, map_gen[1]) : offsetof(struct tlb, mode_below));
}

static inline unsigned tlb_slot(uint64_t linear)
{
	return (linear >> 12) & (TLB_SIZE - 1);
}

/* The tag of an empty entry: 0, a page that belongs into slot 0. That slot, and the last one, into whose tag an access
 * that crosses into page 0 would fall, hold another page that does not belong there. */
static inline uint64_t tlb_empty(unsigned slot)
{
	return slot == 0 || slot == TLB_SIZE - 1 ? 0x2000 : 0;
}

static inline void tlb_forget_near(struct tlb *t)
{
	for (unsigned n = 0; n < TLB_NEAR; n++)
		t->near[n].limit = 0;
}

/* t is zeroed memory. */
static inline void tlb_init(struct tlb *t)
{
	for (unsigned n = 0; n <= TLB_WHOS * TLB_KINDS; n++) {
		struct tlb_entry *e = n ? &t->entry[0][0][0] + (n - 1) * (uint64_t)TLB_SIZE : t->none;
		e[0].tag = tlb_empty(0);
		e[TLB_SIZE - 1].tag = tlb_empty(TLB_SIZE - 1);
	}
}

#endif
