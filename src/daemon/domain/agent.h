/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest agent of a running machine. All on the loop's thread. */
#ifndef PANAL_DAEMON_DOMAIN_AGENT_H
#define PANAL_DAEMON_DOMAIN_AGENT_H

#include "base/buf.h"
#include "daemon/domain/domain.h"

enum { DOMAIN_AGENT_ANSWER_MAX = 4 << 20 };

/* result: what came in "return" (borrowed); NULL with the fault, or without for one that may vanish and did. */
typedef void (*domain_agent_fn)(void *opaque, const json_t *result, const struct fault *f);

/* Asks under a job. arguments (may be NULL) are taken over. may_vanish: its end is an answer too. Faults: no agent
 * configured (argument unsupported), not there or silent (agent), what it refuses (internal). */
int domain_agent(struct domain *d, const char *command, json_t *arguments, bool may_vanish, domain_agent_fn done,
		 void *opaque, struct fault *f);
/* The guest sleeps: the answer of a command that may vanish. */
void domain_agent_slept(struct domain *d);
/* The channel of the document that leads to an agent; NULL: there is none. */
const struct domdef_chr *domain_agent_channel(const struct domain *d);

/* For the reader and its tests: takes a line out of what came. NULL: it is no object; *more false: there was none. */
json_t *agent_take(struct buf *in, bool *more);

#endif
