/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that the guest has let go, or will not. */
#include "daemon/domain/domain_priv.h"

#include <stdio.h>
#include <string.h>

struct search {
	const char *id;
	const struct domdef_kind *kind;
	struct domdev *dev;
};

static int is_it(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	struct search *s = opaque;
	char id[DOMDEF_ID_MAX];

	if (!domdef_device_id(k, dev, id) || strcmp(id, s->id))
		return 0;
	s->kind = k;
	s->dev = dev;
	return 1;
}

static void take_out(struct domdef *d, const char *id)
{
	struct search s = { .id = id };
	struct xlist *l;

	if (!d || !domdef_each(d, is_it, &s))
		return;
	l = domdef_list(d, s.kind);
	for (unsigned n = 0; n < l->n; n++)
		if (l->v[n] == s.dev) {
			xmap_free(s.kind->map, xlist_take(l, n));
			return;
		}
}

static bool alias_of(const struct domain *d, const char *id, char *alias, size_t size)
{
	struct search s = { .id = id };

	if (!id || !domdef_each(d->def, is_it, &s))
		return false;
	snprintf(alias, size, "%s", s.dev->alias ? s.dev->alias : "");
	return true;
}

bool domain_has_device(const struct domain *d, const char *id)
{
	char alias[DOMAIN_ALIAS_MAX];

	return alias_of(d, id, alias, sizeof(alias));
}

void domain_device_gone(struct domain *d, const char *id)
{
	char alias[DOMAIN_ALIAS_MAX];

	if (!alias_of(d, id, alias, sizeof(alias))) {
		leaving_remove(d, id ? id : "");
		return;
	}
	take_out(d->def, id);
	if (d->intent)
		take_out(d->intent->live, id);
	leaving_remove(d, id);
	domain_note(d);
	d->all->watcher.device_removed(d->all->watcher.opaque, d, alias);
}

void domain_device_stays(struct domain *d, const char *id)
{
	char alias[DOMAIN_ALIAS_MAX];

	if (!alias_of(d, id, alias, sizeof(alias)))
		return;
	if (leaving_remove(d, id))
		domain_note(d);
	d->all->watcher.removal_failed(d->all->watcher.opaque, d, alias);
}

void domain_device_added(struct domain *d, const char *alias)
{
	d->all->watcher.device_added(d->all->watcher.opaque, d, alias);
}
