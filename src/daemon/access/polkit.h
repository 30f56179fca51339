/* SPDX-License-Identifier: GPL-2.0-or-later */
/* polkit, asked over the system bus who may do what. On the loop's thread; no question waits for its answer. */
#ifndef PANAL_DAEMON_ACCESS_POLKIT_H
#define PANAL_DAEMON_ACCESS_POLKIT_H

#include "base/err.h"

#include <sys/types.h>

struct loop;
struct polkit;

enum polkit_answer {
	POLKIT_YES,
	POLKIT_NO,
	POLKIT_NO_AGENT, /* a password would do, and nothing is there to ask for it */
	POLKIT_TROUBLE,  /* it gave no answer; nothing is allowed then */
};

enum { POLKIT_DETAILS_MAX = 4 };

struct polkit_question {
	pid_t pid; /* the process, and its user; they come from the kernel */
	uid_t uid;
	const char *action;
	bool interact; /* the user may be asked for a password */
	/* What rules find as action.lookup(key). */
	struct {
		const char *key, *value;
	} detail[POLKIT_DETAILS_MAX];
	unsigned detail_count;
};

typedef void (*polkit_done_fn)(void *opaque, enum polkit_answer answer);

/* Connects and sees to it that polkit is there: the one call that waits. */
int polkit_create(struct polkit **out, struct loop *loop, struct err *e) ATTR_MUST_USE;
/* Questions that are open get POLKIT_TROUBLE. NULL is allowed. */
void polkit_destroy(struct polkit *p);
/* done follows, perhaps before the return. */
void polkit_ask(struct polkit *p, const struct polkit_question *q, polkit_done_fn done, void *opaque);

#endif
