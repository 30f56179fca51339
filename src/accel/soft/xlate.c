/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of translated blocks: what is found, linked, dropped; and how one is entered and left. */
#include "accel/soft/xlate_priv.h"
#include "accel/soft/xlate_sight.h"
#include "base/bytes.h"
#include "core/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	BLOCK_BYTES = 16 << 10, /* more than the code of one block */
	SLOT_BYTES = XLATE_BLOCK_MAX * 2 * sizeof(struct xslot),
	STUB_BYTES = 4096,
	HEAT_NEVER = UINT16_MAX,
	REWRITES_MAX = 64,      /* generations of a page after which its blocks stay interpreted */
};

/* ---- life ---- */

__attribute__((target("general-regs-only"))) static uint32_t refill(struct soft_cpu *c, uint64_t lin, uint32_t what)
{
	unsigned size = what & XREFILL_SIZE;
	return (lin & 0xfff) + size <= 4096 && mmu_refill(c, lin, what & XREFILL_WRITE);
}

/* R14: a linear address, R15: XREFILL_*. R15 is 0 afterwards when the access is the interpreter's. Keeps all registers but
 * R15 and the flags; what it calls knows of no vector registers (walk.h). */
static void stub_refill(struct xlate *x, struct xtext *t)
{
	static const uint8_t save[] = { 0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53 };
	static const uint8_t call[] = { 0xff, 0xd0, 0x41, 0x89, 0xc7 }; /* call rax; mov r15d, eax */
	static const uint8_t restore[] = { 0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58, 0x5f, 0x5e, 0x5a, 0x59, 0x58, 0xc3 };
	x->refill = x_rx(t);
	x_bytes(t, save, sizeof(save));
	x_rr(t, true, 0x89, HOST_CPU, HOST_RDI);
	x_rr(t, true, 0x89, HOST_R14, HOST_RSI);
	x_rr(t, false, 0x89, HOST_R15, HOST_RDX);
	x_imm(t, HOST_RAX, (uint64_t)(uintptr_t)refill);
	x_bytes(t, call, sizeof(call));
	x_bytes(t, restore, sizeof(restore));
}

/* enter(c, code): saves what the host's ABI wants kept; leave: puts it back and returns EAX. */
static void fixed_stubs(struct soft_cpu *c, struct xlate *x)
{
	static const uint8_t save[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x48, 0x83, 0xec, 0x08,
		                        0x48, 0x89, 0xfd, 0xff, 0xe6 }; /* push ...; sub rsp, 8; mov rbp, rdi; jmp rsi */
	static const uint8_t restore[] = { 0x48, 0x83, 0xc4, 0x08, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b,
		                           0xc3 };
	memcpy(x->mem.rw + SLOT_BYTES, save, sizeof(save));
	memcpy(x->mem.rw + SLOT_BYTES + 32, restore, sizeof(restore));
	x->enter = (uint32_t (*)(struct soft_cpu *, const uint8_t *))(uintptr_t)(x->mem.rx + SLOT_BYTES);
	x->leave = x->mem.rx + SLOT_BYTES + 32;
	uint8_t *at = x->mem.rw + SLOT_BYTES + 64;
	struct xtext t = { at, at + STUB_BYTES - 64, x->mem.rx - x->mem.rw, false };
	stub_refill(x, &t);
	xvec_stubs(c, x, &t);
	assert(!t.overflow);
	x->base = x->used = SLOT_BYTES + STUB_BYTES;
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
	size_t size = XLATE_BLOCK_MAX * sizeof(*x->block);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	x->block = p == MAP_FAILED ? NULL : p;
	int (*memory)(struct codemem *, size_t, struct err *) = o->perf ? codemem_create_for_perf : codemem_create;
	int r = x->block ? memory(&x->mem, XLATE_CODE_MAX, e) : err_set(e, -ENOMEM, "no memory for translated code");
	if (r < 0) {
		xlate_destroy(x);
		return r;
	}
	x->hot = o->hot;
	x->each_block = o->each_block;
	x->sight = sight;
	x->shift_writes_all = shift_writes_all();
	c->x_host_mxcsr = 0x1f80;
	fixed_stubs(c, x);
	x->limit = o->cache < x->mem.size - x->base ? x->base + o->cache : x->mem.size;
	x->hash[0].rip = XHASH_EMPTY;
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
	if (x->block)
		munmap(x->block, XLATE_BLOCK_MAX * sizeof(*x->block));
	if (x->sight)
		xlate_sight_drop(x->sight, x);
	free(x);
}

void xlate_flush(struct xlate *x)
{
	memset(x->hash, 0, sizeof(x->hash));
	x->hash[0].rip = XHASH_EMPTY;
	x->used = x->base;
	x->block_count = 0;
	x->from = NULL;
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
	return x->peak;
}

/* ---- finding ---- */
static bool matches(const struct xlate *x, const struct xblock *xb, const struct block *b)
{
	return xb->epoch == x->epoch && xb->code && xb->b == b && xb->rip == b->rip && xb->gen == b->gen &&
	       xb->host == b->host && xb->mode == b->mode;
}

static struct xblock *translate(struct soft_cpu *c, struct xlate *x, struct block *b)
{
	if (x->block_count == XLATE_BLOCK_MAX || x->limit - x->used < BLOCK_BYTES)
		xlate_flush(x);
	struct xblock *xb = &x->block[x->block_count];
	uint8_t *at = x->mem.rw + x->used;
	struct xtext t = { at, at + BLOCK_BYTES, x->mem.rx - x->mem.rw, false };
	*xb = (struct xblock){ .b = b, .rip = b->rip, .host = b->host, .mode = b->mode, .gen = b->gen, .epoch = x->epoch };
	if (!xlate_generate(c, x, xb, &t)) {
		xb->code = NULL;
		b->heat = HEAT_NEVER;
		return NULL;
	}
	x->block_count++;
	x->used = round_up((size_t)(t.p - x->mem.rw), 16);
	if (x->peak < x->used)
		x->peak = x->used;
	if (x->sight)
		xlate_sight_add(x->sight, x, x->mem.rx + (at - x->mem.rw), (size_t)(t.p - at), xb->rip);
	x->stats.blocks++;
	return xb;
}

/* The exit that led here goes straight to xb from now on. */
static void link_from(struct xlate *x, struct xblock *xb)
{
	struct xblock *from = x->from;
	if (!from)
		return;
	x->from = NULL;
	if (from->epoch != x->epoch || from->mode != xb->mode || from->target[x->from_exit] != xb->rip)
		return;
	bool same_page = (from->rip ^ xb->rip) >> 12 == 0 && ((uintptr_t)from->host ^ (uintptr_t)xb->host) >> 12 == 0;
	if (same_page && from->gen != xb->gen)
		return;
	/* Whoever goes round and round must go back somewhere, and be seen there; the page was fresh at from's entry. */
	const uint8_t *near = xb->rip > from->rip && !xb->b->once ? xb->fast : xb->near;
	size_t at = xslot_at(x, from, x->from_exit);
	atomic_signal_fence(memory_order_seq_cst);
	((struct xslot *)(void *)(x->mem.rw + at))->to = same_page ? near : xb->code;
}

static struct xblock *found(struct soft_cpu *c, struct xlate *x, struct block *b, struct xblock *xb)
{
	unsigned h = xhash_of(xb->rip);
	b->x = xb;
	xb->map_gen = c->tlb.map_gen;
	if (unlikely(x->each_block))
		return xb;
	x->hash[h] = (struct xhash){ xb->rip, xb->code };
	link_from(x, xb);
	return xb;
}

struct xblock *xlate_block(struct soft_cpu *c, struct block *b)
{
	struct xlate *x = c->xlate;
	struct xblock *xb = b->x;
	if (likely(xb && matches(x, xb, b)))
		return found(c, x, b, xb);
	if ((b->mode & (MODE_CODE_MASK | MODE_TF | MODE_BREAK)) != MODE_CODE64 || (b->once && !b->second.host) || b->gen > REWRITES_MAX ||
	    b->heat == HEAT_NEVER)
		goto none;
	if (++b->heat < x->hot)
		goto none;
	b->heat = 0;
	struct xblock *from = x->from;
	xb = translate(c, x, b);
	if (x->from != from)
		x->from = NULL;
	if (xb)
		return found(c, x, b, xb);
none:
	x->from = NULL;
	return NULL;
}

/* ---- running ---- */
enum xlate_result xlate_run(struct soft_cpu *c, struct xblock *xb, struct block **b, unsigned *at)
{
	struct xlate *x = c->xlate;
	x->stats.entries++;
	c->x_of = c->s.rflags >> 11 & 1;
	c->x_x87 = 0;
	uint32_t exit = x->enter(c, xb->code);
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_OF) | (uint64_t)c->x_of << 11;
	c->cur = NULL;
	unsigned number = exit >> 8;
	xb = c->x_cur;
	switch (exit & 0xff) {
	case XEXIT_LINK:
		c->s.rip = xb->target[number];
		x->from = xb;
		x->from_exit = number;
		return XLATE_NEXT;
	case XEXIT_INDIRECT:
		c->s.rip = c->next_rip;
		return XLATE_NEXT;
	case XEXIT_BAIL:
		x->stats.bails++;
		c->instructions -= xb->count;
		c->s.rip = xb->rip;
		*b = xb->b;
		*at = number;
		return XLATE_AT;
	case XEXIT_MID:
		c->instructions -= xb->count - number - 1u;
		c->s.rip = number + 1u == xb->b->count ? c->next_rip : insn_next_rip(c, &xb->b->insn[number]);
		return XLATE_LEAVE;
	default:
		c->s.rip = xb->rip;
		return XLATE_NEXT;
	}
}
