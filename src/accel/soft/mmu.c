/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paging, the TLB and memory access. Sources: SDM 3A chapters 4, 5.5, 6.15; APM 2 chapter 5.
 */
#include "accel/soft/mmu.h"
#include "accel/soft/mem.h"
#include "accel/soft/soft.h"
#include "accel/soft/system.h"
#include "accel/soft/walk.h"
#include "core/region.h"
#include "core/vcpu.h"
#include "core/vm.h"

#include <string.h>

/* A page to be accessed: host is NULL for what is not RAM. */
struct place {
	uint8_t *host; /* of the byte asked for */
	uint64_t gpa;
	struct soft_ram *ram;
};

/* ---- faults of the walk ---- */
static ATTR_NORETURN ATTR_COLD void fault_page(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, uint32_t code)
{
	if (kind == TLB_WRITE)
		code |= X86_PF_W;
	if (who == TLB_USER)
		code |= X86_PF_U;
	if (kind == TLB_EXEC &&
	    ((c->s.cr4 & X86_CR4_SMEP) || ((c->s.cr4 & X86_CR4_PAE) && (c->s.efer & X86_EFER_NXE))))
		code |= X86_PF_I;
	cpu_page_fault(c, lin, code);
}

static void translate(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who, struct walk *w)
{
	for (bool upper = true;;) {
		w->ram_only = false;
		enum walk_result r = walk(c, lin, upper, w);
		if (w->from_upper && (r != WALK_OK || !walk_allows(c, w, kind, who))) {
			upper = false;
			continue;
		}
		if (r == WALK_ABSENT)
			fault_page(c, lin, kind, who, 0);
		if (r == WALK_RESERVED)
			fault_page(c, lin, kind, who, X86_PF_P | X86_PF_RSVD);
		if (!walk_allows(c, w, kind, who))
			fault_page(c, lin, kind, who, X86_PF_P);
		if (walk_mark(c, lin, w, kind == TLB_WRITE))
			return;
	}
}

bool mmu_translate(struct soft_cpu *c, uint64_t lin, uint64_t *gpa)
{
	struct walk w = { .ram_only = false };
	if (c->s.efer & X86_EFER_LMA ? !canonical(lin) && cpu_code64(c) : false)
		return false;
	if (walk(c, lin, false, &w) != WALK_OK)
		return false;
	*gpa = w.gpa;
	return true;
}

/* ---- the TLB ---- */
void mmu_update_who(struct soft_cpu *c)
{
	enum tlb_who who = TLB_SUPER;
	bool see_all = c->mode & MODE_BREAK;
	if (c->cpl == 3) {
		who = TLB_USER;
		bool aligned = (c->s.cr0 & X86_CR0_AM) && (c->s.rflags & X86_FLAG_AC); /* alignment is checked */
		see_all |= aligned;
		if (aligned != !!(c->mode & MODE_SEEN)) {
			c->mode ^= MODE_SEEN;
			c->end_block = true;
		}
	} else if ((c->s.cr4 & X86_CR4_SMAP) && !(c->s.rflags & X86_FLAG_AC)) {
		who = TLB_SUPER_SMAP;
	}
	c->tlb.data_who = who;
	c->tlb.rd = see_all ? c->tlb.none : c->tlb.entry[who][TLB_READ];
	c->tlb.wr = see_all ? c->tlb.none : c->tlb.entry[who][TLB_WRITE];
}

/* ---- one page ---- */
static struct place place_get(struct soft_cpu *c, uint64_t lin, enum tlb_kind kind, enum tlb_who who)
{
	struct walk w;
	struct tlb_entry *e = &c->tlb.entry[who][kind][tlb_slot(lin)];
	if (e->tag == (lin & ~UINT64_C(0xfff))) {
		uint8_t *host = (uint8_t *)(uintptr_t)(lin + e->addend);
		struct soft_ram *r = ram_of_host(c->sv, host);
		return (struct place){ host, r->gpa + (uint64_t)(host - r->host), r };
	}
	c->tlb.misses++;
	translate(c, lin, kind, who, &w);
	struct soft_ram *r = ram_seen(c->sv, &w.gpa, kind == TLB_WRITE);
	if (!r && kind != TLB_EXEC) { /* a card's memory: its block lies where no address reaches, and stays there */
		uint64_t card = gmem_card_address(c->sv->mem, w.gpa);
		r = card == w.gpa ? NULL : ram_find(c->sv, card);
		w.gpa = card;
	}
	if (!r || (r->rom && kind == TLB_WRITE))
		return (struct place){ .gpa = w.gpa };
	uint8_t *host = r->host + (w.gpa - r->gpa);
	if (kind == TLB_WRITE && unlikely(!ahead_begun(&r->area, w.gpa - r->gpa)))
		ahead_begin(gmem_discarded(c->sv->mem) ? NULL : c->sv->ahead, &r->area, w.gpa - r->gpa);
	if (kind != TLB_WRITE || page_take_writer(c->sv, r, w.gpa - r->gpa, lin))
		tlb_fill(c, lin, kind, who, &w, host);
	return (struct place){ host, w.gpa, r };
}

static uint64_t place_load(struct soft_cpu *c, const struct place *p, unsigned width)
{
	if (likely(p->host))
		return raw_load(p->host, width);
	atomic_fetch_add_explicit(&c->v->stats.mmio, 1, memory_order_relaxed);
	return region_read(c->vm->regions, REGION_MEMORY, p->gpa, width);
}

static void place_store(struct soft_cpu *c, const struct place *p, unsigned width, uint64_t v)
{
	if (likely(p->host)) {
		raw_store(p->host, width, v);
		page_written(c->sv, c, p->ram, p->gpa - p->ram->gpa, width);
		return;
	}
	atomic_fetch_add_explicit(&c->v->stats.mmio, 1, memory_order_relaxed);
	region_write(c->vm->regions, REGION_MEMORY, p->gpa, width, v);
}

/* Piecewise, for what crosses a page: `len` bytes within one page. */
static void place_copy_out(struct soft_cpu *c, const struct place *p, uint8_t *buf, unsigned len)
{
	if (p->host) {
		memcpy(buf, p->host, len);
		return;
	}
	for (unsigned n = 0; n < len;) {
		unsigned w = 8;
		while (w > len - n || (p->gpa + n) & (w - 1))
			w >>= 1;
		uint64_t v = region_read(c->vm->regions, REGION_MEMORY, p->gpa + n, w);
		memcpy(buf + n, &v, w);
		n += w;
	}
}

static void place_copy_in(struct soft_cpu *c, const struct place *p, const uint8_t *buf, unsigned len)
{
	if (p->host) {
		memcpy(p->host, buf, len);
		page_written(c->sv, c, p->ram, p->gpa - p->ram->gpa, len);
		return;
	}
	for (unsigned n = 0; n < len;) {
		unsigned w = 8;
		while (w > len - n || (p->gpa + n) & (w - 1))
			w >>= 1;
		uint64_t v = 0;
		memcpy(&v, buf + n, w);
		region_write(c->vm->regions, REGION_MEMORY, p->gpa + n, w, v);
		n += w;
	}
}

/* ---- slow data accesses ---- */
/* The linear address of the byte after a page, in the present mode. */
static uint64_t lin_wrap(const struct soft_cpu *c, uint64_t lin)
{
	return cpu_code64(c) ? lin : (uint32_t)lin;
}

static ATTR_NORETURN ATTR_COLD void fault_segment(struct soft_cpu *c)
{
	if (c->cur && c->cur->flags & INSN_STACK_SEG)
		cpu_fault_code(c, X86_SS_FAULT, 0);
	cpu_gp0(c);
}

void mmu_check_range(struct soft_cpu *c, uint64_t lin, unsigned len)
{
	if (cpu_code64(c) && (!canonical(lin) || !canonical(lin + len - 1)))
		fault_segment(c);
}

void mmu_check_align(struct soft_cpu *c, uint64_t lin, unsigned align)
{
	if (c->cpl == 3 && (c->s.cr0 & X86_CR0_AM) && (c->s.rflags & X86_FLAG_AC) && lin & (align - 1))
		cpu_fault_code(c, X86_AC, 0);
}

/* What every explicit access pays that may not be taken from the TLB. */
static void check_data(struct soft_cpu *c, uint64_t lin, unsigned width, bool aligned, bool write)
{
	if (likely(c->tlb.rd != c->tlb.none)) {
		mmu_check_range(c, lin, width);
		return;
	}
	mmu_check_range(c, lin, 1);
	if (aligned && is_power_of_2(width) && width <= 8)
		mmu_check_align(c, lin, width);
	mmu_check_range(c, lin, width);
	if (c->mode & MODE_BREAK)
		event_data_access(c, lin, width, write);
}

static inline unsigned first_part(uint64_t lin, unsigned len)
{
	unsigned room = 4096 - (lin & 0xfff);
	return len < room ? len : room;
}

static void copy_out(struct soft_cpu *c, uint64_t lin, void *buf, unsigned len, enum tlb_who who)
{
	unsigned a = first_part(lin, len);
	struct place p = place_get(c, lin, TLB_READ, who), q = { 0 };
	if (a < len)
		q = place_get(c, lin_wrap(c, lin + a), TLB_READ, who);
	place_copy_out(c, &p, buf, a);
	if (a < len)
		place_copy_out(c, &q, (uint8_t *)buf + a, len - a);
}

static void copy_in(struct soft_cpu *c, uint64_t lin, const void *buf, unsigned len, enum tlb_who who)
{
	unsigned a = first_part(lin, len);
	struct place p = place_get(c, lin, TLB_WRITE, who), q = { 0 };
	if (a < len)
		q = place_get(c, lin_wrap(c, lin + a), TLB_WRITE, who);
	place_copy_in(c, &p, buf, a);
	if (a < len)
		place_copy_in(c, &q, (const uint8_t *)buf + a, len - a);
}

static uint64_t load_as(struct soft_cpu *c, uint64_t lin, unsigned width, enum tlb_who who)
{
	if (likely((lin & 0xfff) + width <= 4096)) {
		struct place p = place_get(c, lin, TLB_READ, who);
		return place_load(c, &p, width);
	}
	uint64_t v = 0;
	copy_out(c, lin, &v, width, who);
	return v;
}

static void store_as(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v, enum tlb_who who)
{
	if (likely((lin & 0xfff) + width <= 4096)) {
		struct place p = place_get(c, lin, TLB_WRITE, who);
		place_store(c, &p, width, v);
		return;
	}
	copy_in(c, lin, &v, width, who);
}

uint64_t mmu_load_slow(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	check_data(c, lin, width, true, false);
	return load_as(c, lin, width, c->tlb.data_who);
}

void mmu_store_slow(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v)
{
	check_data(c, lin, width, true, true);
	store_as(c, lin, width, v, c->tlb.data_who);
}

uint8_t ld8(struct soft_cpu *c, uint64_t lin) { return (uint8_t)mem_load(c, lin, 1); }
uint16_t ld16(struct soft_cpu *c, uint64_t lin) { return (uint16_t)mem_load(c, lin, 2); }
uint32_t ld32(struct soft_cpu *c, uint64_t lin) { return (uint32_t)mem_load(c, lin, 4); }
uint64_t ld64(struct soft_cpu *c, uint64_t lin) { return mem_load(c, lin, 8); }
void st8(struct soft_cpu *c, uint64_t lin, uint8_t v) { mem_store(c, lin, 1, v); }
void st16(struct soft_cpu *c, uint64_t lin, uint16_t v) { mem_store(c, lin, 2, v); }
void st32(struct soft_cpu *c, uint64_t lin, uint32_t v) { mem_store(c, lin, 4, v); }
void st64(struct soft_cpu *c, uint64_t lin, uint64_t v) { mem_store(c, lin, 8, v); }
uint64_t ld(struct soft_cpu *c, uint64_t lin, unsigned width) { return mem_load(c, lin, width); }
void st(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v) { mem_store(c, lin, width, v); }

void ld_buf(struct soft_cpu *c, uint64_t lin, void *buf, unsigned len)
{
	check_data(c, lin, len, false, false);
	copy_out(c, lin, buf, len, c->tlb.data_who);
}

void st_buf(struct soft_cpu *c, uint64_t lin, const void *buf, unsigned len)
{
	check_data(c, lin, len, false, true);
	copy_in(c, lin, buf, len, c->tlb.data_who);
}

static void probe(struct soft_cpu *c, uint64_t lin, unsigned len, enum tlb_kind kind)
{
	check_data(c, lin, len, true, kind == TLB_WRITE);
	place_get(c, lin, kind, c->tlb.data_who);
	unsigned a = first_part(lin, len);
	if (a < len)
		place_get(c, lin_wrap(c, lin + a), kind, c->tlb.data_who);
}

void probe_write(struct soft_cpu *c, uint64_t lin, unsigned len)
{
	probe(c, lin, len, TLB_WRITE);
}

void probe_read(struct soft_cpu *c, uint64_t lin, unsigned len)
{
	probe(c, lin, len, TLB_READ);
}

/* Implicit accesses heed SMAP whatever AC says (SDM 3A 4.6.1). */
static enum tlb_who super_who(const struct soft_cpu *c)
{
	return c->s.cr4 & X86_CR4_SMAP ? TLB_SUPER_SMAP : TLB_SUPER;
}

uint64_t ld_super(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	if (!(c->s.efer & X86_EFER_LMA))
		lin = (uint32_t)lin;
	return load_as(c, lin, width, super_who(c));
}

void st_super(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v)
{
	if (!(c->s.efer & X86_EFER_LMA))
		lin = (uint32_t)lin;
	store_as(c, lin, width, v, super_who(c));
}

/* ---- read-modify-write ---- */
/* Over a page's end: where both pages lie beside each other on the host too, as those of a kernel's linear map do, the
 * host's LOCK splits as the guest's would and is atomic against everybody. NULL elsewhere: the machine's bus lock then
 * keeps locked accesses apart, but not the plain stores of other vCPUs. */
static void *split_ptr(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	unsigned a = first_part(lin, width);
	struct place p, q;

	probe(c, lin, width, TLB_WRITE);
	p = place_get(c, lin, TLB_WRITE, c->tlb.data_who);
	q = place_get(c, lin_wrap(c, lin + a), TLB_WRITE, c->tlb.data_who);
	if (!p.host || !q.host || p.ram != q.ram || q.host != p.host + a)
		return NULL;
	uint64_t off = p.gpa - p.ram->gpa;
	return atomic_load(&p.ram->flags[off >> 12]) || atomic_load(&p.ram->flags[(off >> 12) + 1]) ? NULL : p.host;
}

void *rmw_ptr(struct soft_cpu *c, uint64_t lin, unsigned width)
{
	void *hit = mem_hit(c->tlb.wr, lin, width);
	if (likely(hit))
		return hit;
	check_data(c, lin, width, true, true);
	if ((lin & 0xfff) + width > 4096)
		return split_ptr(c, lin, width);
	struct place p = place_get(c, lin, TLB_WRITE, c->tlb.data_who);
	if (!p.host)
		return NULL;
	/* A watched page: say so before the store, and again after the instruction. */
	uint64_t off = p.gpa - p.ram->gpa;
	if (atomic_load(&p.ram->flags[off >> 12])) {
		page_written(c->sv, c, p.ram, off, width);
		soft_vcpu_of(c)->rmw_host = p.host;
		c->end_block = true;
	}
	return p.host;
}

void mmu_rmw_done(struct soft_cpu *c)
{
	struct soft_vcpu *v = soft_vcpu_of(c);
	struct soft_ram *r = ram_of_host(c->sv, v->rmw_host);
	uint64_t off = (uint64_t)(v->rmw_host - r->host), room = 4096 - (off & 4095);
	v->rmw_host = NULL;
	page_written(c->sv, c, r, off, room < 16 ? room : 16);
}

void mmu_bus_lock(struct soft_cpu *c)
{
	pthread_mutex_lock(&c->sv->bus_lock);
	soft_vcpu_of(c)->bus_locked = true;
}

void mmu_bus_unlock(struct soft_cpu *c)
{
	if (!soft_vcpu_of(c)->bus_locked)
		return;
	soft_vcpu_of(c)->bus_locked = false;
	pthread_mutex_unlock(&c->sv->bus_lock);
}

/* ---- code ---- */
const uint8_t *mmu_fetch(struct soft_cpu *c, uint64_t lin, uint64_t *gpa)
{
	enum tlb_who who = c->cpl == 3 ? TLB_USER : TLB_SUPER;
	const struct tlb_entry *e = &c->tlb.entry[who][TLB_EXEC][tlb_slot(lin)];
	if (likely(e->tag == (lin & ~UINT64_C(0xfff))))
		return (const uint8_t *)(uintptr_t)(lin + e->addend);
	if (cpu_code64(c) && !canonical(lin))
		cpu_gp0(c);
	struct place p = place_get(c, lin, TLB_EXEC, who);
	*gpa = p.gpa;
	return p.host;
}

/* ---- addresses ---- */
uint64_t insn_ea(const struct soft_cpu *c, const struct insn *i)
{
	uint64_t ea = (int64_t)i->disp;
	if (i->base != REG_NONE)
		ea += c->s.gpr[i->base];
	if (i->index != REG_NONE)
		ea += c->s.gpr[i->index] * i->scale;
	if (i->flags & INSN_RIP_REL)
		ea += c->block_rip + (i->fast ? 0 : i->off + i->len);
	return i->asize == 8 ? ea : i->asize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

static ATTR_NORETURN ATTR_COLD void fault_seg_number(struct soft_cpu *c, unsigned seg)
{
	if (seg == X86_SS)
		cpu_fault_code(c, X86_SS_FAULT, 0);
	cpu_gp0(c);
}

static bool seg_limit_ok(const struct x86_seg *s, uint64_t ea, unsigned size)
{
	uint64_t last = ea + size - 1;
	if ((s->attr & (X86_AR_CODE | X86_AR_DOWN)) == X86_AR_DOWN) {
		uint64_t top = s->attr & X86_AR_DB ? 0xffffffff : 0xffff;
		return ea > s->limit && last <= top;
	}
	/* In a flat segment an operand may run over the end into the beginning (SDM 3A 5.3 leaves it open). */
	return last <= s->limit || (s->limit == UINT32_MAX && s->base == 0 && ea <= UINT32_MAX);
}

static bool seg_type_ok(const struct soft_cpu *c, const struct x86_seg *s, bool write)
{
	if (!cpu_protected(c))
		return true;
	if (s->attr & X86_AR_UNUSABLE)
		return false;
	bool code = s->attr & X86_AR_CODE, rw = s->attr & X86_AR_WRITABLE;
	return write ? !code && rw : !code || rw;
}

uint64_t seg_linear(struct soft_cpu *c, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	const struct x86_seg *s = &c->s.seg[seg];
	if (cpu_code64(c)) {
		uint64_t lin = seg == X86_FS || seg == X86_GS ? ea + s->base : ea;
		if (unlikely(!canonical(lin))) /* the last byte is looked at when the access leaves the page */
			fault_seg_number(c, seg);
		return lin;
	}
	if (unlikely(!seg_type_ok(c, s, write) || !seg_limit_ok(s, ea, size)))
		fault_seg_number(c, seg);
	return (uint32_t)(ea + s->base);
}

uint64_t insn_linear(struct soft_cpu *c, const struct insn *i, unsigned size, bool write)
{
	return seg_linear(c, i->seg, insn_ea(c, i), size, write);
}

/* ---- stack ---- */
static inline uint64_t stack_mask(const struct soft_cpu *c)
{
	return c->stack_width == 8 ? UINT64_MAX : c->stack_width == 4 ? 0xffffffff : 0xffff;
}

void stack_adjust(struct soft_cpu *c, int64_t bytes)
{
	uint64_t m = stack_mask(c), *sp = &c->s.gpr[X86_RSP];
	uint64_t v = (*sp + (uint64_t)bytes) & m;
	*sp = c->stack_width == 2 ? (*sp & ~m) | v : v;
}

/* As seg_linear, with an item that runs into the non-canonical hole faulting as #SS too. */
static inline uint64_t stack_linear(struct soft_cpu *c, uint64_t at, unsigned width, bool write)
{
	uint64_t lin = seg_linear(c, X86_SS, at, width, write);
	if (unlikely(cpu_code64(c) && !canonical(lin + width - 1))) {
		mmu_check_align(c, lin, width);
		fault_seg_number(c, X86_SS);
	}
	return lin;
}

uint64_t stack_peek(struct soft_cpu *c, uint64_t skip, unsigned width)
{
	uint64_t at = (c->s.gpr[X86_RSP] + skip) & stack_mask(c);
	return mem_load(c, stack_linear(c, at, width, false), width);
}

void stack_poke(struct soft_cpu *c, uint64_t depth, unsigned width, uint64_t v)
{
	uint64_t at = (c->s.gpr[X86_RSP] - depth) & stack_mask(c);
	mem_store(c, stack_linear(c, at, width, true), width, v);
}

void stack_push(struct soft_cpu *c, unsigned width, uint64_t v)
{
	stack_poke(c, width, width, v);
	stack_adjust(c, -(int64_t)width);
}

uint64_t stack_pop(struct soft_cpu *c, unsigned width)
{
	uint64_t v = stack_peek(c, 0, width);
	stack_adjust(c, width);
	return v;
}
