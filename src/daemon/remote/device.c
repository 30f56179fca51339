/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices put into definitions, taken out, changed; of the next start, of the running machine, or of both. Whatever is
 * wanted is tried on copies first; the running machine is asked then; and only what it did takes a definition's place.
 */
#include "daemon/remote/remote_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_FORCE = 4 };
enum action { ATTACH, DETACH, UPDATE };

struct change {
	struct call *call;
	struct domain *domain;
	enum action action;
	bool force;
	char *xml; /* of the device: the same for both definitions */
	char alias[DOMAIN_ALIAS_MAX]; /* of a device that comes */
	struct intent to; /* what the definitions become */
};

static void change_free(struct change *ch)
{
	free(ch->xml);
	domdef_free(ch->to.live);
	domdef_free(ch->to.config);
	free(ch);
}

/* ---- the definitions ---- */

static int apply(enum action a, struct domdef *def, struct domdef_device *dev, bool live, struct err *e)
{
	switch (a) {
	case ATTACH: return domdef_device_attach(def, dev, e);
	case DETACH: return domdef_device_detach(def, dev, e);
	default: return domdef_device_update(def, dev, live, e);
	}
}

/* A copy of def with the change made; NULL with the fault. */
static struct domdef *changed(struct change *ch, const struct domdef *def, bool live)
{
	struct call *c = ch->call;
	struct domdef *fresh = domdef_copy(def);
	struct domdef_device dev = { 0 };
	struct err e = { 0 };
	int ret;

	if (!fresh) {
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the definition");
		return NULL;
	}
	ret = domdef_device_parse(&dev, ch->xml, strlen(ch->xml), ch->action == DETACH ? DOMDEF_PARSE_LIVE : 0, &e);
	if (ret == 0 && live && ch->action == ATTACH)
		ret = domdef_place_at_port(fresh, &dev, &e);
	if (ret == 0)
		ret = apply(ch->action, fresh, &dev, live, &e);
	if (ret == 0 && live && domdef_assign_aliases(fresh) < 0)
		ret = err_set(&e, -ENOMEM, "out of memory");
	domdef_device_free(&dev);
	if (ret == 0)
		return fresh;
	fault_set(&c->fault, ret == -ENODEV ? (int)FAULT_NO_DEVICE : domdef_fault(ret), FROM_DOMAIN, "%s", e.text);
	domdef_free(fresh);
	return NULL;
}

static void asked(void *opaque, const struct fault *f)
{
	struct change *ch = opaque;
	struct call *c = ch->call;
	bool came = !f && ch->to.live && ch->action == ATTACH;
	int ret = f ? CALL_FAILED : CALL_DONE;

	if (f)
		c->fault = *f;
	if (domain_settle(ch->domain, &ch->to, !f, &c->fault) < 0)
		ret = CALL_FAILED;
	if (came)
		domain_device_added(ch->domain, ch->alias);
	change_free(ch);
	call_end(c, ret);
}

/* ---- the running machine ---- */

static int not_live(struct change *ch, const char *what)
{
	return fault_set(&ch->call->fault, FAULT_OPERATION_UNSUPPORTED, FROM_HYPERVISOR,
			 "%s of a running machine cannot be changed; --config changes its next start", what);
}

static int change_medium(struct change *ch, struct domdef_disk *k)
{
	struct call *c = ch->call;
	const char *path = remote_disk_path(c->opaque, k);
	char id[DOMDEF_ID_MAX], name[32];
	json_t *arguments;
	struct err e = { 0 };
	bool writes = k->device == DOM_DISK_FLOPPY && !k->readonly;
	int fd = -1;

	if ((k->device != DOM_DISK_CDROM && k->device != DOM_DISK_FLOPPY) || !domdef_disk_id(k, id))
		return not_live(ch, "disks other than the media of CD-ROM and floppy drives");
	free(k->tray);
	k->tray = path ? NULL : strdup("open");
	if (path && k->format && strcmp(k->format, "raw"))
		return fault_set(&c->fault, FAULT_CONFIG_UNSUPPORTED, FROM_HYPERVISOR,
				 "an image for a drive is of format 'raw', not '%s'", k->format);
	if (path) {
		fd = fd_open(path, (writes ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY, 0, &e);
		if (fd < 0)
			return fault_from_err(&c->fault, FAULT_SYSTEM, FROM_STORAGE, &e);
	}
	snprintf(name, sizeof(name), "/dev/fdset/%d", DOMAIN_HAND_SET);
	arguments = json_pack("{s:s, s:b}", "id", id, "force", (int)ch->force);
	if (path)
		json_object_set_new(arguments, "filename", json_string(name));
	return remote_started(domain_command_fds(ch->domain, path ? "blockdev-change-medium" : "eject", arguments, &fd,
						 path ? 1 : 0, asked, ch, &c->fault));
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static int change_link(struct change *ch, const struct domdef_interface *i, const struct domdef_interface *old)
{
	char id[DOMDEF_ID_MAX];

	if (i->type != old->type || !same(i->network, old->network) || !same(i->bridge, old->bridge) ||
	    !domdef_nic_id(i, id))
		return not_live(ch, "the network of an interface");
	return remote_started(domain_command(ch->domain, "set_link", json_pack("{s:s, s:b}", "name", id, "up",
					     !same(i->link, "down")), asked, ch, &ch->call->fault));
}

static int ask_update(struct change *ch, const struct domdef_device *dev)
{
	int at = domdef_device_find(ch->to.live, dev);
	struct domdev *new = at >= 0 ? domdef_list(ch->to.live, dev->kind)->v[at] : NULL;

	if (new && !strcmp(dev->kind->name, "disk"))
		return change_medium(ch, (struct domdef_disk *)new);
	if (new && !strcmp(dev->kind->name, "interface"))
		return change_link(ch, (struct domdef_interface *)new, ch->domain->def->interfaces.v[at]);
	return not_live(ch, "such devices");
}

/* The device that was added is the last of its kind. */
static int ask_attach(struct change *ch, const struct domdef_device *dev)
{
	const struct xlist *l = domdef_list(ch->to.live, dev->kind);
	struct domdev *new = l->v[l->n - 1];

	snprintf(ch->alias, sizeof(ch->alias), "%s", new->alias ? new->alias : "");
	return remote_plug(ch->call, ch->domain, ch->to.live, dev->kind, new, asked, ch);
}

/* It stays in the running machine's definition until the guest has let it go. */
static int ask_detach(struct change *ch, const struct domdef_device *dev)
{
	const struct xlist *l = domdef_list(ch->domain->def, dev->kind);
	int at = domdef_device_find(ch->domain->def, dev);

	domdef_free(ch->to.live);
	ch->to.live = NULL;
	if (at < 0 || !domdef_device_id(dev->kind, l->v[at], ch->to.leaving))
		return not_live(ch, "such devices");
	return remote_unplug(ch->call, ch->domain, dev->kind, l->v[at], asked, ch);
}

/* CALL_LATER: the change ends with the answer. */
static int ask(struct change *ch)
{
	struct domdef_device dev = { 0 };
	struct err e = { 0 };
	int ret = domdef_device_parse(&dev, ch->xml, strlen(ch->xml), ch->action == DETACH ? DOMDEF_PARSE_LIVE : 0, &e);

	if (ret < 0)
		return fault_set(&ch->call->fault, domdef_fault(ret), FROM_DOMAIN, "%s", e.text);
	domain_intend(ch->domain, &ch->to);
	ret = ch->action == UPDATE ? ask_update(ch, &dev) : ch->action == ATTACH ? ask_attach(ch, &dev) :
	      ask_detach(ch, &dev);
	domdef_device_free(&dev);
	if (ret != CALL_LATER && domain_settle(ch->domain, &ch->to, false, &ch->call->fault) < 0)
		ret = CALL_FAILED;
	return ret;
}

/* ---- the calls ---- */

static int prepare(struct change *ch, unsigned flags)
{
	struct domain *d = ch->domain;

	if (flags & AFFECT_CONFIG) {
		ch->to.config = changed(ch, domain_config(d), false);
		if (!ch->to.config)
			return CALL_FAILED;
	}
	if (flags & AFFECT_LIVE) {
		ch->to.live = changed(ch, d->def, true);
		return ch->to.live ? ask(ch) : CALL_FAILED;
	}
	return domain_settle(d, &ch->to, true, &ch->call->fault) < 0 ? CALL_FAILED : CALL_DONE;
}

/* Takes xml over. */
static int begin(struct call *c, struct domain *d, char *xml, unsigned flags, enum action action)
{
	struct change *ch = xml ? calloc(1, sizeof(*ch)) : NULL;
	int ret;

	if (!ch) {
		free(xml);
		return fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the change");
	}
	*ch = (struct change){ .call = c, .domain = d, .action = action, .force = flags & DEVICE_FORCE, .xml = xml };
	ret = prepare(ch, flags & ~(unsigned)DEVICE_FORCE);
	if (ret != CALL_LATER)
		change_free(ch);
	return ret;
}

/* A card that comes without an address gets one here, the same in both definitions. NULL: fault. */
static char *complete(struct call *c, const char *xml, enum action action)
{
	struct domdef_device dev = { 0 };
	struct domdef_interface *i;
	struct err e = { 0 };
	char *text = NULL;
	int ret = domdef_device_parse(&dev, xml, strlen(xml), 0, &e);

	if (ret < 0) {
		fault_set(&c->fault, domdef_fault(ret), FROM_DOMAIN, "%s", e.text);
		return NULL;
	}
	i = (struct domdef_interface *)dev.dev;
	if (action == ATTACH && !strcmp(dev.kind->name, "interface") && !i->mac && domdef_random_mac(&i->mac) == 0)
		text = domdef_device_format(&dev, DOMDEF_FORMAT_SECURE);
	else
		text = strdup(xml);
	domdef_device_free(&dev);
	if (!text)
		fault_set(&c->fault, FAULT_NO_MEMORY, FROM_DOMAIN, "no memory for the change");
	return text;
}

static int change(struct call *c, unsigned flags, enum action action)
{
	unsigned force = flags & DEVICE_FORCE;
	struct domain *d;
	char *xml;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	flags &= ~(unsigned)DEVICE_FORCE;
	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	xml = complete(c, call_s(c, 1), action);
	return xml ? begin(c, d, xml, flags | force, action) : CALL_FAILED;
}

static int change_flags(struct call *c, enum action action)
{
	return change(c, call_u(c, 2), action);
}

static int attach_device(struct call *c)
{
	return change(c, AFFECT_LIVE, ATTACH);
}

static int detach_device(struct call *c)
{
	return change(c, AFFECT_LIVE, DETACH);
}

static int attach_device_flags(struct call *c)
{
	return change_flags(c, ATTACH);
}

static int detach_device_flags(struct call *c)
{
	return change_flags(c, DETACH);
}

struct search {
	const char *alias;
	char *xml;
};

static int has_alias(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	struct search *s = opaque;
	const struct domdef_device device = { .kind = k, .dev = dev };

	if (!dev->alias || strcmp(dev->alias, s->alias))
		return 0;
	s->xml = domdef_device_format(&device, DOMDEF_FORMAT_SECURE);
	return 1;
}

/* Of both definitions the first that is meant says what the device is. */
static int detach_device_alias(struct call *c)
{
	struct search s = { .alias = call_s(c, 1) };
	unsigned flags = call_u(c, 2);
	struct domain *d;
	int ret = remote_domain_idle(c, 0, &d);

	if (!d)
		return ret;
	if (remote_affect(c, d, &flags) < 0)
		return CALL_FAILED;
	if (!domdef_each(flags & AFFECT_LIVE ? d->def : domain_config(d), has_alias, &s))
		return fault_set(&c->fault, FAULT_NO_DEVICE, FROM_DOMAIN, "no device found with alias %.100s", s.alias);
	return begin(c, d, s.xml, flags, DETACH);
}

static int update_device_flags(struct call *c)
{
	return change_flags(c, UPDATE);
}

const struct handler remote_device[] = {
	{"DOMAIN_ATTACH_DEVICE", attach_device},
	{"DOMAIN_DETACH_DEVICE", detach_device},
	{"DOMAIN_ATTACH_DEVICE_FLAGS", attach_device_flags, NULL, AFFECT_LIVE | AFFECT_CONFIG | DEVICE_FORCE},
	{"DOMAIN_DETACH_DEVICE_FLAGS", detach_device_flags, NULL, AFFECT_LIVE | AFFECT_CONFIG | DEVICE_FORCE},
	{"DOMAIN_DETACH_DEVICE_ALIAS", detach_device_alias, NULL, AFFECT_LIVE | AFFECT_CONFIG},
	{"DOMAIN_UPDATE_DEVICE_FLAGS", update_device_flags, NULL, AFFECT_LIVE | AFFECT_CONFIG | DEVICE_FORCE},
};
const unsigned remote_device_count = COUNT_OF(remote_device);
