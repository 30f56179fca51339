/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Landlock: which files may still be reached by name. Used by sandbox.c only. */
#ifndef PANAL_SANDBOX_LANDLOCK_H
#define PANAL_SANDBOX_LANDLOCK_H

#include "sandbox/sandbox.h"

int landlock_enter(const struct sandbox_config *cfg, struct err *e) ATTR_MUST_USE;

#endif
