/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's serial console as a stream. Nothing is read from the guest that the client has no room for. */
#include "daemon/remote/remote_priv.h"

#include "base/buf.h"
#include "base/fd.h"
#include "core/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CONSOLE_INPUT_MAX = 64 << 10, /* keys that the guest has not taken; beyond, the client is not read from */
	CONSOLE_CHUNK = 16 << 10,
	CONSOLE_FORCE = 1,
	CONSOLE_SAFE = 2,
};

enum { WHICH_SERIAL, WHICH_CONSOLE, WHICH_CHANNEL };

struct console {
	struct stream *stream;
	struct loop_fd *watch;
	int fd;
	bool full;      /* the client has no room */
	struct buf input;
	char domain[37]; /* for the list of those that are open */
	int which;       /* of the domain's: WHICH_SERIAL, WHICH_CONSOLE, or a channel's number from WHICH_CHANNEL on */
	struct console_list *list;
	struct list node;
};

static void console_free(struct console *t)
{
	list_remove(&t->node);
	loop_fd_remove(t->watch);
	fd_close(&t->fd);
	buf_free(&t->input);
	free(t);
}

static void update(struct console *t)
{
	loop_fd_events(t->watch, (t->full ? 0u : LOOP_READ) | (t->input.len ? LOOP_WRITE : 0u));
}

static void end_stream(struct console *t, const char *why)
{
	struct stream *s = t->stream;
	struct fault f;

	console_free(t);
	fault_set(&f, FAULT_OPERATION_FAILED, FROM_STREAMS, "%s", why);
	stream_abort(s, &f);
}

/* ---- from the guest ---- */

/* The stream's end is an end, not a fault: the client sees that no more comes. */
static void guest_gone(struct console *t)
{
	stream_send_end(t->stream);
	t->full = true;
	fd_close(&t->fd);
	loop_fd_remove(t->watch);
	t->watch = NULL;
}

static void read_guest(struct console *t)
{
	uint8_t chunk[CONSOLE_CHUNK];
	ssize_t got = recv(t->fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_PEEK);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		guest_gone(t);
		return;
	}
	t->full = !stream_send(t->stream, chunk, (size_t)got);
	if (!t->full)
		got = recv(t->fd, chunk, (size_t)got, MSG_DONTWAIT);
	update(t);
}

/* ---- to the guest ---- */

/* False: the guest is gone. */
static bool write_guest(struct console *t)
{
	if (!buf_send(&t->input, t->fd))
		return false;
	stream_hold(t->stream, t->input.len > CONSOLE_INPUT_MAX);
	return true;
}

static void on_io(void *opaque, int fd, unsigned events)
{
	struct console *t = opaque;

	if ((events & LOOP_WRITE) && !write_guest(t)) {
		guest_gone(t);
		return;
	}
	if (events & (LOOP_READ | LOOP_HANGUP) && !t->full)
		read_guest(t);
	else
		update(t);
}

static bool on_data(void *opaque, const uint8_t *data, size_t len, struct fault *f)
{
	struct console *t = opaque;

	if (!t->watch) /* the guest is gone, and the client has not noticed yet */
		return true;
	if (buf_append(&t->input, data, len) < 0) {
		console_free(t);
		fault_set(f, FAULT_OPERATION_FAILED, FROM_STREAMS,
			  "the guest does not take what is sent to its console");
		return false;
	}
	if (write_guest(t))
		update(t);
	else
		guest_gone(t);
	return true;
}

static bool on_finish(void *opaque, struct fault *f)
{
	console_free(opaque);
	return true;
}

static void on_client_gone(void *opaque)
{
	console_free(opaque);
}

static void on_room(void *opaque)
{
	struct console *t = opaque;

	if (!t->watch)
		return;
	t->full = false;
	update(t);
}

/* ---- opening ---- */

static int connect_guest(const struct domain *d, int which, struct fault *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	const char *path = which < WHICH_CHANNEL ? NULL : d->def->channels.v[which - WHICH_CHANNEL]->path;

	if (path && strlen(path) < sizeof(sa.sun_path))
		strcpy(sa.sun_path, path);
	else if (!path)
		(which == WHICH_CONSOLE ? domain_console_path : domain_serial_path)(d, sa.sun_path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	fd_close(&fd);
	return fault_set(f, FAULT_OPERATION_FAILED, FROM_HYPERVISOR, "cannot connect to the console of '%s': %s",
			 domain_name(d), strerror(errno));
}

static bool has_name(const struct domdev *dev, const char *name)
{
	return !name || (dev->alias && !strcmp(dev->alias, name));
}

/* The first serial port, the console that mirrors it, or the virtio console; without a name the first of them. */
static bool known_console(const struct domain *d, const char *name, int *which)
{
	*which = WHICH_SERIAL;
	if (d->def->serials.n && has_name(&d->def->serials.v[0]->dev, name))
		return true;
	for (unsigned n = 0; n < d->def->consoles.n; n++) {
		const struct domdef_chr *k = d->def->consoles.v[n];

		*which = k->target_type && !strcmp(k->target_type, "virtio") ? WHICH_CONSOLE : WHICH_SERIAL;
		if (has_name(&k->dev, name))
			return true;
	}
	return false;
}

static struct console *find_open(struct console_list *list, const char *uuid, int which)
{
	list_each(it, &list->open) {
		struct console *t = list_entry(it, struct console, node);

		if (!strcmp(t->domain, uuid) && t->which == which && t->watch)
			return t;
	}
	return NULL;
}

/* One at a time: two would each get a part of what the guest says. */
static int make_way(struct call *c, struct console_list *list, const char *uuid, int which)
{
	struct console *t = find_open(list, uuid, which);

	if (!t)
		return 0;
	if (!(call_u(c, 2) & CONSOLE_FORCE))
		return fault_set(&c->fault, FAULT_OPERATION_FAILED, FROM_HYPERVISOR,
				 "Active console session exists for this domain");
	end_stream(t, "another client has taken over the console");
	return 0;
}

static int begin(struct call *c, struct domain *d, int which)
{
	static const struct stream_ops ops = {on_data, on_finish, on_client_gone, on_room};
	struct daemon *daemon = c->opaque;
	struct console *t;
	char uuid[37];

	xuuid_text(domain_uuid(d), uuid);
	if (make_way(c, &daemon->consoles, uuid, which) < 0)
		return CALL_FAILED;
	t = calloc(1, sizeof(*t));
	if (!t)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the console");
	list_init(&t->node);
	buf_init(&t->input, CONSOLE_INPUT_MAX + XDR_PAYLOAD_MAX);
	strcpy(t->domain, uuid);
	t->which = which;
	t->fd = connect_guest(d, which, &c->fault);
	if (t->fd >= 0 && loop_fd_add(daemon->loop, t->fd, LOOP_READ, on_io, t, &t->watch, NULL) == 0)
		t->stream = stream_open(c, &ops, t);
	if (!t->stream) {
		console_free(t);
		return CALL_FAILED;
	}
	list_add_tail(&daemon->consoles.open, &t->node);
	return CALL_DONE;
}

static int open_console(struct call *c)
{
	struct domain *d = c->object;
	int which;

	if (!d->machine)
		return remote_not_running(c);
	if (!known_console(d, call_s(c, 1), &which))
		return fault_set(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR, "cannot find character device %s",
				 call_s(c, 1) ? call_s(c, 1) : "(the domain has none)");
	return begin(c, d, which);
}

/* By its port's name or its alias; without a name the first. */
static bool known_channel(const struct domain *d, const char *name, int *which)
{
	for (unsigned n = 0; n < d->def->channels.n; n++) {
		const struct domdef_chr *k = d->def->channels.v[n];

		if (!domdef_channel_possible(k) || !(has_name(&k->dev, name) || !strcmp(k->target_name, name)))
			continue;
		*which = WHICH_CHANNEL + (int)n;
		return true;
	}
	return false;
}

static int open_channel(struct call *c)
{
	struct domain *d = c->object;
	int which;

	if (!d->machine)
		return remote_not_running(c);
	if (!known_channel(d, call_s(c, 1), &which))
		return fault_set(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR, "cannot find channel %.100s",
				 call_s(c, 1) ? call_s(c, 1) : "(the domain has none)");
	return begin(c, d, which);
}

const struct handler remote_console[] = {
	{"DOMAIN_OPEN_CHANNEL", open_channel, remote_find_idle, CONSOLE_FORCE},
	{"DOMAIN_OPEN_CONSOLE", open_console, remote_find_idle, CONSOLE_FORCE | CONSOLE_SAFE},
};
const unsigned remote_console_count = COUNT_OF(remote_console);
