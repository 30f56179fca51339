/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal shell: ssh into a launched machine, or a command there; ssh's own program does it, with our key. */
#include "cli/command.h"
#include "cli/say.h"
#include "cli/way.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ARGS_MAX = 256, EXIT_NO_SSH = 127 };

static int run_ssh(const struct way *w, char **command)
{
	const char *args[ARGS_MAX] = {"ssh"};
	unsigned n = 1 + WAY_ARGS;
	char login[128];

	way_args(w, "-p", args + 1);
	snprintf(login, sizeof(login), "%s@%s", w->user, w->address.host);
	args[n++] = login;
	for (; *command && n + 1 < ARGS_MAX; command++)
		args[n++] = *command;
	execvp("ssh", (char **)args);
	say_error("shell", _("cannot start ssh: %s; apt install openssh-client"), strerror(errno));
	return EXIT_NO_SSH;
}

int shell_main(int argc, char **argv)
{
	const char *uri = way_uri(argc, argv, "+c:h");
	struct err e = { 0 };
	struct way w;
	int ret;

	if (optind >= argc) {
		fputs(_("usage: panal shell [-c URI] NAME [COMMAND...]\n"), stdout);
		return argc > 1 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	ret = way_find(&w, uri, argv[optind], &e);
	ret = ret < 0 ? say_err("shell", &e) : run_ssh(&w, argv + optind + 1);
	way_free(&w);
	return ret;
}
