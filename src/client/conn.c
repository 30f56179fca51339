/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client/conn.h"

#include "base/bytes.h"
#include "base/text.h"
#include "client/place.h"
#include "daemon/rpc/packet.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	bool system;
	uint32_t serial;
	uint32_t stream_procedure; /* of the last call: its stream has its numbers */
	int fault;
	uint8_t *data; /* the packet that was read last, without its head */
	size_t len;
};

/* ---- packets ---- */

static int write_all(struct conn *c, const uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, _("panald is gone"));
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return 0;
}

static int read_all(struct conn *c, uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = recv(c->fd, data, len, 0);

		if (n == 0)
			return err_set(e, -ECONNRESET, _("panald closed the connection"));
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, _("the connection to panald broke"));
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return 0;
}

static int send_packet(struct conn *c, const struct packet *p, const void *data, size_t len, struct err *e)
{
	uint8_t head[PACKET_HEAD];
	int ret;

	packet_write(head, p, len);
	ret = write_all(c, head, sizeof(head), e);
	return ret == 0 && len ? write_all(c, data, len, e) : ret;
}

/* The next packet; its payload in c->data. */
static int read_packet(struct conn *c, struct packet *p, struct err *e)
{
	uint8_t head[PACKET_HEAD];
	uint32_t size;
	int ret = read_all(c, head, sizeof(head), e);

	if (ret < 0)
		return ret;
	size = packet_read(head, p);
	if (size < PACKET_HEAD || size > PACKET_MAX)
		return err_set(e, -EBADMSG, _("what answers does not speak libvirt's protocol"));
	free(c->data);
	c->len = size - PACKET_HEAD;
	c->data = malloc(c->len + 1);
	if (!c->data)
		return err_set(e, -ENOMEM, _("no memory for an answer of %zu bytes"), c->len);
	return read_all(c, c->data, c->len, e);
}

/* Answers the daemon's question whether we live. True: that was it. */
static bool is_keepalive(struct conn *c, const struct packet *p)
{
	struct packet pong = { PROGRAM_KEEPALIVE, PROGRAM_VERSION, KEEPALIVE_PONG, PACKET_MESSAGE, 0, STATUS_OK };

	if (p->program == PROGRAM_KEEPALIVE && p->procedure == KEEPALIVE_PING)
		(void)!send_packet(c, &pong, NULL, 0, NULL);
	return p->program == PROGRAM_KEEPALIVE;
}

static int take_fault(struct conn *c, struct err *e)
{
	/* Code, domain, text; then the rest that we do not look at. */
	static const char signature[] = "i:code i:domain ?s:text i:level";
	struct values v;
	size_t len = c->len, rest = 7 * 4;
	int ret;

	if (len < rest || values_decode(&v, signature, c->data, len - rest, NULL) < 0) {
		c->fault = 1;
		return err_set(e, -EREMOTEIO, _("panald refused, in a form that is not understood"));
	}
	c->fault = v.item[0].i;
	ret = err_set(e, -EREMOTEIO, "%s", v.item[2].s ? v.item[2].s : _("panald refused without a word"));
	values_free(&v);
	if (e)
		text_told(e->text, e->text, sizeof(e->text));
	return ret;
}

/* ---- calls ---- */

int conn_call(struct conn *c, const char *name, const struct xdr_out *args, struct reply *r, struct err *e)
{
	const struct proc *proc = proc_by_name(name);
	struct packet p = { PROGRAM_REMOTE, PROGRAM_VERSION, 0, PACKET_CALL, ++c->serial, STATUS_OK }, got;
	int ret;

	if (r)
		*r = (struct reply){ 0 };
	assert(proc);
	p.procedure = c->stream_procedure = proc->number;
	c->fault = 0;
	if (args && args->failed)
		return err_set(e, -E2BIG, _("what is to be sent is too large"));
	ret = send_packet(c, &p, args ? args->buf.data : NULL, args ? args->buf.len : 0, e);
	do {
		if (ret == 0)
			ret = read_packet(c, &got, e);
	} while (ret == 0 && (is_keepalive(c, &got) || got.type != PACKET_REPLY || got.serial != c->serial));
	if (ret < 0)
		return ret;
	if (got.status == STATUS_ERROR)
		return take_fault(c, e);
	if (!r)
		return 0;
	r->data = c->data;
	c->data = NULL;
	return values_decode(&r->v, proc->ret, r->data, c->len, e);
}

void reply_free(struct reply *r)
{
	values_free(&r->v);
	free(r->data);
	*r = (struct reply){ 0 };
}

int conn_fault(const struct conn *c) { return c->fault; }
int conn_fd(const struct conn *c) { return c->fd; }

/* ---- streams ---- */

int conn_stream_write(struct conn *c, const void *data, size_t len, struct err *e)
{
	struct packet p = { PROGRAM_REMOTE, PROGRAM_VERSION, c->stream_procedure, PACKET_STREAM, c->serial,
		len ? STATUS_CONTINUE : STATUS_OK };

	return send_packet(c, &p, data, len, e);
}

ssize_t conn_stream_read(struct conn *c, const uint8_t **data, struct err *e)
{
	struct packet p;
	int ret;

	do
		ret = read_packet(c, &p, e);
	while (ret == 0 && (is_keepalive(c, &p) || p.type != PACKET_STREAM || p.serial != c->serial));
	if (ret < 0)
		return ret;
	if (p.status == STATUS_ERROR)
		return take_fault(c, e);
	*data = c->data;
	return p.status == STATUS_CONTINUE ? (ssize_t)c->len : 0;
}

/* ---- opening ---- */

static int greet(struct conn *c, struct err *e)
{
	struct xdr_out args;
	int ret = conn_call(c, "AUTH_LIST", NULL, NULL, e);

	if (ret < 0)
		return ret;
	xdr_out_init(&args);
	xdr_optional_string(&args, c->system ? "qemu:///system" : "qemu:///session");
	xdr_u32(&args, 0);
	ret = conn_call(c, "CONNECT_OPEN", &args, NULL, e);
	xdr_out_free(&args);
	return ret;
}

int conn_open(struct conn **out, const char *uri, struct err *e)
{
	struct place place;
	struct conn *c;
	int ret = place_find(&place, uri, e);

	*out = NULL;
	if (ret == 0)
		ret = place_connect(&place, e);
	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(ret);
		return err_set(e, -ENOMEM, _("no memory"));
	}
	c->fd = ret;
	c->system = place.system;
	ret = greet(c, e);
	if (ret < 0)
		conn_close(c);
	else
		*out = c;
	return ret;
}

void conn_close(struct conn *c)
{
	if (!c)
		return;
	close(c->fd);
	free(c->data);
	free(c);
}
