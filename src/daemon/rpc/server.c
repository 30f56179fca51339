/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rpc/server_priv.h"

#include "base/fd.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t TICK_NS = INT64_C(1000000000);

int64_t server_now(const struct server *s)
{
	return clock_now(timerq_clock(loop_timers(s->cfg.loop)));
}

/* Events of this round may still name the dead: only those of the rounds before are freed. */
static void on_tick(void *opaque)
{
	struct server *s = opaque;
	int64_t now = server_now(s);

	list_each_safe(it, &s->dead)
		client_free(list_entry(it, struct client, node));
	list_each_safe(it, &s->clients)
		client_tick(list_entry(it, struct client, node), now);
	timer_arm(&s->tick, now + TICK_NS);
}

int server_create(struct server **out, const struct server_config *cfg, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->cfg = *cfg;
	list_init(&s->listeners);
	list_init(&s->clients);
	list_init(&s->dead);
	timer_init(&s->tick, loop_timers(cfg->loop), on_tick, s);
	timer_arm(&s->tick, server_now(s) + TICK_NS);
	*out = s;
	return 0;
}

void server_destroy(struct server *s)
{
	if (!s)
		return;
	timer_cancel(&s->tick);
	list_each_safe(it, &s->clients)
		client_drop(list_entry(it, struct client, node));
	list_each_safe(dead, &s->dead)
		client_free(list_entry(dead, struct client, node));
	list_each_safe(node, &s->listeners) {
		struct listener *l = list_entry(node, struct listener, node);

		loop_fd_remove(l->io);
		close(l->fd);
		free(l);
	}
	free(s);
}

void server_handle(struct server *s, const struct handler *table, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		const struct proc *p = proc_by_name(table[n].name);

		assert(p && p->access != PROC_EVENT && !s->handler[p->number]);
		assert(!table[n].flags || proc_has_flags(p));
		s->handler[p->number] = &table[n];
	}
}

bool server_has(const struct server *s, const struct proc *p)
{
	return s->handler[p->number] != NULL;
}

/* One user's connections must leave room for the others'. */
static bool has_room(const struct server *s, int peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	unsigned count = 0;

	if (s->client_count >= CLIENTS_MAX)
		return false;
	if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid == 0 || cred.uid == geteuid())
		return true;
	list_each(it, &s->clients)
		count += list_entry(it, struct client, node)->uid == cred.uid;
	return count < CLIENTS_OF_USER_MAX;
}

static void on_connect(void *opaque, int fd, unsigned events)
{
	struct listener *l = opaque;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err e = { 0 };

	if (peer < 0)
		return;
	if (!has_room(l->server, peer))
		close(peer);
	else if (client_create(l, peer, &e) < 0)
		log_limited(&l->server->troubles, LOG_WARNING, "a client cannot be served: %s", e.text);
}

static int listen_by(struct server *s, const struct listener *wanted, struct err *e)
{
	struct listener *l = calloc(1, sizeof(*l));
	int fd = wanted->fd, ret;

	if (!l) {
		close(fd);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*l = *wanted;
	l->server = s;
	ret = fd_set_nonblock(fd, true);
	if (ret < 0)
		err_errno(e, -ret, "cannot use a listening socket");
	else
		ret = loop_fd_add(s->cfg.loop, fd, LOOP_READ, on_connect, l, &l->io, e);
	if (ret < 0) {
		close(fd);
		free(l);
		return ret;
	}
	list_add_tail(&s->listeners, &l->node);
	return 0;
}

int server_listen(struct server *s, int fd, bool read_only, struct err *e)
{
	return listen_by(s, &(struct listener){ .fd = fd, .read_only = read_only, .transport = CLIENT_UNIX }, e);
}

int server_listen_network(struct server *s, int fd, struct tls *tls, bool sasl, struct err *e)
{
	const struct listener l = { .fd = fd, .transport = tls ? CLIENT_TLS : CLIENT_TCP, .tls = tls, .sasl = sasl };

	return listen_by(s, &l, e);
}

unsigned server_clients(const struct server *s)
{
	return s->client_count;
}
