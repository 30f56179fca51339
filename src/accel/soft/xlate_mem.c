/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory operands of translated code: the address, and its translation by the TLB. */
#include "accel/soft/xlate_gen.h"

#define AT(field) XFRAME_AT(field)

static uint64_t rip_relative(const struct xinsn *in)
{
	const struct insn *i = in->i;
	return in->rip - (i->fast ? i->off : 0) + (i->fast ? 0 : i->len) + (uint64_t)(int64_t)i->disp;
}

struct xplace xmem_place(const struct xgen *g, const struct xinsn *in)
{
	const struct insn *i = in->i;
	if (i->flags & INSN_RIP_REL)
		return (struct xplace){ .known = true, .moves = true, .lin = rip_relative(in), .seg = i->seg };
	if (i->base == REG_NONE && i->index == REG_NONE) {
		uint64_t lin = (uint64_t)(int64_t)i->disp;
		return (struct xplace){ .known = true, .lin = g->wide ? lin : (uint32_t)lin, .seg = i->seg };
	}
	return (struct xplace){ .base = i->base, .index = i->index, .scale = i->scale, .seg = i->seg, .disp = i->disp };
}

static bool segment(const struct xplace *p)
{
	return p->seg == X86_FS || p->seg == X86_GS;
}

/* Guest register -> where it can be read: its own host register, or the scratch one after a load. */
static unsigned readable(struct xgen *g, unsigned r, unsigned scratch)
{
	if (r == REG_NONE || xframe_host[r] != HOST_NONE)
		return r == REG_NONE ? REG_NONE : xframe_host[r];
	x_load(g->t, scratch, XFRAME_GPR(r));
	return scratch;
}

/* In 32-bit code a sum wraps at 4 GiB, and what the upper halves of registers hold is no part of it. */
static void lea(struct xgen *g, unsigned to, unsigned base, unsigned index, unsigned scale, int32_t disp)
{
	if (index != REG_NONE)
		x_lea_index_cut(g->t, g->wide, to, base, index, scale, disp);
	else if (base != to || disp || !g->wide)
		x_lea_cut(g->t, g->wide, to, base, disp);
}

/* p's own address, or that of its page. */
static void known_imm(struct xgen *g, unsigned to, const struct xplace *p, uint64_t lin)
{
	if (p->moves)
		x_imm_rip(g->t, to, lin);
	else
		x_imm(g->t, to, lin);
}

void xmem_lea(struct xgen *g, const struct xplace *p, unsigned to)
{
	if (p->known) {
		known_imm(g, to, p, p->lin);
		return;
	}
	unsigned base = readable(g, p->base, HOST_R14);
	lea(g, to, base, readable(g, p->index, HOST_R15), p->scale, p->disp);
}

void xmem_linear(struct xgen *g, const struct xplace *p)
{
	xmem_lea(g, p, HOST_R14);
	if (!segment(p))
		return;
	x_load(g->t, HOST_R15, AT(s.seg) + p->seg * sizeof(struct x86_seg) + offsetof(struct x86_seg, base));
	x_lea_index_cut(g->t, g->wide, HOST_R14, HOST_R14, HOST_R15, 1, 0);
}

static void miss(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write, const uint8_t *retry,
		 unsigned cc)
{
	struct xcold *k = xgen_cold(g, XCOLD_MISS, x_jcc(g->t, cc), n);
	k->place = *p;
	k->retry = retry;
	k->what = size | (write ? XREFILL_WRITE : 0);
}

/* User code has the same table always (MODE_SEEN is not translated); that of the kernel follows RFLAGS.AC. */
static bool is_user(const struct xgen *g)
{
	return g->xb->mode & MODE_USER;
}

static size_t table(bool write)
{
	return write ? AT(tlb.wr) : AT(tlb.rd);
}

/* op r, [R15 + off], an entry of the table: R15 is its address, or for user code its place in the table. */
static void entry(struct xgen *g, unsigned op, unsigned reg, size_t off, bool write)
{
	if (is_user(g)) {
		off += x_cpu(g->t) + AT(tlb.entry) + (TLB_USER * TLB_KINDS + (write ? TLB_WRITE : TLB_READ)) * TLB_SIZE * sizeof(struct tlb_entry);
	}
	x_mem(g->t, true, op, reg, HOST_R15, (int32_t)off);
}

static void known_entry(struct xgen *g, unsigned op, unsigned reg, size_t off, bool write, bool moves)
{
	if (is_user(g))
		x_gs(g->t, true, op, reg, off + AT(tlb.entry) + (TLB_USER * TLB_KINDS + (write ? TLB_WRITE : TLB_READ)) *
			TLB_SIZE * sizeof(struct tlb_entry));
	else
		x_mem(g->t, true, op, reg, HOST_R15, (int32_t)off);
	if (moves)
		x_mark(g->t, g->t->p - 4, XMARK_SLOT);
}

/* For an address that is known: so is its slot. */
static struct xaddr at_known(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write)
{
	struct xtext *t = g->t;
	const uint8_t *retry = x_rx(t);
	uint64_t page = p->lin & ~UINT64_C(0xfff);
	bool narrow = (uint64_t)(int32_t)p->lin == p->lin;
	size_t slot = tlb_slot(p->lin) * sizeof(struct tlb_entry);
	if (!is_user(g))
		x_load(t, HOST_R15, table(write));
	if (narrow) {
		known_entry(g, 0x81, 7, slot, write, p->moves);
		x_u32(t, (uint32_t)page);
		if (p->moves)
			x_mark(t, t->p, XMARK_LOST);
	} else {
		known_imm(g, HOST_R14, p, page);
		known_entry(g, 0x3b, HOST_R14, slot, write, p->moves);
	}
	miss(g, n, p, size, write, retry, 5);
	known_entry(g, 0x8b, HOST_R15, slot + 8, write, p->moves);
	if (narrow)
		return (struct xaddr){ HOST_R15, HOST_NONE, (int32_t)p->lin };
	return (struct xaddr){ HOST_R14, HOST_R15, (int32_t)(p->lin & 0xfff) };
}

/* A linear address in a register -> R15: its slot in the table, as entry() wants it. */
static void slot(struct xgen *g, bool write, unsigned from)
{
	struct xtext *t = g->t;
	_Static_assert(sizeof(struct tlb_entry) == 16 && offsetof(struct tlb_entry, addend) == 8, "the slot's arithmetic");
	if (g->x->bmi2) { /* rorx r15d, from, 8 */
		X_PUT(t, 0xc4, from >= 8 ? 0x43 : 0x63, 0x7b, 0xf0, 0xf8 | (from & 7), 8);
	} else {
		x_rr(t, false, 0x89, from, HOST_R15);
		X_PUT(t, 0x41, 0xc1, 0xef, 8); /* shr r15d, 8 */
	}
	X_PUT(t, 0x41, 0x81, 0xe7); x_u32(t, (TLB_SIZE - 1) << 4); /* and r15d, slot << 4 */
	if (!is_user(g))
		x_gs(t, true, 0x03, HOST_R15, table(write));
}

/* R14: the address; R15: the slot. R14 is the place in the page then: what crosses its end does not
 * pass, nor does any address at an empty slot (tlb_empty). */
static void compare(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write, const uint8_t *retry)
{
	struct xtext *t = g->t;
	entry(g, 0x33, HOST_R14, 0, write);
	X_PUT(t, 0x49, 0x81, 0xfe); x_u32(t, 4096 - size); /* cmp r14, room */
	miss(g, n, p, size, write, retry, 7);
}

static struct xaddr at_register(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write)
{
	const uint8_t *retry = x_rx(g->t);
	unsigned base = p->base == REG_NONE ? REG_NONE : xframe_host[p->base];
	unsigned index = p->index == REG_NONE ? REG_NONE : xframe_host[p->index];
	lea(g, HOST_R14, base, index, p->scale, p->disp);
	slot(g, write, index == REG_NONE && !p->disp ? base : HOST_R14);
	compare(g, n, p, size, write, retry);
	entry(g, 0x8b, HOST_R15, 8, write);
	if (index == REG_NONE && g->wide)
		return (struct xaddr){ (uint8_t)base, HOST_R15, p->disp };
	lea(g, HOST_R14, base, index, p->scale, p->disp);
	return (struct xaddr){ HOST_R14, HOST_R15, 0 };
}

/* 32-bit code with FS or GS: a segment other than the usual one, or an operand over its end, is for the interpreter. */
static void check_segment(struct xgen *g, unsigned n, const struct xplace *p, unsigned size)
{
	struct xtext *t = g->t;
	x_gs(t, false, 0x80, 7, AT(x_seg_odd) + p->seg); /* cmp byte gs:[odd], 0 */
	x_byte(t, 0);
	xgen_cold(g, XCOLD_BAIL, x_jcc(t, 5), n);
	if (size == 1 || (p->known && p->lin <= (uint32_t)-size))
		return;
	xmem_lea(g, p, HOST_R14);
	X_PUT(t, 0x41, 0x81, 0xfe); x_u32(t, (uint32_t)-size); /* cmp r14d, the last place */
	xgen_cold(g, XCOLD_BAIL, x_jcc(t, 7), n);
}

/* The address once more, where one of its two registers is in memory: beside what is loaded from the table, whose tag it
 * would have to wait for. False: it is not so. */
static bool address_again(struct xgen *g, const struct xplace *p, struct xaddr *a)
{
	bool base = p->base != REG_NONE && xframe_host[p->base] == HOST_NONE;
	bool index = p->index != REG_NONE && xframe_host[p->index] == HOST_NONE;
	if (p->known || segment(p) || base == index || !g->wide)
		return false;
	x_load(g->t, HOST_R14, XFRAME_GPR(base ? p->base : p->index));
	*a = (struct xaddr){ HOST_R14, HOST_R15, 0 };
	if (index)
		lea(g, HOST_R14, p->base == REG_NONE ? REG_NONE : xframe_host[p->base], HOST_R14, p->scale, p->disp);
	else if (p->index != REG_NONE)
		lea(g, HOST_R14, HOST_R14, xframe_host[p->index], p->scale, p->disp);
	else
		a->disp = p->disp;
	return true;
}

/* With a segment's base, or registers that are in memory. */
static struct xaddr at_any(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write)
{
	const uint8_t *retry = x_rx(g->t);
	xmem_linear(g, p);
	slot(g, write, HOST_R14);
	compare(g, n, p, size, write, retry);
	struct xaddr a;
	if (address_again(g, p, &a)) {
		entry(g, 0x8b, HOST_R15, 8, write);
		return a;
	}
	entry(g, 0x03, HOST_R14, 0, write); /* the address again */
	entry(g, 0x8b, HOST_R15, 8, write);
	return (struct xaddr){ HOST_R14, HOST_R15, 0 };
}

/* By the page of the access before. */
static struct xaddr at_near(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write, unsigned near)
{
	struct xtext *t = g->t;
	size_t at = AT(tlb.near) + near * sizeof(struct tlb_near);
	bool plain = !segment(p) && (p->base == REG_NONE || xframe_host[p->base] != HOST_NONE) &&
		     (p->index == REG_NONE || xframe_host[p->index] != HOST_NONE);
	const uint8_t *retry = x_rx(t);
	xmem_linear(g, p);
	x_gs(t, true, 0x33, HOST_R14, at + offsetof(struct tlb_near, page));
	x_gs(t, true, 0x3b, HOST_R14, at + offsetof(struct tlb_near, limit));
	miss(g, n, p, size, write, retry, 3);
	g->cold[g->cold_count - 1].near = near + 1;
	if (!plain)
		x_gs(t, true, 0x03, HOST_R14, at + offsetof(struct tlb_near, page)); /* the address again */
	x_load(t, HOST_R15, at + offsetof(struct tlb_near, addend));
	if (plain && p->index == REG_NONE && g->wide)
		return (struct xaddr){ xframe_host[p->base], HOST_R15, p->disp };
	if (plain)
		xmem_linear(g, p);
	return (struct xaddr){ HOST_R14, HOST_R15, 0 };
}

static bool in_registers(const struct xplace *p)
{
	return !segment(p) && (p->base == REG_NONE || xframe_host[p->base] != HOST_NONE) &&
	       (p->index == REG_NONE || xframe_host[p->index] != HOST_NONE);
}

static struct xaddr checked(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write)
{
	g->r15 = XR15_NONE;
	xgen_flags_lose(g);
	if (!g->wide && segment(p))
		check_segment(g, n, p, size);
	if (p->known && !segment(p) && (p->lin & 0xfff) + size <= 4096)
		return at_known(g, n, p, size, write);
	int near = p->known ? -1 : xnear_place(g, n, size, write);
	if (near >= 0)
		return at_near(g, n, p, size, write, (unsigned)near);
	return !p->known && in_registers(p) ? at_register(g, n, p, size, write) : at_any(g, n, p, size, write);
}

struct xaddr xmem_at(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write, bool narrow)
{
	struct xaddr a = checked(g, n, p, size, write);
	if (!narrow || a.base == HOST_R15)
		return a;
	x_lea_index(g->t, HOST_R15, a.base, a.index, 1, a.disp);
	return (struct xaddr){ HOST_R15, HOST_NONE, 0 };
}

/* ---- several at once ---- */
struct xplace xmem_group_place(const struct xgen *g, unsigned n, const struct xgroup *group)
{
	struct xplace p = xmem_place(g, &g->in[n]);
	uint64_t below = (uint64_t)g->in[n].off - (uint64_t)group->low;
	p.lin -= below;
	p.disp -= (int32_t)below;
	return p;
}

/* What misses, other than at a known address. */
static void group_miss(struct xgen *g, unsigned n)
{
	struct xcold *k = &g->cold[g->cold_count - 1];
	k->kind = XCOLD_GROUP;
	k->n = n;
	k->what = g->in[n].group - 1u;
}

void xmem_group(struct xgen *g, unsigned n, const struct xgroup *group)
{
	struct xtext *t = g->t;
	struct xplace p = xmem_group_place(g, n, group);
	unsigned size = (unsigned)(group->high - group->low);
	struct xaddr a = checked(g, n, &p, size, group->write);
	group_miss(g, n);
	if (a.index == HOST_NONE)
		x_lea(t, HOST_R15, HOST_R15, a.disp);
	else if (a.disp)
		x_lea_index(t, HOST_R15, a.base, a.index, 1, a.disp);
	else
		x_rr(t, true, 0x01, a.base, HOST_R15);
}

static struct xaddr checked_stack(struct xgen *g, int32_t disp)
{
	if (g->r15 != XR15_STACK)
		x_load(g->t, HOST_R15, AT(x_stack_addend));
	g->r15 = XR15_STACK;
	return (struct xaddr){ XFRAME_RSP, HOST_R15, disp };
}

struct xaddr xmem_operand(struct xgen *g, unsigned n, bool narrow)
{
	const struct xinsn *in = &g->in[n];
	if (g->stack && in->on_stack)
		return checked_stack(g, in->i->disp);
	struct xaddr a;
	if (xgroup_operand(g, n, &a))
		return a;
	struct xplace p = xmem_place(g, in);
	return xmem_at(g, n, &p, in->mem->size / 8, in->stores, narrow);
}

struct xaddr xmem_stack(struct xgen *g, unsigned n, int32_t disp, bool write)
{
	if (g->stack && g->in[n].on_stack)
		return checked_stack(g, disp);
	struct xplace p = { .base = X86_RSP, .index = REG_NONE, .seg = X86_SS, .disp = disp };
	return xmem_at(g, n, &p, g->word, write, false);
}
