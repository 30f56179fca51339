/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server of libvirt's remote protocol: sockets, clients, calls, streams, events. One thread: everything runs
 * on the loop; a handler that has to wait for something says CALL_LATER and ends the call when that has come, so
 * one client may have many calls under way. Clients are hostile input: what each may hold is named below, and who
 * goes beyond is refused or dropped; nobody else notices.
 */
#ifndef PANAL_DAEMON_RPC_SERVER_H
#define PANAL_DAEMON_RPC_SERVER_H

#include "base/list.h"
#include "daemon/rpc/fault.h"
#include "daemon/rpc/proc.h"
#include "daemon/rpc/xdr.h"

#include <sys/types.h>

enum {
	CLIENTS_MAX = 1024,
	CLIENTS_OF_USER_MAX = 256, /* of one user other than root and the daemon's */
	CLIENT_UNKNOWN_SECONDS = 60,   /* to say who it is and to open the connection */
	CLIENT_CALLS_MAX = 64,         /* under way; more wait in the socket */
	CLIENT_STREAMS_MAX = 64,
	CLIENT_WATCHES_MAX = 1024,     /* registered events */
	CLIENT_OUTPUT_PAUSE = 1 << 20, /* bytes unread by the client: no further call is taken */
	CLIENT_OUTPUT_STREAM = 512 << 10, /* and streams wait from here on */
	CLIENT_OUTPUT_EVENTS = 8 << 20,   /* with events above this the client is dropped */
	CLIENT_OUTPUT_MAX = 80 << 20,
	CLIENT_FDS_MAX = 32,
	CLIENT_FIRST_MESSAGE_MAX = 64 << 10, /* of a client that is not known yet */
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_COUNT = 5,
	STREAM_CHUNK_MAX = 256 << 10,
};

struct loop;
struct sasl;
struct server;
struct tls;
struct client;
struct stream;

/* ---- calls ---- */

enum { CALL_DONE = 0, CALL_LATER = 1, CALL_FAILED = -1 };

struct call {
	struct list node;
	struct server *server;
	struct client *client; /* NULL once the client is gone */
	const struct proc *proc;
	uint32_t serial;
	struct values args;
	struct xdr_out out;  /* the reply, by the procedure's signature */
	struct fault fault;  /* why, with CALL_FAILED */
	void *opaque;        /* the server's */
	void *object;        /* what the handler's row had found */
	uint8_t *payload;
	int fds[CLIENT_FDS_MAX]; /* that came with it; closed with the call unless taken (set to -1) */
	unsigned fd_count;
};

/*
 * What serves a procedure, and what it needs for that. `run` writes the reply into call->out, or sets call->fault.
 * CALL_LATER: call_end comes later, from the loop's thread.
 */
struct handler {
	const char *name; /* of the procedure */
	int (*run)(struct call *call);
	/* NULL, or run before: sets call->object to what the call is about. What is not CALL_DONE is the result. */
	int (*find)(struct call *call);
	uint32_t flags; /* the known ones, where the signature ends with a word of flags; others are refused */
};
#define HANDLER_ANY_FLAGS UINT32_MAX

/* Ends a call that said CALL_LATER: CALL_DONE or CALL_FAILED. The call is gone afterwards. */
void call_end(struct call *call, int result);
/* Runs the handler of a call that said CALL_LATER once more, from its beginning. The call may be gone afterwards. */
void call_again(struct call *call);

/* Arguments by their place in the signature. A string that is absent is NULL. */
static inline const struct value *call_arg(const struct call *c, unsigned n) { return &c->args.item[n]; }
static inline int32_t call_i(const struct call *c, unsigned n) { return c->args.item[n].i; }
static inline uint32_t call_u(const struct call *c, unsigned n) { return c->args.item[n].u; }
static inline uint64_t call_H(const struct call *c, unsigned n) { return c->args.item[n].H; }
static inline const char *call_s(const struct call *c, unsigned n) { return c->args.item[n].s; }
/* Part m of the reference at n; the reference is there. */
static inline const struct value *call_part(const struct call *c, unsigned n, unsigned m)
{
	return &c->args.item[n].items[m];
}

/* ---- clients ---- */

/* Of one that came by a socket for readers, wished it so, or may change only what it is asked about each time. */
bool client_read_only(const struct client *c);
enum client_transport { CLIENT_UNIX, CLIENT_TLS, CLIENT_TCP };
enum client_transport client_transport(const struct client *c);
/* How the client is to say who it is; the numbers are the protocol's. AUTH_NONE: it need not, or it has. */
enum client_auth { AUTH_NONE, AUTH_SASL, AUTH_POLKIT };
enum client_auth client_auth(const struct client *c);
/* The client is let in. limited: it may read; each call that changes something is asked about (server_config). */
void client_admit(struct client *c, bool limited);
/* The SASL session of a client that must say who it is that way; it is the client's. */
int client_sasl(struct client *c, struct sasl **out, struct err *e) ATTR_MUST_USE;
/* By SASL the client is let in, and what follows the answer to this call goes through SASL's layer. */
int client_admit_sasl(struct client *c, struct err *e) ATTR_MUST_USE;
/* It is not: the connection ends with the answer. */
void client_refuse(struct client *c);
/* The process at the other end as the kernel names it: false for other than unix sockets. */
bool client_peer(const struct client *c, uid_t *uid, gid_t *gid, pid_t *pid);
/* read_only: by its own wish, whatever the socket allows. Closed, it goes once it has read its answers. */
void client_set_open(struct client *c, bool open, bool read_only);
void client_set_keepalive(struct client *c);
void client_set_close_callback(struct client *c, bool on);

/* ---- streams ---- */

/* Whoever opened the stream; all on the loop's thread. After end or gone it is not called again. */
struct stream_ops {
	/* Bytes from the client. False with *f set: the stream is aborted. */
	bool (*data)(void *opaque, const uint8_t *data, size_t len, struct fault *f);
	/* The client has sent all. False with *f set: what was sent is lost. */
	bool (*finish)(void *opaque, struct fault *f);
	/* The client aborted the stream, or is gone. */
	void (*gone)(void *opaque);
	/* stream_send may be called again. */
	void (*room)(void *opaque);
};

/* Makes the call open a stream: to be called by the handler before CALL_DONE. NULL: too many (call->fault is set). */
struct stream *stream_open(struct call *c, const struct stream_ops *ops, void *opaque);
/* len <= STREAM_CHUNK_MAX. False: the client has enough to read for now; nothing was taken, room follows. */
bool stream_send(struct stream *s, const uint8_t *data, size_t len) ATTR_MUST_USE;
/* No more data comes; the client's end follows by finish. */
void stream_send_end(struct stream *s);
/* In finish: the answer to the client's end comes later, by stream_end. What else the client sends is not looked at. */
void stream_defer(struct stream *s);
/* Ends a stream that was deferred, with an error when f is not NULL. The stream is gone. */
void stream_end(struct stream *s, const struct fault *f);
/* Ends the stream from our side with an error. The stream is gone. */
void stream_abort(struct stream *s, const struct fault *f);
/* While held, no byte is read from the stream's client. */
void stream_hold(struct stream *s, bool hold);

/* ---- events ---- */

enum watch_kind { WATCH_DOMAIN, WATCH_NETWORK, WATCH_POOL, WATCH_NODE_DEVICE, WATCH_SECRET, WATCH_KINDS };

/* Registers; uuid NULL: every object. The callback's number, or CALL_FAILED with call->fault set. */
int watch_add(struct call *c, enum watch_kind kind, int event, const uint8_t *uuid);
int watch_remove(struct call *c, enum watch_kind kind, int callback);
/*
 * Sends an event to all who registered for it: procedure `proc`, whose message begins with the callback's number and
 * goes on with body. uuid: the object's.
 */
void watch_send(struct server *s, enum watch_kind kind, int event, const char *proc, const uint8_t *uuid,
		const struct xdr_out *body);

/* ---- server ---- */

enum admittance { ADMIT_NO, ADMIT_YES, ADMIT_POLKIT };

struct server_config {
	struct loop *loop;
	/* Who may come over a unix socket with these credentials; ADMIT_NO refuses every call. NULL: all. */
	enum admittance (*admit)(void *opaque, uid_t uid, gid_t gid, pid_t pid, bool read_only);
	/* Whether a limited client may have this call, which changes something: CALL_DONE, CALL_FAILED with the fault
	 * set, or CALL_LATER; then call_again or call_end follows. */
	int (*authorize)(struct call *call);
	void *opaque; /* of calls and of admit */
};

int server_create(struct server **out, const struct server_config *cfg, struct err *e) ATTR_MUST_USE;
/* Drops all clients; calls under way are told by call->client == NULL and still must be ended before this. */
void server_destroy(struct server *s);
/* Adds the handlers of a table, which stays; one handler a procedure. */
void server_handle(struct server *s, const struct handler *table, unsigned count);
/* Takes over a listening socket. */
int server_listen(struct server *s, int fd, bool read_only, struct err *e) ATTR_MUST_USE;
/* The same for one of the network. tls NULL: without; sasl: clients say who they are by it. */
int server_listen_network(struct server *s, int fd, struct tls *tls, bool sasl, struct err *e) ATTR_MUST_USE;
unsigned server_clients(const struct server *s);
bool server_has(const struct server *s, const struct proc *p);

#endif
