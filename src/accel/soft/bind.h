/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the bind functions of the system families share: reading Zydis operands into struct insn. */
#ifndef PANAL_ACCEL_SOFT_BIND_H
#define PANAL_ACCEL_SOFT_BIND_H

#include "accel/soft/insn.h"
#include <Zydis/Zydis.h>

/* Number of a register within its class: RAX = 0, ES = 0, CR0 = 0, DR0 = 0. Not for the 8-bit registers. */
static inline uint8_t bind_reg(const ZydisDecodedOperand *op)
{
	return (uint8_t)ZydisRegisterGetId(op->reg.value);
}

/* An r/m operand: i->rm is the register, or REG_NONE when the operand is in memory. */
static inline void bind_rm(struct insn *i, const ZydisDecodedOperand *op)
{
	i->rm = op->type == ZYDIS_OPERAND_TYPE_REGISTER ? bind_reg(op) : REG_NONE;
}

static inline bool bind_is_class(const ZydisDecodedOperand *op, ZydisRegisterClass cls)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == cls;
}

#endif
