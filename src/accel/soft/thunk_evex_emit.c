/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thunks of AVX-512: EVEX instructions and the opmask instructions. Host registers: RDI = struct soft_cpu, RSI = the
 * memory operand, RAX = the one general register that such an instruction may name. Vector and opmask registers keep
 * their numbers; all of them belong to the called function in the host's ABI.
 */
#include "accel/soft/cpu.h"
#include "accel/soft/thunk_emit.h"

#include <Zydis/Zydis.h>
#include <stddef.h>
#include <string.h>

struct emit {
	struct thunk_text *t;
	const struct insn_source *src;
	uint32_t vec, vec_written;
	uint8_t k, k_written;
	unsigned reg, rm, vvvv; /* host numbers */
	bool mem, gpr, gpr_written;
	unsigned guest_gpr;
};

static void put(struct emit *e, unsigned n, const uint8_t *byte)
{
	if (e->t->len + n <= THUNK_MAX)
		memcpy(e->t->byte + e->t->len, byte, n);
	e->t->len += n;
}

#define PUT(e, ...) put((e), sizeof((const uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

/* ModRM for [rdi + disp32] */
static void put_state(struct emit *e, unsigned reg, size_t offset)
{
	PUT(e, 0x87 | (reg & 7) << 3, offset, offset >> 8, offset >> 16, offset >> 24);
}

/* ---- what the instruction touches ---- */

static unsigned scan_register(struct emit *e, const ZydisDecodedOperand *o)
{
	ZydisRegisterClass k = ZydisRegisterGetClass(o->reg.value);
	unsigned n = ZydisRegisterGetId(o->reg.value);
	bool written = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	switch (k) {
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		e->vec |= 1u << n;
		e->vec_written |= (uint32_t)written << n;
		return n;
	case ZYDIS_REGCLASS_MASK:
		e->k |= 1u << n;
		e->k_written |= written << n;
		return n;
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		e->gpr = true;
		e->gpr_written |= written;
		e->guest_gpr = n & 15;
		return 0;
	default: return 0;
	}
}

static void scan(struct emit *e)
{
	e->reg = e->src->zi->raw.modrm.reg & 7; /* a part of the opcode where no operand is there */
	for (unsigned n = 0; n < e->src->zi->operand_count; n++) {
		const ZydisDecodedOperand *o = &e->src->op[n];
		unsigned number;

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
			e->mem = true;
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		number = scan_register(e, o);
		if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			e->reg = number;
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			e->vvvv = number;
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			e->rm = number;
	}
}

/* ---- registers ---- */

/* VMOVUPS zmm: opcode 10 loads, 11 stores. */
static void move_vectors(struct emit *e, uint32_t set, unsigned opcode)
{
	for (unsigned n = 0; n < 32; n++)
		if (set >> n & 1) {
			PUT(e, 0x62, 0x61 | (n & 8 ? 0 : 0x80) | (n & 16 ? 0 : 0x10), 0x7c, 0x48, opcode);
			put_state(e, n, offsetof(struct soft_cpu, s.fpu.zmm) + 64 * n);
		}
}

/* KMOVQ: opcode 90 loads, 91 stores. */
static void move_masks(struct emit *e, uint8_t set, unsigned opcode)
{
	for (unsigned n = 0; n < 8; n++)
		if (set >> n & 1) {
			PUT(e, 0xc4, 0xe1, 0xf8, opcode);
			put_state(e, n, offsetof(struct soft_cpu, s.fpu.k) + 8 * n);
		}
}

static void move_mxcsr(struct emit *e, unsigned extension)
{
	PUT(e, 0xc5, 0xf8, 0xae);
	put_state(e, extension, offsetof(struct soft_cpu, s.fpu.mxcsr));
}

/* ---- the instruction itself ---- */

/* Non-temporal stores become plain ones, as in thunk_emit.c. */
static unsigned plain_opcode(const ZydisDecodedInstruction *zi)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD: return 0x29; /* VMOVAPS, VMOVAPD */
	case ZYDIS_MNEMONIC_VMOVNTDQ: return 0x7f; /* VMOVDQA32 */
	default: return zi->opcode;
	}
}

static void put_operands(struct emit *e)
{
	const ZydisDecodedInstruction *zi = e->src->zi;
	unsigned at = zi->raw.modrm.offset + 1 + ((zi->attributes & ZYDIS_ATTRIB_HAS_SIB) ? 1 : 0) + zi->raw.disp.size / 8;

	PUT(e, (e->mem ? 0x06 : 0xc0 | (e->rm & 7)) | (e->reg & 7) << 3); /* 06: [rsi] */
	if (at < zi->length)
		put(e, zi->length - at, e->src->bytes + at);
}

/* W tells 32 from 64 bits of a general register in 64-bit code only. */
static unsigned w_bit(const struct emit *e, unsigned w)
{
	return e->gpr && (e->src->mode & MODE_CODE_MASK) != MODE_CODE64 ? 0 : w;
}

static void put_evex(struct emit *e)
{
	const uint8_t *p = e->src->bytes + e->src->zi->raw.evex.offset + 1;
	unsigned rm = e->mem ? 0 : e->rm;

	PUT(e, 0x62,
	    (e->reg & 8 ? 0 : 0x80) | (rm & 16 ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | (e->reg & 16 ? 0 : 0x10) | (p[0] & 0x0f),
	    w_bit(e, p[1] & 0x80) | (~e->vvvv & 15) << 3 | (p[1] & 7), (p[2] & 0xf7) | (e->vvvv & 16 ? 0 : 8),
	    plain_opcode(e->src->zi));
	put_operands(e);
}

static void put_vex(struct emit *e)
{
	const uint8_t *v = e->src->bytes + e->src->zi->raw.vex.offset;
	unsigned map = v[0] == 0xc4 ? v[1] & 0x1f : 1;
	unsigned w = v[0] == 0xc4 ? v[2] & 0x80 : 0;
	unsigned lpp = (v[0] == 0xc4 ? v[2] : v[1]) & 7;

	PUT(e, 0xc4, 0xe0 | map, w_bit(e, w) | (~e->vvvv & 15) << 3 | lpp, e->src->zi->opcode);
	put_operands(e);
}

/* ---- flags ---- */

static bool writes_flags(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_KORTESTB: case ZYDIS_MNEMONIC_KORTESTW:
	case ZYDIS_MNEMONIC_KORTESTD: case ZYDIS_MNEMONIC_KORTESTQ:
	case ZYDIS_MNEMONIC_KTESTB: case ZYDIS_MNEMONIC_KTESTW:
	case ZYDIS_MNEMONIC_KTESTD: case ZYDIS_MNEMONIC_KTESTQ:
	case ZYDIS_MNEMONIC_VCOMISS: case ZYDIS_MNEMONIC_VCOMISD: case ZYDIS_MNEMONIC_VCOMISH:
	case ZYDIS_MNEMONIC_VUCOMISS: case ZYDIS_MNEMONIC_VUCOMISD: case ZYDIS_MNEMONIC_VUCOMISH: return true;
	default: return false;
	}
}

/* After all other stores: uses RAX and RCX. */
static void store_flags(struct emit *e)
{
	const uint32_t mask = X86_FLAG_ARITH;

	PUT(e, 0x9c, 0x58, 0x25, mask & 0xff, mask >> 8 & 0xff, 0, 0); /* pushfq; pop rax; and eax, mask */
	PUT(e, 0x8b);                                                  /* mov ecx, rflags */
	put_state(e, X86_RCX, offsetof(struct soft_cpu, s.rflags));
	PUT(e, 0x81, 0xe1, ~mask & 0xff, ~mask >> 8 & 0xff, 0xff, 0xff); /* and ecx, ~mask */
	PUT(e, 0x09, 0xc1, 0x89);                                      /* or ecx, eax; mov rflags, ecx */
	put_state(e, X86_RCX, offsetof(struct soft_cpu, s.rflags));
}

bool thunk_emit_evex(struct thunk_text *t, const struct insn_source *src, bool mxcsr)
{
	struct emit e = { .t = t, .src = src };

	t->len = 0;
	scan(&e);
	move_vectors(&e, e.vec, 0x10);
	move_masks(&e, e.k, 0x90);
	if (e.gpr) {
		PUT(&e, 0x48, 0x8b); /* mov rax, gpr */
		put_state(&e, X86_RAX, offsetof(struct soft_cpu, s.gpr) + 8 * e.guest_gpr);
	}
	if (mxcsr)
		move_mxcsr(&e, 2);
	if (src->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		put_evex(&e);
	else
		put_vex(&e);
	if (mxcsr)
		move_mxcsr(&e, 3);
	move_vectors(&e, e.vec_written, 0x11);
	move_masks(&e, e.k_written, 0x91);
	if (e.gpr_written) {
		PUT(&e, 0x48, 0x89);
		put_state(&e, X86_RAX, offsetof(struct soft_cpu, s.gpr) + 8 * e.guest_gpr);
	}
	if (writes_flags(src->zi->mnemonic))
		store_flags(&e);
	if (e.vec)
		PUT(&e, 0xc5, 0xf8, 0x77);         /* vzeroupper */
	PUT(&e, 0x31, 0xc0, 0xc3);                 /* xor eax, eax; ret */
	return t->len <= THUNK_MAX;
}
