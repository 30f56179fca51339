/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which instructions a case may hold, and to which group they belong. */
#ifndef PANAL_TESTS_ORACLE_FILTER_H
#define PANAL_TESTS_ORACLE_FILTER_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

bool filter_allows(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op, bool mode32);
/* For bytes that Zydis does not know: false where the processor may know more. */
bool filter_allows_invalid(const uint8_t *bytes);
unsigned filter_group(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op); /* enum ora_group */

#endif
