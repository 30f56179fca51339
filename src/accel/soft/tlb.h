/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft CPU's translation look-aside buffer: linear page -> host address, direct mapped, a table per kind of
 * access and privilege. An entry is present only when the whole check (present, writable, user, NX, SMEP, SMAP,
 * accessed and dirty bits set) passed for that kind, so a hit needs one compare and one add.
 */
#ifndef PANAL_ACCEL_SOFT_TLB_H
#define PANAL_ACCEL_SOFT_TLB_H

#include <stdint.h>

enum { TLB_BITS = 12, TLB_SIZE = 1 << TLB_BITS, TLB_LOG = 1024 };

enum tlb_kind { TLB_READ, TLB_WRITE, TLB_EXEC, TLB_KINDS };
/* Who accesses: supervisor (implicit, or CPL < 3 with SMAP off or AC set), supervisor under SMAP, user. */
enum tlb_who { TLB_SUPER, TLB_SUPER_SMAP, TLB_USER, TLB_WHOS };

#define TLB_INVALID UINT64_MAX

struct tlb_entry {
	uint64_t tag;    /* linear page address (low 12 bits clear), TLB_INVALID when empty */
	uint64_t addend; /* host address = linear + addend */
};

struct tlb {
	struct tlb_entry entry[TLB_WHOS][TLB_KINDS][TLB_SIZE];
	/* the tables that explicit data accesses look into now; an always empty one when every access must be seen */
	struct tlb_entry *rd, *wr;
	enum tlb_who data_who; /* of explicit data accesses now: follows CPL, CR4.SMAP, RFLAGS.AC */
	uint64_t misses, flushes;
	uint32_t user_gen; /* counts flushes that may concern addresses of user code: for soft_user */
	uint32_t map_gen; /* counts flushes: what was derived from the mapping is stale when it changes */
	/* The slots filled since the last flush, so that a flush costs what was used. log[0]: entries that a MOV CR3
	 * drops, log[1]: global ones. A count above TLB_LOG means that the log overflowed. */
	struct tlb_log {
		unsigned count;
		uint16_t slot[TLB_LOG]; /* table * TLB_SIZE + slot */
	} log[2];
	uint64_t large_2m[64], large_1g[4]; /* hashed: regions that large pages mapped since the last full flush */
	struct tlb_entry none[TLB_SIZE];    /* stays empty */
};

static inline unsigned tlb_slot(uint64_t linear)
{
	return (linear >> 12) & (TLB_SIZE - 1);
}

#endif
