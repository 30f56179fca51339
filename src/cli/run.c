/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * panal run: a machine in the foreground, no daemon. panal-vmm is the engine under it, a child process with the same
 * options; its serial port writes to our standard output, and what is typed goes to it through a pipe and a filter.
 */
#include "base/text.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NO_ENGINE = 127, EXIT_SIGNALLED = 128 };
enum { KEYS_MAX = 64 << 10 }; /* typed ahead, beside what the pipe holds */

struct run {
	struct terminal terminal;
	pid_t pid;
	int to_guest;  /* write end of the child's standard input, non-blocking; -1: closed */
	size_t waiting; /* keys for which the pipe has no room yet */
	char keys[KEYS_MAX];
	int signal_fd; /* SIGCHLD, SIGTERM, SIGINT, SIGHUP */
};

/* Beside this program, or where it was installed. */
static void engine_path(char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(path, size, "%s/panal-vmm", PANAL_BINDIR);
	if (len <= 0)
		return;
	self[len] = 0;
	snprintf(path, size, "%s/panal-vmm", dirname(self));
}

static int no_engine(const char *path)
{
	fprintf(stderr, _("panal: cannot start %s: %s; panal-vmm belongs beside panal\n"), path, strerror(errno));
	return EXIT_NO_ENGINE;
}

/* The child keeps our signals unblocked and dies with us. */
static pid_t start_engine(const char *path, char **argv, int input)
{
	sigset_t none;
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	dup2(input, STDIN_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_NO_ENGINE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A group of its own: the terminal's signals reach it through us only. */
	setpgid(0, 0);
	argv[0] = (char *)"panal run";
	execv(path, argv);
	_exit(no_engine(path));
}

static void explain(void)
{
	char text[256];
	/* the terminal is raw */
	int len = snprintf(text, sizeof(text), "\r\n%s\r\n",
			   _("Ctrl-A x quits, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this."));

	if (write(STDERR_FILENO, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1) < 0)
		return;
}

static void close_input(struct run *r)
{
	if (r->to_guest >= 0)
		close(r->to_guest);
	r->to_guest = -1;
	r->waiting = 0;
}

static void flush_keys(struct run *r)
{
	ssize_t len = write(r->to_guest, r->keys, r->waiting);

	if (len > 0) {
		r->waiting -= (size_t)len;
		memmove(r->keys, r->keys + len, r->waiting);
	} else if (len < 0 && errno != EAGAIN && errno != EINTR) {
		close_input(r);
	}
}

/* A guest that reads nothing must not keep a person from leaving: the escape key is heeded even when no other key can
 * be kept any more; those are answered with the bell. */
static void keep_key(struct run *r, char key)
{
	if (r->waiting < KEYS_MAX)
		r->keys[r->waiting++] = key;
	else if (write(STDERR_FILENO, "\a", 1) < 0)
		return;
}

/* What was typed, through the filter. */
static void pass_keys(struct run *r)
{
	char in[256];
	ssize_t len = read(STDIN_FILENO, in, sizeof(in));

	if (len <= 0) {
		if (len == 0 || errno != EINTR)
			close_input(r);
		return;
	}
	for (ssize_t k = 0; k < len; k++)
		switch (terminal_key(&r->terminal, in[k])) {
		case TERMINAL_PASS: keep_key(r, in[k]); break;
		case TERMINAL_QUIT: sigqueue(r->pid, SIGTERM, (union sigval){ 0 }); break; /* so it knows why */
		case TERMINAL_HELP: explain(); break;
		case TERMINAL_SWALLOW: break;
		}
	if (r->waiting)
		flush_keys(r);
}

/* True when the engine ended; *status is what wait gave. */
static bool serve_signal(struct run *r, int *status)
{
	struct signalfd_siginfo info;

	if (read(r->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD)
		return waitpid(r->pid, status, WNOHANG) == r->pid;
	kill(r->pid, SIGTERM);
	return false;
}

static int wait_for_end(struct run *r)
{
	int status = 0;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = r->signal_fd, .events = POLLIN },
			{ .fd = r->to_guest >= 0 ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = r->waiting ? r->to_guest : -1, .events = POLLOUT },
		};

		if (poll(p, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if ((p[0].revents & POLLIN) && serve_signal(r, &status))
			break;
		if (p[2].revents)
			flush_keys(r);
		if (p[1].revents && r->to_guest >= 0)
			pass_keys(r);
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, _("panal: the machine's process was killed by signal %d (%s)\n"), WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return EXIT_SIGNALLED + WTERMSIG(status);
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run_on_terminal(const char *path, char **argv)
{
	struct run r = { .signal_fd = watch_signals() };
	int input[2], status;

	if (r.signal_fd < 0 || pipe2(input, O_CLOEXEC) < 0 || fcntl(input[1], F_SETFL, O_NONBLOCK) < 0) {
		fprintf(stderr, _("panal: cannot prepare the machine's input: %s\n"), strerror(errno));
		return 1;
	}
	fputs(_("panal: Ctrl-A x quits, Ctrl-A h tells more\n"), stderr);
	r.to_guest = input[1];
	r.pid = start_engine(path, argv, input[0]);
	close(input[0]);
	if (r.pid < 0) {
		fprintf(stderr, _("panal: cannot start a process: %s\n"), strerror(errno));
		return 1;
	}
	terminal_raw(&r.terminal);
	status = wait_for_end(&r);
	terminal_restore(&r.terminal);
	return status;
}

int run_main(int argc, char **argv)
{
	char path[PATH_MAX + 16];
	bool plain = !isatty(STDIN_FILENO);

	engine_path(path, sizeof(path));
	for (int n = 1; n < argc; n++)
		if (!strcmp(argv[n], "--help") || !strcmp(argv[n], "-h") || !strcmp(argv[n], "--version") ||
		    !strcmp(argv[n], "--dry-run"))
			plain = true;
	if (!plain)
		return run_on_terminal(path, argv);
	/* No terminal, no filter: this process becomes the engine. */
	argv[0] = (char *)"panal run";
	execv(path, argv);
	return no_engine(path);
}
