/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who wants to hear of what. */
#include "daemon/rpc/server_priv.h"

#include <stdlib.h>
#include <string.h>

int watch_add(struct call *call, enum watch_kind kind, int event, const uint8_t *uuid)
{
	struct client *c = call->client;
	struct watch *w = c->watch_count < CLIENT_WATCHES_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return fault_set(&call->fault, FAULT_OPERATION_FAILED, FROM_RPC,
				 "too many event callbacks are registered; at most %d are possible",
				 CLIENT_WATCHES_MAX);
	w->kind = kind;
	w->event = event;
	w->callback = c->next_callback++;
	w->filtered = uuid != NULL;
	if (uuid)
		memcpy(w->uuid, uuid, UUID_SIZE);
	list_add_tail(&c->watches, &w->node);
	c->watch_count++;
	return w->callback;
}

static void watch_free(struct client *c, struct watch *w)
{
	list_remove(&w->node);
	c->watch_count--;
	free(w);
}

int watch_remove(struct call *call, enum watch_kind kind, int callback)
{
	list_each_safe(it, &call->client->watches) {
		struct watch *w = list_entry(it, struct watch, node);

		if (w->kind != kind || w->callback != callback)
			continue;
		watch_free(call->client, w);
		return CALL_DONE;
	}
	return fault_set(&call->fault, FAULT_INVALID_ARG, FROM_RPC, "event callback id %d is not registered", callback);
}

void watches_free(struct client *c)
{
	list_each_safe(it, &c->watches)
		watch_free(c, list_entry(it, struct watch, node));
}

static void send_one(struct client *c, const struct watch *w, const struct proc *p, const struct xdr_out *body)
{
	const struct packet head = { PROGRAM_REMOTE, PROGRAM_VERSION, p->number, PACKET_MESSAGE, 0, STATUS_OK };
	struct xdr_out o;

	if (c->output > CLIENT_OUTPUT_EVENTS) { /* it has not read for long */
		client_drop(c);
		return;
	}
	xdr_out_init(&o);
	xdr_i32(&o, w->callback);
	if (o.failed || buf_append(&o.buf, body->buf.data, body->buf.len) < 0)
		client_drop(c);
	else
		client_send(c, &head, o.buf.data, o.buf.len, NULL, 0);
	xdr_out_free(&o);
}

static void send_to(struct client *c, enum watch_kind kind, int event, const struct proc *p, const uint8_t *uuid,
		    const struct xdr_out *body)
{
	list_each_safe(it, &c->watches) {
		struct watch *w = list_entry(it, struct watch, node);

		if (w->kind != kind || w->event != event || (w->filtered && memcmp(w->uuid, uuid, UUID_SIZE)))
			continue;
		send_one(c, w, p, body);
		if (c->dead) /* its watches are gone too */
			return;
	}
}

void watch_send(struct server *s, enum watch_kind kind, int event, const char *proc, const uint8_t *uuid,
		const struct xdr_out *body)
{
	const struct proc *p = proc_by_name(proc);

	if (body->failed)
		return;
	list_each_safe(it, &s->clients)
		send_to(list_entry(it, struct client, node), kind, event, p, uuid, body);
}
