/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/client/client.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/list.h"
#include "core/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OUTPUT_MAX = 1 << 20, READ_CHUNK = 16384 };

/* Answers come in the order of the commands. */
struct command {
	struct list node;
	control_done_fn done;
	void *opaque;
};

struct control_client {
	struct loop *loop;
	const struct control_client_ops *ops;
	void *opaque;
	int fd;
	struct loop_fd *watch;
	bool greeted, ready;
	struct buf in, out;
	struct list commands;
	unsigned pending;
	bool *closed; /* of the function that is on the stack, when it is closed from within */
};

/*
 * From here on nothing is sent or taken; who waits for an answer gets an error. They are moved away first: an answered
 * one may close the client.
 */
static void cut(struct control_client *c, const char *why)
{
	struct list all, *commands = &all;
	struct err e = { 0 };

	list_init(&all);
	while (!list_empty(&c->commands)) {
		struct list *it = c->commands.next;

		list_remove(it);
		list_add_tail(&all, it);
	}

	loop_fd_remove(c->watch);
	c->watch = NULL;
	fd_close(&c->fd);
	err_set(&e, -EPIPE, "the machine's process does not answer: %s", why);
	while (!list_empty(commands)) {
		struct command *cmd = list_entry(commands->next, struct command, node);
		control_done_fn done = cmd->done;
		void *opaque = cmd->opaque;

		list_remove(&cmd->node);
		free(cmd);
		if (done)
			done(opaque, NULL, &e);
	}
}

void control_client_close(struct control_client *c)
{
	if (!c)
		return;
	if (c->closed)
		*c->closed = true;
	c->closed = NULL;
	cut(c, "the connection was closed");
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* Ends the connection and tells so; the owner closes what is left. */
static void lose(struct control_client *c, const char *why)
{
	bool closed = false;

	c->closed = &closed;
	cut(c, why);
	if (closed)
		return;
	c->closed = NULL;
	c->ops->lost(c->opaque, why);
}

/* ---- output ---- */

static bool flush(struct control_client *c)
{
	if (!buf_send(&c->out, c->fd))
		return false;
	loop_fd_events(c->watch, c->out.len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return true;
}

/* The descriptor goes with the first byte of what is to be sent. */
static int send_with_fd(struct control_client *c, int fd)
{
	struct iovec iov = { c->out.data, c->out.len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	ssize_t sent;

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0) {
		buf_consume(&c->out, c->out.len);
		return -errno;
	}
	buf_consume(&c->out, (size_t)sent);
	return 0;
}

static int send_command(struct control_client *c, const char *name, json_t *arguments, int fd)
{
	json_t *msg = json_pack("{s:s}", "execute", name);
	char *text = NULL;
	int ret = -ENOMEM;

	if (msg && arguments)
		json_object_set(msg, "arguments", arguments);
	if (msg)
		text = json_dumps(msg, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text)
		ret = buf_printf(&c->out, "%s\n", text);
	free(text);
	json_decref(msg);
	json_decref(arguments);
	if (ret == 0 && fd >= 0)
		ret = send_with_fd(c, fd);
	if (ret == 0 && !flush(c))
		ret = -EPIPE; /* the loop notices it too, and tells */
	return ret;
}

int control_client_execute_fd(struct control_client *c, const char *name, json_t *arguments, int fd,
			      control_done_fn done, void *opaque, struct err *e)
{
	bool possible = (fd < 0 || !c->out.len) && c->fd >= 0 && c->greeted && c->pending < CONTROL_CLIENT_PENDING_MAX;
	struct command *cmd = possible ? malloc(sizeof(*cmd)) : NULL;
	int ret;

	if (!cmd) {
		json_decref(arguments);
		return err_set(e, -EAGAIN, "%s", c->fd < 0 ? "the machine's process is gone" :
			       "the machine's process takes no more commands now");
	}
	ret = send_command(c, name, arguments, fd);
	if (ret < 0) {
		free(cmd);
		return err_set(e, ret, "cannot speak to the machine's process");
	}
	*cmd = (struct command){ .done = done, .opaque = opaque };
	list_add_tail(&c->commands, &cmd->node);
	c->pending++;
	return 0;
}

int control_client_execute(struct control_client *c, const char *name, json_t *arguments, control_done_fn done,
			   void *opaque, struct err *e)
{
	return control_client_execute_fd(c, name, arguments, -1, done, opaque, e);
}

/* ---- input ---- */

static void negotiated(void *opaque, const json_t *result, const struct err *e)
{
	struct control_client *c = opaque;

	if (!result)
		return;
	c->ready = true;
	c->ops->ready(c->opaque);
}

static void take_answer(struct control_client *c, const json_t *msg)
{
	struct command *cmd = list_entry(c->commands.next, struct command, node);
	const json_t *result = json_object_get(msg, "return"), *error = json_object_get(msg, "error");
	const char *text = json_string_value(json_object_get(error, "desc"));
	const char *class = json_string_value(json_object_get(error, "class"));
	struct command copy = *cmd;
	struct err e = { 0 };

	list_remove(&cmd->node);
	free(cmd);
	c->pending--;
	if (!result)
		err_set(&e, class && !strcmp(class, "DeviceLocked") ? -EBUSY : -EREMOTEIO, "%s",
			text ? text : "the machine's process refuses");
	if (copy.done)
		copy.done(copy.opaque, result, &e);
}

/* False: it is not the protocol. */
static bool take_message(struct control_client *c, const json_t *msg)
{
	const char *event = json_string_value(json_object_get(msg, "event"));

	if (!c->greeted) {
		c->greeted = json_object_get(msg, "QMP") != NULL;
		return c->greeted && control_client_execute(c, "qmp_capabilities", NULL, negotiated, c, NULL) == 0;
	}
	if (event) {
		c->ops->event(c->opaque, event, json_object_get(msg, "data"));
		return true;
	}
	if (list_empty(&c->commands) || (!json_object_get(msg, "return") && !json_object_get(msg, "error")))
		return false;
	take_answer(c, msg);
	return true;
}

/* A message is a line. False: the connection is to be lost; *closed: the client is gone. */
static bool take_lines(struct control_client *c, bool *closed)
{
	uint8_t *end;

	while (c->in.len && (end = memchr(c->in.data, '\n', c->in.len))) {
		size_t len = (size_t)(end - c->in.data) + 1;
		json_t *msg = json_loadb((const char *)c->in.data, len, JSON_REJECT_DUPLICATES, NULL);
		bool ok;

		buf_consume(&c->in, len);
		ok = json_is_object(msg) && take_message(c, msg);
		json_decref(msg);
		if (*closed)
			return true;
		if (!ok)
			return false;
	}
	return true;
}

static void on_io(void *opaque, int fd, unsigned events)
{
	struct control_client *c = opaque;
	bool closed = false, ok = true;
	uint8_t chunk[READ_CHUNK];
	ssize_t got;

	if ((events & LOOP_WRITE) && !flush(c)) {
		lose(c, "it closed its control socket");
		return;
	}
	got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		lose(c, "it closed its control socket");
		return;
	}
	c->closed = &closed;
	ok = buf_append(&c->in, chunk, (size_t)got) == 0 && take_lines(c, &closed);
	if (closed)
		return;
	c->closed = NULL;
	if (!ok)
		lose(c, "it does not keep to the control protocol");
}

/* ---- life ---- */

static int connect_to(const char *path, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes", path,
			       sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, errno, "cannot create a socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int reason = errno;

		close(fd);
		return err_errno(e, reason, "cannot reach the machine's process at %s", path);
	}
	return fd;
}

int control_client_open(struct control_client **out, struct loop *loop, const char *path,
			const struct control_client_ops *ops, void *opaque, struct err *e)
{
	struct control_client *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->loop = loop;
	c->ops = ops;
	c->opaque = opaque;
	list_init(&c->commands);
	buf_init(&c->in, CONTROL_CLIENT_MESSAGE_MAX);
	buf_init(&c->out, OUTPUT_MAX);
	ret = c->fd = connect_to(path, e);
	if (ret >= 0)
		ret = loop_fd_add(loop, c->fd, LOOP_READ, on_io, c, &c->watch, e);
	if (ret < 0) {
		control_client_close(c);
		return ret;
	}
	*out = c;
	return 0;
}
