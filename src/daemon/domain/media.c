/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Media that may be missing (startupPolicy='optional'): the machine starts with an empty drive instead, and says so. */
#include "daemon/domain/domain_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char **path_of(struct domdef_disk *k)
{
	return k->type == DOM_SOURCE_FILE ? &k->source.file : k->type == DOM_SOURCE_BLOCK ? &k->source.dev : NULL;
}

static bool may_be_empty(const struct domdef_disk *k)
{
	return (k->device == DOM_DISK_CDROM || k->device == DOM_DISK_FLOPPY) && k->source.startup_policy &&
	       !strcmp(k->source.startup_policy, "optional");
}

void domain_drop_missing(struct domain *d)
{
	enum { MISSING_ON_START = 0 };

	for (unsigned n = 0; n < d->def->disks.n; n++) {
		struct domdef_disk *k = d->def->disks.v[n];
		char **path = may_be_empty(k) ? path_of(k) : NULL, *old;

		if (!path || !*path || access(*path, F_OK) == 0 || errno != ENOENT)
			continue;
		old = *path;
		*path = NULL;
		d->all->watcher.medium(d->all->watcher.opaque, d, old, k->dev.alias ? k->dev.alias : "",
				       MISSING_ON_START);
		free(old);
	}
}
