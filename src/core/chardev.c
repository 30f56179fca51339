/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/chardev.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/loop.h"
#include "core/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { INPUT_CHUNK = 4096, BLOCKING_CHUNK = 256 };

struct chardev {
	struct loop *loop;
	/* loop thread */
	struct chardev_client client; /* zeroed: none */
	bool has_client;
	int in_fd, listen_fd, kick_fd;
	struct loop_fd *in_watch, *out_watch, *listen_watch, *kick_watch;
	bool in_plain; /* input that epoll does not take (a file): it is always ready */
	char *path;    /* of the listening socket, to be removed */
	struct pty pty;
	struct loop_fd *pty_watch;
	bool on_pty; /* the peer is who has the pseudo-terminal open */
	uint8_t pending[INPUT_CHUNK]; /* read, and not yet taken by the client from pending_at on */
	size_t pending_at, pending_len;

	pthread_mutex_t lock; /* what follows; a leaf */
	int out_fd;
	bool out_may_block; /* out_fd is shared with other programs and could not be made non-blocking */
	bool out_gone;      /* out_fd failed and is to be closed */
	bool out_socket;
	bool starved;       /* chardev_write took less than it was given */
	struct buf queue;
};

static void input_start(struct chardev *c);

/* ---- output ---- */

/* Under the lock. The number of bytes written, 0 when it would block, or a negative errno. */
static ssize_t out_write(struct chardev *c, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (c->out_may_block) {
		struct pollfd p = {.fd = c->out_fd, .events = POLLOUT};

		if (poll(&p, 1, 0) <= 0)
			return 0;
		if (len > BLOCKING_CHUNK)
			len = BLOCKING_CHUNK;
	}
	do /* a peer that went must not kill the program */
		n = c->out_socket ? send(c->out_fd, data, len, MSG_NOSIGNAL) : write(c->out_fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

/* Under the lock: whoever listened is gone, what waits is void. */
static void out_lost(struct chardev *c)
{
	c->queue.len = 0;
	c->out_gone = c->out_watch != NULL; /* then output_ready closes it, on the loop's thread */
	if (!c->out_gone)
		fd_close(&c->out_fd);
}

/* Under the lock. Returns what was written at once. */
static size_t write_now(struct chardev *c, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = out_write(c, data + done, len - done);

		if (n < 0) {
			out_lost(c);
			return len;
		}
		if (!n)
			break;
		done += (size_t)n;
	}
	return done;
}

size_t chardev_write(struct chardev *c, const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&c->lock);
	size_t done = len;

	if (c->out_fd >= 0) {
		done = c->queue.len ? 0 : write_now(c, data, len);
		size_t more = len - done;
		if (more > buf_room(&c->queue))
			more = buf_room(&c->queue);
		if (more && !buf_append(&c->queue, data + done, more))
			done += more;
		c->starved |= done < len;
		if (c->queue.len || c->starved)
			fd_event_signal(c->kick_fd);
	}
	pthread_mutex_unlock(&c->lock);
	return done;
}

static void output_ready(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;

	pthread_mutex_lock(&c->lock);
	if (events & LOOP_HANGUP)
		out_lost(c);
	size_t done = write_now(c, c->queue.data, c->queue.len);
	buf_consume(&c->queue, done < c->queue.len ? done : c->queue.len);
	bool idle = !c->queue.len;
	bool tell = c->starved && c->queue.len <= CHARDEV_QUEUE_MAX / 2;
	if (tell)
		c->starved = false;
	if (idle) {
		loop_fd_remove(c->out_watch);
		c->out_watch = NULL;
	}
	if (idle && c->out_gone)
		out_lost(c);
	pthread_mutex_unlock(&c->lock);
	if (tell && c->client.writable)
		c->client.writable(c->client.opaque);
}

/* ---- input ---- */

static void input_stop(struct chardev *c)
{
	loop_fd_remove(c->in_watch);
	c->in_watch = NULL;
}

static void peer_gone(struct chardev *c)
{
	input_stop(c);
	fd_close(&c->in_fd);
	c->on_pty = false;
	pthread_mutex_lock(&c->lock);
	loop_fd_remove(c->out_watch);
	c->out_watch = NULL;
	out_lost(c);
	pthread_mutex_unlock(&c->lock);
}

/* in is taken over. False: it is closed. */
static bool peer_came(struct chardev *c, int in, bool socket)
{
	int out = fcntl(in, F_DUPFD_CLOEXEC, 3);

	if (out < 0) {
		close(in);
		return false;
	}
	c->in_fd = in;
	c->pending_at = c->pending_len = 0;
	pthread_mutex_lock(&c->lock);
	c->out_fd = out;
	c->out_socket = socket;
	pthread_mutex_unlock(&c->lock);
	return true;
}

/* Whoever has the terminal open is the peer while no other is. */
static void take_pty(struct chardev *c)
{
	int in = c->in_fd < 0 && pty_in_use(&c->pty) ? fcntl(c->pty.master_fd, F_DUPFD_CLOEXEC, 3) : -1;

	c->on_pty = in >= 0 && peer_came(c, in, false);
	if (c->on_pty)
		input_start(c);
}

static void input_ended(struct chardev *c)
{
	bool was_pty = c->on_pty;

	if (c->listen_fd < 0) {
		input_stop(c);
		fd_close(&c->in_fd);
		return;
	}
	peer_gone(c);
	loop_fd_events(c->listen_watch, LOOP_READ);
	if (was_pty || c->pty.master_fd < 0)
		return;
	pty_discard(&c->pty);
	take_pty(c);
}

/* Hands on what was read; false when the client has no room for all of it. */
static bool deliver(struct chardev *c)
{
	size_t left = c->pending_len - c->pending_at;

	if (left)
		c->pending_at += c->client.receive
					 ? c->client.receive(c->client.opaque, c->pending + c->pending_at, left)
					 : left;
	return c->pending_at == c->pending_len;
}

/* Reads once. False: nothing more is to be read now. */
static bool input_read(struct chardev *c)
{
	ssize_t n = read(c->in_fd, c->pending, sizeof(c->pending));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		input_ended(c);
		return false;
	}
	c->pending_at = 0;
	c->pending_len = (size_t)n;
	if (deliver(c))
		return true;
	input_stop(c); /* chardev_rx_ready starts it again */
	return false;
}

static void input_ready(void *opaque, int fd, unsigned events)
{
	input_read(opaque);
}

static void input_start(struct chardev *c)
{
	if (c->in_fd < 0 || c->in_watch || !c->has_client || !deliver(c))
		return;
	if (!c->in_plain && loop_fd_add(c->loop, c->in_fd, LOOP_READ, input_ready, c, &c->in_watch, NULL) == -EPERM)
		c->in_plain = true;
	if (c->in_plain && input_read(c))
		fd_event_signal(c->kick_fd);
}

/* Another thread has left something to do for this one. */
static void kicked(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;

	fd_event_clear(fd);
	pthread_mutex_lock(&c->lock);
	if (c->out_fd >= 0 && !c->out_watch && (c->queue.len || c->starved) &&
	    loop_fd_add(c->loop, c->out_fd, LOOP_WRITE, output_ready, c, &c->out_watch, NULL) < 0)
		out_lost(c); /* a plain file fails to be written, it never waits */
	bool tell = c->starved && c->out_fd < 0;
	if (tell)
		c->starved = false;
	pthread_mutex_unlock(&c->lock);
	if (tell && c->client.writable)
		c->client.writable(c->client.opaque);
	input_start(c);
}

void chardev_rx_ready(struct chardev *c)
{
	fd_event_signal(c->kick_fd);
}

void chardev_set_client(struct chardev *c, const struct chardev_client *client)
{
	c->client = *client;
	c->has_client = client->receive != NULL;
	if (!c->has_client)
		input_stop(c);
	fd_event_signal(c->kick_fd);
}

/* ---- kinds ---- */

/*
 * Standard output is shared with the shell: made non-blocking, the shell's would be too. So terminals and pipes are
 * opened anew, which gives flags of our own; where that is not allowed, poll before small writes has to do.
 */
static int open_stdout(struct chardev *c, struct err *e)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) < 0)
		return 0; /* closed: the bytes vanish */
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		c->out_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (c->out_fd >= 0)
			return 0;
	}
	c->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	c->out_may_block = !S_ISREG(st.st_mode);
	return c->out_fd < 0 ? err_errno(e, errno, "cannot use standard output") : 0;
}

static int open_stdio(struct chardev *c, const char *path, struct err *e)
{
	c->in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return open_stdout(c, e);
}

static int open_file(struct chardev *c, const char *path, struct err *e)
{
	c->out_fd = fd_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_NONBLOCK, 0644, e);
	return c->out_fd < 0 ? c->out_fd : 0;
}

static int open_none(struct chardev *c, const char *path, struct err *e)
{
	return 0;
}

static void accepted(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	if (c->on_pty)
		peer_gone(c); /* until this one goes */
	if (!peer_came(c, peer, true))
		return;
	loop_fd_events(c->listen_watch, 0); /* one at a time: the next waits */
	input_start(c);
}

static void pty_ready(void *opaque, int fd, unsigned events)
{
	struct chardev *c = opaque;

	pty_opened(&c->pty);
	if (!c->on_pty)
		take_pty(c);
}

/* A socket that nobody listens on is left over from a program that died. */
static void remove_stale(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd;

	if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
		unlink(sa->sun_path);
	fd_close(&fd);
}

int chardev_listen(const char *path, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd;

	if (!*path || strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket path \"%.60s\" must have 1 to %zu characters", path,
			       sizeof(sa.sun_path) - 1);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	remove_stale(&sa);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot create a socket");
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0) {
		int reason = errno;

		close(fd);
		return err_errno(e, reason, "cannot listen on %s", path);
	}
	return fd;
}

static int open_unix(struct chardev *c, const char *path, struct err *e)
{
	c->listen_fd = chardev_listen(path, e);
	if (c->listen_fd < 0)
		return c->listen_fd;
	c->path = strdup(path);
	if (!c->path)
		return err_set(e, -ENOMEM, "out of memory");
	return loop_fd_add(c->loop, c->listen_fd, LOOP_READ, accepted, c, &c->listen_watch, e);
}

/* A host without pseudo-terminals has the socket. */
static int open_pty(struct chardev *c, const char *path, struct err *e)
{
	struct err why = { 0 };
	char *link = NULL;
	int ret = open_unix(c, path, e);

	if (ret < 0)
		return ret;
	if (asprintf(&link, "%s.tty", path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (pty_open(&c->pty, link, &why) < 0)
		log_line(LOG_WARNING, "%s; the socket %s is there", why.text, path);
	else
		ret = loop_fd_add(c->loop, c->pty.opened_fd, LOOP_READ, pty_ready, c, &c->pty_watch, e);
	free(link);
	return ret;
}

static const struct kind {
	const char *name; /* with a colon: a path follows */
	int (*open)(struct chardev *c, const char *path, struct err *e);
} kinds[] = {{"stdio", open_stdio}, {"none", open_none}, {"file:", open_file}, {"unix:", open_unix},
	      {"pty:", open_pty}};

static const struct kind *find_kind(const char *spec, const char **path)
{
	for (const struct kind *k = kinds; k < kinds + COUNT_OF(kinds); k++) {
		size_t len = strlen(k->name);
		bool takes_path = k->name[len - 1] == ':';

		if (strncmp(spec, k->name, len) || (takes_path ? !spec[len] : spec[len]))
			continue;
		*path = spec + len;
		return k;
	}
	return NULL;
}

int chardev_open(struct chardev **out, const char *spec, struct loop *loop, struct err *e)
{
	const char *path;
	const struct kind *k = find_kind(spec, &path);
	struct chardev *c;
	int ret;

	if (!k)
		return err_set(e, -EINVAL, "\"%.60s\" is none of stdio, file:PATH, unix:PATH, pty:PATH, none", spec);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->loop = loop;
	c->in_fd = c->out_fd = c->listen_fd = -1;
	c->pty = PTY_NONE;
	pthread_mutex_init(&c->lock, NULL);
	buf_init(&c->queue, CHARDEV_QUEUE_MAX);
	ret = c->kick_fd = fd_event(e);
	if (ret >= 0)
		ret = loop_fd_add(loop, c->kick_fd, LOOP_READ, kicked, c, &c->kick_watch, e);
	if (ret >= 0)
		ret = k->open(c, path, e);
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
	if (c->out_fd >= 0 && c->queue.len)
		write_now(c, c->queue.data, c->queue.len);
	loop_fd_remove(c->in_watch);
	loop_fd_remove(c->out_watch);
	loop_fd_remove(c->listen_watch);
	loop_fd_remove(c->pty_watch);
	loop_fd_remove(c->kick_watch);
	pty_close(&c->pty);
	fd_close(&c->in_fd);
	fd_close(&c->out_fd);
	fd_close(&c->listen_fd);
	fd_close(&c->kick_fd);
	if (c->path)
		unlink(c->path);
	free(c->path);
	buf_free(&c->queue);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
