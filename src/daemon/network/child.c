/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/network/child.h"

#include "base/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_TERM_MS = 2000, END_KILL_MS = 5000, ARGUMENTS_MAX = 4096 };

static char *const environment[] = {
	(char *)(uintptr_t) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	(char *)(uintptr_t) "LANG=C.UTF-8", NULL};

int child_spawn(pid_t *pid, const char *const argv[], int in_fd, int out_fd, int err_fd, struct err *e)
{
	static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char path[256];
	int ret = ENOENT;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in_fd, 0);
	posix_spawn_file_actions_adddup2(&files, out_fd, 1);
	posix_spawn_file_actions_adddup2(&files, err_fd, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	for (unsigned n = 0; n < COUNT_OF(folders) && ret == ENOENT; n++) {
		snprintf(path, sizeof(path), "%s/%s", folders[n], argv[0]);
		ret = posix_spawn(pid, path, &files, &attr, (char *const *)(uintptr_t)argv, environment);
	}
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (ret == ENOENT)
		return err_set(e, -ENOENT, "there is no program %s on this host; install it (Debian: %s)", argv[0],
			       !strcmp(argv[0], "nft") ? "nftables" : "dnsmasq-base");
	return ret ? err_errno(e, ret, "cannot start %s", argv[0]) : 0;
}

/* Its status, or a negative errno. */
static int wait_for(pid_t pid, const char *name, struct err *e)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int got = pidfd < 0 ? 1 : poll(&p, 1, CHILD_SECONDS * 1000);

	if (got <= 0)
		kill(pid, SIGKILL);
	fd_close(&pidfd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, errno, "cannot wait for %s", name);
	if (got <= 0)
		return err_set(e, -ETIMEDOUT, "%s did not end within %d seconds", name, CHILD_SECONDS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What it wrote, at most max bytes; NULL: no memory. */
static char *written(int fd, size_t max, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	size_t take = size < 0 ? 0 : (size_t)size > max ? max : (size_t)size;
	char *text = malloc(take + 1);
	ssize_t got;

	if (!text)
		return NULL;
	got = pread(fd, text, take, 0);
	*len = got > 0 ? (size_t)got : 0;
	text[*len] = 0;
	return text;
}

static int judge(int status, const char *name, int err_fd, struct err *e)
{
	size_t len = 0;
	char *words, *end;

	if (status <= 0)
		return status;
	words = written(err_fd, 300, &len);
	for (end = words ? words + len : NULL; end && end > words && isspace((unsigned char)end[-1]);)
		*--end = 0;
	for (char *p = words; p && *p; p++)
		if (*p == '\n')
			*p = ' ';
	err_set(e, -EIO, "%s failed (status %d): %s", name, status, words ? words : "");
	free(words);
	return -EIO;
}

int child_run(const char *const argv[], const void *in, size_t len, char **out, size_t *out_len, struct err *e)
{
	int in_fd = fd_memfd("panal-in", 0, e), out_fd = fd_memfd("panal-out", 0, e);
	int err_fd = fd_memfd("panal-err", 0, e), ret = -EIO;
	pid_t pid;

	if (in_fd >= 0 && out_fd >= 0 && err_fd >= 0) {
		ret = fd_write_all(in_fd, in, len);
		if (ret < 0)
			err_errno(e, -ret, "cannot give %s its input", argv[0]);
		lseek(in_fd, 0, SEEK_SET);
		if (ret == 0)
			ret = child_spawn(&pid, argv, in_fd, out_fd, err_fd, e);
		if (ret == 0)
			ret = wait_for(pid, argv[0], e);
		if (ret > 0)
			ret = judge(ret, argv[0], err_fd, e);
		if (ret == 0 && out) {
			*out = written(out_fd, CHILD_OUTPUT_MAX, out_len);
			if (!*out)
				ret = err_set(e, -ENOMEM, "out of memory");
		}
	}
	fd_close(&in_fd);
	fd_close(&out_fd);
	fd_close(&err_fd);
	return ret;
}

/* ---- processes of before ---- */

/* Whether the process's arguments are those: the first ends in the program's name, one of the others is `argument`. */
static bool has_arguments(const char *pid, const char *program, const char *argument)
{
	char path[64], text[ARGUMENTS_MAX + 1];
	const char *name;
	size_t len, at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	len = fread(text, 1, ARGUMENTS_MAX, f);
	fclose(f);
	text[len] = 0;
	name = strrchr(text, '/');
	if (strcmp(name ? name + 1 : text, program))
		return false;
	for (at = strlen(text) + 1; at < len; at += strlen(text + at) + 1)
		if (!strcmp(text + at, argument))
			return true;
	return false;
}

int child_find(const char *program, const char *argument, pid_t *pid)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int fd = -ENOENT;

	if (!dir)
		return -errno;
	while (fd < 0 && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_arguments(entry->d_name, program, argument))
			continue;
		*pid = (pid_t)atoi(entry->d_name);
		fd = (int)syscall(SYS_pidfd_open, *pid, 0);
		/* The number may be another process's by now: looked at again after it was pinned down. */
		if (fd >= 0 && !has_arguments(entry->d_name, program, argument))
			fd_close(&fd);
		if (fd < 0)
			fd = -ENOENT;
	}
	closedir(dir);
	return fd;
}

void child_end(int *pidfd)
{
	struct pollfd p = { .fd = *pidfd, .events = POLLIN };

	if (*pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, *pidfd, SIGTERM, NULL, 0);
	syscall(SYS_pidfd_send_signal, *pidfd, SIGCONT, NULL, 0);
	if (poll(&p, 1, END_TERM_MS) <= 0) {
		syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
		poll(&p, 1, END_KILL_MS);
	}
	waitid((idtype_t)P_PIDFD, (id_t)*pidfd, &(siginfo_t){ 0 }, WEXITED | WNOHANG);
	fd_close(pidfd);
}
