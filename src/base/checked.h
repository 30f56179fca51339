/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arithmetic on sizes that come from outside: false on overflow, and *out is then not to be used. */
#ifndef PANAL_BASE_CHECKED_H
#define PANAL_BASE_CHECKED_H

#include "base/compiler.h"

static inline ATTR_MUST_USE bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline ATTR_MUST_USE bool checked_sub(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_sub_overflow(a, b, out);
}

static inline ATTR_MUST_USE bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

#endif
