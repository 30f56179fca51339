/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of commands, and the way from a message to its answer. */
#include "control/control_priv.h"

#include <errno.h>
#include <string.h>

const struct command commands[] = {
	{ "qmp_capabilities", cmd_qmp_capabilities, true },
	{ "query-version", cmd_query_version },
	{ "query-commands", cmd_query_commands },
	{ "query-status", cmd_query_status },
	{ "stop", cmd_stop },
	{ "cont", cmd_cont },
	{ "quit", cmd_quit },
	{ "system_powerdown", cmd_system_powerdown },
	{ "system_reset", cmd_system_reset },
	{ "system_wakeup", cmd_system_wakeup },
	{ "inject-nmi", cmd_inject_nmi },
	{ "query-vm-generation-id", cmd_query_vm_generation_id },
	{ "set-vm-generation-id", cmd_set_vm_generation_id },
	{ "query-cpus-fast", cmd_query_cpus_fast },
	{ "query-stats", cmd_query_stats },
	{ "query-blockstats", cmd_query_blockstats },
	{ "block_resize", cmd_block_resize },
	{ "block-set-write-threshold", cmd_block_set_write_threshold },
	{ "blockdev-change-medium", cmd_blockdev_change_medium },
	{ "eject", cmd_eject },
	{ "set_link", cmd_set_link },
	{ "device_add", cmd_device_add },
	{ "device_del", cmd_device_del },
	{ "query-slots", cmd_query_slots },
	{ "query-devices", cmd_query_devices },
	{ "query-tag", cmd_query_tag },
	{ "query-channels", cmd_query_channels },
	{ "query-nics", cmd_query_nics },
	{"balloon", cmd_balloon},
	{"query-balloon", cmd_query_balloon},
	{"balloon-stats", cmd_balloon_stats},
	{ "send-key", cmd_send_key },
	{ "input-send-event", cmd_input_send_event },
	{ "screendump", cmd_screendump },
	{ "add-fd", cmd_add_fd },
	{ "remove-fd", cmd_remove_fd },
};
const unsigned command_count = COUNT_OF(commands);

static const struct command *find(const char *name)
{
	for (unsigned n = 0; n < command_count; n++)
		if (!strcmp(commands[n].name, name))
			return &commands[n];
	return NULL;
}

/* A text that was cut within a character is no UTF-8: then the class has to do. */
static json_t *error_answer(const char *class, const char *text)
{
	json_t *answer = json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text);

	return answer ? answer : json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", class);
}

/* Only the keys that QMP knows. */
static bool known_keys(json_t *msg)
{
	const char *key;
	json_t *value;

	json_object_foreach(msg, key, value)
		if (strcmp(key, "execute") && strcmp(key, "arguments") && strcmp(key, "id"))
			return false;
	return true;
}

/* Before anything is done: false when the tag could not be kept. */
static bool tag_possible(const struct command_call *call, struct err *e)
{
	json_t *tag = json_object_get(call->arguments, "tag");

	if (!tag || (json_is_string(tag) && json_string_length(tag) < CONTROL_TAG_MAX))
		return true;
	err_set(e, -EINVAL, "a \"tag\" is a text of at most %d bytes", CONTROL_TAG_MAX - 1);
	return false;
}

static void keep_tag(const struct command_call *call)
{
	const char *tag = json_string_value(json_object_get(call->arguments, "tag"));
	char *last = control_tag(call->control);

	if (tag && last)
		strcpy(last, tag);
}

static json_t *run(struct command_call *call, json_t *msg)
{
	const char *name = json_string_value(json_object_get(msg, "execute"));
	const struct command *cmd;
	struct err e = { 0 };
	json_t *result;

	call->arguments = json_object_get(msg, "arguments");
	if (!name || !known_keys(msg) || (call->arguments && !json_is_object(call->arguments)))
		return error_answer(
			"GenericError",
			"a message is an object with \"execute\", and may have \"arguments\" (an object) and \"id\"");
	cmd = find(name);
	if (!cmd || (!*call->negotiated && !cmd->before_negotiation)) {
		err_set(&e, -ENOENT, cmd ? "say qmp_capabilities first" : "The command %s has not been found", name);
		return error_answer("CommandNotFound", e.text);
	}
	result = tag_possible(call, &e) ? cmd->run(call, &e) : NULL;
	if (result)
		keep_tag(call);
	else
		return error_answer(call->error_class ? call->error_class : "GenericError", e.text);
	return json_pack("{s:o}", "return", result);
}

json_t *command_answer(struct command_call *call, const char *text, size_t len)
{
	json_error_t je;
	json_t *msg = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je), *answer, *id;

	if (!json_is_object(msg)) {
		json_decref(msg);
		return error_answer("GenericError", "this is not a JSON object");
	}
	answer = run(call, msg);
	id = json_object_get(msg, "id");
	if (answer && id)
		json_object_set(answer, "id", id);
	json_decref(msg);
	return answer;
}
