/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the client is: polkit over unix sockets, SASL over the network. One try a connection. */
#include "daemon/access/access.h"
#include "daemon/access/polkit.h"
#include "daemon/remote/remote.h"
#include "daemon/rpc/sasl.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static int auth_list(struct call *c)
{
	xdr_u32(&c->out, 1);
	xdr_i32(&c->out, client_auth(c->client));
	return CALL_DONE;
}

static int failed(struct call *c, const char *why)
{
	if (c->client)
		client_refuse(c->client);
	return fault_set(&c->fault, FAULT_AUTH_FAILED, FROM_AUTH, "%s", why);
}

static bool expects(struct call *c, enum client_auth auth)
{
	if (client_auth(c->client) == auth)
		return true;
	failed(c, "this connection is not to say in this way who it is");
	return false;
}

/* ---- polkit ---- */

static int allowed(struct call *c, bool limited)
{
	if (c->client)
		client_admit(c->client, limited);
	xdr_i32(&c->out, 1);
	return CALL_DONE;
}

static int no_by_polkit(struct call *c, enum polkit_answer answer)
{
	static const char *const texts[] = {
		[POLKIT_NO] = "polkit: access denied by policy",
		[POLKIT_NO_AGENT] = "polkit: no polkit agent available to authenticate action '" ACCESS_MANAGE "'",
		[POLKIT_TROUBLE] = "polkit: it did not answer",
	};

	return failed(c, texts[answer]);
}

static void may_look(void *opaque, enum polkit_answer answer)
{
	struct call *c = opaque;

	call_end(c, answer == POLKIT_YES ? allowed(c, true) : no_by_polkit(c, answer));
}

static int ask(struct call *c, const char *action, bool interact, polkit_done_fn done)
{
	const struct daemon *d = c->opaque;
	struct polkit_question q = { .action = action, .interact = interact };
	gid_t gid;

	if (!c->client || !d->polkit || !client_peer(c->client, &q.uid, &gid, &q.pid))
		return no_by_polkit(c, POLKIT_TROUBLE);
	polkit_ask(d->polkit, &q, done, c);
	return CALL_LATER;
}

/* Who may not manage all may look, and is asked about for each change: a rule may open one machine to him. */
static void may_manage(void *opaque, enum polkit_answer answer)
{
	struct call *c = opaque;
	int ret;

	if (answer == POLKIT_YES)
		ret = allowed(c, false);
	else if (answer == POLKIT_TROUBLE)
		ret = no_by_polkit(c, answer);
	else
		ret = ask(c, ACCESS_MONITOR, false, may_look);
	if (ret != CALL_LATER)
		call_end(c, ret);
}

static int auth_polkit(struct call *c)
{
	if (!expects(c, AUTH_POLKIT))
		return CALL_FAILED;
	return client_read_only(c->client) ? ask(c, ACCESS_MONITOR, true, may_look) :
					     ask(c, ACCESS_MANAGE, true, may_manage);
}

/* ---- SASL ---- */

enum { MECHANISM_MAX = 64, DATA_MAX = 64 << 10 };

static struct sasl *session(struct call *c)
{
	struct err e = { 0 };
	struct sasl *s = NULL;

	if (expects(c, AUTH_SASL) && client_sasl(c->client, &s, &e) < 0)
		failed(c, e.text);
	return s;
}

static int sasl_init_list(struct call *c)
{
	struct sasl *s = session(c);
	struct err e = { 0 };
	const char *list;

	if (!s)
		return CALL_FAILED;
	if (sasl_mechanisms(s, &list, &e) < 0)
		return failed(c, e.text);
	xdr_string(&c->out, list);
	return CALL_DONE;
}

/* No data and data of no bytes are different things. */
static void put_step(struct call *c, bool complete, const char *data, size_t len)
{
	xdr_i32(&c->out, complete);
	xdr_i32(&c->out, data ? 0 : 1);
	if (data)
		xdr_chars(&c->out, data, len);
	else
		xdr_chars(&c->out, "", 0);
}

/* What exactly was wrong the log has, and the client has not. */
static int wrong(struct call *c, const struct err *e)
{
	struct daemon *d = c->opaque;

	log_limited(&d->refusals, LOG_WARNING, "SASL: a client was refused: %s", e->text);
	return failed(c, "authentication failed: the name or the password is wrong");
}

static int step(struct call *c, const char *mechanism, unsigned nil_at)
{
	const struct value *data = call_arg(c, nil_at + 1);
	size_t len = data->count, reply_len;
	struct sasl *s = session(c);
	struct err e = { 0 };
	const char *reply;
	int ret;

	if (!s)
		return CALL_FAILED;
	if (len > DATA_MAX || (mechanism && strlen(mechanism) > MECHANISM_MAX))
		return failed(c, "the answer is too long");
	ret = sasl_step(s, mechanism, call_i(c, nil_at) ? NULL : (const char *)data->x, len, &reply, &reply_len, &e);
	if (ret < 0)
		return wrong(c, &e);
	if (ret == 1 && client_admit_sasl(c->client, &e) < 0)
		return wrong(c, &e);
	put_step(c, ret == 1, reply, reply_len);
	return CALL_DONE;
}

static int auth_sasl_start(struct call *c)
{
	return step(c, call_s(c, 0), 1);
}

static int auth_sasl_step(struct call *c)
{
	return step(c, NULL, 0);
}

const struct handler remote_auth[] = {
	{"AUTH_LIST", auth_list},
	{"AUTH_POLKIT", auth_polkit},
	{"AUTH_SASL_INIT", sasl_init_list},
	{"AUTH_SASL_START", auth_sasl_start},
	{"AUTH_SASL_STEP", auth_sasl_step},
};
const unsigned remote_auth_count = COUNT_OF(remote_auth);
