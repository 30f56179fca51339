/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defining, starting, stopping. */
#include "daemon/domain/agent.h"
#include "daemon/remote/remote_priv.h"

#include <string.h>

/* ---- definitions ---- */

static int define(struct call *c, bool validate)
{
	struct daemon *daemon = c->opaque;
	struct domain *d;

	if (domain_define(daemon->domains, call_s(c, 0), validate, &d, &c->fault) < 0)
		return CALL_FAILED;
	remote_put_domain(&c->out, d);
	return CALL_DONE;
}

static int define_xml(struct call *c)
{
	return define(c, false);
}

static int define_xml_flags(struct call *c)
{
	if (call_unknown_flags(c, 1, 1))
		return CALL_FAILED;
	return define(c, call_u(c, 1) & 1);
}

static int undefine(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? domain_undefine(d, &c->fault) : ret;
}

enum { UNDEFINE_NVRAM = 4, UNDEFINE_KEEP_NVRAM = 8 };

/* Of saved images and snapshots there is none that would have to go or stay; the firmware's variables do either. */
static int undefine_flags(struct call *c)
{
	unsigned flags = call_u(c, 1);
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (call_unknown_flags(c, 1, 0x7f))
		return CALL_FAILED;
	if (d->persistent && domain_nvram_exists(d) && !(flags & UNDEFINE_KEEP_NVRAM)) {
		if (!(flags & UNDEFINE_NVRAM))
			return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
					 "cannot undefine domain with nvram");
		return domain_undefine_all(d, &c->fault);
	}
	return domain_undefine(d, &c->fault);
}

static int set_autostart(struct call *c)
{
	struct domain *d = remote_domain(c, 0);

	return d ? domain_set_autostart(d, call_i(c, 1), &c->fault) : CALL_FAILED;
}

static int rename_domain(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (call_unknown_flags(c, 2, 0))
		return CALL_FAILED;
	if (!call_s(c, 1))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "a new name is needed");
	if (domain_rename(d, call_s(c, 1), &c->fault) < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, 0);
	return CALL_DONE;
}

/* ---- start ---- */

enum { START_PAUSED = 1, START_AUTODESTROY = 2, START_BYPASS_CACHE = 4, START_FORCE_BOOT = 8, START_VALIDATE = 16,
       START_RESET_NVRAM = 32 };

static int create(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? remote_started(domain_start(d, false, remote_done, c, &c->fault)) : ret;
}

/* The answer has the number that the domain has now. */
static void answer_domain(struct call *c, const struct domain *d, const struct fault *f)
{
	if (!f && d)
		remote_put_domain(&c->out, d);
	if (!f && !d)
		f = &c->fault;
	remote_done(c, f);
}

static void created(void *opaque, const struct fault *f)
{
	struct call *c = opaque;

	answer_domain(c, f ? NULL : remote_domain(c, 0), f);
}

static int create_with_flags(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (call_unknown_flags(c, 1, START_PAUSED | START_BYPASS_CACHE | START_FORCE_BOOT | START_RESET_NVRAM))
		return CALL_FAILED;
	if ((call_u(c, 1) & START_RESET_NVRAM) && !domain_active(d) && domain_nvram_remove(d, &c->fault) < 0)
		return CALL_FAILED;
	return remote_started(domain_start(d, call_u(c, 1) & START_PAUSED, created, c, &c->fault));
}

/* Which domain it was is known by its UUID alone, which the call has no room for: it is noted in the reply. */
static void created_xml(void *opaque, const struct fault *f)
{
	struct call *c = opaque;
	struct daemon *daemon = c->opaque;
	struct domain *d = domain_by_uuid(daemon->domains, c->out.buf.data);

	c->out.buf.len = 0;
	if (!f && !d)
		fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "the domain ended while it was being started");
	answer_domain(c, d, f);
}

static int create_xml(struct call *c)
{
	struct daemon *daemon = c->opaque;
	unsigned flags = call_u(c, 1);
	struct domain *d;

	if (call_unknown_flags(c, 1, START_PAUSED | START_VALIDATE | START_BYPASS_CACHE | START_FORCE_BOOT))
		return CALL_FAILED;
	if (domain_create(daemon->domains, call_s(c, 0), flags & START_VALIDATE, flags & START_PAUSED, created_xml, c,
			  &d, &c->fault) < 0)
		return CALL_FAILED;
	xdr_uuid(&c->out, domain_uuid(d));
	if (c->out.failed) /* then the domain runs and its name cannot be said */
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the answer");
	return CALL_LATER;
}

/* ---- power ---- */

enum { SHUTDOWN_ACPI = 1, SHUTDOWN_AGENT = 2, SHUTDOWN_INITCTL = 4, SHUTDOWN_SIGNAL = 8, SHUTDOWN_PARAVIRT = 16 };

/* The ways that there are: the agent first, then the power button. */
static int check_ways(struct call *c, unsigned n)
{
	unsigned ways = call_u(c, n);

	if (call_unknown_flags(c, n, 0x1f))
		return CALL_FAILED;
	if (!ways || (ways & (SHUTDOWN_ACPI | SHUTDOWN_AGENT)))
		return 0;
	return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
			 "of the ways to shut down, acpi and agent are supported");
}

/* Whether the agent is to be asked: it was asked for, and is there or the only way. */
static bool by_agent(const struct domain *d, unsigned ways)
{
	const struct domdef_chr *k = domain_agent_channel(d);
	bool there = k && k->target_state && !strcmp(k->target_state, "connected");

	return (ways & SHUTDOWN_AGENT) && (there || !(ways & SHUTDOWN_ACPI));
}

static int shut_down(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? remote_started(domain_shutdown(d, remote_done, c, &c->fault)) : ret;
}

static int shut_down_flags(struct call *c)
{
	struct domain *d;
	int ret;

	if (check_ways(c, 1) < 0)
		return CALL_FAILED;
	ret = remote_domain_idle(c, 0, &d);
	if (!d || !by_agent(d, call_u(c, 1)))
		return d ? shut_down(c) : ret;
	d->reboot_wanted = false;
	return remote_agent(c, d, "guest-shutdown", json_pack("{s:s}", "mode", "powerdown"), true, NULL);
}

static int reboot(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (check_ways(c, 1) < 0)
		return CALL_FAILED;
	if (by_agent(d, call_u(c, 1)))
		return remote_agent(c, d, "guest-shutdown", json_pack("{s:s}", "mode", "reboot"), true, NULL);
	return remote_started(domain_reboot(d, remote_done, c, &c->fault));
}

static int reset(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (call_unknown_flags(c, 1, 0))
		return CALL_FAILED;
	return remote_started(domain_reset(d, remote_done, c, &c->fault));
}

static int suspend(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? remote_started(domain_suspend(d, remote_done, c, &c->fault)) : ret;
}

static int resume(struct call *c)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	return d ? remote_started(domain_resume(d, remote_done, c, &c->fault)) : ret;
}

/* Waits for no job: it is the way out of one that hangs. */
static int destroy(struct call *c)
{
	struct domain *d = remote_domain(c, 0);

	return d ? remote_started(domain_destroy(d, remote_done, c, &c->fault)) : CALL_FAILED;
}

static int destroy_flags(struct call *c)
{
	if (call_unknown_flags(c, 1, 1 | 2)) /* graceful; remove logs */
		return CALL_FAILED;
	return destroy(c);
}

const struct handler remote_domain_life[] = {
	{"DOMAIN_DEFINE_XML", define_xml},
	{"DOMAIN_DEFINE_XML_FLAGS", define_xml_flags},
	{"DOMAIN_UNDEFINE", undefine},
	{"DOMAIN_UNDEFINE_FLAGS", undefine_flags},
	{"DOMAIN_SET_AUTOSTART", set_autostart},
	{"DOMAIN_RENAME", rename_domain},
	{"DOMAIN_CREATE", create},
	{"DOMAIN_CREATE_WITH_FLAGS", create_with_flags},
	{"DOMAIN_CREATE_XML", create_xml},
	{"DOMAIN_SHUTDOWN", shut_down},
	{"DOMAIN_SHUTDOWN_FLAGS", shut_down_flags},
	{"DOMAIN_REBOOT", reboot},
	{"DOMAIN_RESET", reset},
	{"DOMAIN_SUSPEND", suspend},
	{"DOMAIN_RESUME", resume},
	{"DOMAIN_DESTROY", destroy},
	{"DOMAIN_DESTROY_FLAGS", destroy_flags},
};
const unsigned remote_domain_life_count = COUNT_OF(remote_domain_life);
