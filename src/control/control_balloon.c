/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include <errno.h>

static json_t *no_balloon(struct command_call *call, struct err *e)
{
	call->error_class = "DeviceNotActive";
	err_set(e, -ENODEV, "No balloon device has been activated; start the machine with --balloon");
	return NULL;
}

/* value: the memory that the guest is to keep, in bytes. */
json_t *cmd_balloon(struct command_call *call, struct err *e)
{
	json_t *value = json_object_get(call->arguments, "value");

	if (!json_is_integer(value) || json_integer_value(value) <= 0) {
		err_set(e, -EINVAL, "balloon needs \"value\": the bytes of memory that the guest is to keep, above 0");
		return NULL;
	}
	if (!call->target->balloon_set(call->target->opaque, (uint64_t)json_integer_value(value)))
		return no_balloon(call, e);
	return json_object();
}

/* Names as QMP's clients know them. */
static json_t *stats(const struct control_balloon *b)
{
	static const char *const names[CONTROL_BALLOON_STATS] = {
		"stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory",
		"stat-total-memory", "stat-available-memory", "stat-disk-caches", "stat-htlb-pgalloc",
		"stat-htlb-pgfail",
	};
	json_t *o = json_object();

	for (unsigned n = 0; o && n < CONTROL_BALLOON_STATS; n++)
		if (b->stat[n] <= INT64_MAX &&
		    json_object_set_new(o, names[n], json_integer((json_int_t)b->stat[n])) < 0)
			break;
	return o;
}

/* The figures are those of the guest's last answer. */
json_t *cmd_query_balloon(struct command_call *call, struct err *e)
{
	struct control_balloon b;

	if (!call->target->balloon_get(call->target->opaque, &b))
		return no_balloon(call, e);
	return json_pack("{s:I, s:I, s:o}", "actual", (json_int_t)b.bytes, "last-update", (json_int_t)b.told_s, "stats",
			 stats(&b));
}

/* period: seconds; 0: the guest is asked only when somebody asks us. */
json_t *cmd_balloon_stats(struct command_call *call, struct err *e)
{
	enum { DAY = 86400 };
	json_t *period = json_object_get(call->arguments, "period");

	if (!json_is_integer(period) || json_integer_value(period) < 0 || json_integer_value(period) > DAY) {
		err_set(e, -EINVAL, "balloon-stats needs \"period\": seconds, 0 to %d", DAY);
		return NULL;
	}
	if (!call->target->balloon_period(call->target->opaque, (unsigned)json_integer_value(period)))
		return no_balloon(call, e);
	return json_object();
}
