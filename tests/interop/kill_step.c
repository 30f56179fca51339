/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program and kills it just before one of its steps.
 *
 *     kill-step STEP LOG PROGRAM [ARGUMENT...]
 *
 * A step is a system call that changes something outside the program's memory: a file, a directory, a socket, a
 * device, a process. Counting begins with SIGUSR1 (with a STEP that begins with '+': at once). The program dies by
 * SIGKILL at the entry of the STEP-th such call of any of its threads, or of a child that has not come to its exec yet;
 * 0: it is never killed. SIGUSR2 ends the counting, and the line "counted" says that it
 * has. LOG gets a line for each step, "NUMBER CALL WHAT". Children are let go at their exec.
 * SIGTERM and SIGINT are passed on. The status is the program's.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

enum { TRACEES_MAX = 256, TEXT_MAX = 200 };

struct tracee {
	pid_t tid;
	bool own;     /* a thread of the program; else a child before its exec */
	bool started; /* its first stop was seen */
};

struct run {
	pid_t main;
	struct tracee tracee[TRACEES_MAX];
	unsigned count;
	unsigned long step, at;
	bool killed;
	int status;
	FILE *log;
};

/* What a signal handler may touch. */
static volatile sig_atomic_t armed, disarmed, asked_to_end;

/* ---- which calls are steps ---- */

enum argument { NOTHING, PATH0, PATH1, FD0, WRITES }; /* what the log shows; WRITES: an open, by its flags */

static const struct call {
	long number;
	const char *name;
	enum argument show;
} calls[] = {
	{SYS_open, "open", WRITES}, {SYS_openat, "openat", WRITES}, {SYS_creat, "creat", PATH0},
	{SYS_write, "write", FD0}, {SYS_writev, "writev", FD0}, {SYS_pwrite64, "pwrite", FD0},
	{SYS_pwritev, "pwritev", FD0}, {SYS_pwritev2, "pwritev2", FD0}, {SYS_sendto, "sendto", FD0},
	{SYS_sendmsg, "sendmsg", FD0}, {SYS_sendfile, "sendfile", FD0},
	{SYS_copy_file_range, "copy_file_range", NOTHING},
	{SYS_ftruncate, "ftruncate", FD0}, {SYS_truncate, "truncate", PATH0}, {SYS_fallocate, "fallocate", FD0},
	{SYS_fsync, "fsync", FD0}, {SYS_fdatasync, "fdatasync", FD0}, {SYS_rename, "rename", PATH0},
	{SYS_renameat, "renameat", PATH1}, {SYS_renameat2, "renameat2", PATH1}, {SYS_link, "link", PATH0},
	{SYS_linkat, "linkat", PATH1}, {SYS_symlink, "symlink", PATH0}, {SYS_unlink, "unlink", PATH0},
	{SYS_unlinkat, "unlinkat", PATH1}, {SYS_rmdir, "rmdir", PATH0}, {SYS_mkdir, "mkdir", PATH0},
	{SYS_mkdirat, "mkdirat", PATH1}, {SYS_chmod, "chmod", PATH0}, {SYS_fchmod, "fchmod", FD0},
	{SYS_fchmodat, "fchmodat", PATH1}, {SYS_chown, "chown", PATH0}, {SYS_fchown, "fchown", FD0},
	{SYS_fchownat, "fchownat", PATH1}, {SYS_flock, "flock", FD0}, {SYS_ioctl, "ioctl", FD0},
	{SYS_socket, "socket", NOTHING}, {SYS_bind, "bind", FD0}, {SYS_connect, "connect", FD0},
	{SYS_listen, "listen", FD0}, {SYS_clone, "clone", NOTHING}, {SYS_clone3, "clone3", NOTHING},
	{SYS_fork, "fork", NOTHING}, {SYS_vfork, "vfork", NOTHING}, {SYS_execve, "execve", PATH0},
	{SYS_kill, "kill", NOTHING}, {SYS_tgkill, "tgkill", NOTHING},
	{SYS_pidfd_send_signal, "pidfd_send_signal", NOTHING},
	{SYS_setxattr, "setxattr", PATH0}, {SYS_sched_setaffinity, "sched_setaffinity", NOTHING},
};

static const struct call *find_call(uint64_t number)
{
	for (unsigned n = 0; n < sizeof(calls) / sizeof(*calls); n++)
		if ((uint64_t)calls[n].number == number)
			return &calls[n];
	return NULL;
}

static void read_text(pid_t tid, uint64_t address, char out[TEXT_MAX])
{
	size_t at = 0;

	while (at + sizeof(long) < TEXT_MAX) {
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, address + at, NULL);
		if (errno)
			break;
		memcpy(out + at, &word, sizeof(word));
		if (memchr(&word, 0, sizeof(word)))
			return;
		at += sizeof(word);
	}
	out[at] = 0;
}

static void read_fd(pid_t tid, uint64_t fd, char out[TEXT_MAX])
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, (int)fd);
	len = readlink(path, out, TEXT_MAX - 1);
	out[len > 0 ? len : 0] = 0;
}

/* Wake-ups among the program's own threads change nothing outside, nor does what goes to no file. */
static bool is_inside(const struct call *c, uint64_t flags, const char *what)
{
	if (c->show == WRITES && !(flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)))
		return true;
	return !strcmp(what, "/dev/null") || !strncmp(what, "anon_inode:", 11) || !strncmp(what, "/memfd:", 7);
}

static bool is_step(pid_t tid, const struct ptrace_syscall_info *i, const struct call **call, char what[TEXT_MAX])
{
	const struct call *c = find_call(i->entry.nr);
	uint64_t flags = 0;

	what[0] = 0;
	*call = c;
	if (!c)
		return false;
	if (c->show == WRITES) {
		unsigned path = c->number == SYS_openat;

		flags = i->entry.args[path + 1];
		read_text(tid, i->entry.args[path], what);
	} else if (c->show == FD0) {
		read_fd(tid, i->entry.args[0], what);
	} else if (c->show != NOTHING) {
		read_text(tid, i->entry.args[c->show == PATH1], what);
	}
	return !is_inside(c, flags, what);
}

/* ---- threads and children ---- */

static struct tracee *find(struct run *r, pid_t tid)
{
	for (unsigned n = 0; n < r->count; n++)
		if (r->tracee[n].tid == tid)
			return &r->tracee[n];
	return NULL;
}

static struct tracee *add(struct run *r, pid_t tid, bool own)
{
	struct tracee *t = find(r, tid);

	if (!t && r->count < TRACEES_MAX) {
		t = &r->tracee[r->count++];
		*t = (struct tracee){.tid = tid};
	}
	if (t)
		t->own |= own;
	return t;
}

static void drop(struct run *r, pid_t tid)
{
	struct tracee *t = find(r, tid);

	if (t)
		*t = r->tracee[--r->count];
}

static bool is_thread_of(pid_t main, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)main, (int)tid);
	return access(path, F_OK) == 0;
}

static void go_on(const struct run *r, pid_t tid, int number)
{
	ptrace(r->killed ? PTRACE_DETACH : PTRACE_SYSCALL, tid, NULL, (long)number);
}

static void on_call(struct run *r, pid_t tid)
{
	struct ptrace_syscall_info i;
	const struct call *c;
	char what[TEXT_MAX];

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(i), &i) < 0 || i.op != PTRACE_SYSCALL_INFO_ENTRY || !armed ||
	    r->killed || !is_step(tid, &i, &c, what))
		return;
	r->at++;
	fprintf(r->log, "%lu %s %s\n", r->at, c->name, what);
	if (r->at != r->step)
		return;
	fprintf(r->log, "killed\n");
	r->killed = true;
	kill(r->main, SIGKILL);
}

static void on_event(struct run *r, pid_t tid, int event)
{
	unsigned long fresh = 0;

	ptrace(PTRACE_GETEVENTMSG, tid, NULL, &fresh);
	if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK)
		add(r, (pid_t)fresh, is_thread_of(r->main, (pid_t)fresh));
	go_on(r, tid, 0);
}

static void on_stop(struct run *r, pid_t tid, int status)
{
	int number = WSTOPSIG(status), event = status >> 16;
	struct tracee *t = add(r, tid, is_thread_of(r->main, tid));

	if (event == PTRACE_EVENT_EXEC && tid != r->main) {
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
		drop(r, tid);
	} else if (event) {
		on_event(r, tid, event);
	} else if (number == (SIGTRAP | 0x80)) {
		on_call(r, tid);
		go_on(r, tid, 0);
	} else {
		bool first = t && !t->started && number == SIGSTOP;

		if (t)
			t->started = true;
		go_on(r, tid, first ? 0 : number);
	}
}

/* ---- the program ---- */

static void on_usr(int number)
{
	armed = number == SIGUSR1;
	disarmed = number == SIGUSR2;
}

static void on_end(int number)
{
	if (number != SIGALRM)
		asked_to_end = number;
}

static void watch_signals(void)
{
	struct sigaction a = {.sa_handler = on_usr};

	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGUSR2, &a, NULL);
	a.sa_handler = on_end;
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGALRM, &a, NULL);
	/* A signal that comes just before a wait would be seen after it, and that may be long. */
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 20000}, {0, 20000}}, NULL);
}

static void begin(struct run *r, char **argv)
{
	r->main = fork();
	if (r->main == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	while (waitpid(r->main, &r->status, 0) < 0 && errno == EINTR)
		;
	add(r, r->main, true)->started = true;
	ptrace(PTRACE_SETOPTIONS, r->main, NULL,
	       PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACEEXEC);
	ptrace(PTRACE_SYSCALL, r->main, NULL, NULL);
}

/* Until the program is gone, and all that it left behind is let go. */
static void follow(struct run *r)
{
	bool gone = false;

	while (r->count && !(gone && !r->killed)) {
		int status;
		pid_t tid;

		if (asked_to_end) {
			kill(r->main, asked_to_end);
			asked_to_end = 0;
		}
		if (disarmed) {
			disarmed = 0;
			fprintf(r->log, "counted\n");
		}
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		if (WIFSTOPPED(status)) {
			on_stop(r, tid, status);
			if (r->killed && tid != r->main)
				drop(r, tid);
			continue;
		}
		drop(r, tid);
		if (tid == r->main) {
			r->status = status;
			gone = true;
		}
	}
}

int main(int argc, char **argv)
{
	struct run r = {0};

	if (argc < 4) {
		fprintf(stderr, "usage: kill-step [+]STEP LOG PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	armed = argv[1][0] == '+';
	r.step = strtoul(argv[1] + armed, NULL, 10);
	r.log = fopen(argv[2], "we");
	if (!r.log) {
		perror(argv[2]);
		return 2;
	}
	setlinebuf(r.log);
	watch_signals();
	begin(&r, argv + 3);
	follow(&r);
	fclose(r.log);
	return WIFSIGNALED(r.status) ? 128 + WTERMSIG(r.status) : WEXITSTATUS(r.status);
}
