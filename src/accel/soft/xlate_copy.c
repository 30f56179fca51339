/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that are copied, with other registers. A guest register that is in memory goes through a scratch
 * register; for instructions that mean RAX without naming it, and for AH, RAX and the saved flags change places.
 */
#include "accel/soft/xlate_gen.h"

#include <string.h>

/* What an instruction runs with. */
struct copy {
	uint8_t host[X86_GPR_COUNT];
	struct xaddr a;
	bool has_mem;
	unsigned in_cpu; /* the guest register that is an operand where it is, in struct soft_cpu; REG_NONE: none */
	bool turned;     /* that is ModRM.reg's: the other direction is used */
};

struct fields {
	unsigned reg, rm, opreg; /* host registers, HOST_NONE */
	bool rex8;               /* an 8-bit register that needs a REX prefix */
};

static unsigned host_of(const struct copy *k, ZydisRegister r, bool *rex8, unsigned size)
{
	unsigned n = decode_reg_number(r);
	if (n >= REG_AH)
		return 4 + n - REG_AH;
	if (size == 8 && k->host[n] >= 4)
		*rex8 = true;
	return k->host[n];
}

static struct fields fields_of(const struct copy *k, const struct xinsn *in)
{
	struct fields f = { HOST_NONE, HOST_NONE, HOST_NONE, false };
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch (o->encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG: f.reg = host_of(k, o->reg.value, &f.rex8, o->size); break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM: f.rm = host_of(k, o->reg.value, &f.rex8, o->size); break;
		case ZYDIS_OPERAND_ENCODING_OPCODE: f.opreg = host_of(k, o->reg.value, &f.rex8, o->size); break;
		default: break;
		}
	}
	return f;
}

/* An encoding before it becomes bytes. */
struct code {
	unsigned opcode, reg, rm; /* host registers, or what else the fields hold */
	bool modrm, rex8, wide, size16, escape;
};

/* What 64-bit code does not have: INC and DEC in a byte, and 82, another 80. */
static void renew(const struct xinsn *in, struct code *e)
{
	unsigned op = in->zi.opcode;
	if (in->word == 8 || in->zi.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return;
	if ((op & 0xf0) == 0x40) {
		e->opcode = 0xff;
		e->modrm = true;
		e->reg = op >> 3 & 1;
	} else if (op == 0x82) {
		e->opcode = 0x80;
	}
}

/* Forms that stand for the accumulator -> those that name it. */
static void name_accumulator(const struct copy *k, const struct xinsn *in, struct code *e)
{
	unsigned op = in->zi.opcode, rax = k->host[X86_RAX];
	if (in->zi.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || in->swap)
		return;
	e->modrm = e->modrm || (op < 0x40 && (op & 6) == 4) || (op & 0xfe) == 0xa8 || (op & 0xfc) == 0xa0;
	if (op < 0x40 && (op & 6) == 4) { /* op al, imm */
		e->opcode = 0x80 | (op & 1);
		e->reg = op >> 3;
		e->rm = rax;
		e->rex8 |= !(op & 1);
	} else if ((op & 0xfe) == 0xa8) { /* test al, imm */
		e->opcode = 0xf6 | (op & 1);
		e->reg = 0;
		e->rm = rax;
		e->rex8 |= !(op & 1);
	} else if ((op & 0xfc) == 0xa0) { /* mov al, [moffs], and back */
		e->opcode = (op & 1) | (op & 2 ? 0x88 : 0x8a);
		e->reg = rax;
		e->rex8 |= !(op & 1);
	} else if ((op & 0xf8) == 0x90) { /* xchg rax, r */
		e->opcode = 0x87;
		e->modrm = true;
		e->rm = rax;
		e->reg = e->reg == HOST_NONE ? rax : e->reg;
	} else if (in->zi.mnemonic == ZYDIS_MNEMONIC_CDQE) { /* movsxd rax, eax */
		*e = (struct code){ .opcode = 0x63, .reg = rax, .rm = rax, .modrm = true, .wide = true };
	} else if (in->zi.mnemonic == ZYDIS_MNEMONIC_CWDE) { /* movsx eax, ax */
		*e = (struct code){ .opcode = 0xbf, .reg = rax, .rm = rax, .modrm = true, .escape = true };
	}
}

static struct code code_of(const struct copy *k, const struct xinsn *in)
{
	const ZydisDecodedInstruction *zi = &in->zi;
	struct fields f = fields_of(k, in);
	struct code e = { .opcode = zi->opcode, .rex8 = f.rex8, .wide = zi->raw.rex.W, .modrm = zi->attributes & ZYDIS_ATTRIB_HAS_MODRM };
	for (unsigned n = 0; n < zi->raw.prefix_count; n++)
		e.size16 |= zi->raw.prefixes[n].value == 0x66;
	e.escape = zi->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT;
	if (e.modrm) {
		e.reg = f.reg != HOST_NONE ? f.reg : zi->raw.modrm.reg;
		e.rm = f.rm != HOST_NONE ? f.rm : zi->raw.modrm.rm;
	} else if (f.opreg != HOST_NONE) {
		e.opcode = (zi->opcode & 0xf8u) | (f.opreg & 7);
		e.rm = f.opreg; /* its high bit is REX.B */
		e.reg = 0;
	}
	if ((zi->opcode & 0xf8) == 0x90 && !e.escape)
		e.reg = f.opreg;
	name_accumulator(k, in, &e);
	renew(in, &e);
	return e;
}

static void turn(struct code *e, bool test)
{
	unsigned reg = e->reg;
	e->reg = e->rm;
	e->rm = reg;
	if (!test)
		e->opcode ^= 2;
}

/* ModRM and what belongs to it. */
static void operands(struct xtext *t, const struct copy *k, const struct code *e)
{
	if (k->in_cpu != REG_NONE) {
		X_PUT(t, (e->reg & 7) << 3 | 4, 0x25); /* gs:[disp32] */
		x_u32(t, t->cpu + (uint32_t)XFRAME_GPR(k->in_cpu));
	} else if (k->has_mem) {
		x_operand(t, e->reg, &k->a);
	} else {
		x_byte(t, 0xc0 | (e->reg & 7) << 3 | (e->rm & 7));
	}
}

static void encode(struct xgen *g, const struct xinsn *in, const struct copy *k)
{
	struct xtext *t = g->t;
	struct code e = code_of(k, in);
	if (k->turned)
		turn(&e, in->zi.mnemonic == ZYDIS_MNEMONIC_TEST);
	if (k->in_cpu != REG_NONE)
		x_cpu(t);
	if (in->zi.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		x_byte(t, 0xf0);
	if (e.size16)
		x_byte(t, 0x66);
	unsigned rex = (e.wide ? 8 : 0) | (e.modrm ? e.reg >> 3 << 2 : 0);
	if (k->has_mem)
		rex |= k->a.base >> 3 | (k->a.index != HOST_NONE ? k->a.index >> 3 << 1 : 0);
	else
		rex |= e.rm >> 3;
	if (rex || e.rex8)
		x_byte(t, 0x40 | rex);
	if (e.escape)
		x_byte(t, 0x0f);
	x_byte(t, e.opcode);
	if (e.modrm)
		operands(t, k, &e);
	if (in->zi.raw.imm[0].size)
		for (unsigned n = in->zi.raw.imm[0].offset; n < in->zi.length; n++)
			x_byte(t, in->bytes[n]);
}

static void swap(struct xgen *g, struct copy *k)
{
	X_PUT(g->t, 0x49, 0x90 | (XFRAME_RAX & 7)); /* xchg rax, r8 */
	if (!k)
		return;
	k->host[X86_RAX] = HOST_RAX;
	if (k->has_mem && k->a.base == XFRAME_RAX)
		k->a.base = HOST_RAX;
}

/* Scratch registers for operands that are in memory; R15 is a part of the address, and R14 is free then. only: they are written. */
static void borrow(struct xgen *g, const struct xinsn *in, struct copy *k, bool only)
{
	unsigned scratch = k->has_mem ? HOST_R14 : HOST_R15;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++) {
		if (!(in->regs >> r & 1) || xframe_host[r] != HOST_NONE || k->in_cpu == r)
			continue;
		if (in->reads >> r & 1 && !only)
			x_load(g->t, scratch, XFRAME_GPR(r));
		if (scratch == HOST_R15)
			g->r15 = XR15_NONE;
		k->host[r] = (uint8_t)scratch--;
	}
}

static void give_back(struct xgen *g, const struct xinsn *in, const struct copy *k)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->regs & in->writes & 1u << r && xframe_host[r] == HOST_NONE && k->in_cpu != r)
			x_store(g->t, k->host[r], XFRAME_GPR(r));
}

/* Those that mean the same with memory in the place of a register. */
static bool takes_memory(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR: return true;
	default: return false;
	}
}

/* One operand, a register in memory, may stay there. A result of 32 bits may not, since it clears the others. */
static void stays(const struct xinsn *in, struct copy *k)
{
	const ZydisDecodedOperand *found = NULL;
	if (in->kind != XK_COPY || in->mem || in->swap || !(in->zi.attributes & ZYDIS_ATTRIB_HAS_MODRM) || !takes_memory(in->zi.mnemonic))
		return;
	for (unsigned n = 0; n < in->zi.operand_count; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		unsigned r = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? decode_reg_number(o->reg.value) : REG_NONE;
		if (r >= X86_GPR_COUNT || ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_FLAGS || xframe_host[r] != HOST_NONE)
			continue;
		if (found)
			return;
		found = o;
	}
	if (!found || (found->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE && found->size == 32))
		return;
	unsigned op = in->zi.opcode;
	bool reversible = in->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && ((op < 0x40 && (op & 7) < 4) || (op & 0xfc) == 0x88 ||
									    (op & 0xfe) == 0x84);
	k->turned = found->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG;
	if (k->turned ? !reversible : found->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) {
		k->turned = false;
		return;
	}
	k->in_cpu = decode_reg_number(found->reg.value);
	k->host[k->in_cpu] = 0;
}

static bool borrows(const struct xinsn *in)
{
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->regs >> r & 1 && xframe_host[r] == HOST_NONE)
			return true;
	return false;
}

/* The register of an instruction with memory that struct soft_cpu holds; NULL: none, or one that needs the address to stay in R15
 * alone, since R14 is for its value. */
static const ZydisDecodedOperand *in_cpu_beside_memory(const struct xinsn *in)
{
	if (in->kind != XK_COPY || !in->mem || in->swap || in->align)
		return NULL;
	for (unsigned n = 0; n < in->zi.operand_count && n < 2; n++) {
		const ZydisDecodedOperand *o = &in->op[n];
		unsigned r = o->type == ZYDIS_OPERAND_TYPE_REGISTER ? decode_reg_number(o->reg.value) : REG_NONE;
		if (r < X86_GPR_COUNT && xframe_host[r] == HOST_NONE)
			return o;
	}
	return NULL;
}

/* A load into such a register: R14 may be in the address and is the result. */
static bool only_loads(const struct xinsn *in, const ZydisDecodedOperand *o)
{
	return o && o == &in->op[0] && o->size >= 32 && !in->stores &&
	       (in->zi.mnemonic == ZYDIS_MNEMONIC_MOV || in->zi.mnemonic == ZYDIS_MNEMONIC_MOVZX ||
		in->zi.mnemonic == ZYDIS_MNEMONIC_MOVSX || in->zi.mnemonic == ZYDIS_MNEMONIC_MOVSXD);
}

/* CMP or TEST of memory with such a register: what memory holds goes to R14, and the register stays where it is. */
static bool compares(const struct xinsn *in, const ZydisDecodedOperand *o)
{
	unsigned op = in->zi.opcode;
	return o && in->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && ((op & 0xfc) == 0x38 || (op & 0xfe) == 0x84);
}

static void compare(struct xgen *g, unsigned n, const ZydisDecodedOperand *o)
{
	const struct xinsn *in = &g->in[n];
	unsigned op = in->zi.opcode, size = in->mem->size / 8;
	struct xaddr a = xmem_operand(g, n, false);
	xgen_count_plain(g);
	x_at(g->t, size == 8, size == 1 ? 0x0fb6 : size == 2 ? 0x0fb7 : 0x8b, HOST_R14, &a);
	if (size == 2)
		x_byte(g->t, 0x66);
	x_gs(g->t, size == 8, op < 0x40 ? op ^ 2 : op, HOST_R14, XFRAME_GPR(decode_reg_number(o->reg.value)));
	xgen_flags_after(g, in);
}

static void check_aligned(struct xgen *g, unsigned n, struct xaddr *a)
{
	struct xtext *t = g->t;
	if (a->base != HOST_R15 || a->disp)
		x_lea(t, HOST_R15, a->base, a->disp);
	*a = (struct xaddr){ HOST_R15, HOST_NONE, 0 };
	X_PUT(t, 0x41, 0xf6, 0xc7, g->in[n].align - 1u); /* test r15b, imm */
	xgen_cold(g, XCOLD_BAIL, x_jcc(t, 5), n);
}

void xcopy(struct xgen *g, unsigned n)
{
	struct xinsn *in = &g->in[n];
	struct copy k = { .has_mem = in->mem != NULL, .in_cpu = REG_NONE };
	const ZydisDecodedOperand *beside = in_cpu_beside_memory(in);
	if (compares(in, beside)) {
		compare(g, n, beside);
		return;
	}
	memcpy(k.host, xframe_host, sizeof(k.host));
	stays(in, &k);
	if (in->mem)
		k.a = xmem_operand(g, n, (borrows(in) && !only_loads(in, beside)) || in->align);
	if (in->align)
		check_aligned(g, n, &k.a);
	if (in->flags == XF_WRITE)
		xgen_count_plain(g);
	xgen_flags_before(g, in);
	borrow(g, in, &k, only_loads(in, beside));
	if (in->swap)
		swap(g, &k);
	if (in->kind == XK_VEC)
		xvec_encode(g->t, in, k.host, &k.a);
	else
		encode(g, in, &k);
	if (in->swap)
		swap(g, NULL);
	give_back(g, in, &k);
	xgen_flags_after(g, in);
	if (in->fip)
		g->fip = in->rip;
}

void xcopy_again(struct xgen *g, unsigned n)
{
	struct copy k = { .in_cpu = REG_NONE };
	memcpy(k.host, xframe_host, sizeof(k.host));
	encode(g, &g->in[n], &k);
}

/* ---- division ---- */
/* Divides by R15 where the quotient certainly fits; else the interpreter finds out. */
void xcopy_div(struct xgen *g, unsigned n)
{
	struct xinsn *in = &g->in[n];
	struct xtext *t = g->t;
	bool wide = in->op[0].size == 64, sign = in->zi.mnemonic == ZYDIS_MNEMONIC_IDIV;
	xgen_flags_lose(g);
	if (in->mem) {
		struct xaddr a = xmem_operand(g, n, false);
		x_at(t, wide, 0x8b, HOST_R15, &a);
	} else if (xframe_host[in->i->rm] == HOST_NONE) {
		x_gs(t, wide, 0x8b, HOST_R15, XFRAME_GPR(in->i->rm));
	} else {
		x_rr(t, wide, 0x89, xframe_host[in->i->rm], HOST_R15);
	}
	g->r15 = XR15_NONE;
	if (sign) {
		x_mem(t, wide, 0x8d, HOST_R14, HOST_R15, 1); /* neither 0 nor -1 */
		x_rr(t, wide, 0x83, 7, HOST_R14);
		x_byte(t, 1);
		xgen_cold(g, XCOLD_BAIL, x_jcc(t, 6), n);
		x_rr(t, wide, 0x89, XFRAME_RAX, HOST_R14); /* and the dividend no more than RAX */
		x_rr(t, wide, 0xc1, 7, HOST_R14);
		x_byte(t, wide ? 63 : 31);
		x_rr(t, wide, 0x39, HOST_R14, HOST_RDX);
		xgen_cold(g, XCOLD_BAIL, x_jcc(t, 5), n);
	} else {
		x_rr(t, wide, 0x39, HOST_R15, HOST_RDX);
		xgen_cold(g, XCOLD_BAIL, x_jcc(t, 3), n);
	}
	xgen_flags_before(g, in);
	swap(g, NULL);
	x_rr(t, wide, 0xf7, sign ? 7 : 6, HOST_R15);
	swap(g, NULL);
	xgen_flags_after(g, in);
}
