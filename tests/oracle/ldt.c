/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments with bases and limits, for 16-bit and segmented 32-bit code: a local descriptor table on both sides. */
#include "oracle.h"

enum { DATA = 0, DOWN = 1, CODE = 2 };

const struct ora_ldt ora_ldt[ORA_LDT_COUNT] = {
	[ORA_LDT_CODE16] = { ORA_CODE_AT, ORA_CODE_SIZE - 1, CODE, false, false, false },
	[ORA_LDT_CODE32] = { ORA_CODE_AT, ORA_CODE_SIZE - 1, CODE, true, false, false },
	[ORA_LDT_EXEC_ONLY] = { ORA_CODE_AT, ORA_CODE_SIZE - 1, CODE, true, true, false },
	[ORA_LDT_DATA16] = { ORA_DATA_AT, ORA_DATA_SIZE - 1, DATA, false, false, false },
	[ORA_LDT_DATA32] = { ORA_DATA_AT - 0x100, 0x30ff, DATA, true, false, false },
	[ORA_LDT_READ_ONLY] = { ORA_DATA_AT, ORA_DATA_SIZE - 1, DATA, false, true, false },
	[ORA_LDT_DOWN16] = { ORA_DATA_AT - 0x1000, 0xfff, DOWN, false, false, false },
	[ORA_LDT_DOWN32] = { ORA_DATA_AT - 0x1000, 0xfff, DOWN, true, false, false },
	[ORA_LDT_ODD] = { ORA_DATA_AT + 0x13, 0xffd, DATA, false, false, false },
	[ORA_LDT_ABSENT] = { ORA_DATA_AT, 0xffff, DATA, false, false, true },
};

uint16_t ora_ldt_attr(const struct ora_ldt *d)
{
	unsigned type = (d->readonly ? 0 : 2) | d->contents << 2 | 1;
	return type | X86_AR_S | X86_AR_DPL | (d->absent ? 0 : X86_AR_P) | (d->wide ? X86_AR_DB : 0);
}

uint64_t ora_ldt_raw(const struct ora_ldt *d)
{
	uint64_t base = d->base, attr = ora_ldt_attr(d);
	return (d->limit & 0xffff) | (base & 0xffffff) << 16 | attr << 40 | (uint64_t)(d->limit >> 16 & 15) << 48 |
	       base >> 24 << 56;
}

const struct ora_ldt *ora_ldt_of(uint16_t sel)
{
	return sel & 4 && sel >> 3 < ORA_LDT_COUNT ? &ora_ldt[sel >> 3] : NULL;
}

uint32_t ora_seg_base(uint16_t sel)
{
	const struct ora_ldt *d = ora_ldt_of(sel);
	return d ? d->base : 0;
}
