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

json_t *cmd_query_balloon(struct command_call *call, struct err *e)
{
	uint64_t bytes;

	if (!call->target->balloon_get(call->target->opaque, &bytes))
		return no_balloon(call, e);
	return json_pack("{s:I}", "actual", (json_int_t)bytes);
}
