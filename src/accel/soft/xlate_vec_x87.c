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

/* May x87 and MMX instructions run? Then the registers are in the host's FPU. */
static unsigned may_use(struct soft_cpu *c)
{
	const struct x86_fpu *f = &c->s.fpu;
	if (c->s.cr0 & (X86_CR0_EM | X86_CR0_TS) || f->fsw & FSW_ES || (f->fcw & FCW_MASKS) != FCW_MASKS)
		return 0;
	thunk_x87_use(c);
	c->x_x87 = 1;
	return 1;
}

/* Calls may_use; the vector registers are saved already, because loading the FPU overwrites them. */
void xvec_x87_stub(struct xtext *t)
{
	static const uint8_t call[] = { 0x48, 0x83, 0xec, 8, 0xff, 0xd0, 0x48, 0x83, 0xc4, 8, 0xc3 };
	x_rr(t, true, 0x89, HOST_CPU, HOST_RDI);
	x_imm(t, HOST_RAX, (uint64_t)(uintptr_t)may_use);
	for (unsigned n = 0; n < sizeof(call); n++) /* sub rsp, 8; call rax; add rsp, 8; ret */
		x_byte(t, call[n]);
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
	if (i->asize != 8 || in->mem || !o->size || o->size > 80)
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

void xvec_x87_encode(struct xtext *t, const struct xinsn *in)
{
	unsigned modrm = in->bytes[in->zi.raw.modrm.offset];
	if (in->mem)
		x_byte(t, 0x41); /* REX.B: R14 */
	x_byte(t, in->zi.opcode);
	x_byte(t, in->mem ? (modrm & 0x38) | (HOST_R14 & 7) : modrm);
}
