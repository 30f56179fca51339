/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal while a guest has it: raw, and put back on every way out. Between the keyboard and the guest stands a
 * filter with one escape key, Ctrl-A: x quits, Ctrl-A again sends one Ctrl-A, h explains.
 */
#ifndef PANAL_CLI_TERMINAL_H
#define PANAL_CLI_TERMINAL_H

#include "base/compiler.h"
#include <termios.h>

struct terminal {
	struct termios before;
	bool raw;
	bool escape; /* the last key was Ctrl-A */
};

/* False when standard input is no terminal: then nothing is changed. */
bool terminal_raw(struct terminal *t);
void terminal_restore(struct terminal *t);

enum terminal_key { TERMINAL_PASS, TERMINAL_SWALLOW, TERMINAL_QUIT, TERMINAL_HELP };
/* What becomes of one byte typed. */
enum terminal_key terminal_key(struct terminal *t, char key);

#endif
