/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel_soft: the life of the machine's and the vCPUs' soft part, and the loop that runs guest code until something
 * happens. Order of events: SDM 3A table 6-2.
 */
#include "accel/soft/ahead.h"
#include "accel/soft/mem.h"
#include "accel/soft/mmu.h"
#include "accel/soft/pages.h"
#include "accel/soft/predecode.h"
#include "accel/soft/soft.h"
#include "accel/soft/system.h"
#include "accel/soft/thunk.h"
#include "accel/soft/thunk_cache.h"
#include "accel/soft/xlate.h"
#include "accel/soft/xlate_sight.h"
#include "core/accel.h"
#include "core/vcpu.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DR6_BS = 1 << 14 };

/* ---- running blocks ---- */
void run_block(struct soft_cpu *c, struct block *b, unsigned n)
{
	const struct insn *i = b->insn, *end = i + (n < b->count ? n : b->count);
	uint64_t rip = c->s.rip;
	c->block_rip = rip;
	c->next_rip = (rip + b->len) & c->rip_mask;
	do {
		c->cur = i;
		i->fn(c, i);
		i++;
	} while (i != end && likely(!c->end_block));
	c->instructions += (uint64_t)(i - b->insn);
	c->interpreted += (uint64_t)(i - b->insn);
	if (unlikely(i != b->insn + b->count))
		c->next_rip = insn_next_rip(c, i - 1);
	c->s.rip = c->next_rip;
}

void run_shadow(struct soft_cpu *c)
{
	if (unlikely(c->s.ev.sti_shadow) && c->s.rip != c->shadow_rip)
		c->s.ev.sti_shadow = false;
}

/* An interrupt that comes from now on is seen by whoever goes on, and waits for the end of a shadow in the loop. */
bool run_events_due(struct soft_cpu *c)
{
	const struct soft_vcpu *p = soft_vcpu_of(c);
	const struct x86_events *ev = &c->s.ev;
	const struct soft_options *o = &c->sv->options;
	if (atomic_load_explicit(&c->v->attention, memory_order_relaxed) || p->rmw_host || c->dr6_pending ||
	    c->s.mp != X86_MP_RUNNABLE || c->mode & (MODE_TF | MODE_BREAK | MODE_DEBUG))
		return true;
	if (ev->movss_shadow || ev->nmi_pending || ev->triple_fault || ev->exception_pending || ev->interrupt_pending)
		return true;
	return (p->intr_maybe && c->s.rflags & X86_FLAG_IF) || o->each_block || o->inject || p->user;
}

/* From block to block until events are to be looked at. */
void run_chain(struct soft_cpu *c)
{
	const _Atomic unsigned *attention = &c->v->attention;
	const bool each = c->sv->options.each_block;
	struct block *b = block_find(c), *next;
	unsigned at = 0;
	for (;;) {
		struct xblock *x = c->xlate ? xlate_block(c, b) : NULL;
		if (x) {
			enum xlate_result r = xlate_run(c, x, &b, &at);
			if (r == XLATE_LEAVE ||
			    (r == XLATE_NEXT && (each || atomic_load_explicit(attention, memory_order_relaxed))))
				return;
			if (r == XLATE_NEXT) {
				b = block_find(c);
				continue;
			}
		}
		const struct insn *i = b->insn + at, *end = b->insn + b->count;
		c->interpreted -= at;
		at = 0;
		uint64_t rip = c->s.rip, fall = (rip + b->len) & c->rip_mask;
		c->block_rip = rip;
		c->next_rip = fall;
		do {
			c->cur = i;
			i->fn(c, i);
			i++;
		} while (i != end && likely(!c->end_block));
		if (unlikely(i != end)) {
			c->next_rip = insn_next_rip(c, i - 1);
			c->instructions += (uint64_t)(i - b->insn);
			c->interpreted += (uint64_t)(i - b->insn);
			c->s.rip = c->next_rip;
			return;
		}
		c->instructions += b->count;
		c->interpreted += b->count;
		c->s.rip = c->next_rip;
		if (unlikely(each || atomic_load_explicit(attention, memory_order_relaxed)) ||
		    (unlikely(c->end_block || b->system) && run_events_due(c)))
			return;
		c->end_block = false;
		struct block **link = &b->link[c->s.rip != fall];
		next = *link;
		if (likely(next && block_fresh(c, next, c->s.rip))) {
			b = next;
			continue;
		}
		uint64_t drops = block_flushes(c);
		c->cur = NULL;
		next = block_find(c);
		if (drops == block_flushes(c) && !next->once && !b->once)
			*link = next;
		b = next;
	}
}

void run_fault_state(struct soft_cpu *c)
{
	struct soft_vcpu *p = soft_vcpu_of(c);
	if (c->cur) {
		c->s.rip = insn_rip(c, c->cur);
		c->cur = NULL;
	}
	c->end_block = false;
	if (p->rmw_host)
		mmu_rmw_done(c);
}

/* ---- events ---- */
static uint32_t cpu_signature(const struct vcpu *v)
{
	const struct x86_cpuid *row = v->cpuid ? vcpu_cpuid(v, 1, 0) : NULL;
	return row ? row->eax : 0x600;
}

static void take_init(struct soft_cpu *c)
{
	atomic_fetch_and(&c->v->attention, ~(unsigned)VCPU_ATT_INIT); /* a SIPI may have followed already */
	thunk_fpu_sync(c);
	x86_state_init(&c->s, c->v->index == 0, cpu_signature(c->v));
	mmu_flush_all(c);
	cpu_update_mode(c);
}

static void take_sipi(struct soft_cpu *c)
{
	atomic_fetch_and(&c->v->attention, ~(unsigned)VCPU_ATT_SIPI);
	if (c->s.mp != X86_MP_WAIT_SIPI)
		return;
	uint8_t vector = atomic_load(&c->v->sipi_vector);
	c->s.seg[X86_CS].sel = (uint16_t)(vector << 8);
	c->s.seg[X86_CS].base = (uint32_t)vector << 12;
	c->s.rip = 0;
	c->s.mp = X86_MP_RUNNABLE;
	cpu_update_mode(c);
}

static bool take_interrupt(struct soft_cpu *c)
{
	struct soft_vcpu *p = soft_vcpu_of(c);
	const struct vcpu_chip *chip = c->v->chip;
	if (!p->intr_maybe || !(c->s.rflags & X86_FLAG_IF) || !chip)
		return false;
	if (!chip->intr_pending(chip->opaque)) {
		p->intr_maybe = false;
		return false;
	}
	int vector = chip->intr_ack(chip->opaque);
	if (vector < 0)
		return false;
	atomic_fetch_add_explicit(&c->v->stats.interrupts, 1, memory_order_relaxed);
	c->s.mp = X86_MP_RUNNABLE;
	event_deliver(c, EVENT_INTERRUPT, (unsigned)vector, false, 0);
	return true;
}

/* The interrupt that a developer asked for (soft_options), between two blocks that run with interrupts on. */
static bool take_injected_vector(struct soft_cpu *c)
{
	struct soft_vcpu *p = soft_vcpu_of(c);
	if (!(c->s.rflags & X86_FLAG_IF) || c->s.mp != X86_MP_RUNNABLE)
		return false;
	if (p->blocks_seen++ < c->sv->options.inject_every)
		return false;
	p->blocks_seen = 0;
	event_deliver(c, EVENT_INTERRUPT, c->sv->options.inject, false, 0);
	return true;
}

/* Takes what attention asks for; false: leave guest code with *out. */
static bool take_attention(struct soft_cpu *c, enum vcpu_exit *out)
{
	unsigned att = atomic_load(&c->v->attention);
	if (att & SOFT_ATT_ACK)
		page_ack(c);
	if (att & SOFT_ATT_CODE)
		xlate_look(c);
	if (att & VCPU_ATT_SMI)
		atomic_fetch_and(&c->v->attention, ~(unsigned)VCPU_ATT_SMI);
	if (att & VCPU_ATT_STOP) {
		*out = VCPU_EXIT_ATTENTION;
		return false;
	}
	if (att & VCPU_ATT_INIT)
		take_init(c);
	if (att & VCPU_ATT_SIPI)
		take_sipi(c);
	if (att & VCPU_ATT_NMI) {
		atomic_fetch_and(&c->v->attention, ~(unsigned)VCPU_ATT_NMI);
		c->s.ev.nmi_pending = true;
	}
	if (att & VCPU_ATT_INTR) {
		atomic_fetch_and(&c->v->attention, ~(unsigned)VCPU_ATT_INTR);
		soft_vcpu_of(c)->intr_maybe = true;
	}
	return true;
}

/* Events that a state taken from elsewhere had under way. */
static void take_injected(struct soft_cpu *c)
{
	struct x86_events *ev = &c->s.ev;
	if (ev->exception_pending) {
		ev->exception_pending = false;
		event_deliver(c, EVENT_FAULT, ev->exception_vector, ev->exception_has_code, ev->exception_code);
	} else if (ev->interrupt_pending) {
		ev->interrupt_pending = false;
		event_deliver(c, EVENT_INTERRUPT, ev->interrupt_vector, false, 0);
	}
}

/* One instruction, with the debug hooks around it. Another engine of user code may have written code unseen: there
 * nothing that was decoded before is used. */
static void run_one(struct soft_cpu *c)
{
	bool tf = c->s.rflags & X86_FLAG_TF, breaks = c->mode & MODE_BREAK;
	bool anew = unlikely(soft_vcpu_of(c)->user) && (c->mode & MODE_USER);
	c->cur = NULL;
	c->step_skip = false;
	if (breaks)
		event_before_insn(c);
	run_block(c, anew ? block_find_once(c) : block_find(c), 1);
	c->cur = NULL;
	c->end_block = false;
	if (soft_vcpu_of(c)->rmw_host)
		mmu_rmw_done(c);
	if (tf || breaks || c->dr6_pending)
		event_after_insn(c, tf);
}

/* As run_one or run_chain, with a look for the debugger's breakpoints before each block, or instruction of a block that
 * holds one. False: it is to be told of a stop. */
static bool run_debug(struct soft_cpu *c, bool one, enum vcpu_exit *out)
{
	const _Atomic unsigned *attention = &c->v->attention;
	bool end;
	*out = VCPU_EXIT_DEBUG;
	do {
		if (debug_break_here(c))
			return false;
		if (one || c->v->debug.single_step || (c->mode & (MODE_TF | MODE_BREAK))) {
			run_one(c);
			return !debug_stop_due(c);
		}
		c->cur = NULL;
		struct block *b = block_find(c);
		run_block(c, b, debug_break_inside(c, b->len) ? 1 : b->count);
		c->cur = NULL;
		end = c->end_block || b->system;
	} while (!end && !atomic_load_explicit(attention, memory_order_relaxed));
	return true;
}

/* Only 64-bit user code, without a debugger or trap. False: leave guest code. */
static bool run_user(struct soft_cpu *c, enum vcpu_exit *out)
{
	struct soft_vcpu *p = soft_vcpu_of(c);
	thunk_fpu_sync(c);
	if (c->s.seg[X86_CS].sel != p->user->cs || c->s.seg[X86_SS].sel != p->user->ss) {
		run_chain(c);
		return true;
	}
	atomic_store(&p->active, false);
	enum soft_user_result r =
		p->user->run(p->user->opaque, &c->s, c->tlb.user_gen, c->tsc_machine + c->tsc_offset);
	atomic_store(&p->active, true);
	if (atomic_load(&p->ack_epoch) != atomic_load(&c->sv->epoch))
		page_ack(c);
	cpu_update_mode(c);
	switch (r) {
	case SOFT_USER_STEP: run_one(c); return true;
	case SOFT_USER_TRAP: c->dr6_pending |= DR6_BS; return true;
	case SOFT_USER_ATTENTION: return true;
	default: *out = VCPU_EXIT_ERROR; return false;
	}
}

void soft_user_set(struct vcpu *v, const struct soft_user *u)
{
	struct soft_vcpu *p = v->accel_data;
	p->user = u;
}

/* The counter as others see it: at each call for attention, so a timer interrupt old at most. */
static void publish(struct soft_cpu *c)
{
	atomic_store_explicit(&c->v->stats.instructions, c->instructions, memory_order_relaxed);
}

/* Between instructions: events by priority. False: leave guest code. */
static bool run_events(struct soft_cpu *c, enum vcpu_exit *out)
{
	struct x86_events *ev = &c->s.ev;
	if (unlikely(atomic_load_explicit(&c->v->attention, memory_order_relaxed))) {
		publish(c);
		if (!take_attention(c, out))
			return false;
	}
	if (unlikely(ev->triple_fault)) {
		*out = VCPU_EXIT_SHUTDOWN;
		return false;
	}
	if (unlikely(c->s.mp == X86_MP_WAIT_SIPI)) {
		*out = VCPU_EXIT_HALTED;
		return false;
	}
	if (unlikely(ev->exception_pending || ev->interrupt_pending)) {
		take_injected(c);
		return true;
	}
	run_shadow(c);
	if (unlikely(ev->sti_shadow || ev->movss_shadow)) {
		ev->sti_shadow = ev->movss_shadow = false;
		if (unlikely(c->mode & MODE_DEBUG))
			return run_debug(c, true, out);
		run_one(c);
		return true;
	}
	if (unlikely(c->dr6_pending))
		event_after_insn(c, false);
	/* A debugger's step is not diverted into handlers. */
	bool hold = unlikely(c->mode & MODE_DEBUG) && c->v->debug.single_step && c->s.mp == X86_MP_RUNNABLE;
	if (unlikely(ev->nmi_pending && !ev->nmi_blocked && !hold)) {
		ev->nmi_pending = false;
		c->s.mp = X86_MP_RUNNABLE;
		event_deliver(c, EVENT_NMI, X86_NMI, false, 0);
		return true;
	}
	if (!hold && take_interrupt(c))
		return true;
	if (unlikely(c->sv->options.inject) && take_injected_vector(c))
		return true;
	if (c->s.mp == X86_MP_HALTED) {
		*out = VCPU_EXIT_HALTED;
		return false;
	}
	if (unlikely(c->mode & MODE_DEBUG))
		return run_debug(c, false, out);
	if (unlikely(c->mode & (MODE_TF | MODE_BREAK)))
		run_one(c);
	else if (unlikely(soft_vcpu_of(c)->user) &&
		 (c->mode & (MODE_USER | MODE_CODE_MASK)) == (MODE_USER | MODE_CODE64))
		return run_user(c, out);
	else
		run_chain(c);
	return true;
}

/* The frame that faults come back to; nothing of it lives in registers over the jump. */
static __attribute__((noinline)) enum vcpu_exit run_guarded(struct soft_cpu *c)
{
	enum vcpu_exit out = VCPU_EXIT_ERROR;
	do {
		c->cur = NULL;
		c->end_block = false;
		if (unlikely(soft_vcpu_of(c)->rmw_host != NULL))
			mmu_rmw_done(c);
	} while (run_events(c, &out));
	return out;
}

static __attribute__((noinline)) enum vcpu_exit run_frame(struct soft_cpu *volatile c)
{
	if (__builtin_setjmp(c->fault_jmp)) {
		run_fault_state(c);
		event_fault(c);
		if ((c->mode & MODE_DEBUG) && debug_stop_due(c))
			return VCPU_EXIT_DEBUG;
	}
	enum vcpu_exit out = run_guarded(c);
	KEEP_FRAME(); /* faults jump back into it */
	return out;
}

static enum vcpu_exit soft_vcpu_run(struct vcpu *v)
{
	struct soft_vcpu *p = v->accel_data;
	struct soft_cpu *c = &p->c;
	atomic_store(&p->active, true);
	/* Calls for write translations that came while this vCPU was away did not wait for it. */
	if (atomic_load(&p->ack_epoch) != atomic_load(&c->sv->epoch))
		page_ack(c);
	tsc_enter(c);
	if (p->user && p->user->tsc_fixed)
		tsc_set_offset(c, p->user->tsc_offset - c->tsc_machine);
	c->in_guest = true;
	xlate_thread_in(c);
	enum vcpu_exit out = run_frame(c);
	xlate_thread_out(c);
	thunk_fpu_sync(c); /* the state may be read from another thread now, and the FPU is this one's */
	c->in_guest = false;
	atomic_store(&p->active, false);
	publish(c);
	atomic_fetch_add_explicit(&v->stats.exits, 1, memory_order_relaxed);
	if (out == VCPU_EXIT_HALTED)
		atomic_fetch_add_explicit(&v->stats.halts, 1, memory_order_relaxed);
	return out;
}

/* ---- the machine's part ---- */
static void predecoders_destroy(struct soft_vm *sv)
{
	for (unsigned n = 0; n < SOFT_DECODERS; n++)
		predecode_destroy(sv->predecoder[n]);
}

int soft_vm_create(struct soft_vm **out, struct vm *vm, bool foreign, struct err *e)
{
	struct soft_vm *sv = calloc(1, sizeof(*sv));
	if (!sv)
		return err_set(e, -ENOMEM, "no memory for the software CPU");
	decode_init(sv);
	int r = ops_index_create(&sv->row, e);
	if (r == 0)
		r = predecode_create(&sv->predecoder[2], &sv->decoder[2], e);
	if (r == 0)
		r = predecode_create(&sv->predecoder[3], &sv->decoder[3], e);
	if (r == 0 && !foreign)
		r = ahead_create(&sv->ahead, e);
	if (r == 0)
		r = thunk_cache_create(&sv->thunk_shared, e);
	if (r < 0) {
		ahead_destroy(sv->ahead);
		predecoders_destroy(sv);
		free(sv->row);
		free(sv);
		return r;
	}
	sv->vm = vm;
	sv->mem = vm->mem;
	sv->foreign = foreign;
	sv->watch = (struct gmem_watch){ page_code_written, sv };
	pthread_mutex_init(&sv->bus_lock, NULL);
	*out = sv;
	return 0;
}

void soft_vm_destroy(struct soft_vm *sv)
{
	if (!sv)
		return;
	ahead_destroy(sv->ahead);
	for (unsigned n = 0; n < sv->ram_count; n++) {
		munmap(sv->ram[n].pages, (sv->ram[n].size >> 12) * sizeof(struct code_page));
		ahead_area_destroy(&sv->ram[n].area);
	}
	pthread_mutex_destroy(&sv->bus_lock);
	thunk_cache_destroy(sv->thunk_shared);
	xlate_sight_destroy(sv->sight);
	predecoders_destroy(sv);
	free(sv->row);
	free(sv);
}

int soft_vm_sync_ram(struct soft_vm *sv, struct err *e)
{
	for (unsigned n = sv->ram_count; n < gmem_block_count(sv->mem); n++) {
		const struct gmem_block *b = gmem_block(sv->mem, n);
		size_t size = (b->size >> 12) * sizeof(struct code_page);
		void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (pages == MAP_FAILED)
			return err_errno(e, errno, "cannot map %zu bytes for the code pages of %s", size, b->name);
		sv->ram[n] = (struct soft_ram){ b->gpa, b->size, b->host, b->page_flags, pages, b->rom, { 0 } };
		sv->ram_count = n + 1;
		int r = sv->ahead && !b->rom ? ahead_area_create(&sv->ram[n].area, b->host, b->size, e) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int soft_usable(struct err *e)
{
	return 0;
}

static int accel_vm_create(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e)
{
	struct soft_vm *sv;
	struct soft_options o;
	int r = soft_options_parse(&o, options, e);
	if (r == 0)
		r = soft_vm_create(&sv, vm, false, e);
	if (r < 0)
		return r;
	r = xlate_sight_create(&sv->sight, o.perf, o.gdb, e);
	if (r < 0) {
		soft_vm_destroy(sv);
		return r;
	}
	sv->options = o;
	vm->accel_data = sv;
	*caps = (struct accel_caps){ 0 };
	return 0;
}

/* Every vCPU forgets what it knows of the old place, at its next look at attention. */
static void mapping_changed(void *opaque, unsigned which)
{
	struct soft_vm *sv = opaque;
	atomic_fetch_add(&sv->cards_moved, 1);
	atomic_fetch_add(&sv->epoch, 1);
	for (unsigned n = 0; n < sv->vm->vcpu_count; n++)
		atomic_fetch_or(&sv->vm->vcpu[n]->attention, SOFT_ATT_ACK);
}

static int accel_vm_prepare(struct vm *vm, struct err *e)
{
	struct soft_vm *sv = vm->accel_data;
	sv->mem = vm->mem;
	int r = soft_vm_sync_ram(sv, e);
	if (r < 0)
		return r;
	gmem_set_watch(vm->mem, &sv->watch);
	gmem_watch_cards(vm->mem, &(struct gmem_card_watch){ mapping_changed, sv, mapping_changed });
	return 0;
}

static void accel_vm_destroy(struct vm *vm)
{
	struct soft_vm *sv = vm->accel_data;
	if (sv && vm->mem)
		gmem_set_watch(vm->mem, NULL);
	soft_vm_destroy(sv);
	vm->accel_data = NULL;
}

/* ---- a vCPU's part ---- */
int soft_vcpu_create(struct soft_vcpu **out, struct soft_vm *sv, struct vcpu *v, struct err *e)
{
	/* Most of it is the TLB, which takes memory where it is used; huge pages when the vCPU has much to do. */
	struct soft_vcpu *p = pages_map_low(sizeof(*p), sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for a software vCPU");
	tlb_init(&p->c.tlb);
	p->c.v = v;
	p->c.vm = v->vm;
	p->c.sv = sv;
	p->c.mem = sv->mem;
	int r = block_cache_create(&p->blocks, e);
	if (r == 0)
		r = thunk_vcpu_create(&p->c, e);
	if (r == 0 && sv->options.hot)
		r = xlate_create(&p->c, &sv->options, sv->sight, e);
	if (r < 0) {
		block_cache_destroy(p->blocks);
		munmap(p, sizeof(*p));
		return r;
	}
	x86_state_reset(&p->c.s, v->index == 0, cpu_signature(v));
	soft_vcpu_loaded(p);
	*out = p;
	return 0;
}

void soft_vcpu_destroy(struct soft_vcpu *p)
{
	if (!p)
		return;
	ahead_settle(p->c.sv->ahead);
	xlate_destroy(p->c.xlate);
	thunk_vcpu_destroy(&p->c);
	block_cache_destroy(p->blocks);
	munmap(p, sizeof(*p));
}

void soft_vcpu_loaded(struct soft_vcpu *p)
{
	p->c.mem = p->c.vm->mem;
	cpu_update_features(&p->c);
	mmu_flush_all(&p->c);
	cpu_update_mode(&p->c);
	p->c.shadow_rip = p->c.s.rip;
	p->intr_maybe = true;
}

static int accel_vcpu_create(struct vcpu *v, struct err *e)
{
	struct soft_vcpu *p;
	int r = soft_vcpu_create(&p, v->vm->accel_data, v, e);
	if (r == 0)
		v->accel_data = p;
	return r;
}

static void accel_vcpu_destroy(struct vcpu *v)
{
	soft_vcpu_destroy(v->accel_data);
	v->accel_data = NULL;
}

/* The loop looks at v->attention between blocks: nothing more is needed. */
static void accel_vcpu_kick(struct vcpu *v)
{
}

static int accel_get_state(struct vcpu *v, struct x86_state *s, struct err *e)
{
	struct soft_vcpu *p = v->accel_data;
	thunk_fpu_sync(&p->c);
	run_shadow(&p->c);
	*s = p->c.s;
	tsc_enter(&p->c);
	s->tsc = tsc_now(&p->c);
	if (v->chip)
		s->cr8 = v->chip->cr8_get(v->chip->opaque);
	return 0;
}

static int accel_set_state(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	struct soft_vcpu *p = v->accel_data;
	thunk_fpu_sync(&p->c);
	p->c.s = *s;
	p->c.dr6_pending = 0;
	/* A fresh state (TSC 0) starts with the machine's time base, so that all vCPUs and timers agree on it. */
	tsc_enter(&p->c);
	tsc_set_offset(&p->c, s->tsc ? p->c.tsc_offset + s->tsc - tsc_now(&p->c) : 0);
	soft_vcpu_loaded(p);
	return 0;
}

/* With logging on no write translation is kept, so that gmem's page flags see every store. */
static void accel_dirty_sync(struct vm *vm, bool enable)
{
	struct soft_vm *sv = vm->accel_data;
	if (atomic_exchange(&sv->dirty_log, enable) == enable)
		return;
	atomic_fetch_add(&sv->epoch, 1);
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		atomic_fetch_or(&vm->vcpu[n]->attention, SOFT_ATT_ACK);
}

static void accel_stats(struct vm *vm, void (*emit)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	enum { MISSES, FLUSHES, DROPS, BLOCKS, MOVED, ENTRIES, BAILS, EMPTIED, INTERPRETED, HELPED, TRANSLATED, CODE, COUNT };
	static const char *const names[COUNT] = {
		[MISSES] = "soft-tlb-misses", [FLUSHES] = "soft-tlb-flushes", [DROPS] = "soft-code-cache-drops",
		[BLOCKS] = "soft-translated-blocks", [MOVED] = "soft-moved-blocks", [ENTRIES] = "soft-translated-entries",
		[BAILS] = "soft-translated-bails", [EMPTIED] = "soft-translation-flushes",
		[INTERPRETED] = "soft-instructions-interpreted", [HELPED] = "soft-instructions-helped",
		[TRANSLATED] = "soft-instructions-translated", [CODE] = "soft-code-memory",
	};
	const struct soft_vm *sv = vm->accel_data;
	uint64_t sum[COUNT] = { [CODE] = thunk_cache_bytes(sv->thunk_shared) };
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct soft_vcpu *p = vm->vcpu[n]->accel_data;
		const struct xlate_stats none = { 0 }, *s = p->c.xlate ? xlate_stats(p->c.xlate) : &none;
		const uint64_t value[COUNT] = {
			[MISSES] = p->c.tlb.misses, [FLUSHES] = p->c.tlb.flushes, [DROPS] = block_flushes(&p->c),
			[BLOCKS] = s->blocks, [MOVED] = s->moved, [ENTRIES] = s->entries, [BAILS] = s->bails, [EMPTIED] = s->flushes,
			[INTERPRETED] = p->c.interpreted, [HELPED] = s->helps,
			[TRANSLATED] = p->c.instructions - p->c.interpreted - s->helps,
			[CODE] = p->c.xlate ? xlate_code_bytes(p->c.xlate) : 0,
		};
		for (unsigned k = 0; k < COUNT; k++)
			sum[k] += value[k];
	}
	for (unsigned k = 0; k < COUNT; k++)
		emit(opaque, names[k], sum[k]);
}

const struct accel_ops accel_soft = {
	.name = "soft",
	.usable = soft_usable,
	.vm_create = accel_vm_create,
	.vm_prepare = accel_vm_prepare,
	.vm_destroy = accel_vm_destroy,
	.cpuid = soft_cpuid_rows,
	.vcpu_create = accel_vcpu_create,
	.vcpu_destroy = accel_vcpu_destroy,
	.vcpu_run = soft_vcpu_run,
	.vcpu_kick = accel_vcpu_kick,
	.get_state = accel_get_state,
	.set_state = accel_set_state,
	.set_debug = debug_set,
	.dirty_sync = accel_dirty_sync,
	.stats = accel_stats,
};
