/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of panal launch, and what panal clone shares with it. */
#ifndef PANAL_CLI_LAUNCH_H
#define PANAL_CLI_LAUNCH_H

#include "cli/home.h"
#include "cli/remote.h"

struct launch {
	const char *name, *uri, *user, *network; /* network NULL: user-mode, with a port of this host for ssh */
	uint64_t memory, disk;                   /* bytes */
	unsigned cpus, ssh_port;                 /* 0: a free one */
	bool json, no_wait;
	struct path image, dir; /* what the machine begins with, and its own folder */
};

/* The machine's document, to be freed; NULL: no memory. */
char *launch_document(const struct launch *l);

/* Gives the machine a TCP port of this host for its ssh, from 2222 on: one that nobody uses, and that no machine which
 * is off will want again. */
int launch_pick_port(struct launch *l, struct conn *c, struct err *e) ATTR_MUST_USE;
/* A name that no other machine has had. */
void launch_instance_id(char out[37]);
/* Defines a document as a machine. */
int launch_define(struct conn *c, const char *xml, struct err *e) ATTR_MUST_USE;

/* The user in a machine of that folder, to be freed; NULL with e set: panal launch did not make it. */
char *launch_user(const char *name, struct err *e);
/* Writes the machine's seed and remembers its user. */
int launch_seed(const struct launch *l, struct err *e) ATTR_MUST_USE;

#endif
