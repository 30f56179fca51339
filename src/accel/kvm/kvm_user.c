/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs user code in KVM until something ends it, and takes back what ended it: see kvm_user.h. */
#include "accel/kvm/kvm_user.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	USER_CS = 0x33, /* what a KVM that runs user code natively shows, and what Linux and Windows use */
	USER_SS = 0x2b,
	STUB_BYTES = 8,
	LSTAR_AT = 0x800 + 4, /* between two gates' targets: nothing else leads there */
	MSR_STAR = 0xc0000081,
	MSR_LSTAR = 0xc0000082,
	MSR_CSTAR = 0xc0000083,
	MSR_SFMASK = 0xc0000084,
};

/* What user code can change without a trap. */
#define USER_FLAGS (UINT64_C(0xcd5) | X86_FLAG_TF | UINT64_C(0x4000) | X86_FLAG_AC | UINT64_C(0x200000))

static uint64_t lstar(void)
{
	return kvm_user_linear(KVM_USER_STUB) + LSTAR_AT;
}

static void count(_Atomic uint64_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* ---- into KVM ---- */

static void sregs_make(struct kvm_user *u, const struct x86_state *s, uint64_t cr3, struct kvm_sregs *r)
{
	const uint64_t cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE | X86_CR4_FSGSBASE | X86_CR4_TSD |
			     X86_CR4_UMIP | X86_CR4_PCE;
	*r = (struct kvm_sregs){
		.es = kvm_seg_make(&s->seg[X86_ES]),
		.cs = kvm_seg_make(&s->seg[X86_CS]),
		.ss = kvm_seg_make(&s->seg[X86_SS]),
		.ds = kvm_seg_make(&s->seg[X86_DS]),
		.fs = kvm_seg_make(&s->seg[X86_FS]),
		.gs = kvm_seg_make(&s->seg[X86_GS]),
		.tr = { .base = kvm_user_linear(KVM_USER_GDT) + 0x800,
			.limit = 0x67,
			.selector = 0x18,
			.type = 11,
			.present = 1 },
		.ldt = { .unusable = 1 },
		.gdt = { .base = kvm_user_linear(KVM_USER_GDT), .limit = 23 },
		.idt = { .base = kvm_user_linear(KVM_USER_IDT), .limit = 4095 },
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_ET | X86_CR0_NE |
		       (s->cr0 & (X86_CR0_MP | X86_CR0_TS | X86_CR0_EM | X86_CR0_AM)),
		.cr3 = cr3,
		.cr4 = X86_CR4_PAE | (s->cr4 & cr4),
		.efer = X86_EFER_LME | X86_EFER_LMA | (s->efer & X86_EFER_NXE),
		.apic_base = u->apic_base,
	};
}

static void regs_make(const struct x86_state *s, struct kvm_regs *r)
{
	const uint64_t *g = s->gpr;
	*r = (struct kvm_regs){
		.rax = g[X86_RAX], .rcx = g[X86_RCX], .rdx = g[X86_RDX], .rbx = g[X86_RBX],
		.rsp = g[X86_RSP], .rbp = g[X86_RBP], .rsi = g[X86_RSI], .rdi = g[X86_RDI],
		.r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11],
		.r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15],
		.rip = s->rip,
		.rflags = (s->rflags & USER_FLAGS) | X86_FLAG_IF | X86_FLAG_ONE,
	};
}

static int registers_put(struct kvm_user *u, const struct x86_state *s, uint64_t cr3, struct err *e)
{
	struct kvm_run *run = u->k->run;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	sregs_make(u, s, cr3, &sregs);
	regs_make(s, &regs);
	const uint64_t both = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	if ((u->k->m->offer.sync_regs & both) == both) {
		run->s.regs.regs = regs;
		run->s.regs.sregs = sregs;
		run->kvm_valid_regs = both | (u->k->m->offer.sync_regs & KVM_SYNC_X86_EVENTS);
		run->kvm_dirty_regs = both;
		return 0;
	}
	if (ioctl(u->k->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(u->k->fd, KVM_SET_REGS, &regs) < 0)
		return err_errno(e, errno, "KVM refuses the registers of user code");
	return 0;
}

static int fpu_put(struct kvm_user *u, const struct x86_state *s, struct err *e)
{
	int r = 0;
	if (s->xcr0 != u->xcr0)
		r = kvm_xcrs_set(u->k, s, e);
	u->xcr0 = s->xcr0;
	if (r == 0 && (!u->fpu_known || memcmp(u->fpu, &s->fpu, sizeof(s->fpu))))
		r = kvm_fpu_set(u->k, s, e);
	u->fpu_known = false;
	return r;
}

/* 0; 1: its page table is not in RAM; negative: an error. */
static int put(struct kvm_user *u, const struct x86_state *s, uint32_t user_gen, uint64_t tsc_offset, struct err *e)
{
	uint64_t cr3 = kvm_user_root(u, s->cr3);
	if (!cr3)
		return 1;
	if (user_gen != u->user_gen)
		kvm_user_forget(u);
	u->user_gen = user_gen;
	if (!u->engine.tsc_fixed && tsc_offset != u->tsc_offset)
		(void)kvm_clock_offset(u->k, tsc_offset);
	u->tsc_offset = tsc_offset;
	int r = fpu_put(u, s, e);
	return r < 0 ? r : registers_put(u, s, cr3, e);
}

/* ---- out of KVM ---- */

static int registers_get(struct kvm_user *u, struct err *e)
{
	struct kvm_run *run = u->k->run;
	if (run->kvm_valid_regs)
		return 0;
	if (ioctl(u->k->fd, KVM_GET_SREGS, &run->s.regs.sregs) < 0 ||
	    ioctl(u->k->fd, KVM_GET_REGS, &run->s.regs.regs) < 0)
		return err_errno(e, errno, "KVM does not give the registers of user code");
	return 0;
}

static void regs_take(const struct kvm_regs *r, struct x86_state *s)
{
	const uint64_t g[X86_GPR_COUNT] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
					    r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };
	memcpy(s->gpr, g, sizeof(g));
	s->rip = r->rip;
}

static void flags_take(struct x86_state *s, uint64_t flags)
{
	s->rflags = (s->rflags & ~(USER_FLAGS | UINT64_C(0x10000))) | (flags & USER_FLAGS);
}

/* The bases that WRFSBASE and WRGSBASE change, and selectors that user code loaded. */
static void segments_take(const struct kvm_sregs *r, struct x86_state *s)
{
	const struct kvm_segment *const from[] = {
		[X86_ES] = &r->es, [X86_DS] = &r->ds, [X86_FS] = &r->fs, [X86_GS] = &r->gs
	};
	for (unsigned n = 0; n < COUNT_OF(from); n++) {
		if (!from[n])
			continue;
		if (from[n]->selector != s->seg[n].sel)
			s->seg[n] = kvm_seg_read(from[n]);
		s->seg[n].base = from[n]->base;
	}
}

static int take(struct kvm_user *u, struct x86_state *s, struct err *e)
{
	const struct kvm_run *run = u->k->run;
	regs_take(&run->s.regs.regs, s);
	flags_take(s, run->s.regs.regs.rflags);
	segments_take(&run->s.regs.sregs, s);
	int r = kvm_fpu_get(u->k, s, e);
	memcpy(u->fpu, &s->fpu, sizeof(s->fpu));
	u->fpu_known = r == 0;
	return r;
}

/* ---- what ended user code ---- */

/* SYSCALL on a KVM that loads RIP and stays in user mode. User code that jumps there itself has not executed one. */
static void undo_syscall(struct kvm_user *u, struct x86_state *s)
{
	uint64_t next = s->gpr[X86_RCX];
	if (s->rip != lstar() || kvm_user_byte(u, s->cr3, next - 2) != 0x0f ||
	    kvm_user_byte(u, s->cr3, next - 1) != 0x05)
		return;
	s->rip = next - 2;
	flags_take(s, s->gpr[X86_R11]);
}

/* The frame that KVM pushed for the gate of `vector`: SDM 3A 6.14.2. Faults are simply executed again. */
static enum soft_user_result undo(struct kvm_user *u, struct x86_state *s, unsigned vector)
{
	const uint64_t *top = (const uint64_t *)(u->pages + (KVM_USER_STACK + 1) * 4096);
	uint64_t rip = top[-5], flags = top[-3];
	s->rip = rip;
	s->gpr[X86_RSP] = top[-2];
	flags_take(s, flags);
	if (vector == X86_DB && (flags & X86_FLAG_TF))
		return SOFT_USER_TRAP;
	if (vector == X86_DB || vector == X86_BP)
		s->rip = rip - 1; /* INT1, INT3 */
	else if (vector >= 32)
		s->rip = rip - 2; /* INT n, of a KVM that does not look at the gate */
	else if (vector == X86_PF)
		undo_syscall(u, s);
	return SOFT_USER_STEP;
}

static bool in_user(const struct kvm_user *u)
{
	return u->k->run->s.regs.sregs.cs.dpl == 3;
}

/*
 * A kick may come between an INT3 and its delivery. KVM does not tell of that one: it counts on RIP being at the
 * instruction, where some are behind it. So behind an INT3 KVM goes on under page tables without user code: either the
 * breakpoint is delivered, or a page fault takes its place, at once.
 */
static bool int3_perhaps(struct kvm_user *u, const struct x86_state *s)
{
	struct kvm_run *run = u->k->run;
	if (kvm_user_byte(u, s->cr3, run->s.regs.regs.rip - 1) != 0xcc)
		return false;
	run->s.regs.sregs.cr3 = kvm_user_empty(u);
	if (run->kvm_valid_regs)
		run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	else
		(void)ioctl(u->k->fd, KVM_SET_SREGS, &run->s.regs.sregs);
	return true;
}

/* A trap whose delivery a kick interrupted: its instruction is complete, so it must not be lost. */
static bool event_under_way(struct kvm_user *u)
{
	struct kvm_run *run = u->k->run;
	struct kvm_vcpu_events *ev = &run->s.regs.events;
	if (!(run->kvm_valid_regs & KVM_SYNC_X86_EVENTS) && ioctl(u->k->fd, KVM_GET_VCPU_EVENTS, ev) < 0)
		return false;
	return ev->exception.injected || ev->exception.pending || ev->interrupt.injected;
}

static enum soft_user_result fail(struct kvm_user *u, const struct err *e)
{
	kvm_fault(u->k, "%s", e->text);
	return SOFT_USER_ERROR;
}

static enum soft_user_result leave(struct kvm_user *u, struct x86_state *s, enum soft_user_result r)
{
	struct err e = { 0 };
	if (take(u, s, &e) < 0)
		return fail(u, &e);
	undo_syscall(u, s);
	return r;
}

static enum soft_user_result ended(struct kvm_user *u, struct x86_state *s)
{
	uint64_t at = u->k->run->s.regs.regs.rip - 1 - kvm_user_linear(KVM_USER_STUB);
	struct err e = { 0 };
	if (at >= 4096 || at / STUB_BYTES > 255) {
		kvm_fault(u->k, "KVM stopped at %#llx in user code", (unsigned long long)u->k->run->s.regs.regs.rip);
		return SOFT_USER_ERROR;
	}
	if (take(u, s, &e) < 0)
		return fail(u, &e);
	count(&u->steps);
	return undo(u, s, (unsigned)at / STUB_BYTES);
}

/* One entry's exit. False: go on in KVM. */
static bool exit_handle(struct kvm_user *u, struct x86_state *s, enum soft_user_result *out)
{
	struct kvm_cpu *k = u->k;
	uint32_t reason = k->run->exit_reason;
	count(&k->v->stats.exits);
	if (reason < KVM_EXIT_KINDS)
		count(&k->exit_count[reason]);
	k->completing = reason == KVM_EXIT_IO || reason == KVM_EXIT_MMIO;
	switch (reason) {
	case KVM_EXIT_IO: kvm_exit_io(k); return false;
	case KVM_EXIT_MMIO: kvm_exit_mmio(k); return false;
	case KVM_EXIT_INTR: return false;
	case KVM_EXIT_HLT: *out = ended(u, s); return true;
	default:
		if (reason == KVM_EXIT_INTERNAL_ERROR && in_user(u)) {
			*out = leave(u, s, SOFT_USER_STEP);
			return true;
		}
		kvm_fault(k, "KVM left user code for reason %u (%u) at %#llx; use --accel soft", reason,
			  k->run->internal.suberror, (unsigned long long)k->run->s.regs.regs.rip);
		*out = SOFT_USER_ERROR;
		return true;
	}
}

/* The kick's rule is kvm_run.c's: immediate_exit is cleared first, then attention is looked at. */
static enum soft_user_result loop(struct kvm_user *u, struct x86_state *s)
{
	struct kvm_cpu *k = u->k;
	enum soft_user_result out;
	struct err e = { 0 };
	for (bool ran = false;; ran = true) {
		__atomic_store_n(&k->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		bool attention = atomic_load(&k->v->attention);
		if (attention && !ran)
			return SOFT_USER_ATTENTION;
		if (attention && !k->completing && in_user(u) && !event_under_way(u) && !int3_perhaps(u, s))
			return leave(u, s, SOFT_USER_ATTENTION);
		if (attention && k->completing)
			__atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		int r = ioctl(k->fd, KVM_RUN, 0) < 0 ? errno : 0;
		k->run->kvm_dirty_regs = 0;
		if (r && r != EINTR && r != EAGAIN) {
			kvm_run_failed(k, r);
			return SOFT_USER_ERROR;
		}
		if (registers_get(u, &e) < 0)
			return fail(u, &e);
		if (r)
			k->completing = false;
		else if (exit_handle(u, s, &out))
			return out;
	}
}

static enum soft_user_result run(void *opaque, struct x86_state *s, uint32_t user_gen, uint64_t tsc_offset)
{
	struct kvm_user *u = opaque;
	struct err e = { 0 };
	int r = put(u, s, user_gen, tsc_offset, &e);
	if (r < 0)
		return fail(u, &e);
	if (r > 0)
		return SOFT_USER_STEP;
	count(&u->entries);
	kvm_thread_prepare(u->k);
	enum soft_user_result out = loop(u, s);
	atomic_store(&u->k->run_tid, 0);
	return out;
}

/* ---- life ---- */

int kvm_user_create(struct kvm_user **out, struct kvm_user_machine *um, struct vcpu *v, struct err *e)
{
	struct kvm_user *u = calloc(1, sizeof(*u));
	if (u)
		u->fpu = aligned_alloc(64, round_up(sizeof(*u->fpu), 64));
	if (!u || !u->fpu) {
		free(u);
		return err_set(e, -ENOMEM, "no memory for vCPU %u", v->index);
	}
	u->um = um;
	u->engine = (struct soft_user){ .run = run, .opaque = u, .cs = USER_CS, .ss = USER_SS };
	int r = kvm_cpu_open(&u->k, um->m, v, e);
	if (r < 0) {
		kvm_user_destroy(u);
		return r;
	}
	*out = u;
	return 0;
}

void kvm_user_destroy(struct kvm_user *u)
{
	if (!u)
		return;
	if (u->k)
		kvm_cpu_close(u->k);
	free(u->fpu);
	free(u);
}

/* Does the TSC of user code follow the offset? The odd one is given to find out. */
static void tsc_probe(struct kvm_user *u)
{
	const uint64_t odd = UINT64_C(1) << 40, slack = 10000000;
	uint64_t offset = kvm_clock_offset(u->k, odd);
	u->engine.tsc_fixed = offset - odd + slack > 2 * slack;
	u->engine.tsc_offset = u->tsc_offset = offset;
}

int kvm_user_prepare(struct kvm_user *u, struct err *e)
{
	struct kvm_sregs s;
	u->pages = u->um->pages + (uint64_t)u->k->v->index * KVM_USER_PAGES * 4096;
	u->gpa = u->um->gpa + (uint64_t)u->k->v->index * KVM_USER_PAGES * 4096;
	kvm_user_mem_fill(u);
	int r = kvm_cpuid_set(u->k, e);
	if (r < 0)
		return r;
	if (ioctl(u->k->fd, KVM_GET_SREGS, &s) < 0)
		return err_errno(e, errno, "KVM does not give the registers of vCPU %u", u->k->v->index);
	u->apic_base = s.apic_base;
	const struct kvm_msr_entry list[] = {
		{ .index = MSR_STAR, .data = UINT64_C(0x23) << 48 | UINT64_C(8) << 32 },
		{ .index = MSR_LSTAR, .data = lstar() },
		{ .index = MSR_CSTAR, .data = lstar() },
		{ .index = MSR_SFMASK, .data = 0 },
	};
	if (kvm_msrs_write(u->k, list, COUNT_OF(list)) != COUNT_OF(list))
		return err_set(e, -EIO, "KVM refuses the MSRs of SYSCALL");
	tsc_probe(u);
	return 0;
}
