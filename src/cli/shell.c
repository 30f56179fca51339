/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal shell: ssh into a launched machine, or a command there; ssh's own program does it, with our key. */
#include "cli/address.h"
#include "cli/command.h"
#include "cli/home.h"
#include "cli/launch.h"
#include "cli/say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGS_MAX = 256, EXIT_NO_SSH = 127 };

/* Host keys are remembered for each machine apart: another machine may have had the port before. */
static int run_ssh(const struct address *a, const char *name, const char *user, char **command)
{
	struct path key = home_path("ssh/id_ed25519"), known = home_path("machines/%s/known_hosts", name);
	char port[8], hosts[PATH_MAX + 32], login[128];
	const char *args[ARGS_MAX] = {"ssh", "-q", "-i", key.s, "-p", port, "-o", hosts, "-o",
		"StrictHostKeyChecking=accept-new", "-o", "HostKeyAlias=panal-machine", login};
	unsigned n = 0;

	snprintf(port, sizeof(port), "%u", a->ssh_port);
	snprintf(hosts, sizeof(hosts), "UserKnownHostsFile=%s", known.s);
	snprintf(login, sizeof(login), "%s@%s", user, a->host);
	while (args[n])
		n++;
	for (; *command && n + 1 < ARGS_MAX; command++)
		args[n++] = *command;
	execvp("ssh", (char **)args);
	say_error("shell", _("cannot start ssh: %s; apt install openssh-client"), strerror(errno));
	return EXIT_NO_SSH;
}

static int find(struct conn *c, const char *name, struct address *a, char **user, struct err *e)
{
	struct machine m;
	int ret = machine_find(c, name, &m, e);

	if (ret == 0 && m.id < 0)
		ret = err_set(e, -EINVAL, _("%s is off; panal start %s starts it"), name, name);
	if (ret == 0)
		ret = address_find(c, &m, a, e);
	machine_free(&m);
	if (ret == 0 && !a->ssh_port)
		ret = err_set(e, -ENOENT, _("no way into %s is known yet; panal console %s shows what it does"), name,
			      name);
	if (ret == 0) {
		*user = launch_user(name, e);
		ret = *user ? 0 : -ENOENT;
	}
	return ret;
}

int shell_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"connect", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *uri = NULL, *name;
	struct address a;
	struct conn *c = NULL;
	struct err e = { 0 };
	char *user = NULL;
	int ret;

	for (int o; (o = getopt_long(argc, argv, "+c:h", longs, NULL)) != -1;) {
		if (o != 'c')
			optind = argc;
		uri = o == 'c' ? optarg : uri;
	}
	if (optind >= argc) {
		fputs(_("usage: panal shell [-c URI] NAME [COMMAND...]\n"), stdout);
		return argc > 1 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	name = argv[optind];
	ret = conn_open(&c, uri, &e);
	if (ret == 0)
		ret = find(c, name, &a, &user, &e);
	conn_close(c);
	ret = ret < 0 ? say_err("shell", &e) : run_ssh(&a, name, user, argv + optind + 1);
	free(user);
	return ret;
}
