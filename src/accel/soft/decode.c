/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes to struct insn: Zydis decodes, the common operand fields are filled here, the family's bind does the rest.
 * Sources: SDM 2A chapter 2; APM 3 chapter 1.
 */
#include "accel/soft/predecode.h"
#include "accel/soft/soft.h"

#include <cpuid.h>
#include <string.h>

static bool host_is_amd(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(0, &a, &b, &c, &d))
		return false;
	return b == signature_AMD_ebx || b == 0x6f677948 /* "Hygo" */;
}

void decode_init(struct soft_vm *sv)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} kind[SOFT_DECODERS] = {
		{ ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32 },
		{ ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};
	bool amd = host_is_amd();
	for (unsigned n = 0; n < SOFT_DECODERS; n++) {
		ZydisDecoderInit(&sv->decoder[n], kind[n].mode, kind[n].stack);
		/* A 66 prefix on a near branch in 64-bit code: AMD cuts RIP to 16 bits, Intel ignores it. */
		ZydisDecoderEnableMode(&sv->decoder[n], ZYDIS_DECODER_MODE_AMD_BRANCHES, amd);
		/* What CPUID does not offer is the NOP that it was before. */
		ZydisDecoderEnableMode(&sv->decoder[n], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&sv->decoder[n], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&sv->decoder[n], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
}

static const ZydisDecoder *decoder_for(const struct soft_vm *sv, uint32_t mode)
{
	switch (mode & MODE_CODE_MASK) {
	case MODE_CODE64: return &sv->decoder[3];
	case MODE_CODE32: return &sv->decoder[2];
	default: return &sv->decoder[mode & MODE_PROTECTED ? 1 : 0];
	}
}

ZyanStatus decode_full(const struct soft_vm *sv, uint32_t mode, const uint8_t *bytes, unsigned avail, ZydisDecodedInstruction *zi,
		       ZydisDecodedOperand *op)
{
	const ZydisDecoder *d = decoder_for(sv, mode);
	struct predecoder *p = sv->predecoder[d - sv->decoder];
	if (p && predecode(p, bytes, avail, zi, op))
		return ZYAN_STATUS_SUCCESS;
	return ZydisDecoderDecodeFull(d, bytes, avail, zi, op);
}

static void op_ud(struct soft_cpu *c, const struct insn *i)
{
	cpu_ud(c);
}

static void op_too_long(struct soft_cpu *c, const struct insn *i)
{
	cpu_gp0(c);
}

uint8_t decode_reg_number(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return r - ZYDIS_REGISTER_AL;
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return REG_AH + (r - ZYDIS_REGISTER_AH);
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return 4 + (r - ZYDIS_REGISTER_SPL);
	if (r == ZYDIS_REGISTER_NONE)
		return REG_NONE;
	ZyanI8 id = ZydisRegisterGetId(r);
	return id < 0 ? REG_NONE : (uint8_t)id;
}

static uint8_t gpr_number(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: return (uint8_t)ZydisRegisterGetId(r);
	default: return REG_NONE;
	}
}

static uint8_t seg_number(ZydisRegister r)
{
	switch (r) {
	case ZYDIS_REGISTER_ES: return X86_ES;
	case ZYDIS_REGISTER_CS: return X86_CS;
	case ZYDIS_REGISTER_SS: return X86_SS;
	case ZYDIS_REGISTER_FS: return X86_FS;
	case ZYDIS_REGISTER_GS: return X86_GS;
	default: return X86_DS;
	}
}

static uint16_t word_of(uint8_t reg)
{
	return (uint16_t)(reg == REG_NONE ? offsetof(struct soft_cpu, zero) : offsetof(struct soft_cpu, s.gpr) + reg * 8u);
}

/* Can the address be added up without a look at the segment? */
static bool fast_segment(const struct insn *i, uint32_t mode)
{
	switch (mode & MODE_CODE_MASK) {
	case MODE_CODE64:
		if (i->asize != 8)
			return false;
		return (i->seg != X86_FS && i->seg != X86_GS) || (i->index == REG_NONE && !(i->flags & INSN_RIP_REL));
	case MODE_CODE32:
		return mode & MODE_FLAT && i->asize == 4 && (i->seg == X86_SS || i->seg == X86_DS || i->seg == X86_ES);
	default:
		return false;
	}
}

/* i->len is known, i->off is where the instruction will be in its block. */
static void fast_address(struct insn *i, uint32_t mode)
{
	i->fast = fast_segment(i, mode);
	i->base_at = word_of(i->base);
	i->index_at = word_of(i->index);
	if (!i->fast)
		return;
	if (i->seg == X86_FS || i->seg == X86_GS)
		i->index_at = (uint16_t)(offsetof(struct soft_cpu, s.seg) + i->seg * sizeof(struct x86_seg) +
		                         offsetof(struct x86_seg, base));
	if (i->flags & INSN_RIP_REL) {
		if (i->disp > INT32_MAX - 0x10000) {
			i->fast = false;
			return;
		}
		i->base_at = offsetof(struct soft_cpu, block_rip);
		i->disp += i->off + i->len;
	}
}

static void fill_mem(struct insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op, uint32_t mode)
{
	i->flags |= INSN_MEM;
	i->seg = seg_number(op->mem.segment);
	if (i->seg == X86_SS)
		i->flags |= INSN_STACK_SEG;
	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		i->flags |= INSN_RIP_REL;
	else
		i->base = gpr_number(op->mem.base);
	i->index = gpr_number(op->mem.index);
	i->scale = op->mem.scale ? op->mem.scale : 1;
	i->disp = (int32_t)op->mem.disp.value;
	/* No base, whatever REX.B says: Zydis 4.0 takes it for R13. */
	if ((zi->attributes & ZYDIS_ATTRIB_HAS_SIB) && zi->raw.modrm.mod == 0 && (zi->raw.sib.base & 7) == 5) {
		i->base = REG_NONE;
		i->disp = (int32_t)zi->raw.disp.value;
	}
	fast_address(i, mode);
	if (op->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
		i->imm = (uint64_t)op->mem.disp.value & (zi->address_width == 64   ? UINT64_MAX :
		                                         zi->address_width == 32 ? 0xffffffff :
		                                                                   0xffff);
		i->fast = false;
	}
}

static void fill_operand(struct insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op, uint32_t mode)
{
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY:
		fill_mem(i, zi, op, mode);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		i->imm = op->imm.value.u;
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		i->imm = (uint64_t)op->ptr.segment << 32 | op->ptr.offset;
		break;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
			i->rm = decode_reg_number(op->reg.value);
		else if (op->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
			i->reg2 = decode_reg_number(op->reg.value);
		else
			i->reg = decode_reg_number(op->reg.value);
		break;
	default:
		break;
	}
}

static void fill_common(struct insn *i, const struct insn_source *src)
{
	const ZydisDecodedInstruction *zi = src->zi;
	i->width = zi->operand_width / 8;
	i->asize = zi->address_width / 8;
	i->seg = X86_DS;
	i->base = i->index = i->reg = i->rm = i->reg2 = REG_NONE;
	i->scale = 1;
	if (zi->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		i->flags |= INSN_LOCK;
	if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		i->flags |= INSN_REP;
	if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		i->flags |= INSN_REPNE;
	for (unsigned n = 0; n < zi->operand_count; n++)
		if (src->op[n].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			fill_operand(i, zi, &src->op[n], src->mode);
}

static enum decode_result bind_fault(struct insn *i, insn_fn fn)
{
	uint16_t off = i->off;
	*i = (struct insn){ .fn = fn, .len = 1, .flags = INSN_ENDS_BLOCK, .off = off, .reg = REG_NONE, .rm = REG_NONE };
	return DECODE_LAST;
}

static bool bind(struct insn *i, const struct insn_source *src)
{
	const struct insn_row *row = src->sv->row[src->zi->mnemonic];
	return row ? row->bind(i, src, row->arg) : thunk_bind(i, src, 0);
}

static bool is_vector(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < zi->operand_count_visible; n++) {
		ZydisRegisterClass k = op[n].type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(op[n].reg.value) :
										  ZYDIS_REGCLASS_INVALID;
		if (k == ZYDIS_REGCLASS_XMM || k == ZYDIS_REGCLASS_YMM || k == ZYDIS_REGCLASS_ZMM || k == ZYDIS_REGCLASS_MASK)
			return true;
	}
	return false;
}

static bool near_branch(const ZydisDecodedInstruction *zi)
{
	if (zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	return zi->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || zi->mnemonic == ZYDIS_MNEMONIC_RET;
}

enum decode_result decode_insn(struct soft_vm *sv, uint32_t mode, const uint8_t *bytes, unsigned avail, struct insn *i)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint16_t off = i->off;
	if (avail > ZYDIS_MAX_INSTRUCTION_LENGTH)
		avail = ZYDIS_MAX_INSTRUCTION_LENGTH;
	ZyanStatus st = decode_full(sv, mode, bytes, avail, &zi, op);
	if (st == ZYDIS_STATUS_NO_MORE_DATA && avail < ZYDIS_MAX_INSTRUCTION_LENGTH)
		return DECODE_MORE;
	if (st == ZYDIS_STATUS_NO_MORE_DATA || st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return bind_fault(i, op_too_long);
	if (!ZYAN_SUCCESS(st))
		return bind_fault(i, op_ud);
	*i = (struct insn){ .off = off, .len = zi.length };
	struct insn_source src = { .zi = &zi, .op = op, .bytes = bytes, .mode = mode, .sv = sv };
	fill_common(i, &src);
	if (!bind(i, &src) || !i->fn)
		return bind_fault(i, op_ud);
	if (is_vector(&zi, op))
		i->flags |= INSN_VECTOR;
	if (!(i->flags & INSN_ENDS_BLOCK))
		return DECODE_NEXT;
	/* Near transfers and repeated string instructions change nothing that the run loop must look at. */
	return near_branch(&zi) || zi.meta.category == ZYDIS_CATEGORY_STRINGOP ? DECODE_LAST : DECODE_SYSTEM;
}
