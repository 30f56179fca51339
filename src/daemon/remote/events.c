/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who wants to hear what, and what happens to domains as messages. */
#include "daemon/remote/events.h"

#include "daemon/remote/remote_priv.h"
#include "daemon/remote/storage_calls.h"

/* The events of each kind have numbers from 0 on; which of them ever happen is another matter. */
static const int event_count[WATCH_KINDS] = {
	[WATCH_DOMAIN] = 29, [WATCH_NETWORK] = 2, [WATCH_POOL] = 2, [WATCH_NODE_DEVICE] = 2, [WATCH_SECRET] = 2,
};

/* What clients call the events of domains. */
enum event_id {
	EVENT_ID_LIFECYCLE = 0,
	EVENT_ID_REBOOT = 1,
	EVENT_ID_RTC = 2,
	EVENT_ID_WATCHDOG = 3,
	EVENT_ID_IO_ERROR = 4,
	EVENT_ID_IO_ERROR_REASON = 6,
	EVENT_ID_MEDIUM = 9,
	EVENT_ID_TRAY = 10,
	EVENT_ID_PMWAKEUP = 11,
	EVENT_ID_PMSUSPEND = 12,
	EVENT_ID_BALLOON = 13,
	EVENT_ID_PMSUSPEND_DISK = 14,
	EVENT_ID_REMOVED = 15,
	EVENT_ID_TUNABLE = 17,
	EVENT_ID_AGENT = 18,
	EVENT_ID_ADDED = 19,
	EVENT_ID_REMOVAL_FAILED = 22,
	EVENT_ID_METADATA = 23,
	EVENT_ID_THRESHOLD = 24,
};

/* ---- registering ---- */

static int add(struct call *c, enum watch_kind kind, const uint8_t *uuid)
{
	int event = call_i(c, 0), callback;

	if (event < 0 || event >= event_count[kind])
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_RPC, "unsupported event ID %d", event);
	callback = watch_add(c, kind, event, uuid);
	if (callback < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, callback);
	return CALL_DONE;
}

/* The UUID in the optional reference, at its place there. */
static const uint8_t *uuid_of(const struct call *c, unsigned part)
{
	return call_arg(c, 1)->absent ? NULL : call_part(c, 1, part)->x;
}

static int domain_add(struct call *c)
{
	if (!call_arg(c, 1)->absent && !remote_domain(c, 1))
		return CALL_FAILED;
	return add(c, WATCH_DOMAIN, uuid_of(c, 1));
}

static int network_add(struct call *c)
{
	return add(c, WATCH_NETWORK, uuid_of(c, 1));
}

static int pool_add(struct call *c)
{
	return add(c, WATCH_POOL, uuid_of(c, 1));
}

/* Devices of the host are known by their names. */
static int device_add(struct call *c)
{
	return add(c, WATCH_NODE_DEVICE, NULL);
}

static int secret_add(struct call *c)
{
	return add(c, WATCH_SECRET, uuid_of(c, 0));
}

static int domain_remove(struct call *c)
{
	return watch_remove(c, WATCH_DOMAIN, call_i(c, 0));
}

static int network_remove(struct call *c)
{
	return watch_remove(c, WATCH_NETWORK, call_i(c, 0));
}

static int pool_remove(struct call *c)
{
	return watch_remove(c, WATCH_POOL, call_i(c, 0));
}

static int device_remove(struct call *c)
{
	return watch_remove(c, WATCH_NODE_DEVICE, call_i(c, 0));
}

static int secret_remove(struct call *c)
{
	return watch_remove(c, WATCH_SECRET, call_i(c, 0));
}

const struct handler remote_events[] = {
	{"CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", domain_add},
	{"CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY", domain_remove},
	{"CONNECT_NETWORK_EVENT_REGISTER_ANY", network_add},
	{"CONNECT_NETWORK_EVENT_DEREGISTER_ANY", network_remove},
	{"CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY", pool_add},
	{"CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY", pool_remove},
	{"CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY", device_add},
	{"CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY", device_remove},
	{"CONNECT_SECRET_EVENT_REGISTER_ANY", secret_add},
	{"CONNECT_SECRET_EVENT_DEREGISTER_ANY", secret_remove},
};
const unsigned remote_events_count = COUNT_OF(remote_events);

/* ---- telling ---- */

static const char *const event_name[] = {
	[EVENT_ID_LIFECYCLE] = "DOMAIN_EVENT_CALLBACK_LIFECYCLE",
	[EVENT_ID_REBOOT] = "DOMAIN_EVENT_CALLBACK_REBOOT",
	[EVENT_ID_RTC] = "DOMAIN_EVENT_CALLBACK_RTC_CHANGE",
	[EVENT_ID_WATCHDOG] = "DOMAIN_EVENT_CALLBACK_WATCHDOG",
	[EVENT_ID_IO_ERROR] = "DOMAIN_EVENT_CALLBACK_IO_ERROR",
	[EVENT_ID_IO_ERROR_REASON] = "DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON",
	[EVENT_ID_MEDIUM] = "DOMAIN_EVENT_CALLBACK_DISK_CHANGE",
	[EVENT_ID_TRAY] = "DOMAIN_EVENT_CALLBACK_TRAY_CHANGE",
	[EVENT_ID_PMWAKEUP] = "DOMAIN_EVENT_CALLBACK_PMWAKEUP",
	[EVENT_ID_PMSUSPEND] = "DOMAIN_EVENT_CALLBACK_PMSUSPEND",
	[EVENT_ID_BALLOON] = "DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE",
	[EVENT_ID_PMSUSPEND_DISK] = "DOMAIN_EVENT_CALLBACK_PMSUSPEND_DISK",
	[EVENT_ID_REMOVED] = "DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED",
	[EVENT_ID_TUNABLE] = "DOMAIN_EVENT_CALLBACK_TUNABLE",
	[EVENT_ID_AGENT] = "DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE",
	[EVENT_ID_ADDED] = "DOMAIN_EVENT_CALLBACK_DEVICE_ADDED",
	[EVENT_ID_REMOVAL_FAILED] = "DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED",
	[EVENT_ID_METADATA] = "DOMAIN_EVENT_CALLBACK_METADATA_CHANGE",
	[EVENT_ID_THRESHOLD] = "DOMAIN_EVENT_BLOCK_THRESHOLD",
};

/* Every message about a domain begins with the domain, but for those of sleep. */
static struct xdr_out begin(const struct domain *d)
{
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_domain(&o, d);
	return o;
}

/* o is gone afterwards. */
static void tell(const struct daemon *daemon, const struct domain *d, enum event_id event, struct xdr_out *o)
{
	watch_send(daemon->server, WATCH_DOMAIN, event, event_name[event], domain_uuid(d), o);
	xdr_out_free(o);
}

static void lifecycle(void *opaque, const struct domain *d, int event, int detail)
{
	struct xdr_out o = begin(d);

	xdr_i32(&o, event);
	xdr_i32(&o, detail);
	tell(opaque, d, EVENT_ID_LIFECYCLE, &o);
}

static void reboot(void *opaque, const struct domain *d)
{
	struct xdr_out o = begin(d);

	tell(opaque, d, EVENT_ID_REBOOT, &o);
}

/* Always by its channel: that an agent is there from the start on is not known. */
static void agent(void *opaque, const struct domain *d, bool connected)
{
	enum { CONNECTED = 1, DISCONNECTED = 2, REASON_CHANNEL = 2 };
	struct xdr_out o = begin(d);

	xdr_i32(&o, connected ? CONNECTED : DISCONNECTED);
	xdr_i32(&o, REASON_CHANNEL);
	tell(opaque, d, EVENT_ID_AGENT, &o);
}

static void tray(void *opaque, const struct domain *d, const char *alias, bool open)
{
	struct xdr_out o = begin(d);

	xdr_string(&o, alias);
	xdr_i32(&o, open ? 0 : 1);
	tell(opaque, d, EVENT_ID_TRAY, &o);
}

static void medium(void *opaque, const struct domain *d, const char *old, const char *alias, int reason)
{
	struct xdr_out o = begin(d);

	xdr_optional_string(&o, old);
	xdr_optional_string(&o, NULL);
	xdr_string(&o, alias);
	xdr_i32(&o, reason);
	tell(opaque, d, EVENT_ID_MEDIUM, &o);
}

/* The reason has no meaning, in libvirt either. */
static void sleeps(void *opaque, const struct domain *d, enum domain_sleep how)
{
	static const enum event_id event[] = {
		[SLEEP_TO_MEMORY] = EVENT_ID_PMSUSPEND,
		[SLEEP_TO_DISK] = EVENT_ID_PMSUSPEND_DISK,
		[SLEEP_ENDED] = EVENT_ID_PMWAKEUP,
	};
	struct xdr_out o;

	xdr_out_init(&o);
	xdr_i32(&o, 0);
	remote_put_domain(&o, d);
	tell(opaque, d, event[how], &o);
}

static void watchdog(void *opaque, const struct domain *d, int action)
{
	struct xdr_out o = begin(d);

	xdr_i32(&o, action);
	tell(opaque, d, EVENT_ID_WATCHDOG, &o);
}

void remote_metadata_changed(const struct daemon *daemon, const struct domain *d, int type, const char *uri)
{
	struct xdr_out o = begin(d);

	xdr_i32(&o, type);
	xdr_optional_string(&o, uri);
	tell(daemon, d, EVENT_ID_METADATA, &o);
}

static void device(const struct daemon *daemon, const struct domain *d, enum event_id event, const char *alias)
{
	struct xdr_out o = begin(d);

	xdr_string(&o, alias);
	tell(daemon, d, event, &o);
}

static void device_added(void *opaque, const struct domain *d, const char *alias)
{
	device(opaque, d, EVENT_ID_ADDED, alias);
}

static void device_removed(void *opaque, const struct domain *d, const char *alias)
{
	device(opaque, d, EVENT_ID_REMOVED, alias);
}

static void removal_failed(void *opaque, const struct domain *d, const char *alias)
{
	device(opaque, d, EVENT_ID_REMOVAL_FAILED, alias);
}

static void io_error(void *opaque, const struct domain *d, const struct domdef_disk *k, int action, const char *reason)
{
	const struct daemon *daemon = opaque;
	const char *path = remote_disk_path(daemon, k);

	for (int n = 0; n < 2; n++) { /* without a reason, and with it */
		struct xdr_out o = begin(d);

		xdr_string(&o, path ? path : "");
		xdr_string(&o, k->dev.alias ? k->dev.alias : "");
		xdr_i32(&o, action);
		if (n)
			xdr_string(&o, reason);
		tell(daemon, d, n ? EVENT_ID_IO_ERROR_REASON : EVENT_ID_IO_ERROR, &o);
	}
}

static void threshold(void *opaque, const struct domain *d, const struct domdef_disk *k, uint64_t limit, uint64_t by)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o = begin(d);

	xdr_string(&o, k->target);
	xdr_optional_string(&o, remote_disk_path(daemon, k));
	xdr_u64(&o, limit);
	xdr_u64(&o, by);
	tell(daemon, d, EVENT_ID_THRESHOLD, &o);
}

static void number(const struct daemon *daemon, const struct domain *d, enum event_id event, uint64_t v)
{
	struct xdr_out o = begin(d);

	xdr_u64(&o, v);
	tell(daemon, d, event, &o);
}

static void guest_clock(void *opaque, const struct domain *d, int64_t offset)
{
	number(opaque, d, EVENT_ID_RTC, (uint64_t)offset);
}

static void balloon(void *opaque, const struct domain *d, uint64_t kib)
{
	number(opaque, d, EVENT_ID_BALLOON, kib);
}

void remote_tuned(const struct daemon *daemon, const struct domain *d, unsigned count,
		  void (*put)(struct xdr_out *o, const void *opaque), const void *opaque)
{
	struct xdr_out o = begin(d);

	xdr_u32(&o, count);
	put(&o, opaque);
	tell(daemon, d, EVENT_ID_TUNABLE, &o);
}

struct domain_watcher remote_watcher(struct daemon *daemon)
{
	return (struct domain_watcher){.lifecycle = lifecycle,
				       .reboot = reboot,
				       .tray = tray,
				       .medium = medium,
				       .agent = agent,
				       .watchdog = watchdog,
				       .sleep = sleeps,
				       .device_added = device_added,
				       .device_removed = device_removed,
				       .removal_failed = removal_failed,
				       .io_error = io_error,
				       .threshold = threshold,
				       .clock = guest_clock,
				       .balloon = balloon,
				       .opaque = daemon};
}

/* ---- storage ---- */

enum { EVENT_ID_REFRESH = 1, EVENT_ID_VALUE_CHANGED = 1 };

static void pool_lifecycle(void *opaque, const struct pool *p, int event)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_pool(&o, p);
	xdr_i32(&o, event);
	xdr_i32(&o, 0);
	watch_send(daemon->server, WATCH_POOL, EVENT_ID_LIFECYCLE, "STORAGE_POOL_EVENT_LIFECYCLE", pool_uuid(p), &o);
	xdr_out_free(&o);
}

static void pool_refreshed(void *opaque, const struct pool *p)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_pool(&o, p);
	watch_send(daemon->server, WATCH_POOL, EVENT_ID_REFRESH, "STORAGE_POOL_EVENT_REFRESH", pool_uuid(p), &o);
	xdr_out_free(&o);
}

struct storage_watcher remote_storage_watcher(struct daemon *daemon)
{
	return (struct storage_watcher){.lifecycle = pool_lifecycle, .refresh = pool_refreshed, .opaque = daemon};
}

static void secret_lifecycle(void *opaque, const struct secret *s, int event)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_secret(&o, s);
	xdr_i32(&o, event);
	xdr_i32(&o, 0);
	watch_send(daemon->server, WATCH_SECRET, EVENT_ID_LIFECYCLE, "SECRET_EVENT_LIFECYCLE", s->def->uuid.b, &o);
	xdr_out_free(&o);
}

static void secret_changed(void *opaque, const struct secret *s)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o;

	xdr_out_init(&o);
	remote_put_secret(&o, s);
	watch_send(daemon->server, WATCH_SECRET, EVENT_ID_VALUE_CHANGED, "SECRET_EVENT_VALUE_CHANGED", s->def->uuid.b,
		   &o);
	xdr_out_free(&o);
}

struct secret_watcher remote_secret_watcher(struct daemon *daemon)
{
	return (struct secret_watcher){
		.lifecycle = secret_lifecycle, .value_changed = secret_changed, .opaque = daemon};
}

/* Machines that were plugged into a network that was stopped are so again when it starts. */
static void replug(void *opaque, struct domain *d)
{
	const struct network *n = opaque;

	for (unsigned k = 0; domain_active(d) && k < d->def->interfaces.n; k++) {
		const struct domdef_interface *i = d->def->interfaces.v[k];

		if (remote_plugged(i, n) && i->target)
			network_replug(n, i->target);
	}
}

static void network_lifecycle(void *opaque, const struct network *n, int event)
{
	const struct daemon *daemon = opaque;
	struct xdr_out o;

	if (event == NETWORK_STARTED && daemon->domains) {
		struct network *same = network_by_uuid(daemon->networks, network_uuid(n));

		domains_each(daemon->domains, replug, same);
	}
	xdr_out_init(&o);
	remote_put_network(&o, n);
	xdr_i32(&o, event);
	xdr_i32(&o, 0);
	watch_send(daemon->server, WATCH_NETWORK, EVENT_ID_LIFECYCLE, "NETWORK_EVENT_LIFECYCLE", network_uuid(n), &o);
	xdr_out_free(&o);
}

struct network_watcher remote_network_watcher(struct daemon *daemon)
{
	return (struct network_watcher){ .lifecycle = network_lifecycle, .opaque = daemon };
}
