/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "core/vcpu.h"

#include <errno.h>
#include <stdio.h>

static const char *const state_name[] = {
	[VM_CREATED] = "prelaunch",
	[VM_RUNNING] = "running",
	[VM_PAUSED] = "paused",
	[VM_ENDED] = "shutdown",
	[VM_SLEEPING] = "suspended",
};

static bool ended(struct command_call *call, struct err *e)
{
	if (atomic_load(&call->target->vm->run_state) != VM_ENDED)
		return false;
	err_set(e, -ESHUTDOWN, "the machine has ended");
	return true;
}

json_t *cmd_query_status(struct command_call *call, struct err *e)
{
	int state = atomic_load(&call->target->vm->run_state);

	return json_pack("{s:s, s:b, s:b}", "status", state_name[state], "running", state == VM_RUNNING, "singlestep",
			 0);
}

json_t *cmd_stop(struct command_call *call, struct err *e)
{
	if (ended(call, e))
		return NULL;
	vm_pause(call->target->vm);
	return json_object();
}

json_t *cmd_cont(struct command_call *call, struct err *e)
{
	if (ended(call, e))
		return NULL;
	vm_resume(call->target->vm);
	return json_object();
}

json_t *cmd_quit(struct command_call *call, struct err *e)
{
	call->target->quit(call->target->opaque);
	return json_object();
}

json_t *cmd_system_powerdown(struct command_call *call, struct err *e)
{
	if (ended(call, e))
		return NULL;
	call->target->power_button(call->target->opaque);
	if (call->control)
		control_event_named(call->control, "POWERDOWN");
	return json_object();
}

json_t *cmd_system_wakeup(struct command_call *call, struct err *e)
{
	return ended(call, e) || vm_wake(call->target->vm, e) < 0 ? NULL : json_object();
}

/* What watchdogs and the buttons of servers do: a kernel shows what it hangs in, or panics. */
json_t *cmd_inject_nmi(struct command_call *call, struct err *e)
{
	struct vm *vm = call->target->vm;

	if (ended(call, e))
		return NULL;
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		vcpu_send_nmi(vm->vcpu[n]);
	return json_object();
}

json_t *cmd_system_reset(struct command_call *call, struct err *e)
{
	if (ended(call, e))
		return NULL;
	return vm_reset(call->target->vm, VM_REQUEST_HOST_RESET, e) < 0 ? NULL : json_object();
}

static json_t *guid(const uint8_t id[16])
{
	char text[37], *at = text;

	for (unsigned n = 0; n < 16; n++)
		at += sprintf(at, n == 4 || n == 6 || n == 8 || n == 10 ? "-%02x" : "%02x", id[n]);
	return json_pack("{s:s}", "guid", text);
}

json_t *cmd_query_vm_generation_id(struct command_call *call, struct err *e)
{
	const struct control_target *t = call->target;
	uint8_t id[16];

	if (t->generation && t->generation(t->opaque, id))
		return guid(id);
	err_set(e, -ENODEV, "the machine has no generation ID (--vmgenid)");
	return NULL;
}

/* Ours: QEMU changes it when it restores a machine only. */
json_t *cmd_set_vm_generation_id(struct command_call *call, struct err *e)
{
	const struct control_target *t = call->target;
	const char *text = json_string_value(json_object_get(call->arguments, "guid"));
	uint8_t id[16];

	if (!text || !t->generation_set) {
		err_set(e, -EINVAL, "guid is missing: \"auto\" or a UUID");
		return NULL;
	}
	return t->generation_set(t->opaque, text, id, e) < 0 ? NULL : guid(id);
}
