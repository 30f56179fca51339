/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment registers: loads with their checks, and the instructions on descriptors and descriptor tables.
 * Sources: SDM 2 (MOV, POP, LDS, LAR, LSL, VERR, ARPL, LLDT, LTR, SGDT), SDM 3A 3.4, 5.6, APM 2 4.
 */
#include "accel/soft/bind.h"
#include "accel/soft/desc.h"
#include "accel/soft/mmu.h"
#include "accel/soft/system.h"
#include <string.h>

/* ---- loads ---- */

void segment_load_real(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	struct x86_seg *s = &c->s.seg[seg];

	s->sel = sel;
	s->base = (uint32_t)sel << 4;
	s->attr &= ~X86_AR_UNUSABLE;
	if (c->mode & MODE_V86) {
		s->limit = 0xffff;
		s->attr = X86_AR_P | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_DPL;
	}
	cpu_update_mode(c);
}

static void load_null(struct soft_cpu *c, unsigned seg, uint16_t sel, unsigned cpl, unsigned vector)
{
	if (seg == X86_SS && (!cpu_code64(c) || cpl == 3 || (sel & 3) != cpl))
		cpu_fault_code(c, vector, 0);
	c->s.seg[seg] = desc_null_seg(sel, seg == X86_SS ? cpl : 0);
}

static void check_ss(struct soft_cpu *c, const struct desc *d, uint16_t sel, unsigned cpl, unsigned vector)
{
	if ((sel & 3) != cpl || desc_dpl(d) != cpl || !desc_is_writable(d))
		desc_fault(c, vector, sel, 0);
	if (!desc_present(d))
		desc_fault(c, X86_SS_FAULT, sel, 0);
}

static void check_data(struct soft_cpu *c, const struct desc *d, uint16_t sel, unsigned cpl, unsigned vector)
{
	unsigned rpl = sel & 3, dpl = desc_dpl(d);

	if (!desc_is_readable(d))
		desc_fault(c, vector, sel, 0);
	if (!desc_is_conforming(d) && (rpl > dpl || cpl > dpl))
		desc_fault(c, vector, sel, 0);
	if (!desc_present(d))
		desc_fault(c, X86_NP, sel, 0);
}

void segment_load_checked(struct soft_cpu *c, unsigned seg, uint16_t sel, unsigned cpl, unsigned vector)
{
	struct desc d;

	if (!(sel & 0xfffc)) {
		load_null(c, seg, sel, cpl, vector);
		return;
	}
	desc_fetch(c, sel, &d, vector, 0);
	if (seg == X86_SS)
		check_ss(c, &d, sel, cpl, vector);
	else
		check_data(c, &d, sel, cpl, vector);
	desc_set_accessed(c, &d);
	c->s.seg[seg] = desc_seg(&d, sel);
}

void segment_load(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	uint32_t mode = c->mode;

	if (cpu_protected(c))
		segment_load_checked(c, seg, sel, c->cpl, X86_GP);
	else
		segment_load_real(c, seg, sel);
	cpu_update_mode(c);
	if (c->mode != mode)
		c->end_block = true;
}

void segment_load_ldtr(struct soft_cpu *c, uint16_t sel, unsigned vector)
{
	struct desc d;
	uint64_t high = 0;

	if (!(sel & 0xfffc)) {
		c->s.seg[X86_LDTR] = desc_null_seg(sel, 0);
		return;
	}
	if ((sel & 4))
		desc_fault(c, vector, sel, 0);
	desc_fetch(c, sel, &d, vector, 0);
	if (desc_is_code_data(&d) || desc_type(&d) != DESC_LDT)
		desc_fault(c, vector, sel, 0);
	if (!desc_present(&d))
		desc_fault(c, vector == X86_TS ? X86_TS : X86_NP, sel, 0);
	if (cpu_long(c))
		high = desc_fetch_high(c, sel, &d, vector, 0);
	c->s.seg[X86_LDTR] = desc_seg(&d, sel);
	c->s.seg[X86_LDTR].base |= high << 32;
	if (!is_canonical(c->s.seg[X86_LDTR].base))
		desc_fault(c, vector, sel, 0);
}

/* ---- MOV, PUSH, POP, LDS and relatives ---- */

static uint16_t rm16(struct soft_cpu *c, const struct insn *i)
{
	if (i->rm != REG_NONE)
		return (uint16_t)c->s.gpr[i->rm];
	return ld16(c, insn_linear(c, i, 2, false));
}

/* Stores of selectors and of MSW: 2 bytes to memory, the operand size (zero-extended) to a register. */
static void store_rm16(struct soft_cpu *c, const struct insn *i, uint64_t v)
{
	if (i->rm != REG_NONE)
		reg_set(c, i->rm, i->width, v);
	else
		st16(c, insn_linear(c, i, 2, true), (uint16_t)v);
}

static void shadow_after_ss(struct soft_cpu *c)
{
	c->s.ev.movss_shadow = true;
	c->end_block = true;
}

static void fn_mov_to_seg(struct soft_cpu *c, const struct insn *i)
{
	segment_load(c, i->sub, rm16(c, i));
	if (i->sub == X86_SS)
		shadow_after_ss(c);
}

static void fn_mov_from_seg(struct soft_cpu *c, const struct insn *i)
{
	store_rm16(c, i, c->s.seg[i->sub].sel);
}

static void fn_push_seg(struct soft_cpu *c, const struct insn *i)
{
	/* A 32-bit push of a selector writes 16 bits and leaves the rest (SDM 2, PUSH). */
	stack_poke(c, i->width, i->width == 4 ? 2 : i->width, c->s.seg[i->sub].sel);
	stack_adjust(c, -(int64_t)i->width);
}

static void fn_pop_seg(struct soft_cpu *c, const struct insn *i)
{
	uint16_t sel = (uint16_t)stack_peek(c, 0, 2); /* no more than that is read */
	unsigned stack_width = c->stack_width; /* of the old SS */

	segment_load(c, i->sub, sel);
	reg_set(c, X86_RSP, stack_width, c->s.gpr[X86_RSP] + i->width);
	if (i->sub == X86_SS)
		shadow_after_ss(c);
}

/* Two reads with checks of their own: the first is misaligned before the second is beyond the limit. */
uint64_t segment_read_pointer(struct soft_cpu *c, const struct insn *i, uint16_t *sel)
{
	uint64_t ea = insn_ea(c, i), next = ea + i->width, off = ld(c, seg_linear(c, i->seg, ea, i->width, false), i->width);

	*sel = ld16(c, seg_linear(c, i->seg, i->asize == 4 ? (uint32_t)next : next, 2, false));
	return off;
}

static void fn_load_far_pointer(struct soft_cpu *c, const struct insn *i)
{
	uint16_t sel;
	uint64_t off = segment_read_pointer(c, i, &sel);

	segment_load(c, i->sub, sel);
	reg_set(c, i->reg, i->width, off);
}

bool segment_bind_mov(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *op = src->op;

	if (bind_is_class(&op[0], ZYDIS_REGCLASS_SEGMENT)) {
		i->sub = bind_reg(&op[0]);
		bind_rm(i, &op[1]);
		i->fn = fn_mov_to_seg;
		if (i->sub > X86_GS || i->sub == X86_CS)
			return false;
		return true;
	}
	i->sub = bind_reg(&op[1]);
	bind_rm(i, &op[0]);
	if (i->rm != REG_NONE)
		i->width = (uint8_t)(op[0].size / 8);
	i->fn = fn_mov_from_seg;
	return i->sub <= X86_GS;
}

bool segment_bind_push(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->sub = bind_reg(&src->op[0]);
	i->fn = fn_push_seg;
	return i->sub <= X86_GS;
}

bool segment_bind_pop(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->sub = bind_reg(&src->op[0]);
	i->fn = fn_pop_seg;
	return i->sub <= X86_GS && i->sub != X86_CS;
}

static bool bind_load_far_pointer(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->sub = (uint8_t)arg;
	i->reg = bind_reg(&src->op[0]);
	i->fn = fn_load_far_pointer;
	return src->op[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* ---- LAR, LSL, VERR, VERW, ARPL ---- */

static void set_zf(struct soft_cpu *c, bool set)
{
	c->s.rflags = set ? c->s.rflags | X86_FLAG_ZF : c->s.rflags & ~(uint64_t)X86_FLAG_ZF;
}

static bool privileged_enough(const struct soft_cpu *c, const struct desc *d, uint16_t sel)
{
	unsigned dpl = desc_dpl(d);

	return desc_is_conforming(d) || (c->cpl <= dpl && (sel & 3u) <= dpl);
}

/* Which system types LAR and LSL accept: a bit per type. */
static bool system_type_in(const struct soft_cpu *c, const struct desc *d, uint16_t legacy, uint16_t ia32e)
{
	return desc_is_code_data(d) || ((cpu_long(c) ? ia32e : legacy) >> desc_type(d) & 1);
}

/* The descriptor that LAR or LSL asks for, where it exists, is of a type that it takes, and may be seen. */
static bool find_seen(struct soft_cpu *c, const struct insn *i, uint16_t legacy, uint16_t ia32e, struct desc *d)
{
	uint16_t sel;

	if (!cpu_protected(c))
		cpu_ud(c);
	sel = rm16(c, i);
	return (sel & 0xfffc) && desc_find(c, sel, d) && system_type_in(c, d, legacy, ia32e) &&
	       privileged_enough(c, d, sel);
}

static void fn_lar(struct soft_cpu *c, const struct insn *i)
{
	enum { LEGACY = 0x1a3e, IA32E = 0x1a04 }; /* TSS, LDT, call and task gates */
	struct desc d;
	bool ok = find_seen(c, i, LEGACY, IA32E, &d);

	if (ok)
		reg_set(c, i->reg, i->width, d.raw >> 32 & 0x00ffff00);
	set_zf(c, ok);
}

static void fn_lsl(struct soft_cpu *c, const struct insn *i)
{
	enum { LEGACY = 0x0a0e, IA32E = 0x0a04 }; /* TSS, LDT */
	struct desc d;
	bool ok = find_seen(c, i, LEGACY, IA32E, &d);

	if (ok)
		reg_set(c, i->reg, i->width, desc_limit(&d));
	set_zf(c, ok);
}

static void fn_verify(struct soft_cpu *c, const struct insn *i)
{
	struct desc d;
	uint16_t sel;
	bool ok;

	if (!cpu_protected(c))
		cpu_ud(c);
	sel = rm16(c, i);
	ok = (sel & 0xfffc) && desc_find(c, sel, &d) && desc_is_code_data(&d) && privileged_enough(c, &d, sel);
	set_zf(c, ok && (i->sub ? desc_is_writable(&d) : desc_is_readable(&d)));
}

static void fn_arpl(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin = 0;
	uint16_t dst;
	unsigned rpl;

	if (!cpu_protected(c))
		cpu_ud(c);
	rpl = c->s.gpr[i->reg] & 3;
	if (i->rm == REG_NONE) {
		lin = insn_linear(c, i, 2, false); /* that it can be written matters only when it is */
		dst = ld16(c, lin);
	} else {
		dst = (uint16_t)c->s.gpr[i->rm];
	}
	if ((dst & 3u) < rpl) {
		dst = (uint16_t)((dst & ~3u) | rpl);
		if (i->rm == REG_NONE)
			st16(c, insn_linear(c, i, 2, true), dst);
		else
			reg_set(c, i->rm, 2, dst);
		set_zf(c, true);
	} else {
		set_zf(c, false);
	}
}

/* ---- LLDT, LTR, SLDT, STR, tables ---- */

static void check_system_insn(struct soft_cpu *c)
{
	if (!cpu_protected(c))
		cpu_ud(c);
	if (c->cpl)
		cpu_gp0(c);
}

static void check_umip(struct soft_cpu *c)
{
	if ((c->s.cr4 & X86_CR4_UMIP) && c->cpl)
		cpu_gp0(c);
}

static void fn_lldt(struct soft_cpu *c, const struct insn *i)
{
	check_system_insn(c);
	segment_load_ldtr(c, rm16(c, i), X86_GP);
}

static void fn_ltr(struct soft_cpu *c, const struct insn *i)
{
	struct x86_seg tr;
	struct desc d;
	uint64_t high = 0;
	uint16_t sel;

	check_system_insn(c);
	sel = rm16(c, i);
	if (!(sel & 0xfffc))
		cpu_gp0(c);
	if (sel & 4)
		desc_fault(c, X86_GP, sel, 0);
	desc_fetch(c, sel, &d, X86_GP, 0);
	if (desc_is_code_data(&d) ||
	    (desc_type(&d) != DESC_TSS32 && (cpu_long(c) || desc_type(&d) != DESC_TSS16)))
		desc_fault(c, X86_GP, sel, 0);
	if (!desc_present(&d))
		desc_fault(c, X86_NP, sel, 0);
	if (cpu_long(c))
		high = desc_fetch_high(c, sel, &d, X86_GP, 0);
	tr = desc_seg(&d, sel);
	tr.base |= high << 32;
	if (!is_canonical(tr.base))
		desc_fault(c, X86_GP, sel, 0);
	desc_set_busy(c, d.at, true);
	tr.attr |= 2;
	c->s.seg[X86_TR] = tr;
}

static void fn_sldt_str(struct soft_cpu *c, const struct insn *i)
{
	if (!cpu_protected(c))
		cpu_ud(c);
	check_umip(c);
	store_rm16(c, i, c->s.seg[i->sub].sel);
}

static void fn_load_table(struct soft_cpu *c, const struct insn *i)
{
	struct x86_table t;
	unsigned base_width = cpu_code64(c) ? 8 : 4;
	uint64_t lin, mask = cpu_code64(c) ? UINT64_MAX : UINT32_MAX;

	if (c->cpl)
		cpu_gp0(c);
	lin = insn_linear(c, i, base_width + 2, false);
	t.limit = ld16(c, lin);
	t.base = ld(c, (lin + 2) & mask, base_width);
	if (base_width == 4 && i->width == 2)
		t.base &= 0xffffff;
	if (base_width == 8 && !is_canonical(t.base))
		cpu_gp0(c);
	*(i->sub ? &c->s.idtr : &c->s.gdtr) = t;
}

static void fn_store_table(struct soft_cpu *c, const struct insn *i)
{
	const struct x86_table *t = i->sub ? &c->s.idtr : &c->s.gdtr;
	unsigned base_width = cpu_code64(c) ? 8 : 4;
	uint8_t image[10];

	check_umip(c);
	memcpy(image, &t->limit, 2);
	memcpy(image + 2, &t->base, base_width);
	st_buf(c, insn_linear(c, i, base_width + 2, true), image, base_width + 2);
}

/* ---- FS and GS base ---- */

static void check_fsgsbase(struct soft_cpu *c)
{
	if (!cpu_code64(c) || !(c->s.cr4 & X86_CR4_FSGSBASE))
		cpu_ud(c);
}

static void fn_read_base(struct soft_cpu *c, const struct insn *i)
{
	check_fsgsbase(c);
	reg_set(c, i->rm, i->width, c->s.seg[i->sub].base);
}

static void fn_write_base(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v;

	check_fsgsbase(c);
	v = reg_get(c, i->rm, i->width);
	if (!is_canonical(v))
		cpu_gp0(c);
	c->s.seg[i->sub].base = v;
}

static void fn_swapgs(struct soft_cpu *c, const struct insn *i)
{
	uint64_t base;

	if (!cpu_code64(c))
		cpu_ud(c);
	if (c->cpl)
		cpu_gp0(c);
	base = c->s.seg[X86_GS].base;
	c->s.seg[X86_GS].base = c->s.kernel_gs_base;
	c->s.kernel_gs_base = base;
}

/* ---- binding ---- */

enum { OP_LAR, OP_LSL, OP_VERR, OP_VERW, OP_ARPL, OP_LLDT, OP_LTR, OP_SLDT, OP_STR, OP_LGDT, OP_LIDT, OP_SGDT, OP_SIDT,
       OP_RDFS, OP_RDGS, OP_WRFS, OP_WRGS, OP_SWAPGS };

/* rm: which operand is the r/m operand; reg: which is the register; -1: none. */
static const struct segment_form {
	insn_fn fn;
	int8_t rm, reg;
	uint8_t sub;
} forms[] = {
	[OP_LAR] = { fn_lar, 1, 0, 0 },
	[OP_LSL] = { fn_lsl, 1, 0, 0 },
	[OP_VERR] = { fn_verify, 0, -1, 0 },
	[OP_VERW] = { fn_verify, 0, -1, 1 },
	[OP_ARPL] = { fn_arpl, 0, 1, 0 },
	[OP_LLDT] = { fn_lldt, 0, -1, 0 },
	[OP_LTR] = { fn_ltr, 0, -1, 0 },
	[OP_SLDT] = { fn_sldt_str, 0, -1, X86_LDTR },
	[OP_STR] = { fn_sldt_str, 0, -1, X86_TR },
	[OP_LGDT] = { fn_load_table, 0, -1, 0 },
	[OP_LIDT] = { fn_load_table, 0, -1, 1 },
	[OP_SGDT] = { fn_store_table, 0, -1, 0 },
	[OP_SIDT] = { fn_store_table, 0, -1, 1 },
	[OP_RDFS] = { fn_read_base, 0, -1, X86_FS },
	[OP_RDGS] = { fn_read_base, 0, -1, X86_GS },
	[OP_WRFS] = { fn_write_base, 0, -1, X86_FS },
	[OP_WRGS] = { fn_write_base, 0, -1, X86_GS },
	[OP_SWAPGS] = { fn_swapgs, -1, -1, 0 },
};

static bool bind_form(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const struct segment_form *f = &forms[arg];

	i->fn = f->fn;
	i->sub = f->sub;
	i->rm = REG_NONE;
	if (f->rm >= 0)
		bind_rm(i, &src->op[f->rm]);
	if (f->reg >= 0)
		i->reg = bind_reg(&src->op[f->reg]);
	if (f->rm == 0 && i->rm != REG_NONE) /* SLDT, STR, RDFSBASE: the register's own size */
		i->width = (uint8_t)(src->op[0].size / 8);
	if (f->reg == 0)
		i->width = (uint8_t)(src->op[0].size / 8);
	return true;
}

const struct insn_row insn_segment[] = {
	{ ZYDIS_MNEMONIC_LDS, X86_DS, bind_load_far_pointer },
	{ ZYDIS_MNEMONIC_LES, X86_ES, bind_load_far_pointer },
	{ ZYDIS_MNEMONIC_LFS, X86_FS, bind_load_far_pointer },
	{ ZYDIS_MNEMONIC_LGS, X86_GS, bind_load_far_pointer },
	{ ZYDIS_MNEMONIC_LSS, X86_SS, bind_load_far_pointer },
	{ ZYDIS_MNEMONIC_LAR, OP_LAR, bind_form },
	{ ZYDIS_MNEMONIC_LSL, OP_LSL, bind_form },
	{ ZYDIS_MNEMONIC_VERR, OP_VERR, bind_form },
	{ ZYDIS_MNEMONIC_VERW, OP_VERW, bind_form },
	{ ZYDIS_MNEMONIC_ARPL, OP_ARPL, bind_form },
	{ ZYDIS_MNEMONIC_LLDT, OP_LLDT, bind_form },
	{ ZYDIS_MNEMONIC_LTR, OP_LTR, bind_form },
	{ ZYDIS_MNEMONIC_SLDT, OP_SLDT, bind_form },
	{ ZYDIS_MNEMONIC_STR, OP_STR, bind_form },
	{ ZYDIS_MNEMONIC_LGDT, OP_LGDT, bind_form },
	{ ZYDIS_MNEMONIC_LIDT, OP_LIDT, bind_form },
	{ ZYDIS_MNEMONIC_SGDT, OP_SGDT, bind_form },
	{ ZYDIS_MNEMONIC_SIDT, OP_SIDT, bind_form },
	{ ZYDIS_MNEMONIC_RDFSBASE, OP_RDFS, bind_form },
	{ ZYDIS_MNEMONIC_RDGSBASE, OP_RDGS, bind_form },
	{ ZYDIS_MNEMONIC_WRFSBASE, OP_WRFS, bind_form },
	{ ZYDIS_MNEMONIC_WRGSBASE, OP_WRGS, bind_form },
	{ ZYDIS_MNEMONIC_SWAPGS, OP_SWAPGS, bind_form },
	{ 0, 0, NULL },
};
