/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filling and emptying the TLB. */
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"

/* ---- what was filled ---- */
static void note_large(struct tlb *t, uint64_t lin, const struct walk *w)
{
	t->large_2m[lin >> 27 & 63] |= UINT64_C(1) << (lin >> 21 & 63);
	if (w->page_size > 1 << 22)
		t->large_1g[lin >> 36 & 3] |= UINT64_C(1) << (lin >> 30 & 63);
}

void tlb_fill(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, const struct walk *w, uint8_t *host)
{
	unsigned slot = tlb_slot(lin), chunk = slot / TLB_CHUNK;
	struct tlb_entry *e = &c->tlb.entry[who][kind][slot];
	bool global = w->global && c->s.cr4 & X86_CR4_PGE;
	struct tlb_log *log = &c->tlb.log[global];
	if (kind == TLB_EXEC && !global && tlb_half(lin))
		c->tlb.upper_local = true;
	e->tag = lin & ~UINT64_C(0xfff);
	e->addend = (uint64_t)(uintptr_t)host - lin;
	if (w->page_size > 4096)
		note_large(&c->tlb, lin, w);
	log->used[who][kind][chunk / 64] |= UINT64_C(1) << (chunk % 64);
	if (log->count < TLB_LOG)
		log->slot[log->count] = (who * TLB_KINDS + kind) * TLB_SIZE + slot;
	if (log->count <= TLB_LOG)
		log->count++;
}

/* Chunks `word` * 64 to `word` * 64 + 63 of a table of which something may be filled. */
static uint64_t used_word(const struct soft_cpu *c, unsigned who, unsigned kind, unsigned word)
{
	return c->tlb.log[0].used[who][kind][word] | c->tlb.log[1].used[who][kind][word];
}

/* ---- emptying ---- */
static void clear_chunks(struct tlb_entry *table, unsigned word, uint64_t chunks)
{
	for (; chunks; chunks &= chunks - 1) {
		unsigned first = (word * 64 + (unsigned)__builtin_ctzll(chunks)) * TLB_CHUNK;
		for (unsigned slot = first; slot < first + TLB_CHUNK; slot++)
			table[slot].tag = tlb_empty(slot);
	}
}

static void flush_used(struct soft_cpu *c, struct tlb_log *log)
{
	for (unsigned who = 0; who < TLB_WHOS; who++)
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			for (unsigned word = 0; word < TLB_CHUNKS / 64; word++) {
				clear_chunks(c->tlb.entry[who][kind], word, log->used[who][kind][word]);
				log->used[who][kind][word] = 0;
			}
}

static void flush_log(struct soft_cpu *c, struct tlb_log *log)
{
	struct tlb_entry *all = &c->tlb.entry[0][0][0];
	uint64_t *used = &log->used[0][0][0];
	if (log->count > TLB_LOG)
		flush_used(c, log);
	for (unsigned n = 0; log->count <= TLB_LOG && n < log->count; n++) {
		unsigned slot = log->slot[n];
		all[slot].tag = tlb_empty(slot % TLB_SIZE);
		used[slot / TLB_CHUNK / 64] = 0; /* whatever else it notes is in this log too */
	}
	log->count = 0;
}

void mmu_flush_nonglobal(struct soft_cpu *c)
{
	c->tlb.flushes++;
	c->tlb.user_gen++;
	c->tlb.walk_gen++;
	c->tlb.map_gen[0]++;
	c->tlb.map_gen[1] += c->tlb.upper_local;
	c->tlb.upper_local = false;
	tlb_forget_near(&c->tlb);
	flush_log(c, &c->tlb.log[0]);
}

void mmu_flush_all(struct soft_cpu *c)
{
	c->tlb.upper_local = true;
	mmu_flush_nonglobal(c);
	flush_log(c, &c->tlb.log[1]);
	for (unsigned n = 0; n < 64; n++)
		c->tlb.large_2m[n] = 0;
	for (unsigned n = 0; n < 4; n++)
		c->tlb.large_1g[n] = 0;
}

/* Those entries of `count` chunks from `first` on whose tag or host page is `want` after a shift. */
static void drop_matching(struct soft_cpu *c, unsigned who, unsigned kind, unsigned first, unsigned count, bool by_host,
			  uint64_t want, unsigned shift)
{
	struct tlb_entry *table = c->tlb.entry[who][kind];
	for (unsigned chunk = first; chunk < first + count; chunk++) {
		uint64_t used = used_word(c, who, kind, chunk / 64);
		if (!used && chunk % 64 == 0)
			chunk += 63;
		if (!(used >> (chunk % 64) & 1))
			continue;
		for (unsigned slot = chunk * TLB_CHUNK; slot < (chunk + 1) * TLB_CHUNK; slot++)
			if ((table[slot].tag + (by_host ? table[slot].addend : 0)) >> shift == want)
				table[slot].tag = tlb_empty(slot);
	}
}

static void drop_region(struct soft_cpu *c, uint64_t lin, unsigned shift)
{
	uint64_t pages = UINT64_C(1) << (shift - 12);
	unsigned first = pages < TLB_SIZE ? (tlb_slot(lin) & ~((unsigned)pages - 1)) / TLB_CHUNK : 0;
	unsigned count = pages < TLB_SIZE ? (unsigned)pages / TLB_CHUNK : TLB_CHUNKS;
	for (unsigned who = 0; who < TLB_WHOS; who++)
		for (unsigned kind = 0; kind < TLB_KINDS; kind++)
			drop_matching(c, who, kind, first, count, false, lin >> shift, shift);
}

void mmu_flush_page(struct soft_cpu *c, uint64_t lin)
{
	c->tlb.walk_gen++;
	c->tlb.map_gen[tlb_half(lin)]++;
	if (!tlb_half(lin))
		c->tlb.user_gen++;
	tlb_forget_near(&c->tlb);
	if (c->tlb.large_1g[lin >> 36 & 3] >> (lin >> 30 & 63) & 1) {
		drop_region(c, lin, 30);
	} else if (c->tlb.large_2m[lin >> 27 & 63] >> (lin >> 21 & 63) & 1) {
		drop_region(c, lin, c->s.cr4 & X86_CR4_PAE ? 21 : 22);
	} else {
		for (unsigned who = 0; who < TLB_WHOS; who++)
			for (unsigned kind = 0; kind < TLB_KINDS; kind++) {
				struct tlb_entry *e = &c->tlb.entry[who][kind][tlb_slot(lin)];
				if (e->tag == (lin & ~UINT64_C(0xfff)))
					e->tag = tlb_empty(tlb_slot(lin));
			}
	}
}

void mmu_drop_writers(struct soft_cpu *c)
{
	tlb_forget_near(&c->tlb);
	for (unsigned who = 0; who < TLB_WHOS; who++)
		for (unsigned word = 0; word < TLB_CHUNKS / 64; word++)
			clear_chunks(c->tlb.entry[who][TLB_WRITE], word, used_word(c, who, TLB_WRITE, word));
}

void mmu_drop_writers_of(struct soft_cpu *c, const uint8_t *host_page, unsigned slot)
{
	uint64_t want = (uint64_t)(uintptr_t)host_page >> 12;
	tlb_forget_near(&c->tlb);
	for (unsigned who = 0; who < TLB_WHOS; who++) {
		struct tlb_entry *e = &c->tlb.entry[who][TLB_WRITE][slot % TLB_SIZE];
		if (slot == TLB_SIZE)
			drop_matching(c, who, TLB_WRITE, 0, TLB_CHUNKS, true, want, 12);
		else if ((e->tag + e->addend) >> 12 == want)
			e->tag = tlb_empty(slot);
	}
}
