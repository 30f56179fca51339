/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "filter.h"
#include "oracle.h"

const char *const ora_group_name[ORA_GROUP_COUNT] = {
	[ORA_INT] = "int", [ORA_LOCK] = "lock", [ORA_BRANCH] = "branch", [ORA_STACK] = "stack", [ORA_STRING] = "string",
	[ORA_SYS] = "sys", [ORA_SEG] = "seg", [ORA_BMI] = "bmi", [ORA_MMX] = "mmx", [ORA_SSE] = "sse", [ORA_AVX] = "avx",
	[ORA_CRYPTO] = "crypto", [ORA_X87] = "x87", [ORA_FPSTATE] = "fpstate", [ORA_INVALID] = "invalid",
};

/* Extensions that our CPUID offers; instructions of others would run here and raise #UD there. */
static const uint8_t ext_allowed[] = {
	ZYDIS_ISA_EXT_ADOX_ADCX, ZYDIS_ISA_EXT_AES, ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH, ZYDIS_ISA_EXT_AVX, ZYDIS_ISA_EXT_AVX2,
	ZYDIS_ISA_EXT_AVX2GATHER, ZYDIS_ISA_EXT_AVXAES, ZYDIS_ISA_EXT_BASE, ZYDIS_ISA_EXT_BMI1, ZYDIS_ISA_EXT_BMI2,
	ZYDIS_ISA_EXT_CLFSH, ZYDIS_ISA_EXT_F16C, ZYDIS_ISA_EXT_FMA, ZYDIS_ISA_EXT_LONGMODE, ZYDIS_ISA_EXT_LZCNT,
	ZYDIS_ISA_EXT_MMX, ZYDIS_ISA_EXT_MOVBE, ZYDIS_ISA_EXT_PAUSE, ZYDIS_ISA_EXT_PCLMULQDQ, ZYDIS_ISA_EXT_RDWRFSGS,
	ZYDIS_ISA_EXT_SHA, ZYDIS_ISA_EXT_SSE, ZYDIS_ISA_EXT_SSE2, ZYDIS_ISA_EXT_SSE3, ZYDIS_ISA_EXT_SSE4,
	ZYDIS_ISA_EXT_SSSE3, ZYDIS_ISA_EXT_X87, ZYDIS_ISA_EXT_CLFLUSHOPT, ZYDIS_ISA_EXT_CLWB, ZYDIS_ISA_EXT_GFNI,
	ZYDIS_ISA_EXT_VAES, ZYDIS_ISA_EXT_VPCLMULQDQ,
};

/* Instructions whose outcome belongs to the kernel or changes from run to run; control that leaves the process. */
static const uint16_t mnemonic_banned[] = {
	ZYDIS_MNEMONIC_SYSCALL, ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_INT,    ZYDIS_MNEMONIC_INT1,
	ZYDIS_MNEMONIC_INT3,    ZYDIS_MNEMONIC_INTO,     ZYDIS_MNEMONIC_RDTSC,  ZYDIS_MNEMONIC_RDTSCP,
	ZYDIS_MNEMONIC_RDPMC,   ZYDIS_MNEMONIC_CPUID,    ZYDIS_MNEMONIC_XGETBV, ZYDIS_MNEMONIC_SGDT,
	ZYDIS_MNEMONIC_SIDT,    ZYDIS_MNEMONIC_SLDT,     ZYDIS_MNEMONIC_STR,    ZYDIS_MNEMONIC_SMSW,
	ZYDIS_MNEMONIC_XBEGIN,  ZYDIS_MNEMONIC_XABORT,   ZYDIS_MNEMONIC_XEND,   ZYDIS_MNEMONIC_XTEST,
	ZYDIS_MNEMONIC_GETSEC,  ZYDIS_MNEMONIC_RSM,      ZYDIS_MNEMONIC_UD0,    ZYDIS_MNEMONIC_SYSEXIT,
	ZYDIS_MNEMONIC_SYSRET,
};

static bool is_in(const uint16_t *list, unsigned count, unsigned value)
{
	while (count--)
		if (list[count] == value)
			return true;
	return false;
}

static bool ext_ok(unsigned ext)
{
	for (unsigned n = 0; n < COUNT_OF(ext_allowed); n++)
		if (ext_allowed[n] == ext)
			return true;
	return false;
}

bool filter_allows(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op, bool mode32)
{
	if (!ext_ok(zi->meta.isa_ext) && filter_group(zi, op) != ORA_FPSTATE)
		return false;
	if (is_in(mnemonic_banned, COUNT_OF(mnemonic_banned), zi->mnemonic))
		return false;
	if (zi->meta.isa_set == ZYDIS_ISA_SET_PREFETCHWT1 || zi->meta.category == ZYDIS_CATEGORY_VTX)
		return false;
	if (zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && zi->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false; /* EVEX needs AVX-512 */
	/* HLE would elide the lock and run the rest of the case as a transaction. */
	if (zi->attributes & (ZYDIS_ATTRIB_HAS_XACQUIRE | ZYDIS_ATTRIB_HAS_XRELEASE))
		return false;
	return true;
}

bool filter_allows_invalid(const uint8_t *bytes)
{
	for (unsigned n = 0; n < 8; n++)
		if (bytes[n] == 0x62 || bytes[n] == 0xc4 || bytes[n] == 0xc5 || bytes[n] == 0xd5 || bytes[n] == 0x8f)
			return false; /* EVEX and what may follow it */
	return true;
}

static const uint16_t mnemonic_segment[] = {
	ZYDIS_MNEMONIC_LAR, ZYDIS_MNEMONIC_LSL, ZYDIS_MNEMONIC_VERR, ZYDIS_MNEMONIC_VERW, ZYDIS_MNEMONIC_LDS,
	ZYDIS_MNEMONIC_LES, ZYDIS_MNEMONIC_LFS, ZYDIS_MNEMONIC_LGS, ZYDIS_MNEMONIC_LSS, ZYDIS_MNEMONIC_IRET,
	ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ, ZYDIS_MNEMONIC_ARPL,
};

static bool touches_segment(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	for (unsigned n = 0; n < zi->operand_count_visible; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_REGISTER && op[n].reg.value >= ZYDIS_REGISTER_ES &&
		    op[n].reg.value <= ZYDIS_REGISTER_GS && op[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			return true;
	return false;
}

static unsigned group_by_category(const ZydisDecodedInstruction *zi)
{
	switch (zi->meta.category) {
	case ZYDIS_CATEGORY_STRINGOP: return ORA_STRING;
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_RET: return ORA_BRANCH;
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_POP: return ORA_STACK;
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
	case ZYDIS_CATEGORY_RDWRFSGS:
	case ZYDIS_CATEGORY_SMAP:
	case ZYDIS_CATEGORY_SYSTEM: return ORA_SYS;
	case ZYDIS_CATEGORY_SEGOP: return ORA_SEG;
	default: return zi->attributes & ZYDIS_ATTRIB_HAS_LOCK ? ORA_LOCK : ORA_INT;
	}
}

unsigned filter_group(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	if (zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || touches_segment(zi, op) ||
	    is_in(mnemonic_segment, COUNT_OF(mnemonic_segment), zi->mnemonic))
		return ORA_SEG;
	switch (zi->mnemonic) {
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XSAVEC64:
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR: return ORA_FPSTATE;
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_LEAVE: return ORA_STACK;
	default: break;
	}
	switch (zi->meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87: return ORA_X87;
	case ZYDIS_ISA_EXT_MMX: return ORA_MMX;
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_SSSE3: return ORA_SSE;
	case ZYDIS_ISA_EXT_AES:
	case ZYDIS_ISA_EXT_AVXAES:
	case ZYDIS_ISA_EXT_PCLMULQDQ:
	case ZYDIS_ISA_EXT_GFNI:
	case ZYDIS_ISA_EXT_VAES:
	case ZYDIS_ISA_EXT_VPCLMULQDQ:
	case ZYDIS_ISA_EXT_SHA: return ORA_CRYPTO;
	case ZYDIS_ISA_EXT_AVX:
	case ZYDIS_ISA_EXT_AVX2:
	case ZYDIS_ISA_EXT_AVX2GATHER:
	case ZYDIS_ISA_EXT_F16C:
	case ZYDIS_ISA_EXT_FMA: return ORA_AVX;
	case ZYDIS_ISA_EXT_ADOX_ADCX:
	case ZYDIS_ISA_EXT_BMI1:
	case ZYDIS_ISA_EXT_BMI2:
	case ZYDIS_ISA_EXT_LZCNT:
	case ZYDIS_ISA_EXT_MOVBE: return ORA_BMI;
	default: return group_by_category(zi);
	}
}
