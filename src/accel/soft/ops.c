/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of instruction families, and the index by mnemonic that decode.c binds through. */
#include "accel/soft/soft.h"

#include <errno.h>
#include <stdlib.h>

static const struct insn_row *const families[] = {
	insn_alu, insn_shift, insn_muldiv, insn_bit, insn_move, insn_stack, insn_branch, insn_string, insn_atomic,
	insn_flag, insn_segment, insn_far, insn_system, insn_syscall, insn_io, insn_fpstate,
};

int ops_index_create(const struct insn_row ***out, struct err *e)
{
	const struct insn_row **row = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(*row));
	if (!row)
		return err_set(e, -ENOMEM, "no memory for the instruction index");
	for (unsigned f = 0; f < COUNT_OF(families); f++)
		for (const struct insn_row *r = families[f]; r->bind; r++)
			row[r->mnemonic] = r;
	*out = row;
	return 0;
}
