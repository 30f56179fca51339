/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MUL, IMUL, DIV, IDIV by the host's own instructions; what would be #DE is found before. */
#include "accel/soft/form.h"
#include "accel/soft/mem.h"

static uint64_t operand(struct soft_cpu *c, const struct insn *i)
{
	if (i->rm != REG_NONE)
		return reg_get(c, i->rm, i->width);
	return mem_load(c, mem_addr(c, i, i->width, false), i->width);
}

/* The guest's flags go in, because some are undefined and may stay. RDX:RAX live in %0 and %1 of the asm. */
#define WIDE(name, type) \
	asm("addb $127, %%r8b\n\tmovq %%r9, %%rcx\n\txchgq %%rax, %%rcx\n\tsahf\n\txchgq %%rax, %%rcx\n\t" name " %4\n\t" \
	    "movq %%rax, %%r10\n\tlahf\n\tseto %%al\n\tmovl %%eax, %%ecx\n\tmovq %%r10, %%rax" \
	    : "+a"(lo), "+d"(hi), "+&r"(r8), "=&c"(out) \
	    : "r"((type)b), "r"(r9) \
	    : "cc", "r10")

static void mul(struct soft_cpu *c, const struct insn *i)
{
	uint64_t b = operand(c, i), lo = c->s.gpr[X86_RAX], hi = c->s.gpr[X86_RDX];
	uint32_t ax = flags_to_ax(c), out;
	register uint64_t r8 asm("r8") = ax & 0xff;
	register uint64_t r9 asm("r9") = ax;
	bool sign = i->sub;
	switch (i->width) {
	case 1:
		if (sign)
			WIDE("imulb", uint8_t);
		else
			WIDE("mulb", uint8_t);
		break;
	case 2:
		if (sign)
			WIDE("imulw", uint16_t);
		else
			WIDE("mulw", uint16_t);
		break;
	case 4:
		if (sign)
			WIDE("imull", uint32_t);
		else
			WIDE("mull", uint32_t);
		break;
	default:
		if (sign)
			WIDE("imulq", uint64_t);
		else
			WIDE("mulq", uint64_t);
		break;
	}
	c->s.gpr[X86_RAX] = lo;
	c->s.gpr[X86_RDX] = hi;
	flags_from_ax(c, out);
}

/* Would the quotient fit? */
static bool div_fits(uint64_t hi, uint64_t lo, uint64_t b, unsigned w)
{
	if (w == 1)
		return b && (lo & 0xffff) / b <= 0xff;
	return b && hi < b;
}

static bool idiv_fits(uint64_t hi, uint64_t lo, uint64_t b, unsigned w)
{
	unsigned bits = w * 8;
	__int128 a = w == 1 ? (int16_t)lo :
	             w == 8 ? (__int128)((unsigned __int128)hi << 64 | lo) :
	                      (__int128)(int64_t)((hi << bits | lo) << (64 - 2 * bits)) >> (64 - 2 * bits);
	__int128 d = (int64_t)(b << (64 - bits)) >> (64 - bits), limit = (__int128)1 << (bits - 1);
	if (!d)
		return false;
	if (d == -1) /* the one case where the quotient itself might not be representable */
		return a > -limit && a <= limit;
	__int128 q = a / d;
	return q >= -limit && q < limit;
}

static void divide(struct soft_cpu *c, const struct insn *i)
{
	unsigned w = i->width;
	uint64_t m = width_mask(w), b = operand(c, i), lo = c->s.gpr[X86_RAX], hi = c->s.gpr[X86_RDX];
	uint32_t ax = flags_to_ax(c), out;
	bool sign = i->sub;
	if (!(sign ? idiv_fits(hi & m, w == 1 ? lo : lo & m, b, w) : div_fits(hi & m, w == 1 ? lo : lo & m, b, w)))
		cpu_fault(c, X86_DE);
	register uint64_t r8 asm("r8") = ax & 0xff;
	register uint64_t r9 asm("r9") = ax;
	switch (w) {
	case 1:
		if (sign)
			WIDE("idivb", uint8_t);
		else
			WIDE("divb", uint8_t);
		break;
	case 2:
		if (sign)
			WIDE("idivw", uint16_t);
		else
			WIDE("divw", uint16_t);
		break;
	case 4:
		if (sign)
			WIDE("idivl", uint32_t);
		else
			WIDE("divl", uint32_t);
		break;
	default:
		if (sign)
			WIDE("idivq", uint64_t);
		else
			WIDE("divq", uint64_t);
		break;
	}
	c->s.gpr[X86_RAX] = lo;
	c->s.gpr[X86_RDX] = hi;
	flags_from_ax(c, out);
}

/* IMUL with two or three operands. */
#define IMUL2(name, type) \
	do { \
		type x_ = (type)a; \
		asm(ASM_FLAGS_IN name " %2, %0" ASM_FLAGS_OUT : "+r"(x_), "+&a"(ax) : "r"((type)b) : "cc"); \
		x = x_; \
	} while (0)

ALWAYS_INLINE void imul_to_reg(struct soft_cpu *c, const struct insn *i, unsigned w, bool imm)
{
	uint64_t a = i->rm != REG_NONE ? reg_get(c, i->rm, w) : mem_load(c, mem_addr(c, i, w, false), w);
	uint64_t b = imm ? i->imm : reg_get(c, i->reg, w), x;
	uint32_t ax = flags_to_ax(c);
	switch (w) {
	case 2: IMUL2("imulw", uint16_t); break;
	case 4: IMUL2("imull", uint32_t); break;
	default: IMUL2("imulq", uint64_t); break;
	}
	flags_from_ax(c, ax);
	reg_set(c, i->reg, w, x);
}
#define DEFINE_IMUL(w) \
	static void imul_reg_##w(struct soft_cpu *c, const struct insn *i) { imul_to_reg(c, i, w, false); } \
	static void imul_imm_##w(struct soft_cpu *c, const struct insn *i) { imul_to_reg(c, i, w, true); }
DEFINE_IMUL(2)
DEFINE_IMUL(4)
DEFINE_IMUL(8)

static bool bind_muldiv(struct insn *i, const struct insn_source *src, unsigned arg)
{
	if (arg & 2 && src->op[1].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
		i->width = (uint8_t)(src->op[0].size / 8);
		static const insn_fn table[2][4] = {
			{ NULL, imul_reg_2, imul_reg_4, imul_reg_8 }, { NULL, imul_imm_2, imul_imm_4, imul_imm_8 },
		};
		i->fn = table[src->zi->operand_count_visible == 3][width_index(i->width)];
		return true;
	}
	i->width = (uint8_t)(src->op[0].size / 8);
	i->sub = arg & 1;
	i->fn = arg & 4 ? divide : mul;
	return true;
}

/* arg: 1 signed, 2 has the forms with two and three operands, 4 division */
const struct insn_row insn_muldiv[] = {
	{ ZYDIS_MNEMONIC_MUL, 0, bind_muldiv },
	{ ZYDIS_MNEMONIC_IMUL, 1 | 2, bind_muldiv },
	{ ZYDIS_MNEMONIC_DIV, 4, bind_muldiv },
	{ ZYDIS_MNEMONIC_IDIV, 4 | 1, bind_muldiv },
	{ 0 },
};
