/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block of guest code to host code.
 *
 * The state in struct soft_cpu is whole at certain points of the block only: its start, before and after every
 * handler call, and wherever a memory access follows a store. What happens between two such points touches host
 * registers alone, but for one store at the end, so an access that misses the TLB is answered by forgetting the host
 * registers and interpreting from the last point on.
 *
 * Flags live in the host's flags; at a whole point they are in the low byte of s.rflags and, OF, in x_of.
 */
#include "accel/soft/xlate_priv.h"
#include "core/vcpu.h"

#include <stddef.h>
#include <string.h>

enum {
	NONE = 0xff,
	HOST_STACK = HOST_R12, /* in the version of a block that checks its stack accesses at once */
	STACK_SPAN = 1024,     /* bytes that such a check spans at most */
};
/* Host registers that hold guest registers. */
enum { HOST_GUEST = 1 << HOST_RAX | 1 << HOST_RCX | 1 << HOST_RDX | 1 << HOST_RBX | 1 << HOST_RSI | 1 << HOST_RDI |
                    1 << HOST_R8 | 1 << HOST_R9 | 1 << HOST_R10 | 1 << HOST_R11 | 1 << HOST_R12, HOST_GUESTS = 11 };

struct stub {
	uint8_t *from[8 * BLOCK_INSNS];
	unsigned count;
};

struct gen {
	struct soft_cpu *c;
	struct xlate *x;
	struct xblock *xb;
	struct xtext *t;
	struct xinsn in[BLOCK_INSNS];
	unsigned count;
	uint8_t host[X86_GPR_COUNT]; /* of each guest register, NONE */
	uint32_t loaded, dirty;      /* guest registers */
	bool flags_host, flags_mem;  /* where the flags are now */
	bool failed;
	bool stored;                 /* a store since the last whole point */
	unsigned point;              /* the last whole point: before this instruction */
	struct stub bail[BLOCK_INSNS];
	struct vec_check {
		uint8_t *from;
		const uint8_t *back;
		unsigned point, level; /* level 0: the x87 registers */
	} vec[4 * BLOCK_INSNS + 4]; /* where the guest's vector registers must be live */
	unsigned vec_count;
	struct miss {
		uint8_t *from;
		const uint8_t *retry;
		unsigned point, what; /* XREFILL_* */
	} miss[4 * BLOCK_INSNS]; /* checks that found no TLB entry */
	unsigned miss_count;
	bool refills; /* a miss fills the TLB */
	const struct insn *fip; /* the last x87 instruction, until the state knows */
	bool stack;                  /* HOST_STACK holds the addend of the stack's page */
	struct stub no_stack;        /* it is not one page, or not in the TLB */
	struct stub stale;
	struct stub remapped;        /* the mapping changed since the block was entered last */
	struct stub mid[BLOCK_INSNS]; /* the handler of an instruction asked to end the block */
};

#define GPR(g) (offsetof(struct soft_cpu, s.gpr) + 8 * (size_t)(g))
#define AT(field) offsetof(struct soft_cpu, field)

static void stub_from(struct stub *s, uint8_t *from)
{
	if (s->count < COUNT_OF(s->from))
		s->from[s->count++] = from;
}

/* ---- before generating: what fits, where the state must be whole, where flags matter ---- */
static unsigned usable(const struct gen *g)
{
	uint32_t used = 0;
	for (unsigned n = 0; n < g->count; n++) {
		used |= g->in[n].reads | g->in[n].writes;
		if (__builtin_popcount(used) > HOST_GUESTS)
			return n;
	}
	return g->count;
}

static void assign(struct gen *g)
{
	uint32_t used = 0, left = HOST_GUEST & ~(g->stack ? 1u << HOST_STACK : 0);
	memset(g->host, NONE, sizeof(g->host));
	for (unsigned n = 0; n < g->count; n++)
		used |= g->in[n].reads | g->in[n].writes;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (used & left & 1u << r)
			g->host[r] = (uint8_t)r;
	left &= ~used;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (used >> r & 1 && g->host[r] == NONE) {
			g->host[r] = (uint8_t)__builtin_ctz(left);
			left &= left - 1;
		}
}

static bool ends(const struct xinsn *in)
{
	return in->kind >= XK_JMP;
}

/* May it leave to the interpreter at the last whole point? */
static bool may_bail(const struct xinsn *in)
{
	return ((in->loads || in->stores) && !in->on_stack) || in->kind == XK_DIV || in->kind == XK_JMP_RM ||
	       in->kind == XK_CALL_RM || in->kind == XK_RET;
}

/* ---- stack accesses: where they are, seen from RSP at the block's start ---- */
struct span {
	int64_t at, low, high; /* RSP now; what is accessed */
	bool write;
	unsigned count;
};

/* in's own place on the stack, relative to RSP before it; false: it has none that is known. */
static bool stack_place(const struct xinsn *in, int32_t *disp, unsigned *size)
{
	const struct insn *i = in->i;
	switch (in->kind) {
	case XK_PUSH:
	case XK_CALL:
	case XK_CALL_RM: *disp = -8; *size = 8; return !in->mem;
	case XK_POP:
	case XK_RET: *disp = 0; *size = 8; return true;
	case XK_COPY:
	case XK_VEC:
		if (!in->mem || in->align || i->base != X86_RSP || i->index != REG_NONE || i->seg == X86_FS || i->seg == X86_GS)
			return false;
		*disp = i->disp;
		*size = in->mem->size / 8;
		return true;
	default: return false;
	}
}

/* RSP after in, when it moves by a constant. */
static bool stack_step(const struct xinsn *in, int64_t *at)
{
	const struct insn *i = in->i;
	bool imm = in->zi.operand_count > 1 && in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->op[0].size == 64;
	if (!(in->writes >> X86_RSP & 1))
		return true;
	if (in->kind == XK_PUSH)
		*at -= 8;
	else if (in->kind == XK_POP)
		*at += 8;
	else if (in->kind == XK_LEA && i->base == X86_RSP && i->index == REG_NONE && in->op[0].size == 64)
		*at += i->disp;
	else if (in->zi.mnemonic == ZYDIS_MNEMONIC_ADD && imm)
		*at += (int64_t)i->imm;
	else if (in->zi.mnemonic == ZYDIS_MNEMONIC_SUB && imm)
		*at -= (int64_t)i->imm;
	else
		return false;
	return *at > -STACK_SPAN && *at < STACK_SPAN;
}

/* Marks the accesses that one check at the block's start can cover: those before the first call of a handler, which
 * may change the mapping. */
static void stack_span(struct gen *g, struct span *s)
{
	*s = (struct span){ .low = INT64_MAX, .high = INT64_MIN };
	for (unsigned n = 0; n < g->count && g->in[n].kind != XK_HELPER; n++) {
		struct xinsn *in = &g->in[n];
		int32_t disp;
		unsigned size;
		if (stack_place(in, &disp, &size)) {
			int64_t low = s->at + disp, high = low + size;
			low = low < s->low ? low : s->low;
			high = high > s->high ? high : s->high;
			if (high - low <= STACK_SPAN && low > -4 * STACK_SPAN && high < 4 * STACK_SPAN) {
				*s = (struct span){ s->at, low, high, s->write || in->stores, s->count + 1 };
				in->on_stack = true;
			}
		}
		if (!stack_step(in, &s->at))
			break;
	}
}

/* Is the version with one check worth it, and has it a register left? */
static bool stack_worth(const struct gen *g, const struct span *s)
{
	uint32_t used = 0;
	for (unsigned n = 0; n < g->count; n++)
		used |= g->in[n].reads | g->in[n].writes;
	return s->count > 1 && __builtin_popcount(used) < HOST_GUESTS;
}

static void plan(struct gen *g)
{
	bool stored = false, live = true;
	uint32_t read = 0; /* vector registers since the last whole point */
	for (unsigned n = 0; n < g->count; n++) {
		struct xinsn *in = &g->in[n];
		in->commit = in->kind == XK_HELPER || (may_bail(in) && stored);
		if (in->commit) {
			stored = false;
			read = 0;
		}
		read |= in->vec_reads;
		in->changes = in->vec_writes & read || in->x87;
		if (in->stores || in->changes)
			stored = true;
	}
	for (unsigned n = g->count; n-- > 0;) {
		struct xinsn *in = &g->in[n];
		/* A branch leaves a whole state behind. */
		bool after = live || ends(in);
		live = in->flags == XF_WRITE ? false : in->flags == XF_NONE || in->flags == XF_MIX ? after : true;
		in->live = live |= in->commit;
	}
}

static bool live_after(const struct gen *g, unsigned n)
{
	return n + 1 >= g->count || g->in[n + 1].live;
}

/* ---- registers and flags ---- */
static bool rax_busy(const struct gen *g)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (g->host[r] == HOST_RAX)
			return g->loaded >> r & 1;
	return false;
}

static void flags_save(struct gen *g)
{
	struct xtext *t = g->t;
	bool busy = rax_busy(g);
	if (busy)
		x_rr(t, true, 0x89, HOST_RAX, HOST_R13);
	x_byte(t, 0x9f); /* lahf */
	x_byte(t, 0x0f); x_byte(t, 0x90); x_byte(t, 0xc0); /* seto al */
	x_mem(t, false, 0x88, 0, HOST_CPU, (int32_t)AT(x_of));
	x_mem(t, false, 0x88, 4 /* ah */, HOST_CPU, (int32_t)AT(s.rflags));
	if (busy)
		x_rr(t, true, 0x89, HOST_R13, HOST_RAX);
	g->flags_mem = true;
}

static void flags_load(struct gen *g)
{
	struct xtext *t = g->t;
	bool busy = rax_busy(g);
	if (busy)
		x_rr(t, true, 0x89, HOST_RAX, HOST_R13);
	x_mem(t, false, 0x8a, 0, HOST_CPU, (int32_t)AT(x_of));
	x_mem(t, false, 0x8a, 4, HOST_CPU, (int32_t)AT(s.rflags));
	x_byte(t, 0x04); x_byte(t, 127); /* add al, 127 */
	x_byte(t, 0x9e);                 /* sahf */
	if (busy)
		x_rr(t, true, 0x89, HOST_R13, HOST_RAX);
	g->flags_host = true;
}

/* Makes the state whole as of before instruction n. */
static void commit(struct gen *g, unsigned n)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (g->dirty >> r & 1)
			x_store(g->t, g->host[r], GPR(r));
	g->dirty = 0;
	if (g->fip) {
		x_imm(g->t, HOST_R13, g->xb->rip + g->fip->off);
		x_store(g->t, HOST_R13, AT(s.fpu.fip));
		g->fip = NULL;
	}
	if (!g->flags_mem && !g->flags_host)
		g->failed = true; /* plan() rules it out */
	else if (!g->flags_mem)
		flags_save(g);
	g->point = n;
	g->stored = false;
}

static unsigned use(struct gen *g, unsigned r)
{
	if (!(g->loaded >> r & 1)) {
		x_load(g->t, g->host[r], GPR(r));
		g->loaded |= 1u << r;
	}
	return g->host[r];
}

static void set(struct gen *g, unsigned r)
{
	g->loaded |= 1u << r;
	g->dirty |= 1u << r;
}

static void use_all(struct gen *g, const struct xinsn *in)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->reads >> r & 1)
			use(g, r);
}

/* The host's flags are about to be lost. */
static void flags_clobber(struct gen *g, unsigned n)
{
	if (g->flags_host && !g->flags_mem && g->in[n].live)
		commit(g, n);
	g->flags_host = false;
}

/* ---- memory ---- */
static uint64_t rip_relative(const struct gen *g, const struct insn *i)
{
	return g->xb->rip + (i->fast ? 0u : (unsigned)i->off + i->len) + (uint64_t)(int64_t)i->disp;
}

/* The effective address into a host register; flags stay. */
static void address(struct gen *g, const struct insn *i, unsigned to)
{
	if (i->flags & INSN_RIP_REL) {
		x_imm(g->t, to, rip_relative(g, i));
	} else if (i->index != REG_NONE) {
		x_lea_index(g->t, to, i->base == REG_NONE ? REG_NONE : g->host[i->base], g->host[i->index], i->scale, i->disp);
	} else if (i->base != REG_NONE) {
		x_lea(g->t, to, g->host[i->base], i->disp);
	} else {
		x_imm(g->t, to, (uint64_t)(int64_t)i->disp);
	}
}

static void tlb_miss(struct gen *g, uint8_t *from, const uint8_t *retry, unsigned what)
{
	if (g->refills && g->miss_count < COUNT_OF(g->miss))
		g->miss[g->miss_count++] = (struct miss){ from, retry, g->point, what };
	else
		stub_from(&g->bail[g->point], from);
}

/* Behind the block: the TLB is filled and the check made again, or the interpreter goes on. */
static void gen_misses(struct gen *g)
{
	struct xtext *t = g->t;
	for (unsigned n = 0; n < g->miss_count; n++) {
		const struct miss *m = &g->miss[n];
		x_here(t, m->from);
		x_byte(t, 0x41); x_byte(t, 0xbf); x_u32(t, m->what);                                /* mov r15d, what */
		x_byte(t, 0xe8); x_u32(t, (uint32_t)(g->x->refill - (x_rx(t) + 4)));                /* call refill */
		x_byte(t, 0x45); x_byte(t, 0x85); x_byte(t, 0xff);                                  /* test r15d, r15d */
		x_byte(t, 0x0f); x_byte(t, 0x85); x_u32(t, (uint32_t)(m->retry - (x_rx(t) + 4)));   /* jnz retry */
		stub_from(&g->bail[m->point], x_jmp_forward(t));
	}
}

/* R14: linear address -> host address, or away to the interpreter. Uses R13 and R15; the flags are gone. */
static void tlb_check(struct gen *g, unsigned size, bool write)
{
	struct xtext *t = g->t;
	const uint8_t *retry = x_rx(t);
	_Static_assert(sizeof(struct tlb_entry) == 16 && offsetof(struct tlb_entry, addend) == 8, "the slot's arithmetic");
	x_rr(t, false, 0x89, HOST_R14, HOST_R13);
	x_byte(t, 0x41); x_byte(t, 0xc1); x_byte(t, 0xed); x_byte(t, 8); /* shr r13d, 8 */
	x_byte(t, 0x41); x_byte(t, 0x81); x_byte(t, 0xe5); x_u32(t, (TLB_SIZE - 1) << 4); /* and r13d, slot << 4 */
	x_mem(t, true, 0x03, HOST_R13, HOST_CPU, (int32_t)(write ? AT(tlb.wr) : AT(tlb.rd)));
	x_lea(t, HOST_R15, HOST_R14, (int32_t)size - 1);
	x_byte(t, 0x49); x_byte(t, 0x81); x_byte(t, 0xe7); x_u32(t, 0xfffff000); /* and r15, -4096 */
	x_mem(t, true, 0x3b, HOST_R15, HOST_R13, 0);
	tlb_miss(g, x_jcc(t, 5), retry, size | (write ? XREFILL_WRITE : 0));
	x_mem(t, true, 0x03, HOST_R14, HOST_R13, 8);
}

/* The same for an address that is known: so is its slot. */
static void tlb_check_at(struct gen *g, uint64_t lin, bool write)
{
	struct xtext *t = g->t;
	int32_t slot = (int32_t)(tlb_slot(lin) * sizeof(struct tlb_entry));
	x_load(t, HOST_R13, write ? AT(tlb.wr) : AT(tlb.rd));
	x_imm(t, HOST_R14, lin & ~UINT64_C(0xfff));
	x_mem(t, true, 0x3b, HOST_R14, HOST_R13, slot);
	stub_from(&g->bail[g->point], x_jcc(t, 5));
	x_imm(t, HOST_R14, lin);
	x_mem(t, true, 0x03, HOST_R14, HOST_R13, slot + 8);
}

/* [RSP + disp] of the guest -> R14. */
static void stack(struct gen *g, unsigned n, int32_t disp, bool write)
{
	if (g->in[n].on_stack) {
		x_lea_index(g->t, HOST_R14, g->host[X86_RSP], HOST_STACK, 1, disp);
		return;
	}
	flags_clobber(g, n);
	x_lea(g->t, HOST_R14, g->host[X86_RSP], disp);
	tlb_check(g, 8, write);
}

/* One check for the block's stack accesses; the state is whole and nothing is loaded. */
static void stack_check(struct gen *g, const struct span *s)
{
	struct stub bail = g->bail[g->point];
	use(g, X86_RSP);
	x_lea(g->t, HOST_R14, g->host[X86_RSP], (int32_t)s->low);
	g->bail[g->point].count = 0;
	g->refills = false;
	tlb_check(g, (unsigned)(s->high - s->low), s->write);
	g->refills = true;
	g->no_stack = g->bail[g->point];
	g->bail[g->point] = bail;
	x_mem(g->t, true, 0x8b, HOST_STACK, HOST_R13, 8);
}

static void memory(struct gen *g, unsigned n, unsigned size, bool write)
{
	const struct insn *i = g->in[n].i;
	if (g->in[n].on_stack && (g->in[n].kind == XK_COPY || g->in[n].kind == XK_VEC)) {
		stack(g, n, i->disp, write);
		return;
	}
	flags_clobber(g, n);
	if (i->flags & INSN_RIP_REL && i->seg != X86_FS && i->seg != X86_GS &&
	    (rip_relative(g, i) & 0xfff) + size <= 4096) {
		tlb_check_at(g, rip_relative(g, i), write);
		return;
	}
	address(g, i, HOST_R14);
	if (i->seg == X86_FS || i->seg == X86_GS)
		x_mem(g->t, true, 0x03, HOST_R14, HOST_CPU,
		      (int32_t)(AT(s.seg) + i->seg * sizeof(struct x86_seg) + offsetof(struct x86_seg, base)));
	tlb_check(g, size, write);
}

/* ---- copied instructions ---- */
struct fields {
	unsigned reg, rm, opreg; /* host registers, NONE */
	bool rex8;               /* an 8-bit register that needs a REX prefix */
};

static unsigned host_of(struct gen *g, ZydisRegister r, bool *rex8, unsigned size)
{
	unsigned n = decode_reg_number(r);
	if (n >= REG_AH)
		return 4 + n - REG_AH;
	if (size == 8 && g->host[n] >= 4)
		*rex8 = true;
	return g->host[n];
}

static struct fields fields_of(struct gen *g, const struct xinsn *in)
{
	struct fields f = { NONE, NONE, NONE, false };
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch (o->encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG: f.reg = host_of(g, o->reg.value, &f.rex8, o->size); break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM: f.rm = host_of(g, o->reg.value, &f.rex8, o->size); break;
		case ZYDIS_OPERAND_ENCODING_OPCODE: f.opreg = host_of(g, o->reg.value, &f.rex8, o->size); break;
		default: break;
		}
	}
	return f;
}

/* The guest's instruction with our registers, its memory operand at [R14]. */
static void encode(struct gen *g, const struct xinsn *in)
{
	const ZydisDecodedInstruction *zi = &in->zi;
	struct xtext *t = g->t;
	struct fields f = fields_of(g, in);
	if (zi->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		x_byte(t, 0xf0);
	for (unsigned n = 0; n < zi->raw.prefix_count; n++)
		if (zi->raw.prefixes[n].value == 0x66) {
			x_byte(t, 0x66);
			break;
		}
	unsigned rex = zi->raw.rex.W ? 0x48 : f.rex8 ? 0x40 : 0;
	if (f.reg != NONE && f.reg & 8)
		rex |= 0x44;
	if (in->mem || (f.rm != NONE && f.rm & 8) || (f.opreg != NONE && f.opreg & 8))
		rex |= 0x41;
	if (rex)
		x_byte(t, rex);
	if (zi->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		x_byte(t, 0x0f);
	x_byte(t, f.opreg != NONE ? (zi->opcode & 0xf8u) | (f.opreg & 7) : zi->opcode);
	if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		unsigned reg = f.reg != NONE ? f.reg & 7 : zi->raw.modrm.reg;
		x_byte(t, in->mem ? reg << 3 | (HOST_R14 & 7) : 0xc0 | reg << 3 | (f.rm != NONE ? f.rm & 7u : zi->raw.modrm.rm));
	}
	if (zi->raw.imm[0].size)
		for (unsigned n = zi->raw.imm[0].offset; n < zi->length; n++)
			x_byte(t, in->bytes[n]);
}

static void flags_before(struct gen *g, const struct xinsn *in, unsigned n)
{
	if (g->flags_host)
		return;
	if (in->flags == XF_CARRY) {
		/* bt dword [rflags], 0: CF alone is needed */
		x_byte(g->t, 0x0f); x_byte(g->t, 0xba); x_byte(g->t, 0xa5); x_u32(g->t, (uint32_t)AT(s.rflags)); x_byte(g->t, 0);
	} else if (in->flags == XF_READ || in->flags == XF_BOTH || (in->flags == XF_MIX && live_after(g, n))) {
		flags_load(g);
	}
}

static void flags_after(struct gen *g, const struct xinsn *in, unsigned n)
{
	if (in->flags == XF_NONE || in->flags == XF_READ)
		return;
	bool whole = in->flags != XF_MIX || g->flags_host;
	g->flags_host = whole;
	g->flags_mem = false;
}

static void gen_copy(struct gen *g, unsigned n)
{
	struct xinsn *in = &g->in[n];
	use_all(g, in);
	if (in->mem)
		memory(g, n, in->mem->size / 8, in->stores);
	flags_before(g, in, n);
	encode(g, in);
	flags_after(g, in, n);
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->writes >> r & 1)
			set(g, r);
}

/* ---- made of several ---- */
static void gen_lea(struct gen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	use_all(g, in);
	unsigned to = g->host[in->i->rm];
	address(g, in->i, to);
	if (in->op[0].size == 32)
		x_rr(g->t, false, 0x89, to, to);
	set(g, in->i->rm);
}

static void gen_push(struct gen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	use_all(g, in);
	if (in->mem) {
		memory(g, n, 8, false);
		x_mem(g->t, true, 0x8b, HOST_R14, HOST_R14, 0);
		x_store(g->t, HOST_R14, AT(next_rip));
	}
	stack(g, n, -8, true);
	if (in->mem) {
		x_load(g->t, HOST_R13, AT(next_rip));
		x_mem(g->t, true, 0x89, HOST_R13, HOST_R14, 0);
	} else if (in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		x_mem(g->t, true, 0x89, g->host[in->i->rm], HOST_R14, 0);
	} else {
		x_imm(g->t, HOST_R13, in->i->imm);
		x_mem(g->t, true, 0x89, HOST_R13, HOST_R14, 0);
	}
	x_lea(g->t, g->host[X86_RSP], g->host[X86_RSP], -8);
	set(g, X86_RSP);
}

static void gen_pop(struct gen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	use_all(g, in);
	stack(g, n, 0, false);
	x_mem(g->t, true, 0x8b, g->host[in->i->rm], HOST_R14, 0);
	x_lea(g->t, g->host[X86_RSP], g->host[X86_RSP], 8);
	set(g, X86_RSP);
	set(g, in->i->rm);
}

static void gen_leave(struct gen *g, unsigned n)
{
	use_all(g, &g->in[n]);
	flags_clobber(g, n);
	x_lea(g->t, HOST_R14, g->host[X86_RBP], 0);
	tlb_check(g, 8, false);
	x_lea(g->t, g->host[X86_RSP], g->host[X86_RBP], 8);
	x_mem(g->t, true, 0x8b, g->host[X86_RBP], HOST_R14, 0);
	set(g, X86_RSP);
	set(g, X86_RBP);
}

/* ---- leaving ---- */
static void leave(struct gen *g, unsigned reason, unsigned number)
{
	x_imm(g->t, HOST_R13, (uint64_t)(uintptr_t)g->xb);
	x_store(g->t, HOST_R13, AT(x_cur));
	x_imm(g->t, HOST_RAX, (uint64_t)number << 8 | reason);
	x_jmp(g->t, g->x->leave);
}

/* Through the slot; what the slot holds first is the stub behind the jump. The state is whole. */
static void direct_exit(struct gen *g, unsigned exit, uint64_t target)
{
	struct xtext *t = g->t;
	size_t at = xslot_at(g->x, g->xb, exit);
	g->xb->target[exit] = target;
	x_byte(t, 0xff); x_byte(t, 0x25); /* jmp [rip + slot] */
	x_u32(t, (uint32_t)(g->x->mem.rx + at - (x_rx(t) + 4)));
	((struct xslot *)(void *)(g->x->mem.rw + at))->to = x_rx(t);
	leave(g, XEXIT_LINK, exit);
}

/* R14 holds the target, canonical; the state is whole. */
static void indirect_exit(struct gen *g)
{
	struct xtext *t = g->t;
	x_rr(t, false, 0x89, HOST_R14, HOST_R15);
	x_byte(t, 0x41); x_byte(t, 0x81); x_byte(t, 0xe7); x_u32(t, XHASH_SIZE - 1); /* and r15d */
	x_byte(t, 0x41); x_byte(t, 0xc1); x_byte(t, 0xe7); x_byte(t, 4);             /* shl r15d, 4 */
	x_mem(t, true, 0x03, HOST_R15, HOST_CPU, (int32_t)AT(x_hash));
	x_mem(t, true, 0x3b, HOST_R14, HOST_R15, 0);
	uint8_t *miss = x_jcc(t, 5);
	x_byte(t, 0x41); x_byte(t, 0xff); x_byte(t, 0x67); x_byte(t, 8); /* jmp [r15 + 8] */
	x_here(t, miss);
	x_store(t, HOST_R14, AT(next_rip));
	leave(g, XEXIT_INDIRECT, 0);
}

static void check_canonical(struct gen *g)
{
	struct xtext *t = g->t;
	x_rr(t, true, 0x89, HOST_R14, HOST_R15);
	x_byte(t, 0x49); x_byte(t, 0xc1); x_byte(t, 0xe7); x_byte(t, 16); /* shl r15, 16 */
	x_byte(t, 0x49); x_byte(t, 0xc1); x_byte(t, 0xff); x_byte(t, 16); /* sar r15, 16 */
	x_rr(t, true, 0x39, HOST_R14, HOST_R15);
	stub_from(&g->bail[g->point], x_jcc(t, 5));
}

static uint64_t next_rip(const struct gen *g, const struct insn *i)
{
	return g->xb->rip + i->off + i->len;
}

static void gen_jcc(struct gen *g, unsigned n)
{
	const struct insn *i = g->in[n].i;
	commit(g, n);
	g->loaded = 0;
	if (!g->flags_host)
		flags_load(g);
	uint8_t *taken = x_jcc(g->t, i->sub);
	direct_exit(g, 0, next_rip(g, i));
	x_here(g->t, taken);
	direct_exit(g, 1, next_rip(g, i) + i->imm);
}

/* The target of an indirect branch into R14; it may bail still. */
static void branch_target(struct gen *g, unsigned n)
{
	const struct insn *i = g->in[n].i;
	use_all(g, &g->in[n]);
	if (i->rm == REG_NONE) {
		memory(g, n, 8, false);
		x_mem(g->t, true, 0x8b, HOST_R14, HOST_R14, 0);
	} else {
		x_lea(g->t, HOST_R14, g->host[i->rm], 0);
	}
	flags_clobber(g, n);
	check_canonical(g);
}

static void call_push(struct gen *g, unsigned n)
{
	const struct insn *i = g->in[n].i;
	use_all(g, &g->in[n]);
	stack(g, n, -8, true);
	x_imm(g->t, HOST_R13, next_rip(g, i));
	x_mem(g->t, true, 0x89, HOST_R13, HOST_R14, 0);
	x_lea(g->t, g->host[X86_RSP], g->host[X86_RSP], -8);
	set(g, X86_RSP);
}

static void gen_branch(struct gen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	switch (in->kind) {
	case XK_CALL: call_push(g, n); break;
	case XK_CALL_RM:
		branch_target(g, n);
		x_store(g->t, HOST_R14, AT(next_rip));
		call_push(g, n);
		x_load(g->t, HOST_R14, AT(next_rip));
		break;
	case XK_JMP_RM: branch_target(g, n); break;
	case XK_RET:
		use_all(g, in);
		stack(g, n, 0, false);
		x_mem(g->t, true, 0x8b, HOST_R14, HOST_R14, 0);
		flags_clobber(g, n);
		check_canonical(g);
		x_lea(g->t, g->host[X86_RSP], g->host[X86_RSP], 8 + (int32_t)in->i->imm);
		set(g, X86_RSP);
		break;
	default: break;
	}
	commit(g, n);
	g->loaded = 0;
	if (in->kind == XK_JMP || in->kind == XK_CALL)
		direct_exit(g, 1, next_rip(g, in->i) + in->i->imm);
	else
		indirect_exit(g);
}

/* ---- vectors ---- */
static void live_check(struct gen *g, size_t at, unsigned level)
{
	struct vec_check *v = &g->vec[g->vec_count++];
	x_mem(g->t, false, 0x80, 7, HOST_CPU, (int32_t)at); /* cmp byte [at], level */
	x_byte(g->t, level ? level : 1);
	v->from = x_jcc(g->t, 2);
	v->back = x_rx(g->t);
	v->point = g->point;
	v->level = level;
}

/* What the instructions from n on need of the vector registers until C is called again; the state is whole. */
static void vec_check(struct gen *g, unsigned n)
{
	unsigned level = 0;
	bool x87 = false;
	for (; n < g->count && g->in[n].kind != XK_HELPER; n++) {
		level = level > g->in[n].level ? level : g->in[n].level;
		x87 |= g->in[n].x87;
	}
	/* Loading the x87 registers takes the others away. */
	if (x87)
		live_check(g, AT(x_x87), 0);
	if (level)
		live_check(g, AT(x_vec_live), level);
}

static void vec_check_end(struct gen *g)
{
	struct xtext *t = g->t;
	for (unsigned n = 0; n < g->vec_count; n++) {
		const struct vec_check *v = &g->vec[n];
		x_here(t, v->from);
		x_byte(t, 0xe8); /* call */
		x_u32(t, (uint32_t)((v->level ? g->x->vec_load : g->x->x87_load) - (x_rx(t) + 4)));
		x_byte(t, 0x3c); /* cmp al, level */
		x_byte(t, v->level ? v->level : 1);
		stub_from(&g->bail[v->point], x_jcc(t, 2));
		x_jmp(t, v->back);
	}
}

static void gen_vec(struct gen *g, unsigned n)
{
	struct xinsn *in = &g->in[n];
	use_all(g, in);
	if (in->mem) {
		memory(g, n, in->mem->size / 8, in->stores);
		if (in->align) {
			x_byte(g->t, 0x41); x_byte(g->t, 0xf6); x_byte(g->t, 0xc6); /* test r14b, imm */
			x_byte(g->t, in->align - 1u);
			stub_from(&g->bail[g->point], x_jcc(g->t, 5));
		}
	}
	flags_before(g, in, n);
	xvec_encode(g->t, in, g->host);
	flags_after(g, in, n);
	if (in->fip)
		g->fip = in->i;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->writes >> r & 1)
			set(g, r);
}

/* ---- division ---- */
/* Divides by R15 where the quotient certainly fits; else the interpreter finds out. */
static void gen_div(struct gen *g, unsigned n)
{
	struct xinsn *in = &g->in[n];
	struct xtext *t = g->t;
	bool wide = in->op[0].size == 64, sign = in->zi.mnemonic == ZYDIS_MNEMONIC_IDIV;
	use_all(g, in);
	flags_clobber(g, n);
	if (in->mem) {
		memory(g, n, in->mem->size / 8, false);
		x_mem(t, wide, 0x8b, HOST_R15, HOST_R14, 0);
	} else {
		x_rr(t, wide, 0x89, g->host[in->i->rm], HOST_R15);
	}
	if (sign) {
		x_mem(t, wide, 0x8d, HOST_R13, HOST_R15, 1); /* neither 0 nor -1 */
		x_rr(t, wide, 0x83, 7, HOST_R13);
		x_byte(t, 1);
		stub_from(&g->bail[g->point], x_jcc(t, 6));
		x_rr(t, wide, 0x89, HOST_RAX, HOST_R13); /* and the dividend no more than RAX */
		x_rr(t, wide, 0xc1, 7, HOST_R13);
		x_byte(t, wide ? 63 : 31);
		x_rr(t, wide, 0x39, HOST_R13, HOST_RDX);
		stub_from(&g->bail[g->point], x_jcc(t, 5));
	} else {
		x_rr(t, wide, 0x39, HOST_R15, HOST_RDX);
		stub_from(&g->bail[g->point], x_jcc(t, 3));
	}
	flags_before(g, in, n);
	x_rr(t, wide, 0xf7, sign ? 7 : 6, HOST_R15);
	flags_after(g, in, n);
	set(g, X86_RAX);
	set(g, X86_RDX);
}

/* ---- handlers ---- */
void xlate_help(struct soft_cpu *c, const struct insn *i, const struct xblock *xb)
{
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_OF) | (uint64_t)c->x_of << 11;
	c->xlate->stats.helps++;
	c->block_rip = xb->rip;
	c->next_rip = xb->b->len + xb->rip;
	c->cur = i;
	i->fn(c, i);
	/* What a block of the next address needs its entry checks, so a system block's end is no reason to leave by itself. */
	if (xb->b->system && i == &xb->b->insn[xb->b->count - 1])
		c->end_block = run_events_due(c);
	c->x_of = c->s.rflags >> 11 & 1;
}

static void gen_helper(struct gen *g, unsigned n)
{
	struct xtext *t = g->t;
	commit(g, n);
	x_imm(t, HOST_RSI, (uint64_t)(uintptr_t)g->in[n].i);
	x_imm(t, HOST_RDX, (uint64_t)(uintptr_t)g->xb);
	x_byte(t, 0xe8); /* call help */
	x_u32(t, (uint32_t)(g->x->help - (x_rx(t) + 4)));
	x_mem(t, false, 0x80, 7, HOST_CPU, (int32_t)AT(end_block)); /* cmp byte [end_block], 0 */
	x_byte(t, 0);
	stub_from(&g->mid[n], x_jcc(t, 5));
	g->loaded = g->dirty = 0;
	g->flags_host = false;
	g->flags_mem = true;
	g->point = n + 1;
	vec_check(g, n + 1);
}

static void gen_insn(struct gen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	if (in->kind != XK_HELPER && may_bail(in) && g->stored)
		commit(g, n);
	switch (in->kind) {
	case XK_HELPER: gen_helper(g, n); break;
	case XK_COPY: gen_copy(g, n); break;
	case XK_LEA: gen_lea(g, n); break;
	case XK_PUSH: gen_push(g, n); break;
	case XK_POP: gen_pop(g, n); break;
	case XK_LEAVE: gen_leave(g, n); break;
	case XK_NOP: break;
	case XK_VEC: gen_vec(g, n); break;
	case XK_DIV: gen_div(g, n); break;
	case XK_JCC: gen_jcc(g, n); break;
	default: gen_branch(g, n); break;
	}
	if (in->stores || in->changes)
		g->stored = true;
}

/* ---- the whole ---- */
/* Away unless the TLB shows the page of rip for execution where host says. Uses R14. */
static void exec_check(struct gen *g, uint64_t rip, const uint8_t *host)
{
	struct xtext *t = g->t;
	enum tlb_who who = g->xb->mode & MODE_USER ? TLB_USER : TLB_SUPER;
	size_t at = AT(tlb.entry) +
	            ((who * TLB_KINDS + TLB_EXEC) * (size_t)TLB_SIZE + tlb_slot(rip)) * sizeof(struct tlb_entry);
	x_imm(t, HOST_R14, rip & ~UINT64_C(0xfff));
	x_mem(t, true, 0x3b, HOST_R14, HOST_CPU, (int32_t)(at + offsetof(struct tlb_entry, tag)));
	stub_from(&g->stale, x_jcc(t, 5));
	x_imm(t, HOST_R14, (uint64_t)(uintptr_t)host - rip);
	x_mem(t, true, 0x3b, HOST_R14, HOST_CPU, (int32_t)(at + offsetof(struct tlb_entry, addend)));
	stub_from(&g->stale, x_jcc(t, 5));
}

/* The part in the next page is there and as it was; whoever comes has to pass here. */
static void second_check(struct gen *g)
{
	const struct block_second *second = &g->xb->b->second;
	exec_check(g, (g->xb->rip | 0xfff) + 1, second->host);
	x_imm(g->t, HOST_R13, (uint64_t)(uintptr_t)second->page_gen);
	x_mem(g->t, false, 0x81, 7, HOST_R13, 0);
	x_u32(g->t, second->gen);
	stub_from(&g->stale, x_jcc(g->t, 5));
}

static void gen_entry(struct gen *g)
{
	struct xtext *t = g->t;
	struct xblock *xb = g->xb;
	xb->code = x_rx(t);
	x_mem(t, false, 0x81, 7, HOST_CPU, (int32_t)AT(mode)); /* cmp dword [mode], imm */
	x_u32(t, xb->mode);
	stub_from(&g->stale, x_jcc(t, 5));
	x_imm(t, HOST_R13, (uint64_t)(uintptr_t)&xb->map_gen);
	x_mem(t, false, 0x8b, HOST_R13, HOST_R13, 0);
	x_mem(t, false, 0x3b, HOST_R13, HOST_CPU, (int32_t)AT(tlb.map_gen));
	stub_from(&g->remapped, x_jcc(t, 5));
	xb->near = x_rx(t);
	x_imm(t, HOST_R13, (uint64_t)(uintptr_t)xb->b->page_gen);
	x_mem(t, false, 0x81, 7, HOST_R13, 0);
	x_u32(t, xb->gen);
	stub_from(&g->stale, x_jcc(t, 5));
	if (xb->b->second.host)
		second_check(g);
	x_load(t, HOST_R13, AT(v));
	x_mem(t, false, 0x81, 7, HOST_R13, (int32_t)offsetof(struct vcpu, attention));
	x_u32(t, 0);
	stub_from(&g->stale, x_jcc(t, 5));
	xb->fast = x_rx(t);
	x_mem(t, true, 0x81, 0, HOST_CPU, (int32_t)AT(instructions)); /* add qword [instructions], imm */
	x_u32(t, xb->count);
	vec_check(g, 0);
}

/* Where the TLB shows the block's page for execution at the place it was at, only the generation is out of date. */
static void gen_remapped(struct gen *g)
{
	struct xtext *t = g->t;
	const struct xblock *xb = g->xb;
	for (unsigned n = 0; n < g->remapped.count; n++)
		x_here(t, g->remapped.from[n]);
	exec_check(g, xb->rip, xb->host);
	x_imm(t, HOST_R13, (uint64_t)(uintptr_t)&xb->map_gen);
	x_mem(t, false, 0x8b, HOST_R14, HOST_CPU, (int32_t)AT(tlb.map_gen));
	x_mem(t, false, 0x89, HOST_R14, HOST_R13, 0);
	x_jmp(t, xb->near);
}

static void gen_stub(struct gen *g, struct stub *s, unsigned reason, unsigned number)
{
	if (!s->count)
		return;
	for (unsigned n = 0; n < s->count; n++)
		x_here(g->t, s->from[n]);
	leave(g, reason, number);
}

static void gen_end(struct gen *g)
{
	const struct xinsn *last = &g->in[g->count - 1];
	if (ends(last))
		return;
	commit(g, g->count);
	g->loaded = 0;
	if (last->kind == XK_HELPER && g->count == g->xb->b->count) {
		x_load(g->t, HOST_R14, AT(next_rip));
		indirect_exit(g);
	} else {
		direct_exit(g, 0, next_rip(g, last->i));
	}
}

/* One version of the block, from a whole state on. */
static void gen_version(struct gen *g, const struct span *s)
{
	g->stack = s != NULL;
	assign(g);
	plan(g);
	g->loaded = g->dirty = 0;
	g->flags_host = g->stored = false;
	g->flags_mem = true;
	g->point = 0;
	g->fip = NULL;
	if (s)
		stack_check(g, s);
	for (unsigned n = 0; n < g->count; n++)
		gen_insn(g, n);
	gen_end(g);
}

/* With one check for several stack accesses if there are such, and then again without, for when it fails. */
static void gen_versions(struct gen *g)
{
	struct span s;
	stack_span(g, &s);
	if (stack_worth(g, &s)) {
		gen_version(g, &s);
		for (unsigned n = 0; n < g->no_stack.count; n++)
			x_here(g->t, g->no_stack.from[n]);
	}
	for (unsigned n = 0; n < g->count; n++)
		g->in[n].on_stack = false;
	gen_version(g, NULL);
}

static void gen_stubs(struct gen *g)
{
	vec_check_end(g);
	gen_misses(g);
	for (unsigned n = 0; n < g->count; n++) {
		gen_stub(g, &g->bail[n], XEXIT_BAIL, n);
		gen_stub(g, &g->mid[n], XEXIT_MID, n);
	}
	gen_remapped(g);
	gen_stub(g, &g->stale, XEXIT_STALE, 0);
}

/* Handlers alone are worth it for the way to the next block only. */
static bool worth(const struct gen *g)
{
	if (!g->xb->b->system)
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

bool xlate_generate(struct soft_cpu *c, struct xlate *x, struct xblock *xb, struct xtext *t)
{
	struct gen scratch, *g = &scratch;
	const struct block *b = xb->b;
	uint8_t bytes[15 * BLOCK_INSNS];
	if (!copy_bytes(b, bytes))
		return false;
	g->c = c;
	g->x = x;
	g->xb = xb;
	g->t = t;
	g->miss_count = 0;
	g->refills = true;
	g->count = b->count;
	for (unsigned n = 0; n < b->count; n++) {
		xlate_scan(c, x, &b->insn[n], bytes + b->insn[n].off, &g->in[n]);
		g->bail[n].count = g->mid[n].count = 0;
	}
	g->stale.count = g->remapped.count = 0;
	g->count = usable(g);
	if (!g->count || !worth(g))
		return false;
	xb->count = (uint8_t)g->count;
	g->failed = false;
	g->point = g->vec_count = 0;
	gen_entry(g);
	gen_versions(g);
	gen_stubs(g);
	return !t->overflow && !g->failed;
}
