/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87 in translated code. The guest's registers live in the host's FPU from their first use on (thunk.h), over calls
 * of C too, so a block only asks whether they do and whether an instruction may run unwatched: c->x_x87. Calls of C
 * clear it. With all exceptions masked the instruction pointer is the only thing to be remembered besides.
 */
#include "accel/soft/thunk_priv.h"
#include "accel/soft/xlate_priv.h"

#include <stddef.h>

#define AT(field) offsetof(struct soft_cpu, field)

enum { FSW_ES = 1 << 7, FCW_MASKS = 0x3f };

unsigned xvec_x87_may(struct soft_cpu *c)
{
	const struct x86_fpu *f = &c->s.fpu;
	if (c->s.cr0 & (X86_CR0_EM | X86_CR0_TS) || f->fsw & FSW_ES || (f->fcw & FCW_MASKS) != FCW_MASKS)
		return 0;
	thunk_x87_use(c);
	c->x_x87 = 1;
	return 1;
}

static bool is_control(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_FNSTSW: case ZYDIS_MNEMONIC_FNSTCW: case ZYDIS_MNEMONIC_FLDCW: case ZYDIS_MNEMONIC_FNCLEX:
	case ZYDIS_MNEMONIC_FNINIT: case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FLDENV: case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR: case ZYDIS_MNEMONIC_FWAIT: case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FDISI8087_NOP: case ZYDIS_MNEMONIC_FSETPM287_NOP: return true;
	default: return false;
	}
}

static bool scan_memory(struct xinsn *in, const ZydisDecodedOperand *o)
{
	const struct insn *i = in->i;
	if (!xlate_scan_address(in) || !o->size || o->size > 80)
		return false;
	in->mem = o;
	in->reads |= (i->base != REG_NONE ? 1u << i->base : 0) | (i->index != REG_NONE ? 1u << i->index : 0);
	in->stores = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	in->loads = !in->stores;
	return true;
}

bool xvec_x87_scan(struct xinsn *in)
{
	bool status = in->zi.mnemonic == ZYDIS_MNEMONIC_FNSTSW && in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
	if ((is_control(in->zi.mnemonic) && !status) || in->zi.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT ||
	    (in->zi.opcode & 0xf8) != 0xd8)
		return false;
	for (unsigned n = 0; n < in->zi.operand_count; n++)
		if (in->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && !scan_memory(in, &in->op[n]))
			return false;
	if (status)
		in->reads = in->writes = 1u << X86_RAX;
	in->x87 = true;
	in->fip = !status;
	return true;
}

void xvec_x87_encode(struct xtext *t, const struct xinsn *in, const struct xaddr *a)
{
	unsigned modrm = in->bytes[in->zi.raw.modrm.offset];
	unsigned rex = !in->mem ? 0 : a->base >> 3 | (a->index != HOST_NONE ? a->index >> 3 << 1 : 0);
	if (rex)
		x_byte(t, 0x40 | rex);
	x_byte(t, in->zi.opcode);
	if (in->mem)
		x_operand(t, modrm >> 3 & 7, a);
	else
		x_byte(t, modrm);
}
