/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xml/pooldef.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const pool_types[] = { "", "dir", "fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi",
					  "mpath", "rbd", "sheepdog", "gluster", "zfs", "vstorage", NULL };
static const char *const volume_types[] = { "", "file", "block", "dir", "network", "netdir", "ploop", NULL };

#define T struct storage_permissions
static const struct xrow permission_rows[] = {XSTR(ELEM, "mode", mode), XSTR(ELEM, "owner", owner),
					      XSTR(ELEM, "group", group), XSTR(ELEM, "label", label), XEND};
#undef T

/* ---- pools ---- */

#define T struct pooldef
static const struct xrow pool_permissions_rows[] = { XEMBED(permissions, permission_rows), XEND };
static const struct xrow source_dir_rows[] = { XSTR(ATTR, "path", source_dir), XEND };
static const struct xrow source_format_rows[] = { XSTR(ATTR, "type", source_format), XEND };
static const struct xrow vendor_rows[] = { XSTR(ATTR, "name", vendor), XEND };
static const struct xrow product_rows[] = { XSTR(ATTR, "name", product), XEND };
static const struct xrow pool_source_rows[] = {
	XRAW("host", source_parts), XRAW("device", source_parts), XGROUP("dir", source_dir_rows),
	XRAW("adapter", source_parts), XSTR(ELEM, "name", source_name), XRAW("initiator", source_parts),
	XGROUP("format", source_format_rows), XRAW("auth", source_parts), XGROUP("vendor", vendor_rows),
	XGROUP("product", product_rows), XRAW("protocol", source_parts), XEND
};
static const struct xrow pool_target_rows[] = {
	XSTR(ELEM, "path", path), XGROUP("permissions", pool_permissions_rows), XEND
};
static const struct xrow pool_rows[] = {XENUM(ATTR, "type", type, pool_types, .flags = XF_REQUIRED),
					XSTR(ELEM, "name", name),
					XUUID(ELEM, "uuid", uuid),
					XBYTES(ELEM, "capacity", capacity),
					XBYTES(ELEM, "allocation", allocation),
					XBYTES(ELEM, "available", available),
					XRAW("features", features),
					XGROUP("source", pool_source_rows, .flags = XF_ALWAYS),
					XGROUP("target", pool_target_rows),
					XRAW("refresh", refresh),
					XEND};
const struct xmap pooldef_map = { "pool", sizeof(T), offsetof(T, extra), pool_rows };
#undef T

static bool needs_path(int type)
{
	return type == POOLDEF_DIR || type == POOLDEF_FS || type == POOLDEF_NETFS;
}

static int check_name(const char *name, struct err *e)
{
	if (!name || !*name)
		return err_set(e, -EBADMSG, "missing name information");
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(e, -EBADMSG, "name %.100s cannot contain '/'", name);
	return 0;
}

int pooldef_parse(struct pooldef **out, const char *xml, size_t len, bool validate, struct err *e)
{
	void *obj;
	struct pooldef *d;
	int ret = xmap_parse(&pooldef_map, &obj, xml, len, "storage_pool_definition", validate ? XMAP_STRICT : 0, e);

	*out = NULL;
	if (ret < 0)
		return ret;
	d = obj;
	if (!d->name && d->source_name && xstr_set(&d->name, d->source_name) < 0)
		ret = err_set(e, -ENOMEM, "out of memory");
	if (ret == 0)
		ret = check_name(d->name, e);
	if (ret == 0 && needs_path(d->type) && (!d->path || d->path[0] != '/'))
		ret = err_set(e, -EBADMSG, "missing storage pool target path");
	/* One path has one spelling, for comparing pools. */
	while (ret == 0 && d->path && strlen(d->path) > 1 && d->path[strlen(d->path) - 1] == '/')
		d->path[strlen(d->path) - 1] = 0;
	if (ret < 0) {
		pooldef_free(d);
		return ret;
	}
	if (!d->uuid.set)
		xuuid_random(&d->uuid);
	if (!d->capacity.set)
		d->capacity = d->allocation = d->available = xnum(0);
	*out = d;
	return 0;
}

char *pooldef_format(const struct pooldef *d)
{
	return xmap_format(&pooldef_map, d, NULL, XMAP_LIVE);
}

void pooldef_free(struct pooldef *d)
{
	xmap_free(&pooldef_map, d);
}

/* ---- volumes ---- */

#define T struct voldef
static const struct xrow volume_format_rows[] = { XSTR(ATTR, "type", format), XEND };
static const struct xrow volume_permissions_rows[] = { XEMBED(permissions, permission_rows), XEND };
static const struct xrow timestamps_rows[] = {
	XSTR(ELEM, "atime", atime), XSTR(ELEM, "btime", btime), XSTR(ELEM, "ctime", ctime), XSTR(ELEM, "mtime", mtime),
	XEND
};
static const struct xrow volume_target_rows[] = {
	XSTR(ELEM, "path", path), XGROUP("format", volume_format_rows),
	XGROUP("permissions", volume_permissions_rows), XGROUP("timestamps", timestamps_rows),
	XRAW("encryption", encryption), XSTR(ELEM, "compat", compat), XFLAG("nocow", nocow),
	XBYTES(ELEM, "clusterSize", cluster_size), XRAW("features", features), XEND
};
static const struct xrow backing_format_rows[] = { XSTR(ATTR, "type", backing_format), XEND };
static const struct xrow backing_permissions_rows[] = { XEMBED(backing_permissions, permission_rows), XEND };
static const struct xrow backing_rows[] = {
	XSTR(ELEM, "path", backing_path), XGROUP("format", backing_format_rows),
	XGROUP("permissions", backing_permissions_rows), XRAW("timestamps", backing_parts), XEND
};
static const struct xrow volume_rows[] = {
	XENUM(ATTR, "type", type, volume_types), XSTR(ELEM, "name", name), XSTR(ELEM, "key", key),
	XRAW("source", source), XBYTES(ELEM, "capacity", capacity), XBYTES(ELEM, "allocation", allocation),
	XBYTES(ELEM, "physical", physical), XGROUP("target", volume_target_rows), XGROUP("backingStore", backing_rows),
	XEND
};
const struct xmap voldef_map = { "volume", sizeof(T), offsetof(T, extra), volume_rows };
#undef T

int voldef_parse(struct voldef **out, const char *xml, size_t len, bool validate, struct err *e)
{
	void *obj;
	struct voldef *d;
	int ret = xmap_parse(&voldef_map, &obj, xml, len, "storage_volume_definition", validate ? XMAP_STRICT : 0, e);

	*out = NULL;
	if (ret < 0)
		return ret;
	d = obj;
	ret = check_name(d->name, e);
	if (ret == 0 && !d->capacity.set && !d->backing_path)
		ret = err_set(e, -EBADMSG, "missing capacity element");
	if (ret < 0) {
		voldef_free(d);
		return ret;
	}
	if (!d->allocation.set) /* all of it, as libvirt has it; a sparse volume says 0 */
		d->allocation = d->capacity;
	*out = d;
	return 0;
}

char *voldef_format(const struct voldef *d)
{
	return xmap_format(&voldef_map, d, NULL, XMAP_LIVE);
}

void voldef_free(struct voldef *d)
{
	xmap_free(&voldef_map, d);
}
