/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near JMP, CALL, RET, Jcc, LOOPcc, JCXZ. Far forms are handed over to the far family. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"
#include "accel/soft/system.h"

static bool is_far(const struct insn_source *src)
{
	return src->zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

static bool code64(const struct insn *i, const struct insn_source *src)
{
	return (src->mode & MODE_CODE_MASK) == MODE_CODE64 && i->width == 8;
}

/* The operand size cuts the target. */
static uint64_t relative(const struct soft_cpu *c, const struct insn *i)
{
	return (insn_next_rip(c, i) + i->imm) & width_mask(i->width);
}

ALWAYS_INLINE uint64_t relative64(const struct soft_cpu *c, const struct insn *i)
{
	return c->block_rip + i->off + i->len + i->imm;
}

static uint64_t target_rm(struct soft_cpu *c, const struct insn *i)
{
	if (i->rm != REG_NONE)
		return reg_get(c, i->rm, i->width);
	return mem_load(c, mem_addr(c, i, i->width, false), i->width);
}

static void bind_branch(struct insn *i, const struct insn_source *src)
{
	i->flags |= INSN_ENDS_BLOCK;
	i->width = src->zi->operand_width / 8;
	if ((src->mode & MODE_CODE_MASK) == MODE_CODE64 && i->width == 4)
		i->width = 8;
	if (op_is_reg(&src->op[0]) && src->op[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
		i->rm = decode_reg_number(src->op[0].reg.value);
		i->width = (uint8_t)(src->op[0].size / 8);
	} else if (src->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
	           src->op[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
		i->width = (uint8_t)(src->op[0].size / 8);
	}
}

/* ---- JMP ---- */
static void jmp_rel64(struct soft_cpu *c, const struct insn *i) { jump_near(c, relative64(c, i)); }
static void jmp_rel(struct soft_cpu *c, const struct insn *i) { cpu_jump(c, relative(c, i)); }
static void jmp_rm(struct soft_cpu *c, const struct insn *i) { jump_near(c, target_rm(c, i)); }

static bool bind_jmp(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (is_far(src))
		return far_bind_jmp(i, src, arg);
	bind_branch(i, src);
	i->fn = src->op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ? jmp_rm : code64(i, src) ? jmp_rel64 : jmp_rel;
	return true;
}

/* ---- CALL: the stack is written, then the target is checked, as AMD's processors do it ---- */
static void call_to(struct soft_cpu *c, const struct insn *i, uint64_t target)
{
	stack_poke(c, i->width, i->width, insn_next_rip(c, i));
	jump_near(c, target);
	stack_adjust(c, -(int64_t)i->width);
}

ALWAYS_INLINE void call64_to(struct soft_cpu *c, const struct insn *i, uint64_t target)
{
	uint64_t sp = c->s.gpr[X86_RSP] - 8;
	void *p = mem_hit(c->tlb.wr, sp, 8);
	if (unlikely(!p || !near_target(target)))
		return call_to(c, i, target);
	raw_store(p, 8, c->block_rip + i->off + i->len);
	c->next_rip = target;
	c->s.gpr[X86_RSP] = sp;
}

static void call_rel64(struct soft_cpu *c, const struct insn *i) { call64_to(c, i, relative64(c, i)); }
static void call_rel(struct soft_cpu *c, const struct insn *i) { call_to(c, i, relative(c, i)); }
static void call_reg64(struct soft_cpu *c, const struct insn *i) { call64_to(c, i, c->s.gpr[i->rm]); }
static void call_rm(struct soft_cpu *c, const struct insn *i) { call_to(c, i, target_rm(c, i)); }

static bool bind_call(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (is_far(src))
		return far_bind_call(i, src, arg);
	bind_branch(i, src);
	if (src->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		i->fn = code64(i, src) ? call_rel64 : call_rel;
	else
		i->fn = code64(i, src) && i->rm != REG_NONE ? call_reg64 : call_rm;
	if (!(i->flags & INSN_MEM))
		i->flags |= INSN_STACK_SEG;
	return true;
}

/* ---- RET ---- */
static void ret(struct soft_cpu *c, const struct insn *i)
{
	cpu_jump(c, stack_peek(c, 0, i->width));
	stack_adjust(c, i->width + (int64_t)i->imm);
}

static void ret64(struct soft_cpu *c, const struct insn *i)
{
	uint64_t sp = c->s.gpr[X86_RSP], target;
	const void *p = mem_hit(c->tlb.rd, sp, 8);
	if (unlikely(!p || !near_target(target = raw_load(p, 8))))
		return ret(c, i);
	c->next_rip = target;
	c->s.gpr[X86_RSP] = sp + 8 + i->imm;
}

static bool bind_ret(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (is_far(src))
		return far_bind_ret(i, src, arg);
	bind_branch(i, src);
	bool imm = src->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	i->imm = imm ? src->op[0].imm.value.u & 0xffff : 0;
	i->flags |= INSN_STACK_SEG;
	i->fn = code64(i, src) ? ret64 : ret;
	return true;
}

/* ---- Jcc ---- */
#define CONDITIONS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define DEFINE(cc) \
	static void jcc64_##cc(struct soft_cpu *c, const struct insn *i) \
	{ \
		if (cond_true(c->s.rflags, cc)) \
			jump_near(c, relative64(c, i)); \
	}
CONDITIONS(DEFINE)

static void jcc(struct soft_cpu *c, const struct insn *i)
{
	if (cond_true(c->s.rflags, i->sub))
		cpu_jump(c, relative(c, i));
}

static bool bind_jcc(struct insn *i, const struct insn_source *src, unsigned cc)
{
#define ROW(cc) jcc64_##cc,
	static const insn_fn table[] = { CONDITIONS(ROW) };
	bind_branch(i, src);
	i->sub = (uint8_t)cc;
	i->fn = code64(i, src) ? table[cc] : jcc;
	return true;
}

/* ---- LOOP, JCXZ: the counter has the address size ---- */
enum { LOOP_ALWAYS, LOOP_EQUAL, LOOP_NOT_EQUAL };

static void loop_(struct soft_cpu *c, const struct insn *i)
{
	uint64_t n = (c->s.gpr[X86_RCX] - 1) & width_mask(i->asize);
	bool zf = c->s.rflags & X86_FLAG_ZF;
	if (n && (i->sub == LOOP_ALWAYS || zf == (i->sub == LOOP_EQUAL)))
		cpu_jump(c, relative(c, i));
	reg_set(c, X86_RCX, i->asize, n);
}

static void jcxz(struct soft_cpu *c, const struct insn *i)
{
	if (!(c->s.gpr[X86_RCX] & width_mask(i->asize)))
		cpu_jump(c, relative(c, i));
}

static bool bind_loop(struct insn *i, const struct insn_source *src, unsigned kind)
{
	bind_branch(i, src);
	i->sub = (uint8_t)kind;
	i->fn = loop_;
	return true;
}

static bool bind_jcxz(struct insn *i, const struct insn_source *src, unsigned asize)
{
	bind_branch(i, src);
	i->asize = (uint8_t)asize;
	i->fn = jcxz;
	return true;
}

const struct insn_row insn_branch[] = {
	{ ZYDIS_MNEMONIC_JMP, 0, bind_jmp },     { ZYDIS_MNEMONIC_CALL, 0, bind_call },
	{ ZYDIS_MNEMONIC_RET, 0, bind_ret },
	{ ZYDIS_MNEMONIC_JO, 0, bind_jcc },      { ZYDIS_MNEMONIC_JNO, 1, bind_jcc },
	{ ZYDIS_MNEMONIC_JB, 2, bind_jcc },      { ZYDIS_MNEMONIC_JNB, 3, bind_jcc },
	{ ZYDIS_MNEMONIC_JZ, 4, bind_jcc },      { ZYDIS_MNEMONIC_JNZ, 5, bind_jcc },
	{ ZYDIS_MNEMONIC_JBE, 6, bind_jcc },     { ZYDIS_MNEMONIC_JNBE, 7, bind_jcc },
	{ ZYDIS_MNEMONIC_JS, 8, bind_jcc },      { ZYDIS_MNEMONIC_JNS, 9, bind_jcc },
	{ ZYDIS_MNEMONIC_JP, 10, bind_jcc },     { ZYDIS_MNEMONIC_JNP, 11, bind_jcc },
	{ ZYDIS_MNEMONIC_JL, 12, bind_jcc },     { ZYDIS_MNEMONIC_JNL, 13, bind_jcc },
	{ ZYDIS_MNEMONIC_JLE, 14, bind_jcc },    { ZYDIS_MNEMONIC_JNLE, 15, bind_jcc },
	{ ZYDIS_MNEMONIC_LOOP, LOOP_ALWAYS, bind_loop },
	{ ZYDIS_MNEMONIC_LOOPE, LOOP_EQUAL, bind_loop },
	{ ZYDIS_MNEMONIC_LOOPNE, LOOP_NOT_EQUAL, bind_loop },
	{ ZYDIS_MNEMONIC_JCXZ, 2, bind_jcxz },   { ZYDIS_MNEMONIC_JECXZ, 4, bind_jcxz },
	{ ZYDIS_MNEMONIC_JRCXZ, 8, bind_jcxz },
	{ 0 },
};
