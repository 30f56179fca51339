/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that come and go. */
#include "control/control_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int file(void *opaque, const char *name, struct err *e)
{
	return control_fds_named(opaque, name, e);
}

static bool is_text(json_t *v, const char **out)
{
	*out = json_string_value(v);
	return !v || *out;
}

/* "portN", N from 1 on. */
static bool is_port(const char *bus, unsigned *port)
{
	char rest;

	return sscanf(bus, "port%3u%c", port, &rest) == 1 && *port;
}

/*
 * driver: disk, net, usb, rng, balloon; options: the text of panal-vmm's option of that name, where a file that is
 * handed over with add-fd is /dev/fdset/N; id: its name; bus: portN, a root port. The answer has the name.
 */
json_t *cmd_device_add(struct command_call *call, struct err *e)
{
	struct control_plug want = { .file = file, .opaque = call->fds };
	json_t *a = call->arguments;
	const char *bus = NULL;
	char id[CONTROL_ID_MAX];

	if (!is_text(json_object_get(a, "driver"), &want.driver) || !want.driver ||
	    !is_text(json_object_get(a, "options"), &want.options) || !is_text(json_object_get(a, "id"), &want.id) ||
	    !is_text(json_object_get(a, "bus"), &bus)) {
		err_set(e, -EINVAL, "device_add needs \"driver\", and may have the texts \"options\", \"id\", \"bus\"");
		return NULL;
	}
	if (bus && !is_port(bus, &want.port)) {
		err_set(e, -EINVAL, "Bus '%.40s' not found; root ports are port1 and so on", bus);
		return NULL;
	}
	if (!call->target->plug) {
		err_set(e, -ENOTSUP, "devices cannot come here");
		return NULL;
	}
	if (call->target->plug(call->target->opaque, &want, id, e) < 0)
		return NULL;
	return json_pack("{s:s}", "id", id);
}

/* id; force: whether the guest lets go or not. Else DEVICE_DELETED says when it has. */
json_t *cmd_device_del(struct command_call *call, struct err *e)
{
	const char *id = json_string_value(json_object_get(call->arguments, "id"));
	bool force = json_is_true(json_object_get(call->arguments, "force"));
	int ret;

	if (!id || !call->target->unplug) {
		err_set(e, -EINVAL, "device_del needs \"id\", a device's name");
		return NULL;
	}
	ret = call->target->unplug(call->target->opaque, id, force, e);
	if (ret == -ENODEV)
		call->error_class = "DeviceNotFound";
	return ret < 0 ? NULL : json_object();
}

/* One object a slot: whether something is in it, what, and whether the guest was asked to give it up. */
json_t *cmd_query_slots(struct command_call *call, struct err *e)
{
	json_t *list = json_array();
	struct control_slot s;
	char name[16];

	for (unsigned n = 0; call->target->slot && call->target->slot(call->target->opaque, n, &s); n++) {
		json_t *o;

		snprintf(name, sizeof(name), "port%u", s.port);
		o = json_pack("{s:s, s:b, s:b}", "bus", name, "filled", (int)s.filled, "unplugging", (int)s.asked);
		if (s.id)
			json_object_set_new(o, "device", json_string(s.id));
		json_array_append_new(list, o);
	}
	return list;
}

/* One object a device that can be unplugged. */
json_t *cmd_query_devices(struct command_call *call, struct err *e)
{
	json_t *list = json_array();
	struct control_device d;

	for (unsigned n = 0; call->target->device && call->target->device(call->target->opaque, n, &d); n++)
		json_array_append_new(list, json_pack("{s:s, s:b}", "device", d.id, "unplugging", (int)d.asked));
	return list;
}
