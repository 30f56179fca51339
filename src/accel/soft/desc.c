/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"

void desc_fault(struct soft_cpu *c, unsigned vector, uint16_t sel, unsigned ext)
{
	cpu_fault_code(c, vector, (sel & 0xfffc) | ext);
}

/* Linear addresses wrap at 4 GiB outside IA-32e mode. */
static uint64_t system_linear(const struct soft_cpu *c, uint64_t lin)
{
	return cpu_long(c) ? lin : (uint32_t)lin;
}

bool desc_find(struct soft_cpu *c, uint16_t sel, struct desc *d)
{
	uint64_t base = c->s.gdtr.base;
	uint32_t limit = c->s.gdtr.limit;

	if (sel & 4) {
		const struct x86_seg *ldt = &c->s.seg[X86_LDTR];
		if ((ldt->attr & X86_AR_UNUSABLE) || !(ldt->attr & X86_AR_P))
			return false;
		base = ldt->base;
		limit = ldt->limit;
	}
	if ((sel | 7u) > limit)
		return false;
	d->at = system_linear(c, base + (sel & ~7u));
	d->raw = ld_super(c, d->at, 8);
	return true;
}

void desc_fetch(struct soft_cpu *c, uint16_t sel, struct desc *d, unsigned vector, unsigned ext)
{
	if (!desc_find(c, sel, d))
		desc_fault(c, vector, sel, ext);
}

uint64_t desc_fetch_high(struct soft_cpu *c, uint16_t sel, const struct desc *d, unsigned vector, unsigned ext)
{
	uint32_t limit = sel & 4 ? c->s.seg[X86_LDTR].limit : c->s.gdtr.limit;

	if ((sel & ~7u) + 15 > limit)
		desc_fault(c, vector, sel, ext);
	return ld_super(c, d->at + 8, 8);
}

void desc_set_accessed(struct soft_cpu *c, struct desc *d)
{
	if (d->raw >> 40 & X86_AR_ACCESSED)
		return;
	d->raw |= UINT64_C(1) << 40;
	st_super(c, d->at + 5, 1, (d->raw >> 40) & 0xff);
}

void desc_set_busy(struct soft_cpu *c, uint64_t at, bool busy)
{
	uint8_t access = (uint8_t)ld_super(c, at + 5, 1);

	st_super(c, at + 5, 1, busy ? access | 2 : access & ~2);
}

struct x86_seg desc_seg(const struct desc *d, uint16_t sel)
{
	return (struct x86_seg){ .base = desc_base(d), .limit = desc_limit(d), .attr = desc_attr(d), .sel = sel };
}

struct x86_seg desc_null_seg(uint16_t sel, unsigned dpl)
{
	return (struct x86_seg){ .attr = X86_AR_UNUSABLE | dpl << X86_AR_DPL_SHIFT, .sel = sel };
}

void desc_check_rip(struct soft_cpu *c, const struct x86_seg *cs, uint64_t rip, unsigned ext)
{
	bool code64 = cpu_long(c) && (cs->attr & X86_AR_L);

	/* What 64-bit code hands to compatibility mode above 32 bits is dropped. */
	if (code64 ? !is_canonical(rip) : (cpu_long(c) ? (uint32_t)rip : rip) > cs->limit)
		cpu_fault_code(c, X86_GP, ext);
}

/* Blocks are found by RIP: with another base, the same RIP is other code. */
void desc_set_cs(struct soft_cpu *c, const struct x86_seg *cs)
{
	if (c->s.seg[X86_CS].base != cs->base)
		c->tlb.map_gen[0]++;
	c->s.seg[X86_CS] = *cs;
}

void desc_enter_code(struct soft_cpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t rip)
{
	if (cpu_long(c) && !(cs->attr & X86_AR_L))
		rip = (uint32_t)rip;
	desc_set_cs(c, cs);
	if (cpu_protected(c))
		c->s.seg[X86_CS].sel = (cs->sel & ~3u) | cpl;
	c->s.rip = rip;
	c->next_rip = rip;
	c->end_block = true;
	cpu_update_mode(c);
}

void desc_drop_data_segments(struct soft_cpu *c, unsigned cpl)
{
	static const uint8_t segs[] = { X86_ES, X86_DS, X86_FS, X86_GS };

	for (unsigned n = 0; n < COUNT_OF(segs); n++) {
		struct x86_seg *s = &c->s.seg[segs[n]];
		unsigned dpl = (s->attr & X86_AR_DPL) >> X86_AR_DPL_SHIFT;
		bool conforming = (s->attr & X86_AR_CODE) && (s->attr & X86_AR_DOWN);

		/* Processors also turn the null selectors 1-3 into 0 here. The base stays: FS and GS use it. */
		if ((s->attr & X86_AR_UNUSABLE) || (dpl < cpl && !conforming)) {
			s->attr = X86_AR_UNUSABLE;
			s->sel = 0;
		}
	}
}

/* ---- stacks ---- */

static unsigned stack_width_of(const struct soft_cpu *c, const struct x86_seg *ss)
{
	return ss->attr & X86_AR_DB ? 4 : 2;
}

void desc_stack_current(struct soft_cpu *c, struct desc_stack *st, unsigned ext)
{
	*st = (struct desc_stack){
		.ss = c->s.seg[X86_SS], .sp = c->s.gpr[X86_RSP], .width = c->stack_width, .cpl = c->cpl, .ext = ext,
	};
}

static void stack_from_tss64(struct soft_cpu *c, struct desc_stack *st, unsigned cpl, unsigned ist)
{
	const struct x86_seg *tr = &c->s.seg[X86_TR];
	uint32_t at = ist ? 36 + (ist - 1) * 8 : 4 + cpl * 8;

	if (at + 7 > tr->limit)
		desc_fault(c, X86_TS, tr->sel, st->ext);
	st->sp = ld_super(c, tr->base + at, 8);
	if (!is_canonical(st->sp))
		cpu_fault_code(c, X86_SS_FAULT, st->ext);
	st->width = 8;
	if (cpl != c->cpl)
		st->ss = desc_null_seg((uint16_t)cpl, cpl);
	else
		st->ss = c->s.seg[X86_SS];
}

/* The checks on an SS selector that comes from a TSS, SDM 3A 6.12.1. */
static void stack_load_ss(struct soft_cpu *c, struct desc_stack *st, uint16_t sel, unsigned cpl)
{
	struct desc d;

	if (!(sel & 0xfffc))
		cpu_fault_code(c, X86_TS, st->ext);
	desc_fetch(c, sel, &d, X86_TS, st->ext);
	if ((sel & 3) != cpl || desc_dpl(&d) != cpl || !desc_is_writable(&d))
		desc_fault(c, X86_TS, sel, st->ext);
	if (!desc_present(&d))
		desc_fault(c, X86_SS_FAULT, sel, st->ext);
	desc_set_accessed(c, &d);
	st->ss = desc_seg(&d, sel);
	st->width = stack_width_of(c, &st->ss);
}

void desc_stack_from_tss(struct soft_cpu *c, struct desc_stack *st, unsigned cpl, unsigned ist, unsigned ext)
{
	const struct x86_seg *tr = &c->s.seg[X86_TR];
	bool tss32 = (tr->attr & X86_AR_TYPE) & 8;
	uint32_t at = tss32 ? 4 + cpl * 8 : 2 + cpl * 4;
	uint16_t ss;

	*st = (struct desc_stack){ .cpl = cpl, .switched = true, .ext = ext };
	if (cpu_long(c)) {
		stack_from_tss64(c, st, cpl, ist);
		return;
	}
	if (at + (tss32 ? 5 : 3) > tr->limit)
		desc_fault(c, X86_TS, tr->sel, ext);
	st->sp = ld_super(c, (uint32_t)(tr->base + at), tss32 ? 4 : 2);
	ss = (uint16_t)ld_super(c, (uint32_t)(tr->base + at + (tss32 ? 4 : 2)), 2);
	stack_load_ss(c, st, ss, cpl);
}

/* Limit check for a push: the item [off, off + width) within an expand-up or expand-down data segment. In a flat one it
 * may run over the end into the beginning, as other accesses may (seg_limit_ok). */
static bool stack_room(const struct x86_seg *ss, uint32_t off, unsigned width)
{
	uint32_t last = off + width - 1;

	if (last < off)
		return !(ss->attr & X86_AR_DOWN) && ss->limit == UINT32_MAX && ss->base == 0;
	if ((ss->attr & (X86_AR_CODE | X86_AR_DOWN)) == X86_AR_DOWN)
		return off > ss->limit && last <= (ss->attr & X86_AR_DB ? UINT32_MAX : 0xffff);
	return last <= ss->limit;
}

void desc_stack_push(struct soft_cpu *c, struct desc_stack *s, unsigned width, uint64_t v)
{
	uint64_t sp = s->sp - width, off, lin;

	if (s->width == 8) {
		lin = sp;
		if (!is_canonical(lin) || !is_canonical(lin + width - 1))
			cpu_fault_code(c, X86_SS_FAULT, s->ext);
	} else {
		off = s->width == 2 ? (uint16_t)sp : (uint32_t)sp;
		if ((s->ss.attr & X86_AR_UNUSABLE) || !stack_room(&s->ss, (uint32_t)off, width))
			cpu_fault_code(c, X86_SS_FAULT, (s->switched ? s->ss.sel & 0xfffc : 0) | s->ext);
		lin = (uint32_t)(s->ss.base + off);
		sp = s->width == 2 ? (s->sp & ~UINT64_C(0xffff)) | off : off;
	}
	if (s->cpl == 3)
		st(c, lin, width, v);
	else
		st_super(c, lin, width, v);
	s->sp = sp;
}

void desc_stack_commit(struct soft_cpu *c, const struct desc_stack *st)
{
	c->s.seg[X86_SS] = st->ss;
	reg_set(c, X86_RSP, st->width, st->sp);
}
