/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages of something that takes a while, as they go: on a terminal a line that counts the seconds and then says
 * how it ended; piped, one plain line at each end and for each detail on the way.
 */
#ifndef PANAL_CLI_STAGE_H
#define PANAL_CLI_STAGE_H

#include "base/compiler.h"

struct stage {
	const char *what; /* in the user's language */
	const char *detail; /* what of it is done now; NULL: it has no parts */
	int64_t since_ns;
	bool terminal;
};

void stage_begin(struct stage *s, const char *what);
/* Shows the time that has gone; to be called now and then. */
void stage_tick(struct stage *s);
/* What of it is done now, in the user's language; borrowed. The same again is no news. */
void stage_part(struct stage *s, const char *detail);
/* detail: what came out, may be empty. */
void stage_done(struct stage *s, const char *detail);
void stage_failed(struct stage *s, const char *detail);
double stage_seconds(const struct stage *s);

#endif
