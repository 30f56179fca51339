/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a hand would do at the machine: keys, and what happens when it switches off. What it has no part for is refused
 * by name. */
#include "daemon/remote/remote_priv.h"

#include <string.h>

/* ---- keys ---- */

enum { CODESET_LINUX = 0, CODESET_XT = 1, CODESET_QNUM = 9, KEYS_MAX = 16, HOLD_DEFAULT_MS = 100 };

/* Linux' numbers of keys up to 88 are those of the first PC's keyboard; of the others these are on a keyboard of 104
 * keys. The machine's are QEMU's: the scan code, with bit 7 for those behind E0. */
static const struct {
	uint8_t linux_code, number;
} extended[] = {
	{96, 0x9c}, {97, 0x9d}, {98, 0xb5}, {99, 0x54}, {100, 0xb8}, {102, 0xc7}, {103, 0xc8}, {104, 0xc9}, {105, 0xcb},
	{106, 0xcd}, {107, 0xcf}, {108, 0xd0}, {109, 0xd1}, {110, 0xd2}, {111, 0xd3}, {113, 0xa0}, {114, 0xae},
	{115, 0xb0}, {116, 0xde}, {119, 0xc6}, {125, 0xdb}, {126, 0xdc}, {127, 0xdd}, {142, 0xdf},
};

enum { LINUX_PLAIN_MAX = 88 };

/* 0: there is no such key. */
static unsigned key_number(unsigned codeset, unsigned code)
{
	if (codeset != CODESET_LINUX)
		return code <= 0xff ? code : 0;
	if (code <= LINUX_PLAIN_MAX)
		return code;
	for (unsigned n = 0; n < COUNT_OF(extended); n++)
		if (extended[n].linux_code == code)
			return extended[n].number;
	return 0;
}

static json_t *key_list(struct call *c, unsigned codeset, const struct value *codes)
{
	json_t *list = json_array();

	for (uint32_t n = 0; n < codes->count; n++) {
		unsigned number = key_number(codeset, codes->items[n].u);

		if (!number) {
			fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR, "cannot send the key code %u",
				  codes->items[n].u);
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, json_pack("{s:s, s:i}", "type", "number", "data", (int)number));
	}
	return list;
}

static int send_key(struct call *c)
{
	unsigned codeset = call_u(c, 1), hold = call_u(c, 2);
	const struct value *codes = call_arg(c, 3);
	struct domain *d = c->object;
	json_t *keys;

	if (codeset != CODESET_LINUX && codeset != CODESET_XT && codeset != CODESET_QNUM)
		return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR,
				 "key codes of the set %u are not known; those of linux, xt and qnum are", codeset);
	if (codes->count < 1 || codes->count > KEYS_MAX || hold > INT32_MAX)
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "%u keys at once are not possible",
				 codes->count);
	keys = key_list(c, codeset, codes);
	if (!keys)
		return CALL_FAILED;
	return remote_started(domain_command(d, "send-key", json_pack("{s:o, s:i}", "keys", keys, "hold-time",
			      (int)(hold ? hold : HOLD_DEFAULT_MS)), remote_done, c, &c->fault));
}

/* ---- what happens at the end ---- */

enum { ON_POWEROFF, ON_REBOOT, ON_CRASH };

static int set_lifecycle_action(struct call *c)
{
	static const int actions[] = {DOM_ACTION_DESTROY, DOM_ACTION_RESTART, DOM_ACTION_RENAME_RESTART,
		DOM_ACTION_PRESERVE, DOM_ACTION_COREDUMP_DESTROY, DOM_ACTION_COREDUMP_RESTART};
	unsigned type = call_u(c, 1), action = call_u(c, 2), flags = call_u(c, 3);
	struct domdef *def;
	struct domain *d = c->object;

	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (type > ON_CRASH || action >= COUNT_OF(actions))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "action %u at event %u is not possible",
				 action, type);
	if ((flags & AFFECT_LIVE) && (type != ON_POWEROFF || action > 1))
		return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
				 "of a running machine only on_poweroff can be changed, to destroy or restart");
	if (flags & AFFECT_LIVE)
		d->def->on_poweroff = actions[action];
	if (!(flags & AFFECT_CONFIG))
		return CALL_DONE;
	def = domain_config(d);
	*(type == ON_POWEROFF ? &def->on_poweroff :
	  type == ON_REBOOT   ? &def->on_reboot : &def->on_crash) = actions[action];
	return domain_save(d, &c->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

/* ---- what is not there ---- */

static int inject_nmi(struct call *c)
{
	return remote_started(domain_command(c->object, "inject-nmi", NULL, remote_done, c, &c->fault));
}

static int pm_wakeup(struct call *c)
{
	struct domain *d = c->object;

	if (!domain_active(d))
		return remote_not_running(c);
	if (d->state != DOMAIN_PMSUSPENDED)
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not in a sleep state");
	return remote_started(domain_command(d, "system_wakeup", NULL, remote_done, c, &c->fault));
}

static int open_graphics(struct call *c)
{
	return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_HYPERVISOR,
			 "no graphics backend with the index: the machine has none");
}

static int set_vcpu(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "vCPUs of a running machine cannot be plugged; setvcpus --config changes the next start");
}

/* The machine's state cannot be written out: it has no form outside the process yet. */
static int no_saving(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "the state of a running machine cannot be saved; shut it down, or suspend it");
}

static int no_saved_file(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "saved machines cannot be read; this daemon writes none");
}

static int no_managed_save(struct call *c)
{
	return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR,
			 "domain does not have managed save image");
}

/* To remove what is not there is done. */
static int remove_managed_save(struct call *c)
{
	return CALL_DONE;
}

const struct handler remote_domain_input[] = {
	{"DOMAIN_SEND_KEY", send_key, remote_find_idle},
	{"DOMAIN_SET_LIFECYCLE_ACTION", set_lifecycle_action, remote_find_idle, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_INJECT_NMI", inject_nmi, remote_find_idle},
	{"DOMAIN_PM_WAKEUP", pm_wakeup, remote_find_idle},
	{"DOMAIN_OPEN_GRAPHICS", open_graphics, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_OPEN_GRAPHICS_FD", open_graphics, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_SET_VCPU", set_vcpu, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_SAVE", no_saving, remote_find_running},
	{"DOMAIN_SAVE_FLAGS", no_saving, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_SAVE_PARAMS", no_saving, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_MANAGED_SAVE", no_saving, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_CORE_DUMP", no_saving, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_CORE_DUMP_WITH_FORMAT", no_saving, remote_find_running, HANDLER_ANY_FLAGS},
	{"DOMAIN_RESTORE", no_saved_file},
	{"DOMAIN_RESTORE_FLAGS", no_saved_file, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_RESTORE_PARAMS", no_saved_file, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SAVE_IMAGE_GET_XML_DESC", no_saved_file, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_SAVE_IMAGE_DEFINE_XML", no_saved_file, NULL, HANDLER_ANY_FLAGS},
	{"DOMAIN_MANAGED_SAVE_GET_XML_DESC", no_managed_save, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_MANAGED_SAVE_DEFINE_XML", no_managed_save, remote_find_domain, HANDLER_ANY_FLAGS},
	{"DOMAIN_MANAGED_SAVE_REMOVE", remove_managed_save, remote_find_domain},
};
const unsigned remote_domain_input_count = COUNT_OF(remote_domain_input);
