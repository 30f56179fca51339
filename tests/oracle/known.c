/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "known.h"
#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

enum { INSN_MAX = 15 /* bytes */ };

struct known {
	const char *why;
	uint32_t groups;      /* one of the case's instructions is of these, or */
	uint16_t mnemonic[12]; /* is this */
	/* Makes *soft as the processor has it where the difference is this one. */
	void (*excuse)(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft);
};

/* Both fault, in places no further apart than the operand is long. */
static void excuse_address(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	uint64_t apart = native->cr2 > soft->cr2 ? native->cr2 - soft->cr2 : soft->cr2 - native->cr2;
	if (native->vector != X86_PF || soft->vector != X86_PF || apart > 1024)
		return;
	soft->cr2 = native->cr2;
	if (native->cr2 >> 12 != soft->cr2 >> 12)
		soft->code = native->code;
}

static void excuse_invalid(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	bool longer = soft->vector == X86_UD && (native->vector == X86_GP || native->vector == X86_PF);
	bool shorter = native->vector == X86_UD && soft->vector == X86_PF && soft->code & X86_PF_I;
	/* The limit of CS comes where a page's end would. */
	shorter |= native->vector == X86_UD && soft->vector == X86_GP && ora_ldt_of(c->in.sel[X86_CS]) &&
		   soft->out.rip + INSN_MAX > ora_ldt_of(c->in.sel[X86_CS])->limit;
	/* Where a jump led into the middle of something, the bytes themselves are all there is to judge by. */
	bool fetching = longer && native->vector == X86_PF && native->code & X86_PF_I &&
			native->cr2 - soft->out.rip - ora_seg_base(soft->out.sel[X86_CS]) < INSN_MAX;
	if (c->groups & 1u << ORA_INVALID ? !longer && !shorter : !fetching)
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

/* What the case has at a linear address of its code. */
static uint8_t code_byte(const struct ora_case *c, const struct ora_result *soft, uint64_t lin)
{
	uint64_t at = lin - ora_window(c);
	if (at >= ORA_CODE_SIZE)
		return ORA_END_BYTE;
	if (c->smc)
		return soft->smc[at];
	return at - c->code_off < c->code_len ? c->code[at - c->code_off] : ORA_END_BYTE;
}

static bool is_prefix(uint8_t b, bool mode32)
{
	return b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || (b >= 0x64 && b <= 0x67) || b == 0xf0 || b == 0xf2 ||
	       b == 0xf3 || (!mode32 && (b & 0xf0) == 0x40);
}

/* Linux emulates SGDT, SIDT, SLDT, STR and SMSW of user code where UMIP forbids them: with values of its own, and page
 * faults as these instructions have them. A jump, or a store into code, finds them among other instructions' bytes. */
static void excuse_umip(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	uint64_t lin = soft->out.rip + ora_seg_base(soft->out.sel[X86_CS]);
	unsigned n = 0;
	if (soft->vector != X86_GP || soft->code)
		return;
	while (n < INSN_MAX && is_prefix(code_byte(c, soft, lin + n), c->mode32))
		n++;
	if (code_byte(c, soft, lin + n) != 0x0f)
		return;
	uint8_t group = code_byte(c, soft, lin + n + 1), reg = code_byte(c, soft, lin + n + 2) >> 3 & 7;
	if ((group == 0 && reg < 2) || (group == 1 && (reg < 2 || reg == 4)))
		*soft = *native;
}

/* The mantissa is in memory when the exponent's page faults. */
static void excuse_half_store(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector != X86_PF || native->cr2 != soft->cr2 || native->cr2 < ORA_DATA_AT + 10 || native->cr2 > ORA_RO_AT)
		return;
	memcpy(soft->data + (native->cr2 - 10 - ORA_DATA_AT), native->data + (native->cr2 - 10 - ORA_DATA_AT), 10);
}

static void excuse_part(const struct ora_result *native, struct ora_result *soft, unsigned most)
{
	unsigned first = 0, last = sizeof(soft->data);
	if ((native->vector != X86_GP && native->vector != X86_SS_FAULT) || native->vector != soft->vector)
		return;
	while (first < last && native->data[first] == soft->data[first])
		first++;
	while (last > first && native->data[last - 1] == soft->data[last - 1])
		last--;
	if (last - first <= most)
		memcpy(soft->data + first, native->data + first, last - first);
}

/* The same over a segment's limit: whether the mantissa is stored by then. */
static void excuse_half_limit(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	excuse_part(native, soft, 8);
}

/* And how much of the x87 state. */
static void excuse_area_limit(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	excuse_part(native, soft, 108);
}

/* SDM 2C, VGATHER: a trap that is due is delivered before a fault that comes after the first element. */
static void excuse_gather(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector != X86_DB || native->out.rip != soft->out.rip)
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

/* The descriptor that tells user code its processor has the number as its limit. */
static void excuse_cpu_number(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		if ((native->out.gpr[n] & 0xffff) < 4096 && (soft->out.gpr[n] & 0xffff) == 0)
			soft->out.gpr[n] = native->out.gpr[n];
}

/* A repeated store into its own bytes: when the processor fetches them again is not modelled. */
static void excuse_self_store(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	uint64_t apart = c->in.gpr[X86_RDI] - c->in.rip + ORA_CODE_MAX;
	if (c->smc && apart < 2 * ORA_CODE_MAX)
		*soft = *native;
}

/* Where a store's fault finds the x87 state: before or after its change to MMX. */
static void excuse_mmx_store(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector != X86_GP && native->vector != X86_SS_FAULT && native->vector != X86_AC)
		return;
	memcpy(soft->out.fpu.fx, native->out.fpu.fx, 24);
	memcpy(soft->out.fpu.fx + 32, native->out.fpu.fx + 32, 128);
}

/* An unmasked exception keeps the store from happening: whether its place is checked all the same. */
static void excuse_x87_store(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->out.fpu.fx[2] & 0x80 && (soft->vector == X86_GP || soft->vector == X86_SS_FAULT || soft->vector == X86_AC))
		*soft = *native;
}

/* Both hold, one is reported. */
static void excuse_order(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector == X86_AC && (soft->vector == X86_GP || soft->vector == X86_SS_FAULT))
		soft->vector = native->vector;
	if (c->mode32 && native->vector == X86_GP && soft->vector == X86_SS_FAULT)
		soft->vector = native->vector; /* misaligned and outside the stack segment */
}

/* Random stores into code make instructions that a case may not hold. The cases made for it are checked in full. */
static void excuse_random_code(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (c->smc && c->groups && memcmp(native->smc + c->code_off, c->code, ora_code_fits(c)))
		*soft = *native;
}

static void excuse_mxcsr(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector == X86_GP || native->vector == X86_SS_FAULT)
		memcpy(soft->out.fpu.fx + 24, native->out.fpu.fx + 24, 4);
}

static void excuse_wrap(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	uint64_t apart = soft->cr2 - native->cr2;
	if (native->vector == X86_PF && soft->vector == X86_PF && (apart == 0x10000 || apart == UINT64_C(1) << 32))
		soft->cr2 = native->cr2;
}

/* Both hold: the header has what it must not, or the area runs over a limit, and a page of it is absent. Processors
 * differ. */
static void excuse_header(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	bool one = native->vector == X86_GP && soft->vector == X86_PF;
	bool other = native->vector == X86_PF && soft->vector == X86_GP;
	if (!one && !other)
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

/* XSAVE and its kin with an empty mask write a part of the header only; the whole area is looked at here. */
static void excuse_empty_mask(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (!(c->in.gpr[X86_RAX] & 7) && soft->vector == X86_PF)
		*soft = *native;
}

/* A jump found an INT3, INT1 or INTO among the bytes of another instruction: the soft CPU delivers it through an IDT
 * that is not there. */
static void excuse_interrupt(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if ((native->vector == X86_BP || native->vector == X86_OF) && soft->vector == X86_GP &&
	    soft->code == native->vector * 8u + 2)
		*soft = *native;
	if (native->vector == X86_DB && !soft->valid) /* INT1: nothing there to deliver the fault to either */
		*soft = *native;
}

static void excuse_hole(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	bool hole = native->cr2 >= UINT64_C(0x7fffffffff00) && !(native->cr2 >> 47);
	if (native->vector != X86_PF || (!hole && !c->mode32) ||
	    (soft->vector != X86_GP && soft->vector != X86_SS_FAULT))
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

static bool short_stack(uint16_t ss)
{
	const struct ora_ldt *d = ora_ldt_of(ss);
	return d && !d->wide;
}

/* IRET to a stack segment of 16 bits loads SP alone: the rest of RSP is the kernel's afterwards. */
static void excuse_short_stack(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (soft->disturbed && (short_stack(c->in.sel[X86_SS]) || short_stack(native->out.sel[X86_SS]) ||
				(native->out.gpr[X86_RSP] & 0xffff) == (soft->out.gpr[X86_RSP] & 0xffff)))
		soft->out.gpr[X86_RSP] = native->out.gpr[X86_RSP];
	if (soft->disturbed && (short_stack(c->in.sel[X86_SS]) || short_stack(native->out.sel[X86_SS])))
		*soft = *native; /* what was computed from it is not judged either */
}

/* FIP, FDP and FOP after a kernel has saved and loaded the state, as on every fault here, are the processor's affair. */
static void excuse_pointers(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (soft->disturbed)
		memcpy(soft->out.fpu.fx + 6, native->out.fpu.fx + 6, 18);
}

/* SDM 2A: these two never raise #AC. APM 4 lists it. */
static void excuse_half_alignment(const struct ora_case *c, const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector == X86_AC)
		*soft = *native;
}

static const struct known known[] = {
	{"the alignment of half-precision operands, where the processor checks it",
	 0,
	 {ZYDIS_MNEMONIC_VCVTPH2PS, ZYDIS_MNEMONIC_VCVTPS2PH},
	 excuse_half_alignment},
	{"an interrupt on a stack of 16 bits", UINT32_MAX, {0}, excuse_short_stack},
	{"the x87 pointers when the state went through memory",
	 0,
	 {ZYDIS_MNEMONIC_FRSTOR, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_FXRSTOR,
	  ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_FXRSTOR64},
	 excuse_pointers},
	{"which of two pages that fault is named belongs to the processor",
	 0,
	 {ZYDIS_MNEMONIC_FNSAVE, ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_FRSTOR,
	  ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_XSAVE, ZYDIS_MNEMONIC_XSAVE64,
	  ZYDIS_MNEMONIC_XSAVEOPT, ZYDIS_MNEMONIC_XSAVEOPT64, ZYDIS_MNEMONIC_XSAVEC, ZYDIS_MNEMONIC_XSAVEC64},
	 excuse_address},
	{"a state area that runs over the end of 16- or 32-bit addresses", 1u << ORA_FPSTATE, {0}, excuse_wrap},
	{"what is told first of a state area, what is wrong with its header and size, or a page that is absent",
	 0,
	 {ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_XSAVE, ZYDIS_MNEMONIC_XSAVE64,
	  ZYDIS_MNEMONIC_XSAVEOPT, ZYDIS_MNEMONIC_XSAVEOPT64, ZYDIS_MNEMONIC_XSAVEC, ZYDIS_MNEMONIC_XSAVEC64},
	 excuse_header},
	{"the page of a state area of which nothing is asked for", 1u << ORA_FPSTATE, {0}, excuse_empty_mask},
	{"which of two elements that fault is named belongs to the processor",
	 0,
	 {ZYDIS_MNEMONIC_VPMASKMOVD, ZYDIS_MNEMONIC_VPMASKMOVQ, ZYDIS_MNEMONIC_VMASKMOVPS, ZYDIS_MNEMONIC_VMASKMOVPD},
	 excuse_address},
	{"an opcode that does not exist: the length, and so the bytes that are fetched, are the processor's",
	 UINT32_MAX,
	 {0},
	 excuse_invalid},
	{"a gather that faults midway while single-stepping traps first",
	 0,
	 {ZYDIS_MNEMONIC_VPGATHERDD, ZYDIS_MNEMONIC_VPGATHERDQ, ZYDIS_MNEMONIC_VPGATHERQD, ZYDIS_MNEMONIC_VPGATHERQQ,
	  ZYDIS_MNEMONIC_VGATHERDPS, ZYDIS_MNEMONIC_VGATHERDPD, ZYDIS_MNEMONIC_VGATHERQPS, ZYDIS_MNEMONIC_VGATHERQPD},
	 excuse_gather},
	{"VCVTPS2PH sets its flags before its store faults", 0, {ZYDIS_MNEMONIC_VCVTPS2PH}, excuse_mxcsr},
	{"an 80-bit store across pages is done in two parts",
	 0,
	 {ZYDIS_MNEMONIC_FSTP, ZYDIS_MNEMONIC_FBSTP},
	 excuse_half_store},
	{"an 80-bit store over a segment's limit is done in two parts",
	 0,
	 {ZYDIS_MNEMONIC_FSTP, ZYDIS_MNEMONIC_FBSTP},
	 excuse_half_limit},
	{"x87 state over a segment's limit is stored in parts",
	 0,
	 {ZYDIS_MNEMONIC_FNSAVE, ZYDIS_MNEMONIC_FNSTENV},
	 excuse_area_limit},
	{"LSL of the per-CPU descriptor shows the processor's number", 0, {ZYDIS_MNEMONIC_LSL}, excuse_cpu_number},
	{"a repeated string instruction that overwrites itself",
	 0,
	 {ZYDIS_MNEMONIC_MOVSB, ZYDIS_MNEMONIC_MOVSW, ZYDIS_MNEMONIC_MOVSD, ZYDIS_MNEMONIC_MOVSQ, ZYDIS_MNEMONIC_STOSB,
	  ZYDIS_MNEMONIC_STOSW, ZYDIS_MNEMONIC_STOSD, ZYDIS_MNEMONIC_STOSQ},
	 excuse_self_store},
	{"what the host's kernel emulates under UMIP", UINT32_MAX, {0}, excuse_umip},
	{"software interrupts are not the oracle's", UINT32_MAX, {0}, excuse_interrupt},
	{"an MMX store that faults has changed the x87 state already", 1u << ORA_MMX, {0}, excuse_mmx_store},
	{"an x87 store that does not happen", 1u << ORA_X87, {0}, excuse_x87_store},
	{"alignment and segment checks of a state area or vector, which comes first",
	 1u << ORA_X87 | 1u << ORA_FPSTATE | 1u << ORA_SSE | 1u << ORA_AVX | 1u << ORA_CRYPTO,
	 {0},
	 excuse_order},
	{"code that random stores made", UINT32_MAX, {0}, excuse_random_code},
	{"an operand that runs into the non-canonical hole or over a limit: the processor accesses it in parts",
	 1u << ORA_X87,
	 {0},
	 excuse_hole},
};

bool known_difference(const struct ora_case *c, const struct ora_result *native, const struct ora_result *soft)
{
	struct ora_result *as = malloc(sizeof(*as));
	bool yes = false;
	for (unsigned n = 0; as && !yes && n < COUNT_OF(known); n++) {
		bool applies = known[n].groups == UINT32_MAX || known[n].groups & c->groups; /* cases of smc.c have no groups */
		for (unsigned k = 0; k < COUNT_OF(known[n].mnemonic) && known[n].mnemonic[k]; k++)
			applies |= ora_has(c, known[n].mnemonic[k]);
		if (!applies)
			continue;
		*as = *soft;
		known[n].excuse(c, native, as);
		yes = !ora_compare(c, native, as, NULL);
	}
	free(as);
	return yes;
}
