/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams: bytes in both directions that belong to a call which has been answered. */
#include "daemon/rpc/server_priv.h"

#include <stdlib.h>

static struct packet head_of(const struct stream *s, enum packet_status status)
{
	return (struct packet){ PROGRAM_REMOTE, PROGRAM_VERSION, s->procedure, PACKET_STREAM, s->serial, status };
}

static void stream_free(struct stream *s)
{
	struct client *c = s->client;

	stream_hold(s, false);
	list_remove(&s->node);
	c->stream_count--;
	free(s);
}

struct stream *stream_open(struct call *call, const struct stream_ops *ops, void *opaque)
{
	struct client *c = call->client;
	struct stream *s = c && c->stream_count < CLIENT_STREAMS_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		fault_set(&call->fault, FAULT_OPERATION_FAILED, FROM_STREAMS, "too many open streams");
		return NULL;
	}
	s->client = c;
	s->procedure = call->proc->number;
	s->serial = call->serial;
	s->ops = ops;
	s->opaque = opaque;
	list_add_tail(&c->streams, &s->node);
	c->stream_count++;
	return s;
}

bool stream_send(struct stream *s, const uint8_t *data, size_t len)
{
	const struct packet p = head_of(s, STATUS_CONTINUE);

	if (s->client->output >= CLIENT_OUTPUT_STREAM) {
		s->starved = true;
		return false;
	}
	client_send(s->client, &p, data, len, NULL, 0);
	return true;
}

void stream_send_end(struct stream *s)
{
	const struct packet p = head_of(s, STATUS_CONTINUE);

	client_send(s->client, &p, NULL, 0, NULL, 0);
}

void stream_abort(struct stream *s, const struct fault *f)
{
	const struct packet p = head_of(s, STATUS_ERROR);
	struct client *c = s->client;

	stream_free(s);
	packet_fault(c, &p, PACKET_STREAM, f);
}

void stream_hold(struct stream *s, bool hold)
{
	if (s->held == hold)
		return;
	s->held = hold;
	s->client->holds += hold ? 1u : -1u;
	client_update(s->client);
}

static struct stream *find(struct client *c, const struct packet *p)
{
	list_each(it, &c->streams) {
		struct stream *s = list_entry(it, struct stream, node);

		if (s->serial == p->serial && s->procedure == p->procedure)
			return s;
	}
	return NULL;
}

void stream_defer(struct stream *s)
{
	s->deferred = true;
}

void stream_end(struct stream *s, const struct fault *f)
{
	const struct packet p = head_of(s, STATUS_OK);
	struct client *c = s->client;

	if (f) {
		stream_abort(s, f);
		return;
	}
	stream_free(s);
	client_send(c, &p, NULL, 0, NULL, 0);
}

/* The client has sent all that it has: it waits for an empty answer. */
static void finish(struct stream *s)
{
	struct fault f = { 0 };

	if (!s->ops->finish(s->opaque, &f))
		stream_abort(s, &f);
	else if (!s->deferred)
		stream_end(s, NULL);
}

/* It waits for an answer, and to have aborted is no failure. */
static void aborted(struct stream *s)
{
	s->ops->gone(s->opaque);
	stream_end(s, NULL);
}

/* What comes for a stream that has ended was under way when it did, and is no error. */
void stream_packet(struct client *c, const struct packet *p, const uint8_t *data, size_t len)
{
	struct stream *s = p->program == PROGRAM_REMOTE ? find(c, p) : NULL;
	struct fault f = { 0 };

	if (!s)
		return;
	if (p->status == STATUS_ERROR)
		aborted(s);
	else if (s->deferred)
		return;
	else if (p->status == STATUS_OK)
		finish(s);
	else if (len && !s->ops->data(s->opaque, data, len, &f))
		stream_abort(s, &f);
}

void streams_gone(struct client *c)
{
	while (!list_empty(&c->streams)) {
		struct stream *s = list_entry(c->streams.next, struct stream, node);

		s->ops->gone(s->opaque);
		stream_free(s);
	}
}

/* One at a time: `room` may end any stream. Whoever is not served now is at the next occasion. */
void streams_room(struct client *c)
{
	bool again = true;

	while (again && !c->dead && c->output < CLIENT_OUTPUT_STREAM) {
		again = false;
		list_each(it, &c->streams) {
			struct stream *s = list_entry(it, struct stream, node);

			if (!s->starved)
				continue;
			s->starved = false;
			again = true;
			s->ops->room(s->opaque);
			break;
		}
	}
}
