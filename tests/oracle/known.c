/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "known.h"
#include <Zydis/Zydis.h>
#include <stdlib.h>

struct known {
	const char *why;
	uint32_t groups;      /* of the first instruction, or */
	uint16_t mnemonic[8]; /* one of the case's instructions */
	/* Makes *soft as the processor has it where the difference is this one. */
	void (*excuse)(const struct ora_result *native, struct ora_result *soft);
};

/* Both fault, in places no further apart than the operand is long. */
static void excuse_address(const struct ora_result *native, struct ora_result *soft)
{
	uint64_t apart = native->cr2 > soft->cr2 ? native->cr2 - soft->cr2 : soft->cr2 - native->cr2;
	if (native->vector != X86_PF || soft->vector != X86_PF || apart > 1024)
		return;
	soft->cr2 = native->cr2;
	if (native->cr2 >> 12 != soft->cr2 >> 12)
		soft->code = native->code;
}

static void excuse_invalid(const struct ora_result *native, struct ora_result *soft)
{
	if (soft->vector != X86_UD || (native->vector != X86_GP && native->vector != X86_PF))
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

/* SDM 2C, VGATHER: a trap that is due is delivered before a fault that comes after the first element. */
static void excuse_gather(const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector != X86_DB || native->out.rip != soft->out.rip)
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

static void excuse_hole(const struct ora_result *native, struct ora_result *soft)
{
	if (native->vector != X86_PF || native->cr2 < UINT64_C(0x7fffffffff00) || native->cr2 >> 47 ||
	    (soft->vector != X86_GP && soft->vector != X86_SS_FAULT))
		return;
	soft->vector = native->vector;
	soft->code = native->code;
	soft->cr2 = native->cr2;
}

static const struct known known[] = {
	{ "which of two pages that fault is named belongs to the processor", 0,
	  { ZYDIS_MNEMONIC_FNSAVE, ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_FRSTOR }, excuse_address },
	{ "which of two elements that fault is named belongs to the processor", 0,
	  { ZYDIS_MNEMONIC_VPMASKMOVD, ZYDIS_MNEMONIC_VPMASKMOVQ, ZYDIS_MNEMONIC_VMASKMOVPS, ZYDIS_MNEMONIC_VMASKMOVPD },
	  excuse_address },
	{ "an opcode that does not exist: the length, and so the bytes that are fetched, are the processor's", 1u << ORA_INVALID,
	  { 0 }, excuse_invalid },
	{ "a gather that faults midway while single-stepping traps first", 0,
	  { ZYDIS_MNEMONIC_VPGATHERDD, ZYDIS_MNEMONIC_VPGATHERDQ, ZYDIS_MNEMONIC_VPGATHERQD, ZYDIS_MNEMONIC_VPGATHERQQ,
	    ZYDIS_MNEMONIC_VGATHERDPS, ZYDIS_MNEMONIC_VGATHERDPD, ZYDIS_MNEMONIC_VGATHERQPS, ZYDIS_MNEMONIC_VGATHERQPD },
	  excuse_gather },
	{ "an operand that runs into the non-canonical hole: the processor writes it in parts", 1u << ORA_X87, { 0 },
	  excuse_hole },
};

bool known_difference(const struct ora_case *c, const struct ora_result *native, const struct ora_result *soft)
{
	struct ora_result *as = malloc(sizeof(*as));
	bool yes = false;
	for (unsigned n = 0; as && !yes && n < COUNT_OF(known); n++) {
		bool applies = known[n].groups >> c->group & 1;
		for (unsigned k = 0; k < COUNT_OF(known[n].mnemonic) && known[n].mnemonic[k]; k++)
			applies |= ora_has(c, known[n].mnemonic[k]);
		if (!applies)
			continue;
		*as = *soft;
		known[n].excuse(native, as);
		yes = !ora_compare(c, native, as, NULL);
	}
	free(as);
	return yes;
}
