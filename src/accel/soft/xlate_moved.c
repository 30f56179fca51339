/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same guest code at another address: a library that a new process has elsewhere, a program that is started again. What
 * is in a translated block because of its address is marked while it is made, so that a copy with these places set right
 * is what translating again would give, for a tenth of the time.
 */
#include "accel/soft/xlate_priv.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>

/* Between these every address that a block's code names, at most 2 GiB away, is canonical, positive, and takes 64 bits. */
enum { LOW_BIT = 33, HIGH_BIT = 47 };
#define LOW (UINT64_C(1) << LOW_BIT)
#define HIGH ((UINT64_C(1) << HIGH_BIT) - (UINT64_C(1) << 32))

/* A mark: where, from the start of the block's code or of what is behind it, and what is there. */
enum { KIND_BITS = 3, MARK_COLD = 1 << KIND_BITS, AT_SHIFT = KIND_BITS + 1 };

int xmoved_create(struct xlate *x, struct err *e)
{
	x->mark = ahead_table_create(&x->mark_table, XLATE_MARK_MAX * sizeof(*x->mark));
	return x->mark ? 0 : err_set(e, -ENOMEM, "no memory for translated code");
}

void xmoved_destroy(struct xlate *x)
{
	ahead_table_destroy(&x->mark_table);
}

static bool may_move(uint64_t rip, uint32_t mode)
{
	return mode & MODE_USER && (mode & MODE_CODE_MASK) == MODE_CODE64 && rip >= LOW && rip < HIGH;
}

/* ---- while a block is made ---- */
bool xmoved_begin(struct xlate *x, const struct xblock *xb, const uint8_t *hot, const uint8_t *cold)
{
	x->marking = (struct xmarking){ .hot = hot, .cold = cold, .first = x->mark_count, .exit = x->exit_count };
	return may_move(xb->rip, xb->mode) && !xb->plain && !xb->b->second.host;
}

void xmoved_end(struct xlate *x, struct xblock *xb, const struct xtext *hot, const struct xtext *cold)
{
	const struct xmarking *m = &x->marking;
	if (m->lost || hot->overflow || cold->overflow) {
		x->mark_count = m->first;
		return;
	}
	xb->cold = m->cold + hot->to_rx;
	xb->hot_bytes = (uint32_t)(hot->p - m->hot);
	xb->cold_bytes = (uint32_t)(cold->p - m->cold);
	xb->mark = m->first;
	xb->marks = x->mark_count - m->first;
	xb->exit = m->exit;
	xb->exits = x->exit_count - m->exit;
}

void x_mark(struct xtext *t, const uint8_t *at, enum xmark kind)
{
	struct xlate *x = t->marks;
	if (!x)
		return;
	struct xmarking *m = &x->marking;
	bool cold = at >= m->cold;
	if (x->mark_count == XLATE_MARK_MAX || kind == XMARK_LOST) {
		m->lost = true;
		return;
	}
	x->mark[x->mark_count++] = (uint32_t)(at - (cold ? m->cold : m->hot)) << AT_SHIFT | (cold ? MARK_COLD : 0) | kind;
}

/* ---- the copy ---- */
bool xmoved_serves(const struct xblock *old, uint64_t rip)
{
	return old->code && old->marks && may_move(rip, old->mode);
}

struct copy {
	struct xlate *x;
	const struct xblock *old, *xb;
	uint8_t *hot, *cold; /* of the new one, writable */
	unsigned exit;       /* its first */
};

/* Where what the old one jumps to at `to` is for the new one: its own code has moved, all else has not. */
static const uint8_t *moved_to(const struct copy *k, const uint8_t *to)
{
	ptrdiff_t rx = k->x->mem.rx - k->x->mem.rw;
	if (to >= k->old->code && to <= k->old->code + k->old->hot_bytes)
		return k->hot + (to - k->old->code) + rx;
	if (to >= k->old->cold && to <= k->old->cold + k->old->cold_bytes)
		return k->cold + (to - k->old->cold) + rx;
	return to;
}

static void set_relative(const struct copy *k, uint8_t *at, const uint8_t *to)
{
	store_le32(at, (uint32_t)(to - (at + 4 + (k->x->mem.rx - k->x->mem.rw))));
}

/* The entry of the TLB that an address has belongs to its page. */
static uint32_t moved_slot(const struct copy *k, uint32_t disp)
{
	uint32_t base = k->x->cpu + (uint32_t)XFRAME_AT(tlb.entry), place = (disp - base) / sizeof(struct tlb_entry);
	uint32_t slot = (place + (uint32_t)((k->xb->rip - k->old->rip) >> 12)) & (TLB_SIZE - 1);
	return disp + ((slot - (place & (TLB_SIZE - 1))) * (uint32_t)sizeof(struct tlb_entry));
}

static void set_right(const struct copy *k, uint32_t mark)
{
	bool cold = mark & MARK_COLD;
	uint32_t off = mark >> AT_SHIFT;
	uint8_t *at = (cold ? k->cold : k->hot) + off;
	const uint8_t *was = (cold ? k->old->cold : k->old->code) + off;
	switch ((enum xmark)(mark & (MARK_COLD - 1))) {
	case XMARK_RELATIVE: set_relative(k, at, moved_to(k, was + 4 + (int32_t)load_le32(at))); break;
	case XMARK_RIP: store_le64(at, load_le64(at) + (k->xb->rip - k->old->rip)); break;
	case XMARK_SLOT: store_le32(at, moved_slot(k, load_le32(at))); break;
	case XMARK_EXIT: store_le32(at, load_le32(at) + ((k->exit - k->old->exit) << 8)); break;
	case XMARK_BLOCK: store_le64(at, (uint64_t)(uintptr_t)k->xb); break;
	case XMARK_CELL: set_relative(k, at, k->x->mem.rx + xmap_gen_at(k->xb)); break;
	case XMARK_LOST: break;
	}
}

/* Not linked yet. */
static void copy_exit(const struct copy *k, unsigned n)
{
	struct xlate *x = k->x;
	const struct xexit *was = &x->exit[k->old->exit + n];
	unsigned number = xlink_exit(x, k->xb, was->target + (k->xb->rip - k->old->rip), was->form, was->cross);
	struct xexit *e = &x->exit[number];
	e->plain = was->plain;
	e->at = was->at;
	e->stub = (uint32_t)(moved_to(k, x->mem.rx + was->stub) - x->mem.rx);
	e->jump = (uint32_t)(moved_to(k, x->mem.rx + was->jump) - x->mem.rx);
	xlink_undo(x, number);
}

void xmoved_copy(struct soft_cpu *c, struct xlate *x, const struct xblock *old, struct xblock *xb, struct xtext *t, struct xtext *cold)
{
	ptrdiff_t rx = x->mem.rx - x->mem.rw;
	struct copy k = { x, old, xb, t->p, cold->p, x->exit_count };
	struct xblock made = *old;
	made.b = xb->b;
	made.rip = xb->rip;
	made.cell = xb->cell;
	made.other = xb->other;
	made.in = made.next = 0;
	made.code = k.hot + rx;
	made.saved = moved_to(&k, old->saved);
	made.loaded = moved_to(&k, old->loaded);
	made.cold = k.cold + rx;
	made.exit = k.exit;
	*xb = made;
	xlate_mapping(c, x, xb);
	memcpy(k.hot, old->code - rx, old->hot_bytes);
	memcpy(k.cold, old->cold - rx, old->cold_bytes);
	for (unsigned n = 0; n < old->marks; n++)
		set_right(&k, x->mark[old->mark + n]);
	for (unsigned n = 0; n < old->exits; n++)
		copy_exit(&k, n);
	t->p += old->hot_bytes;
	cold->p += old->cold_bytes;
}

/* ---- and where it is ---- */
bool xmoved_here(struct soft_cpu *c, struct xlate *x, struct xblock *xb, uint64_t rip)
{
	const struct xblock was = *xb;
	xlink_cut(x, xb);
	xb->rip = rip;
	if (!xlink_cell(x, xb))
		return false;
	struct copy k = { x, &was, xb, x->mem.rw + (was.code - x->mem.rx), x->mem.rw + (was.cold - x->mem.rx), was.exit };
	for (unsigned n = 0; n < xb->exits; n++) {
		xlink_undo(x, xb->exit + n);
		x->exit[xb->exit + n].target += rip - was.rip;
	}
	for (unsigned n = 0; n < xb->marks; n++) {
		uint32_t mark = x->mark[xb->mark + n];
		unsigned kind = mark & (MARK_COLD - 1);
		if (kind == XMARK_RIP || kind == XMARK_SLOT || kind == XMARK_CELL)
			set_right(&k, mark);
	}
	xlate_mapping(c, x, xb);
	xb->code = was.code;
	return true;
}
