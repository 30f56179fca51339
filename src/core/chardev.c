/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/chardev.h"

#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A pipe or terminal that polls writable takes at least this much without blocking (PIPE_BUF). The descriptors of
 * the terminal are shared with other programs, so O_NONBLOCK is not set on them. */
enum { WRITE_CHUNK = 4096, READ_CHUNK = 4096 };

struct chardev {
	struct loop *loop;
	struct chardev_client client;
	int listener; /* unix: accepts the next peer */
	struct loop_fd *in_watch, *out_watch, *listen_watch;
	_Atomic bool rx_paused, want_out;

	pthread_mutex_t lock;
	/* lock must be held for these; written on the loop's thread only */
	int in, out; /* -1: none */
	bool owned;

	/* loop thread: what the client did not take yet */
	uint8_t pending[READ_CHUNK];
	size_t pending_at, pending_len;
};

static void watch_input(struct chardev *c);

static bool deliver(struct chardev *c)
{
	size_t left = c->pending_len - c->pending_at, taken;

	if (!left)
		return true;
	taken = c->client.receive ? c->client.receive(c->client.opaque, c->pending + c->pending_at, left) : left;
	c->pending_at += taken;
	return taken == left;
}

static void drop_peer(struct chardev *c)
{
	loop_fd_remove(c->in_watch);
	c->in_watch = NULL;
	pthread_mutex_lock(&c->lock);
	if (c->owned && c->in >= 0)
		close(c->in);
	c->in = -1;
	if (c->listener >= 0)
		c->out = -1;
	pthread_mutex_unlock(&c->lock);
	if (c->listener >= 0)
		loop_fd_events(c->listen_watch, LOOP_READ);
}

static void on_input(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;
	ssize_t got;

	if (c->pending_at < c->pending_len)
		return;
	got = read(fd, c->pending, sizeof(c->pending));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop_peer(c);
		return;
	}
	c->pending_at = 0;
	c->pending_len = (size_t)got;
	if (!deliver(c)) {
		atomic_store(&c->rx_paused, true);
		watch_input(c);
	}
}

static void watch_input(struct chardev *c)
{
	if (c->in_watch)
		loop_fd_events(c->in_watch, atomic_load(&c->rx_paused) ? 0 : LOOP_READ);
}

static void go_on_receiving(void *opaque)
{
	struct chardev *c = opaque;

	if (!atomic_load(&c->rx_paused) || !deliver(c))
		return;
	atomic_store(&c->rx_paused, false);
	watch_input(c);
}

void chardev_rx_ready(struct chardev *c)
{
	if (atomic_load(&c->rx_paused) && loop_post(c->loop, go_on_receiving, c) < 0)
		return; /* the next call tries again */
}

/* Room again for one who waits for it. */
static void on_output(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;

	loop_fd_remove(c->out_watch);
	c->out_watch = NULL;
	close(fd);
	atomic_store(&c->want_out, false);
	if (c->client.writable)
		c->client.writable(c->client.opaque);
}

static void poll_output(void *opaque)
{
	struct chardev *c = opaque;
	int fd = c->out >= 0 ? dup(c->out) : -1;

	/* A second descriptor, because epoll takes each one once and input may be the same. */
	if (fd < 0 || loop_fd_add(c->loop, fd, LOOP_WRITE, on_output, c, &c->out_watch, NULL) < 0) {
		atomic_store(&c->want_out, false);
		if (c->client.writable)
			c->client.writable(c->client.opaque);
	}
	if (fd >= 0 && !c->out_watch)
		close(fd);
}

static size_t write_some(int fd, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		size_t n = len - done < WRITE_CHUNK ? len - done : WRITE_CHUNK;
		ssize_t put;

		if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLOUT | POLLERR | POLLHUP)))
			break;
		put = write(fd, buf + done, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == EAGAIN ? done : len; /* nobody reads any more: bytes vanish */
		done += (size_t)put;
	}
	return done;
}

size_t chardev_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	size_t done = len;

	pthread_mutex_lock(&c->lock);
	if (c->out >= 0)
		done = write_some(c->out, buf, len);
	pthread_mutex_unlock(&c->lock);
	if (done < len && !atomic_exchange(&c->want_out, true) && loop_post(c->loop, poll_output, c) < 0)
		atomic_store(&c->want_out, false);
	return done;
}

static void on_peer(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	loop_fd_events(c->listen_watch, 0);
	pthread_mutex_lock(&c->lock);
	c->in = c->out = peer;
	pthread_mutex_unlock(&c->lock);
	c->pending_at = c->pending_len = 0;
	if (loop_fd_add(c->loop, peer, LOOP_READ, on_input, c, &c->in_watch, NULL) < 0)
		drop_peer(c);
}

static int open_stdio(struct chardev *c, const char *arg, struct err *e)
{
	c->in = STDIN_FILENO;
	c->out = STDOUT_FILENO;
	/* Standard input may be a file or /dev/null, which epoll refuses: then there is nothing to wait for. */
	if (loop_fd_add(c->loop, c->in, LOOP_READ, on_input, c, &c->in_watch, NULL) < 0)
		c->in = -1;
	return 0;
}

static int open_file(struct chardev *c, const char *path, struct err *e)
{
	c->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	c->owned = true;
	return c->out < 0 ? err_errno(e, errno, "cannot write %s", path) : 0;
}

static int open_unix(struct chardev *c, const char *path, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	c->owned = true;
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0 || bind(c->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(c->listener, 1) < 0)
		return err_errno(e, errno, "cannot listen on %s%s", path, errno == EADDRINUSE ? "; remove the old socket first" : "");
	return loop_fd_add(c->loop, c->listener, LOOP_READ, on_peer, c, &c->listen_watch, e);
}

static int open_none(struct chardev *c, const char *arg, struct err *e)
{
	return 0;
}

static const struct {
	const char *prefix; /* ends in ':' when an argument follows */
	int (*open)(struct chardev *c, const char *arg, struct err *e);
} kinds[] = {
	{ "stdio", open_stdio },
	{ "file:", open_file },
	{ "unix:", open_unix },
	{ "none", open_none },
};

static int open_kind(struct chardev *c, const char *spec, struct err *e)
{
	for (size_t n = 0; n < COUNT_OF(kinds); n++) {
		size_t len = strlen(kinds[n].prefix);

		if (!strncmp(spec, kinds[n].prefix, len) && (kinds[n].prefix[len - 1] == ':' ? spec[len] : !spec[len]))
			return kinds[n].open(c, spec + len, e);
	}
	return err_set(e, -EINVAL, "\"%s\" is not one of stdio, file:PATH, unix:PATH, none", spec);
}

int chardev_open(struct chardev **out, const char *spec, struct loop *loop, struct err *e)
{
	struct chardev *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->loop = loop;
	c->in = c->out = c->listener = -1;
	pthread_mutex_init(&c->lock, NULL);
	ret = open_kind(c, spec, e);
	if (ret < 0) {
		chardev_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

void chardev_close(struct chardev *c)
{
	if (!c)
		return;
	c->client = (struct chardev_client){ 0 };
	loop_fd_remove(c->in_watch);
	if (c->out_watch)
		on_output(c, loop_fd_number(c->out_watch), 0);
	loop_fd_remove(c->listen_watch);
	if (c->owned && c->out >= 0)
		close(c->out);
	if (c->listener >= 0)
		close(c->listener);
	if (c->owned && c->in >= 0 && c->in != c->out)
		close(c->in);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void chardev_set_client(struct chardev *c, const struct chardev_client *client)
{
	c->client = *client;
}
