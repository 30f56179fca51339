/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the translator's files share. */
#ifndef PANAL_ACCEL_SOFT_XLATE_PRIV_H
#define PANAL_ACCEL_SOFT_XLATE_PRIV_H

#include "accel/soft/ahead.h"
#include "accel/soft/codemem.h"
#include "accel/soft/xlate.h"

/* ---- a translated block ---- */
struct xblock {
	struct block *b;
	uint64_t rip;
	const uint8_t *host;     /* where the first byte lies */
	const uint8_t *code;     /* entry that checks mode and mapping, flags saved; NULL: not translatable, or gone */
	const uint8_t *saved;    /* checks nothing: flags saved */
	const uint8_t *loaded;   /* checks nothing: flags in the host's */
	uint32_t mode, gen, epoch;
	const struct tlb_entry *exec; /* where the TLB shows the page for execution: this page, with this addend */
	uint64_t page, addend;
	const void *now;         /* 8 bytes: mode, and generation of the mapping of its half of the addresses (tlb_now) */
	uint64_t *map_gen;       /* writable: the same when that was so last; of all in the page */
	uint32_t cell;           /* where in code memory that is */
	bool plain;              /* checks each access; entered from one exit only */
	bool middle;             /* plain, and begins in the middle of another block */
	int16_t adjust;          /* middle: to be added to the count of instructions */
	uint32_t in;             /* exits that lead here: a list of numbers + 1 */
	struct xblock *other;    /* of the same decoded block, at another address */
	uint32_t next;           /* in the same page: number + 1 */
	uint8_t count, parts;    /* instructions; decoded blocks */
	const uint8_t *cold;     /* what is behind it; this and the rest when marks is not 0: xlate_moved.c */
	uint32_t hot_bytes, cold_bytes, exit, exits, mark, marks; /* numbers of the first, and how many */
	struct xpart {
		struct block *b;
		uint8_t first; /* of its instructions, counted over all parts */
		bool apart;    /* its instructions are added up when it is reached, since the part before may be left */
	} part[XPARTS];
};

/* Instructions are added up in stretches: when instruction n runs, those before this one are. */
static inline unsigned xblock_counted(const struct xblock *xb, unsigned n)
{
	for (unsigned k = 1; k < xb->parts; k++)
		if (xb->part[k].apart && xb->part[k].first > n)
			return xb->part[k].first;
	return xb->count;
}

/* Where the guest's flags are: in the host's, saved in RAX (LAHF, SETO AL), or both. 0: nowhere, because they are
 * written before anybody can see them. */
enum xform { XFORM_NONE, XFORM_HOST = 1, XFORM_SAVED = 2 };

/* A direct exit: a jump that leads to the exit's own stub until it is linked. It is not a jump through memory: these cost
 * twice as much where a guest's code is large. */
struct xexit {
	uint64_t target;
	uint32_t stub, jump; /* in code memory: the stub, the jump's 32-bit displacement */
	uint32_t from;       /* block number */
	uint32_t to;         /* what it is linked to: block number + 1 */
	uint32_t next, prev; /* of those that lead to the same block: number + 1 */
	uint8_t form;     /* enum xform bits there */
	bool cross;       /* into another page: the mapping is to be checked there */
	bool plain;       /* to code for its own block that checks each access */
	uint8_t at;       /* plain: from this instruction on; 0: a version of the whole block */
	uint8_t tries;    /* plain: how often it was taken */
};

/* A page that translated blocks were made of, and its generation then. */
struct xpage {
	const _Atomic uint32_t *page_gen;
	uint32_t gen, first; /* block number + 1 */
	uint32_t at;         /* its place in page_at */
};

/* A page of addresses at a page of the host, in a mode: what was made there shares one generation of the mapping. */
struct xcell {
	uint64_t page;
	const uint8_t *host;
	uint32_t mode, number; /* + 1; 0: empty */
};

struct xhash {
	uint64_t rip; /* in an empty place 0, which belongs to place 0 only; there XHASH_EMPTY, which does not */
	const uint8_t *code;
};
/* Whatever a guest jumps to, no place that it looks into may hold the same without code. This belongs to place 1. */
#define XHASH_EMPTY (UINT64_C(1) << 63 | 1)
enum { XHASH_BITS = 18, XHASH_SIZE = 1 << XHASH_BITS, XLATE_EXIT_MAX = 1 << 20, XLATE_PAGE_BITS = 14,
       XLATE_MARK_MAX = 1 << 22, XLATE_PAGE_MAX = 1 << XLATE_PAGE_BITS, XLATE_CELL_BITS = 15, XLATE_CELL_MAX = 1 << XLATE_CELL_BITS,
       XEXITS_OF_BLOCK = 1024 /* more than those of one block */ };

/* The block under way: where its texts begin, writable; numbers of its first mark and exit. */
struct xmarking {
	const uint8_t *hot, *cold;
	unsigned first, exit;
	bool lost; /* something is in it that a copy could not set right */
};

struct xlate {
	struct codemem mem;
	/* Code memory: slots and stubs, then what is executed often, then what is behind blocks, so that the former is dense. */
	struct xspace {
		size_t base, used, limit, taken; /* offsets; taken: what was asked of the host up to there */
	} hot_space, cold_space;
	struct ahead *ahead; /* the machine's */
	struct ahead_table block_table, exit_table, mark_table; /* what block, exit and mark are in */
	bool each_block;    /* nothing is chained */
	uint32_t cpu;       /* struct xtext's */
	struct xlate_sight *sight;
	const uint8_t *refill, *near_refill, *stack_refill, *remap, *leave, *vec_load, *x87_load, *help,
		*bottom, *astray; /* xlate_frame.c */
	uint32_t (*enter)(struct soft_cpu *c, const uint8_t *code);
	unsigned hot, hot_least; /* visits before a block is translated: now, and while the store is not flushed too often */
	uint64_t full_at;        /* instructions retired when the store was full last */
	uint32_t epoch;
	struct xblock *block; /* XLATE_BLOCK_MAX */
	struct xexit *exit;   /* XLATE_EXIT_MAX */
	struct xpage *page;   /* XLATE_PAGE_MAX */
	uint16_t *page_at;    /* hashed by page_gen: number + 1 */
	struct xcell *cell;   /* hashed, twice XLATE_CELL_MAX */
	uint16_t *cell_at;    /* the places there that are taken, by number */
	uint32_t *mark;       /* XLATE_MARK_MAX */
	struct xmarking marking;
	unsigned mark_count;
	unsigned block_count, exit_count, page_count, cell_count;
	struct xhash *hash;   /* XHASH_SIZE */
	uint32_t from; /* a direct exit that was taken and may be linked to what is entered next: number + 1 */
	bool busy;             /* XLATE_BUSY blocks were made: its tables have huge pages */
	bool bmi2;             /* RORX */
	uint8_t known[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* xlate_scan.c's row of a mnemonic + 1; 0: none */
	bool shift_writes_all; /* shifts by a constant and multiplications leave no flag as it was on this host */
	struct xlate_stats stats;
};

static inline unsigned xhash_of(uint64_t rip)
{
	return (unsigned)(rip ^ rip >> 14) & (XHASH_SIZE - 1);
}

/* What is at the start of code memory, written through mem.rw only: the generations of the
 * mapping under which each page's address was last found to lead to its host address. */
static inline size_t xmap_gen_at(const struct xblock *xb)
{
	return xb->cell * sizeof(uint64_t);
}
enum { XLATE_CELL_BYTES = XLATE_CELL_MAX * 8, XLATE_STUB_BYTES = 8192,
       XLATE_HOT_BYTES = 16 << 10, XLATE_COLD_BYTES = 20 << 10 /* more than the code of one block */ };

/* ---- xlate_link.c: exits, blocks by page ---- */
/* -ENOMEM. */
int xlink_create(struct xlate *x, struct err *e) ATTR_MUST_USE;
void xlink_destroy(struct xlate *x);
/* Nothing is linked, hashed or noted any more; costs what was. Before block_count becomes 0. */
void xlink_reset(struct xlate *x);
/* A new exit of xb; its stub and jump are to be set. There is room for XEXITS_OF_BLOCK when xlate_generate is called. */
unsigned xlink_exit(struct xlate *x, const struct xblock *xb, uint64_t target, unsigned form, bool cross);
/* The same for an exit to the plain version of xb. */
unsigned xlink_exit_plain(struct xlate *x, const struct xblock *xb);
/* The same for an exit to plain code from instruction n on, at rip. */
unsigned xlink_exit_middle(struct xlate *x, const struct xblock *xb, uint64_t rip, unsigned n);
/* Exit `from`, which is not linked, leads straight to xb from now on. */
void xlink_join(struct xlate *x, unsigned from, struct xblock *xb);
/* Exit n's jump leads to `to`. On the vCPU's thread, outside of translated code. */
void xlink_jump(struct xlate *x, unsigned n, const uint8_t *to);
/* Exit n leads to its stub again. */
void xlink_undo(struct xlate *x, unsigned n);
/* Gives xb the cell of its page; false: no room. */
bool xlink_cell(struct xlate *x, struct xblock *xb);
/* xb is among those of its page; false: no room. */
bool xlink_add(struct xlate *x, struct xblock *xb);
/* Nobody comes to xb any more. */
void xlink_cut(struct xlate *x, struct xblock *xb);
/* Pages were written: what was made of them goes. */
void xlink_look(struct xlate *x);

/* What the stub `refill` is told: the access's size, whether it writes, and above that the number of the instruction. */
enum { XREFILL_SIZE = 0xff, XREFILL_WRITE = 0x100, XREFILL_SHIFT = 16,
       XREFILL_LOOK = 0x8000, XREFILL_NEAR = 9 /* near_refill: without a walk; the place in tlb.near, shifted */ };

/* What translated code returns: a reason, and above it a number. */
enum { XEXIT_STALE, XEXIT_LINK, XEXIT_BAIL, XEXIT_INDIRECT, XEXIT_MID, XEXIT_PLAIN, XEXIT_MIDDLE };

/* ---- xlate_emit.c: bytes of host code ---- */
struct xtext {
	uint8_t *p, *end;    /* writable side */
	ptrdiff_t to_rx;     /* executable address - writable address */
	bool overflow;
	/* Where struct soft_cpu is, when that is below 2 GiB: instructions name it there, which is a cycle or two shorter on the
	 * way of a load than by a segment. 0: by the base of GS. */
	uint32_t cpu;
	const uint8_t *start;
	struct xlate *marks; /* notes what a copy of the block has to set right; NULL: nothing is noted */
};
enum { HOST_RAX, HOST_RCX, HOST_RDX, HOST_RBX, HOST_RSP, HOST_RBP, HOST_RSI, HOST_RDI,
       HOST_R8, HOST_R9, HOST_R10, HOST_R11, HOST_R12, HOST_R13, HOST_R14, HOST_R15, HOST_NONE = 0xff };

/* A memory operand: base + index + disp. */
struct xaddr {
	uint8_t base, index; /* index may be HOST_NONE */
	int32_t disp;
};

static inline void x_byte(struct xtext *t, unsigned v)
{
	if (t->p < t->end)
		*t->p++ = (uint8_t)v;
	else
		t->overflow = true;
}
void x_bytes(struct xtext *t, const uint8_t *bytes, unsigned len);
#define X_PUT(t, ...) x_bytes((t), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
void x_u32(struct xtext *t, uint32_t v);
void x_u64(struct xtext *t, uint64_t v);
void x_rr(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned rm);             /* op r/m, r */
/* op [base+disp], r */
void x_mem(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned base, int32_t disp);
/* op [a], r */
void x_at(struct xtext *t, bool wide, unsigned op, unsigned reg, const struct xaddr *a);
void x_operand(struct xtext *t, unsigned reg, const struct xaddr *a); /* ModRM, SIB and displacement; no REX */
/* What comes before an instruction that names a place in struct soft_cpu; returns what to add to the offset there. */
static inline uint32_t x_cpu(struct xtext *t)
{
	if (!t->cpu)
		x_byte(t, 0x65); /* GS */
	return t->cpu;
}
/* op gs:[off], r: a place in struct soft_cpu */
void x_gs(struct xtext *t, bool wide, unsigned op, unsigned reg, size_t off);
void x_load(struct xtext *t, unsigned reg, size_t off);  /* 64 bits of struct soft_cpu */
void x_store(struct xtext *t, unsigned reg, size_t off);
void x_imm(struct xtext *t, unsigned reg, uint64_t v);   /* the shortest MOV */
void x_imm_rip(struct xtext *t, unsigned reg, uint64_t v); /* the same for an address that moves with the guest's code */
void x_imm_block(struct xtext *t, unsigned reg, const struct xblock *xb);
void x_lea(struct xtext *t, unsigned reg, unsigned base, int32_t disp);
/* The same cut to 32 bits when not wide. */
void x_lea_cut(struct xtext *t, bool wide, unsigned reg, unsigned base, int32_t disp);
void x_lea_index_cut(struct xtext *t, bool wide, unsigned reg, unsigned base, unsigned index, unsigned scale, int32_t disp);
void x_lea_index(struct xtext *t, unsigned reg, unsigned base, unsigned index, unsigned scale, int32_t disp);
void x_jmp(struct xtext *t, const uint8_t *to_rx);
void x_call(struct xtext *t, const uint8_t *to_rx);
void x_jcc_to(struct xtext *t, unsigned cc, const uint8_t *to_rx);
uint8_t *x_jcc(struct xtext *t, unsigned cc);            /* forward; returns what x_here wants */
uint8_t *x_jmp_forward(struct xtext *t);
void x_here(struct xtext *t, uint8_t *from);
static inline const uint8_t *x_rx(const struct xtext *t) { return t->p + t->to_rx; }

/* ---- xlate_moved.c: blocks at another address ---- */
/* What is in a block's code that a copy elsewhere, for another address of the guest's, has otherwise. */
enum xmark {
	XMARK_RELATIVE, /* 4 bytes: to somewhere outside of this text, relative to their end */
	XMARK_RIP,      /* 8 bytes: an address of the guest's */
	XMARK_SLOT,     /* 4 bytes: where the TLB's entry for such an address is, of user code */
	XMARK_EXIT,     /* 4 bytes: an exit's number, shifted by 8 */
	XMARK_BLOCK,    /* 8 bytes: struct xblock */
	XMARK_CELL,     /* 4 bytes: relative to their end, the block's cell */
	XMARK_LOST,     /* not to be set right: the block cannot be copied */
};
/* -ENOMEM. */
int xmoved_create(struct xlate *x, struct err *e) ATTR_MUST_USE;
void xmoved_destroy(struct xlate *x);
/* What is at `at`, writable, of the block that is being made. */
void x_mark(struct xtext *t, const uint8_t *at, enum xmark kind);
/* The block xb is made from here on, at hot and cold; false: it cannot be copied, nothing is to be marked. */
bool xmoved_begin(struct xlate *x, const struct xblock *xb, const uint8_t *hot, const uint8_t *cold);
/* It is made, and what was marked is kept with it. */
void xmoved_end(struct xlate *x, struct xblock *xb, const struct xtext *hot, const struct xtext *cold);
/* Can old, of the same decoded block, be copied or moved to rip? */
bool xmoved_serves(const struct xblock *old, uint64_t rip);
/* xb itself is at rip from now on; nobody comes to it yet. False: no room for its cell, and it is cut off. */
bool xmoved_here(struct soft_cpu *c, struct xlate *x, struct xblock *xb, uint64_t rip);
/* old -> xb, whose b, rip and cell are set, at t and cold, where there is room. */
void xmoved_copy(struct soft_cpu *c, struct xlate *x, const struct xblock *old, struct xblock *xb, struct xtext *t,
                 struct xtext *cold);

/* ---- xlate_scan.c: what an instruction is to the translator ---- */
enum xkind { XK_HELPER, XK_COPY, XK_LEA, XK_PUSH, XK_POP, XK_LEAVE, XK_NOP, XK_VEC, XK_DIV, XK_JMP, XK_JCC, XK_CALL, XK_RET,
             XK_JMP_RM, XK_CALL_RM };
enum xflags { XF_NONE, XF_WRITE /* all six, reads none */, XF_CARRY /* reads or keeps CF, writes the others */,
              XF_READ, XF_BOTH /* reads and writes */, XF_MIX /* writes, and some may stay as they were */ };
struct xinsn {
	const struct insn *i;
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const uint8_t *bytes;
	const ZydisDecodedOperand *mem; /* NULL: none */
	enum xkind kind;
	enum xflags flags;
	uint32_t reads, writes; /* guest registers, a bit each */
	bool loads, stores;     /* memory, through the TLB */
	uint8_t group;          /* number + 1 of that which its access is one of; 0: none */
	int64_t off;            /* there */
	bool on_stack;          /* its access is covered by the block's check of the stack */
	uint32_t regs;          /* guest registers that are operands themselves, not parts of an address */
	enum xfollow { XFOLLOW_NONE, XFOLLOW_NEXT, XFOLLOW_TARGET } follow; /* a branch: the block goes on behind it, there */
	uint8_t word;           /* bytes of an address and of what a push moves: 8; in 32-bit code 4 */
	bool swap;              /* RAX is an operand that no field names, or AH is one */
	uint64_t rip;
	uint16_t vec_reads, vec_writes; /* vector registers */
	uint8_t level;          /* enum xvec_level that it needs */
	uint8_t align;          /* its memory operand must be aligned so; 0: not */
	bool x87, fip;          /* needs the x87 registers; is remembered as the last x87 instruction */
};
/* The instruction behind in, and where a direct branch leads. */
static inline uint64_t xinsn_next(const struct xinsn *in)
{
	uint64_t rip = in->rip + in->i->len;
	return in->word == 8 ? rip : (uint32_t)rip;
}
static inline uint64_t xinsn_target(const struct xinsn *in)
{
	uint64_t rip = in->rip + in->i->len + in->i->imm;
	return in->word == 8 ? rip : (uint32_t)rip;
}
/* Fills x->known. */
void xlate_scan_index(struct xlate *x);
bool xlate_scan_address(const struct xinsn *in);
/* i and its bytes -> in. */
void xlate_scan(struct soft_cpu *c, const struct xlate *x, const struct insn *i, const uint8_t *bytes,
                struct xinsn *in);

/* ---- xlate_vec.c: what thunks carry for the interpreter ---- */
/* What x_vec_live says: nothing is in the host's registers; XMM and MXCSR may be used; AVX too. */
enum xvec_level { XVEC_NONE, XVEC_SSE, XVEC_AVX };
/* Saves the vector registers and MXCSR if they are live; keeps R14, R15 and general registers, but not the flags. */
void xvec_save_stub(struct soft_cpu *c, struct xtext *t);
/* A function that loads them when it may, with all general registers a C function's to clobber; EAX: what x_vec_live is
 * then. */
void xvec_load_stub(struct soft_cpu *c, struct xtext *t);
/* in holds the decoded instruction -> the rest of it. False: left to the handler. */
bool xvec_scan(struct soft_cpu *c, struct xinsn *in);
/* The instruction with the host's registers for the guest's general ones, its memory operand at a. */
void xvec_encode(struct xtext *t, const struct xinsn *in, const uint8_t *host, const struct xaddr *a);

/* ---- xlate_vec_x87.c ---- */
/* May x87 and MMX instructions run? Then the registers are in the host's FPU. */
unsigned xvec_x87_may(struct soft_cpu *c);
bool xvec_x87_scan(struct xinsn *in);
void xvec_x87_encode(struct xtext *t, const struct xinsn *in, const struct xaddr *a);

/* ---- xlate_frame.c: the frame that all translated code runs in ---- */
/* The host register that holds a guest register; HOST_NONE: it is in struct soft_cpu. RAX holds the flags when these
 * are saved, R14 and R15 are free between instructions of the guest, GS is based at struct soft_cpu. */
extern const uint8_t xframe_host[X86_GPR_COUNT];
enum { XFRAME_RAX = HOST_R8, XFRAME_RSP = HOST_R9 };
/* In 32-bit code ESP stays so far from 0 and 4 GiB within a block whose stack accesses were checked at once. */
enum { XSTACK_EDGE = 0x4000 };
#define XFRAME_GPR(g) (offsetof(struct soft_cpu, s.gpr) + 8 * (size_t)(g))
#define XFRAME_AT(field) offsetof(struct soft_cpu, field)
/* Calls of the guest are calls of the host, on a page of its stack: enough of them for the returns of usual code. */
enum { XRETURN_BYTES = 4096, XRETURN_ROOM = 256 /* more than one block pushes */ };
void xframe_stubs(struct soft_cpu *c, struct xlate *x, struct xtext *t);
/* The stack's page as the block's checks find it: looked up anew. */
void xframe_stack(struct soft_cpu *c);
/* What generated code calls for an instruction that the interpreter executes: its address, and XHELP_SYSTEM where it ends a
 * block for which the run loop looks at events. */
enum { XHELP_SYSTEM = 1 };
uint32_t xlate_help(struct soft_cpu *c, uintptr_t what, uint64_t block_rip);

/* ---- xlate_near.c ---- */
/* What the stub near_refill calls: as refill, and tlb.near has it then. */
uint32_t xnear_refill(struct soft_cpu *c, uint64_t lin, uint32_t what);
/* What xnear_refill noted, an access that missed too often: the next translation has it otherwise. */
void xnear_too_far(struct soft_cpu *c);

/* ---- xlate.c ---- */
/* The first of b's translations, whatever their addresses (xblock.other leads on); NULL: none that holds. */
struct xblock *xlate_others(const struct xlate *x, const struct block *b);

/* ---- xlate_gen.c ---- */
/* Where the TLB and the cell say that xb is where it was: fills in exec, page, addend, now and map_gen. */
void xlate_mapping(struct soft_cpu *c, struct xlate *x, struct xblock *xb);
/* Writes the code of xb, and to `cold` what is seldom executed; false: nothing of it can be translated, or there is no room. */
bool xlate_generate(struct soft_cpu *c, struct xlate *x, struct xblock *xb, struct xtext *t, struct xtext *cold);

#endif
