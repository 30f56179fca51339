/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The common instructions of 64- and 32-bit code without Zydis's way through its trees. A table says which opcodes these are and
 * with which prefixes; what is the same in all instructions of a shape (opcode, operand size, register or memory) Zydis says
 * once, and registers, addresses and immediates are read here. What comes out is what Zydis would have said, as far as
 * anybody looks at it: tests/unit/soft/test_predecode.c compares. Whatever is not of these is Zydis's.
 */
#ifndef PANAL_ACCEL_SOFT_PREDECODE_H
#define PANAL_ACCEL_SOFT_PREDECODE_H

#include "base/err.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

struct predecoder;

/* d: of 64- or 32-bit code; it stays the caller's and must live as long. -ENOMEM. */
int predecode_create(struct predecoder **out, const ZydisDecoder *d, struct err *e) ATTR_MUST_USE;
void predecode_destroy(struct predecoder *p);
/* As ZydisDecoderDecodeFull of at most `avail` bytes; any thread. False: ask Zydis. Of zi->raw only what is looked at
 * is filled: prefixes' values and which of them is part of the opcode, REX.W, ModRM, SIB's base, the displacement and its size, size and place of an immediate. */
bool predecode(struct predecoder *p, const uint8_t *bytes, unsigned avail, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op);

#endif
