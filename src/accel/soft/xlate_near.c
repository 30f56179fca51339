/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loops of user code mostly stay in a few pages. There an access looks whether its page is that of its last time, which is
 * known without the address, so that a chain of loads does not wait for the TLB. What misses often goes by the TLB in the
 * next translation.
 */
#include "accel/soft/walk.h"
#include "accel/soft/xlate_gen.h"

#include <string.h>

enum {
	SIZES = 8, PLACES = TLB_NEAR / (2 * SIZES), /* for each kind of access and size */
	MISSES = 64, APART = 600, /* so many misses, fewer instructions apart on the average, are too many */
};

/* ---- translation ---- */
void xnear_scan(struct xgen *g)
{
	g->loop = g->x->hot == 1; /* for tests: everywhere */
	g->far = g->xb->b->far;
	memset(g->near_count, 0, sizeof(g->near_count));
	for (unsigned n = 0; n < g->count && !g->loop; n++) {
		const struct xinsn *in = &g->in[n];
		g->loop = (in->kind == XK_JCC || in->kind == XK_JMP) && xinsn_target(in) == g->xb->rip;
	}
	g->loop = g->loop && g->xb->mode & MODE_USER;
}

/* Sizes 1, 2, 4, ... 128 bytes. */
static unsigned size_class(unsigned size)
{
	return size < 2 ? 0 : 32 - (unsigned)__builtin_clz(size - 1);
}

int xnear_place(struct xgen *g, unsigned n, unsigned size, bool write)
{
	unsigned k = size_class(size) + write * SIZES;
	if (!g->loop || size_class(size) >= SIZES || g->far >> n & 1 || g->near_count[k] == PLACES)
		return -1;
	return (int)(k * PLACES + g->near_count[k]++);
}

/* ---- running ---- */
static uint64_t retired(const struct soft_cpu *c)
{
	uint64_t sum = c->instructions;
	for (unsigned n = 1; n < XPARTS; n++)
		sum += c->x_count[n];
	return sum;
}

/* Is this one miss too many? */
static bool too_far(struct soft_cpu *c, struct tlb_near *near)
{
	if (near->misses++ == 0)
		near->since = retired(c);
	if (near->misses < MISSES)
		return false;
	near->misses = 0;
	return retired(c) - near->since < MISSES * APART;
}

__attribute__((target("general-regs-only"))) uint32_t xnear_refill(struct soft_cpu *c, uint64_t lin, uint32_t what)
{
	unsigned number = what >> XREFILL_NEAR & (TLB_NEAR - 1);
	bool write = what & XREFILL_WRITE;
	struct tlb_near *near = &c->tlb.near[number];
	const struct tlb_entry *e = &c->tlb.entry[TLB_USER][write ? TLB_WRITE : TLB_READ][tlb_slot(lin)];
	uint64_t page = lin & ~UINT64_C(0xfff);
	if (too_far(c, near)) {
		c->x_far = c->x_cur;
		c->x_far_insn = what >> XREFILL_SHIFT;
		return 0;
	}
	unsigned limit = 4097 - (1u << (number / PLACES % SIZES));
	if ((lin & 0xfff) >= limit)
		return 0;
	if (e->tag != page && (what & XREFILL_LOOK || !mmu_refill(c, lin, write) || e->tag != page))
		return 0;
	near->page = page;
	near->addend = e->addend;
	near->limit = limit;
	return 1;
}

void xnear_too_far(struct soft_cpu *c)
{
	struct xblock *xb = c->x_far;
	c->x_far = NULL;
	xb->b->far |= UINT64_C(1) << (c->x_far_insn & 63);
	/* Those at other addresses would have it so again. */
	for (struct xblock *o = xlate_others(c->xlate, xb->b); o; o = o->other)
		o->marks = 0;
	if (!xb->code)
		return;
	xlink_cut(c->xlate, xb);
	xb->b->heat = (uint16_t)(c->xlate->hot - 1);
}
