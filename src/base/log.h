/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines on standard error, "panal-vmm: warning: text". One write(2) a line, so lines of several threads
 * do not mix. There is no level filter and no global state; what a guest can provoke goes through log_limited.
 */
#ifndef PANAL_BASE_LOG_H
#define PANAL_BASE_LOG_H

#include "base/compiler.h"
#include <stdatomic.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO };

void log_line(enum log_level level, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* A limiter lives in the object it speaks for, zero-initialised: at most LOG_LIMIT_PER_WINDOW lines in
 * LOG_LIMIT_WINDOW_S seconds, then one line with the number that was left out. */
enum { LOG_LIMIT_PER_WINDOW = 5, LOG_LIMIT_WINDOW_S = 10 };
struct log_limit {
	_Atomic int64_t window_start_ns;
	_Atomic unsigned printed;
	_Atomic unsigned dropped;
};
void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...) ATTR_PRINTF(3, 4);

#endif
