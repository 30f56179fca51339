/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How translated blocks lead to each other. An exit that was taken once is linked to the block that followed; blocks
 * check nothing when they are entered so, and are cut off instead when their page is written.
 */
#include "accel/soft/mem.h"
#include "accel/soft/pages.h"
#include "accel/soft/xlate_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int xlink_create(struct xlate *x, struct err *e)
{
	x->exit = ahead_table_create(&x->exit_table, XLATE_EXIT_MAX * sizeof(*x->exit));
	x->hash = pages_map(XHASH_SIZE * sizeof(*x->hash), XHASH_SIZE * sizeof(*x->hash));
	x->page = calloc(XLATE_PAGE_MAX, sizeof(*x->page));
	x->page_at = calloc(2 * XLATE_PAGE_MAX, sizeof(*x->page_at));
	x->cell = calloc(2 * XLATE_CELL_MAX, sizeof(*x->cell));
	x->cell_at = calloc(XLATE_CELL_MAX, sizeof(*x->cell_at));
	if (!x->exit || !x->hash || !x->page || !x->page_at || !x->cell || !x->cell_at)
		return err_set(e, -ENOMEM, "no memory for translated code");
	x->hash[0].rip = XHASH_EMPTY;
	return 0;
}

void xlink_destroy(struct xlate *x)
{
	ahead_table_destroy(&x->exit_table);
	if (x->hash)
		munmap(x->hash, XHASH_SIZE * sizeof(*x->hash));
	free(x->page);
	free(x->page_at);
	free(x->cell);
	free(x->cell_at);
}

static void hash_empty(struct xlate *x, unsigned h)
{
	x->hash[h] = (struct xhash){ h ? 0 : XHASH_EMPTY, NULL };
}

/* A small store is flushed often, and these tables have 6 MiB: only what was written is emptied. */
void xlink_reset(struct xlate *x)
{
	for (unsigned n = 0; n < x->block_count; n++)
		hash_empty(x, xhash_of(x->block[n].rip));
	for (unsigned n = 0; n < x->page_count; n++)
		x->page_at[x->page[n].at] = 0;
	for (unsigned n = 0; n < x->cell_count; n++)
		x->cell[x->cell_at[n]].number = 0;
	x->exit_count = x->page_count = x->cell_count = x->mark_count = 0;
	x->from = 0;
}

void xlink_jump(struct xlate *x, unsigned n, const uint8_t *to)
{
	uint8_t *at = x->mem.rw + x->exit[n].jump;
	*(volatile any32 *)(void *)at = (uint32_t)(to - (at + 4 + (x->mem.rx - x->mem.rw)));
}

unsigned xlink_exit(struct xlate *x, const struct xblock *xb, uint64_t target, unsigned form, bool cross)
{
	unsigned n = x->exit_count++;
	x->exit[n] = (struct xexit){ .target = target, .from = (uint32_t)(xb - x->block), .form = (uint8_t)form,
				     .cross = cross };
	return n;
}

unsigned xlink_exit_plain(struct xlate *x, const struct xblock *xb)
{
	unsigned n = xlink_exit(x, xb, xb->rip, XFORM_SAVED, false);
	x->exit[n].plain = true;
	return n;
}

unsigned xlink_exit_middle(struct xlate *x, const struct xblock *xb, uint64_t rip, unsigned n)
{
	unsigned exit = xlink_exit(x, xb, rip, XFORM_SAVED, false);
	x->exit[exit].plain = true;
	x->exit[exit].at = (uint8_t)n;
	return exit;
}

void xlink_join(struct xlate *x, unsigned from, struct xblock *xb)
{
	struct xexit *e = &x->exit[from];
	const uint8_t *to = e->cross ? xb->code : xb->saved;
	/* Where the flags are in both places, the block's own choice is the entry without a prelude. */
	if (!e->cross && (!(e->form & XFORM_SAVED) || (e->form & XFORM_HOST && xb->loaded > xb->saved)))
		to = xb->loaded;
	e->to = (uint32_t)(xb - x->block) + 1;
	e->next = xb->in;
	e->prev = 0;
	if (e->next)
		x->exit[e->next - 1].prev = from + 1;
	xb->in = from + 1;
	xlink_jump(x, from, to);
}

void xlink_undo(struct xlate *x, unsigned n)
{
	struct xexit *e = &x->exit[n];
	xlink_jump(x, n, x->mem.rx + e->stub);
	if (!e->to)
		return;
	if (e->prev)
		x->exit[e->prev - 1].next = e->next;
	else
		x->block[e->to - 1].in = e->next;
	if (e->next)
		x->exit[e->next - 1].prev = e->prev;
	e->to = e->next = e->prev = 0;
}

/* The place in page_at that says where the page is, or is to say. */
static uint16_t *page_place(struct xlate *x, const _Atomic uint32_t *page_gen)
{
	uint64_t h = (uint64_t)(uintptr_t)page_gen * UINT64_C(0x9e3779b97f4a7c15) >> (63 - XLATE_PAGE_BITS);
	while (x->page_at[h] && x->page[x->page_at[h] - 1].page_gen != page_gen)
		h = (h + 1) & (2 * XLATE_PAGE_MAX - 1);
	return &x->page_at[h];
}

bool xlink_cell(struct xlate *x, struct xblock *xb)
{
	uint64_t page = xb->rip & ~UINT64_C(0xfff);
	const uint8_t *host = xb->host - (xb->rip & 0xfff);
	uint64_t h = (page ^ (uint64_t)(uintptr_t)host << 1 ^ xb->mode) * UINT64_C(0x9e3779b97f4a7c15) >> (63 - XLATE_CELL_BITS);
	struct xcell *e = &x->cell[h];
	while (e->number && (e->page != page || e->host != host || e->mode != xb->mode)) {
		h = (h + 1) & (2 * XLATE_CELL_MAX - 1);
		e = &x->cell[h];
	}
	if (!e->number && x->cell_count == XLATE_CELL_MAX)
		return false;
	if (!e->number) {
		x->cell_at[x->cell_count] = (uint16_t)h;
		*e = (struct xcell){ page, host, xb->mode, ++x->cell_count };
	}
	xb->cell = e->number - 1;
	return true;
}

void xlink_cut(struct xlate *x, struct xblock *xb)
{
	unsigned h = xhash_of(xb->rip);
	while (xb->in)
		xlink_undo(x, xb->in - 1);
	if (x->hash[h].code == xb->code)
		hash_empty(x, h);
	xb->code = NULL;
}

static void page_look(struct xlate *x, struct xpage *p)
{
	uint32_t gen = atomic_load(p->page_gen);
	if (gen == p->gen)
		return;
	for (uint32_t n = p->first; n; n = x->block[n - 1].next)
		xlink_cut(x, &x->block[n - 1]);
	p->first = 0;
	p->gen = gen;
}

void xlink_look(struct xlate *x)
{
	for (unsigned n = 0; n < x->page_count; n++)
		page_look(x, &x->page[n]);
}

bool xlink_add(struct xlate *x, struct xblock *xb)
{
	uint16_t *at = page_place(x, xb->b->page_gen);
	if (!*at) {
		if (x->page_count == XLATE_PAGE_MAX)
			return false;
		x->page[x->page_count] = (struct xpage){ .page_gen = xb->b->page_gen, .gen = xb->gen,
							 .at = (uint32_t)(at - x->page_at) };
		*at = (uint16_t)++x->page_count;
	}
	struct xpage *p = &x->page[*at - 1];
	page_look(x, p);
	if (p->gen != xb->gen)
		return false;
	xb->next = p->first;
	p->first = (uint32_t)(xb - x->block) + 1;
	return true;
}
