/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/domain/plug.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>

int plugs_open(struct plugs *p, struct networks *ns, struct domdef *def, unsigned first, struct err *e)
{
	*p = (struct plugs){ .first = first };
	for (unsigned n = 0; n < def->interfaces.n; n++) {
		struct domdef_interface *i = def->interfaces.v[n];
		int fd;

		if (i->type != DOM_NET_NETWORK && i->type != DOM_NET_BRIDGE)
			continue;
		if (p->count == PLUGS_MAX)
			return err_set(e, -ENOTSUP, "more than %d network interfaces are not possible", PLUGS_MAX);
		fd = network_plug(ns, i, e);
		if (fd < 0)
			return fd;
		p->item[p->count].interface = i;
		snprintf(p->item[p->count].text, sizeof(p->item[0].text), "fd:%u", first + p->count);
		p->fd[p->count++] = fd;
	}
	return 0;
}

const char *plugs_text(void *opaque, const struct domdef_interface *i)
{
	const struct plugs *p = opaque;

	for (unsigned n = 0; n < p->count; n++)
		if (p->item[n].interface == i)
			return p->item[n].text;
	return NULL;
}

void plugs_close(struct plugs *p)
{
	while (p->count > 0)
		fd_close(&p->fd[--p->count]);
}
