/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flags that nobody reads before they are written again could only be seen by a fault, or where the interpreter goes on.
 * When a comparison made them and its operands are what they were, they are not saved: it is done again there. The same for
 * AND, OR and XOR, whose flags are those of TEST of the result, and for sums: what was added is taken away and added again.
 */
#include "accel/soft/xlate_gen.h"

enum how { HOW_NOT, HOW_REPEAT, HOW_TEST /* the result */, HOW_SUM /* undo it, and do it again */ };

static unsigned gpr(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER ? decode_reg_number(o->reg.value) : REG_NONE;
}

static bool repeatable(const struct xinsn *in)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->regs >> r & 1 && xframe_host[r] == HOST_NONE)
			return false;
	return !in->mem;
}

/* How the flags of in can be made from what regs hold. */
static enum how how(const struct xinsn *in, uint32_t *regs)
{
	*regs = in->regs;
	if (in->kind != XK_COPY || in->swap)
		return HOW_NOT;
	if (in->zi.mnemonic == ZYDIS_MNEMONIC_CMP || in->zi.mnemonic == ZYDIS_MNEMONIC_TEST)
		return repeatable(in) ? HOW_REPEAT : HOW_NOT;
	unsigned to = gpr(&in->op[0]), from = in->zi.operand_count > 1 ? gpr(&in->op[1]) : REG_NONE;
	if (to >= X86_GPR_COUNT || xframe_host[to] == HOST_NONE || in->op[0].size < 32)
		return HOW_NOT;
	switch (in->zi.mnemonic) {
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR: *regs = 1u << to; return HOW_TEST;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB: return from != to && !in->mem ? HOW_SUM : HOW_NOT;
	default: return HOW_NOT;
	}
}

/* R14 += or -= what in adds or subtracts. */
static void sum(struct xtext *t, const struct xinsn *in, bool subtract)
{
	bool wide = in->op[0].size == 64;
	unsigned from = gpr(&in->op[1]);
	if (from == REG_NONE) {
		x_rr(t, wide, 0x81, subtract ? 5 : 0, HOST_R14);
		x_u32(t, (uint32_t)in->i->imm);
	} else if (xframe_host[from] == HOST_NONE) {
		x_gs(t, wide, subtract ? 0x2b : 0x03, HOST_R14, XFRAME_GPR(from));
	} else {
		x_rr(t, wide, subtract ? 0x29 : 0x01, xframe_host[from], HOST_R14);
	}
}

void xrecipe_make(struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	uint32_t regs;
	enum how way = how(in, &regs);
	if (way == HOW_REPEAT) {
		xcopy_again(g, n);
		return;
	}
	unsigned to = xframe_host[gpr(&in->op[0])];
	if (way == HOW_TEST) {
		x_rr(g->t, in->op[0].size == 64, 0x85, to, to);
		return;
	}
	bool subtract = in->zi.mnemonic == ZYDIS_MNEMONIC_SUB;
	x_rr(g->t, true, 0x89, to, HOST_R14);
	sum(g->t, in, !subtract);
	sum(g->t, in, subtract);
}

/* May the block be left there with flags that are not in any place? */
static bool passes(const struct xinsn *in)
{
	switch (in->kind) {
	case XK_COPY:
	case XK_VEC:
	case XK_LEA:
	case XK_PUSH:
	case XK_POP:
	case XK_LEAVE:
	case XK_NOP: return true;
	case XK_JMP:
	case XK_CALL: return in->follow != XFOLLOW_NONE;
	default: return false;
	}
}

/* Is there certainly nothing in instruction n by which the block may be left? */
static bool quiet(const struct xgen *g, unsigned n)
{
	const struct xinsn *in = &g->in[n];
	for (unsigned part = 1; part < g->xb->parts; part++)
		if (g->xb->part[part].first == n)
			return false;
	return (in->kind == XK_COPY || in->kind == XK_LEA || in->kind == XK_NOP) && !in->loads && !in->stores && !in->level && !in->x87;
}

bool xrecipe_serves(const struct xgen *g)
{
	uint32_t written = 0, regs;
	if (g->writer >= g->now || how(&g->in[g->writer], &regs) == HOW_NOT)
		return false;
	for (unsigned n = g->writer + 1; n < g->count; n++) {
		const struct xinsn *in = &g->in[n];
		if (written & regs && !quiet(g, n))
			return false;
		written |= in->writes;
		if (n < g->now)
			continue;
		if (!passes(in))
			return false;
		if (in->flags == XF_WRITE)
			return true;
		if (in->flags != XF_NONE)
			return false;
	}
	return false;
}
