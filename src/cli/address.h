/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a machine is reached: by its own address, or by a port of this host that leads to it. */
#ifndef PANAL_CLI_ADDRESS_H
#define PANAL_CLI_ADDRESS_H

#include "cli/remote.h"

struct address {
	char host[64];     /* "192.168.122.7", "localhost"; empty: none is known */
	unsigned ssh_port; /* 0: there is none */
};

/* A lease of one of the daemon's networks, else a forwarded port. Nothing found is no error. */
int address_find(struct conn *c, const struct machine *m, struct address *a, struct err *e) ATTR_MUST_USE;

/* The port of this host that leads to the machine's ssh, whether it runs or not; 0: none. */
unsigned address_forwarded(struct conn *c, const struct machine *m);

#endif
