/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the translator's files share. */
#ifndef PANAL_ACCEL_SOFT_XLATE_PRIV_H
#define PANAL_ACCEL_SOFT_XLATE_PRIV_H

#include "accel/soft/codemem.h"
#include "accel/soft/xlate.h"

/* ---- a translated block ---- */
struct xblock {
	struct block *b;
	uint64_t rip, fall;      /* of its first byte; after its last */
	const uint8_t *host;     /* where the first byte lies */
	const uint8_t *code;     /* entry that checks everything; NULL: not translatable */
	const uint8_t *near;     /* entry for those who come from the same page */
	const uint8_t *fast;     /* for those who come from before it in that page: it checks nothing */
	uint32_t map_gen;        /* under which rip led to host */
	uint32_t mode, gen, epoch;
	uint64_t target[2];      /* where its direct exits go */
	uint8_t count;           /* instructions of it, at most those of b */
};

/* Direct exits jump through these; until they are linked they lead to the exit's own stub. */
struct xslot {
	const uint8_t *to;
};

struct xhash {
	uint64_t rip; /* in an empty place 0, which belongs to place 0 only; there XHASH_EMPTY, no canonical address */
	const uint8_t *code;
};
#define XHASH_EMPTY (UINT64_C(1) << 63)
enum { XHASH_BITS = 18, XHASH_SIZE = 1 << XHASH_BITS };

struct xlate {
	struct codemem mem;
	size_t used, base; /* bytes of code memory; what the fixed stubs take */
	size_t limit, peak; /* what may be used, what ever was */
	bool each_block;    /* nothing is chained */
	struct xlate_sight *sight;
	const uint8_t *refill;
	const uint8_t *leave;
	const uint8_t *vec_load, *x87_load, *help; /* xlate_vec.c: to be called; help: xlate_help without live registers */
	uint32_t (*enter)(struct soft_cpu *c, const uint8_t *code);
	unsigned hot;
	uint32_t epoch;
	struct xblock *block; /* XLATE_BLOCK_MAX */
	unsigned block_count;
	struct xhash hash[XHASH_SIZE];
	/* a direct exit that was taken and may be linked to what is entered next */
	struct xblock *from;
	unsigned from_exit;
	bool shift_writes_all; /* shifts by a constant and multiplications leave no flag as it was on this host */
	struct xlate_stats stats;
};

static inline unsigned xhash_of(uint64_t rip)
{
	return (unsigned)rip & (XHASH_SIZE - 1);
}

/* The slot of a direct exit of block number n: at the start of code memory, written through mem.rw only. */
static inline size_t xslot_at(const struct xlate *x, const struct xblock *xb, unsigned exit)
{
	return ((size_t)(xb - x->block) * 2 + exit) * sizeof(struct xslot);
}

/* What the stub `refill` is told: the access's size and whether it writes. */
enum { XREFILL_SIZE = 0xff, XREFILL_WRITE = 0x100 };

/* What translated code returns: a reason, and in the upper half a number. */
enum { XEXIT_STALE, XEXIT_LINK, XEXIT_BAIL, XEXIT_INDIRECT, XEXIT_MID };

/* ---- xlate_emit.c: bytes of host code ---- */
struct xtext {
	uint8_t *p, *end;    /* writable side */
	ptrdiff_t to_rx;     /* executable address - writable address */
	bool overflow;
};
enum { HOST_RAX, HOST_RCX, HOST_RDX, HOST_RBX, HOST_RSP, HOST_RBP, HOST_RSI, HOST_RDI,
       HOST_R8, HOST_R9, HOST_R10, HOST_R11, HOST_R12, HOST_R13, HOST_R14, HOST_R15 };
/* RBP holds the struct soft_cpu; R13, R14 and R15 are free between instructions of the guest. */
enum { HOST_CPU = HOST_RBP };

void x_byte(struct xtext *t, unsigned v);
void x_bytes(struct xtext *t, const uint8_t *bytes, unsigned len);
void x_u32(struct xtext *t, uint32_t v);
void x_u64(struct xtext *t, uint64_t v);
void x_rr(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned rm);             /* op r/m, r */
/* op [base+disp], r */
void x_mem(struct xtext *t, bool wide, unsigned op, unsigned reg, unsigned base, int32_t disp);
void x_load(struct xtext *t, unsigned reg, size_t off);  /* 64 bits of struct soft_cpu */
void x_store(struct xtext *t, unsigned reg, size_t off);
void x_imm(struct xtext *t, unsigned reg, uint64_t v);   /* the shortest MOV */
void x_lea(struct xtext *t, unsigned reg, unsigned base, int32_t disp);
void x_lea_index(struct xtext *t, unsigned reg, unsigned base, unsigned index, unsigned scale, int32_t disp);
void x_jmp(struct xtext *t, const uint8_t *to_rx);
uint8_t *x_jcc(struct xtext *t, unsigned cc);            /* forward; returns what x_here wants */
uint8_t *x_jmp_forward(struct xtext *t);
void x_here(struct xtext *t, uint8_t *from);
static inline const uint8_t *x_rx(const struct xtext *t) { return t->p + t->to_rx; }

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
	bool commit;            /* the state must be whole before it */
	bool on_stack;          /* its access is covered by the block's check of the stack */
	bool live;              /* flags before it are needed by somebody */
	uint16_t vec_reads, vec_writes; /* vector registers */
	uint8_t level;          /* enum xvec_level that it needs */
	uint8_t align;          /* its memory operand must be aligned so; 0: not */
	bool x87, fip;          /* needs the x87 registers; is remembered as the last x87 instruction */
	bool changes;           /* it may not be executed twice: it overwrites what was read since the last whole point */
};
/* i and its bytes -> in. */
void xlate_scan(struct soft_cpu *c, const struct xlate *x, const struct insn *i, const uint8_t *bytes,
                struct xinsn *in);

/* ---- xlate_vec.c: what thunks carry for the interpreter ---- */
/* What x_vec_live says: nothing is in the host's registers; XMM and MXCSR may be used; AVX too. */
enum xvec_level { XVEC_NONE, XVEC_SSE, XVEC_AVX };
/* Fixed stubs: sets x->vec_load and x->help, and x->leave to one that saves before it goes to the present one. */
void xvec_stubs(struct soft_cpu *c, struct xlate *x, struct xtext *t);
/* in holds the decoded instruction -> the rest of it. False: left to the handler. */
bool xvec_scan(struct soft_cpu *c, struct xinsn *in);
/* The instruction with the host's registers for the guest's general ones, its memory operand at [R14]. */
void xvec_encode(struct xtext *t, const struct xinsn *in, const uint8_t *host);

/* ---- xlate_vec_x87.c ---- */
void xvec_x87_stub(struct xtext *t);
bool xvec_x87_scan(struct xinsn *in);
void xvec_x87_encode(struct xtext *t, const struct xinsn *in);

/* ---- xlate_gen.c ---- */
/* Writes the code of xb; false: nothing of it can be translated. t->overflow: no room. */
bool xlate_generate(struct soft_cpu *c, struct xlate *x, struct xblock *xb, struct xtext *t);
/* What generated code calls for an instruction that the interpreter executes. */
void xlate_help(struct soft_cpu *c, const struct insn *i, const struct xblock *xb);

#endif
