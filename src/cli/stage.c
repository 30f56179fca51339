/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stage.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

double stage_seconds(const struct stage *s) { return (now_ns() - s->since_ns) / 1e9; }

void stage_begin(struct stage *s, const char *what)
{
	*s = (struct stage){ .what = what, .since_ns = now_ns(), .terminal = isatty(STDERR_FILENO) };
	stage_tick(s);
}

void stage_tick(struct stage *s)
{
	if (s->terminal)
		fprintf(stderr, "\r\033[K … %-14s %.1f s%s%s", s->what, stage_seconds(s), s->detail ? "  " : "",
			s->detail ? s->detail : "");
}

void stage_part(struct stage *s, const char *detail)
{
	if (s->detail && !strcmp(s->detail, detail))
		return;
	s->detail = detail;
	if (!s->terminal)
		fprintf(stderr, " … %-14s %.1f s  %s\n", s->what, stage_seconds(s), detail);
}

static void end(struct stage *s, const char *mark, const char *detail)
{
	if (s->terminal)
		fputs("\r\033[K", stderr);
	fprintf(stderr, " %s %-14s %.1f s%s%s\n", mark, s->what, stage_seconds(s), *detail ? "  " : "", detail);
}

void stage_done(struct stage *s, const char *detail) { end(s, "✔", detail); }
void stage_failed(struct stage *s, const char *detail) { end(s, "✘", detail); }
