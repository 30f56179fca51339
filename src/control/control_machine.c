/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/control_priv.h"

#include "core/vcpu.h"

#include <errno.h>

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
