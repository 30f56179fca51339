/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's cgroup (version 2): what its document says of shares and limits, held to by the kernel. The cgroups of
 * machines are in one of ours, ROOT/panal/UUID; vCPUs with a limit of their own have threaded ones below. On the
 * loop's thread.
 */
#ifndef PANAL_DAEMON_DOMAIN_CGROUP_H
#define PANAL_DAEMON_DOMAIN_CGROUP_H

#include "daemon/domain/domain.h"

/* Parts of the document. */
enum cgroup_part { CGROUP_CPU = 1, CGROUP_MEMORY = 2, CGROUP_IO = 4, CGROUP_NODES = 8, CGROUP_ALL = 15 };

/* Finds the place for the machines' cgroups and makes it, or notes that there is none. Before machines are known. */
void cgroups_open(struct domains *ds);
/* Ends what is in cgroups of machines that are not there (any more), and removes these. */
void cgroups_clear(struct domains *ds);
/* A cgroup with the document's values for a machine's process that has just begun. What cannot be had is logged. */
void domain_cgroup_join(struct domain *d);
/* When its threads are known: limits of vCPUs and of the rest. */
void domain_cgroup_threads(struct domain *d);
/* The process has ended. */
void domain_cgroup_leave(struct domain *d);
/* Whether there are cgroups for machines. */
bool domain_cgroup_possible(const struct domain *d);
/* Whether the machine that runs is held to parts of its document. */
bool domain_cgroup_has(const struct domain *d, enum cgroup_part part);
/* Has the running machine held to its document as it is now. */
int domain_cgroup_apply(struct domain *d, unsigned parts, struct fault *f) ATTR_MUST_USE;

#endif
