/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices put into definitions, taken out, changed. Of a running machine none can be plugged yet. */
#include "daemon/remote/remote_priv.h"

#include <errno.h>
#include <string.h>

enum { DEVICE_FORCE = 4 };

typedef int (*change_fn)(struct domdef *def, struct domdef_device *dev, struct err *e);

static int attach(struct domdef *def, struct domdef_device *dev, struct err *e)
{
	return domdef_device_attach(def, dev, e);
}

static int detach(struct domdef *def, struct domdef_device *dev, struct err *e)
{
	return domdef_device_detach(def, dev, e);
}

static int update(struct domdef *def, struct domdef_device *dev, struct err *e)
{
	return domdef_device_update(def, dev, false, e);
}

/* Which definition: the next start's; of a running machine it must be named, for the live one cannot be changed. */
static int find(struct call *c, unsigned flags, struct domain **out)
{
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	*out = NULL;
	if (!d)
		return ret;
	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (flags & AFFECT_LIVE)
		return fault_set(&c->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
				 "devices of a running machine cannot be changed; --config changes its next start");
	*out = d;
	return CALL_DONE;
}

/* On a copy, which takes the definition's place once it is on disk. */
static int apply(struct call *c, struct domain *d, change_fn change, struct domdef_device *dev)
{
	struct domdef **place = d->next ? &d->next : &d->def, *old = *place, *fresh = domdef_copy(old);
	struct err e = { 0 };
	int ret;

	if (!fresh)
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the definition");
	ret = change(fresh, dev, &e);
	if (ret < 0) {
		fault_set(&c->fault, ret == -ENODEV ? (int)FAULT_NO_DEVICE : domdef_fault(ret), FROM_DOMAIN, "%s",
			  e.text);
		domdef_free(fresh);
		return CALL_FAILED;
	}
	*place = fresh;
	if (domain_save(d, &c->fault) < 0) {
		*place = old;
		domdef_free(fresh);
		return CALL_FAILED;
	}
	domdef_free(old);
	return CALL_DONE;
}

static int change(struct call *c, unsigned flags, change_fn f)
{
	struct domdef_device dev = { 0 };
	struct err e = { 0 };
	struct domain *d;
	int ret = find(c, flags, &d);

	if (!d)
		return ret;
	ret = domdef_device_parse(&dev, call_s(c, 1), strlen(call_s(c, 1)), 0, &e);
	if (ret < 0)
		return fault_set(&c->fault, domdef_fault(ret), FROM_DOMAIN, "%s", e.text);
	ret = apply(c, d, f, &dev);
	domdef_device_free(&dev);
	return ret;
}

static int change_flags(struct call *c, change_fn f)
{
	if (call_unknown_flags(c, 2, AFFECT_LIVE | AFFECT_CONFIG | DEVICE_FORCE))
		return CALL_FAILED;
	return change(c, call_u(c, 2) & ~(unsigned)DEVICE_FORCE, f);
}

static int attach_device(struct call *c)
{
	return change(c, AFFECT_LIVE, attach);
}

static int detach_device(struct call *c)
{
	return change(c, AFFECT_LIVE, detach);
}

static int attach_device_flags(struct call *c)
{
	return change_flags(c, attach);
}

static int detach_device_flags(struct call *c)
{
	return change_flags(c, detach);
}

static int update_device_flags(struct call *c)
{
	return change_flags(c, update);
}

const struct handler remote_device[] = {
	{"DOMAIN_ATTACH_DEVICE", attach_device},
	{"DOMAIN_DETACH_DEVICE", detach_device},
	{"DOMAIN_ATTACH_DEVICE_FLAGS", attach_device_flags},
	{"DOMAIN_DETACH_DEVICE_FLAGS", detach_device_flags},
	{"DOMAIN_UPDATE_DEVICE_FLAGS", update_device_flags},
};
const unsigned remote_device_count = COUNT_OF(remote_device);
