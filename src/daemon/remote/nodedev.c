/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's devices, to look at. */
#include "daemon/nodedev.h"
#include "daemon/remote/remote_priv.h"

#include <string.h>

enum { DEVICES_MAX = 65536 };
enum { LIST_KINDS = 0x3fffff, LIST_INACTIVE = 1 << 30 };
#define LIST_ACTIVE (UINT32_C(1) << 31)

struct listing {
	struct xdr_out *out;
	unsigned kinds, count, max;
	bool put;
};

static bool list_one(void *opaque, const struct nodedev *d)
{
	struct listing *l = opaque;

	if (!(d->kind & l->kinds))
		return false;
	if (l->count == l->max)
		return true;
	l->count++;
	if (l->put)
		xdr_string(l->out, d->name);
	return false;
}

/* All devices are there and none is only defined. */
static int list_all(struct call *c)
{
	unsigned flags = call_u(c, 1);
	struct listing l = { .out = &c->out, .kinds = flags & LIST_KINDS, .max = DEVICES_MAX, .put = call_i(c, 0) };
	size_t hole;

	if (!l.kinds)
		l.kinds = LIST_KINDS;
	hole = xdr_hole(&c->out);
	if (!(flags & LIST_INACTIVE) || (flags & LIST_ACTIVE))
		nodedevs_each(list_one, &l);
	xdr_fill(&c->out, hole, l.put ? l.count : 0);
	xdr_u32(&c->out, l.count);
	return CALL_DONE;
}

/* The bit of a kind's name; no name: all of them; 0: none that is here. */
static unsigned kinds_of(const char *name)
{
	static const unsigned all[] = {NODEDEV_SYSTEM, NODEDEV_PCI, NODEDEV_NET, NODEDEV_STORAGE};

	for (unsigned n = 0; name && n < COUNT_OF(all); n++)
		if (!strcmp(name, nodedev_kind_name(all[n])))
			return all[n];
	return name ? 0 : LIST_KINDS;
}

static int num_of(struct call *c)
{
	struct listing l = { .kinds = kinds_of(call_s(c, 0)), .max = DEVICES_MAX };

	nodedevs_each(list_one, &l);
	xdr_i32(&c->out, (int)l.count);
	return CALL_DONE;
}

static int list_names(struct call *c)
{
	struct listing l = { .out = &c->out, .kinds = kinds_of(call_s(c, 0)), .put = true };
	size_t hole;

	if (call_i(c, 1) < 0 || call_i(c, 1) > DEVICES_MAX)
		return fault_set(&c->fault, FAULT_RPC, FROM_RPC, "too many devices asked for: %d", call_i(c, 1));
	l.max = (unsigned)call_i(c, 1);
	hole = xdr_hole(&c->out);
	nodedevs_each(list_one, &l);
	xdr_fill(&c->out, hole, l.count);
	return CALL_DONE;
}

static int find(struct call *c, struct nodedev *d)
{
	if (nodedev_find(d, call_s(c, 0)))
		return 0;
	return fault_set(&c->fault, FAULT_NO_NODE_DEVICE, FROM_NODE_DEVICE,
			 "no node device with matching name '%.100s'", call_s(c, 0));
}

static int lookup(struct call *c)
{
	struct nodedev d;

	if (find(c, &d) < 0)
		return CALL_FAILED;
	xdr_string(&c->out, d.name);
	return CALL_DONE;
}

enum { XML_INACTIVE = 1 }; /* the same: no device is defined otherwise than it is */

static int get_xml(struct call *c)
{
	struct nodedev d;

	return find(c, &d) < 0 ? CALL_FAILED : remote_put_text(c, FROM_NODE_DEVICE, nodedev_text(&d));
}

static int get_parent(struct call *c)
{
	struct nodedev d;

	if (find(c, &d) < 0)
		return CALL_FAILED;
	xdr_optional_string(&c->out, *d.parent ? d.parent : NULL);
	return CALL_DONE;
}

static int num_of_caps(struct call *c)
{
	struct nodedev d;

	if (find(c, &d) < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, 1);
	return CALL_DONE;
}

static int list_caps(struct call *c)
{
	struct nodedev d;

	if (find(c, &d) < 0)
		return CALL_FAILED;
	xdr_u32(&c->out, call_i(c, 1) > 0);
	if (call_i(c, 1) > 0)
		xdr_string(&c->out, nodedev_kind_name(d.kind));
	return CALL_DONE;
}

static int answer(struct call *c, int value)
{
	struct nodedev d;

	if (find(c, &d) < 0)
		return CALL_FAILED;
	xdr_i32(&c->out, value);
	return CALL_DONE;
}

/* Autostart is about devices that are made by a definition; hardware has none. */
static int no(struct call *c)
{
	return answer(c, 0);
}

static int yes(struct call *c)
{
	return answer(c, 1);
}

const struct handler remote_nodedev[] = {
	{"CONNECT_LIST_ALL_NODE_DEVICES", list_all, NULL, LIST_KINDS | LIST_INACTIVE | LIST_ACTIVE},
	{"NODE_NUM_OF_DEVICES", num_of},
	{"NODE_LIST_DEVICES", list_names},
	{"NODE_DEVICE_LOOKUP_BY_NAME", lookup},
	{"NODE_DEVICE_GET_XML_DESC", get_xml, NULL, XML_INACTIVE},
	{"NODE_DEVICE_GET_PARENT", get_parent},
	{"NODE_DEVICE_NUM_OF_CAPS", num_of_caps},
	{"NODE_DEVICE_LIST_CAPS", list_caps},
	{"NODE_DEVICE_GET_AUTOSTART", no},
	{"NODE_DEVICE_IS_PERSISTENT", no},
	{"NODE_DEVICE_IS_ACTIVE", yes},
};
const unsigned remote_nodedev_count = COUNT_OF(remote_nodedev);
