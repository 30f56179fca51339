/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only a program in the guest could do or tell. No channel leads to one, and that is the answer. */
#include "daemon/remote/remote_priv.h"

static int no_agent(struct call *c)
{
	struct domain *d = remote_domain(c, 0);

	if (!d)
		return CALL_FAILED;
	if (!domain_active(d))
		return fault_set(&c->fault, FAULT_OPERATION_INVALID, FROM_HYPERVISOR, "domain is not running");
	return fault_set(&c->fault, FAULT_ARGUMENT_UNSUPPORTED, FROM_HYPERVISOR, "QEMU guest agent is not configured");
}

const struct handler remote_guest[] = {
	{"DOMAIN_GET_HOSTNAME", no_agent},
	{"DOMAIN_PM_SUSPEND_FOR_DURATION", no_agent},
	{"DOMAIN_FSTRIM", no_agent},
	{"DOMAIN_FSFREEZE", no_agent},
	{"DOMAIN_FSTHAW", no_agent},
	{"DOMAIN_GET_TIME", no_agent},
	{"DOMAIN_SET_TIME", no_agent},
	{"DOMAIN_GET_FSINFO", no_agent},
	{"DOMAIN_SET_USER_PASSWORD", no_agent},
	{"DOMAIN_GET_GUEST_VCPUS", no_agent},
	{"DOMAIN_SET_GUEST_VCPUS", no_agent},
	{"DOMAIN_GET_GUEST_INFO", no_agent},
	{"DOMAIN_AUTHORIZED_SSH_KEYS_GET", no_agent},
	{"DOMAIN_AUTHORIZED_SSH_KEYS_SET", no_agent},
	{"DOMAIN_AGENT_SET_RESPONSE_TIMEOUT", no_agent},
};
const unsigned remote_guest_count = COUNT_OF(remote_guest);
