/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses at known distances from RSP: one check at the block's start for all of them, against the page that is
 * remembered in struct soft_cpu (xframe_stack).
 */
#include "accel/soft/xlate_gen.h"

#define AT(field) XFRAME_AT(field)

enum { SPAN = 1024 }; /* bytes that a check spans at most */

/* in's own place on the stack, relative to RSP before it; false: it has none that is known. */
static bool place(const struct xinsn *in, int32_t *disp, unsigned *size)
{
	const struct insn *i = in->i;
	switch (in->kind) {
	case XK_PUSH:
	case XK_CALL:
	case XK_CALL_RM: *disp = -in->word; *size = in->word; return !in->mem;
	case XK_POP:
	case XK_RET: *disp = 0; *size = in->word; return true;
	case XK_COPY:
	case XK_VEC:
		if (!in->mem || in->align || i->base != X86_RSP || i->index != REG_NONE || i->seg == X86_FS || i->seg == X86_GS)
			return false;
		*disp = i->disp;
		*size = in->mem->size / 8;
		return true;
	default: return false;
	}
}

/* RSP after in, when it moves by a constant. */
static bool step(const struct xinsn *in, int64_t *at)
{
	const struct insn *i = in->i;
	bool imm = in->zi.operand_count > 1 && in->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && in->op[0].size == 8 * in->word;
	if (!(in->writes >> X86_RSP & 1))
		return true;
	if (in->kind == XK_PUSH || in->kind == XK_CALL)
		*at -= in->word;
	else if (in->kind == XK_POP)
		*at += in->word;
	else if (in->kind == XK_LEA && i->base == X86_RSP && i->index == REG_NONE && in->op[0].size == 8 * in->word)
		*at += i->disp;
	else if (in->zi.mnemonic == ZYDIS_MNEMONIC_ADD && imm)
		*at += (int64_t)i->imm;
	else if (in->zi.mnemonic == ZYDIS_MNEMONIC_SUB && imm)
		*at -= (int64_t)i->imm;
	else
		return false;
	return *at > -SPAN && *at < SPAN;
}

/* Up to the first call of a handler, which may change the mapping. */
bool xstack_span(struct xgen *g, struct xspan *s)
{
	*s = (struct xspan){ .low = INT64_MAX, .high = INT64_MIN };
	for (unsigned n = 0; n < g->count && g->in[n].kind != XK_HELPER; n++) {
		struct xinsn *in = &g->in[n];
		int32_t disp;
		unsigned size;
		if (place(in, &disp, &size)) {
			int64_t low = s->at + disp, high = low + size;
			low = low < s->low ? low : s->low;
			high = high > s->high ? high : s->high;
			if (high - low <= SPAN && low > -4 * SPAN && high < 4 * SPAN) {
				*s = (struct xspan){ s->at, low, high, s->count + 1 };
				in->on_stack = true;
			}
		}
		if (!step(in, &s->at))
			break;
	}
	return s->count > 0;
}

void xstack_check(struct xgen *g, const struct xspan *s)
{
	struct xtext *t = g->t;
	xgen_flags_lose(g);
	const uint8_t *retry = x_rx(t);
	x_lea(t, HOST_R14, XFRAME_RSP, (int32_t)s->low);
	x_gs(t, true, 0x33, HOST_R14, AT(x_stack_page)); /* the place in the page, or more than that */
	x_gs(t, true, 0x0b, HOST_R14, AT(x_stack_bad));
	X_PUT(t, 0x49, 0x81, 0xfe); /* cmp r14, room */
	x_u32(t, (uint32_t)(4096 - (s->high - s->low)));
	struct xcold *k = xgen_cold(g, XCOLD_STACK, x_jcc(t, 7), 0);
	k->retry = retry;
	k->disp = (int32_t)s->low;
	k->what = (unsigned)(s->high - s->low);
}
