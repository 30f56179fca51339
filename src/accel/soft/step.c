/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The soft CPU on a state of somebody else: see step.h. */
#include "accel/soft/step.h"
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "accel/soft/system.h"
#include "accel/soft/xlate.h"
#include "core/vcpu.h"
#include "core/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct soft_step {
	struct soft_vm *sv;
	struct soft_vcpu *cpu;
	struct soft_step_result *result; /* of the run under way */
	unsigned left;
	bool deliver;
	unsigned near; /* go on while vector instructions are at most so many instructions apart; 0: do not */
};

static int create(struct soft_step **out, struct vcpu *v, bool translate, struct err *e)
{
	struct soft_step *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for the software CPU");
	int r = soft_vm_create(&p->sv, v->vm, !translate, e);
	if (r == 0 && translate)
		p->sv->options = (struct soft_options){ .hot = 1, .cache = XLATE_CODE_MAX, .rewrites = UINT32_MAX };
	if (r == 0)
		r = soft_vm_sync_ram(p->sv, e);
	if (r == 0)
		r = soft_vcpu_create(&p->cpu, p->sv, v, e);
	if (r < 0) {
		soft_step_destroy(p);
		return r;
	}
	if (translate) {
		gmem_set_watch(v->vm->mem, &p->sv->watch);
		soft_vcpu_loaded(p->cpu);
	}
	*out = p;
	return 0;
}

int soft_step_create(struct soft_step **out, struct vcpu *v, struct err *e)
{
	return create(out, v, false, e);
}

int soft_step_create_translating(struct soft_step **out, struct vcpu *v, struct err *e)
{
	return create(out, v, true, e);
}

void soft_step_destroy(struct soft_step *p)
{
	if (!p)
		return;
	if (p->sv && !p->sv->foreign)
		gmem_set_watch(p->sv->mem, NULL);
	soft_vcpu_destroy(p->cpu);
	soft_vm_destroy(p->sv);
	free(p);
}

struct soft_cpu *soft_step_cpu(struct soft_step *p)
{
	return &p->cpu->c;
}

static void take_trap(struct soft_step *p)
{
	p->result->raised = true;
	p->result->vector = X86_DB;
	if (p->deliver)
		event_deliver(&p->cpu->c, EVENT_FAULT, X86_DB, false, 0);
	else
		p->left = 0;
}

/* As run.c's run_one; a shadow ends with the instruction that it covers. */
static void step_one(struct soft_step *p)
{
	struct soft_cpu *c = &p->cpu->c;
	bool tf = c->s.rflags & X86_FLAG_TF, breaks = c->mode & MODE_BREAK;
	c->cur = NULL;
	c->step_skip = false;
	c->end_block = false;
	c->s.ev.sti_shadow = c->s.ev.movss_shadow = false;
	if (breaks)
		event_before_insn(c);
	run_block(c, block_find(c), 1);
	c->cur = NULL;
	if (soft_vcpu_of(c)->rmw_host)
		mmu_rmw_done(c);
	p->result->executed++;
	if ((tf || breaks || c->dr6_pending) && event_trap_due(c, tf))
		take_trap(p);
}

static void step_chain(struct soft_step *p)
{
	struct soft_cpu *c = &p->cpu->c;
	c->cur = NULL;
	c->end_block = false;
	run_chain(c);
	c->cur = NULL;
	if (soft_vcpu_of(c)->rmw_host)
		mmu_rmw_done(c);
	p->result->executed++;
}

/* Vector code in kernel mode goes on until `near` instructions came without one, or one comes that reaches further
 * than registers and memory. False when the code at RIP is not of that kind. */
static bool vector_code(struct soft_step *p)
{
	struct soft_cpu *c = &p->cpu->c;
	unsigned idle = 0;
	bool any = false;
	while (p->left && idle < p->near && !c->s.ev.triple_fault && !(c->mode & (MODE_BREAK | MODE_USER)) &&
	       !(c->s.rflags & X86_FLAG_TF)) {
		c->cur = NULL;
		c->step_skip = c->end_block = false;
		c->s.ev.sti_shadow = c->s.ev.movss_shadow = false;
		struct block *b = block_find(c);
		bool vector = b->insn->flags & INSN_VECTOR;
		if ((b->system && b->count == 1) || (!any && !vector))
			break;
		idle = vector ? 0 : idle + 1;
		any = true;
		run_block(c, b, 1);
		c->cur = NULL;
		if (soft_vcpu_of(c)->rmw_host)
			mmu_rmw_done(c);
		p->result->executed++;
		p->left--;
	}
	return any;
}

static __attribute__((noinline)) void step_loop(struct soft_step *p)
{
	struct soft_cpu *c = &p->cpu->c;
	if (p->near) {
		/* What is not vector code is executed alone; after a fault nothing more. */
		if (p->result->raised || vector_code(p))
			return;
		p->left = 1;
	}
	while (p->left && !c->s.ev.triple_fault && c->s.mp == X86_MP_RUNNABLE) {
		p->left--;
		if (c->xlate && !(c->mode & (MODE_TF | MODE_BREAK)) && !c->s.ev.sti_shadow && !c->s.ev.movss_shadow &&
		    !c->dr6_pending)
			step_chain(p);
		else
			step_one(p);
	}
}

static __attribute__((noinline)) void step_frame(struct soft_step *volatile p)
{
	struct soft_cpu *volatile c = &p->cpu->c;
	if (__builtin_setjmp(c->fault_jmp)) {
		run_fault_state(c);
		p->result->raised = true;
		p->result->vector = c->fault.vector;
		p->result->has_code = c->fault.has_code;
		p->result->code = c->fault.code;
		if (!p->deliver)
			return;
		event_fault(c);
		p->result->executed++;
	}
	step_loop(p);
	KEEP_FRAME(); /* faults jump back into it */
}

static void run(struct soft_step *p, struct x86_state *s, struct soft_step_result *r)
{
	struct soft_cpu *c = &p->cpu->c;
	*r = (struct soft_step_result){ 0 };
	c->s = *s;
	c->dr6_pending = 0;
	c->tsc_offset = s->tsc - (tsc_now(c) - c->tsc_offset);
	if (c->xlate)
		cpu_update_mode(c);
	else
		soft_vcpu_loaded(p->cpu);
	p->result = r;
	c->in_guest = true;
	xlate_thread_in(c);
	step_frame(p);
	xlate_thread_out(c);
	c->in_guest = false;
	thunk_fpu_sync(c);
	c->s.tsc = tsc_now(c);
	*s = c->s;
	r->halted = s->mp == X86_MP_HALTED;
	r->shutdown = s->ev.triple_fault;
}

void soft_step_run(struct soft_step *p, struct x86_state *s, unsigned count, bool deliver, struct soft_step_result *r)
{
	p->left = count;
	p->deliver = deliver;
	p->near = 0;
	run(p, s, r);
}

void soft_step_run_vector(struct soft_step *p, struct x86_state *s, unsigned count, unsigned near,
			  struct soft_step_result *r)
{
	p->left = count;
	p->deliver = true;
	p->near = near;
	run(p, s, r);
}
