/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft CPU's machine-wide and per-vCPU parts, and how its core files (decode, block, page, mmu, run) meet.
 *
 * Code pages. Each page of RAM has a struct code_page. A vCPU that decodes code from a page sets GMEM_FLAG_CODE and
 * the bits of the 64-byte lines that it decoded; a store to such a line advances the page's generation, and a block
 * whose generation is not its page's is stale on every vCPU at once. Stores through write translations that were
 * cached before the page became a code page would not be seen: they are called in (page_shoot), and until all
 * vCPUs have let go of them a block is used once only.
 */
#ifndef PANAL_ACCEL_SOFT_SOFT_H
#define PANAL_ACCEL_SOFT_SOFT_H

#include "accel/soft/ahead.h"
#include "accel/soft/cpu.h"
#include "accel/soft/soft_options.h"
#include "accel/soft/user.h"
#include "base/err.h"
#include "core/gmem.h"
#include <Zydis/Zydis.h>
#include <pthread.h>

struct vcpu_debug;

enum { PAGE_MANY = INT32_MAX };
struct code_page {
	_Atomic uint32_t gen;     /* advances when decoded bytes of the page were stored to */
	_Atomic uint32_t writers; /* vCPUs may hold write translations: 0, none; their place in the TLB + 1; or PAGE_MANY */
	_Atomic uint64_t lines;   /* 64-byte lines that were decoded */
	_Atomic uint64_t epoch;   /* of the last call for write translations of this page */
};

struct soft_ram {
	uint64_t gpa, size;
	uint8_t *host;
	_Atomic uint8_t *flags;  /* GMEM_FLAG_* */
	struct code_page *pages; /* mmap'ed, zero-filled on first touch */
	bool rom;                /* stores go to the region map */
	struct ahead_area area;  /* without stretches: a ROM, or nothing is kept */
};

enum { SOFT_DECODERS = 4 }; /* real/V86 16, protected 16, 32, 64 */

struct thunk_cache;
struct predecoder;
struct xlate_sight;
struct soft_vm {
	struct vm *vm;
	struct gmem *mem;
	ZydisDecoder decoder[SOFT_DECODERS];
	struct predecoder *predecoder[SOFT_DECODERS]; /* of 32- and 64-bit code; NULL: Zydis does it all */
	const struct insn_row **row; /* by ZydisMnemonic; NULL: thunk_bind */
	struct soft_ram ram[GMEM_BLOCK_MAX];
	unsigned ram_count;
	struct gmem_watch watch;
	_Atomic uint64_t cards_moved; /* how often a card's memory came to lie elsewhere */
	_Atomic uint64_t epoch;    /* calls for write translations so far */
	_Atomic bool dirty_log;    /* no write translations are cached */
	pthread_mutex_t bus_lock;  /* split and MMIO locked accesses */
	struct thunk_cache *thunk_shared;
	struct soft_options options;
	struct xlate_sight *sight; /* names of translated blocks, or NULL */
	struct ahead *ahead;       /* NULL where nothing is kept */
	bool foreign;              /* single steps on a state of another accelerator: nothing is cached */
};

/* An accelerator-private attention bit: page_ack is due. */
#define SOFT_ATT_ACK (1u << 31)
/* Another: a page was written that code was decoded from; translations of it are to be cut off before they are entered. */
#define SOFT_ATT_CODE (1u << 30)

struct block;
struct block_cache;
struct soft_vcpu {
	struct soft_cpu c;
	struct block_cache *blocks;
	_Atomic bool active;        /* between entering and leaving guest code */
	uint64_t cards_seen; /* of soft_vm's cards_moved: the TLB knows of them */
	_Atomic uint64_t ack_epoch; /* write translations called in up to here are gone */
	const struct soft_user *user; /* who else runs user code, or NULL */
	bool bus_locked;
	bool intr_maybe; /* the INTR line may be asserted */
	unsigned blocks_seen; /* since the last injected interrupt */
	/* rmw_ptr handed out a pointer into a code page: tell the page again after the instruction */
	uint8_t *rmw_host;
};
static inline struct soft_vcpu *soft_vcpu_of(struct soft_cpu *c)
{
	return container_of(c, struct soft_vcpu, c);
}

/* ---- run.c ---- */
int soft_vm_create(struct soft_vm **out, struct vm *vm, bool foreign, struct err *e) ATTR_MUST_USE;
void soft_vm_destroy(struct soft_vm *sv);
/* Takes over the list of RAM blocks; they are complete. */
int soft_vm_sync_ram(struct soft_vm *sv, struct err *e) ATTR_MUST_USE;
int soft_vcpu_create(struct soft_vcpu **out, struct soft_vm *sv, struct vcpu *v, struct err *e) ATTR_MUST_USE;
void soft_vcpu_destroy(struct soft_vcpu *p);
/* After s was filled from outside. */
void soft_vcpu_loaded(struct soft_vcpu *p);

/* ---- ops.c ---- */
int ops_index_create(const struct insn_row ***out, struct err *e) ATTR_MUST_USE;

/* ---- decode.c ---- */
void decode_init(struct soft_vm *sv);
enum decode_result {
	DECODE_NEXT,  /* the block may go on */
	DECODE_LAST,  /* a near transfer, or an instruction that ends the block for another reason */
	DECODE_SYSTEM, /* as DECODE_LAST, and the run loop looks at events afterwards */
	DECODE_MORE,  /* more than `avail` bytes are needed */
};
/* One instruction from at most 15 bytes; i->off is left alone. */
enum decode_result decode_insn(struct soft_vm *sv, uint32_t mode, const uint8_t *bytes, unsigned avail, struct insn *i);

/* What decode_insn starts from: the instruction at `bytes` as Zydis says it, in a mode. */
ZyanStatus decode_full(const struct soft_vm *sv, uint32_t mode, const uint8_t *bytes, unsigned avail, ZydisDecodedInstruction *zi,
		       ZydisDecodedOperand *op);

/* The number that struct insn gives a register: 0-15 (or more for vectors), REG_AH.. for the high bytes. */
uint8_t decode_reg_number(ZydisRegister r);

/* ---- block.c ---- */
enum { BLOCK_INSNS = 32 };
struct block {
	/* what a look at a block needs first, in one line of the host's cache */
	const uint8_t *host;      /* of the first byte: the physical key */
	uint64_t rip;             /* linear-side key that was last found good ... */
	uint32_t map_gen, mode;   /* ... under this generation of the mapping and this mode */
	const _Atomic uint32_t *page_gen;
	uint32_t gen;
	uint16_t len;             /* bytes */
	uint16_t heat;            /* visits since it was decoded or translated */
	uint8_t count;            /* instructions */
	uint8_t capacity;
	bool system;              /* the last one wants the run loop to look at events */
	bool once;                /* not to be found again */
	bool translated;          /* a translation points to its instructions */
	struct insn *insn;
	struct xblock *x;         /* its translation, if that still holds (xlate.c) */
	struct block *link[2];    /* the blocks that followed last: after falling through, after a jump */
	struct block *chain;      /* hash chain */
	uint64_t far;             /* what xlate_near.c knows of a translation's instructions */
	struct block_second {
		const uint8_t *host; /* NULL: the block lies in one page */
		const _Atomic uint32_t *page_gen;
		uint32_t gen;
	} second; /* of one instruction that crosses into the next page, for the translator: the part there */
} __attribute__((aligned(64)));
int block_cache_create(struct block_cache **out, struct err *e) ATTR_MUST_USE;
void block_cache_destroy(struct block_cache *bc);
/* Its tables are to have huge pages. */
void block_cache_use_huge(struct block_cache *bc, struct ahead *a);
/* The block at s.rip in the present mode; decodes it when need be; faults as the fetch would. */
struct block *block_find(struct soft_cpu *c);
/* One instruction at s.rip, decoded now and not kept. */
struct block *block_find_once(struct soft_cpu *c);
/* The one whose first byte lies at host, if it is decoded, in the present mode; it may be stale. */
struct block *block_known(struct soft_cpu *c, const uint8_t *host);
/* The same, decoded if need be; NULL: it cannot be, or not without dropping others. */
struct block *block_ahead(struct soft_cpu *c, const uint8_t *host);
uint64_t block_flushes(const struct soft_cpu *c);
static inline bool block_fresh(const struct soft_cpu *c, const struct block *b, uint64_t rip)
{
	return b->rip == rip && b->map_gen == c->tlb.map_gen[tlb_half(rip)] && b->mode == c->mode &&
	       b->gen == atomic_load_explicit(b->page_gen, memory_order_acquire);
}

/* ---- page.c ---- */
struct soft_ram *ram_find(struct soft_vm *sv, uint64_t gpa);
/* What an access of a vCPU finds at *gpa, which becomes a ROM's where a chipset shows that; NULL: no memory. */
struct soft_ram *ram_shadowed(struct soft_vm *sv, uint64_t *gpa, bool write);
static inline struct soft_ram *ram_seen(struct soft_vm *sv, uint64_t *gpa, bool write)
{
	if (likely(*gpa - GMEM_SHADOW >= GMEM_SHADOW_SIZE))
		return ram_find(sv, *gpa);
	return ram_shadowed(sv, gpa, write);
}
struct soft_ram *ram_of_host(struct soft_vm *sv, const uint8_t *host);
/* To be called after a store to RAM that did not go through a cached write translation. c may be NULL. */
void page_written(struct soft_vm *sv, struct soft_cpu *c, struct soft_ram *r, uint64_t off, uint64_t len);
/* May a write translation of this page be cached now, for lin? Notes that one is. */
bool page_take_writer(struct soft_vm *sv, struct soft_ram *r, uint64_t off, uint64_t lin);
/* Marks [off, off + len), within a page, as decoded. False: other vCPUs may still write there unseen. */
bool page_watch_code(struct soft_cpu *c, struct soft_ram *r, uint64_t off, unsigned len);
/* Drops this vCPU's write translations and says so. */
void page_ack(struct soft_cpu *c);
void page_code_written(void *sv, uint64_t gpa, uint64_t len); /* gmem_watch */

/* ---- mmu.c ---- */
uint64_t mmu_load_slow(struct soft_cpu *c, uint64_t lin, unsigned width);
void mmu_store_slow(struct soft_cpu *c, uint64_t lin, unsigned width, uint64_t v);
/* Code fetch: the host address of the byte at lin, NULL when it is not RAM (then *gpa says where). */
const uint8_t *mmu_fetch(struct soft_cpu *c, uint64_t lin, uint64_t *gpa);
/* For an access of 64-bit code that found no TLB entry: puts one there. False, and nothing has changed that the guest can
 * tell from a walk: the access faults, is not to RAM, or must be seen. */
bool mmu_refill(struct soft_cpu *c, uint64_t lin, bool write);
/* The same for the code at lin, at the present privilege. */
bool mmu_refill_exec(struct soft_cpu *c, uint64_t lin);
void mmu_drop_writers(struct soft_cpu *c); /* all write translations */
/* Those of this page, which are at `slot`; TLB_SIZE: anywhere. */
void mmu_drop_writers_of(struct soft_cpu *c, const uint8_t *host_page, unsigned slot);
void mmu_rmw_done(struct soft_cpu *c);

/* ---- cpu.c ---- */
void cpu_jump_bad(struct soft_cpu *c, uint64_t rip);

/* ---- debug.c ---- */
int debug_set(struct vcpu *v, const struct vcpu_debug *d, struct err *e) ATTR_MUST_USE;
/* Is a debugger's breakpoint at the instruction that comes next? Then v->debug_stop says so. */
bool debug_break_here(struct soft_cpu *c);
/* Has [RIP + 1, RIP + len) one? */
bool debug_break_inside(const struct soft_cpu *c, unsigned len);
/* After an instruction: is a stop due, for a watchpoint or a single step? */
bool debug_stop_due(struct soft_cpu *c);

/* ---- run.c, for step.c ---- */
/* Executes up to n instructions of the block at s.rip; faults leave by c->fault_jmp. */
void run_block(struct soft_cpu *c, struct block *b, unsigned n);
/* Runs from block to block until events are to be looked at. */
void run_chain(struct soft_cpu *c);
/* s.rip is exact or at the end of a block that changed what the loop looks at. False: the loop would find nothing to do. */
bool run_events_due(struct soft_cpu *c);
/* s.rip is exact: STI's shadow goes when its instruction is through, of which nobody was told. */
void run_shadow(struct soft_cpu *c);
/* After a fault: s.rip and the counters are made exact. */
void run_fault_state(struct soft_cpu *c);

#endif
