/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Procedures to polkit's actions. What is not named changes an object: "write". */
#include "daemon/access/access.h"

#include <stdio.h>
#include <string.h>

/* The first that begins a procedure's name counts. */
static const struct {
	const char *begin, *permission;
} rows[] = {
	{"DOMAIN_CREATE_XML", "write"},
	{"DOMAIN_CREATE", "start"},
	{"DOMAIN_DESTROY", "stop"},
	{"DOMAIN_SHUTDOWN", "init-control"},
	{"DOMAIN_REBOOT", "init-control"},
	{"DOMAIN_RESET", "reset"},
	{"DOMAIN_SUSPEND", "suspend"},
	{"DOMAIN_RESUME", "suspend"},
	{"DOMAIN_UNDEFINE", "delete"},
	{"DOMAIN_OPEN_CONSOLE", "open-device"},
	{"DOMAIN_OPEN_CHANNEL", "open-device"},
	{"DOMAIN_OPEN_GRAPHICS", "open-graphics"},
	{"DOMAIN_SCREENSHOT", "screenshot"},
	{"DOMAIN_SEND_KEY", "send-input"},
	{"DOMAIN_SEND_PROCESS_SIGNAL", "send-signal"},
	{"DOMAIN_INJECT_NMI", "inject-nmi"},
	{"DOMAIN_CORE_DUMP", "core-dump"},
	{"DOMAIN_SAVE", "hibernate"},
	{"DOMAIN_MANAGED_SAVE", "hibernate"},
	{"DOMAIN_MIGRATE", "migrate"},
	{"DOMAIN_PM_", "pm-control"},
	{"DOMAIN_SNAPSHOT", "snapshot"},
	{"DOMAIN_REVERT_TO_SNAPSHOT", "snapshot"},
	{"DOMAIN_CHECKPOINT", "checkpoint"},
	{"DOMAIN_BACKUP", "checkpoint"},
	{"DOMAIN_BLOCK_PEEK", "block-read"},
	{"DOMAIN_BLOCK_", "block-write"},
	{"DOMAIN_MEMORY_PEEK", "mem-read"},
	{"DOMAIN_FSTRIM", "fs-trim"},
	{"DOMAIN_FSFREEZE", "fs-freeze"},
	{"DOMAIN_FSTHAW", "fs-freeze"},
	{"DOMAIN_SET_TIME", "set-time"},
	{"DOMAIN_SET_USER_PASSWORD", "set-password"},
	{"NETWORK_CREATE", "start"},
	{"NETWORK_DESTROY", "stop"},
	{"NETWORK_UNDEFINE", "delete"},
	{"STORAGE_POOL_CREATE", "start"},
	{"STORAGE_POOL_DESTROY", "stop"},
	{"STORAGE_POOL_UNDEFINE", "delete"},
	{"STORAGE_POOL_BUILD", "format"},
	{"STORAGE_POOL_DELETE", "format"},
	{"STORAGE_POOL_REFRESH", "refresh"},
	{"STORAGE_VOL_CREATE", "write"}, /* in a pool */
	{"STORAGE_VOL_DELETE", "delete"},
	{"STORAGE_VOL_WIPE", "format"},
	{"STORAGE_VOL_RESIZE", "resize"},
	{"STORAGE_VOL_UPLOAD", "data-write"},
	{"STORAGE_VOL_DOWNLOAD", "data-read"},
	{"SECRET_GET_VALUE", "read-secure"},
	{"SECRET_UNDEFINE", "delete"},
	{"NODE_DEVICE_DESTROY", "stop"},
};

/* The object is the one that the first argument refers to; without one the connection is. */
static const char *object_of(const struct proc *p)
{
	static const char *const names[] = {['D'] = "domain", ['N'] = "network", ['P'] = "storage-pool",
		['V'] = "storage-vol", ['S'] = "secret", ['X'] = "domain", ['C'] = "domain", ['E'] = "node-device",
		['I'] = "interface", ['W'] = "nwfilter", ['B'] = "nwfilter-binding", ['O'] = "network-port"};
	unsigned char letter = (unsigned char)p->args[0];

	bool alone = letter && strchr(" :", p->args[1]); /* or at the end, which strchr finds too */

	return alone && letter < COUNT_OF(names) && names[letter] ? names[letter] : "connect";
}

void access_action(const struct proc *p, char *out, size_t size)
{
	const char *object = object_of(p), *permission = "write";

	for (unsigned n = 0; strcmp(object, "connect") && n < COUNT_OF(rows); n++) {
		if (strncmp(p->name, rows[n].begin, strlen(rows[n].begin)))
			continue;
		permission = rows[n].permission;
		break;
	}
	snprintf(out, size, "org.libvirt.api.%s.%s", object, permission);
}
