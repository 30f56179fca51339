/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame that all translated code runs in: which host register holds which guest register, and the fixed code that
 * enters it, leaves it, and calls C from it.
 */
#include "accel/soft/xlate_priv.h"
#include "core/vcpu.h"

#include <asm/prctl.h>
#include <assert.h>
#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT(field) XFRAME_AT(field)

/* R8 to R11 are what compilers use least, and lose at every call. */
const uint8_t xframe_host[X86_GPR_COUNT] = {
	[X86_RAX] = XFRAME_RAX, [X86_RCX] = HOST_RCX, [X86_RDX] = HOST_RDX, [X86_RBX] = HOST_RBX,
	[X86_RSP] = XFRAME_RSP, [X86_RBP] = HOST_RBP, [X86_RSI] = HOST_RSI, [X86_RDI] = HOST_RDI,
	[X86_R8] = HOST_NONE,   [X86_R9] = HOST_NONE, [X86_R10] = HOST_NONE, [X86_R11] = HOST_NONE,
	[X86_R12] = HOST_R12,   [X86_R13] = HOST_R13, [X86_R14] = HOST_R10, [X86_R15] = HOST_R11,
};

/* ---- the base of GS: struct soft_cpu while the thread runs its vCPU; glibc leaves GS alone ---- */
enum { HWCAP2_FSGSBASE = 1 << 1 };

static uint64_t gs_get(void)
{
	uint64_t v = 0;
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		asm volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xc8" : "=a"(v)); /* rdgsbase rax */
	else
		syscall(SYS_arch_prctl, ARCH_GET_GS, &v);
	return v;
}

static void gs_set(uint64_t v)
{
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		asm volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xd8" : : "a"(v)); /* wrgsbase rax */
	else
		syscall(SYS_arch_prctl, ARCH_SET_GS, v);
}

void xlate_thread_in(struct soft_cpu *c)
{
	if (!c->xlate)
		return;
	c->x_host_gs = gs_get();
	gs_set((uint64_t)(uintptr_t)c);
}

void xlate_thread_out(struct soft_cpu *c)
{
	if (c->xlate)
		gs_set(c->x_host_gs);
}

/* ---- what the stubs call ---- */
void xframe_stack(struct soft_cpu *c)
{
	uint64_t sp = c->s.gpr[X86_RSP], page = sp & ~UINT64_C(0xfff);
	const struct tlb_entry *e = &c->tlb.wr[tlb_slot(sp)];
	bool edge = !(c->mode & MODE_CODE64) && sp - XSTACK_EDGE > UINT32_MAX - 2 * XSTACK_EDGE;
	c->x_stack_bad = e->tag == page && !edge ? 0 : UINT64_MAX;
	c->x_stack_page = page;
	c->x_stack_addend = e->addend;
}

__attribute__((target("general-regs-only"))) static uint32_t refill(struct soft_cpu *c, uint64_t lin, uint32_t what)
{
	unsigned size = what & XREFILL_SIZE;
	return (lin & 0xfff) + size <= 4096 && mmu_refill(c, lin, what & XREFILL_WRITE);
}

uint32_t xlate_help(struct soft_cpu *c, uintptr_t what, uint64_t block_rip)
{
	const uint32_t mode = c->mode, gen0 = c->tlb.map_gen[0], gen1 = c->tlb.map_gen[1];
	const struct insn *i = (const struct insn *)(what & ~(uintptr_t)XHELP_SYSTEM);
	c->xlate->stats.helps++;
	c->block_rip = block_rip;
	c->next_rip = (block_rip + i->off + i->len) & c->rip_mask;
	c->cur = i;
	i->fn(c, i);
	/* What a block of the next address needs its entry checks, so a system block's end is no reason to leave by itself. */
	if (what & XHELP_SYSTEM)
		c->end_block = run_events_due(c);
	c->x_of = c->s.rflags >> 11 & 1;
	xframe_stack(c);
	return mode != c->mode || gen0 != c->tlb.map_gen[0] || gen1 != c->tlb.map_gen[1];
}

/* ---- code ---- */
static void moves(struct xtext *t, unsigned op)
{
	for (unsigned g = 0; g < X86_GPR_COUNT; g++)
		if (xframe_host[g] != HOST_NONE)
			x_gs(t, true, op, xframe_host[g], XFRAME_GPR(g));
}

/* Guest registers and flags to struct soft_cpu. The flags go there as one word: C reads it at once, and what it reads of
 * pieces just stored waits until these have left the host's store buffer. RAX and RCX are lost. */
static void store_all(struct xtext *t)
{
	moves(t, 0x89);
	x_load(t, HOST_RCX, AT(s.rflags));
	X_PUT(t, 0x88, 0xe1);                          /* mov cl, ah */
	X_PUT(t, 0x0f, 0xb6, 0xc0, 0xc1, 0xe0, 11);    /* movzx eax, al; shl eax, 11 */
	X_PUT(t, 0x80, 0xe5, (uint8_t)~(X86_FLAG_OF >> 8)); /* and ch */
	x_rr(t, false, 0x09, HOST_RAX, HOST_RCX);
	x_store(t, HOST_RCX, AT(s.rflags));
}

static void load_all(struct xtext *t)
{
	x_gs(t, false, 0x8a, 0, AT(x_of));
	x_gs(t, false, 0x8a, 4, AT(s.rflags));
	moves(t, 0x8b);
}

/* The host's stack is aligned to 8 bytes only while guest calls are on it: R14 keeps it for the time of a call of C. */
static void align_stack(struct xtext *t)
{
	X_PUT(t, 0x49, 0x89, 0xe6, 0x48, 0x83, 0xe4, 0xf0); /* mov r14, rsp; and rsp, -16 */
}

static void stack_back(struct xtext *t)
{
	X_PUT(t, 0x4c, 0x89, 0xf4); /* mov rsp, r14 */
}

static void call_c(struct soft_cpu *c, struct xtext *t, const void *fn)
{
	x_imm(t, HOST_RDI, (uint64_t)(uintptr_t)c);
	x_imm(t, HOST_RAX, (uint64_t)(uintptr_t)fn);
	X_PUT(t, 0xff, 0xd0); /* call rax */
}

/* What C may overwrite and the guest has values in. */
static void push_all(struct xtext *t)
{
	X_PUT(t, 0x50, 0x51, 0x52, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53);
}

static void pop_all(struct xtext *t)
{
	X_PUT(t, 0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58, 0x5f, 0x5e, 0x5a, 0x59, 0x58);
}

static uint8_t *if_vectors(struct xtext *t, unsigned cc)
{
	x_gs(t, false, 0x80, 7, AT(x_vec_live)); /* cmp byte gs:[live], 0 */
	x_byte(t, 0);
	return x_jcc(t, cc);
}

/* Where RET of the guest comes to when nothing is left that it called, or not from there: R15 says where to look. */
static void stubs_return(struct xlate *x, struct xtext *t)
{
	x->bottom = x_rx(t);
	x_lea(t, HOST_RSP, HOST_RSP, -8);
	x->astray = x_rx(t);
	X_PUT(t, 0x41, 0xff, 0xe7); /* jmp r15 */
}

/* enter(c, code): keeps what the host's ABI wants kept. The stack for the guest's calls is a page of the host's, which is
 * begun anew at its top when its last XRETURN_ROOM bytes are reached. */
static void stub_enter(struct xlate *x, struct xtext *t)
{
	x->enter = (uint32_t (*)(struct soft_cpu *, const uint8_t *))(uintptr_t)x_rx(t);
	/* push rbx, rbp, r12 to r15 */
	X_PUT(t, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
	x_store(t, HOST_RSP, AT(x_host_sp));
	X_PUT(t, 0x48, 0x81, 0xec); x_u32(t, 2 * XRETURN_BYTES);         /* sub rsp */
	X_PUT(t, 0x48, 0x81, 0xe4); x_u32(t, -(uint32_t)XRETURN_BYTES);  /* and rsp */
	X_PUT(t, 0x48, 0x81, 0xc4); x_u32(t, XRETURN_BYTES - 16);        /* add rsp */
	x_store(t, HOST_RSP, AT(x_return_base));
	x_imm(t, HOST_R15, (uint64_t)(uintptr_t)x->bottom);
	X_PUT(t, 0x4c, 0x89, 0x3c, 0x24, 0x49, 0x89, 0xf6); /* mov [rsp], r15; mov r14, rsi */
	load_all(t);
	X_PUT(t, 0x41, 0xff, 0xe6); /* jmp r14 */
}

/* R14: the block that is left; R15: what enter returns. */
static void stub_leave(struct xlate *x, struct xtext *t, const uint8_t *save)
{
	x->leave = x_rx(t);
	store_all(t);
	x_store(t, HOST_R14, AT(x_cur));
	uint8_t *dead = if_vectors(t, 4);
	x_call(t, save);
	x_here(t, dead);
	x_load(t, HOST_RSP, AT(x_host_sp));
	/* mov eax, r15d; pop r15 to r12, rbp, rbx; ret */
	X_PUT(t, 0x44, 0x89, 0xf8, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

/* To be called; R14 and R15: as xlate_help. Where mode or mapping are others afterwards, no return goes back to a call before. */
static void stub_help(struct soft_cpu *c, struct xlate *x, struct xtext *t, const uint8_t *save)
{
	x->help = x_rx(t);
	store_all(t);
	uint8_t *dead = if_vectors(t, 4);
	x_call(t, save);
	x_here(t, dead);
	x_gs(t, false, 0xc6, 0, AT(x_x87)); /* mov byte gs:[x_x87], 0 */
	x_byte(t, 0);
	x_rr(t, true, 0x89, HOST_R14, HOST_RSI);
	x_rr(t, true, 0x89, HOST_R15, HOST_RDX);
	align_stack(t);
	call_c(c, t, (const void *)(uintptr_t)xlate_help);
	stack_back(t);
	X_PUT(t, 0x85, 0xc0); /* test eax, eax */
	uint8_t *same = x_jcc(t, 4);
	X_PUT(t, 0x41, 0x5e); /* pop r14 */
	x_load(t, HOST_RSP, AT(x_return_base));
	X_PUT(t, 0x41, 0x56); /* push r14 */
	x_here(t, same);
	load_all(t);
	x_byte(t, 0xc3);
}

/* EAX: what refill returned -> R15: 0, or the reason to leave. */
static void refilled(struct xtext *t)
{
	X_PUT(t, 0x41, 0xc1, 0xef, XREFILL_SHIFT - 8);    /* shr r15d: n << 8 and some of what is below */
	X_PUT(t, 0x41, 0x81, 0xe7); x_u32(t, 0xffffff00); /* and r15d */
	X_PUT(t, 0x41, 0x83, 0xcf, XEXIT_BAIL);           /* or r15d */
	X_PUT(t, 0x83, 0xf8, 1);                          /* cmp eax, 1 */
	X_PUT(t, 0x19, 0xc0);                             /* sbb eax, eax: all ones when it was 0 */
	x_rr(t, false, 0x21, HOST_RAX, HOST_R15);
}

/* To be called; R14: a linear address, R15: XREFILL_*. ZF afterwards when the TLB has it now; else R15 is the reason to
 * leave. Keeps the other guest registers; what it calls knows of no vector registers (walk.h). */
static const uint8_t *stub_refill(struct soft_cpu *c, struct xtext *t, uint32_t (*fn)(struct soft_cpu *, uint64_t, uint32_t))
{
	const uint8_t *at = x_rx(t);
	push_all(t);
	x_rr(t, true, 0x89, HOST_R14, HOST_RSI);
	x_rr(t, false, 0x89, HOST_R15, HOST_RDX);
	align_stack(t);
	call_c(c, t, (const void *)(uintptr_t)fn);
	stack_back(t);
	refilled(t);
	pop_all(t);
	x_rr(t, false, 0x85, HOST_R15, HOST_R15);
	x_byte(t, 0xc3);
	return at;
}

/* Looks the page of xb up; false: the block is to be left. */
__attribute__((target("general-regs-only"))) static uint32_t remap(struct soft_cpu *c, const struct xblock *xb)
{
	if (!mmu_refill_exec(c, xb->page) || xb->exec->tag != xb->page || xb->exec->addend != xb->addend)
		return false;
	/* An accessed bit may have been set where code lies. */
	return !(atomic_load_explicit(&c->v->attention, memory_order_relaxed) & SOFT_ATT_CODE);
}

/* To be called; R14: struct xblock, whose page the TLB showed at its place in another mode, which is for the loop, or under another
 * generation of the mapping. Where it does again that is the present one's; where it does not show it, it is looked up; else the block is left. */
static void stub_remap(struct soft_cpu *c, struct xlate *x, struct xtext *t)
{
	x->remap = x_rx(t);
	x_mem(t, false, 0x8b, HOST_R15, HOST_R14, (int32_t)offsetof(struct xblock, mode));
	x_gs(t, false, 0x3b, HOST_R15, AT(mode));
	uint8_t *other_mode = x_jcc(t, 5);
	x_byte(t, 0x51); /* push rcx */
	x_mem(t, true, 0x8b, HOST_R15, HOST_R14, (int32_t)offsetof(struct xblock, exec));
	x_mem(t, true, 0x8b, HOST_RCX, HOST_R14, (int32_t)offsetof(struct xblock, page));
	x_mem(t, true, 0x3b, HOST_RCX, HOST_R15, (int32_t)offsetof(struct tlb_entry, tag));
	uint8_t *other = x_jcc(t, 5);
	x_mem(t, true, 0x8b, HOST_RCX, HOST_R14, (int32_t)offsetof(struct xblock, addend));
	x_mem(t, true, 0x3b, HOST_RCX, HOST_R15, (int32_t)offsetof(struct tlb_entry, addend));
	uint8_t *another = x_jcc(t, 5);
	x_byte(t, 0x59);
	x_mem(t, true, 0x8b, HOST_R15, HOST_R14, (int32_t)offsetof(struct xblock, now));
	x_mem(t, true, 0x8b, HOST_R14, HOST_R14, (int32_t)offsetof(struct xblock, map_gen));
	x_mem(t, true, 0x8b, HOST_R15, HOST_R15, 0);
	x_mem(t, true, 0x89, HOST_R15, HOST_R14, 0);
	x_imm(t, HOST_R14, 0); /* the writable side of code memory was there */
	x_byte(t, 0xc3);
	x_here(t, other);
	x_here(t, another);
	x_byte(t, 0x59); /* pop rcx */
	push_all(t);
	x_rr(t, true, 0x89, HOST_R14, HOST_RSI);
	X_PUT(t, 0x41, 0x56); /* push r14 */
	align_stack(t);
	call_c(c, t, (const void *)(uintptr_t)remap);
	stack_back(t);
	X_PUT(t, 0x41, 0x5e); /* pop r14 */
	x_rr(t, false, 0x89, HOST_RAX, HOST_R15);
	pop_all(t);
	x_rr(t, false, 0x85, HOST_R15, HOST_R15);
	x_jcc_to(t, 5, x->remap);
	x_here(t, other_mode);
	X_PUT(t, 0x48, 0x83, 0xc4, 8); /* add rsp, 8 */
	x_imm(t, HOST_R15, XEXIT_STALE);
	x_jmp(t, x->leave);
}

/* To be called; R14: a linear address of the stack. R15 is 0 afterwards when the TLB does not show its page. */
static void stub_stack_refill(struct xlate *x, struct xtext *t)
{
	x->stack_refill = x_rx(t);
	x_rr(t, false, 0x89, HOST_R14, HOST_R15);
	X_PUT(t, 0x41, 0xc1, 0xef, 8);                                    /* shr r15d, 8 */
	X_PUT(t, 0x41, 0x81, 0xe7); x_u32(t, (TLB_SIZE - 1) << 4);        /* and r15d, slot << 4 */
	x_gs(t, true, 0x03, HOST_R15, AT(tlb.wr));
	X_PUT(t, 0x49, 0x81, 0xe6); x_u32(t, 0xfffff000);                 /* and r14, -4096 */
	x_mem(t, true, 0x3b, HOST_R14, HOST_R15, 0);
	uint8_t *missing = x_jcc(t, 5);
	x_store(t, HOST_R14, AT(x_stack_page));
	x_mem(t, true, 0x8b, HOST_R15, HOST_R15, 8);
	x_store(t, HOST_R15, AT(x_stack_addend));
	x_gs(t, true, 0xc7, 0, AT(x_stack_bad));
	x_u32(t, 0);
	x_imm(t, HOST_R15, 1);
	x_byte(t, 0xc3);
	x_here(t, missing);
	X_PUT(t, 0x45, 0x31, 0xff, 0xc3); /* xor r15d, r15d; ret */
}

/* To be called; R15: what x_vec_live is then. */
static void stub_vec_load(struct xlate *x, struct xtext *t, const uint8_t *load)
{
	x->vec_load = x_rx(t);
	push_all(t);
	align_stack(t);
	x_call(t, load);
	stack_back(t);
	x_rr(t, false, 0x89, HOST_RAX, HOST_R15);
	pop_all(t);
	x_byte(t, 0xc3);
}

/* To be called; R15: may they be used? Loading the FPU overwrites the vector registers, so these are saved before. */
static void stub_x87_load(struct soft_cpu *c, struct xlate *x, struct xtext *t, const uint8_t *save)
{
	x->x87_load = x_rx(t);
	push_all(t);
	uint8_t *dead = if_vectors(t, 4);
	x_call(t, save);
	x_here(t, dead);
	align_stack(t);
	call_c(c, t, (const void *)(uintptr_t)xvec_x87_may);
	stack_back(t);
	x_rr(t, false, 0x89, HOST_RAX, HOST_R15);
	pop_all(t);
	x_byte(t, 0xc3);
}

void xframe_stubs(struct soft_cpu *c, struct xlate *x, struct xtext *t)
{
	const uint8_t *save = x_rx(t);
	xvec_save_stub(c, t);
	const uint8_t *load = x_rx(t);
	xvec_load_stub(c, t);
	stubs_return(x, t);
	stub_enter(x, t);
	stub_leave(x, t, save);
	stub_help(c, x, t, save);
	x->refill = stub_refill(c, t, refill);
	x->near_refill = stub_refill(c, t, xnear_refill);
	stub_stack_refill(x, t);
	stub_remap(c, x, t);
	stub_vec_load(x, t, load);
	stub_x87_load(c, x, t, save);
	assert(!t->overflow);
}
