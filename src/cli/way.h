/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way into a launched machine by ssh: its address, user, our key, and the host keys that are remembered of it. */
#ifndef PANAL_CLI_WAY_H
#define PANAL_CLI_WAY_H

#include "cli/address.h"
#include "cli/home.h"

struct way {
	struct address address;
	char *user, port[8];
	struct path key;
	char hosts[PATH_MAX + 32]; /* ssh's option for its file of host keys */
};

enum { WAY_ARGS = 10 };

/* What --connect says, the one option of those who go this way; NULL: nothing. letters: getopt's. Any other option, or
 * a wish for help, leaves optind at argc, which is a usage that is wrong. */
const char *way_uri(int argc, char **argv, const char *letters);

/* Asks the daemon at the URI (NULL: the default). Free with way_free, also after a failure. The error says what to
 * do. */
int way_find(struct way *w, const char *uri, const char *name, struct err *e) ATTR_MUST_USE;
void way_free(struct way *w);
/* The options that ssh (port_option "-p") and scp ("-P") take: WAY_ARGS of them, good for as long as the way. */
void way_args(const struct way *w, const char *port_option, const char *args[WAY_ARGS]);

#endif
