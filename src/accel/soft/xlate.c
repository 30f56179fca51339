/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of translated blocks: what is found, linked, dropped; and how one is entered and left. */
#include "accel/soft/pages.h"
#include "accel/soft/xlate_priv.h"
#include "accel/soft/xlate_sight.h"
#include "base/bytes.h"
#include "core/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEAT_NEVER = UINT16_MAX,
	XLATE_BUSY = 512,  /* blocks of a guest that does more than a little */
	XLATE_WORTH = 1000, /* instructions for each block that is made: about what making it costs, with the interpreter */
	XLATE_HOT_MOST = 256,
	XLATE_MOVED = 8,  /* what was hot elsewhere is sooner hot here, and costs less */
	XLATE_OTHERS = 3, /* translations of one decoded block at several addresses; then the one not used longest moves */
	XLATE_TAKE = 64 << 10, /* bytes of code memory at once, before a guest is busy */
};

/* ---- life ---- */
static void fixed_stubs(struct soft_cpu *c, struct xlate *x)
{
	uint8_t *at = x->mem.rw + XLATE_CELL_BYTES;
	struct xtext t = { at, at + XLATE_STUB_BYTES, x->mem.rx - x->mem.rw, false, x->cpu, at, NULL };
	xframe_stubs(c, x, &t);
}

/* What is executed often takes somewhat more than what is behind it. */
static void divide(struct xlate *x, size_t cache)
{
	size_t base = XLATE_CELL_BYTES + XLATE_STUB_BYTES, room = x->mem.size - base;
	room = cache < room ? cache : room;
	size_t hot = base + room / 5 * 3;
	if (room > 8 * PAGES_HUGE)
		hot = round_up(hot, PAGES_HUGE);
	x->hot_space = (struct xspace){ .base = base, .used = base, .limit = hot, .taken = base };
	x->cold_space = (struct xspace){ .base = hot, .used = hot, .limit = base + room, .taken = hot };
}

/* Do shifts by a constant and multiplications leave flags that depend on those before? */
static bool shift_writes_all(void)
{
	uint64_t seen = 0;
	for (unsigned n = 0; n < 64; n++) {
		uint64_t f[2][5], a = n * UINT64_C(0x9e3779b97f4a7c15), b = a ^ a >> 29;
		for (unsigned k = 0; k < 2; k++) {
			uint32_t ax = k ? 0xd501 : 0;
#define PROBE(at, text) \
	do { \
		uint64_t v = a, w = b; \
		uint32_t q = ax; \
		asm("addb $127, %%al\n\tsahf\n\t" text "\n\tlahf\n\tseto %%al" : "+r"(v), "+r"(w), "+&a"(q) : : "cc"); \
		f[k][at] = q; \
	} while (0)
			PROBE(0, "shlq $3, %0");
			PROBE(1, "shrl $1, %k0");
			PROBE(2, "sarl $7, %k0");
			PROBE(3, "imulq %1, %0");
			PROBE(4, "imull $77, %k1, %k0");
#undef PROBE
		}
		for (unsigned k = 0; k < 5; k++)
			seen |= f[0][k] ^ f[1][k];
	}
	return !seen;
}

int xlate_create(struct soft_cpu *c, const struct soft_options *o, struct xlate_sight *sight, struct err *e)
{
	struct xlate *x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, -ENOMEM, "no memory for translated code");
	x->block = ahead_table_create(&x->block_table, XLATE_BLOCK_MAX * sizeof(*x->block));
	int (*memory)(struct codemem *, size_t, struct err *) = o->perf ? codemem_create_for_perf : codemem_create;
	int r = xlink_create(x, e);
	if (r == 0)
		r = xmoved_create(x, e);
	if (r == 0)
		r = x->block ? memory(&x->mem, XLATE_CODE_MAX, e) : err_set(e, -ENOMEM, "no memory for translated code");
	if (r < 0) {
		xlate_destroy(x);
		return r;
	}
	x->ahead = c->sv->ahead;
	x->hot = x->hot_least = o->hot;
	x->each_block = o->each_block;
	x->sight = sight;
	x->bmi2 = __builtin_cpu_supports("bmi2");
	x->shift_writes_all = shift_writes_all();
	xlate_scan_index(x);
	c->x_host_mxcsr = 0x1f80;
	if ((uintptr_t)c + sizeof(*c) <= INT32_MAX)
		x->cpu = (uint32_t)(uintptr_t)c;
	fixed_stubs(c, x);
	divide(x, o->cache);
	x->epoch = 1;
	c->xlate = x;
	c->x_hash = x->hash;
	return 0;
}

void xlate_destroy(struct xlate *x)
{
	if (!x)
		return;
	codemem_destroy(&x->mem);
	xlink_destroy(x);
	xmoved_destroy(x);
	ahead_table_destroy(&x->block_table);
	if (x->sight)
		xlate_sight_drop(x->sight, x);
	free(x);
}

void xlate_flush(struct xlate *x)
{
	xlink_reset(x);
	x->hot_space.used = x->hot_space.base;
	x->cold_space.used = x->cold_space.base;
	x->block_count = 0;
	x->epoch++;
	x->stats.flushes++;
	if (x->sight)
		xlate_sight_drop(x->sight, x);
}

const struct xlate_stats *xlate_stats(const struct xlate *x)
{
	return &x->stats;
}

uint64_t xlate_code_bytes(const struct xlate *x)
{
	return x->hot_space.taken + x->cold_space.taken - x->cold_space.base;
}

/* ---- finding ---- */
static bool matches(const struct xlate *x, const struct xblock *xb, const struct block *b)
{
	return xb->epoch == x->epoch && xb->code && !xb->plain && xb->b == b && xb->rip == b->rip && xb->gen == b->gen &&
	       xb->host == b->host && xb->mode == b->mode;
}

static bool full(const struct xlate *x)
{
	return x->block_count == XLATE_BLOCK_MAX || x->exit_count + XEXITS_OF_BLOCK > XLATE_EXIT_MAX ||
	       x->hot_space.limit - x->hot_space.used < XLATE_HOT_BYTES ||
	       x->cold_space.limit - x->cold_space.used < XLATE_COLD_BYTES;
}

/* There are pages behind what is used, in both mappings. Many at once: a fault for each in each costs more than what is in it. A busy
 * guest's are huge ones, and so become its first ones. */
static void take_pages(struct xlate *x, struct xspace *s)
{
	const size_t step = x->busy ? PAGES_HUGE : XLATE_TAKE;
	if (s->used + step / 2 <= s->taken || s->taken >= s->limit)
		return;
	size_t from = round_down(s->taken, step), limit = round_up(s->limit, 4096);
	size_t end = from + step < limit ? from + step : limit;
	ahead_take(x->ahead, x->mem.rw + from, end - from, x->busy ? AHEAD_HUGE : AHEAD_WRITE);
	ahead_take(x->ahead, x->mem.rx + from, end - from, AHEAD_READ);
	s->taken = end;
}

static struct xtext text(struct xlate *x, struct xspace *s, size_t max)
{
	uint8_t *at = x->mem.rw + s->used;
	take_pages(x, s);
	return (struct xtext){ at, at + max, x->mem.rx - x->mem.rw, false, x->cpu, at, NULL };
}

/* What was written at the end of s stays. */
static void keep(struct xlate *x, struct xspace *s, const struct xtext *t, const struct xblock *xb, unsigned align)
{
	const uint8_t *at = x->mem.rx + s->used;
	if (x->sight)
		xlate_sight_add(x->sight, x, at, (size_t)(x_rx(t) - at), xb->rip);
	s->used = round_up((size_t)(t->p - x->mem.rw), align);
}

/* The tables that every memory access and every indirect jump look into, and the loop's: 16.5 MiB, which a small guest is not to pay for. */
static void use_huge(struct soft_cpu *c, struct xlate *x)
{
	x->busy = true;
	ahead_take(x->ahead, soft_vcpu_of(c), sizeof(struct soft_vcpu), AHEAD_HUGE);
	block_cache_use_huge(soft_vcpu_of(c)->blocks, x->ahead);
	ahead_take(x->ahead, x->hash, XHASH_SIZE * sizeof(*x->hash), AHEAD_HUGE);
}

/* There is room behind what the tables hold. */
static void reach(struct xlate *x)
{
	ahead_reach(x->ahead, &x->block_table, x->block_count * sizeof(*x->block));
	ahead_reach(x->ahead, &x->exit_table, x->exit_count * sizeof(*x->exit));
	ahead_reach(x->ahead, &x->mark_table, x->mark_count * sizeof(*x->mark));
}

static bool generate(struct soft_cpu *c, struct xlate *x, struct xblock *xb, struct xtext *t, struct xtext *cold)
{
	if (xmoved_begin(x, xb, t->p, cold->p))
		t->marks = cold->marks = x;
	if (!xlate_generate(c, x, xb, t, cold)) {
		x->mark_count = x->marking.first;
		return false;
	}
	if (t->marks)
		xmoved_end(x, xb, t, cold);
	return true;
}

/* The translation of b, at rip, or a copy of its translation `old` elsewhere; NULL: it cannot be, or not now. */
static struct xblock *make(struct soft_cpu *c, struct xlate *x, const struct xblock *of, const struct xblock *old)
{
	struct xblock *xb = &x->block[x->block_count];
	struct xtext t = text(x, &x->hot_space, XLATE_HOT_BYTES), cold = text(x, &x->cold_space, XLATE_COLD_BYTES);
	*xb = *of;
	if (!xlink_cell(x, xb)) {
		xlate_flush(x);
		return NULL;
	}
	if (old) {
		xmoved_copy(c, x, old, xb, &t, &cold);
	} else if (!generate(c, x, xb, &t, &cold)) {
		xb->code = NULL;
		return NULL;
	}
	if (!xlink_add(x, xb)) {
		xlate_flush(x);
		return NULL;
	}
	x->block_count++;
	reach(x);
	if (!x->busy && x->block_count == XLATE_BUSY)
		use_huge(c, x);
	keep(x, &x->hot_space, &t, xb, 16);
	keep(x, &x->cold_space, &cold, xb, 1);
	x->stats.blocks++;
	for (unsigned n = 0; n < xb->parts; n++)
		xb->part[n].b->translated = true;
	return xb;
}

/* Where a guest's code does not fit, all of it could be translated again at each turn, and a guest whose timer interrupts take
 * longer than their period gets nowhere. What is seen less often is left to the interpreter then. */
static void make_room(struct soft_cpu *c, struct xlate *x)
{
	const bool often = c->instructions - x->full_at < (uint64_t)x->block_count * XLATE_WORTH;
	unsigned hot = often ? x->hot * 2 : x->hot / 2;
	if (hot > XLATE_HOT_MOST)
		hot = XLATE_HOT_MOST;
	x->hot = hot > x->hot_least ? hot : x->hot_least;
	x->full_at = c->instructions;
	xlate_flush(x);
}

/* ---- the same code at several addresses ---- */
struct xblock *xlate_others(const struct xlate *x, const struct block *b)
{
	struct xblock *xb = b->x;
	if (!xb || xb->epoch != x->epoch || xb->plain || xb->b != b)
		return NULL;
	return xb->gen == b->gen && xb->host == b->host && xb->mode == b->mode ? xb : NULL;
}

/* That of b's translations which is at its address is the first from now on; NULL: there is none. */
static struct xblock *to_front(const struct xlate *x, struct block *b)
{
	struct xblock *first = xlate_others(x, b);
	for (struct xblock **at = &first; *at; at = &(*at)->other) {
		struct xblock *xb = *at;
		if (xb->rip != b->rip || !xb->code)
			continue;
		*at = xb->other;
		xb->other = first;
		b->x = xb;
		return xb;
	}
	return NULL;
}

/* One that can be copied to b's address, if there is any. *move: how many there are is enough, and this one is to move. */
static struct xblock *elsewhere(const struct xlate *x, const struct block *b, bool *move)
{
	struct xblock *last = NULL;
	unsigned count = 0;
	for (struct xblock *xb = xlate_others(x, b); xb; xb = xb->other)
		if (xmoved_serves(xb, b->rip)) {
			last = xb;
			count++;
		}
	*move = count >= XLATE_OTHERS && !x->sight;
	return last;
}

static struct xblock *translate(struct soft_cpu *c, struct xlate *x, struct block *b)
{
	bool move;
	if (full(x))
		make_room(c, x);
	struct xblock *old = elsewhere(x, b, &move);
	uint64_t flushes = x->stats.flushes;
	x->stats.moved += old != NULL;
	if (old && move) {
		if (xmoved_here(c, x, old, b->rip))
			return to_front(x, b);
		xlate_flush(x);
		return NULL;
	}
	struct xblock *xb = make(c, x, &(struct xblock){ .b = b, .rip = b->rip, .host = b->host, .mode = b->mode,
							 .gen = b->gen, .epoch = x->epoch, .other = xlate_others(x, b) }, old);
	if (!xb && flushes == x->stats.flushes)
		b->heat = HEAT_NEVER;
	return xb;
}

/* The version of xb that its exit wants, which checks each access to the stack. */
static void make_plain(struct soft_cpu *c, struct xlate *x, const struct xblock *xb, unsigned exit)
{
	if (full(x) || !xb->code)
		return;
	struct xblock *plain = make(c, x, &(struct xblock){ .b = xb->b, .rip = xb->rip, .host = xb->host, .mode = xb->mode,
							    .gen = xb->gen, .epoch = xb->epoch, .plain = true }, NULL);
	if (plain)
		xlink_join(x, exit, plain);
}

enum { MIDDLE_TRIES = 4 };

/* Code for what follows in xb from instruction e->at on, which checks each access; for an exit that is taken often. */
static void make_middle(struct soft_cpu *c, struct xlate *x, const struct xblock *xb, unsigned exit)
{
	struct xexit *e = &x->exit[exit];
	if (++e->tries < MIDDLE_TRIES || full(x) || !xb->code)
		return;
	struct block *b = block_ahead(c, xb->host + (int64_t)(e->target - xb->rip));
	if (!b || b->once || b->gen != xb->gen || b->mode != xb->mode)
		return;
	struct xblock *plain = make(c, x, &(struct xblock){ .b = b, .rip = e->target, .host = b->host, .mode = xb->mode,
							    .gen = xb->gen, .epoch = xb->epoch, .plain = true, .middle = true,
							    .adjust = (int16_t)(e->at - xblock_counted(xb, e->at)) }, NULL);
	if (plain)
		xlink_join(x, exit, plain);
}

/* The exit that led here goes straight to xb from now on. */
static void link_from(struct xlate *x, struct xblock *xb)
{
	if (!x->from)
		return;
	unsigned n = x->from - 1;
	const struct xexit *e = &x->exit[n];
	const struct xblock *from = &x->block[e->from];
	x->from = 0;
	if (!from->code || from->mode != xb->mode || e->target != xb->rip ||
	    (!e->cross && ((uintptr_t)from->host ^ (uintptr_t)xb->host) >> 12))
		return;
	xlink_join(x, n, xb);
}

static struct xblock *found(struct soft_cpu *c, struct xlate *x, struct block *b, struct xblock *xb)
{
	unsigned h = xhash_of(xb->rip);
	b->x = xb;
	uint64_t now;
	memcpy(&now, xb->now, sizeof(now));
	*(volatile uint64_t *)xb->map_gen = now;
	if (unlikely(x->each_block))
		return xb;
	x->hash[h] = (struct xhash){ xb->rip, xb->code };
	link_from(x, xb);
	return xb;
}

void xlate_look(struct soft_cpu *c)
{
	atomic_fetch_and(&c->v->attention, ~SOFT_ATT_CODE);
	if (c->xlate)
		xlink_look(c->xlate);
}

/* 64-bit code, and 32-bit code in flat segments. */
static bool xlate_knows(uint32_t mode)
{
	return (mode & MODE_CODE_MASK) == MODE_CODE64 || mode_flat32(mode);
}

struct xblock *xlate_block(struct soft_cpu *c, struct block *b)
{
	struct xlate *x = c->xlate;
	if (unlikely(atomic_load_explicit(&c->v->attention, memory_order_relaxed) & SOFT_ATT_CODE))
		xlate_look(c);
	struct xblock *xb = b->x;
	if (likely(xb && matches(x, xb, b)))
		return found(c, x, b, xb);
	if (unlikely(xb) && (xb = to_front(x, b)))
		return found(c, x, b, xb);
	if (b->mode & (MODE_TF | MODE_BREAK | MODE_SEEN) || !xlate_knows(b->mode) || (b->once && !b->second.host) || b->gen > c->sv->options.rewrites ||
	    b->heat == HEAT_NEVER)
		goto none;
	bool move;
	if (++b->heat < (elsewhere(x, b, &move) ? x->hot / XLATE_MOVED : x->hot))
		goto none;
	b->heat = 0;
	xb = translate(c, x, b);
	if (xb)
		return found(c, x, b, xb);
none:
	x->from = 0;
	return NULL;
}

/* ---- running ---- */
/* Which decoded block instruction n of xb is in, and where that starts. */
static const struct xpart *part_of(const struct xblock *xb, unsigned n, uint64_t *rip)
{
	const struct xpart *p = &xb->part[xb->parts - 1];
	while (p->first > n)
		p--;
	*rip = xb->rip + (uint64_t)(p->b->host - xb->host);
	return p;
}

/* The interpreter goes on at instruction n, with exact state. */
static enum xlate_result bail(struct soft_cpu *c, const struct xblock *xb, unsigned n, struct block **b, unsigned *at)
{
	const struct xpart *p = part_of(xb, n, &c->s.rip);
	c->xlate->stats.bails++;
	c->instructions += p->first;
	c->instructions -= xblock_counted(xb, n);
	if (unlikely(p->b->gen != xb->gen)) {
		c->s.rip += p->b->insn[n - p->first].off;
		return XLATE_NEXT;
	}
	*b = p->b;
	*at = n - p->first;
	return XLATE_AT;
}

/* The handler of instruction n asked for the end of the block; next_rip is its own when the decoded block ends there. */
static enum xlate_result mid(struct soft_cpu *c, const struct xblock *xb, unsigned n)
{
	uint64_t rip;
	const struct xpart *p = part_of(xb, n, &rip);
	const struct insn *i = &p->b->insn[n - p->first];
	c->instructions -= xblock_counted(xb, n) - n - 1u;
	rip += i->off + i->len;
	c->s.rip = n - p->first + 1u == p->b->count ? c->next_rip : xb->mode & MODE_CODE64 ? rip : (uint32_t)rip;
	if (run_events_due(c))
		return XLATE_LEAVE;
	c->end_block = false;
	return XLATE_NEXT;
}

enum xlate_result xlate_run(struct soft_cpu *c, struct xblock *xb, struct block **b, unsigned *at)
{
	struct xlate *x = c->xlate;
	x->stats.entries++;
	c->x_of = c->s.rflags >> 11 & 1;
	c->x_x87 = 0;
	xframe_stack(c);
	uint32_t exit = x->enter(c, xb->code);
	for (unsigned n = 1; n < XPARTS; n++) {
		c->instructions += c->x_count[n];
		c->x_count[n] = 0;
	}
	c->cur = NULL;
	unsigned number = exit >> 8;
	xb = c->x_cur;
	if (unlikely(c->x_far))
		xnear_too_far(c);
	switch (exit & 0xff) {
	case XEXIT_LINK:
		c->s.rip = x->exit[number].target;
		x->from = number + 1;
		return XLATE_NEXT;
	case XEXIT_INDIRECT:
		c->s.rip = c->next_rip;
		return XLATE_NEXT;
	case XEXIT_BAIL: return bail(c, xb, number, b, at);
	case XEXIT_PLAIN:
		/* Not to the loop: the flags may be dead here. */
		make_plain(c, x, xb, number);
		return bail(c, xb, 0, b, at);
	case XEXIT_MIDDLE: {
		unsigned n = x->exit[number].at;
		make_middle(c, x, xb, number);
		return bail(c, xb, n, b, at);
	}
	case XEXIT_MID: return mid(c, xb, number);
	default:
		if (number) /* they were counted already */
			c->instructions -= xblock_counted(xb, 0);
		c->s.rip = xb->rip;
		return XLATE_NEXT;
	}
}
