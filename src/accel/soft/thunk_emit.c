/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host registers in a thunk: RDI = struct soft_cpu, RSI = the memory operand. Guest RAX, RCX and RDX stay where they
 * are, because instructions name them implicitly; other general registers become R8 to R10. Vector registers keep
 * their numbers. The thunk uses no stack but for a moment to read the flags, so that an exception inside it can
 * leave by a plain return.
 */
#include "accel/soft/thunk_emit.h"
#include "accel/soft/cpu.h"
#include "accel/soft/thunk_priv.h"

#include <Zydis/Zydis.h>
#include <stddef.h>
#include <string.h>

enum { HOST_FREE = 3 /* R8, R9, R10 */, GPR_UNUSED = 0xff, MOVS_LOAD = 0x28, MOVS_STORE = 0x29 };

struct emit {
	struct thunk_text *t;
	const struct insn_source *src;
	const ZydisDecodedInstruction *zi;
	const ZydisDecodedOperand *op;
	bool mode64;
	bool vex;
	bool ymm;                       /* some register operand is 256 bits wide */
	uint8_t host[X86_GPR_COUNT];    /* host register of each guest register, or GPR_UNUSED */
	uint16_t gpr_written;           /* guest registers to store */
	uint8_t host_used;              /* how many of R8.. are taken */
	bool high_byte;                 /* rm is AH, CH, DH or BH: it is loaded as a byte of its own */
	uint8_t high_reg;               /* whose byte 1 it is */
	uint16_t vec_load, vec_store;   /* vector registers */
	uint16_t vec_wide;              /* those that are loaded with 256 bits */
};

static void put(struct emit *e, unsigned n, const uint8_t *byte)
{
	if (e->t->len + n <= THUNK_MAX)
		memcpy(e->t->byte + e->t->len, byte, n);
	e->t->len += n;
}

#define PUT(e, ...) put((e), sizeof((const uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

static void put32(struct emit *e, uint32_t v)
{
	PUT(e, v, v >> 8, v >> 16, v >> 24);
}

/* ModRM for [rdi + disp32] */
static void put_state(struct emit *e, unsigned reg, size_t offset)
{
	PUT(e, 0x87 | (reg & 7) << 3);
	put32(e, offset);
}

/* ---- what the instruction touches ---- */

static bool is_gpr(ZydisRegister r)
{
	ZydisRegisterClass k = ZydisRegisterGetClass(r);

	return k == ZYDIS_REGCLASS_GPR8 || k == ZYDIS_REGCLASS_GPR16 || k == ZYDIS_REGCLASS_GPR32 ||
	       k == ZYDIS_REGCLASS_GPR64;
}

static bool is_vector(ZydisRegister r)
{
	ZydisRegisterClass k = ZydisRegisterGetClass(r);

	return k == ZYDIS_REGCLASS_XMM || k == ZYDIS_REGCLASS_YMM;
}

static unsigned gpr_number(ZydisRegister r)
{
	return ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r));
}

static bool scan_gpr(struct emit *e, const ZydisDecodedOperand *o)
{
	unsigned g = gpr_number(o->reg.value);

	if (o->reg.value >= ZYDIS_REGISTER_AH && o->reg.value <= ZYDIS_REGISTER_BH) {
		if (o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM || (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return false;
		e->high_byte = true;
		e->high_reg = g;
		return true;
	}
	if (g >= X86_GPR_COUNT)
		return false;
	if (e->host[g] == GPR_UNUSED) {
		if (g > X86_RDX && (o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || e->host_used == HOST_FREE))
			return false;
		e->host[g] = g <= X86_RDX ? g : 8 + e->host_used++;
	}
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		e->gpr_written |= 1u << g;
	return true;
}

static bool scan_vector(struct emit *e, const ZydisDecodedOperand *o)
{
	unsigned n = ZydisRegisterGetId(o->reg.value), bit = 1u << n;
	bool wide = ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_YMM;

	if (n > 15)
		return false;
	/* A legacy instruction may keep a part of its destination; a VEX one writes all of it. */
	if (!e->vex || (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
		e->vec_load |= bit;
	if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		e->vec_store |= bit;
	if (wide) {
		e->vec_wide |= bit;
		e->ymm = true;
	}
	return true;
}

static bool scan(struct emit *e)
{
	memset(e->host, GPR_UNUSED, sizeof(e->host));
	for (unsigned n = 0; n < e->zi->operand_count; n++) {
		const ZydisDecodedOperand *o = &e->op[n];

		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (is_gpr(o->reg.value) && !scan_gpr(e, o))
			return false;
		if (is_vector(o->reg.value) && !scan_vector(e, o))
			return false;
	}
	return true;
}

/* ---- loads ---- */

/* Arithmetic flags out of the state: OF by an addition that overflows, the rest by SAHF. Uses RAX and RCX. */
static void load_flags(struct emit *e)
{
	if (!e->zi->cpu_flags || !(e->zi->cpu_flags->tested & X86_FLAG_ARITH))
		return;
	PUT(e, 0x8b); /* mov eax, rflags */
	put_state(e, X86_RAX, offsetof(struct soft_cpu, s.rflags));
	PUT(e, 0x89, 0xc1, 0xc1, 0xe9, 11, 0x83, 0xe1, 1); /* mov ecx, eax; shr ecx, 11; and ecx, 1 */
	PUT(e, 0x80, 0xc1, 0x7f);                           /* add cl, 0x7f */
	PUT(e, 0x88, 0xc4, 0x9e);                           /* mov ah, al; sahf */
}

static void load_gprs(struct emit *e)
{
	for (unsigned g = 0; g < X86_GPR_COUNT; g++) {
		if (e->host[g] == GPR_UNUSED)
			continue;
		PUT(e, e->host[g] >= 8 ? 0x4c : 0x48, 0x8b); /* mov r64, gpr[g] */
		put_state(e, e->host[g], offsetof(struct soft_cpu, s.gpr) + 8 * g);
	}
	if (e->high_byte) {
		PUT(e, 0x44, 0x0f, 0xb6); /* movzx r11d, byte gpr[g] + 1 */
		put_state(e, 11, offsetof(struct soft_cpu, s.gpr) + 8 * e->high_reg + 1);
	}
}

static size_t vec_offset(unsigned n)
{
	return offsetof(struct soft_cpu, s.fpu.zmm) + 64 * n;
}

/* MOVAPS between register n and the state; VEX forms in VEX thunks, so that encodings are not mixed. */
static void vec_move(struct emit *e, unsigned opcode, unsigned n, bool wide, size_t offset)
{
	if (e->vex)
		PUT(e, 0xc5, (n < 8 ? 0x80 : 0) | 0x78 | (wide ? 4 : 0), opcode);
	else if (n < 8)
		PUT(e, 0x0f, opcode);
	else
		PUT(e, 0x44, 0x0f, opcode);
	put_state(e, n, offset);
}

static void load_vectors(struct emit *e)
{
	for (unsigned n = 0; n < 16; n++)
		if (e->vec_load >> n & 1)
			vec_move(e, MOVS_LOAD, n, e->vec_wide >> n & 1, vec_offset(n));
}

static void move_mxcsr(struct emit *e, bool load)
{
	if (e->vex)
		PUT(e, 0xc5, 0xf8);
	else
		PUT(e, 0x0f);
	PUT(e, 0xae, 0x07 | 0x80 | (load ? 2 : 3) << 3);
	put32(e, offsetof(struct soft_cpu, s.fpu.mxcsr));
}

/* ---- the instruction itself ---- */

struct form {
	unsigned reg, rm, vvvv; /* register numbers, 4 bits */
	bool has_reg, has_vvvv, mem, gpr;
};

static unsigned host_number(const struct emit *e, ZydisRegister r)
{
	if (!is_gpr(r))
		return ZydisRegisterGetId(r) & 15;
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return 11;
	return e->host[gpr_number(r)];
}

static struct form form_of(const struct emit *e)
{
	struct form f = { .reg = e->zi->raw.modrm.reg, .rm = e->zi->raw.modrm.rm };

	for (unsigned n = 0; n < e->zi->operand_count; n++) {
		const ZydisDecodedOperand *o = &e->op[n];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			f.mem = true;
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		f.gpr |= is_gpr(o->reg.value);
		if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
			f.reg = host_number(e, o->reg.value);
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			f.rm = host_number(e, o->reg.value);
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD) {
			f.vvvv = host_number(e, o->reg.value);
			f.has_vvvv = true;
		}
	}
	return f;
}

/* Non-temporal stores become plain ones: their ordering is the guest's fences' business, and those the soft CPU does
 * not execute as such. Returns the opcode; *escape is cleared where the plain one lies in the one-byte map. */
unsigned thunk_plain_opcode(const ZydisDecodedInstruction *zi, bool *escape)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_MOVNTPS:
	case ZYDIS_MNEMONIC_MOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD: return 0x29; /* MOVAPS */
	case ZYDIS_MNEMONIC_MOVNTQ:
	case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQ: return 0x7f; /* MOVQ, MOVDQA */
	case ZYDIS_MNEMONIC_MOVNTI: *escape = false; return 0x89;
	default: return zi->opcode;
	}
}

/* The general-register instructions whose operand size 66 selects; elsewhere 66 is part of the opcode or void. */
bool thunk_operand_size_16(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_LZCNT:
	case ZYDIS_MNEMONIC_TZCNT:
	case ZYDIS_MNEMONIC_MOVBE:
	case ZYDIS_MNEMONIC_RDRAND:
	case ZYDIS_MNEMONIC_RDSEED: return op[0].size == 16;
	case ZYDIS_MNEMONIC_CRC32: return op[1].size == 16;
	default: return false;
	}
}

static void put_prefixes(struct emit *e)
{
	const ZydisDecodedInstruction *zi = e->zi;
	bool size16 = thunk_operand_size_16(zi, e->op);

	if (size16)
		PUT(e, 0x66);
	for (unsigned n = 0; n < zi->raw.prefix_count; n++)
		if (zi->raw.prefixes[n].type == ZYDIS_PREFIX_TYPE_MANDATORY &&
		    !(size16 && zi->raw.prefixes[n].value == 0x66))
			PUT(e, zi->raw.prefixes[n].value);
}

/* ModRM and what follows it */
static void put_operands(struct emit *e, const struct form *f)
{
	const ZydisDecodedInstruction *zi = e->zi;
	unsigned tail, at;

	if (!(zi->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return;
	if (f->mem)
		PUT(e, 0x06 | (f->reg & 7) << 3); /* [rsi] */
	else
		PUT(e, 0xc0 | (f->reg & 7) << 3 | (f->rm & 7));
	at = zi->raw.modrm.offset + 1 + ((zi->attributes & ZYDIS_ATTRIB_HAS_SIB) ? 1 : 0) + zi->raw.disp.size / 8;
	for (tail = at; tail < zi->length; tail++) {
		uint8_t b = e->src->bytes[tail];

		/* Outside 64-bit code bit 7 of a register number in an immediate is ignored. */
		for (unsigned n = 0; n < zi->operand_count && !e->mode64; n++)
			if (e->op[n].encoding == ZYDIS_OPERAND_ENCODING_IS4)
				b &= 0x7f;
		PUT(e, b);
	}
}

static void put_legacy(struct emit *e, const struct form *f)
{
	const ZydisDecodedInstruction *zi = e->zi;
	bool escape = true;
	unsigned opcode = thunk_plain_opcode(zi, &escape);
	unsigned rex = 0;

	put_prefixes(e);
	if (zi->attributes & ZYDIS_ATTRIB_HAS_REX && zi->raw.rex.W)
		rex |= 8;
	if (f->reg & 8)
		rex |= 4;
	if (!f->mem && f->rm & 8)
		rex |= 1;
	if (rex)
		PUT(e, 0x40 | rex);
	if (zi->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT && escape)
		PUT(e, 0x0f);
	if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F38)
		PUT(e, 0x38);
	if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
		PUT(e, 0x3a);
	PUT(e, opcode);
	put_operands(e, f);
}

bool thunk_w_is_operand_size(const ZydisDecodedInstruction *zi, bool gpr)
{
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VPEXTRD:
	case ZYDIS_MNEMONIC_VPINSRD:
	case ZYDIS_MNEMONIC_VCVTSI2SS:
	case ZYDIS_MNEMONIC_VCVTSI2SD: return true;
	default: return gpr;
	}
}

static void put_vex(struct emit *e, const struct form *f)
{
	const uint8_t *v = e->src->bytes + e->zi->raw.vex.offset;
	unsigned map = v[0] == 0xc4 ? v[1] & 0x1f : 1;
	unsigned w = v[0] == 0xc4 ? v[2] & 0x80 : 0;
	unsigned lpp = (v[0] == 0xc4 ? v[2] : v[1]) & 7;
	bool escape = true;
	unsigned opcode = thunk_plain_opcode(e->zi, &escape);

	if (!e->mode64 && thunk_w_is_operand_size(e->zi, f->gpr))
		w = 0;
	PUT(e, 0xc4, (f->reg & 8 ? 0 : 0x80) | 0x40 | (!f->mem && f->rm & 8 ? 0 : 0x20) | map,
	    w | (~(f->has_vvvv ? f->vvvv : 0) & 15) << 3 | lpp, opcode);
	put_operands(e, f);
}

/* ---- stores ---- */

static void store_vectors(struct emit *e, bool clear_upper)
{
	for (unsigned n = 0; n < 16; n++) {
		if (!(e->vec_store >> n & 1))
			continue;
		vec_move(e, MOVS_STORE, n, e->vex, vec_offset(n));
		if (!e->vex || !clear_upper)
			continue;
		/* vpxor xmm, xmm, xmm; then the same register is a source of zeroes */
		PUT(e, 0xc4, n < 8 ? 0xe1 : 0x41, (~n & 15) << 3 | 1, 0xef, 0xc0 | (n & 7) << 3 | (n & 7));
		vec_move(e, MOVS_STORE, n, true, vec_offset(n) + 32);
	}
}

static void store_gprs(struct emit *e)
{
	for (unsigned g = 0; g < X86_GPR_COUNT; g++) {
		if (!(e->gpr_written >> g & 1))
			continue;
		PUT(e, e->host[g] >= 8 ? 0x4c : 0x48, 0x89);
		put_state(e, e->host[g], offsetof(struct soft_cpu, s.gpr) + 8 * g);
	}
}

/* The flags that the instruction writes; undefined ones are taken over as the silicon leaves them. */
static uint32_t written_flags(const struct emit *e)
{
	const ZydisAccessedFlags *f = e->zi->cpu_flags;

	/* Zydis 4.0 leaves out the flags that these clear. */
	if (e->zi->mnemonic == ZYDIS_MNEMONIC_VTESTPS || e->zi->mnemonic == ZYDIS_MNEMONIC_VTESTPD ||
	    e->zi->mnemonic == ZYDIS_MNEMONIC_VPTEST)
		return X86_FLAG_ARITH;
	return f ? (f->modified | f->set_0 | f->set_1 | f->undefined) & X86_FLAG_ARITH : 0;
}

/* After all other stores: uses RAX and RCX. */
static void store_flags(struct emit *e)
{
	uint32_t mask = written_flags(e);

	if (!mask)
		return;
	PUT(e, 0x9c, 0x58, 0x25); /* pushfq; pop rax; and eax, mask */
	put32(e, mask);
	PUT(e, 0x8b); /* mov ecx, rflags */
	put_state(e, X86_RCX, offsetof(struct soft_cpu, s.rflags));
	PUT(e, 0x81, 0xe1); /* and ecx, ~mask */
	put32(e, ~mask);
	PUT(e, 0x09, 0xc1, 0x89); /* or ecx, eax; mov rflags, ecx */
	put_state(e, X86_RCX, offsetof(struct soft_cpu, s.rflags));
}

bool thunk_emit(struct thunk_text *t, const struct insn_source *src, const struct thunk_spec *spec)
{
	struct emit e = { .t = t, .src = src, .zi = src->zi, .op = src->op };
	struct form f;

	t->len = 0;
	e.mode64 = (src->mode & MODE_CODE_MASK) == MODE_CODE64;
	e.vex = src->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	if (!scan(&e))
		return false;
	f = form_of(&e);
	load_flags(&e);
	load_gprs(&e);
	load_vectors(&e);
	if (spec->mxcsr)
		move_mxcsr(&e, true);
	if (e.vex)
		put_vex(&e, &f);
	else
		put_legacy(&e, &f);
	if (spec->mxcsr)
		move_mxcsr(&e, false);
	store_vectors(&e, spec->clear_upper);
	store_gprs(&e);
	store_flags(&e);
	if (e.ymm)
		PUT(&e, 0xc5, 0xf8, 0x77); /* vzeroupper */
	PUT(&e, 0x31, 0xc0, 0xc3);         /* xor eax, eax; ret */
	return t->len <= THUNK_MAX;
}
