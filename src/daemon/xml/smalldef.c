/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/smalldef.h"

#include <errno.h>
#include <string.h>

static const char *const answers[] = { "", "no", "yes", NULL };
static const char *const usages[] = { "none", "volume", "ceph", "iscsi", "tls", "vtpm", NULL };

/* ---- secrets ---- */

#define T struct secretdef
static const struct xrow usage_rows[] = {
	XENUM(ATTR, "type", usage, usages), XSTR(ELEM, "volume", volume), XSTR(ELEM, "name", name),
	XSTR(ELEM, "target", target), XEND
};
static const struct xrow secret_rows[] = {XENUM(ATTR, "ephemeral", ephemeral, answers),
					  XENUM(ATTR, "private", private, answers),
					  XUUID(ELEM, "uuid", uuid),
					  XSTR(ELEM, "description", description),
					  XGROUP("usage", usage_rows),
					  XEND};
const struct xmap secretdef_map = { "secret", sizeof(T), offsetof(T, extra), secret_rows };
#undef T

const char *secretdef_usage_id(const struct secretdef *d)
{
	const char *id = d->usage == SECRETDEF_VOLUME ? d->volume : d->usage == SECRETDEF_ISCSI ? d->target : d->name;

	return id ? id : "";
}

int secretdef_parse(struct secretdef **out, const char *xml, size_t len, bool validate, struct err *e)
{
	void *obj;
	struct secretdef *d;
	int ret = xmap_parse(&secretdef_map, &obj, xml, len, "secret_definition", validate ? XMAP_STRICT : 0, e);

	*out = NULL;
	if (ret < 0)
		return ret;
	d = obj;
	if (d->usage && !*secretdef_usage_id(d)) {
		ret = err_set(e, -EBADMSG, "%s usage specified, but its name is missing", usages[d->usage]);
		secretdef_free(d);
		return ret;
	}
	if (!d->uuid.set)
		xuuid_random(&d->uuid);
	if (!d->ephemeral)
		d->ephemeral = 1;
	if (!d->private)
		d->private = 1;
	*out = d;
	return 0;
}

char *secretdef_format(const struct secretdef *d)
{
	return xmap_format(&secretdef_map, d, NULL, XMAP_LIVE);
}

void secretdef_free(struct secretdef *d)
{
	xmap_free(&secretdef_map, d);
}

/* ---- snapshots ---- */

#define T struct snapdef_disk
static const struct xrow disk_driver_rows[] = { XSTR(ATTR, "type", driver), XEND };
static const struct xrow disk_source_rows[] = {
	XSTR(ATTR, "file", source), XRAW("seclabel", parts), XRAW("host", parts), XRAW("encryption", parts), XEND
};
static const struct xrow disk_rows[] = {
	XSTR(ATTR, "name", name, .flags = XF_REQUIRED), XSTR(ATTR, "snapshot", snapshot), XSTR(ATTR, "type", type),
	XGROUP("driver", disk_driver_rows), XGROUP("source", disk_source_rows), XEND
};
static const struct xmap disk_map = { "disk", sizeof(T), offsetof(T, extra), disk_rows };
#undef T

#define T struct snapdef
static const struct xrow parent_rows[] = { XSTR(ELEM, "name", parent), XEND };
static const struct xrow memory_rows[] = { XSTR(ATTR, "snapshot", memory), XSTR(ATTR, "file", memory_file), XEND };
static const struct xrow disks_rows[] = { XMANY("disk", disks, disk_map), XEND };
static const struct xrow snapshot_rows[] = {
	XSTR(ELEM, "name", name), XSTR(ELEM, "description", description), XSTR(ELEM, "state", state),
	XGROUP("parent", parent_rows), XNUM(ELEM, "creationTime", creation_time), XGROUP("memory", memory_rows),
	XGROUP("disks", disks_rows), XRAW("domain", domain), XRAW("inactiveDomain", inactive_domain),
	XRAW("cookie", cookie), XNUM(ELEM, "active", active), XEND
};
const struct xmap snapdef_map = { "domainsnapshot", sizeof(T), offsetof(T, extra), snapshot_rows };
#undef T

int snapdef_parse(struct snapdef **out, const char *xml, size_t len, bool validate, struct err *e)
{
	void *obj;
	struct snapdef *d;
	int ret = xmap_parse(&snapdef_map, &obj, xml, len, "domain_snapshot", validate ? XMAP_STRICT : 0, e);

	*out = NULL;
	if (ret < 0)
		return ret;
	d = obj;
	if (d->name && strchr(d->name, '/')) {
		ret = err_set(e, -EBADMSG, "invalid snapshot name '%.100s': name can't contain '/'", d->name);
		snapdef_free(d);
		return ret;
	}
	*out = d;
	return 0;
}

char *snapdef_format(const struct snapdef *d)
{
	return xmap_format(&snapdef_map, d, NULL, XMAP_LIVE);
}

void snapdef_free(struct snapdef *d)
{
	xmap_free(&snapdef_map, d);
}
