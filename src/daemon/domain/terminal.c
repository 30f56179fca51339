/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pseudo-terminals of a running machine's serial port and virtio console, by the names that the host knows them. */
#include "daemon/domain/domain_priv.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TERMINAL_NAME_MAX = 64 };

/* panal-vmm's option "pty:PATH" leaves the link. False: the host has no pseudo-terminals. */
static bool terminal_of(const char *socket, char out[TERMINAL_NAME_MAX])
{
	char link[DOMAIN_PATH_MAX + 8];
	ssize_t len;

	snprintf(link, sizeof(link), "%s.tty", socket);
	len = readlink(link, out, TERMINAL_NAME_MAX);
	if (len <= 0 || len == TERMINAL_NAME_MAX)
		return false;
	out[len] = 0;
	return true;
}

static int name_one(struct domdef_chr *c, const char *terminal, bool console)
{
	int ret = c->type == DOM_CHR_PTY ? xstr_set(&c->path, terminal) : 0;

	return ret == 0 && console && c->type == DOM_CHR_PTY ? xstr_set(&c->tty, terminal) : ret;
}

int domain_name_terminals(struct domain *d)
{
	char path[DOMAIN_PATH_MAX], serial[TERMINAL_NAME_MAX], console[TERMINAL_NAME_MAX];
	bool has_serial, has_console;
	int ret = 0;

	domain_serial_path(d, path);
	has_serial = d->def->serials.n && terminal_of(path, serial);
	domain_console_path(d, path);
	has_console = terminal_of(path, console);
	if (has_serial)
		ret = name_one(d->def->serials.v[0], serial, false);
	for (unsigned n = 0; n < d->def->consoles.n && ret == 0; n++) {
		struct domdef_chr *c = d->def->consoles.v[n];
		bool virtio = c->target_type && !strcmp(c->target_type, "virtio");

		if (virtio ? has_console : has_serial)
			ret = name_one(c, virtio ? console : serial, true);
	}
	return ret;
}
