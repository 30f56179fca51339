/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVS STOS LODS CMPS SCAS, alone and repeated. A repeated form runs element by element, or in runs within pages
 * where both sides are plain memory. Registers are exact after every element, so a fault, an interrupt or a trap in
 * the middle leaves an instruction that goes on when it is started again. Source: SDM 2B, REP.
 */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"
#include "core/vcpu.h"

enum string_op { MOVS, STOS, LODS, CMPS, SCAS };
enum { CHECK_EVERY = 1024 }; /* elements between two looks at attention */

static bool reads_source(enum string_op op)
{
	return op == MOVS || op == LODS || op == CMPS;
}

static bool uses_dest(enum string_op op)
{
	return op != LODS;
}

ALWAYS_INLINE void compare(struct soft_cpu *c, unsigned w, uint64_t a, uint64_t b)
{
	uint32_t ax;
#define COMPARE(name, type) \
	asm(name " %2, %1\n\tlahf\n\tseto %%al" : "=&a"(ax) : "r"((type)a), "r"((type)b) : "cc")
	switch (w) {
	case 1: COMPARE("cmpb", uint8_t); break;
	case 2: COMPARE("cmpw", uint16_t); break;
	case 4: COMPARE("cmpl", uint32_t); break;
	default: COMPARE("cmpq", uint64_t); break;
	}
#undef COMPARE
	flags_from_ax(c, ax);
}

/* Adds n elements to an index register of the address size. */
ALWAYS_INLINE void advance(struct soft_cpu *c, const struct insn *i, unsigned reg, uint64_t n)
{
	uint64_t d = n * i->width;
	reg_set(c, reg, i->asize, c->s.gpr[reg] + (c->s.rflags & X86_FLAG_DF ? -d : d));
}

/* ---- one element ---- */
static void element(struct soft_cpu *c, const struct insn *i, enum string_op op)
{
	unsigned w = i->width;
	uint64_t m = width_mask(i->asize), si = c->s.gpr[X86_RSI] & m, di = c->s.gpr[X86_RDI] & m, a = 0, b = 0;
	if (op == CMPS)
		b = mem_load(c, seg_linear(c, X86_ES, di, w, false), w); /* this side faults first */
	if (reads_source(op))
		a = mem_load(c, seg_linear(c, i->seg, si, w, false), w);
	if (op == MOVS)
		mem_store(c, seg_linear(c, X86_ES, di, w, true), w, a);
	else if (op == STOS)
		mem_store(c, seg_linear(c, X86_ES, di, w, true), w, c->s.gpr[X86_RAX]);
	else if (op == LODS)
		reg_set(c, X86_RAX, w, a);
	else if (op == CMPS)
		compare(c, w, a, b);
	else
		compare(c, w, c->s.gpr[X86_RAX], mem_load(c, seg_linear(c, X86_ES, di, w, false), w));
	if (reads_source(op))
		advance(c, i, X86_RSI, 1);
	if (uses_dest(op))
		advance(c, i, X86_RDI, 1);
}

/* ---- runs ---- */
/* How many bytes from ea on lie in one page and within the segment, without a wrap; 0: take the slow way. */
static uint64_t run_room(struct soft_cpu *c, const struct insn *i, unsigned seg, uint64_t ea, uint64_t *lin)
{
	const struct x86_seg *s = &c->s.seg[seg];
	uint64_t room = UINT64_MAX;
	*lin = ea;
	if (cpu_code64(c)) {
		if (seg == X86_FS || seg == X86_GS)
			*lin += s->base;
	} else {
		if (!(c->mode & MODE_FLAT) || (seg != X86_ES && seg != X86_DS && seg != X86_SS)) {
			if ((s->attr & (X86_AR_CODE | X86_AR_DOWN | X86_AR_UNUSABLE)) || !(s->attr & X86_AR_WRITABLE))
				return 0;
			room = ea <= s->limit ? (uint64_t)s->limit - ea + 1 : 0;
		}
		*lin = (uint32_t)(ea + s->base);
	}
	uint64_t page = 4096 - (*lin & 4095), wrap = i->asize == 8 ? UINT64_MAX : width_mask(i->asize) + 1 - ea;
	if (page < room)
		room = page;
	return wrap < room ? wrap : room;
}

ALWAYS_INLINE void move_run(uint8_t *d, const uint8_t *s, uint64_t bytes, unsigned w)
{
	if (likely((uintptr_t)d - (uintptr_t)s >= bytes)) { /* also when d lies below s */
		memmove(d, s, bytes);
		return;
	}
	for (uint64_t n = 0; n < bytes; n += w) /* the copy feeds itself */
		raw_store(d + n, w, raw_load(s + n, w));
}

static void fill_run(uint8_t *d, uint64_t n, unsigned w, uint64_t v)
{
	if (w == 1 || v == 0) {
		memset(d, (int)v, n * w);
		return;
	}
	for (uint64_t k = 0; k < n; k++)
		raw_store(d + k * w, w, v);
}

/* Elements of a comparison until one decides; sets the flags of the last. */
static uint64_t compare_run(struct soft_cpu *c, const struct insn *i, const uint8_t *s, const uint8_t *d, uint64_t n)
{
	unsigned w = i->width;
	bool stop_equal = i->flags & INSN_REPNE;
	uint64_t m = width_mask(w), acc = c->s.gpr[X86_RAX] & m, k = 0, a, b;
	do {
		a = s ? raw_load(s + k * w, w) : acc;
		b = raw_load(d + k * w, w);
		k++;
	} while (k < n && (a == b) != stop_equal);
	compare(c, w, a, b);
	return k;
}

/* As many elements as one run takes, at most n; 0 when it must go element by element. */
static uint64_t run(struct soft_cpu *c, const struct insn *i, enum string_op op, uint64_t n)
{
	unsigned w = i->width;
	uint64_t m = width_mask(i->asize), slin = 0, dlin = 0, room = n > 4096 ? 4096 : n * w, r;
	const uint8_t *s = NULL;
	uint8_t *d = NULL;
	if (c->s.rflags & X86_FLAG_DF || op == LODS)
		return 0;
	if (reads_source(op)) {
		r = run_room(c, i, i->seg, c->s.gpr[X86_RSI] & m, &slin);
		room = r < room ? r : room;
	}
	r = run_room(c, i, X86_ES, c->s.gpr[X86_RDI] & m, &dlin);
	room = r < room ? r : room;
	n = room / w;
	if (!n)
		return 0;
	if (reads_source(op) && !(s = mem_hit(c->tlb.rd, slin, w)))
		return 0;
	if (!(d = mem_hit(op == MOVS || op == STOS ? c->tlb.wr : c->tlb.rd, dlin, w)))
		return 0;
	if (op == MOVS)
		move_run(d, s, n * w, w);
	else if (op == STOS)
		fill_run(d, n, w, c->s.gpr[X86_RAX] & width_mask(w));
	else
		n = compare_run(c, i, s, d, n);
	if (reads_source(op))
		advance(c, i, X86_RSI, n);
	advance(c, i, X86_RDI, n);
	return n;
}

/* ---- repeated ---- */
static bool decided(const struct soft_cpu *c, const struct insn *i, enum string_op op)
{
	if (op != CMPS && op != SCAS)
		return false;
	return !!(c->s.rflags & X86_FLAG_ZF) == !!(i->flags & INSN_REPNE);
}

/* A repeated form with 32-bit addresses in 64-bit code cuts its counter, also when it faults at once; the two that
 * processors run as block operations cut their indexes too. */
static void cut_registers(struct soft_cpu *c, const struct insn *i, enum string_op op)
{
	if (i->asize != 4)
		return;
	c->s.gpr[X86_RCX] = (uint32_t)c->s.gpr[X86_RCX];
	if (op == MOVS)
		c->s.gpr[X86_RSI] = (uint32_t)c->s.gpr[X86_RSI];
	if (op == MOVS || op == STOS)
		c->s.gpr[X86_RDI] = (uint32_t)c->s.gpr[X86_RDI];
}

static void repeat(struct soft_cpu *c, const struct insn *i, enum string_op op)
{
	uint64_t m = width_mask(i->asize), left = c->s.gpr[X86_RCX] & m, since = 0, flags = c->s.rflags;
	cut_registers(c, i, op);
	bool singly = c->mode & (MODE_TF | MODE_BREAK); /* a trap may be due after each element */
	while (left) {
		uint64_t n = singly ? 0 : run(c, i, op, left);
		if (!n) {
			element(c, i, op);
			n = 1;
		}
		left -= n;
		reg_set(c, X86_RCX, i->asize, left);
		if (!left || decided(c, i, op))
			return;
		since += n;
		c->s.rflags = flags; /* in the middle, by a fault or a trap, the flags from before are seen */
		if (unlikely(singly) || c->end_block ||
		    (since >= CHECK_EVERY && atomic_load_explicit(&c->v->attention, memory_order_relaxed))) {
			c->next_rip = insn_rip(c, i); /* goes on when it is started again */
			return;
		}
		if (since >= CHECK_EVERY)
			since = 0;
	}
}

#define DEFINE(op) \
	static void one_##op(struct soft_cpu *c, const struct insn *i) { element(c, i, op); } \
	static void rep_##op(struct soft_cpu *c, const struct insn *i) { repeat(c, i, op); }
DEFINE(MOVS) DEFINE(STOS) DEFINE(LODS) DEFINE(CMPS) DEFINE(SCAS)

static bool bind_string(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn table[][2] = {
		[MOVS] = { one_MOVS, rep_MOVS }, [STOS] = { one_STOS, rep_STOS }, [LODS] = { one_LODS, rep_LODS },
		[CMPS] = { one_CMPS, rep_CMPS }, [SCAS] = { one_SCAS, rep_SCAS },
	};
	static const struct {
		uint64_t attribute;
		uint8_t seg;
	} override[] = {
		{ ZYDIS_ATTRIB_HAS_SEGMENT_ES, X86_ES }, { ZYDIS_ATTRIB_HAS_SEGMENT_CS, X86_CS },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_SS, X86_SS }, { ZYDIS_ATTRIB_HAS_SEGMENT_DS, X86_DS },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_FS, X86_FS }, { ZYDIS_ATTRIB_HAS_SEGMENT_GS, X86_GS },
	};
	if (src->zi->meta.category != ZYDIS_CATEGORY_STRINGOP) /* MOVSD and CMPSD are SSE2's too */
		return thunk_bind(i, src, 0);
	enum string_op op = arg >> 4;
	i->width = arg & 15;
	i->flags &= (uint8_t)~(INSN_MEM | INSN_STACK_SEG);
	i->seg = X86_DS;
	for (unsigned n = 0; n < COUNT_OF(override); n++)
		if (src->zi->attributes & override[n].attribute)
			i->seg = override[n].seg;
	bool rep = i->flags & (INSN_REP | INSN_REPNE);
	if (rep)
		i->flags |= INSN_ENDS_BLOCK;
	i->fn = table[op][rep];
	return true;
}

#define ROW(name, op, w) { ZYDIS_MNEMONIC_##name, op << 4 | w, bind_string }
const struct insn_row insn_string[] = {
	ROW(MOVSB, MOVS, 1), ROW(MOVSW, MOVS, 2), ROW(MOVSD, MOVS, 4), ROW(MOVSQ, MOVS, 8),
	ROW(STOSB, STOS, 1), ROW(STOSW, STOS, 2), ROW(STOSD, STOS, 4), ROW(STOSQ, STOS, 8),
	ROW(LODSB, LODS, 1), ROW(LODSW, LODS, 2), ROW(LODSD, LODS, 4), ROW(LODSQ, LODS, 8),
	ROW(CMPSB, CMPS, 1), ROW(CMPSW, CMPS, 2), ROW(CMPSD, CMPS, 4), ROW(CMPSQ, CMPS, 8),
	ROW(SCASB, SCAS, 1), ROW(SCASW, SCAS, 2), ROW(SCASD, SCAS, 4), ROW(SCASQ, SCAS, 8),
	{ 0 },
};
