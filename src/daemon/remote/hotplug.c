/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices put into running machines and taken out: what the machine is told, and the files and networks that go with
 * it. */
#include "daemon/remote/remote_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plugging {
	struct call *call;
	struct domain *domain;
	const struct domdef *live;
	const struct domdef_kind *kind;
	struct domdev *dev;
	char file[32]; /* what the machine calls what is handed to it */
	int fd;        /* -1: nothing */
};

/* ---- what is handed over ---- */

static int open_disk(struct plugging *p, const struct domdef_disk *k, struct err *e)
{
	const char *path = remote_disk_path(p->call->opaque, k);

	if (!path)
		return err_set(e, -ENOTSUP,
			       "the source of disk '%s' is not possible; type 'file', 'block' and 'volume' are",
			       k->target);
	p->fd = fd_open(path, (k->readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY, 0, e);
	return p->fd < 0 ? p->fd : 0;
}

static int open_network(struct plugging *p, struct domdef_interface *i, struct err *e)
{
	struct daemon *daemon = p->call->opaque;

	if (i->type == DOM_NET_USER)
		p->fd = usernet_start(&daemon->usernets, daemon->loop, daemon->program_dir, i, e);
	else if (i->type == DOM_NET_NETWORK || i->type == DOM_NET_BRIDGE)
		p->fd = network_plug(daemon->networks, i, e);
	else
		return 0; /* which is refused with what is possible */
	return p->fd < 0 ? p->fd : 0;
}

static int open_files(struct plugging *p, struct err *e)
{
	if (!strcmp(p->kind->name, "disk"))
		return open_disk(p, (struct domdef_disk *)p->dev, e);
	if (!strcmp(p->kind->name, "interface"))
		return open_network(p, (struct domdef_interface *)p->dev, e);
	return 0;
}

/* ---- what the machine is told ---- */

static const char *tap_text(void *opaque, const struct domdef_interface *i)
{
	const struct plugging *p = opaque;

	return p->fd >= 0 ? p->file : NULL;
}

static const char *volume_path(void *opaque, const struct domdef_disk *k)
{
	return remote_disk_path(opaque, k);
}

/* "--disk=TEXT" as driver, options, name and bus. */
static json_t *arguments_of(const struct plugging *p, char *option, unsigned port)
{
	bool named = !strcmp(p->kind->name, "disk") || !strcmp(p->kind->name, "interface"); /* in the text */
	char *text = strchr(option, '='), id[DOMDEF_ID_MAX], bus[16];
	json_t *a;

	if (text)
		*text++ = 0;
	a = json_pack("{s:s}", "driver", option + 2);
	if (text)
		json_object_set_new(a, "options", json_string(text));
	if (!named && domdef_device_id(p->kind, p->dev, id))
		json_object_set_new(a, "id", json_string(id));
	snprintf(bus, sizeof(bus), "port%u", port);
	if (port)
		json_object_set_new(a, "bus", json_string(bus));
	return a;
}

/* With the arguments of device_add in *out. What cannot be is refused before anything is opened. */
static int prepare(struct plugging *p, json_t **out, struct err *e)
{
	bool disk = !strcmp(p->kind->name, "disk");
	struct domdef_place place = { .tap = tap_text, .volume = volume_path, .opaque = p };
	char *option = NULL;
	unsigned port;
	int ret = disk ? 0 : open_files(p, e);

	if (disk) { /* first as it is: what is not possible is said of its own path */
		place.opaque = p->call->opaque;
		ret = domdef_vmm_device(&option, &port, p->live, p->kind, p->dev, &place, e);
		free(option);
		option = NULL;
		if (ret == 0)
			ret = open_files(p, e);
		place.opaque = p;
	}
	place.file = place.helper = p->file;
	if (ret == 0)
		ret = domdef_vmm_device(&option, &port, p->live, p->kind, p->dev, &place, e);
	if (ret == 0)
		*out = arguments_of(p, option, port);
	free(option);
	return ret;
}

static int failed(struct call *c, int ret, const struct err *e)
{
	if (ret == -ESRCH)
		return fault_set(&c->fault, FAULT_NO_NETWORK, FROM_NETWORK, "%s", e->text);
	if (ret == -ENOTSUP)
		return fault_set(&c->fault, FAULT_CONFIG_UNSUPPORTED, FROM_HYPERVISOR, "%s", e->text);
	return fault_from_err(&c->fault, FAULT_INTERNAL, FROM_HYPERVISOR, e);
}

int remote_plug(struct call *c, struct domain *d, const struct domdef *live, const struct domdef_kind *k,
		struct domdev *dev, domain_done_fn done, void *opaque)
{
	struct plugging p = { .call = c, .domain = d, .live = live, .kind = k, .dev = dev, .fd = -1 };
	json_t *arguments = NULL;
	struct err e = { 0 };
	int ret;

	snprintf(p.file, sizeof(p.file), "/dev/fdset/%d", DOMAIN_HAND_SET);
	ret = prepare(&p, &arguments, &e);
	if (ret < 0) {
		fd_close(&p.fd);
		return failed(c, ret, &e);
	}
	return remote_started(domain_command_fds(d, "device_add", arguments, &p.fd, p.fd >= 0 ? 1 : 0, done, opaque,
						 &c->fault));
}

int remote_unplug(struct call *c, struct domain *d, const struct domdef_kind *k, const struct domdev *dev,
		  domain_done_fn done, void *opaque)
{
	char id[DOMDEF_ID_MAX];

	if (!domdef_device_id(k, dev, id))
		return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
				 "this device '%s' of a running machine cannot be detached", k->name);
	return remote_started(domain_command(d, "device_del", json_pack("{s:s}", "id", id), done, opaque, &c->fault));
}
