/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole packets to calls, and what calls end with to packets. */
#include "daemon/rpc/server_priv.h"

#include "base/bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void packet_fault(struct client *c, const struct packet *request, enum packet_type type, const struct fault *f)
{
	struct packet p = *request;
	struct xdr_out o;

	xdr_out_init(&o);
	xdr_i32(&o, f->code);
	xdr_i32(&o, f->domain);
	xdr_optional_string(&o, f->text);
	xdr_i32(&o, 2); /* its level: an error */
	for (unsigned n = 0; n < 7; n++) /* no object, three texts, two numbers, no network */
		xdr_u32(&o, 0);
	p.type = type;
	p.status = STATUS_ERROR;
	if (o.failed)
		client_drop(c);
	else
		client_send(c, &p, o.buf.data, o.buf.len, NULL, 0);
	xdr_out_free(&o);
}

/* ---- a call's life ---- */

static void call_free(struct call *call)
{
	list_remove(&call->node);
	for (unsigned n = 0; n < call->fd_count; n++)
		if (call->fds[n] >= 0)
			close(call->fds[n]);
	values_free(&call->args);
	xdr_out_free(&call->out);
	free(call->payload);
	free(call);
}

static struct packet reply_head(const struct call *call)
{
	uint16_t number = call->proc->number;
	bool remote = number <= PROC_COUNT;

	return (struct packet){ remote ? PROGRAM_REMOTE : PROGRAM_HYPERVISOR, PROGRAM_VERSION,
		remote ? number : number - PROC_COUNT, PACKET_REPLY, call->serial, STATUS_OK };
}

/* A reply that is not of the procedure's form is a fault of ours: the client would misread it. */
static void send_reply(struct call *call, int result)
{
	const struct packet p = reply_head(call);

	if (result == CALL_DONE && call->out.failed)
		result = fault_set(&call->fault, FAULT_RPC, FROM_RPC, "the answer is larger than a message may be");
	if (result != CALL_DONE) {
		packet_fault(call->client, &p, PACKET_REPLY, &call->fault);
		return;
	}
	assert(xdr_matches(call->proc->ret, call->out.buf.data, call->out.buf.len));
	client_send(call->client, &p, call->out.buf.data, call->out.buf.len, NULL, 0);
}

void call_end(struct call *call, int result)
{
	struct client *c = call->client;

	if (c) {
		c->call_count--;
		list_remove(&call->node);
		send_reply(call, result);
		client_update(c);
	}
	call_free(call);
}

static bool unknown_flags(struct call *call, uint32_t known)
{
	uint32_t other;
	char function[64];

	if (!proc_has_flags(call->proc))
		return false;
	other = call_u(call, call->args.count - 1) & ~known;
	if (!other)
		return false;
	proc_function(call->proc, function, sizeof(function));
	fault_set(&call->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "unsupported flags (0x%x) in function %s", other,
		  function);
	return true;
}

static int run_handler(struct call *call)
{
	const struct handler *h = call->server->handler[call->proc->number];
	int ret = unknown_flags(call, h->flags) ? CALL_FAILED : CALL_DONE;

	if (ret == CALL_DONE && h->find)
		ret = h->find(call);
	return ret == CALL_DONE ? h->run(call) : ret;
}

void call_again(struct call *call)
{
	int ret;

	if (!call->client) {
		call_free(call);
		return;
	}
	call->out.buf.len = 0;
	ret = run_handler(call);
	if (ret != CALL_LATER)
		call_end(call, ret);
}

/* ---- from packet to call ---- */

enum { AUTH_FIRST = 66, AUTH_LAST = 70 }; /* all that is served to who has not said who it is */

static int refuse(struct client *c, const struct proc *p, struct fault *f)
{
	char name[64];

	if (p->access == PROC_EVENT)
		return fault_set(f, FAULT_RPC, FROM_RPC, "unknown procedure: %u", p->number);
	if (!c->admitted && !(p->number >= AUTH_FIRST && p->number <= AUTH_LAST))
		return fault_set(f, FAULT_RPC, FROM_RPC, "authentication required");
	if (p->access != PROC_ANY && !c->open && p->number != 1)
		return fault_set(f, FAULT_INTERNAL, FROM_RPC, "connection not open");
	proc_function(p, name, sizeof(name));
	if (p->access == PROC_WRITE && c->read_only)
		return fault_set(f, FAULT_DENIED, FROM_DOMAIN, "read only access prevents %s", name);
	if (!c->server->handler[p->number])
		return fault_set(f, FAULT_NO_SUPPORT, FROM_HYPERVISOR, "%s", name);
	return 0;
}

static struct call *make_call(struct client *c, const struct proc *p, uint32_t serial)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->server = c->server;
	call->client = c;
	call->proc = p;
	call->serial = serial;
	call->opaque = c->server->cfg.opaque;
	xdr_out_init(&call->out);
	for (; call->fd_count < c->fd_count; call->fd_count++)
		call->fds[call->fd_count] = c->fds[call->fd_count];
	c->fd_count = 0;
	list_add_tail(&c->calls, &call->node);
	c->call_count++;
	return call;
}

/* The body goes to the call: its values point into it. */
static bool run_call(struct client *c, const struct packet *head, const struct proc *p, uint8_t *body, size_t at,
		     size_t len)
{
	struct call *call = make_call(c, p, head->serial);
	struct err e = { 0 };
	int ret;

	if (!call) {
		client_drop(c);
		return false;
	}
	call->payload = body;
	if (values_decode(&call->args, p->args, body + at, len - at, &e) < 0)
		ret = fault_set(&call->fault, FAULT_RPC, FROM_RPC, "%s", e.text);
	else if (c->limited && p->access == PROC_WRITE)
		ret = c->server->cfg.authorize(call);
	else
		ret = CALL_DONE;
	if (ret == CALL_DONE)
		ret = run_handler(call);
	if (ret != CALL_LATER)
		call_end(call, ret);
	return true;
}

static bool take_call(struct client *c, const struct packet *p, uint8_t *body, size_t len)
{
	const struct proc *proc = p->program == PROGRAM_HYPERVISOR ? proc_of_hypervisor(p->procedure) :
								    proc_by_number(p->procedure);
	size_t at = PACKET_HEAD - 4 + (p->type == PACKET_CALL_FDS ? 4 : 0);
	struct fault f;

	if ((p->program == PROGRAM_HYPERVISOR && !proc) || p->program == PROGRAM_LXC)
		fault_set(&f, FAULT_NO_SUPPORT, FROM_HYPERVISOR, "procedure %u of program 0x%x", p->procedure,
			  p->program);
	else if ((p->program != PROGRAM_REMOTE && p->program != PROGRAM_HYPERVISOR) || p->version != PROGRAM_VERSION)
		fault_set(&f, FAULT_RPC, FROM_RPC, "Cannot find program %u version %u", p->program, p->version);
	else if (!proc)
		fault_set(&f, FAULT_RPC, FROM_RPC, "unknown procedure: %u", p->procedure);
	else if (at <= len && refuse(c, proc, &f) == 0)
		return run_call(c, p, proc, body, at, len);
	packet_fault(c, p, PACKET_REPLY, &f);
	return false;
}

static void take_message(struct client *c, const struct packet *p)
{
	const struct packet pong = { PROGRAM_KEEPALIVE, PROGRAM_VERSION, KEEPALIVE_PONG, PACKET_MESSAGE, 0, STATUS_OK };

	if (p->program == PROGRAM_KEEPALIVE && p->procedure == KEEPALIVE_PING)
		client_send(c, &pong, NULL, 0, NULL, 0);
}

bool dispatch(struct client *c, uint8_t *body, size_t len)
{
	const struct packet p = {
		.program = load_be32(body),
		.version = load_be32(body + 4),
		.procedure = load_be32(body + 8),
		.type = load_be32(body + 12),
		.serial = load_be32(body + 16),
		.status = load_be32(body + 20),
	};

	switch (p.type) {
	case PACKET_CALL:
	case PACKET_CALL_FDS: return take_call(c, &p, body, len);
	case PACKET_MESSAGE: take_message(c, &p); return false;
	case PACKET_STREAM:
		stream_packet(c, &p, body + PACKET_HEAD - 4, len - (PACKET_HEAD - 4));
		return false;
	default: client_drop(c); return false; /* nothing that a client may send */
	}
}
