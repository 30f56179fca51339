/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static const char *const level_name[] = { [LOG_ERROR] = "error: ", [LOG_WARNING] = "warning: ", [LOG_INFO] = "" };

static void put(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int len = snprintf(line, sizeof(line), "%s: %s", program_invocation_short_name, level_name[level]);
	int more = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, fmt, ap);

	len += more < 0 ? 0 : more;
	if (len > LINE_MAX_BYTES - 2)
		len = LINE_MAX_BYTES - 2;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return; /* nowhere left to say it */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(level, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
	struct timespec ts;
	int64_t now, start = atomic_load(&limit->window_start_ns);
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	if ((start == 0 || now - start > LOG_LIMIT_WINDOW_S * INT64_C(1000000000)) &&
	    atomic_compare_exchange_strong(&limit->window_start_ns, &start, now)) {
		unsigned dropped = atomic_exchange(&limit->dropped, 0);

		atomic_store(&limit->printed, 0);
		if (dropped)
			log_line(level, "%u more lines of this kind were left out", dropped);
	}
	if (atomic_fetch_add(&limit->printed, 1) >= LOG_LIMIT_PER_WINDOW) {
		atomic_fetch_add(&limit->dropped, 1);
		return;
	}
	va_start(ap, fmt);
	put(level, fmt, ap);
	va_end(ap);
}
