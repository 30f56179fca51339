/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/access/access.h"

#include "base/fd.h"
#include "daemon/access/polkit.h"
#include "daemon/domain/domain.h"
#include "daemon/rpc/sasl.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* ---- the network ---- */

/* "address:port", "[address]:port" or a port. */
static int split(const char *where, char host[NI_MAXHOST], char port[NI_MAXSERV], struct err *e)
{
	const char *colon = strrchr(where, ':'), *p = colon ? colon + 1 : where;
	size_t len = colon ? (size_t)(colon - where) : 0;

	if (len > 1 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	}
	if (!*p || strlen(p) >= NI_MAXSERV || len >= NI_MAXHOST)
		return err_set(e, -EINVAL, "%s is no address and port to listen on, as [::]:16514 is", where);
	memcpy(host, where, len);
	host[len] = 0;
	strcpy(port, p);
	return 0;
}

static int listen_fd(const struct addrinfo *a, const char *where, struct err *e)
{
	static const int on = 1, off = 0;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(e, errno, "cannot create a socket for %s", where);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (a->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
	    bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		err_errno(e, errno, "cannot listen on %s", where);
		close(fd);
		return e->code;
	}
	return fd;
}

static int listen_on(struct daemon *d, const char *where, struct tls *tls, bool sasl, struct err *e)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct addrinfo *list;
	int ret = split(where, host, port, e), fd;

	if (ret < 0)
		return ret;
	ret = getaddrinfo(host[0] ? host : "::", port, &hints, &list);
	if (ret)
		return err_set(e, -EINVAL, "cannot listen on %s: %s", where, gai_strerror(ret));
	fd = listen_fd(list, where, e);
	freeaddrinfo(list);
	return fd < 0 ? fd : server_listen_network(d->server, fd, tls, sasl, e);
}

static int open_network(struct daemon *d, struct err *e)
{
	const struct access_config *a = &d->access;
	const struct tls_config tls = { a->pki ? a->pki : "/etc/pki", a->name, a->name_count };
	int ret = a->tcp || a->tls_sasl ? sasl_prepare(e) : 0;

	if (ret == 0 && a->tls)
		ret = tls_create(&d->tls, &tls, e);
	if (ret == 0 && a->tls)
		ret = listen_on(d, a->tls, d->tls, a->tls_sasl, e);
	if (ret == 0 && a->tcp)
		ret = listen_on(d, a->tcp, NULL, true, e);
	return ret;
}

int access_open(struct daemon *d, struct err *e)
{
	int ret = d->access.polkit ? polkit_create(&d->polkit, d->loop, e) : 0;

	return ret < 0 ? ret : open_network(d, e);
}

void access_close(struct daemon *d)
{
	polkit_destroy(d->polkit);
	tls_destroy(d->tls);
	if (d->access.tcp || d->access.tls_sasl)
		sasl_finish();
}

/* ---- who may do what ---- */

/* Without polkit whoever passed the socket's owner and mode is in; root and the daemon's own user in any case. */
enum admittance access_admit(void *opaque, uid_t uid, gid_t gid, pid_t pid, bool read_only)
{
	const struct daemon *d = opaque;

	if (uid == 0 || uid == geteuid())
		return ADMIT_YES;
	if (d->session)
		return ADMIT_NO;
	return d->polkit ? ADMIT_POLKIT : ADMIT_YES;
}

static int denied(struct call *c)
{
	char action[96];

	access_action(c->proc, action, sizeof(action));
	return fault_set(&c->fault, FAULT_ACCESS_DENIED, FROM_ACCESS, "'%s' is not allowed to this user", action);
}

static void authorized(void *opaque, enum polkit_answer answer)
{
	struct call *c = opaque;

	if (answer == POLKIT_YES)
		call_again(c);
	else
		call_end(c, denied(c));
}

/* What rules may look at; texts of the client's only where they are checked against what is there. */
static void describe(const struct call *c, struct polkit_question *q, char uuid[37])
{
	const struct daemon *daemon = c->opaque;
	const struct domain *d;

	q->detail[q->detail_count++] = (typeof(q->detail[0])){ "connect_driver", "QEMU" };
	if (c->proc->args[0] != 'D')
		return;
	d = domain_by_uuid(daemon->domains, call_part(c, 0, 1)->x);
	if (!d)
		return;
	xuuid_text(domain_uuid(d), uuid);
	q->detail[q->detail_count++] = (typeof(q->detail[0])){ "domain_name", domain_name(d) };
	q->detail[q->detail_count++] = (typeof(q->detail[0])){ "domain_uuid", uuid };
}

int access_authorize(struct call *c)
{
	const struct daemon *daemon = c->opaque;
	struct polkit_question q = { .interact = false };
	char action[96], uuid[37];
	gid_t gid;

	if (!daemon->polkit || !client_peer(c->client, &q.uid, &gid, &q.pid))
		return denied(c);
	access_action(c->proc, action, sizeof(action));
	q.action = action;
	describe(c, &q, uuid);
	polkit_ask(daemon->polkit, &q, authorized, c);
	return CALL_LATER;
}
