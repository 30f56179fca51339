/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shares and limits as lists of named values. They are kept in the definition; a running machine is held to its own by
 * its cgroup. Where the host has none, or none with that controller, that is refused, as libvirt does.
 */
#include "daemon/remote/remote_priv.h"

#include "daemon/domain/cgroup.h"
#include "daemon/remote/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TUNE_STRINGS = 4, TUNE_ROWS_MAX = 16 }; /* TUNE_STRINGS: the client can take texts among typed parameters */
static const uint64_t UNLIMITED_KIB = INT64_MAX >> 10;

/* A value of the definition under its name in the protocol. */
struct tune_row {
	const char *field;
	uint8_t typed; /* enum typed_kind on the wire */
	bool text;     /* a text in the definition, else a number */
	size_t offset;
	int64_t none;  /* what it is without an entry */
};

#define AT(m) offsetof(struct domdef, m)
static const struct tune_row scheduler[] = {
	{"cpu_shares", TYPED_ULLONG, false, AT(cputune.shares), 100},
	{"vcpu_period", TYPED_ULLONG, false, AT(cputune.period), 100000},
	{"vcpu_quota", TYPED_LLONG, true, AT(cputune.quota), -1},
	{"emulator_period", TYPED_ULLONG, false, AT(cputune.emulator_period), 100000},
	{"emulator_quota", TYPED_LLONG, true, AT(cputune.emulator_quota), -1},
	{"global_period", TYPED_ULLONG, false, AT(cputune.global_period), 100000},
	{"global_quota", TYPED_LLONG, true, AT(cputune.global_quota), -1},
	{"iothread_period", TYPED_ULLONG, false, AT(cputune.iothread_period), 100000},
	{"iothread_quota", TYPED_LLONG, true, AT(cputune.iothread_quota), -1},
};
static const struct tune_row memory[] = {
	{"hard_limit", TYPED_ULLONG, false, AT(hard_limit), UNLIMITED_KIB},
	{"soft_limit", TYPED_ULLONG, false, AT(soft_limit), UNLIMITED_KIB},
	{"swap_hard_limit", TYPED_ULLONG, false, AT(swap_hard_limit), UNLIMITED_KIB},
};
static const struct tune_row blkio[] = {{"weight", TYPED_UINT, false, AT(blkio.weight), 0}};

struct tune {
	const struct tune_row *row;
	unsigned count;
	const char *controller;
	enum cgroup_part part;
};
static const struct tune scheduler_tune = {scheduler, COUNT_OF(scheduler), "CPU", CGROUP_CPU};
static const struct tune memory_tune = {memory, COUNT_OF(memory), "memory", CGROUP_MEMORY};
static const struct tune blkio_tune = {blkio, COUNT_OF(blkio), "block I/O", CGROUP_IO};

/* ---- reading ---- */

static int64_t value_of(const struct tune_row *r, const struct domdef *def)
{
	const char *at = (const char *)def + r->offset;

	if (r->text) {
		const char *text = *(char *const *)at;

		return text ? strtoll(text, NULL, 10) : r->none;
	}
	return ((const struct xnum *)at)->set ? (int64_t)((const struct xnum *)at)->v : r->none;
}

static void put_row(struct xdr_out *o, const struct tune_row *r, int64_t v)
{
	if (r->typed == TYPED_UINT)
		xdr_param_u32(o, r->field, (uint32_t)v);
	else if (r->typed == TYPED_LLONG)
		xdr_param_i64(o, r->field, v);
	else
		xdr_param_u64(o, r->field, (uint64_t)v);
}

static bool possible(struct call *c, const struct domain *d, const struct tune *t, unsigned *flags)
{
	if (remote_affect(c, d, flags) < 0)
		return false;
	if (!(*flags & AFFECT_LIVE) || domain_cgroup_has(d, t->part))
		return true;
	fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "cgroup %s controller is not mounted",
		  t->controller);
	return false;
}

/* told: the number of values follows the list. Asked with room for none, the answer is how many there are. */
static int get(struct call *c, const struct tune *t, unsigned flags, bool told)
{
	struct domain *d = c->object;
	int room = call_i(c, 1);
	const struct domdef *def;
	unsigned count;

	flags &= ~(unsigned)TUNE_STRINGS;
	if (!possible(c, d, t, &flags))
		return CALL_FAILED;
	def = flags & AFFECT_LIVE ? d->def : domain_config(d);
	if (room < 0)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "room for %d values", room);
	count = (unsigned)room < t->count ? (unsigned)room : t->count;
	xdr_u32(&c->out, count);
	for (unsigned n = 0; n < count; n++)
		put_row(&c->out, &t->row[n], value_of(&t->row[n], def));
	if (told)
		xdr_i32(&c->out, (int)(room ? count : t->count));
	return CALL_DONE;
}

static int get_scheduler_type(struct call *c)
{
	xdr_string(&c->out, "posix");
	xdr_i32(&c->out, (int)scheduler_tune.count);
	return CALL_DONE;
}

static int get_scheduler(struct call *c)
{
	return get(c, &scheduler_tune, 0, false);
}

static int get_scheduler_flags(struct call *c)
{
	return get(c, &scheduler_tune, call_u(c, 2), false);
}

static int get_memory(struct call *c)
{
	return get(c, &memory_tune, call_u(c, 2), true);
}

static int get_blkio(struct call *c)
{
	return get(c, &blkio_tune, call_u(c, 2), true);
}

/* ---- changing ---- */

static const struct tune_row *find(const struct tune *t, const char *field)
{
	for (unsigned n = 0; n < t->count; n++)
		if (!strcmp(t->row[n].field, field))
			return &t->row[n];
	return NULL;
}

static int set_row(const struct tune_row *r, struct domdef *def, const struct value *v, struct fault *f)
{
	char *at = (char *)def + r->offset, *text = NULL;

	if (!r->text) {
		uint64_t number = r->typed == TYPED_UINT ? v->u : v->H;

		*(struct xnum *)at = r->none == (int64_t)UNLIMITED_KIB && number >= UNLIMITED_KIB ? (struct xnum){ 0 } :
												    xnum(number);
		return 0;
	}
	if (asprintf(&text, "%lld", (long long)v->h) < 0)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the value");
	free(*(char **)at);
	*(char **)at = text;
	return 0;
}

/* All of them are known and of their type, or none is set. */
static int check_params(struct call *c, const struct tune *t, const struct value *params)
{
	for (uint32_t n = 0; n < params->count; n++) {
		const char *field = params->items[2 * n].s;
		const struct tune_row *r = find(t, field);

		if (!r)
			return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
					 "parameter '%.60s' not supported", field);
		if (params->items[2 * n + 1].typed != r->typed)
			return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
					 "invalid type for parameter '%.60s'", field);
	}
	return 0;
}

static int set_rows(const struct tune *t, struct domdef *def, const struct value *params, struct fault *f)
{
	for (uint32_t n = 0; n < params->count; n++)
		if (set_row(find(t, params->items[2 * n].s), def, &params->items[2 * n + 1], f) < 0)
			return -1;
	return 0;
}

static void put_tuned(struct xdr_out *o, const void *opaque)
{
	const struct value *params = opaque;
	char name[64];

	for (uint32_t n = 0; n < params->count; n++) {
		const struct value *v = &params->items[2 * n + 1];

		snprintf(name, sizeof(name), "cputune.%s", params->items[2 * n].s);
		if (v->typed == TYPED_ULLONG)
			xdr_param_u64(o, name, v->H);
		else
			xdr_param_i64(o, name, v->h);
	}
}

/* What the kernel does not take is not in the document either. */
static int set_live(struct call *c, const struct tune *t, struct domain *d, const struct value *params)
{
	struct domdef *before = domdef_copy(d->def);
	struct fault ignored;

	if (!before)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the values");
	if (set_rows(t, d->def, params, &c->fault) == 0 && domain_cgroup_apply(d, t->part, &c->fault) == 0) {
		domdef_free(before);
		domain_note(d);
		if (t->part == CGROUP_CPU && params->count)
			remote_tuned(c->opaque, d, params->count, put_tuned, params);
		return 0;
	}
	domdef_free(d->def);
	d->def = before;
	if (domain_cgroup_apply(d, t->part, &ignored) < 0)
		return -1; /* the first failure is the one to tell */
	return -1;
}

static int set(struct call *c, const struct tune *t, unsigned flags)
{
	const struct value *params = call_arg(c, 1);
	struct domain *d = c->object;

	if (check_params(c, t, params) < 0 || !possible(c, d, t, &flags))
		return CALL_FAILED;
	if ((flags & AFFECT_LIVE) && set_live(c, t, d, params) < 0)
		return CALL_FAILED;
	if ((flags & AFFECT_CONFIG) &&
	    (set_rows(t, domain_config(d), params, &c->fault) < 0 || domain_save(d, &c->fault) < 0))
		return CALL_FAILED;
	return CALL_DONE;
}

static int set_scheduler(struct call *c)
{
	return set(c, &scheduler_tune, 0);
}

static int set_scheduler_flags(struct call *c)
{
	return set(c, &scheduler_tune, call_u(c, 2));
}

static int set_memory(struct call *c)
{
	return set(c, &memory_tune, call_u(c, 2));
}

static int set_blkio(struct call *c)
{
	return set(c, &blkio_tune, call_u(c, 2));
}

/* ---- nodes ---- */

static const char *const numa_modes[] = {"strict", "preferred", "interleave", "restrictive"};

static int numa_mode(const char *text)
{
	for (unsigned n = 0; text && n < COUNT_OF(numa_modes); n++)
		if (!strcmp(text, numa_modes[n]))
			return (int)n;
	return 0;
}

static bool nodes_possible(struct call *c, const struct domain *d, unsigned *flags)
{
	static const struct tune nodes = {NULL, 0, "cpuset", CGROUP_NODES};

	*flags &= ~(unsigned)TUNE_STRINGS;
	return possible(c, d, &nodes, flags);
}

static int get_numa(struct call *c)
{
	struct domain *d = c->object;
	unsigned flags = call_u(c, 2), room = (unsigned)call_i(c, 1);
	const struct domdef *def;

	if (!nodes_possible(c, d, &flags))
		return CALL_FAILED;
	def = flags & AFFECT_LIVE ? d->def : domain_config(d);
	xdr_u32(&c->out, room ? 2 : 0);
	if (room) {
		xdr_param_i32(&c->out, "numa_mode", numa_mode(def->numatune.mode));
		xdr_param_string(&c->out, "numa_nodeset", def->numatune.nodeset ? def->numatune.nodeset : "");
	}
	xdr_i32(&c->out, 2);
	return CALL_DONE;
}

static int set_numa_text(char **at, const char *text, struct fault *f)
{
	char *fresh = strdup(text);

	if (!fresh)
		return fault_set(f, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the value");
	free(*at);
	*at = fresh;
	return 0;
}

/* One value into the document. */
static int set_numa_value(struct domdef *def, const char *field, const struct value *v, struct fault *f)
{
	uint8_t map[DOMAIN_CPUS_MAX / 8];

	if (!strcmp(field, "numa_mode") && v->typed == TYPED_INT && v->i >= 0 && v->i < (int)COUNT_OF(numa_modes))
		return set_numa_text(&def->numatune.mode, numa_modes[v->i], f);
	if (!strcmp(field, "numa_nodeset") && v->typed == TYPED_STRING && v->s && domain_cpuset_parse(v->s, map))
		return set_numa_text(&def->numatune.nodeset, v->s, f);
	return fault_set(f, FAULT_INVALID_ARG, FROM_HYPERVISOR, "'%.60s' is no value of numatune, or not such a one",
			 field);
}

static int set_numa_values(struct domdef *def, const struct value *params, struct fault *f)
{
	for (uint32_t n = 0; n < params->count; n++)
		if (set_numa_value(def, params->items[2 * n].s, &params->items[2 * n + 1], f) < 0)
			return -1;
	return 0;
}

/* The memory of a machine that runs can be moved, its policy is not changed. */
static int set_numa_live(struct call *c, struct domain *d, const struct value *params)
{
	struct domdef *before = domdef_copy(d->def);

	if (!before)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the values");
	if (set_numa_values(d->def, params, &c->fault) == 0 && domain_cgroup_apply(d, CGROUP_NODES, &c->fault) == 0) {
		domdef_free(before);
		domain_note(d);
		return 0;
	}
	domdef_free(d->def);
	d->def = before;
	return -1;
}

static int set_numa(struct call *c)
{
	const struct value *params = call_arg(c, 1);
	unsigned flags = call_u(c, 2);
	struct domain *d = c->object;

	if (!nodes_possible(c, d, &flags))
		return CALL_FAILED;
	if ((flags & AFFECT_LIVE) && set_numa_live(c, d, params) < 0)
		return CALL_FAILED;
	if ((flags & AFFECT_CONFIG) &&
	    (set_numa_values(domain_config(d), params, &c->fault) < 0 || domain_save(d, &c->fault) < 0))
		return CALL_FAILED;
	return CALL_DONE;
}

const struct handler remote_domain_tune[] = {
	{"DOMAIN_GET_NUMA_PARAMETERS", get_numa, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG | TUNE_STRINGS},
	{"DOMAIN_SET_NUMA_PARAMETERS", set_numa, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG | TUNE_STRINGS},
	{"DOMAIN_GET_SCHEDULER_TYPE", get_scheduler_type, remote_find_domain},
	{"DOMAIN_GET_SCHEDULER_PARAMETERS", get_scheduler, remote_find_domain},
	{"DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS", get_scheduler_flags, remote_find_domain,
	 AFFECT_LIVE | AFFECT_CONFIG | TUNE_STRINGS},
	{"DOMAIN_SET_SCHEDULER_PARAMETERS", set_scheduler, remote_find_idle},
	{"DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS", set_scheduler_flags, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_GET_MEMORY_PARAMETERS", get_memory, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG | TUNE_STRINGS},
	{"DOMAIN_SET_MEMORY_PARAMETERS", set_memory, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_GET_BLKIO_PARAMETERS", get_blkio, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG | TUNE_STRINGS},
	{"DOMAIN_SET_BLKIO_PARAMETERS", set_blkio, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
};
const unsigned remote_domain_tune_count = COUNT_OF(remote_domain_tune);
