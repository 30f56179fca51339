/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether somebody answers. */
#ifndef PANAL_CLI_REACH_H
#define PANAL_CLI_REACH_H

#include "base/compiler.h"

/* Whether an ssh server greets at that address within two seconds. A port that is only forwarded does not count. */
bool reach_ssh(const char *host, unsigned port);

#endif
