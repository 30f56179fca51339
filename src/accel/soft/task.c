/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches through 16- and 32-bit task-state segments. Sources: SDM 3A chapter 7. */
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"

/* A task's registers, the same for both layouts. */
struct task_image {
	uint32_t cr3, eip, eflags, gpr[8];
	uint16_t sel[6]; /* ES CS SS DS FS GS */
	uint16_t ldt;
	bool trap;
};

/* Offsets within the two layouts. */
struct task_layout {
	uint8_t link, eip, eflags, gpr, gpr_step, sel, sel_step, sel_count, ldt, limit_min, width;
};
static const struct task_layout layout16 = { 0, 0x0e, 0x10, 0x12, 2, 0x22, 2, 4, 0x2a, 0x2b, 2 };
static const struct task_layout layout32 = { 0, 0x20, 0x24, 0x28, 4, 0x48, 4, 6, 0x60, 0x67, 4 };

static const struct task_layout *layout_of(unsigned type)
{
	return type & 8 ? &layout32 : &layout16;
}

static void save_old_task(struct soft_cpu *c, uint64_t base, const struct task_layout *l, uint64_t eip, uint64_t eflags)
{
	st_super(c, (uint32_t)(base + l->eip), l->width, eip);
	st_super(c, (uint32_t)(base + l->eflags), l->width, eflags);
	for (unsigned n = 0; n < 8; n++)
		st_super(c, (uint32_t)(base + l->gpr + n * l->gpr_step), l->width, c->s.gpr[n]);
	for (unsigned n = 0; n < l->sel_count; n++)
		st_super(c, (uint32_t)(base + l->sel + n * l->sel_step), 2, c->s.seg[n].sel);
}

static void read_new_task(struct soft_cpu *c, uint64_t base, const struct task_layout *l, struct task_image *t)
{
	*t = (struct task_image){ 0 };
	t->eip = (uint32_t)ld_super(c, (uint32_t)(base + l->eip), l->width);
	t->eflags = (uint32_t)ld_super(c, (uint32_t)(base + l->eflags), l->width);
	for (unsigned n = 0; n < 8; n++)
		t->gpr[n] = (uint32_t)ld_super(c, (uint32_t)(base + l->gpr + n * l->gpr_step), l->width);
	for (unsigned n = 0; n < l->sel_count; n++)
		t->sel[n] = (uint16_t)ld_super(c, (uint32_t)(base + l->sel + n * l->sel_step), 2);
	t->ldt = (uint16_t)ld_super(c, (uint32_t)(base + l->ldt), 2);
	if (l == &layout32) {
		t->cr3 = (uint32_t)ld_super(c, (uint32_t)(base + 0x1c), 4);
		t->trap = ld_super(c, (uint32_t)(base + 0x64), 2) & 1;
	}
}

static void check_new_tss(struct soft_cpu *c, uint16_t sel, enum task_source source, unsigned ext, struct desc *d)
{
	unsigned vector = source == TASK_IRET ? X86_TS : X86_GP;
	unsigned want = source == TASK_IRET ? DESC_TSS16_BUSY : DESC_TSS16;

	if (!(sel & 0xfffc) || (sel & 4))
		desc_fault(c, vector, sel, ext);
	desc_fetch(c, sel, d, vector, ext);
	if (desc_is_code_data(d) || (desc_type(d) & 7) != want)
		desc_fault(c, vector, sel, ext);
	if (!desc_present(d))
		desc_fault(c, X86_NP, sel, ext);
	if (desc_limit(d) < layout_of(desc_type(d))->limit_min)
		desc_fault(c, X86_TS, sel, ext);
}

/* From here faults belong to the new task. Inside an instruction the run loop takes RIP from the block, so move that. */
static void set_rip(struct soft_cpu *c, uint64_t rip, bool in_insn)
{
	c->s.rip = rip;
	c->next_rip = rip;
	c->end_block = true;
	if (in_insn && c->cur)
		c->block_rip = rip - c->cur->off;
}

static void load_registers(struct soft_cpu *c, const struct task_image *t, const struct task_layout *l,
                           bool in_insn)
{
	uint64_t keep = l->width == 2 ? 0xffff0000 : 0;

	for (unsigned n = 0; n < 8; n++)
		c->s.gpr[n] = l->width == 2 ? (c->s.gpr[n] & keep) | t->gpr[n] : t->gpr[n];
	c->s.rflags = (t->eflags & 0x003f7fd5) | X86_FLAG_ONE;
	for (unsigned n = 0; n < 6; n++) { /* selectors are in force before their descriptors are */
		unsigned dpl = n == X86_SS ? t->sel[X86_CS] & 3 : 0;
		c->s.seg[n] = desc_null_seg(t->sel[n], dpl);
	}
	c->s.seg[X86_CS].attr |= X86_AR_DB; /* EIP is whole in what a fault here pushes */
	c->s.seg[X86_LDTR] = desc_null_seg(t->ldt, 0);
	set_rip(c, t->eip, in_insn);
	cpu_update_mode(c);
}

static void load_cs(struct soft_cpu *c, uint16_t sel)
{
	struct desc d;
	unsigned rpl = sel & 3;

	if (!(sel & 0xfffc))
		desc_fault(c, X86_TS, sel, 0);
	desc_fetch(c, sel, &d, X86_TS, 0);
	if (!desc_is_code(&d) || (desc_is_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
		desc_fault(c, X86_TS, sel, 0);
	if (!desc_present(&d))
		desc_fault(c, X86_NP, sel, 0);
	desc_set_accessed(c, &d);
	struct x86_seg cs = desc_seg(&d, sel);
	c->tlb.map_gen[0]++; /* the base was another before it was null */
	desc_set_cs(c, &cs);
}

static void load_segments(struct soft_cpu *c, const struct task_image *t)
{
	static const uint8_t data[] = { X86_ES, X86_DS, X86_FS, X86_GS };
	unsigned cpl = t->sel[X86_CS] & 3;

	segment_load_ldtr(c, t->ldt, X86_TS);
	if (c->s.rflags & X86_FLAG_VM) {
		for (unsigned n = 0; n < 6; n++)
			segment_load_real(c, n, t->sel[n]);
		return;
	}
	load_cs(c, t->sel[X86_CS]);
	cpu_update_mode(c);
	segment_load_checked(c, X86_SS, t->sel[X86_SS], cpl, X86_TS);
	cpu_update_mode(c);
	for (unsigned n = 0; n < COUNT_OF(data); n++)
		segment_load_checked(c, data[n], t->sel[data[n]], cpl, X86_TS);
}

static void load_tr(struct soft_cpu *c, const struct desc *d, uint16_t sel)
{
	c->s.seg[X86_TR] = desc_seg(d, sel);
	c->s.seg[X86_TR].attr |= 2;
	c->s.cr0 |= X86_CR0_TS;
	c->s.dr[7] &= ~UINT64_C(0x155); /* local breakpoints belong to the old task */
}

void task_switch(struct soft_cpu *c, uint16_t sel, enum task_source source, uint64_t next_eip, unsigned ext)
{
	const struct x86_seg old = c->s.seg[X86_TR];
	const struct task_layout *from = layout_of(old.attr & X86_AR_TYPE), *to;
	uint64_t eflags = c->s.rflags;
	struct task_image t;
	struct desc d;

	check_new_tss(c, sel, source, ext, &d);
	if (old.limit < from->limit_min)
		desc_fault(c, X86_TS, old.sel, ext);
	to = layout_of(desc_type(&d));
	if (source == TASK_IRET)
		eflags &= ~(uint64_t)X86_FLAG_NT;
	read_new_task(c, desc_base(&d), to, &t);
	save_old_task(c, old.base, from, next_eip, eflags);
	if (source == TASK_JMP || source == TASK_IRET)
		desc_set_busy(c, (uint32_t)(c->s.gdtr.base + (old.sel & ~7u)), false);
	if (source == TASK_CALL || source == TASK_EVENT) {
		st_super(c, desc_base(&d) + to->link, 2, old.sel);
		t.eflags |= X86_FLAG_NT;
	}
	if (source != TASK_IRET)
		desc_set_busy(c, d.at, true);
	load_tr(c, &d, sel);
	if ((c->s.cr0 & X86_CR0_PG) && to == &layout32)
		control_set_cr3(c, t.cr3);
	load_registers(c, &t, to, !ext);
	load_segments(c, &t);
	cpu_update_mode(c);
	if (t.trap)
		c->dr6_pending |= 1 << 15;
	c->step_skip = true;
	desc_check_rip(c, &c->s.seg[X86_CS], t.eip, 0);
}

void task_push_code(struct soft_cpu *c, uint32_t code, unsigned ext)
{
	unsigned width = c->s.seg[X86_TR].attr & 8 ? 4 : 2;
	struct desc_stack st;

	desc_stack_current(c, &st, ext);
	desc_stack_push(c, &st, width, code);
	desc_stack_commit(c, &st);
}
