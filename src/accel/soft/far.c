/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers between code segments: far JMP, CALL, RET, IRET, INT n and relatives.
 * Sources: SDM 2 (JMP, CALL, RET, IRET, INT), SDM 3A 5.8, 6.12, 7.3, 20.2.
 */
#include "accel/soft/bind.h"
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"

/* ---- the pointer operand ---- */

struct far_target {
	uint16_t sel;
	uint64_t off;
};

static struct far_target far_operand(struct soft_cpu *c, const struct insn *i)
{
	struct far_target t;

	if (!(i->flags & INSN_MEM)) {
		t.sel = (uint16_t)(i->imm >> 32);
		t.off = i->imm & (i->width == 2 ? 0xffff : UINT32_MAX);
		return t;
	}
	t.off = segment_read_pointer(c, i, &t.sel);
	return t;
}

/* ---- real and virtual-8086 mode ---- */

static struct x86_seg real_code(const struct soft_cpu *c, uint16_t sel)
{
	struct x86_seg cs = c->s.seg[X86_CS];

	cs.sel = sel;
	cs.base = (uint32_t)sel << 4;
	return cs;
}

static void jump_real(struct soft_cpu *c, const struct insn *i, const struct far_target *t, bool call)
{
	struct x86_seg cs = real_code(c, t->sel);

	desc_check_rip(c, &cs, t->off, 0);
	if (call) {
		struct desc_stack st;
		desc_stack_current(c, &st, 0);
		desc_stack_push(c, &st, i->width, c->s.seg[X86_CS].sel);
		desc_stack_push(c, &st, i->width, insn_next_rip(c, i));
		desc_stack_commit(c, &st);
	}
	desc_enter_code(c, &cs, 0, t->off);
}

static void ret_real(struct soft_cpu *c, const struct insn *i)
{
	uint64_t off = stack_peek(c, 0, i->width);
	struct x86_seg cs = real_code(c, (uint16_t)stack_peek(c, i->width, i->width));

	desc_check_rip(c, &cs, off, 0);
	stack_adjust(c, (int64_t)(i->width * 2u + (uint16_t)i->imm));
	desc_enter_code(c, &cs, 0, off);
}

/* ---- direct far JMP and CALL ---- */

/* L and D both set is reserved in IA-32e mode. */
static bool bad_long_code(const struct soft_cpu *c, const struct desc *d)
{
	enum { BOTH = X86_AR_L | X86_AR_DB };

	return cpu_long(c) && (desc_attr(d) & BOTH) == BOTH;
}

static void push_return(struct soft_cpu *c, struct desc_stack *st, const struct insn *i, unsigned width)
{
	desc_stack_push(c, st, width, c->s.seg[X86_CS].sel);
	desc_stack_push(c, st, width, insn_next_rip(c, i));
}

static unsigned width_of_stack(const struct x86_seg *ss, bool to64)
{
	return to64 ? 8 : ss->attr & X86_AR_DB ? 4 : 2;
}

static void jump_code(struct soft_cpu *c, const struct insn *i, const struct far_target *t, struct desc *d, bool call)
{
	struct desc_stack st;
	struct x86_seg cs;
	bool conforming = desc_is_conforming(d);

	if (!desc_is_code(d) || bad_long_code(c, d))
		desc_fault(c, X86_GP, t->sel, 0);
	if (conforming ? desc_dpl(d) > c->cpl : (t->sel & 3) > c->cpl || desc_dpl(d) != c->cpl)
		desc_fault(c, X86_GP, t->sel, 0);
	if (!desc_present(d))
		desc_fault(c, X86_NP, t->sel, 0);
	cs = desc_seg(d, t->sel);
	desc_stack_current(c, &st, 0);
	/* What is pushed goes through the stack as the target's mode sees it. */
	st.width = width_of_stack(&st.ss, cpu_long(c) && (cs.attr & X86_AR_L));
	if (call)
		push_return(c, &st, i, i->width);
	desc_check_rip(c, &cs, t->off, 0);
	desc_set_accessed(c, d);
	cs.attr |= X86_AR_ACCESSED;
	if (call)
		desc_stack_commit(c, &st);
	desc_enter_code(c, &cs, c->cpl, t->off);
}

/* ---- call gates ---- */

struct call_gate {
	uint16_t sel; /* of the gate itself, for error codes */
	uint16_t target;
	uint64_t off;
	unsigned width, params;
};

static void read_call_gate(struct soft_cpu *c, uint16_t sel, const struct desc *d, struct call_gate *g)
{
	*g = (struct call_gate){
		.sel = sel, .target = (uint16_t)(d->raw >> 16), .off = (d->raw & 0xffff) | (d->raw >> 32 & 0xffff0000),
		.width = 4, .params = d->raw >> 32 & 31,
	};
	if (cpu_long(c)) {
		uint64_t high = desc_fetch_high(c, sel, d, X86_GP, 0);
		if (high >> 40 & 0x1f)
			desc_fault(c, X86_GP, sel, 0);
		g->off |= high << 32;
		g->width = 8;
	} else if (desc_type(d) == DESC_CALL16) {
		g->width = 2;
		g->off &= 0xffff;
	}
}

static void gate_code(struct soft_cpu *c, const struct call_gate *g, struct desc *d, bool call)
{
	unsigned dpl;

	if (!(g->target & 0xfffc))
		cpu_gp0(c);
	desc_fetch(c, g->target, d, X86_GP, 0);
	dpl = desc_dpl(d);
	if (!desc_is_code(d) || dpl > c->cpl || (!call && !desc_is_conforming(d) && dpl != c->cpl))
		desc_fault(c, X86_GP, g->target, 0);
	if (cpu_long(c) && (desc_attr(d) & (X86_AR_L | X86_AR_DB)) != X86_AR_L)
		desc_fault(c, X86_GP, g->target, 0);
	if (!desc_present(d))
		desc_fault(c, X86_NP, g->target, 0);
}

/* Old stack pointer and parameters on the inner stack. */
static void push_gate_stack(struct soft_cpu *c, struct desc_stack *st, const struct call_gate *g)
{
	uint64_t params[32];
	unsigned count = cpu_long(c) ? 0 : g->params;

	for (unsigned n = 0; n < count; n++)
		params[n] = stack_peek(c, n * g->width, g->width);
	desc_stack_push(c, st, g->width, c->s.seg[X86_SS].sel);
	desc_stack_push(c, st, g->width, c->s.gpr[X86_RSP]);
	while (count)
		desc_stack_push(c, st, g->width, params[--count]);
}

static void jump_gate(struct soft_cpu *c, const struct insn *i, uint16_t sel, const struct desc *gate, bool call)
{
	struct call_gate g;
	struct desc_stack st;
	struct x86_seg cs;
	struct desc d;
	unsigned cpl = c->cpl;

	read_call_gate(c, sel, gate, &g);
	gate_code(c, &g, &d, call);
	cs = desc_seg(&d, g.target);
	if (call && !desc_is_conforming(&d) && desc_dpl(&d) < c->cpl) {
		cpl = desc_dpl(&d);
		desc_stack_from_tss(c, &st, cpl, 0, 0);
		push_gate_stack(c, &st, &g);
	} else {
		desc_stack_current(c, &st, 0);
	}
	if (call)
		push_return(c, &st, i, g.width);
	desc_check_rip(c, &cs, g.off, 0);
	desc_set_accessed(c, &d);
	cs.attr |= X86_AR_ACCESSED;
	desc_stack_commit(c, &st);
	desc_enter_code(c, &cs, cpl, g.off);
}

static void jump_task_gate(struct soft_cpu *c, const struct insn *i, const struct desc *gate, bool call)
{
	task_switch(c, (uint16_t)(gate->raw >> 16), call ? TASK_CALL : TASK_JMP, insn_next_rip(c, i), 0);
}

static void jump_system(struct soft_cpu *c, const struct insn *i, uint16_t sel, const struct desc *d, bool call)
{
	enum { LEGACY = 1 << DESC_TSS16 | 1 << DESC_TSS32 | 1 << DESC_CALL16 | 1 << DESC_CALL32 | 1 << DESC_TASK_GATE };
	unsigned allowed = cpu_long(c) ? 1 << DESC_CALL32 : LEGACY;

	if (!(allowed >> desc_type(d) & 1) || desc_dpl(d) < c->cpl || desc_dpl(d) < (sel & 3))
		desc_fault(c, X86_GP, sel, 0);
	if (!desc_present(d))
		desc_fault(c, X86_NP, sel, 0);
	switch (desc_type(d)) {
	case DESC_CALL16:
	case DESC_CALL32: jump_gate(c, i, sel, d, call); break;
	case DESC_TASK_GATE: jump_task_gate(c, i, d, call); break;
	default: task_switch(c, sel, call ? TASK_CALL : TASK_JMP, insn_next_rip(c, i), 0);
	}
}

static void far_jump(struct soft_cpu *c, const struct insn *i, bool call)
{
	struct far_target t = far_operand(c, i);
	struct desc d;

	if (!cpu_protected(c)) {
		jump_real(c, i, &t, call);
		return;
	}
	if (!(t.sel & 0xfffc))
		cpu_gp0(c);
	desc_fetch(c, t.sel, &d, X86_GP, 0);
	if (desc_is_code_data(&d))
		jump_code(c, i, &t, &d, call);
	else
		jump_system(c, i, t.sel, &d, call);
}

static void fn_jmp_far(struct soft_cpu *c, const struct insn *i)
{
	far_jump(c, i, false);
}

static void fn_call_far(struct soft_cpu *c, const struct insn *i)
{
	far_jump(c, i, true);
}

/* ---- returns, shared by RETF and IRET ---- */

/* The checks on a return's code selector. */
static void return_code(struct soft_cpu *c, uint16_t sel, struct desc *d)
{
	unsigned rpl = sel & 3;

	if (!(sel & 0xfffc))
		cpu_gp0(c);
	desc_fetch(c, sel, d, X86_GP, 0);
	if (!desc_is_code(d) || rpl < c->cpl || bad_long_code(c, d))
		desc_fault(c, X86_GP, sel, 0);
	if (desc_is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl)
		desc_fault(c, X86_GP, sel, 0);
	if (!desc_present(d))
		desc_fault(c, X86_NP, sel, 0);
}

/* The checks on the stack selector that a return to privilege level cpl pops. */
static void return_stack(struct soft_cpu *c, uint16_t sel, unsigned cpl, bool to64, struct x86_seg *ss)
{
	struct desc d;

	if (!(sel & 0xfffc)) {
		if (!to64 || cpl == 3 || (sel & 3) != cpl)
			cpu_gp0(c);
		*ss = desc_null_seg(sel, cpl);
		return;
	}
	desc_fetch(c, sel, &d, X86_GP, 0);
	if ((sel & 3) != cpl || desc_dpl(&d) != cpl || !desc_is_writable(&d))
		desc_fault(c, X86_GP, sel, 0);
	if (!desc_present(&d))
		desc_fault(c, X86_SS_FAULT, sel, 0);
	desc_set_accessed(c, &d);
	*ss = desc_seg(&d, sel);
}

/* Puts the popped CS:RIP and, when `with_ss`, the popped SS:rSP in force. */
struct far_return {
	struct x86_seg cs, ss;
	uint64_t rip, rsp;
	bool with_ss;
};

static void commit_return(struct soft_cpu *c, const struct far_return *r, unsigned release)
{
	unsigned cpl = r->cs.sel & 3, old = c->cpl;
	bool to64 = cpu_long(c) && (r->cs.attr & X86_AR_L);

	if (r->with_ss) {
		unsigned width = width_of_stack(&r->ss, to64);
		c->s.seg[X86_SS] = r->ss;
		reg_set(c, X86_RSP, width, r->rsp + release);
	}
	desc_enter_code(c, &r->cs, cpl, r->rip);
	if (cpl > old)
		desc_drop_data_segments(c, cpl);
	cpu_update_mode(c);
}

static void fn_ret_far(struct soft_cpu *c, const struct insn *i)
{
	struct far_return r = { .with_ss = false };
	unsigned release = (uint16_t)i->imm, w = i->width;
	struct desc d;
	uint16_t sel;

	if (!cpu_protected(c)) {
		ret_real(c, i);
		return;
	}
	sel = (uint16_t)stack_peek(c, w, 2); /* first, and two bytes: shows when the stack faults */
	r.rip = stack_peek(c, 0, w);
	return_code(c, sel, &d);
	r.cs = desc_seg(&d, sel);
	r.with_ss = (sel & 3u) > c->cpl;
	if (r.with_ss) {
		uint16_t ss;
		r.rsp = stack_peek(c, 2u * w + release, w);
		ss = (uint16_t)stack_peek(c, 3u * w + release, w);
		return_stack(c, ss, sel & 3, cpu_long(c) && (r.cs.attr & X86_AR_L), &r.ss);
	}
	desc_check_rip(c, &r.cs, r.rip, 0);
	desc_set_accessed(c, &d);
	r.cs.attr |= X86_AR_ACCESSED;
	commit_return(c, &r, release);
	if (!r.with_ss) /* with the stack pointer's width in the mode returned to */
		stack_adjust(c, (int64_t)(2 * w + release));
}

/* ---- IRET ---- */

enum { IRET_FLAGS = X86_FLAG_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT };

static void iret_done(struct soft_cpu *c)
{
	c->s.ev.nmi_blocked = false;
	c->end_block = true;
}

/* Real mode, and virtual-8086 mode with IOPL 3 (there IOPL stays). */
static void iret_real(struct soft_cpu *c, const struct insn *i)
{
	uint64_t mask = IRET_FLAGS | X86_FLAG_IF;
	unsigned w = i->width;
	uint64_t off = stack_peek(c, 0, w), flags = stack_peek(c, 2 * w, w);
	struct x86_seg cs = real_code(c, (uint16_t)stack_peek(c, w, w));

	if (w >= 4)
		mask |= X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID;
	if (!(c->mode & MODE_V86))
		mask |= X86_FLAG_IOPL;
	desc_check_rip(c, &cs, off, 0);
	stack_adjust(c, (int64_t)(3 * w));
	flags_load(c, flags, mask);
	desc_enter_code(c, &cs, 0, off);
	iret_done(c);
}

/* To virtual-8086 mode: nine doublewords (SDM 2, IRET, RETURN-TO-VIRTUAL-8086-MODE). */
static void iret_to_v86(struct soft_cpu *c, uint64_t eip, uint16_t cs, uint64_t flags)
{
	static const uint8_t order[] = { X86_ES, X86_DS, X86_FS, X86_GS };
	enum { MASK = 0x3f7fd5 };
	uint64_t esp = stack_peek(c, 12, 4);
	uint16_t ss = (uint16_t)stack_peek(c, 16, 4), sel[COUNT_OF(order)];

	for (unsigned n = 0; n < COUNT_OF(order); n++)
		sel[n] = (uint16_t)stack_peek(c, 20 + 4 * n, 4);
	if (eip > 0xffff)
		cpu_gp0(c);
	c->s.rflags = (flags & MASK) | X86_FLAG_ONE;
	c->s.gpr[X86_RSP] = esp;
	cpu_update_mode(c);
	for (unsigned n = 0; n < COUNT_OF(order); n++)
		segment_load_real(c, order[n], sel[n]);
	segment_load_real(c, X86_SS, ss);
	segment_load_real(c, X86_CS, cs);
	desc_enter_code(c, &c->s.seg[X86_CS], 3, eip);
	iret_done(c);
}

static void iret_task(struct soft_cpu *c, const struct insn *i)
{
	uint16_t link;

	if (cpu_long(c))
		cpu_gp0(c);
	link = (uint16_t)ld_super(c, (uint32_t)c->s.seg[X86_TR].base, 2);
	task_switch(c, link, TASK_IRET, insn_next_rip(c, i), 0);
	iret_done(c);
}

static uint64_t iret_flag_mask(const struct soft_cpu *c, unsigned width)
{
	uint64_t mask = IRET_FLAGS;

	if (width >= 4)
		mask |= X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID;
	if (c->cpl <= cpu_iopl(c))
		mask |= X86_FLAG_IF;
	if (c->cpl == 0) {
		mask |= X86_FLAG_IOPL;
		if (width >= 4)
			mask |= X86_FLAG_VIF | X86_FLAG_VIP;
	}
	return mask;
}

static void iret_protected(struct soft_cpu *c, const struct insn *i)
{
	struct far_return r;
	unsigned w = i->width;
	uint64_t flags = stack_peek(c, 2 * w, w), mask;
	uint16_t sel = (uint16_t)stack_peek(c, w, w);
	struct desc d;

	r.rip = stack_peek(c, 0, w);
	if (w == 4 && (flags & X86_FLAG_VM) && c->cpl == 0 && !cpu_long(c)) {
		iret_to_v86(c, r.rip, sel, flags);
		return;
	}
	return_code(c, sel, &d);
	r.cs = desc_seg(&d, sel);
	r.with_ss = cpu_code64(c) || (sel & 3u) > c->cpl;
	if (r.with_ss) {
		r.rsp = stack_peek(c, 3 * w, w);
		return_stack(c, (uint16_t)stack_peek(c, 4 * w, w), sel & 3, cpu_long(c) && (r.cs.attr & X86_AR_L),
		             &r.ss);
	}
	desc_check_rip(c, &r.cs, r.rip, 0);
	desc_set_accessed(c, &d);
	r.cs.attr |= X86_AR_ACCESSED;
	mask = iret_flag_mask(c, w);
	if (!r.with_ss)
		stack_adjust(c, (int64_t)(3 * w));
	c->s.rflags = (c->s.rflags & ~mask) | (flags & mask);
	commit_return(c, &r, 0);
	iret_done(c);
}

static void fn_iret(struct soft_cpu *c, const struct insn *i)
{
	if (!(c->s.cr0 & X86_CR0_PE)) {
		iret_real(c, i);
	} else if (c->mode & MODE_V86) {
		if (cpu_iopl(c) < 3)
			cpu_gp0(c);
		iret_real(c, i);
	} else if (c->s.rflags & X86_FLAG_NT) {
		iret_task(c, i);
	} else {
		iret_protected(c, i);
	}
}

/* ---- INT n, INT3, INTO, INT1 ---- */

static void raise(struct soft_cpu *c, const struct insn *i, enum event_kind kind, unsigned vector)
{
	c->s.rip = insn_next_rip(c, i);
	c->step_skip = true; /* delivery clears TF before the trap could come */
	event_deliver(c, kind, vector, false, 0);
	c->next_rip = c->s.rip;
	c->end_block = true;
}

static void fn_int_n(struct soft_cpu *c, const struct insn *i)
{
	if ((c->mode & MODE_V86) && cpu_iopl(c) < 3)
		cpu_gp0(c);
	raise(c, i, EVENT_SOFT_INT, (uint8_t)i->imm);
}

static void fn_int3(struct soft_cpu *c, const struct insn *i)
{
	raise(c, i, EVENT_INT3_INTO, X86_BP);
}

static void fn_into(struct soft_cpu *c, const struct insn *i)
{
	if (c->s.rflags & X86_FLAG_OF)
		raise(c, i, EVENT_INT3_INTO, X86_OF);
}

static void fn_int1(struct soft_cpu *c, const struct insn *i)
{
	raise(c, i, EVENT_INT1, X86_DB);
}

/* ---- binding ---- */

static void bind_pointer(struct insn *i, const struct insn_source *src)
{
	const ZydisDecodedOperand *op = &src->op[0];

	if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
		i->imm = (uint64_t)op->ptr.segment << 32 | op->ptr.offset;
	i->rm = REG_NONE;
	i->flags |= INSN_ENDS_BLOCK;
}

bool far_bind_jmp(struct insn *i, const struct insn_source *src, unsigned arg)
{
	bind_pointer(i, src);
	i->fn = fn_jmp_far;
	return true;
}

bool far_bind_call(struct insn *i, const struct insn_source *src, unsigned arg)
{
	bind_pointer(i, src);
	i->fn = fn_call_far;
	return true;
}

bool far_bind_ret(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *op = &src->op[0];

	i->imm = op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? op->imm.value.u & 0xffff : 0;
	i->flags |= INSN_ENDS_BLOCK;
	i->fn = fn_ret_far;
	return true;
}

static bool bind_iret(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->width = (uint8_t)arg;
	i->flags |= INSN_ENDS_BLOCK;
	i->fn = fn_iret;
	return true;
}

enum { OP_INT_N, OP_INT3, OP_INTO, OP_INT1 };

static bool bind_int(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn fn[] = { fn_int_n, fn_int3, fn_into, fn_int1 };

	if (arg == OP_INT_N)
		i->imm = src->op[0].imm.value.u & 0xff;
	i->flags |= INSN_ENDS_BLOCK;
	i->fn = fn[arg];
	return true;
}

const struct insn_row insn_far[] = {
	{ ZYDIS_MNEMONIC_IRET, 2, bind_iret },
	{ ZYDIS_MNEMONIC_IRETD, 4, bind_iret },
	{ ZYDIS_MNEMONIC_IRETQ, 8, bind_iret },
	{ ZYDIS_MNEMONIC_INT, OP_INT_N, bind_int },
	{ ZYDIS_MNEMONIC_INT3, OP_INT3, bind_int },
	{ ZYDIS_MNEMONIC_INTO, OP_INTO, bind_int },
	{ ZYDIS_MNEMONIC_INT1, OP_INT1, bind_int },
	{ 0, 0, NULL },
};
