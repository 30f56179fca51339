/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/terminal.h"

#include <unistd.h>

enum { ESCAPE_KEY = 'A' & 0x1f };

bool terminal_raw(struct terminal *t)
{
	struct termios now;

	*t = (struct terminal){ 0 };
	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &t->before) < 0)
		return false;
	now = t->before;
	cfmakeraw(&now);
	/* The guest's own carriage returns arrive as they are; our messages bring theirs. */
	t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
	return t->raw;
}

void terminal_restore(struct terminal *t)
{
	if (t->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
	t->raw = false;
}

enum terminal_key terminal_key(struct terminal *t, char key)
{
	if (!t->escape) {
		t->escape = key == ESCAPE_KEY;
		return t->escape ? TERMINAL_SWALLOW : TERMINAL_PASS;
	}
	t->escape = false;
	switch (key) {
	case ESCAPE_KEY: return TERMINAL_PASS;
	case 'x':
	case 'X': return TERMINAL_QUIT;
	case 'h':
	case '?': return TERMINAL_HELP;
	default: return TERMINAL_SWALLOW;
	}
}
