/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pseudo-terminal that programs of the host open when they like. While none has it open there is nobody to write to;
 * that one opened it is told by a descriptor to wait for, so that nothing has to look again and again.
 */
#ifndef PANAL_CORE_PTY_H
#define PANAL_CORE_PTY_H

#include "base/err.h"

struct pty {
	int master_fd; /* non-blocking */
	int opened_fd; /* readable when somebody opened the terminal: pty_opened */
	char *link;    /* leads to the terminal, under a name that is known beforehand */
};

#define PTY_NONE ((struct pty){ .master_fd = -1, .opened_fd = -1 })

/* The terminal is raw, and link (replaced, where there is one) leads to it. On failure *p is PTY_NONE. */
int pty_open(struct pty *p, const char *link, struct err *e) ATTR_MUST_USE;
/* Whether somebody has the terminal open. */
bool pty_in_use(const struct pty *p);
/* Takes the news that somebody opened it. */
void pty_opened(const struct pty *p);
/* What was typed while nobody listened is void. */
void pty_discard(const struct pty *p);
/* PTY_NONE is allowed. */
void pty_close(struct pty *p);

#endif
