/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include <errno.h>
#include <stdio.h>

json_t *command_version(void)
{
	int major = 0, minor = 0, micro = 0;

	sscanf(PANAL_VERSION, "%d.%d.%d", &major, &minor, &micro);
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", major, "minor", minor, "micro", micro, "package",
			 "panal");
}

json_t *command_greeting(void)
{
	return json_pack("{s:{s:o, s:[]}}", "QMP", "version", command_version(), "capabilities");
}

json_t *cmd_qmp_capabilities(struct command_call *call, struct err *e)
{
	json_t *enable = json_object_get(call->arguments, "enable");

	if (*call->negotiated) {
		call->error_class = "CommandNotFound";
		err_set(e, -EALREADY, "Capabilities negotiation is already complete, command ignored");
		return NULL;
	}
	if (json_array_size(enable)) {
		err_set(e, -EINVAL, "there is no capability to enable here");
		return NULL;
	}
	*call->negotiated = true;
	return json_object();
}

json_t *cmd_query_version(struct command_call *call, struct err *e)
{
	return command_version();
}

json_t *cmd_query_tag(struct command_call *call, struct err *e)
{
	return json_pack("{s:s}", "tag", call->control ? control_tag(call->control) : "");
}

json_t *cmd_query_commands(struct command_call *call, struct err *e)
{
	json_t *list = json_array();

	for (unsigned n = 0; n < command_count; n++)
		json_array_append_new(list, json_pack("{s:s}", "name", commands[n].name));
	return list;
}
