/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk through the guest's page tables. Sources: SDM 3A chapter 4; APM 2 chapter 5. */
#include "accel/soft/walk.h"
#include "accel/soft/mmu.h"
#include "core/region.h"
#include "core/vm.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

/* ---- one entry ---- */
static uint64_t host_read(const uint8_t *p, bool wide)
{
	return wide ? atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed) :
		      atomic_load_explicit((const _Atomic uint32_t *)p, memory_order_relaxed);
}

static uint64_t table_read(struct soft_cpu *c, const struct walk *w, uint64_t gpa)
{
	struct soft_ram *r = ram_find(c->sv, gpa);
	if (likely(r))
		return host_read(r->host + (gpa - r->gpa), w->wide);
	return w->ram_only ? 0 : region_read(c->vm->regions, REGION_MEMORY, gpa, w->wide ? 8 : 4);
}

/* Sets bits in an entry; false when it changed meanwhile. */
static bool table_set(struct soft_cpu *c, struct walk_entry *en, bool wide, uint64_t bits)
{
	struct soft_ram *r = ram_find(c->sv, en->gpa);
	if (!r || r->rom)
		return true;
	uint8_t *p = r->host + (en->gpa - r->gpa);
	uint64_t old = en->value;
	uint32_t old32 = (uint32_t)old;
	bool ok = wide ? atomic_compare_exchange_strong((_Atomic uint64_t *)p, &old, old | bits) :
	                 atomic_compare_exchange_strong((_Atomic uint32_t *)p, &old32, old32 | (uint32_t)bits);
	if (ok)
		page_written(c->sv, c, r, en->gpa - r->gpa, wide ? 8 : 4);
	return ok;
}

static uint64_t reserved_bits(const struct soft_cpu *c)
{
	uint64_t m = PTE_ADDR & ~c->phys_mask;
	if (!(c->s.efer & X86_EFER_NXE))
		m |= PTE_NX;
	return m;
}

static enum walk_result walk_entry(struct walk *w, uint64_t gpa, uint64_t value, uint64_t rsvd)
{
	w->entry[w->levels++] = (struct walk_entry){ gpa, value };
	if (!(value & PTE_P))
		return WALK_ABSENT;
	return value & rsvd ? WALK_RESERVED : WALK_OK;
}

static void walk_rights(struct walk *w, uint64_t e)
{
	w->above.write_ok = w->write_ok;
	w->above.user_ok = w->user_ok;
	w->above.nx = w->nx;
	w->write_ok &= !!(e & PTE_W);
	w->user_ok &= !!(e & PTE_U);
	w->nx |= !!(e & PTE_NX);
}

/* ---- 8-byte entries ---- */
static enum walk_result walk_end(struct walk *w, uint64_t lin, uint64_t e, unsigned shift)
{
	w->page_size = UINT64_C(1) << shift;
	uint64_t low = w->page_size - 1;
	if (shift > 12 && e & low & PTE_ADDR & ~UINT64_C(0x1000)) /* bit 12 is PAT */
		return WALK_RESERVED;
	w->gpa = (e & PTE_ADDR & ~low) | (lin & low);
	w->global = e & PTE_G;
	return WALK_OK;
}

static uint64_t reserved_at(const struct soft_cpu *c, bool lma, unsigned shift)
{
	if (!lma && shift == 30)
		return (PTE_ADDR & ~c->phys_mask) | 0xfff0000000000000 | 0x1e6;
	return reserved_bits(c) | (lma ? 0 : 0x7ff0000000000000) | (shift == 39 ? PTE_PS : 0);
}

static enum walk_result walk_wide(struct soft_cpu *c, uint64_t lin, struct walk *w)
{
	bool lma = c->s.efer & X86_EFER_LMA;
	uint64_t table = lma ? c->s.cr3 & PTE_ADDR : c->s.cr3 & 0xffffffe0, e;
	unsigned shift = lma ? 39 : 30;
	for (;; shift -= 9) {
		uint64_t gpa = table + (lin >> shift & 0x1ff) * 8;
		e = table_read(c, w, gpa);
		enum walk_result res = walk_entry(w, gpa, e, reserved_at(c, lma, shift));
		if (res != WALK_OK)
			return res;
		table = e & PTE_ADDR;
		if (!lma && shift == 30) {
			w->levels--; /* no rights, no accessed bit */
			continue;
		}
		walk_rights(w, e);
		if (shift == 12 || ((e & PTE_PS) && shift <= 30))
			return walk_end(w, lin, e, shift);
	}
}

static struct tlb_upper *upper_of(struct soft_cpu *c, uint64_t lin)
{
	return &c->tlb.upper[(lin >> 21 ^ lin >> 32) & (TLB_UPPER - 1)];
}

/* Where it does not lead to a page that may be accessed the caller walks all of it again: a fault drops what is
 * remembered of its address (SDM 3A 4.10.4.1). */
static enum walk_result walk_upper(struct soft_cpu *c, uint64_t lin, const struct tlb_upper *u, struct walk *w)
{
	uint64_t at = (lin >> 12 & 0x1ff) * 8;
	w->from_upper = true;
	w->write_ok = u->write_ok;
	w->user_ok = u->user_ok;
	w->nx = u->nx;
	uint64_t e = host_read(u->table + at, true);
	enum walk_result res = walk_entry(w, u->gpa + at, e, reserved_at(c, c->s.efer & X86_EFER_LMA, 12));
	if (res != WALK_OK)
		return res;
	walk_rights(w, e);
	return walk_end(w, lin, e, 12);
}

static void upper_put(struct soft_cpu *c, uint64_t lin, const struct walk *w)
{
	uint64_t gpa = w->entry[w->levels - 1].gpa & PTE_ADDR;
	struct soft_ram *r = ram_find(c->sv, gpa);
	if (!r)
		return;
	struct tlb_upper *u = upper_of(c, lin);
	u->lin = lin >> 21;
	u->gpa = gpa;
	u->table = r->host + (gpa - r->gpa);
	u->gen = c->tlb.walk_gen;
	u->write_ok = w->above.write_ok;
	u->user_ok = w->above.user_ok;
	u->nx = w->above.nx;
}

/* ---- 4-byte entries ---- */
static enum walk_result walk_narrow(struct soft_cpu *c, uint64_t lin, struct walk *w)
{
	uint64_t at = (c->s.cr3 & 0xfffff000) + (lin >> 22) * 4, e = table_read(c, w, at);
	enum walk_result r = walk_entry(w, at, e, 0);
	if (r != WALK_OK)
		return r;
	walk_rights(w, e);
	if ((e & PTE_PS) && (c->s.cr4 & X86_CR4_PSE)) {
		if (e & 1 << 21)
			return WALK_RESERVED;
		w->page_size = 1 << 22;
		w->gpa = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 | (lin & 0x3fffff); /* PSE-36 */
	} else {
		at = (e & 0xfffff000) + (lin >> 12 & 0x3ff) * 4;
		e = table_read(c, w, at);
		r = walk_entry(w, at, e, 0);
		if (r != WALK_OK)
			return r;
		walk_rights(w, e);
		w->page_size = 4096;
		w->gpa = (e & 0xfffff000) | (lin & 0xfff);
	}
	w->global = e & PTE_G;
	return WALK_OK;
}

/* ---- all ---- */
enum walk_result walk(struct soft_cpu *c, uint64_t lin, bool upper, struct walk *w)
{
	w->write_ok = w->user_ok = true;
	w->nx = w->global = w->from_upper = false;
	w->levels = 0;
	w->wide = c->s.cr4 & X86_CR4_PAE;
	if (!(c->s.cr0 & X86_CR0_PG)) {
		w->gpa = lin;
		w->page_size = 4096;
		return WALK_OK;
	}
	if (!w->wide)
		return walk_narrow(c, lin, w);
	const struct tlb_upper *u = upper_of(c, lin);
	if (upper && u->gen == c->tlb.walk_gen && u->lin == lin >> 21)
		return walk_upper(c, lin, u, w);
	return walk_wide(c, lin, w);
}

bool walk_allows(const struct soft_cpu *c, const struct walk *w, enum tlb_kind kind, enum tlb_who who)
{
	if (!(c->s.cr0 & X86_CR0_PG))
		return true;
	if (who == TLB_USER) {
		if (!w->user_ok || (kind == TLB_WRITE && !w->write_ok))
			return false;
		return kind != TLB_EXEC || !w->nx;
	}
	switch (kind) {
	case TLB_EXEC: return !w->nx && !(w->user_ok && c->s.cr4 & X86_CR4_SMEP);
	case TLB_WRITE:
		if (!w->write_ok && c->s.cr0 & X86_CR0_WP)
			return false;
		ATTR_FALLTHROUGH;
	default: return !(w->user_ok && who == TLB_SUPER_SMAP);
	}
}

/* From the root down. */
bool walk_mark(struct soft_cpu *c, uint64_t lin, struct walk *w, bool write)
{
	for (unsigned n = 0; n < w->levels; n++) {
		uint64_t bits = PTE_A | (write && n + 1 == w->levels ? PTE_D : 0);
		if ((w->entry[n].value & bits) != bits && !table_set(c, &w->entry[n], w->wide, bits))
			return false;
	}
	if (w->wide && w->levels > 1 && w->page_size == 4096)
		upper_put(c, lin, w);
	return true;
}

/* The walk of an access, with accessed and dirty bits set; false: it would fault, or leaves RAM on its way. */
static bool refill_walk(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, struct walk *w)
{
	w->ram_only = true;
	for (bool upper = true;;) {
		if (walk(c, lin, upper, w) != WALK_OK || !walk_allows(c, w, kind, who)) {
			if (!w->from_upper)
				return false;
			upper = false;
		} else if (walk_mark(c, lin, w, kind == TLB_WRITE)) {
			return true;
		}
	}
}

/* What was walked for a write serves reads too. */
static void fill_both(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, const struct walk *w, uint8_t *host)
{
	tlb_fill(c, lin, kind, who, w, host);
	if (kind == TLB_WRITE && c->tlb.entry[who][TLB_READ][tlb_slot(lin)].tag != (lin & ~UINT64_C(0xfff)))
		tlb_fill(c, lin, TLB_READ, who, w, host);
}

bool mmu_refill(struct soft_cpu *c, uint64_t lin, bool write)
{
	enum tlb_kind kind = write ? TLB_WRITE : TLB_READ;
	enum tlb_who who = c->tlb.data_who;
	struct walk w;
	if (c->tlb.rd == c->tlb.none || !canonical(lin) || !refill_walk(c, lin, kind, who, &w))
		return false;
	if (unlikely(write && w.gpa - GMEM_SHADOW < GMEM_SHADOW_SIZE))
		return false; /* reads may find something else there */
	struct soft_ram *r = ram_seen(c->sv, &w.gpa, write);
	if (write && r && !ahead_begun(&r->area, w.gpa - r->gpa))
		return false; /* place_get begins it: that calls what may use vector registers */
	if (!r || (write && (r->rom || !page_take_writer(c->sv, r, w.gpa - r->gpa, lin))))
		return false;
	c->tlb.misses++;
	fill_both(c, lin, kind, who, &w, r->host + (w.gpa - r->gpa));
	return true;
}

bool mmu_refill_exec(struct soft_cpu *c, uint64_t lin)
{
	enum tlb_who who = c->mode & MODE_USER ? TLB_USER : TLB_SUPER;
	struct walk w;
	if (!canonical(lin) || !refill_walk(c, lin, TLB_EXEC, who, &w))
		return false;
	struct soft_ram *r = ram_seen(c->sv, &w.gpa, false);
	if (!r)
		return false;
	c->tlb.misses++;
	tlb_fill(c, lin, TLB_EXEC, who, &w, r->host + (w.gpa - r->gpa));
	return true;
}
