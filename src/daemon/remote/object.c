/* SPDX-License-Identifier: GPL-2.0-or-later */
/* References to domains, and calls that wait for them. */
#include "daemon/remote/remote_priv.h"

#include <string.h>

struct domain *remote_domain(struct call *c, unsigned n)
{
	const struct daemon *daemon = c->opaque;
	const uint8_t *uuid = call_part(c, n, 1)->x;
	struct domain *d = domain_by_uuid(daemon->domains, uuid);
	char text[37];

	if (d)
		return d;
	xuuid_text(uuid, text);
	fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "no domain with matching uuid '%s' (%.100s)", text,
		  call_part(c, n, 0)->s);
	return NULL;
}

static void idle_now(void *opaque, bool timeout)
{
	struct call *c = opaque;

	if (!timeout) {
		call_again(c);
		return;
	}
	fault_set(&c->fault, FAULT_TIMEOUT, FROM_HYPERVISOR,
		  "cannot acquire state change lock: another job on the domain does not end");
	call_end(c, CALL_FAILED);
}

int remote_domain_idle(struct call *c, unsigned n, struct domain **out)
{
	struct domain *d = remote_domain(c, n);

	*out = NULL;
	if (!d)
		return CALL_FAILED;
	if (d->job != JOB_NONE)
		return domain_wait(d, idle_now, c) < 0 ?
			       fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory to wait") :
			       CALL_LATER;
	*out = d;
	return CALL_DONE;
}

int remote_find_domain(struct call *c)
{
	c->object = remote_domain(c, 0);
	return c->object ? CALL_DONE : CALL_FAILED;
}

int remote_find_running(struct call *c)
{
	struct domain *d = c->object = remote_domain(c, 0);

	if (!d)
		return CALL_FAILED;
	return domain_active(d) ? CALL_DONE : remote_not_running(c);
}

int remote_find_idle(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	c->object = d;
	return ret;
}

int remote_not_running(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
}

void remote_put_domain(struct xdr_out *o, const struct domain *d)
{
	xdr_string(o, domain_name(d));
	xdr_uuid(o, domain_uuid(d));
	xdr_i32(o, d->id);
}

int remote_affect(struct call *c, const struct domain *d, unsigned *flags)
{
	if (!(*flags & (AFFECT_LIVE | AFFECT_CONFIG)))
		*flags |= domain_active(d) ? AFFECT_LIVE : AFFECT_CONFIG;
	if ((*flags & AFFECT_LIVE) && !domain_active(d))
		return remote_not_running(c);
	if ((*flags & AFFECT_CONFIG) && !d->persistent)
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
				 "transient domains do not have any persistent config");
	return 0;
}

void remote_done(void *opaque, const struct fault *f)
{
	struct call *c = opaque;

	if (f)
		c->fault = *f;
	call_end(c, f ? CALL_FAILED : CALL_DONE);
}

/* Each group of flags asks one question; none of a group asks nothing. */
bool remote_listed(const struct domain *d, unsigned flags)
{
	const struct {
		unsigned group, has;
	} question[] = {
		{0x3, domain_active(d) ? 0x1 : 0x2},
		{0xc, d->persistent ? 0x4 : 0x8},
		{0xf0, d->state == DOMAIN_RUNNING ? 0x10 :
		       d->state == DOMAIN_PAUSED  ? 0x20 :
		       d->state == DOMAIN_SHUTOFF ? 0x40 : 0x80},
		{0x300, 0x200},   /* a managed save: none has */
		{0xc00, d->autostart ? 0x400 : 0x800},
		{0x3000, 0x2000}, /* snapshots: none has */
		{0xc000, 0x8000}, /* checkpoints: none has */
	};

	for (unsigned n = 0; n < COUNT_OF(question); n++)
		if ((flags & question[n].group) && !(flags & question[n].has))
			return false;
	return true;
}
