/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generation of one block, in several files. Guest state is in the frame's registers (xlate_frame.c) all the time.
 * An instruction changes nothing before its last check, so wherever it is left to the interpreter the state is exact.
 */
#ifndef PANAL_ACCEL_SOFT_XLATE_GEN_H
#define PANAL_ACCEL_SOFT_XLATE_GEN_H

#include "accel/soft/xlate_priv.h"

#include <stddef.h>

enum { XINSNS = 64, XCOLDS = 1024 };

/* What lies behind the block: seldom executed. */
enum xcold_kind {
	XCOLD_NONE,
	XCOLD_MISS,     /* fill the TLB, try again */
	XCOLD_BAIL,     /* to the interpreter, at instruction n */
	XCOLD_LEAVE,    /* to the loop: what = XEXIT_* | number << 8 */
	XCOLD_SIDE,     /* an exit in the middle, to lin, after n instructions */
	XCOLD_LINK,     /* exit number n, not linked yet */
	XCOLD_INDIRECT, /* target in R14 was not found, or attention is asked; disp: what RET adds to RSP */
	XCOLD_VECTORS,  /* load them; what: level, 0 for x87 */
	XCOLD_REMAP,    /* the mapping changed: is the block where it was? */
	XCOLD_GROUP,    /* the check for group number `what` failed */
	XCOLD_RETURN,   /* a return to another place than behind its call: target in R14 */
	XCOLD_DEPTH,    /* the page of return addresses is full */
	XCOLD_RIP,      /* not code: the number lin */
	XCOLD_STACK,    /* look for the stack's page; retry: where it is known; disp: its lowest byte */
};

/* An address of the guest's, before translation. */
struct xplace {
	uint8_t base, index, scale, seg; /* guest registers or REG_NONE; seg: X86_FS, X86_GS, else nothing is added */
	bool known, moves;               /* lin is the address; the code's own place is in it */
	int32_t disp;
	uint64_t lin;
};

struct xcold {
	enum xcold_kind kind;
	uint8_t *from;        /* the jump that leads here; NULL: text alone */
	const uint8_t *retry;
	unsigned n, what;
	struct xplace place;
	int32_t disp;
	unsigned near;        /* place in tlb.near + 1 that missed; 0: the TLB did */
	uint64_t fip;         /* of x87, not stored yet; 0: none */
	uint64_t lin;
	unsigned flags;
	unsigned recipe;
};

/* Accesses that are checked together: see xlate_group.c. */
struct xgroup_key {
	uint16_t base, index; /* numbers of values; 0: none */
	uint8_t scale;
	int64_t off;
};
struct xgroup {
	struct xgroup_key key;
	int64_t low, high;
	uint8_t first, last, count, slot; /* slot: its place; XPLACES: none */
	bool write, mixed;                /* mixed: its first is a read */
};

enum { XR15_NONE, XR15_STACK, XR15_PLACE /* and above: that of a group */ };

struct xgen {
	struct soft_cpu *c;
	struct xlate *x;
	struct xblock *xb;
	struct xtext *t;
	struct xinsn in[XINSNS];
	unsigned word;        /* as in struct xinsn */
	bool wide;            /* word is 8 */
	unsigned count;
	unsigned flags;       /* enum xform bits: where the flags are now */
	unsigned now;         /* the instruction under way */
	unsigned writer;      /* the one that wrote the flags last; XINSNS: none in this block */
	unsigned recipe;      /* number + 1 of an instruction from which they are made again, when they are in no place */
	bool counted;         /* the instructions of this stretch of the block are added up already */
	bool stack;           /* this version's stack accesses are checked */
	int32_t sp;           /* to be added to RSP */
	unsigned r15;         /* what R15 holds: XR15_* */
	struct xgroup group[XINSNS];
	unsigned group_count;
	uint8_t place_last[XPLACES]; /* the last instruction that needs it */
	bool failed;
	bool poll;            /* the block may jump back */
	unsigned vectors;     /* level of the vector registers that was asked for; x87 too */
	bool x87;
	/* Where a branch to the block's own start goes, after a look for attention, and what it relies on there. NULL: it
	 * goes the way of all others. */
	const uint8_t *again;
	unsigned again_vectors;
	bool again_x87;
	bool loop;            /* the block is a loop of user code */
	uint64_t far;         /* its instructions that missed tlb.near too often */
	uint8_t near_count[16]; /* by kind and size: xnear_place */
	bool dead;            /* flags at the block's start: written before anybody can see them */
	uint64_t fip;
	struct xcold cold[XCOLDS];
	unsigned cold_count;
};

/* ---- xlate_gen.c ---- */
struct xcold *xgen_cold(struct xgen *g, enum xcold_kind kind, uint8_t *from, unsigned n);
/* Flags: into the host's; out of harm's way, since the host's are about to be lost. */
void xgen_flags_load(struct xgen *g);
void xgen_flags_lose(struct xgen *g);
void xgen_flags_before(struct xgen *g, const struct xinsn *in);
void xgen_flags_after(struct xgen *g, const struct xinsn *in);
void xgen_count(struct xgen *g);      /* adds up the stretch's instructions, once; flags stay */
void xgen_count_plain(struct xgen *g); /* the same where the host's flags do not matter */
void xgen_fip(struct xgen *g);   /* stores what is not stored yet */
/* Compares attention with 0; uses R14, loses the flags. */
void xgen_attention(struct xgen *g);

/* ---- xlate_mem.c ---- */
struct xplace xmem_place(const struct xgen *g, const struct xinsn *in);
/* The linear address into R14; R15 may be used. Flags stay. */
void xmem_linear(struct xgen *g, const struct xplace *p);
/* LEA: the address without segment into a host register. */
void xmem_lea(struct xgen *g, const struct xplace *p, unsigned to);
/* Translates the address, or leaves: of instruction n's memory operand, of what is at p. R14 and R15 are in use then;
 * narrow: R15 alone. */
struct xaddr xmem_operand(struct xgen *g, unsigned n, bool narrow);
struct xaddr xmem_at(struct xgen *g, unsigned n, const struct xplace *p, unsigned size, bool write, bool narrow);
/* The same for a word at RSP + disp. */
struct xaddr xmem_stack(struct xgen *g, unsigned n, int32_t disp, bool write);

/* ---- xlate_stack.c ---- */
/* One check for the accesses near RSP; false: there are none. Those that it covers are marked. */
struct xspan {
	int64_t at, low, high; /* RSP now; what is accessed */
	unsigned count;
};
bool xstack_span(struct xgen *g, struct xspan *s);
void xstack_check(struct xgen *g, const struct xspan *s);

/* The check for all of p, where instruction n is the first; R15 is the host's address of p->low afterwards. */
void xmem_group(struct xgen *g, unsigned n, const struct xgroup *p);
/* Where p->low is when instruction n, the first, runs. */
struct xplace xmem_group_place(const struct xgen *g, unsigned n, const struct xgroup *p);

/* ---- xlate_recipe.c ---- */
/* Need the flags, which are in the host's and about to be lost, not be saved, since g->writer makes them again? */
bool xrecipe_serves(const struct xgen *g);
/* Those of instruction n once more, in the host's. R14 is lost. */
void xrecipe_make(struct xgen *g, unsigned n);

/* ---- xlate_near.c ---- */
/* Fills in loop and far. */
void xnear_scan(struct xgen *g);
/* The place in tlb.near for instruction n's access; -1: it goes by the TLB. */
int xnear_place(struct xgen *g, unsigned n, unsigned size, bool write);

/* ---- xlate_group.c ---- */
void xgroup_scan(struct xgen *g);
/* Instruction n's operand, if it is one of a group. */
bool xgroup_operand(struct xgen *g, unsigned n, struct xaddr *a);

/* ---- xlate_copy.c ---- */
void xcopy(struct xgen *g, unsigned n); /* XK_COPY and XK_VEC */
/* Instruction n, which names registers of the host's alone, once more. */
void xcopy_again(struct xgen *g, unsigned n);
void xcopy_div(struct xgen *g, unsigned n);

/* ---- xlate_flow.c ---- */
void xflow_branch(struct xgen *g, unsigned n);
/* The block goes on at target, in another block. */
void xflow_direct(struct xgen *g, uint64_t target);
/* The same at what R14 holds. flags saved. disp: added to RSP on the way. n: whose #GP it is when that is not canonical. */
void xflow_indirect(struct xgen *g, unsigned n, int32_t disp);
void xflow_cold(struct xgen *g, const struct xcold *k, const uint8_t *leave);

#endif
