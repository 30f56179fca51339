/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only a program in the guest can do or tell: QEMU's guest agent is asked. What it says is a guest's word. */
#include "daemon/domain/agent.h"
#include "daemon/remote/remote_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 1024 };

struct asked {
	struct call *call;
	int (*put)(struct call *c, const json_t *result); /* the answer; NULL: there is nothing to say */
	unsigned step, count;
	size_t hole;
};

static void answered(void *opaque, const json_t *result, const struct fault *f)
{
	struct asked a = *(struct asked *)opaque;
	int ret = CALL_DONE;

	free(opaque);
	if (f) {
		a.call->fault = *f;
		ret = CALL_FAILED;
	} else if (a.put && !result) {
		ret = fault_set(&a.call->fault, FAULT_AGENT, FROM_HYPERVISOR,
				 "it ended");
	} else if (a.put) {
		ret = a.put(a.call, result);
	}
	call_end(a.call, ret);
}

int remote_agent(struct call *c, struct domain *d, const char *command, json_t *arguments, bool may_vanish,
		 int (*put)(struct call *c, const json_t *result))
{
	struct asked *a = malloc(sizeof(*a));

	if (!a) {
		json_decref(arguments);
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the question");
	}
	*a = (struct asked){ .call = c, .put = put };
	if (domain_agent(d, command, arguments, may_vanish, answered, a, &c->fault) == 0)
		return CALL_LATER;
	free(a);
	return CALL_FAILED;
}

static int wrong(struct call *c)
{
	return fault_set(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR,
				 "the guest agent's answer is not what it should be");
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

/* ---- whatever it can ---- */

static int put_return(struct call *c, const json_t *result)
{
	json_t *whole = json_pack("{s:O}", "return", (json_t *)result);
	char *line = whole ? json_dumps(whole, JSON_COMPACT) : NULL;

	json_decref(whole);
	if (!line)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the answer");
	xdr_optional_string(&c->out, line);
	free(line);
	return CALL_DONE;
}

/* {"execute": "guest-ping", "arguments": {}}. How long is waited is the machine's setting. */
static int agent_command(struct call *c)
{
	json_error_t why;
	json_t *question = json_loads(call_s(c, 1), JSON_REJECT_DUPLICATES, &why), *arguments;
	const char *command;
	int ret;

	command = json_string_value(json_object_get(question, "execute"));
	arguments = json_object_get(question, "arguments");
	if (!command || (arguments && !json_is_object(arguments)))
		ret = fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				"a command is an object with \"execute\", and may have \"arguments\" (an object)");
	else
		ret = remote_agent(c, c->object, command, json_incref(arguments), false, put_return);
	json_decref(question);
	return ret;
}

/* ---- name, time ---- */

static int put_hostname(struct call *c, const json_t *result)
{
	const char *name = json_string_value(json_object_get(result, "host-name"));

	if (!name)
		return wrong(c);
	xdr_string(&c->out, name);
	return CALL_DONE;
}

enum { HOSTNAME_LEASE = 1, HOSTNAME_AGENT = 2 };

static int get_hostname(struct call *c)
{
	if (call_u(c, 1) == HOSTNAME_LEASE)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "names of leases are not told; the guest agent's is");
	return remote_agent(c, c->object, "guest-get-host-name", NULL, false, put_hostname);
}

static int put_time(struct call *c, const json_t *result)
{
	json_int_t ns = json_integer_value(result);

	if (!json_is_integer(result) || ns < 0)
		return wrong(c);
	xdr_i64(&c->out, ns / 1000000000);
	xdr_u32(&c->out, (uint32_t)(ns % 1000000000));
	return CALL_DONE;
}

static int get_time(struct call *c)
{
	return remote_agent(c, c->object, "guest-get-time", NULL, false, put_time);
}

enum { TIME_SYNC = 1 }; /* from the guest's own hardware clock */

static int set_time(struct call *c)
{
	int64_t seconds = call_arg(c, 1)->h;
	json_t *arguments = NULL;

	if (!(call_u(c, 3) & TIME_SYNC)) {
		if (seconds < 0 || seconds > INT64_MAX / 1000000000 - 1)
			return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "Time '%lld' is too big for guest agent",
					 (long long)seconds);
		arguments = json_pack("{s:I}", "time", (json_int_t)(seconds * 1000000000 + call_u(c, 2)));
	}
	return remote_agent(c, c->object, "guest-set-time", arguments, false, NULL);
}

/* ---- file systems ---- */

static int put_count(struct call *c, const json_t *result)
{
	if (!json_is_integer(result))
		return wrong(c);
	xdr_i32(&c->out, (int32_t)json_integer_value(result));
	return CALL_DONE;
}

static int freeze(struct call *c)
{
	const struct value *points = call_arg(c, 1);
	json_t *list;

	if (!points->count)
		return remote_agent(c, c->object, "guest-fsfreeze-freeze", NULL, false, put_count);
	list = json_array();
	for (uint32_t n = 0; n < points->count; n++)
		json_array_append_new(list, json_string(points->items[n].s));
	return remote_agent(c, c->object, "guest-fsfreeze-freeze-list", json_pack("{s:o}", "mountpoints", list),
			    false, put_count);
}

static int thaw(struct call *c)
{
	return remote_agent(c, c->object, "guest-fsfreeze-thaw", NULL, false, put_count);
}

static int trim(struct call *c)
{
	if (call_s(c, 1))
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "Specifying mount point is not supported for now");
	return remote_agent(c, c->object, "guest-fstrim",
			    json_pack("{s:I}", "minimum", (json_int_t)(call_H(c, 2) & INT64_MAX)), false, NULL);
}

static unsigned bounded(const json_t *list, unsigned max)
{
	size_t count = json_array_size(list);

	return count < max ? (unsigned)count : max;
}

/* Which of the machine's disks lie below is not worked out: the list is empty. */
static int put_fsinfo(struct call *c, const json_t *result)
{
	unsigned count = bounded(result, 256);

	if (!json_is_array(result))
		return wrong(c);
	xdr_u32(&c->out, count);
	for (unsigned n = 0; n < count; n++) {
		const json_t *f = json_array_get(result, n);

		xdr_string(&c->out, text(f, "mountpoint"));
		xdr_string(&c->out, text(f, "name"));
		xdr_string(&c->out, text(f, "type"));
		xdr_u32(&c->out, 0);
	}
	xdr_u32(&c->out, count);
	return CALL_DONE;
}

static int get_fsinfo(struct call *c)
{
	return remote_agent(c, c->object, "guest-get-fsinfo", NULL, false, put_fsinfo);
}

/* ---- users ---- */

static char *base64(const char *in)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(in);
	char *out = malloc((len + 2) / 3 * 4 + 1), *at = out;

	for (size_t n = 0; out && n < len; n += 3) {
		uint32_t v = (uint32_t)(uint8_t)in[n] << 16;

		v |= n + 1 < len ? (uint32_t)(uint8_t)in[n + 1] << 8 : 0;
		v |= n + 2 < len ? (uint8_t)in[n + 2] : 0;
		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		*at++ = n + 1 < len ? digits[v >> 6 & 63] : '=';
		*at++ = n + 2 < len ? digits[v & 63] : '=';
	}
	if (out)
		*at = 0;
	return out;
}

enum { PASSWORD_ENCRYPTED = 1 };

static int set_password(struct call *c)
{
	char *secret = base64(call_s(c, 2) ? call_s(c, 2) : "");
	json_t *arguments;

	arguments = secret ? json_pack("{s:b, s:s, s:s}", "crypted", (int)(call_u(c, 3) & PASSWORD_ENCRYPTED),
				       "username", call_s(c, 1) ? call_s(c, 1) : "", "password", secret) : NULL;
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
	return arguments ? remote_agent(c, c->object, "guest-set-user-password", arguments, false, NULL) :
			   fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "the user's name is no UTF-8");
}

/* ---- vCPUs, as the guest has them on and off ---- */

static bool vcpus_text(const json_t *list, const char *flag, char *out, size_t size)
{
	uint8_t map[DOMAIN_CPUS_MAX / 8] = { 0 };
	char *all;

	for (unsigned n = 0; n < bounded(list, DOMAIN_CPUS_MAX); n++) {
		const json_t *v = json_array_get(list, n), *id = json_object_get(v, "logical-id");
		json_int_t k = json_integer_value(id);

		if (json_is_integer(id) && k >= 0 && k < DOMAIN_CPUS_MAX &&
		    (!flag || json_is_true(json_object_get(v, flag))))
			map[k / 8] |= (uint8_t)(1u << k % 8);
	}
	all = domain_cpuset_text(map, sizeof(map));
	snprintf(out, size, "%s", all ? all : "");
	free(all);
	return out[0];
}

static int put_guest_vcpus(struct call *c, const json_t *result)
{
	static const char *const fields[] = { "vcpus", "online", "offlinable" };
	char all[1024];

	if (!json_is_array(result))
		return wrong(c);
	xdr_u32(&c->out, COUNT_OF(fields));
	for (unsigned n = 0; n < COUNT_OF(fields); n++) {
		vcpus_text(result, n == 0 ? NULL : n == 1 ? "online" : "can-offline", all, sizeof(all));
		xdr_param_string(&c->out, fields[n], all);
	}
	return CALL_DONE;
}

static int get_guest_vcpus(struct call *c)
{
	return remote_agent(c, c->object, "guest-get-vcpus", NULL, false, put_guest_vcpus);
}

static int set_guest_vcpus(struct call *c)
{
	uint8_t map[DOMAIN_CPUS_MAX / 8] = { 0 };
	json_t *list;

	if ((call_i(c, 2) != 0 && call_i(c, 2) != 1) || !domain_cpuset_parse(call_s(c, 1), map))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "'%.60s' is no list of vCPUs to be set to %d",
				 call_s(c, 1), call_i(c, 2));
	list = json_array();
	for (int n = 0; n < DOMAIN_CPUS_MAX; n++)
		if (map[n / 8] >> n % 8 & 1)
			json_array_append_new(list, json_pack("{s:i, s:b}", "logical-id", n, "online", call_i(c, 2)));
	return remote_agent(c, c->object, "guest-set-vcpus", json_pack("{s:o}", "vcpus", list), false, NULL);
}

/* ---- all kinds of information ---- */

static unsigned put_os(struct xdr_out *o, const json_t *r)
{
	static const char *const keys[] = { "id", "name", "pretty-name", "version", "version-id", "kernel-release",
					    "kernel-version", "machine", "variant", "variant-id" };
	char field[48];
	unsigned count = 0;

	for (unsigned n = 0; n < COUNT_OF(keys); n++) {
		if (!text(r, keys[n])[0])
			continue;
		snprintf(field, sizeof(field), "os.%s", keys[n]);
		xdr_param_string(o, field, text(r, keys[n]));
		count++;
	}
	return count;
}

static unsigned put_zone(struct xdr_out *o, const json_t *r)
{
	xdr_param_string(o, "timezone.name", text(r, "zone"));
	xdr_param_i32(o, "timezone.offset", (int32_t)json_integer_value(json_object_get(r, "offset")));
	return 2;
}

static unsigned put_name(struct xdr_out *o, const json_t *r)
{
	xdr_param_string(o, "hostname", text(r, "host-name"));
	return 1;
}

static unsigned put_users(struct xdr_out *o, const json_t *r)
{
	unsigned count = bounded(r, ITEMS_MAX);
	char field[48];

	xdr_param_u32(o, "user.count", count);
	for (unsigned n = 0; n < count; n++) {
		const json_t *u = json_array_get(r, n);

		snprintf(field, sizeof(field), "user.%u.name", n);
		xdr_param_string(o, field, text(u, "user"));
		snprintf(field, sizeof(field), "user.%u.login-time", n);
		xdr_param_u64(o, field, (uint64_t)(json_real_value(json_object_get(u, "login-time")) * 1000));
	}
	return 1 + 2 * count;
}

static unsigned put_systems(struct xdr_out *o, const json_t *r)
{
	static const char *const keys[] = { "name", "mountpoint", "fstype" };
	unsigned count = bounded(r, 256);
	char field[48];

	xdr_param_u32(o, "fs.count", count);
	for (unsigned n = 0; n < count; n++)
		for (unsigned k = 0; k < COUNT_OF(keys); k++) {
			snprintf(field, sizeof(field), "fs.%u.%s", n, keys[k]);
			xdr_param_string(o, field, text(json_array_get(r, n), k == 2 ? "type" : keys[k]));
		}
	return 1 + 3 * count;
}

static const struct {
	unsigned type;
	const char *command;
	unsigned (*put)(struct xdr_out *o, const json_t *result);
} parts[] = {
	{ 1, "guest-get-users", put_users }, { 2, "guest-get-osinfo", put_os }, { 4, "guest-get-timezone", put_zone },
	{ 8, "guest-get-host-name", put_name }, { 16, "guest-get-fsinfo", put_systems },
};
enum { PARTS_KNOWN = 31, PARTS_OTHERS = 96 /* disks and interfaces */ };

static void part_came(void *opaque, const json_t *result, const struct fault *f);

/* Asks for the next part that is wanted. True: it is under way. */
static bool next_part(struct asked *a, struct domain *d)
{
	unsigned types = call_u(a->call, 1);

	for (; a->step < COUNT_OF(parts); a->step++)
		if (!types || types & parts[a->step].type)
			return domain_agent(d, parts[a->step].command, NULL, false, part_came, a, &a->call->fault) == 0;
	return false;
}

static void parts_end(struct asked *a, int ret)
{
	struct call *c = a->call;

	xdr_fill(&c->out, a->hole, a->count);
	free(a);
	call_end(c, ret);
}

/* The job of the question before ends after this; only then may the next be asked. */
static void part_turn(void *opaque, bool timeout)
{
	struct asked *a = opaque;
	struct domain *d = remote_domain(a->call, 0);

	if (!d || timeout)
		parts_end(a, CALL_FAILED);
	else if (!next_part(a, d))
		parts_end(a, a->step < COUNT_OF(parts) ? CALL_FAILED : CALL_DONE);
}

/* What one agent does not know is left out when all was asked for. */
static void part_came(void *opaque, const json_t *result, const struct fault *f)
{
	struct asked *a = opaque;
	struct domain *d = remote_domain(a->call, 0);

	if (!result && f && (f->code != FAULT_INTERNAL || call_u(a->call, 1))) {
		a->call->fault = *f;
		parts_end(a, CALL_FAILED);
		return;
	}
	if (result)
		a->count += parts[a->step].put(&a->call->out, result);
	a->step++;
	if (!d || domain_wait(d, part_turn, a) < 0)
		parts_end(a, CALL_FAILED);
}

static int get_info(struct call *c)
{
	unsigned types = call_u(c, 1);
	struct asked *a;

	if (types & ~(unsigned)PARTS_KNOWN)
		return fault_set(&c->fault, types & ~(unsigned)(PARTS_KNOWN | PARTS_OTHERS) ? FAULT_INVALID_ARG :
				 FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "unsupported guest information types '0x%x'",
				 types & ~(unsigned)PARTS_KNOWN);
	a = calloc(1, sizeof(*a));
	if (!a)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_HYPERVISOR, "no memory for the question");
	*a = (struct asked){ .call = c, .hole = xdr_hole(&c->out) };
	if (next_part(a, c->object))
		return CALL_LATER;
	free(a);
	return CALL_FAILED;
}

/* ---- the rest ---- */

static int set_timeout(struct call *c)
{
	struct domain *d = c->object;

	if (call_i(c, 1) < -2)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
				 "guest agent timeout '%d' is less than the minimum '-2'",
				 call_i(c, 1));
	d->agent_timeout = call_i(c, 1);
	xdr_i32(&c->out, 0);
	return CALL_DONE;
}

static int pm_suspend(struct call *c)
{
	static const char *const command[] = { "guest-suspend-ram", "guest-suspend-disk", "guest-suspend-hybrid" };
	uint32_t to = call_u(c, 1);

	if (call_H(c, 2))
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "Duration not supported. Use 0 for now");
	if (to >= COUNT_OF(command))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "Unknown suspend target: %u", to);
	/* Who sleeps does not answer. */
	return remote_agent(c, c->object, command[to], NULL, true, NULL);
}

static int no_agent(struct call *c)
{
	return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
			 domain_agent_channel(c->object) ? "this is not asked of guest agents" :
						   "QEMU guest agent is not configured");
}

const struct handler remote_guest[] = {
	{"DOMAIN_AGENT_COMMAND", agent_command, remote_find_idle},
	{"DOMAIN_GET_HOSTNAME", get_hostname, remote_find_idle, HOSTNAME_LEASE | HOSTNAME_AGENT},
	{"DOMAIN_PM_SUSPEND_FOR_DURATION", pm_suspend, remote_find_idle},
	{"DOMAIN_FSTRIM", trim, remote_find_idle},
	{"DOMAIN_FSFREEZE", freeze, remote_find_idle},
	{"DOMAIN_FSTHAW", thaw, remote_find_idle},
	{"DOMAIN_GET_TIME", get_time, remote_find_idle},
	{"DOMAIN_SET_TIME", set_time, remote_find_idle, TIME_SYNC},
	{"DOMAIN_GET_FSINFO", get_fsinfo, remote_find_idle},
	{"DOMAIN_SET_USER_PASSWORD", set_password, remote_find_idle, PASSWORD_ENCRYPTED},
	{"DOMAIN_GET_GUEST_VCPUS", get_guest_vcpus, remote_find_idle},
	{"DOMAIN_SET_GUEST_VCPUS", set_guest_vcpus, remote_find_idle},
	{"DOMAIN_GET_GUEST_INFO", get_info, remote_find_idle},
	{"DOMAIN_AUTHORIZED_SSH_KEYS_GET", no_agent, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_AUTHORIZED_SSH_KEYS_SET", no_agent, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_AGENT_SET_RESPONSE_TIMEOUT", set_timeout, remote_find_domain},
};
const unsigned remote_guest_count = COUNT_OF(remote_guest);
