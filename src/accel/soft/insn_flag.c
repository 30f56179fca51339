/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flag bits, no-operations, fences, decimal adjustment. Source: SDM 2. */
#include "accel/soft/mem.h"
#include "accel/soft/system.h"

static void nop(struct soft_cpu *c, const struct insn *i)
{
}

static void clc(struct soft_cpu *c, const struct insn *i) { c->s.rflags &= ~(uint64_t)X86_FLAG_CF; }
static void stc(struct soft_cpu *c, const struct insn *i) { c->s.rflags |= X86_FLAG_CF; }
static void cmc(struct soft_cpu *c, const struct insn *i) { c->s.rflags ^= X86_FLAG_CF; }
static void cld(struct soft_cpu *c, const struct insn *i) { c->s.rflags &= ~(uint64_t)X86_FLAG_DF; }
static void std_(struct soft_cpu *c, const struct insn *i) { c->s.rflags |= X86_FLAG_DF; }

static void lahf(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, REG_AH, 1, (c->s.rflags & 0xd5) | 2);
}

static void sahf(struct soft_cpu *c, const struct insn *i)
{
	c->s.rflags = (c->s.rflags & ~UINT64_C(0xd5)) | (reg_get(c, REG_AH, 1) & 0xd5);
}

static void salc(struct soft_cpu *c, const struct insn *i)
{
	reg_set(c, X86_RAX, 1, c->s.rflags & X86_FLAG_CF ? 0xff : 0);
}

static void ud(struct soft_cpu *c, const struct insn *i)
{
	cpu_ud(c);
}

/* Another thread of the host may be the one waited for. */
static void pause_(struct soft_cpu *c, const struct insn *i)
{
	__builtin_ia32_pause();
}

static void mfence(struct soft_cpu *c, const struct insn *i)
{
	__builtin_ia32_mfence();
}

/* Results and flags of the decimal instructions as the processor's own 32-bit code would give them: SDM 2A/2B. */
static void set_szp(struct soft_cpu *c, uint8_t v, uint64_t extra)
{
	uint64_t f = extra | (v ? 0 : X86_FLAG_ZF) | (v & 0x80 ? X86_FLAG_SF : 0) |
	             (__builtin_parity(v) ? 0 : X86_FLAG_PF);
	c->s.rflags = (c->s.rflags & ~(uint64_t)X86_FLAG_ARITH) | f;
}

static void daa_das(struct soft_cpu *c, const struct insn *i)
{
	uint8_t al = (uint8_t)c->s.gpr[X86_RAX], old = al;
	bool cf = c->s.rflags & X86_FLAG_CF, af = c->s.rflags & X86_FLAG_AF, sub = i->sub, out_cf = false;
	if ((al & 15) > 9 || af) {
		out_cf = cf || (sub ? al < 6 : al > 0xff - 6);
		al = sub ? al - 6 : al + 6;
		af = true;
	}
	if (old > 0x99 || cf) {
		al = sub ? al - 0x60 : al + 0x60;
		out_cf = true;
	}
	reg_set(c, X86_RAX, 1, al);
	set_szp(c, al, (out_cf ? X86_FLAG_CF : 0) | (af ? X86_FLAG_AF : 0));
}

static void aaa_aas(struct soft_cpu *c, const struct insn *i)
{
	uint16_t ax = (uint16_t)c->s.gpr[X86_RAX];
	bool adjust = (ax & 15) > 9 || c->s.rflags & X86_FLAG_AF;
	if (adjust)
		ax = i->sub ? (uint16_t)((ax - 6) - 0x100) : (uint16_t)(ax + 0x106);
	ax &= 0xff0f;
	reg_set(c, X86_RAX, 2, ax);
	set_szp(c, (uint8_t)ax, adjust ? X86_FLAG_CF | X86_FLAG_AF : 0);
}

static void aam(struct soft_cpu *c, const struct insn *i)
{
	uint8_t al = (uint8_t)c->s.gpr[X86_RAX], by = (uint8_t)i->imm;
	if (!by)
		cpu_fault(c, X86_DE);
	reg_set(c, X86_RAX, 2, (uint16_t)((al / by) << 8 | al % by));
	set_szp(c, al % by, 0);
}

static void aad(struct soft_cpu *c, const struct insn *i)
{
	uint16_t ax = (uint16_t)c->s.gpr[X86_RAX];
	uint8_t a = (uint8_t)ax, b = (uint8_t)((ax >> 8) * (uint8_t)i->imm), v = (uint8_t)(a + b);
	reg_set(c, X86_RAX, 2, v);
	/* CF, AF and OF are undefined; processors leave those of the addition. */
	set_szp(c, v, (v < a ? X86_FLAG_CF : 0) | ((a ^ b ^ v) & 0x10 ? X86_FLAG_AF : 0) |
	              ((a ^ v) & (b ^ v) & 0x80 ? X86_FLAG_OF : 0));
}

static void bound(struct soft_cpu *c, const struct insn *i)
{
	uint64_t lin = insn_linear(c, i, i->width, false);
	unsigned up = 64 - i->width * 8u;
	int64_t v = (int64_t)(reg_get(c, i->reg, i->width) << up) >> up;
	if (v < (int64_t)(ld(c, lin, i->width) << up) >> up)
		cpu_fault(c, X86_BR); /* before the upper bound is read */
	lin = seg_linear(c, i->seg, insn_ea(c, i) + i->width, i->width, false);
	if (v > (int64_t)(ld(c, lin, i->width) << up) >> up)
		cpu_fault(c, X86_BR);
}

enum { F_NOP, F_CLC, F_STC, F_CMC, F_CLD, F_STD, F_LAHF, F_SAHF, F_SALC, F_UD, F_PAUSE, F_MFENCE, F_DAA, F_DAS,
       F_AAA, F_AAS, F_AAM, F_AAD, F_BOUND };

static bool bind_flag(struct insn *i, const struct insn_source *src, unsigned arg)
{
	static const insn_fn fn[] = {
		[F_NOP] = nop, [F_CLC] = clc, [F_STC] = stc, [F_CMC] = cmc, [F_CLD] = cld, [F_STD] = std_,
		[F_LAHF] = lahf, [F_SAHF] = sahf, [F_SALC] = salc, [F_UD] = ud, [F_PAUSE] = pause_,
		[F_MFENCE] = mfence, [F_DAA] = daa_das, [F_DAS] = daa_das, [F_AAA] = aaa_aas, [F_AAS] = aaa_aas,
		[F_AAM] = aam, [F_AAD] = aad, [F_BOUND] = bound,
	};
	i->fn = fn[arg];
	i->sub = arg == F_DAS || arg == F_AAS;
	if (arg == F_UD)
		i->flags |= INSN_ENDS_BLOCK;
	return true;
}

const struct insn_row insn_flag[] = {
	{ ZYDIS_MNEMONIC_NOP, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_ENDBR32, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_ENDBR64, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCH, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHNTA, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHT0, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHT1, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHT2, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHW, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PREFETCHWT1, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_CLDEMOTE, F_NOP, bind_flag },
	{ ZYDIS_MNEMONIC_PAUSE, F_PAUSE, bind_flag },
	{ ZYDIS_MNEMONIC_MFENCE, F_MFENCE, bind_flag },
	{ ZYDIS_MNEMONIC_LFENCE, F_MFENCE, bind_flag },
	{ ZYDIS_MNEMONIC_SFENCE, F_MFENCE, bind_flag },
	{ ZYDIS_MNEMONIC_CLC, F_CLC, bind_flag },
	{ ZYDIS_MNEMONIC_STC, F_STC, bind_flag },
	{ ZYDIS_MNEMONIC_CMC, F_CMC, bind_flag },
	{ ZYDIS_MNEMONIC_CLD, F_CLD, bind_flag },
	{ ZYDIS_MNEMONIC_STD, F_STD, bind_flag },
	{ ZYDIS_MNEMONIC_LAHF, F_LAHF, bind_flag },
	{ ZYDIS_MNEMONIC_SAHF, F_SAHF, bind_flag },
	{ ZYDIS_MNEMONIC_SALC, F_SALC, bind_flag },
	{ ZYDIS_MNEMONIC_UD0, F_UD, bind_flag },
	{ ZYDIS_MNEMONIC_UD1, F_UD, bind_flag },
	{ ZYDIS_MNEMONIC_UD2, F_UD, bind_flag },
	{ ZYDIS_MNEMONIC_DAA, F_DAA, bind_flag },
	{ ZYDIS_MNEMONIC_DAS, F_DAS, bind_flag },
	{ ZYDIS_MNEMONIC_AAA, F_AAA, bind_flag },
	{ ZYDIS_MNEMONIC_AAS, F_AAS, bind_flag },
	{ ZYDIS_MNEMONIC_AAM, F_AAM, bind_flag },
	{ ZYDIS_MNEMONIC_AAD, F_AAD, bind_flag },
	{ ZYDIS_MNEMONIC_BOUND, F_BOUND, bind_flag },
	{ 0 },
};
