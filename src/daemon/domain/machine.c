/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/domain/machine.h"

#include "base/fd.h"
#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_WORDS_MAX = 400 };
static const int64_t SECOND_NS = INT64_C(1000000000);

struct machine {
	struct loop *loop;
	const struct machine_ops *ops;
	void *opaque;
	pid_t pid;
	uint64_t start_time;
	int pidfd; /* -1: the pid is not known; the control connection then tells the end */
	struct loop_fd *watch;
	struct control_client *control;
	struct timer timer; /* the start, then the end, takes too long */
	bool ready, ending, exited;
	char *log_path;
	off_t log_from; /* where this run's messages begin */
	char control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* ---- the end ---- */

/* The last line that the process wrote, without the program's name before it. */
static void last_words(const struct machine *m, char *out, size_t size)
{
	char text[LAST_WORDS_MAX + 1], *line, *colon;
	int fd = m->log_path ? open(m->log_path, O_RDONLY | O_CLOEXEC) : -1;
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0, from;
	ssize_t got = 0;

	snprintf(out, size, "the machine's process ended");
	if (fd >= 0 && end > m->log_from) {
		from = end - m->log_from > LAST_WORDS_MAX ? end - LAST_WORDS_MAX : m->log_from;
		got = pread(fd, text, LAST_WORDS_MAX, from);
	}
	fd_close(&fd);
	if (got <= 0)
		return;
	text[got] = 0;
	while (got > 0 && text[got - 1] == '\n')
		text[--got] = 0;
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	colon = strstr(line, "error: ");
	snprintf(out, size, "%s", colon ? colon + 7 : line);
}

/* Commands that wait for an answer fail here, and who gave them must not find the connection. */
static void close_control(struct machine *m)
{
	struct control_client *c = m->control;

	m->control = NULL;
	control_client_close(c);
}

static void on_gone(struct machine *m)
{
	char words[LAST_WORDS_MAX + 1];

	timer_cancel(&m->timer);
	loop_fd_remove(m->watch);
	m->watch = NULL;
	if (m->pidfd >= 0) /* its own child leaves no zombie; of an adopted process there is none */
		waitid((idtype_t)P_PIDFD, (id_t)m->pidfd, &(siginfo_t){ 0 }, WEXITED | WNOHANG);
	close_control(m);
	last_words(m, words, sizeof(words));
	m->ops->ended(m->opaque, words);
}

static void arm(struct machine *m, int seconds)
{
	timer_arm(&m->timer, clock_now(timerq_clock(loop_timers(m->loop))) + seconds * SECOND_NS);
}

/* What the process said last is still in the control connection, whose end comes next. */
static void on_pidfd(void *opaque, int fd, unsigned events)
{
	struct machine *m = opaque;

	m->exited = true;
	loop_fd_remove(m->watch);
	m->watch = NULL;
	if (m->control)
		arm(m, MACHINE_LAST_WORDS_SECONDS);
	else
		on_gone(m);
}

static void send_signal(struct machine *m, int number)
{
	if (m->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, m->pidfd, number, NULL, 0);
}

static void on_timer(void *opaque)
{
	struct machine *m = opaque;

	if (m->exited)
		on_gone(m);
	else
		send_signal(m, SIGKILL);
}

/* Of a process whose number is not known. When it does not take the command, its connection ends, and so it is told. */
static void ask_to_quit(struct machine *m)
{
	if (control_client_execute(m->control, "quit", NULL, NULL, NULL, NULL) < 0)
		on_gone(m);
}

void machine_end(struct machine *m)
{
	if (m->ending)
		return;
	m->ending = true;
	if (m->pidfd < 0 && m->control) {
		if (m->ready)
			ask_to_quit(m);
		return;
	}
	send_signal(m, SIGTERM);
	send_signal(m, SIGCONT); /* a stopped process would not hear the first */
	arm(m, MACHINE_KILL_SECONDS);
}

/* ---- the control connection ---- */

static void control_ready(void *opaque)
{
	struct machine *m = opaque;

	m->ready = true;
	if (m->ending && m->pidfd < 0) {
		ask_to_quit(m);
		return;
	}
	if (!m->ending)
		timer_cancel(&m->timer);
	m->ops->ready(m->opaque);
}

static void control_event(void *opaque, const char *name, const json_t *data)
{
	struct machine *m = opaque;

	m->ops->event(m->opaque, name, data);
}

/* A process that does not speak any more cannot be managed: it is ended. */
static void control_lost(void *opaque, const char *why)
{
	struct machine *m = opaque;

	close_control(m);
	if (m->pidfd < 0 || m->exited)
		on_gone(m);
	else
		machine_end(m);
}

static const struct control_client_ops control_ops = {control_ready, control_event, control_lost};

int machine_execute_fd(struct machine *m, const char *command, json_t *arguments, int fd, control_done_fn done,
		       void *opaque, struct err *e)
{
	if (!m->control) {
		json_decref(arguments);
		return err_set(e, -EPIPE, "the machine's process is going");
	}
	return control_client_execute_fd(m->control, command, arguments, fd, done, opaque, e);
}

int machine_execute(struct machine *m, const char *command, json_t *arguments, control_done_fn done, void *opaque,
		    struct err *e)
{
	return machine_execute_fd(m, command, arguments, -1, done, opaque, e);
}

/* ---- the process ---- */

/* Fields of /proc/PID/stat, counted as proc(5) does, from the third on. False: there is no such process. */
static bool read_stat(pid_t pid, unsigned long long *field, unsigned count)
{
	char path[64], text[1024], *at;
	FILE *f;
	size_t got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	got = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[got] = 0;
	at = strrchr(text, ')'); /* the name before it may hold anything */
	at = at ? strchr(at + 2, ' ') : NULL;
	for (unsigned n = 0; n < count; n++) {
		if (!at)
			return false;
		field[n] = strtoull(at, &at, 10);
	}
	return true;
}

enum { STAT_UTIME = 14 - 4, STAT_STIME = 15 - 4, STAT_START = 22 - 4, STAT_RSS = 24 - 4, STAT_COUNT = 21 };

static uint64_t start_time_of(pid_t pid)
{
	unsigned long long field[STAT_COUNT];

	return read_stat(pid, field, STAT_COUNT) ? field[STAT_START] : 0;
}

bool machine_usage(const struct machine *m, struct machine_usage *u)
{
	unsigned long long field[STAT_COUNT];
	uint64_t tick = (uint64_t)SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK);

	*u = (struct machine_usage){ 0 };
	if (m->pid <= 0 || !read_stat(m->pid, field, STAT_COUNT))
		return false;
	u->user_ns = field[STAT_UTIME] * tick;
	u->system_ns = field[STAT_STIME] * tick;
	u->rss_kib = field[STAT_RSS] * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
	return true;
}

static int make_socket(struct machine *m, const char *dir, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, ret = 0;

	if ((size_t)snprintf(m->control_path, sizeof(m->control_path), "%s/control", dir) >= sizeof(m->control_path))
		return err_set(e, -ENAMETOOLONG, "the path %s/control is too long for a socket", dir);
	memcpy(sa.sun_path, m->control_path, sizeof(sa.sun_path));
	unlink(m->control_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot create a socket");
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(m->control_path, 0600) < 0 || listen(fd, 4) < 0)
		ret = err_errno(e, errno, "cannot listen on %s", m->control_path);
	if (ret < 0)
		close(fd);
	return ret < 0 ? ret : fd;
}

static int open_log(struct machine *m, const char *path, struct err *e)
{
	int fd = fd_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, e);

	if (fd < 0)
		return fd;
	m->log_path = strdup(path);
	m->log_from = lseek(fd, 0, SEEK_END);
	return fd;
}

/* Copies beyond all the numbers that the process is to see: none is overwritten before it is copied. */
static int lift(int *high, const struct machine_config *cfg, struct err *e)
{
	for (unsigned n = 0; n < cfg->fd_count; n++) {
		high[n] = fcntl(cfg->fds[n], F_DUPFD_CLOEXEC, MACHINE_FIRST_FD + MACHINE_FDS_MAX);
		if (high[n] < 0)
			return err_errno(e, errno, "cannot copy a descriptor for the machine");
	}
	return 0;
}

/* A session of its own, no signal blocked or ignored, and of our descriptors the three, the control socket and those
 * that cfg names. */
static int spawn(struct machine *m, const struct machine_config *cfg, int control_fd, int log_fd, struct err *e)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int high[MACHINE_FDS_MAX];
	char *const environment[] = {
		(char *)(uintptr_t) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		(char *)(uintptr_t) "LANG=C.UTF-8", NULL};
	int ret = 0;

	memset(high, -1, sizeof(high));
	if (cfg->fd_count > MACHINE_FDS_MAX || lift(high, cfg, e) < 0)
		ret = -EMFILE;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, log_fd, 1);
	posix_spawn_file_actions_adddup2(&files, log_fd, 2);
	posix_spawn_file_actions_adddup2(&files, control_fd, MACHINE_CONTROL_FD);
	for (unsigned n = 0; n < cfg->fd_count; n++)
		posix_spawn_file_actions_adddup2(&files, high[n], MACHINE_FIRST_FD + (int)n);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (ret == 0) {
		ret = -posix_spawn(&m->pid, cfg->program, &files, &attr, cfg->argv, environment);
		if (ret < 0)
			err_errno(e, -ret, "cannot start %s", cfg->program);
	}
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	for (unsigned n = 0; n < COUNT_OF(high); n++)
		fd_close(&high[n]);
	return ret;
}

static int watch_process(struct machine *m, struct err *e)
{
	m->pidfd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	if (m->pidfd < 0)
		return err_errno(e, errno, "cannot watch the machine's process %d", (int)m->pid);
	return loop_fd_add(m->loop, m->pidfd, LOOP_READ, on_pidfd, m, &m->watch, e);
}

static struct machine *machine_new(struct loop *loop, const struct machine_ops *ops, void *opaque)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->loop = loop;
	m->ops = ops;
	m->opaque = opaque;
	m->pidfd = -1;
	timer_init(&m->timer, loop_timers(loop), on_timer, m);
	return m;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	close_control(m);
	timer_cancel(&m->timer);
	loop_fd_remove(m->watch);
	fd_close(&m->pidfd);
	free(m->log_path);
	free(m);
}

/* A process that could not be watched or spoken to is not left behind. */
static int begin(struct machine *m, const struct machine_config *cfg, int control_fd, int log_fd, struct err *e)
{
	int ret = spawn(m, cfg, control_fd, log_fd, e);

	if (ret < 0)
		return ret;
	m->start_time = start_time_of(m->pid);
	ret = watch_process(m, e);
	if (ret == 0)
		ret = control_client_open(&m->control, m->loop, m->control_path, &control_ops, m, e);
	if (ret < 0) {
		kill(m->pid, SIGKILL);
		waitpid(m->pid, NULL, 0);
	}
	return ret;
}

int machine_start(struct machine **out, struct loop *loop, const struct machine_config *cfg,
		  const struct machine_ops *ops, void *opaque, struct err *e)
{
	struct machine *m = machine_new(loop, ops, opaque);
	int control_fd, log_fd = -1, ret;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	ret = control_fd = make_socket(m, cfg->dir, e);
	if (ret >= 0)
		ret = log_fd = open_log(m, cfg->log_path, e);
	if (ret >= 0)
		ret = begin(m, cfg, control_fd, log_fd, e);
	fd_close(&control_fd);
	fd_close(&log_fd);
	if (ret < 0) {
		machine_free(m);
		return ret;
	}
	arm(m, MACHINE_START_SECONDS);
	*out = m;
	return 0;
}

int machine_adopt(struct machine **out, struct loop *loop, const char *dir, pid_t pid, uint64_t start_time,
		  const struct machine_ops *ops, void *opaque, struct err *e)
{
	struct machine *m = machine_new(loop, ops, opaque);
	int ret;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	snprintf(m->control_path, sizeof(m->control_path), "%s/control", dir);
	ret = control_client_open(&m->control, loop, m->control_path, &control_ops, m, e);
	if (ret == 0 && pid > 0) {
		m->pid = pid;
		m->start_time = start_time;
		ret = watch_process(m, e);
		/* The number may be another process's by now: looked at after it was pinned down. */
		if (ret == 0 && start_time_of(pid) != start_time)
			ret = err_set(e, -ECONNREFUSED, "process %d is another one by now", (int)pid);
	}
	if (ret < 0) {
		machine_free(m);
		return ret;
	}
	*out = m;
	return 0;
}

pid_t machine_pid(const struct machine *m)
{
	return m->pid;
}

uint64_t machine_start_time(const struct machine *m)
{
	return m->start_time;
}
