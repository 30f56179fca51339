/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defining, starting, stopping. */
#include "daemon/domain/agent.h"
#include "daemon/remote/remote_priv.h"

#include <string.h>

/* ---- definitions ---- */

enum { DEFINE_VALIDATE = 1 };

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
	return define(c, call_u(c, 1) & DEFINE_VALIDATE);
}

static int undefine(struct call *c)
{
	return domain_undefine(c->object, &c->fault);
}

enum { UNDEFINE_NVRAM = 4, UNDEFINE_KEEP_NVRAM = 8, UNDEFINE_FLAGS = 0x7f };

/* Of saved images and snapshots there is none that would have to go or stay; the firmware's variables do either. */
static int undefine_flags(struct call *c)
{
	unsigned flags = call_u(c, 1);
	struct domain *d = c->object;

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
	return domain_set_autostart(c->object, call_i(c, 1), &c->fault);
}

static int rename_domain(struct call *c)
{
	struct domain *d = c->object;

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
	return remote_started(domain_start(c->object, false, remote_done, c, &c->fault));
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
	struct domain *d = c->object;

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

	if (domain_create(daemon->domains, call_s(c, 0), flags & START_VALIDATE, flags & START_PAUSED, created_xml, c,
			  &d, &c->fault) < 0)
		return CALL_FAILED;
	xdr_uuid(&c->out, domain_uuid(d));
	if (c->out.failed) /* then the domain runs and its name cannot be said */
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the answer");
	return CALL_LATER;
}

/* ---- power ---- */

enum { SHUTDOWN_ACPI = 1, SHUTDOWN_AGENT = 2, SHUTDOWN_INITCTL = 4, SHUTDOWN_SIGNAL = 8, SHUTDOWN_PARAVIRT = 16,
       SHUTDOWN_FLAGS = 0x1f };

/* The ways that there are: the agent first, then the power button. */
static int check_ways(struct call *c, unsigned ways)
{
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
	return remote_started(domain_shutdown(c->object, remote_done, c, &c->fault));
}

static int shut_down_flags(struct call *c)
{
	struct domain *d = c->object;

	if (check_ways(c, call_u(c, 1)) < 0)
		return CALL_FAILED;
	if (!by_agent(d, call_u(c, 1)))
		return shut_down(c);
	d->reboot_wanted = false;
	return remote_agent(c, d, "guest-shutdown", json_pack("{s:s}", "mode", "powerdown"), true, NULL);
}

static int reboot(struct call *c)
{
	struct domain *d = c->object;

	if (check_ways(c, call_u(c, 1)) < 0)
		return CALL_FAILED;
	if (by_agent(d, call_u(c, 1)))
		return remote_agent(c, d, "guest-shutdown", json_pack("{s:s}", "mode", "reboot"), true, NULL);
	return remote_started(domain_reboot(d, remote_done, c, &c->fault));
}

static int reset(struct call *c)
{
	return remote_started(domain_reset(c->object, remote_done, c, &c->fault));
}

static int suspend(struct call *c)
{
	return remote_started(domain_suspend(c->object, remote_done, c, &c->fault));
}

static int resume(struct call *c)
{
	return remote_started(domain_resume(c->object, remote_done, c, &c->fault));
}

/* Waits for no job: it is the way out of one that hangs. */
static int destroy(struct call *c)
{
	return remote_started(domain_destroy(c->object, remote_done, c, &c->fault));
}

enum { DESTROY_GRACEFUL = 1, DESTROY_REMOVE_LOGS = 2 };

const struct handler remote_domain_life[] = {
	{"DOMAIN_DEFINE_XML", define_xml},
	{"DOMAIN_DEFINE_XML_FLAGS", define_xml_flags, NULL, DEFINE_VALIDATE},
	{"DOMAIN_UNDEFINE", undefine, remote_find_idle},
	{"DOMAIN_UNDEFINE_FLAGS", undefine_flags, remote_find_idle, UNDEFINE_FLAGS},
	{"DOMAIN_SET_AUTOSTART", set_autostart, remote_find_domain},
	{"DOMAIN_RENAME", rename_domain, remote_find_idle},
	{"DOMAIN_CREATE", create, remote_find_idle},
	{"DOMAIN_CREATE_WITH_FLAGS", create_with_flags, remote_find_idle,
	 START_PAUSED | START_BYPASS_CACHE | START_FORCE_BOOT | START_RESET_NVRAM},
	{"DOMAIN_CREATE_XML", create_xml, NULL, START_PAUSED | START_VALIDATE | START_BYPASS_CACHE | START_FORCE_BOOT},
	{"DOMAIN_SHUTDOWN", shut_down, remote_find_idle},
	{"DOMAIN_SHUTDOWN_FLAGS", shut_down_flags, remote_find_idle, SHUTDOWN_FLAGS},
	{"DOMAIN_REBOOT", reboot, remote_find_idle, SHUTDOWN_FLAGS},
	{"DOMAIN_RESET", reset, remote_find_idle},
	{"DOMAIN_SUSPEND", suspend, remote_find_idle},
	{"DOMAIN_RESUME", resume, remote_find_idle},
	{"DOMAIN_DESTROY", destroy, remote_find_domain},
	{"DOMAIN_DESTROY_FLAGS", destroy, remote_find_domain, DESTROY_GRACEFUL | DESTROY_REMOVE_LOGS},
};
const unsigned remote_domain_life_count = COUNT_OF(remote_domain_life);
