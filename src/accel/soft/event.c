/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery of exceptions and interrupts, and debug traps.
 * Sources: SDM 3A chapter 6, 20.1.4, 20.3 (virtual-8086), 3B 17.2, 17.3.
 */
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include <string.h>

struct event {
	enum event_kind kind;
	unsigned vector;
	bool has_code;
	uint32_t code;
	unsigned ext; /* bit 0 of error codes that delivery itself raises */
};

/* ---- real mode ---- */

static void deliver_real(struct soft_cpu *c, const struct event *ev)
{
	struct desc_stack st;
	struct x86_seg cs = c->s.seg[X86_CS];
	uint64_t at = (uint32_t)(c->s.idtr.base + ev->vector * 4);
	uint32_t entry;

	if (ev->vector * 4 + 3 > c->s.idtr.limit)
		cpu_fault_code(c, X86_GP, ev->vector * 8 + 2 + ev->ext);
	entry = (uint32_t)ld_super(c, at, 4);
	desc_stack_current(c, &st, 0);
	desc_stack_push(c, &st, 2, c->s.rflags);
	desc_stack_push(c, &st, 2, cs.sel);
	desc_stack_push(c, &st, 2, c->s.rip);
	desc_stack_commit(c, &st);
	c->s.rflags &= ~(uint64_t)(X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF);
	cs.sel = (uint16_t)(entry >> 16);
	cs.base = (uint32_t)cs.sel << 4;
	desc_enter_code(c, &cs, 0, entry & 0xffff);
}

/* ---- protected mode ---- */

struct event_gate {
	uint16_t sel;
	uint64_t off;
	unsigned type, width, ist;
};

static unsigned idt_code(const struct event *ev)
{
	return ev->vector * 8 + 2 + ev->ext;
}

static bool is_soft(const struct event *ev)
{
	return ev->kind == EVENT_SOFT_INT || ev->kind == EVENT_INT3_INTO;
}

/* Reads the IDT entry and checks type, privilege and presence. */
static void read_gate(struct soft_cpu *c, const struct event *ev, struct event_gate *g)
{
	unsigned size = cpu_long(c) ? 16 : 8;
	uint64_t at = c->s.idtr.base + ev->vector * size;
	struct desc d;
	bool known;

	if (ev->vector * size + size - 1 > c->s.idtr.limit)
		cpu_fault_code(c, X86_GP, idt_code(ev));
	d.at = cpu_long(c) ? at : (uint32_t)at;
	d.raw = ld_super(c, d.at, 8);
	*g = (struct event_gate){
		.sel = (uint16_t)(d.raw >> 16), .off = (d.raw & 0xffff) | (d.raw >> 32 & 0xffff0000),
		.type = desc_type(&d), .width = 4,
	};
	known = g->type == DESC_INT32 || g->type == DESC_TRAP32;
	if (!cpu_long(c))
		known |= g->type == DESC_INT16 || g->type == DESC_TRAP16 || g->type == DESC_TASK_GATE;
	if (desc_is_code_data(&d) || !known)
		cpu_fault_code(c, X86_GP, idt_code(ev));
	if (is_soft(ev) && desc_dpl(&d) < c->cpl)
		cpu_fault_code(c, X86_GP, idt_code(ev));
	if (!desc_present(&d))
		cpu_fault_code(c, X86_NP, idt_code(ev));
	if (cpu_long(c)) {
		g->off |= ld_super(c, d.at + 8, 8) << 32;
		g->ist = d.raw >> 32 & 7;
		g->width = 8;
	} else if (g->type == DESC_INT16 || g->type == DESC_TRAP16) {
		g->width = 2;
		g->off &= 0xffff;
	}
}

/* The handler's code segment; returns the privilege level that it runs at. */
static unsigned handler_code(struct soft_cpu *c, const struct event *ev, const struct event_gate *g, struct x86_seg *cs)
{
	struct desc d;
	unsigned cpl;

	if (!(g->sel & 0xfffc))
		cpu_fault_code(c, X86_GP, ev->ext);
	desc_fetch(c, g->sel, &d, X86_GP, ev->ext);
	if (!desc_is_code(&d) || desc_dpl(&d) > c->cpl)
		desc_fault(c, X86_GP, g->sel, ev->ext);
	if (cpu_long(c) && (desc_attr(&d) & (X86_AR_L | X86_AR_DB)) != X86_AR_L)
		desc_fault(c, X86_GP, g->sel, ev->ext);
	if (!desc_present(&d))
		desc_fault(c, X86_NP, g->sel, ev->ext);
	cpl = desc_is_conforming(&d) ? c->cpl : desc_dpl(&d);
	if ((c->mode & MODE_V86) && cpl != 0)
		desc_fault(c, X86_GP, g->sel, ev->ext);
	desc_set_accessed(c, &d);
	*cs = desc_seg(&d, g->sel);
	return cpl;
}

static void push_v86_segments(struct soft_cpu *c, struct desc_stack *st, unsigned width)
{
	static const uint8_t order[] = { X86_GS, X86_FS, X86_DS, X86_ES };

	for (unsigned n = 0; n < COUNT_OF(order); n++)
		desc_stack_push(c, st, width, c->s.seg[order[n]].sel);
}

/* RF is cleared lazily, by event_before_insn: where no breakpoint is enabled only a fault's image shows it. */
static uint64_t flags_image(const struct soft_cpu *c, const struct event *ev)
{
	bool keep = ev->kind == EVENT_FAULT || (c->mode & MODE_BREAK);

	return keep ? c->s.rflags : c->s.rflags & ~(uint64_t)X86_FLAG_RF;
}

static void push_frame(struct soft_cpu *c, struct desc_stack *st, const struct event *ev, unsigned width, bool with_ss)
{
	if (with_ss) {
		desc_stack_push(c, st, width, c->s.seg[X86_SS].sel);
		desc_stack_push(c, st, width, c->s.gpr[X86_RSP]);
	}
	desc_stack_push(c, st, width, flags_image(c, ev));
	desc_stack_push(c, st, width, c->s.seg[X86_CS].sel);
	desc_stack_push(c, st, width, c->s.rip);
	if (ev->has_code)
		desc_stack_push(c, st, width, ev->code);
}

static void null_v86_segments(struct soft_cpu *c)
{
	static const uint8_t segs[] = { X86_GS, X86_FS, X86_DS, X86_ES };

	for (unsigned n = 0; n < COUNT_OF(segs); n++)
		c->s.seg[segs[n]] = desc_null_seg(0, 0);
}

static void enter_handler(struct soft_cpu *c, const struct event_gate *g, const struct x86_seg *cs, unsigned cpl,
                          const struct desc_stack *st)
{
	bool v86 = c->mode & MODE_V86;

	desc_stack_commit(c, st);
	c->s.rflags &= ~(uint64_t)(X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM);
	if (!(g->type & 1))
		c->s.rflags &= ~(uint64_t)X86_FLAG_IF;
	if (v86) {
		null_v86_segments(c);
		cpu_update_mode(c); /* protected mode from here: the selector takes the new CPL */
	}
	desc_enter_code(c, cs, cpl, g->off);
}

static void deliver_protected(struct soft_cpu *c, const struct event *ev)
{
	struct event_gate g;
	struct x86_seg cs;
	struct desc_stack st;
	unsigned cpl;
	bool inner;

	read_gate(c, ev, &g);
	if (g.type == DESC_TASK_GATE) {
		task_switch(c, g.sel, TASK_EVENT, c->s.rip, ev->ext);
		if (ev->has_code)
			task_push_code(c, ev->code, ev->ext);
		return;
	}
	cpl = handler_code(c, ev, &g, &cs);
	inner = cpl < c->cpl;
	if (inner || g.ist)
		desc_stack_from_tss(c, &st, cpl, g.ist, ev->ext);
	else
		desc_stack_current(c, &st, ev->ext);
	if (cpu_long(c)) {
		st.sp &= ~UINT64_C(15);
		st.width = 8;
	}
	desc_check_rip(c, &cs, g.off, ev->ext);
	if (c->mode & MODE_V86)
		push_v86_segments(c, &st, g.width);
	push_frame(c, &st, ev, g.width, inner || cpu_long(c));
	enter_handler(c, &g, &cs, cpl, &st);
}

static void deliver_one(struct soft_cpu *c, const struct event *ev)
{
	if (c->s.cr0 & X86_CR0_PE)
		deliver_protected(c, ev);
	else
		deliver_real(c, ev);
	if (ev->kind == EVENT_NMI)
		c->s.ev.nmi_blocked = true;
	c->s.ev.sti_shadow = false;
	c->s.ev.movss_shadow = false;
}

/* ---- faults during delivery ---- */

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE, CLASS_DOUBLE };

static enum fault_class fault_class(unsigned vector)
{
	switch (vector) {
	case X86_DE: case X86_TS: case X86_NP: case X86_SS_FAULT: case X86_GP: case X86_CP: return CLASS_CONTRIBUTORY;
	case X86_PF: return CLASS_PAGE;
	case X86_DF: return CLASS_DOUBLE;
	default: return CLASS_BENIGN;
	}
}

/* SDM 3A table 6-5. What follows when `second` came up while `first` was delivered: its vector replaced by #DF, or a
 * triple fault (false). */
static bool combine(const struct event *first, struct event *second)
{
	enum fault_class a = first->kind == EVENT_FAULT ? fault_class(first->vector) : CLASS_BENIGN;
	enum fault_class b = fault_class(second->vector);

	if (a == CLASS_DOUBLE && b != CLASS_BENIGN)
		return false;
	if ((a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY) ||
	    (a == CLASS_PAGE && (b == CLASS_CONTRIBUTORY || b == CLASS_PAGE))) {
		second->vector = X86_DF;
		second->has_code = true;
		second->code = 0;
	}
	return true;
}

/* Delivers with faults caught: 0 done, 1 c->fault holds a new one. __builtin_setjmp wants a frame of its own. */
static __attribute__((noinline)) int deliver_caught(struct soft_cpu *c, const struct event *ev)
{
	void *saved[COUNT_OF(c->fault_jmp)];
	struct soft_cpu *volatile cpu = c;

	memcpy(saved, c->fault_jmp, sizeof(saved));
	if (__builtin_setjmp(c->fault_jmp)) {
		memcpy(cpu->fault_jmp, saved, sizeof(saved));
		return 1;
	}
	deliver_one(c, ev);
	memcpy(cpu->fault_jmp, saved, sizeof(saved));
	return 0;
}

void event_deliver(struct soft_cpu *c, enum event_kind kind, unsigned vector, bool has_code, uint32_t code)
{
	struct event ev = { kind, vector, has_code, code, .ext = kind != EVENT_SOFT_INT && kind != EVENT_INT3_INTO };

	if (!(c->s.cr0 & X86_CR0_PE))
		ev.has_code = false;
	if (is_soft(&ev)) {
		deliver_one(c, &ev); /* a fault is the instruction's own and goes to the run loop */
		return;
	}
	/* Ten is more than any chain of benign, page, double faults needs. */
	for (unsigned n = 0; n < 10; n++) {
		struct event second;

		if (!deliver_caught(c, &ev))
			return;
		second = (struct event){ EVENT_FAULT, c->fault.vector, c->fault.has_code, c->fault.code, .ext = 1 };
		if (!combine(&ev, &second))
			break;
		if (!(c->s.cr0 & X86_CR0_PE))
			second.has_code = false;
		if (second.vector != X86_DF)
			c->s.rflags |= X86_FLAG_RF;
		ev = second;
	}
	c->s.ev.triple_fault = true;
}

void event_fault(struct soft_cpu *c)
{
	struct soft_fault f = c->fault;

	/* Faults are restarted, so a breakpoint at their address must not hit again; an instruction breakpoint's own
	 * image has RF clear (SDM 3B 17.3.1.1). #DF is an abort. */
	if (f.vector != X86_DB && f.vector != X86_DF)
		c->s.rflags |= X86_FLAG_RF;
	c->dr6_pending = 0;
	c->step_skip = false;
	event_deliver(c, EVENT_FAULT, f.vector, f.has_code, f.code);
}

/* ---- debug ---- */

enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR7_GD = 1 << 13 };
enum { BREAK_EXEC = 0, BREAK_WRITE = 1, BREAK_IO = 2, BREAK_RW = 3 };

/* Enabled breakpoints of the wanted kinds (bit per R/W value) that share a byte with [at, at + len). */
static uint64_t break_hits(const struct soft_cpu *c, uint64_t at, unsigned len, unsigned kinds)
{
	static const uint8_t lengths[4] = { 1, 2, 8, 4 };
	uint64_t hits = 0;

	for (unsigned n = 0; n < 4; n++) {
		unsigned rw = c->s.dr[7] >> (16 + n * 4) & 3;
		unsigned size = lengths[c->s.dr[7] >> (18 + n * 4) & 3];
		uint64_t base = c->s.dr[n] & ~(uint64_t)(size - 1);

		if ((c->s.dr[7] >> (n * 2) & 3) && (kinds >> rw & 1) && at < base + size && base < at + len)
			hits |= UINT64_C(1) << n;
	}
	return hits;
}

static void debug_exception_state(struct soft_cpu *c, uint64_t bits)
{
	c->s.dr[6] = (c->s.dr[6] & ~UINT64_C(15)) | bits;
	c->s.dr[7] &= ~(uint64_t)DR7_GD;
	cpu_update_mode(c);
}

void event_before_insn(struct soft_cpu *c)
{
	uint64_t lin, hits;

	if (c->s.rflags & X86_FLAG_RF) {
		c->s.rflags &= ~(uint64_t)X86_FLAG_RF; /* it covers one instruction; a fault of that one sets it again */
		return;
	}
	lin = cpu_code64(c) ? c->s.rip : (uint32_t)(c->s.seg[X86_CS].base + c->s.rip);
	hits = break_hits(c, lin, 1, 1 << BREAK_EXEC);
	if (!hits)
		return;
	debug_exception_state(c, hits);
	cpu_fault(c, X86_DB);
}

void event_data_access(struct soft_cpu *c, uint64_t lin, unsigned len, bool write)
{
	c->dr6_pending |= break_hits(c, lin, len, write ? 1 << BREAK_WRITE | 1 << BREAK_RW : 1 << BREAK_RW);
	if (c->mode & MODE_DEBUG)
		debug_data_access(c, lin, len, write);
}

void event_io_access(struct soft_cpu *c, uint16_t port, unsigned len)
{
	if ((c->mode & MODE_BREAK) && (c->s.cr4 & X86_CR4_DE))
		c->dr6_pending |= break_hits(c, port, len, 1 << BREAK_IO);
}

bool event_trap_due(struct soft_cpu *c, bool tf_before)
{
	uint64_t bits;

	if (c->s.ev.movss_shadow)
		return false; /* held off until the next instruction is through */
	bits = c->dr6_pending;
	if (tf_before && !c->step_skip)
		bits |= DR6_BS;
	c->step_skip = false;
	c->dr6_pending = 0;
	if (bits)
		debug_exception_state(c, bits);
	return bits;
}

void event_after_insn(struct soft_cpu *c, bool tf_before)
{
	if (event_trap_due(c, tf_before))
		event_deliver(c, EVENT_FAULT, X86_DB, false, 0);
}

void event_general_detect(struct soft_cpu *c)
{
	if (!(c->s.dr[7] & DR7_GD))
		return;
	debug_exception_state(c, DR6_BD);
	cpu_fault(c, X86_DB);
}
