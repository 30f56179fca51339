/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices by themselves: parsing a snippet, finding the device that it means, attach, detach and update. */
#include "daemon/xml/domdef_priv.h"
#include "daemon/xml/xmldoc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SNIPPET_NONE = -1, SNIPPET_SEVERAL = -2 };

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

int domdef_device_parse(struct domdef_device *out, const char *xml, size_t len, unsigned flags, struct err *e)
{
	xmlDoc *doc;
	xmlNode *root;
	int ret = xmldoc_parse(&doc, xml, len, "device_definition", e);

	*out = (struct domdef_device){ 0 };
	if (ret < 0)
		return ret;
	root = xmlDocGetRootElement(doc);
	out->kind = domdef_kind_find((const char *)root->name);
	if (!out->kind) {
		ret = err_set(e, -EBADMSG, "unknown device type '%s'", root->name);
	} else {
		out->dev = calloc(1, out->kind->map->size);
		ret = out->dev ? xmap_read(out->kind->map, out->dev, root,
		                           (flags & DOMDEF_PARSE_LIVE ? XMAP_LIVE : 0) |
		                           (flags & DOMDEF_PARSE_VALIDATE ? XMAP_STRICT : 0), e) :
				 err_set(e, -ENOMEM, "out of memory");
	}
	xmlFreeDoc(doc);
	if (ret < 0)
		domdef_device_free(out);
	return ret;
}

char *domdef_device_format(const struct domdef_device *dev, unsigned flags)
{
	return xmap_format(dev->kind->map, dev->dev, NULL,
	                   (flags & DOMDEF_FORMAT_INACTIVE ? 0 : XMAP_LIVE) |
	                   (flags & DOMDEF_FORMAT_SECURE ? XMAP_SECRET : 0));
}

void domdef_device_free(struct domdef_device *dev)
{
	if (dev->kind)
		xmap_free(dev->kind->map, dev->dev);
	*dev = (struct domdef_device){ 0 };
}

/* ---- which device is meant ---- */

static bool same_num(struct xnum a, struct xnum b)
{
	return a.v == b.v; /* absent is 0 */
}

static bool same_address(const struct domdef_address *a, const struct domdef_address *b)
{
	return a->type == b->type && same_num(a->domain, b->domain) && same_num(a->bus, b->bus) &&
	       same_num(a->slot, b->slot) && same_num(a->function, b->function) &&
	       same_num(a->controller, b->controller) && same_num(a->target, b->target) && same_num(a->unit, b->unit) &&
	       (!a->port || !b->port || !strcmp(a->port, b->port));
}

/* What the snippet gives must agree; what it leaves out does not matter. */
static bool agrees(const char *given, const char *there)
{
	return !given || same(given, there);
}

static bool disk_meant(const void *snippet, const void *there)
{
	return same(((const struct domdef_disk *)snippet)->target, ((const struct domdef_disk *)there)->target);
}

static bool interface_meant(const void *snippet, const void *there)
{
	const struct domdef_interface *s = snippet, *t = there;

	return agrees(s->mac, t->mac) && agrees(s->network, t->network) && agrees(s->bridge, t->bridge) &&
	       (s->mac || !s->target || same(s->target, t->target));
}

static bool controller_meant(const void *snippet, const void *there)
{
	const struct domdef_controller *s = snippet, *t = there;

	return s->type == t->type && s->index.set && s->index.v == t->index.v;
}

static bool chr_meant(const void *snippet, const void *there)
{
	const struct domdef_chr *s = snippet, *t = there;

	return s->type == t->type && agrees(s->path, t->path) && agrees(s->host, t->host) &&
	       agrees(s->service, t->service) && agrees(s->target_type, t->target_type) &&
	       agrees(s->target_name, t->target_name) && (!s->target_port.set || s->target_port.v == t->target_port.v);
}

static bool graphics_meant(const void *snippet, const void *there)
{
	return ((const struct domdef_graphics *)snippet)->type == ((const struct domdef_graphics *)there)->type;
}

static bool input_meant(const void *snippet, const void *there)
{
	const struct domdef_input *s = snippet, *t = there;

	return same(s->type, t->type) && agrees(s->bus, t->bus);
}

static bool hostdev_meant(const void *snippet, const void *there)
{
	const struct domdef_hostdev *s = snippet, *t = there;

	if (!same(s->type, t->type) || s->source.n != t->source.n)
		return false;
	for (unsigned n = 0; n < s->source.n; n++)
		if (strcmp(s->source.v[n]->text, t->source.v[n]->text))
			return false;
	return true;
}

static bool filesystem_meant(const void *snippet, const void *there)
{
	const struct domdef_filesystem *s = snippet, *t = there;

	return same(s->target, t->target) && agrees(s->source_dir, t->source_dir);
}

/* Of these there is one, or the model tells. */
static bool any_meant(const void *snippet, const void *there)
{
	return true;
}

static const struct {
	const char *kind;
	bool (*meant)(const void *snippet, const void *there);
} rules[] = {
	{ "disk", disk_meant }, { "interface", interface_meant }, { "controller", controller_meant },
	{ "serial", chr_meant }, { "parallel", chr_meant }, { "console", chr_meant }, { "channel", chr_meant },
	{ "graphics", graphics_meant }, { "input", input_meant }, { "hostdev", hostdev_meant },
	{ "filesystem", filesystem_meant },
};

static bool meant(const struct domdef_device *s, const struct domdev *there)
{
	if (s->dev->alias && there->alias)
		return !strcmp(s->dev->alias, there->alias);
	for (size_t n = 0; n < COUNT_OF(rules); n++)
		if (!strcmp(rules[n].kind, s->kind->name)) {
			if (rules[n].meant == disk_meant) /* its target says it all */
				return disk_meant(s->dev, there);
			return rules[n].meant(s->dev, there) &&
			       (!s->dev->address.type || same_address(&s->dev->address, &there->address));
		}
	return any_meant(s->dev, there) && (!s->dev->address.type || same_address(&s->dev->address, &there->address));
}

int domdef_device_find(const struct domdef *d, const struct domdef_device *dev)
{
	const struct xlist *l = domdef_list(d, dev->kind);
	int found = SNIPPET_NONE;

	for (unsigned n = 0; n < l->n; n++)
		if (meant(dev, l->v[n])) {
			if (found >= 0)
				return SNIPPET_SEVERAL;
			found = (int)n;
		}
	return found;
}

static int find_one(const struct domdef *d, const struct domdef_device *dev, struct err *e)
{
	int at = domdef_device_find(d, dev);

	if (at == SNIPPET_SEVERAL)
		return err_set(e, -EBADMSG, "more than one device '%s' matches; name its alias, MAC or PCI address",
		               dev->kind->name);
	if (at < 0 && !strcmp(dev->kind->name, "disk"))
		return err_set(e, -ENODEV, "no target device %s", ((struct domdef_disk *)dev->dev)->target);
	if (at < 0 && !strcmp(dev->kind->name, "interface") && ((struct domdef_interface *)dev->dev)->mac)
		return err_set(e, -ENODEV, "no device matching MAC address %s found",
		               ((struct domdef_interface *)dev->dev)->mac);
	if (at < 0)
		return err_set(e, -ENODEV, "no matching device '%s' was found", dev->kind->name);
	return at;
}

/* ---- changes ---- */

static int check_new(const struct domdef *d, const struct domdef_device *dev, struct err *e)
{
	const struct domdef_interface *i = (const struct domdef_interface *)dev->dev;
	const struct domdef_disk *k = (const struct domdef_disk *)dev->dev;

	for (unsigned n = 0; !strcmp(dev->kind->name, "disk") && n < d->disks.n; n++)
		if (same(d->disks.v[n]->target, k->target))
			return err_set(e, -EEXIST, "target %s already exists", k->target);
	for (unsigned n = 0; !strcmp(dev->kind->name, "interface") && n < d->interfaces.n; n++)
		if (same(d->interfaces.v[n]->mac, i->mac))
			return err_set(e, -EEXIST, "a network device with MAC address %s exists already", i->mac);
	return 0;
}

/* Filling in happens on a copy: a failure leaves d as it was. */
static int replace(struct domdef *d, struct domdef *with)
{
	struct domdef old = *d;

	*d = *with;
	*with = old;
	domdef_free(with);
	return 0;
}

static int change(struct domdef *d, struct domdef_device *dev, int at, struct err *e)
{
	struct domdef *copy = domdef_copy(d);
	struct xlist *l = copy ? domdef_list(copy, dev->kind) : NULL;
	int ret = copy ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (ret == 0 && at >= 0)
		xmap_free(dev->kind->map, xlist_take(l, (unsigned)at));
	if (ret == 0)
		ret = xlist_insert(l, at >= 0 ? (unsigned)at : XMAP_LIST_MAX, dev->dev);
	if (ret == -E2BIG)
		err_set(e, -ENOTSUP, "more than %d devices '%s'", XMAP_LIST_MAX, dev->kind->name);
	if (ret == 0) {
		ret = domdef_fill(copy, e);
		if (ret < 0) { /* the device stays the caller's */
			for (unsigned n = 0; n < l->n; n++)
				if (l->v[n] == dev->dev)
					xlist_take(l, n);
		}
	}
	if (ret < 0) {
		domdef_free(copy);
		return ret;
	}
	*dev = (struct domdef_device){ 0 };
	return replace(d, copy);
}

int domdef_device_attach(struct domdef *d, struct domdef_device *dev, struct err *e)
{
	int ret = check_new(d, dev, e);

	return ret < 0 ? ret : change(d, dev, -1, e);
}

int domdef_device_detach(struct domdef *d, const struct domdef_device *dev, struct err *e)
{
	int at = find_one(d, dev, e);

	if (at < 0)
		return at;
	xmap_free(dev->kind->map, xlist_take(domdef_list(d, dev->kind), (unsigned)at));
	if (!strcmp(dev->kind->name, "serial") && !d->serials.n && d->consoles.n &&
	    same(d->consoles.v[0]->target_type, "serial")) /* its mirror goes with it */
		xmap_free(domdef_kind_find("console")->map, xlist_take(&d->consoles, 0));
	return 0;
}

/* ---- what may change while the machine runs ---- */

static void blank(char **member)
{
	free(*member);
	*member = NULL;
}

/* Takes away what may change, so that the rest can be compared. */
static void blank_changeable(const struct domdef_kind *k, struct domdev *dev)
{
	domdef_strip_device(k, dev);
	if (!strcmp(k->name, "disk") && ((struct domdef_disk *)dev)->device != DOM_DISK_DISK) {
		struct domdef_disk *disk = (struct domdef_disk *)dev;

		blank(&disk->source.file);
		blank(&disk->source.dev);
		blank(&disk->source.startup_policy);
		blank(&disk->format);
		blank(&disk->tray);
		disk->type = DOM_SOURCE_FILE;
	} else if (!strcmp(k->name, "interface")) {
		struct domdef_interface *i = (struct domdef_interface *)dev;

		blank(&i->link);
		blank(&i->network);
		blank(&i->bridge);
		i->type = DOM_NET_NETWORK;
	} else if (!strcmp(k->name, "graphics")) {
		struct domdef_graphics *g = (struct domdef_graphics *)dev;

		blank(&g->passwd);
		blank(&g->passwd_valid_to);
		blank(&g->connected);
	} else if (!strcmp(k->name, "memballoon")) {
		((struct domdef_memballoon *)dev)->stats_period.set = false;
	}
}

/* Both are copies, with the device at the same place. */
static bool only_live(const struct domdef_kind *k, struct domdef *new, struct domdef *old, unsigned at)
{
	struct domdev *n = domdef_list(new, k)->v[at], *o = domdef_list(old, k)->v[at];
	char *a, *b;
	bool equal;

	blank_changeable(k, n);
	blank_changeable(k, o);
	a = xmap_format(k->map, n, NULL, XMAP_SECRET);
	b = xmap_format(k->map, o, NULL, XMAP_SECRET);
	equal = a && b && !strcmp(a, b);
	free(a);
	free(b);
	return equal;
}

static int check_live(struct domdef *d, const struct domdef_device *dev, int at, struct err *e)
{
	struct domdef *new = domdef_copy(d), *old = domdef_copy(d);
	struct domdef_device copy = { .kind = dev->kind };
	char *text = domdef_device_format(dev, DOMDEF_FORMAT_SECURE);
	int ret = text && new && old ? domdef_device_parse(&copy, text, strlen(text), DOMDEF_PARSE_LIVE, e) :
				       err_set(e, -ENOMEM, "out of memory");

	if (ret == 0)
		ret = change(new, &copy, at, e);
	if (ret == 0 && !only_live(dev->kind, new, old, (unsigned)at))
		ret = err_set(e, -ENOTSUP, "cannot modify this part of a running machine's device '%s'; "
		              "change the definition and restart", dev->kind->name);
	domdef_device_free(&copy);
	domdef_free(new);
	domdef_free(old);
	free(text);
	return ret;
}

/* An update without place or alias means the ones that are there. */
static int inherit(struct domdev *to, const struct domdev *from)
{
	int ret = to->alias ? 0 : xstr_set(&to->alias, from->alias);

	if (ret == 0 && !to->address.type) {
		free(to->address.port);
		to->address = from->address;
		to->address.port = NULL;
		ret = xstr_set(&to->address.port, from->address.port);
	}
	return ret;
}

int domdef_device_update(struct domdef *d, struct domdef_device *dev, bool live, struct err *e)
{
	int at = find_one(d, dev, e), ret;

	if (at < 0)
		return at;
	if (inherit(dev->dev, domdef_list(d, dev->kind)->v[at]) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (live) {
		ret = check_live(d, dev, at, e);
		if (ret < 0)
			return ret;
	}
	return change(d, dev, at, e);
}
