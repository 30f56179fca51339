/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors: a negative errno value as the result, and a bounded message that is wrapped on its way up.
 *
 * A function that can fail for more than one reason takes `struct err *e` last. NULL is allowed and means that
 * the caller wants the number only. Library code never logs what it also returns; the edge (main, a control
 * command) prints the message once. A message names the cause and what to do, without a final full stop.
 */
#ifndef PANAL_BASE_ERR_H
#define PANAL_BASE_ERR_H

#include "base/compiler.h"

PANAL_BEGIN_DECLS

enum { ERR_TEXT_MAX = 512 };

struct err {
	int code;                /* 0 or a negative errno value */
	char text[ERR_TEXT_MAX]; /* always terminated */
};

/* Sets code (negative errno) and text; returns code, so that `return err_set(e, -EINVAL, ...)` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* As err_set with code = -errno_value and ": strerror" appended. errno_value is positive. */
int err_errno(struct err *e, int errno_value, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* Puts "prefix: " before the text that is there; returns the code that is there (-EIO when e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) ATTR_PRINTF(2, 3);

PANAL_END_DECLS

#endif
