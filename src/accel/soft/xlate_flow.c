/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Branches of translated code, and how it is left. */
#include "accel/soft/xlate_gen.h"
#include "core/vcpu.h"

#define AT(field) XFRAME_AT(field)

/* ---- leaving by a direct branch ---- */
static void jump(struct xgen *g, unsigned exit)
{
	x_byte(g->t, 0xe9);
	g->x->exit[exit].jump = (uint32_t)(g->t->p - g->x->mem.rw);
	x_u32(g->t, 0);
	g->failed |= g->t->overflow;
}

/* What the jump leads to until it is linked; flags are saved. */
static void put_stub(struct xgen *g, unsigned exit, unsigned reason, const uint8_t *leave)
{
	x_imm(g->t, HOST_R15, (uint64_t)exit << 8 | reason);
	x_mark(g->t, g->t->p - 4, XMARK_EXIT);
	x_jmp(g->t, leave);
}

/* To the block's own start, where what was checked holds still. False: not so. */
static bool again(struct xgen *g, uint64_t target)
{
	struct xtext *t = g->t;
	if (target != g->xb->rip || !g->again || g->vectors < g->again_vectors || g->x87 < g->again_x87)
		return false;
	if (g->flags == XFORM_HOST && !g->dead)
		X_PUT(t, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	xgen_fip(g);
	xgen_count_plain(g);
	x_gs(t, true, 0x83, 0, AT(instructions)); /* add qword gs:[instructions], imm */
	x_byte(t, xblock_counted(g->xb, 0));
	xgen_attention(g);
	x_jcc_to(t, 4, g->again);
	struct xcold *k = xgen_cold(g, g->dead ? XCOLD_BAIL : XCOLD_LEAVE, x_jmp_forward(t), 0);
	k->what = XEXIT_STALE | 1 << 8;
	k->fip = 0;
	return true;
}

/* The jump leads to the exit's stub first. Into another page the flags go saved, since
 * the mapping is checked there. */
void xflow_direct(struct xgen *g, uint64_t target)
{
	unsigned before = g->flags;
	uint64_t fip = g->fip;
	bool counted = g->counted, cross = g->xb->b->second.host || (g->xb->rip ^ target) >> 12;
	if (again(g, target)) {
		g->fip = fip;
		return;
	}
	if (cross)
		xgen_flags_lose(g);
	xgen_count(g);
	xgen_fip(g);
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit(g->x, g->xb, target, g->flags, cross);
	jump(g, exit);
	xgen_cold(g, XCOLD_LINK, NULL, exit);
	g->flags = before;
	g->counted = counted;
	g->fip = fip;
}

static void set_stub(struct xgen *g, unsigned exit)
{
	const uint8_t *stub = x_rx(g->t);
	g->x->exit[exit].stub = (uint32_t)(stub - g->x->mem.rx);
	if (!g->t->overflow && !g->failed)
		xlink_jump(g->x, exit, stub);
}

static void cold_link(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	set_stub(g, k->n);
	if (!(k->flags & XFORM_SAVED))
		X_PUT(g->t, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	put_stub(g, k->n, XEXIT_LINK, leave);
}

static void cold_side(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	bool cross = (g->xb->rip ^ k->lin) >> 12, save = !(k->flags & XFORM_SAVED);
	if (cross && save)
		X_PUT(g->t, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit(g->x, g->xb, k->lin, cross ? XFORM_SAVED : k->flags, cross);
	jump(g, exit);
	set_stub(g, exit);
	if (!cross && save)
		X_PUT(g->t, 0x9f, 0x0f, 0x90, 0xc0);
	put_stub(g, exit, XEXIT_LINK, leave);
}

/* ---- and by an indirect one ---- */
/* What the table has for the target in R14: a jump there, or a call. */
static void look_up(struct xgen *g, unsigned n, int32_t disp, bool call)
{
	struct xtext *t = g->t;
	x_rr(t, true, 0x89, HOST_R14, HOST_R15); /* as xhash_of */
	X_PUT(t, 0x49, 0xc1, 0xef, 14);                       /* shr r15, 14 */
	x_rr(t, false, 0x31, HOST_R14, HOST_R15);
	X_PUT(t, 0x41, 0x81, 0xe7); x_u32(t, XHASH_SIZE - 1); /* and r15d */
	X_PUT(t, 0x41, 0xc1, 0xe7, 4);                        /* shl r15d, 4 */
	x_gs(t, true, 0x03, HOST_R15, AT(x_hash));
	x_mem(t, true, 0x3b, HOST_R14, HOST_R15, 0);
	struct xcold *k = xgen_cold(g, XCOLD_INDIRECT, x_jcc(t, 5), n);
	k->disp = disp;
	k->recipe = 0;
	if (disp)
		x_lea_cut(t, g->wide, XFRAME_RSP, XFRAME_RSP, disp);
	X_PUT(t, 0x41, 0xff, call ? 0x57 : 0x67, 8); /* jmp or call [r15 + 8] */
	g->r15 = XR15_NONE;
}

static void poll_indirect(struct xgen *g, unsigned n, int32_t disp)
{
	struct xtext *t = g->t;
	xgen_flags_lose(g);
	xgen_count(g);
	xgen_fip(g);
	x_load(t, HOST_R15, AT(v));
	x_mem(t, false, 0x83, 7, HOST_R15, (int32_t)offsetof(struct vcpu, attention)); /* cmp dword [attention], 0 */
	x_byte(t, 0);
	xgen_cold(g, XCOLD_INDIRECT, x_jcc(t, 5), n)->disp = disp;
}

void xflow_indirect(struct xgen *g, unsigned n, int32_t disp)
{
	poll_indirect(g, n, disp);
	look_up(g, n, disp, false);
}

/* What is in the table is canonical. */
static void check_canonical(struct xgen *g, unsigned n)
{
	struct xtext *t = g->t;
	if (!g->wide)
		return;
	x_rr(t, true, 0x89, HOST_R14, HOST_R15);
	X_PUT(t, 0x49, 0xc1, 0xe7, 16); /* shl r15, 16 */
	X_PUT(t, 0x49, 0xc1, 0xff, 16); /* sar r15, 16 */
	x_rr(t, true, 0x39, HOST_R14, HOST_R15);
	xgen_cold(g, XCOLD_BAIL, x_jcc(t, 5), n);
	g->r15 = XR15_NONE;
}

static void cold_indirect(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	struct xtext *t = g->t;
	if (k->n < g->count)
		check_canonical(g, k->n);
	if (k->disp)
		x_lea_cut(t, g->wide, XFRAME_RSP, XFRAME_RSP, k->disp);
	x_store(t, HOST_R14, AT(next_rip));
	x_imm(t, HOST_R15, XEXIT_INDIRECT);
	x_jmp(t, leave);
}

/* ---- the rest of what lies behind a block ---- */
static void cold_bail(struct xgen *g, unsigned n, const uint8_t *leave)
{
	x_imm(g->t, HOST_R15, (uint64_t)n << 8 | XEXIT_BAIL);
	x_jmp(g->t, leave);
}

/* And again; behind it, what to do where that failed. */
static void refill(struct xgen *g, const struct xcold *k, const struct xplace *place, unsigned what)
{
	if (k->near) {
		x_imm_block(g->t, HOST_R14, g->xb);
		x_store(g->t, HOST_R14, AT(x_cur));
	}
	xmem_linear(g, place);
	x_imm(g->t, HOST_R15, k->n << XREFILL_SHIFT | what | (k->near ? (k->near - 1) << XREFILL_NEAR : 0));
	x_call(g->t, k->near ? g->x->near_refill : g->x->refill);
	x_jcc_to(g->t, 4, k->retry);
}

static void cold_miss(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	refill(g, k, &k->place, k->what);
	x_jmp(g->t, leave);
}

/* Another page of the stack, or a place where two of them are needed: that is for the block's plain version. */
static void cold_stack(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	struct xtext *t = g->t;
	uint8_t *far = NULL;
	x_lea(t, HOST_R14, XFRAME_RSP, k->disp);
	if (!g->wide) {
		x_lea(t, HOST_R15, HOST_R14, -XSTACK_EDGE);
		X_PUT(t, 0x49, 0xc1, 0xef, 12);                                         /* shr r15, 12 */
		X_PUT(t, 0x49, 0x81, 0xff); x_u32(t, (1 << 20) - 1 - 2 * (XSTACK_EDGE >> 12)); /* cmp r15, imm */
		far = x_jcc(t, 7);
	}
	x_rr(t, false, 0x89, HOST_R14, HOST_R15);
	X_PUT(t, 0x41, 0x81, 0xe7); x_u32(t, 0xfff);           /* and r15d, 4095 */
	X_PUT(t, 0x41, 0x81, 0xff); x_u32(t, 4096 - k->what);  /* cmp r15d, room */
	uint8_t *crosses = x_jcc(t, 7);
	x_call(t, g->x->stack_refill);
	x_rr(t, false, 0x85, HOST_R15, HOST_R15);
	x_jcc_to(t, 5, k->retry);
	x_here(t, crosses);
	if (far)
		x_here(t, far);
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit_plain(g->x, g->xb);
	jump(g, exit);
	set_stub(g, exit);
	put_stub(g, exit, XEXIT_PLAIN, leave);
}

/* What is not there, or lies over a page's end: on with code that checks each access. What the first access alone would not
 * have asked for is not asked for here. */
static void cold_group(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	const struct xgroup *p = &g->group[k->what];
	struct xplace place = xmem_group_place(g, k->n, p);
	unsigned what = p->high - p->low > XREFILL_SIZE ? 1 : (unsigned)(p->high - p->low);
	if (!p->mixed || k->near)
		refill(g, k, &place, what | (p->write ? XREFILL_WRITE : 0) | (p->mixed ? XREFILL_LOOK : 0));
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit_middle(g->x, g->xb, g->in[k->n].rip, k->n);
	jump(g, exit);
	set_stub(g, exit);
	put_stub(g, exit, XEXIT_MIDDLE, leave);
}

static void cold_vectors(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	struct xtext *t = g->t;
	x_call(t, k->what ? g->x->vec_load : g->x->x87_load);
	X_PUT(t, 0x41, 0x80, 0xff, k->what ? k->what : 1); /* cmp r15b, level */
	x_jcc_to(t, 3, k->retry);
	cold_bail(g, k->n, leave);
}

void xflow_cold(struct xgen *g, const struct xcold *k, const uint8_t *leave)
{
	if (k->from)
		x_here(g->t, k->from);
	if (k->recipe) {
		xrecipe_make(g, k->recipe - 1);
		X_PUT(g->t, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	}
	g->fip = k->fip;
	xgen_fip(g);
	switch (k->kind) {
	case XCOLD_NONE: break;
	case XCOLD_MISS: cold_miss(g, k, leave); break;
	case XCOLD_BAIL: cold_bail(g, k->n, leave); break;
	case XCOLD_LEAVE:
		x_imm(g->t, HOST_R15, k->what);
		x_jmp(g->t, leave);
		break;
	case XCOLD_SIDE: cold_side(g, k, leave); break;
	case XCOLD_LINK: cold_link(g, k, leave); break;
	case XCOLD_INDIRECT: cold_indirect(g, k, leave); break;
	case XCOLD_VECTORS: cold_vectors(g, k, leave); break;
	case XCOLD_REMAP:
		x_imm_block(g->t, HOST_R14, g->xb);
		x_call(g->t, g->x->remap);
		x_jmp(g->t, k->retry);
		break;
	case XCOLD_GROUP: cold_group(g, k, leave); break;
	case XCOLD_RETURN: look_up(g, k->n, k->disp, false); break;
	case XCOLD_DEPTH:
		x_load(g->t, HOST_RSP, AT(x_return_base));
		x_jmp(g->t, k->retry);
		break;
	case XCOLD_RIP:
		x_mark(g->t, g->t->p, XMARK_RIP);
		x_u64(g->t, k->lin);
		break;
	case XCOLD_STACK: cold_stack(g, k, leave); break;
	}
}

/* ---- branches ---- */
/* A branch out of the block that needs nothing on the way is itself what is linked: one jump, and nothing behind the block. */
static bool leaves_straight(struct xgen *g, uint64_t target, unsigned cc)
{
	if (g->fip || g->xb->b->second.host || (g->xb->rip ^ target) >> 12 || g->x->exit_count == XLATE_EXIT_MAX)
		return false;
	unsigned exit = xlink_exit(g->x, g->xb, target, g->flags, false);
	g->x->exit[exit].jump = (uint32_t)(x_jcc(g->t, cc) - 4 - g->x->mem.rw);
	g->failed |= g->t->overflow;
	xgen_cold(g, XCOLD_LINK, NULL, exit);
	return true;
}

static void jcc(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	uint64_t target = xinsn_target(in);
	xgen_count(g);
	xgen_flags_load(g);
	if (in->follow) {
		bool next = in->follow == XFOLLOW_NEXT;
		unsigned cc = in->i->sub ^ (next ? 0 : 1);
		target = next ? target : xinsn_next(in);
		if (!leaves_straight(g, target, cc))
			xgen_cold(g, XCOLD_SIDE, x_jcc(g->t, cc), n + 1)->lin = target;
		return;
	}
	if (!(target == g->xb->rip && g->again) && leaves_straight(g, target, in->i->sub)) {
		xflow_direct(g, xinsn_next(in));
		return;
	}
	uint8_t *taken = x_jcc(g->t, in->i->sub);
	xflow_direct(g, xinsn_next(in));
	x_here(g->t, taken);
	xflow_direct(g, target);
}

static void push_return(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	uint64_t rip = xinsn_next(in);
	struct xaddr a = xmem_stack(g, n, -(int32_t)g->word, true);
	if (!g->wide || (uint64_t)(int32_t)rip == rip) {
		x_at(g->t, g->wide, 0xc7, 0, &a);
		x_u32(g->t, (uint32_t)rip);
		x_mark(g->t, g->t->p, XMARK_LOST);
	} else {
		x_imm_rip(g->t, HOST_R14, rip);
		x_at(g->t, true, 0x89, HOST_R14, &a);
	}
	x_lea_cut(g->t, g->wide, XFRAME_RSP, XFRAME_RSP, -(int32_t)g->word);
}

/* The target of an indirect branch into R14. */
static void target(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	const struct insn *i = in->i;
	if (i->rm == REG_NONE) {
		struct xplace p = xmem_place(g, in);
		struct xaddr a = xmem_at(g, n, &p, g->word, false, false);
		x_at(g->t, g->wide, 0x8b, HOST_R14, &a);
	} else if (xframe_host[i->rm] == HOST_NONE) {
		x_load(g->t, HOST_R14, XFRAME_GPR(i->rm));
	} else {
		x_rr(g->t, g->wide, 0x89, xframe_host[i->rm], HOST_R14);
	}
}

/* ---- calls and returns ---- */
/* May this block's calls and returns be the host's? */
static bool pairs(const struct xgen *g)
{
	return !g->x->each_block && !g->xb->b->second.host;
}

/* Room for the host's calls of one block; flags are saved then. */
static void depth_check(struct xgen *g)
{
	struct xtext *t = g->t;
	xgen_flags_lose(g);
	X_PUT(t, 0xf7, 0xc4); x_u32(t, XRETURN_BYTES - XRETURN_ROOM); /* test esp, imm */
	struct xcold *k = xgen_cold(g, XCOLD_DEPTH, x_jcc(t, 4), 0);
	k->retry = x_rx(t);
	k->fip = 0;
}

/* Behind a call of the host: a return of the guest comes here, with flags saved and its target in R14. Where that is not behind
 * the guest's call, R15 is where to go. */
static void landing(struct xgen *g, unsigned n)
{
	struct xtext *t = g->t;
	uint64_t rip = xinsn_next(&g->in[n]);
	bool cross = (g->xb->rip ^ rip) >> 12;
	if (!g->wide || (uint64_t)(int32_t)rip == rip) {
		X_PUT(t, g->wide ? 0x49 : 0x41, 0x81, 0xfe); /* cmp r14, imm */
		x_u32(t, (uint32_t)rip);
		x_mark(t, t->p, XMARK_LOST);
	} else {
		X_PUT(t, 0x4c, 0x3b, 0x35); /* cmp r14, [rip] */
		x_u32(t, 0);
		struct xcold *k = xgen_cold(g, XCOLD_RIP, t->p, 0);
		k->lin = rip;
		k->fip = k->recipe = 0;
	}
	x_jcc_to(t, 5, g->x->astray);
	x_lea_cut(t, g->wide, XFRAME_RSP, XFRAME_RSP, (int32_t)g->word);
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit(g->x, g->xb, rip, XFORM_SAVED, cross);
	jump(g, exit);
	struct xcold *k = xgen_cold(g, XCOLD_LINK, NULL, exit);
	k->flags = XFORM_SAVED;
	k->fip = k->recipe = 0;
}

/* What it calls follows in this block. */
static void call_followed(struct xgen *g, unsigned n)
{
	if (!pairs(g))
		return;
	depth_check(g);
	x_byte(g->t, 0xe8);
	x_u32(g->t, 0);
	uint8_t *over = g->t->p;
	landing(g, n);
	x_here(g->t, over);
}

static void call_direct(struct xgen *g, unsigned n)
{
	uint64_t target = xinsn_target(&g->in[n]);
	if (!pairs(g)) {
		xflow_direct(g, target);
		return;
	}
	depth_check(g);
	xgen_fip(g);
	if (g->x->exit_count == XLATE_EXIT_MAX) {
		g->failed = true;
		return;
	}
	unsigned exit = xlink_exit(g->x, g->xb, target, g->flags, (g->xb->rip ^ target) >> 12);
	x_byte(g->t, 0xe8);
	g->x->exit[exit].jump = (uint32_t)(g->t->p - g->x->mem.rw);
	x_u32(g->t, 0);
	g->failed |= g->t->overflow;
	xgen_cold(g, XCOLD_LINK, NULL, exit);
	landing(g, n);
}

static void call_rm(struct xgen *g, unsigned n)
{
	target(g, n);
	xgen_flags_lose(g);
	check_canonical(g, n);
	x_store(g->t, HOST_R14, AT(next_rip));
	push_return(g, n);
	if (pairs(g))
		depth_check(g);
	x_load(g->t, HOST_R14, AT(next_rip));
	poll_indirect(g, g->count, 0);
	look_up(g, g->count, 0, pairs(g));
	if (pairs(g))
		landing(g, n);
}

static void ret(struct xgen *g, unsigned n)
{
	struct xaddr a = xmem_stack(g, n, 0, false);
	x_at(g->t, g->wide, 0x8b, HOST_R14, &a);
	int32_t disp = (int32_t)g->word + (int32_t)g->in[n].i->imm;
	if (!pairs(g) || g->in[n].i->imm) {
		xflow_indirect(g, n, disp);
		return;
	}
	poll_indirect(g, n, disp);
	X_PUT(g->t, 0x4c, 0x8d, 0x3d); /* lea r15, [rip] */
	x_u32(g->t, 0);
	xgen_cold(g, XCOLD_RETURN, g->t->p, n)->disp = disp;
	x_byte(g->t, 0xc3);
	g->r15 = XR15_NONE;
}

void xflow_branch(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	switch (in->kind) {
	case XK_JCC: jcc(g, n); break;
	case XK_CALL:
		push_return(g, n);
		if (in->follow)
			call_followed(g, n);
		else
			call_direct(g, n);
		break;
	case XK_CALL_RM: call_rm(g, n); break;
	case XK_JMP_RM:
		target(g, n);
		xflow_indirect(g, n, 0);
		break;
	case XK_RET: ret(g, n); break;
	default:
		if (!in->follow)
			xflow_direct(g, xinsn_target(in));
		break;
	}
}
