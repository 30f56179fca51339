/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process of a running machine: a panal-vmm that is started, watched, spoken to and ended. It is no child that must
 * be waited for: it outlives the daemon, and the next one adopts it. All on the loop's thread.
 *
 * The control socket is made here, before the process, and handed to it: whoever can connect to it knows that the
 * process lives, at every moment, even when the daemon was killed between any two steps.
 */
#ifndef PANAL_DAEMON_DOMAIN_MACHINE_H
#define PANAL_DAEMON_DOMAIN_MACHINE_H

#include "control/client/client.h"

#include <sys/types.h>

struct loop;
struct machine;

enum {
	MACHINE_START_SECONDS = 60,  /* until it takes commands */
	MACHINE_KILL_SECONDS = 10,   /* from the request to end to the end by force */
	MACHINE_LAST_WORDS_SECONDS = 1, /* from its end to the end of its control connection */
	MACHINE_CONTROL_FD = 3,      /* what the control socket is in the process: "--control fd:3" */
	MACHINE_FIRST_FD = 4,
	MACHINE_FDS_MAX = 16,
};

struct machine_ops {
	void (*ready)(void *opaque); /* it takes commands */
	void (*event)(void *opaque, const char *name, const json_t *data);
	/* The process is gone; the machine is still to be freed. reason: its last words, for a start that failed. */
	void (*ended)(void *opaque, const char *reason);
};

struct machine_config {
	const char *program;  /* path of panal-vmm */
	char *const *argv;    /* with the program's name first; ended by NULL */
	const char *dir;      /* the machine's run directory; "control" in it becomes the socket */
	const char *log_path; /* standard output and error are appended to it */
	const int *fds;       /* borrowed: the process gets them as MACHINE_FIRST_FD and so on */
	unsigned fd_count;    /* at most MACHINE_FDS_MAX */
};

/* The process runs when this returns 0; ready or ended follows. */
int machine_start(struct machine **out, struct loop *loop, const struct machine_config *cfg,
		  const struct machine_ops *ops, void *opaque, struct err *e) ATTR_MUST_USE;
/*
 * Takes over the process that serves the control socket in dir. pid and start_time are what machine_pid and
 * machine_start_time said, 0 when that is not known. -ECONNREFUSED, -ENOENT: there is none any more.
 */
int machine_adopt(struct machine **out, struct loop *loop, const char *dir, pid_t pid, uint64_t start_time,
		  const struct machine_ops *ops, void *opaque, struct err *e) ATTR_MUST_USE;
/* Lets go of the process, which goes on if it still runs. No function of ops is called any more. */
void machine_free(struct machine *m);

int machine_execute(struct machine *m, const char *command, json_t *arguments, control_done_fn done, void *opaque,
		    struct err *e) ATTR_MUST_USE;
/* The same with a descriptor (borrowed). */
int machine_execute_fd(struct machine *m, const char *command, json_t *arguments, int fd, control_done_fn done,
		       void *opaque, struct err *e) ATTR_MUST_USE;
/* Switches the machine off: SIGTERM, and SIGKILL when it is not gone in time. ended follows. */
void machine_end(struct machine *m);

pid_t machine_pid(const struct machine *m);
/* In clock ticks since the host's start: with the pid it names the process for good. */
uint64_t machine_start_time(const struct machine *m);

struct machine_usage {
	uint64_t user_ns, system_ns, rss_kib;
};
/* What the process has used. False: it is gone. */
bool machine_usage(const struct machine *m, struct machine_usage *u);

#endif
