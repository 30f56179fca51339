/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics of domains, as one list of named values for each. The names are a contract. */
#include "daemon/remote/remote_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATS_STATE = 1, STATS_CPU = 2, STATS_BALLOON = 4, STATS_VCPU = 8, STATS_NET = 16, STATS_BLOCK = 32,
       STATS_PERF = 64, STATS_IOTHREAD = 128, STATS_MEMORY = 256 };
/* Of perf and of memory (bandwidth) there are values where events or monitors are defined, and here none can be. */
static const unsigned stats_known = STATS_STATE | STATS_CPU | STATS_BALLOON | STATS_VCPU | STATS_NET | STATS_BLOCK |
				    STATS_PERF | STATS_IOTHREAD | STATS_MEMORY;
/* Parts of libvirt's that are asked for with "all" and have no value here. */
enum { STATS_OTHERS = 0x600 };
enum { STATS_STRINGS = 4 }; /* the client can take texts among typed parameters */
enum { STATS_LIST = 0xff }; /* those that say which domains */
enum { STATS_NOWAIT = 1 << 29, STATS_BACKING = 1 << 30 };
#define STATS_ENFORCE (UINT32_C(1) << 31)

struct record {
	const struct daemon *daemon;
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

/* Figures of the guest's driver: bytes there, KiB here. */
static const struct memory_row {
	enum domain_balloon_stat stat;
	unsigned unit;
	int tag; /* of MEMORY_STATS */
	const char *field;
} memory_rows[] = {
	{ BALLOON_STAT_SWAP_IN, 1024, 0, "balloon.swap_in" },
	{ BALLOON_STAT_SWAP_OUT, 1024, 1, "balloon.swap_out" },
	{ BALLOON_STAT_MAJOR_FAULTS, 1, 2, "balloon.major_fault" },
	{ BALLOON_STAT_MINOR_FAULTS, 1, 3, "balloon.minor_fault" },
	{ BALLOON_STAT_FREE, 1024, 4, "balloon.unused" },
	{ BALLOON_STAT_TOTAL, 1024, 5, "balloon.available" },
	{ BALLOON_STAT_AVAILABLE, 1024, 8, "balloon.usable" },
	{ BALLOON_STAT_CACHES, 1024, 10, "balloon.disk_caches" },
	{ BALLOON_STAT_HUGE_MADE, 1, 11, "balloon.hugetlb_pgalloc" },
	{ BALLOON_STAT_HUGE_FAILED, 1, 12, "balloon.hugetlb_pgfail" },
};

/* NULL: there is no balloon, or it was not asked yet. */
static const struct domain_balloon_sample *balloon_of(const struct domain *d)
{
	return domain_active(d) && d->sample && d->sample->balloon.there ? &d->sample->balloon : NULL;
}

static uint64_t memory_now(const struct domain *d)
{
	const struct domain_balloon_sample *b = balloon_of(d);

	if (b)
		return b->bytes / 1024;
	return d->def->current_memory.set ? d->def->current_memory.v : d->def->memory.v;
}

static void put_balloon(struct record *r, const struct domain *d)
{
	const struct domain_balloon_sample *b = balloon_of(d);
	struct machine_usage u;

	put_u64(r, "balloon.current", memory_now(d));
	put_u64(r, "balloon.maximum", d->def->memory.v);
	for (unsigned n = 0; b && n < COUNT_OF(memory_rows); n++)
		if (b->has[memory_rows[n].stat])
			put_u64(r, memory_rows[n].field, b->stat[memory_rows[n].stat] / memory_rows[n].unit);
	if (b)
		put_u64(r, "balloon.last-update", b->told_s);
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
		put_u64(r, indexed(name, "vcpu", n, "delay"), v.delay_ns);
	}
}

/* What the host receives from the tap is what the guest sent. */
static void put_tap(struct record *r, unsigned n, const struct link_counters *k)
{
	const struct {
		const char *field;
		uint64_t value;
	} rows[] = {
		{ "rx.bytes", k->tx_bytes }, { "rx.pkts", k->tx_packets }, { "rx.errs", k->tx_errors },
		{ "rx.drop", k->tx_dropped }, { "tx.bytes", k->rx_bytes }, { "tx.pkts", k->rx_packets },
		{ "tx.errs", k->rx_errors }, { "tx.drop", k->rx_dropped },
	};
	char name[48];

	for (unsigned i = 0; i < COUNT_OF(rows); i++)
		put_u64(r, indexed(name, "net", n, rows[i].field), rows[i].value);
}

static void put_net(struct record *r, const struct domain *d, unsigned n, const struct domdef_interface *i)
{
	const struct domain_nic_sample *s = domain_nic_sample(d, i);
	struct link_info l = { 0 };
	char name[48];

	put_string(r, indexed(name, "net", n, "name"), i->target ? i->target : i->mac ? i->mac : "");
	if (i->target && link_get(i->target, &l, NULL) < 0)
		return;
	if (!i->target && !s)
		return;
	if (!i->target)
		l.counters = (struct link_counters){ .tx_bytes = s->rx_bytes, .tx_packets = s->rx_packets,
			.tx_dropped = s->rx_dropped, .rx_bytes = s->tx_bytes, .rx_packets = s->tx_packets };
	put_tap(r, n, &l.counters);
}

static void put_nets(struct record *r, const struct domain *d)
{
	if (!domain_active(d))
		return;
	put_u32(r, "net.count", d->def->interfaces.n);
	for (unsigned n = 0; n < d->def->interfaces.n; n++)
		put_net(r, d, n, d->def->interfaces.v[n]);
}

static void put_disk_sample(struct record *r, unsigned n, const struct domain_disk_sample *s)
{
	const struct {
		const char *field;
		uint64_t value;
	} rows[] = {
		{ "rd.reqs", s->read.requests }, { "rd.bytes", s->read.bytes }, { "rd.times", s->read.ns },
		{ "wr.reqs", s->write.requests }, { "wr.bytes", s->write.bytes }, { "wr.times", s->write.ns },
		{ "fl.reqs", s->flush.requests }, { "fl.times", s->flush.ns }, { "errors", s->errors },
	};
	char name[48];

	for (unsigned i = 0; i < COUNT_OF(rows); i++)
		put_u64(r, indexed(name, "block", n, rows[i].field), rows[i].value);
}

static void put_disk(struct record *r, const struct domain *d, unsigned n, const struct domdef_disk *k)
{
	const char *path = remote_disk_path(r->daemon, k);
	const struct domain_disk_sample *s = domain_active(d) ? domain_disk_sample(d, k) : NULL;
	uint64_t sizes[3];
	char name[48];

	if (k->target)
		put_string(r, indexed(name, "block", n, "name"), k->target);
	if (path)
		put_string(r, indexed(name, "block", n, "path"), path);
	if (s)
		put_disk_sample(r, n, s);
	if (!path || remote_disk_measure(path, k, sizes) < 0)
		return;
	put_u64(r, indexed(name, "block", n, "allocation"), sizes[0]);
	put_u64(r, indexed(name, "block", n, "capacity"), s && s->size ? s->size : sizes[1]);
	put_u64(r, indexed(name, "block", n, "physical"), sizes[2]);
}

static void put_disks(struct record *r, const struct domain *d)
{
	put_u32(r, "block.count", d->def->disks.n);
	for (unsigned n = 0; n < d->def->disks.n; n++)
		put_disk(r, d, n, d->def->disks.v[n]);
}

/* One loop serves all devices. */
static void put_iothreads(struct record *r, const struct domain *d)
{
	if (domain_active(d))
		put_u32(r, "iothread.count", 0);
}

static const struct {
	unsigned flag;
	void (*put)(struct record *r, const struct domain *d);
} groups[] = {
	{STATS_STATE, put_state}, {STATS_CPU, put_cpu}, {STATS_BALLOON, put_balloon}, {STATS_VCPU, put_vcpus},
	{STATS_NET, put_nets}, {STATS_BLOCK, put_disks}, {STATS_IOTHREAD, put_iothreads},
};

struct all {
	struct call *call;
	struct gathering *gathering;
	unsigned stats, listed, count;
};

static void put_record(void *opaque, struct domain *d)
{
	struct all *a = opaque;
	struct record r = { .daemon = a->call->opaque, .out = &a->call->out };
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

/* f for each domain that the call names, or all. */
static void each(struct call *c, struct all *a, void (*f)(void *opaque, struct domain *d))
{
	struct daemon *daemon = c->opaque;
	const struct value *names = call_arg(c, 0);

	for (unsigned n = 0; n < names->count; n++) {
		struct domain *d = domain_by_uuid(daemon->domains, names->items[n].items[1].x);

		if (d) /* those that are gone are left out */
			f(a, d);
	}
	if (!names->count)
		domains_each(daemon->domains, f, a);
}

static int put_all(struct call *c)
{
	struct all a = { .call = c, .stats = call_u(c, 1), .listed = call_u(c, 2) & STATS_LIST };
	size_t hole = xdr_hole(&c->out);

	if (!a.stats)
		a.stats = stats_known;
	each(c, &a, put_record);
	xdr_fill(&c->out, hole, a.count);
	return CALL_DONE;
}

static void ask(void *opaque, struct domain *d)
{
	struct all *a = opaque;

	if (d->machine && remote_listed(d, a->listed))
		gather_add(a->gathering, d);
}

static int get_all(struct call *c)
{
	struct all a = { .call = c, .stats = call_u(c, 1), .listed = call_u(c, 2) & STATS_LIST };
	const unsigned known = stats_known;

	if (!a.stats)
		a.stats = known;
	if (a.stats & ~known && call_u(c, 2) & STATS_ENFORCE)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "Stats types bits 0x%x are not supported by this daemon", a.stats & ~known);
	if (a.stats & ~(known | STATS_OTHERS))
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR, "unknown statistics: 0x%x",
				 a.stats);
	if (!(a.stats & (STATS_NET | STATS_BLOCK | STATS_BALLOON)))
		return put_all(c);
	a.gathering = gather_new(c, put_all);
	if (!a.gathering)
		return CALL_FAILED;
	each(c, &a, ask);
	return gather_run(a.gathering);
}

/* ---- one kind each ---- */

/* What a call with room for `room` values is to be given: none, and their number, when there is no room at all. */
static int finish_params(struct call *c, size_t hole, size_t begin, unsigned count, int room)
{
	if (room == 0)
		c->out.buf.len = begin;
	xdr_fill(&c->out, hole, room ? count : 0);
	return room < 0 || (room && (unsigned)room < count) ? fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN,
									"room for %d values; there are %u", room, count)
							    : CALL_DONE;
}

/* start -1: the machine as a whole. Otherwise for each of the host's processors from there on, whose shares are not
 * known. */
static int get_cpu_stats(struct call *c)
{
	struct domain *d = c->object;
	int room = (int)call_u(c, 1), start = call_i(c, 2);
	struct record r = { .out = &c->out };
	struct machine_usage u;
	size_t hole, begin;

	if (!d->machine || !machine_usage(d->machine, &u))
		return remote_not_running(c);
	if (start != -1)
		return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
				 "the time on each of the host's CPUs is not counted; --total is");
	hole = xdr_hole(&c->out);
	begin = c->out.buf.len;
	put_u64(&r, "cpu_time", u.user_ns + u.system_ns);
	put_u64(&r, "user_time", u.user_ns);
	put_u64(&r, "system_time", u.system_ns);
	if (finish_params(c, hole, begin, r.count, room) == CALL_FAILED)
		return CALL_FAILED;
	xdr_i32(&c->out, (int)r.count);
	return CALL_DONE;
}

static void put_tag(struct call *c, unsigned *count, int tag, uint64_t v)
{
	if (*count >= call_u(c, 1))
		return;
	xdr_i32(&c->out, tag);
	xdr_u64(&c->out, v);
	++*count;
}

static int put_memory_stats(struct call *c)
{
	enum { TAG_ACTUAL = 6, TAG_RSS = 7, TAG_LAST_UPDATE = 9 };
	struct domain *d = remote_domain(c, 0);
	const struct domain_balloon_sample *b = d ? balloon_of(d) : NULL;
	struct machine_usage u;
	unsigned count = 0;
	size_t hole;

	if (!d)
		return CALL_FAILED;
	if (!d->machine || !machine_usage(d->machine, &u))
		return remote_not_running(c);
	hole = xdr_hole(&c->out);
	put_tag(c, &count, TAG_ACTUAL, memory_now(d));
	for (unsigned n = 0; b && n < COUNT_OF(memory_rows); n++)
		if (b->has[memory_rows[n].stat])
			put_tag(c, &count, memory_rows[n].tag, b->stat[memory_rows[n].stat] / memory_rows[n].unit);
	if (b)
		put_tag(c, &count, TAG_LAST_UPDATE, b->told_s);
	put_tag(c, &count, TAG_RSS, u.rss_kib);
	xdr_fill(&c->out, hole, count);
	return CALL_DONE;
}

static int get_memory_stats(struct call *c)
{
	struct domain *d = c->object;

	return d->machine ? gather_one(c, d, put_memory_stats) : remote_not_running(c);
}

enum { JOB_STATS_COMPLETED = 1, JOB_STATS_KEEP_COMPLETED = 2 };

static int get_job_stats(struct call *c)
{
	xdr_i32(&c->out, 0);
	xdr_u32(&c->out, 0);
	return CALL_DONE;
}

enum { ABORT_POSTCOPY = 1 };

static int abort_job(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "no job is active on the domain");
}

const struct handler remote_stats[] = {
	{"DOMAIN_GET_CPU_STATS", get_cpu_stats, remote_find_domain, STATS_STRINGS},
	{"DOMAIN_MEMORY_STATS", get_memory_stats, remote_find_domain},
	{"DOMAIN_GET_JOB_STATS", get_job_stats, remote_find_running, JOB_STATS_COMPLETED | JOB_STATS_KEEP_COMPLETED},
	{"DOMAIN_ABORT_JOB", abort_job, remote_find_domain},
	{"DOMAIN_ABORT_JOB_FLAGS", abort_job, remote_find_domain, ABORT_POSTCOPY},
	{"CONNECT_GET_ALL_DOMAIN_STATS", get_all, NULL, STATS_LIST | STATS_NOWAIT | STATS_BACKING | STATS_ENFORCE},
};
const unsigned remote_stats_count = COUNT_OF(remote_stats);
