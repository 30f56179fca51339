/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include <errno.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void step_string(struct framing *f, char byte)
{
	if (f->escaped)
		f->escaped = false;
	else if (byte == '\\')
		f->escaped = true;
	else if (byte == '"')
		f->in_string = false;
}

int framing_put(struct framing *f, char byte)
{
	if (!f->begun && is_space(byte))
		return 0;
	if (f->len == CONTROL_MESSAGE_MAX)
		return -EMSGSIZE;
	f->begun = true;
	f->text[f->len++] = byte;
	f->text[f->len] = 0;
	if (f->in_string) {
		step_string(f, byte);
		return 0;
	}
	switch (byte) {
	case '"': f->in_string = true; return 0;
	case '{':
	case '[': return ++f->depth > CONTROL_DEPTH_MAX ? -EMSGSIZE : 0;
	case '}':
	case ']': return f->depth <= 1 || --f->depth == 0;
	default: return f->depth == 0 && is_space(byte); /* a bare word ends at the next space */
	}
}

void framing_next(struct framing *f)
{
	f->len = 0;
	f->depth = 0;
	f->in_string = f->escaped = f->begun = false;
}
