/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The seccomp allow-list. Used by sandbox.c only. */
#ifndef PANAL_SANDBOX_FILTER_H
#define PANAL_SANDBOX_FILTER_H

#include "sandbox/sandbox.h"

int filter_enter(const struct sandbox_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
