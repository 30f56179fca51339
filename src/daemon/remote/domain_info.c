/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding domains, and what can be read of them. */
#include "daemon/remote/remote_priv.h"

#include "daemon/domain/cgroup.h"
#include "daemon/host.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 16384 };

/* ---- lists ---- */

struct listing {
	struct xdr_out *out;
	unsigned flags, count, max;
	void (*put)(struct xdr_out *o, const struct domain *d);
};

static void list_one(void *opaque, struct domain *d)
{
	struct listing *l = opaque;

	if (!remote_listed(d, l->flags) || l->count == l->max)
		return;
	l->count++;
	if (l->put)
		l->put(l->out, d);
}

static unsigned list(struct call *c, unsigned flags, unsigned max,
		     void (*put)(struct xdr_out *o, const struct domain *d))
{
	struct listing l = { .out = &c->out, .flags = flags, .max = max, .put = put };

	domains_each(((struct daemon *)c->opaque)->domains, list_one, &l);
	return l.count;
}

static int list_all(struct call *c)
{
	bool need = call_i(c, 0);
	size_t hole;
	unsigned count;

	hole = xdr_hole(&c->out);
	count = list(c, call_u(c, 1), LIST_MAX, need ? remote_put_domain : NULL);
	xdr_fill(&c->out, hole, need ? count : 0);
	xdr_u32(&c->out, count);
	return CALL_DONE;
}

static int num_of(struct call *c)
{
	xdr_i32(&c->out, (int)list(c, 0x1, LIST_MAX, NULL));
	return CALL_DONE;
}

static int num_of_defined(struct call *c)
{
	xdr_i32(&c->out, (int)list(c, 0x2, LIST_MAX, NULL));
	return CALL_DONE;
}

static void put_id(struct xdr_out *o, const struct domain *d)
{
	xdr_i32(o, d->id);
}

static void put_name(struct xdr_out *o, const struct domain *d)
{
	xdr_string(o, domain_name(d));
}

static int list_some(struct call *c, unsigned flags, void (*put)(struct xdr_out *o, const struct domain *d))
{
	int max = call_i(c, 0);
	size_t hole = xdr_hole(&c->out);

	if (max < 0 || max > LIST_MAX)
		return fault_set(&c->fault, FAULT_RPC, FROM_RPC, "too many domains asked for: %d", max);
	xdr_fill(&c->out, hole, list(c, flags, (unsigned)max, put));
	return CALL_DONE;
}

static int list_ids(struct call *c)
{
	return list_some(c, 0x1, put_id);
}

static int list_defined(struct call *c)
{
	return list_some(c, 0x2, put_name);
}

/* ---- look-ups ---- */

static int found(struct call *c, const struct domain *d)
{
	remote_put_domain(&c->out, d);
	return CALL_DONE;
}

static int lookup_by_name(struct call *c)
{
	struct domain *d = domain_by_name(((struct daemon *)c->opaque)->domains, call_s(c, 0));

	if (!d)
		return fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "no domain with matching name '%.200s'",
				 call_s(c, 0));
	return found(c, d);
}

static int lookup_by_uuid(struct call *c)
{
	struct domain *d = domain_by_uuid(((struct daemon *)c->opaque)->domains, call_arg(c, 0)->x);
	char text[37];

	xuuid_text(call_arg(c, 0)->x, text);
	if (!d)
		return fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "no domain with matching uuid '%s'",
				 text);
	return found(c, d);
}

static int lookup_by_id(struct call *c)
{
	struct domain *d = domain_by_id(((struct daemon *)c->opaque)->domains, call_i(c, 0));

	if (!d)
		return fault_set(&c->fault, FAULT_NO_DOMAIN, FROM_HYPERVISOR, "no domain with matching id %d",
				 call_i(c, 0));
	return found(c, d);
}

/* ---- one domain ---- */

enum { XML_SECURE = 1, XML_INACTIVE = 2, XML_UPDATE_CPU = 4, XML_MIGRATABLE = 8 };

static int get_xml(struct call *c)
{
	struct domain *d = c->object;
	unsigned flags = call_u(c, 1);

	if ((flags & (XML_SECURE | XML_MIGRATABLE)) && client_read_only(c->client))
		return fault_set(&c->fault, FAULT_DENIED, FROM_DOMAIN, "virDomainGetXMLDesc with secure flag");
	return remote_put_text(c, FROM_DOMAIN, domdef_format(flags & XML_INACTIVE ? domain_config(d) : d->def,
							     flags | (domain_active(d) ? 0 : XML_INACTIVE)));
}

static int get_state(struct call *c)
{
	struct domain *d = c->object;

	xdr_i32(&c->out, d->state);
	xdr_i32(&c->out, d->reason);
	return CALL_DONE;
}

static uint64_t current_vcpus(const struct domdef *def)
{
	return def->vcpu_current.set ? def->vcpu_current.v : def->vcpu.v;
}

static uint64_t current_memory(const struct domdef *def)
{
	return def->current_memory.set ? def->current_memory.v : def->memory.v;
}

static int get_info(struct call *c)
{
	struct domain *d = c->object;
	struct machine_usage u = { 0 };

	if (d->machine && !machine_usage(d->machine, &u))
		u = (struct machine_usage){ 0 };
	xdr_u32(&c->out, (uint32_t)d->state);
	xdr_u64(&c->out, d->def->memory.v);
	xdr_u64(&c->out, current_memory(d->def));
	xdr_u32(&c->out, (uint32_t)current_vcpus(d->def));
	xdr_u64(&c->out, u.user_ns + u.system_ns);
	return CALL_DONE;
}

static int get_autostart(struct call *c)
{
	struct domain *d = c->object;

	xdr_i32(&c->out, d->autostart);
	return CALL_DONE;
}

static int get_max_memory(struct call *c)
{
	struct domain *d = c->object;

	xdr_u64(&c->out, d->def->memory.v);
	return CALL_DONE;
}

static int get_max_vcpus(struct call *c)
{
	struct domain *d = c->object;

	xdr_i32(&c->out, (int)d->def->vcpu.v);
	return CALL_DONE;
}

enum { VCPUS_MAXIMUM = 4 };

static int get_vcpus_flags(struct call *c)
{
	struct domain *d = c->object;
	unsigned flags = call_u(c, 1);
	const struct domdef *def;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	def = flags & AFFECT_CONFIG ? domain_config(d) : d->def;
	xdr_i32(&c->out, (int)(flags & VCPUS_MAXIMUM ? def->vcpu.v : current_vcpus(def)));
	return CALL_DONE;
}

static int get_os_type(struct call *c)
{
	struct domain *d = c->object;

	xdr_string(&c->out, d->def->os.type ? d->def->os.type : "hvm");
	return CALL_DONE;
}

static int is_active(struct call *c)
{
	struct domain *d = c->object;

	xdr_i32(&c->out, domain_active(d));
	return CALL_DONE;
}

static int is_persistent(struct call *c)
{
	struct domain *d = c->object;

	xdr_i32(&c->out, d->persistent);
	return CALL_DONE;
}

/* For what no domain has: a saved image, snapshots and their names, changes while running. */
static int none(struct call *c)
{
	xdr_i32(&c->out, 0);
	return CALL_DONE;
}

static int no_snapshots(struct call *c)
{
	xdr_i32(&c->out, 0);
	return none(c);
}

static int no_snapshot(struct call *c)
{
	return fault_set(&c->fault, FAULT_NO_SNAPSHOT, FROM_SNAPSHOT, "the domain has no such snapshot");
}

/* Of a snapshot, a checkpoint that is handed over: there is none that it could be. */
static int no_checkpoint(struct call *c)
{
	return fault_set(&c->fault, FAULT_NO_CHECKPOINT, FROM_CHECKPOINT, "the domain has no such checkpoint");
}

static int no_backup(struct call *c)
{
	return fault_set(&c->fault, FAULT_NO_BACKUP, FROM_DOMAIN, "no domain backup job present");
}

static const char *any_tap(void *opaque, const struct domdef_interface *i)
{
	return "tap";
}

static const char *any_volume(void *opaque, const struct domdef_disk *k)
{
	return "volume";
}

enum { MESSAGES_DEPRECATION = 1, MESSAGES_TAINTING = 2 };

/* What the machine has not although its document names it, or why it cannot start. */
static int get_messages(struct call *c)
{
	const struct domdef_place place = { .tap = any_tap, .volume = any_volume, .vsock = "vsock", .nvram = "nvram",
					     .channel = "channel", .limits = domain_cgroup_possible(c->object) };
	struct domain *d = c->object;
	struct domdef_args args;
	struct err e = { 0 };

	if (call_u(c, 1) == MESSAGES_DEPRECATION) {
		xdr_u32(&c->out, 0);
	} else if (domdef_vmm_args(&args, domain_config(d), &place, &e) < 0) {
		xdr_u32(&c->out, 1);
		xdr_string(&c->out, e.text);
	} else {
		xdr_u32(&c->out, args.note_count);
		for (unsigned n = 0; n < args.note_count; n++)
			xdr_string(&c->out, args.note[n]);
		domdef_args_free(&args);
	}
	return CALL_DONE;
}

/* No label: an empty text with its end. */
static int get_security_label(struct call *c)
{
	xdr_chars(&c->out, "", 1);
	xdr_i32(&c->out, 0);
	return CALL_DONE;
}

static int get_control_info(struct call *c)
{
	struct domain *d = c->object;

	xdr_u32(&c->out, d->job == JOB_NONE ? 0 : 1); /* ready, or a job is under way */
	xdr_u32(&c->out, 0);
	xdr_u64(&c->out, 0);
	return CALL_DONE;
}

static int get_job_info(struct call *c)
{
	xdr_i32(&c->out, 0); /* no job of the kind that has a progress */
	for (unsigned n = 0; n < 11; n++)
		xdr_u64(&c->out, 0);
	return CALL_DONE;
}

/* ---- vCPUs ---- */

static void put_vcpu(struct call *c, const struct domain *d, unsigned n)
{
	enum { VCPU_OFFLINE, VCPU_RUNNING, VCPU_BLOCKED };
	struct domain_vcpu v = { .cpu = -1 };

	xdr_u32(&c->out, n);
	if (domain_vcpu(d, n, &v))
		xdr_i32(&c->out, v.waiting ? VCPU_BLOCKED : VCPU_RUNNING);
	else
		xdr_i32(&c->out, VCPU_OFFLINE);
	xdr_u64(&c->out, v.time_ns);
	xdr_i32(&c->out, v.cpu);
}

static int put_maps(struct call *c, const struct domain *d, unsigned count, unsigned size)
{
	uint8_t *maps = calloc(count ? count : 1, size ? size : 1);

	if (!maps)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the maps");
	for (unsigned n = 0; n < count; n++)
		if (!domain_vcpu_affinity(d, n, maps + (size_t)n * size, size))
			memset(maps + (size_t)n * size, 0xff, size);
	xdr_opaque(&c->out, maps, (size_t)count * size);
	free(maps);
	return CALL_DONE;
}

static bool bad_room(struct call *c, int count, int size)
{
	if (count >= 0 && size >= 0 && count <= LIST_MAX && size <= HOST_CPUS_MAX / 8)
		return false;
	fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "room for %d maps of %d bytes is not possible", count,
		  size);
	return true;
}

static int get_vcpus(struct call *c)
{
	struct domain *d = c->object;
	int max = call_i(c, 1), size = call_i(c, 2);
	unsigned count;

	if (bad_room(c, max, size))
		return CALL_FAILED;
	if (!d->machine)
		return remote_not_running(c);
	count = d->vcpu_count < (unsigned)max ? d->vcpu_count : (unsigned)max;
	xdr_u32(&c->out, count);
	for (unsigned n = 0; n < count; n++)
		put_vcpu(c, d, n);
	return put_maps(c, d, count, (unsigned)size);
}

const struct handler remote_domain_info[] = {
	{"CONNECT_LIST_ALL_DOMAINS", list_all, NULL, LIST_FLAGS},
	{"CONNECT_NUM_OF_DOMAINS", num_of},
	{"CONNECT_NUM_OF_DEFINED_DOMAINS", num_of_defined},
	{"CONNECT_LIST_DOMAINS", list_ids},
	{"CONNECT_LIST_DEFINED_DOMAINS", list_defined},
	{"DOMAIN_LOOKUP_BY_NAME", lookup_by_name},
	{"DOMAIN_LOOKUP_BY_UUID", lookup_by_uuid},
	{"DOMAIN_LOOKUP_BY_ID", lookup_by_id},
	{"DOMAIN_GET_XML_DESC", get_xml, remote_find_domain,
	 XML_SECURE | XML_INACTIVE | XML_UPDATE_CPU | XML_MIGRATABLE},
	{"DOMAIN_GET_STATE", get_state, remote_find_domain},
	{"DOMAIN_GET_INFO", get_info, remote_find_domain},
	{"DOMAIN_GET_AUTOSTART", get_autostart, remote_find_domain},
	{"DOMAIN_GET_MAX_MEMORY", get_max_memory, remote_find_domain},
	{"DOMAIN_GET_MAX_VCPUS", get_max_vcpus, remote_find_domain},
	{"DOMAIN_GET_VCPUS_FLAGS", get_vcpus_flags, remote_find_domain, AFFECT_LIVE | AFFECT_CONFIG | VCPUS_MAXIMUM},
	{"DOMAIN_GET_OS_TYPE", get_os_type, remote_find_domain},
	{"DOMAIN_IS_ACTIVE", is_active, remote_find_domain},
	{"DOMAIN_IS_PERSISTENT", is_persistent, remote_find_domain},
	{"DOMAIN_IS_UPDATED", none, remote_find_domain},
	{"DOMAIN_HAS_MANAGED_SAVE_IMAGE", none, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_NUM", none, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_HAS_CURRENT_SNAPSHOT", none, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_LIST_NAMES", none, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_LIST_ALL_SNAPSHOTS", no_snapshots, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_LIST_ALL_CHECKPOINTS", no_snapshots, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_LOOKUP_BY_NAME", no_snapshot, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_CURRENT", no_snapshot, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_GET_XML_DESC", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_GET_PARENT", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_NUM_CHILDREN", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_LIST_CHILDREN_NAMES", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_IS_CURRENT", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_HAS_METADATA", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SNAPSHOT_DELETE", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_REVERT_TO_SNAPSHOT", no_snapshot, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_CHECKPOINT_LOOKUP_BY_NAME", no_checkpoint, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_CHECKPOINT_GET_XML_DESC", no_checkpoint, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_CHECKPOINT_GET_PARENT", no_checkpoint, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_CHECKPOINT_LIST_ALL_CHILDREN", no_checkpoint, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_CHECKPOINT_DELETE", no_checkpoint, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_BACKUP_GET_XML_DESC", no_backup, remote_find_domain},
	{"DOMAIN_GET_MESSAGES", get_messages, remote_find_domain, MESSAGES_DEPRECATION | MESSAGES_TAINTING},
	{"DOMAIN_GET_SECURITY_LABEL", get_security_label, remote_find_domain},
	{"DOMAIN_GET_CONTROL_INFO", get_control_info, remote_find_running},
	{"DOMAIN_GET_JOB_INFO", get_job_info, remote_find_running},
	{"DOMAIN_GET_VCPUS", get_vcpus, remote_find_domain},
};
const unsigned remote_domain_info_count = COUNT_OF(remote_domain_info);
