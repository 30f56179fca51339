/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run of a machine with more words on its kernel's command line; its definition stays as it is. */
#ifndef PANAL_CLI_ONCE_H
#define PANAL_CLI_ONCE_H

#include "cli/remote.h"

/*
 * Starts it. -ENOTSUP: the machine's firmware boots a loader of its own, which nobody here can tell anything; -EINVAL:
 * it runs already; or whatever the daemon says.
 */
int once_start(struct conn *c, const struct machine *m, const char *append, struct err *e) ATTR_MUST_USE;

#endif
