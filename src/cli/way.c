/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/way.h"

#include "cli/launch.h"
#include "cli/remote.h"
#include "cli/say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ask(struct way *w, struct conn *c, const char *name, struct err *e)
{
	struct machine m;
	int ret = machine_find(c, name, &m, e);

	if (ret == 0 && m.id < 0)
		ret = err_set(e, -EINVAL, _("%s is off; panal start %s starts it"), name, name);
	if (ret == 0)
		ret = address_find(c, &m, &w->address, e);
	machine_free(&m);
	if (ret == 0 && !w->address.ssh_port)
		ret = err_set(e, -ENOENT, _("no way into %s is known yet; panal console %s shows what it does"), name,
			      name);
	return ret;
}

const char *way_uri(int argc, char **argv, const char *letters)
{
	static const struct option longs[] = {
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *uri = NULL;

	for (int o; (o = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		if (o != 'c')
			optind = argc;
		uri = o == 'c' ? optarg : uri;
	}
	return uri;
}

int way_find(struct way *w, const char *uri, const char *name, struct err *e)
{
	struct path known = home_path("machines/%s/known_hosts", name);
	struct conn *c = NULL;
	int ret;

	*w = (struct way){ .key = home_path("ssh/id_ed25519") };
	ret = conn_open(&c, uri, e);
	if (ret == 0)
		ret = ask(w, c, name, e);
	conn_close(c);
	if (ret == 0) {
		w->user = launch_user(name, e);
		ret = w->user ? 0 : -ENOENT;
	}
	snprintf(w->port, sizeof(w->port), "%u", w->address.ssh_port);
	/* Of each machine apart: another one may have had the port before. */
	snprintf(w->hosts, sizeof(w->hosts), "UserKnownHostsFile=%s", known.s);
	return ret;
}

void way_free(struct way *w)
{
	free(w->user);
	w->user = NULL;
}

void way_args(const struct way *w, const char *port_option, const char *args[WAY_ARGS])
{
	const char *const all[WAY_ARGS] = {"-q", "-i", w->key.s, port_option, w->port, "-o", w->hosts, "-o",
		"StrictHostKeyChecking=accept-new", "-oHostKeyAlias=panal-machine"};

	memcpy(args, all, sizeof(all));
}
