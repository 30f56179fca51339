/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses of one block at known distances from each other: off the same registers, which did not change in between, or
 * changed by constants. The first of them is checked for all, and where it lies on the host is kept for the others. What
 * lies over a page's end, and what is not there for all, is for a block of its own that checks each (XCOLD_GROUP).
 */
#include "accel/soft/xlate_gen.h"

#include <string.h>

#define AT(field) XFRAME_AT(field)

enum { SPAN = 240 }; /* bytes that a check spans at most */

/* ---- which belong together ---- */
/* What a guest register holds: some unknown value, and a constant more. */
struct value {
	uint16_t id;
	int64_t delta;
};

struct scan {
	struct value value[X86_GPR_COUNT];
	uint16_t ids;
	unsigned branch; /* number + 1 of the last one */
	unsigned from;   /* groups before this one are over */
};

static struct value value_of(const struct scan *s, unsigned r)
{
	return r == REG_NONE ? (struct value){ 0, 0 } : s->value[r];
}

static bool grouped(const struct xinsn *in)
{
	return (in->kind == XK_COPY || in->kind == XK_VEC) && in->mem && !in->on_stack && !in->align &&
	       in->i->seg != X86_FS && in->i->seg != X86_GS && in->i->disp > INT32_MIN / 2;
}

static struct xgroup_key key_of(struct xgen *g, const struct scan *s, const struct xinsn *in)
{
	struct xplace p = xmem_place(g, in);
	if (p.known)
		return (struct xgroup_key){ .off = (int64_t)p.lin };
	struct value base = value_of(s, p.base), index = value_of(s, p.index);
	uint64_t off = (uint64_t)base.delta + (uint64_t)index.delta * p.scale + (uint64_t)(int64_t)p.disp;
	return (struct xgroup_key){ base.id, index.id, p.index == REG_NONE ? 0 : p.scale, g->wide ? (int64_t)off : (int32_t)off };
}

static bool same_key(const struct xgroup_key *a, const struct xgroup_key *b)
{
	return a->base == b->base && a->index == b->index && a->scale == b->scale;
}

/* Known addresses share a page, others may lie over a page's end. */
static bool near_enough(const struct xgroup_key *k, int64_t low, int64_t high)
{
	if (!k->base && !k->index)
		return low >> 12 == (high - 1) >> 12;
	return high - low <= SPAN && low >= INT32_MIN / 2 && high <= INT32_MAX / 2;
}

static void join(struct xgen *g, struct scan *s, unsigned n)
{
	struct xinsn *in = &g->in[n];
	struct xgroup_key k = key_of(g, s, in);
	int64_t low = k.off, high = (int64_t)((uint64_t)k.off + in->mem->size / 8);
	in->off = k.off;
	for (unsigned m = g->group_count; m-- > s->from;) {
		struct xgroup *p = &g->group[m];
		if (!same_key(&p->key, &k))
			continue;
		int64_t l = low < p->low ? low : p->low, h = high > p->high ? high : p->high;
		/* What is read first is checked for a write only where that follows for certain. */
		bool upgrade = in->stores && !p->write;
		if (!near_enough(&k, l, h) || (upgrade && s->branch > p->first))
			continue;
		p->low = l;
		p->high = h;
		p->mixed |= upgrade;
		p->write |= in->stores;
		p->last = (uint8_t)n;
		p->count++;
		in->group = (uint8_t)(m + 1);
		return;
	}
	if (!near_enough(&k, low, high))
		return;
	g->group[g->group_count++] = (struct xgroup){ .key = k, .low = low, .high = high, .first = (uint8_t)n,
						      .last = (uint8_t)n, .count = 1, .write = in->stores, .slot = XPLACES };
	in->group = (uint8_t)g->group_count;
}

/* r += imm, or the like of it; false: r is something else now. */
static bool adds(const struct xinsn *in, unsigned *r, int64_t *imm)
{
	const ZydisDecodedOperand *o = in->op;
	if (in->kind != XK_COPY || in->mem || in->zi.operand_count < 2 || o[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    o[0].size != 8 * in->word)
		return false;
	*r = decode_reg_number(o[0].reg.value);
	switch (in->zi.mnemonic) {
	case ZYDIS_MNEMONIC_INC: *imm = 1; return true;
	case ZYDIS_MNEMONIC_DEC: *imm = -1; return true;
	case ZYDIS_MNEMONIC_ADD: *imm = (int64_t)in->i->imm; return o[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	case ZYDIS_MNEMONIC_SUB: *imm = (int64_t)(0 - in->i->imm); return o[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	default: return false;
	}
}

/* r = another + imm */
static bool copies(const struct xinsn *in, unsigned *r, unsigned *from, int64_t *imm)
{
	const struct insn *i = in->i;
	const ZydisDecodedOperand *o = in->op;
	*imm = 0;
	if (o[0].type != ZYDIS_OPERAND_TYPE_REGISTER || o[0].size != 8 * in->word)
		return false;
	*r = decode_reg_number(o[0].reg.value);
	if (in->kind == XK_LEA) {
		*from = i->base;
		*imm = i->disp;
		return i->base != REG_NONE && i->index == REG_NONE && !(i->flags & INSN_RIP_REL);
	}
	if (in->kind != XK_COPY || in->zi.mnemonic != ZYDIS_MNEMONIC_MOV || o[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	*from = decode_reg_number(o[1].reg.value);
	return true;
}

static void moves_on(struct scan *s, const struct xinsn *in)
{
	unsigned r, from;
	int64_t imm;
	if (adds(in, &r, &imm)) {
		s->value[r].delta = (int64_t)((uint64_t)s->value[r].delta + (uint64_t)imm);
		return;
	}
	if (copies(in, &r, &from, &imm)) {
		s->value[r] = (struct value){ s->value[from].id, (int64_t)((uint64_t)s->value[from].delta + (uint64_t)imm) };
		return;
	}
	for (r = 0; r < X86_GPR_COUNT; r++)
		if (in->writes >> r & 1)
			s->value[r] = (struct value){ ++s->ids, 0 };
}

void xgroup_scan(struct xgen *g)
{
	struct scan s = { .ids = X86_GPR_COUNT };
	g->group_count = 0;
	memset(g->place_last, 0, sizeof(g->place_last));
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		s.value[r].id = (uint16_t)(r + 1);
	for (unsigned n = 0; n < g->count; n++) {
		struct xinsn *in = &g->in[n];
		in->group = 0;
		/* A handler may change the mapping, and any register. */
		if (in->kind == XK_HELPER) {
			s.from = g->group_count;
			for (unsigned r = 0; r < X86_GPR_COUNT; r++)
				s.value[r] = (struct value){ ++s.ids, 0 };
			continue;
		}
		if (grouped(in))
			join(g, &s, n);
		if (in->kind >= XK_JMP)
			s.branch = n + 1;
		moves_on(&s, in);
	}
}

/* ---- their code ---- */
static struct xaddr address(const struct xgroup *p, const struct xinsn *in)
{
	return (struct xaddr){ HOST_R15, HOST_NONE, (int32_t)(in->off - p->low) };
}

/* A place in struct soft_cpu that nobody needs any more; false: none. */
static bool place(struct xgen *g, struct xgroup *p)
{
	for (unsigned k = 0; k < XPLACES; k++)
		if (g->place_last[k] <= p->first) {
			g->place_last[k] = p->last;
			p->slot = (uint8_t)k;
			return true;
		}
	return false;
}

bool xgroup_operand(struct xgen *g, unsigned n, struct xaddr *a)
{
	const struct xinsn *in = &g->in[n];
	if (g->xb->plain || !in->group)
		return false;
	struct xgroup *p = &g->group[in->group - 1];
	if (p->count < 2 || (p->first != n && p->slot == XPLACES))
		return false;
	if (p->first == n) {
		if (!place(g, p))
			return false;
		xmem_group(g, n, p);
		x_store(g->t, HOST_R15, AT(x_place) + 8u * p->slot);
	} else if (g->r15 != XR15_PLACE + p->slot) {
		x_load(g->t, HOST_R15, AT(x_place) + 8u * p->slot);
	}
	g->r15 = XR15_PLACE + p->slot;
	*a = address(p, in);
	return true;
}
