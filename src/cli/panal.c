/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal: the command line for people. This file knows the list of sub-commands and nothing else. */
#include "base/compiler.h"
#include "cli/command.h"
#include "cli/doctor.h"
#include "cli/say.h"

#include <stdio.h>
#include <string.h>

static int help_main(int argc, char **argv);

static int version_main(int argc, char **argv)
{
	puts("panal " PANAL_VERSION);
	return 0;
}

static const struct {
	const char *name, *help;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "run", N_("boot a machine on this terminal"), run_main },
	{ "launch", N_("make a machine and start it: panal launch debian NAME"), launch_main },
	{ "shell", N_("log in to a launched machine, or run a command there"), shell_main },
	{ "ls", N_("list the machines and where they are reached"), ls_main },
	{ "start", N_("start machines"), power_main },
	{ "stop", N_("stop machines: by the agent, the power button, at last the plug"), power_main },
	{ "restart", N_("stop and start machines"), power_main },
	{ "pause", N_("hold machines where they are"), power_main },
	{ "resume", N_("let paused machines go on"), power_main },
	{ "delete", N_("delete machines; undelete brings them back"), delete_main },
	{ "undelete", N_("bring deleted machines back"), delete_main },
	{ "clone", N_("make another machine like one that is off"), clone_main },
	{ "console", N_("a machine's serial console on this terminal"), console_main },
	{ "top", N_("what each machine uses, live"), top_main },
	{ "cpu", N_("processor models: list them, look into them, compare them"), cpu_main },
	{ "image", N_("make, look at, check, copy and resize disk images"), image_main },
	{ "doctor", N_("what this host offers, and what to do about what it does not"), doctor_main },
	{ "version", N_("print the version"), version_main },
	{ "help", N_("print this"), help_main },
};

static int help_main(int argc, char **argv)
{
	puts(_("usage: panal COMMAND [options]\n"));
	for (size_t n = 0; n < COUNT_OF(commands); n++)
		printf("  %-10s %s\n", commands[n].name, _(commands[n].help));
	puts(_("\npanal COMMAND --help tells more. Example: panal run --kernel vmlinuz --initrd initrd.img --append "
	       "console=ttyS0"));
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";

	say_begin();
	while (name[0] == '-' && name[1] == '-')
		name += 2;
	for (size_t n = 0; n < COUNT_OF(commands); n++)
		if (!strcmp(commands[n].name, name))
			return commands[n].main(argc - 1, argv + 1);
	fprintf(stderr, _("panal: unknown command %s; panal help lists them\n"), argv[1]);
	return 2;
}
