/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Differences that are understood and accepted, each with its reason in known.c. */
#ifndef PANAL_TESTS_ORACLE_KNOWN_H
#define PANAL_TESTS_ORACLE_KNOWN_H

#include "oracle.h"

bool known_difference(const struct ora_case *c, const struct ora_result *native, const struct ora_result *soft);

#endif
