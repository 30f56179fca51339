/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/virtio/vsock.h"

#include "base/bytes.h"
#include "base/list.h"
#include "core/chardev.h"
#include "core/dev.h"
#include "core/loop.h"
#include "core/vm.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RX = 0, TX = 1, EVENT = 2, QUEUES = 3, QUEUE_SIZE = 128, SEG_MAX = 64, CLASS_OTHER = 0xff0000 };
enum { HDR = 44, TYPE_STREAM = 1, CONNS_MAX = 256, RESETS_MAX = 64, CHUNK = 16384, LINE_MAX_LEN = 32 };
enum { PATH_ROOM = 12 }; /* of "_" and a port behind the path */
/* What we take of a connection before the host's program reads it. */
enum { BUFFER = 128 * 1024 };

enum op { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE, OP_CREDIT_REQUEST };
enum { SHUT_RECEIVE = 1, SHUT_SEND = 2, SHUT_BOTH = 3 };

/* struct virtio_vsock_hdr */
struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

enum conn_state { CONN_LINE, CONN_REQUESTED, CONN_OPEN };

struct conn {
	struct list node;
	struct vsock *dev;
	enum conn_state state;
	int fd;
	struct loop_fd *watch;
	uint32_t guest_port, host_port;
	unsigned owed;          /* bit per enum op: packets to send as soon as there is room */
	unsigned shut;          /* SHUT_*: what the guest will not do any more */
	bool readable, eof, gone; /* socket has bytes; ended; hung up altogether */
	char line[LINE_MAX_LEN];
	unsigned line_len;
	/* credit (5.10.6.3): what the guest can take, and how much it was given */
	uint32_t peer_alloc, peer_fwd, sent;
	/* bytes of the guest on their way to the socket */
	uint8_t *out;
	uint32_t out_at, out_len, fwd, fwd_told;
};

struct vsock {
	struct virtio_dev v; /* first */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint64_t cid;
	int listener, wake_fd;
	struct loop_fd *listen_watch, *wake_watch;
	/* v.lock */
	struct virtq_elem rx, tx;
	struct list conns;
	unsigned count;
	uint32_t next_port;
	struct header reset[RESETS_MAX]; /* RST packets for connections that do not exist */
	unsigned resets;
	uint8_t event_owed; /* the guest must be told that its connections are gone */
};

static void pump(struct vsock *s);
static void on_socket(void *opaque, int fd, unsigned events);

/* --- connections --- */

static struct conn *conn_find(struct vsock *s, uint32_t guest_port, uint32_t host_port)
{
	list_each(it, &s->conns) {
		struct conn *c = list_entry(it, struct conn, node);
		if (c->state != CONN_LINE && c->guest_port == guest_port && c->host_port == host_port)
			return c;
	}
	return NULL;
}

static void conn_close(struct conn *c)
{
	loop_fd_remove(c->watch);
	close(c->fd);
	list_remove(&c->node);
	c->dev->count--;
	free(c->out);
	free(c);
}

/* Takes fd over, also when it fails. */
static struct conn *conn_new(struct vsock *s, int fd, enum conn_state state)
{
	struct conn *c = s->count < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return NULL;
	}
	*c = (struct conn){.dev = s, .fd = fd, .state = state};
	list_add_tail(&s->conns, &c->node);
	s->count++;
	if (loop_fd_add(s->v.loop, fd, LOOP_READ, on_socket, c, &c->watch, NULL) == 0)
		return c;
	c->watch = NULL;
	conn_close(c);
	return NULL;
}

static uint32_t credit(const struct conn *c)
{
	uint32_t used = c->sent - c->peer_fwd;
	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

/* Asks for what can be used: bytes when the guest can take them, room when bytes wait. */
static void conn_watch(struct conn *c)
{
	unsigned events = 0;
	if (!c->readable && !c->eof && c->state != CONN_REQUESTED)
		events |= LOOP_READ;
	if (c->out_len)
		events |= LOOP_WRITE;
	loop_fd_events(c->watch, c->gone ? 0 : events);
}

static void owe_reset(struct vsock *s, uint32_t guest_port, uint32_t host_port)
{
	/* A guest that provokes more than it takes loses them. */
	if (s->resets < RESETS_MAX)
		s->reset[s->resets++] = (struct header){.src_port = host_port, .dst_port = guest_port, .op = OP_RST};
}

static void conn_reset(struct conn *c)
{
	owe_reset(c->dev, c->guest_port, c->host_port);
	conn_close(c);
}

/* --- to the host --- */

/* False: the connection is gone. */
static bool conn_flush(struct conn *c)
{
	while (c->out_len) {
		uint32_t part = BUFFER - c->out_at < c->out_len ? BUFFER - c->out_at : c->out_len;
		ssize_t put = send(c->fd, c->out + c->out_at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN)
			break;
		if (put < 0) {
			conn_reset(c);
			return false;
		}
		c->out_at = (c->out_at + put) % BUFFER;
		c->out_len -= put;
		c->fwd += put;
	}
	if (c->fwd - c->fwd_told > BUFFER / 4)
		c->owed |= 1u << OP_CREDIT_UPDATE;
	if (c->out_len == 0 && c->shut == SHUT_BOTH) {
		conn_reset(c); /* the answer to a full shutdown (5.10.6.5) */
		return false;
	}
	if (c->out_len == 0 && (c->shut & SHUT_SEND))
		shutdown(c->fd, SHUT_WR);
	return true;
}

static void packet_data(struct conn *c, const struct virtq_elem *el, uint32_t len)
{
	if (!c->out)
		c->out = malloc(BUFFER);
	if (!c->out || c->state != CONN_OPEN || len > BUFFER - c->out_len || (c->shut & SHUT_SEND)) {
		conn_reset(c); /* more than the credit that it had, or out of turn */
		return;
	}
	for (uint32_t done = 0; done < len;) {
		uint32_t at = (c->out_at + c->out_len) % BUFFER;
		uint32_t part = BUFFER - at < len - done ? BUFFER - at : len - done;
		virtq_copy_out(el, HDR + done, c->out + at, part);
		c->out_len += part;
		done += part;
	}
	if (conn_flush(c))
		conn_watch(c);
}

static int unix_connect(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a.sun_path))
		return -1;
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void packet_request(struct vsock *s, const struct header *h)
{
	char path[sizeof(s->path) + PATH_ROOM];
	snprintf(path, sizeof(path), "%s_%u", s->path, h->dst_port);
	int fd = unix_connect(path);
	struct conn *c = fd >= 0 ? conn_new(s, fd, CONN_OPEN) : NULL;
	if (!c) {
		owe_reset(s, h->src_port, h->dst_port);
		return;
	}
	c->guest_port = h->src_port;
	c->host_port = h->dst_port;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	c->owed = 1u << OP_RESPONSE;
}

static void packet_response(struct conn *c)
{
	char text[LINE_MAX_LEN];
	if (c->state != CONN_REQUESTED) {
		conn_reset(c);
		return;
	}
	c->state = CONN_OPEN;
	int len = snprintf(text, sizeof(text), "OK %u\n", c->host_port);
	if (send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		conn_reset(c);
	else
		conn_watch(c);
}

static void packet(struct vsock *s, const struct header *h)
{
	struct conn *c = conn_find(s, h->src_port, h->dst_port);
	if (!c && h->op == OP_REQUEST && h->type == TYPE_STREAM) {
		packet_request(s, h);
		return;
	}
	if (!c || h->type != TYPE_STREAM) {
		if (h->op != OP_RST)
			owe_reset(s, h->src_port, h->dst_port);
		return;
	}
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case OP_RESPONSE: packet_response(c); break;
	case OP_RST: conn_close(c); break;
	case OP_SHUTDOWN:
		c->shut |= h->flags & SHUT_BOTH;
		if (conn_flush(c))
			conn_watch(c);
		break;
	case OP_RW: packet_data(c, &s->tx, h->len); break;
	case OP_CREDIT_UPDATE: break; /* pump looks at the credit again */
	case OP_CREDIT_REQUEST: c->owed |= 1u << OP_CREDIT_UPDATE; break;
	default: conn_reset(c); break;
	}
}

static bool header_read(const struct virtq_elem *el, struct header *h)
{
	uint8_t b[HDR];
	if (virtq_copy_out(el, 0, b, HDR) != HDR)
		return false;
	*h = (struct header){load_le64(b),      load_le64(b + 8),  load_le32(b + 16), load_le32(b + 20),
			     load_le32(b + 24), load_le16(b + 28), load_le16(b + 30), load_le32(b + 32),
			     load_le32(b + 36), load_le32(b + 40)};
	return h->len <= el->readable_len - HDR;
}

static void transmit(struct vsock *s)
{
	struct virtio_dev *v = &s->v;
	struct header h;
	while (virtio_pop(v, TX, &s->tx)) {
		/* Packets for others than the host are dropped: there is no routing between guests. */
		if (header_read(&s->tx, &h) && h.src_cid == s->cid && h.dst_cid == VSOCK_CID_HOST)
			packet(s, &h);
		virtq_push(&v->queue[TX].q, &s->tx, 0);
	}
	virtio_rearm(v, TX);
	virtio_notify(v, TX);
	pump(s);
}

/* --- to the guest --- */

static void header_write(struct vsock *s, const struct header *h)
{
	uint8_t b[HDR];
	store_le64(b, VSOCK_CID_HOST);
	store_le64(b + 8, s->cid);
	store_le32(b + 16, h->src_port);
	store_le32(b + 20, h->dst_port);
	store_le32(b + 24, h->len);
	store_le16(b + 28, TYPE_STREAM);
	store_le16(b + 30, h->op);
	store_le32(b + 32, h->flags);
	store_le32(b + 36, h->buf_alloc);
	store_le32(b + 40, h->fwd_cnt);
	virtq_copy_in(&s->rx, 0, b, HDR);
}

/* Into the buffer that is in s->rx. */
static void give(struct vsock *s, const struct conn *c, enum op op, uint32_t len, uint32_t flags)
{
	struct header h = {.src_port = c->host_port, .dst_port = c->guest_port, .len = len, .op = op, .flags = flags,
			   .buf_alloc = BUFFER, .fwd_cnt = c->fwd};
	header_write(s, &h);
	virtq_push(&s->v.queue[RX].q, &s->rx, HDR + len);
}

static bool room(struct vsock *s)
{
	if (!virtio_pop(&s->v, RX, &s->rx))
		return false;
	if (s->rx.writable_len > HDR)
		return true;
	virtio_broken(&s->v, "a receive buffer too small for a header");
	return false;
}

/* Bytes of the socket into the buffer in s->rx; false when there were none and the buffer is still ours. */
static bool give_data(struct vsock *s, struct conn *c)
{
	uint8_t buf[CHUNK];
	size_t want = s->rx.writable_len - HDR < CHUNK ? s->rx.writable_len - HDR : CHUNK;
	if (want > credit(c))
		want = credit(c);
	ssize_t got = recv(c->fd, buf, want, MSG_DONTWAIT);
	if (got > 0) {
		virtq_copy_in(&s->rx, HDR, buf, got);
		c->sent += got;
		give(s, c, OP_RW, got, 0);
		return true;
	}
	c->readable = false;
	if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		c->eof = true;
		c->owed |= 1u << OP_SHUTDOWN;
	}
	return false;
}

/* Something for c into the buffer in s->rx; false when there was nothing. */
static bool serve(struct vsock *s, struct conn *c)
{
	static const enum op order[] = {OP_REQUEST, OP_RESPONSE, OP_CREDIT_UPDATE, OP_SHUTDOWN};
	if (c->state == CONN_OPEN && c->readable && !c->owed && !(c->shut & SHUT_RECEIVE) && credit(c) &&
	    give_data(s, c))
		return true;
	for (unsigned i = 0; i < COUNT_OF(order); i++) {
		if (!(c->owed & 1u << order[i]))
			continue;
		c->owed &= ~(1u << order[i]);
		c->fwd_told = c->fwd;
		give(s, c, order[i], 0, order[i] == OP_SHUTDOWN ? (c->gone ? SHUT_BOTH : SHUT_SEND) : 0);
		return true;
	}
	return false;
}

static bool serve_any(struct vsock *s)
{
	if (s->resets) {
		struct header h = s->reset[0];
		memmove(s->reset, s->reset + 1, --s->resets * sizeof(h));
		header_write(s, &h);
		virtq_push(&s->v.queue[RX].q, &s->rx, HDR);
		return true;
	}
	list_each(it, &s->conns) {
		struct conn *c = list_entry(it, struct conn, node);
		if (serve(s, c)) {
			/* The next time the others come first. */
			list_remove(&c->node);
			list_add_tail(&s->conns, &c->node);
			return true;
		}
	}
	return false;
}

/* Sends what is owed and what can be read, as far as the guest has buffers. */
static void pump(struct vsock *s)
{
	struct virtio_dev *v = &s->v;
	struct virtq *q = &v->queue[RX].q;
	bool idle = false;
	v->budget = QUEUE_SIZE;
	while (!idle && room(s)) {
		idle = !serve_any(s);
		if (idle)
			virtq_unpop(q);
	}
	virtq_notifications(q, true);
	/* Stopped for want of buffers, or because it took long enough. */
	if (!idle && !virtq_empty(q))
		virtio_kick(v, RX);
	virtio_notify(v, RX);
	list_each(it, &s->conns)
		conn_watch(list_entry(it, struct conn, node));
}

static void event_send(struct vsock *s)
{
	/* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET is 0. */
	static const uint8_t transport_reset[4];
	struct virtio_dev *v = &s->v;
	if (!s->event_owed || !virtio_pop(v, EVENT, &s->rx))
		return;
	s->event_owed = 0;
	virtq_push(&v->queue[EVENT].q, &s->rx, virtq_copy_in(&s->rx, 0, transport_reset, 4));
	virtio_notify(v, EVENT);
}

static void vsock_queue(struct virtio_dev *v, unsigned n)
{
	struct vsock *s = container_of(v, struct vsock, v);
	if (n == TX)
		transmit(s);
	else if (n == RX)
		pump(s);
	else
		event_send(s);
}

/* --- sockets --- */

/* "CONNECT port\n", a byte at a time so that nothing behind it is taken. False: the connection is gone. */
static bool read_line(struct conn *c)
{
	struct vsock *s = c->dev;
	for (;;) {
		ssize_t got = recv(c->fd, c->line + c->line_len, 1, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (got <= 0 || c->line_len + 2 >= sizeof(c->line)) {
			conn_close(c);
			return false;
		}
		if (c->line[c->line_len++] == '\n')
			break;
	}
	char *end;
	errno = 0;
	unsigned long port = strncmp(c->line, "CONNECT ", 8) ? ULONG_MAX : strtoul(c->line + 8, &end, 10);
	if (port >= UINT32_MAX || errno || end == c->line + 8 || *end != '\n') {
		conn_close(c);
		return false;
	}
	c->guest_port = port;
	while (conn_find(s, port, ++s->next_port))
		;
	c->host_port = s->next_port;
	c->state = CONN_REQUESTED;
	c->owed = 1u << OP_REQUEST;
	return true;
}

static void socket_event(struct conn *c, unsigned events)
{
	struct vsock *s = c->dev;
	if (c->state == CONN_LINE) {
		if (!read_line(c))
			return;
	} else {
		c->readable |= (events & LOOP_READ) != 0;
		/* Hung up: what is left can be read; then the end. */
		if (events & LOOP_HANGUP)
			c->gone = c->readable = true;
		if ((events & LOOP_WRITE) && conn_flush(c))
			conn_watch(c);
	}
	pump(s);
}

static void on_socket(void *opaque, int fd, unsigned events)
{
	struct conn *c = opaque;
	struct vsock *s = c->dev;
	pthread_mutex_lock(&s->v.lock);
	socket_event(c, events);
	pthread_mutex_unlock(&s->v.lock);
}

static void on_listen(void *opaque, int fd, unsigned events)
{
	struct vsock *s = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0)
		return;
	pthread_mutex_lock(&s->v.lock);
	if (conn_new(s, peer, CONN_LINE))
		pump(s);
	pthread_mutex_unlock(&s->v.lock);
}

static void close_all(struct vsock *s)
{
	list_each_safe(it, &s->conns)
		conn_close(list_entry(it, struct conn, node));
	s->resets = 0;
}

/* A reset came on another thread; sockets belong to the loop's. */
static void on_wake(void *opaque, int fd, unsigned events)
{
	struct vsock *s = opaque;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&s->v.lock);
	close_all(s);
	virtio_reset_done(&s->v);
	pthread_mutex_unlock(&s->v.lock);
}

static bool vsock_reset(struct virtio_dev *v)
{
	struct vsock *s = container_of(v, struct vsock, v);
	const uint64_t one = 1;
	s->resets = 0;
	s->event_owed = 0;
	return s->count == 0 || write(s->wake_fd, &one, sizeof(one)) < 0;
}

static const struct virtio_device_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.name = "virtio-vsock",
	.pci_class = CLASS_OTHER,
	.queue = vsock_queue,
	.reset = vsock_reset,
};

/* --- life --- */

static void loop_side_close(void *opaque)
{
	struct vsock *s = opaque;
	close_all(s);
	loop_fd_remove(s->listen_watch);
	loop_fd_remove(s->wake_watch);
}

static void vsock_free(struct vsock *s)
{
	if (s->listener >= 0) {
		close(s->listener);
		unlink(s->path);
	}
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	virtq_elem_free(&s->rx);
	virtq_elem_free(&s->tx);
	free(s);
}

static void vsock_destroy(void *impl)
{
	struct vsock *s = impl;
	virtio_dev_run_state(&s->v, false);
	while (loop_call(s->v.loop, loop_side_close, s) < 0)
		usleep(1000);
	virtio_destroy(&s->v);
	vsock_free(s);
}

static int vsock_loaded(void *obj, uint16_t version, struct err *e)
{
	struct vsock *s = obj;
	const uint64_t one = 1;
	store_le64(s->v.config, s->cid);
	s->event_owed = 1;
	if (s->count && write(s->wake_fd, &one, sizeof(one)) < 0)
		return err_errno(e, errno, "%s: cannot wake its loop", s->v.name);
	return virtio_after_load(obj, version, e);
}

static const struct state_field vsock_fields[] = {VIRTIO_STATE_FIELDS(struct vsock), STATE_END};

static const struct state_desc vsock_state = {
	.name = "virtio-vsock", .version = 1, .fields = vsock_fields, .before_save = virtio_before_save,
	.after_load = vsock_loaded,
};

static const struct dev_type vsock_type = {
	.name = "virtio-vsock", .destroy = vsock_destroy, .reset = virtio_dev_reset, .run_state = virtio_dev_run_state,
	.state = &vsock_state, .state_size = sizeof(struct vsock),
};

static int listen_on(struct vsock *s, struct err *e)
{
	int fd = chardev_listen(s->path, e);
	if (fd < 0)
		return err_wrap(e, fd == -EADDRINUSE ? "vsock: another machine uses this socket" : "vsock");
	s->listener = fd;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->wake_fd < 0 ? err_errno(e, errno, "vsock: cannot make an event descriptor") : 0;
}

struct watch_call {
	struct vsock *s;
	struct err *e;
	int rc;
};

static void loop_side_open(void *opaque)
{
	struct watch_call *c = opaque;
	struct vsock *s = c->s;
	c->rc = loop_fd_add(s->v.loop, s->wake_fd, LOOP_READ, on_wake, s, &s->wake_watch, c->e);
	if (!c->rc)
		c->rc = loop_fd_add(s->v.loop, s->listener, LOOP_READ, on_listen, s, &s->listen_watch, c->e);
	if (c->rc)
		loop_side_close(s);
}

static int start(struct vsock *s, struct vm *vm, const struct virtio_place *where, struct err *e)
{
	const uint16_t sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE};
	struct virtio_place place = *where;
	struct watch_call c = {.s = s, .e = e};
	place.direct = false;
	int rc = listen_on(s, e);
	if (!rc)
		rc = virtio_init(&s->v, vm, &vsock_ops, &place, sizes, QUEUES, e);
	if (rc)
		return rc;
	rc = loop_call(s->v.loop, loop_side_open, &c);
	rc = rc ? err_set(e, rc, "vsock: no memory") : c.rc;
	if (!rc)
		rc = dev_attach(vm, &vsock_type, place.id, s, e);
	if (!rc)
		return 0;
	if (!c.rc && loop_call(s->v.loop, loop_side_close, s) < 0)
		s->wake_watch = s->listen_watch = NULL;
	virtio_destroy(&s->v);
	return rc;
}

int virtio_vsock_create(struct vm *vm, const struct virtio_vsock_config *cfg, struct err *e)
{
	if (strlen(cfg->path) + PATH_ROOM >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, -ENAMETOOLONG, "vsock: path %s is too long; use a shorter one", cfg->path);
	if (cfg->cid && cfg->cid < VSOCK_CID_MIN)
		return err_set(e, -EINVAL, "vsock: CID %u is reserved; use %d or more", cfg->cid, VSOCK_CID_MIN);
	struct vsock *s = calloc(1, sizeof(*s));
	if (!s || virtq_elem_init(&s->rx, SEG_MAX) < 0 || virtq_elem_init(&s->tx, SEG_MAX) < 0) {
		if (s)
			virtq_elem_free(&s->rx);
		free(s);
		return err_set(e, -ENOMEM, "no memory for virtio-vsock");
	}
	list_init(&s->conns);
	s->listener = s->wake_fd = -1;
	strcpy(s->path, cfg->path);
	s->cid = cfg->cid ? cfg->cid : VSOCK_CID_MIN;
	s->next_port = 1u << 30;
	s->v.config_size = 8;
	store_le64(s->v.config, s->cid);
	int rc = start(s, vm, &cfg->place, e);
	if (rc)
		vsock_free(s);
	return rc;
}
