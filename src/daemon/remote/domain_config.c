/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes to definitions and to what runs: memory, vCPUs, titles and metadata. */
#include "daemon/remote/events.h"
#include "daemon/remote/remote_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

enum { MEMORY_MAXIMUM = 4, VCPUS_MAXIMUM = 4 };

static int set_config_memory(struct call *c, struct domain *d, uint64_t kib, bool maximum)
{
	struct domdef *def = domain_config(d);
	struct xnum memory = def->memory, current = def->current_memory;

	if (!maximum && kib > def->memory.v)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "cannot set memory higher than max memory");
	if (maximum)
		def->memory = xnum(kib);
	if (!maximum || !current.set || current.v > kib)
		def->current_memory = xnum(kib);
	if (domain_save(d, &c->fault) == 0)
		return CALL_DONE;
	def->memory = memory;
	def->current_memory = current;
	return CALL_FAILED;
}

static int set_live_memory(struct call *c, struct domain *d, uint64_t kib)
{
	if (kib > d->def->memory.v)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "cannot set memory higher than max memory");
	return remote_started(domain_command(d, "balloon", json_pack("{s:I}", "value", (json_int_t)(kib * 1024)),
					     remote_done, c, &c->fault));
}

static int set_memory_with(struct call *c, unsigned flags)
{
	uint64_t kib = call_H(c, 1);
	struct domain *d = c->object;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (kib == 0 || kib > UINT64_C(1) << 30)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "memory of %llu KiB is not possible",
				 (unsigned long long)kib);
	if ((flags & AFFECT_LIVE) && (flags & MEMORY_MAXIMUM))
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
				 "cannot resize the maximum memory on an active domain");
	if ((flags & AFFECT_CONFIG) && set_config_memory(c, d, kib, flags & MEMORY_MAXIMUM) == CALL_FAILED)
		return CALL_FAILED;
	return flags & AFFECT_LIVE ? set_live_memory(c, d, kib) : CALL_DONE;
}

static int set_memory(struct call *c)
{
	return set_memory_with(c, AFFECT_LIVE);
}

static int set_max_memory(struct call *c)
{
	return set_memory_with(c, MEMORY_MAXIMUM);
}

static int set_memory_flags(struct call *c)
{
	return set_memory_with(c, call_u(c, 2));
}

/* The document says what was asked for last, of the next start and of what runs. */
static int set_stats_period(struct call *c)
{
	enum { DAY = 86400 };
	int seconds = call_i(c, 1);
	unsigned flags = call_u(c, 2);
	struct domdef *def[2] = { NULL, NULL };
	struct domain *d = c->object;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (seconds < 0 || seconds > DAY)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN,
				 "a period of %d seconds; 0 to %d are possible", seconds, DAY);
	def[0] = flags & AFFECT_LIVE ? d->def : NULL;
	def[1] = flags & AFFECT_CONFIG ? domain_config(d) : NULL;
	for (unsigned n = 0; n < COUNT_OF(def); n++)
		if (def[n] && (!def[n]->memballoons.n || !strcmp(def[n]->memballoons.v[0]->model, "none")))
			return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
					 "Memory balloon model must be virtio to set the collection period");
	for (unsigned n = 0; n < COUNT_OF(def); n++)
		if (def[n])
			def[n]->memballoons.v[0]->stats_period = seconds ? xnum((uint64_t)seconds) : (struct xnum){ 0 };
	if ((flags & AFFECT_CONFIG) && domain_save(d, &c->fault) < 0)
		return CALL_FAILED;
	if (!(flags & AFFECT_LIVE))
		return CALL_DONE;
	return remote_started(domain_balloon_period(d, (unsigned)seconds, remote_done, c, &c->fault));
}

/* ---- vCPUs ---- */

static int set_config_vcpus(struct call *c, struct domain *d, unsigned count, bool maximum)
{
	struct domdef *def = domain_config(d);
	struct xnum most = def->vcpu, current = def->vcpu_current;

	if (!maximum && count > most.v)
		return fault_set(
			&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
			"requested vcpus is greater than max allowable vcpus for the persistent domain: %u > %llu",
			count, (unsigned long long)most.v);
	if (maximum)
		def->vcpu = xnum(count);
	if (!maximum || (current.set && current.v > count))
		def->vcpu_current = xnum(count);
	if (domain_save(d, &c->fault) == 0)
		return CALL_DONE;
	def->vcpu = most;
	def->vcpu_current = current;
	return CALL_FAILED;
}

static int set_vcpus_with(struct call *c, unsigned flags)
{
	unsigned count = call_u(c, 1);
	struct domain *d = c->object;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (count < 1 || count > REMOTE_VCPUS_MAX)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "%u vCPUs are not possible; 1 to %d are",
				 count, REMOTE_VCPUS_MAX);
	if (flags & AFFECT_LIVE)
		return fault_set(
			&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			"the number of vCPUs of a running machine cannot be changed; --config changes the next start");
	return set_config_vcpus(c, d, count, flags & VCPUS_MAXIMUM);
}

static int set_vcpus(struct call *c)
{
	return set_vcpus_with(c, AFFECT_LIVE);
}

static int set_vcpus_flags(struct call *c)
{
	return set_vcpus_with(c, call_u(c, 2));
}

/* ---- title, description, metadata ---- */

enum { METADATA_DESCRIPTION, METADATA_TITLE, METADATA_ELEMENT };

static int replace_text(char **to, const char *text, struct fault *f)
{
	char *copy = text && *text ? strdup(text) : NULL;

	if (text && *text && !copy)
		return fault_set(f, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the text");
	free(*to);
	*to = copy;
	return 0;
}

static int set_in(struct call *c, struct domdef *def)
{
	const char *text = call_s(c, 2), *key = call_s(c, 3), *uri = call_s(c, 4);
	struct err e = { 0 };
	int ret;

	switch (call_i(c, 1)) {
	case METADATA_DESCRIPTION: return replace_text(&def->description, text, &c->fault);
	case METADATA_TITLE:
		if (text && strchr(text, '\n'))
			return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN,
					 "a title cannot have several lines");
		return replace_text(&def->title, text, &c->fault);
	case METADATA_ELEMENT:
		if (!uri)
			return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "metadata needs a namespace's URI");
		ret = domdef_metadata_set(def, key, uri, text, &e);
		return ret < 0 ? fault_set(&c->fault, domdef_fault(ret), FROM_DOMAIN, "%s", e.text) : 0;
	default:
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "unknown metadata type '%d'", call_i(c, 1));
	}
}

static int set_metadata(struct call *c)
{
	unsigned flags = call_u(c, 5);
	struct domain *d = c->object;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if ((flags & AFFECT_LIVE) && set_in(c, d->def) < 0)
		return CALL_FAILED;
	if ((flags & AFFECT_CONFIG) && (set_in(c, domain_config(d)) < 0 || domain_save(d, &c->fault) < 0))
		return CALL_FAILED;
	remote_metadata_changed(c->opaque, d, call_i(c, 1), call_i(c, 1) == METADATA_ELEMENT ? call_s(c, 4) : NULL);
	return CALL_DONE;
}

static const char *find_metadata(const struct domdef *def, int type, const char *uri)
{
	switch (type) {
	case METADATA_DESCRIPTION: return def->description;
	case METADATA_TITLE: return def->title;
	default: return type == METADATA_ELEMENT && uri ? domdef_metadata(def, uri) : NULL;
	}
}

static int get_metadata(struct call *c)
{
	struct domain *d = c->object;
	unsigned flags = call_u(c, 3);
	const char *text;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	text = find_metadata(flags & AFFECT_CONFIG ? domain_config(d) : d->def, call_i(c, 1), call_s(c, 2));
	if (!text)
		return fault_set(&c->fault, FAULT_NO_METADATA, FROM_DOMAIN,
				 "Requested metadata element is not present");
	xdr_string(&c->out, text);
	return CALL_DONE;
}

const struct handler remote_domain_config[] = {
	{"DOMAIN_SET_MEMORY", set_memory, remote_find_idle},
	{"DOMAIN_SET_MAX_MEMORY", set_max_memory, remote_find_idle},
	{"DOMAIN_SET_MEMORY_STATS_PERIOD", set_stats_period, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_SET_MEMORY_FLAGS", set_memory_flags, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG | MEMORY_MAXIMUM},
	{"DOMAIN_SET_VCPUS", set_vcpus, remote_find_idle},
	{"DOMAIN_SET_VCPUS_FLAGS", set_vcpus_flags, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG | VCPUS_MAXIMUM},
	{"DOMAIN_SET_METADATA", set_metadata, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_GET_METADATA", get_metadata, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG},
};
const unsigned remote_domain_config_count = COUNT_OF(remote_domain_config);
