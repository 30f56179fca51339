/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One block of guest code to host code: the whole, the flags, and the instructions made of several. */
#include "accel/soft/xlate_gen.h"
#include "core/vcpu.h"

#include <string.h>

#define AT(field) XFRAME_AT(field)

struct xcold *xgen_cold(struct xgen *g, enum xcold_kind kind, uint8_t *from, unsigned n)
{
	if (g->cold_count == XCOLDS) {
		g->failed = true;
		g->cold_count = 0;
	}
	struct xcold *k = &g->cold[g->cold_count++];
	*k = (struct xcold){ .kind = kind, .from = from, .n = n, .fip = g->fip, .flags = g->flags, .recipe = g->recipe };
	return k;
}

static bool ends(const struct xinsn *in)
{
	return in->kind >= XK_JMP;
}

/* ---- flags ---- */
void xgen_flags_load(struct xgen *g)
{
	if (g->flags & XFORM_HOST)
		return;
	X_PUT(g->t, 0x3c, 0x81, 0x9e); /* cmp al, -127: OF is what SETO said; sahf */
	g->flags |= XFORM_HOST;
}

void xgen_flags_lose(struct xgen *g)
{
	if (g->flags == XFORM_HOST && xrecipe_serves(g)) {
		g->flags = XFORM_NONE;
		g->recipe = g->writer + 1;
	}
	if (g->flags == XFORM_HOST)
		X_PUT(g->t, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	if (g->flags != XFORM_NONE)
		g->flags = XFORM_SAVED;
	xgen_count(g);
}

void xgen_flags_before(struct xgen *g, const struct xinsn *in)
{
	if (g->flags & XFORM_HOST)
		return;
	if (in->flags == XF_CARRY)
		X_PUT(g->t, 0x0f, 0xba, 0xe0, 8); /* bt eax, 8: CF alone is needed */
	else if (in->flags == XF_READ || in->flags == XF_BOTH || in->flags == XF_MIX)
		xgen_flags_load(g);
}

void xgen_flags_after(struct xgen *g, const struct xinsn *in)
{
	if (in->flags == XF_NONE || in->flags == XF_READ)
		return;
	g->flags = XFORM_HOST;
	g->writer = (unsigned)(in - g->in);
	g->recipe = 0;
}

/* How many instructions the stretch has that the one under way is in; where they are added up. */
static unsigned stretch(const struct xgen *g, size_t *at)
{
	unsigned first = 0, number = 0, now = g->now < g->count ? g->now : g->count - 1;
	for (unsigned k = 1; k < g->xb->parts; k++)
		if (g->xb->part[k].apart && g->xb->part[k].first <= now) {
			first = g->xb->part[k].first;
			number++;
		}
	*at = number ? AT(x_count) + number * sizeof(uint64_t) : AT(instructions);
	return xblock_counted(g->xb, now) - first;
}

void xgen_count_plain(struct xgen *g)
{
	if (g->counted)
		return;
	size_t at;
	unsigned n = stretch(g, &at);
	g->counted = true;
	x_gs(g->t, true, 0x83, 0, at); /* add qword gs:[at], imm */
	x_byte(g->t, n);
}

void xgen_count(struct xgen *g)
{
	struct xtext *t = g->t;
	if (!(g->flags & XFORM_HOST))
		xgen_count_plain(g);
	if (g->counted)
		return;
	size_t at;
	unsigned n = stretch(g, &at);
	g->counted = true;
	x_load(t, HOST_R15, at);
	x_lea(t, HOST_R15, HOST_R15, (int32_t)n);
	x_store(t, HOST_R15, at);
	g->r15 = XR15_NONE;
}

void xgen_fip(struct xgen *g)
{
	if (!g->fip)
		return;
	x_imm_rip(g->t, HOST_R15, g->fip);
	x_store(g->t, HOST_R15, AT(s.fpu.fip));
	g->fip = 0;
	g->r15 = XR15_NONE;
}

/* ---- made of several ---- */
/* The register that r's new value is to be put into; written_to stores it where it belongs. */
static unsigned writable(unsigned r)
{
	return xframe_host[r] != HOST_NONE ? xframe_host[r] : HOST_R14;
}

static void written_to(struct xgen *g, unsigned r)
{
	if (xframe_host[r] == HOST_NONE)
		x_store(g->t, HOST_R14, XFRAME_GPR(r));
}

static void gen_lea(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	unsigned to = writable(in->i->rm);
	struct xplace p = xmem_place(g, in);
	xmem_lea(g, &p, to);
	if (p.index != REG_NONE && !p.known && xframe_host[p.index] == HOST_NONE)
		g->r15 = XR15_NONE;
	if (in->op[0].size == 32 && g->wide)
		x_rr(g->t, false, 0x89, to, to);
	written_to(g, in->i->rm);
}

/* PUSH and POP leave RSP's new value for later, until something needs it or may leave the block. */
static void sp_settle(struct xgen *g)
{
	if (g->sp)
		x_lea_cut(g->t, g->wide, XFRAME_RSP, XFRAME_RSP, g->sp);
	g->sp = 0;
}

static bool sp_waits(const struct xgen *g, const struct xinsn *in)
{
	bool rsp = (in->reads | in->writes) >> X86_RSP & 1;
	switch (in->kind) {
	case XK_PUSH:
		return g->stack && in->on_stack && !in->mem &&
		       !(in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && in->i->rm == X86_RSP);
	case XK_POP: return g->stack && in->on_stack;
	case XK_COPY:
	case XK_LEA:
	case XK_NOP: return (in->kind == XK_LEA || !in->mem) && !rsp;
	default: return false;
	}
}

static void gen_push(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	const struct insn *i = in->i;
	struct xtext *t = g->t;
	struct xaddr a;
	if (in->mem) {
		struct xplace p = xmem_place(g, in);
		a = xmem_at(g, n, &p, g->word, false, false);
		x_at(t, g->wide, 0x8b, HOST_R14, &a);
		x_store(t, HOST_R14, AT(next_rip));
	}
	a = xmem_stack(g, n, g->sp - (int32_t)g->word, true);
	if (a.base == HOST_R14) { /* which is needed for the value */
		x_lea_index(t, HOST_R15, a.base, a.index, 1, a.disp);
		a = (struct xaddr){ HOST_R15, HOST_NONE, 0 };
	}
	unsigned value = HOST_R14;
	if (in->mem)
		x_load(t, HOST_R14, AT(next_rip));
	else if (in->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		x_imm(t, HOST_R14, g->wide ? i->imm : (uint32_t)i->imm);
	else if (xframe_host[i->rm] == HOST_NONE)
		x_load(t, HOST_R14, XFRAME_GPR(i->rm));
	else
		value = xframe_host[i->rm];
	x_at(t, g->wide, 0x89, value, &a);
	g->sp -= (int32_t)g->word;
	if (!sp_waits(g, in))
		sp_settle(g);
}

static void gen_pop(struct xgen *g, unsigned n)
{
	unsigned r = g->in[n].i->rm;
	struct xaddr a = xmem_stack(g, n, g->sp, false);
	x_at(g->t, g->wide, 0x8b, writable(r), &a);
	written_to(g, r);
	g->sp += (int32_t)g->word;
	if (!sp_waits(g, &g->in[n]))
		sp_settle(g);
}

static void gen_leave(struct xgen *g, unsigned n)
{
	struct xplace p = { .base = X86_RBP, .index = REG_NONE, .seg = X86_SS };
	struct xaddr a = xmem_at(g, n, &p, g->word, false, false);
	x_at(g->t, g->wide, 0x8b, HOST_R14, &a);
	x_lea_cut(g->t, g->wide, XFRAME_RSP, xframe_host[X86_RBP], (int32_t)g->word);
	x_rr(g->t, g->wide, 0x89, HOST_R14, xframe_host[X86_RBP]);
}

/* ---- vectors ---- */
static void live_check(struct xgen *g, size_t at, unsigned level, unsigned n)
{
	xgen_flags_lose(g);
	x_gs(g->t, false, 0x80, 7, at); /* cmp byte gs:[at], level */
	x_byte(g->t, level ? level : 1);
	struct xcold *k = xgen_cold(g, XCOLD_VECTORS, x_jcc(g->t, 2), n);
	k->what = level;
	k->retry = x_rx(g->t);
	g->r15 = XR15_NONE;
}

/* What the instructions from n on need of the vector registers until C is called, or another decoded block begins. */
static void vec_check(struct xgen *g, unsigned n)
{
	unsigned level = 0, first = n, part = 0;
	bool x87 = false;
	while (part + 1u < g->xb->parts && g->xb->part[part + 1].first <= n)
		part++;
	unsigned end = part + 1u < g->xb->parts ? g->xb->part[part + 1].first : g->count;
	for (; n < end && g->in[n].kind != XK_HELPER; n++) {
		level = level > g->in[n].level ? level : g->in[n].level;
		x87 |= g->in[n].x87;
	}
	/* Loading the x87 registers takes the others away. */
	if (x87 && !g->x87) {
		live_check(g, AT(x_x87), 0, first);
		g->x87 = true;
		level = level > g->vectors ? level : g->vectors;
		g->vectors = 0;
	}
	if (level > g->vectors) {
		live_check(g, AT(x_vec_live), level, first);
		g->vectors = level;
	}
}

/* ---- handlers ---- */
static bool ends_system(const struct xgen *g, unsigned n)
{
	unsigned part = g->xb->parts - 1u;
	while (g->xb->part[part].first > n)
		part--;
	const struct block *b = g->xb->part[part].b;
	return b->system && g->in[n].i == &b->insn[b->count - 1];
}

static void gen_helper(struct xgen *g, unsigned n)
{
	struct xtext *t = g->t;
	xgen_flags_lose(g);
	xgen_fip(g);
	x_imm(t, HOST_R14, (uint64_t)(uintptr_t)g->in[n].i | (ends_system(g, n) ? XHELP_SYSTEM : 0));
	x_imm_rip(t, HOST_R15, g->in[n].rip - g->in[n].i->off);
	x_call(t, g->x->help);
	x_gs(t, false, 0x80, 7, AT(end_block)); /* cmp byte gs:[end_block], 0 */
	x_byte(t, 0);
	struct xcold *k = xgen_cold(g, XCOLD_LEAVE, x_jcc(t, 5), n);
	k->what = n << 8 | XEXIT_MID;
	g->r15 = XR15_NONE;
	g->x87 = false;
	g->vectors = 0;
	if (n + 1 < g->count)
		vec_check(g, n + 1);
}

static void gen_insn(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	g->now = n;
	if (!sp_waits(g, in))
		sp_settle(g);
	for (unsigned part = 1; part < g->xb->parts; part++)
		if (g->xb->part[part].first == n) {
			sp_settle(g);
			if (g->xb->part[part].apart)
				g->counted = false;
			vec_check(g, n);
		}
	switch (in->kind) {
	case XK_HELPER: gen_helper(g, n); break;
	case XK_COPY:
	case XK_VEC: xcopy(g, n); break;
	case XK_LEA: gen_lea(g, n); break;
	case XK_PUSH: gen_push(g, n); break;
	case XK_POP: gen_pop(g, n); break;
	case XK_LEAVE: gen_leave(g, n); break;
	case XK_NOP: break;
	case XK_DIV: xcopy_div(g, n); break;
	default: xflow_branch(g, n); break;
	}
}

/* ---- the entry ---- */
/* Away unless the TLB shows the page of rip for execution where host says. Uses R14; flags are saved. */
static void exec_check(struct xgen *g, uint64_t rip, const uint8_t *host)
{
	struct xtext *t = g->t;
	enum tlb_who who = g->xb->mode & MODE_USER ? TLB_USER : TLB_SUPER;
	size_t at = AT(tlb.entry) +
	            ((who * TLB_KINDS + TLB_EXEC) * (size_t)TLB_SIZE + tlb_slot(rip)) * sizeof(struct tlb_entry);
	x_imm(t, HOST_R14, rip & ~UINT64_C(0xfff));
	x_gs(t, true, 0x3b, HOST_R14, at + offsetof(struct tlb_entry, tag));
	xgen_cold(g, XCOLD_LEAVE, x_jcc(t, 5), 0)->what = XEXIT_STALE;
	x_imm(t, HOST_R14, (uint64_t)(uintptr_t)host - rip);
	x_gs(t, true, 0x3b, HOST_R14, at + offsetof(struct tlb_entry, addend));
	xgen_cold(g, XCOLD_LEAVE, x_jcc(t, 5), 0)->what = XEXIT_STALE;
}

/* The part in the next page is there and as it was. */
static void second_check(struct xgen *g)
{
	const struct block_second *second = &g->xb->b->second;
	exec_check(g, (g->xb->rip | 0xfff) + 1, second->host);
	x_imm(g->t, HOST_R14, (uint64_t)(uintptr_t)second->page_gen);
	x_mem(g->t, false, 0x81, 7, HOST_R14, 0);
	x_u32(g->t, second->gen);
	xgen_cold(g, XCOLD_LEAVE, x_jcc(g->t, 5), 0)->what = XEXIT_STALE;
}

/* The mode and the generation of the mapping under which the block was found last go to R14 and are compared with the present. */
static void mapping(struct xgen *g)
{
	struct xtext *t = g->t;
	X_PUT(t, 0x4c, 0x8b, 0x35); /* mov r14, [rip + map_gen] */
	x_mark(t, t->p, XMARK_CELL);
	x_u32(t, (uint32_t)(g->x->mem.rx + xmap_gen_at(g->xb) - (x_rx(t) + 4)));
	x_gs(t, true, 0x3b, HOST_R14, (size_t)((const uint8_t *)g->xb->now - (const uint8_t *)g->c));
}

/* Are the flags at the start written before anybody can see them? Then whatever leaves the block there leaves it to the
 * interpreter, at its first instruction, and no interrupt comes before that is through. */
static bool flags_dead(const struct xgen *g)
{
	for (unsigned n = 0; n < g->count && !g->xb->b->second.host; n++) {
		const struct xinsn *in = &g->in[n];
		if (in->loads || in->stores || in->x87 || in->level || in->kind == XK_HELPER || in->kind == XK_DIV)
			return false;
		if (in->flags == XF_WRITE)
			return n < g->xb->part[0].b->count;
		if (in->flags != XF_NONE || ends(in))
			return false;
	}
	return false;
}

/* Where the flags had best be at the start: what the first instruction that concerns itself with them wants. */
static unsigned first_form(struct xgen *g)
{
	if (g->dead)
		return XFORM_NONE;
	if (g->poll || g->xb->b->second.host)
		return XFORM_SAVED;
	for (unsigned n = 0; n < g->count; n++) {
		const struct xinsn *in = &g->in[n];
		if (in->loads || in->stores || in->level || in->x87 || in->kind == XK_HELPER || in->kind == XK_DIV ||
		    in->kind >= XK_CALL)
			return XFORM_SAVED;
		if (in->flags != XF_NONE || (ends(in) && !in->follow))
			return XFORM_HOST;
	}
	return XFORM_HOST;
}

void xlate_mapping(struct soft_cpu *c, struct xlate *x, struct xblock *xb)
{
	enum tlb_who who = xb->mode & MODE_USER ? TLB_USER : TLB_SUPER;
	xb->exec = &c->tlb.entry[who][TLB_EXEC][tlb_slot(xb->rip)];
	xb->page = xb->rip & ~UINT64_C(0xfff);
	xb->addend = (uint64_t)(uintptr_t)xb->host - xb->rip;
	xb->now = tlb_now(&c->tlb, xb->rip);
	xb->map_gen = (uint64_t *)(void *)(x->mem.rw + xmap_gen_at(xb));
}

static void gen_entry(struct xgen *g)
{
	struct xtext *t = g->t;
	struct xblock *xb = g->xb;
	xlate_mapping(g->c, g->x, xb);
	xb->code = x_rx(t);
	mapping(g);
	struct xcold *k = xgen_cold(g, XCOLD_REMAP, x_jcc(t, 5), 0);
	k->retry = x_rx(t);
	g->flags = first_form(g);
	xb->saved = xb->loaded = x_rx(t);
	if (g->flags == XFORM_HOST) {
		X_PUT(t, 0x3c, 0x81, 0x9e);
		xb->loaded = x_rx(t);
	} else if (g->flags == XFORM_SAVED) {
		X_PUT(t, 0xeb, 4); /* jmp over what follows */
		xb->loaded = x_rx(t);
		X_PUT(t, 0x9f, 0x0f, 0x90, 0xc0);
		xb->saved = x_rx(t);
	}
}

/* ---- the whole ---- */
static void gen_end(struct xgen *g)
{
	const struct xinsn *last = &g->in[g->count - 1];
	const struct block *b = g->xb->part[g->xb->parts - 1].b;
	bool whole = g->count == g->xb->part[g->xb->parts - 1].first + b->count;
	if (ends(last))
		return;
	if (last->kind != XK_HELPER || !whole) {
		xflow_direct(g, xinsn_next(last));
	} else {
		x_load(g->t, HOST_R14, AT(next_rip));
		xflow_indirect(g, g->count, 0);
	}
}

/* One version of the block. */
static void gen_version(struct xgen *g, bool stack)
{
	g->stack = stack;
	g->r15 = XR15_NONE;
	g->fip = 0;
	for (unsigned n = 0; n < g->count; n++)
		gen_insn(g, n);
	sp_settle(g);
	g->now = g->count;
	gen_end(g);
}

void xgen_attention(struct xgen *g)
{
	x_load(g->t, HOST_R14, AT(v));
	x_mem(g->t, false, 0x83, 7, HOST_R14, (int32_t)offsetof(struct vcpu, attention)); /* cmp dword [attention], 0 */
	x_byte(g->t, 0);
}

static void gen_poll(struct xgen *g)
{
	xgen_flags_lose(g);
	xgen_attention(g);
	struct xcold *k = xgen_cold(g, g->dead ? XCOLD_BAIL : XCOLD_LEAVE, x_jcc(g->t, 5), 0);
	k->what = XEXIT_STALE | 1 << 8;
}

static void gen_colds(struct xgen *g, struct xtext *t)
{
	g->t = t;
	const uint8_t *leave = x_rx(t);
	x_imm_block(t, HOST_R14, g->xb);
	x_jmp(t, g->x->leave);
	for (unsigned n = 0; n < g->cold_count && !g->failed && !t->overflow; n++)
		xflow_cold(g, &g->cold[n], leave);
}

/* A branch to the block's own start comes in here: attention is looked at where it is. */
static void set_again(struct xgen *g)
{
	if (!g->poll || g->xb->b->second.host || g->x->each_block)
		return;
	g->again = x_rx(g->t);
	g->again_vectors = g->vectors;
	g->again_x87 = g->x87;
}

/* Does what was found out about the stack's page hold at the block's end? */
static bool stack_stays(const struct xgen *g)
{
	for (unsigned n = 0; n < g->count; n++)
		if (g->in[n].kind == XK_HELPER || g->in[n].writes >> X86_RSP & 1)
			return false;
	return true;
}

/* The stack accesses are checked at once, or one by one in the plain version, which goes on where that check failed. */
static void gen_body(struct xgen *g)
{
	struct xspan s;
	if (g->xb->plain) {
		if (g->xb->middle)
			vec_check(g, 0);
		gen_version(g, false);
		return;
	}
	bool stack = xstack_span(g, &s);
	xgroup_scan(g);
	xnear_scan(g);
	if (g->xb->b->second.host)
		second_check(g);
	if (g->poll)
		gen_poll(g);
	vec_check(g, 0);
	set_again(g);
	if (stack)
		xstack_check(g, &s);
	if (stack && g->again && stack_stays(g))
		g->again = x_rx(g->t);
	gen_version(g, stack);
}

/* The plain version is entered from the other only. */
static void gen_plain_entry(struct xgen *g)
{
	struct xblock *xb = g->xb;
	xb->code = xb->saved = xb->loaded = x_rx(g->t);
	g->flags = XFORM_SAVED;
	g->counted = !xb->middle;
	if (xb->middle) {
		x_gs(g->t, true, 0x81, 0, AT(instructions)); /* add qword gs:[instructions], imm */
		x_u32(g->t, (uint32_t)xb->adjust);
		return;
	}
	/* The first part's vector registers are there. */
	for (unsigned n = 0; n < g->count && (xb->parts < 2 || n < xb->part[1].first) && g->in[n].kind != XK_HELPER; n++) {
		g->vectors = g->vectors > g->in[n].level ? g->vectors : g->in[n].level;
		g->x87 |= g->in[n].x87;
	}
}

/* Handlers alone are worth it for the way to the next block only. */
static bool worth(const struct xgen *g)
{
	if (!g->xb->b->system || g->xb->parts > 1)
		return true;
	for (unsigned n = 0; n < g->count; n++)
		if (g->in[n].kind != XK_HELPER)
			return true;
	return false;
}

/* False: they are not those that were decoded. */
static bool copy_bytes(const struct block *b, uint8_t *bytes)
{
	unsigned room = b->second.host ? 4096 - ((uintptr_t)b->host & 4095) : b->len;
	memcpy(bytes, b->host, room);
	if (b->second.host)
		memcpy(bytes + room, b->second.host, b->len - room);
	return atomic_load(b->page_gen) == b->gen &&
	       (!b->second.host || atomic_load(b->second.page_gen) == b->second.gen);
}

/* The decoded block becomes the next part. */
static bool add_part(struct xgen *g, struct block *b, uint64_t rip, uint8_t *bytes)
{
	struct xblock *xb = g->xb;
	bytes += 15 * g->count;
	if (!copy_bytes(b, bytes) || b->gen != xb->gen)
		return false;
	bool apart = g->count && g->in[g->count - 1].kind == XK_JCC;
	xb->part[xb->parts++] = (struct xpart){ b, (uint8_t)g->count, apart };
	for (unsigned n = 0; n < b->count; n++) {
		struct xinsn *in = &g->in[g->count++];
		xlate_scan(g->c, g->x, &b->insn[n], bytes + b->insn[n].off, in);
		in->rip = rip + b->insn[n].off;
	}
	return true;
}

/* ---- several decoded blocks ---- */
/* The decoded block at rip, which is in xb's page, if it was ever run there. */
static struct block *known(struct xgen *g, uint64_t rip)
{
	const struct xblock *xb = g->xb;
	if ((rip ^ xb->rip) >> 12)
		return NULL;
	const uint8_t *host = xb->host + (int64_t)(rip - xb->rip);
	bool first_sight = g->x->hot == 1; /* for tests: whatever comes */
	struct block *b = first_sight ? block_ahead(g->c, host) : block_known(g->c, host);
	if (!b || b->once || b->gen != xb->gen || b->count + g->count > XINSNS || !(b->heat || b->x || first_sight))
		return NULL;
	for (unsigned n = 0; n < xb->parts; n++)
		if (xb->part[n].b == b)
			return NULL;
	return b;
}

/* Does a part begin at rip? */
static bool is_part(const struct xgen *g, uint64_t rip)
{
	for (unsigned n = 0; n < g->xb->parts; n++)
		if (g->xb->rip + (uint64_t)(g->xb->part[n].b->host - g->xb->host) == rip)
			return true;
	return false;
}

static unsigned heat(const struct block *b)
{
	return !b ? 0 : b->x ? UINT16_MAX : b->heat;
}

/* The block after the last part, where it is known which one comes next; marks the branch that leads there. */
static struct block *follow(struct xgen *g, uint64_t *rip)
{
	struct xinsn *in = &g->in[g->count - 1];
	struct block *next = NULL, *target = NULL;
	if (in->kind >= XK_RET || in->kind == XK_HELPER)
		return NULL;
	if (in->kind == XK_JCC && (is_part(g, xinsn_target(in)) || is_part(g, xinsn_next(in))))
		return NULL; /* a loop's last branch */
	if (in->kind == XK_JCC || in->kind == XK_JMP || in->kind == XK_CALL)
		target = known(g, xinsn_target(in));
	if (in->kind != XK_JMP && in->kind != XK_CALL)
		next = known(g, xinsn_next(in));
	bool back = in->kind == XK_JCC && xinsn_target(in) <= in->rip;
	if (in->kind == XK_JMP || in->kind == XK_CALL || (in->kind == XK_JCC && heat(target) + back > heat(next)))
		next = NULL;
	else
		target = NULL;
	if (ends(in))
		in->follow = target ? XFOLLOW_TARGET : next ? XFOLLOW_NEXT : XFOLLOW_NONE;
	*rip = target ? xinsn_target(in) : xinsn_next(in);
	return target ? target : next;
}

/* The last branch stays what it was. */
static void unfollow(struct xgen *g)
{
	g->in[g->count - 1].follow = XFOLLOW_NONE;
}

static void add_parts(struct xgen *g, uint8_t *bytes)
{
	uint64_t rip;
	struct block *b;
	if (g->x->each_block || g->xb->b->second.host)
		return;
	while (g->xb->parts < XPARTS && (b = follow(g, &rip))) {
		if (!add_part(g, b, rip, bytes)) {
			unfollow(g);
			return;
		}
	}
	unfollow(g);
}

/* A direct branch of the block that may be a loop's last. */
static bool jumps_back(const struct xgen *g)
{
	for (unsigned n = 0; n < g->count; n++) {
		const struct xinsn *in = &g->in[n];
		if ((in->kind == XK_JMP || in->kind == XK_JCC || in->kind == XK_CALL) && xinsn_target(in) <= in->rip)
			return true;
	}
	return false;
}

bool xlate_generate(struct soft_cpu *c, struct xlate *x, struct xblock *xb, struct xtext *t, struct xtext *cold)
{
	struct xgen scratch, *g = &scratch;
	uint8_t bytes[XINSNS * 15];
	g->c = c;
	g->x = x;
	g->xb = xb;
	g->t = t;
	g->wide = xb->mode & MODE_CODE64;
	g->word = g->wide ? 8 : 4;
	g->count = g->cold_count = g->vectors = 0;
	g->counted = g->failed = g->stack = false;
	g->r15 = XR15_NONE;
	g->now = 0;
	g->writer = XINSNS;
	g->recipe = 0;
	g->sp = 0;
	g->x87 = false;
	g->fip = 0;
	if (!add_part(g, xb->b, xb->rip, bytes))
		return false;
	add_parts(g, bytes);
	if (!worth(g))
		return false;
	xb->count = (uint8_t)g->count;
	g->poll = jumps_back(g);
	g->dead = !xb->plain && flags_dead(g);
	g->again = NULL;
	g->loop = false;
	if (xb->plain)
		gen_plain_entry(g);
	else
		gen_entry(g);
	gen_body(g);
	gen_colds(g, cold);
	return !t->overflow && !cold->overflow && !g->failed;
}
