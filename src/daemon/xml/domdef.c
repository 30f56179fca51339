/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/domdef.h"

#include "daemon/xml/domdef_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_HYPERVISOR "http://libvirt.org/schemas/domain/qemu/1.0"

/* virErrorNumber of libvirt's virterror.h. */
int domdef_fault(int ret)
{
	static const struct {
		int code, number;
	} table[] = {
		{ -ENOMEM, 2 },   /* NO_MEMORY */
		{ -EINVAL, 8 },   /* INVALID_ARG */
		{ -EEXIST, 9 },   /* OPERATION_FAILED */
		{ -EBADMSG, 27 }, /* XML_ERROR */
		{ -EILSEQ, 35 },  /* XML_DETAIL */
		{ -EPERM, 55 },   /* OPERATION_INVALID */
		{ -ENOTSUP, 67 }, /* CONFIG_UNSUPPORTED */
		{ -EPROTO, 92 },  /* XML_INVALID_SCHEMA */
		{ -ENODEV, 99 },  /* DEVICE_MISSING */
	};

	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (table[n].code == ret)
			return table[n].number;
	return 1; /* INTERNAL_ERROR */
}

int domdef_each(struct domdef *d, int (*f)(void *opaque, const struct domdef_kind *k, struct domdev *dev), void *opaque)
{
	for (const struct domdef_kind *k = domdef_kinds; k->name; k++) {
		struct xlist *l = domdef_list(d, k);

		for (unsigned n = 0; n < l->n; n++) {
			int ret = f(opaque, k, l->v[n]);

			if (ret)
				return ret;
		}
	}
	return 0;
}

const struct domdef_kind *domdef_kind_find(const char *name)
{
	for (const struct domdef_kind *k = domdef_kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

/* ---- the live parts ---- */

static void drop(char **text)
{
	free(*text);
	*text = NULL;
}

/* Aliases are the daemon's, but for those that begin with "ua-". */
void domdef_strip_device(const struct domdef_kind *k, struct domdev *dev)
{
	if (dev->alias && strncmp(dev->alias, "ua-", 3))
		drop(&dev->alias);
	if (!strcmp(k->name, "interface")) {
		struct domdef_interface *i = (struct domdef_interface *)dev;

		if (i->target && (!strncmp(i->target, "vnet", 4) || !strncmp(i->target, "macvtap", 7)))
			drop(&i->target);
		if (i->type == DOM_NET_NETWORK) /* of a running machine: where its network had it */
			drop(&i->bridge);
	} else if (!strcmp(k->name, "graphics")) {
		struct domdef_graphics *g = (struct domdef_graphics *)dev;

		if (g->port && g->autoport && !strcmp(g->autoport, "yes"))
			drop(&g->port);
	} else if (k->map->size == sizeof(struct domdef_chr) && domdef_chr_kind(k)) {
		struct domdef_chr *c = (struct domdef_chr *)dev;

		drop(&c->tty);
		drop(&c->target_state);
		if (c->type == DOM_CHR_PTY)
			drop(&c->path);
	}
}

bool domdef_chr_kind(const struct domdef_kind *k)
{
	return !strcmp(k->name, "serial") || !strcmp(k->name, "parallel") || !strcmp(k->name, "console") ||
	       !strcmp(k->name, "channel");
}

static int strip_one(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	domdef_strip_device(k, dev);
	return 0;
}

static void strip_live(struct domdef *d)
{
	d->id.set = false;
	domdef_each(d, strip_one, NULL);
}

/* ---- whole documents ---- */

static int check_namespaces(const struct domdef *d, struct err *e)
{
	for (unsigned n = 0; n < d->extra.n; n++) {
		const struct xraw *x = d->extra.v[n];

		if (x->uri && !strcmp(x->uri, NS_HYPERVISOR))
			return err_set(e, -ENOTSUP,
				       "element '%s' hands arguments to QEMU, which is not there; leave it "
				       "out",
				       x->name);
	}
	return 0;
}

static int check_name(const struct domdef *d, struct err *e)
{
	if (!d->name || !*d->name)
		return err_set(e, -EBADMSG, "missing name information");
	if (strchr(d->name, '/'))
		return err_set(e, -EBADMSG, "name %.100s cannot contain '/'", d->name);
	if (strchr(d->name, '\n'))
		return err_set(e, -EBADMSG, "name cannot contain a line feed");
	if (d->title && strchr(d->title, '\n'))
		return err_set(e, -EBADMSG, "Domain title can't contain newlines");
	return 0;
}

static unsigned read_flags(unsigned flags)
{
	return (flags & DOMDEF_PARSE_LIVE ? XMAP_LIVE : 0) | (flags & DOMDEF_PARSE_VALIDATE ? XMAP_STRICT : 0);
}

int domdef_parse(struct domdef **out, const char *xml, size_t len, unsigned flags, struct err *e)
{
	void *obj;
	int ret = xmap_parse(&domdef_map, &obj, xml, len, "domain_definition", read_flags(flags), e);

	*out = obj;
	if (ret < 0)
		return ret;
	if (!(flags & DOMDEF_PARSE_LIVE))
		strip_live(*out);
	ret = check_namespaces(*out, e);
	if (ret == 0 && !(flags & DOMDEF_PARSE_RAW))
		ret = check_name(*out, e);
	if (ret == 0 && !(flags & DOMDEF_PARSE_RAW))
		ret = domdef_fill(*out, e);
	if (ret < 0) {
		domdef_free(*out);
		*out = NULL;
	}
	return ret;
}

static unsigned write_flags(unsigned flags)
{
	return (flags & DOMDEF_FORMAT_INACTIVE ? 0 : XMAP_LIVE) | (flags & DOMDEF_FORMAT_SECURE ? XMAP_SECRET : 0);
}

char *domdef_format(const struct domdef *d, unsigned flags)
{
	struct domdef *plain = NULL;
	char *text;

	/* Only a running machine has live parts that are not rows' own matter. */
	if ((flags & DOMDEF_FORMAT_INACTIVE) && d->id.set) {
		plain = domdef_copy(d);
		if (!plain)
			return NULL;
		strip_live(plain);
		d = plain;
	}
	text = xmap_format(&domdef_map, d, NULL, write_flags(flags));
	domdef_free(plain);
	return text;
}

void domdef_free(struct domdef *d)
{
	xmap_free(&domdef_map, d);
}

struct domdef *domdef_copy(const struct domdef *d)
{
	char *text = xmap_format(&domdef_map, d, NULL, XMAP_LIVE | XMAP_SECRET);
	void *copy = NULL;
	int ret;

	if (!text)
		return NULL;
	ret = xmap_parse(&domdef_map, &copy, text, strlen(text), "domain", XMAP_LIVE, NULL);
	free(text);
	return ret < 0 ? NULL : copy;
}
