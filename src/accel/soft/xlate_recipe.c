/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flags that nobody reads before they are written again could only be seen by a fault, or where the interpreter goes on.
 * When a comparison made them and its operands are what they were, they are not saved: it is done again there.
 */
#include "accel/soft/xlate_gen.h"

static bool repeatable(const struct xinsn *in)
{
	if (in->kind != XK_COPY || in->mem || in->swap)
		return false;
	for (unsigned r = 0; r < X86_GPR_COUNT; r++)
		if (in->regs >> r & 1 && xframe_host[r] == HOST_NONE)
			return false;
	return in->zi.mnemonic == ZYDIS_MNEMONIC_CMP || in->zi.mnemonic == ZYDIS_MNEMONIC_TEST;
}

/* May the block be left there with flags that are not in any place? */
static bool passes(const struct xinsn *in)
{
	switch (in->kind) {
	case XK_COPY:
	case XK_VEC:
	case XK_LEA:
	case XK_PUSH:
	case XK_POP:
	case XK_LEAVE:
	case XK_NOP: return true;
	case XK_JMP:
	case XK_CALL: return in->follow != XFOLLOW_NONE;
	default: return false;
	}
}

bool xrecipe_serves(const struct xgen *g)
{
	if (g->writer >= g->now || !repeatable(&g->in[g->writer]))
		return false;
	uint32_t written = 0;
	for (unsigned n = g->writer + 1; n < g->count; n++) {
		const struct xinsn *in = &g->in[n];
		if (written & g->in[g->writer].regs)
			return false;
		written |= in->writes;
		if (n < g->now)
			continue;
		if (!passes(in))
			return false;
		if (in->flags == XF_WRITE)
			return true;
		if (in->flags != XF_NONE)
			return false;
	}
	return false;
}
