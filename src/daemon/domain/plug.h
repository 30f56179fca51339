/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The taps that a start hands to the machine's process. Its interfaces get their live parts (tap, bridge, port). */
#ifndef PANAL_DAEMON_DOMAIN_PLUG_H
#define PANAL_DAEMON_DOMAIN_PLUG_H

#include "daemon/network/network.h"

enum { PLUGS_MAX = 8 };

struct plugs {
	struct {
		const struct domdef_interface *interface;
		char text[16]; /* "fd:4": what the process knows it by */
	} item[PLUGS_MAX];
	int fd[PLUGS_MAX];
	unsigned count, first; /* first: number of fd[0] in the process */
};

/* Errors: -ESRCH (there is no such network), -ENOTSUP, others. plugs_close in any case. */
int plugs_open(struct plugs *p, struct networks *ns, struct domdef *def, unsigned first, struct err *e) ATTR_MUST_USE;
/* For domdef_place.tap: opaque is the struct plugs. */
const char *plugs_text(void *opaque, const struct domdef_interface *i);
/* Our ends; the process has its own by then. */
void plugs_close(struct plugs *p);

#endif
