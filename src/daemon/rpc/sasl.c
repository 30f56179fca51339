/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rpc/sasl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	STRENGTH_MIN = 56, /* bits; the clients' own limit for what goes over open networks */
	STRENGTH_MAX = 100000,
	LAYER_BYTES = 64 << 10,
	READS_MAX = 16, /* without a byte to show for it: then others have their turn */
	ADDRESS_MAX = NI_MAXHOST + NI_MAXSERV + 2,
};

struct sasl {
	sasl_conn_t *conn;
	bool encrypted, begun;
};

struct sasl_wire {
	struct wire wire;
	struct sasl *sasl;
	int fd;
	size_t send_max;
	const char *in; /* decoded, not fetched yet */
	unsigned in_len;
	const char *out; /* encoded, on its way */
	unsigned out_len;
	size_t out_plain; /* the bytes that it stands for */
};

int sasl_prepare(struct err *e)
{
	int ret = sasl_server_init(NULL, "libvirt");

	return ret == SASL_OK ? 0 : err_set(e, -EINVAL, "cannot use SASL: %s", sasl_errstring(ret, NULL, NULL));
}

void sasl_finish(void)
{
	sasl_done();
}

/* ---- a session ---- */

/* "address;port", the form that the library wants. */
static const char *address(int fd, bool peer, char out[ADDRESS_MAX])
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&sa, &len) < 0 ||
	    (sa.ss_family != AF_INET && sa.ss_family != AF_INET6) ||
	    getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return NULL;
	snprintf(out, ADDRESS_MAX, "%s;%s", host, port);
	return out;
}

static int set_properties(struct sasl *s, unsigned strength)
{
	const sasl_security_properties_t own = {
		.min_ssf = s->encrypted ? 0 : STRENGTH_MIN,
		.max_ssf = s->encrypted ? 0 : STRENGTH_MAX,
		.maxbufsize = LAYER_BYTES,
		.security_flags = SASL_SEC_NOANONYMOUS | (s->encrypted ? 0u : SASL_SEC_NOPLAINTEXT),
	};
	sasl_ssf_t external = strength;
	int ret = sasl_setprop(s->conn, SASL_SEC_PROPS, &own);

	if (ret == SASL_OK && s->encrypted)
		ret = sasl_setprop(s->conn, SASL_SSF_EXTERNAL, &external);
	return ret;
}

int sasl_create(struct sasl **out, int fd, unsigned strength, struct err *e)
{
	struct sasl *s = calloc(1, sizeof(*s));
	char local[ADDRESS_MAX], remote[ADDRESS_MAX];
	int ret;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->encrypted = strength > 0;
	ret = sasl_server_new("libvirt", NULL, NULL, address(fd, false, local), address(fd, true, remote), NULL,
			      SASL_SUCCESS_DATA, &s->conn);
	if (ret == SASL_OK)
		ret = set_properties(s, strength);
	if (ret != SASL_OK) {
		sasl_destroy(s);
		return err_set(e, -EIO, "cannot begin with SASL: %s", sasl_errstring(ret, NULL, NULL));
	}
	*out = s;
	return 0;
}

void sasl_destroy(struct sasl *s)
{
	if (!s)
		return;
	sasl_dispose(&s->conn);
	free(s);
}

int sasl_mechanisms(struct sasl *s, const char **out, struct err *e)
{
	unsigned len;
	int count, ret = sasl_listmech(s->conn, NULL, "", ",", "", out, &len, &count);

	if (ret != SASL_OK || count == 0)
		return err_set(e, -ENOENT, s->encrypted ? "no SASL mechanism is there" :
				"no SASL mechanism that encrypts is there; install GSSAPI's, or come by TLS");
	return 0;
}

int sasl_step(struct sasl *s, const char *mechanism, const char *data, size_t len, const char **reply,
	      size_t *reply_len, struct err *e)
{
	unsigned size = 0;
	int ret;

	*reply = NULL;
	if (!mechanism && !s->begun)
		return err_set(e, -EACCES, "a step of no mechanism");
	s->begun = true;
	if (mechanism)
		ret = sasl_server_start(s->conn, mechanism, data, (unsigned)len, reply, &size);
	else
		ret = sasl_server_step(s->conn, data, (unsigned)len, reply, &size);
	*reply_len = size;
	if (ret == SASL_OK)
		return 1;
	return ret == SASL_CONTINUE ? 0 : err_set(e, -EACCES, "%s", sasl_errdetail(s->conn));
}

/* ---- the layer ---- */

static struct sasl_wire *wire_of(struct wire *w)
{
	return container_of(w, struct sasl_wire, wire);
}

/* 1: something is decoded; 0: the end. A peer may send pieces that hold nothing for ever. */
static ssize_t fetch(struct sasl_wire *w)
{
	char raw[8192];
	ssize_t got;

	for (unsigned n = 0; !w->in_len; n++) {
		if (n == READS_MAX)
			return -EAGAIN;
		got = recv(w->fd, raw, sizeof(raw), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		if (sasl_decode(w->sasl->conn, raw, (unsigned)got, &w->in, &w->in_len) != SASL_OK)
			return -EBADMSG;
	}
	return 1;
}

static ssize_t layer_recv(struct wire *wire, void *data, size_t len)
{
	struct sasl_wire *w = wire_of(wire);
	ssize_t ret = fetch(w);
	size_t part = w->in_len < len ? w->in_len : len;

	if (ret <= 0)
		return ret;
	memcpy(data, w->in, part);
	w->in += part;
	w->in_len -= (unsigned)part;
	return (ssize_t)part;
}

static ssize_t layer_send(struct wire *wire, const void *data, size_t len)
{
	struct sasl_wire *w = wire_of(wire);

	if (!w->out_len) {
		w->out_plain = len < w->send_max ? len : w->send_max;
		if (sasl_encode(w->sasl->conn, data, (unsigned)w->out_plain, &w->out, &w->out_len) != SASL_OK)
			return -EIO;
	}
	while (w->out_len) {
		ssize_t sent = send(w->fd, w->out, w->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		w->out += sent;
		w->out_len -= (unsigned)sent;
	}
	return (ssize_t)w->out_plain;
}

static bool layer_pending(const struct wire *wire)
{
	return container_of(wire, const struct sasl_wire, wire)->in_len > 0;
}

static void layer_free(struct wire *wire)
{
	free(wire_of(wire));
}

static const struct wire_ops layer_ops = {NULL, layer_recv, layer_send, layer_pending, layer_free};

int sasl_layer(struct sasl *s, int fd, struct wire **out, struct err *e)
{
	const void *ssf = NULL, *max = NULL;
	struct sasl_wire *w;

	*out = NULL;
	if (s->encrypted)
		return 0;
	if (sasl_getprop(s->conn, SASL_SSF, &ssf) != SASL_OK || *(const sasl_ssf_t *)ssf < STRENGTH_MIN ||
	    sasl_getprop(s->conn, SASL_MAXOUTBUF, &max) != SASL_OK)
		return err_set(e, -EACCES, "the SASL mechanism does not encrypt well enough");
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	w->wire.ops = &layer_ops;
	w->sasl = s;
	w->fd = fd;
	w->send_max = *(const unsigned *)max;
	if (!w->send_max || w->send_max > LAYER_BYTES)
		w->send_max = LAYER_BYTES;
	*out = &w->wire;
	return 0;
}
