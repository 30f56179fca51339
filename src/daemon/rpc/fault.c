/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rpc/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* The beginnings that scripts look for. */
static const struct {
	int code;
	const char *begin;
} begins[] = {
	{FAULT_INTERNAL, "internal error"},
	{FAULT_NO_MEMORY, "out of memory"},
	{FAULT_NO_SUPPORT, "this function is not supported by the connection driver"},
	{FAULT_NO_CONNECT, "no connection driver available"},
	{FAULT_INVALID_CONN, "invalid connection pointer in"},
	{FAULT_INVALID_ARG, "invalid argument"},
	{FAULT_OPERATION_FAILED, "operation failed"},
	{FAULT_XML, "XML error"},
	{FAULT_DOM_EXIST, "domain is already active"},
	{FAULT_DENIED, "operation forbidden"},
	{FAULT_NO_DOMAIN, "Domain not found"},
	{FAULT_NO_NETWORK, "Network not found"},
	{FAULT_AUTH_FAILED, "authentication failed"},
	{FAULT_NO_POOL, "Storage pool not found"},
	{FAULT_NO_VOLUME, "Storage volume not found"},
	{FAULT_NO_NODE_DEVICE, "Node device not found"},
	{FAULT_OPERATION_INVALID, "Requested operation is not valid"},
	{FAULT_INVALID_SECRET, "Invalid secret"},
	{FAULT_NO_SECRET, "Secret not found"},
	{FAULT_CONFIG_UNSUPPORTED, "unsupported configuration"},
	{FAULT_TIMEOUT, "Timed out during operation"},
	{FAULT_NO_SNAPSHOT, "Domain snapshot not found"},
	{FAULT_ARGUMENT_UNSUPPORTED, "argument unsupported"},
	{FAULT_ABORTED, "operation aborted"},
	{FAULT_NO_METADATA, "metadata not found"},
	{FAULT_OPERATION_UNSUPPORTED, "Operation not supported"},
	{FAULT_AGENT, "Guest agent is not responding"},
	{FAULT_BUSY, "resource busy"},
	{FAULT_ACCESS_DENIED, "access denied"},
	{FAULT_VOLUME_EXISTS, "storage volume already exists"},
	{FAULT_NO_DEVICE, "device not found"},
	{FAULT_NO_INTERFACE, "Interface not found"},
	{FAULT_NO_NETWORK_PORT, "network port not found"},
	{FAULT_NO_NETWORK_METADATA, "metadata not found"},
};

static const char *begin_of(int code)
{
	for (unsigned n = 0; n < COUNT_OF(begins); n++)
		if (begins[n].code == code)
			return begins[n].begin;
	return NULL;
}

int fault_set(struct fault *f, int code, int domain, const char *fmt, ...)
{
	const char *begin = begin_of(code);
	va_list ap;
	int at = 0;

	f->code = code;
	f->domain = domain;
	if (begin)
		at = snprintf(f->text, sizeof(f->text), "%s: ", begin);
	va_start(ap, fmt);
	vsnprintf(f->text + at, sizeof(f->text) - (size_t)at, fmt, ap);
	va_end(ap);
	return -1;
}

int fault_from_err(struct fault *f, int code, int domain, const struct err *e)
{
	if (e->code == -ENOMEM)
		code = FAULT_NO_MEMORY;
	return fault_set(f, code, domain, "%s", e->text);
}
