/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/domain/usernet.h"

#include "base/buf.h"
#include "base/fd.h"
#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The helper's descriptors: frames, and its one word after its start. */
enum { FRAMES = 3, WORD = 4, ABOVE = 10, WORD_MS = 5000, ARGS_MAX = 132, SOCKET_BUFFER = 1 << 20 };

struct usernet {
	struct list node;
	pid_t pid;
	int pidfd;
	struct loop_fd *watch;
};

void usernets_init(struct usernets *u)
{
	list_init(&u->list);
}

static void drop(struct usernet *n)
{
	list_remove(&n->node);
	loop_fd_remove(n->watch);
	fd_close(&n->pidfd);
	free(n);
}

void usernets_free(struct usernets *u)
{
	while (!list_empty(&u->list))
		drop(list_entry(u->list.next, struct usernet, node));
}

/* It ended: no zombie stays. */
static void on_end(void *opaque, int fd, unsigned events)
{
	struct usernet *n = opaque;

	waitid((idtype_t)P_PIDFD, (id_t)fd, &(siginfo_t){ 0 }, WEXITED | WNOHANG);
	drop(n);
}

/* ",forward=A,forward=B" becomes "--forward", "A", "--forward", "B"; the text is cut up for that. */
static int forwards(char *text, char **argv, unsigned count, struct err *e)
{
	static const char key[] = ",forward=";

	for (char *at = text ? strstr(text, key) : NULL, *next; at; at = next) {
		next = strstr(at + 1, key);
		if (count + 3 > ARGS_MAX)
			return err_set(e, -ENOTSUP, "so many forwarded ports are not possible");
		argv[count++] = (char *)(uintptr_t) "--forward";
		argv[count++] = at + sizeof(key) - 1;
		*at = 0;
	}
	argv[count] = NULL;
	return 0;
}

static int spawn(struct usernet *n, char *const argv[], int frames, int word, struct err *e)
{
	char *const environment[] = {(char *)(uintptr_t) "LANG=C.UTF-8", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, frames, FRAMES);
	posix_spawn_file_actions_adddup2(&files, word, WORD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	ret = posix_spawn(&n->pid, argv[0], &files, &attr, argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return ret ? err_errno(e, ret, "cannot start %s", argv[0]) : 0;
}

/* "ok", or a line of what is wrong. */
static int await_word(int fd, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[ERR_TEXT_MAX] = "";
	ssize_t got = poll(&p, 1, WORD_MS) > 0 ? read(fd, text, sizeof(text) - 1) : -1;

	text[strcspn(text, "\n")] = 0;
	if (got > 0 && !strcmp(text, "ok"))
		return 0;
	return err_set(e, -EIO, "user networking: %s", text[0] ? text : "its helper does not answer");
}

static int watch(struct usernets *u, struct usernet *n, struct loop *loop, struct err *e)
{
	n->pidfd = (int)syscall(SYS_pidfd_open, n->pid, 0);
	if (n->pidfd < 0)
		return err_errno(e, errno, "cannot watch the network helper");
	list_add_tail(&u->list, &n->node);
	return loop_fd_add(loop, n->pidfd, LOOP_READ, on_end, n, &n->watch, e);
}

static int pair_up(int frames[2], int word[2], struct err *e)
{
	int size = SOCKET_BUFFER;

	for (unsigned n = 0; n < 2; n++)
		frames[n] = word[n] = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, frames) < 0 || pipe2(word, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pair of sockets");
	setsockopt(frames[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(frames[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

static int begin(struct usernets *u, struct loop *loop, char *const argv[], int *frames, struct err *e)
{
	struct usernet *n = calloc(1, sizeof(*n));
	int pair[2], word[2], up[2] = {-1, -1}, ret = pair_up(pair, word, e);

	if (ret == 0 && !n)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret == 0) { /* out of the way of the numbers that they become */
		up[0] = fcntl(pair[1], F_DUPFD_CLOEXEC, ABOVE);
		up[1] = fcntl(word[1], F_DUPFD_CLOEXEC, ABOVE);
		ret = up[0] < 0 || up[1] < 0 ? err_errno(e, errno, "cannot copy a descriptor") :
					       spawn(n, argv, up[0], up[1], e);
	}
	fd_close(&pair[1]);
	fd_close(&word[1]);
	fd_close(&up[0]);
	fd_close(&up[1]);
	if (ret == 0 && watch(u, n, loop, e) < 0) {
		kill(n->pid, SIGKILL);
		ret = e->code;
	} else if (ret == 0) {
		ret = await_word(word[0], e); /* after a failure it ends, and on_end comes */
	} else {
		free(n);
	}
	fd_close(&word[0]);
	if (ret < 0)
		fd_close(&pair[0]);
	*frames = pair[0];
	return ret;
}

int usernet_start(struct usernets *u, struct loop *loop, const char *dir, const struct domdef_interface *i,
		  struct err *e)
{
	char path[PATH_MAX], *argv[ARGS_MAX], *text;
	struct buf b;
	int frames = -1, ret;

	buf_init(&b, 64 << 10);
	ret = domdef_forwards(i, &b, e);
	text = ret == 0 && b.len ? strndup((const char *)b.data, b.len) : NULL;
	buf_free(&b);
	snprintf(path, sizeof(path), "%s/panal-net-user", dir);
	argv[0] = path;
	argv[1] = (char *)(uintptr_t) "--stay";
	if (ret == 0)
		ret = forwards(text, argv, 2, e);
	if (ret == 0)
		ret = begin(u, loop, argv, &frames, e);
	free(text);
	return ret < 0 ? ret : frames;
}
