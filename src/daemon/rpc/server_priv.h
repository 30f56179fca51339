/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the RPC room: packets, clients, streams. */
#ifndef PANAL_DAEMON_RPC_SERVER_PRIV_H
#define PANAL_DAEMON_RPC_SERVER_PRIV_H

#include "base/log.h"
#include "core/clock.h"
#include "core/loop.h"
#include "daemon/rpc/packet.h"
#include "daemon/rpc/sasl.h"
#include "daemon/rpc/server.h"
#include "daemon/rpc/tls.h"

/* What waits to be sent: a packet, and descriptors that follow it, each with a byte of its own. */
struct chunk {
	struct list node;
	size_t len, at;
	int fds[CLIENT_FDS_MAX];
	unsigned fd_count, fd_at;
	uint8_t data[];
};

struct watch {
	struct list node;
	enum watch_kind kind;
	int event, callback;
	bool filtered;
	uint8_t uuid[UUID_SIZE];
};

struct client {
	struct list node;
	struct server *server;
	int fd;
	struct loop_fd *io;
	enum client_transport transport;
	enum client_auth auth;
	struct wire *wire;      /* NULL: the packets are the socket's bytes */
	struct wire *wire_next; /* from the end of the present output on */
	struct sasl *sasl;
	struct timer kick; /* bytes are in the wire that no poll tells of */
	bool greeting, greeting_writes;
	bool read_only, limited, admitted, known, open, closing, refused, dead;
	bool keepalive, close_callback;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int64_t since_ns;      /* when it came */
	int64_t heard_ns;      /* when it last sent something */
	unsigned pings;        /* without any answer */
	int next_callback;

	/* the packet that is being read */
	uint8_t head[4];
	uint32_t got, size; /* of the packet; size 0: the length word is not complete */
	uint8_t *body;      /* what is behind the length word */
	uint32_t room;
	unsigned fds_wanted;
	int fds[CLIENT_FDS_MAX];
	unsigned fd_count;

	struct list chunks;
	size_t output; /* bytes in chunks */

	struct list calls, streams, watches;
	unsigned call_count, stream_count, watch_count;
	unsigned holds; /* by streams */
};

struct stream {
	struct list node;
	struct client *client;
	uint32_t procedure, serial;
	const struct stream_ops *ops;
	void *opaque;
	bool held, starved, deferred;
};

/* A listening socket, and what its clients are. */
struct listener {
	struct list node;
	struct server *server;
	int fd;
	bool read_only;
	enum client_transport transport;
	struct tls *tls;
	bool sasl;
	struct loop_fd *io;
};

struct server {
	struct server_config cfg;
	struct list listeners, clients;
	struct list dead; /* clients whose memory goes with the next tick */
	unsigned client_count;
	struct timer tick;
	struct log_limit troubles;
	const struct handler *handler[PROC_ALL + 1]; /* NULL: it is not served */
};

int64_t server_now(const struct server *s);

/* client.c */
int client_create(const struct listener *l, int fd, struct err *e) ATTR_MUST_USE;
/* Takes the client out of everything; its memory stays until server_reap. */
void client_drop(struct client *c);
void client_free(struct client *c);
/* Queues a packet; fds are taken over. */
void client_send(struct client *c, const struct packet *p, const void *payload, size_t len, const int *fds,
		 unsigned fd_count);
/* Reads again what had to wait. */
void client_update(struct client *c);
void client_tick(struct client *c, int64_t now_ns);

/* dispatch.c: a whole packet, without its length word; true when the body was taken over. */
bool dispatch(struct client *c, uint8_t *body, size_t len);
void packet_fault(struct client *c, const struct packet *request, enum packet_type type, const struct fault *f);

/* stream.c */
void stream_packet(struct client *c, const struct packet *p, const uint8_t *data, size_t len);
void streams_gone(struct client *c);
void streams_room(struct client *c);

/* watch.c */
void watches_free(struct client *c);

#endif
