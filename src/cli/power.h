/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PANAL_CLI_POWER_H
#define PANAL_CLI_POWER_H

#include "cli/remote.h"
#include "cli/stage.h"

/*
 * Switches a running machine off and says how it goes: asks the guest's agent or presses the power button, waits so
 * many seconds, then pulls the plug; at once with force.
 */
int power_off(struct conn *c, const struct machine *m, bool force, unsigned seconds, struct err *e) ATTR_MUST_USE;

#endif
