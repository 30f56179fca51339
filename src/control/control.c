/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/opt.h"
#include "core/chardev.h"
#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct client {
	struct control *control;
	int fd;
	struct loop_fd *watch;
	bool negotiated;
	int passed_fd; /* came and belongs to the next message; -1: none */
	struct framing framing;
	struct buf out; /* what the peer has not taken yet */
};

struct control {
	struct loop *loop;
	struct control_target target;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int listener;
	int status; /* /proc/self/status */
	struct loop_fd *watch;
	struct client *client[CONTROL_CLIENTS_MAX];
	struct control_fds fds;
	char tag[CONTROL_TAG_MAX];
};

static void drop(struct client *cl)
{
	struct control *c = cl->control;

	for (unsigned n = 0; n < CONTROL_CLIENTS_MAX; n++)
		if (c->client[n] == cl)
			c->client[n] = NULL;
	loop_fd_remove(cl->watch);
	close(cl->fd);
	fd_close(&cl->passed_fd);
	buf_free(&cl->out);
	free(cl);
}

/* Sends what it can; false when the peer is gone. */
static bool flush(struct client *cl)
{
	if (!buf_send(&cl->out, cl->fd))
		return false;
	loop_fd_events(cl->watch, cl->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return true;
}

/* Takes the reference. False: the client is to be dropped. */
static bool tell(struct client *cl, json_t *msg)
{
	char *text = msg ? json_dumps(msg, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	bool ok = text && buf_append(&cl->out, text, strlen(text)) == 0 &&
		  buf_append(&cl->out, "\r\n", 2) == 0 && flush(cl);

	free(text);
	json_decref(msg);
	return ok;
}

static json_t *answer(struct client *cl)
{
	struct command_call call = {
		.control = cl->control,
		.target = &cl->control->target,
		.negotiated = &cl->negotiated,
		.fds = &cl->control->fds,
		.passed_fd = &cl->passed_fd,
	};

	return command_answer(&call, cl->framing.text, cl->framing.len);
}

/* Handles each whole message of what came. False: drop the client. */
static bool take(struct client *cl, const char *buf, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		int ret = framing_put(&cl->framing, buf[n]);

		if (ret < 0)
			return false;
		if (ret == 0)
			continue;
		if (!tell(cl, answer(cl)))
			return false;
		fd_close(&cl->passed_fd);
		framing_next(&cl->framing);
	}
	return true;
}

/* Bytes, and maybe a descriptor: the last of several stays. What recv returns. */
static ssize_t receive(struct client *cl, char *buf, size_t len)
{
	enum { FDS = 4 };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	ssize_t got = recvmsg(cl->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return got;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t n = 0; n < count; n++) {
			fd_close(&cl->passed_fd);
			memcpy(&cl->passed_fd, CMSG_DATA(c) + n * sizeof(int), sizeof(int));
		}
	}
	return got;
}

static void on_client(void *opaque, int fd, unsigned events)
{
	struct client *cl = opaque;
	char buf[4096];
	ssize_t got;
	bool ok = true;

	if (events & LOOP_WRITE)
		ok = flush(cl);
	if (ok && (events & (LOOP_READ | LOOP_HANGUP))) {
		got = receive(cl, buf, sizeof(buf));
		if (got > 0)
			ok = take(cl, buf, (size_t)got);
		else
			ok = got < 0 && (errno == EAGAIN || errno == EINTR);
	}
	if (!ok)
		drop(cl);
}

static void on_connect(void *opaque, int fd, unsigned events)
{
	struct control *c = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *cl;

	if (peer < 0)
		return;
	for (unsigned n = 0; n < CONTROL_CLIENTS_MAX; n++) {
		if (c->client[n])
			continue;
		cl = calloc(1, sizeof(*cl));
		if (!cl)
			break;
		*cl = (struct client){ .control = c, .fd = peer, .passed_fd = -1 };
		buf_init(&cl->out, CONTROL_OUTPUT_MAX);
		if (loop_fd_add(c->loop, peer, LOOP_READ, on_client, cl, &cl->watch, NULL) < 0) {
			free(cl);
			break;
		}
		c->client[n] = cl;
		if (!tell(cl, command_greeting()))
			drop(cl);
		return;
	}
	close(peer);
}

/* "fd:N": a listening socket that the program was started with, whose path is somebody else's affair. */
static int take_listener(struct control *c, struct err *e)
{
	uint64_t number;
	int on = 0;
	socklen_t len = sizeof(on);

	if (parse_number(c->path + 3, &number, e) < 0 || number > INT_MAX)
		return err_set(e, -EINVAL, "the control socket %s is not fd:NUMBER", c->path);
	if (getsockopt((int)number, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0 || !on)
		return err_set(e, -EBADF, "the control socket %s is no listening socket", c->path);
	c->listener = (int)number;
	c->path[0] = 0;
	if (fcntl(c->listener, F_SETFD, FD_CLOEXEC) < 0 || fd_set_nonblock(c->listener, true) < 0)
		return err_set(e, -EBADF, "the control socket cannot be used");
	return 0;
}

/* For its user alone: who can command the machine can do with it what its user can. */
static int make_listener(struct control *c, struct err *e)
{
	mode_t old = umask(0177);

	c->listener = chardev_listen(c->path, e);
	umask(old);
	if (c->listener < 0) {
		err_wrap(e, c->listener == -EADDRINUSE ? "another machine uses this control socket"
						       : "the control socket");
		return c->listener;
	}
	return 0;
}

static int listen_at(struct control *c, struct err *e)
{
	int ret = strncmp(c->path, "fd:", 3) ? make_listener(c, e) : take_listener(c, e);

	return ret < 0 ? ret : loop_fd_add(c->loop, c->listener, LOOP_READ, on_connect, c, &c->watch, e);
}

int control_create(struct control **out, const char *path, struct loop *loop, const struct control_target *target,
                   struct err *e)
{
	struct control *c;
	int ret;

	if (strlen(path) >= sizeof(c->path))
		return err_set(e, -ENAMETOOLONG, "the control socket's path is longer than %zu bytes",
			       sizeof(c->path) - 1);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->loop = loop;
	c->target = *target;
	c->listener = -1;
	c->status = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* without it one number is missing */
	strcpy(c->path, path);
	ret = listen_at(c, e);
	if (ret < 0) {
		if (c->listener >= 0)
			close(c->listener);
		if (c->status >= 0)
			close(c->status);
		free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void control_destroy(struct control *c)
{
	if (!c)
		return;
	for (unsigned n = 0; n < CONTROL_CLIENTS_MAX; n++)
		if (c->client[n])
			drop(c->client[n]);
	control_fds_close(&c->fds);
	loop_fd_remove(c->watch);
	close(c->listener);
	if (c->status >= 0)
		close(c->status);
	if (c->path[0])
		unlink(c->path);
	free(c);
}

char *control_tag(struct control *c)
{
	return c ? c->tag : NULL;
}

int control_status_fd(const struct control *c)
{
	return c ? c->status : -1;
}

static void broadcast(struct control *c, const char *name, json_t *data)
{
	struct timespec ts;
	json_t *msg;

	clock_gettime(CLOCK_REALTIME, &ts);
	msg = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)ts.tv_sec, "microseconds",
	                (json_int_t)(ts.tv_nsec / 1000), "event", name);
	if (data)
		json_object_set_new(msg, "data", data);
	/* A client may be in the middle of its own command here: its connection is cut, and dropped by its own watch.
	 */
	for (unsigned n = 0; n < CONTROL_CLIENTS_MAX; n++)
		if (c->client[n] && c->client[n]->negotiated && !tell(c->client[n], json_incref(msg)))
			shutdown(c->client[n]->fd, SHUT_RDWR);
	json_decref(msg);
}

void control_event_named(struct control *c, const char *name)
{
	broadcast(c, name, NULL);
}

void control_event_tray(struct control *c, const char *id, bool open)
{
	broadcast(c, "DEVICE_TRAY_MOVED", json_pack("{s:s, s:s, s:b}", "device", id, "id", id, "tray-open", (int)open));
}

void control_event_channel(struct control *c, const char *name, bool open)
{
	broadcast(c, "VSERPORT_CHANGE", json_pack("{s:s, s:b}", "id", name, "open", (int)open));
}

void control_event_device(struct control *c, const char *name, const char *id)
{
	char path[CONTROL_ID_MAX + 32];

	snprintf(path, sizeof(path), "/machine/peripheral/%s", id);
	broadcast(c, name, json_pack("{s:s, s:s}", "device", id, "path", path));
}

void control_event_disk(struct control *c, const char *id, bool write, int error, const char *action)
{
	broadcast(c, "BLOCK_IO_ERROR",
		  json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", id, "node-name", id, "operation",
			    write ? "write" : "read", "action", action, "nospace", error == -ENOSPC, "reason",
			    strerror(-error)));
}

void control_event_threshold(struct control *c, const char *id, uint64_t threshold, uint64_t by)
{
	broadcast(c, "BLOCK_WRITE_THRESHOLD",
		  json_pack("{s:s, s:I, s:I}", "node-name", id, "amount-exceeded", (json_int_t)by, "write-threshold",
			    (json_int_t)threshold));
}

void control_event_clock(struct control *c, int64_t offset)
{
	broadcast(c, "RTC_CHANGE", json_pack("{s:I}", "offset", (json_int_t)offset));
}

void control_event_balloon(struct control *c, uint64_t bytes)
{
	broadcast(c, "BALLOON_CHANGE", json_pack("{s:I}", "actual", (json_int_t)bytes));
}

static const char *const reasons[VM_REQUEST_COUNT] = {
	[VM_REQUEST_POWEROFF] = "guest-shutdown",
	[VM_REQUEST_RESET] = "guest-reset",
	[VM_REQUEST_TRIPLE_FAULT] = "guest-panic",
	[VM_REQUEST_PANIC] = "guest-panic",
	[VM_REQUEST_DEBUG_EXIT] = "guest-shutdown",
	[VM_REQUEST_WATCHDOG] = "guest-reset",
	[VM_REQUEST_ERROR] = "host-error",
	[VM_REQUEST_HOST_QUIT] = "host-qmp-quit",
	[VM_REQUEST_HOST_RESET] = "host-qmp-system-reset",
	[VM_REQUEST_HOST_SIGNAL] = "host-signal",
};

void control_event(struct control *c, enum vm_event ev, enum vm_request why)
{
	static const char *const names[] = {
		[VM_EVENT_STOP] = "STOP",
		[VM_EVENT_RESUME] = "RESUME",
		[VM_EVENT_RESET] = "RESET",
		[VM_EVENT_SHUTDOWN] = "SHUTDOWN",
		[VM_EVENT_PANICKED] = "GUEST_PANICKED",
		[VM_EVENT_WATCHDOG] = "WATCHDOG",
		[VM_EVENT_SUSPEND] = "SUSPEND",
		[VM_EVENT_SUSPEND_DISK] = "SUSPEND_DISK",
		[VM_EVENT_WAKEUP] = "WAKEUP",
	};
	static const char *const actions[] = {
		[VM_WATCHDOG_RESET] = "reset",
		[VM_WATCHDOG_POWEROFF] = "poweroff",
		[VM_WATCHDOG_PAUSE] = "pause",
		[VM_WATCHDOG_NMI] = "inject-nmi",
		[VM_WATCHDOG_NONE] = "none",
	};
	json_t *data = NULL;

	if (ev >= COUNT_OF(names)) /* those with data of their own, or none of a client's business */
		return;
	if (ev == VM_EVENT_SHUTDOWN || ev == VM_EVENT_RESET)
		data = json_pack("{s:b, s:s}", "guest", why < VM_REQUEST_ERROR, "reason", reasons[why]);
	else if (ev == VM_EVENT_PANICKED)
		data = json_pack("{s:s}", "action", c->target.vm->policy.pause_on_panic ? "pause" : "run");
	else if (ev == VM_EVENT_WATCHDOG)
		data = json_pack("{s:s}", "action", actions[c->target.vm->policy.watchdog]);
	broadcast(c, names[ev], data);
}
