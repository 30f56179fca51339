/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User networking: a NAT of its own in a helper process (panal-net-user, libslirp), so that its parsers of guest
 * packets share nothing with the machine. One SOCK_SEQPACKET pair carries the frames, one frame a message. The
 * helper ends when our end of the pair closes.
 */
#include "net/net_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_TIMEOUT_MS = 10000, SOCKET_BUFFER = 1 << 20, ARG_MAX_COUNT = 2 * OPT_MAX + 8 };

struct net_user {
	struct net_fd base;
	pid_t pid;
};

static void user_close(struct net *net)
{
	struct net_user *u = container_of(net, struct net_user, base.net);

	net_fd_stop(&u->base); /* the helper reads end-of-file and ends */
	if (u->pid > 0)
		waitpid(u->pid, NULL, 0);
	free(u);
}

static const struct net_ops user_ops = {
	.name = "user",
	.close = user_close,
	.send = net_fd_send,
	.rx_ready = net_fd_rx_ready,
};

/* The helper's descriptors have fixed numbers: 3 frames, 4 its one word after start. */
static int spawn_helper(pid_t *pid, const char *path, char *const argv[], int frames, int word, struct err *e)
{
	posix_spawn_file_actions_t fa;
	int ret;

	posix_spawn_file_actions_init(&fa);
	/* dup2 from numbers above 4 onto 3 and 4; both sources were moved out of the way by the caller. */
	posix_spawn_file_actions_adddup2(&fa, frames, 3);
	posix_spawn_file_actions_adddup2(&fa, word, 4);
	ret = posix_spawn(pid, path, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (ret)
		return err_errno(e, ret, "cannot start the network helper %s", path);
	return 0;
}

/* The helper says "ok" or one line of what is wrong. */
static int await_word(int fd, struct err *e)
{
	char text[ERR_TEXT_MAX] = "";
	size_t have = 0;

	while (have < sizeof(text) - 1) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, START_TIMEOUT_MS) <= 0)
			return err_set(e, -ETIMEDOUT, "the network helper does not answer");
		got = read(fd, text + have, sizeof(text) - 1 - have);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	text[strcspn(text, "\n")] = 0;
	if (!strcmp(text, "ok"))
		return 0;
	return err_set(e, -EIO, "user networking: %s", *text ? text : "the network helper ended at once");
}

/* Keys that go to the helper as they are. */
static const struct {
	const char *key, *arg;
} passed[] = { { "tftp", "--tftp" }, { "bootfile", "--bootfile" } };

static int collect_args(char **argv, char *path, const struct opts *o, bool sandbox, struct err *e)
{
	struct net_forward f;
	unsigned n = 0;
	int ret;

	argv[n++] = path;
	for (unsigned k = 0; k < o->count; k++) {
		if (strcmp(o->item[k].desc->key, "forward"))
			continue;
		ret = net_forward_parse(&f, o->item[k].text, e);
		if (ret < 0)
			return ret;
		argv[n++] = (char *)"--forward";
		argv[n++] = o->item[k].text;
	}
	for (size_t k = 0; k < COUNT_OF(passed); k++)
		if (opts_string(o, passed[k].key, NULL)) {
			argv[n++] = (char *)(uintptr_t)passed[k].arg;
			argv[n++] = (char *)(uintptr_t)opts_string(o, passed[k].key, NULL);
		}
	if (opts_bool(o, "restrict", false))
		argv[n++] = (char *)"--restrict";
	if (!opts_bool(o, "dns", true))
		argv[n++] = (char *)"--no-dns";
	if (!sandbox)
		argv[n++] = (char *)"--no-sandbox";
	argv[n] = NULL;
	return 0;
}

/* Moves a descriptor to 10 or above, close-on-exec, so that dup2 to 3 and 4 in the child collides with nothing. */
static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	close(fd);
	return up;
}

static int start(struct net_user *u, const struct opts *o, const struct net_helper *helper, int *frames, struct err *e)
{
	char path[PATH_MAX], *argv[ARG_MAX_COUNT];
	int pair[2], word[2], size = SOCKET_BUFFER, ret;

	snprintf(path, sizeof(path), "%s/panal-net-user", helper->dir);
	ret = collect_args(argv, path, o, helper->sandbox, e);
	if (ret < 0)
		return ret;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "cannot make a socket pair");
	if (pipe2(word, O_CLOEXEC) < 0) {
		close(pair[0]);
		close(pair[1]);
		return err_errno(e, errno, "cannot make a pipe");
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	pair[1] = move_up(pair[1]);
	word[1] = move_up(word[1]);
	ret = spawn_helper(&u->pid, path, argv, pair[1], word[1], e);
	close(pair[1]);
	close(word[1]);
	if (ret == 0) {
		ret = await_word(word[0], e);
		if (ret < 0) {
			close(pair[0]);
			pair[0] = -1;
			waitpid(u->pid, NULL, 0);
		}
	}
	close(word[0]);
	if (ret < 0 && pair[0] >= 0)
		close(pair[0]);
	if (ret == 0) {
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		*frames = pair[0];
	}
	return ret;
}

/* "fd:N": whoever commands the machine started the helper, and sees to its end. */
static int take_over(const char *text, int *frames, struct err *e)
{
	socklen_t len = sizeof(int);
	int type = 0;
	uint64_t v;

	if (strncmp(text, "fd:", 3) || parse_number(text + 3, &v, e) < 0 || v > INT_MAX)
		return err_set(e, -EINVAL, "helper=%.40s is not fd:NUMBER", text);
	if (getsockopt((int)v, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return err_set(e, -EINVAL, "descriptor %d is no socket of a network helper", (int)v);
	*frames = (int)v;
	return fcntl(*frames, F_SETFD, FD_CLOEXEC) < 0 || fd_set_nonblock(*frames, true) < 0 ?
		       err_set(e, -EBADF, "cannot use descriptor %d", *frames) : 0;
}

int net_user_open(struct net **out, const struct opts *o, struct loop *loop,
		  const struct net_helper *helper, struct err *e)
{
	struct net_user *u = calloc(1, sizeof(*u));
	int fd = -1, ret;

	if (!u)
		return err_set(e, -ENOMEM, "out of memory");
	u->base.net.ops = &user_ops;
	ret = opts_string(o, "helper", NULL) ? take_over(opts_string(o, "helper", NULL), &fd, e) :
					       start(u, o, helper, &fd, e);
	if (ret == 0) {
		ret = net_fd_start(&u->base, fd, 0, loop, "the network helper", e);
		if (ret < 0) {
			close(fd);
			if (u->pid > 0)
				waitpid(u->pid, NULL, 0);
		}
	}
	if (ret < 0) {
		free(u);
		return ret;
	}
	*out = &u->base.net;
	return 0;
}
