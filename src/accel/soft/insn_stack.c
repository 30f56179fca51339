/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE. Source: SDM 2; V86 and VME rules SDM 3B 21.3. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"
#include "accel/soft/system.h"

/* The width that goes over the stack: the size of the hidden stack operand. */
static unsigned stack_operand_width(const struct insn_source *src)
{
	for (unsigned n = 0; n < src->zi->operand_count; n++)
		if (src->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && src->op[n].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			return src->op[n].size / 8;
	return src->zi->operand_width / 8;
}

static bool stack64(const struct insn_source *src)
{
	return (src->mode & MODE_CODE_MASK) == MODE_CODE64;
}

static bool stack_flat32(const struct insn_source *src)
{
	return !stack64(src) && (src->mode & (MODE_FLAT | MODE_SS32)) == (MODE_FLAT | MODE_SS32);
}

/* ---- PUSH ---- */
static void push_r(struct soft_cpu *c, const struct insn *i) { stack_push(c, i->width, c->s.gpr[i->rm]); }
static void push_i(struct soft_cpu *c, const struct insn *i) { stack_push(c, i->width, i->imm); }

ALWAYS_INLINE void push_fast(struct soft_cpu *c, const struct insn *i, uint64_t sp, unsigned w, uint64_t v, insn_fn slow)
{
	void *p = mem_hit(c->tlb.wr, sp, w);
	if (unlikely(!p))
		return slow(c, i);
	raw_store(p, w, v);
	c->s.gpr[X86_RSP] = sp;
}
static void push_r64(struct soft_cpu *c, const struct insn *i)
{
	push_fast(c, i, c->s.gpr[X86_RSP] - 8, 8, c->s.gpr[i->rm], push_r);
}
static void push_i64(struct soft_cpu *c, const struct insn *i)
{
	push_fast(c, i, c->s.gpr[X86_RSP] - 8, 8, i->imm, push_i);
}
static void push_r32(struct soft_cpu *c, const struct insn *i)
{
	push_fast(c, i, (uint32_t)c->s.gpr[X86_RSP] - 4, 4, c->s.gpr[i->rm], push_r);
}
static void push_i32(struct soft_cpu *c, const struct insn *i)
{
	push_fast(c, i, (uint32_t)c->s.gpr[X86_RSP] - 4, 4, i->imm, push_i);
}

static void push_m(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = mem_load(c, mem_addr(c, i, i->width, false), i->width);
	stack_push(c, i->width, v);
}

static bool is_segment(const ZydisDecodedOperand *op)
{
	return op_is_reg(op) && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool bind_push(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *op = &src->op[0];
	if (is_segment(op))
		return segment_bind_push(i, src, arg);
	i->width = (uint8_t)stack_operand_width(src);
	bool fast64 = stack64(src) && i->width == 8, fast32 = stack_flat32(src) && i->width == 4;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		i->fn = push_m;
		return true;
	}
	i->flags |= INSN_STACK_SEG;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		i->fn = fast64 ? push_i64 : fast32 ? push_i32 : push_i;
		return true;
	}
	i->rm = decode_reg_number(op->reg.value);
	i->fn = fast64 ? push_r64 : fast32 ? push_r32 : push_r;
	return true;
}

/* ---- POP ---- */
static void pop_r(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = stack_pop(c, i->width);
	reg_set(c, i->rm, i->width, v);
}
static void pop_r64(struct soft_cpu *c, const struct insn *i)
{
	uint64_t sp = c->s.gpr[X86_RSP];
	const void *p = mem_hit(c->tlb.rd, sp, 8);
	if (unlikely(!p))
		return pop_r(c, i);
	c->s.gpr[X86_RSP] = sp + 8;
	c->s.gpr[i->rm] = raw_load(p, 8);
}
static void pop_r32(struct soft_cpu *c, const struct insn *i)
{
	uint32_t sp = (uint32_t)c->s.gpr[X86_RSP];
	const void *p = mem_hit(c->tlb.rd, sp, 4);
	if (unlikely(!p))
		return pop_r(c, i);
	c->s.gpr[X86_RSP] = sp + 4;
	c->s.gpr[i->rm] = raw_load(p, 4);
}

/* An address that uses rSP takes the value after the pop. */
static void pop_m(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = stack_peek(c, 0, i->width), ea = insn_ea(c, i);
	if (i->base == X86_RSP)
		ea = (ea + i->width) & width_mask(i->asize);
	mem_store(c, seg_linear(c, i->seg, ea, i->width, true), i->width, v);
	stack_adjust(c, i->width);
}

static bool bind_pop(struct insn *i, const struct insn_source *src, unsigned arg)
{
	const ZydisDecodedOperand *op = &src->op[0];
	if (is_segment(op))
		return segment_bind_pop(i, src, arg);
	i->width = (uint8_t)stack_operand_width(src);
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		i->fn = pop_m;
		return true;
	}
	i->flags |= INSN_STACK_SEG;
	i->rm = decode_reg_number(op->reg.value);
	i->fn = stack64(src) && i->width == 8 ? pop_r64 : stack_flat32(src) && i->width == 4 ? pop_r32 : pop_r;
	return true;
}

/* ---- PUSHA, POPA ---- */
static void pusha(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	for (unsigned n = 0; n < 8; n++) /* what was pushed stays when a later one faults, as on processors */
		stack_poke(c, (uint64_t)(n + 1) * w, w, c->s.gpr[n]);
	stack_adjust(c, -8 * (int64_t)w);
}
static void popa(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	for (unsigned n = 8; n-- > 0;) { /* what was popped stays when a later one faults; rSP moves at the end */
		uint64_t v = stack_peek(c, (uint64_t)(7 - n) * w, w);
		if (n != X86_RSP)
			reg_set(c, n, w, v);
	}
	stack_adjust(c, 8 * (int64_t)w);
}
static bool bind_all(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->width = (uint8_t)(arg >> 1);
	i->flags |= INSN_STACK_SEG;
	i->fn = arg & 1 ? popa : pusha;
	return true;
}

/* ---- PUSHF, POPF ---- */
static bool v86_restricted(const struct soft_cpu *c)
{
	return c->mode & MODE_V86 && cpu_iopl(c) < 3;
}

static void pushf(struct soft_cpu *c, const struct insn *i)
{
	uint64_t f = c->s.rflags & ~(uint64_t)(X86_FLAG_VM | X86_FLAG_RF);
	if (v86_restricted(c)) {
		if (i->width != 2 || !(c->s.cr4 & X86_CR4_VME))
			cpu_gp0(c);
		f = (f & ~(uint64_t)X86_FLAG_IF) | X86_FLAG_IOPL | (f & X86_FLAG_VIF ? X86_FLAG_IF : 0);
	}
	stack_push(c, i->width, f);
}

/* 16-bit POPF of virtual-8086 code with IOPL < 3 under VME: IF goes to VIF. */
static void popf_vme(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = stack_peek(c, 0, 2);
	if ((v & X86_FLAG_IF && c->s.rflags & X86_FLAG_VIP) || v & X86_FLAG_TF)
		cpu_gp0(c);
	stack_adjust(c, 2);
	if (v & X86_FLAG_IF)
		v |= X86_FLAG_VIF;
	flags_load(c, v, X86_FLAG_ARITH | X86_FLAG_DF | X86_FLAG_NT | X86_FLAG_TF | X86_FLAG_VIF);
}

static void popf(struct soft_cpu *c, const struct insn *i)
{
	uint64_t mask = X86_FLAG_ARITH | X86_FLAG_DF | X86_FLAG_NT | X86_FLAG_TF;
	if (v86_restricted(c)) {
		if (i->width != 2 || !(c->s.cr4 & X86_CR4_VME))
			cpu_gp0(c);
		popf_vme(c, i);
		return;
	}
	uint64_t v = stack_peek(c, 0, i->width);
	if (i->width > 2)
		mask |= X86_FLAG_AC | X86_FLAG_ID | X86_FLAG_RF;
	if (c->cpl == 0)
		mask |= X86_FLAG_IOPL;
	if (c->cpl <= cpu_iopl(c))
		mask |= X86_FLAG_IF;
	stack_adjust(c, i->width);
	flags_load(c, v & ~(uint64_t)X86_FLAG_RF, mask);
}

static bool bind_flags(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->width = (uint8_t)(arg >> 1);
	i->flags |= INSN_STACK_SEG;
	if (arg & 1)
		i->flags |= INSN_ENDS_BLOCK;
	i->fn = arg & 1 ? popf : pushf;
	return true;
}

/* ---- ENTER, LEAVE ---- */
static uint64_t frame_load(struct soft_cpu *c, uint64_t at, unsigned w)
{
	at &= width_mask(c->stack_width);
	return mem_load(c, seg_linear(c, X86_SS, at, w, false), w);
}

static void enter(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width, level = i->sub;
	uint64_t bp = c->s.gpr[X86_RBP], depth = w;
	uint64_t frame = (c->s.gpr[X86_RSP] - w) & width_mask(c->stack_width);
	/* With a 16-bit stack the frame's address has ESP's upper half, in EBP and where it is pushed. */
	if (c->stack_width == 2)
		frame |= c->s.gpr[X86_RSP] & 0xffff0000;
	stack_poke(c, depth, w, bp);
	for (unsigned n = 1; n < level; n++) {
		depth += w;
		stack_poke(c, depth, w, frame_load(c, bp - (uint64_t)n * w, w));
	}
	if (level) {
		depth += w;
		stack_poke(c, depth, w, frame);
	}
	/* The processor checks that the new top can be written (SDM 2A, ENTER). */
	uint64_t top = (c->s.gpr[X86_RSP] - depth - i->imm) & width_mask(c->stack_width);
	probe_write(c, seg_linear(c, X86_SS, top, w, true), w);
	stack_adjust(c, -(int64_t)(depth + i->imm));
	reg_set(c, X86_RBP, w, frame);
}

static bool bind_enter(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->width = (uint8_t)stack_operand_width(src);
	i->imm = src->op[0].imm.value.u & 0xffff;
	i->sub = src->op[1].imm.value.u & 31;
	i->flags |= INSN_STACK_SEG;
	i->fn = enter;
	return true;
}

static void leave_64(struct soft_cpu *c, const struct insn *i)
{
	uint64_t sp = c->s.gpr[X86_RBP], v = mem_load(c, sp, 8);
	c->s.gpr[X86_RSP] = sp + 8;
	c->s.gpr[X86_RBP] = v;
}

static void leave_(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v = frame_load(c, c->s.gpr[X86_RBP], i->width), bp = c->s.gpr[X86_RBP];
	if (c->stack_width == 2)
		reg_set(c, X86_RSP, 2, bp);
	else
		c->s.gpr[X86_RSP] = bp & width_mask(c->stack_width);
	stack_adjust(c, i->width);
	reg_set(c, X86_RBP, i->width, v);
}

static bool bind_leave(struct insn *i, const struct insn_source *src, unsigned arg)
{
	i->width = (uint8_t)stack_operand_width(src);
	i->flags |= INSN_STACK_SEG;
	i->fn = stack64(src) && i->width == 8 ? leave_64 : leave_;
	return true;
}

const struct insn_row insn_stack[] = {
	{ ZYDIS_MNEMONIC_PUSH, 0, bind_push },
	{ ZYDIS_MNEMONIC_POP, 0, bind_pop },
	{ ZYDIS_MNEMONIC_PUSHA, 2 << 1, bind_all },
	{ ZYDIS_MNEMONIC_PUSHAD, 4 << 1, bind_all },
	{ ZYDIS_MNEMONIC_POPA, 2 << 1 | 1, bind_all },
	{ ZYDIS_MNEMONIC_POPAD, 4 << 1 | 1, bind_all },
	{ ZYDIS_MNEMONIC_PUSHF, 2 << 1, bind_flags },
	{ ZYDIS_MNEMONIC_PUSHFD, 4 << 1, bind_flags },
	{ ZYDIS_MNEMONIC_PUSHFQ, 8 << 1, bind_flags },
	{ ZYDIS_MNEMONIC_POPF, 2 << 1 | 1, bind_flags },
	{ ZYDIS_MNEMONIC_POPFD, 4 << 1 | 1, bind_flags },
	{ ZYDIS_MNEMONIC_POPFQ, 8 << 1 | 1, bind_flags },
	{ ZYDIS_MNEMONIC_ENTER, 0, bind_enter },
	{ ZYDIS_MNEMONIC_LEAVE, 0, bind_leave },
	{ 0 },
};
