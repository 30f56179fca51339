/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics of domains, as one list of named values for each. The names are a contract. */
#include "daemon/remote/remote_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STATS_STATE = 1, STATS_CPU = 2, STATS_BALLOON = 4, STATS_VCPU = 8, STATS_NET = 16, STATS_BLOCK = 32 };
/* Parts of libvirt's that are asked for with "all" and have no value here. */
enum { STATS_OTHERS = 0x7c0 };
enum { STATS_NOWAIT = 1 << 29, STATS_BACKING = 1 << 30 };
static const uint32_t stats_enforce = UINT32_C(1) << 31;

struct record {
	struct xdr_out *out;
	unsigned count;
};

static void put_i32(struct record *r, const char *field, int32_t v)
{
	xdr_param_i32(r->out, field, v);
	r->count++;
}

static void put_u32(struct record *r, const char *field, uint32_t v)
{
	xdr_param_u32(r->out, field, v);
	r->count++;
}

static void put_u64(struct record *r, const char *field, uint64_t v)
{
	xdr_param_u64(r->out, field, v);
	r->count++;
}

static void put_string(struct record *r, const char *field, const char *v)
{
	xdr_param_string(r->out, field, v);
	r->count++;
}

static const char *indexed(char out[48], const char *group, unsigned n, const char *field)
{
	snprintf(out, 48, "%s.%u.%s", group, n, field);
	return out;
}

static void put_state(struct record *r, const struct domain *d)
{
	put_i32(r, "state.state", d->state);
	put_i32(r, "state.reason", d->reason);
}

static void put_cpu(struct record *r, const struct domain *d)
{
	struct machine_usage u;

	if (!d->machine || !machine_usage(d->machine, &u))
		return;
	put_u64(r, "cpu.time", u.user_ns + u.system_ns);
	put_u64(r, "cpu.user", u.user_ns);
	put_u64(r, "cpu.system", u.system_ns);
}

static void put_balloon(struct record *r, const struct domain *d)
{
	struct machine_usage u;

	put_u64(r, "balloon.current", d->def->current_memory.set ? d->def->current_memory.v : d->def->memory.v);
	put_u64(r, "balloon.maximum", d->def->memory.v);
	if (d->machine && machine_usage(d->machine, &u))
		put_u64(r, "balloon.rss", u.rss_kib);
}

static void put_vcpus(struct record *r, const struct domain *d)
{
	const struct domdef *def = d->def;
	char name[48];

	put_u32(r, "vcpu.current", (uint32_t)(def->vcpu_current.set ? def->vcpu_current.v : def->vcpu.v));
	put_u32(r, "vcpu.maximum", (uint32_t)def->vcpu.v);
	for (unsigned n = 0; n < d->vcpu_count && d->machine; n++) {
		struct domain_vcpu v;

		if (!domain_vcpu(d, n, &v))
			continue;
		put_i32(r, indexed(name, "vcpu", n, "state"), 1);
		put_u64(r, indexed(name, "vcpu", n, "time"), v.time_ns);
	}
}

static void put_nets(struct record *r, const struct domain *d)
{
	char name[48];

	if (!domain_active(d))
		return;
	put_u32(r, "net.count", d->def->interfaces.n);
	for (unsigned n = 0; n < d->def->interfaces.n; n++)
		if (d->def->interfaces.v[n]->target)
			put_string(r, indexed(name, "net", n, "name"), d->def->interfaces.v[n]->target);
}

static void put_disks(struct record *r, const struct domain *d)
{
	char name[48];

	put_u32(r, "block.count", d->def->disks.n);
	for (unsigned n = 0; n < d->def->disks.n; n++) {
		const struct domdef_disk *k = d->def->disks.v[n];
		const char *path = k->source.file ? k->source.file : k->source.dev;
		struct stat st;

		if (k->target)
			put_string(r, indexed(name, "block", n, "name"), k->target);
		if (path)
			put_string(r, indexed(name, "block", n, "path"), path);
		if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		put_u64(r, indexed(name, "block", n, "allocation"), (uint64_t)st.st_blocks * 512);
		put_u64(r, indexed(name, "block", n, "physical"), (uint64_t)st.st_size);
	}
}

static const struct {
	unsigned flag;
	void (*put)(struct record *r, const struct domain *d);
} groups[] = {
	{STATS_STATE, put_state}, {STATS_CPU, put_cpu}, {STATS_BALLOON, put_balloon}, {STATS_VCPU, put_vcpus},
	{STATS_NET, put_nets}, {STATS_BLOCK, put_disks},
};

struct all {
	struct call *call;
	unsigned stats, listed, count;
};

static void put_record(void *opaque, struct domain *d)
{
	struct all *a = opaque;
	struct record r = { .out = &a->call->out };
	size_t hole;

	if (!remote_listed(d, a->listed))
		return;
	remote_put_domain(r.out, d);
	hole = xdr_hole(r.out);
	for (unsigned n = 0; n < COUNT_OF(groups); n++)
		if (a->stats & groups[n].flag)
			groups[n].put(&r, d);
	xdr_fill(r.out, hole, r.count);
	a->count++;
}

/* Domains that are named and gone are left out. */
static void put_named(struct all *a, const struct value *names)
{
	struct daemon *daemon = a->call->opaque;

	for (unsigned n = 0; n < names->count; n++) {
		struct domain *d = domain_by_uuid(daemon->domains, names->items[n].items[1].x);

		if (d)
			put_record(a, d);
	}
}

static int get_all(struct call *c)
{
	struct daemon *daemon = c->opaque;
	struct all a = { .call = c, .stats = call_u(c, 1), .listed = call_u(c, 2) & 0xff };
	const unsigned known = STATS_STATE | STATS_CPU | STATS_BALLOON | STATS_VCPU | STATS_NET | STATS_BLOCK;
	size_t hole;

	if (call_unknown_flags(c, 2, 0xff | STATS_NOWAIT | STATS_BACKING | stats_enforce))
		return CALL_FAILED;
	if (!a.stats)
		a.stats = known;
	if (a.stats & ~known && call_u(c, 2) & stats_enforce)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "Stats types bits 0x%x are not supported by this daemon", a.stats & ~known);
	if (a.stats & ~(known | STATS_OTHERS))
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR, "unknown statistics: 0x%x",
				 a.stats);
	hole = xdr_hole(&c->out);
	if (call_arg(c, 0)->count)
		put_named(&a, call_arg(c, 0));
	else
		domains_each(daemon->domains, put_record, &a);
	xdr_fill(&c->out, hole, a.count);
	return CALL_DONE;
}

const struct handler remote_stats[] = {
	{"CONNECT_GET_ALL_DOMAIN_STATS", get_all},
};
const unsigned remote_stats_count = COUNT_OF(remote_stats);
