/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection itself: who the client is, what this is, what it can do. */
#include "daemon/remote/remote.h"

#include <string.h>
#include <unistd.h>

/* A user's own connection comes with the client library's own flag beside: start the daemon when there is none. */
enum { OPEN_READ_ONLY = 1, OPEN_NO_ALIASES = 2, OPEN_AUTOSTART = 4, FEATURE_DESCRIPTORS = 8 };

/* Schemes under which we are asked for. */
static bool known_name(const struct daemon *d, const char *name)
{
	const char *path = name ? strstr(name, "://") : NULL;

	if (!name || !*name)
		return true;
	if (!path || (strncmp(name, "qemu", 4) && strncmp(name, "panal", 5) && strncmp(name, "test", 4)))
		return false;
	path = strchr(path + 3, '/');
	return path && (!strcmp(path, "/system") || !strcmp(path, "/session") || !strcmp(path, "/default"));
}

static int connect_open(struct call *c)
{
	const char *name = call_s(c, 0);

	if (!known_name(c->opaque, name))
		return fault_set(&c->fault, FAULT_NO_CONNECT, FROM_NONE,
				 "%s: qemu:///system and panal:///system are served", name);
	client_set_open(c->client, true, call_u(c, 1) & OPEN_READ_ONLY);
	return CALL_DONE;
}

static int connect_close(struct call *c)
{
	client_set_open(c->client, false, false);
	return CALL_DONE;
}

static int get_type(struct call *c)
{
	xdr_string(&c->out, "QEMU");
	return CALL_DONE;
}

static int get_version(struct call *c)
{
	xdr_u64(&c->out, REMOTE_HYPERVISOR_VERSION);
	return CALL_DONE;
}

static int get_lib_version(struct call *c)
{
	xdr_u64(&c->out, REMOTE_LIBRARY_VERSION);
	return CALL_DONE;
}

static int get_max_vcpus(struct call *c)
{
	const char *type = call_s(c, 0);

	if (type && strcmp(type, "kvm") && strcmp(type, "qemu"))
		return fault_set(&c->fault, FAULT_INVALID_ARG, FROM_DOMAIN, "unknown type '%s'", type);
	xdr_i32(&c->out, REMOTE_VCPUS_MAX);
	return CALL_DONE;
}

static int get_hostname(struct call *c)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) < 0)
		return fault_set(&c->fault, FAULT_SYSTEM, FROM_NONE, "cannot read the host's name");
	xdr_string(&c->out, name);
	return CALL_DONE;
}

static int get_uri(struct call *c)
{
	const struct daemon *d = c->opaque;

	xdr_string(&c->out, d->session ? "qemu:///session" : "qemu:///system");
	return CALL_DONE;
}

static int is_secure(struct call *c)
{
	xdr_i32(&c->out, 1); /* a unix socket leaves no host, and the others encrypt */
	return CALL_DONE;
}

/* What the driver can, by libvirt's numbers; those not named it cannot. */
static const struct {
	int number;
	bool keepalive;
} features[] = {
	{8, false},  /* descriptors; of unix sockets only */
	{9, false},  /* strings in typed parameters */
	{10, true},  /* keepalive */
	{14, false}, /* events filtered here, by callback */
	{15, false}, /* close callback */
	{16, false}, /* network updates with their arguments in the right order */
};

static int supports_feature(struct call *c)
{
	int wanted = call_i(c, 0), found = 0;

	for (unsigned n = 0; n < COUNT_OF(features); n++) {
		if (features[n].number != wanted)
			continue;
		found = wanted != FEATURE_DESCRIPTORS || client_transport(c->client) == CLIENT_UNIX;
		if (features[n].keepalive)
			client_set_keepalive(c->client);
	}
	xdr_i32(&c->out, found);
	return CALL_DONE;
}

static int register_close(struct call *c)
{
	client_set_close_callback(c->client, true);
	return CALL_DONE;
}

static int unregister_close(struct call *c)
{
	client_set_close_callback(c->client, false);
	return CALL_DONE;
}

const struct handler remote_connect[] = {
	{"CONNECT_OPEN", connect_open, NULL, OPEN_READ_ONLY | OPEN_NO_ALIASES | OPEN_AUTOSTART},
	{"CONNECT_CLOSE", connect_close},
	{"CONNECT_GET_TYPE", get_type},
	{"CONNECT_GET_VERSION", get_version},
	{"CONNECT_GET_LIB_VERSION", get_lib_version},
	{"CONNECT_GET_MAX_VCPUS", get_max_vcpus},
	{"CONNECT_GET_HOSTNAME", get_hostname},
	{"CONNECT_GET_URI", get_uri},
	{"CONNECT_IS_SECURE", is_secure},
	{"CONNECT_SUPPORTS_FEATURE", supports_feature},
	{"CONNECT_REGISTER_CLOSE_CALLBACK", register_close},
	{"CONNECT_UNREGISTER_CLOSE_CALLBACK", unregister_close},
};
const unsigned remote_connect_count = COUNT_OF(remote_connect);
