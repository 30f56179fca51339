/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that do one thing and end, and waiting for processes. */
#ifndef PANAL_DAEMON_NETWORK_CHILD_H
#define PANAL_DAEMON_NETWORK_CHILD_H

#include "base/err.h"

#include <sys/types.h>

enum { CHILD_SECONDS = 10, CHILD_OUTPUT_MAX = 16 << 20 };

/*
 * Runs argv[0] (found in the system's usual folders) with `in` as its standard input, and waits, at most CHILD_SECONDS;
 * the caller's thread stands still. out (may be NULL): what it wrote, malloc'ed and terminated. 0 when it ended with
 * status 0; -EIO with its last words otherwise; -ENOENT: there is no such program.
 */
int child_run(const char *const argv[], const void *in, size_t len, char **out, size_t *out_len, struct err *e)
	ATTR_MUST_USE;

/* Starts one that goes on: a session of its own, standard output and error appended to log_fd. */
int child_spawn(pid_t *pid, const char *const argv[], int in_fd, int out_fd, int err_fd, struct err *e) ATTR_MUST_USE;

/* A descriptor of the process that is named `program` and has `argument` among its arguments; -ENOENT: there is none.
 */
int child_find(const char *program, const char *argument, pid_t *pid) ATTR_MUST_USE;
/* Ends the process, by force when it does not go by itself, and waits for that; closes the descriptor. */
void child_end(int *pidfd);

#endif
