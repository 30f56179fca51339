/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection: bytes to packets, packets to bytes, who it is, whether it is still there. */
#include "daemon/rpc/server_priv.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_PER_TURN = 16, BODY_FIRST = 4096 };

/* ---- output ---- */

static void chunk_free(struct chunk *ch)
{
	for (unsigned n = ch->fd_at; n < ch->fd_count; n++)
		close(ch->fds[n]);
	list_remove(&ch->node);
	free(ch);
}

/* A descriptor travels with exactly one byte of its own: in one message with the packet's bytes it is lost. */
static int send_fd(struct client *c, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static ssize_t send_bytes(struct client *c, const void *data, size_t len)
{
	ssize_t sent = c->wire ? c->wire->ops->send(c->wire, data, len) :
				 send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return c->wire || sent >= 0 ? sent : -errno;
}

static ssize_t recv_bytes(struct client *c, void *data, size_t len)
{
	ssize_t got = c->wire ? c->wire->ops->recv(c->wire, data, len) : recv(c->fd, data, len, MSG_DONTWAIT);

	return c->wire || got >= 0 ? got : -errno;
}

/* 0: all of it went; -EAGAIN: the peer does not take more now; else it is gone. */
static int send_chunk(struct client *c, struct chunk *ch)
{
	int ret;

	while (ch->at < ch->len) {
		ssize_t sent = send_bytes(c, ch->data + ch->at, ch->len - ch->at);

		if (sent == -EINTR)
			continue;
		if (sent < 0)
			return (int)sent;
		ch->at += (size_t)sent;
		c->output -= (size_t)sent;
	}
	while (ch->fd_at < ch->fd_count) {
		ret = send_fd(c, ch->fds[ch->fd_at]);
		if (ret < 0)
			return ret;
		close(ch->fds[ch->fd_at++]);
	}
	return 0;
}

/* Sends what goes; false when the peer is gone, or has been told that it is refused. */
static bool flush(struct client *c)
{
	while (!list_empty(&c->chunks)) {
		struct chunk *ch = list_entry(c->chunks.next, struct chunk, node);
		int ret = send_chunk(c, ch);

		if (ret == -EAGAIN)
			return true;
		if (ret < 0)
			return false;
		chunk_free(ch);
	}
	if (c->wire_next) {
		c->wire = c->wire_next;
		c->wire_next = NULL;
	}
	return !c->refused;
}

void client_send(struct client *c, const struct packet *p, const void *payload, size_t len, const int *fds,
		 unsigned fd_count)
{
	size_t counted = p->type == PACKET_REPLY_FDS ? 4 : 0;
	struct chunk *ch = c->dead ? NULL : malloc(sizeof(*ch) + PACKET_HEAD + counted + len);

	if (!ch || c->output + len > CLIENT_OUTPUT_MAX || (fd_count && c->transport != CLIENT_UNIX)) {
		for (unsigned n = 0; n < fd_count; n++)
			close(fds[n]);
		free(ch);
		client_drop(c);
		return;
	}
	ch->len = PACKET_HEAD + counted + len;
	ch->at = ch->fd_at = 0;
	ch->fd_count = fd_count;
	for (unsigned n = 0; n < fd_count; n++)
		ch->fds[n] = fds[n];
	packet_write(ch->data, p, counted + len);
	if (counted)
		store_be32(ch->data + PACKET_HEAD, fd_count);
	if (len)
		memcpy(ch->data + PACKET_HEAD + counted, payload, len);
	list_add_tail(&c->chunks, &ch->node);
	c->output += ch->len;
	if (c->chunks.next == &ch->node && !flush(c))
		client_drop(c);
	else
		client_update(c);
}

/* ---- input ---- */

static bool may_read(const struct client *c)
{
	return !c->closing && !c->greeting && !c->wire_next && !c->holds && c->call_count < CLIENT_CALLS_MAX &&
	       c->output < CLIENT_OUTPUT_PAUSE;
}

void client_update(struct client *c)
{
	if (c->dead)
		return;
	if (c->greeting) {
		loop_fd_events(c->io, c->greeting_writes ? LOOP_WRITE : LOOP_READ);
		return;
	}
	loop_fd_events(c->io, (may_read(c) || c->closing ? LOOP_READ : 0u) |
				      (list_empty(&c->chunks) ? 0u : LOOP_WRITE));
	if (c->wire && may_read(c) && c->wire->ops->pending(c->wire))
		timer_arm(&c->kick, server_now(c->server));
}

/* The place for the next bytes of the packet, as much as is wanted, grown as bytes come and not by what is promised. */
static uint8_t *body_room(struct client *c, uint32_t *want)
{
	uint32_t have = c->got - 4, left = c->size - c->got;

	if (have == c->room) {
		uint32_t room = c->room ? c->room * 2 : BODY_FIRST;
		uint8_t *body;

		if (room > c->size - 4)
			room = c->size - 4;
		body = realloc(c->body, room);
		if (!body)
			return NULL;
		c->body = body;
		c->room = room;
	}
	*want = c->room - have < left ? c->room - have : left;
	return c->body + have;
}

/* The length word is complete. */
static bool begin_packet(struct client *c)
{
	uint32_t max = c->known ? PACKET_MAX : CLIENT_FIRST_MESSAGE_MAX;

	c->size = load_be32(c->head);
	return c->size >= PACKET_HEAD && c->size <= max;
}

static void end_packet(struct client *c)
{
	uint8_t *body = c->body;
	uint32_t len = c->size - 4;

	c->body = NULL;
	c->got = c->size = c->room = 0;
	if (!dispatch(c, body, len))
		free(body);
	for (unsigned n = 0; n < c->fd_count; n++)
		close(c->fds[n]);
	c->fd_count = 0;
}

/* Descriptors come behind the packet that announced them; the packet waits for them. */
static bool fds_announced(struct client *c)
{
	uint32_t count;

	if (c->size < PACKET_HEAD + 4 || load_be32(c->body + 12) != PACKET_CALL_FDS)
		return true;
	count = load_be32(c->body + 24);
	if (count > CLIENT_FDS_MAX || (count && c->transport != CLIENT_UNIX))
		return false;
	c->fds_wanted = count;
	return true;
}

/* 1: something was read; 0: nothing is there; -1: the peer is gone or breaks the rules. */
static int read_fd(struct client *c)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS ||
	    cm->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&c->fds[c->fd_count++], CMSG_DATA(cm), sizeof(int));
	if (!--c->fds_wanted)
		end_packet(c);
	return 1;
}

static int read_some(struct client *c)
{
	uint32_t want = 0;
	uint8_t *to;
	ssize_t got;

	if (c->fds_wanted)
		return read_fd(c);
	if (c->size) {
		to = body_room(c, &want);
	} else {
		to = c->head + c->got;
		want = 4 - c->got;
	}
	if (!to)
		return -1;
	got = recv_bytes(c, to, want);
	if (got == -EAGAIN || got == -EINTR)
		return 0;
	if (got <= 0)
		return -1;
	c->heard_ns = server_now(c->server);
	c->pings = 0;
	c->got += (uint32_t)got;
	if (c->got == 4 && !begin_packet(c))
		return -1;
	if (c->size && c->got == c->size) {
		if (!fds_announced(c))
			return -1;
		if (!c->fds_wanted)
			end_packet(c);
	}
	return 1;
}

/* Some packets, then the others have their turn. */
static bool read_packets(struct client *c)
{
	int ret = 1;

	for (unsigned n = 0; ret == 1 && n < 2 * PACKETS_PER_TURN && !c->dead && may_read(c); n++)
		ret = read_some(c);
	return ret >= 0;
}

/* False when the peer is refused or gone. */
static bool greet(struct client *c)
{
	int ret;

	c->greeting_writes = false;
	ret = c->wire->ops->greet(c->wire, &c->greeting_writes);
	c->greeting = ret == -EAGAIN;
	return ret == 0 || ret == -EAGAIN;
}

static void on_io(void *opaque, int fd, unsigned events)
{
	struct client *c = opaque;
	bool ok = true;

	if (c->greeting) {
		ok = greet(c);
		events = 0;
	}
	if (ok && (events & LOOP_WRITE))
		ok = flush(c);
	if (ok && (events & (LOOP_READ | LOOP_HANGUP)))
		ok = may_read(c) ? read_packets(c) : !c->closing && !(events & LOOP_HANGUP);
	if (c->dead)
		return;
	if (!ok) {
		client_drop(c);
		return;
	}
	if (c->output < CLIENT_OUTPUT_STREAM)
		streams_room(c);
	client_update(c);
}

static void on_kick(void *opaque)
{
	struct client *c = opaque;

	on_io(c, c->fd, LOOP_READ);
}

/* ---- life ---- */

static void read_credentials(struct client *c)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	c->pid = -1;
	c->uid = (uid_t)-1;
	c->gid = (gid_t)-1;
	if (c->transport != CLIENT_UNIX || getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	c->pid = cred.pid;
	c->uid = cred.uid;
	c->gid = cred.gid;
}

/* Who it must say it is, before anything is served. */
static void ask_who(struct client *c, const struct listener *l)
{
	const struct server_config *cfg = &c->server->cfg;
	enum admittance how = ADMIT_YES;

	if (c->transport == CLIENT_UNIX && cfg->admit)
		how = cfg->admit(cfg->opaque, c->uid, c->gid, c->pid, c->read_only);
	c->auth = l->sasl ? AUTH_SASL : how == ADMIT_POLKIT ? AUTH_POLKIT : AUTH_NONE;
	c->admitted = c->known = how == ADMIT_YES && c->auth == AUTH_NONE;
}

static void wires_free(struct client *c)
{
	struct wire *wire[] = {c->wire, c->wire_next};

	c->wire = c->wire_next = NULL;
	for (unsigned n = 0; n < COUNT_OF(wire); n++)
		if (wire[n])
			wire[n]->ops->free(wire[n]);
	sasl_destroy(c->sasl);
	c->sasl = NULL;
}

static void set_network(int fd)
{
	static const int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
		return; /* only slower */
}

static int begin_wire(struct client *c, const struct listener *l, struct err *e)
{
	int ret;

	if (c->transport != CLIENT_UNIX)
		set_network(c->fd);
	if (!l->tls)
		return 0;
	ret = tls_accept(l->tls, c->fd, &c->wire, e);
	c->greeting = ret == 0;
	return ret;
}

int client_create(const struct listener *l, int fd, struct err *e)
{
	struct client *c = calloc(1, sizeof(*c));
	struct server *s = l->server;
	int ret;

	if (!c) {
		close(fd);
		return err_set(e, -ENOMEM, "out of memory");
	}
	c->server = s;
	c->fd = fd;
	c->transport = l->transport;
	c->read_only = l->read_only;
	c->since_ns = c->heard_ns = server_now(s);
	list_init(&c->chunks);
	list_init(&c->calls);
	list_init(&c->streams);
	list_init(&c->watches);
	read_credentials(c);
	ask_who(c, l);
	timer_init(&c->kick, loop_timers(s->cfg.loop), on_kick, c);
	ret = begin_wire(c, l, e);
	if (ret == 0)
		ret = loop_fd_add(s->cfg.loop, fd, LOOP_READ, on_io, c, &c->io, e);
	if (ret < 0) {
		wires_free(c);
		close(fd);
		free(c);
		return ret;
	}
	list_add_tail(&s->clients, &c->node);
	s->client_count++;
	return 0;
}

void client_drop(struct client *c)
{
	if (c->dead)
		return;
	c->dead = true;
	streams_gone(c);
	list_each_safe(it, &c->calls) {
		list_entry(it, struct call, node)->client = NULL;
		list_remove(it);
	}
	watches_free(c);
	list_each_safe(it, &c->chunks)
		chunk_free(list_entry(it, struct chunk, node));
	for (unsigned n = 0; n < c->fd_count; n++)
		close(c->fds[n]);
	c->fd_count = 0;
	free(c->body);
	c->body = NULL;
	timer_cancel(&c->kick);
	loop_fd_remove(c->io);
	wires_free(c);
	fd_close(&c->fd);
	list_remove(&c->node);
	list_add_tail(&c->server->dead, &c->node);
	c->server->client_count--;
}

void client_free(struct client *c)
{
	list_remove(&c->node);
	free(c);
}

static void ping(struct client *c)
{
	const struct packet p = { PROGRAM_KEEPALIVE, PROGRAM_VERSION, KEEPALIVE_PING, PACKET_MESSAGE, 0, STATUS_OK };

	c->pings++;
	client_send(c, &p, NULL, 0, NULL, 0);
}

/* Once a second. A client that we do not read from ourselves is not to blame for its silence. */
void client_tick(struct client *c, int64_t now_ns)
{
	const int64_t second = INT64_C(1000000000);

	if (!c->open && now_ns - c->since_ns > CLIENT_UNKNOWN_SECONDS * second) {
		client_drop(c);
		return;
	}
	if (!c->keepalive || !may_read(c) ||
	    now_ns - c->heard_ns < (int64_t)(c->pings + 1) * KEEPALIVE_INTERVAL_S * second)
		return;
	if (c->pings >= KEEPALIVE_COUNT)
		client_drop(c);
	else
		ping(c);
}

/* ---- what the handlers ask and say ---- */

bool client_read_only(const struct client *c)
{
	return c->read_only || c->limited;
}

enum client_transport client_transport(const struct client *c)
{
	return c->transport;
}

enum client_auth client_auth(const struct client *c)
{
	return c->admitted ? AUTH_NONE : c->auth;
}

void client_admit(struct client *c, bool limited)
{
	c->admitted = c->known = true;
	c->limited = limited;
}

int client_sasl(struct client *c, struct sasl **out, struct err *e)
{
	int ret = 0;

	if (!c->sasl)
		ret = sasl_create(&c->sasl, c->fd, c->transport == CLIENT_TLS ? tls_strength(c->wire) : 0, e);
	*out = c->sasl;
	return ret;
}

int client_admit_sasl(struct client *c, struct err *e)
{
	int ret = sasl_layer(c->sasl, c->fd, &c->wire_next, e);

	if (ret == 0)
		client_admit(c, false);
	return ret;
}

void client_refuse(struct client *c)
{
	c->closing = c->refused = true;
}

bool client_peer(const struct client *c, uid_t *uid, gid_t *gid, pid_t *pid)
{
	*uid = c->uid;
	*gid = c->gid;
	*pid = c->pid;
	return c->pid >= 0;
}

/* After the answer to its farewell the connection is closed. */
void client_set_open(struct client *c, bool open, bool read_only)
{
	c->open = open;
	c->read_only |= read_only;
	c->closing = !open;
}

void client_set_keepalive(struct client *c)
{
	c->keepalive = true;
}

void client_set_close_callback(struct client *c, bool on)
{
	c->close_callback = on;
}
