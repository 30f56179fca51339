/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instruction is to the translator: copied with other registers, made of several, or left to the
 * interpreter's handler. The table names what is copied; whatever it does not name is left.
 */
#include "accel/soft/xlate_priv.h"

#include <string.h>

static const struct {
	uint16_t mnemonic;
	uint8_t kind, flags;
} table[] = {
	{ ZYDIS_MNEMONIC_ADD, XK_COPY, XF_WRITE },     { ZYDIS_MNEMONIC_OR, XK_COPY, XF_WRITE },
	{ ZYDIS_MNEMONIC_ADC, XK_COPY, XF_CARRY },     { ZYDIS_MNEMONIC_SBB, XK_COPY, XF_CARRY },
	{ ZYDIS_MNEMONIC_AND, XK_COPY, XF_WRITE },     { ZYDIS_MNEMONIC_SUB, XK_COPY, XF_WRITE },
	{ ZYDIS_MNEMONIC_XOR, XK_COPY, XF_WRITE },     { ZYDIS_MNEMONIC_CMP, XK_COPY, XF_WRITE },
	{ ZYDIS_MNEMONIC_TEST, XK_COPY, XF_WRITE },    { ZYDIS_MNEMONIC_NEG, XK_COPY, XF_WRITE },
	{ ZYDIS_MNEMONIC_INC, XK_COPY, XF_CARRY },     { ZYDIS_MNEMONIC_DEC, XK_COPY, XF_CARRY },
	{ ZYDIS_MNEMONIC_NOT, XK_COPY, XF_NONE },      { ZYDIS_MNEMONIC_MOV, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_MOVZX, XK_COPY, XF_NONE },    { ZYDIS_MNEMONIC_MOVSX, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_MOVSXD, XK_COPY, XF_NONE },   { ZYDIS_MNEMONIC_BSWAP, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_CBW, XK_COPY, XF_NONE },      { ZYDIS_MNEMONIC_CWDE, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_CDQE, XK_COPY, XF_NONE },     { ZYDIS_MNEMONIC_CWD, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_CDQ, XK_COPY, XF_NONE },      { ZYDIS_MNEMONIC_CQO, XK_COPY, XF_NONE },
	{ ZYDIS_MNEMONIC_XCHG, XK_COPY, XF_NONE },     { ZYDIS_MNEMONIC_XADD, XK_COPY, XF_WRITE },
	{ ZYDIS_MNEMONIC_CMPXCHG, XK_COPY, XF_WRITE }, { ZYDIS_MNEMONIC_SHL, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_SHR, XK_COPY, XF_MIX },       { ZYDIS_MNEMONIC_SAR, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_ROL, XK_COPY, XF_MIX },       { ZYDIS_MNEMONIC_ROR, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_RCL, XK_COPY, XF_BOTH },      { ZYDIS_MNEMONIC_RCR, XK_COPY, XF_BOTH },
	{ ZYDIS_MNEMONIC_SHLD, XK_COPY, XF_MIX },      { ZYDIS_MNEMONIC_SHRD, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_MUL, XK_COPY, XF_MIX },       { ZYDIS_MNEMONIC_IMUL, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_BT, XK_COPY, XF_MIX },        { ZYDIS_MNEMONIC_BTS, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_BTR, XK_COPY, XF_MIX },       { ZYDIS_MNEMONIC_BTC, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_BSF, XK_COPY, XF_MIX },       { ZYDIS_MNEMONIC_BSR, XK_COPY, XF_MIX },
	{ ZYDIS_MNEMONIC_SETO, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNO, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETB, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNB, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETZ, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNZ, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETBE, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_SETNBE, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETS, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNS, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETP, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNP, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETL, XK_COPY, XF_READ },     { ZYDIS_MNEMONIC_SETNL, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_SETLE, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_SETNLE, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVO, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNO, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVB, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNB, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVZ, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNZ, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVBE, XK_COPY, XF_READ },   { ZYDIS_MNEMONIC_CMOVNBE, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVS, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNS, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVP, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNP, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVL, XK_COPY, XF_READ },    { ZYDIS_MNEMONIC_CMOVNL, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_CMOVLE, XK_COPY, XF_READ },   { ZYDIS_MNEMONIC_CMOVNLE, XK_COPY, XF_READ },
	{ ZYDIS_MNEMONIC_JO, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNO, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JB, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNB, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JZ, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNZ, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JBE, XK_JCC, XF_READ },       { ZYDIS_MNEMONIC_JNBE, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JS, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNS, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JP, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNP, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JL, XK_JCC, XF_READ },        { ZYDIS_MNEMONIC_JNL, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_JLE, XK_JCC, XF_READ },       { ZYDIS_MNEMONIC_JNLE, XK_JCC, XF_READ },
	{ ZYDIS_MNEMONIC_LEA, XK_LEA, XF_NONE },       { ZYDIS_MNEMONIC_PUSH, XK_PUSH, XF_NONE },
	{ ZYDIS_MNEMONIC_POP, XK_POP, XF_NONE },       { ZYDIS_MNEMONIC_LEAVE, XK_LEAVE, XF_NONE },
	{ ZYDIS_MNEMONIC_NOP, XK_NOP, XF_NONE },       { ZYDIS_MNEMONIC_JMP, XK_JMP, XF_NONE },
	{ ZYDIS_MNEMONIC_DIV, XK_DIV, XF_MIX },        { ZYDIS_MNEMONIC_IDIV, XK_DIV, XF_MIX },
	{ ZYDIS_MNEMONIC_CALL, XK_CALL, XF_NONE },     { ZYDIS_MNEMONIC_RET, XK_RET, XF_NONE },
};

enum { HIGH_OK = 1 << X86_RAX | 1 << X86_RCX | 1 << X86_RDX | 1 << X86_RBX };

static unsigned gpr_of(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: return decode_reg_number(r);
	default: return REG_NONE;
	}
}

/* Registers of one operand; false: one that is not carried. */
static bool scan_reg(struct xinsn *in, const ZydisDecodedOperand *o, bool *high)
{
	ZydisRegisterClass cls = ZydisRegisterGetClass(o->reg.value);
	if (cls == ZYDIS_REGCLASS_FLAGS || cls == ZYDIS_REGCLASS_IP)
		return true;
	unsigned r = gpr_of(o->reg.value);
	if (r == REG_NONE)
		return false;
	if (r >= REG_AH) {
		*high = true;
		r -= REG_AH;
	}
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ || o->size < 32 || o->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
		in->reads |= 1u << r;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		in->writes |= 1u << r;
	return true;
}

/* Is its address of the usual size, and one operand's alone? That a code segment may be read is not known. */
bool xlate_scan_address(const struct xinsn *in)
{
	return in->i->asize == in->word && !in->mem && (in->word == 8 || in->i->seg != X86_CS);
}

static bool scan_mem(struct xinsn *in, const ZydisDecodedOperand *o)
{
	unsigned base = in->i->base, index = in->i->index;
	if ((o->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64 && in->word == 8) || !xlate_scan_address(in))
		return false;
	in->mem = o;
	if (base != REG_NONE)
		in->reads |= 1u << base;
	if (index != REG_NONE)
		in->reads |= 1u << index;
	return true;
}

static bool scan_operands(struct xinsn *in)
{
	bool high = false;
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && !scan_reg(in, o, &high))
			return false;
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && !scan_mem(in, o))
			return false;
	}
	/* AH, CH, DH, BH have no encoding beside a REX prefix: only with the first four registers, and not with memory. */
	return !high || (!in->mem && !((in->reads | in->writes) & ~(uint32_t)HIGH_OK));
}

static bool scan_copy(struct xinsn *in)
{
	if (in->mem) {
		unsigned size = in->mem->size / 8;
		if (size != 1 && size != 2 && size != 4 && size != 8)
			return false;
		in->stores = in->mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		in->loads = !in->stores;
	}
	switch (in->zi.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC: return !in->mem || in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	case ZYDIS_MNEMONIC_BSWAP: return in->op[0].size > 16;
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR: in->reads |= in->writes; return true;
	case ZYDIS_MNEMONIC_CMPXCHG:
		in->writes |= 1u << X86_RAX;
		in->reads |= in->writes;
		return true;
	case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_XCHG: in->reads |= in->writes; return true;
	default: return true;
	}
}

static bool canonical(uint64_t v)
{
	return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

static bool scan_branch(struct soft_cpu *c, struct xinsn *in)
{
	const struct insn *i = in->i;
	if (in->zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || i->width != in->word)
		return false;
	in->reads = in->writes = 0;
	if (in->kind == XK_RET) {
		in->mem = NULL;
		in->reads = in->writes = 1u << X86_RSP;
		in->loads = true;
		return true;
	}
	bool rel = in->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (rel && in->word == 8 && !canonical(insn_next_rip(c, i) + i->imm))
		return false;
	if (!rel) {
		in->kind = in->kind == XK_CALL ? XK_CALL_RM : XK_JMP_RM;
		if (i->rm == REG_NONE && !in->mem)
			return false;
		if (i->rm != REG_NONE)
			in->reads |= 1u << i->rm;
		else
			in->reads |= (i->base != REG_NONE ? 1u << i->base : 0) | (i->index != REG_NONE ? 1u << i->index : 0);
		in->loads = i->rm == REG_NONE;
	}
	if (in->kind == XK_CALL || in->kind == XK_CALL_RM) {
		in->reads |= 1u << X86_RSP;
		in->writes |= 1u << X86_RSP;
		in->stores = true;
	}
	return true;
}

static bool scan_stack(struct xinsn *in)
{
	const struct insn *i = in->i;
	bool push = in->kind == XK_PUSH;
	if (in->kind == XK_LEAVE) {
		if (i->width != in->word)
			return false;
		in->reads = 1u << X86_RBP;
		in->writes = 1u << X86_RBP | 1u << X86_RSP;
		in->loads = true;
		return true;
	}
	if (i->width != in->word)
		return false;
	if (push && in->mem && in->mem->size == 8 * in->word) {
		in->reads |= 1u << X86_RSP;
		in->writes |= 1u << X86_RSP;
		in->stores = true;
		return true;
	}
	if (in->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	bool reg = in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
	ZydisRegisterClass class = in->word == 8 ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32;
	if (reg && (i->rm > 15 || ZydisRegisterGetClass(in->op[0].reg.value) != class))
		return false;
	if (!push && (!reg || i->rm == X86_RSP))
		return false;
	in->mem = NULL;
	in->reads = 1u << X86_RSP | (push && reg ? 1u << i->rm : 0);
	in->writes = 1u << X86_RSP | (push ? 0 : 1u << i->rm);
	in->stores = push;
	in->loads = !push;
	return true;
}

/* By a constant that is not 0, or a multiplication: where the host is known to leave no flag as it was. */
static bool writes_all(const struct xlate *x, const struct xinsn *in)
{
	unsigned mask = in->op[0].size == 64 ? 63 : 31;
	switch (in->zi.mnemonic) {
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
		return x->shift_writes_all && in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->op[1].imm.value.u & mask;
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL: return x->shift_writes_all;
	default: return false;
	}
}

void xlate_scan_index(struct xlate *x)
{
	_Static_assert(COUNT_OF(table) < UINT8_MAX, "a byte numbers the rows");
	for (unsigned n = 0; n < COUNT_OF(table); n++)
		x->known[table[n].mnemonic] = (uint8_t)(n + 1);
}

static bool scan_known(struct soft_cpu *c, const struct xlate *x, struct xinsn *in)
{
	unsigned n = x->known[in->zi.mnemonic] - 1u;
	if (n >= COUNT_OF(table) || in->zi.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	in->kind = table[n].kind;
	in->flags = table[n].flags;
	if (in->kind == XK_NOP)
		return true;
	if (!scan_operands(in) && in->kind != XK_RET && in->kind != XK_JMP && in->kind != XK_CALL)
		return false;
	switch (in->kind) {
	case XK_COPY:
		if (in->flags == XF_MIX && writes_all(x, in))
			in->flags = XF_WRITE;
		return scan_copy(in);
	case XK_DIV: return in->op[0].size >= 32 && scan_copy(in);
	case XK_LEA: return in->mem && in->op[0].size >= 32;
	case XK_PUSH:
	case XK_POP:
	case XK_LEAVE: return scan_stack(in);
	default: return scan_branch(c, in);
	}
}

/* AL, AX, EAX or RAX as the operand that the opcode stands for: xlate_copy.c has another encoding for these. */
static bool accumulator(const struct xinsn *in)
{
	unsigned op = in->zi.opcode;
	return in->kind == XK_COPY && in->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
	       ((op < 0x40 && (op & 6) == 4) || (op & 0xfe) == 0xa8 || (op & 0xf8) == 0x90 || (op & 0xfc) == 0xa0 ||
	        in->zi.mnemonic == ZYDIS_MNEMONIC_CDQE || in->zi.mnemonic == ZYDIS_MNEMONIC_CWDE);
}

/* Operands that are guest registers; false: more of them are in memory than there are scratch registers. */
static bool frame_fits(struct xinsn *in)
{
	unsigned in_memory = 0;
	bool high = false;
	if (in->kind != XK_COPY && in->kind != XK_VEC)
		return true;
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		unsigned r = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? gpr_of(o->reg.value) : REG_NONE;
		if (r == REG_NONE)
			continue;
		bool named = o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG || o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
			     o->encoding == ZYDIS_OPERAND_ENCODING_OPCODE || o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD;
		high |= r >= REG_AH;
		if (r == REG_AH || (r == X86_RAX && !named && !accumulator(in)))
			in->swap = true;
		in->regs |= 1u << (r >= REG_AH ? r - REG_AH : r);
	}
	/* Beside AH to BH no register may need a REX prefix. */
	in->swap |= high && in->regs & 1u << X86_RAX;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		in_memory += (in->regs >> r & 1) && xframe_host[r] == HOST_NONE;
	return in_memory <= (in->mem ? 1 : 2);
}

void xlate_scan(struct soft_cpu *c, const struct xlate *x, const struct insn *i, const uint8_t *bytes, struct xinsn *in)
{
	bool code64 = cpu_code64(c);
	in->i = i;
	in->word = code64 ? 8 : 4;
	in->bytes = bytes;
	in->mem = NULL;
	in->reads = in->writes = 0;
	in->loads = in->stores = in->on_stack = in->x87 = in->fip = in->swap = false;
	in->regs = 0;
	in->group = 0;
	in->follow = XFOLLOW_NONE;
	in->vec_reads = in->vec_writes = in->level = in->align = 0;
	if (ZYAN_SUCCESS(decode_full(c->sv, c->mode, bytes, i->len, &in->zi, in->op)) && in->zi.length == i->len &&
	    (scan_known(c, x, in) || xvec_scan(c, in)) && frame_fits(in))
		return;
	in->vec_reads = in->vec_writes = in->level = in->align = 0;
	in->x87 = in->fip = false;
	in->kind = XK_HELPER;
	in->flags = XF_READ;
	in->mem = NULL;
	in->reads = in->writes = 0;
	in->loads = in->stores = false;
	in->regs = 0;
}
