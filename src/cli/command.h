/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sub-commands of panal: each has a file, and gets its own name as argv[0]. They return the exit status. */
#ifndef PANAL_CLI_COMMAND_H
#define PANAL_CLI_COMMAND_H

/* What stands behind a command besides its options, for shells that complete it. */
enum command_words { WORDS_NONE, WORDS_MACHINES, WORDS_FILES, WORDS_LIST };

struct command {
	const char *name, *help;
	int (*main)(int argc, char **argv);
	const char *options; /* "--force --timeout=", = where a value belongs to it; NULL: those of its --help */
	enum command_words words;
	const char *list;
};

/* The one table of commands (panal.c); a command without a name ends it. */
extern const struct command panal_commands[];

int completion_main(int argc, char **argv);
int run_main(int argc, char **argv);
int cpu_main(int argc, char **argv);
int image_main(int argc, char **argv);

/* Through the daemon. */
int ls_main(int argc, char **argv);
int power_main(int argc, char **argv); /* start, stop, restart, pause, resume */
int console_main(int argc, char **argv);
int launch_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int cp_main(int argc, char **argv);
int delete_main(int argc, char **argv); /* delete, undelete */
int clone_main(int argc, char **argv);
int top_main(int argc, char **argv);

#endif
