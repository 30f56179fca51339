/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a call fails with: libvirt's error number, the part of the system that it comes from, and a text. Clients
 * branch on the number, scripts on the beginning of the text. */
#ifndef PANAL_DAEMON_RPC_FAULT_H
#define PANAL_DAEMON_RPC_FAULT_H

#include "base/err.h"

enum fault_code {
	FAULT_INTERNAL = 1,
	FAULT_NO_MEMORY = 2,
	FAULT_NO_SUPPORT = 3,
	FAULT_NO_CONNECT = 5,
	FAULT_INVALID_CONN = 6,
	FAULT_INVALID_ARG = 8,
	FAULT_OPERATION_FAILED = 9,
	FAULT_XML = 27,
	FAULT_DOM_EXIST = 28,
	FAULT_DENIED = 29,
	FAULT_SYSTEM = 38,
	FAULT_RPC = 39,
	FAULT_NO_DOMAIN = 42,
	FAULT_NO_NETWORK = 43,
	FAULT_AUTH_FAILED = 45,
	FAULT_NO_POOL = 49,
	FAULT_NO_VOLUME = 50,
	FAULT_NO_NODE_DEVICE = 53,
	FAULT_NO_INTERFACE = 57,
	FAULT_OPERATION_INVALID = 55,
	FAULT_INVALID_SECRET = 65,
	FAULT_NO_SECRET = 66,
	FAULT_CONFIG_UNSUPPORTED = 67,
	FAULT_TIMEOUT = 68,
	FAULT_NO_SNAPSHOT = 72,
	FAULT_ARGUMENT_UNSUPPORTED = 74,
	FAULT_ABORTED = 78,
	FAULT_NO_METADATA = 80,
	FAULT_OVERFLOW = 82,
	FAULT_OPERATION_UNSUPPORTED = 84,
	FAULT_AGENT = 86,
	FAULT_BUSY = 87,
	FAULT_ACCESS_DENIED = 88,
	FAULT_VOLUME_EXISTS = 90,
	FAULT_NO_DEVICE = 99,
	FAULT_NO_CHECKPOINT = 103,
	FAULT_NO_BACKUP = 104,
	FAULT_NO_NETWORK_PORT = 107,
	FAULT_NO_NETWORK_METADATA = 111,
};

enum fault_domain {
	FROM_NONE = 0,
	FROM_RPC = 7,
	FROM_HYPERVISOR = 10, /* libvirt's number for its QEMU driver */
	FROM_STORAGE = 18,
	FROM_NETWORK = 19,
	FROM_DOMAIN = 20,
	FROM_NODE_DEVICE = 22,
	FROM_INTERFACE = 26,
	FROM_SECRET = 30,
	FROM_CPU = 31,
	FROM_SNAPSHOT = 35,
	FROM_STREAMS = 38,
	FROM_AUTH = 46,
	FROM_ACCESS = 55,
	FROM_CHECKPOINT = 69,
};

struct fault {
	int code; /* enum fault_code */
	int domain;
	char text[ERR_TEXT_MAX + 64];
};

/* Fills the fault; the text gets the beginning that goes with the code. Returns -1, so that `return fault_set(...)`
 * reads well. */
int fault_set(struct fault *f, int code, int domain, const char *fmt, ...) ATTR_PRINTF(4, 5);
/* From an errno-style error: -ENOMEM, -EACCES and so on find their code; others are the given one. */
int fault_from_err(struct fault *f, int code, int domain, const struct err *e);

#endif
