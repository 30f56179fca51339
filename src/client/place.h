/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a daemon is, and starting a user's own. */
#ifndef PANAL_CLIENT_PLACE_H
#define PANAL_CLIENT_PLACE_H

#include "base/err.h"

struct place {
	char path[108]; /* of the socket */
	bool system;    /* whose instance */
	bool named;     /* the user named the socket: nothing is started */
};

/* What the URI says; NULL: the default. -EINVAL: not a URI that we know. */
int place_find(struct place *p, const char *uri, struct err *e) ATTR_MUST_USE;
/* A connected socket. Starts the user's own panald when it does not run. */
int place_connect(const struct place *p, struct err *e) ATTR_MUST_USE;

#endif
