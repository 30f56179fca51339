/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices of the host as libvirt's clients see them: the computer, PCI functions, network interfaces, disks. Read from
 * /sys at each call; any thread. */
#ifndef PANAL_DAEMON_NODEDEV_H
#define PANAL_DAEMON_NODEDEV_H

#include "base/compiler.h"
#include "base/err.h"

#include <limits.h>

/* The bits are those of libvirt's list flags. */
enum nodedev_kind { NODEDEV_SYSTEM = 1 << 0, NODEDEV_PCI = 1 << 1, NODEDEV_NET = 1 << 4, NODEDEV_STORAGE = 1 << 8 };

enum { NODEDEV_NAME_MAX = 128 };

struct nodedev {
	unsigned kind; /* enum nodedev_kind */
	char name[NODEDEV_NAME_MAX], parent[NODEDEV_NAME_MAX]; /* parent: empty for the computer */
	char sys[256];        /* its name in /sys */
	char path[PATH_MAX];  /* in /sys, without links */
};

/* "system", "pci", "net", "storage". */
const char *nodedev_kind_name(unsigned kind);
/* Calls f for each; it may stop by giving true. */
void nodedevs_each(bool (*f)(void *opaque, const struct nodedev *d), void *opaque);
/* False: there is none of that name. */
bool nodedev_find(struct nodedev *out, const char *name);
/* The document, to be freed; NULL: no memory. */
char *nodedev_text(const struct nodedev *d);

#endif
