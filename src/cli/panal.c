/* SPDX-License-Identifier: GPL-2.0-or-later */
/* panal: the command line for people. This file knows the list of sub-commands and nothing else. */
#include "base/text.h"
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

const struct command panal_commands[] = {
	{ "run", N_("boot a machine on this terminal"), run_main,
	  NULL, WORDS_FILES, NULL },
	{ "launch", N_("make a machine and start it: panal launch debian NAME"), launch_main,
	  "--memory= --cpus= --disk= --user= --port= --network= --no-wait --json --connect=", WORDS_LIST, "debian" },
	{ "shell", N_("log in to a launched machine, or run a command there"), shell_main,
	  "--connect=", WORDS_MACHINES, NULL },
	{ "cp", N_("copy files to a launched machine, or from it"), cp_main,
	  "--connect=", WORDS_FILES, NULL },
	{ "ls", N_("list the machines and where they are reached"), ls_main,
	  "--json --quiet --connect=", WORDS_NONE, NULL },
	{ "start", N_("start machines"), power_main,
	  "--append= --connect=", WORDS_MACHINES, NULL },
	{ "stop", N_("stop machines: by the agent, the power button, at last the plug"), power_main,
	  "--force --timeout= --connect=", WORDS_MACHINES, NULL },
	{ "restart", N_("stop and start machines"), power_main,
	  "--append= --force --timeout= --connect=", WORDS_MACHINES, NULL },
	{ "pause", N_("hold machines where they are"), power_main,
	  "--connect=", WORDS_MACHINES, NULL },
	{ "resume", N_("let paused machines go on"), power_main,
	  "--connect=", WORDS_MACHINES, NULL },
	{ "delete", N_("delete machines; undelete brings them back"), delete_main,
	  "--force --purge --connect=", WORDS_MACHINES, NULL },
	{ "undelete", N_("bring deleted machines back"), delete_main,
	  "--connect=", WORDS_NONE, NULL },
	{ "clone", N_("make another machine like one that is off"), clone_main,
	  "--connect=", WORDS_MACHINES, NULL },
	{ "console", N_("a machine's serial console on this terminal"), console_main,
	  "--force --connect=", WORDS_MACHINES, NULL },
	{ "top", N_("what each machine uses, live"), top_main,
	  "--json --interval= --rounds= --connect=", WORDS_NONE, NULL },
	{ "cpu", N_("processor models: list them, look into them, compare them"), cpu_main,
	  "--json", WORDS_LIST, "list show compare baseline" },
	{ "image", N_("make, look at, check, copy and resize disk images"), image_main,
	  "--format= --output-format= --backing= --backing-format= --snapshot= --compress --json --repair --shrink "
	  "--cluster-size= --compression= --lazy-refcounts", WORDS_LIST, "create info check convert resize snapshot" },
	{ "doctor", N_("what this host offers, and what to do about what it does not"), doctor_main,
	  "--json", WORDS_NONE, NULL },
	{ "completion", N_("what a shell needs to complete these: panal completion bash, zsh or fish"), completion_main,
	  "", WORDS_LIST, "bash zsh fish" },
	{ "version", N_("print the version"), version_main,
	  "", WORDS_NONE, NULL },
	{ "help", N_("print this"), help_main,
	  "", WORDS_NONE, NULL },
	{ 0 },
};

static int help_main(int argc, char **argv)
{
	puts(_("usage: panal COMMAND [options]\n"));
	for (size_t n = 0; panal_commands[n].name; n++)
		printf("  %-11s%s\n", panal_commands[n].name, _(panal_commands[n].help));
	puts(_("\npanal COMMAND --help tells more. Example: panal run --kernel vmlinuz --initrd initrd.img --append "
	       "console=ttyS0"));
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";

	text_begin(PANAL_LOCALEDIR);
	while (name[0] == '-' && name[1] == '-')
		name += 2;
	for (size_t n = 0; panal_commands[n].name; n++)
		if (!strcmp(panal_commands[n].name, name))
			return panal_commands[n].main(argc - 1, argv + 1);
	fprintf(stderr, _("panal: unknown command %s; panal help lists them\n"), argv[1]);
	return 2;
}
