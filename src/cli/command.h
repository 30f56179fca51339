/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sub-commands of panal: each has a file, and gets its own name as argv[0]. They return the exit status. */
#ifndef PANAL_CLI_COMMAND_H
#define PANAL_CLI_COMMAND_H

int run_main(int argc, char **argv);
int cpu_main(int argc, char **argv);
int image_main(int argc, char **argv);

/* Through the daemon. */
int ls_main(int argc, char **argv);
int power_main(int argc, char **argv); /* start, stop, restart, pause, resume */
int console_main(int argc, char **argv);
int launch_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int delete_main(int argc, char **argv); /* delete, undelete */
int clone_main(int argc, char **argv);
int top_main(int argc, char **argv);

#endif
